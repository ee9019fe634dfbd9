/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_VIEWED_H
#define UNIT_VIEWED_H

/*
 * Three kernels of a trusted owner and one of a stranger, and a view of them.
 */

#include "fakeworld.h"
#include "fs/door.h"
#include "fs/view.h"
#include "kernels/http/http_load.h"
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
#define HUB ".hub/kernels--acme--relu"
#define SNAP HUB "/snapshots/" FAKE_C1
#define STRANGE "100% \"x\" \xff\xfe"

static const struct fake_file files[] = {
	{ "acme/relu", FAKE_C1, "README.md", "read me" },
	{ "acme/relu", FAKE_C1, STRANGE, "strange" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/__init__.py", "x = 1" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/metadata.json", FAKE_METADATA },
	{ "acme/relu", FAKE_C1, "build/" BEST "/sub/_k.so", "library" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/sub/again.py",
	  FAKE_LINK "../__init__.py" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/sub/out.py",
	  FAKE_LINK "../../stray.txt" },
	{ "acme/relu", FAKE_C1, "build/" OTHER "/__init__.py", "x = 1" },
	{ "acme/relu", FAKE_C1, "build/stray.txt", "no build" },
	{ "acme/relu", FAKE_C1, "docs/deep/b.txt", "deep" },
	{ "acme/relu", FAKE_C1, "docs/deep/link", FAKE_LINK "b.txt" },
	{ "acme/my-nest", FAKE_C2, "build/" BEST "/metadata.json",
	  FAKE_METADATA_WITH(", \"kernel-depends\": [{\"repo-id\": "
			     "\"acme/relu\", \"version\": 1}]") },
	{ "acme/my-nest", FAKE_C2, "build/" BEST "/my_nest/__init__.py",
	  "y = 1" },
	{ "acme/bare", FAKE_C3, "README.md", "read me" },
	{ "zeta/evil", FAKE_C1, "build/" BEST "/__init__.py", "evil" },
	{ "zeta/evil", FAKE_C1, "build/" BEST "/metadata.json", FAKE_METADATA },
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

static const char *const imports[] = { "acme", "acme/my-nest@main", "ker-nels",
				       "zeta/evil" };

static inline int setup_early(void **state)
{
	*state = fakeworld_new(files, refs, imports, N(imports));
	return 0;
}

static inline int setup(void **state)
{
	struct fakeworld *f;

	(void)setup_early(state);
	f = *state;
	names_start(f->world->names, FAKEWORLD_WAIT_MS);
	fake_forget(&f->fake);
	return 0;
}

static inline int teardown(void **state)
{
	fakeworld_free(*state);
	return 0;
}

static inline void put(struct fakeworld *f, struct node *n)
{
	inode_put(view_inodes(f->view), n);
}

static inline void says(const char *text, const char *what)
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
	{ "relu/__pycache__", NODE_STUB_CACHE, VIEW_DIR, true },
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
	{ RELU "/build/" BEST "/sub/again.py", NODE_LINK, VIEW_LINK, true },
	{ RELU "/python", NODE_PYTHON, VIEW_DIR, true },
	{ RELU "/python/relu", NODE_PACKAGE, VIEW_DIR, true },
	{ RELU "/python/relu/__init__.py", NODE_STUB, VIEW_FILE, true },
	{ RELU "/.kernelfs", NODE_COMMIT_CTL, VIEW_DIR, true },
	{ RELU "/.kernelfs/decision", NODE_DECISION, VIEW_FILE, true },
	{ RELU "/.kernelfs/decision.json", NODE_DECISION_JSON, VIEW_FILE,
	  true },
	{ RELU "/.kernelfs/depends.json", NODE_DEPENDS_JSON, VIEW_FILE, true },
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
	{ ENVS "/" RELU "/.kernelfs/decision", NODE_DECISION, VIEW_FILE, true },
	{ ".env/" SPEC "+py311+sm90", NODE_LINK, VIEW_LINK, true },
	{ ".kernelfs", NODE_CTL, VIEW_DIR, true },
	{ ".kernelfs/status", NODE_CTL_FILE, VIEW_FILE, false },
	{ ".kernelfs/owners", NODE_OWNERS, VIEW_DIR, false },
	{ ".kernelfs/owners/acme", NODE_LINK, VIEW_LINK, false },
	{ ".kernelfs/door", NODE_DOOR_DIR, VIEW_DIR, true },
	{ ".hub", NODE_HUB, VIEW_DIR, true },
	{ HUB, NODE_HUB_REPO, VIEW_DIR, true },
	{ HUB "/refs", NODE_HUB_REFS, VIEW_DIR, false },
	{ HUB "/refs/v1", NODE_HUB_REF, VIEW_FILE, false },
	{ HUB "/refs/main", NODE_HUB_REF, VIEW_FILE, false },
	{ HUB "/snapshots", NODE_HUB_SNAPS, VIEW_DIR, false },
	{ SNAP, NODE_HUB_SNAP, VIEW_DIR, true },
	{ SNAP "/README.md", NODE_LINK, VIEW_LINK, true },
	{ SNAP "/docs", NODE_LINK, VIEW_LINK, true },
	{ SNAP "/build", NODE_HUB_BUILDS, VIEW_DIR, true },
	{ SNAP "/build/" BEST, NODE_LINK, VIEW_LINK, true },
	{ ".kernelfs/door/core.py", NODE_DOOR_FILE, VIEW_FILE, true },
};

#endif
