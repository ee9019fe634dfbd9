/* SPDX-License-Identifier: Apache-2.0 */
#include "bytecode.h"
#include "cache.h"
#include "cli.h"
#include "setup.h"

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

/* It lies beside the cache, and is the calling user's: what is wrong with it
 * is said, and keeps nobody from cleaning the cache. */
static void clean_bytecode(struct bytecode_sum *sum)
{
	AUTO(auto_text) struct text base = TEXT_INIT(OUT_MAX);
	struct err err = ERR_INIT;
	AUTO(auto_close) int fd = -1;
	int r;

	if (bytecode_base(&base, NULL) < 0)
		return;
	fd = bytecode_open(text_str(&base), &err);
	if (fd == -ENOENT)
		return;
	if (fd < 0) {
		cli_say("bytecode is left alone: %s", err_text(&err));
		return;
	}
	r = bytecode_gc(fd, io_wall_s(), sum);
	if (r < 0)
		cli_say("bytecode: '%s/kernelfs/bytecode': %s", text_str(&base),
			strerrordesc_np(-r));
	if (sum->left)
		cli_say("bytecode: %zu names below '%s/kernelfs/bytecode' "
			"are not yours alone, or not the door's: they stay",
			sum->left, text_str(&base));
}

int cache_gc(const struct cli *c, struct world *w, struct err *err)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	struct bytecode_sum code = { .bytes = 0 };
	uint64_t freed = store_trim(w->store);
	uint64_t bytes = 0;
	uint64_t blobs = 0;
	size_t forgotten = 0;
	int r = catalog_forget(w->catalog, &forgotten);

	if (r == 0)
		r = store_usage(w->store, &bytes, &blobs);
	if (r < 0)
		return err_errno(err, -r, "cache '%s'", store_path(w->store));
	clean_bytecode(&code);
	if (c->o->json) {
		text_printf(&out,
			    "{\"removed_bytes\": %llu, \"forgotten\": %zu, "
			    "\"bytes\": %llu, \"blobs\": %llu, "
			    "\"bytecode_bytes\": %llu, "
			    "\"bytecode_commits\": %zu}\n",
			    (unsigned long long)freed, forgotten,
			    (unsigned long long)bytes,
			    (unsigned long long)blobs,
			    (unsigned long long)code.bytes, code.commits);
		return cli_put(&out);
	}
	cli_add_bytes(&out, freed);
	text_printf(&out, " removed, %zu builds forgotten; ", forgotten);
	cli_add_bytes(&out, bytes);
	text_printf(&out, " in %llu blobs are left\n",
		    (unsigned long long)blobs);
	cli_add_bytes(&out, code.bytes);
	text_printf(&out,
		    " of bytecode removed, of %zu commits that were unused "
		    "for %d days\n",
		    code.commits, BYTECODE_UNUSED_DAYS);
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
