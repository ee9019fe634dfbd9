/* SPDX-License-Identifier: Apache-2.0 */
#include "source_git_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/http/netrc.h"
#include "kernels/store.h"
#include "kernels/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * Repositories of a git server, <url>/<owner>/<repo> with and without ".git",
 * or of a folder of this machine.
 *
 *	names	one question for all of them (gitwire.c); nothing is kept here
 *	commits	below <cache>/git/<hash of URL and repository>/objects: packs,
 *		each of one commit without its history (source_git_fetch.c)
 *	files	from those, or large ones from a server of their own
 *		(source_git_lfs.c)
 *
 * All requests are http's, with its deadlines and its care for who is led
 * where; libgit2 (gitlib.c) only reads and writes objects. Nothing that comes
 * from a repository is ever run, and none of its configuration is read but
 * `.lfsconfig`'s lfs.url. Nobody vouches for the publishers here.
 */

#define PIECE (256u << 10)

static struct git *git_of(struct source *s)
{
	return (struct git *)s;
}

static int git_kernels(struct source *s, const char *owner,
		       struct source_names *out, struct err *err)
{
	(void)out;
	return err_set(err, ENOSYS, "'%s' cannot list the kernels of '%s'",
		       s->url, owner);
}

static int git_trusted(struct source *s, const struct repo_id *repo, bool *out,
		       struct err *err)
{
	(void)s;
	(void)repo;
	(void)err;
	*out = false;
	return 0;
}

static int wrap(const struct git *g, const struct repo_id *repo,
		const char *commit, int r, struct err *err)
{
	/* Larger than anything should be: the source's fault. */
	if (r == -EFBIG) {
		r = -EIO;
		if (err)
			err->code = EIO;
	}
	return err_wrap(err, r, "'%s/%s%s%s' at %s", repo->owner, repo->name,
			*commit ? "@" : "", commit, g->source.url);
}

/* ---- a folder of this machine ---- */

/* git's folder of the repository, where it is found, and its names. */
static int find_here(struct git *g, const struct repo_id *repo,
		     struct text *dir, struct source_refs *refs,
		     struct err *err)
{
	struct git_places known;
	int r = source_git_places(g, repo, &known, err);

	for (size_t i = 0; !r && i < known.count; i++) {
		r = gitodb_repository(known.url[i], dir, refs, err);
		if (r != -ENOENT || i + 1 == known.count)
			return r;
		r = 0;
	}
	return r;
}

static int git_refs(struct source *s, const struct repo_id *repo,
		    struct source_refs *out, struct err *err)
{
	struct git *g = git_of(s);
	AUTO(auto_text) struct text dir = TEXT_INIT(SOURCE_GIT_URL_MAX);
	int r;

	if (!g->file)
		return source_git_refs(g, repo, out, err);
	r = find_here(g, repo, &dir, out, err);
	return r < 0 ? wrap(g, repo, "", r, err) : 0;
}

/* ---- a commit ---- */

static int open_here(struct git *g, struct git_repo *r, const char *commit,
		     struct err *err)
{
	AUTO(auto_text) struct text dir = TEXT_INIT(SOURCE_GIT_URL_MAX - 64);
	int found = find_here(g, r->id, &dir, NULL, err);

	if (found < 0)
		return found;
	while (dir.len > 1 && dir.s[dir.len - 1] == '/')
		dir.s[--dir.len] = '\0';
	(void)text_copy(r->where, sizeof(r->where), text_str(&dir));
	text_add(&dir, "/objects");
	found = gitodb_open(&r->odb, text_str(&dir), err);
	if (!found && !gitodb_has(r->odb, commit))
		found = err_set(err, ENOENT, "no such commit");
	return found;
}

/* Where it is asked for large files: what answered last, or will. */
static int set_where(struct git *g, struct git_repo *r, struct err *err)
{
	struct git_places known;
	int found = source_git_places(g, r->id, &known, err);

	if (found < 0)
		return found;
	return text_copy(r->where, sizeof(r->where), known.url[0]);
}

/* With `anew` the objects that are there do not count. */
static int open_cached(struct git *g, struct git_repo *r, const char *commit,
		       const bool *cancelled, bool anew, struct err *err)
{
	AUTO(auto_text) struct text objects = TEXT_INIT(SOURCE_GIT_URL_MAX);
	int found = set_where(g, r, err);

	if (found < 0)
		return found;
	if (!g->store)
		return err_set(err, EROFS, "a git source needs a cache");
	found = source_git_folder(g, r->id, &objects, err);
	if (found < 0)
		return found;
	if (!anew && access(text_str(&objects), X_OK) == 0) {
		found = gitodb_open(&r->odb, text_str(&objects), err);
		if (found < 0 || gitodb_has(r->odb, commit))
			return found;
	}
	gitodb_free(TAKE(r->odb));
	found = source_git_fetch(g, r, commit, text_str(&objects), cancelled,
				 err);
	if (!found)
		found = gitodb_open(&r->odb, text_str(&objects), err);
	if (!found && !gitodb_has(r->odb, commit))
		found = err_set(err, ENOENT, "no such commit");
	return found;
}

static int open_commit(struct git *g, struct git_repo *r, const char *commit,
		       const bool *cancelled, struct err *err)
{
	return g->file ? open_here(g, r, commit, err)
		       : open_cached(g, r, commit, cancelled, false, err);
}

/* An object that should be there is not: somebody has tidied the cache up.
 * Then the commit is fetched again. */
static int mend(struct git *g, struct git_repo *r, const char *commit,
		const bool *cancelled, struct err *err)
{
	if (g->file)
		return err_set(err, EIO,
			       "the repository lacks objects of this commit");
	return open_cached(g, r, commit, cancelled, true, err);
}

static bool is_stopped(void *arg)
{
	const struct git *g = arg;

	return http_is_cancelled(g->http);
}

static int git_tree(struct source *s, const struct repo_id *repo,
		    const char *commit, const char *dir, bool recursive,
		    struct tree_builder *b, struct err *err)
{
	struct git *g = git_of(s);
	struct git_repo r = { .id = repo };
	int found = open_commit(g, &r, commit, NULL, err);

	if (!found) {
		gitodb_watch(r.odb, is_stopped, g);
		found = gitodb_list(r.odb, commit, dir, recursive, b, err);
		if (found == -ESTALE) {
			/* `b` holds a part: the next question will do */
			found = mend(g, &r, commit, NULL, err);
			if (!found)
				found = err_set(err, EIO,
						"had to be fetched again, try "
						"once more");
		}
	}
	gitodb_free(r.odb);
	return found < 0 ? wrap(g, repo, commit, found, err) : 0;
}

/* ---- a file ---- */

static int give(const struct source_file *f, const struct gitodb_file *from,
		struct http_sink *sink, struct err *err)
{
	size_t at = f->from <= from->size ? (size_t)f->from : 0;
	int r;

	if (f->size != SOURCE_SIZE_UNKNOWN && f->size != from->size)
		return err_set(err, EIO,
			       "has %zu bytes, and not what its "
			       "listing said",
			       from->size);
	r = sink->begin(sink, at, err);
	while (!r && at < from->size) {
		size_t n = from->size - at < PIECE ? from->size - at : PIECE;

		r = sink->write(sink, from->bytes + at, n, err);
		at += n;
		if (f->progress_ms)
			__atomic_store_n(f->progress_ms, io_now_ms(),
					 __ATOMIC_RELEASE);
	}
	return r;
}

static int git_file(struct source *s, const struct source_file *f,
		    struct http_sink *sink, struct err *err)
{
	struct git *g = git_of(s);
	struct git_repo r = { .id = f->repo };
	struct gitodb_file file = { .object = NULL };
	int found;

	if (f->until)
		return err_set(err, EOPNOTSUPP, "'%s': git gives no parts",
			       f->path);
	found = open_commit(g, &r, f->commit, f->cancelled, err);
	if (!found) {
		found = gitodb_read(r.odb, f->commit, f->path, &file, err);
		if (found == -ESTALE) {
			found = mend(g, &r, f->commit, f->cancelled, err);
			if (!found)
				found = gitodb_read(r.odb, f->commit, f->path,
						    &file, err);
			found = found == -ESTALE ? -EIO : found;
		}
	}
	if (!found && file.large)
		found = source_git_large(g, &r, f, &file.lfs, sink, err);
	else if (!found)
		found = give(f, &file, sink, err);
	if (file.object)
		gitodb_close(r.odb, &file);
	gitodb_free(r.odb);
	if (found < 0)
		(void)err_wrap(err, found, "'%s'", f->path);
	return found < 0 ? wrap(g, f->repo, f->commit, found, err) : 0;
}

/* ---- life ---- */

static int git_alive(struct source *s, struct err *err)
{
	AUTO(auto_text) struct text body = TEXT_INIT(1u << 20);
	struct git *g = git_of(s);
	struct http_request req = {
		.url = g->base,
		.endpoint = "alive",
		.tries = 1,
	};
	struct http_response a = { .status = 0 };
	int r = http_get_text(g->http, &req, &body, &a, err);

	/* Whatever it says of that address, it answers. */
	return r < 0 && (a.status == 0 || a.status >= 500) ? r : 0;
}

static void git_free(struct source *s)
{
	struct git *g = git_of(s);

	lock_done(&g->mu);
	(void)pthread_cond_destroy(&g->landed);
	netrc_free(g->netrc);
	free(g->source.url);
	free(g);
}

static const struct source_ops git_ops = {
	.kernels = git_kernels,
	.trusted = git_trusted,
	.refs = git_refs,
	.tree = git_tree,
	.file = git_file,
	.alive = git_alive,
	.free = git_free,
};

static const struct source_ops git_ops_here = {
	.kernels = git_kernels,
	.trusted = git_trusted,
	.refs = git_refs,
	.tree = git_tree,
	.file = git_file,
	.free = git_free,
};

/* A slip that would show as nothing but missing kernels. */
static int check_folder(const struct git *g, struct err *err)
{
	AUTO(auto_close)
	int dir = open(g->base, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return err_errno(err, errno, "source '%s'", g->source.url);
	if (faccessat(dir, ".git", F_OK, 0) == 0 ||
	    (faccessat(dir, "HEAD", F_OK, 0) == 0 &&
	     faccessat(dir, "objects", F_OK, 0) == 0))
		return err_set(err, ENOTDIR,
			       "source '%s' is one repository; name the folder "
			       "that holds <owner>/<repo>, two above it",
			       g->source.url);
	return 0;
}

/* What follows "git+", taken apart. */
static int check_url(struct git *g, size_t n, struct err *err)
{
	const char *inner = g->source.url + strlen("git+");
	const char *host = strstr(inner, "://");

	if (n > SOURCE_GIT_URL_MAX / 4 || !host || strpbrk(inner, "?#@ "))
		return err_set(err, EINVAL,
			       "source '%s': not a git URL without user, query "
			       "or fragment",
			       strpbrk(inner, "@?#") ? "(not shown)"
						     : g->source.url);
	host += strlen("://");
	g->file = text_starts(inner, "file://");
	g->base = g->file ? host : inner;
	if (g->file ? *host != '/' : !*host || *host == '/')
		return err_set(err, EINVAL, "source '%s': %s", g->source.url,
			       g->file ? "give git+file:// and an absolute path"
				       : "a git URL without a host");
	if (!g->file && !text_starts(inner, "https://") && !g->insecure &&
	    !http_is_loopback(inner))
		return err_set(err, EINVAL,
			       "source '%s': anybody on the way could change "
			       "what it says: name it with git+https, or say "
			       "--insecure",
			       g->source.url);
	return 0;
}

int source_git_new(struct source **out, const char *url,
		   const struct source_options *o, struct err *err)
{
	struct git *g = calloc(1, sizeof(*g));
	size_t n = strlen(url);
	int r;

	if (!g)
		return err_errno(err, ENOMEM, "source");
	while (n && url[n - 1] == '/')
		n--;
	lock_init(&g->mu, LOCK_SOURCE);
	lock_cond_init(&g->landed);
	g->http = o->http;
	g->store = o->store;
	g->insecure = o->insecure;
	g->source.ops = &git_ops;
	g->source.url = text_dup(url, n);
	r = g->source.url ? check_url(g, n, err)
			  : err_errno(err, ENOMEM, "source");
	if (!r && g->file)
		r = check_folder(g, err);
	if (!r)
		r = netrc_new(&g->netrc, err);
	if (r < 0) {
		git_free(&g->source);
		return r;
	}
	if (g->file) {
		g->source.ops = &git_ops_here;
		g->source.local = true;
	}
	*out = &g->source;
	return 0;
}
