/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/fact.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define C1 "1111111111111111111111111111111111111111"
#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static void refs_come_back_as_they_went(void **state)
{
	struct source_ref branches[] = { { "main", C1 }, { "a/b@{c", C1 } };
	struct source_ref tags[] = { { "v0.1.0", C1 } };
	struct source_refs refs = { .branches = branches,
				    .branch_count = 1,
				    .tags = tags,
				    .tag_count = 1 };
	struct text t = TEXT_INIT(FACT_BYTES_MAX);
	struct source_refs back;

	(void)state;
	fact_print_refs(&t, &refs);
	assert_string_equal(text_str(&t), "kernelfs refs 1\nb " C1 " main\n"
					  "t " C1 " v0.1.0\nend 2\n");
	assert_int_equal(fact_parse_refs(&t, &back), 0);
	assert_int_equal(back.branch_count, 1);
	assert_int_equal(back.tag_count, 1);
	assert_string_equal(back.branches[0].name, "main");
	assert_string_equal(back.tags[0].commit, C1);
	source_refs_done(&back);
	text_clear(&t);
	refs.branch_count = 2; /* one that the grammar refuses */
	fact_print_refs(&t, &refs);
	assert_int_equal(fact_parse_refs(&t, &back), -EBADMSG);
	text_done(&t);
}

static void a_former_name_comes_back_as_it_went(void **state)
{
	struct source_refs refs = { .moved_to = { "acme", "relu" } };
	struct text t = TEXT_INIT(FACT_BYTES_MAX);
	struct source_refs back;

	(void)state;
	fact_print_refs(&t, &refs);
	assert_string_equal(text_str(&t),
			    "kernelfs refs 1\nm acme/relu\nend 1\n");
	assert_int_equal(fact_parse_refs(&t, &back), 0);
	assert_string_equal(back.moved_to.owner, "acme");
	assert_string_equal(back.moved_to.name, "relu");
	source_refs_done(&back);
	text_done(&t);
}

static const char *const bad_refs[] = {
	"",
	"\n",
	"end 0\n",
	"kernelfs refs 1\n",
	"kernelfs refs 1\nend 0",
	"kernelfs refs 1\nend 1\n",
	"kernelfs refs 1\nend -0\n",
	"kernelfs refs 2\nend 0\n",
	"kernelfs kernels 1\nend 0\n",
	"kernelfs refs 1\nb " C1 " main\nend 0\n",
	"kernelfs refs 1\nb " C1 " main\n",
	"kernelfs refs 1\nb " C1 "1 main\nend 1\n",
	"kernelfs refs 1\nb " C1 "\nend 1\n",
	"kernelfs refs 1\nx " C1 " main\nend 1\n",
	"kernelfs refs 1\nb " C1 " ../x\nend 1\n",
	"kernelfs refs 1\nb HEAD main\nend 1\n",
	"kernelfs refs 1\n\nend 1\n",
	"kernelfs refs 1\nm acme\nend 1\n",
	"kernelfs refs 1\nm acme/..\nend 1\n",
	"kernelfs refs 1\nm a/b\nm a/c\nend 2\n",
};

static void refuses_a_damaged_note(void **state)
{
	struct source_refs out;

	(void)state;
	for (size_t i = 0; i < N(bad_refs); i++) {
		struct text t = TEXT_INIT(1000);

		text_add(&t, bad_refs[i]);
		if (fact_parse_refs(&t, &out) != -EBADMSG)
			fail_msg("taken: '%s'", bad_refs[i]);
		text_done(&t);
	}
}

static void names_come_back_sorted(void **state)
{
	static const char *const bad[] = {
		"kernelfs kernels 1\na/b\nend 1\n",
		"kernelfs kernels 1\n\nend 1\n",
		"kernelfs kernels 1\n..\nend 1\n",
		"kernelfs kernels 1\na\n",
	};
	struct text t = TEXT_INIT(1000);
	struct source_names out;

	(void)state;
	text_add(&t, "kernelfs kernels 1\nb\na\nend 2\n");
	assert_int_equal(fact_parse_names(&t, &out), 0);
	assert_int_equal(out.count, 2);
	assert_string_equal(out.names[0], "a");
	text_clear(&t);
	fact_print_names(&t, &out);
	assert_string_equal(text_str(&t), "kernelfs kernels 1\na\nb\nend 2\n");
	source_names_done(&out);
	for (size_t i = 0; i < N(bad); i++) {
		text_clear(&t);
		text_add(&t, bad[i]);
		assert_int_equal(fact_parse_names(&t, &out), -EBADMSG);
	}
	text_clear(&t);
	text_add_bytes(&t, "kernelfs kernels 1\na\0b\nend 1\n", 29);
	assert_int_equal(fact_parse_names(&t, &out), -EBADMSG);
	text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refs_come_back_as_they_went),
		cmocka_unit_test(a_former_name_comes_back_as_it_went),
		cmocka_unit_test(refuses_a_damaged_note),
		cmocka_unit_test(names_come_back_sorted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
