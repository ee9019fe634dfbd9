/* SPDX-License-Identifier: Apache-2.0 */
#include "resolver/lockfile.h"

#include "base/err.h"
#include "base/text.h"
#include "kernels/tree.h"
#include "scratch.h"

#include <errno.h>

#define A40 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B40 "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
#define C40 "cccccccccccccccccccccccccccccccccccccccc"
#define SUM "6d668f96e9563c521de8c814a9ba6161d05588bda238570d19af203122f9f0b4"

/* What the reference wrote for a project of two kernels. */
static const char written[] = "[\n"
			      "  {\n"
			      "    \"dependency\": {\n"
			      "      \"repo-id\": \"acme/base\",\n"
			      "      \"version\": 1\n"
			      "    },\n"
			      "    \"lock\": {\n"
			      "      \"commit\": \"" A40 "\"\n"
			      "    }\n"
			      "  },\n"
			      "  {\n"
			      "    \"dependency\": {\n"
			      "      \"repo-id\": \"acme/base\",\n"
			      "      \"revision\": \"" B40 "\"\n"
			      "    },\n"
			      "    \"lock\": {\n"
			      "      \"commit\": \"" B40 "\"\n"
			      "    }\n"
			      "  }\n"
			      "]";

#define ENTRY(repo, key, commit) \
	"{\"dependency\": {\"repo-id\": \"" repo "\", " key \
	"}, \"lock\": {\"commit\": \"" commit "\"}}"

static void parse(struct lockfile *l, const char *s)
{
	struct err err = ERR_INIT;

	if (lockfile_parse(l, "kernels.lock", s, strlen(s), &err) < 0)
		fail_msg("%s", err_text(&err));
}

static struct repo_id repo(const char *s)
{
	struct repo_id id;

	assert_int_equal(ref_parse_repo(&id, s, NULL), 0);
	return id;
}

static void prints_byte_for_byte_what_it_has_read(void **state)
{
	struct text out = TEXT_INIT(4096);
	struct lockfile l;

	(void)state;
	parse(&l, written);
	lockfile_print(&l, &out);
	assert_string_equal(text_str(&out), written);
	text_done(&out);
	lockfile_done(&l);
	assert_null(l.entries);
}

static void prints_an_empty_list(void **state)
{
	struct text out = TEXT_INIT(64);
	struct lockfile l;

	(void)state;
	parse(&l, " [ ]\n");
	lockfile_print(&l, &out);
	assert_string_equal(text_str(&out), "[]");
	text_done(&out);
	lockfile_done(&l);
}

static void sorts_names_then_versions_then_revisions(void **state)
{
	static const char *const want[] = {
		"a-b/x 1",  "a.b/x 1", "a/x 2",	  "a/x 10",
		"a/x main", "a/x v3",  "a/x-y 1", NULL,
	};
	/* clang-format off */
	static const char given[] =
		"[" ENTRY("a/x-y", "\"version\": 1", A40)
		"," ENTRY("a/x", "\"revision\": \"v3\"", A40)
		"," ENTRY("a/x", "\"version\": 10", B40)
		"," ENTRY("a/x", "\"revision\": \"main\", \"version\": null", A40)
		"," ENTRY("a/x", "\"version\": 2", C40)
		"," ENTRY("a.b/x", "\"version\": 1", A40)
		"," ENTRY("a-b/x", "\"version\": 1", A40) "]";
	/* clang-format on */
	struct lockfile l;

	(void)state;
	parse(&l, given);
	for (size_t i = 0; want[i]; i++) {
		const struct lock_entry *e = &l.entries[i];
		char got[512];

		assert_true(i < l.count);
		if (e->has_version)
			(void)snprintf(got, sizeof(got), "%s/%s %llu",
				       e->repo.owner, e->repo.name,
				       (unsigned long long)e->version);
		else
			(void)snprintf(got, sizeof(got), "%s/%s %s",
				       e->repo.owner, e->repo.name,
				       e->revision);
		assert_string_equal(got, want[i]);
	}
	assert_int_equal(l.count, 7);
	lockfile_done(&l);
}

static void answers_by_default_version_revision_and_commit(void **state)
{
	struct repo_id base = repo("acme/base");
	struct repo_id other = repo("acme/other");
	const struct lock_entry *e;
	struct lockfile l;

	(void)state;
	parse(&l, written);
	e = lockfile_default(&l, &base);
	assert_non_null(e);
	assert_string_equal(e->commit, A40);
	assert_null(lockfile_default(&l, &other));
	assert_ptr_equal(lockfile_version(&l, &base, 1), e);
	assert_null(lockfile_version(&l, &base, 2));
	assert_null(lockfile_version(&l, &other, 1));
	e = lockfile_revision(&l, &base, B40);
	assert_non_null(e);
	assert_string_equal(e->commit, B40);
	assert_null(lockfile_revision(&l, &base, "main"));
	assert_true(lockfile_has_commit(&l, &base, B40));
	assert_false(lockfile_has_commit(&l, &base, C40));
	assert_false(lockfile_has_commit(&l, &other, B40));
	lockfile_done(&l);
}

static void takes_a_commit_of_either_case(void **state)
{
	struct lockfile l;

	(void)state;
	parse(&l, "[" ENTRY("a/b", "\"version\": 0",
			    "ABCDEFABCDEFABCDEFABABCDEFABCDEFABCDEFAB") "]");
	assert_string_equal(l.entries[0].commit,
			    "abcdefabcdefabcdefababcdefabcdefabcdefab");
	lockfile_done(&l);
}

static void reads_the_older_format_with_its_hashes(void **state)
{
	struct repo_id relu = repo("acme/relu");
	const struct lock_entry *e;
	const struct lock_hash *h;
	struct lockfile l;

	(void)state;
	parse(&l, "[{\"repo_id\": \"acme/relu\", \"sha\": \"" A40
		  "\", \"variants\": {\"torch-cpu\": {\"hash\": "
		  "\"sha256-" SUM "\", \"hash_type\": \"git_lfs_concat\"}}}, "
		  "{\"repo_id\": \"acme/base\", \"sha\": \"" B40
		  "\", \"variants\": {}}]");
	assert_int_equal(l.count, 2);
	e = lockfile_default(&l, &relu);
	assert_non_null(e);
	assert_false(e->has_version);
	assert_string_equal(e->revision, "");
	assert_string_equal(e->commit, A40);
	h = lock_entry_hash(e, "torch-cpu");
	assert_non_null(h);
	assert_string_equal(h->hex, SUM);
	assert_null(lock_entry_hash(e, "torch-cuda"));
	/* it says no version and no revision, so none is found */
	assert_null(lockfile_version(&l, &relu, 0));
	assert_null(lockfile_revision(&l, &relu, ""));
	lockfile_done(&l);
}

static void names_the_file_and_the_entry_that_it_refuses(void **state)
{
	static const char s[] =
		"[" ENTRY("a/b", "\"version\": 1",
			  A40) ", " ENTRY("a/c", "\"version\": \"1\"", A40) "]";
	struct err err = ERR_INIT;
	struct lockfile l;

	(void)state;
	assert_int_equal(
		lockfile_parse(&l, "x/kernels.lock", s, strlen(s), &err),
		-EINVAL);
	assert_string_equal(err.text, "x/kernels.lock: entry 2: a version "
				      "that is no whole number");
}

static void names_what_is_there_twice(void **state)
{
	static const char s[] =
		"[" ENTRY("b/b", "\"version\": 1",
			  A40) ", " ENTRY("b/b", "\"version\": 1", B40) "]";
	struct err err = ERR_INIT;
	struct lockfile l;

	(void)state;
	assert_int_equal(lockfile_parse(&l, "f", s, strlen(s), &err), -EINVAL);
	assert_string_equal(err.text, "f: 'b/b' is there twice");
}

static void refuse(const char *reason, const char *s, size_t n)
{
	struct err err = ERR_INIT;
	struct lockfile l;

	if (lockfile_parse(&l, "f", s, n, &err) != -EINVAL)
		fail_msg("%s was not refused", reason);
	assert_true(text_starts(err.text, "f: "));
}

static void refuses_each_hostile_file(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/lockfile", refuse);
}

static void says_which_file_it_could_not_open(void **state)
{
	struct err err = ERR_INIT;
	char dir[SCRATCH_MAX];
	char path[2 * SCRATCH_MAX];
	struct lockfile l;

	(void)state;
	scratch_make(dir);
	(void)snprintf(path, sizeof(path), "%s/kernels.lock", dir);
	assert_int_equal(lockfile_read(&l, path, &err), -ENOENT);
	assert_non_null(strstr(err.text, path));
	scratch_put(dir, "kernels.lock", written, strlen(written));
	assert_int_equal(lockfile_read(&l, path, NULL), 0);
	assert_int_equal(l.count, 2);
	assert_string_equal(l.path, path);
	lockfile_done(&l);
	scratch_remove(dir);
}

/* ---- the older format's hash ---- */

static void add(struct tree_builder *b, const char *path, const char *hex)
{
	struct digest d;

	assert_int_equal(digest_parse(&d, hex), 0);
	assert_int_equal(tree_builder_add(b, path, TREE_FILE, 3, &d, NULL), 0);
}

static struct tree *tree_of(struct tree_builder *b)
{
	struct tree *t = NULL;
	void *bytes = NULL;
	size_t n;

	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_builder_free(b);
	free(bytes);
	return t;
}

#define INIT_HEX "b917a726c93f902e43291d9009d6488385133b67"
#define ABC_HEX \
	"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"

static void hashes_a_build_as_the_older_format_did(void **state)
{
	struct tree_builder *b = NULL;
	char hex[65] = "untouched";
	struct tree *t;

	(void)state;
	assert_int_equal(tree_builder_new(&b, NULL), 0);
	add(b, "_a.abi3.so", ABC_HEX);
	add(b, "__init__.py", INIT_HEX);
	add(b, "__pycache__/x.py", ABC_HEX);
	add(b, "sub/x.pyc", ABC_HEX);
	t = tree_of(b);
	assert_int_equal(lock_hash_of("tvm-ffi-cpu", t, hex), -EINVAL);
	assert_string_equal(hex, "untouched");
	assert_int_equal(lock_hash_of("torch-cpu", t, hex), 0);
	assert_string_equal(hex, SUM);
	tree_unref(t);
}

/* SHA-256 of "a!", "a/b", "x__pycache__" in this order, each with the git
 * object's bytes behind it: worked out with Python's hashlib. */
#define ORDER_SUM \
	"7fdb276ae92455486448020e63e831ffd8af1384c9bafac3f7ef36549f19d789"

static void hashes_in_plain_byte_order(void **state)
{
	struct tree_builder *b = NULL;
	struct tree *t;
	char hex[65];

	(void)state;
	assert_int_equal(tree_builder_new(&b, NULL), 0);
	add(b, "x__pycache__", INIT_HEX);
	add(b, "a/b", INIT_HEX);
	add(b, "a!", INIT_HEX);
	t = tree_of(b);
	assert_int_equal(lock_hash_of("torch-cpu", t, hex), 0);
	assert_string_equal(hex, ORDER_SUM);
	tree_unref(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prints_byte_for_byte_what_it_has_read),
		cmocka_unit_test(prints_an_empty_list),
		cmocka_unit_test(sorts_names_then_versions_then_revisions),
		cmocka_unit_test(
			answers_by_default_version_revision_and_commit),
		cmocka_unit_test(takes_a_commit_of_either_case),
		cmocka_unit_test(reads_the_older_format_with_its_hashes),
		cmocka_unit_test(names_the_file_and_the_entry_that_it_refuses),
		cmocka_unit_test(names_what_is_there_twice),
		cmocka_unit_test(refuses_each_hostile_file),
		cmocka_unit_test(says_which_file_it_could_not_open),
		cmocka_unit_test(hashes_a_build_as_the_older_format_did),
		cmocka_unit_test(hashes_in_plain_byte_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
