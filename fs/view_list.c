/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a folder lists, which may be less than the names it answers to.
 * Folders of a commit are listed from their tree, where the place to go on
 * is the entry's index; the others from a sorted set of names made for the
 * call, where it is a hash of the name.
 */
#include "options.h"
#include "view_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/catalog.h"
#include "kernels/source.h"
#include "kernels/tree.h"
#include "resolver/pick.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Names of one listing call; bounded by what the rooms below bound. */
struct set_item {
	char *name; /* owned */
	enum view_type type;
	uint32_t order; /* before the name */
};

struct set {
	struct set_item *items; /* owned */
	size_t count;
	size_t room;
	int failed;
};

static void set_done(struct set *s)
{
	for (size_t i = 0; i < s->count; i++)
		free(s->items[i].name);
	free(s->items);
}

static void set_add_at(struct set *s, const char *name, enum view_type type,
		       uint32_t order)
{
	if (s->failed)
		return;
	if (s->count == s->room) {
		size_t room = s->room ? 2 * s->room : 32;
		struct set_item *more =
			reallocarray(s->items, room, sizeof(*more));

		if (!more) {
			s->failed = -ENOMEM;
			return;
		}
		s->items = more;
		s->room = room;
	}
	s->items[s->count].name = strdup(name);
	s->items[s->count].type = type;
	s->items[s->count].order = order;
	if (!s->items[s->count].name)
		s->failed = -ENOMEM;
	else
		s->count++;
}

static void set_add(struct set *s, const char *name, enum view_type type)
{
	set_add_at(s, name, type, 0);
}

static int by_order_and_name(const void *a, const void *b)
{
	const struct set_item *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? -1 : 1;
	return strcmp(x->name, y->name);
}

static void set_sort(struct set *s)
{
	if (s->count)
		qsort(s->items, s->count, sizeof(*s->items), by_order_and_name);
}

/*
 * Where to go on behind a name: a hash of it and not its number, since names
 * may join the set while a listing is being read. 62 bits, never 0.
 */
static uint64_t place_behind(const char *name)
{
	return map_hash(name, strlen(name)) >> 2 | 1;
}

static size_t start_of(const struct set *s, uint64_t at)
{
	size_t i = 0;

	while (at && i < s->count && place_behind(s->items[i].name) != at)
		i++;
	return i;
}

static int set_emit(const struct set *s, uint64_t at, view_emit *emit,
		    void *arg)
{
	if (s->failed)
		return s->failed;
	for (size_t i = start_of(s, at); i < s->count; i++) {
		const struct set_item *item = &s->items[i];
		uint64_t behind = place_behind(item->name);

		if (behind == at ||
		    (i && !strcmp(item->name, s->items[i - 1].name)))
			continue;
		/* The number is found at lookup; any but 0 will do here. */
		if (!emit(arg, item->name, item->type, 1, behind))
			break;
	}
	return 0;
}

/* ---- the folders that are no tree ---- */

static void list_packages(struct view *v, struct set *s, enum view_type type)
{
	struct names_entry e;

	for (size_t i = 0; names_at(v->world->names, i, &e); i++)
		set_add_at(s, e.package, type, e.order);
}

static void list_root(struct view *v, struct set *s)
{
	char owner[REF_PART_MAX + 1];

	list_packages(v, s, VIEW_DIR);
	/* An owner that an import could spell would become a namespace
	 * package of every Python that has us on its path. */
	for (size_t i = 0; names_owner_at(v->world->names, i, owner); i++)
		if (!ref_is_identifier(owner))
			set_add_at(s, owner, VIEW_DIR, UINT32_MAX);
	set_add_at(s, ".env", VIEW_DIR, UINT32_MAX);
	set_add_at(s, ".hub", VIEW_DIR, UINT32_MAX);
	set_add_at(s, ".kernelfs", VIEW_DIR, UINT32_MAX);
}

struct owner_list {
	struct set *set;
	const char *owner;
	struct view *view;
};

/* What the lock file refuses is not worth showing; it opens by name, to say
 * so. */
static bool is_shut(const struct world *w, const char *owner, const char *name)
{
	struct repo_id repo;

	if (!w->options->locked ||
	    text_copy(repo.owner, sizeof(repo.owner), owner) < 0 ||
	    text_copy(repo.name, sizeof(repo.name), name) < 0)
		return false;
	return !lockfile_default(&w->lock, &repo);
}

static int add_decided(void *arg, const struct ref *ref,
		       const struct resolve_commit *c)
{
	const struct owner_list *o = arg;
	char step[REF_TEXT_MAX];
	char target[VIEW_TARGET_MAX];
	struct ref pinned = *ref;

	if (strcmp(ref->repo.owner, o->owner) != 0)
		return 0;
	ref_print_step(ref, step);
	set_add(o->set, step, ref->kind == REV_COMMIT ? VIEW_DIR : VIEW_LINK);
	if (!repo_equal(&ref->repo, &c->repo))
		return 0; /* the commit is elsewhere */
	pinned.kind = REV_COMMIT;
	(void)text_copy(pinned.rev, sizeof(pinned.rev), c->commit);
	ref_print_step(&pinned, step);
	set_add(o->set, step, VIEW_DIR);
	/* The link in between is there as well. */
	view_in_step(o->view, ref, c, target);
	if (ref->kind == REV_DEFAULT && strcmp(target, step) != 0)
		set_add(o->set, target, VIEW_LINK);
	return 0;
}

static int add_cached(void *arg, const struct repo_id *repo, const char *commit)
{
	const struct owner_list *o = arg;
	char step[REF_TEXT_MAX];
	struct ref ref = { .repo = *repo, .kind = REV_DEFAULT };

	if (o->view->world->options->locked &&
	    !lockfile_has_commit(&o->view->world->lock, repo, commit))
		return 0;
	ref_print_step(&ref, step);
	set_add(o->set, step, VIEW_LINK);
	ref.kind = REV_COMMIT;
	(void)text_copy(ref.rev, sizeof(ref.rev), commit);
	ref_print_step(&ref, step);
	set_add(o->set, step, VIEW_DIR);
	return 0;
}

static int add_listed(void *arg, const struct repo_id *repo)
{
	const struct owner_list *o = arg;

	if (!is_shut(o->view->world, repo->owner, repo->name))
		set_add(o->set, repo->name, VIEW_LINK);
	return 0;
}

/* What an option names is there, whatever the source lists. */
static void add_named(struct view *v, const char *owner, struct set *s)
{
	size_t count;
	const struct ref *named = names_named(v->world->names, &count);

	for (size_t i = 0; i < count; i++)
		if (!strcmp(named[i].repo.owner, owner))
			set_add(s, named[i].repo.name, VIEW_LINK);
}

static int list_owner(struct view *v, const char *owner, struct view_wait *w,
		      struct set *s, struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	struct owner_list o = { s, owner, v };
	int r = 0;

	if (!names_add_list(v->world->names, owner, &o, add_listed)) {
		r = resolve_kernels(v->world->resolve, owner, view_in_memo(w),
				    &a, err);
		if (r < 0)
			return r;
		const struct source_names *n = resolve_value(&a);

		for (size_t i = 0; i < n->count; i++)
			if (!is_shut(v->world, owner, n->names[i]))
				set_add(s, n->names[i], VIEW_LINK);
	}
	add_named(v, owner, s);
	(void)resolve_each_commit(v->world->resolve, add_decided, &o);
	r = catalog_cached(v->world->catalog, owner, add_cached, &o);
	return r < 0 ? err_set(err, -r, "list the cached kernels of '%s'",
			       owner)
		     : 0;
}

static void list_owners(struct view *v, struct set *s)
{
	char owner[REF_PART_MAX + 1];

	for (size_t i = 0; names_owner_at(v->world->names, i, owner); i++)
		set_add(s, owner, VIEW_LINK);
}

static void list_ctl(struct set *s)
{
	for (size_t i = 0; ctl_name(i); i++)
		set_add(s, ctl_name(i), VIEW_FILE);
	set_add(s, "owners", VIEW_DIR);
	set_add(s, "door", VIEW_DIR);
}

static void list_python(const struct node *dir, struct set *s)
{
	char commit[REF_COMMIT_LEN + 1];
	char package[REF_PART_MAX + 1];
	struct repo_id repo;

	view_in_commit(dir, &repo, commit);
	repo_package(&repo, package);
	set_add(s, package, dir->spec ? VIEW_LINK : VIEW_DIR);
}

/* The chosen build, and nothing else. */
static int list_builds(struct view *v, struct node *dir, struct view_wait *w,
		       struct set *s, struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	char commit[REF_COMMIT_LEN + 1];
	const struct pick *p;
	struct repo_id repo;
	int r;

	view_in_commit(dir, &repo, commit);
	r = resolve_pick(v->world->resolve, &repo, commit, view_in_env(v, dir),
			 view_in_memo(w), &a, err);
	if (r < 0)
		return r;
	p = resolve_value(&a);
	if (p->refused && view_in_refused(p) != ENOENT)
		return err_set(err, view_in_refused(p), "%s/%s: %s", repo.owner,
			       repo.name, p->why);
	if (p->variant)
		set_add(s, p->variant, dir->spec ? VIEW_LINK : VIEW_DIR);
	return 0;
}

static int list_folder_names(struct view *v, struct node *dir, const char *path,
			     struct view_wait *w, struct set *s,
			     struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	bool links = dir->spec || dir->kind == NODE_VARIANTS;
	char commit[REF_COMMIT_LEN + 1];
	struct repo_id repo;
	struct tree *tree;
	int r;

	view_in_commit(dir, &repo, commit);
	r = resolve_folder(v->world->resolve, &repo, commit, path,
			   view_in_memo(w), &a, err);
	if (r < 0)
		return r;
	tree = resolve_tree(&a);
	for (uint32_t i = tree_first(tree, TREE_NONE); i != TREE_NONE;
	     i = tree_next(tree, i)) {
		struct tree_entry e;

		tree_get(tree, i, &e);
		set_add(s, e.name,
			links			? VIEW_LINK
			: e.kind == TREE_FOLDER ? VIEW_DIR
						: VIEW_FILE);
	}
	return 0;
}

static int list_commit(struct view *v, struct node *dir, struct view_wait *w,
		       struct set *s, struct err *err)
{
	int r = list_folder_names(v, dir, "", w, s, err);

	if (r < 0)
		return r;
	/* Ours stand for what the repository may have of the same name. */
	for (size_t i = 0; i < s->count; i++)
		if (!strcmp(s->items[i].name, "build") ||
		    !strcmp(s->items[i].name, "python") ||
		    !strcmp(s->items[i].name, ".kernelfs"))
			s->items[i].type = VIEW_DIR;
	set_add(s, "build", VIEW_DIR);
	set_add(s, "python", VIEW_DIR);
	set_add(s, ".kernelfs", VIEW_DIR);
	return 0;
}

static void add_name(void *arg, const char *name, enum view_type type)
{
	set_add(arg, name, type);
}

static int fill(struct view *v, struct node *dir, struct view_wait *w,
		struct set *s, struct err *err)
{
	int r;

	switch ((enum node_kind)dir->kind) {
	case NODE_ROOT:
		list_root(v, s);
		return 0;
	case NODE_SPEC:
		list_packages(v, s, VIEW_LINK);
		return 0;
	case NODE_IMPORT:
		set_add(s, "build", VIEW_LINK);
		set_add(s, "__init__.py", VIEW_FILE);
		return 0;
	case NODE_PACKAGE:
		set_add(s, "__init__.py", VIEW_FILE);
		return 0;
	case NODE_OWNER:
		return list_owner(v, dir->name, w, s, err);
	case NODE_OWNERS:
		list_owners(v, s);
		return 0;
	case NODE_COMMIT:
		return list_commit(v, dir, w, s, err);
	case NODE_BUILDS:
		return list_builds(v, dir, w, s, err);
	case NODE_VARIANTS:
		r = list_folder_names(v, dir, "build", w, s, err);
		return r == -ENOENT ? 0 : r; /* a revision without builds */
	case NODE_PYTHON:
		list_python(dir, s);
		return 0;
	case NODE_COMMIT_CTL:
		set_add(s, "decision", VIEW_FILE);
		set_add(s, "decision.json", VIEW_FILE);
		set_add(s, "depends.json", VIEW_FILE);
		set_add(s, "variants", VIEW_DIR);
		return 0;
	case NODE_CTL:
		list_ctl(s);
		return 0;
	case NODE_DOOR_DIR:
		for (size_t i = 0; door_file_at(i); i++)
			set_add(s, door_file_at(i)->name, VIEW_FILE);
		return 0;
	case NODE_STUB_CACHE:
		for (size_t i = 0; door_file_at(i); i++)
			if (door_is_stub(door_file_at(i)))
				set_add(s, door_file_at(i)->name, VIEW_FILE);
		return 0;
	case NODE_ENVS: /* these answer names, and list none */
	case NODE_HUB:
		return 0;
	case NODE_HUB_REPO:
	case NODE_HUB_REFS:
	case NODE_HUB_SNAPS:
	case NODE_HUB_SNAP:
	case NODE_HUB_BUILDS:
		return view_hub_list(v, dir, w, add_name, s, err);
	case NODE_VARIANT:
	case NODE_FOLDER:
	case NODE_FILE:
	case NODE_STUB:
	case NODE_REPO:
	case NODE_DECISION:
	case NODE_DECISION_JSON:
	case NODE_DEPENDS_JSON:
	case NODE_BUILD_LINK:
	case NODE_WHY:
	case NODE_PINNED:
	case NODE_LINK:
	case NODE_CTL_FILE:
	case NODE_DOOR_FILE:
	case NODE_HUB_REF:
		break;
	}
	return err_set(err, ENOTDIR, "'%s' is no folder", dir->name);
}

/* ---- trees ---- */

static enum view_type type_of(enum tree_kind kind)
{
	return kind == TREE_FOLDER ? VIEW_DIR
	       : kind == TREE_LINK ? VIEW_LINK
				   : VIEW_FILE;
}

static int emit_tree(const struct tree *tree, uint32_t folder, uint64_t at,
		     view_emit *emit, void *arg)
{
	uint32_t i;

	/* The number is the caller's (lseek): an entry of another folder must
	 * not be listed here, where it would get its name's node. */
	if (at && !tree_is_child(tree, folder, at - 1))
		return 0;
	i = at ? tree_next(tree, (uint32_t)at - 1) : tree_first(tree, folder);
	for (; i != TREE_NONE; i = tree_next(tree, i)) {
		struct tree_entry e;

		tree_get(tree, i, &e);
		if (!emit(arg, e.name, type_of(e.kind),
			  e.kind == TREE_FILE ? digest_short(&e.digest) : 1,
			  (uint64_t)i + 1))
			break;
	}
	return 0;
}

static int list_folder(struct view *v, struct node *dir, uint64_t at,
		       struct view_wait *w, view_emit *emit, void *arg,
		       struct err *err)
{
	AUTO(resolve_drop) struct resolve_answer a = { 0 };
	AUTO(auto_text) struct text path = TEXT_INIT(TREE_PATH_MAX);
	char commit[REF_COMMIT_LEN + 1];
	struct repo_id repo;
	int r;

	view_in_commit(dir, &repo, commit);
	view_in_path(dir, &path);
	r = resolve_folder(v->world->resolve, &repo, commit, text_str(&path),
			   view_in_memo(w), &a, err);
	if (r < 0)
		return r;
	return emit_tree(resolve_tree(&a), TREE_NONE, at, emit, arg);
}

int view_list(struct view *v, struct node *dir, uint64_t at,
	      struct view_wait *w, view_emit *emit, void *arg, struct err *err)
{
	AUTO(set_done) struct set s = { 0 };
	int r;

	if (dir->kind == NODE_VARIANT)
		return emit_tree(dir->tree, dir->entry, at, emit, arg);
	if (dir->kind == NODE_FOLDER)
		return list_folder(v, dir, at, w, emit, arg, err);
	r = fill(v, dir, w, &s, err);
	if (r < 0)
		return r;
	set_sort(&s);
	return set_emit(&s, at, emit, arg);
}
