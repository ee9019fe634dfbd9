/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/torch.h"

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

static void reads_the_texts_of_a_version_file(void **state)
{
	struct torch t;

	(void)state;
	assert_int_equal(torch_parse(&t,
				     "__version__ = '2.13.0+cu130'\n"
				     "debug = False\ncuda: str = '13.0'\n"
				     "hip = None\n",
				     NULL),
			 0);
	assert_string_equal(t.version, "2.13.0+cu130");
	assert_string_equal(t.cuda, "13.0");
	assert_string_equal(t.hip, "");
	assert_string_equal(t.xpu, "");
}

static void says_which_text_cannot_be_read(void **state)
{
	struct err err = ERR_INIT;
	struct torch t = { .version = "before" };

	(void)state;
	assert_int_equal(torch_parse(&t, "cuda = '13.0'\n", &err), -EINVAL);
	assert_string_equal(err_text(&err), "it has no __version__");
	assert_int_equal(torch_parse(&t,
				     "__version__ = '2.13.0'\n"
				     "hip = hip_version()\n",
				     &err),
			 -EINVAL);
	assert_string_equal(err_text(&err),
			    "the value of 'hip' is no plain text");
	assert_string_equal(t.version, "before");
}

static void takes_the_backend_in_the_references_order(void **state)
{
	static const struct {
		struct torch t;
		enum backend backend;
		uint32_t major, minor;
	} rows[] = {
		{ { .cuda = "12.8" }, BACKEND_CUDA, 12, 8 },
		{ { .cuda = "13.0", .hip = "7.0" }, BACKEND_CUDA, 13, 0 },
		{ { .hip = "7.1.25424-4179531dcd", .xpu = "20250303" },
		  BACKEND_ROCM,
		  7,
		  1 },
		{ { .hip = "6.0.32830-d62f6a171" }, BACKEND_ROCM, 6, 0 },
		{ { .xpu = "20250303" }, BACKEND_XPU, 2025, 3 },
		{ { .xpu = "20260000" }, BACKEND_XPU, 2026, 0 },
		/* The reference leaves the fifth digit out. */
		{ { .xpu = "20251102" }, BACKEND_XPU, 2025, 1 },
	};
	struct torch none = { .cuda = "" };
	struct version v = { .known = true };
	enum backend b;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(torch_backend(&rows[i].t, &b, &v, NULL), 0);
		assert_int_equal(b, rows[i].backend);
		assert_true(v.known);
		assert_int_equal(v.major, rows[i].major);
		assert_int_equal(v.minor, rows[i].minor);
	}
	assert_int_equal(torch_backend(&none, &b, &v, NULL), 0);
	assert_int_equal(b, BACKEND_CPU);
	assert_false(v.known);
}

static void refuses_versions_of_another_shape(void **state)
{
	static const struct torch rows[] = {
		{ .cuda = "x" },
		{ .hip = "-4179531dcd" },
		{ .xpu = "2025" },
		{ .xpu = "next.1" },
	};
	struct version v;
	enum backend b;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct err err = ERR_INIT;

		assert_int_equal(torch_backend(&rows[i], &b, &v, &err),
				 -EINVAL);
		assert_non_null(
			strstr(err_text(&err), "has another shape than known"));
	}
}

static void takes_the_abi_of_the_library_before_cmakes(void **state)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(4096);

	(void)state;
	assert_int_equal(torch_abi(root, &notes), ABI_NONE);
	assert_non_null(strstr(text_str(&notes), "not known"));
	madeup_file(root, "share/cmake/Torch/TorchConfig.cmake",
		    "-D_GLIBCXX_USE_CXX11_ABI=0");
	assert_int_equal(torch_abi(root, &notes), ABI_CXX98);
	madeup_library(root, "lib/libc10.so", true);
	assert_int_equal(torch_abi(root, &notes), ABI_CXX11);
}

/* open() of a FIFO that nobody writes to would wait for ever. */
static void does_not_wait_for_a_library_that_is_a_fifo(void **state)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(4096);
	char path[MADEUP_PATH_MAX];

	(void)state;
	madeup_dir(root, "lib");
	madeup_path(path, root, "lib/libc10.so");
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(torch_abi(root, &notes), ABI_NONE);
	assert_non_null(strstr(text_str(&notes), "not a regular file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			reads_the_texts_of_a_version_file, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(says_which_text_cannot_be_read,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(
			takes_the_backend_in_the_references_order, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			refuses_versions_of_another_shape, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			takes_the_abi_of_the_library_before_cmakes, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(
			does_not_wait_for_a_library_that_is_a_fifo, open_root,
			close_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
