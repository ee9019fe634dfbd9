/* SPDX-License-Identifier: Apache-2.0 */
#include "source_git_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "gitwire.h"
#include "kernels/digest.h"
#include "kernels/store.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/*
 * One commit is asked for, alone: its files without its history. Servers that
 * give nothing but what has a name refuse that when no name leads there any
 * more; then all that has a name is asked for, with its history.
 */

#define PACK_BYTES (UINT64_C(16) << 30)
#define WANT_BYTES (4u << 20)
/* Who waits for another's fetch looks so often whether it is still wanted. */
#define LOOK_MS 100
#define TEMPORARY "pack_"
#define SHARE_TRIES 50
#define SHARE_POLL_MS 10
/* After so many bytes of a pack: does the disk still have room for more? */
#define SPARE_BYTES (1u << 20)

/* ---- one fetch, however many ask ---- */

struct flight {
	struct flight *next;
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	unsigned users;
	bool done;
	int result;
	struct err why;
};

static struct flight *find_flight(struct git *g, const struct repo_id *repo,
				  const char *commit)
{
	for (struct flight *f = g->flights; f; f = f->next)
		if (!f->done && repo_equal(&f->repo, repo) &&
		    strcmp(f->commit, commit) == 0)
			return f;
	return NULL;
}

static void leave_locked(struct git *g, struct flight *f) LOCK_REQUIRES(&g->mu)
{
	struct flight **at = &g->flights;

	if (--f->users)
		return;
	while (*at != f)
		at = &(*at)->next;
	*at = f->next;
	free(f);
}

/* Another's flight, to its end. */
static int ride(struct git *g, struct flight *f, const bool *cancelled,
		struct err *err)
{
	int r = -ECANCELED;

	lock_take(&g->mu);
	while (!f->done &&
	       !(cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED)))
		(void)lock_wait(&g->mu, &g->landed, io_now_ms() + LOOK_MS);
	if (f->done) {
		r = f->result;
		if (r < 0 && err)
			*err = f->why;
	} else {
		(void)err_set(err, ECANCELED, "not wanted any more");
	}
	leave_locked(g, f);
	lock_drop(&g->mu);
	return r;
}

static void land(struct git *g, struct flight *f, int r, const struct err *why)
{
	lock_take(&g->mu);
	f->result = r;
	f->why = *why;
	f->done = true;
	(void)pthread_cond_broadcast(&g->landed);
	leave_locked(g, f);
	lock_drop(&g->mu);
}

/* ---- the folder ---- */

int source_git_folder(struct git *g, const struct repo_id *repo,
		      struct text *out, struct err *err)
{
	AUTO(auto_text) struct text key = TEXT_INIT(SOURCE_GIT_URL_MAX + 256);
	struct hasher *h = NULL;
	char hex[DIGEST_HEX_MAX];
	struct digest d;
	int r;

	text_printf(&key, "%s %s/%s", g->source.url, repo->owner, repo->name);
	if (text_failed(&key))
		return err_errno(err, -text_failed(&key), "'%s'",
				 g->source.url);
	r = hasher_new(&h, DIGEST_SHA256, 0, err);
	if (r < 0)
		return r;
	r = hasher_add(h, text_str(&key), key.len);
	if (!r)
		r = hasher_end(h, &d);
	hasher_free(h);
	if (r < 0)
		return err_errno(err, -r, "git folder");
	digest_print(&d, hex);
	text_printf(out, "%s/git/%.40s/objects", store_path(g->store), hex);
	r = text_failed(out);
	return r < 0 ? err_errno(err, -r, "git folder") : 0;
}

/* What a fetch that was killed has left, when nobody fetches. */
static void clean(int folder)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = copy < 0 ? NULL : fdopendir(copy);

	if (!d) {
		if (copy >= 0)
			(void)close(copy);
		return;
	}
	for (struct dirent *e; (e = readdir(d));)
		if (text_starts(e->d_name, TEMPORARY))
			(void)unlinkat(folder, e->d_name, 0);
	(void)closedir(d);
}

/* Where locks are not to be had, nothing is cleaned either. Who cleans does not
 * take long; who holds the lock for another reason is not waited for: what he
 * could remove is fetched again. */
static void share(int fd)
{
	const struct timespec moment = { .tv_nsec = SHARE_POLL_MS * 1000000 };

	for (int i = 0; i < SHARE_TRIES; i++) {
		if (flock(fd, LOCK_SH | LOCK_NB) == 0 || errno != EWOULDBLOCK)
			return;
		(void)clock_nanosleep(CLOCK_MONOTONIC, 0, &moment, NULL);
	}
}

/* The folder for packs, made and locked as one that is being written. The
 * lock keeps other processes from cleaning; fd, which the caller closes. */
static int prepare(struct git *g, const char *objects, struct text *pack,
		   struct err *err)
{
	int fd;

	text_printf(pack, "%s/pack", objects);
	if (text_failed(pack))
		return err_errno(err, -text_failed(pack), "git folder");
	fd = store_folder(g->store,
			  text_str(pack) + strlen(store_path(g->store)) + 1,
			  err);
	if (fd < 0)
		return fd;
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		clean(fd);
	share(fd);
	return fd;
}

/* ---- taking a pack in ---- */

struct taking {
	struct http_sink sink; /* first */
	const char *pack;
	struct gitpack *taken; /* owned */
	struct gitwire_answer *answer;
	bool refused; /* by the server, in its own words */
	const struct git *git;
	const bool *cancelled;
	size_t spare;	  /* bytes that there is room for */
	int64_t until_ms; /* it must be unfolded; 0: it is still coming */
	bool late;
};

/* What it unfolds to may be any number of times what came. */
static bool is_stopped(void *arg)
{
	struct taking *t = arg;

	t->late = t->until_ms && io_now_ms() > t->until_ms;
	return t->late || http_is_cancelled(t->git->http) ||
	       (t->cancelled &&
		__atomic_load_n(t->cancelled, __ATOMIC_RELAXED));
}

static int unfold(struct taking *t, struct err *err)
{
	int r;

	t->until_ms = io_now_ms() + http_deadline_ms(t->git->http);
	r = gitpack_end(t->taken, err);
	if (r < 0 && t->late)
		return err_set(err, ETIMEDOUT,
			       "the pack takes too long to unfold");
	return r;
}

static int to_pack(void *arg, const void *p, size_t n, struct err *err)
{
	struct taking *t = arg;

	return gitpack_add(t->taken, p, n, err);
}

static int taking_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct taking *t = (struct taking *)s;

	(void)from;
	gitpack_free(t->taken);
	t->taken = NULL;
	t->spare = 0;
	gitwire_answer_init(t->answer, to_pack, t);
	return gitpack_new(&t->taken, t->pack, is_stopped, t, err);
}

static int taking_write(struct http_sink *s, const void *p, size_t n,
			struct err *err)
{
	struct taking *t = (struct taking *)s;
	int r = 0;

	if (n > t->spare) {
		r = store_spare(t->git->store, SPARE_BYTES + n, err);
		t->spare = SPARE_BYTES + n;
	}
	if (r < 0)
		return r;
	t->spare -= n;
	r = gitwire_answer_add(t->answer, p, n, err);
	t->refused |= r == -ENOENT;
	return r;
}

/* One question for a pack, at one address. */
static int take(struct git *g, const char *url, const char *pack,
		const struct text *want, struct taking *t,
		const bool *cancelled, struct err *err)
{
	AUTO(auto_text) struct text at = TEXT_INIT(SOURCE_GIT_URL_MAX + 64);
	struct http_request req = {
		.endpoint = "pack",
		.limit = PACK_BYTES,
		.sink = &t->sink,
		.apart = true,
		.cancelled = cancelled,
		.body = text_str(want),
		.body_len = want->len,
		.content_type = "application/x-git-upload-pack-request",
		.accept = "application/x-git-upload-pack-result",
	};
	struct http_response a = { .status = 0 };
	int r;

	t->pack = pack;
	t->refused = false;
	t->until_ms = 0;
	text_printf(&at, "%s/git-upload-pack", url);
	req.url = text_str(&at);
	r = source_git_ask(g, &req, false, NULL, &a, err);
	if (!r)
		r = gitwire_answer_end(t->answer, err);
	if (!r)
		r = unfold(t, err);
	gitpack_free(t->taken);
	t->taken = NULL;
	return r;
}

/* The commit alone, at the first address that has the repository. */
static int take_commit(struct git *g, struct git_repo *repo, const char *commit,
		       const char *pack, struct taking *t,
		       const bool *cancelled, struct err *err)
{
	AUTO(auto_text) struct text want = TEXT_INIT(WANT_BYTES);
	struct git_places known;
	int r = source_git_places(g, repo->id, &known, err);

	gitwire_want(&want, &commit, 1, true);
	for (size_t i = 0; !r && i < known.count; i++) {
		r = take(g, known.url[i], pack, &want, t, cancelled, err);
		if (!r || t->refused)
			(void)text_copy(repo->where, sizeof(repo->where),
					known.url[i]);
		if (!r)
			source_git_found(g, repo->id, &known, known.url[i]);
		if (r != -ENOENT || t->refused || i + 1 == known.count)
			return r;
		r = 0;
	}
	return r;
}

static int take_all(struct git *g, struct git_repo *repo, const char *pack,
		    struct taking *t, const bool *cancelled, struct err *err)
{
	AUTO(auto_text) struct text want = TEXT_INIT(WANT_BYTES);
	AUTO(auto_free) const char **commits = NULL;
	struct source_refs refs;
	size_t n = 0;
	int r = source_git_refs(g, repo->id, &refs, err);

	if (r < 0)
		return r;
	commits = calloc(refs.branch_count + refs.tag_count + 1,
			 sizeof(*commits));
	for (size_t i = 0; commits && i < refs.branch_count; i++)
		commits[n++] = refs.branches[i].commit;
	for (size_t i = 0; commits && i < refs.tag_count; i++)
		commits[n++] = refs.tags[i].commit;
	if (!commits)
		r = err_errno(err, ENOMEM, "names");
	else if (n == 0)
		r = err_set(err, ENOENT, "the repository has no branch");
	else
		gitwire_want(&want, commits, n, false);
	source_refs_done(&refs);
	if (!r && text_failed(&want))
		r = err_errno(err, -text_failed(&want), "names");
	return r < 0 ? r : take(g, repo->where, pack, &want, t, cancelled, err);
}

static int fetch(struct git *g, struct git_repo *repo, const char *commit,
		 const char *objects, const bool *cancelled, struct err *err)
{
	AUTO(auto_text) struct text pack = TEXT_INIT(SOURCE_GIT_URL_MAX);
	AUTO(auto_free) struct gitwire_answer *answer = NULL;
	AUTO(auto_close) int lock = prepare(g, objects, &pack, err);
	struct taking t = { .sink = { .begin = taking_begin,
				      .write = taking_write },
			    .git = g,
			    .cancelled = cancelled };
	int r;

	if (lock < 0)
		return lock;
	answer = malloc(sizeof(*answer));
	if (!answer)
		return err_errno(err, ENOMEM, "pack");
	t.answer = answer;
	gitwire_answer_init(answer, to_pack, &t);
	r = take_commit(g, repo, commit, text_str(&pack), &t, cancelled, err);
	if (r == -ENOENT && t.refused)
		r = take_all(g, repo, text_str(&pack), &t, cancelled, err);
	return r;
}

static int fly(struct git *g, struct git_repo *r, const char *commit,
	       const char *objects, const bool *cancelled, struct err *err)
{
	struct err why = ERR_INIT;
	struct flight *mine = calloc(1, sizeof(*mine));
	struct flight *other;
	int result;

	if (!mine)
		return err_errno(err, ENOMEM, "pack");
	mine->repo = *r->id;
	mine->users = 1;
	(void)text_copy(mine->commit, sizeof(mine->commit), commit);
	lock_take(&g->mu);
	other = find_flight(g, r->id, commit);
	if (other) {
		other->users++;
	} else {
		mine->next = g->flights;
		g->flights = mine;
	}
	lock_drop(&g->mu);
	if (other) {
		free(mine);
		result = ride(g, other, cancelled, err);
		return result == -ECANCELED ? -EAGAIN : result;
	}
	result = fetch(g, r, commit, objects, cancelled, &why);
	land(g, mine, result, &why);
	if (result < 0 && err)
		*err = why;
	return result;
}

int source_git_fetch(struct git *g, struct git_repo *r, const char *commit,
		     const char *objects, const bool *cancelled,
		     struct err *err)
{
	int result;

	/* Whose flight it was may have left; who rode with it has not. */
	do {
		if (cancelled && __atomic_load_n(cancelled, __ATOMIC_RELAXED))
			return err_set(err, ECANCELED, "not wanted any more");
		result = fly(g, r, commit, objects, cancelled, err);
	} while (result == -EAGAIN);
	return result;
}
