/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_METADATA_H
#define KERNELS_METADATA_H

/*
 * metadata.json of a build, as far as the mount needs it: is the upload
 * whole? Schema: kernels-facts.md 4.2 with kernels-0.17.2.md 4.2.
 */

#include <stdbool.h>
#include <stddef.h>

struct err;
struct tree;

#define METADATA_BYTES_MAX (4u << 20)

struct metadata {
	char name[97];
	char backend[16];
	bool dirty;	     /* built from uncommitted sources */
	char **digest_files; /* owned; NULL when there is no digest */
	size_t digest_count;
};

/* Parse; a missing or malformed known key is -EINVAL with a sentence. */
int metadata_parse(struct metadata *out, const char *s, size_t n,
		   struct err *err);
void metadata_done(struct metadata *m);
/*
 * Does the listing of the build hold every file of the digest? 0, or -ENOENT
 * with a sentence that names the first one missing and how many.
 */
int metadata_complete(const struct metadata *m, const struct tree *build,
		      struct err *err);

#endif
