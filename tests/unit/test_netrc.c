/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/netrc.h"

#include "scratch.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>

static void finds_the_login_of_a_host(void **state)
{
	static const struct {
		const char *s;
		const char *login; /* NULL: none */
	} rows[] = {
		{ "", NULL },
		{ "machine git.example login a password b", "a:b" },
		{ "machine x login n password m\n"
		  "machine GIT.example\n login a\n account z password b\n",
		  "a:b" },
		{ "machine git.example password b login a", "a:b" },
		{ "machine git.example login a", "a:" },
		{ "machine git.example password b", NULL },
		{ "machine git.example login a:c password b", NULL },
		{ "machine git.example.org login a password b", NULL },
		{ "machine example login a password b", NULL },
		{ "default login a password b", NULL },
		{ "machine git.example login a password b\n"
		  "machine git.example login c password d",
		  "a:b" },
		{ "# machine git.example login c password d\n"
		  "machine git.example # why not\nlogin a password #b\n",
		  "a:#b" },
		{ "machine git.example login a password \"b \\\"c\\\\\"",
		  "a:b \"c\\" },
		{ "macdef m\nlogin x\nmachine y\n\n"
		  "machine git.example login a password b",
		  "a:b" },
		{ "machine git.example login a password b\n"
		  "default login c password d",
		  "a:b" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		AUTO(auto_text) struct text login = TEXT_INIT(256);
		struct err err = ERR_INIT;
		int r = netrc_find(rows[i].s, strlen(rows[i].s), "git.example",
				   &login, &err);

		if (r != (rows[i].login != NULL) ||
		    strcmp(text_str(&login),
			   rows[i].login ? rows[i].login : ""))
			fail_msg("'%s': %d '%s' %s", rows[i].s, r,
				 text_str(&login), err.text);
	}
}

static void refuse(const char *reason, const char *s, size_t n)
{
	AUTO(auto_text) struct text login = TEXT_INIT(256);
	struct err err = ERR_INIT;

	if (netrc_find(s, n, "git.example", &login, &err) != -EINVAL ||
	    !text_starts(err.text, "line "))
		fail_msg("%s was not refused", reason);
	assert_int_equal(login.len, 0);
	assert_null(strstr(err.text, "secret"));
}

static void refuses_every_bad_file_with_its_line(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/netrc", refuse);
}

static bool get(const char *url, struct text *out)
{
	struct netrc *n;
	bool found;

	assert_int_equal(netrc_new(&n, NULL), 0);
	found = netrc_get(n, url, out) > 0;
	netrc_free(n);
	return found;
}

static void reads_the_file_that_is_named_else_that_of_home(void **state)
{
	AUTO(auto_text) struct text login = TEXT_INIT(256);
	static const char one[] = "machine git.example login a password b\n"
				  "machine [::1] login six password s\n";
	static const char two[] = "machine git.example login c password d\n";
	char dir[SCRATCH_MAX];
	char path[2 * SCRATCH_MAX];

	(void)state;
	scratch_make(dir);
	scratch_put(dir, ".netrc", one, strlen(one));
	scratch_put(dir, "named", two, strlen(two));
	(void)snprintf(path, sizeof(path), "%s/named", dir);
	assert_int_equal(unsetenv("NETRC"), 0);
	assert_int_equal(setenv("HOME", dir, 1), 0);
	assert_true(get("https://git.example:8443/a@b", &login));
	assert_string_equal(text_str(&login), "a:b");
	assert_false(get("https://x@git.example/", &login));
	assert_false(get("https://git.example.org/", &login));
	assert_false(get("git.example", &login));
	text_clear(&login);
	assert_true(get("http://[::1]:80/x", &login));
	assert_string_equal(text_str(&login), "six:s");
	assert_int_equal(setenv("NETRC", path, 1), 0);
	text_clear(&login);
	assert_true(get("https://git.example?x", &login));
	assert_string_equal(text_str(&login), "c:d");
	scratch_remove(dir);
	assert_false(get("https://git.example", &login));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_login_of_a_host),
		cmocka_unit_test(refuses_every_bad_file_with_its_line),
		cmocka_unit_test(
			reads_the_file_that_is_named_else_that_of_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
