/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"
#include "walk.h"

#include "kernels/tree.h"

#include "base/cleanup.h"

#include <errno.h>

/* A line "kind size path", as in tests/data/must-refuse/tree, or
 * "symlink 0 path>target". */
static int add_line(struct tree_builder *b, char *line)
{
	struct digest d = { .kind = DIGEST_GIT, .bytes = { 1 } };
	enum tree_kind kind = TREE_FILE;
	char *target;
	unsigned long long size = 0;
	char word[16];
	int at = 0;

	if (sscanf(line, "%15s %20llu%n", word, &size, &at) != 2 || !line[at])
		return 0;
	if (strcmp(word, "folder") == 0)
		kind = TREE_FOLDER;
	else if (strcmp(word, "link") == 0)
		kind = (enum tree_kind)7;
	else if (strcmp(word, "large") == 0)
		d.kind = DIGEST_SHA256;
	else if (strcmp(word, "nohash") == 0)
		d.kind = DIGEST_NONE;
	target = strchr(line + at + 1, '>');
	if (strcmp(word, "symlink") == 0 && target) {
		*target++ = '\0';
		return tree_builder_add_link(b, line + at + 1, target, NULL);
	}
	return tree_builder_add(b, line + at + 1, kind, size, &d, NULL);
}

/* What the builder takes can be opened and walked; what it refuses leaves
 * nothing. */
static void finish(struct tree_builder *b, bool refused)
{
	AUTO(auto_free) void *bytes = NULL;
	struct tree *t = NULL;
	size_t n = 0;
	int r = tree_builder_end(b, &bytes, &n, NULL);

	if (r < 0) {
		FUZZ_CHECK(!bytes && (r == -EINVAL || r == -E2BIG));
		return;
	}
	FUZZ_CHECK(!refused);
	FUZZ_CHECK(tree_from_bytes(&t, bytes, n, NULL) == 0);
	walk_all(t);
	tree_unref(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *s = fuzz_string(data, size);
	struct tree_builder *b = NULL;
	char *rest = s;
	char *line;
	int r = 0;

	FUZZ_CHECK(tree_builder_new(&b, NULL) == 0);
	while (r == 0 && (line = strsep(&rest, "\n")))
		r = add_line(b, line);
	finish(b, r < 0);
	tree_builder_free(b);
	return 0;
}
