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
 * Whole builds, wanted later. A build costs a list of its files by size; a
 * flight of one is made only when a worker is free for it, so that 100,000
 * files are one entry in a queue and not 100,000.
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

uint64_t fetch_build_left_locked(const struct fetch *f)
{
	uint64_t n = 0;

	for (const struct build *b = f->builds; b; b = b->next)
		n += b->count - b->at;
	return n;
}

struct build *fetch_build_best_locked(struct fetch *f)
{
	struct build *best = NULL;

	for (struct build *b = f->builds; b; b = b->next) {
		if (b->at < b->count &&
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
		other->kept = true;
	if (fl) {
		fl->kept = true;
		fl->lane = POOL_LATER;
		if (!other && !f->stopping &&
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

static struct build *build_new(const struct repo_id *repo, const char *commit,
			       const char *dir, struct tree *tree)
{
	struct build *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->repo = *repo;
	b->tree = tree_ref(tree);
	b->dir = text_dup(dir, strlen(dir));
	if (!b->dir || list_files(b) < 0 ||
	    text_copy(b->commit, sizeof(b->commit), commit) < 0) {
		build_free(b);
		return NULL;
	}
	return b;
}

/* `fl` is listed, joined with who wants the same, or freed. */
static void put_in_front(struct fetch *f, struct flight *fl)
{
	struct flight *other;

	lock_take(&f->lock);
	other = fetch_flight_find_locked(f, &fl->digest, fl->size);
	if (other) {
		other->kept = true;
		fetch_flight_lane_locked(f, other, POOL_NOW);
	}
	fl->kept = true;
	fl->lane = POOL_NOW;
	if (other || f->stopping ||
	    fetch_flight_list_locked(f, fl, FLIGHT_QUEUED) < 0)
		fetch_flight_free(fl);
	fetch_work_schedule_locked(f);
	lock_drop(&f->lock);
}

/* Is this build being fetched? Then it need not be listed again. */
static bool is_listed_locked(const struct fetch *f, const struct repo_id *repo,
			     const char *commit, const char *dir,
			     const struct tree *tree) LOCK_REQUIRES(&f->lock)
{
	for (const struct build *b = f->builds; b; b = b->next) {
		if (b->tree == tree && repo_equal(&b->repo, repo) &&
		    strcmp(b->commit, commit) == 0 && strcmp(b->dir, dir) == 0)
			return true;
	}
	return false;
}

/* Takes b. */
static void list_build(struct fetch *f, struct build *b)
{
	lock_take(&f->lock);
	if (b->count && !f->stopping &&
	    !is_listed_locked(f, &b->repo, b->commit, b->dir, b->tree)) {
		b->next = f->builds;
		f->builds = b;
		b = NULL;
		fetch_work_schedule_locked(f);
	}
	lock_drop(&f->lock);
	build_free(b);
}

int fetch_build(struct fetch *f, const struct repo_id *repo, const char *commit,
		const char *dir, struct tree *tree, const char *first)
{
	uint32_t at = first ? tree_find(tree, first) : TREE_NONE;
	struct tree_entry e = { .kind = TREE_FOLDER };
	struct build *b;
	bool listed;

	if (strlen(commit) > REF_COMMIT_LEN)
		return -EINVAL;
	if (at != TREE_NONE)
		tree_get(tree, at, &e);
	if (e.kind == TREE_FILE) {
		struct flight *fl = flight_of(repo, commit, dir, &e);

		if (fl)
			put_in_front(f, fl);
	}
	lock_take(&f->lock);
	listed = is_listed_locked(f, repo, commit, dir, tree);
	lock_drop(&f->lock);
	if (listed)
		return 0;
	b = build_new(repo, commit, dir, tree);
	if (!b)
		return -ENOMEM;
	list_build(f, b);
	return 0;
}
