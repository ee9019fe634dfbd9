/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/git/lfs.h"
#include "kernels/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lfs_pointer p;
	int r = lfs_pointer_parse(&p, (const char *)data, size, NULL);

	if (r > 0) {
		FUZZ_CHECK(size <= LFS_POINTER_MAX);
		FUZZ_CHECK(p.digest.kind == DIGEST_SHA256);
		FUZZ_CHECK(p.size <= TREE_FILE_MAX);
	}
	return 0;
}
