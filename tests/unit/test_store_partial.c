/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/store.h"

#include "storing.h"

/*
 * Halves of large blobs in partial/: who may have them, and for how long.
 */

#define SIZE ((size_t)5 << 20)
#define SOME ((size_t)1 << 20)
#define DAY_S (24 * 3600)

static char bytes[SIZE];
static struct digest digest;
static char partial[SCRATCH_MAX + 128];
static struct store *store;

static int set_up(void **state)
{
	struct hasher *h = NULL;
	char hex[DIGEST_HEX_MAX];

	(void)storing_up(state);
	memset(bytes, 'x', SIZE);
	assert_int_equal(hasher_new(&h, DIGEST_SHA256, SIZE, NULL), 0);
	assert_int_equal(hasher_add(h, bytes, SIZE), 0);
	assert_int_equal(hasher_end(h, &digest), 0);
	hasher_free(h);
	digest_print(&digest, hex);
	(void)snprintf(partial, sizeof(partial), "%s/partial/%s.parts", dir,
		       hex);
	assert_int_equal(store_new(&store, dir, NULL), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	store_free(store);
	scratch_remove(dir);
	return 0;
}

static struct ingest *begin(void)
{
	struct ingest *in = NULL;

	assert_int_equal(store_ingest_parts(&in, store, &digest, SIZE, NULL),
			 0);
	return in;
}

/* So many bytes of its first free block. */
static void fill(struct ingest *in, size_t n)
{
	struct ingest_part part;

	assert_true(ingest_take(in, &part));
	assert_true(n <= part.until - part.from);
	assert_int_equal(ingest_fill(in, &part, bytes, n, NULL), 0);
	ingest_give(in, &part);
}

static void leave_half(void)
{
	struct ingest *in = begin();

	fill(in, SOME);
	ingest_free(in);
	assert_int_equal(access(partial, F_OK), 0);
}

static void open_again(void)
{
	store_free(store);
	assert_int_equal(store_new(&store, dir, NULL), 0);
}

static void grow_older(int days)
{
	struct timespec t[2];

	(void)clock_gettime(CLOCK_REALTIME, &t[0]);
	t[0].tv_sec -= days * DAY_S;
	t[1] = t[0];
	assert_int_equal(utimensat(AT_FDCWD, partial, t, 0), 0);
}

static bool is_there(void)
{
	return access(partial, F_OK) == 0;
}

static void takes_blocks_in_any_order_and_names_the_whole(void **state)
{
	struct ingest *in = begin();
	struct ingest_part a, b, c;
	int fd;

	(void)state;
	assert_true(ingest_take(in, &a));
	assert_true(ingest_take(in, &b));
	assert_false(ingest_take(in, &c));
	assert_int_equal(ingest_free_blocks(in, 8), 0);
	assert_int_equal(a.from, 0);
	assert_int_equal(b.from, a.until);
	assert_int_equal(b.until, SIZE);
	assert_int_equal(ingest_fill(in, &b, bytes, b.until - b.from, NULL), 0);
	ingest_give(in, &b);
	assert_false(ingest_hash_due(in));
	assert_int_equal(ingest_fill(in, &a, bytes, SOME, NULL), 0);
	assert_true(ingest_hash_due(in));
	assert_int_equal(ingest_commit(in, NULL), -EIO);
	assert_false(ingest_hash_due(in));
	ingest_give(in, &a);
	assert_int_equal(ingest_free_blocks(in, 8), 1);
	assert_true(ingest_take(in, &a));
	assert_int_equal(a.from, SOME);
	assert_int_equal(ingest_fill(in, &a, bytes, a.until - a.from + 1, NULL),
			 -EBADMSG);
	assert_int_equal(ingest_fill(in, &a, bytes, a.until - a.from, NULL), 0);
	ingest_give(in, &a);
	assert_int_equal(ingest_written(in), SIZE);
	assert_int_equal(ingest_commit(in, NULL), 0);
	ingest_free(in);
	assert_false(is_there());
	fd = store_open(store, NULL, &digest, SIZE);
	assert_true(fd >= 0);
	(void)close(fd);
}

static void who_has_brought_nothing_leaves_nothing(void **state)
{
	(void)state;
	ingest_free(begin());
	assert_false(is_there());
}

static void what_is_spoiled_goes(void **state)
{
	struct ingest *in = begin();

	(void)state;
	fill(in, SOME);
	ingest_spoil(in);
	ingest_free(in);
	assert_false(is_there());
}

static void is_one_mans_at_a_time(void **state)
{
	struct ingest *in = begin();
	struct ingest *other = NULL;

	(void)state;
	assert_int_equal(store_ingest_parts(&other, store, &digest, SIZE, NULL),
			 -EBUSY);
	ingest_free(in);
	in = begin();
	assert_false(ingest_resumed(in));
	ingest_free(in);
}

static void is_kept_for_a_week(void **state)
{
	struct ingest *in;

	(void)state;
	leave_half();
	open_again();
	assert_true(is_there());
	grow_older(6);
	open_again();
	assert_true(is_there());
	in = begin();
	assert_true(ingest_resumed(in));
	assert_int_equal(ingest_written(in), SOME);
	ingest_free(in);
	grow_older(8);
	open_again();
	assert_false(is_there());
}

static void goes_when_the_cache_is_cleaned_unless_somebody_has_it(void **state)
{
	struct ingest *in;

	(void)state;
	leave_half();
	in = begin();
	(void)store_trim(store);
	assert_true(is_there());
	ingest_free(in);
	assert_true(store_trim(store) >= SIZE);
	assert_false(is_there());
}

static void counts_for_the_limit_and_goes_before_blobs(void **state)
{
	struct ingest *in = NULL;
	struct digest small;
	struct hasher *h = NULL;
	uint64_t sum = 0, count = 0;

	(void)state;
	assert_int_equal(hasher_new(&h, DIGEST_SHA256, 1000, NULL), 0);
	assert_int_equal(hasher_add(h, bytes, 1000), 0);
	assert_int_equal(hasher_end(h, &small), 0);
	hasher_free(h);
	for (int i = 0; i < 2; i++) {
		/* the second time there is no room for it beside the half */
		assert_int_equal(store_ingest(&in, store, &small, 1000, NULL),
				 0);
		assert_int_equal(ingest_write(in, bytes, 1000, NULL), 0);
		assert_int_equal(ingest_commit(in, NULL), 0);
		ingest_free(in);
		assert_int_equal(store_usage(store, &sum, &count), 0);
		assert_int_equal(count, 1);
		assert_false(is_there());
		if (i == 0) {
			leave_half();
			store_limit(store, SIZE, 0);
		}
	}
	assert_true(store_has(store, NULL, &small, 1000));
}

static void tells_others_that_somebody_waits(void **state)
{
	int mine = store_front(store);
	int theirs = store_front(store);
	int status = 0;
	pid_t child;

	(void)state;
	assert_true(mine >= 0 && theirs >= 0);
	assert_false(store_front_taken(theirs));
	store_front_take(mine, true);
	assert_true(store_front_taken(theirs));
	/* it does not count for who says it */
	assert_false(store_front_taken(mine));
	store_front_take(mine, false);
	assert_false(store_front_taken(theirs));
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		int fd = store_front(store);

		store_front_take(fd, true);
		_exit(store_front_taken(theirs) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	/* and who died waits no more */
	assert_false(store_front_taken(theirs));
	(void)close(mine);
	(void)close(theirs);
}

/* All of it, to be named. */
static struct ingest *all_of_it(void)
{
	struct ingest *in = begin();
	struct ingest_part part;

	while (ingest_take(in, &part)) {
		assert_int_equal(ingest_fill(in, &part, bytes,
					     part.until - part.from, NULL),
				 0);
		ingest_give(in, &part);
	}
	return in;
}

static void leaves_nothing_when_another_was_faster(void **state)
{
	struct ingest *in = all_of_it();
	struct ingest *faster = NULL;

	(void)state;
	assert_int_equal(store_ingest(&faster, store, &digest, SIZE, NULL), 0);
	assert_int_equal(ingest_write(faster, bytes, SIZE, NULL), 0);
	assert_int_equal(ingest_commit(faster, NULL), 0);
	ingest_free(faster);
	assert_int_equal(ingest_commit(in, NULL), 0);
	ingest_free(in);
	assert_false(is_there());
	assert_true(store_has(store, NULL, &digest, SIZE));
}

/* Of a group's folder another one may move files. */
static void names_no_file_but_the_one_that_was_hashed(void **state)
{
	char other[sizeof(partial) + 8];
	struct ingest *in = all_of_it();
	int fd;

	(void)state;
	(void)snprintf(other, sizeof(other), "%s.other", partial);
	fd = open(other, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	(void)close(fd);
	assert_int_equal(rename(other, partial), 0);
	assert_int_equal(ingest_commit(in, NULL), -EIO);
	ingest_free(in);
	assert_false(store_has(store, NULL, &digest, SIZE));
	/* the next one begins anew, and gets there */
	in = all_of_it();
	assert_int_equal(ingest_commit(in, NULL), -EBADMSG);
	ingest_spoil(in);
	ingest_free(in);
	in = all_of_it();
	assert_int_equal(ingest_commit(in, NULL), 0);
	ingest_free(in);
	assert_true(store_has(store, NULL, &digest, SIZE));
}

static void who_shares_the_cache_may_look_at_it_and_not_write_it(void **state)
{
	struct ingest *in;
	struct stat st;

	(void)state;
	assert_int_equal(chmod(dir, 02770), 0);
	open_again();
	leave_half();
	assert_int_equal(stat(partial, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	in = begin();
	assert_true(ingest_resumed(in));
	ingest_free(in);
}

static void what_is_no_file_is_no_obstacle(void **state)
{
	char inside[sizeof(partial) + 8];
	struct ingest *in = NULL;

	(void)state;
	(void)snprintf(inside, sizeof(inside), "%s/inside", partial);
	leave_half();
	assert_int_equal(unlink(partial), 0);
	assert_int_equal(mkdir(partial, 0700), 0);
	ingest_free(begin());
	/* in one piece, then */
	assert_int_equal(mkdir(partial, 0700), 0);
	assert_int_equal(mkdir(inside, 0700), 0);
	assert_int_equal(store_ingest_parts(&in, store, &digest, SIZE, NULL),
			 -EOPNOTSUPP);
}

/* Who tidied up by hand is no reason to say that there is no such file. */
static void a_half_that_was_removed_is_an_error_of_the_disk(void **state)
{
	struct ingest *in = all_of_it();

	(void)state;
	assert_int_equal(unlink(partial), 0);
	assert_int_equal(ingest_commit(in, NULL), -EIO);
	ingest_free(in);
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(takes_blocks_in_any_order_and_names_the_whole),
		ONE(who_has_brought_nothing_leaves_nothing),
		ONE(what_is_spoiled_goes),
		ONE(is_one_mans_at_a_time),
		ONE(is_kept_for_a_week),
		ONE(goes_when_the_cache_is_cleaned_unless_somebody_has_it),
		ONE(counts_for_the_limit_and_goes_before_blobs),
		ONE(leaves_nothing_when_another_was_faster),
		ONE(names_no_file_but_the_one_that_was_hashed),
		ONE(a_half_that_was_removed_is_an_error_of_the_disk),
		ONE(who_shares_the_cache_may_look_at_it_and_not_write_it),
		ONE(what_is_no_file_is_no_obstacle),
		ONE(tells_others_that_somebody_waits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
