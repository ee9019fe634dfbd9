/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include "builds.h"
#include "compile.h"
#include "progress.h"
#include "setup.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/map.h"
#include "base/text.h"
#include "fs/options.h"
#include "fs/world.h"
#include "kernels/fetch.h"
#include "kernels/store.h"
#include "kernels/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define OUT_MAX (64u << 20)
#define WINDOW 64u /* asked for at a time */
#define TICK_MS 100

/* What came of a build. */
struct sum {
	size_t files, fetched, failed;
	uint64_t bytes;
	struct compiled code; /* with --compile */
};

/* One file that is not here. */
struct want {
	struct fetch_waiter waiter;
	struct downloads *all;
	size_t build; /* its index */
	uint32_t entry;
	uint64_t size;
};

struct downloads {
	struct world *w;
	const struct builds *builds;
	struct sum *sums;   /* owned; one per build */
	struct want *wants; /* owned */
	size_t count;
	struct lock mu;
	pthread_cond_t changed;
	size_t running;	  /* mu */
	size_t done;	  /* mu */
	int worst;	  /* mu: 0, or the last -errno */
	struct err first; /* mu: of the first failure */
};

/* ---- what is wanted ---- */

static int add_want(struct downloads *d, size_t build, uint32_t entry,
		    uint64_t size)
{
	struct want *more = reallocarray(d->wants, d->count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	d->wants = more;
	d->wants[d->count++] =
		(struct want){ .build = build, .entry = entry, .size = size };
	return 0;
}

static int look(struct downloads *d, size_t i)
{
	const struct build *b = &d->builds->items[i];
	struct sum *sum = &d->sums[i];
	int r = 0;

	for (uint32_t k = 0; r == 0 && k < tree_count(b->tree); k++) {
		struct tree_entry e;

		tree_get(b->tree, k, &e);
		if (e.kind != TREE_FILE)
			continue;
		sum->files++;
		sum->bytes += e.size;
		if (!store_has(d->w->store, &b->repo, &e.digest, e.size))
			r = add_want(d, i, k, e.size);
	}
	return r;
}

/* ---- the downloads ---- */

static void finish_locked(struct downloads *d, const struct want *want, int r,
			  const struct err *err) LOCK_REQUIRES(&d->mu)
{
	struct sum *sum = &d->sums[want->build];

	d->done++;
	if (r == 0) {
		sum->fetched++;
		return;
	}
	sum->failed++;
	if (!d->worst && err)
		d->first = *err;
	d->worst = r;
}

static void on_done(struct fetch_waiter *waiter, int r, const struct err *err)
{
	struct want *want = map_item(waiter, struct want, waiter);
	struct downloads *d = want->all;

	lock_take(&d->mu);
	finish_locked(d, want, r, err);
	d->running--;
	(void)pthread_cond_signal(&d->changed);
	lock_drop(&d->mu);
}

static void ask(struct downloads *d, struct want *want)
{
	AUTO(auto_text) struct text path = TEXT_INIT(2 * TREE_PATH_MAX);
	const struct build *b = &d->builds->items[want->build];
	struct err err = ERR_INIT;
	struct tree_entry e;
	struct fetch_blob blob;
	int r;

	tree_get(b->tree, want->entry, &e);
	text_printf(&path, "build/%s/%s", b->variant, e.path);
	blob = (struct fetch_blob){ .repo = &b->repo,
				    .commit = b->commit,
				    .path = text_str(&path),
				    .digest = e.digest,
				    .size = e.size };
	want->all = d;
	want->waiter.done = on_done;
	lock_take(&d->mu);
	d->running++;
	lock_drop(&d->mu);
	r = text_failed(&path);
	if (r == 0)
		r = fetch_ask(d->w->fetch, &blob, &want->waiter, &err);
	if (r != -EINPROGRESS)
		on_done(&want->waiter, r, &err);
}

static uint64_t bytes_so_far(struct downloads *d)
{
	AUTO(auto_text) struct text t = TEXT_INIT(4096);
	AUTO(auto_json) struct json *j = NULL;
	uint64_t n = 0;

	fetch_report(d->w->fetch, &t);
	if (json_parse(&j, text_str(&t), t.len, NULL) == 0)
		(void)json_u64(json_get(j, "bytes"), &n);
	return n;
}

static void run(struct downloads *d, struct progress *p)
{
	size_t next = 0, done = 0, running;

	while (done < d->count) {
		lock_take(&d->mu);
		if (d->running >= WINDOW || next == d->count)
			(void)lock_wait(&d->mu, &d->changed,
					io_now_ms() + TICK_MS);
		running = d->running;
		done = d->done;
		lock_drop(&d->mu);
		while (running++ < WINDOW && next < d->count)
			ask(d, &d->wants[next++]);
		(void)fetch_expire(d->w->fetch, io_now_ms());
		progress_show(p, bytes_so_far(d), done);
	}
}

static int download(struct downloads *d, struct err *err)
{
	struct progress p;
	uint64_t bytes = 0;
	int r = 0;

	for (size_t i = 0; r == 0 && i < d->builds->count; i++)
		r = look(d, i);
	if (r < 0)
		return err_errno(err, -r, "fetch");
	for (size_t i = 0; i < d->count; i++)
		bytes += d->wants[i].size;
	/* who imports in a mount at the same time goes first */
	fetch_background(d->w->fetch);
	progress_begin(&p, bytes, d->count);
	run(d, &p);
	progress_end(&p);
	return 0;
}

/* ---- bytecode ---- */

static int compile(struct downloads *d, struct compile *k, struct err *err)
{
	struct progress p;
	uint64_t bytes = 0;
	size_t files = 0;
	int r = 0;

	for (size_t i = 0; i < d->builds->count; i++)
		compile_count(&d->builds->items[i], &bytes, &files);
	progress_begin(&p, bytes, files);
	k->w = d->w;
	k->bar = &p;
	for (size_t i = 0; r == 0 && i < d->builds->count; i++)
		r = compile_build(k, &d->builds->items[i], &d->sums[i].code,
				  err);
	progress_end(&p);
	return r;
}

/* ---- what came of it ---- */

static void add_code(const struct compiled *code, bool json, struct text *out)
{
	if (!*code->python)
		return;
	if (json) {
		text_add(out, ", \"compiled\": {\"python\": ");
		text_add_json(out, code->python);
		text_printf(out,
			    ", \"kept\": %zu, \"known\": %zu, "
			    "\"failed\": %zu}",
			    code->kept, code->known, code->failed);
		return;
	}
	text_printf(out, ", %zu compiled for Python %s",
		    code->kept + code->known, code->python);
	if (code->failed)
		text_printf(out, ", %zu not", code->failed);
}

static void add_result(const struct build *b, const struct sum *s, bool json,
		       struct text *out)
{
	if (!json) {
		text_printf(out, "%s/%s@%s  %s  %zu files, ", b->repo.owner,
			    b->repo.name, b->revision, b->variant, s->files);
		cli_add_bytes(out, s->bytes);
		text_printf(out, ", %zu fetched", s->fetched);
		if (s->failed)
			text_printf(out, ", %zu not", s->failed);
		add_code(&s->code, false, out);
		text_add_char(out, '\n');
		return;
	}
	text_printf(out, "{\"repo\": \"%s/%s\", \"revision\": ", b->repo.owner,
		    b->repo.name);
	text_add_json(out, b->revision);
	text_printf(out, ", \"commit\": \"%s\", \"variant\": ", b->commit);
	text_add_json(out, b->variant);
	text_printf(out,
		    ", \"files\": %zu, \"bytes\": %llu, \"fetched\": %zu, "
		    "\"failed\": %zu",
		    s->files, (unsigned long long)s->bytes, s->fetched,
		    s->failed);
	add_code(&s->code, true, out);
	text_add_char(out, '}');
}

static int report(const struct cli *c, const struct downloads *d)
{
	AUTO(auto_text) struct text out = TEXT_INIT(OUT_MAX);

	text_add(&out, c->o->json ? "[" : "");
	for (size_t i = 0; i < d->builds->count; i++) {
		text_add(&out, c->o->json && i ? ", " : "");
		add_result(&d->builds->items[i], &d->sums[i], c->o->json, &out);
	}
	text_add(&out, c->o->json ? "]\n" : "");
	return cli_put(&out);
}

static int fetch_all(const struct cli *c, struct world *w,
		     const struct builds *b, struct compile *k, struct err *err)
{
	struct downloads d = { .w = w, .builds = b };
	int r, code;

	d.sums = calloc(b->count + 1, sizeof(*d.sums));
	if (!d.sums)
		return err_errno(err, ENOMEM, "fetch");
	lock_init(&d.mu, LOCK_VIEW);
	lock_cond_init(&d.changed);
	r = download(&d, err);
	if (r == 0 && c->o->compile && !setup_interrupted())
		r = compile(&d, k, err);
	code = r < 0 ? r : setup_interrupted() ? CLI_FAILED : report(c, &d);
	/* All waiters were called: nobody looks at these any more. */
	(void)pthread_cond_destroy(&d.changed);
	lock_done(&d.mu);
	free(d.wants);
	free(d.sums);
	if (code != CLI_DONE || !d.worst)
		return code;
	*err = d.first;
	return d.worst;
}

static int work(const struct cli *c, struct world *w, const void *arg,
		struct err *err)
{
	struct builds b = { .items = NULL };
	AUTO(auto_free) struct compile *k = calloc(1, sizeof(*k));
	int r = k ? 0 : err_errno(err, ENOMEM, "fetch");

	(void)arg;
	if (r == 0 && c->o->compile)
		r = compile_find(k, c->o, err);
	if (r == 0)
		r = builds_gather(&b, c, w, err);
	if (r == 0)
		r = fetch_all(c, w, &b, k, err);
	if (r == CLI_DONE && b.worst)
		r = cli_code(b.worst);
	builds_done(&b);
	return r;
}

int verb_fetch(const struct cli *c)
{
	struct err err = ERR_INIT;
	int r = builds_check(c, &err);

	if (r == 0)
		r = setup_log(c->o, &err);
	return r < 0 ? cli_fail(r, &err) : setup_run(c, world_new, work, NULL);
}
