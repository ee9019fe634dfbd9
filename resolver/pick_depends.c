/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels below one: walked depth first in the order of the metadata, as
 * the reference does (kernels-0.17.2.md 4.3), each asked name once. The walk
 * keeps its own stack: the chain from the root to the kernel at hand.
 */
#include "pick_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A kernel whose needs are being decided. */
struct step {
	struct pick *p;	  /* owned but in the first step, which is the root */
	struct ref asked; /* of what is below the root */
	struct metadata meta; /* owned but in the first step */
	size_t next;	      /* into meta.depends */
	uint32_t *needs;      /* owned */
	size_t need_count;
};

struct walk {
	struct pick *root;
	const struct pick_world *world;
	struct step *steps; /* PICK_DEPTH_MAX + 1 */
	size_t depth;
	struct err *err;
};

/* ---- what stands in the metadata ---- */

static int depend_ref(const struct metadata_depend *d, struct ref *out,
		      struct err *err)
{
	char text[2 * REF_PART_MAX + REF_REV_MAX + 32];
	int n;

	if (!d->repo.owner[0])
		return err_set(err, EINVAL, "'%.200s' is no repository",
			       d->repo_id);
	if (!d->has_version && !d->revision[0])
		return err_set(err, EINVAL, "an empty revision of '%s'",
			       d->repo_id);
	if (d->has_version)
		n = snprintf(text, sizeof(text), "%s@v%llu", d->repo_id,
			     (unsigned long long)d->version);
	else
		n = snprintf(text, sizeof(text), "%s@%s", d->repo_id,
			     d->revision);
	if (n < 0 || (size_t)n >= sizeof(text))
		return err_set(err, EINVAL,
			       "a revision of '%s' of over %d "
			       "bytes",
			       d->repo_id, REF_REV_MAX);
	return ref_parse(out, text, err);
}

static bool same_ref(const struct ref *a, const struct ref *b)
{
	return repo_equal(&a->repo, &b->repo) && !strcmp(a->rev, b->rev);
}

static int need(struct step *s, uint32_t i)
{
	uint32_t *more =
		reallocarray(s->needs, s->need_count + 1, sizeof(*more));

	if (!more)
		return -ENOMEM;
	s->needs = more;
	s->needs[s->need_count++] = i;
	return 0;
}

/* Something that was decided already is needed again. */
static bool find_decided(const struct walk *w, const struct ref *ref,
			 uint32_t *out)
{
	for (size_t i = 0; i < w->root->depend_count; i++) {
		if (!same_ref(&w->root->depends[i].asked, ref))
			continue;
		*out = (uint32_t)i;
		return true;
	}
	return false;
}

static bool is_above(const struct walk *w, const struct repo_id *repo,
		     const char *commit)
{
	for (size_t i = 0; i < w->depth; i++) {
		const struct pick *p = w->steps[i].p;

		if (repo_equal(&p->repo, repo) && !strcmp(p->commit, commit))
			return true;
	}
	return false;
}

/* ---- when it cannot be had ---- */

/* "needs a/b@v1, which needs c/d@v2: why" */
static void chain(const struct walk *w, const char *last, const char *why,
		  struct text *out)
{
	char name[REF_TEXT_MAX];

	text_add(out, "needs ");
	for (size_t i = 1; i < w->depth; i++) {
		ref_print(&w->steps[i].asked, name);
		text_printf(out, "%s, which needs ", name);
	}
	text_printf(out, "%s: %s", last, why);
}

/* Refuse the root; 1: the walk is over. */
static int refuse(struct walk *w, int code, const char *last, const char *why)
{
	AUTO(auto_text) struct text said = TEXT_INIT(1 << 16);

	chain(w, last, why, &said);
	pick_refuse(w->root, code, text_str(&said));
	return 1;
}

/* What the world says of a kernel that is needed: a refusal or a failure. */
static int fail(struct walk *w, int r, const char *last, const struct err *why)
{
	AUTO(auto_text) struct text said = TEXT_INIT(1 << 16);

	if (r == -EAGAIN || r == -ENOMEM)
		return r;
	if (r == -ENOENT || r == -EACCES || r == -EPERM)
		return refuse(w, -r, last, err_text(why));
	chain(w, last, err_text(why), &said);
	return err_set(w->err, -r, "%s", text_str(&said));
}

/* ---- the walk ---- */

static int push(struct walk *w, const struct ref *asked, struct pick *p,
		const struct metadata *meta)
{
	w->steps[w->depth++] = (struct step){
		.p = p,
		.asked = *asked,
		.meta = *meta,
	};
	return 0;
}

/* Decide the build of a needed kernel and go on with what it needs. */
static int enter(struct walk *w, const struct ref *asked, const char *name)
{
	char commit[REF_COMMIT_LEN + 1];
	struct err why = ERR_INIT;
	struct metadata meta;
	struct repo_id repo;
	struct pick *p;
	int r;

	if (w->depth > PICK_DEPTH_MAX ||
	    w->root->depend_count + w->depth > PICK_DEPENDS_MAX)
		return refuse(w, ENODEV, name,
			      "too many kernels that need "
			      "each other");
	r = w->world->commit(w->world->ctx, w->root, asked, &repo, commit,
			     &why);
	if (r < 0)
		return fail(w, r, name, &why);
	if (is_above(w, &repo, commit))
		return refuse(w, ENODEV, name,
			      "cyclic kernel dependency detected");
	p = pick_new(&repo, commit, &w->root->env);
	if (!p)
		return err_errno(w->err, ENOMEM, "choose a build");
	r = pick_decide(p, w->world, &meta, &why);
	if (r == 0 && p->variant)
		return push(w, asked, p, &meta);
	metadata_done(&meta);
	if (r < 0) {
		r = fail(w, r, name, &why);
	} else {
		r = refuse(w, p->refused, name, p->why);
		(void)text_copy(w->root->lacking, sizeof(w->root->lacking),
				name);
		w->root->lacks = p->decisions;
		memset(&p->decisions, 0, sizeof(p->decisions));
	}
	pick_free(p);
	return r;
}

static int next_need(struct walk *w)
{
	struct step *s = &w->steps[w->depth - 1];
	const struct metadata_depend *d = &s->meta.depends[s->next++];
	char name[REF_TEXT_MAX];
	struct err why = ERR_INIT;
	struct ref asked;
	uint32_t known;
	int r = depend_ref(d, &asked, &why);

	if (r < 0) {
		(void)snprintf(name, sizeof(name), "'%.200s'", d->repo_id);
		text_printable(name);
		return refuse(w, ENODEV, name, err_text(&why));
	}
	ref_print(&asked, name);
	if (!find_decided(w, &asked, &known))
		return enter(w, &asked, name);
	return need(s, known) < 0 ? err_errno(w->err, ENOMEM, "choose a build")
				  : 0;
}

/* All that the last step needs is decided: it is, too. */
static int leave(struct walk *w)
{
	struct step *s = &w->steps[w->depth - 1];
	struct pick *root = w->root;
	struct pick_depend *more, *d;

	s->p->own.needs = TAKE(s->needs);
	s->p->own.need_count = s->need_count;
	if (w->depth == 1) {
		w->depth = 0;
		return 0;
	}
	more = reallocarray(root->depends, root->depend_count + 1,
			    sizeof(*more));
	if (!more)
		return err_errno(w->err, ENOMEM, "choose a build");
	root->depends = more;
	d = &more[root->depend_count];
	*d = (struct pick_depend){
		.asked = s->asked,
		.repo = s->p->repo,
		.nested = s->p->nested,
		.tree = TAKE(s->p->tree),
		.own = s->p->own,
	};
	memset(&s->p->own, 0, sizeof(s->p->own));
	(void)text_copy(d->commit, sizeof(d->commit), s->p->commit);
	(void)text_copy(d->variant, sizeof(d->variant), s->p->variant);
	(void)text_copy(d->package, sizeof(d->package), s->p->package);
	pick_free(s->p);
	metadata_done(&s->meta);
	w->depth--;
	return need(s - 1, (uint32_t)root->depend_count++) < 0
		       ? err_errno(w->err, ENOMEM, "choose a build")
		       : 0;
}

static void drop_steps(struct walk *w)
{
	for (; w->depth > 0; w->depth--) {
		struct step *s = &w->steps[w->depth - 1];

		free(s->needs);
		if (w->depth == 1)
			continue;
		pick_free(s->p);
		metadata_done(&s->meta);
	}
}

int pick_decide_depends(struct pick *p, const struct metadata *meta,
			const struct pick_world *world, struct err *err)
{
	AUTO(auto_free) struct step *steps = NULL;
	struct walk w = { .root = p, .world = world, .depth = 1, .err = err };
	int r = 0;

	if (meta->depend_count == 0)
		return 0;
	steps = calloc(PICK_DEPTH_MAX + 1, sizeof(*steps));
	if (!steps)
		return err_errno(err, ENOMEM, "choose a build");
	w.steps = steps;
	steps[0].p = p;
	steps[0].meta = *meta;
	while (w.depth > 0 && r == 0) {
		const struct step *s = &w.steps[w.depth - 1];

		r = s->next < s->meta.depend_count ? next_need(&w) : leave(&w);
	}
	drop_steps(&w);
	return r < 0 ? r : 0;
}
