/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/ldcache.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "madeup.h"

#if defined(__x86_64__)
#define MINE 0x0303u
#elif defined(__aarch64__)
#define MINE 0x0a03u
#else
#define MINE 0u /* not known to this test */
#endif
#define OTHER 0x0803u /* 32-bit x86-64 */

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

struct library {
	uint32_t flags;
	const char *name, *path;
};

static const struct library some[] = {
	{ MINE, "libcudart_static.so", "/no" },
	{ OTHER, "libcudart.so.13", "/other/libcudart.so.13" },
	{ MINE, "libcudart.so.12", "/usr/lib/libcudart.so.12" },
	{ MINE, "libcudart.so", "/usr/lib/libcudart.so" },
	{ MINE, "libc.so.6", "/lib/libc.so.6" },
};
#define SOME (sizeof(some) / sizeof(some[0]))

static void add_word(struct text *t, uint32_t w)
{
	text_add_bytes(t, &w, sizeof(w));
}

/* A cache of these libraries, as ldconfig writes it. */
static void cache(struct text *out, const struct library *l, size_t n)
{
	AUTO(auto_text) struct text strings = TEXT_INIT(4096);
	const uint32_t base = (uint32_t)(48 + n * 24);

	text_add(out, "glibc-ld.so.cache1.1");
	add_word(out, (uint32_t)n);
	for (int i = 0; i < 6; i++)
		add_word(out, 0);
	for (size_t i = 0; i < n; i++) {
		add_word(out, l[i].flags);
		add_word(out, base + (uint32_t)strings.len);
		text_add_bytes(&strings, l[i].name, strlen(l[i].name) + 1);
		add_word(out, base + (uint32_t)strings.len);
		text_add_bytes(&strings, l[i].path, strlen(l[i].path) + 1);
		for (int k = 0; k < 3; k++)
			add_word(out, 0);
	}
	text_add_bytes(out, text_str(&strings), strings.len);
	assert_int_equal(text_failed(out), 0);
}

static int look(const void *bytes, size_t n, char found[PYTHON_PATH_MAX],
		struct err *err)
{
	char path[MADEUP_PATH_MAX];

	madeup_bytes(root, "cache", bytes, n);
	madeup_path(path, root, "cache");
	return ldcache_find(found, path, "libcudart.", err);
}

static void finds_the_first_library_for_this_machine(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(65536);
	char found[PYTHON_PATH_MAX];

	(void)state;
	if (!MINE)
		skip();
	cache(&t, some, SOME);
	assert_int_equal(look(t.s, t.len, found, NULL), 0);
	assert_string_equal(found, "/usr/lib/libcudart.so.12");
}

static void steps_over_the_table_of_libc5(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(65536);
	AUTO(auto_text) struct text inner = TEXT_INIT(65536);
	char found[PYTHON_PATH_MAX];

	(void)state;
	if (!MINE)
		skip();
	text_add_bytes(&t, "ld.so-1.7.0", 12);
	add_word(&t, 1);
	for (int i = 0; i < 4; i++) /* 12 bytes and filling up to 8 */
		add_word(&t, 0);
	cache(&inner, some, SOME);
	text_add_bytes(&t, inner.s, inner.len);
	assert_int_equal(look(t.s, t.len, found, NULL), 0);
	assert_string_equal(found, "/usr/lib/libcudart.so.12");
}

static void says_when_there_is_none(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(65536);
	struct err err = ERR_INIT;
	char found[PYTHON_PATH_MAX];

	(void)state;
	cache(&t, some, 2);
	assert_int_equal(look(t.s, t.len, found, &err), -ENOENT);
	assert_int_equal(ldcache_find(found, "/nowhere/cache", "lib", &err),
			 -ENOENT);
	assert_int_equal(err.code, 0);
}

static void refuses_a_damaged_cache(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(65536);
	char found[PYTHON_PATH_MAX];
	struct err err = ERR_INIT;
	uint32_t many = 0x10000000;

	(void)state;
	assert_int_equal(look("nonsense", 8, found, &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "is no cache of the dynamic"));
	cache(&t, some, SOME);
	memcpy(t.s + 20, &many, sizeof(many));
	assert_int_equal(look(t.s, t.len, found, &err), -EINVAL);
}

static void survives_a_cut_and_a_flip_at_any_offset(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(65536);
	char found[PYTHON_PATH_MAX];

	(void)state;
	cache(&t, some, SOME);
	for (size_t n = 0; n < t.len; n++) {
		char was = t.s[n];
		int r = look(t.s, n, found, NULL);

		assert_true(r == 0 || r == -EINVAL || r == -ENOENT);
		t.s[n] = (char)(was ^ 0x7f);
		r = look(t.s, t.len, found, NULL);
		assert_true(r == 0 || r == -EINVAL || r == -ENOENT);
		t.s[n] = was;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			finds_the_first_library_for_this_machine, open_root,
			close_root),
		cmocka_unit_test_setup_teardown(steps_over_the_table_of_libc5,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(says_when_there_is_none,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(refuses_a_damaged_cache,
						open_root, close_root),
		cmocka_unit_test_setup_teardown(
			survives_a_cut_and_a_flip_at_any_offset, open_root,
			close_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
