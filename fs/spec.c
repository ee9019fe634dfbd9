/* SPDX-License-Identifier: Apache-2.0 */
#include "spec.h"

#include <stdlib.h>

struct spec *spec_new(const struct env *env)
{
	struct spec *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->refs = 1;
	s->env = *env;
	env_print(env, s->text);
	return s;
}

struct spec *spec_ref(struct spec *s)
{
	(void)__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void spec_unref(struct spec *s)
{
	if (s && __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) == 0)
		free(s);
}
