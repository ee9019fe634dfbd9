/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_SET_H
#define BASE_SET_H

/*
 * A set of strings, which it copies. Takes no lock.
 */

#include <stdbool.h>

#include "map.h"

struct set {
	struct map map;
};

void set_init(struct set *s);
void set_done(struct set *s);
bool set_has(const struct set *s, const char *text);
/* 1: it is new, 0: it was there, -ENOMEM. */
int set_add(struct set *s, const char *text);

#endif
