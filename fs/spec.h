/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_SPEC_H
#define FS_SPEC_H

/*
 * The environment behind `.env/<spec>`, shared by all nodes below it.
 * Immutable, counted.
 */

#include "resolver/env.h"

struct spec {
	unsigned refs; /* __atomic */
	struct env env;
	char text[ENV_SPEC_MAX]; /* canonical */
};

struct spec *spec_new(const struct env *env); /* NULL: no memory */
struct spec *spec_ref(struct spec *s);
void spec_unref(struct spec *s); /* NULL allowed */

#endif
