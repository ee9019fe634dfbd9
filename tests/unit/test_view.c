/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/view.h"

#include "fakeworld.h"
#include "kernels/http_load.h"
#include "fs/door.h"
#include "kernels/tree.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define SPEC FAKEWORLD_SPEC
#define BEST "torch213-cxx11-cpu-x86_64-linux"
#define OTHER "torch212-cxx11-cpu-x86_64-linux"
#define ALIEN "torch999-cxx11-cpu-x86_64-linux"
#define RELU "acme/relu@" FAKE_C1
#define NEST "acme/my-nest@" FAKE_C2
#define BARE "acme/bare@" FAKE_C3
#define EVIL "zeta/evil@" FAKE_C1
#define STRANGE "100% \"x\" \xff\xfe"

static const struct fake_file files[] = {
	{ "acme/relu", FAKE_C1, "README.md", "read me" },
	{ "acme/relu", FAKE_C1, STRANGE, "strange" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/__init__.py", "x = 1" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/metadata.json",
	  FAKE_METADATA },
	{ "acme/relu", FAKE_C1, "build/" BEST "/sub/_k.so", "library" },
	{ "acme/relu", FAKE_C1, "build/" OTHER "/__init__.py", "x = 1" },
	{ "acme/relu", FAKE_C1, "build/stray.txt", "no build" },
	{ "acme/relu", FAKE_C1, "docs/deep/b.txt", "deep" },
	{ "acme/my-nest", FAKE_C2, "build/" BEST "/metadata.json",
	  FAKE_METADATA },
	{ "acme/my-nest", FAKE_C2, "build/" BEST "/my_nest/__init__.py",
	  "y = 1" },
	{ "acme/bare", FAKE_C3, "README.md", "read me" },
	{ "zeta/evil", FAKE_C1, "build/" BEST "/__init__.py", "evil" },
	{ "zeta/evil", FAKE_C1, "build/" BEST "/metadata.json",
	  FAKE_METADATA },
	{ NULL, NULL, NULL, NULL },
};

static const struct fake_ref refs[] = {
	{ "acme/relu", "v1", FAKE_C1, false },
	{ "acme/relu", "main", FAKE_C1, false },
	{ "acme/my-nest", "main", FAKE_C2, false },
	{ "acme/bare", "main", FAKE_C3, false },
	{ "zeta/evil", "main", FAKE_C1, false },
	{ "ker-nels/x", "main", FAKE_C1, false },
	{ "relu/owned", "main", FAKE_C1, false },
	{ NULL, NULL, NULL, false },
};

static const char *const imports[] = { "acme", "acme/my-nest@main",
				       "ker-nels", "zeta/evil" };

static int setup_early(void **state)
{
	*state = fakeworld_new(files, refs, imports, N(imports));
	return 0;
}

static int setup(void **state)
{
	struct fakeworld *f;

	(void)setup_early(state);
	f = *state;
	names_start(f->world->names, FAKEWORLD_WAIT_MS);
	fake_forget(&f->fake);
	return 0;
}

static int teardown(void **state)
{
	fakeworld_free(*state);
	return 0;
}

static void put(struct fakeworld *f, struct node *n)
{
	inode_put(view_inodes(f->view), n);
}

static void says(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' does not say '%s'", text, what);
}

/* ---- what is there ---- */

#define ENVS ".env/" SPEC

static const struct row {
	const char *path;
	enum node_kind kind;
	enum view_type type;
	bool forever;
} there[] = {
	{ "", NODE_ROOT, VIEW_DIR, false },
	{ "relu", NODE_IMPORT, VIEW_DIR, false },
	{ "relu/__init__.py", NODE_STUB, VIEW_FILE, true },
	{ "relu/build", NODE_BUILD_LINK, VIEW_LINK, false },
	{ "my_nest", NODE_IMPORT, VIEW_DIR, false },
	{ "acme", NODE_OWNER, VIEW_DIR, false },
	{ "acme/relu", NODE_REPO, VIEW_LINK, false },
	{ "acme/relu@v1", NODE_REPO, VIEW_LINK, false },
	{ "acme/relu@1", NODE_REPO, VIEW_LINK, false },
	{ "acme/relu@main", NODE_REPO, VIEW_LINK, false },
	{ "acme/relu@latest", NODE_REPO, VIEW_LINK, false },
	{ RELU, NODE_COMMIT, VIEW_DIR, true },
	{ RELU "/README.md", NODE_FILE, VIEW_FILE, true },
	{ RELU "/" STRANGE, NODE_FILE, VIEW_FILE, true },
	{ RELU "/docs", NODE_FOLDER, VIEW_DIR, true },
	{ RELU "/docs/deep", NODE_FOLDER, VIEW_DIR, true },
	{ RELU "/docs/deep/b.txt", NODE_FILE, VIEW_FILE, true },
	{ RELU "/build", NODE_BUILDS, VIEW_DIR, true },
	{ RELU "/build/" BEST, NODE_VARIANT, VIEW_DIR, true },
	{ RELU "/build/" OTHER, NODE_VARIANT, VIEW_DIR, true },
	{ RELU "/build/stray.txt", NODE_FILE, VIEW_FILE, true },
	{ RELU "/build/" BEST "/__init__.py", NODE_FILE, VIEW_FILE, true },
	{ RELU "/build/" BEST "/sub", NODE_VARIANT, VIEW_DIR, true },
	{ RELU "/build/" BEST "/sub/_k.so", NODE_FILE, VIEW_FILE, true },
	{ RELU "/python", NODE_PYTHON, VIEW_DIR, true },
	{ RELU "/python/relu", NODE_PACKAGE, VIEW_DIR, true },
	{ RELU "/python/relu/__init__.py", NODE_STUB, VIEW_FILE, true },
	{ RELU "/.kernelfs", NODE_COMMIT_CTL, VIEW_DIR, true },
	{ RELU "/.kernelfs/decision", NODE_DECISION, VIEW_FILE, true },
	{ RELU "/.kernelfs/decision.json", NODE_DECISION_JSON, VIEW_FILE,
	  true },
	{ RELU "/.kernelfs/variants", NODE_VARIANTS, VIEW_DIR, true },
	{ RELU "/.kernelfs/variants/" OTHER, NODE_LINK, VIEW_LINK, true },
	{ BARE "/build", NODE_BUILDS, VIEW_DIR, true },
	{ ".env", NODE_ENVS, VIEW_DIR, true },
	{ ENVS, NODE_SPEC, VIEW_DIR, false },
	{ ENVS "/relu", NODE_LINK, VIEW_LINK, false },
	{ ENVS "/relu.why", NODE_WHY, VIEW_FILE, false },
	{ ENVS "/my_nest.pinned", NODE_PINNED, VIEW_FILE, false },
	{ ENVS "/acme", NODE_OWNER, VIEW_DIR, false },
	{ ENVS "/" RELU, NODE_COMMIT, VIEW_DIR, true },
	{ ENVS "/" RELU "/README.md", NODE_LINK, VIEW_LINK, true },
	{ ENVS "/" RELU "/build/" BEST, NODE_LINK, VIEW_LINK, true },
	{ ENVS "/" RELU "/python/relu", NODE_LINK, VIEW_LINK, true },
	{ ENVS "/" RELU "/python/relu.why", NODE_WHY, VIEW_FILE, false },
	{ ENVS "/" RELU "/.kernelfs/decision", NODE_DECISION, VIEW_FILE,
	  true },
	{ ".env/" SPEC "+py311+sm90", NODE_LINK, VIEW_LINK, true },
	{ ".kernelfs", NODE_CTL, VIEW_DIR, true },
	{ ".kernelfs/status", NODE_CTL_FILE, VIEW_FILE, false },
	{ ".kernelfs/owners", NODE_OWNERS, VIEW_DIR, false },
	{ ".kernelfs/owners/acme", NODE_LINK, VIEW_LINK, false },
	{ ".kernelfs/door", NODE_DOOR_DIR, VIEW_DIR, true },
	{ ".kernelfs/door/core.py", NODE_DOOR_CORE, VIEW_FILE, true },
};

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
		{ EVIL "/build/" BEST, -EACCES },
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
		"", "acme", "relu", ".env", ENVS, ".kernelfs",
		".kernelfs/owners", ENVS "/acme",
	};
	static const char *const hostile[] = {
		"", ".", "..", "a/b", "/", "a\nb", "\x01", "\xff\xfe",
		"%2e%2e", "%2f", "a b", "-a", "a-", "a--b", "relu@",
		"relu@..", "relu@%2e%2e", "relu@a%00b", "relu@-x", "relu@a b",
		"@", "@v1", "relu@@{0}", "relu@x.lock", "relu@[", "%s%n%n",
		"relu@>=1,<2", "torch213-", "+sm90", "..+gpus", ".why",
		"..why", "a..b.why", "a b.pinned",
	};
	struct fakeworld *f = *state;
	char longest[257]; /* one more than a name may have */

	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	for (size_t i = 0; i < N(folders); i++) {
		struct node *dir = fakeworld_at(f, folders[i]);

		for (size_t k = 0; k < N(hostile); k++) {
			struct node *n = NULL;

			if (fakeworld_step(f, dir, hostile[k], &n) !=
			    -ENOENT)
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
		{ "", "my_nest/ evil/ bare/ relu/ x/ .env/ .kernelfs/ "
		      "ker-nels/ " },
		{ "relu", "__init__.py build@ " },
		{ RELU, ".kernelfs/ " STRANGE " README.md build/ docs/ "
			"python/ " },
		{ RELU "/build", BEST "/ " },
		{ RELU "/build/" BEST, "__init__.py metadata.json sub/ " },
		{ RELU "/build/" BEST "/sub", "_k.so " },
		{ RELU "/docs", "deep/ " },
		{ RELU "/docs/deep", "b.txt " },
		{ RELU "/python", "relu/ " },
		{ RELU "/python/relu", "__init__.py " },
		{ RELU "/.kernelfs", "decision decision.json variants/ " },
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
		{ ".kernelfs/door", "core.py " },
	};
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		struct node *n = fakeworld_at(f, rows[i].path);
		struct text t = TEXT_INIT(4096);
		int r = fakeworld_list(f, n, &t);

		if (r != 0 || strcmp(text_str(&t), rows[i].names) != 0)
			fail_msg("'%s': %d: '%s' and not '%s'", rows[i].path,
				 r, text_str(&t), rows[i].names);
		text_done(&t);
		put(f, n);
	}
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
			    "bare@ bare@" FAKE_C3 "/ my-nest@ relu@ relu@"
			    FAKE_C1 "/ relu@v1@ ");
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
					   emit_page, p, &f->err), 0);
	} while (p->count > before);
}

static void goes_on_where_a_listing_stopped(void **state)
{
	static const struct {
		const char *path;
		unsigned count;
	} rows[] = {
		{ "", 8 }, { RELU, 6 }, { RELU "/build/" BEST, 3 },
		{ RELU "/docs", 1 }, { ".kernelfs", 8 },
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
		assert_int_equal(view_list(f->view, root, 0, NULL, emit_page,
					   &p, NULL), 0);
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

/* ---- links ---- */

/* "a/b" + "../c" = "a/c" */
static void join(char out[4096], const char *folder, const char *target)
{
	(void)snprintf(out, 4096, "%s", folder);
	while (!strncmp(target, "../", 3)) {
		char *slash = strrchr(out, '/');

		if (!slash)
			slash = out;
		else
			assert_true(slash > out);
		*slash = '\0';
		target += 3;
	}
	(void)snprintf(out + strlen(out), 4096 - strlen(out), "/%s", target);
}

static void links_lead_to_what_is_there(void **state)
{
	static const struct {
		const char *folder;
		const char *name;
		const char *target;
	} rows[] = {
		{ "relu", "build", "../" RELU "/build" },
		{ "my_nest", "build", "../" NEST "/build" },
		{ "acme", "relu", "relu@v1" },
		{ "acme", "my-nest", "my-nest@main" },
		{ "acme", "relu@v1", "relu@" FAKE_C1 },
		{ "acme", "relu@1", "relu@" FAKE_C1 },
		{ "acme", "relu@latest", "relu@" FAKE_C1 },
		{ RELU "/.kernelfs/variants", OTHER, "../../build/" OTHER },
		{ ".env", SPEC "+sm90+sm80", SPEC "+sm80+sm90" },
		{ ENVS, "relu", "../../" RELU "/build/" BEST },
		{ ENVS, "my_nest", "../../" NEST "/build/" BEST "/my_nest" },
		{ ENVS "/acme", "relu", "relu@v1" },
		{ ENVS "/" RELU, "README.md",
		  "../../../../" RELU "/README.md" },
		{ ENVS "/" RELU, "docs", "../../../../" RELU "/docs" },
		{ ENVS "/" RELU "/build", OTHER,
		  "../../../../../" RELU "/build/" OTHER },
		{ ENVS "/" RELU "/python", "relu",
		  "../../../../../" RELU "/build/" BEST },
		{ ENVS "/" NEST "/python", "my_nest",
		  "../../../../../" NEST "/build/" BEST "/my_nest" },
		{ ".kernelfs/owners", "acme", "../../acme" },
	};
	struct fakeworld *f = *state;

	for (int round = 0; round < 2; round++) /* undecided, decided */
		for (size_t i = 0; i < N(rows); i++) {
			char path[4096];
			struct text t = TEXT_INIT(4096);
			struct view_attr a;
			struct node *n;

			(void)snprintf(path, sizeof(path), "%s/%s",
				       rows[i].folder, rows[i].name);
			n = fakeworld_at(f, path);
			if (fakeworld_readlink(f, n, &t) != 0)
				fail_msg("%s: %s", path, err_text(&f->err));
			assert_string_equal(text_str(&t), rows[i].target);
			view_attr(f->view, n, &a);
			if (a.size || round)
				assert_int_equal(a.size, t.len);
			put(f, n);
			join(path, rows[i].folder, text_str(&t));
			put(f, fakeworld_at(f, path));
			text_done(&t);
		}
}

static void is_no_link(void **state)
{
	static const char *const rows[] = { "relu", RELU "/README.md", "" };
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		struct node *n = fakeworld_at(f, rows[i]);
		struct text t = TEXT_INIT(64);

		assert_int_equal(fakeworld_readlink(f, n, &t), -EINVAL);
		text_done(&t);
		put(f, n);
	}
}

/* ---- content ---- */

static void holds(struct fakeworld *f, const char *path, const char *want,
		  size_t len)
{
	struct node *n = fakeworld_at(f, path);
	struct text t = TEXT_INIT(1 << 20);
	struct view_attr a;

	if (fakeworld_read(f, n, &t) != 0)
		fail_msg("%s: %s", path, err_text(&f->err));
	assert_int_equal(t.len, len);
	assert_memory_equal(text_str(&t), want, len);
	view_attr(f->view, n, &a);
	assert_int_equal(a.size, len);
	assert_true(view_is_constant(n));
	text_done(&t);
	put(f, n);
}

static void reads_what_the_source_holds(void **state)
{
	struct fakeworld *f = *state;

	for (int round = 0; round < 2; round++) {
		holds(f, RELU "/README.md", "read me", 7);
		holds(f, RELU "/build/" BEST "/sub/_k.so", "library", 7);
		holds(f, RELU "/build/stray.txt", "no build", 8);
		holds(f, RELU "/" STRANGE, "strange", 7);
		holds(f, "relu/__init__.py", door_stub()->text,
		      door_stub()->len);
		holds(f, RELU "/python/relu/__init__.py", door_stub()->text,
		      door_stub()->len);
		holds(f, ".kernelfs/door/core.py", door_core()->text,
		      door_core()->len);
	}
}

static uint64_t ino_of(struct fakeworld *f, const char *path)
{
	struct node *n = fakeworld_at(f, path);
	struct view_attr a;

	view_attr(f->view, n, &a);
	put(f, n);
	return a.ino;
}

static void the_same_bytes_are_the_same_inode(void **state)
{
	struct fakeworld *f = *state;

	assert_true(ino_of(f, RELU "/README.md") ==
		    ino_of(f, BARE "/README.md"));
	assert_true(ino_of(f, RELU "/build/" BEST "/__init__.py") ==
		    ino_of(f, RELU "/build/" OTHER "/__init__.py"));
	assert_true(ino_of(f, RELU "/README.md") !=
		    ino_of(f, RELU "/docs/deep/b.txt"));
	assert_true(ino_of(f, "relu/__init__.py") ==
		    ino_of(f, "my_nest/__init__.py"));
	assert_true(ino_of(f, RELU "/docs") != ino_of(f, RELU "/docs/deep"));
}

static void never_hands_out_wrong_bytes(void **state)
{
	struct fakeworld *f = *state;
	struct node *n = fakeworld_at(f, RELU "/README.md");
	struct text t = TEXT_INIT(64);

	f->fake.wrong_bytes = true;
	assert_int_equal(fakeworld_read(f, n, &t), -EBADMSG);
	assert_int_equal(t.len, 0);
	text_done(&t);
	put(f, n);
	assert_int_equal(fakeworld_walk(f, ENVS "/relu", &n), -EBADMSG);
}

static char *content(struct fakeworld *f, const char *path)
{
	struct node *n = fakeworld_at(f, path);
	struct text t = TEXT_INIT(1 << 20);

	if (fakeworld_read(f, n, &t) != 0)
		fail_msg("%s: %s", path, err_text(&f->err));
	assert_false(view_is_constant(n));
	put(f, n);
	return text_take(&t);
}

static void tells_its_decisions(void **state)
{
	static const struct {
		const char *path;
		const char *says[3];
	} rows[] = {
		{ RELU "/.kernelfs/decision", { "acme/relu", BEST, OTHER } },
		{ RELU "/.kernelfs/decision.json",
		  { "\"/kernels/" RELU "/build/" BEST "\"", "\"" SPEC,
		    "\"reason\"" } },
		{ NEST "/.kernelfs/decision.json",
		  { "/build/" BEST "/my_nest\"", "\"my_nest\"", "" } },
		{ ".env/" ALIEN "/" RELU "/.kernelfs/decision",
		  { ALIEN, "none", "" } },
		{ ".env/" ALIEN "/relu.why",
		  { "acme/relu@v1: no build fits", "environment: " ALIEN,
		    BEST } },
		{ ".env/" ALIEN "/" RELU "/python/relu.why",
		  { "acme/relu@", "no build fits", BEST } },
		{ ENVS "/bare.why", { "this revision has no builds", "", "" } },
		{ ENVS "/evil.why",
		  { "'zeta' is not trusted", "trust=zeta", BEST } },
		{ EVIL "/.kernelfs/decision", { "not trusted", BEST, "" } },
		{ ".kernelfs/version", { "kernelfs ", "", "" } },
	};
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		char *s = content(f, rows[i].path);

		for (size_t k = 0; k < N(rows[i].says); k++)
			if (rows[i].says[k])
				says(s, rows[i].says[k]);
		free(s);
	}
}

static void a_why_tells_of_the_source_too(void **state)
{
	struct fakeworld *f = *state;
	char *s;

	f->fake.fails[FAKE_REFS] = -EIO;
	s = content(f, ENVS "/relu.why");
	says(s, "told to fail");
	says(s, "acme/relu");
	says(s, SPEC);
	free(s);
}

/* ---- what walking costs ---- */

static void looking_at_the_root_asks_nobody(void **state)
{
	static const char *const paths[] = {
		"", "relu", "my_nest", "bare", "relu/__init__.py",
		"relu/build", "acme", "acme/relu", "acme/bare", ".env", ENVS,
		ENVS "/relu.why", ".kernelfs", ".kernelfs/owners",
		".kernelfs/owners/acme", ".kernelfs/door/core.py",
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
	assert_int_equal(view_lookup(f->view, owner, "relu@v1", NULL, &n,
				     NULL), -EINPROGRESS);
	assert_int_equal(fake_asked_all(&f->fake), 0);
	assert_int_equal(view_lookup(f->view, owner, "relu@v1", &stays.wait,
				     &n, NULL), -EINPROGRESS);
	assert_int_equal(view_lookup(f->view, owner, "relu@v1", &leaves.wait,
				     &n, NULL), -EINPROGRESS);
	assert_true(fake_await(&f->fake, 1));
	assert_true(view_cancel(f->view, &leaves.wait));
	assert_false(view_cancel(f->view, &leaves.wait));
	assert_null(n);
	fake_gate(&f->fake, false);
	assert_true(latch_wait(&stays.called, 1));
	assert_int_equal(stays.result, 0);
	assert_int_equal(latch_count(&leaves.called), 0);
	assert_int_equal(view_lookup(f->view, owner, "relu@v1", NULL, &n,
				     NULL), 0);
	put(f, n);
	put(f, owner);
}

static void waits_for_bytes_and_can_be_told_to_stop(void **state)
{
	struct fakeworld *f = *state;
	struct node *n = fakeworld_at(f, RELU "/README.md");
	struct fakeworld_wait w;
	int fd = -1;

	assert_int_equal(view_open(f->view, n, NULL, &fd, NULL),
			 -EINPROGRESS);
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

/* ---- extended attributes ---- */

static void is_xattr(struct fakeworld *f, const char *path, const char *name,
		     const char *want)
{
	struct node *n = fakeworld_at(f, path);
	struct text t = TEXT_INIT(4096);
	char full[64];
	int r;

	(void)snprintf(full, sizeof(full), "user.kernelfs.%s", name);
	r = fakeworld_xattr(f, n, full, &t);
	if (!want && r != -ENODATA)
		fail_msg("%s of '%s': %d", name, path, r);
	if (want && (r != 0 || strcmp(text_str(&t), want) != 0))
		fail_msg("%s of '%s': %d: '%s' and not '%s'", name, path, r,
			 text_str(&t), want);
	text_done(&t);
	put(f, n);
}

static void says_of_each_node_what_it_is(void **state)
{
	static const struct {
		const char *path;
		const char *name;
		const char *want; /* NULL: none */
	} rows[] = {
		{ RELU, "repo", "acme/relu" },
		{ RELU "/README.md", "commit", FAKE_C1 },
		{ RELU "/python/relu", "source", FAKE_URL },
		{ RELU "/build/" BEST, "variant", BEST },
		{ RELU "/build/" BEST "/sub/_k.so", "variant", BEST },
		{ RELU "/build/" BEST "/sub", "reason", "chosen" },
		{ RELU, "revision", FAKE_C1 },
		{ RELU, "variant", NULL },
		{ RELU, "hash", NULL },
		{ RELU, "nothing", NULL },
		{ RELU, "", NULL },
		{ RELU "/docs", "state", NULL },
		{ RELU "/README.md", "reason", NULL },
		{ "acme", "repo", NULL },
		{ "", "repo", NULL },
		{ "relu/__init__.py", "repo", NULL },
		{ RELU "/README.md", "state", "remote" },
		{ RELU "/build/" OTHER, "state", "remote" },
	};
	struct fakeworld *f = *state;
	struct node *n;
	struct text t = TEXT_INIT(4096);

	for (size_t i = 0; i < N(rows); i++)
		is_xattr(f, rows[i].path, rows[i].name, rows[i].want);
	put(f, fakeworld_at(f, "acme/relu@v1"));
	is_xattr(f, RELU, "revision", "v1");
	holds(f, RELU "/README.md", "read me", 7);
	is_xattr(f, RELU "/README.md", "state", "verified");
	holds(f, RELU "/build/" OTHER "/__init__.py", "x = 1", 5);
	is_xattr(f, RELU "/build/" OTHER, "state", "verified");
	n = fakeworld_at(f, RELU "/build/" OTHER);
	assert_int_equal(fakeworld_xattr(f, n, "user.kernelfs.reason", &t), 0);
	says(text_str(&t), "2.12");
	text_clear(&t);
	assert_int_equal(fakeworld_xattr(f, n, "security.selinux", &t),
			 -ENODATA);
	assert_int_equal(fakeworld_xattr(f, n, "user.kernelfs", &t), -ENODATA);
	text_done(&t);
	put(f, n);
}

static void names_only_attributes_that_it_has(void **state)
{
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(there); i++) {
		struct node *n = fakeworld_at(f, there[i].path);
		struct text t = TEXT_INIT(4096);

		view_xattr_names(n, &t);
		for (size_t at = 0; at < t.len; at += strlen(t.s + at) + 1) {
			struct text value = TEXT_INIT(4096);

			if (fakeworld_xattr(f, n, t.s + at, &value) != 0 ||
			    !value.len)
				fail_msg("%s of '%s'", t.s + at,
					 there[i].path);
			text_done(&value);
		}
		text_done(&t);
		put(f, n);
	}
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
		unit(lists_an_owner_with_what_was_decided),
		unit(does_not_list_what_may_not_be_used),
		unit(goes_on_where_a_listing_stopped),
		early(lists_on_when_names_have_joined),
		unit(links_lead_to_what_is_there),
		unit(is_no_link),
		unit(reads_what_the_source_holds),
		unit(the_same_bytes_are_the_same_inode),
		unit(never_hands_out_wrong_bytes),
		unit(tells_its_decisions),
		unit(a_why_tells_of_the_source_too),
		unit(looking_at_the_root_asks_nobody),
		unit(calls_who_waits_once),
		unit(waits_for_bytes_and_can_be_told_to_stop),
		unit(a_failure_of_the_source_is_an_answer),
		early(an_owner_may_become_an_import_name),
		unit(says_of_each_node_what_it_is),
		unit(names_only_attributes_that_it_has),
	};
	int failed;

	if (!http_load(NULL))
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	return failed;
}
