/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hub_json.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/source.h"
#include "kernels/tree.h"

#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MUST_REFUSE "tests/data/must-refuse/hub"
#define GIT "0123456789abcdef0123456789abcdef01234567"
#define LFS "abababababababababababababababababababababababababababababababab"
#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

/* A page as the listing of `dir`, to its end. */
static int list(const char *s, size_t n, const char *dir, bool recursive,
		struct tree **out, struct err *err)
{
	AUTO(auto_free) void *bytes = NULL;
	struct hub_page page = { .dir = dir, .recursive = recursive };
	size_t size = 0;
	int r;

	assert_int_equal(tree_builder_new(&page.builder, NULL), 0);
	r = hub_json_tree(s, n, &page, err);
	if (!r)
		r = tree_builder_end(page.builder, &bytes, &size, err);
	tree_builder_free(page.builder);
	return r < 0 ? r : tree_from_bytes(out, bytes, size, err);
}

/* What is refused only when the listing ends is the builder's to say. */
static bool at_the_end(const char *name)
{
	return !strcmp(name, "path-twice.json") ||
	       !strcmp(name, "file-that-is-a-folder.json");
}

static void refuses_every_bad_page(void **state)
{
	AUTO(auto_closedir) DIR *d = opendir(MUST_REFUSE);
	struct dirent *e;
	size_t count = 0;

	(void)state;
	assert_non_null(d);
	while ((e = readdir(d))) {
		AUTO(auto_text) struct text page = TEXT_INIT(1 << 20);
		struct tree *tree = NULL;
		struct err err = ERR_INIT;
		bool flat = text_starts(e->d_name, "not-recursive");
		int r;

		if (e->d_name[0] == '.')
			continue;
		count++;
		assert_int_equal(io_read_file(dirfd(d), e->d_name, &page), 0);
		r = list(text_str(&page), page.len, "build", !flat, &tree,
			 &err);
		if (r != (at_the_end(e->d_name) ? -EINVAL : -EPROTO))
			fail_msg("%s: %d, %s", e->d_name, r, err.text);
		assert_int_equal(err.code, -r);
		assert_true(err.text[0] != '\0');
		assert_null(tree);
	}
	assert_true(count >= 46);
}

static void lists_a_good_page(void **state)
{
	static const char page[] =
		"[{\"type\":\"directory\",\"oid\":\"" GIT "\",\"size\":0,"
		"\"path\":\"build/t\"},"
		"{\"type\":\"file\",\"oid\":\"" GIT "\",\"size\":3,"
		"\"path\":\"build/t/a.py\",\"lfs\":null,\"new\":[{}]},"
		"{\"type\":\"file\",\"oid\":\"" GIT "\",\"size\":130,"
		"\"path\":\"build/t/b.so\",\"lfs\":{\"oid\":\"" LFS "\","
		"\"size\":5000000000,\"pointerSize\":130}}]";
	struct tree *t = NULL;
	struct tree_entry e;

	(void)state;
	assert_int_equal(list(page, strlen(page), "build", true, &t, NULL), 0);
	assert_int_equal(tree_count(t), 3);
	tree_get(t, tree_find(t, "t"), &e);
	assert_int_equal(e.kind, TREE_FOLDER);
	tree_get(t, tree_find(t, "t/a.py"), &e);
	assert_int_equal(e.size, 3);
	assert_int_equal(e.digest.kind, DIGEST_GIT);
	tree_get(t, tree_find(t, "t/b.so"), &e);
	assert_int_equal(e.size, 5000000000);
	assert_int_equal(e.digest.kind, DIGEST_SHA256);
	tree_unref(t);
}

static void a_file_is_no_folder(void **state)
{
	static const char page[] =
		"[{\"type\":\"file\",\"oid\":\"" GIT "\",\"size\":3,"
		"\"path\":\"build\"}]";
	struct tree *t = NULL;

	(void)state;
	assert_int_equal(list(page, strlen(page), "build", true, &t, NULL),
			 -ENOENT);
	assert_int_equal(list(page, strlen(page), "", true, &t, NULL), 0);
	tree_unref(t);
}

static void takes_100000_entries(void **state)
{
	AUTO(auto_text) struct text page = TEXT_INIT(16 << 20);
	struct tree *t = NULL;

	(void)state;
	for (int i = 0; i < 100000; i++)
		text_printf(&page,
			    "%c{\"type\":\"file\",\"oid\":\"" GIT
			    "\",\"size\":1,\"path\":\"build/%d\"}",
			    i ? ',' : '[', i);
	text_add_char(&page, ']');
	assert_int_equal(text_failed(&page), 0);
	assert_int_equal(list(page.s, page.len, "build", false, &t, NULL), 0);
	assert_int_equal(tree_count(t), 100000);
	tree_unref(t);
}

static void reads_branches_and_tags(void **state)
{
	static const char page[] =
		"{\"branches\":["
		"{\"name\":\"main\",\"ref\":\"refs/heads/main\","
		"\"targetCommit\":\"" GIT "\"},"
		"{\"name\":\"a/b\",\"targetCommit\":\"" GIT "\"},"
		"{\"name\":\"../x\",\"targetCommit\":\"" GIT "\"},"
		"{\"name\":\"a b\",\"targetCommit\":\"" GIT "\"},"
		"{\"name\":\"a%2Fb\",\"targetCommit\":\"" GIT "\"},"
		"{\"name\":\"v1\",\"targetCommit\":\"HEAD\"},"
		"{\"name\":7,\"targetCommit\":\"" GIT "\"},null,"
		"{\"name\":\"v2\"}],"
		"\"tags\":[{\"name\":\"v0.1.0\",\"targetCommit\":\"" GIT
		"\"}],\"converts\":7}";
	struct source_refs refs;

	(void)state;
	assert_int_equal(hub_json_refs(page, strlen(page), &refs, NULL), 0);
	assert_int_equal(refs.branch_count, 2);
	assert_int_equal(refs.tag_count, 1);
	assert_non_null(source_refs_branch(&refs, "main"));
	assert_non_null(source_refs_branch(&refs, "a/b"));
	assert_null(source_refs_branch(&refs, "v0.1.0"));
	assert_string_equal(source_refs_tag(&refs, "v0.1.0")->commit, GIT);
	source_refs_done(&refs);
}

static const char *const bad_refs[] = {
	"[]",
	"{}",
	"{\"branches\":{}}",
	"{\"branches\":[],\"tags\":3}",
	"{\"branches\":null}",
	"",
	"null",
	"{\"branches\":[",
};

static void refuses_bad_refs(void **state)
{
	AUTO(auto_text) struct text many = TEXT_INIT(1 << 20);
	struct source_refs refs;
	struct err err = ERR_INIT;

	(void)state;
	for (size_t i = 0; i < N(bad_refs); i++)
		assert_int_equal(hub_json_refs(bad_refs[i], strlen(bad_refs[i]),
					       &refs, NULL),
				 -EPROTO);
	text_add(&many, "{\"branches\":[");
	for (unsigned i = 0; i < SOURCE_REFS_MAX; i++)
		text_add(&many, "{},");
	text_add(&many, "{}]}");
	assert_int_equal(hub_json_refs(many.s, many.len, &refs, &err), -EPROTO);
	assert_non_null(strstr(err.text, "more than 10000 branches"));
}

static const struct {
	const char *page;
	int result;
	bool trusted;
} overviews[] = {
	{ "{\"trustedKernelPublisher\":true}", 0, true },
	{ "{\"trustedKernelPublisher\":false}", 0, false },
	{ "{\"name\":\"x\"}", 0, false },
	{ "{\"trustedKernelPublisher\":\"true\"}", 0, false },
	{ "{\"trustedKernelPublisher\":1}", 0, false },
	{ "{\"x\":{\"trustedKernelPublisher\":true}}", 0, false },
	{ "[true]", -EPROTO, false },
	{ "true", -EPROTO, false },
	{ "", -EPROTO, false },
};

static void believes_only_a_true_flag(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(overviews); i++) {
		bool yes = false;

		assert_int_equal(hub_json_trusted(overviews[i].page,
						  strlen(overviews[i].page),
						  &yes, NULL),
				 overviews[i].result);
		assert_int_equal(yes, overviews[i].trusted);
	}
}

static void names_the_kernels_of_the_owner_only(void **state)
{
	static const char page[] =
		"[{\"id\":\"o/relu\"},{\"id\":\"o/flash-attn\"},"
		"{\"id\":\"p/other\"},{\"id\":\"o/../x\"},{\"id\":5},{},"
		"{\"id\":\"relu\"},{\"id\":\"o/relu\"}]";
	AUTO(auto_text) struct text names = TEXT_INIT(1000);
	struct source_names out;
	size_t count = 0;

	(void)state;
	assert_int_equal(
		hub_json_kernels(page, strlen(page), "o", &names, &count, NULL),
		0);
	assert_int_equal(count, 8);
	assert_int_equal(
		source_names_from(&out, text_str(&names), names.len, NULL), 0);
	assert_int_equal(out.count, 2);
	assert_string_equal(out.names[0], "flash-attn");
	assert_string_equal(out.names[1], "relu");
	source_names_done(&out);
	assert_int_equal(hub_json_kernels("{}", 2, "o", &names, &count, NULL),
			 -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refuses_every_bad_page),
		cmocka_unit_test(lists_a_good_page),
		cmocka_unit_test(a_file_is_no_folder),
		cmocka_unit_test(takes_100000_entries),
		cmocka_unit_test(reads_branches_and_tags),
		cmocka_unit_test(refuses_bad_refs),
		cmocka_unit_test(believes_only_a_true_flag),
		cmocka_unit_test(names_the_kernels_of_the_owner_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
