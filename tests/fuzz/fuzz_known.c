/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "base/text.h"
#include "kernels/dir/dir_known.h"
#include "kernels/fact.h"

#include <errno.h>

/* What is taken is found again by its path, and printed as it came. */
static void check(const struct dir_known *k, const struct text *note)
{
	struct text again = TEXT_INIT(FACT_BYTES_MAX);

	fact_begin(&again, DIR_KNOWN_KIND);
	for (size_t i = 0; i < k->count; i++) {
		const struct dir_known_file *f = &k->files[i];
		struct dir_stamp other = f->stamp;

		other.size++;
		FUZZ_CHECK(dir_known_find(k, f->path, &f->stamp) == &f->digest);
		FUZZ_CHECK(!dir_known_find(k, f->path, &other));
		dir_known_add(&again, f->path, &f->stamp, &f->digest);
	}
	fact_end(&again);
	/* numbers may have had zeros in front */
	FUZZ_CHECK(again.len <= note->len);
	text_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct text note = TEXT_INIT(FACT_BYTES_MAX);
	struct dir_known k = { .count = 0 };
	int r;

	text_add_bytes(&note, data, size);
	r = dir_known_parse(&k, &note);
	FUZZ_CHECK(r == 0 || (r == -EBADMSG && !k.files && !k.text));
	if (r == 0)
		check(&k, &note);
	dir_known_done(&k);
	text_done(&note);
	return 0;
}
