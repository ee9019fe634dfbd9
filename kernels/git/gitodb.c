/* SPDX-License-Identifier: Apache-2.0 */
#include "gitodb.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "gitlib.h"
#include "kernels/tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define COMMIT_BYTES (1u << 20)
#define TREE_BYTES (64u << 20)
#define DEPTH_MAX 64u
/* Entries looked at, those left out included: a few small trees that hold
 * each other many times name billions. */
#define VISITS_MAX (2u * TREE_ENTRIES_MAX)

struct gitodb {
	const struct gitlib *g;
	git_odb *odb; /* owned */
	unsigned visits;
	gitodb_stopped *stopped; /* NULL: never */
	void *arg;
};

int gitodb_open(struct gitodb **out, const char *objects, struct err *err)
{
	const struct gitlib *g;
	struct gitodb *o;
	int r;

	if (access(objects, R_OK | X_OK) < 0)
		return err_errno(err, errno, "'%s'", objects);
	g = gitlib_load(err);
	if (!g)
		return -EIO;
	o = calloc(1, sizeof(*o));
	if (!o)
		return err_errno(err, ENOMEM, "git objects");
	o->g = g;
	r = g->odb_open(&o->odb, objects);
	if (r < 0) {
		free(o);
		return gitlib_fail(g, r, objects, err);
	}
	*out = o;
	return 0;
}

void gitodb_free(struct gitodb *o)
{
	if (!o)
		return;
	o->g->odb_free(o->odb);
	free(o);
}

void gitodb_watch(struct gitodb *o, gitodb_stopped *stopped, void *arg)
{
	o->stopped = stopped;
	o->arg = arg;
}

/* ---- objects ---- */

static int fail(struct gitodb *o, int r, const uint8_t id[GITOBJ_ID],
		struct err *err)
{
	char what[64] = "git object ";

	gitobj_print_id(id, what + strlen(what));
	r = gitlib_fail(o->g, r, what, err);
	if (r != -ENOENT)
		return r;
	if (err)
		err->code = ESTALE;
	return -ESTALE;
}

static int head_of(struct gitodb *o, const uint8_t id[GITOBJ_ID], size_t *size,
		   git_object_t *type, struct err *err)
{
	git_oid oid;
	int r;

	memcpy(oid.id, id, GITOBJ_ID);
	r = o->g->odb_read_header(size, type, o->odb, &oid);
	return r < 0 ? fail(o, r, id, err) : 0;
}

/* An object of this type and at most `max` bytes; the caller frees it. */
static int read_object(struct gitodb *o, const uint8_t id[GITOBJ_ID],
		       git_object_t type, uint64_t max, git_odb_object **out,
		       struct err *err)
{
	git_object_t found = GIT_OBJECT_INVALID;
	char hex[41];
	size_t size = 0;
	git_oid oid;
	int r = head_of(o, id, &size, &found, err);

	if (r < 0)
		return r;
	gitobj_print_id(id, hex);
	if (found != type)
		return err_set(err, EIO, "git object %s is of another kind",
			       hex);
	if (size > max)
		return err_set(err, EFBIG,
			       "git object %s has %zu bytes, which is too "
			       "much for git: use LFS",
			       hex, size);
	memcpy(oid.id, id, GITOBJ_ID);
	r = o->g->odb_read(out, o->odb, &oid);
	return r < 0 ? fail(o, r, id, err) : 0;
}

bool gitodb_has(struct gitodb *o, const char *commit)
{
	git_object_t type = GIT_OBJECT_INVALID;
	uint8_t id[GITOBJ_ID];
	size_t size = 0;

	return gitobj_parse_id(id, commit) == 0 &&
	       head_of(o, id, &size, &type, NULL) == 0 &&
	       type == GIT_OBJECT_COMMIT;
}

static int root_of(struct gitodb *o, const char *commit, uint8_t id[GITOBJ_ID],
		   struct err *err)
{
	git_odb_object *object = NULL;
	uint8_t at[GITOBJ_ID];
	int r;

	if (gitobj_parse_id(at, commit) < 0)
		return err_set(err, EINVAL, "'%s' is no commit", commit);
	r = read_object(o, at, GIT_OBJECT_COMMIT, COMMIT_BYTES, &object, err);
	if (r < 0)
		return r;
	r = gitobj_tree_of(o->g->odb_object_data(object),
			   o->g->odb_object_size(object), id, err);
	o->g->odb_object_free(object);
	return r < 0 ? err_wrap(err, r, "commit %s", commit) : 0;
}

/* ---- walking ---- */

/* A tree on the way down. */
struct level {
	git_odb_object *object; /* owned */
	struct cursor left;
	size_t prefix; /* of the path, for what is in it */
};

static int level_open(struct gitodb *o, struct level *l,
		      const uint8_t id[GITOBJ_ID], struct err *err)
{
	int r = read_object(o, id, GIT_OBJECT_TREE, TREE_BYTES, &l->object,
			    err);

	if (r < 0)
		return r;
	l->left.p = o->g->odb_object_data(l->object);
	l->left.end = l->left.p + o->g->odb_object_size(l->object);
	return 0;
}

static void level_close(struct gitodb *o, struct level *l)
{
	o->g->odb_object_free(l->object);
	l->object = NULL;
}

/* The entry of one step in a tree: -ENOENT when it is not there. */
static int find_step(struct gitodb *o, const uint8_t tree[GITOBJ_ID],
		     const struct cursor *step, struct gitobj_entry *out,
		     struct err *err)
{
	struct level l = { .object = NULL };
	int r = level_open(o, &l, tree, err);

	if (r < 0)
		return r;
	do {
		r = gitobj_next(&l.left, out, err);
	} while (r > 0 && !cursor_equals(step, out->name));
	level_close(o, &l);
	if (r == 0)
		return err_set(err, ENOENT, "no such file or folder");
	return r < 0 ? r : 0;
}

/* What stands at a path; "" is the root. */
static int find_path(struct gitodb *o, const char *commit, const char *path,
		     struct gitobj_entry *out, struct err *err)
{
	struct cursor c = cursor_of(path);
	struct gitobj_entry at = { .kind = GITOBJ_FOLDER };
	int r = root_of(o, commit, at.id, err);

	while (!r && !cursor_done(&c)) {
		struct cursor step = cursor_until(&c, '/');
		struct gitobj_entry next;

		(void)cursor_skip_char(&c, '/');
		if (at.kind != GITOBJ_FOLDER)
			return err_set(err, ENOENT, "no such folder");
		r = find_step(o, at.id, &step, &next, err);
		if (!r)
			at = next;
	}
	if (!r)
		*out = at;
	return r;
}

/* ---- listing ---- */

struct walk {
	struct gitodb *o;
	struct tree_builder *b;
	bool recursive;
	struct text path;
	struct level levels[DEPTH_MAX];
	unsigned depth;
};

static int add_file(struct walk *w, const struct gitobj_entry *e,
		    struct err *err)
{
	struct digest digest = { .kind = DIGEST_GIT };
	git_object_t type = GIT_OBJECT_INVALID;
	git_odb_object *object = NULL;
	struct lfs_pointer lfs;
	size_t size = 0;
	uint64_t bytes;
	int r = head_of(w->o, e->id, &size, &type, err);

	if (r < 0)
		return r;
	if (type != GIT_OBJECT_BLOB)
		return err_set(err, EIO, "is no file");
	memcpy(digest.bytes, e->id, GITOBJ_ID);
	bytes = size;
	if (size <= LFS_POINTER_MAX) {
		r = read_object(w->o, e->id, GIT_OBJECT_BLOB, LFS_POINTER_MAX,
				&object, err);
		if (r < 0)
			return r;
		r = lfs_pointer_parse(&lfs, w->o->g->odb_object_data(object),
				      w->o->g->odb_object_size(object), err);
		w->o->g->odb_object_free(object);
	}
	if (r < 0)
		return r;
	if (r > 0) {
		digest = lfs.digest;
		bytes = lfs.size;
	}
	return tree_builder_add(w->b, text_str(&w->path), TREE_FILE, bytes,
				&digest, err);
}

static int add_link(struct walk *w, const struct gitobj_entry *e,
		    struct err *err)
{
	AUTO(auto_free) char *target = NULL;
	git_odb_object *object = NULL;
	int r;

	if (!w->recursive)
		return 0;
	r = read_object(w->o, e->id, GIT_OBJECT_BLOB, UINT16_MAX, &object, err);
	if (r < 0)
		return r;
	target = text_dup(w->o->g->odb_object_data(object),
			  w->o->g->odb_object_size(object));
	if (!target)
		r = err_errno(err, ENOMEM, "link");
	else if (strlen(target) == w->o->g->odb_object_size(object))
		r = tree_builder_add_link(w->b, text_str(&w->path), target,
					  err);
	w->o->g->odb_object_free(object);
	return r;
}

static int add_folder(struct walk *w, const struct gitobj_entry *e,
		      struct err *err)
{
	struct level *l = &w->levels[w->depth];
	int r = tree_builder_add(w->b, text_str(&w->path), TREE_FOLDER, 0,
				 &(struct digest){ .kind = DIGEST_NONE }, err);

	if (r < 0 || !w->recursive)
		return r;
	if (w->depth == DEPTH_MAX)
		return err_set(err, EIO, "is more than %u folders deep",
			       DEPTH_MAX);
	r = level_open(w->o, l, e->id, err);
	if (r < 0)
		return r;
	text_add_char(&w->path, '/');
	l->prefix = w->path.len;
	w->depth++;
	return 0;
}

static void cut(struct text *t, size_t n)
{
	t->len = n;
	if (t->s)
		t->s[n] = '\0';
}

static int add_entry(struct walk *w, const struct gitobj_entry *e,
		     struct err *err)
{
	if (++w->o->visits > VISITS_MAX)
		return err_set(err, EIO, "a listing of more than %u entries",
			       TREE_ENTRIES_MAX);
	if (w->o->stopped && w->o->stopped(w->o->arg))
		return err_set(err, ECANCELED, "stopped");
	text_add(&w->path, e->name);
	if (text_failed(&w->path))
		return err_set(err, EIO, "a path of more than %d bytes",
			       TREE_PATH_MAX);
	switch (e->kind) {
	case GITOBJ_FILE:
		return add_file(w, e, err);
	case GITOBJ_LINK:
		return add_link(w, e, err);
	case GITOBJ_FOLDER:
		return add_folder(w, e, err);
	case GITOBJ_MODULE:
		break;
	}
	return 0; /* another repository's: nothing of it is here */
}

static int walk(struct walk *w, struct err *err)
{
	while (w->depth) {
		struct level *l = &w->levels[w->depth - 1];
		struct gitobj_entry e;
		int r;

		cut(&w->path, l->prefix);
		r = gitobj_next(&l->left, &e, err);
		if (r == 0) {
			level_close(w->o, l);
			w->depth--;
			continue;
		}
		if (r > 0)
			r = add_entry(w, &e, err);
		if (r < 0)
			return err_wrap(err, r, "'%s'", text_str(&w->path));
	}
	return 0;
}

int gitodb_list(struct gitodb *o, const char *commit, const char *dir,
		bool recursive, struct tree_builder *b, struct err *err)
{
	AUTO(auto_free) struct walk *w = calloc(1, sizeof(*w));
	struct gitobj_entry top;
	int r = w ? find_path(o, commit, dir, &top, err)
		  : err_errno(err, ENOMEM, "listing");

	if (r < 0)
		return r;
	if (top.kind != GITOBJ_FOLDER)
		return err_set(err, ENOENT, "'%s' is no folder", dir);
	*w = (struct walk){
		.o = o,
		.b = b,
		.recursive = recursive,
		.path = TEXT_INIT(TREE_PATH_MAX + 1),
	};
	o->visits = 0;
	if (!recursive)
		tree_builder_drop_links(b);
	r = level_open(o, &w->levels[0], top.id, err);
	if (!r) {
		w->depth = 1;
		r = walk(w, err);
	}
	while (w->depth)
		level_close(o, &w->levels[--w->depth]);
	text_done(&w->path);
	/* what the builder refuses is the source's fault, not the caller's */
	if ((r == -EINVAL || r == -E2BIG) && err)
		err->code = EIO;
	return r == -EINVAL || r == -E2BIG ? -EIO : r;
}

/* ---- one file ---- */

int gitodb_read(struct gitodb *o, const char *commit, const char *path,
		struct gitodb_file *out, struct err *err)
{
	struct gitodb_file f = { .large = false };
	git_odb_object *object = NULL;
	struct gitobj_entry e;
	int r = find_path(o, commit, path, &e, err);

	if (r < 0)
		return r;
	if (e.kind != GITOBJ_FILE)
		return err_set(err, ENOENT, "is no file");
	r = read_object(o, e.id, GIT_OBJECT_BLOB, GITODB_FILE_MAX, &object,
			err);
	if (r < 0)
		return r;
	f.bytes = o->g->odb_object_data(object);
	f.size = o->g->odb_object_size(object);
	f.object = object;
	r = lfs_pointer_parse(&f.lfs, f.bytes, f.size, err);
	f.large = r > 0;
	if (r < 0) {
		gitodb_close(o, &f);
		return r;
	}
	*out = f;
	return 0;
}

void gitodb_close(struct gitodb *o, struct gitodb_file *f)
{
	if (f->object)
		o->g->odb_object_free(f->object);
	f->object = NULL;
}
