/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/git/gitobj.h"

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor c = { .p = (const char *)data,
			    .end = (const char *)data + size };
	uint8_t id[GITOBJ_ID];
	struct gitobj_entry e;

	while (gitobj_next(&c, &e, NULL) > 0) {
		FUZZ_CHECK(e.name[0] && !strchr(e.name, '/'));
		FUZZ_CHECK(strcmp(e.name, "..") != 0);
		FUZZ_CHECK(strcmp(e.name, ".git") != 0);
	}
	(void)gitobj_tree_of((const char *)data, size, id, NULL);
	return 0;
}
