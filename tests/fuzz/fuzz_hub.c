/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "walk.h"

#include "kernels/hub_json.h"
#include "kernels/source.h"
#include "kernels/tree.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>

/* Every answer kind is tried on every input. */

static void listing(const char *s, size_t n, const char *dir, bool recursive)
{
	AUTO(auto_free) void *bytes = NULL;
	struct hub_page page = { .dir = dir, .recursive = recursive };
	struct tree *t = NULL;
	size_t size = 0;
	int r;

	FUZZ_CHECK(tree_builder_new(&page.builder, NULL) == 0);
	r = hub_json_tree(s, n, &page, NULL);
	FUZZ_CHECK(r == 0 || r == -EPROTO || r == -ENOENT);
	if (r == 0 &&
	    tree_builder_end(page.builder, &bytes, &size, NULL) == 0) {
		FUZZ_CHECK(tree_from_bytes(&t, bytes, size, NULL) == 0);
		FUZZ_CHECK(recursive || tree_count(t) <= page.entries);
		walk_all(t);
	}
	tree_unref(t);
	tree_builder_free(page.builder);
}

static void check_refs(const struct source_ref *refs, size_t n)
{
	char text[REF_REV_MAX + 8];
	struct ref r;

	for (size_t i = 0; i < n; i++) {
		FUZZ_CHECK(text_is_hex(refs[i].commit, REF_COMMIT_LEN));
		(void)snprintf(text, sizeof(text), "o/r@%s", refs[i].name);
		FUZZ_CHECK(ref_parse(&r, text, NULL) == 0);
		FUZZ_CHECK(strcmp(r.rev, refs[i].name) == 0);
	}
}

static void refs(const char *s, size_t n)
{
	struct source_refs out;

	if (hub_json_refs(s, n, &out, NULL) < 0)
		return;
	FUZZ_CHECK(out.branch_count <= SOURCE_REFS_MAX);
	FUZZ_CHECK(out.tag_count <= SOURCE_REFS_MAX);
	check_refs(out.branches, out.branch_count);
	check_refs(out.tags, out.tag_count);
	source_refs_done(&out);
}

static void kernels(const char *s, size_t n)
{
	AUTO(auto_text) struct text names = TEXT_INIT(1 << 20);
	struct source_names out;
	size_t count = 0;
	int r = hub_json_kernels(s, n, "kernels-community", &names, &count,
				 NULL);

	if (r < 0)
		return;
	r = source_names_from(&out, text_str(&names), names.len, NULL);
	FUZZ_CHECK(r == 0);
	FUZZ_CHECK(out.count <= count);
	for (size_t i = 0; i < out.count; i++)
		FUZZ_CHECK(ref_name_valid(out.names[i]));
	source_names_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *s = (const char *)data;
	bool yes = false;

	if (hub_json_trusted(s, size, &yes, NULL) == 0 && yes)
		FUZZ_CHECK(memmem(s, size, "true", 4));
	listing(s, size, "", true);
	listing(s, size, "build", true);
	listing(s, size, "build", false);
	refs(s, size);
	kernels(s, size);
	return 0;
}
