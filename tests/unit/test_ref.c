/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ref.h"

#include "base/err.h"
#include "scratch.h"

#include <errno.h>

struct good {
	const char *text;
	enum rev_kind kind;
	uint32_t version;
	const char *rev;
	const char *printed;
};

#define HEX "0123456789abcdef0123456789abcdef01234567"

static const struct good goods[] = {
	{ "acme/relu", REV_DEFAULT, 0, "", "acme/relu" },
	{ "a/b", REV_DEFAULT, 0, "", "a/b" },
	{ "A_9/_x.y-z_", REV_DEFAULT, 0, "", "A_9/_x.y-z_" },
	{ "ac.me/gitx", REV_DEFAULT, 0, "", "ac.me/gitx" },
	{ "acme/relu@latest", REV_LATEST, 0, "latest", "acme/relu@latest" },
	{ "acme/relu@1", REV_VERSION, 1, "v1", "acme/relu@v1" },
	{ "acme/relu@v1", REV_VERSION, 1, "v1", "acme/relu@v1" },
	{ "acme/relu@v01", REV_VERSION, 1, "v01", "acme/relu@v01" },
	{ "acme/relu@0", REV_VERSION, 0, "v0", "acme/relu@v0" },
	{ "acme/relu@4294967295", REV_VERSION, UINT32_MAX, "v4294967295",
	  "acme/relu@v4294967295" },
	{ "acme/relu@4294967296", REV_NAME, 0, "4294967296",
	  "acme/relu@4294967296" },
	{ "acme/relu@v99999999999", REV_NAME, 0, "v99999999999",
	  "acme/relu@v99999999999" },
	{ "acme/relu@v", REV_NAME, 0, "v", "acme/relu@v" },
	{ "acme/relu@V1", REV_NAME, 0, "V1", "acme/relu@V1" },
	{ "acme/relu@v1.2.3", REV_NAME, 0, "v1.2.3", "acme/relu@v1.2.3" },
	{ "acme/relu@1.2", REV_NAME, 0, "1.2", "acme/relu@1.2" },
	{ "acme/relu@" HEX, REV_COMMIT, 0, HEX, "acme/relu@" HEX },
	{ "acme/relu@0123456789ABCDEF0123456789abcdef01234567", REV_NAME, 0,
	  "0123456789ABCDEF0123456789abcdef01234567",
	  "acme/relu@0123456789ABCDEF0123456789abcdef01234567" },
	{ "acme/relu@1111111111111111111111111111111111111111", REV_COMMIT, 0,
	  "1111111111111111111111111111111111111111",
	  "acme/relu@1111111111111111111111111111111111111111" },
	{ "acme/relu@abc1234", REV_NAME, 0, "abc1234", "acme/relu@abc1234" },
	{ "acme/relu@feat/x/y", REV_NAME, 0, "feat/x/y",
	  "acme/relu@feat%2Fx%2Fy" },
	{ "acme/relu@feat%2Fx%2fy", REV_NAME, 0, "feat/x/y",
	  "acme/relu@feat%2Fx%2Fy" },
	{ "acme/relu@refs/pr/1", REV_NAME, 0, "refs/pr/1",
	  "acme/relu@refs%2Fpr%2F1" },
	{ "acme/relu@a@b", REV_NAME, 0, "a@b", "acme/relu@a@b" },
	{ "acme/relu@a=b", REV_NAME, 0, "a=b", "acme/relu@a=b" },
	{ "acme/relu@>=0.0.2,<0.1", REV_RANGE, 0, ">=0.0.2,<0.1",
	  "acme/relu@>=0.0.2,<0.1" },
	{ "acme/relu@>= 0.0.2 , < 0.1,,", REV_RANGE, 0, ">=0.0.2,<0.1",
	  "acme/relu@>=0.0.2,<0.1" },
	{ "acme/relu@~=1.2", REV_RANGE, 0, "~=1.2", "acme/relu@~=1.2" },
	{ "acme/relu@==1.*,!=1.3", REV_RANGE, 0, "==1.*,!=1.3",
	  "acme/relu@==1.*,!=1.3" },
	{ "acme/relu@===1.0-odd", REV_RANGE, 0, "===1.0-odd",
	  "acme/relu@===1.0-odd" },
	{ "acme/relu@a.locked", REV_NAME, 0, "a.locked", "acme/relu@a.locked" },
};

static void parses_prints_and_parses_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(goods) / sizeof(goods[0]); i++) {
		const struct good *g = &goods[i];
		char text[REF_TEXT_MAX];
		struct ref r;
		struct ref again;

		assert_int_equal(ref_parse(&r, g->text, NULL), 0);
		assert_int_equal(r.kind, g->kind);
		assert_int_equal(r.version, g->version);
		assert_string_equal(r.rev, g->rev);
		ref_print(&r, text);
		assert_string_equal(text, g->printed);
		assert_int_equal(ref_parse(&again, text, NULL), 0);
		assert_memory_equal(&again, &r, sizeof(r));
		/* and as a step below its owner */
		ref_print_step(&r, text);
		assert_null(strchr(text, '/'));
		assert_int_equal(
			ref_parse_step(&again, r.repo.owner, text, NULL), 0);
		assert_memory_equal(&again, &r, sizeof(r));
	}
}

static void refuse(const char *reason, const char *s, size_t n)
{
	struct err err = ERR_INIT;
	struct ref before;
	struct ref r;

	memset(&r, 0x55, sizeof(r));
	before = r;
	assert_int_equal(strlen(s), n);
	if (ref_parse(&r, s, &err) != -EINVAL)
		fail_msg("%s: was not refused", reason);
	assert_int_equal(err.code, EINVAL);
	assert_true(strlen(err.text) > 10);
	assert_memory_equal(&r, &before, sizeof(r));
}

static void refuses_every_hostile_text(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/ref", refuse);
}

static void refuses_hostile_steps(void **state)
{
	static const char *const steps[] = {
		"",	     ".",	    "..",    "a/b",	 "relu@a/b",
		"relu@",     "@",	    "@v1",   "re%2Flu",	 "re%2elu",
		"relu@..",   "relu@%2E%2E", "-relu", "relu.git", "relu@v1\n",
		".kernelfs", ".env",
	};
	struct ref r;

	(void)state;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		assert_int_equal(ref_parse_step(&r, "acme", steps[i], NULL),
				 -EINVAL);
	assert_int_equal(ref_parse_step(&r, "..", "relu", NULL), -EINVAL);
	assert_int_equal(ref_parse_step(&r, "a/b", "relu", NULL), -EINVAL);
}

static void says_what_is_wrong_with_a_range(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "acme/relu@>=1,<x", "no version" },
		{ "acme/relu@>=1,2", "no operator" },
		{ "acme/relu@~=1", "single number" },
		{ "acme/relu@<1+cu", "local version" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = ERR_INIT;
		struct ref r;

		assert_int_equal(ref_parse(&r, rows[i].text, &err), -EINVAL);
		assert_non_null(strstr(err.text, rows[i].says));
		assert_non_null(strstr(err.text, rows[i].text));
	}
}

static void names_the_fault_also_of_a_very_long_text(void **state)
{
	struct err err = ERR_INIT;
	char s[5000];
	struct ref r;

	(void)state;
	memset(s, 'a', sizeof(s));
	s[4] = '/';
	s[sizeof(s) - 1] = '\0';
	assert_int_equal(ref_parse(&r, s, &err), -EINVAL);
	assert_non_null(strstr(err.text, "longer than 96 bytes"));
}

static void takes_parts_of_96_and_revisions_of_200_bytes(void **state)
{
	char s[96 + 1 + 96 + 1 + 600 + 1];
	char text[REF_TEXT_MAX];
	struct ref r;

	(void)state;
	memset(s, 'a', sizeof(s));
	s[96] = '/';
	s[193] = '@';
	/* most of what a print can need: every second byte a '/' */
	s[394] = '\0';
	for (size_t i = 195; i < 392; i += 2)
		s[i] = '/';
	assert_int_equal(ref_parse(&r, s, NULL), 0);
	assert_int_equal(strlen(r.rev), 200);
	ref_print(&r, text);
	assert_int_equal(strlen(text), 194 + 200 + 2 * 99);
}

static void tells_owners_and_names(void **state)
{
	(void)state;
	assert_true(ref_owner_valid("kernels-community"));
	assert_true(ref_owner_valid("x.git"));
	assert_false(ref_owner_valid(""));
	assert_false(ref_owner_valid(".kernelfs"));
	assert_false(ref_owner_valid("a/b"));
	assert_true(ref_name_valid("relu"));
	assert_false(ref_name_valid("x.git"));
	assert_false(ref_name_valid("relu@v1"));
	assert_false(ref_name_valid(".."));
}

static void parses_repositories_alone(void **state)
{
	struct repo_id a;
	struct repo_id b;

	(void)state;
	assert_int_equal(ref_parse_repo(&a, "acme/flash-attn", NULL), 0);
	assert_string_equal(a.owner, "acme");
	assert_string_equal(a.name, "flash-attn");
	assert_int_equal(ref_parse_repo(&b, "acme/flash-attn@v1", NULL),
			 -EINVAL);
	assert_int_equal(ref_parse_repo(&b, "acme/flash-Attn", NULL), 0);
	assert_false(repo_equal(&a, &b));
	assert_true(repo_equal(&a, &a));
}

static void spells_import_names(void **state)
{
	struct repo_id r = { .owner = "acme", .name = "flash-attn-3.x" };
	char out[REF_PART_MAX + 1];

	(void)state;
	repo_package(&r, out);
	assert_string_equal(out, "flash_attn_3.x");
	assert_false(ref_is_identifier(out));
	assert_true(ref_is_identifier("flash_attn3"));
	assert_true(ref_is_identifier("_"));
	assert_true(ref_is_identifier("match"));
	assert_false(ref_is_identifier(""));
	assert_false(ref_is_identifier("3d"));
	assert_false(ref_is_identifier("import"));
	assert_false(ref_is_identifier("None"));
	assert_false(ref_is_identifier("a-b"));
	assert_false(ref_is_identifier("r\xc3\xa9lu"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parses_prints_and_parses_again),
		cmocka_unit_test(refuses_every_hostile_text),
		cmocka_unit_test(refuses_hostile_steps),
		cmocka_unit_test(says_what_is_wrong_with_a_range),
		cmocka_unit_test(names_the_fault_also_of_a_very_long_text),
		cmocka_unit_test(takes_parts_of_96_and_revisions_of_200_bytes),
		cmocka_unit_test(tells_owners_and_names),
		cmocka_unit_test(parses_repositories_alone),
		cmocka_unit_test(spells_import_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
