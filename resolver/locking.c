/* SPDX-License-Identifier: Apache-2.0 */
#include "locking.h"

#include "answers.h"
#include "lockfile.h"
#include "project.h"
#include "variant.h"
#include "version.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/log.h"
#include "base/text.h"
#include "kernels/metadata.h"
#include "kernels/source.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The kernels are a row that grows at its end while it is gone through: what
 * a kernel needs is looked for in it, and added when it is new. Who needs
 * whom is kept, so that cycles are found when all is known.
 */

#define NONE SIZE_MAX
#define NEEDS_MAX 100000u
#define LABEL_MAX (2 * REF_PART_MAX + REF_REV_MAX + 4)

struct node {
	struct lock_entry entry;
	size_t needed_by; /* the first that did, NONE for the project */
	size_t left;	  /* of its needs, while cycles are looked for */
};

struct need {
	size_t from, to; /* nodes */
};

struct repo_refs {
	struct repo_id repo;
	struct source_refs refs; /* owned */
};

struct locking {
	struct resolve *r;
	struct node *nodes; /* owned, like the next */
	size_t count, room;
	struct need *needs;
	size_t need_count, need_room;
	struct repo_refs *refs; /* each repository is asked once */
	size_t refs_count;
	struct err *err;
};

static void locking_done(struct locking *l)
{
	for (size_t i = 0; i < l->refs_count; i++)
		source_refs_done(&l->refs[i].refs);
	free(l->refs);
	free(l->needs);
	free(l->nodes);
}

/* "owner/name@v1" or "owner/name@<commit>" */
static void label(const struct lock_entry *e, char out[LABEL_MAX])
{
	if (e->has_version)
		(void)snprintf(out, LABEL_MAX, "%s/%s@v%llu", e->repo.owner,
			       e->repo.name, (unsigned long long)e->version);
	else
		(void)snprintf(out, LABEL_MAX, "%s/%s@%s", e->repo.owner,
			       e->repo.name, e->revision);
}

/* ---- the row ---- */

static bool is_same(const struct lock_entry *a, const struct lock_entry *b)
{
	return repo_equal(&a->repo, &b->repo) &&
	       a->has_version == b->has_version && a->version == b->version &&
	       strcmp(a->revision, b->revision) == 0;
}

static int grow(void **list, size_t *room, size_t count, size_t size,
		struct err *err)
{
	size_t more = *room ? 2 * *room : 16;
	void *p;

	if (count < *room)
		return 0;
	p = reallocarray(*list, more, size);
	if (!p)
		return err_errno(err, ENOMEM, "lock");
	*list = p;
	*room = more;
	return 0;
}

/* The node of a dependency; *out is where it stands. */
static int add_node(struct locking *l, const struct lock_entry *e,
		    size_t needed_by, size_t *out)
{
	void *nodes = l->nodes;
	int r;

	for (size_t i = 0; i < l->count; i++) {
		*out = i;
		if (is_same(&l->nodes[i].entry, e))
			return 0;
	}
	if (l->count == LOCKFILE_ENTRIES_MAX)
		return err_set(l->err, E2BIG, "more than %u kernels to lock",
			       LOCKFILE_ENTRIES_MAX);
	r = grow(&nodes, &l->room, l->count, sizeof(*l->nodes), l->err);
	l->nodes = nodes;
	if (r < 0)
		return r;
	*out = l->count;
	l->nodes[l->count++] =
		(struct node){ .entry = *e, .needed_by = needed_by };
	return 0;
}

static int add_need(struct locking *l, size_t from, size_t to)
{
	void *needs = l->needs;
	int r;

	for (size_t i = l->need_count; i > 0 && l->needs[i - 1].from == from;
	     i--) {
		if (l->needs[i - 1].to == to)
			return 0;
	}
	if (l->need_count == NEEDS_MAX)
		return err_set(l->err, E2BIG, "more than %u dependencies",
			       NEEDS_MAX);
	r = grow(&needs, &l->need_room, l->need_count, sizeof(*l->needs),
		 l->err);
	l->needs = needs;
	if (r < 0)
		return r;
	l->needs[l->need_count++] = (struct need){ from, to };
	l->nodes[from].left++;
	return 0;
}

/* ---- one kernel ---- */

static int check_trust(struct locking *l, const struct repo_id *repo)
{
	int r = answers_trusted(l->r, repo, MEMO_REMOTE, NULL, l->err);

	if (r < 0)
		return r;
	return r ? 0
		 : err_set(l->err, ERR_REFUSED,
			   "publisher '%s' is not trusted; if you trust it, "
			   "say --trust=%s/%s",
			   repo->owner, repo->owner, repo->name);
}

static int find_refs(struct locking *l, const struct repo_id *repo,
		     const struct source_refs **out)
{
	struct repo_refs *more;
	int r;

	for (size_t i = 0; i < l->refs_count; i++) {
		*out = &l->refs[i].refs;
		if (repo_equal(&l->refs[i].repo, repo))
			return 0;
	}
	more = reallocarray(l->refs, l->refs_count + 1, sizeof(*more));
	if (!more)
		return err_errno(l->err, ENOMEM, "lock");
	l->refs = more;
	more += l->refs_count;
	memset(more, 0, sizeof(*more));
	more->repo = *repo;
	r = catalog_refs(l->r->catalog, repo, CATALOG_SOURCE, &more->refs, NULL,
			 l->err);
	if (r < 0)
		return r;
	l->refs_count++;
	*out = &more->refs;
	return 0;
}

static int version_commit(struct locking *l, struct lock_entry *e)
{
	AUTO(auto_text) struct text known = TEXT_INIT(256);
	const struct source_refs *refs = NULL;
	int r = find_refs(l, &e->repo, &refs);

	if (r < 0)
		return r;
	for (size_t i = 0; i < refs->branch_count; i++) {
		uint32_t v;

		if (!version_branch_parse(&v, refs->branches[i].name))
			continue;
		if (v == e->version)
			return text_copy(e->commit, sizeof(e->commit),
					 refs->branches[i].commit);
		text_printf(&known, "%s%u", known.len ? ", " : "", v);
	}
	return err_set(l->err, ENOENT, "no such version; there %s%s",
		       known.len ? "is " : "is none", text_str(&known));
}

/* A revision that moves cannot be locked. */
static int revision_commit(struct locking *l, struct lock_entry *e)
{
	size_t n = strlen(e->revision);

	if (n != REF_COMMIT_LEN ||
	    strspn(e->revision, "0123456789abcdefABCDEF") != n)
		return err_set(l->err, EINVAL,
			       "only a version or a full commit of %d hex "
			       "digits can be locked",
			       REF_COMMIT_LEN);
	for (size_t i = 0; i < n; i++)
		e->commit[i] = (char)tolower((unsigned char)e->revision[i]);
	e->commit[n] = '\0';
	return 0;
}

static int entry_of(struct locking *l, const struct metadata_depend *d,
		    struct lock_entry *out)
{
	*out = (struct lock_entry){ .repo = d->repo,
				    .has_version = d->has_version,
				    .version = d->version };
	if (!d->repo.owner[0])
		return err_set(l->err, EINVAL,
			       "needs '%.200s', which is no repository's name",
			       d->repo_id);
	if (text_copy(out->revision, sizeof(out->revision), d->revision) < 0)
		return err_set(l->err, EINVAL,
			       "needs '%.200s' at a revision of more than %d "
			       "bytes",
			       d->repo_id, REF_REV_MAX);
	return 0;
}

static int add_build(struct locking *l, size_t at, const char *variant)
{
	const struct lock_entry *e = &l->nodes[at].entry;
	struct metadata m;
	int r = catalog_metadata(l->r->catalog, &e->repo, e->commit, variant,
				 CATALOG_SOURCE, &m, l->err);

	if (r < 0)
		return r;
	for (size_t i = 0; i < m.depend_count && r == 0; i++) {
		struct lock_entry need;
		size_t to = NONE;

		r = entry_of(l, &m.depends[i], &need);
		if (r < 0)
			(void)err_wrap(l->err, r, "build '%s'", variant);
		if (r == 0)
			r = add_node(l, &need, at, &to);
		if (r == 0)
			r = add_need(l, at, to);
	}
	metadata_done(&m);
	return r;
}

static int add_builds(struct locking *l, size_t at)
{
	const struct lock_entry *e = &l->nodes[at].entry;
	struct tree *t = NULL;
	int r = catalog_tree(l->r->catalog, &e->repo, e->commit, "build", false,
			     CATALOG_SOURCE, &t, l->err);

	for (uint32_t i = r < 0 ? TREE_NONE : tree_first(t, TREE_NONE);
	     i != TREE_NONE && r == 0; i = tree_next(t, i)) {
		struct err why = ERR_INIT;
		struct tree_entry folder;
		struct variant v;

		tree_get(t, i, &folder);
		if (folder.kind != TREE_FOLDER)
			continue;
		if (variant_parse(&v, folder.name, &why) == 0)
			r = add_build(l, at, folder.name);
		else
			log_warning("lock", "%s/%s: %s",
				    l->nodes[at].entry.repo.owner,
				    l->nodes[at].entry.repo.name,
				    err_text(&why));
	}
	tree_unref(t);
	return r;
}

static int lock_node(struct locking *l, size_t at)
{
	struct lock_entry *e = &l->nodes[at].entry;
	int r = check_trust(l, &e->repo);

	if (r == 0)
		r = e->has_version ? version_commit(l, e)
				   : revision_commit(l, e);
	return r < 0 ? r : add_builds(l, at);
}

/* ---- all of them ---- */

/* Whose kernel it was, and through whom the project came to it. */
static int say_where(const struct locking *l, size_t at, int r)
{
	char name[LABEL_MAX];
	char by[LABEL_MAX];
	const struct node *n = &l->nodes[at];

	label(&n->entry, name);
	/* A source begins with the repository itself. */
	(void)snprintf(by, sizeof(by), "'%s/%s'", n->entry.repo.owner,
		       n->entry.repo.name);
	if (n->needed_by == NONE && text_starts(err_text(l->err), by))
		return r;
	if (n->needed_by == NONE)
		return err_wrap(l->err, r, "'%s'", name);
	label(&l->nodes[n->needed_by].entry, by);
	return err_wrap(l->err, r, "'%s', which '%s' needs", name, by);
}

/* Takes off, again and again, who needs nobody; what is left has a cycle. */
static size_t count_cyclic(struct locking *l)
{
	size_t left = l->count;
	bool more = true;

	while (more) {
		more = false;
		for (size_t i = 0; i < l->count; i++) {
			if (l->nodes[i].left != 0)
				continue;
			l->nodes[i].left = NONE; /* taken off */
			left--;
			more = true;
			for (size_t k = 0; k < l->need_count; k++)
				if (l->needs[k].to == i)
					l->nodes[l->needs[k].from].left--;
		}
	}
	return left;
}

static size_t cyclic_need(const struct locking *l, size_t from)
{
	size_t k = 0;

	while (l->needs[k].from != from ||
	       l->nodes[l->needs[k].to].left == NONE)
		k++;
	return l->needs[k].to;
}

static int check_cycles(struct locking *l)
{
	AUTO(auto_text) struct text chain = TEXT_INIT(ERR_TEXT_MAX);
	char name[LABEL_MAX];
	size_t at = 0;
	size_t start;

	if (count_cyclic(l) == 0)
		return 0;
	while (l->nodes[at].left == NONE)
		at++;
	/* after so many steps it goes round */
	for (size_t i = 0; i < l->count; i++)
		at = cyclic_need(l, at);
	start = at;
	label(&l->nodes[start].entry, name);
	text_printf(&chain, "'%s'", name);
	do {
		at = cyclic_need(l, at);
		label(&l->nodes[at].entry, name);
		text_printf(&chain, " needs '%s'%s", name,
			    at == start ? "" : ", which");
	} while (at != start && !text_failed(&chain));
	return err_set(l->err, ELOOP, "kernels that need each other: %s",
		       text_str(&chain));
}

static int run(struct locking *l, const struct project *project)
{
	size_t at = 0;
	int r = 0;

	for (size_t i = 0; i < project->count && r == 0; i++) {
		const struct lock_entry e = {
			.repo = project->depends[i].repo,
			.has_version = true,
			.version = project->depends[i].version,
		};

		r = add_node(l, &e, NONE, &at);
	}
	for (at = 0; r == 0 && at < l->count; at++) {
		r = lock_node(l, at);
		if (r < 0)
			return say_where(l, at, r);
	}
	return r < 0 ? r : check_cycles(l);
}

static int put_out(struct lockfile *out, const struct locking *l,
		   const char *path)
{
	struct lockfile f = {
		.path = text_dup(path, strlen(path)),
		.entries = calloc(l->count ? l->count : 1, sizeof(*f.entries)),
	};
	int r = f.path && f.entries ? 0 : err_errno(l->err, ENOMEM, "lock");

	for (size_t i = 0; i < l->count && r == 0; i++)
		f.entries[f.count++] = l->nodes[i].entry;
	if (r == 0)
		r = lockfile_sort(&f, l->err);
	if (r < 0)
		lockfile_done(&f);
	else
		*out = f;
	return r;
}

int locking_run(struct lockfile *out, struct resolve *r,
		const struct project *project, const char *path,
		struct err *err)
{
	struct err why = ERR_INIT; /* there is always somebody to tell */
	struct locking l = { .r = r, .err = err ? err : &why };
	int n = run(&l, project);

	if (n == 0)
		n = put_out(out, &l, path);
	locking_done(&l);
	return n;
}
