/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/git/lfs.h"

#include "base/cleanup.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_text) struct text url = TEXT_INIT(256);
	int r = lfs_config_url((const char *)data, size, &url, NULL);

	FUZZ_CHECK(r > 0 || url.len == 0 || r < 0);
	FUZZ_CHECK(url.len <= 256);
	return 0;
}
