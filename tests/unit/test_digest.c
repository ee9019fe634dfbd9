/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/digest.h"

#include "base/err.h"
#include "scratch.h"

#include <errno.h>

#define EMPTY_GIT "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
#define EMPTY_SHA256 \
	"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void hash(enum digest_kind kind, const char *s, size_t step,
		 char out[DIGEST_HEX_MAX])
{
	size_t n = strlen(s);
	struct hasher *h;
	struct digest d;

	assert_int_equal(hasher_new(&h, kind, n, NULL), 0);
	for (size_t at = 0; at < n; at += step)
		assert_int_equal(
			hasher_add(h, s + at, n - at < step ? n - at : step),
			0);
	assert_int_equal(hasher_end(h, &d), 0);
	hasher_free(h);
	digest_print(&d, out);
}

static void hashes_as_git_and_sha256sum_do(void **state)
{
	char hex[DIGEST_HEX_MAX];

	(void)state;
	hash(DIGEST_GIT, "", 1, hex);
	assert_string_equal(hex, EMPTY_GIT);
	hash(DIGEST_GIT, "hello world\n", 5, hex);
	assert_string_equal(hex, "3b18e512dba79e4c8300dd08aeb37f8e728b8dad");
	hash(DIGEST_SHA256, "", 1, hex);
	assert_string_equal(hex, EMPTY_SHA256);
	hash(DIGEST_SHA256, "hello world", 3, hex);
	assert_string_equal(hex, "b94d27b9934d3e08a52e52d7da7dabfac484efe37a538"
				 "0ee9088f7ace2efcde9");
}

static void parses_both_lengths_and_prints_them_again(void **state)
{
	char hex[DIGEST_HEX_MAX];
	struct digest d;

	(void)state;
	assert_int_equal(digest_parse(&d, EMPTY_GIT), 0);
	assert_int_equal(d.kind, DIGEST_GIT);
	digest_print(&d, hex);
	assert_string_equal(hex, EMPTY_GIT);
	assert_int_equal(digest_parse(&d, EMPTY_SHA256), 0);
	assert_int_equal(d.kind, DIGEST_SHA256);
	digest_print(&d, hex);
	assert_string_equal(hex, EMPTY_SHA256);
}

static void refuses_what_is_no_digest(void **state)
{
	static const char *const bad[] = {
		"",
		"e69de29",
		"../../../../etc/passwd",
		"E69DE29BB2D1D6434B8B29AE775AD8C2E48C5391",
		"e69de29bb2d1d6434b8b29ae775ad8c2e48c539",
		"e69de29bb2d1d6434b8b29ae775ad8c2e48c53911",
		"g69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
		" 69de29bb2d1d6434b8b29ae775ad8c2e48c5391",
		EMPTY_SHA256 "0",
	};
	struct digest d = { .kind = 77 };

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(digest_parse(&d, bad[i]), -EINVAL);
	assert_int_equal(d.kind, 77);
}

static void tells_digests_apart(void **state)
{
	struct digest a;
	struct digest b;
	struct digest none = { .kind = DIGEST_NONE };

	(void)state;
	assert_int_equal(digest_parse(&a, EMPTY_GIT), 0);
	b = a;
	/* what lies behind the used bytes does not count */
	b.bytes[31] ^= 1;
	assert_true(digest_equal(&a, &b));
	b.bytes[19] ^= 1;
	assert_false(digest_equal(&a, &b));
	b = a;
	b.kind = DIGEST_SHA256;
	assert_false(digest_equal(&a, &b));
	assert_true(digest_short(&a) == 0xe69de29bb2d1d643u);
	assert_true(digest_short(&none) != 0);
	memset(&a.bytes, 0, sizeof(a.bytes));
	assert_true(digest_short(&a) != 0);
}

static void refuses_to_hash_an_unknown_kind(void **state)
{
	struct err err = ERR_INIT;
	struct hasher *h = NULL;

	(void)state;
	assert_int_equal(hasher_new(&h, DIGEST_NONE, 0, &err), -EINVAL);
	assert_null(h);
	hasher_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_as_git_and_sha256sum_do),
		cmocka_unit_test(parses_both_lengths_and_prints_them_again),
		cmocka_unit_test(refuses_what_is_no_digest),
		cmocka_unit_test(tells_digests_apart),
		cmocka_unit_test(refuses_to_hash_an_unknown_kind),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
