/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/git/gitwire.h"

#include "scratch.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/git/gitobj.h"
#include "kernels/source.h"

#include <errno.h>

#define A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static void line(struct text *out, const char *s, size_t n)
{
	text_printf(out, "%04zx", n + 4);
	text_add_bytes(out, s, n);
}

#define LINE(out, s) line(out, s, sizeof(s) - 1)

static void names_are_sorted_and_tags_are_their_commits(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(4096);
	struct source_refs refs;

	(void)state;
	LINE(&t, "# service=git-upload-pack\n");
	text_add(&t, "0000");
	LINE(&t, A " HEAD\0multi_ack symref=HEAD:refs/heads/main\n");
	LINE(&t, B " refs/heads/v2\n");
	LINE(&t, A " refs/heads/main\n");
	LINE(&t, A " refs/heads/-no-\x01name\n");
	LINE(&t, A " refs/pull/1/head\n");
	LINE(&t, A " refs/tags/v0.1.0\n");
	LINE(&t, B " refs/tags/v0.1.0^{}\n");
	text_add(&t, "0000");
	assert_int_equal(gitwire_refs(text_str(&t), t.len, &refs, NULL), 0);
	assert_int_equal(refs.branch_count, 2);
	assert_string_equal(refs.branches[0].name, "main");
	assert_string_equal(refs.branches[1].name, "v2");
	assert_string_equal(refs.branches[1].commit, B);
	assert_int_equal(refs.tag_count, 1);
	assert_string_equal(refs.tags[0].commit, B);
	source_refs_done(&refs);
}

static void refuse_refs(const char *reason, const char *s, size_t n)
{
	struct source_refs refs;
	struct err err = ERR_INIT;
	int r = gitwire_refs(s, n, &refs, &err);

	if ((r != -EIO && r != -ENOENT) || !err.text[0])
		fail_msg("%s was not refused", reason);
}

static void refuses_every_bad_advertisement(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/gitwire", refuse_refs);
}

static void asks_for_a_commit_alone_or_for_all(void **state)
{
	const char *const commits[] = { A, B };
	AUTO(auto_text) struct text t = TEXT_INIT(4096);

	(void)state;
	gitwire_want(&t, commits, 1, true);
	assert_string_equal(text_str(&t),
			    "0052want " A " side-band-64k ofs-delta shallow\n"
			    "000ddeepen 1\n00000009done\n");
	text_clear(&t);
	gitwire_want(&t, commits, 2, false);
	assert_string_equal(text_str(&t),
			    "0052want " A " side-band-64k ofs-delta shallow\n"
			    "0032want " B "\n00000009done\n");
}

static int keep(void *arg, const void *p, size_t n, struct err *err)
{
	(void)err;
	text_add_bytes(arg, p, n);
	return 0;
}

/* In pieces of `step`; what came of the pack. */
static int answer(const char *s, size_t n, size_t step, struct text *pack,
		  struct err *err)
{
	AUTO(auto_free) struct gitwire_answer *a = malloc(sizeof(*a));
	int r = 0;

	assert_non_null(a);
	gitwire_answer_init(a, keep, pack);
	for (size_t at = 0; !r && at < n; at += step)
		r = gitwire_answer_add(a, s + at, n - at < step ? n - at : step,
				       err);
	return r < 0 ? r : gitwire_answer_end(a, err);
}

static void an_answer_gives_the_pack_in_whatever_pieces_it_comes(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(4096);

	(void)state;
	LINE(&t, "shallow " A);
	text_add(&t, "0000");
	LINE(&t, "NAK\n");
	LINE(&t, "\2Counting");
	LINE(&t, "\1PACK\0one");
	text_add(&t, "0004");
	LINE(&t, "\1");
	LINE(&t, "\1two");
	text_add(&t, "0000");
	for (size_t step = 1; step <= t.len; step++) {
		AUTO(auto_text) struct text pack = TEXT_INIT(4096);

		assert_int_equal(answer(text_str(&t), t.len, step, &pack, NULL),
				 0);
		assert_int_equal(pack.len, 11);
		assert_memory_equal(pack.s, "PACK\0onetwo", 11);
	}
	for (size_t n = 0; n < t.len; n++) {
		AUTO(auto_text) struct text pack = TEXT_INIT(4096);

		assert_int_equal(answer(text_str(&t), n, n + 1, &pack, NULL),
				 -EIO);
	}
}

static void what_the_server_says_is_told(void **state)
{
	static const struct {
		const char *s;
		size_t n;
		int r;
		const char *said;
	} rows[] = {
#define ROW(s, r, said) { s, sizeof(s) - 1, r, said }
		ROW("ERR not our ref\n", -ENOENT, "says: not our ref"),
		ROW("\3fatal: no\n", -EIO, "says: fatal: no"),
		ROW("hello", -EIO, "no pack"),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		AUTO(auto_text) struct text t = TEXT_INIT(4096);
		AUTO(auto_text) struct text pack = TEXT_INIT(4096);
		struct err err = ERR_INIT;

		line(&t, rows[i].s, rows[i].n);
		assert_int_equal(answer(text_str(&t), t.len, 3, &pack, &err),
				 rows[i].r);
		assert_non_null(strstr(err.text, rows[i].said));
	}
}

static void a_tree_is_read_entry_by_entry(void **state)
{
	static const char tree[] = "100644 a.py\0aaaaaaaaaaaaaaaaaaaa"
				   "40000 sub\0bbbbbbbbbbbbbbbbbbbb"
				   "120000 l\0cccccccccccccccccccc"
				   "160000 m\0dddddddddddddddddddd";
	struct cursor c = { .p = tree, .end = tree + sizeof(tree) - 1 };
	const enum gitobj_kind kinds[] = { GITOBJ_FILE, GITOBJ_FOLDER,
					   GITOBJ_LINK, GITOBJ_MODULE };
	struct gitobj_entry e;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(gitobj_next(&c, &e, NULL), 1);
		assert_int_equal(e.kind, kinds[i]);
		assert_int_equal(e.id[19], 'a' + (int)i);
	}
	assert_string_equal(e.name, "m");
	assert_int_equal(gitobj_next(&c, &e, NULL), 0);
}

static void refuse_tree(const char *reason, const char *s, size_t n)
{
	struct cursor c = { .p = s, .end = s + n };
	struct err err = ERR_INIT;
	struct gitobj_entry e;
	int r;

	do
		r = gitobj_next(&c, &e, &err);
	while (r > 0);
	if (r != -EIO || !err.text[0])
		fail_msg("%s was not refused", reason);
}

static void refuses_every_bad_tree(void **state)
{
	(void)state;
	scratch_each("tests/data/must-refuse/gitobj", refuse_tree);
}

static void a_commit_names_its_tree(void **state)
{
	uint8_t id[GITOBJ_ID];
	char hex[41];

	(void)state;
	assert_int_equal(gitobj_tree_of("tree " A "\nx", 47, id, NULL), 0);
	gitobj_print_id(id, hex);
	assert_string_equal(hex, A);
	assert_int_equal(gitobj_tree_of("tree " A "a\nx", 48, id, NULL), -EIO);
	assert_int_equal(gitobj_tree_of("tree " A, 30, id, NULL), -EIO);
	assert_int_equal(gitobj_tree_of("", 0, id, NULL), -EIO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_sorted_and_tags_are_their_commits),
		cmocka_unit_test(refuses_every_bad_advertisement),
		cmocka_unit_test(asks_for_a_commit_alone_or_for_all),
		cmocka_unit_test(
			an_answer_gives_the_pack_in_whatever_pieces_it_comes),
		cmocka_unit_test(what_the_server_says_is_told),
		cmocka_unit_test(a_tree_is_read_entry_by_entry),
		cmocka_unit_test(refuses_every_bad_tree),
		cmocka_unit_test(a_commit_names_its_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
