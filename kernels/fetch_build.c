/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch_room.h"

#include "base/text.h"
#include "store.h"
#include "tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Whole builds, that nobody waits for as such. A build costs a list of its
 * files by size; a flight of one is made only when a worker is free for it, so
 * that 100,000 files are one entry in a queue and not 100,000.
 */

/* In a row: then the source has nothing to give, and asking on would only
 * keep it busy. Who reads a file asks for that file anyway. */
#define FAILURES_MAX 3

static void build_free(struct build *b)
{
	if (!b)
		return;
	tree_unref(b->tree);
	free(b->files);
	free(b->dir);
	free(b);
}

void fetch_build_put_locked(struct fetch *f, struct build *b)
{
	struct build **pp = &f->builds;

	if (--b->users > 0 || b->at < b->count)
		return;
	while (*pp != b)
		pp = &(*pp)->next;
	*pp = b->next;
	build_free(b);
}

void fetch_build_note_locked(struct build *b, int r)
{
	b->failures = r < 0 ? b->failures + 1 : 0;
	/* the cache is full or cannot be written: no file will fare better */
	if (b->failures >= FAILURES_MAX || r == -ENOSPC || r == -EROFS ||
	    r == -EDQUOT)
		b->at = b->count;
}

uint64_t fetch_build_left_locked(const struct fetch *f, enum pool_lane lane)
{
	uint64_t n = 0;

	for (const struct build *b = f->builds; b; b = b->next)
		n += b->lane == lane ? b->count - b->at : 0;
	return n;
}

struct build *fetch_build_best_locked(struct fetch *f, enum pool_lane lane)
{
	struct build *best = NULL;

	for (struct build *b = f->builds; b; b = b->next) {
		if (b->lane == lane && b->at < b->count &&
		    (!best ||
		     b->files[b->at].size < best->files[best->at].size))
			best = b;
	}
	return best;
}

void fetch_build_drop_all_locked(struct fetch *f)
{
	struct build *next;

	for (struct build *b = f->builds; b; b = next) {
		next = b->next;
		b->at = b->count;
		b->users++;
		fetch_build_put_locked(f, b);
	}
}

static struct flight *flight_of(const struct repo_id *repo, const char *commit,
				const char *dir, const struct tree_entry *e)
{
	struct fetch_blob blob = {
		.repo = repo,
		.commit = commit,
		.digest = e->digest,
		.size = e->size,
	};
	char path[2 * TREE_PATH_MAX + 2];
	int n = snprintf(path, sizeof(path), "%s%s%s", dir, dir[0] ? "/" : "",
			 e->path);

	if (n < 0 || (size_t)n >= sizeof(path))
		return NULL;
	blob.path = path;
	return fetch_flight_new(&blob, NULL);
}

struct flight *fetch_build_take_locked(struct fetch *f, struct build *b)
{
	uint32_t entry = b->files[b->at++].entry;
	struct flight *fl = NULL;
	struct flight *other;
	struct tree_entry e;

	b->users++;
	f->looking++;
	lock_drop(&f->lock);
	tree_get(b->tree, entry, &e);
	if (!store_has(f->store, &b->repo, &e.digest, e.size))
		fl = flight_of(&b->repo, b->commit, b->dir, &e);
	lock_take(&f->lock);
	f->looking--;
	other = fl ? fetch_flight_find_locked(f, &fl->digest, fl->size) : NULL;
	if (other)
		fetch_flight_keep_locked(f, other, b->lane);
	if (fl) {
		fl->kept = true;
		fl->lane = fl->kept_lane = b->lane;
		if (!other && !f->stopping && !b->stopped &&
		    fetch_flight_list_locked(f, fl, FLIGHT_RUNNING) == 0) {
			fl->build = b; /* keeps the count taken above */
			return fl;
		}
		fetch_flight_free(fl);
	}
	fetch_build_put_locked(f, b);
	return NULL;
}

/* ---- asking for one ---- */

static int by_size(const void *pa, const void *pb)
{
	const struct build_file *a = pa;
	const struct build_file *b = pb;

	if (a->size != b->size)
		return a->size < b->size ? -1 : 1;
	return a->entry < b->entry ? -1 : a->entry > b->entry;
}

static int list_files(struct build *b)
{
	uint32_t count = tree_count(b->tree);
	struct tree_entry e;

	b->files = calloc(count ? count : 1, sizeof(*b->files));
	if (!b->files)
		return -ENOMEM;
	for (uint32_t i = 0; i < count; i++) {
		tree_get(b->tree, i, &e);
		if (e.kind == TREE_FILE) {
			b->files[b->count].size = e.size;
			b->files[b->count++].entry = i;
		}
	}
	qsort(b->files, b->count, sizeof(*b->files), by_size);
	return 0;
}

static struct build *build_new(const struct fetch_files *files)
{
	struct build *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->repo = *files->repo;
	b->tree = tree_ref(files->tree);
	b->dir = text_dup(files->dir, strlen(files->dir));
	if (!b->dir || list_files(b) < 0 ||
	    text_copy(b->commit, sizeof(b->commit), files->commit) < 0) {
		build_free(b);
		return NULL;
	}
	return b;
}

/* `fl` is listed, joined with who wants the same, or freed. */
static void put_in_front(struct fetch *f, struct flight *fl,
			 enum pool_lane lane)
{
	struct flight *other;

	lock_take(&f->lock);
	other = fetch_flight_find_locked(f, &fl->digest, fl->size);
	if (other) {
		fetch_flight_keep_locked(f, other, lane);
		fetch_flight_lane_locked(f, other, POOL_NOW);
	}
	fl->kept = true;
	fl->kept_lane = lane;
	fl->lane = POOL_NOW;
	if (other || f->stopping ||
	    fetch_flight_list_locked(f, fl, FLIGHT_QUEUED) < 0)
		fetch_flight_free(fl);
	fetch_work_schedule_locked(f);
	lock_drop(&f->lock);
}

/* Is this build being fetched? Then it need not be listed again. */
static struct build *find_locked(const struct fetch *f,
				 const struct fetch_files *files)
	LOCK_REQUIRES(&f->lock)
{
	for (struct build *b = f->builds; b; b = b->next) {
		if (b->tree == files->tree &&
		    repo_equal(&b->repo, files->repo) &&
		    strcmp(b->commit, files->commit) == 0 &&
		    strcmp(b->dir, files->dir) == 0)
			return b;
	}
	return NULL;
}

/* false: nobody has listed it. */
static bool move_up_locked(struct fetch *f, const struct fetch_files *files,
			   enum pool_lane lane) LOCK_REQUIRES(&f->lock)
{
	struct build *b = find_locked(f, files);
	struct map_link *l = NULL;

	if (!b || lane >= b->lane)
		return b != NULL;
	b->lane = lane;
	while ((l = map_next(&f->flights, l))) {
		struct flight *fl = map_item(l, struct flight, link);

		if (fl->build == b)
			fetch_flight_keep_locked(f, fl, lane);
	}
	fetch_work_schedule_locked(f);
	return true;
}

/* Takes b. */
static void list_build(struct fetch *f, struct build *b,
		       const struct fetch_files *files)
{
	lock_take(&f->lock);
	if (b->count && !f->stopping && !move_up_locked(f, files, b->lane)) {
		b->next = f->builds;
		f->builds = b;
		b = NULL;
		fetch_work_schedule_locked(f);
	}
	lock_drop(&f->lock);
	build_free(b);
}

int fetch_build(struct fetch *f, const struct fetch_files *files,
		enum fetch_want want)
{
	enum pool_lane lane = want == FETCH_SOON ? POOL_SOON : POOL_LATER;
	uint32_t at =
		files->first ? tree_find(files->tree, files->first) : TREE_NONE;
	struct tree_entry e = { .kind = TREE_FOLDER };
	struct build *b;
	bool listed;

	if (strlen(files->commit) > REF_COMMIT_LEN)
		return -EINVAL;
	if (at != TREE_NONE)
		tree_get(files->tree, at, &e);
	if (e.kind == TREE_FILE) {
		struct flight *fl =
			flight_of(files->repo, files->commit, files->dir, &e);

		if (fl)
			put_in_front(f, fl, lane);
	}
	lock_take(&f->lock);
	listed = move_up_locked(f, files, lane);
	lock_drop(&f->lock);
	if (listed)
		return 0;
	b = build_new(files);
	if (!b)
		return -ENOMEM;
	b->lane = lane;
	list_build(f, b, files);
	return 0;
}

/* One that only this build wants still. */
static struct flight *kept_by_locked(struct fetch *f, const struct build *b)
	LOCK_REQUIRES(&f->lock)
{
	struct map_link *l = NULL;

	while ((l = map_next(&f->flights, l))) {
		struct flight *fl = map_item(l, struct flight, link);

		if (fl->build == b && fl->kept)
			return fl;
	}
	return NULL;
}

/* Gives what is nobody's now, chained by `next`, for the caller to free. */
static struct flight *stop_locked(struct fetch *f, struct build *b)
	LOCK_REQUIRES(&f->lock)
{
	struct flight *dead = NULL;
	struct flight *gone;
	struct flight *fl;

	b->users++;
	b->stopped = true;
	b->at = b->count;
	while ((fl = kept_by_locked(f, b))) {
		fl->kept = false;
		if (fl->waiters)
			continue;
		(void)fetch_flight_end_locked(f, fl, &gone);
		if (gone) {
			gone->next = dead;
			dead = gone;
		}
	}
	fetch_build_put_locked(f, b);
	return dead;
}

void fetch_build_stop(struct fetch *f, const struct fetch_files *files)
{
	struct flight *dead = NULL;
	struct build *b;

	lock_take(&f->lock);
	b = find_locked(f, files);
	if (b)
		dead = stop_locked(f, b);
	fetch_work_schedule_locked(f);
	lock_drop(&f->lock);
	while (dead) {
		struct flight *fl = dead;

		dead = fl->next;
		fetch_flight_free(fl);
	}
}
