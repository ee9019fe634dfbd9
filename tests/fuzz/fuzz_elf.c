/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/elf.h"

#include "base/cleanup.h"
#include "base/err.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_close) int fd = fuzz_file(data, size);
	struct err err = ERR_INIT;
	int r = elf_dynamic_symbol_contains(fd, "cxx11", &err);

	if (r == 1)
		FUZZ_CHECK(memmem(data, size, "cxx11", 5));
	else
		FUZZ_CHECK(r == 0 || (r == -EINVAL && err.text[0]));
	return 0;
}
