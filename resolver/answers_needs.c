/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the revisions of needed kernels are: the same as those names in the
 * tree of this mount. Only where nobody in this mount has asked for the
 * kernel that needs them by a name that moves, what was decided before on
 * this machine goes first, so that a pinned and cached kernel asks nobody.
 */
#include "answers.h"

#include "decided.h"
#include "pick.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "kernels/catalog_pins.h"
#include "kernels/source.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool answers_is_head(struct resolve *r, const struct repo_id *repo,
		     const char *commit)
{
	char name[2 * REF_PART_MAX + 2];
	const struct source_refs *refs;
	struct memo_ref ref = { 0 };
	bool found = false;

	(void)snprintf(name, sizeof(name), "%s/%s", repo->owner, repo->name);
	if (memo_ask(r->memo[ANSWERS_REFS], name, strlen(name), NULL, &ref,
		     NULL) != 0)
		return false;
	refs = ref.value;
	for (size_t i = 0; i < refs->branch_count && !found; i++)
		found = !strcmp(refs->branches[i].commit, commit);
	for (size_t i = 0; i < refs->tag_count && !found; i++)
		found = !strcmp(refs->tags[i].commit, commit);
	memo_drop(r->memo[ANSWERS_REFS], &ref);
	return found;
}

static int from_note(struct resolve *r, const struct pick *root,
		     const struct ref *ref, struct resolve_commit *out)
{
	struct catalog_pins pins = { 0 };
	const struct catalog_pin *pin;

	if (answers_is_head(r, &root->repo, root->commit) ||
	    decided_find(r->moving, &root->repo, root->commit, NULL) ||
	    catalog_pins(r->catalog, &root->repo, root->commit, &pins) < 0)
		return -EAGAIN;
	pin = catalog_pins_find(&pins, ref);
	if (pin) {
		out->repo = pin->repo;
		(void)text_copy(out->commit, sizeof(out->commit), pin->commit);
	}
	catalog_pins_done(&pins);
	return pin ? 0 : -EAGAIN;
}

/* Asked for already in this mount, in the lock, a commit, or pinned before. */
static int known(struct resolve *r, const struct pick *root,
		 const struct ref *ref, const struct answers_key *k,
		 struct resolve_commit *out, struct err *err)
{
	AUTO(auto_free) struct resolve_commit *made = NULL;
	struct memo *memo = r->memo[ANSWERS_COMMIT];
	struct memo_ref a = { 0 };
	void *value = NULL;
	int64_t keep_ms = 0;
	int n = memo_ask(memo, k->s, k->len, NULL, &a, err);

	if (n == 0) {
		*out = *(const struct resolve_commit *)a.value;
		memo_drop(memo, &a);
		return 0;
	}
	if (n != -EINPROGRESS)
		return -EAGAIN; /* a failure: the other stage says it */
	n = answers_commit.make(r, k->s, k->len, MEMO_LOCAL, &value, &keep_ms,
				err);
	if (n < 0)
		return n == -EAGAIN ? from_note(r, root, ref, out) : n;
	made = value;
	*out = *made;
	return 0;
}

int answers_needed(struct resolve *r, enum memo_stage stage,
		   const struct pick *root, const struct ref *ref,
		   struct resolve_commit *out, struct err *err)
{
	struct memo *memo = r->memo[ANSWERS_COMMIT];
	struct memo_ref a = { 0 };
	struct answers_key k;
	int n;

	ref_print(ref, k.s);
	k.len = strlen(k.s);
	if (stage == MEMO_LOCAL)
		return known(r, root, ref, &k, out, err);
	n = memo_ask_blocking(memo, k.s, k.len, &a, err);
	if (n < 0)
		return n;
	*out = *(const struct resolve_commit *)a.value;
	memo_drop(memo, &a);
	return 0;
}

/* Is all of it kept as it is? */
static bool are_kept(struct resolve *r, const struct pick *p)
{
	struct catalog_pins pins = { 0 };
	bool same = true;

	if (catalog_pins(r->catalog, &p->repo, p->commit, &pins) < 0)
		return false;
	for (size_t i = 0; i < p->depend_count && same; i++) {
		const struct pick_depend *d = &p->depends[i];
		const struct catalog_pin *pin =
			catalog_pins_find(&pins, &d->asked);

		same = pin && repo_equal(&pin->repo, &d->repo) &&
		       !strcmp(pin->commit, d->commit);
	}
	catalog_pins_done(&pins);
	return same;
}

void answers_keep_needed(struct resolve *r, const struct pick *p)
{
	struct catalog_pin *pins;

	if (p->depend_count == 0 || are_kept(r, p))
		return;
	pins = calloc(p->depend_count, sizeof(*pins));
	if (!pins)
		return; /* the next mount asks again, that is all */
	for (size_t i = 0; i < p->depend_count; i++) {
		pins[i].asked = p->depends[i].asked;
		pins[i].repo = p->depends[i].repo;
		(void)text_copy(pins[i].commit, sizeof(pins[i].commit),
				p->depends[i].commit);
	}
	catalog_pins_keep(r->catalog, &p->repo, p->commit, pins,
			  p->depend_count);
	free(pins);
}
