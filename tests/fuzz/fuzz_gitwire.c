/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/git/gitwire.h"
#include "kernels/source.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>

static int keep(void *arg, const void *p, size_t n, struct err *err)
{
	(void)p;
	(void)err;
	*(size_t *)arg += n;
	return 0;
}

/* What a server says of its names, and what it answers to who wants a pack,
 * whole and in pieces, which must come to the same. */
static int answer(const uint8_t *data, size_t size, size_t step, size_t *got)
{
	AUTO(auto_free) struct gitwire_answer *a = malloc(sizeof(*a));
	int r = 0;

	FUZZ_CHECK(a);
	*got = 0;
	gitwire_answer_init(a, keep, got);
	for (size_t at = 0; !r && at < size; at += step)
		r = gitwire_answer_add(a, data + at,
				       size - at < step ? size - at : step,
				       NULL);
	return r < 0 ? r : gitwire_answer_end(a, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source_refs refs;
	size_t whole;
	size_t pieces;
	int r = gitwire_refs((const char *)data, size, &refs, NULL);

	if (!r) {
		for (size_t i = 1; i < refs.branch_count; i++)
			FUZZ_CHECK(strcmp(refs.branches[i - 1].name,
					  refs.branches[i].name) < 0);
		for (size_t i = 0; i < refs.tag_count; i++)
			FUZZ_CHECK(text_is_hex(refs.tags[i].commit,
					       REF_COMMIT_LEN));
		source_refs_done(&refs);
	}
	r = answer(data, size, size + 1, &whole);
	FUZZ_CHECK(answer(data, size, 3, &pieces) == r);
	FUZZ_CHECK(whole == pieces && whole <= size);
	return 0;
}
