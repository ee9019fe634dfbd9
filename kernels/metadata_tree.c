/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the metadata of a build says of its files, against the listing.
 */
#include "metadata.h"

#include "base/err.h"
#include "tree.h"

#include <errno.h>
#include <string.h>

#define HASH_TEXT_MAX 45 /* 32 bytes in base64, and the NUL */

static void base64(const uint8_t bytes[32], char out[HASH_TEXT_MAX])
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz"
				      "0123456789+/";
	char *p = out;

	for (size_t i = 0; i < 32; i += 3) {
		unsigned last = i + 2 < 32 ? bytes[i + 2] : 0;
		unsigned three = (unsigned)bytes[i] << 16 |
				 (unsigned)bytes[i + 1] << 8 | last;

		*p++ = letters[three >> 18 & 63];
		*p++ = letters[three >> 12 & 63];
		*p++ = letters[three >> 6 & 63];
		*p++ = letters[three & 63];
	}
	out[HASH_TEXT_MAX - 2] = '=';
	out[HASH_TEXT_MAX - 1] = '\0';
}

/* Of a path that is named twice the last one counts, as in the reference. */
static bool comes_again(const struct metadata *m, size_t i)
{
	for (size_t k = i + 1; k < m->digest_count; k++) {
		if (!strcmp(m->digest[k].path, m->digest[i].path))
			return true;
	}
	return false;
}

/* The listing knows the SHA-256 of large files; a git hash tells nothing. */
static int compare(const struct metadata *m, size_t i,
		   const struct tree_entry *e, struct err *err)
{
	const struct metadata_file *f = &m->digest[i];
	char have[HASH_TEXT_MAX];

	if (m->digest_sha512 || e->digest.kind != DIGEST_SHA256)
		return 0;
	base64(e->digest.bytes, have);
	if (!strcmp(have, f->hash) || comes_again(m, i))
		return 0;
	return err_set(err, EBADMSG,
		       "'%.100s' is not the file of its digest: expected "
		       "%.44s, the listing has %s",
		       f->path, f->hash, have);
}

int metadata_complete(const struct metadata *m, const struct tree *build,
		      struct err *err)
{
	const char *first = NULL;
	size_t missing = 0;

	for (size_t i = 0; i < m->digest_count; i++) {
		uint32_t at = tree_find(build, m->digest[i].path);
		struct tree_entry e = { .kind = TREE_FOLDER };
		int r = 0;

		if (at != TREE_NONE)
			tree_get(build, at, &e);
		if (e.kind == TREE_FILE)
			r = compare(m, i, &e, err);
		if (r < 0)
			return r;
		/* a link to a file counts there, a folder does not */
		if (e.kind != TREE_FOLDER)
			continue;
		missing++;
		if (!first)
			first = m->digest[i].path;
	}
	if (!missing)
		return 0;
	return err_set(err, ENOENT,
		       "incomplete upload: %zu of the %zu files of its digest "
		       "are missing, the first is '%.300s'",
		       missing, m->digest_count, first);
}
