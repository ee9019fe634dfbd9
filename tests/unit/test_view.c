/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include "viewed.h"

static void has_every_kind_of_node(void **state)
{
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(there); i++) {
		struct node *n = fakeworld_at(f, there[i].path);
		struct view_attr a;

		view_attr(f->view, n, &a);
		if (n->kind != there[i].kind || a.type != there[i].type ||
		    a.forever != there[i].forever)
			fail_msg("'%s': kind %u, type %d, for ever: %d",
				 there[i].path, n->kind, a.type, a.forever);
		assert_true(a.ino);
		assert_true(a.mtime_s >= VIEW_TIME_S);
		if (there[i].forever)
			assert_int_equal(a.mtime_s, VIEW_TIME_S);
		put(f, n);
	}
}

/* The same path has the same number on every mount. */
static void numbers_its_nodes_alike_on_the_next_mount(void **state)
{
	struct fakeworld *f = *state;
	uint64_t numbers[N(there)];

	for (int mount = 0; mount < 2; mount++) {
		for (size_t i = 0; i < N(there); i++) {
			struct node *n = fakeworld_at(f, there[i].path);

			if (mount && numbers[i] != inode_number(n) &&
			    n->kind != NODE_BUILD_LINK &&
			    n->kind != NODE_REPO) /* undecided at first */
				fail_msg("'%s' moved", there[i].path);
			numbers[i] = inode_number(n);
			put(f, n);
		}
		if (!mount)
			fakeworld_again(f, imports, N(imports));
	}
}

static void has_no_other_names(void **state)
{
	static const struct {
		const char *path;
		int error;
	} rows[] = {
		{ "nobody", -ENOENT },
		{ "torch", -ENOENT },
		{ ".hidden", -ENOENT },
		{ "relu/build2", -ENOENT },
		{ "relu/relu.py", -ENOENT },
		{ "relu/__init__.py/x", -ENOTDIR },
		{ "relu/build/x", -ENOTDIR },
		{ "acme/none", -ENOENT },
		{ "acme/relu@v9", -ENOENT },
		{ "acme/relu@" FAKE_C3, -ENOENT },
		{ RELU "/none", -ENOENT },
		{ RELU "/docs/none", -ENOENT },
		{ RELU "/README.md/x", -ENOTDIR },
		{ RELU "/build/none", -ENOENT },
		{ RELU "/build/" BEST "/none", -ENOENT },
		{ RELU "/build/" BEST "/sub/none", -ENOENT },
		{ RELU "/build/" BEST "/sub/out.py", -ENOENT },
		{ RELU "/build/" BEST "/sub/again.py/x", -ENOTDIR },
		{ RELU "/docs/deep/link", -ENOENT },
		{ RELU "/build/" BEST "/sub/_k.so/x", -ENOTDIR },
		{ BARE "/build/" BEST, -ENOENT },
		{ RELU "/python/other", -ENOENT },
		{ RELU "/python/relu.why", -ENOENT },
		{ RELU "/python/relu/x.py", -ENOENT },
		{ RELU "/.kernelfs/none", -ENOENT },
		{ RELU "/.kernelfs/variants/none", -ENOENT },
		{ ".env/none", -ENOENT },
		{ ENVS "/none", -ENOENT },
		{ ENVS "/none.why", -ENOENT },
		{ ENVS "/.why", -ENOENT },
		{ ENVS "/relu.pinned", -ENOENT },
		{ ENVS "/bare", -ENOENT },
		{ ".env/" ALIEN "/relu", -ENOENT },
		{ ".kernelfs/none", -ENOENT },
		{ ".kernelfs/owners/none", -ENOENT },
		{ ".kernelfs/door/stub.py", -ENOENT },
		{ "relu/__pycache__/core.py", -ENOENT },
		{ "relu/__pycache__/__init__.py", -ENOENT },
		{ EVIL "/build/" BEST, -EACCES },
		{ ".hub/models--acme--relu", -ENOENT },
		{ ".hub/kernels--acme--none", -ENOENT },
		{ ".hub/kernels--acme", -ENOENT },
		{ ".hub/kernels----relu", -ENOENT },
		{ ".hub/kernels--acme--", -ENOENT },
		{ ".hub/kernels--acme--relu--x", -ENOENT },
		{ ".hub/.locks", -ENOENT },
		{ ".hub/acme", -ENOENT },
		{ HUB "/trees", -ENOENT },
		{ HUB "/blobs", -ENOENT },
		{ HUB "/refs/1", -ENOENT },
		{ HUB "/refs/v9", -ENOENT },
		{ HUB "/refs/latest", -ENOENT },
		{ HUB "/refs/" FAKE_C1, -ENOENT },
		{ HUB "/refs/v1/x", -ENOTDIR },
		{ HUB "/snapshots/v1", -ENOENT },
		{ HUB "/snapshots/" FAKE_C3, -ENOENT },
		{ SNAP "/none", -ENOENT },
		{ SNAP "/python", -ENOENT },
		{ SNAP "/.kernelfs", -ENOENT },
		{ SNAP "/build/" OTHER, -ENOENT },
		{ SNAP "/build/stray.txt", -ENOENT },
		{ ".hub/kernels--acme--bare/snapshots/" FAKE_C3 "/build/" BEST,
		  -ENOENT },
		{ ".hub/kernels--zeta--evil/snapshots/" FAKE_C1 "/build/" BEST,
		  -EACCES },
		{ ENVS "/evil", -EACCES },
	};
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		struct node *n = NULL;
		int r = fakeworld_walk(f, rows[i].path, &n);

		if (r != rows[i].error)
			fail_msg("'%s': %d and not %d: %s", rows[i].path, r,
				 rows[i].error, err_text(&f->err));
		assert_true(f->err.text[0]); /* and says so */
	}
}

static void hostile_names_cost_no_request(void **state)
{
	static const char *const folders[] = {
		"",
		"acme",
		"relu",
		".env",
		ENVS,
		".kernelfs",
		".kernelfs/owners",
		ENVS "/acme",
		".hub",
	};
	static const char *const hostile[] = {
		"",	      ".",	     "..",
		"a/b",	      "/",	     "a\nb",
		"\x01",	      "\xff\xfe",    "%2e%2e",
		"%2f",	      "a b",	     "-a",
		"a-",	      "a--b",	     "relu@",
		"relu@..",    "relu@%2e%2e", "relu@a%00b",
		"relu@-x",    "relu@a b",    "@",
		"@v1",	      "relu@@{0}",   "relu@x.lock",
		"relu@[",     "%s%n%n",	     "relu@>=1,<x",
		"torch213-",  "+sm90",	     "..+gpus",
		".why",	      "..why",	     "a..b.why",
		"a b.pinned",
	};
	struct fakeworld *f = *state;
	char longest[257]; /* one more than a name may have */

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < N(folders); i++) {
		struct node *dir = fakeworld_at(f, folders[i]);

		for (size_t k = 0; k < N(hostile); k++) {
			struct node *n = NULL;

			if (fakeworld_step(f, dir, hostile[k], &n) != -ENOENT)
				fail_msg("'%s' in '%s'", hostile[k],
					 folders[i]);
			assert_null(n);
		}
		assert_int_equal(fakeworld_step(f, dir, longest, NULL),
				 -ENAMETOOLONG);
		longest[255] = '\0';
		assert_int_equal(fakeworld_step(f, dir, longest, NULL),
				 -ENOENT);
		longest[255] = 'a';
		put(f, dir);
	}
	assert_int_equal(fake_asked_all(&f->fake), 0);
}

/* ---- listings ---- */

static void lists_the_view(void **state)
{
	static const struct {
		const char *path;
		const char *names;
	} rows[] = {
		/* the named ones first; an owner that no import can spell */
		{ "", "my_nest/ evil/ bare/ relu/ x/ .env/ .hub/ .kernelfs/ "
		      "ker-nels/ " },
		{ "relu", "__init__.py build@ " },
		{ RELU, ".kernelfs/ " STRANGE " README.md build/ docs/ "
			"python/ " },
		{ RELU "/build", BEST "/ " },
		{ RELU "/build/" BEST, "__init__.py metadata.json sub/ " },
		{ RELU "/build/" BEST "/sub", "_k.so again.py@ " },
		{ RELU "/docs", "deep/ " },
		{ RELU "/docs/deep", "b.txt " }, /* no link: no build */
		{ RELU "/python", "relu/ " },
		{ RELU "/python/relu", "__init__.py " },
		{ RELU "/.kernelfs",
		  "decision decision.json depends.json variants/ " },
		{ RELU "/.kernelfs/variants",
		  "stray.txt@ " OTHER "@ " BEST "@ " },
		{ BARE "/build", "" },
		{ NEST "/python", "my_nest/ " },
		{ ".env", "" },
		{ ENVS, "my_nest@ evil@ bare@ relu@ x@ " },
		{ ENVS "/" RELU "/build", BEST "@ " },
		{ ENVS "/" RELU "/python", "relu@ " },
		{ ".env/" ALIEN "/" RELU "/build", "" },
		{ ".kernelfs", "config door/ env log metrics owners/ status "
			       "version " },
		{ ".kernelfs/owners", "acme@ ker-nels@ zeta@ " },
		{ ".hub", "" },
		{ HUB, "refs/ snapshots/ " },
		{ HUB "/refs", "main v1 " },
		{ HUB "/snapshots", FAKE_C1 "/ " },
		{ SNAP, STRANGE "@ README.md@ build/ docs@ " },
		{ SNAP "/build", BEST "@ " },
		{ ".hub/kernels--acme--bare/snapshots/" FAKE_C3 "/build", "" },
	};
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		struct node *n = fakeworld_at(f, rows[i].path);
		struct text t = TEXT_INIT(4096);
		int r = fakeworld_list(f, n, &t);

		if (r != 0 || strcmp(text_str(&t), rows[i].names) != 0)
			fail_msg("'%s': %d: '%s' and not '%s'", rows[i].path, r,
				 text_str(&t), rows[i].names);
		text_done(&t);
		put(f, n);
	}
}

/* Bytecode is there for the Pythons that were there when this was built. */
static void lists_the_pieces_of_the_door(void **state)
{
	struct fakeworld *f = *state;
	struct node *n = fakeworld_at(f, ".kernelfs/door");
	struct text t = TEXT_INIT(4096);
	size_t count = 0;

	text_add_char(&t, ' ');
	assert_int_equal(fakeworld_list(f, n, &t), 0);
	for (size_t i = 0; door_file_at(i); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), " %s ",
			       door_file_at(i)->name);
		if (!strstr(text_str(&t), name))
			fail_msg("'%s' is not in '%s'", name, text_str(&t));
		count++;
	}
	for (const char *p = text_str(&t) + 1; (p = strchr(p, ' ')); p++)
		count--;
	assert_int_equal(count, 0);
	text_done(&t);
	put(f, n);
}

static void lists_an_owner_with_what_was_decided(void **state)
{
	struct fakeworld *f = *state;
	struct node *n = fakeworld_at(f, "acme");
	struct text t = TEXT_INIT(4096);

	assert_int_equal(fakeworld_list(f, n, &t), 0);
	assert_string_equal(text_str(&t), "bare@ my-nest@ relu@ ");
	assert_int_equal(fake_asked_all(&f->fake), 0);
	put(f, fakeworld_at(f, "acme/relu@v1"));
	put(f, fakeworld_at(f, BARE));
	text_clear(&t);
	assert_int_equal(fakeworld_list(f, n, &t), 0);
	assert_string_equal(text_str(&t),
			    "bare@ bare@" FAKE_C3
			    "/ my-nest@ relu@ relu@" FAKE_C1 "/ relu@v1@ ");
	text_done(&t);
	put(f, n);
}

static void does_not_list_what_may_not_be_used(void **state)
{
	struct fakeworld *f = *state;
	struct node *n = fakeworld_at(f, EVIL "/build");
	struct text t = TEXT_INIT(4096);

	assert_int_equal(fakeworld_list(f, n, &t), -EACCES);
	says(f->err.text, "trust=zeta");
	assert_string_equal(text_str(&t), "");
	put(f, n);
	n = fakeworld_at(f, "acme/relu");
	assert_int_equal(fakeworld_list(f, n, &t), -ENOTDIR);
	text_done(&t);
	put(f, n);
}

struct paging {
	char names[64][64];
	unsigned count;
	unsigned page; /* so many at once */
	uint64_t next;
};

static bool emit_page(void *arg, const char *name, enum view_type type,
		      uint64_t ino, uint64_t next)
{
	struct paging *p = arg;

	(void)type;
	(void)ino;
	if (!p->page)
		return false; /* no room: this one comes again */
	p->page--;
	assert_true(p->count < N(p->names));
	for (unsigned i = 0; i < p->count; i++)
		if (!strcmp(p->names[i], name))
			fail_msg("'%s' twice", name);
	(void)snprintf(p->names[p->count++], sizeof(p->names[0]), "%s", name);
	p->next = next;
	return true;
}

static bool paged(const struct paging *p, const char *name)
{
	for (unsigned i = 0; i < p->count; i++)
		if (!strcmp(p->names[i], name))
			return true;
	return false;
}

/* Read on from where the last page ended, until nothing comes. */
static void page_on(struct fakeworld *f, struct node *dir, struct paging *p,
		    unsigned size)
{
	unsigned before;

	do {
		before = p->count;
		p->page = size;
		assert_int_equal(view_list(f->view, dir, p->next, NULL,
					   emit_page, p, &f->err),
				 0);
	} while (p->count > before);
}

struct finding {
	struct fakeworld *f;
	struct node *dir;
	unsigned count;
};

static bool find_both_ways(void *arg, const char *name, enum view_type type,
			   uint64_t ino, uint64_t next)
{
	struct finding *w = arg;
	struct node *listed = NULL, *looked_up = NULL;

	(void)type;
	(void)ino;
	assert_int_equal(
		view_lookup_listed(w->f->view, w->dir, name, next, &listed), 0);
	assert_int_equal(
		view_lookup(w->f->view, w->dir, name, NULL, &looked_up, NULL),
		0);
	assert_string_equal(listed->name, name);
	assert_ptr_equal(listed, looked_up);
	if (listed->tree && listed->entry != TREE_NONE) {
		struct tree_entry e;

		tree_get(listed->tree, listed->entry, &e);
		assert_string_equal(e.name, name);
	}
	put(w->f, listed);
	put(w->f, looked_up);
	w->count++;
	return true;
}

static void a_listed_name_is_the_one_that_a_lookup_finds(void **state)
{
	static const struct {
		const char *path;
		unsigned count;
	} rows[] = {
		{ RELU "/build/" BEST, 3 },
		{ RELU "/build/" BEST "/sub", 2 },
		{ RELU "/docs", 1 },
		{ RELU, 6 },
	};

	for (size_t i = 0; i < N(rows); i++) {
		struct finding w = { .f = *state };

		struct text t = TEXT_INIT(4096);

		w.dir = fakeworld_at(w.f, rows[i].path);
		assert_int_equal(fakeworld_list(w.f, w.dir, &t), 0);
		text_done(&t);
		assert_int_equal(view_list(w.f->view, w.dir, 0, NULL,
					   find_both_ways, &w, NULL),
				 0);
		assert_int_equal(w.count, rows[i].count);
		put(w.f, w.dir);
	}
}

/* lseek() on a folder takes any number. */
static void no_offset_lists_what_is_in_another_folder(void **state)
{
	static const char *const paths[] = {
		RELU "/build/" BEST,
		RELU "/build/" BEST "/sub",
	};
	struct finding w = { .f = *state };

	for (size_t i = 0; i < N(paths); i++) {
		w.dir = fakeworld_at(w.f, paths[i]);
		for (uint64_t at = 0; at < 16; at++)
			assert_int_equal(view_list(w.f->view, w.dir, at, NULL,
						   find_both_ways, &w, NULL),
					 0);
		put(w.f, w.dir);
	}
	assert_true(w.count > 0);
}

static void goes_on_where_a_listing_stopped(void **state)
{
	static const struct {
		const char *path;
		unsigned count;
	} rows[] = {
		{ "", 9 },
		{ RELU, 6 },
		{ RELU "/build/" BEST, 3 },
		{ RELU "/docs", 1 },
		{ ".kernelfs", 8 },
		{ RELU "/.kernelfs/variants", 3 },
	};
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		struct node *n = fakeworld_at(f, rows[i].path);
		struct text t = TEXT_INIT(4096);

		assert_int_equal(fakeworld_list(f, n, &t), 0); /* known now */
		text_done(&t);
		for (unsigned size = 1; size < 4; size++) {
			struct paging p = { .count = 0 };

			page_on(f, n, &p, size);
			assert_int_equal(p.count, rows[i].count);
		}
		put(f, n);
	}
}

static void lists_on_when_names_have_joined(void **state)
{
	struct fakeworld *f = *state; /* no list has come yet */

	for (unsigned first = 1; first < 5; first++) {
		struct paging p = { .page = first };
		struct node *root;

		fakeworld_stop(f);
		f->fake.fails[FAKE_KERNELS] = 0;
		scratch_remove(f->options.cache);
		fakeworld_start(f, imports, N(imports));
		root = fakeworld_at(f, "");
		assert_int_equal(
			view_list(f->view, root, 0, NULL, emit_page, &p, NULL),
			0);
		assert_int_equal(p.count, first);
		assert_false(paged(&p, "bare"));
		names_start(f->world->names, FAKEWORLD_WAIT_MS);
		page_on(f, root, &p, 1);
		/* What was there all the time, each once. */
		assert_true(paged(&p, "my_nest") && paged(&p, "evil"));
		assert_true(paged(&p, ".env") && paged(&p, ".kernelfs"));
		assert_true(paged(&p, "ker-nels"));
		put(f, root);
	}
}

/* ---- what walking costs ---- */

static void looking_at_the_root_asks_nobody(void **state)
{
	static const char *const paths[] = {
		"",
		"relu",
		"my_nest",
		"bare",
		"relu/__init__.py",
		"relu/build",
		"acme",
		"acme/relu",
		"acme/bare",
		".env",
		ENVS,
		ENVS "/relu.why",
		".kernelfs",
		".kernelfs/owners",
		".kernelfs/owners/acme",
		".kernelfs/door/core.py",
	};
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(paths); i++) {
		struct node *n = fakeworld_at(f, paths[i]);
		struct text t = TEXT_INIT(1 << 16);
		struct view_attr a;

		view_attr(f->view, n, &a);
		if (a.type == VIEW_DIR)
			assert_int_equal(fakeworld_list(f, n, &t), 0);
		else if (a.type == VIEW_FILE && n->kind != NODE_WHY)
			assert_int_equal(fakeworld_read(f, n, &t), 0);
		text_done(&t);
		put(f, n);
	}
	assert_int_equal(fake_asked_all(&f->fake), 0);
}

/* ---- waiting ---- */

static void calls_who_waits_once(void **state)
{
	struct fakeworld *f = *state;
	struct node *owner = fakeworld_at(f, "acme"), *n = NULL;
	struct fakeworld_wait stays, leaves;

	fakeworld_wait_init(&stays);
	fakeworld_wait_init(&leaves);
	fake_gate(&f->fake, true);
	assert_int_equal(view_lookup(f->view, owner, "relu@v1", NULL, &n, NULL),
			 -EINPROGRESS);
	assert_int_equal(fake_asked_all(&f->fake), 0);
	assert_int_equal(
		view_lookup(f->view, owner, "relu@v1", &stays.wait, &n, NULL),
		-EINPROGRESS);
	assert_int_equal(
		view_lookup(f->view, owner, "relu@v1", &leaves.wait, &n, NULL),
		-EINPROGRESS);
	assert_true(fake_await(&f->fake, 1));
	assert_true(view_cancel(f->view, &leaves.wait));
	assert_false(view_cancel(f->view, &leaves.wait));
	assert_null(n);
	fake_gate(&f->fake, false);
	assert_true(latch_wait(&stays.called, 1));
	assert_int_equal(stays.result, 0);
	assert_int_equal(latch_count(&leaves.called), 0);
	assert_int_equal(view_lookup(f->view, owner, "relu@v1", NULL, &n, NULL),
			 0);
	put(f, n);
	put(f, owner);
}

static void waits_for_bytes_and_can_be_told_to_stop(void **state)
{
	struct fakeworld *f = *state;
	struct node *n = fakeworld_at(f, RELU "/README.md");
	struct fakeworld_wait w;
	int fd = -1;

	assert_int_equal(view_open(f->view, n, NULL, &fd, NULL), -EINPROGRESS);
	fake_gate(&f->fake, true);
	fakeworld_wait_init(&w);
	assert_int_equal(view_open(f->view, n, &w.wait, &fd, NULL),
			 -EINPROGRESS);
	assert_true(w.wait.for_bytes);
	assert_true(view_cancel(f->view, &w.wait));
	fakeworld_wait_init(&w);
	assert_int_equal(view_open(f->view, n, &w.wait, &fd, NULL),
			 -EINPROGRESS);
	fake_gate(&f->fake, false);
	assert_true(latch_wait(&w.called, 1));
	assert_int_equal(w.result, 0);
	assert_int_equal(view_open(f->view, n, NULL, &fd, NULL), 0);
	assert_true(fd >= 0);
	(void)close(fd);
	put(f, n);
}

static void a_failure_of_the_source_is_an_answer(void **state)
{
	struct fakeworld *f = *state;
	struct node *n = NULL;

	f->fake.fails[FAKE_REFS] = -EIO;
	assert_int_equal(fakeworld_walk(f, "acme/relu@v1", &n), -EIO);
	says(f->err.text, "told to fail");
	f->fake.fails[FAKE_TREE] = -ETIMEDOUT;
	assert_int_equal(fakeworld_walk(f, RELU, &n), -ETIMEDOUT);
	assert_null(n);
}

/* A list that comes makes an import name of what was an owner. */
static void an_owner_may_become_an_import_name(void **state)
{
	struct fakeworld *f = *state; /* no list has come yet */
	struct node *owner = fakeworld_at(f, "relu");
	struct node *import;

	assert_int_equal(owner->kind, NODE_OWNER);
	names_start(f->world->names, FAKEWORLD_WAIT_MS);
	import = fakeworld_at(f, "relu");
	assert_int_equal(import->kind, NODE_IMPORT);
	put(f, import);
	put(f, owner);
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define early(f) cmocka_unit_test_setup_teardown(f, setup_early, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(has_every_kind_of_node),
		unit(numbers_its_nodes_alike_on_the_next_mount),
		unit(has_no_other_names),
		unit(hostile_names_cost_no_request),
		unit(lists_the_view),
		unit(lists_the_pieces_of_the_door),
		unit(lists_an_owner_with_what_was_decided),
		unit(does_not_list_what_may_not_be_used),
		unit(a_listed_name_is_the_one_that_a_lookup_finds),
		unit(no_offset_lists_what_is_in_another_folder),
		unit(goes_on_where_a_listing_stopped),
		early(lists_on_when_names_have_joined),
		unit(looking_at_the_root_asks_nobody),
		unit(calls_who_waits_once),
		unit(waits_for_bytes_and_can_be_told_to_stop),
		unit(a_failure_of_the_source_is_an_answer),
		early(an_owner_may_become_an_import_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
