/* SPDX-License-Identifier: Apache-2.0 */
#include "source_git_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE (256u << 10)

/* ---- where may we be led? ---- */

/* An address without what may be secret in it. */
static void add_shown(struct text *out, const char *url)
{
	size_t n = strcspn(url, "?#");

	if (memchr(url, '@', n))
		text_add(out, "an address with a name in it");
	else
		text_add_bytes(out, url, n);
}

/*
 * What a repository or a server of large files names is not what the user has
 * named: https anywhere; http never from https, and else only to this machine,
 * unless the mount is `insecure`. No other scheme, and nobody's password.
 */
static int check_led(const struct git *g, const char *from, const char *to,
		     struct err *err)
{
	AUTO(auto_text) struct text shown = TEXT_INIT(SOURCE_GIT_URL_MAX);
	size_t n = strcspn(to, "/") + 2;
	bool named =
		n < strlen(to) && memchr(to + n, '@', strcspn(to + n, "/?#"));

	if (!named && text_starts(to, "https://"))
		return 0;
	if (!named && text_starts(to, "http://") &&
	    (g->insecure ||
	     (!text_starts(from, "https://") && http_is_loopback(to))))
		return 0;
	add_shown(&shown, to);
	return err_set(err, EIO,
		       "is said to lie at '%s', where nothing is taken from",
		       text_str(&shown));
}

/* ---- the server's address ---- */

/* `.lfsconfig` of that commit, else beside the repository: 0. */
static int find_server(struct git *g, struct git_repo *r, const char *commit,
		       struct text *url, struct err *err)
{
	struct gitodb_file f;
	int found = gitodb_read(r->odb, commit, ".lfsconfig", &f, NULL);

	if (found == 0) {
		found = f.large ? err_set(err, EIO, ".lfsconfig is no text")
				: lfs_config_url(f.bytes, f.size, url, err);
		gitodb_close(r->odb, &f);
		if (found > 0)
			found = check_led(g, g->base, text_str(url), err);
		else if (found == 0)
			found = -ENOENT;
	}
	if (found != -ENOENT)
		return found;
	if (g->file)
		return err_set(err, ENOENT,
			       "is not in the repository's lfs/objects, and "
			       ".lfsconfig names no server that has it");
	text_add(url, r->where);
	return 0;
}

static int ask_server(struct git *g, const char *server, const char *more,
		      const struct lfs_pointer *what, struct lfs_action *out,
		      struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(SOURCE_GIT_URL_MAX + 64);
	AUTO(auto_text) struct text body = TEXT_INIT(512);
	AUTO(auto_text) struct text said = TEXT_INIT(LFS_ANSWER_BYTES);
	struct http_request req = {
		.endpoint = "lfs",
		.content_type = LFS_MEDIA_TYPE,
		.accept = LFS_MEDIA_TYPE,
	};
	struct http_response a = { .status = 0 };
	int r;

	lfs_batch_ask(&body, what);
	text_printf(&url, "%s%s/objects/batch", server, more);
	req.url = text_str(&url);
	req.body = text_str(&body);
	req.body_len = body.len;
	r = source_git_ask(g, &req, false, &said, &a, err);
	if (!r)
		r = lfs_batch_read(text_str(&said), said.len, what, out, err);
	/* it may hold what opens the file to who has it */
	if (said.s)
		explicit_bzero(said.s, said.room);
	return r;
}

/* `server` ends with '/' where it was named, else it is the repository. */
static int find_action(struct git *g, struct git_repo *r, const char *commit,
		       const struct lfs_pointer *what, struct lfs_action *out,
		       struct err *err)
{
	AUTO(auto_text) struct text server = TEXT_INIT(SOURCE_GIT_URL_MAX);
	int found = find_server(g, r, commit, &server, err);
	bool beside;

	if (found < 0)
		return found;
	while (server.len && server.s[server.len - 1] == '/')
		server.s[--server.len] = '\0';
	beside = !g->file && strcmp(text_str(&server), r->where) == 0;
	found = ask_server(g, text_str(&server), beside ? "/info/lfs" : "",
			   what, out, err);
	/* As git-lfs spells it, where the repository's own URL does not. */
	if (found == -ENOENT && beside && !text_ends(text_str(&server), ".git"))
		found = ask_server(g, text_str(&server), ".git/info/lfs", what,
				   out, err);
	return found < 0 ? found
			 : check_led(g, g->file ? text_str(&server) : g->base,
				     out->href, err);
}

/* ---- the file ---- */

static int get(struct git *g, const struct source_file *f,
	       const struct lfs_action *action, uint64_t size,
	       struct http_sink *sink, struct err *err)
{
	struct http_request req = {
		.url = action->href,
		.endpoint = "file",
		.from = f->from,
		.limit = size,
		.sink = sink,
		.apart = true,
		.cancelled = f->cancelled,
		.progress_ms = f->progress_ms,
		.headers = (const char *const *)action->headers,
	};
	struct http_response a = { .status = 0 };
	int r = source_git_ask(g, &req, action->authorizes, NULL, &a, err);

	/* It is there: what the address does not give is its failure. */
	if ((r != -ENOENT && r != -EACCES) || a.status < 400)
		return r;
	if (err)
		err->code = EIO;
	return -EIO;
}

/* git-lfs keeps what it has below git's folder, by its hash. */
static int open_local(struct git_repo *r, const struct lfs_pointer *what)
{
	AUTO(auto_text) struct text path = TEXT_INIT(SOURCE_GIT_URL_MAX);
	AUTO(auto_close) int fd = -1;
	char hex[DIGEST_HEX_MAX];
	struct stat st;

	digest_print(&what->digest, hex);
	text_printf(&path, "%s/lfs/objects/%.2s/%.2s/%s", r->where, hex,
		    hex + 2, hex);
	if (text_failed(&path))
		return -ENAMETOOLONG;
	fd = open(text_str(&path),
		  O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (uint64_t)st.st_size != what->size)
		return -ENOENT;
	return take_fd(&fd);
}

static int copy(int fd, const struct source_file *f, uint64_t size,
		struct http_sink *sink, struct err *err)
{
	AUTO(auto_free) char *piece = malloc(PIECE);
	uint64_t at = f->from <= size ? f->from : 0;
	int r;

	if (!piece)
		return err_errno(err, ENOMEM, "large file");
	r = sink->begin(sink, at, err);
	while (!r && at < size) {
		ssize_t n = io_pread_all(fd, piece, PIECE, (off_t)at);

		if (f->cancelled &&
		    __atomic_load_n(f->cancelled, __ATOMIC_RELAXED))
			return err_set(err, ECANCELED, "not wanted any more");
		if (n <= 0)
			return err_set(err, EIO, "a large file was cut off");
		r = sink->write(sink, piece, (size_t)n, err);
		at += (uint64_t)n;
		if (f->progress_ms)
			__atomic_store_n(f->progress_ms, io_now_ms(),
					 __ATOMIC_RELEASE);
	}
	return r;
}

int source_git_large(struct git *g, struct git_repo *r,
		     const struct source_file *f,
		     const struct lfs_pointer *what, struct http_sink *sink,
		     struct err *err)
{
	struct lfs_action action = { .href = NULL };
	AUTO(auto_close) int fd = g->file ? open_local(r, what) : -1;
	int found;

	if (fd >= 0)
		return copy(fd, f, what->size, sink, err);
	found = find_action(g, r, f->commit, what, &action, err);
	if (!found)
		found = get(g, f, &action, what->size, sink, err);
	lfs_action_done(&action);
	if (found != -ENOENT)
		return found;
	/* The commit lists it: who does not have it has failed. */
	if (err)
		err->code = EIO;
	return -EIO;
}
