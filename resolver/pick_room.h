/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PICK_ROOM_H
#define RESOLVER_PICK_ROOM_H

/*
 * Inside of the pick: one kernel (pick.c), and those below it
 * (pick_depends.c).
 */

#include "pick.h"

/* A pick of nothing yet; NULL when memory is short. */
struct pick *pick_new(const struct repo_id *repo, const char *commit,
		      const struct env *env);
/*
 * Choose the build of one kernel. 0 with p->variant and *meta (metadata_done
 * gives it back) or with p->refused and an empty *meta; -errno when the world
 * could not answer.
 */
int pick_decide(struct pick *p, const struct pick_world *w,
		struct metadata *meta, struct err *err);
/* Decide what a chosen build needs, or refuse p for it. *meta is the build's
 * and stays the caller's. */
int pick_decide_depends(struct pick *p, const struct metadata *meta,
			const struct pick_world *w, struct err *err);
/* The chosen build is none: for this reason. */
void pick_refuse(struct pick *p, int code, const char *why);

#endif
