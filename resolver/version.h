/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_VERSION_H
#define RESOLVER_VERSION_H

/*
 * major.minor of a PEP 440 version, and X.Y.Z tags. Pure.
 */

#include <stdbool.h>
#include <stdint.h>

struct version {
	bool known; /* false: none, "None" in print */
	uint32_t major;
	uint32_t minor;
};

#define VERSION_TEXT_MAX 24

/* Leading "X.Y" of any PEP 440 text ("2.13.0.dev2026+cu130" -> 2.13; "v"
 * prefix, epoch and local parts as PEP 440 has them). -EINVAL. */
int version_parse(struct version *out, const char *s);
int version_compare(const struct version *a, const struct version *b);
void version_print(const struct version *v, char out[VERSION_TEXT_MAX]);

/* A tag "vX.Y.Z" (exactly three numbers). */
struct version_tag {
	uint32_t part[3];
};
bool version_tag_parse(struct version_tag *out, const char *s);
int version_tag_compare(const struct version_tag *a,
			const struct version_tag *b);
/* A branch "v<N>" as Python's int() reads N (kernels-facts.md 5.2), plain
 * ASCII digits only: "v01" is 1. */
bool version_branch_parse(uint32_t *out, const char *s);

#endif
