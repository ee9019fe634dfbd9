/* SPDX-License-Identifier: Apache-2.0 */
#include "token.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

/* What tells one content of the file from another. */
struct stamp {
	struct timespec mtime;
	struct timespec ctime;
	off_t size;
	ino_t ino;
	dev_t dev;
};

struct token {
	struct lock mu;
	char *file;		   /* owned; NULL: none */
	char fixed[TOKEN_MAX + 1]; /* of the environment; "" */
	struct stamp stamp;	   /* mu; of what `read` came from */
	char read[TOKEN_MAX + 1];  /* mu; of the file; "" */
};

/* Trimmed, or "" when it cannot be a token. */
static void clean(char out[TOKEN_MAX + 1], const char *s, const char *where)
{
	size_t n;

	out[0] = '\0';
	s += strspn(s, " \t\r\n");
	n = strlen(s);
	while (n > 0 && strchr(" \t\r\n", s[n - 1]))
		n--;
	if (n > TOKEN_MAX) {
		log_debug("token", "'%s' holds no token: too long", where);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (s[i] > ' ' && s[i] < 0x7f)
			continue;
		log_debug("token",
			  "'%s' holds no token: blanks or control "
			  "bytes in it",
			  where);
		return;
	}
	memcpy(out, s, n);
	out[n] = '\0';
}

static bool env_true(const char *name)
{
	const char *s = getenv(name);

	return s && (strcmp(s, "1") == 0 || strcasecmp(s, "on") == 0 ||
		     strcasecmp(s, "yes") == 0 || strcasecmp(s, "true") == 0);
}

/* The value, or NULL when unset or empty. */
static const char *env_get(const char *name)
{
	const char *s = getenv(name);

	return s && *s ? s : NULL;
}

/* The variables may begin with "~/", as in the Hub's own client, and what is
 * relative is so to where we are now: a daemon goes elsewhere. */
static void add_place(struct text *path, const char *s)
{
	const char *home = env_get("HOME");
	char *cwd;

	if (text_starts(s, "~/") && home) {
		text_printf(path, "%s%s", home, s + 1);
		return;
	}
	if (*s != '/') {
		cwd = getcwd(NULL, 0);
		text_printf(path, "%s/", cwd ? cwd : "");
		free(cwd);
	}
	text_add(path, s);
}

/* NULL: no home, so no file. Failures of memory are the caller's to see. */
static char *default_file(bool *found)
{
	struct text path = TEXT_INIT(4096);
	const char *s;

	*found = true;
	if ((s = env_get("HF_TOKEN_PATH"))) {
		add_place(&path, s);
	} else if ((s = env_get("HF_HOME"))) {
		add_place(&path, s);
		text_add(&path, "/token");
	} else if ((s = env_get("XDG_CACHE_HOME"))) {
		add_place(&path, s);
		text_add(&path, "/huggingface/token");
	} else if ((s = env_get("HOME"))) {
		text_printf(&path, "%s/.cache/huggingface/token", s);
	} else {
		*found = false;
		return NULL;
	}
	return text_take(&path);
}

static void read_environment(struct token *t)
{
	static const char *const names[] = { "HF_TOKEN",
					     "HUGGING_FACE_HUB_TOKEN" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const char *s = env_get(names[i]);

		if (s && !t->fixed[0])
			clean(t->fixed, s, names[i]);
	}
}

int token_new(struct token **out, const char *file, struct err *err)
{
	struct token *t = calloc(1, sizeof(*t));
	bool wanted = false;

	if (!t)
		return err_errno(err, ENOMEM, "token");
	lock_init(&t->mu, LOCK_HTTP);
	if (file) {
		wanted = true;
		t->file = text_dup(file, strlen(file));
	} else if (!env_true("HF_HUB_DISABLE_IMPLICIT_TOKEN")) {
		read_environment(t);
		if (!t->fixed[0])
			t->file = default_file(&wanted);
	}
	if (wanted && !t->file) {
		token_free(t);
		return err_set(err, ENOMEM,
			       "token: the path of its file is "
			       "too long or memory is short");
	}
	*out = t;
	return 0;
}

void token_free(struct token *t)
{
	if (!t)
		return;
	lock_done(&t->mu);
	free(t->file);
	explicit_bzero(t->fixed, sizeof(t->fixed));
	explicit_bzero(t->read, sizeof(t->read));
	free(t);
}

static bool stamp_of(const char *path, struct stamp *out)
{
	struct stat st;

	memset(out, 0, sizeof(*out));
	if (stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return false;
	out->mtime = st.st_mtim;
	out->ctime = st.st_ctim;
	out->size = st.st_size;
	out->ino = st.st_ino;
	out->dev = st.st_dev;
	return true;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
	return same_time(&a->mtime, &b->mtime) &&
	       same_time(&a->ctime, &b->ctime) && a->size == b->size &&
	       a->ino == b->ino && a->dev == b->dev;
}

static void wipe_text(struct text *t)
{
	if (t->s)
		explicit_bzero(t->s, t->room);
	text_done(t);
}

static void read_file(struct token *t, char out[TOKEN_MAX + 1])
{
	AUTO(wipe_text) struct text content = TEXT_INIT(TOKEN_MAX + 64);
	int r = io_read_file(AT_FDCWD, t->file, &content);

	out[0] = '\0';
	if (r < 0) {
		log_debug("token", "'%s': %s", t->file, strerrordesc_np(-r));
		return;
	}
	/* A NUL would hide what stands behind it. */
	if (strlen(text_str(&content)) == content.len)
		clean(out, text_str(&content), t->file);
}

/* The stamp is taken before the content: a change in between shows the next
 * time. No lock is held over the file's input and output. */
static void get_from_file(struct token *t, char out[TOKEN_MAX + 1])
{
	struct stamp now;
	bool known;

	out[0] = '\0';
	if (!stamp_of(t->file, &now))
		return;
	lock_take(&t->mu);
	known = same_stamp(&now, &t->stamp);
	if (known)
		memcpy(out, t->read, sizeof(t->read));
	lock_drop(&t->mu);
	if (known)
		return;
	read_file(t, out);
	lock_take(&t->mu);
	t->stamp = now;
	memcpy(t->read, out, sizeof(t->read));
	lock_drop(&t->mu);
}

bool token_get(struct token *t, char out[TOKEN_MAX + 1])
{
	if (t->fixed[0])
		memcpy(out, t->fixed, sizeof(t->fixed));
	else if (t->file)
		get_from_file(t, out);
	else
		out[0] = '\0';
	return out[0] != '\0';
}
