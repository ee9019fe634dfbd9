/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/sitepath.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "madeup.h"

#define SITE "p/lib/python3.12/site-packages"

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

/* The folders below the root, a blank before each; the caller frees. */
static char *folders(struct sitepath *s, struct text *notes)
{
	static struct layout l;
	struct text out = TEXT_INIT(1 << 20);
	char path[MADEUP_PATH_MAX];

	madeup_path(path, root, "p");
	assert_int_equal(layout_read(&l, path, NULL), 0);
	assert_int_equal(sitepath_read(s, &l, notes), 0);
	for (size_t i = 0; i < s->count; i++) {
		const char *one = s->folders[i].path;

		assert_true(text_starts(one, root));
		text_printf(&out, " %s", one + strlen(root) + 1);
	}
	return text_take(&out);
}

static void assert_folders(const char *want)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(65536);
	AUTO(auto_sitepath) struct sitepath s;
	AUTO(auto_free) char *got = NULL;

	sitepath_init(&s);
	got = folders(&s, &notes);
	assert_string_equal(got, want);
}

static void reads_pth_files_in_the_order_of_their_names(void **state)
{
	(void)state;
	madeup_python(root, "p", "python3.12");
	madeup_dir(root, SITE "/one");
	madeup_dir(root, SITE "/two");
	madeup_dir(root, SITE "/three");
	madeup_dir(root, SITE "/#one");
	madeup_file(root, SITE "/b.pth", "two\r\n");
	madeup_file(root, SITE "/a.pth",
		    "#one\n\n  \none\t \nfile\nimport x\n");
	madeup_file(root, SITE "/B.pth", "three");
	madeup_file(root, SITE "/.hidden.pth", "two");
	madeup_file(root, SITE "/file", "no folder");
	assert_folders(" " SITE " " SITE "/three " SITE "/one " SITE "/two");
}

static void names_a_folder_once(void **state)
{
	(void)state;
	madeup_python(root, "p", "python3.12");
	madeup_link(root, "p/lib64", "lib");
	madeup_file(root, SITE "/a.pth", ".\n../site-packages\n");
	assert_folders(" " SITE);
}

static void does_not_read_pth_files_of_folders_that_pth_files_add(void **state)
{
	(void)state;
	madeup_python(root, "p", "python3.12");
	madeup_file(root, SITE "/a.pth", "below\n");
	madeup_file(root, SITE "/below/b.pth", "deeper\n");
	madeup_dir(root, SITE "/below/deeper");
	assert_folders(" " SITE " " SITE "/below");
}

static void ignores_a_pth_file_without_end(void **state)
{
	static char big[70000];

	(void)state;
	madeup_python(root, "p", "python3.12");
	memset(big, '\n', sizeof(big) - 1);
	memcpy(big, "one", 3);
	madeup_dir(root, SITE "/one");
	madeup_file(root, SITE "/a.pth", big);
	assert_folders(" " SITE);
}

static void stops_at_a_number_of_folders(void **state)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(65536);
	AUTO(auto_text) struct text pth = TEXT_INIT(65536);
	AUTO(auto_sitepath) struct sitepath s;
	AUTO(auto_free) char *got = NULL;

	(void)state;
	madeup_python(root, "p", "python3.12");
	for (int i = 0; i < SITEPATH_FOLDERS_MAX + 5; i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), SITE "/f%d", i);
		madeup_dir(root, name);
		text_printf(&pth, "f%d\n", i);
	}
	madeup_file(root, SITE "/a.pth", text_str(&pth));
	sitepath_init(&s);
	got = folders(&s, &notes);
	assert_non_null(got);
	assert_int_equal(s.count, SITEPATH_FOLDERS_MAX);
	assert_non_null(strstr(text_str(&notes), "only the first"));
}

static void stays_away_from_our_own_mounts(void **state)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(65536);
	AUTO(auto_sitepath) struct sitepath s;
	AUTO(auto_free) char *got = NULL;
	AUTO(auto_text) struct text info = TEXT_INIT(65536);
	AUTO(auto_text) struct text path = TEXT_INIT(65536);

	(void)state;
	madeup_python(root, "p", "python3.12");
	madeup_dir(root, "my kernels/.env/x");
	madeup_dir(root, "my kernels too");
	madeup_dir(root, "other");
	text_printf(&info,
		    "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
		    "40 22 0:33 / %s/my\\040kernels ro,nosuid shared:9 - "
		    "fuse.kernelfs kernelfs ro,user_id=0\n"
		    "41 22 0:34 / %s/other rw - fuse.other other rw\n",
		    root, root);
	text_printf(&path,
		    "%s/my kernels:%s/my kernels/.env/x:%s/my kernels too:"
		    "%s/other",
		    root, root, root, root);
	assert_int_equal(setenv("PYTHONPATH", text_str(&path), 1), 0);
	sitepath_init(&s);
	assert_int_equal(sitepath_avoid(&s, text_str(&info)), 0);
	got = folders(&s, &notes);
	assert_string_equal(got, " my kernels too other " SITE);
}

static void finds_a_package_and_not_a_folder_of_its_name(void **state)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(65536);
	AUTO(auto_sitepath) struct sitepath s;
	AUTO(auto_free) char *got = NULL;
	char path[MADEUP_PATH_MAX];

	(void)state;
	madeup_python(root, "p", "python3.12");
	madeup_dir(root, "data/torch");
	madeup_file(root, SITE "/torch/__init__.py", "");
	madeup_path(path, root, "data");
	assert_int_equal(setenv("PYTHONPATH", path, 1), 0);
	sitepath_init(&s);
	got = folders(&s, &notes);
	assert_string_equal(got, " data " SITE);
	madeup_path(path, root, SITE);
	assert_string_equal(sitepath_package(&s, "torch"), path);
	assert_null(sitepath_package(&s, "tvm_ffi"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			reads_pth_files_in_the_order_of_their_names, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(names_a_folder_once, open_root,
						close_root),
		cmocka_unit_test_setup_teardown(
			does_not_read_pth_files_of_folders_that_pth_files_add,
			open_root, close_root),
		cmocka_unit_test_setup_teardown(ignores_a_pth_file_without_end,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(stops_at_a_number_of_folders,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(stays_away_from_our_own_mounts,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(
			finds_a_package_and_not_a_folder_of_its_name, open_root,
			close_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
