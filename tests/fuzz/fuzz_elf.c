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
	struct elf_range ranges[ELF_RANGES_MAX];
	int r = elf_loader_ranges(fd, ranges);

	FUZZ_CHECK(r >= 0 && r <= (int)ELF_RANGES_MAX);
	for (int i = 0; i < r; i++)
		FUZZ_CHECK(ranges[i].size > 0 && ranges[i].at < size &&
			   ranges[i].size <= size - ranges[i].at);
	r = elf_dynamic_symbol_contains(fd, "cxx11", &err);

	if (r == 1)
		FUZZ_CHECK(memmem(data, size, "cxx11", 5));
	else
		FUZZ_CHECK(r == 0 || (r == -EINVAL && err.text[0]));
	return 0;
}
