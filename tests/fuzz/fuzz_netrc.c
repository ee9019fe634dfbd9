/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/http/netrc.h"

#include "base/cleanup.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_text) struct text login = TEXT_INIT(1100);
	int r = netrc_find((const char *)data, size, "git.example", &login,
			   NULL);

	FUZZ_CHECK((r > 0) == (login.len > 0));
	if (r > 0) {
		FUZZ_CHECK(strchr(text_str(&login), ':'));
		FUZZ_CHECK(!strpbrk(text_str(&login), "\r\n"));
		FUZZ_CHECK(memmem(data, size, "machine", 7));
	}
	return 0;
}
