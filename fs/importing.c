/* SPDX-License-Identifier: Apache-2.0 */
#include "importing.h"

#include "base/err.h"
#include "base/io.h"
#include "base/lock.h"
#include "base/map.h"
#include "kernels/fetch.h"
#include "kernels/tree.h"
#include "resolver/resolve.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An import that takes longer than this goes the slow way. */
#define LIFE_MS 60000
/* Begun within that time; the oldest gives its place up. */
#define IMPORTS 64
#define DIR_ROOM (sizeof("build/") + NAME_MAX)

struct import {
	struct repo_id repo;
	uint64_t spec; /* a hash: a false one costs bytes, and is not to be */
	int64_t until_ms;
};

struct importing {
	struct fetch *fetch;
	struct lock lock;
	struct import imports[IMPORTS]; /* lock; a ring */
	unsigned next;			/* lock */
};

int importing_new(struct importing **out, struct fetch *fetch, struct err *err)
{
	struct importing *im = calloc(1, sizeof(*im));

	if (!im)
		return err_errno(err, ENOMEM, "imports");
	im->fetch = fetch;
	lock_init(&im->lock, LOCK_VIEW);
	*out = im;
	return 0;
}

void importing_free(struct importing *im)
{
	if (!im)
		return;
	lock_done(&im->lock);
	free(im);
}

static uint64_t hash_of(const char *spec)
{
	return map_hash(spec, strlen(spec));
}

static struct import *find_locked(struct importing *im,
				  const struct repo_id *repo, uint64_t spec)
	LOCK_REQUIRES(&im->lock)
{
	for (unsigned i = 0; i < IMPORTS; i++) {
		struct import *at = &im->imports[i];

		if (at->spec == spec && repo_equal(&at->repo, repo))
			return at;
	}
	return NULL;
}

void importing_begin(struct importing *im, const struct repo_id *repo,
		     const char *spec)
{
	uint64_t hash = hash_of(spec);
	struct import *at;

	lock_take(&im->lock);
	at = find_locked(im, repo, hash);
	if (!at)
		at = &im->imports[im->next++ % IMPORTS];
	at->repo = *repo;
	at->spec = hash;
	at->until_ms = io_now_ms() + LIFE_MS;
	lock_drop(&im->lock);
}

static bool is_importing(struct importing *im,
			 const struct resolve_candidate *c)
{
	const struct import *at;
	bool yes;

	lock_take(&im->lock);
	at = find_locked(im, c->root, hash_of(c->spec));
	yes = at && io_now_ms() < at->until_ms;
	lock_drop(&im->lock);
	return yes;
}

/* ---- what the resolver tells ---- */

static struct fetch_files files_of(const struct resolve_candidate *c,
				   const char *dir)
{
	return (struct fetch_files){ .repo = c->repo,
				     .commit = c->commit,
				     .dir = dir,
				     .tree = c->tree,
				     .first = c->path };
}

/* Through the downloader, which has it among the others: one request. */
static void fetch_metadata(struct importing *im,
			   const struct resolve_candidate *c)
{
	char path[DIR_ROOM + TREE_PATH_MAX];
	uint32_t at = tree_find(c->tree, c->path);
	struct fetch_blob blob = { c->repo, c->commit, path, { 0 }, 0 };
	struct tree_entry e;

	if (at == TREE_NONE)
		return;
	tree_get(c->tree, at, &e);
	blob.digest = e.digest;
	blob.size = e.size;
	(void)snprintf(path, sizeof(path), "build/%s/%s", c->variant, c->path);
	/* Who reads it says what is wrong. */
	(void)fetch_now(im->fetch, &blob, NULL);
}

static void on_candidate(void *ctx, const struct resolve_candidate *c)
{
	struct importing *im = ctx;
	char dir[DIR_ROOM];
	struct fetch_files files = files_of(c, dir);

	if (!is_importing(im, c))
		return;
	(void)snprintf(dir, sizeof(dir), "build/%s", c->variant);
	(void)fetch_build(im->fetch, &files, FETCH_SOON);
	fetch_metadata(im, c);
}

static void on_given_up(void *ctx, const struct resolve_candidate *c)
{
	struct importing *im = ctx;
	char dir[DIR_ROOM];
	struct fetch_files files = files_of(c, dir);

	if (!is_importing(im, c))
		return;
	(void)snprintf(dir, sizeof(dir), "build/%s", c->variant);
	fetch_build_stop(im->fetch, &files);
}

void importing_listen(struct importing *im, struct resolve_options *o)
{
	o->on_candidate = on_candidate;
	o->on_given_up = on_given_up;
	o->candidate_ctx = im;
}
