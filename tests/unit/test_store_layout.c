/* SPDX-License-Identifier: Apache-2.0 */
#include "storing.h"

#include <grp.h>

/* ---- who may use the folder ---- */

static void makes_the_folder_and_its_parents_for_us_alone(void **state)
{
	char path[2 * SCRATCH_MAX];
	struct store *s;
	struct stat st;

	(void)state;
	path_in(path, "a/b/cache");
	s = store_at(path);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	store_free(s);
	path_in(path, "a/b/cache/CACHEDIR.TAG");
	assert_int_equal(stat(path, &st), 0);
}

static void assert_refused(const char *path, int code, const char *says)
{
	struct err err = ERR_INIT;
	struct store *s = NULL;

	assert_int_equal(store_new(&s, path, &err), code);
	assert_null(s);
	if (!strstr(err.text, says) || !strstr(err.text, path))
		fail_msg("'%s' does not say '%s'", err.text, says);
}

static void refuses_a_folder_that_others_can_write(void **state)
{
	(void)state;
	assert_int_equal(chmod(dir, 0777), 0);
	assert_refused(dir, -EPERM, "others");
	assert_int_equal(chmod(dir, 01777), 0);
	assert_refused(dir, -EPERM, "others");
	assert_int_equal(chmod(dir, 0700), 0);
	if (geteuid() == 0) {
		assert_int_equal(chown(dir, 12345, (gid_t)-1), 0);
		assert_refused(dir, -EPERM, "belongs to user 12345");
		assert_int_equal(chown(dir, 0, (gid_t)-1), 0);
	}
}

static void refuses_what_is_no_folder(void **state)
{
	char path[2 * SCRATCH_MAX];

	(void)state;
	scratch_put(dir, "file", "x", 1);
	path_in(path, "file");
	assert_refused(path, -ENOTDIR, "cache");
	path_in(path, "file/below");
	assert_refused(path, -ENOTDIR, "cache");
}

static void shares_with_a_group_what_the_group_may_write(void **state)
{
	char path[2 * SCRATCH_MAX];
	mode_t umask_was = umask(077);
	struct stat st;
	struct store *s;
	struct digest d = digest_of("shared");
	int fd;

	(void)state;
	assert_int_equal(chmod(dir, 02770), 0);
	s = store_at(dir);
	assert_int_equal(take_in(s, "shared", NULL), 0);
	(void)umask(umask_was);
	path_in(path, "blobs");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02770);
	assert_true(holds(s, "shared"));
	fd = store_open(s, NULL, &d, 6);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	(void)close(fd);
	store_free(s);
}

/* ---- as other users ---- */

#define ALICE 12001
#define BOB 12002
#define EVE 12003
#define TEAM 13000

struct visit {
	uid_t uid;
	gid_t group; /* a supplementary one, or 0 */
	int (*does)(struct store *s);
};

static int visit(void *arg)
{
	const struct visit *v = arg;
	struct store *s = NULL;
	int r;

	(void)umask(077);
	if (setgroups(v->group ? 1 : 0, &v->group) < 0 ||
	    setresgid(v->uid, v->uid, v->uid) < 0 ||
	    setresuid(v->uid, v->uid, v->uid) < 0)
		return 77;
	if (store_new(&s, dir, NULL) < 0)
		return 50;
	r = v->does(s);
	store_free(s);
	return r;
}

static int take_one(struct store *s)
{
	struct digest d = digest_of("from alice");
	uint64_t bytes;
	uint64_t blobs;
	int lock = -1;

	store_limit(s, 20, 0);
	if (store_lock(s, &d, &lock) != 1)
		return 1;
	if (take_in(s, "from alice", NULL) < 0)
		return 2;
	store_unlock(lock);
	if (store_note_write(s, "refs", "key", "alice", 5, NULL) < 0)
		return 3;
	return store_usage(s, &bytes, &blobs) < 0 ? 4 : 0;
}

static int use_and_remove(struct store *s)
{
	struct digest d = digest_of("from alice");
	uint64_t bytes = 0;
	uint64_t blobs = 0;
	int lock = -1;
	int fd = open_it(s, "from alice");

	if (fd < 0)
		return 1;
	(void)close(fd);
	if (store_lock(s, &d, &lock) != 1)
		return 2;
	store_unlock(lock);
	if (store_note_write(s, "refs", "key", "bob", 3, NULL) < 0)
		return 3;
	/* makes room by removing hers, and counts on with her count */
	store_limit(s, 20, 0);
	if (take_in(s, "from bob, and longer", NULL) < 0)
		return 4;
	if (holds(s, "from alice") || !holds(s, "from bob, and longer"))
		return 5;
	if (store_usage(s, &bytes, &blobs) < 0 || bytes != 20 || blobs != 1)
		return 6;
	return 0;
}

static int nothing(struct store *s)
{
	(void)s;
	return 0;
}

static void a_group_shares_it_whoever_made_it(void **state)
{
	struct visit alice = { ALICE, TEAM, take_one };
	struct visit bob = { BOB, TEAM, use_and_remove };
	struct visit eve = { EVE, 0, nothing };
	char path[2 * SCRATCH_MAX];
	struct stat st;

	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(chown(dir, ALICE, TEAM), 0);
	assert_int_equal(chmod(dir, 02770), 0);
	assert_int_equal(in_child(visit, &alice), 0);
	path_in(path, "notes/refs");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 02770);
	assert_int_equal(st.st_gid, TEAM);
	path_in(path, "usage");
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	assert_int_equal(in_child(visit, &bob), 0);
	/* of another group, though she could look into it */
	assert_int_equal(chmod(dir, 02775), 0);
	assert_int_equal(in_child(visit, &eve), 50);
	/* nobody's when the world may write it; not shared without setgid */
	assert_int_equal(chmod(dir, 02777), 0);
	assert_int_equal(in_child(visit, &bob), 50);
	assert_int_equal(chmod(dir, 0770), 0);
	assert_int_equal(in_child(visit, &bob), 50);
}

/* ---- which layout ---- */

static void marks_a_new_cache_with_its_layout(void **state)
{
	char path[2 * SCRATCH_MAX];
	char got[8] = "";
	int fd;

	(void)state;
	store_free(store_at(dir));
	path_in(path, "layout");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, got, sizeof(got)), 2);
	(void)close(fd);
	assert_string_equal(got, "1\n");
	store_free(store_at(dir));
}

static void refuses_a_layout_of_tomorrow_and_nonsense(void **state)
{
	(void)state;
	scratch_put(dir, "layout", "2\n", 2);
	assert_refused(dir, -EPROTONOSUPPORT, "layout 2");
	scratch_put(dir, "layout", "", 0);
	assert_refused(dir, -EPROTONOSUPPORT, "no number");
	scratch_put(dir, "layout", "1\0\n", 3);
	assert_refused(dir, -EPROTONOSUPPORT, "no number");
	scratch_put(dir, "layout", "0\n", 2);
	assert_refused(dir, -EPROTONOSUPPORT, "no number");
	scratch_put(dir, "layout", "1", 1);
	store_free(store_at(dir));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(makes_the_folder_and_its_parents_for_us_alone),
		TEST(refuses_a_folder_that_others_can_write),
		TEST(refuses_what_is_no_folder),
		TEST(shares_with_a_group_what_the_group_may_write),
		TEST(a_group_shares_it_whoever_made_it),
		TEST(marks_a_new_cache_with_its_layout),
		TEST(refuses_a_layout_of_tomorrow_and_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
