/* SPDX-License-Identifier: Apache-2.0 */
#include "lockfile.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "kernels/digest.h"
#include "kernels/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Does the format leave this file out? */
static bool is_bytecode(const char *path)
{
	static const char folder[] = "__pycache__";
	size_t n = sizeof(folder) - 1;
	const char *p = path;

	if (text_ends(path, ".pyc"))
		return true;
	while ((p = strstr(p, folder))) {
		if ((p == path || p[-1] == '/') &&
		    (p[n] == '/' || p[n] == '\0'))
			return true;
		p += n;
	}
	return false;
}

static int compare_path(const void *a, const void *b)
{
	const struct tree_entry *one = a;
	const struct tree_entry *two = b;

	return strcmp(one->path, two->path);
}

/* A listing has '/' before every other byte; the format sorts plainly. */
static int files_by_name(const struct tree *build, struct tree_entry **out,
			 size_t *count)
{
	uint32_t n = tree_count(build);
	struct tree_entry *list = calloc(n ? n : 1, sizeof(*list));
	size_t used = 0;

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		tree_get(build, i, &list[used]);
		if (list[used].kind == TREE_FILE &&
		    !is_bytecode(list[used].path))
			used++;
	}
	if (used)
		qsort(list, used, sizeof(*list), compare_path);
	*out = list;
	*count = used;
	return 0;
}

int lock_hash_of(const char *variant, const struct tree *build, char hex[65])
{
	AUTO(auto_free) struct tree_entry *list = NULL;
	struct hasher *h = NULL;
	struct digest sum;
	size_t count = 0;
	int r;

	if (!text_starts(variant, "torch"))
		return -EINVAL;
	r = files_by_name(build, &list, &count);
	if (r == 0)
		r = hasher_new(&h, DIGEST_SHA256, 0, NULL);
	for (size_t i = 0; i < count && r == 0; i++) {
		r = hasher_add(h, list[i].path, strlen(list[i].path));
		if (r == 0)
			r = hasher_add(h, list[i].digest.bytes,
				       list[i].digest.kind);
	}
	if (r == 0)
		r = hasher_end(h, &sum);
	hasher_free(h);
	if (r == 0)
		digest_print(&sum, hex);
	return r;
}
