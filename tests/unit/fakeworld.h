/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_FAKEWORLD_H
#define UNIT_FAKEWORLD_H

/*
 * A world (fs/world.h) over a source in memory, its cache in a scratch
 * folder, and a view of it: the namespace without a mount, and without a
 * request to anybody.
 */

#include "base/err.h"
#include "base/pool.h"
#include "base/text.h"
#include "fakesource.h"
#include "fs/ahead.h"
#include "fs/names.h"
#include "fs/options.h"
#include "fs/view.h"
#include "fs/world.h"
#include "kernels/catalog.h"
#include "kernels/fetch.h"
#include "kernels/http/http.h"
#include "kernels/store.h"
#include "latch.h"
#include "resolver/resolve.h"
#include "scratch.h"

#define FAKEWORLD_SPEC "torch213-cxx11-cpu-x86_64-linux"
#define FAKEWORLD_WAIT_MS 60000

struct fakeworld {
	char folder[SCRATCH_MAX];
	struct fake fake;
	struct options options;
	struct world *world; /* owned */
	struct view *view;   /* owned */
	struct err err;	     /* of the last question */
};

static inline void fakeworld_options(struct fakeworld *f)
{
	char cache[SCRATCH_MAX + 32], config[SCRATCH_MAX + 32];
	char name[] = "kernelfs", source[] = "--source=" FAKE_URL;
	char *const argv[] = { name, source, cache, config, NULL };

	scratch_put(f->folder, "config", "", 0);
	(void)snprintf(cache, sizeof(cache), "--cache=%s/cache", f->folder);
	(void)snprintf(config, sizeof(config), "--config=%s/config", f->folder);
	assert_int_equal(options_read(&f->options, 4, argv, NULL), 0);
	assert_int_equal(options_settle(&f->options, NULL), 0);
}

/* Everything from the store up, with these import= options. */
static inline void fakeworld_start(struct fakeworld *f,
				   const char *const *imports, size_t count)
{
	const struct http_options http = {
		.user_agent = "kernelfs/test",
		.connect_timeout_ms = 1000,
		.stall_timeout_ms = 1000,
		.deadline_ms = 1000,
	};
	struct world *w = calloc(1, sizeof(*w));
	struct resolve_options ro = { 0 };

	assert_non_null(w);
	f->world = w;
	w->options = &f->options;
	w->source = &f->fake.source;
	assert_int_equal(store_new(&w->store, f->options.cache, NULL), 0);
	assert_int_equal(http_new(&w->http, &http, NULL), 0);
	assert_int_equal(catalog_new(&w->catalog, w->source, w->store, NULL),
			 0);
	assert_int_equal(pool_new(&w->disk, "disk", 2, NULL), 0);
	assert_int_equal(pool_new(&w->net, "net", 4, NULL), 0);
	assert_int_equal(
		fetch_new(&w->fetch, w->source, w->store, w->net, 60000, NULL),
		0);
	assert_int_equal(ahead_new(&w->ahead, w->store, w->disk, NULL), 0);
	assert_int_equal(env_parse(&w->env, FAKEWORLD_SPEC, NULL), 0);
	env_print(&w->env, w->spec);
	assert_int_equal(
		names_new(&w->names, imports, count, w->catalog, w->net, NULL),
		0);
	ro.named = names_named(w->names, &ro.named_count);
	assert_int_equal(resolve_new(&w->resolve, w->catalog, &ro, w->disk,
				     w->net, NULL),
			 0);
	assert_int_equal(view_new(&f->view, w, "/kernels", NULL), 0);
}

static inline void fakeworld_stop(struct fakeworld *f)
{
	fake_gate(&f->fake, false);
	world_free(f->world);
	view_free(f->view);
	f->world = NULL;
	f->view = NULL;
}

/* The next mount, on the same cache. */
static inline void fakeworld_again(struct fakeworld *f,
				   const char *const *imports, size_t count)
{
	fakeworld_stop(f);
	fakeworld_start(f, imports, count);
	names_start(f->world->names, FAKEWORLD_WAIT_MS);
	fake_forget(&f->fake);
}

static inline struct fakeworld *fakeworld_new(const struct fake_file *files,
					      const struct fake_ref *refs,
					      const char *const *imports,
					      size_t count)
{
	struct fakeworld *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	(void)alarm(LATCH_DEADLINE_S * 2); /* a wait that never ends */
	scratch_make(f->folder);
	fake_init(&f->fake, files, refs);
	f->fake.trusts = "acme";
	fakeworld_options(f);
	fakeworld_start(f, imports, count);
	return f;
}

/* Whatever was looked up has been given back by then. */
static inline void fakeworld_free(struct fakeworld *f)
{
	assert_int_equal(inode_count(view_inodes(f->view)), 1);
	fakeworld_stop(f);
	options_done(&f->options);
	fake_done(&f->fake);
	scratch_remove(f->folder);
	free(f);
	(void)alarm(0);
}

/* ---- one that waits, and puts its question again ---- */

struct fakeworld_wait {
	struct view_wait wait; /* first */
	struct latch called;
	int result;
};

static inline void fakeworld_called(struct view_wait *w, int r,
				    const struct err *err)
{
	struct fakeworld_wait *f = (struct fakeworld_wait *)w;

	if (r < 0 && (!err || err->code != -r))
		abort(); /* a failure comes with its sentence */
	f->result = r;
	latch_raise(&f->called);
}

static inline void fakeworld_wait_init(struct fakeworld_wait *w)
{
	*w = (struct fakeworld_wait){ .called = LATCH_INIT };
	view_wait_init(&w->wait, fakeworld_called);
}

/* Has the answer to `r` to be asked for again? */
static inline bool fakeworld_waits(struct fakeworld_wait *w, int *r)
{
	if (*r != -EINPROGRESS)
		return false;
	assert_true(latch_wait(&w->called, 1));
	w->called.count = 0;
	*r = w->result;
	return *r == 0;
}

/* ---- questions, until they are answered ---- */

static inline int fakeworld_step(struct fakeworld *f, struct node *dir,
				 const char *name, struct node **out)
{
	struct fakeworld_wait w;
	int r;

	fakeworld_wait_init(&w);
	f->err = (struct err)ERR_INIT;
	do
		r = view_lookup(f->view, dir, name, &w.wait, out, &f->err);
	while (fakeworld_waits(&w, &r));
	return r;
}

/* The node of a path without links, held; "" is the root. */
static inline int fakeworld_walk(struct fakeworld *f, const char *path,
				 struct node **out)
{
	struct inode_table *t = view_inodes(f->view);
	struct node *n = inode_get(t, INODE_ROOT), *next = NULL;
	char copy[4096], *rest = NULL;
	int r = 0;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	for (char *s = strtok_r(copy, "/", &rest); s && r == 0;
	     s = strtok_r(NULL, "/", &rest)) {
		r = fakeworld_step(f, n, s, &next);
		inode_put(t, n);
		n = r == 0 ? next : NULL;
	}
	if (r == 0)
		*out = n;
	return r;
}

static inline struct node *fakeworld_at(struct fakeworld *f, const char *path)
{
	struct node *n = NULL;
	int r = fakeworld_walk(f, path, &n);

	if (r < 0)
		fail_msg("'%s': %d: %s", path, r, err_text(&f->err));
	return n;
}

static inline int fakeworld_readlink(struct fakeworld *f, struct node *n,
				     struct text *out)
{
	struct fakeworld_wait w;
	int r;

	fakeworld_wait_init(&w);
	f->err = (struct err)ERR_INIT;
	do
		r = view_readlink(f->view, n, &w.wait, out, &f->err);
	while (fakeworld_waits(&w, &r));
	return r;
}

static inline int fakeworld_xattr(struct fakeworld *f, struct node *n,
				  const char *name, struct text *out)
{
	struct fakeworld_wait w;
	int r;

	fakeworld_wait_init(&w);
	f->err = (struct err)ERR_INIT;
	do
		r = view_xattr(f->view, n, name, &w.wait, out, &f->err);
	while (fakeworld_waits(&w, &r));
	return r;
}

static inline int fakeworld_fd(struct fakeworld *f, struct node *n,
			       struct text *out, int fd)
{
	char buf[4096];
	ssize_t got = 0;

	if (fd < 0)
		return view_report(f->view, n, NULL, out, &f->err);
	while ((got = read(fd, buf, sizeof(buf))) > 0)
		text_add_bytes(out, buf, (size_t)got);
	(void)close(fd);
	return got < 0 ? -errno : text_failed(out);
}

/* A file's whole content. */
static inline int fakeworld_read(struct fakeworld *f, struct node *n,
				 struct text *out)
{
	struct fakeworld_wait w;
	int r, fd = -1;

	fakeworld_wait_init(&w);
	f->err = (struct err)ERR_INIT;
	do
		r = view_open(f->view, n, &w.wait, &fd, &f->err);
	while (fakeworld_waits(&w, &r));
	return r < 0 ? r : fakeworld_fd(f, n, out, fd);
}

static inline bool fakeworld_emit(void *arg, const char *name,
				  enum view_type type, uint64_t ino,
				  uint64_t next)
{
	assert_true(ino && next);
	text_printf(arg, "%s%s ", name,
		    type == VIEW_DIR	? "/"
		    : type == VIEW_LINK ? "@"
					: "");
	return true;
}

/* Every name, "/" behind a folder and "@" behind a link, each with a blank. */
static inline int fakeworld_list(struct fakeworld *f, struct node *dir,
				 struct text *out)
{
	struct fakeworld_wait w;
	int r;

	fakeworld_wait_init(&w);
	f->err = (struct err)ERR_INIT;
	do
		r = view_list(f->view, dir, 0, &w.wait, fakeworld_emit, out,
			      &f->err);
	while (fakeworld_waits(&w, &r));
	return r;
}

#endif
