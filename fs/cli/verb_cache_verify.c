/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"
#include "cli.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "kernels/catalog.h"
#include "kernels/digest.h"
#include "kernels/fetch.h"
#include "kernels/store.h"
#include "kernels/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX (16u << 20)

/*
 * Hash everything again. What is wrong has lost its name by then; where a
 * build lists it, it is fetched again. What nobody lists needs no mending.
 */

struct wrong {
	struct digest digest;
	bool listed;
	bool mended;
};

struct repair {
	struct world *world;
	bool offline;
	struct wrong *v; /* owned */
	size_t count;
	size_t room;
	bool lost; /* memory was short: not all of them are in v */
};

static void note_wrong(void *arg, const struct digest *d)
{
	struct repair *r = arg;
	char hex[DIGEST_HEX_MAX];

	digest_print(d, hex);
	cli_say("the content of blob %s does not match its name; it is removed",
		hex);
	if (r->count == r->room) {
		size_t room = r->room ? 2 * r->room : 16;
		struct wrong *v = realloc(r->v, room * sizeof(*v));

		if (!v) {
			r->lost = true;
			return;
		}
		r->v = v;
		r->room = room;
	}
	r->v[r->count++] = (struct wrong){ .digest = *d };
}

static struct wrong *find_wrong(const struct repair *r, const struct digest *d)
{
	for (size_t i = 0; i < r->count; i++)
		if (digest_equal(&r->v[i].digest, d))
			return &r->v[i];
	return NULL;
}

static void mend(const struct repair *r, const struct catalog_build *b,
		 const struct tree_entry *e, struct wrong *w)
{
	char path[NAME_MAX + TREE_PATH_MAX + sizeof("build//")];
	struct fetch_blob blob = { &b->repo, b->commit, path, e->digest,
				   e->size };
	struct err err = ERR_INIT;

	w->listed = true;
	if (r->offline)
		return;
	(void)snprintf(path, sizeof(path), "build/%s/%s", b->variant, e->path);
	if (fetch_now(r->world->fetch, &blob, &err) == 0)
		w->mended = true;
	else
		cli_say("%s", err_text(&err));
}

static int mend_build(void *arg, const struct catalog_build *b)
{
	const struct repair *r = arg;

	for (uint32_t i = 0; i < tree_count(b->tree); i++) {
		struct tree_entry e;
		struct wrong *w;

		tree_get(b->tree, i, &e);
		w = e.kind == TREE_FILE ? find_wrong(r, &e.digest) : NULL;
		if (w && !w->mended)
			mend(r, b, &e, w);
	}
	return 0;
}

static int report(const struct cli *c, const struct repair *r, uint64_t checked)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	size_t mended = 0;
	size_t left = 0;
	int code;

	for (size_t i = 0; i < r->count; i++) {
		mended += r->v[i].mended;
		left += r->v[i].listed && !r->v[i].mended;
	}
	if (c->o->json)
		text_printf(&out,
			    "{\"checked\": %llu, \"wrong\": %zu, "
			    "\"fetched_again\": %zu, \"missing\": %zu}\n",
			    (unsigned long long)checked, r->count, mended,
			    left);
	else
		text_printf(&out,
			    "%llu blobs checked, %zu wrong, %zu fetched again, "
			    "%zu missing now\n",
			    (unsigned long long)checked, r->count, mended,
			    left);
	code = cli_put(&out);
	if (code == CLI_DONE && (left || r->lost))
		return CLI_MISMATCH;
	return code;
}

int cache_verify(const struct cli *c, struct world *w, struct err *err)
{
	struct repair repair = { .world = w, .offline = c->o->offline };
	uint64_t checked = 0;
	int r = store_verify(w->store, note_wrong, &repair, NULL, &checked);

	if (r == 0 && repair.count)
		r = catalog_each_build(w->catalog, mend_build, &repair);
	if (r < 0)
		r = err_errno(err, -r, "cache '%s'", store_path(w->store));
	else
		r = report(c, &repair, checked);
	free(repair.v);
	return r;
}
