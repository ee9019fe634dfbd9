/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "fs/toml.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>

struct seen {
	struct text out; /* what was read, as a file */
	size_t keys;
	bool grows; /* a byte that is no UTF-8 is printed as three */
};

static void print(struct text *out, const struct toml_value *v, size_t i)
{
	bool text = v->type == TOML_STRING || v->type == TOML_ARRAY;

	if (text)
		text_add_json(out, v->items[i]);
	else
		text_add(out, v->items[i]);
}

static int on_value(void *arg, const struct toml_value *v, struct err *err)
{
	struct seen *s = arg;

	(void)err;
	FUZZ_CHECK(++s->keys <= TOML_KEYS_MAX);
	FUZZ_CHECK(v->key[0] && strlen(v->key) <= TOML_KEY_MAX);
	FUZZ_CHECK(v->line >= 1 && v->count <= TOML_ITEMS_MAX);
	FUZZ_CHECK(v->count == 1 || v->type == TOML_ARRAY);
	text_printf(&s->out, "%s = %s", v->key,
		    v->type == TOML_ARRAY ? "[" : "");
	for (size_t i = 0; i < v->count; i++) {
		FUZZ_CHECK(strlen(v->items[i]) <= TOML_STRING_MAX);
		if (strlen(v->items[i]) > TOML_STRING_MAX / 3 &&
		    !fuzz_is_plain(v->items[i]))
			s->grows = true;
		text_add(&s->out, i ? ", " : "");
		print(&s->out, v, i);
	}
	text_add(&s->out, v->type == TOML_ARRAY ? "]\n" : "\n");
	return 0;
}

/* Printed and read again, it is printed the same. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen first = { .out = TEXT_INIT(16 << 20) };
	struct seen second = { .out = TEXT_INIT(16 << 20) };
	struct err err = ERR_INIT;
	int r = toml_read("file", (const char *)data, size, on_value, &first,
			  &err);

	FUZZ_CHECK(r == 0 || (r == -EINVAL && err.text[0]));
	if (r == 0 && !first.grows && !text_failed(&first.out)) {
		FUZZ_CHECK(toml_read("again", text_str(&first.out),
				     first.out.len, on_value, &second,
				     NULL) == 0);
		FUZZ_CHECK(strcmp(text_str(&first.out),
				  text_str(&second.out)) == 0);
	}
	text_done(&first.out);
	text_done(&second.out);
	return 0;
}
