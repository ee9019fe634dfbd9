/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/git/lfs.h"

#include "scratch.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>

#define OID "abababababababababababababababababababababababababababababababab"
#define HEAD "version https://git-lfs.github.com/spec/v1\n"
#define GOOD HEAD "oid sha256:" OID "\nsize 12\n"

static struct lfs_pointer pointer(void)
{
	struct lfs_pointer p;

	assert_int_equal(lfs_pointer_parse(&p, GOOD, strlen(GOOD), NULL), 1);
	return p;
}

static void a_pointer_gives_hash_and_size(void **state)
{
	struct lfs_pointer p = pointer();
	char hex[DIGEST_HEX_MAX];

	(void)state;
	digest_print(&p.digest, hex);
	assert_string_equal(hex, OID);
	assert_int_equal(p.size, 12);
}

static void other_files_are_no_pointers(void **state)
{
	static const char *const others[] = {
		"",
		"version",
		"# " GOOD,
		"version https://example.org/spec/v1\n",
		"oid sha256:" OID "\nsize 12\n",
	};
	char large[LFS_POINTER_MAX + 2];
	struct lfs_pointer p;

	(void)state;
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_int_equal(lfs_pointer_parse(&p, others[i],
						   strlen(others[i]), NULL),
				 0);
	memset(large, '\n', sizeof(large));
	memcpy(large, GOOD, strlen(GOOD));
	assert_int_equal(lfs_pointer_parse(&p, large, sizeof(large), NULL), 0);
}

static void refuse_pointer(const char *reason, const char *s, size_t n)
{
	struct lfs_pointer p = { .size = 77 };
	struct err err = ERR_INIT;

	if (lfs_pointer_parse(&p, s, n, &err) != -EIO || !err.text[0])
		fail_msg("%s was not refused", reason);
	assert_int_equal(p.size, 77);
}

static void refuses_what_says_it_is_a_pointer_and_is_none(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/lfs_pointer", refuse_pointer);
}

static void asks_for_what_is_wanted(void **state)
{
	AUTO(auto_text) struct text body = TEXT_INIT(1024);
	struct lfs_pointer p = pointer();

	(void)state;
	lfs_batch_ask(&body, &p);
	assert_string_equal(text_str(&body),
			    "{\"operation\": \"download\", \"transfers\": "
			    "[\"basic\"], \"hash_algo\": \"sha256\", "
			    "\"objects\": [{\"oid\": \"" OID "\", "
			    "\"size\": 12}]}");
}

static int answer(const char *s, struct lfs_action *a, struct err *err)
{
	struct lfs_pointer p = pointer();

	return lfs_batch_read(s, strlen(s), &p, a, err);
}

static void an_answer_gives_address_and_headers(void **state)
{
	struct lfs_action a;

	(void)state;
	assert_int_equal(
		answer("{\"objects\": [{\"oid\": \"00\"}, {\"oid\": \"" OID
		       "\", \"size\": 12, \"actions\": {\"download\": {"
		       "\"href\": \"https://x/y?z\", \"header\": {"
		       "\"Host\": \"elsewhere\", \"X-One\": \"1 2\", "
		       "\"Proxy-Foo\": \"x\", \"Transfer-Encoding\": \"x\", "
		       "\"authorization\": \"Basic x\"}}}}]}",
		       &a, NULL),
		0);
	assert_string_equal(a.href, "https://x/y?z");
	assert_string_equal(a.headers[0], "X-One: 1 2");
	assert_string_equal(a.headers[1], "authorization: Basic x");
	assert_null(a.headers[2]);
	assert_true(a.authorizes);
	lfs_action_done(&a);
	assert_null(a.href);
}

static void an_error_of_the_server_is_told_with_its_errno(void **state)
{
	static const struct {
		const char *code;
		int r;
	} rows[] = { { "404", -ENOENT }, { "410", -ENOENT }, { "403", -EACCES },
		     { "401", -EACCES }, { "500", -EIO },    { "-1", -EIO } };

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		char s[512];
		struct lfs_action a;
		struct err err = ERR_INIT;

		(void)snprintf(s, sizeof(s),
			       "{\"objects\": [{\"oid\": \"" OID
			       "\", \"error\": {\"code\": %s, "
			       "\"message\": \"because\"}}]}",
			       rows[i].code);
		assert_int_equal(answer(s, &a, &err), rows[i].r);
		assert_non_null(strstr(err.text, "because"));
	}
}

static void refuse_answer(const char *reason, const char *s, size_t n)
{
	struct lfs_pointer p = pointer();
	struct lfs_action a;
	struct err err = ERR_INIT;

	if (lfs_batch_read(s, n, &p, &a, &err) != -EIO || !err.text[0])
		fail_msg("%s was not refused", reason);
}

static void refuses_every_bad_answer(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/lfs_batch", refuse_answer);
}

static void config_names_the_server(void **state)
{
	static const struct {
		const char *s;
		const char *url; /* NULL: none */
	} rows[] = {
		{ "", NULL },
		{ "[lfs]\n\turl = https://x/y\n", "https://x/y" },
		{ "[LFS] URL=https://x/y ; there\n", "https://x/y" },
		{ "; c\n# c\n[a]\nurl = 1\n[lfs]\n url = \"https://x/y\" # z",
		  "https://x/y" },
		{ "[lfs \"https://x\"]\nurl = 1\n", NULL },
		{ "[lfs]\nurls = 1\nfetchexclude = *\nlocksverify\n", NULL },
		{ "[lfs]\r\nurl = https://x/\\\ny\r\n", "https://x/y" },
		{ "[lfs]\nurl = \"a#b\"\\\\\n", "a#b\\" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		AUTO(auto_text) struct text url = TEXT_INIT(256);
		struct err err = ERR_INIT;
		int r = lfs_config_url(rows[i].s, strlen(rows[i].s), &url,
				       &err);

		if (r != (rows[i].url != NULL) ||
		    strcmp(text_str(&url), rows[i].url ? rows[i].url : ""))
			fail_msg("'%s': %d '%s' %s", rows[i].s, r,
				 text_str(&url), err.text);
	}
}

static void refuse_config(const char *reason, const char *s, size_t n)
{
	AUTO(auto_text) struct text url = TEXT_INIT(256);
	struct err err = ERR_INIT;

	if (lfs_config_url(s, n, &url, &err) != -EIO ||
	    !text_starts(err.text, ".lfsconfig:"))
		fail_msg("%s was not refused", reason);
}

static void refuses_every_bad_config_with_its_line(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/lfs_config", refuse_config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_pointer_gives_hash_and_size),
		cmocka_unit_test(other_files_are_no_pointers),
		cmocka_unit_test(refuses_what_says_it_is_a_pointer_and_is_none),
		cmocka_unit_test(asks_for_what_is_wanted),
		cmocka_unit_test(an_answer_gives_address_and_headers),
		cmocka_unit_test(an_error_of_the_server_is_told_with_its_errno),
		cmocka_unit_test(refuses_every_bad_answer),
		cmocka_unit_test(config_names_the_server),
		cmocka_unit_test(refuses_every_bad_config_with_its_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
