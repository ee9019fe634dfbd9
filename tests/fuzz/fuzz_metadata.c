/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/metadata.h"
#include "kernels/metadata_text.h"
#include "kernels/tree.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* A listing that holds the first `count` files of the digest, where they can
 * be files of one build at all. */
static struct tree *build_of(const struct metadata *m, size_t count)
{
	AUTO(auto_free) void *bytes = NULL;
	struct digest d = { .kind = DIGEST_GIT, .bytes = { 1 } };
	struct tree_builder *b = NULL;
	struct tree *t = NULL;
	size_t n = 0;
	int r = 0;

	FUZZ_CHECK(tree_builder_new(&b, NULL) == 0);
	for (size_t i = 0; i < count && r == 0; i++)
		r = tree_builder_add(b, m->digest[i].path, TREE_FILE, 1, &d,
				     NULL);
	if (r == 0 && tree_builder_end(b, &bytes, &n, NULL) == 0)
		FUZZ_CHECK(tree_from_bytes(&t, bytes, n, NULL) == 0);
	tree_builder_free(b);
	return t;
}

static void check_needs(const struct metadata *m)
{
	char again[METADATA_MINVER_MAX];

	/* what is printed is what is read */
	FUZZ_CHECK(!m->minver[0] || (metadata_text_minver(m->minver, again) &&
				     !strcmp(m->minver, again)));
	for (size_t i = 0; i < m->python_count; i++)
		FUZZ_CHECK(m->python_depends[i]);
	for (size_t i = 0; i < m->depend_count; i++) {
		const struct metadata_depend *d = &m->depends[i];
		char full[2 * REF_PART_MAX + 2];

		FUZZ_CHECK(d->repo_id && d->revision);
		FUZZ_CHECK(!d->has_version || !d->revision[0]);
		if (!d->repo.owner[0])
			continue;
		(void)snprintf(full, sizeof(full), "%s/%s", d->repo.owner,
			       d->repo.name);
		FUZZ_CHECK(!strcmp(full, d->repo_id));
	}
}

static void check(const struct metadata *m)
{
	struct tree *none = build_of(m, 0);
	struct tree *all = build_of(m, m->digest_count);
	struct tree *most;

	FUZZ_CHECK(m->name[0] && fuzz_is_plain(m->name) && m->backend[0]);
	FUZZ_CHECK(m->id);
	check_needs(m);
	FUZZ_CHECK(metadata_complete(m, none, NULL) ==
		   (m->digest_count ? -ENOENT : 0));
	if (all) {
		FUZZ_CHECK(metadata_complete(m, all, NULL) == 0);
		if (m->digest_count) {
			most = build_of(m, m->digest_count - 1);
			FUZZ_CHECK(metadata_complete(m, most, NULL) == -ENOENT);
			tree_unref(most);
		}
	}
	tree_unref(none);
	tree_unref(all);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct metadata m;
	int r = metadata_parse(&m, (const char *)data, size, NULL);

	FUZZ_CHECK(r == 0 || r == -EINVAL);
	if (r == 0) {
		check(&m);
		metadata_done(&m);
	}
	return 0;
}
