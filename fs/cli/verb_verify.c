/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nothing is believed here: what the cache holds is hashed again, and no
 * source is asked, so that what verifies works without one.
 */
#include "cli.h"

#include "builds.h"
#include "setup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "kernels/digest.h"
#include "kernels/store.h"
#include "kernels/tree.h"
#include "resolver/lockfile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OUT_MAX (64u << 20)
#define CHUNK (1u << 20)

struct verify {
	const struct cli *c;
	struct world *w;
	struct text *out;
	char *chunk; /* owned */
	size_t count;
	size_t bad; /* builds */
};

/* ---- one file ---- */

static int hash_file(const struct verify *v, int fd, const struct tree_entry *e,
		     struct digest *got)
{
	struct hasher *h = NULL;
	uint64_t at = 0;
	int r = hasher_new(&h, (enum digest_kind)e->digest.kind, e->size, NULL);

	while (r == 0) {
		ssize_t n = io_pread_all(fd, v->chunk, CHUNK, (off_t)at);

		if (n <= 0) {
			r = (int)n;
			break;
		}
		at += (uint64_t)n;
		r = setup_interrupted() ? -ECANCELED
					: hasher_add(h, v->chunk, (size_t)n);
	}
	if (r == 0)
		r = hasher_end(h, got);
	hasher_free(h);
	return r;
}

/* A file of a tier that nobody has hashed yet is hashed now. */
static int open_file(const struct verify *v, const struct build *b,
		     const struct tree_entry *e)
{
	int fd = store_open(v->w->store, &b->repo, &e->digest, e->size);

	if (fd == -EAGAIN &&
	    store_verify_tiers(v->w->store, &b->repo, &e->digest, e->size, NULL,
			       NULL) == 0)
		fd = store_open(v->w->store, &b->repo, &e->digest, e->size);
	return fd == -EAGAIN ? -ENOENT : fd;
}

static int check_file(const struct verify *v, const struct build *b,
		      const struct tree_entry *e, struct err *err)
{
	AUTO(auto_close) int fd = open_file(v, b, e);
	char want[DIGEST_HEX_MAX], is[DIGEST_HEX_MAX];
	struct digest got;
	int r;

	if (fd == -ENOENT)
		return err_set(err, ERR_MISMATCH,
			       "'%s' is not in the cache; `kernelfs fetch` "
			       "brings it",
			       e->path);
	if (fd < 0)
		return err_errno(err, -fd, "'%s'", e->path);
	r = hash_file(v, fd, e, &got);
	if (r < 0)
		return err_errno(err, -r, "'%s'", e->path);
	if (digest_equal(&got, &e->digest))
		return 0;
	digest_print(&e->digest, want);
	digest_print(&got, is);
	return err_set(err, ERR_MISMATCH,
		       "'%s' is damaged: its hash is %s, not %s; `kernelfs "
		       "cache verify` mends it",
		       e->path, is, want);
}

/* ---- one build ---- */

/* Of the older format, which holds hashes of builds. */
static int check_lock(const struct build *b, struct err *err)
{
	const struct lock_hash *want =
		b->entry ? lock_entry_hash(b->entry, b->variant) : NULL;
	char hex[65];
	int r;

	if (!want)
		return 0;
	r = lock_hash_of(b->variant, b->tree, hex);
	if (r < 0)
		return err_errno(err, -r, "hash of the build");
	if (!strcmp(hex, want->hex))
		return 0;
	return err_set(err, ERR_MISMATCH,
		       "the lock file's hash is %s, the build's %s", want->hex,
		       hex);
}

static int check_build(const struct verify *v, const struct build *b,
		       struct err *err)
{
	int r = check_lock(b, err);

	for (uint32_t i = 0; r == 0 && i < tree_count(b->tree); i++) {
		struct tree_entry e;

		tree_get(b->tree, i, &e);
		if (e.kind == TREE_FILE)
			r = check_file(v, b, &e, err);
	}
	return r;
}

static void add_result(struct verify *v, const struct build *b, int r,
		       const struct err *why)
{
	struct text *out = v->out;

	if (!v->c->o->json) {
		text_printf(out, "%s/%s@%s  %s  %s\n", b->repo.owner,
			    b->repo.name, b->revision, b->variant,
			    r < 0 ? err_text(why) : "verified");
		return;
	}
	text_printf(out, "%s{\"repo\": \"%s/%s\", \"revision\": ",
		    v->count ? ", " : "", b->repo.owner, b->repo.name);
	text_add_json(out, b->revision);
	text_printf(out, ", \"commit\": \"%s\", \"variant\": ", b->commit);
	text_add_json(out, b->variant);
	text_printf(out, ", \"verified\": %s, \"reason\": ",
		    r < 0 ? "false" : "true");
	if (r < 0)
		text_add_json(out, err_text(why));
	else
		text_add(out, "null");
	text_add_char(out, '}');
}

static int check_all(struct verify *v, const struct builds *b, struct err *err)
{
	for (size_t i = 0; i < b->count; i++) {
		struct err why = ERR_INIT;
		int r = check_build(v, &b->items[i], &why);

		if (setup_interrupted())
			return err_set(err, ECANCELED, "interrupted");
		add_result(v, &b->items[i], r, &why);
		v->count++;
		v->bad += r < 0;
	}
	return 0;
}

/* What is not known without asking is not in the cache. */
static int result(const struct verify *v, const struct builds *b)
{
	if (v->bad)
		cli_say("%zu of %zu builds did not verify", v->bad, b->count);
	if (v->bad || b->worst == -ENETUNREACH)
		return CLI_MISMATCH;
	return b->worst ? cli_code(b->worst) : CLI_DONE;
}

static int work(const struct cli *c, struct world *w, const void *arg,
		struct err *err)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);
	AUTO(auto_free) char *chunk = malloc(CHUNK);
	struct builds b = { .here_only = true };
	struct verify v = { .c = c, .w = w, .out = &out, .chunk = chunk };
	int r;

	(void)arg;
	if (!chunk)
		return err_errno(err, ENOMEM, "verify");
	text_add(&out, c->o->json ? "[" : "");
	r = builds_gather(&b, c, w, err);
	if (r == 0)
		r = check_all(&v, &b, err);
	text_add(&out, c->o->json ? "]\n" : "");
	if (r == 0)
		r = cli_put(&out);
	if (r == CLI_DONE)
		r = result(&v, &b);
	builds_done(&b);
	return r;
}

int verb_verify(const struct cli *c)
{
	struct err err = ERR_INIT;
	int r = builds_check(c, &err);

	c->o->offline = true;
	if (r == 0)
		r = setup_log(c->o, &err);
	return r < 0 ? cli_fail(r, &err) : setup_run(c, world_new, work, NULL);
}
