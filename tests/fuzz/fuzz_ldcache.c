/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "resolver/ldcache.h"

#include "base/cleanup.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_close) int fd = fuzz_file(data, size);
	char found[PYTHON_PATH_MAX] = "";
	char file[64];
	int r;

	(void)snprintf(file, sizeof(file), "/proc/self/fd/%d", fd);
	r = ldcache_find(found, file, "libcudart.", NULL);
	FUZZ_CHECK(r == 0 || r == -ENOENT || r == -EINVAL);
	if (r == 0)
		FUZZ_CHECK(memmem(data, size, found, strlen(found) + 1));
	else
		FUZZ_CHECK(!found[0]);
	return 0;
}
