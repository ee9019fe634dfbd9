/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"

#define PRINTED_MAX (8u << 20)

/* All that the accessors say of a document, as JSON. What is no number of
 * ours, true or false is printed as null. */
static void print(const struct json *j, unsigned depth, struct text *out)
{
	bool object = json_is_object(j);
	const struct json *item;
	uint64_t n;

	if (json_is_string(j)) {
		text_add_json(out, json_string(j));
	} else if (object || json_is_array(j)) {
		size_t count = 0;

		FUZZ_CHECK(depth < JSON_DEPTH);
		text_add_char(out, object ? '{' : '[');
		for (item = json_first(j); item; item = json_next(item)) {
			text_add(out, count++ ? "," : "");
			if (object) {
				FUZZ_CHECK(json_get(j, json_name(item)));
				text_add_json(out, json_name(item));
				text_add_char(out, ':');
			}
			print(item, depth + 1, out);
		}
		FUZZ_CHECK(count == json_count(j));
		text_add_char(out, object ? '}' : ']');
	} else if (json_u64(j, &n)) {
		FUZZ_CHECK(n <= UINT64_C(1) << 53);
		text_printf(out, "%llu", (unsigned long long)n);
	} else if (json_bool(j, true) == json_bool(j, false)) {
		text_add(out, json_bool(j, false) ? "true" : "false");
	} else {
		text_add(out, "null");
	}
}

/* Printed and read again, it is printed the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_json) struct json *j = NULL;
	AUTO(auto_json) struct json *k = NULL;
	AUTO(auto_text) struct text first = TEXT_INIT(PRINTED_MAX);
	AUTO(auto_text) struct text second = TEXT_INIT(PRINTED_MAX);

	if (json_parse(&j, (const char *)data, size, NULL) < 0) {
		FUZZ_CHECK(!j);
		return 0;
	}
	print(j, 0, &first);
	if (text_failed(&first))
		return 0;
	FUZZ_CHECK(json_parse(&k, first.s, first.len, NULL) == 0);
	print(k, 0, &second);
	FUZZ_CHECK(strcmp(text_str(&first), text_str(&second)) == 0);
	return 0;
}
