/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/tree.h"

#include "base/err.h"
#include "kernels/tree_format.h"
#include "scratch.h"

#include <errno.h>

static struct digest git_of(unsigned n)
{
	struct digest d = { .kind = DIGEST_GIT };

	memcpy(d.bytes, &n, sizeof(n));
	return d;
}

/* A file whose digest says its size again. */
static int add(struct tree_builder *b, const char *path, uint64_t size)
{
	struct digest d = git_of((unsigned)size);

	return tree_builder_add(b, path, TREE_FILE, size, &d, NULL);
}

static struct tree_builder *builder(void)
{
	struct tree_builder *b = NULL;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	return b;
}

static void *finish(struct tree_builder *b, size_t *n)
{
	void *bytes = NULL;

	assert_int_equal(tree_builder_end(b, &bytes, n, NULL), 0);
	tree_builder_free(b);
	return bytes;
}

static struct tree *tree_of(struct tree_builder *b)
{
	struct tree *t = NULL;
	size_t n;
	void *bytes = finish(b, &n);

	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	free(bytes);
	return t;
}

static struct tree_builder *sample(void)
{
	struct tree_builder *b = builder();

	/* out of order; "pkg" and "pkg/deep" are left out, "pkg!" and
	 * "pkg.x" lie between "pkg" and its files in plain byte order */
	assert_int_equal(add(b, "pkg/ops.py", 20), 0);
	assert_int_equal(add(b, "pkg!", 1), 0);
	assert_int_equal(add(b, "pkg.x", 2), 0);
	assert_int_equal(add(b, "pkg/deep/er/a.py", 300), 0);
	assert_int_equal(add(b, "__init__.py", 0), 0);
	assert_int_equal(
		tree_builder_add(b, "empty", TREE_FOLDER, 9, NULL, NULL), 0);
	assert_int_equal(add(b, "pkg/__init__.py", 10), 0);
	assert_int_equal(
		tree_builder_add(b, "pkg/deep/er", TREE_FOLDER, 0, NULL, NULL),
		0);
	assert_int_equal(add(b, "zz", 4), 0);
	assert_int_equal(
		tree_builder_add_link(b, "pkg/deep/l", "../ops.py", NULL), 0);
	assert_int_equal(tree_builder_add_link(b, "up", "zz", NULL), 0);
	return b;
}

/* Walk with first and next; the paths, one a line, folders with '/'. */
static void walk(const struct tree *t, uint32_t folder, char *out, size_t room)
{
	for (uint32_t i = tree_first(t, folder); i != TREE_NONE;
	     i = tree_next(t, i)) {
		struct tree_entry e;
		size_t n = strlen(out);

		tree_get(t, i, &e);
		(void)snprintf(out + n, room - n, "%s%s\n", e.path,
			       e.kind == TREE_FOLDER ? "/" : "");
		if (e.kind == TREE_FOLDER)
			walk(t, i, out, room);
	}
}

static void walks_in_byte_order_with_the_folders_left_out(void **state)
{
	struct tree *t = tree_of(sample());
	char out[1024] = "";

	(void)state;
	walk(t, TREE_NONE, out, sizeof(out));
	assert_string_equal(out, "__init__.py\n"
				 "empty/\n"
				 "pkg/\n"
				 "pkg/__init__.py\n"
				 "pkg/deep/\n"
				 "pkg/deep/er/\n"
				 "pkg/deep/er/a.py\n"
				 "pkg/deep/l\n"
				 "pkg/ops.py\n"
				 "pkg!\n"
				 "pkg.x\n"
				 "up\n"
				 "zz\n");
	assert_int_equal(tree_count(t), 13);
	assert_int_equal(tree_bytes(t), 337);
	tree_unref(t);
}

static void finds_every_entry_and_nothing_else(void **state)
{
	static const char *const absent[] = {
		"",
		"pkg/",
		"/pkg",
		"pk",
		"pkg/deep/e",
		"pkg/deep/er/a.pyc",
		"pkg!/x",
		"zzz",
		" ",
		"pkg//ops.py",
		"pkg/./ops.py",
	};
	struct tree *t = tree_of(sample());
	struct tree_entry e;

	(void)state;
	for (uint32_t i = 0; i < tree_count(t); i++) {
		tree_get(t, i, &e);
		assert_int_equal(tree_find(t, e.path), i);
		assert_string_equal(e.path + strlen(e.path) - strlen(e.name),
				    e.name);
		assert_null(strchr(e.name, '/'));
	}
	for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
		assert_int_equal(tree_find(t, absent[i]), TREE_NONE);
	tree_get(t, tree_find(t, "pkg/deep/er/a.py"), &e);
	assert_int_equal(e.size, 300);
	assert_int_equal(e.digest.kind, DIGEST_GIT);
	assert_int_equal(e.digest.bytes[0], 300 & 255);
	tree_get(t, tree_find(t, "empty"), &e);
	assert_int_equal(e.kind, TREE_FOLDER);
	assert_int_equal(e.size, 0);
	assert_int_equal(e.digest.kind, DIGEST_NONE);
	tree_unref(t);
}

/* `target` of a link at `path`: kept? */
static bool keeps(const char *path, const char *target)
{
	struct tree_builder *b = builder();
	struct tree_entry e = { .target = NULL };
	struct tree *t;
	bool kept;

	assert_int_equal(tree_builder_add_link(b, path, target, NULL), 0);
	kept = tree_builder_left_out(b) == 0;
	t = tree_of(b);
	assert_int_equal(tree_find(t, path) != TREE_NONE, kept);
	if (kept) {
		tree_get(t, tree_find(t, path), &e);
		assert_int_equal(e.kind, TREE_LINK);
		assert_string_equal(e.target, target);
		assert_int_equal(e.size, strlen(target));
		assert_int_equal(e.digest.kind, DIGEST_NONE);
		assert_int_equal(tree_bytes(t), 0);
	}
	tree_unref(t);
	return kept;
}

static void keeps_links_that_stay_inside(void **state)
{
	char longest[TREE_TARGET_MAX + 2];

	(void)state;
	assert_true(keeps("a", "b"));
	assert_true(keeps("a", "b/c.d/..e"));
	assert_true(keeps("pkg/a", "../b"));
	assert_true(keeps("x/y/z", "../../b/c"));
	assert_true(keeps("x/y/z", "x"));
	assert_true(keeps("loop", "loop"));
	memset(longest, 'x', sizeof(longest));
	for (size_t i = 200; i < sizeof(longest); i += 200)
		longest[i] = '/';
	longest[TREE_TARGET_MAX] = '\0';
	assert_true(keeps("a", longest));
}

static void leaves_out_links_that_may_not(void **state)
{
	static const struct {
		const char *path, *target;
	} rows[] = {
		{ "a", "" },
		{ "a", "." },
		{ "a", ".." },
		{ "a", "../b" },
		{ "a", "/etc/passwd" },
		{ "a", "/" },
		{ "a", "b/" },
		{ "a", "b//c" },
		{ "a", "./b" },
		{ "a", "b/../c" },
		{ "a", "b/.." },
		{ "x/a", "../../b" },
		{ "x/a", ".." },
		{ "x/a", "../" },
		{ "x/a", "../.." },
		{ "x/y/a", "../../../b" },
		{ "x/y/a", "../b/../c" },
		{ "a", "b\nc" },
		{ "a", "\x7f" },
		{ "a", "\xc2\x9b" },
		{ "x/a", "..//b" },
		{ "x/a", ".././b" },
	};
	char longer[TREE_TARGET_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (keeps(rows[i].path, rows[i].target))
			fail_msg("'%s' -> '%s' was kept", rows[i].path,
				 rows[i].target);
	memset(longer, 'x', sizeof(longer));
	for (size_t i = 200; i < sizeof(longer); i += 200)
		longer[i] = '/';
	longer[TREE_TARGET_MAX + 1] = '\0';
	assert_false(keeps("a", longer));
}

static void a_listing_of_a_folder_alone_has_no_links(void **state)
{
	struct tree_builder *b = builder();
	struct tree *t;

	(void)state;
	tree_builder_drop_links(b);
	assert_int_equal(tree_builder_add_link(b, "a", "b", NULL), 0);
	assert_int_equal(tree_builder_left_out(b), 1);
	t = tree_of(b);
	assert_int_equal(tree_count(t), 0);
	tree_unref(t);
}

static void refuses_what_a_link_cannot_be(void **state)
{
	struct tree_builder *b = builder();
	struct err err = ERR_INIT;
	void *bytes = NULL;
	size_t n;

	(void)state;
	assert_int_equal(tree_builder_add_link(b, "../a", "b", &err), -EINVAL);
	assert_non_null(strstr(err.text, "'../a'"));
	tree_builder_free(b);
	b = builder();
	assert_int_equal(tree_builder_add(b, "a", TREE_LINK, 0, NULL, &err),
			 -EINVAL);
	tree_builder_free(b);
	b = builder();
	assert_int_equal(tree_builder_add_link(b, "a", "b", NULL), 0);
	assert_int_equal(add(b, "a/x", 1), 0);
	assert_int_equal(tree_builder_end(b, &bytes, &n, &err), -EINVAL);
	tree_builder_free(b);
	b = builder();
	assert_int_equal(tree_builder_add_link(b, "a", "b", NULL), 0);
	assert_int_equal(add(b, "a", 1), 0);
	assert_int_equal(tree_builder_end(b, &bytes, &n, &err), -EINVAL);
	tree_builder_free(b);
}

static void finds_children_by_name(void **state)
{
	struct tree *t = tree_of(sample());
	uint32_t pkg = tree_child(t, TREE_NONE, "pkg");
	char longest[1200];

	(void)state;
	assert_int_equal(pkg, tree_find(t, "pkg"));
	assert_int_equal(tree_child(t, pkg, "ops.py"),
			 tree_find(t, "pkg/ops.py"));
	assert_int_equal(tree_child(t, pkg, "deep/er"), TREE_NONE);
	assert_int_equal(tree_child(t, pkg, ""), TREE_NONE);
	assert_int_equal(tree_child(t, pkg, ".."), TREE_NONE);
	assert_int_equal(tree_child(t, TREE_NONE, "pkg/ops.py"), TREE_NONE);
	assert_int_equal(tree_child(t, tree_find(t, "zz"), "a"), TREE_NONE);
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(tree_child(t, pkg, longest), TREE_NONE);
	tree_unref(t);
}

static void an_empty_listing_is_one(void **state)
{
	struct tree *t = tree_of(builder());

	(void)state;
	assert_int_equal(tree_count(t), 0);
	assert_int_equal(tree_first(t, TREE_NONE), TREE_NONE);
	assert_int_equal(tree_find(t, "a"), TREE_NONE);
	tree_unref(t);
	tree_unref(NULL);
}

static void takes_the_longest_path_and_step(void **state)
{
	struct tree_builder *b = builder();
	char path[TREE_PATH_MAX + 1];
	struct tree *t;

	(void)state;
	memset(path, 'x', TREE_PATH_MAX);
	path[TREE_PATH_MAX] = '\0';
	path[255] = path[511] = path[767] = path[1000] = '/';
	assert_int_equal(add(b, path, 1), 0);
	t = tree_of(b);
	assert_int_equal(tree_count(t), 5);
	assert_int_equal(tree_find(t, path), 4);
	tree_unref(t);
}

/* Lines "kind size path"; the path is the rest of the line as it stands. */
static int add_line(struct tree_builder *b, const char *line, struct err *err)
{
	char kind[16];
	unsigned long long size;
	int at = 0;
	struct digest d = git_of(1);

	assert_int_equal(sscanf(line, "%15s %llu%n", kind, &size, &at), 2);
	if (strcmp(kind, "nohash") == 0)
		d.kind = DIGEST_NONE;
	return tree_builder_add(b, line + at + 1,
				strcmp(kind, "folder") == 0 ? TREE_FOLDER
				: strcmp(kind, "link") == 0 ? (enum tree_kind)7
							    : TREE_FILE,
				size, &d, err);
}

static void refuse(const char *reason, const char *s, size_t n)
{
	struct tree_builder *b = builder();
	struct err err = ERR_INIT;
	void *bytes = NULL;
	size_t bytes_n = 0;
	char line[2048];
	int r = 0;

	for (const char *p = s; p < s + n && r == 0;) {
		const char *end = strchr(p, '\n');

		assert_non_null(end);
		(void)snprintf(line, sizeof(line), "%.*s", (int)(end - p), p);
		r = add_line(b, line, &err);
		p = end + 1;
	}
	if (r == 0) {
		r = tree_builder_end(b, &bytes, &bytes_n, &err);
	} else {
		/* b is unusable from now on */
		assert_true(add(b, "fine", 1) < 0);
		assert_true(tree_builder_end(b, &bytes, &bytes_n, NULL) < 0);
	}
	if (r != -EINVAL && r != -E2BIG)
		fail_msg("%s: was not refused: %d", reason, r);
	assert_non_null(strchr(err.text, '\''));
	assert_null(bytes);
	tree_builder_free(b);
}

static void refuses_every_hostile_listing(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/tree", refuse);
}

static void refuses_a_newline_and_more_than_a_million_entries(void **state)
{
	struct tree_builder *b = builder();
	struct err err = ERR_INIT;
	struct digest d = git_of(1);
	char path[32];
	int r = 0;

	(void)state;
	assert_int_equal(add(b, "a\nb", 1), -EINVAL);
	tree_builder_free(b);
	b = builder();
	for (unsigned i = 0; i <= TREE_ENTRIES_MAX && r == 0; i++) {
		(void)snprintf(path, sizeof(path), "%u", i);
		r = tree_builder_add(b, path, TREE_FILE, 1, &d, &err);
	}
	assert_int_equal(r, -E2BIG);
	assert_non_null(strstr(err.text, "'1000000'"));
	tree_builder_free(b);
}

static void refuses_a_million_entries_made_of_folders_between(void **state)
{
	struct tree_builder *b = builder();
	struct err err = ERR_INIT;
	struct digest d = git_of(1);
	void *bytes = NULL;
	char path[600];
	size_t n;

	(void)state;
	/* 5,000 paths of 250 folders that only they have */
	for (unsigned i = 0; i < 5000; i++) {
		size_t at = (size_t)snprintf(path, sizeof(path), "%u", i);

		for (unsigned k = 0; k < 250; k++) {
			path[at++] = '/';
			path[at++] = 'x';
		}
		path[at] = '\0';
		assert_int_equal(
			tree_builder_add(b, path, TREE_FILE, 1, &d, NULL), 0);
	}
	assert_int_equal(tree_builder_end(b, &bytes, &n, &err), -E2BIG);
	assert_null(bytes);
	tree_builder_free(b);
}

static void holds_100000_entries(void **state)
{
	struct tree_builder *b = builder();
	char path[64];
	struct tree *t;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		(void)snprintf(path, sizeof(path), "build/v%02u/pkg/f%u.py",
			       i % 97, i);
		assert_int_equal(add(b, path, i), 0);
	}
	t = tree_of(b);
	assert_int_equal(tree_count(t), 100000 + 1 + 97 * 2);
	for (unsigned i = 0; i < 100000; i += 991) {
		struct tree_entry e;

		(void)snprintf(path, sizeof(path), "build/v%02u/pkg/f%u.py",
			       i % 97, i);
		tree_get(t, tree_find(t, path), &e);
		assert_string_equal(e.path, path);
		assert_int_equal(e.size, i);
	}
	tree_unref(t);
}

/* ---- files ---- */

static int open_bytes(const void *bytes, size_t n, struct tree **t)
{
	char dir[SCRATCH_MAX];
	char path[2 * SCRATCH_MAX];
	int fd;
	int r;

	scratch_make(dir);
	scratch_put(dir, "t", bytes, n);
	(void)snprintf(path, sizeof(path), "%s/t", dir);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	r = tree_open(t, fd, NULL);
	(void)close(fd);
	scratch_remove(dir);
	return r;
}

static void opens_a_file_and_outlives_its_descriptor(void **state)
{
	struct tree *t = NULL;
	char out[1024] = "";
	size_t n;
	void *bytes = finish(sample(), &n);

	(void)state;
	assert_int_equal(open_bytes(bytes, n, &t), 0);
	free(bytes);
	walk(t, TREE_NONE, out, sizeof(out));
	assert_int_equal(strlen(out), 119);
	assert_ptr_equal(tree_ref(t), t);
	tree_unref(t);
	assert_int_equal(tree_count(t), 13);
	tree_unref(t);
}

static void refuses_what_is_no_regular_file(void **state)
{
	struct tree *t = NULL;
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	assert_int_equal(tree_open(&t, fd, NULL), -EBADMSG);
	(void)close(fd);
	fd = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	assert_int_equal(tree_open(&t, fd, NULL), -EBADMSG);
	(void)close(fd);
	assert_int_equal(open_bytes("", 0, &t), -EBADMSG);
	assert_null(t);
}

static void notices_damage_at_every_byte_and_length(void **state)
{
	struct tree *t = NULL;
	size_t n;
	unsigned char *bytes = finish(sample(), &n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		static const unsigned char masks[] = { 0x01, 0x80, 0xff };

		for (size_t k = 0; k < sizeof(masks); k++) {
			bytes[i] ^= masks[k];
			assert_int_equal(tree_from_bytes(&t, bytes, n, NULL),
					 -EBADMSG);
			bytes[i] ^= masks[k];
		}
	}
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(tree_from_bytes(&t, bytes, cut, NULL),
				 -EBADMSG);
	assert_int_equal(tree_from_bytes(&t, bytes, n, NULL), 0);
	tree_unref(t);
	free(bytes);
}

/* Sign what was changed, as somebody who plants a file would. */
static void sign(unsigned char *bytes, size_t n)
{
	struct tree_header h;

	memcpy(&h, bytes, sizeof(h));
	h.checksum = tree_checksum(&h, bytes + sizeof(h), n - sizeof(h));
	memcpy(bytes, &h, sizeof(h));
}

/* With a right checksum some changes make another sound listing; none may
 * make one that cannot be walked. */
static void survives_planted_files(void **state)
{
	struct tree_builder *b = sample();
	unsigned char *bytes;
	unsigned char *planted;
	size_t refused = 0;
	size_t n;

	(void)state;
	/* an empty folder at the end: the place to claim more than there is */
	assert_int_equal(tree_builder_add(b, "zzz", TREE_FOLDER, 0, NULL, NULL),
			 0);
	bytes = finish(b, &n);
	planted = malloc(n);
	assert_non_null(planted);
	for (size_t i = 8; i < n; i++) {
		for (unsigned v = 0; v < 256; v += v < 4 ? 1 : 63) {
			struct tree *t = NULL;
			char out[4096] = "";

			memcpy(planted, bytes, n);
			planted[i] = (unsigned char)v;
			sign(planted, n);
			if (tree_from_bytes(&t, planted, n, NULL) < 0) {
				refused++;
				continue;
			}
			walk(t, TREE_NONE, out, sizeof(out));
			for (uint32_t k = 0; k < tree_count(t); k++) {
				struct tree_entry e;

				tree_get(t, k, &e);
				assert_int_equal(tree_find(t, e.path), k);
			}
			tree_unref(t);
		}
	}
	assert_true(refused > n);
	free(planted);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(walks_in_byte_order_with_the_folders_left_out),
		cmocka_unit_test(finds_every_entry_and_nothing_else),
		cmocka_unit_test(keeps_links_that_stay_inside),
		cmocka_unit_test(leaves_out_links_that_may_not),
		cmocka_unit_test(a_listing_of_a_folder_alone_has_no_links),
		cmocka_unit_test(refuses_what_a_link_cannot_be),
		cmocka_unit_test(finds_children_by_name),
		cmocka_unit_test(an_empty_listing_is_one),
		cmocka_unit_test(takes_the_longest_path_and_step),
		cmocka_unit_test(refuses_every_hostile_listing),
		cmocka_unit_test(
			refuses_a_newline_and_more_than_a_million_entries),
		cmocka_unit_test(
			refuses_a_million_entries_made_of_folders_between),
		cmocka_unit_test(holds_100000_entries),
		cmocka_unit_test(opens_a_file_and_outlives_its_descriptor),
		cmocka_unit_test(refuses_what_is_no_regular_file),
		cmocka_unit_test(notices_damage_at_every_byte_and_length),
		cmocka_unit_test(survives_planted_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
