/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_CHOOSE_H
#define RESOLVER_CHOOSE_H

/*
 * Which build: accept, refuse with a reason, prefer. A pure function of
 * names and environment; rules, sentences and order are the reference's
 * (kernels-facts.md chapter 2, kernels-0.17.2.md chapter 2).
 */

#include <stdbool.h>
#include <stddef.h>

struct env;
struct err;

#define CHOOSE_REASON_MAX 384 /* a name and a sentence of ours */

struct decision {
	char *name; /* owned; the directory's name as it stands */
	bool accepted;
	char reason[CHOOSE_REASON_MAX]; /* "" when accepted */
};

struct decisions {
	struct decision *items; /* owned; best first, refused ones behind */
	size_t count;
	size_t accepted; /* that many stand in front */
	char **skipped;	 /* owned; names that do not parse, in byte order */
	size_t skipped_count;
};

/* -ENOMEM; never fails on a name. Names are copied. */
int choose(struct decisions *out, const char *const *names, size_t count,
	   const struct env *env, struct err *err);
void decisions_done(struct decisions *d);
/* Move an accepted build among the refused, with this reason. */
void decisions_refuse(struct decisions *d, size_t i, const char *reason);

#endif
