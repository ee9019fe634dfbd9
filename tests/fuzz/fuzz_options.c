/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "fs/options.h"
#include "fs/options_in.h"
#include "fs/toml.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>

#define ARGS_MAX 16

struct again {
	const struct options *said;
	struct options read;
};

static int on_value(void *arg, const struct toml_value *v, struct err *err)
{
	struct again *a = arg;
	const struct option *row = options_row_find(v->key, strlen(v->key));

	FUZZ_CHECK(row);
	if (!options_given(a->said, row->name))
		return 0;
	for (size_t i = 0; i < v->count; i++)
		FUZZ_CHECK(options_put(&a->read, row, v->items[i], 0, "again",
				       err) == 0);
	return 0;
}

/* What is in force is reported as a config file that says the same. */
static void check(struct options *o)
{
	struct again a = { .said = o };
	AUTO(auto_text) struct text first = TEXT_INIT(16 << 20);
	AUTO(auto_text) struct text second = TEXT_INIT(16 << 20);

	free(TAKE(o->config)); /* is a comment there */
	options_report(o, &first);
	FUZZ_CHECK(!text_failed(&first));
	FUZZ_CHECK(toml_read("report", first.s, first.len, on_value, &a,
			     NULL) == 0);
	options_report(&a.read, &second);
	FUZZ_CHECK(strcmp(text_str(&first), text_str(&second)) == 0);
	options_done(&a.read);
}

/* A line is an argument. Only what stands on the command line is looked at,
 * no file of this machine. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *s = fuzz_string(data, size);
	static char program[] = "kernelfs";
	char *argv[ARGS_MAX + 1] = { program };
	struct options o = { .given = 0 };
	struct err err = ERR_INIT;
	char *rest = s;
	int argc = 1;
	int r;

	while (argc < ARGS_MAX && (argv[argc] = strsep(&rest, "\n")))
		argc++;
	argv[argc] = NULL;
	r = options_read(&o, argc, argv, &err);
	FUZZ_CHECK(r == 0 || (r < 0 && err.text[0]));
	if (r == 0)
		check(&o);
	options_done(&o);
	return 0;
}
