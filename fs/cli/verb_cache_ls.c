/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"
#include "cli.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "kernels/catalog.h"
#include "kernels/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX (256u << 20)

struct line {
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
	char *variant; /* owned */
	uint64_t bytes;
	int64_t last_used_s;
	bool whole;
};

struct lines {
	struct catalog *catalog;
	struct line *v; /* owned */
	size_t count;
	size_t room;
};

static int add_line(void *arg, const struct catalog_build *b)
{
	struct lines *all = arg;
	struct line *l;

	if (all->count == all->room) {
		size_t room = all->room ? 2 * all->room : 64;
		struct line *v = realloc(all->v, room * sizeof(*v));

		if (!v)
			return -ENOMEM;
		all->v = v;
		all->room = room;
	}
	l = &all->v[all->count];
	*l = (struct line){ .repo = b->repo, .last_used_s = b->last_used_s };
	(void)text_copy(l->commit, sizeof(l->commit), b->commit);
	l->bytes = catalog_build_bytes(all->catalog, b, &l->whole);
	/* a listing that was only looked at holds nothing */
	if (!l->bytes && !l->whole)
		return 0;
	l->variant = text_dup(b->variant, strlen(b->variant));
	if (!l->variant)
		return -ENOMEM;
	all->count++;
	return 0;
}

static int by_name(const void *pa, const void *pb)
{
	const struct line *a = pa;
	const struct line *b = pb;
	int r = strcmp(a->repo.owner, b->repo.owner);

	if (!r)
		r = strcmp(a->repo.name, b->repo.name);
	if (!r)
		r = strcmp(a->commit, b->commit);
	return r ? r : strcmp(a->variant, b->variant);
}

static void print_json(const struct lines *all, struct text *out)
{
	text_add(out, "[");
	for (size_t i = 0; i < all->count; i++) {
		const struct line *l = &all->v[i];
		char repo[2 * REF_PART_MAX + 2];
		char used[32];

		io_time_print(l->last_used_s, used);
		(void)snprintf(repo, sizeof(repo), "%s/%s", l->repo.owner,
			       l->repo.name);
		text_add(out, i ? ",\n  {\"repo\": " : "\n  {\"repo\": ");
		text_add_json(out, repo);
		text_printf(out,
			    ", \"commit\": \"%s\", \"variant\": ", l->commit);
		text_add_json(out, l->variant);
		text_printf(out,
			    ", \"bytes\": %llu, \"last_used\": \"%s\", "
			    "\"verified\": %s}",
			    (unsigned long long)l->bytes, used,
			    l->whole ? "true" : "false");
	}
	text_add(out, all->count ? "\n]\n" : "]\n");
}

static void print_plain(const struct lines *all, struct store *s,
			struct text *out)
{
	uint64_t bytes = 0;
	uint64_t blobs = 0;

	for (size_t i = 0; i < all->count; i++) {
		const struct line *l = &all->v[i];
		AUTO(auto_text) struct text size = TEXT_INIT(64);
		char used[32];

		io_time_print(l->last_used_s, used);
		cli_add_bytes(&size, l->bytes);
		text_printf(out, "%s/%s@%s\n  %s  %s, used %s, %s\n",
			    l->repo.owner, l->repo.name, l->commit, l->variant,
			    text_str(&size), used,
			    l->whole ? "verified" : "partial");
	}
	if (store_usage(s, &bytes, &blobs) < 0)
		return;
	cli_add_bytes(out, bytes);
	text_printf(out, " in %llu blobs in '%s'", (unsigned long long)blobs,
		    store_path(s));
	if (store_cache_size(s)) {
		text_add(out, ", at most ");
		cli_add_bytes(out, store_cache_size(s));
	}
	text_add_char(out, '\n');
}

int cache_ls(const struct cli *c, struct world *w, struct err *err)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	struct lines all = { .catalog = w->catalog };
	int r = catalog_each_build(w->catalog, add_line, &all);

	if (r == 0) {
		if (all.count)
			qsort(all.v, all.count, sizeof(*all.v), by_name);
		if (c->o->json)
			print_json(&all, &out);
		else
			print_plain(&all, w->store, &out);
		r = cli_put(&out);
	} else {
		r = err_errno(err, -r, "cache '%s'", store_path(w->store));
	}
	for (size_t i = 0; i < all.count; i++)
		free(all.v[i].variant);
	free(all.v);
	return r;
}
