/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/specifier.h"

#include "base/cleanup.h"

#include <string.h>

#define VERSIONS_MAX 32

/* A set, then versions, a line each. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *s = fuzz_string(data, size);
	const char *versions[VERSIONS_MAX];
	size_t n = 0;
	long best;

	for (char *p = strchr(s, '\n'); p && n < VERSIONS_MAX;
	     p = strchr(p, '\n')) {
		*p++ = '\0';
		versions[n++] = p;
	}
	best = specifier_best(s, versions, n);
	FUZZ_CHECK(best >= -1 && best < (long)n);
	FUZZ_CHECK(best < 0 || !specifier_fault(s));
	FUZZ_CHECK(best < 0 || specifier_is_version(versions[best]));
	for (size_t i = 0; i + 1 < n; i++) {
		int c = specifier_compare(versions[i], versions[i + 1]);
		int d = specifier_compare(versions[i + 1], versions[i]);

		FUZZ_CHECK((c > 0) == (d < 0) && (c == 0) == (d == 0));
		FUZZ_CHECK(specifier_compare(versions[i], versions[i]) == 0);
	}
	return 0;
}
