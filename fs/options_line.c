/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: flags, --name=value, --name value, -o lists as mount(8)
 * writes them, and words.
 */
#include "options_in.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORDS_MAX 64u
#define FUSE_MAX 64u

struct flag {
	const char *name;
	char letter;
	size_t at;	  /* of a bool, or a char * */
	const char *unit; /* of its value; NULL: it has none */
};

static const struct flag flags[] = {
	{ "foreground", 'f', offsetof(struct options, foreground), NULL },
	{ "debug", 'd', offsetof(struct options, debug), NULL },
	{ "lazy", 'z', offsetof(struct options, lazy), NULL },
	{ "json", '\0', offsetof(struct options, json), NULL },
	{ "help", 'h', offsetof(struct options, help), NULL },
	{ "version", 'V', offsetof(struct options, version), NULL },
	{ "all-variants", '\0', offsetof(struct options, all_variants), NULL },
	{ "compile", '\0', offsetof(struct options, compile), NULL },
	{ "range", '\0', offsetof(struct options, range), "RANGE" },
};

#define FLAGS (sizeof(flags) / sizeof(*flags))

/* What FUSE itself understands; "=" at the end: with a value. */
static const char *const fuse_words[] = {
	"allow_other", "allow_root", "auto_unmount", "noexec",	     "nosuid",
	"nodev",       "noatime",    "ro",	     "uid=",	     "gid=",
	"context=",    "fscontext=", "defcontext=",  "rootcontext=",
};

#define FUSE_WORDS (sizeof(fuse_words) / sizeof(*fuse_words))

/* What mount(8), systemd and fstab write there for others than us, or what
 * is so anyway: without effect here. */
static const char *const foreign_words[] = {
	"rw",	      "suid",	     "dev",	 "exec",
	"atime",      "nodiratime",  "diratime", "relatime",
	"norelatime", "strictatime", "lazytime", "nolazytime",
	"sync",	      "async",	     "dirsync",	 "silent",
	"loud",	      "auto",	     "noauto",	 "nofail",
	"user",	      "nouser",	     "users",	 "owner",
	"group",      "_netdev",     "defaults", "nostrictatime",
};

static bool is_foreign(const char *part)
{
	for (size_t i = 0; i < sizeof(foreign_words) / sizeof(*foreign_words);
	     i++)
		if (!strcmp(part, foreign_words[i]))
			return true;
	return text_starts(part, "x-") || text_starts(part, "X-") ||
	       text_starts(part, "comment=") || text_starts(part, "user=") ||
	       text_starts(part, "uhelper=") || text_starts(part, "helper=");
}

static const char *fuse_find(const char *part)
{
	for (size_t i = 0; i < FUSE_WORDS; i++) {
		size_t n = strlen(fuse_words[i]);
		bool value = fuse_words[i][n - 1] == '=';

		if (value ? !strncmp(part, fuse_words[i], n)
			  : !strcmp(part, fuse_words[i]))
			return fuse_words[i];
	}
	return NULL;
}

/* As libfuse and the kernel read it in a list: a comma in quotes, escaped. */
static int add_fuse(struct options *o, const char *part, const char *word,
		    struct err *err)
{
	const char *value = part + strlen(word);
	struct text t = TEXT_INIT(2 * OPTION_VALUE_MAX + 4);
	bool quote = strchr(value, ',') != NULL;
	uint64_t id;
	int r = 0;

	if ((text_starts(word, "uid=") || text_starts(word, "gid=")) &&
	    text_to_u64(value, UINT32_MAX - 1, &id) < 0)
		return err_set(err, EINVAL,
			       "-o %s: '%.64s' is not the number "
			       "of a user or group",
			       word, value);
	if (text_ends(word, "=") && !*value)
		return err_set(err, EINVAL, "-o %s: needs a value", word);
	if (o->fuse.count == FUSE_MAX)
		return err_set(err, EINVAL, "more than %u options of FUSE",
			       FUSE_MAX);
	text_printf(&t, "%s%s", word, quote ? "\"" : "");
	for (; *value; value++) {
		if (*value == ',' || *value == '\\')
			text_add_char(&t, '\\');
		text_add_char(&t, *value);
	}
	if (quote)
		text_add_char(&t, '"');
	if (text_failed(&t) || options_list_add(&o->fuse, t.s, t.len) < 0)
		r = err_errno(err, ENOMEM, "options");
	text_done(&t);
	return r;
}

/* ---- unknown ones ---- */

static int unknown_long(const char *name, struct err *err)
{
	const char *names[FLAGS + 8 * sizeof(unsigned)];
	char plain[OPTION_NAME_MAX + 1], with_value[OPTION_NAME_MAX + 2];
	const struct option *row;
	const char *near;
	size_t n = 0;

	(void)text_copy(plain, sizeof(plain), name);
	for (char *p = plain; *p; p++)
		*p = *p == '-' ? '_' : *p;
	(void)snprintf(with_value, sizeof(with_value), "%s=", plain);
	if (fuse_find(plain) || fuse_find(with_value) || is_foreign(plain))
		return err_set(err, EINVAL,
			       "--%.64s is an option of the "
			       "mount: write -o %.64s",
			       name, plain);
	for (size_t i = 0; (row = options_row_at(i)); i++)
		names[n++] = row->name;
	for (size_t i = 0; i < FLAGS; i++)
		names[n++] = flags[i].name;
	near = options_nearest(name, names, n);
	if (!near)
		return err_set(err, EINVAL,
			       "unknown option '--%.64s'; "
			       "`kernelfs help` lists them",
			       name);
	(void)text_copy(plain, sizeof(plain), near);
	for (char *p = plain; *p; p++)
		*p = *p == '_' ? '-' : *p;
	return err_set(err, EINVAL,
		       "unknown option '--%.64s'; did you mean "
		       "'--%s'?",
		       name, plain);
}

static int unknown_part(const char *name, struct err *err)
{
	const char *names[FUSE_WORDS + 8 * sizeof(unsigned)];
	const struct option *row;
	const char *near;
	size_t n = 0;

	for (size_t i = 0; (row = options_row_at(i)); i++)
		names[n++] = row->name;
	for (size_t i = 0; i < FUSE_WORDS; i++)
		names[n++] = fuse_words[i];
	near = options_nearest(name, names, n);
	if (!near)
		return err_set(err, EINVAL,
			       "unknown option '-o %.64s'; "
			       "`kernelfs help` lists them",
			       name);
	return err_set(err, EINVAL,
		       "unknown option '-o %.64s'; did you mean "
		       "'%s'?",
		       name, near);
}

/* ---- -o ---- */

static int read_part(struct options *o, char *part, struct err *err)
{
	const char *word = fuse_find(part);
	const struct option *row;
	char where[OPTION_NAME_MAX + 8];
	size_t n = strcspn(part, "=");

	if (word)
		return add_fuse(o, part, word, err);
	row = options_row_find(part, n);
	if (!row && is_foreign(part))
		return 0;
	if (!row) {
		part[n] = '\0';
		return unknown_part(part, err);
	}
	(void)snprintf(where, sizeof(where), "-o %s", row->name);
	if (!part[n] && row->kind == OPTION_FLAG)
		return options_put(o, row, "on", 0, where, err);
	if (!part[n])
		return err_set(err, EINVAL, "%s: needs a value: %s=%s", where,
			       row->name, row->unit);
	return options_put(o, row, part + n + 1, 0, where, err);
}

static int read_parts(struct options *o, const char *list, struct err *err)
{
	char part[OPTION_VALUE_MAX + OPTION_NAME_MAX];
	int failed = 0;

	while (options_next_part(&list, part, &failed)) {
		int r = *part ? read_part(o, part, err) : 0;

		if (r < 0)
			return r;
	}
	return failed ? err_set(err, EINVAL,
				"-o: a part is longer than %u "
				"bytes",
				OPTION_VALUE_MAX)
		      : 0;
}

/* ---- arguments ---- */

struct line {
	struct options *o;
	int argc;
	char *const *argv;
	int i; /* of the argument at hand */
	struct err *err;
};

/* The argument behind the one at hand, or NULL. */
static const char *next(struct line *l)
{
	return l->i + 1 < l->argc ? l->argv[++l->i] : NULL;
}

static int raise_flag(struct options *o, const struct flag *f)
{
	*(bool *)((char *)o + f->at) = true;
	if (f->at == offsetof(struct options, debug))
		o->foreground = true;
	return 0;
}

static const struct flag *flag_find(const char *arg, size_t n)
{
	for (size_t i = 0; i < FLAGS; i++)
		if (strlen(flags[i].name) == n &&
		    !strncmp(flags[i].name, arg, n))
			return &flags[i];
	return NULL;
}

static int read_flag(struct line *l, const struct flag *f, const char *value)
{
	char **text = (void *)((char *)l->o + f->at);
	char *copy;

	if (!f->unit && value)
		return err_set(l->err, EINVAL, "--%s takes no value", f->name);
	if (!f->unit)
		return raise_flag(l->o, f);
	if (!value)
		value = next(l);
	if (!value || !*value)
		return err_set(l->err, EINVAL, "--%s: needs a value: --%s=%s",
			       f->name, f->name, f->unit);
	if (strlen(value) > OPTION_VALUE_MAX)
		return err_set(l->err, EINVAL, "--%s: longer than %u bytes",
			       f->name, OPTION_VALUE_MAX);
	copy = text_dup(value, strlen(value));
	if (!copy)
		return err_errno(l->err, ENOMEM, "options");
	free(*text);
	*text = copy;
	return 0;
}

static int read_long(struct line *l, const char *arg)
{
	size_t n = strcspn(arg, "=");
	const struct option *row = options_row_find(arg, n);
	const struct flag *flag = flag_find(arg, n);
	const char *value = arg[n] ? arg + n + 1 : NULL;
	char where[OPTION_NAME_MAX + 8];

	if (flag)
		return read_flag(l, flag, value);
	if (!row) {
		char name[OPTION_NAME_MAX + 1];

		n = n < OPTION_NAME_MAX ? n : OPTION_NAME_MAX;
		memcpy(name, arg, n);
		name[n] = '\0';
		return unknown_long(name, l->err);
	}
	(void)snprintf(where, sizeof(where), "--%.*s", (int)n, arg);
	if (!value)
		value = row->kind == OPTION_FLAG ? "on" : next(l);
	if (!value)
		return err_set(l->err, EINVAL, "%s: needs a value: %s=%s",
			       where, where, row->unit);
	return options_put(l->o, row, value, 0, where, l->err);
}

static int read_short(struct line *l, const char *arg)
{
	if (*arg == 'o') {
		const char *list = arg[1] ? arg + 1 : next(l);

		if (!list)
			return err_set(l->err, EINVAL,
				       "-o: needs a list: "
				       "-o name=value,other");
		return read_parts(l->o, list, l->err);
	}
	for (; *arg; arg++) {
		size_t i = 0;

		while (i < FLAGS && flags[i].letter != *arg)
			i++;
		if (i == FLAGS)
			return err_set(l->err, EINVAL,
				       "unknown option "
				       "'-%c'; `kernelfs help` lists them",
				       *arg);
		(void)raise_flag(l->o, &flags[i]);
	}
	return 0;
}

static int add_word(struct line *l, const char *word)
{
	size_t n = strlen(word);

	if (l->o->words.count == WORDS_MAX)
		return err_set(l->err, EINVAL, "more than %u words", WORDS_MAX);
	if (n > OPTION_VALUE_MAX)
		return err_set(l->err, EINVAL,
			       "'%.60s...': longer than %u "
			       "bytes",
			       word, OPTION_VALUE_MAX);
	if (options_list_add(&l->o->words, word, n) < 0)
		return err_errno(l->err, ENOMEM, "options");
	return 0;
}

int options_read(struct options *o, int argc, char *const *argv,
		 struct err *err)
{
	struct line l = { o, argc, argv, 1, err };
	bool only_words = false;

	for (; l.i < argc; l.i++) {
		const char *arg = argv[l.i];
		int r;

		if (only_words || arg[0] != '-' || !arg[1]) {
			r = add_word(&l, arg);
		} else if (!strcmp(arg, "--")) {
			only_words = true;
			continue;
		} else {
			r = arg[1] == '-' ? read_long(&l, arg + 2)
					  : read_short(&l, arg + 1);
		}
		if (r < 0)
			return r;
	}
	return 0;
}
