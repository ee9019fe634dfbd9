/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One step down. Each kind of folder has a function that knows its names;
 * the map of kinds stands at the end. Below .env/<spec> the same kinds carry
 * a `spec`, and what would be a real folder or file is a link to the one
 * place where it is real.
 */
#include "importing.h"
#include "view_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/catalog.h"
#include "kernels/tree.h"
#include "resolver/pick.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

typedef int look_fn(const struct look *l);

int view_look_absent(const struct look *l)
{
	return err_set(l->err, ENOENT, "'%.120s': no such name here", l->name);
}

static int absent(const struct look *l)
{
	return view_look_absent(l);
}

int view_look_make(const struct look *l, struct node_make m)
{
	m.name = l->name;
	if (!m.spec)
		m.spec = l->dir->spec;
	return inode_child(l->v->inodes, l->dir, &m, l->out);
}

static int make(const struct look *l, struct node_make m)
{
	return view_look_make(l, m);
}

static int make_kind(const struct look *l, enum node_kind kind)
{
	return make(l, (struct node_make){ .kind = kind });
}

static int make_link(const struct look *l, const char *target)
{
	return make(l, (struct node_make){ .kind = NODE_LINK, .text = target });
}

/* "../../…" from a folder below .env/<spec> to the same commit's `rest`. */
static int make_real_link(const struct look *l, const char *up,
			  const struct repo_id *repo, const char *commit,
			  const char *rest)
{
	char target[VIEW_TARGET_MAX];

	(void)snprintf(target, sizeof(target), "%s%s/%s@%s/%s", up, repo->owner,
		       repo->name, commit, rest);
	return make_link(l, target);
}

/* ---- the importable folder of a pick ---- */

static int importable(const struct look *l, const char *up,
		      const struct repo_id *repo, const char *commit)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	const struct pick *p;
	char rest[VIEW_TARGET_MAX / 2];
	int r;

	r = resolve_pick(l->v->world->resolve, repo, commit,
			 view_in_env(l->v, l->dir), view_in_memo(l->w), &a,
			 l->err);
	if (r < 0)
		return r;
	p = resolve_value(&a);
	if (!p->variant)
		return err_set(l->err, view_in_refused(p),
			       "%s/%s: %s; '%s.why' beside it says more",
			       repo->owner, repo->name, p->why, l->name);
	(void)snprintf(rest, sizeof(rest), "build/%s%s%s", p->variant,
		       p->nested ? "/" : "", p->nested ? p->package : "");
	return make_real_link(l, up, repo, commit, rest);
}

/* ---- root, .env/<spec>, owners ---- */

static int is_there(void *arg, const struct repo_id *repo, const char *commit)
{
	(void)arg;
	(void)repo;
	(void)commit;
	return 1;
}

/* An owner of something cached is there, and the source is not asked: a
 * pinned path to it makes no request, whatever state the source is in. */
static int look_owner_name(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	int r;

	if (!ref_owner_valid(l->name))
		return absent(l);
	if (names_owner_known(l->v->world->names, l->name))
		return make_kind(l, NODE_OWNER);
	r = catalog_cached(l->v->world->catalog, l->name, is_there, NULL);
	if (r <= 0)
		r = resolve_kernels(l->v->world->resolve, l->name,
				    view_in_memo(l->w), &a, l->err);
	if (r < 0)
		return r;
	names_owner_met(l->v->world->names, l->name);
	return make_kind(l, NODE_OWNER);
}

static int look_root(const struct look *l)
{
	struct names_entry e;

	if (!strcmp(l->name, ".kernelfs"))
		return make_kind(l, NODE_CTL);
	if (!strcmp(l->name, ".env"))
		return make_kind(l, NODE_ENVS);
	if (!strcmp(l->name, ".hub"))
		return make_kind(l, NODE_HUB);
	if (names_find(l->v->world->names, l->name, &e))
		return make_kind(l, NODE_IMPORT);
	return look_owner_name(l);
}

static int look_import(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char target[VIEW_TARGET_MAX];
	const struct resolve_commit *c;
	struct names_entry e;

	if (!strcmp(l->name, "__init__.py"))
		return make_kind(l, NODE_STUB);
	/* no name of the folder: only Python asks for it */
	if (!strcmp(l->name, "__pycache__"))
		return make_kind(l, NODE_STUB_CACHE);
	if (strcmp(l->name, "build") != 0 ||
	    !names_find(l->v->world->names, l->dir->name, &e))
		return absent(l);
	if (resolve_commit(l->v->world->resolve, &e.ref, NULL, &a, NULL) != 0)
		return make_kind(l, NODE_BUILD_LINK); /* undecided */
	c = resolve_value(&a);
	(void)snprintf(target, sizeof(target), "../%s/%s@%s/build",
		       c->repo.owner, c->repo.name, c->commit);
	return make(l, (struct node_make){ .kind = NODE_BUILD_LINK,
					   .text = target });
}

/* Strip a suffix; false when it is not there or nothing stands before it. */
static bool stem(const char *name, const char *suffix,
		 char out[REF_PART_MAX + 1])
{
	size_t len = strlen(name), tail = strlen(suffix);

	if (len <= tail || len - tail > REF_PART_MAX ||
	    strcmp(name + len - tail, suffix) != 0)
		return false;
	memcpy(out, name, len - tail);
	out[len - tail] = '\0';
	return true;
}

/*
 * "<package>.import": a door is about to ask for the package. It is no name,
 * but from here on what the kernel will need is fetched side by side.
 */
static int look_coming(const struct look *l, const struct repo_id *repo)
{
	resolve_begin(l->v->world->resolve, repo);
	importing_begin(l->v->world->importing, repo, l->dir->spec->text);
	return absent(l);
}

static int look_spec(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char package[REF_PART_MAX + 1];
	const struct resolve_commit *c;
	struct names_entry e;
	int r;

	if (stem(l->name, ".why", package) &&
	    names_find(l->v->world->names, package, &e))
		return make_kind(l, NODE_WHY);
	if (stem(l->name, ".pinned", package) &&
	    names_find(l->v->world->names, package, &e))
		return e.named ? make_kind(l, NODE_PINNED) : absent(l);
	if (stem(l->name, ".import", package) &&
	    names_find(l->v->world->names, package, &e))
		return look_coming(l, &e.ref.repo);
	if (!names_find(l->v->world->names, l->name, &e))
		return look_owner_name(l);
	r = resolve_commit(l->v->world->resolve, &e.ref, view_in_memo(l->w), &a,
			   l->err);
	if (r < 0)
		return r;
	c = resolve_value(&a);
	return importable(l, "../../", &c->repo, c->commit);
}

static int look_envs(const struct look *l)
{
	struct spec *s;
	struct env env;
	int r;

	if (env_parse(&env, l->name, l->err) < 0)
		return -ENOENT;
	s = spec_new(&env);
	if (!s)
		return -ENOMEM;
	if (strcmp(s->text, l->name) != 0)
		r = make_link(l, s->text); /* another spelling of it */
	else
		r = make(l, (struct node_make){ .kind = NODE_SPEC, .spec = s });
	spec_unref(s);
	return r;
}

/* Is there such a commit? A branch that leads to it says so, else its build/,
 * else its root. */
int view_look_commit(const struct look *l, const struct ref *ref,
		     enum node_kind kind)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	struct resolve *res = l->v->world->resolve;
	int r;

	/* also when listing it has just failed, for whatever reason */
	if (resolve_commit_known(res, &ref->repo, ref->rev, NULL))
		return make_kind(l, kind);
	r = resolve_folder(res, &ref->repo, ref->rev, "build",
			   view_in_memo(l->w), &a, l->err);
	if (r == -ENOENT)
		r = resolve_folder(res, &ref->repo, ref->rev, "",
				   view_in_memo(l->w), &a, l->err);
	return r < 0 ? r : make_kind(l, kind);
}

static bool is_listed(const struct look *l, const struct ref *ref)
{
	struct resolve_answer a = { 0 };
	bool listed = false;

	if (names_listed(l->v->world->names, &ref->repo))
		return true;
	if (resolve_kernels(l->v->world->resolve, ref->repo.owner, NULL, &a,
			    NULL) == 0) {
		listed = resolve_kernels_has(&a, ref->repo.name);
		resolve_drop(&a);
	}
	return listed;
}

static int look_owner(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char target[VIEW_TARGET_MAX];
	struct ref ref;
	bool listed;
	int r;

	if (ref_parse_step(&ref, l->dir->name, l->name, l->err) < 0)
		return -ENOENT;
	if (ref.kind == REV_COMMIT)
		return view_look_commit(l, &ref, NODE_COMMIT);
	/* What is listed is there; what it is, only readlink asks. */
	listed = ref.kind == REV_DEFAULT && is_listed(l, &ref);
	r = resolve_commit(l->v->world->resolve, &ref,
			   listed ? NULL : view_in_memo(l->w), &a, l->err);
	if (r < 0)
		return listed ? make_kind(l, NODE_REPO) : r;
	view_in_step(l->v, &ref, resolve_value(&a), target);
	return make(l, (struct node_make){ .kind = NODE_REPO, .text = target });
}

/* ---- a commit and what is below it ---- */

static int from_tree(const struct look *l, struct tree *tree, uint32_t i,
		     enum node_kind folder)
{
	struct tree_entry e;

	if (i == TREE_NONE)
		return absent(l);
	tree_get(tree, i, &e);
	if (e.kind == TREE_LINK)
		return make_link(l, e.target);
	return make(l, (struct node_make){ .kind = e.kind == TREE_FOLDER
							   ? folder
							   : NODE_FILE,
					   .tree = tree,
					   .entry = i });
}

/* A name in a folder that is listed alone. */
static int look_listed(const struct look *l, const char *path)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char commit[REF_COMMIT_LEN + 1];
	struct tree *tree;
	struct repo_id repo;
	uint32_t i;
	int r;

	view_in_commit(l->dir, &repo, commit);
	r = resolve_folder(l->v->world->resolve, &repo, commit, path,
			   view_in_memo(l->w), &a, l->err);
	if (r < 0)
		return r;
	tree = resolve_tree(&a);
	i = tree_child(tree, TREE_NONE, l->name);
	if (i == TREE_NONE)
		return absent(l);
	if (l->dir->spec)
		return make_real_link(l, "../../../../", &repo, commit,
				      l->name);
	return from_tree(l, tree, i, NODE_FOLDER);
}

static int look_in_commit(const struct look *l)
{
	if (!strcmp(l->name, "python"))
		return make_kind(l, NODE_PYTHON);
	if (!strcmp(l->name, ".kernelfs"))
		return make_kind(l, NODE_COMMIT_CTL);
	if (!strcmp(l->name, "build")) /* empty where there are none */
		return make_kind(l, NODE_BUILDS);
	return look_listed(l, "");
}

static int look_folder(const struct look *l)
{
	AUTO(auto_text) struct text path = TEXT_INIT(TREE_PATH_MAX);

	view_in_path(l->dir, &path);
	if (text_failed(&path))
		return absent(l);
	return look_listed(l, text_str(&path));
}

static int look_builds(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer names = { 0 };
	AUTO(resolve_drop) struct resolve_answer build = { 0 };
	struct resolve *res = l->v->world->resolve;
	char rest[VIEW_TARGET_MAX / 2];
	char commit[REF_COMMIT_LEN + 1];
	struct tree_entry e;
	struct repo_id repo;
	uint32_t i;
	int r;

	view_in_commit(l->dir, &repo, commit);
	r = resolve_folder(res, &repo, commit, "build", view_in_memo(l->w),
			   &names, l->err);
	if (r < 0)
		return r;
	i = tree_child(resolve_tree(&names), TREE_NONE, l->name);
	if (i == TREE_NONE)
		return absent(l);
	(void)snprintf(rest, sizeof(rest), "build/%s", l->name);
	if (l->dir->spec)
		return make_real_link(l, "../../../../../", &repo, commit,
				      rest);
	tree_get(resolve_tree(&names), i, &e);
	if (e.kind != TREE_FOLDER)
		return from_tree(l, resolve_tree(&names), i, NODE_FOLDER);
	r = resolve_build(res, &repo, commit, l->name, view_in_memo(l->w),
			  &build, l->err);
	if (r < 0)
		return r;
	return make(l, (struct node_make){ .kind = NODE_VARIANT,
					   .tree = resolve_tree(&build),
					   .entry = TREE_NONE });
}

static int look_variant(const struct look *l)
{
	struct tree *tree = l->dir->tree;

	return from_tree(l, tree, tree_child(tree, l->dir->entry, l->name),
			 NODE_VARIANT);
}

static int look_python(const struct look *l)
{
	char commit[REF_COMMIT_LEN + 1];
	char package[REF_PART_MAX + 1];
	char before[REF_PART_MAX + 1];
	struct repo_id repo;

	view_in_commit(l->dir, &repo, commit);
	repo_package(&repo, package);
	if (!strcmp(l->name, package))
		return l->dir->spec
			       ? importable(l, "../../../../../", &repo, commit)
			       : make_kind(l, NODE_PACKAGE);
	if (l->dir->spec && stem(l->name, ".why", before) &&
	    !strcmp(before, package))
		return make_kind(l, NODE_WHY);
	if (l->dir->spec && stem(l->name, ".import", before) &&
	    !strcmp(before, package))
		return look_coming(l, &repo);
	return absent(l);
}

static int look_package(const struct look *l)
{
	if (!strcmp(l->name, "__pycache__"))
		return make_kind(l, NODE_STUB_CACHE);
	return strcmp(l->name, "__init__.py") ? absent(l)
					      : make_kind(l, NODE_STUB);
}

static int look_commit_ctl(const struct look *l)
{
	if (!strcmp(l->name, "decision"))
		return make_kind(l, NODE_DECISION);
	if (!strcmp(l->name, "decision.json"))
		return make_kind(l, NODE_DECISION_JSON);
	if (!strcmp(l->name, "depends.json"))
		return make_kind(l, NODE_DEPENDS_JSON);
	if (!strcmp(l->name, "variants"))
		return make_kind(l, NODE_VARIANTS);
	return absent(l);
}

static int look_variants(const struct look *l)
{
	AUTO(resolve_drop) struct resolve_answer names = { 0 };
	char target[VIEW_TARGET_MAX];
	char commit[REF_COMMIT_LEN + 1];
	struct repo_id repo;
	int r;

	view_in_commit(l->dir, &repo, commit);
	r = resolve_folder(l->v->world->resolve, &repo, commit, "build",
			   view_in_memo(l->w), &names, l->err);
	if (r < 0)
		return r;
	if (tree_child(resolve_tree(&names), TREE_NONE, l->name) == TREE_NONE)
		return absent(l);
	(void)snprintf(target, sizeof(target), "../../build/%s", l->name);
	return make_link(l, target);
}

/* ---- the mount's own folder ---- */

static int look_ctl(const struct look *l)
{
	int i = ctl_find(l->name);

	if (i >= 0)
		return make(l, (struct node_make){ .kind = NODE_CTL_FILE,
						   .entry = (uint32_t)i });
	if (!strcmp(l->name, "owners"))
		return make_kind(l, NODE_OWNERS);
	if (!strcmp(l->name, "door"))
		return make_kind(l, NODE_DOOR_DIR);
	return absent(l);
}

static int look_owners(const struct look *l)
{
	char target[VIEW_TARGET_MAX];

	if (!ref_owner_valid(l->name) ||
	    !names_owner_known(l->v->world->names, l->name))
		return absent(l);
	(void)snprintf(target, sizeof(target), "../../%s", l->name);
	return make_link(l, target);
}

static int look_door(const struct look *l)
{
	int i = door_file_find(l->name);

	if (i < 0)
		return absent(l);
	return make(l, (struct node_make){ .kind = NODE_DOOR_FILE,
					   .entry = (uint32_t)i });
}

static int look_stub_cache(const struct look *l)
{
	int i = door_file_find(l->name);

	if (i < 0 || !door_is_stub(door_file_at((size_t)i)))
		return absent(l);
	return look_door(l);
}

static look_fn *const lookers[] = {
	[NODE_ROOT] = look_root,
	[NODE_IMPORT] = look_import,
	[NODE_OWNER] = look_owner,
	[NODE_COMMIT] = look_in_commit,
	[NODE_BUILDS] = look_builds,
	[NODE_VARIANT] = look_variant,
	[NODE_FOLDER] = look_folder,
	[NODE_PYTHON] = look_python,
	[NODE_PACKAGE] = look_package,
	[NODE_COMMIT_CTL] = look_commit_ctl,
	[NODE_VARIANTS] = look_variants,
	[NODE_ENVS] = look_envs,
	[NODE_SPEC] = look_spec,
	[NODE_CTL] = look_ctl,
	[NODE_OWNERS] = look_owners,
	[NODE_DOOR_DIR] = look_door,
	[NODE_STUB_CACHE] = look_stub_cache,
	[NODE_HUB] = view_hub_look,
	[NODE_HUB_REPO] = view_hub_look,
	[NODE_HUB_REFS] = view_hub_look,
	[NODE_HUB_SNAPS] = view_hub_look,
	[NODE_HUB_SNAP] = view_hub_look,
	[NODE_HUB_BUILDS] = view_hub_look,
};

int view_lookup(struct view *v, struct node *dir, const char *name,
		struct view_wait *w, struct node **out, struct err *err)
{
	const struct look l = { v, dir, name, w, out, err };

	if (dir->kind >= sizeof(lookers) / sizeof(*lookers) ||
	    !lookers[dir->kind])
		return err_set(err, ENOTDIR, "'%s' is no folder", dir->name);
	if (strlen(name) > 255)
		return err_set(err, ENAMETOOLONG, "a name of over 255 bytes");
	return lookers[dir->kind](&l);
}

int view_lookup_listed(struct view *v, struct node *dir, const char *name,
		       uint64_t next, struct node **out)
{
	const struct look l = { v, dir, name, NULL, out, NULL };

	/* A listing of a tree goes on behind the entry's index. */
	if (dir->kind == NODE_VARIANT)
		return from_tree(&l, dir->tree, (uint32_t)next - 1,
				 NODE_VARIANT);
	return view_lookup(v, dir, name, NULL, out, NULL);
}
