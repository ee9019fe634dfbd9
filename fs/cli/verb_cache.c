/* SPDX-License-Identifier: Apache-2.0 */
#include "cache.h"
#include "cli.h"
#include "setup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "kernels/catalog.h"
#include "kernels/store.h"

#include <stdlib.h>
#include <string.h>

#define OUT_MAX 4096

typedef int cache_action(const struct cli *c, struct world *w, struct err *err);

static const struct action {
	const char *name;
	cache_action *run;
} actions[] = {
	{ "ls", cache_ls },
	{ "gc", cache_gc },
	{ "verify", cache_verify },
};

int cache_gc(const struct cli *c, struct world *w, struct err *err)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	uint64_t freed = store_trim(w->store);
	uint64_t bytes = 0;
	uint64_t blobs = 0;
	size_t forgotten = 0;
	int r = catalog_forget(w->catalog, &forgotten);

	if (r == 0)
		r = store_usage(w->store, &bytes, &blobs);
	if (r < 0)
		return err_errno(err, -r, "cache '%s'", store_path(w->store));
	if (c->o->json) {
		text_printf(&out,
			    "{\"removed_bytes\": %llu, \"forgotten\": %zu, "
			    "\"bytes\": %llu, \"blobs\": %llu}\n",
			    (unsigned long long)freed, forgotten,
			    (unsigned long long)bytes,
			    (unsigned long long)blobs);
		return cli_put(&out);
	}
	cli_add_bytes(&out, freed);
	text_printf(&out, " removed, %zu builds forgotten; ", forgotten);
	cli_add_bytes(&out, bytes);
	text_printf(&out, " in %llu blobs are left\n",
		    (unsigned long long)blobs);
	return cli_put(&out);
}

static int act(const struct cli *c, struct world *w, const void *arg,
	       struct err *err)
{
	const struct action *a = arg;

	return a->run(c, w, err);
}

int verb_cache(const struct cli *c)
{
	struct err err = ERR_INIT;
	int r;

	for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++) {
		if (strcmp(c->words[0], actions[i].name) != 0)
			continue;
		r = setup_log(c->o, &err);
		return r < 0 ? cli_fail(r, &err)
			     : setup_run(c, world_new_bytes, act, &actions[i]);
	}
	return cli_misuse("cache does not know '%.100s'; usage: kernelfs cache "
			  "ls|gc|verify [--json]",
			  c->words[0]);
}
