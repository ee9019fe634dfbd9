/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/metadata.h"

#include "base/err.h"
#include "kernels/tree.h"
#include "scratch.h"

#include <errno.h>

#define HEX40 "0123456789abcdef0123456789ABCDEF01234567"
#define HEX40_LOWER "0123456789abcdef0123456789abcdef01234567"
#define REST \
	"\"version\": 2, \"license\": \"MIT\", \"python-depends\": " \
	"[\"einops\"]"

static int parse(struct metadata *m, const char *s, struct err *err)
{
	return metadata_parse(m, s, strlen(s), err);
}

static void reads_a_whole_document(void **state)
{
	static const char s[] =
		"{\"name\": \"flash-attn3\", \"id\": \"_x_cuda_30dc0ae\", " REST
		", \"kernels-minver\": \" +0.017.1\", "
		"\"upstream\": \"git@github.com:a/b\", "
		"\"source\": \"https://example.org/a/b\", "
		"\"kernel-depends\": [{\"repo-id\": \"a/b\", \"version\": 1, "
		"\"revision\": null}, {\"repo-id\": \"\", \"revision\": "
		"\"\"}], "
		"\"backend\": {\"type\": \"cuda\", \"archs\": [\"9.0a\"], "
		"\"x\": 1}, \"unknown\": [null], "
		"\"digest\": {\"algorithm\": \"sha512\", \"files\": "
		"{\"b.py\": \"eA==\", \"a/c.so\": \"eA==\"}}, "
		"\"provenance\": {\"kernel-builder\": {\"version\": \"1\", "
		"\"commit\": \"" HEX40 "\", \"dirty\": false}, "
		"\"kernel\": {\"sha\": \"" HEX40 "\", \"dirty\": true}}}\n ";
	struct metadata m;

	(void)state;
	assert_int_equal(parse(&m, s, NULL), 0);
	assert_string_equal(m.name, "flash-attn3");
	assert_string_equal(m.backend, "cuda");
	assert_true(m.dirty);
	assert_int_equal(m.digest_count, 2);
	assert_string_equal(m.digest[0].path, "b.py");
	assert_string_equal(m.digest[1].path, "a/c.so");
	assert_string_equal(m.digest[1].hash, "eA==");
	assert_true(m.digest_sha512);
	assert_false(m.builder_dirty);
	assert_string_equal(m.id, "_x_cuda_30dc0ae");
	assert_string_equal(m.minver, "0.17.1");
	assert_int_equal(m.python_count, 1);
	assert_string_equal(m.python_depends[0], "einops");
	assert_int_equal(m.depend_count, 2);
	assert_string_equal(m.depends[0].repo_id, "a/b");
	assert_string_equal(m.depends[0].repo.owner, "a");
	assert_string_equal(m.depends[0].repo.name, "b");
	assert_true(m.depends[0].has_version);
	assert_int_equal(m.depends[0].version, 1);
	assert_string_equal(m.depends[0].revision, "");
	assert_false(m.depends[1].has_version);
	assert_string_equal(m.depends[1].repo.owner, "");
	metadata_done(&m);
	assert_null(m.digest);
}

static void takes_null_for_absent_where_the_reference_does(void **state)
{
	static const char s[] =
		"{\"name\": \"re\", \"id\": \"\", " REST
		", \"kernels-minver\": null, \"upstream\": null, "
		"\"source\": null, \"digest\": null, \"provenance\": null, "
		"\"backend\": {\"type\": \"cpu\", \"archs\": null}}";
	struct metadata m;

	(void)state;
	assert_int_equal(parse(&m, s, NULL), 0);
	assert_null(m.digest);
	assert_int_equal(m.digest_count, 0);
	assert_false(m.dirty);
	metadata_done(&m);
}

static void reads_an_array_in_field_order(void **state)
{
	static const char s[] =
		"[\"relu\", \"x\", 1, null, \"MIT\", null, null, [], [], "
		"{\"type\": \"rocm\"}, null, "
		"{\"kernel-builder\": {\"version\": \"1\"}, \"kernel\": null}]";
	struct metadata m;

	(void)state;
	assert_int_equal(parse(&m, s, NULL), 0);
	assert_string_equal(m.backend, "rocm");
	metadata_done(&m);
}

/* What a double cannot hold. */
static void reads_versions_of_64_bits(void **state)
{
	static const char s[] =
		"{\"name\": \"re\", \"id\": \"x\", \"version\": "
		"18446744073709551615, \"license\": \"\", \"x\": [1, 2.5], "
		"\"python-depends\": [], \"backend\": [\"cpu\", null], "
		"\"kernel-depends\": [[\"a/b\", 9007199254740993, null]]}";
	struct metadata m;

	(void)state;
	assert_int_equal(parse(&m, s, NULL), 0);
	assert_true(m.depends[0].version == UINT64_C(9007199254740993));
	metadata_done(&m);
}

static void refuse(const char *reason, const char *s, size_t n)
{
	struct err err = ERR_INIT;
	struct metadata before;
	struct metadata m;

	memset(&m, 0x55, sizeof(m));
	before = m;
	if (metadata_parse(&m, s, n, &err) != -EINVAL)
		fail_msg("%s: was not refused", reason);
	assert_memory_equal(&m, &before, sizeof(m));
	if (strncmp(err.text, "metadata: ", 10) != 0)
		fail_msg("%s: '%s'", reason, err.text);
}

static void refuses_every_malformed_document(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/metadata", refuse);
}

static void refuses_more_than_4_mib(void **state)
{
	size_t n = METADATA_BYTES_MAX + 1u;
	char *s = malloc(n);

	(void)state;
	assert_non_null(s);
	memset(s, ' ', n);
	refuse("too long", s, n);
	free(s);
}

static struct tree *build_with(const char *const *paths)
{
	struct digest d = { .kind = DIGEST_GIT };
	struct tree_builder *b = NULL;
	struct tree *t = NULL;
	void *bytes = NULL;
	size_t n;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	for (; *paths; paths++)
		assert_int_equal(
			tree_builder_add(b, *paths, TREE_FILE, 1, &d, NULL), 0);
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_builder_free(b);
	free(bytes);
	return t;
}

static int complete(const char *const *paths, struct err *err)
{
	static const char s[] =
		"{\"name\": \"relu\", \"id\": \"x\", " REST ", "
		"\"backend\": {\"type\": \"cpu\"}, "
		"\"digest\": {\"algorithm\": \"sha256\", \"files\": "
		"{\"__init__.py\": \"\", \"pkg\": \"\", \"pkg2/a.so\": \"\", "
		"\"../x\": \"\"}}}";
	struct tree *t = build_with(paths);
	struct metadata m;
	int r;

	assert_int_equal(parse(&m, s, NULL), 0);
	/* a name that no listing can hold would never be whole */
	m.digest_count--;
	r = metadata_complete(&m, t, err);
	m.digest_count++;
	metadata_done(&m);
	tree_unref(t);
	return r;
}

static void tells_a_whole_upload_from_a_part(void **state)
{
	static const char *const whole[] = {
		"__init__.py", "metadata.json", "pkg", "pkg2/a.so", NULL,
	};
	static const char *const part[] = {
		"__init__.py",
		"pkg/x",
		"pkg2/b.so",
		NULL,
	};
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(complete(whole, &err), 0);
	assert_int_equal(err.code, 0);
	/* a folder of that name is not the file */
	assert_int_equal(complete(part, &err), -ENOENT);
	assert_non_null(strstr(err.text, "2 of the 3 files"));
	assert_non_null(strstr(err.text, "'pkg'"));
}

static void a_build_without_digest_is_whole(void **state)
{
	static const char *const none[] = { NULL };
	struct metadata m = { .dirty = false };
	struct tree *t = build_with(none);

	(void)state;
	assert_int_equal(metadata_complete(&m, t, NULL), 0);
	tree_unref(t);
}

#define HELLO "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="
#define HELLO_HEX \
	"b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"

/* A build with the file a.so of that hash, against its metadata. */
static int compare(const char *hex, const char *algorithm, const char *hash,
		   struct err *err)
{
	struct tree_builder *b = NULL;
	struct metadata m;
	struct digest d;
	struct tree *t = NULL;
	void *bytes = NULL;
	char s[1024];
	size_t n;
	int r;

	(void)snprintf(s, sizeof(s),
		       "{\"name\": \"re\", \"id\": \"x\", " REST
		       ", \"backend\": {\"type\": \"cpu\"}, \"digest\": "
		       "{\"algorithm\": \"%s\", \"files\": {%s}}}",
		       algorithm, hash);
	assert_int_equal(digest_parse(&d, hex), 0);
	assert_int_equal(tree_builder_new(&b, NULL), 0);
	assert_int_equal(tree_builder_add(b, "a.so", TREE_FILE, 1, &d, NULL),
			 0);
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_builder_free(b);
	free(bytes);
	assert_int_equal(parse(&m, s, NULL), 0);
	r = metadata_complete(&m, t, err);
	metadata_done(&m);
	tree_unref(t);
	return r;
}

static void a_listing_must_not_contradict_the_digest(void **state)
{
	static const char good[] = "\"a.so\": \"" HELLO "\"";
	static const char bad[] = "\"a.so\": \"" HELLO "x\"";
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(compare(HELLO_HEX, "sha256", good, &err), 0);
	/* what the listing does not know it cannot contradict */
	assert_int_equal(compare(HEX40_LOWER, "sha256", bad, &err), 0);
	assert_int_equal(compare(HELLO_HEX, "sha512", bad, &err), 0);
	/* of a path that stands there twice the last one counts */
	assert_int_equal(compare(HELLO_HEX, "sha256",
				 "\"a.so\": \"\", \"a.so\": \"" HELLO "\"",
				 &err),
			 0);
	assert_int_equal(err.code, 0);
	assert_int_equal(compare(HELLO_HEX, "sha256", bad, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "'a.so'"));
	assert_non_null(strstr(err.text, "listing has " HELLO));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_a_whole_document),
		cmocka_unit_test(
			takes_null_for_absent_where_the_reference_does),
		cmocka_unit_test(reads_an_array_in_field_order),
		cmocka_unit_test(reads_versions_of_64_bits),
		cmocka_unit_test(a_listing_must_not_contradict_the_digest),
		cmocka_unit_test(refuses_every_malformed_document),
		cmocka_unit_test(refuses_more_than_4_mib),
		cmocka_unit_test(tells_a_whole_upload_from_a_part),
		cmocka_unit_test(a_build_without_digest_is_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
