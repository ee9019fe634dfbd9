/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/git/lfs.h"

#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lfs_pointer p = { .size = 12 };
	struct lfs_action a;

	p.digest.kind = DIGEST_SHA256;
	memset(p.digest.bytes, 0xab, sizeof(p.digest.bytes));
	if (lfs_batch_read((const char *)data, size, &p, &a, NULL) < 0)
		return 0;
	FUZZ_CHECK(a.href && *a.href);
	for (size_t i = 0; a.headers[i]; i++) {
		FUZZ_CHECK(strstr(a.headers[i], ": "));
		FUZZ_CHECK(!strpbrk(a.headers[i], "\r\n"));
		FUZZ_CHECK(!text_starts(a.headers[i], "Host:"));
	}
	lfs_action_done(&a);
	return 0;
}
