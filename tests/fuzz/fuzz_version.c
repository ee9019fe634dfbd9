/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "resolver/version.h"

#include "base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *s = fuzz_string(data, size);
	char text[VERSION_TEXT_MAX];
	struct version_tag tag, same_tag;
	struct version v, w;
	uint32_t branch;

	if (version_parse(&v, s) == 0) {
		FUZZ_CHECK(v.known);
		version_print(&v, text);
		FUZZ_CHECK(version_parse(&w, text) == 0);
		FUZZ_CHECK(version_compare(&v, &w) == 0);
	}
	if (version_tag_parse(&tag, s)) {
		char out[64];

		(void)snprintf(out, sizeof(out), "v%u.%u.%u", tag.part[0],
			       tag.part[1], tag.part[2]);
		FUZZ_CHECK(version_tag_parse(&same_tag, out));
		FUZZ_CHECK(version_tag_compare(&tag, &same_tag) == 0);
	}
	if (version_branch_parse(&branch, s)) {
		FUZZ_CHECK(s[0] == 'v' && s[1]);
		FUZZ_CHECK(!version_tag_parse(&tag, s));
	}
	return 0;
}
