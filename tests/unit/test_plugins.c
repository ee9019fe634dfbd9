/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/plugins.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "madeup.h"

static char root[MADEUP_PATH_MAX];

static int open_root(void **state)
{
	(void)state;
	madeup_init(root);
	madeup_environment(root);
	return 0;
}

static int close_root(void **state)
{
	(void)state;
	madeup_done(root);
	return 0;
}

static struct plugins parsed(const char *text, struct text *notes)
{
	struct plugins p = { .tpu = false };

	plugins_parse(&p, text, notes);
	return p;
}

static void reads_only_the_group_of_torchs_backends(void **state)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(4096);
	struct plugins p;

	(void)state;
	p = parsed("[torch.backends]\r\nx = torch_tpu:_autoload\r\n", &notes);
	assert_true(p.tpu && !p.neuron && !p.npu);
	p = parsed("[torch.backends]\n\n# c\n; c\nx=torch_npu._a.b:f\n"
		   "y = torch_neuronx\n[other]\nz = torch_tpu:f\n",
		   &notes);
	assert_true(!p.tpu && p.neuron && p.npu);
	p = parsed("x = torch_tpu:f\n[torch.backends.more]\n"
		   "x = torch_tpu:f\n[console_scripts]\n"
		   "torch_tpu = tool:main\n",
		   &notes);
	assert_false(p.tpu || p.neuron || p.npu);
	assert_string_equal(text_str(&notes), "");
}

static void mentions_plugins_without_a_known_backend(void **state)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(4096);
	struct plugins p;

	(void)state;
	p = parsed("[torch.backends]\nx = torch_tpu_more:f\n", &notes);
	assert_false(p.tpu);
	assert_non_null(strstr(text_str(&notes), "torch_tpu_more"));
}

static void takes_single_characters_of_canns_version(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint32_t major, minor;
	} rows[] = {
		{ "version=8.3.RC1\n", 0, 8, 3 },
		{ "package=x\r\n version= 7.0.0\r\n", 0, 7, 0 },
		{ "version=8.12\n", 0, 8, 1 },
		{ "version=8\n", -EINVAL, 0, 0 },
		{ "innerversion=8.3\n", -EINVAL, 0, 0 },
		{ "", -EINVAL, 0, 0 },
	};
	char home[MADEUP_PATH_MAX];

	(void)state;
	madeup_path(home, root, "ascend");
	assert_int_equal(setenv("ASCEND_HOME_PATH", home, 1), 0);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct version v = { .known = false };

		madeup_file(root, "ascend/a/ascend_toolkit_install.info",
			    rows[i].text);
		assert_int_equal(plugins_cann(&v, NULL), rows[i].r);
		assert_int_equal(v.major, rows[i].major);
		assert_int_equal(v.minor, rows[i].minor);
	}
}

static void says_what_lacks_for_canns_version(void **state)
{
	struct err err = ERR_INIT;
	struct version v;

	(void)state;
	assert_int_equal(plugins_cann(&v, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "--env=SPEC"));
	assert_int_equal(setenv("ASCEND_HOME_PATH", root, 1), 0);
	assert_int_equal(plugins_cann(&v, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "no ascend_*_install.info"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			reads_only_the_group_of_torchs_backends, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			mentions_plugins_without_a_known_backend, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			takes_single_characters_of_canns_version, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			says_what_lacks_for_canns_version, open_root,
			close_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
