/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_IMPORTING_H
#define FS_IMPORTING_H

/*
 * Imports that are under way: a door has said that it will ask for a kernel,
 * so the bytes of its best build are fetched while that build's metadata, which
 * may still refuse it, is on its way. Who only lists or reads a decision says
 * nothing, and no byte comes for it.
 *
 * Any thread.
 */

#include "kernels/ref.h"
#include "resolver/env.h"

struct err;
struct fetch;
struct importing;
struct resolve_options;

int importing_new(struct importing **out, struct fetch *fetch,
		  struct err *err);	   /* borrows it */
void importing_free(struct importing *im); /* NULL allowed */
/* Have the resolver tell of candidates. */
void importing_listen(struct importing *im, struct resolve_options *o);

/* A kernel will be asked for, in the environment of this spec. */
void importing_begin(struct importing *im, const struct repo_id *repo,
		     const char *spec);

#endif
