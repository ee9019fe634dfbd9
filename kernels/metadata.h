/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_METADATA_H
#define KERNELS_METADATA_H

/*
 * metadata.json of a build, as far as the mount needs it: is the upload
 * whole, and what does the kernel need beside itself? Schema:
 * kernels-facts.md 4.2 with kernels-0.17.2.md 4.2.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ref.h"

struct err;
struct tree;

#define METADATA_BYTES_MAX (4u << 20)

/* Three numbers of 64 bits with dots between, and the NUL. */
#define METADATA_MINVER_MAX 64

/* A kernel that this one needs. */
struct metadata_depend {
	char *repo_id;	     /* owned; as written: get_kernel_dep() takes it */
	struct repo_id repo; /* the same; owner "" when it is no repository's
			      * name, which the schema allows */
	bool has_version;
	uint64_t version;
	char *revision; /* owned; "" when it is a version */
};

struct metadata_file {
	char *path; /* owned */
	char *hash; /* owned; base64, as written */
};

struct metadata {
	char *name; /* owned; of lower-case letters, digits and '-' */
	char backend[16];
	char *id; /* owned; any text, "" too */
	/* normal spelling, "" when none is asked for */
	char minver[METADATA_MINVER_MAX];
	bool dirty;	    /* built from uncommitted sources … */
	bool builder_dirty; /* … by a builder of uncommitted sources */
	struct metadata_depend *depends; /* owned; in file order */
	size_t depend_count;
	char **python_depends; /* owned; in file order */
	size_t python_count;
	struct metadata_file *digest; /* owned; NULL when there is none */
	size_t digest_count;
	bool digest_sha512;
};

/* Parse; a missing or malformed known key is -EINVAL with a sentence. */
int metadata_parse(struct metadata *out, const char *s, size_t n,
		   struct err *err);
void metadata_done(struct metadata *m);
/*
 * Does the listing of the build hold every file of the digest, and with the
 * same content where the listing tells? 0; -ENOENT with a sentence that names
 * the first one missing and how many; -EBADMSG with one that names the file
 * and both hashes.
 */
int metadata_complete(const struct metadata *m, const struct tree *build,
		      struct err *err);

#endif
