/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/http/token.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[PATH_MAX - 64];
static char path[PATH_MAX];

static void put(const char *content)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(content, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

/* Another file of the same name, as a secret manager puts it. */
static void replace(const char *content)
{
	char old[PATH_MAX];

	(void)snprintf(old, sizeof(old), "%s/token", folder);
	(void)snprintf(path, sizeof(path), "%s/new", folder);
	put(content);
	assert_int_equal(rename(path, old), 0);
	(void)snprintf(path, sizeof(path), "%s", old);
}

static void assert_token(struct token *t, const char *want)
{
	char got[TOKEN_MAX + 1];

	assert_int_equal(token_get(t, got), want != NULL);
	assert_string_equal(got, want ? want : "");
}

static struct token *make(const char *file)
{
	struct token *t = NULL;

	assert_int_equal(token_new(&t, file, NULL), 0);
	return t;
}

static int clean(void **state)
{
	static const char *const names[] = {
		"HF_TOKEN",	  "HUGGING_FACE_HUB_TOKEN",
		"HF_TOKEN_PATH",  "HF_HOME",
		"XDG_CACHE_HOME", "HF_HUB_DISABLE_IMPLICIT_TOKEN",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unsetenv(names[i]);
	(void)setenv("HOME", "/nonexistent", 1);
	(void)snprintf(path, sizeof(path), "%s/token", folder);
	(void)unlink(path);
	return 0;
}

static void there_may_be_none(void **state)
{
	struct token *t = make(NULL);

	(void)state;
	assert_token(t, NULL);
	token_free(t);
	(void)unsetenv("HOME");
	t = make(NULL);
	assert_token(t, NULL);
	token_free(t);
}

static void the_environment_comes_before_the_file(void **state)
{
	struct token *t;

	(void)state;
	put("of-the-file");
	(void)setenv("HF_TOKEN_PATH", path, 1);
	(void)setenv("HUGGING_FACE_HUB_TOKEN", "old-name", 1);
	(void)setenv("HF_TOKEN", " of-the-environment\n", 1);
	t = make(NULL);
	assert_token(t, "of-the-environment");
	token_free(t);
	(void)setenv("HF_TOKEN", "  ", 1);
	t = make(NULL);
	assert_token(t, "old-name");
	token_free(t);
	(void)unsetenv("HUGGING_FACE_HUB_TOKEN");
	t = make(NULL);
	assert_token(t, "of-the-file");
	token_free(t);
}

static void finds_the_file_where_the_hub_client_keeps_it(void **state)
{
	char home[PATH_MAX];
	struct token *t;

	(void)state;
	put("home");
	(void)setenv("HF_HOME", folder, 1);
	t = make(NULL);
	assert_token(t, "home");
	token_free(t);
	(void)unsetenv("HF_HOME");
	(void)snprintf(home, sizeof(home), "%s/huggingface", folder);
	assert_int_equal(symlink(".", home), 0);
	(void)setenv("XDG_CACHE_HOME", folder, 1);
	t = make(NULL);
	assert_token(t, "home");
	token_free(t);
	assert_int_equal(unlink(home), 0);
}

static void remembers_where_a_relative_path_began(void **state)
{
	char *cwd = getcwd(NULL, 0);
	struct token *t;

	(void)state;
	assert_non_null(cwd);
	put("here");
	assert_int_equal(chdir(folder), 0);
	(void)setenv("HF_TOKEN_PATH", "token", 1);
	t = make(NULL);
	assert_int_equal(chdir("/"), 0);
	assert_token(t, "here");
	token_free(t);
	(void)unsetenv("HF_TOKEN_PATH");
	(void)setenv("HOME", folder, 1);
	(void)setenv("HF_HOME", "~/", 1);
	t = make(NULL);
	assert_token(t, "here");
	token_free(t);
	assert_int_equal(chdir(cwd), 0);
	free(cwd);
}

static void the_file_of_the_option_wins(void **state)
{
	struct token *t;

	(void)state;
	put("explicit\r\n");
	(void)setenv("HF_TOKEN", "implicit", 1);
	(void)setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1", 1);
	t = make(path);
	assert_token(t, "explicit");
	token_free(t);
	/* Named and not there: no other one is shown instead. */
	assert_int_equal(unlink(path), 0);
	t = make(path);
	assert_token(t, NULL);
	token_free(t);
}

static void an_implicit_one_can_be_forbidden(void **state)
{
	struct token *t;

	(void)state;
	(void)setenv("HF_TOKEN", "implicit", 1);
	(void)setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "Yes", 1);
	t = make(NULL);
	assert_token(t, NULL);
	token_free(t);
	(void)setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "0", 1);
	t = make(NULL);
	assert_token(t, "implicit");
	token_free(t);
}

static void reads_the_file_again_when_it_changed(void **state)
{
	struct token *t = make(path);

	(void)state;
	assert_token(t, NULL);
	put("one");
	assert_token(t, "one");
	assert_token(t, "one");
	put("longer");
	assert_token(t, "longer");
	replace("newone");
	assert_token(t, "newone");
	assert_int_equal(unlink(path), 0);
	assert_token(t, NULL);
	token_free(t);
}

static void refuses_what_cannot_stand_in_a_header(void **state)
{
	static const char *const bad[] = {
		"a\nX-Evil: 1", "a\rb", "a b", "a\x01",
		"t\xc3\xb6ken", "",	" \n",
	};
	char longest[TOKEN_MAX + 2];
	struct token *t = make(path);

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		replace(bad[i]);
		assert_token(t, NULL);
	}
	memset(longest, 'x', sizeof(longest));
	longest[TOKEN_MAX + 1] = '\0';
	replace(longest);
	assert_token(t, NULL);
	longest[TOKEN_MAX] = '\0';
	replace(longest);
	assert_token(t, longest);
	token_free(t);
}

static void does_not_wait_for_a_pipe(void **state)
{
	struct token *t = make(path);

	(void)state;
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_token(t, NULL);
	token_free(t);
}

static int start(void **state)
{
	const char *tmp = getenv("TMPDIR");

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/token-XXXXXX",
		       tmp ? tmp : "/tmp");
	return mkdtemp(folder) ? 0 : -1;
}

static int stop(void **state)
{
	(void)clean(state);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(there_may_be_none, clean),
		cmocka_unit_test_setup(the_environment_comes_before_the_file,
				       clean),
		cmocka_unit_test_setup(
			finds_the_file_where_the_hub_client_keeps_it, clean),
		cmocka_unit_test_setup(remembers_where_a_relative_path_began,
				       clean),
		cmocka_unit_test_setup(the_file_of_the_option_wins, clean),
		cmocka_unit_test_setup(an_implicit_one_can_be_forbidden, clean),
		cmocka_unit_test_setup(reads_the_file_again_when_it_changed,
				       clean),
		cmocka_unit_test_setup(refuses_what_cannot_stand_in_a_header,
				       clean),
		cmocka_unit_test_setup(does_not_wait_for_a_pipe, clean),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
