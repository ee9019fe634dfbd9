/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "kernels/fact.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>

/* Printed and read again, it is printed the same. */

static void refs(const struct text *note)
{
	AUTO(auto_text) struct text first = TEXT_INIT(FACT_BYTES_MAX);
	AUTO(auto_text) struct text second = TEXT_INIT(FACT_BYTES_MAX);
	struct source_refs out, again;

	if (fact_parse_refs(note, &out) < 0)
		return;
	fact_print_refs(&first, &out);
	FUZZ_CHECK(first.len <= note->len + 16);
	FUZZ_CHECK(fact_parse_refs(&first, &again) == 0);
	fact_print_refs(&second, &again);
	FUZZ_CHECK(strcmp(text_str(&first), text_str(&second)) == 0);
	source_refs_done(&out);
	source_refs_done(&again);
}

static void names(const struct text *note)
{
	AUTO(auto_text) struct text first = TEXT_INIT(FACT_BYTES_MAX);
	AUTO(auto_text) struct text second = TEXT_INIT(FACT_BYTES_MAX);
	struct source_names out, again;

	if (fact_parse_names(note, &out) < 0)
		return;
	for (size_t i = 0; i < out.count; i++)
		FUZZ_CHECK(ref_name_valid(out.names[i]));
	fact_print_names(&first, &out);
	FUZZ_CHECK(fact_parse_names(&first, &again) == 0);
	fact_print_names(&second, &again);
	FUZZ_CHECK(strcmp(text_str(&first), text_str(&second)) == 0);
	source_names_done(&out);
	source_names_done(&again);
}

/* Notes of people's making end in a count that is seldom right: the input is
 * taken as it is, and as the lines between head and end. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const kinds[] = { "refs", "kernels" };
	AUTO(auto_text) struct text note = TEXT_INIT(FACT_BYTES_MAX);

	text_add_bytes(&note, data, size);
	refs(&note);
	names(&note);
	for (size_t i = 0; i < 2; i++) {
		text_clear(&note);
		fact_begin(&note, kinds[i]);
		text_add_bytes(&note, data, size);
		fact_end(&note);
		refs(&note);
		names(&note);
	}
	return 0;
}
