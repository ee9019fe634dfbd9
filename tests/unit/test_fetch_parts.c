/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/fetch.h"

#include "large.h"

static void brings_a_large_file_in_blocks_each_once(void **state)
{
	uint64_t sum = 0;

	(void)state;
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(fake.calls, BLOCKS);
	for (unsigned i = 0; i < fake.calls; i++) {
		assert_int_equal(fake.from[i] % BLOCK, 0);
		assert_true(fake.until[i] <= SIZE);
		sum += fake.until[i] - fake.from[i];
	}
	assert_int_equal(sum, SIZE);
	assert_int_equal(times_sent(1), SIZE);
	assert_int_equal(times_sent(2), 0);
}

static void one_worker_is_enough(void **state)
{
	(void)state;
	gone();
	born(1);
	assert_int_equal(fetch_it(), 0);
	assert_there();
	for (unsigned i = 0; i < BLOCKS; i++)
		assert_int_equal(fake.from[i], i * BLOCK);
}

/* What this process has read so far, but for looking here. */
static uint64_t has_read(void)
{
	static uint64_t looks;
	char text[256] = "";
	int fd = open("/proc/self/io", O_RDONLY | O_CLOEXEC);
	uint64_t n = 0;
	ssize_t r;

	if (fd < 0)
		skip();
	r = io_pread_all(fd, text, sizeof(text) - 1, 0);
	(void)close(fd);
	assert_true(r > 0);
	assert_int_equal(sscanf(text, "rchar: %" SCNu64, &n), 1);
	n -= looks;
	looks += (uint64_t)r;
	return n;
}

static void hashes_while_the_last_block_is_on_its_way(void **state)
{
	int64_t end = io_now_ms() + LATCH_DEADLINE_S * 1000 / 4;
	uint64_t before = has_read();
	uint64_t due = SIZE - ((uint64_t)2 << 20);
	uint64_t early;
	bool waits;
	struct waiting w;

	(void)state;
	gone();
	born(1);
	hold(true, BLOCKS - 1);
	ask(&w);
	/* nothing but the hash reads what has come */
	do {
		(void)sched_yield();
		early = has_read() - before;
	} while (early < due && io_now_ms() < end);
	waits = latch_count(&w.called) == 0;
	hold(false, 0);
	assert_int_equal(result(&w), 0);
	assert_true(waits);
	assert_true(early >= due);
	/* and nothing twice: what is left is the end of it */
	assert_true(has_read() - before < SIZE + BLOCK);
	assert_there();
}

static void all_free_workers_join_when_the_first_answer_is_there(void **state)
{
	struct waiting w;

	(void)state;
	hold(true, 0);
	ask(&w);
	wait_inside(1);
	assert_int_equal(fake.calls, 1);
	hold(true, 1);
	wait_inside(3);
	hold(false, 0);
	assert_int_equal(result(&w), 0);
	assert_there();
	/* and none of them asked where the bytes are */
	assert_int_equal(fake.placed, BLOCKS - 1);
}

static void a_small_file_overtakes_between_two_blocks(void **state)
{
	struct fetch_blob empty = {
		.repo = &repo,
		.commit = COMMIT,
		.path = "small",
		.size = 0,
	};
	struct hasher *h = NULL;
	struct waiting w,
		small = { .waiter.done = was_done, .called = LATCH_INIT };

	(void)state;
	assert_int_equal(hasher_new(&h, DIGEST_GIT, 0, NULL), 0);
	assert_int_equal(hasher_end(h, &empty.digest), 0);
	hasher_free(h);
	hold(true, 1);
	ask(&w);
	wait_inside(4); /* every worker is at a block of it */
	assert_int_equal(fetch_ask(fetch, &empty, &small.waiter, NULL),
			 -EINPROGRESS);
	fake.fault = DEAD;
	hold(false, 0);
	assert_int_equal(result(&small), 0);
	assert_int_equal(result(&w), -EIO);
}

static void goes_on_where_a_block_was_cut(void **state)
{
	(void)state;
	fake.fault = CUT_ONCE;
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(fake.calls, BLOCKS + 1);
	assert_int_equal(times_sent(2), 0);
}

static void goes_on_after_a_short_answer(void **state)
{
	(void)state;
	fake.fault = SHORT;
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(times_sent(2), 0);
}

/* Two blocks and a part of the third are there, and nobody is at it. */
static void leave_half(void)
{
	gone();
	born(1);
	fake.fault = DEAD;
	assert_int_equal(fetch_it(), -EIO);
	gone();
	fake.fault = NONE;
	fake.calls = 0;
	born(4);
}

static void goes_on_where_another_process_failed(void **state)
{
	uint64_t after = 0;
	struct stat st;

	(void)state;
	leave_half();
	assert_int_equal(stat(partial, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(times_sent(1), 2 * BLOCK + 300000);
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(times_sent(1), SIZE);
	assert_int_equal(times_sent(2), 0);
	for (unsigned i = 0; i < fake.calls; i++)
		after += fake.until[i] - fake.from[i];
	assert_int_equal(after, SIZE - (2 * BLOCK + 300000));
}

static void who_leaves_ends_all_hands_and_leaves_the_rest_to_others(
	void **state)
{
	struct waiting w;
	uint64_t before;

	(void)state;
	hold(true, 2);
	ask(&w);
	wait_inside(4);
	assert_true(fetch_cancel(fetch, &w.waiter));
	gone();
	before = times_sent(1);
	assert_int_equal(before, 2 * BLOCK);
	hold(false, 0);
	born(4);
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(times_sent(2), 0);
}

/* The thread that runs it has no block left, and waits for the others. */
static void who_leaves_ends_hands_at_the_last_blocks_as_well(void **state)
{
	struct waiting w;

	(void)state;
	hold(true, 0);
	fake.spared = true;
	ask(&w);
	wait_inside(3);
	wait_first_idle();
	assert_true(fetch_cancel(fetch, &w.waiter));
	wait_inside_from_to(0, 0);
}

/*
 * Another process that waits is let go first, but not when what it waits for
 * is this very file: each block would then keep it waiting. (Five blocks were
 * five times five seconds.)
 */
static void does_not_yield_to_who_waits_for_the_same_file(void **state)
{
	struct store *their_store = NULL;
	struct pool *their_pool = NULL;
	struct fetch *theirs = NULL;
	struct fetch *ours;
	struct waiting mine, other;
	int64_t before;

	(void)state;
	gone();
	born(1);
	ours = fetch;
	fetch_background(ours);
	assert_int_equal(store_new(&their_store, dir, NULL), 0);
	assert_int_equal(pool_new(&their_pool, "net", 1, NULL), 0);
	assert_int_equal(fetch_new(&theirs, &fake.source, their_store,
				   their_pool, 1000000, NULL),
			 0);
	hold(true, 0);
	ask(&mine);
	wait_inside(1);
	fetch = theirs;
	ask(&other);
	fetch = ours;
	before = io_now_ms();
	hold(false, 0);
	assert_int_equal(result(&other), 0);
	assert_int_equal(result(&mine), 0);
	assert_true(io_now_ms() - before < 20000);
	assert_int_equal(fake.calls, BLOCKS);
	fetch_free(theirs);
	pool_free(their_pool);
	store_free(their_store);
}

static void asks_anew_once_when_a_block_was_wrong(void **state)
{
	(void)state;
	fake.fault = WRONG_ONCE;
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(fake.calls, 2 * BLOCKS);
	/* not where the wrong ones came from: each time the first one asks */
	assert_int_equal(fake.placed, 2 * (BLOCKS - 1));
}

static void wrong_bytes_leave_nothing_behind(void **state)
{
	(void)state;
	fake.fault = WRONG;
	assert_int_equal(fetch_it(), -EBADMSG);
	assert_int_equal(fake.calls, 2 * BLOCKS);
	assert_false(store_has(store, NULL, &digest, SIZE));
	assert_int_not_equal(access(partial, F_OK), 0);
}

static void what_a_dead_machine_lost_is_asked_for_again(void **state)
{
	static const char zeros[4096];
	int fd;

	(void)state;
	leave_half();
	fd = open(partial, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, zeros, sizeof(zeros), 65536), 4096);
	(void)close(fd);
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(times_sent(2), SIZE);
}

static void trusts_no_file_that_others_may_write(void **state)
{
	(void)state;
	leave_half();
	assert_int_equal(chmod(partial, 0620), 0);
	memset(sent, 0, SIZE);
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(times_sent(1), SIZE);
}

static void begins_anew_over_what_is_no_table(void **state)
{
	(void)state;
	leave_half();
	memset(sent, 0, SIZE);
	assert_int_equal(truncate(partial, 1000), 0);
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(times_sent(1), SIZE);
}

static void names_what_was_whole_when_the_process_died(void **state)
{
	int fd = -1;

	(void)state;
	leave_half();
	fd = open(partial, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(io_pwrite_all(fd, bytes, SIZE, 0), 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	(void)close(fd);
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(fake.calls, 0);
}

static void asks_for_the_whole_where_there_are_no_parts(void **state)
{
	(void)state;
	fake.fault = NO_PARTS;
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(fake.calls, 2);
	assert_int_equal(times_sent(2), 0);
}

static void asks_for_the_whole_when_ranges_are_ignored(void **state)
{
	(void)state;
	fake.fault = WHOLE;
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(fake.until[fake.calls - 1], 0);
}

static void asks_for_the_whole_after_bytes_from_elsewhere(void **state)
{
	(void)state;
	fake.fault = SHIFTED;
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(fake.until[fake.calls - 1], 0);
}

static void takes_no_byte_of_the_next_block(void **state)
{
	(void)state;
	fake.fault = LONG;
	assert_int_equal(fetch_it(), 0);
	assert_there();
	assert_int_equal(fake.until[fake.calls - 1], 0);
}

static void a_wrong_size_is_never_named(void **state)
{
	struct waiting w;

	(void)state;
	assert_int_equal(ask_for(&w, SIZE - 1000), -EINPROGRESS);
	assert_int_equal(result(&w), -EBADMSG);
	assert_false(store_has(store, NULL, &digest, SIZE - 1000));
	assert_int_not_equal(access(partial, F_OK), 0);
}

static void joins_nobody_who_has_the_file(void **state)
{
	int fd;

	(void)state;
	leave_half();
	fd = open(partial, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(fetch_it(), 0);
	(void)close(fd);
	/* in one piece, past it */
	assert_int_equal(fake.until[fake.calls - 1], 0);
	assert_true(store_has(store, NULL, &digest, SIZE));
	assert_int_equal(access(partial, F_OK), 0);
}

#define ONE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ONE(brings_a_large_file_in_blocks_each_once),
		ONE(one_worker_is_enough),
		ONE(hashes_while_the_last_block_is_on_its_way),
		ONE(all_free_workers_join_when_the_first_answer_is_there),
		ONE(a_small_file_overtakes_between_two_blocks),
		ONE(goes_on_where_a_block_was_cut),
		ONE(goes_on_after_a_short_answer),
		ONE(goes_on_where_another_process_failed),
		ONE(who_leaves_ends_all_hands_and_leaves_the_rest_to_others),
		ONE(who_leaves_ends_hands_at_the_last_blocks_as_well),
		ONE(does_not_yield_to_who_waits_for_the_same_file),
		ONE(asks_anew_once_when_a_block_was_wrong),
		ONE(wrong_bytes_leave_nothing_behind),
		ONE(what_a_dead_machine_lost_is_asked_for_again),
		ONE(trusts_no_file_that_others_may_write),
		ONE(begins_anew_over_what_is_no_table),
		ONE(names_what_was_whole_when_the_process_died),
		ONE(asks_for_the_whole_where_there_are_no_parts),
		ONE(asks_for_the_whole_when_ranges_are_ignored),
		ONE(asks_for_the_whole_after_bytes_from_elsewhere),
		ONE(takes_no_byte_of_the_next_block),
		ONE(a_wrong_size_is_never_named),
		ONE(joins_nobody_who_has_the_file),
	};

	return cmocka_run_group_tests(tests, make_bytes, free_bytes);
}
