/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "fs/options.h"
#include "fs/options_in.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "base/toml.h"

#include <errno.h>

#define ARGS_MAX 16

static void put(struct options *o, const struct option *row,
		const struct toml *v)
{
	const char *text = toml_string(v, NULL);
	char number[24];
	bool truth;
	int64_t n;

	if (toml_boolean(v, &truth)) {
		text = truth ? "true" : "false";
	} else if (!text) {
		FUZZ_CHECK(toml_integer(v, &n));
		(void)snprintf(number, sizeof(number), "%lld", (long long)n);
		text = number;
	}
	FUZZ_CHECK(options_put(o, row, text, 0, "again", NULL) == 0);
}

/* The rows of a report that were given on the line. */
static void read_again(struct options *o, const struct options *said,
		       const struct toml *report)
{
	for (const struct toml *v = toml_first(report); v; v = toml_next(v)) {
		const char *key = toml_name(v, NULL);
		const struct option *row =
			key ? options_row_find(key, strlen(key)) : NULL;

		FUZZ_CHECK(row);
		if (!options_given(said, row->name))
			continue;
		if (!toml_is(v, TOML_ARRAY))
			put(o, row, v);
		for (const struct toml *i =
			     toml_is(v, TOML_ARRAY) ? toml_first(v) : NULL;
		     i; i = toml_next(i))
			put(o, row, i);
	}
}

/* What is in force is reported as a config file that says the same. */
static void check(struct options *o)
{
	struct options again = { .given = 0 };
	AUTO(auto_toml) struct toml *report = NULL;
	AUTO(auto_text) struct text first = TEXT_INIT(16 << 20);
	AUTO(auto_text) struct text second = TEXT_INIT(16 << 20);

	free(TAKE(o->config)); /* is a comment there */
	options_report(o, &first);
	FUZZ_CHECK(!text_failed(&first));
	FUZZ_CHECK(toml_parse(&report, "report", text_str(&first), first.len,
			      NULL) == 0);
	read_again(&again, o, report);
	options_report(&again, &second);
	FUZZ_CHECK(strcmp(text_str(&first), text_str(&second)) == 0);
	options_done(&again);
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
