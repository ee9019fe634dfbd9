/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "resolver/project.h"

#include "base/err.h"

#include <errno.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err err = ERR_INIT;
	struct project p;
	int r = project_parse(&p, "f", (const char *)data, size, &err);

	FUZZ_CHECK(r == 0 || r == -EINVAL || r == -ENOENT);
	FUZZ_CHECK((r == 0) == (err.text[0] == '\0'));
	if (r < 0)
		return 0;
	FUZZ_CHECK(p.count >= 1 && p.count <= PROJECT_DEPENDS_MAX);
	for (size_t i = 0; i < p.count; i++) {
		FUZZ_CHECK(ref_owner_valid(p.depends[i].repo.owner));
		FUZZ_CHECK(ref_name_valid(p.depends[i].repo.name));
		FUZZ_CHECK(p.depends[i].version <= INT64_MAX);
	}
	project_done(&p);
	return 0;
}
