/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table, values, and what stands below the command line: environment,
 * config files, defaults.
 */
#include "options_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "base/toml.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define CONFIG_MAX (1u << 20)
#define SYSTEM_CONFIG "/etc/kernelfs.conf"
#define HUB "https://huggingface.co"

static const struct option table[] = {
#define OPTION(name, member, kind, fallback, low, high, unit, sentence) \
	{ #name,    OPTION_##kind, offsetof(struct options, member), \
	  fallback, low,	   high, \
	  unit,	    sentence },
#include "options.def"
#undef OPTION
};

#define ROWS (sizeof(table) / sizeof(*table))

_Static_assert(ROWS <= 8 * sizeof(unsigned), "a bit per row in `given`");

/* ---- rows ---- */

const struct option *options_row_at(size_t i)
{
	return i < ROWS ? &table[i] : NULL;
}

static bool same_name(const char *name, const char *s, size_t n)
{
	if (strlen(name) != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (name[i] != (s[i] == '-' ? '_' : s[i]))
			return false;
	return true;
}

const struct option *options_row_find(const char *name, size_t n)
{
	for (size_t i = 0; i < ROWS; i++)
		if (same_name(table[i].name, name, n))
			return &table[i];
	return NULL;
}

static unsigned bit_of(const struct option *row)
{
	return 1u << (row - table);
}

bool options_is_list(const struct option *row)
{
	return row->kind == OPTION_TRUST || row->kind == OPTION_IMPORT ||
	       row->kind == OPTION_SOURCE || row->kind == OPTION_MIRROR ||
	       row->kind == OPTION_TIER;
}

bool options_is_number(const struct option *row)
{
	return row->kind == OPTION_DURATION || row->kind == OPTION_COUNT ||
	       row->kind == OPTION_SIZE;
}

static void *member_of(struct options *o, const struct option *row)
{
	return (char *)o + row->at;
}

static char **text_of(struct options *o, const struct option *row)
{
	return member_of(o, row);
}

static struct options_list *list_of(struct options *o, const struct option *row)
{
	return member_of(o, row);
}

static uint64_t *number_of(struct options *o, const struct option *row)
{
	return member_of(o, row);
}

static bool *flag_of(struct options *o, const struct option *row)
{
	return member_of(o, row);
}

bool options_given(const struct options *o, const char *name)
{
	const struct option *row = options_row_find(name, strlen(name));

	return row && (o->given & bit_of(row));
}

/* ---- lists ---- */

int options_list_add(struct options_list *l, const char *s, size_t n)
{
	char *copy = text_dup(s, n);
	char **items;

	if (!copy)
		return -ENOMEM;
	items = realloc(l->items, (l->count + 1) * sizeof(*items));
	if (!items) {
		free(copy);
		return -ENOMEM;
	}
	items[l->count++] = copy;
	l->items = items;
	return 0;
}

void options_list_done(struct options_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->items[i]);
	free(l->items);
	l->items = NULL;
	l->count = 0;
}

void options_done(struct options *o)
{
	for (size_t i = 0; i < ROWS; i++) {
		if (options_is_list(&table[i]))
			options_list_done(list_of(o, &table[i]));
		else if (!options_is_number(&table[i]) &&
			 table[i].kind != OPTION_FLAG)
			free(*text_of(o, &table[i]));
	}
	free(o->range);
	options_list_done(&o->fuse);
	options_list_done(&o->words);
	memset(o, 0, sizeof(*o));
}

/* ---- one value ---- */

static int store_text(struct options *o, const struct option *row,
		      const char *value, struct err *err)
{
	char *copy = text_dup(value, strlen(value));
	int r = 0;

	if (!copy)
		return err_errno(err, ENOMEM, "options");
	if (options_is_path(row, value))
		r = options_absolute(&copy, err);
	if (r < 0) {
		free(copy);
		return r;
	}
	free(*text_of(o, row));
	*text_of(o, row) = copy;
	return 0;
}

static int add_item(struct options *o, const struct option *row,
		    const char *value, struct err *err)
{
	struct options_list *list = list_of(o, row);
	size_t most = row->kind == OPTION_SOURCE   ? OPTION_SOURCES_MAX
		      : row->kind == OPTION_MIRROR ? OPTION_MIRRORS_MAX
						   : OPTION_ITEMS_MAX;
	char **last;
	int r = 0;

	if (list->count >= most)
		return err_set(err, EINVAL, "more than %zu times", most);
	if (options_list_add(list, value, strlen(value)) < 0)
		return err_errno(err, ENOMEM, "options");
	last = &list->items[list->count - 1];
	if (options_is_path(row, value))
		r = options_absolute(last, err);
	if (row->kind == OPTION_MIRROR)
		o->mirror_of[list->count - 1] = (uint8_t)o->source.count;
	return r;
}

static int take(struct options *o, const struct option *row, const char *value,
		uint64_t number, struct err *err)
{
	if (options_is_number(row)) {
		*number_of(o, row) = number;
		return 0;
	}
	if (row->kind == OPTION_FLAG) {
		*flag_of(o, row) = number != 0;
		return 0;
	}
	if (!options_is_list(row))
		return store_text(o, row, value, err);
	if (*value)
		return add_item(o, row, value, err);
	options_list_done(list_of(o, row));
	if (row->kind == OPTION_SOURCE)
		options_list_done(&o->mirror);
	return 0;
}

int options_put(struct options *o, const struct option *row, const char *value,
		unsigned above, const char *where, struct err *err)
{
	const char *mirror = options_mirror_part(row, value);
	unsigned bits;
	uint64_t number = 0;
	int r;

	if (mirror) {
		row = options_row_find("mirror", 6);
		value = mirror;
	}
	bits = bit_of(row);
	if (row->kind == OPTION_MIRROR)
		bits |= bit_of(options_row_find("source", 6));
	r = options_check(row, value, &number, err);
	if (r == 0 && !(above & bits)) {
		r = take(o, row, value, number, err);
		if (r == 0)
			o->given |= bit_of(row);
	}
	return r < 0 ? err_wrap(err, r, "%s", where) : 0;
}

/* The same for each part of a list written with commas; "\," is a comma. */
static int put_list(struct options *o, const struct option *row,
		    const char *value, unsigned above, const char *where,
		    struct err *err)
{
	char part[OPTION_VALUE_MAX + 1];
	int failed = 0;

	if (!*value)
		return options_put(o, row, value, above, where, err);
	while (options_next_part(&value, part, &failed)) {
		int r = *part ? options_put(o, row, part, above, where, err)
			      : 0;

		if (r < 0)
			return r;
	}
	return failed ? err_set(err, EINVAL,
				"%s: a part is longer than %u "
				"bytes",
				where, OPTION_VALUE_MAX)
		      : 0;
}

int options_set(struct options *o, const char *name, const char *value,
		const char *where, struct err *err)
{
	const struct option *row = options_row_find(name, strlen(name));

	if (!row)
		return err_set(err, EINVAL, "%s: no option is called '%s'",
			       where, name);
	return options_put(o, row, value, 0, where, err);
}

/* ---- sources and their mirrors ---- */

int options_set_first(struct options *o, const char *source, struct err *err)
{
	struct options_list *l = &o->source;
	char *first;
	int r = options_set(o, "source", source, "source", err);

	if (r < 0)
		return r;
	first = l->items[l->count - 1];
	memmove(l->items + 1, l->items, (l->count - 1) * sizeof(*l->items));
	l->items[0] = first;
	/* It stands before all that the list named. */
	for (size_t i = 0; i < o->mirror.count; i++)
		o->mirror_of[i]++;
	return 0;
}

size_t options_mirrors(const struct options *o, size_t i,
		       const char *const **first)
{
	size_t from = 0, n;

	while (from < o->mirror.count && o->mirror_of[from] < i + 1)
		from++;
	n = from;
	while (n < o->mirror.count && o->mirror_of[n] == i + 1)
		n++;
	*first = (const char *const *)o->mirror.items + from;
	return n - from;
}

/* One that was named where no source was, or before it, can only be of the
 * only one. */
static int settle_mirrors(struct options *o, struct err *err)
{
	for (size_t i = 0; i < o->mirror.count; i++) {
		if (o->mirror_of[i])
			continue;
		if (o->source.count > 1)
			return err_set(err, EINVAL,
				       "mirror '%.200s': there are several "
				       "sources; name it behind its own: "
				       "source=URL,mirror=%.200s",
				       o->mirror.items[i], o->mirror.items[i]);
		o->mirror_of[i] = 1;
	}
	return 0;
}

/* ---- environment ---- */

/* An empty variable is as good as none. */
static const char *variable(const char *name)
{
	const char *s = getenv(name);

	return s && *s ? s : NULL;
}

/* As huggingface_hub and transformers read theirs; what they do not know is
 * no. */
static bool hub_is_offline(void)
{
	static const char *const names[] = { "HF_HUB_OFFLINE",
					     "TRANSFORMERS_OFFLINE" };
	static const char *const words[] = { "1", "on", "yes", "true" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		const char *s = variable(names[i]);

		for (size_t k = 0; s && k < sizeof(words) / sizeof(*words); k++)
			if (!strcasecmp(s, words[k]))
				return true;
	}
	return false;
}

static int environment_offline(struct options *o, unsigned above,
			       struct err *err)
{
	if (!hub_is_offline() || variable("KERNELFS_OFFLINE"))
		return 0;
	return options_put(o, options_row_find("offline", 7), "on", above,
			   "HF_HUB_OFFLINE", err);
}

static int from_environment(struct options *o, struct err *err)
{
	unsigned above = o->given;

	for (size_t i = 0; i < ROWS; i++) {
		char name[OPTION_NAME_MAX + 16];
		const char *value;
		int r;

		(void)snprintf(name, sizeof(name), "KERNELFS_%s",
			       table[i].name);
		for (char *p = name; *p; p++)
			if (*p >= 'a' && *p <= 'z')
				*p = (char)(*p - 'a' + 'A');
		value = variable(name);
		if (!value)
			continue;
		r = options_is_list(&table[i])
			    ? put_list(o, &table[i], value, above, name, err)
			    : options_put(o, &table[i], value, above, name,
					  err);
		if (r < 0)
			return r;
	}
	return environment_offline(o, above, err);
}

/* ---- config files ---- */

struct config {
	struct options *o;
	const char *path;
	unsigned above;
};

static int unknown_key(const char *where, const char *key, struct err *err)
{
	const char *names[ROWS];
	const char *near;

	for (size_t i = 0; i < ROWS; i++)
		names[i] = table[i].name;
	near = options_nearest(key, names, ROWS);
	return err_set(err, EINVAL, "%s is no option%s%s%s", where,
		       near ? "; did you mean '" : "", near ? near : "",
		       near ? "'?" : "");
}

/* A string, a whole number or a flag as the text that options_put() takes. */
static int put_value(struct config *c, const struct option *row,
		     const struct toml *v, const char *where, struct err *err)
{
	const char *s = toml_string(v, NULL);
	char number[24];
	bool truth;
	int64_t n;

	if (toml_boolean(v, &truth))
		s = truth ? "true" : "false";
	else if (toml_integer(v, &n)) {
		(void)snprintf(number, sizeof(number), "%lld", (long long)n);
		s = number;
	}
	if (!s)
		return err_set(err, EINVAL,
			       "%s: needs %s, as a string in "
			       "quotes or a whole number",
			       where, row->unit);
	return options_put(c->o, row, s, c->above, where, err);
}

static int on_key(struct config *c, const struct toml *v, struct err *err)
{
	const char *key = toml_name(v, NULL);
	const struct option *row =
		key ? options_row_find(key, strlen(key)) : NULL;
	char where[OPTION_VALUE_MAX + OPTION_NAME_MAX + 32];
	int r = 0;

	key = key ? key : "";
	(void)snprintf(where, sizeof(where), "%s:%u: %.64s", c->path,
		       toml_line(v), key);
	if (toml_is(v, TOML_TABLE))
		return err_set(err, EINVAL,
			       "%s: sections and dotted names "
			       "are no options",
			       where);
	if (!row || strchr(key, '-'))
		return unknown_key(where, key, err);
	if (row->at == offsetof(struct options, config))
		return err_set(err, EINVAL, "%s: a config file names no other",
			       where);
	if (toml_is(v, TOML_BOOLEAN) && row->kind != OPTION_FLAG)
		return err_set(err, EINVAL, "%s: needs %s, not true or false",
			       where, row->unit);
	if (!toml_is(v, TOML_ARRAY))
		return put_value(c, row, v, where, err);
	if (!options_is_list(row))
		return err_set(err, EINVAL, "%s: takes one value, not a list",
			       where);
	if (!toml_first(v))
		return options_put(c->o, row, "", c->above, where, err);
	for (const struct toml *i = toml_first(v); i && r == 0;
	     i = toml_next(i))
		r = toml_string(i, NULL) ? put_value(c, row, i, where, err)
					 : err_set(err, EINVAL,
						   "%s: a list holds strings, "
						   "in quotes",
						   where);
	return r;
}

static int from_file(struct options *o, const char *path, bool required,
		     struct err *err)
{
	AUTO(auto_text) struct text t = TEXT_INIT(CONFIG_MAX);
	AUTO(auto_toml) struct toml *root = NULL;
	struct config c = { o, path, o->given };
	int r = io_read_file(AT_FDCWD, path, &t);

	if (!required && (r == -ENOENT || r == -ENOTDIR))
		return 0;
	if (r == -E2BIG)
		return err_set(err, EINVAL, "config '%s': longer than %u bytes",
			       path, CONFIG_MAX);
	if (r < 0)
		return err_errno(err, -r, "config '%s'", path);
	r = toml_parse(&root, path, text_str(&t), t.len, err);
	if (r < 0)
		return r;
	for (const struct toml *v = toml_first(root); v && r == 0;
	     v = toml_next(v))
		r = on_key(&c, v, err);
	return r;
}

static int from_files(struct options *o, struct err *err)
{
	AUTO(auto_text) struct text user = TEXT_INIT(OPTION_VALUE_MAX);
	const char *xdg = variable("XDG_CONFIG_HOME");
	const char *home = variable("HOME");
	int r;

	if (o->config)
		return from_file(o, o->config, true, err);
	if (xdg && *xdg == '/')
		text_printf(&user, "%s/kernelfs.conf", xdg);
	else if (home)
		text_printf(&user, "%s/.config/kernelfs.conf", home);
	/* What the user's file gives, the system's cannot change. */
	r = user.len && !text_failed(&user)
		    ? from_file(o, text_str(&user), false, err)
		    : 0;
	return r < 0 ? r : from_file(o, SYSTEM_CONFIG, false, err);
}

/* ---- defaults ---- */

static int default_cache(struct options *o, struct err *err)
{
	AUTO(auto_text) struct text t = TEXT_INIT(OPTION_VALUE_MAX);
	const char *xdg = variable("XDG_CACHE_HOME");
	const char *home = variable("HOME");
	struct passwd pw, *found = NULL;
	char buf[4096];

	if (xdg && *xdg == '/') {
		text_printf(&t, "%s/kernelfs", xdg);
	} else if (geteuid() == 0) {
		text_add(&t, "/var/cache/kernelfs");
	} else {
		if (!home &&
		    getpwuid_r(geteuid(), &pw, buf, sizeof(buf), &found) == 0 &&
		    found)
			home = found->pw_dir;
		if (!home || *home != '/')
			return err_set(err, ENOENT,
				       "no home folder to keep "
				       "the cache in; name one: "
				       "--cache=FOLDER");
		text_printf(&t, "%s/.cache/kernelfs", home);
	}
	o->cache = text_take(&t);
	return o->cache ? 0 : err_errno(err, ENAMETOOLONG, "cache folder");
}

static int default_source(struct options *o, struct err *err)
{
	const char *url = variable("HF_ENDPOINT");
	unsigned given = o->given;
	int r = options_set(o, "source", url ? url : HUB,
			    url ? "HF_ENDPOINT" : "source", err);

	o->given = given;
	return r;
}

static int default_rows(struct options *o, struct err *err)
{
	unsigned given = o->given;

	for (size_t i = 0; i < ROWS; i++) {
		int r;

		if (!table[i].fallback || (given & bit_of(&table[i])))
			continue;
		r = options_put(o, &table[i], table[i].fallback, 0,
				table[i].name, err);
		if (r < 0)
			return r;
	}
	o->given = given;
	return 0;
}

int options_settle(struct options *o, struct err *err)
{
	int r = from_environment(o, err);

	if (r == 0)
		r = from_files(o, err);
	if (r == 0)
		r = default_rows(o, err);
	if (r == 0 && o->source.count == 0)
		r = default_source(o, err);
	if (r == 0)
		r = settle_mirrors(o, err);
	if (r == 0 && !o->cache)
		r = default_cache(o, err);
	if (r == 0 && !o->log) {
		o->log = strdup(o->foreground ? "stderr" : "syslog");
		if (!o->log)
			r = err_errno(err, ENOMEM, "options");
	}
	return r;
}
