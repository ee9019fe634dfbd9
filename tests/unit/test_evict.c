/* SPDX-License-Identifier: Apache-2.0 */
#include "storing.h"

#include <sys/syscall.h>

#define BLOB 1000

/* A blob of BLOB bytes that starts with a letter. */
static char *blob(char letter)
{
	static char bytes[8][BLOB + 1];
	static unsigned next;
	char *b = bytes[next++ % 8];

	memset(b, letter, BLOB);
	b[BLOB] = '\0';
	return b;
}

static uint64_t bytes_in(struct store *s)
{
	uint64_t bytes = 1;
	uint64_t blobs;

	assert_int_equal(store_usage(s, &bytes, &blobs), 0);
	return bytes;
}

static void fill(struct store *s, const char *letters)
{
	for (; *letters; letters++)
		assert_int_equal(take_in(s, blob(*letters), NULL), 0);
}

static void removes_the_least_recently_used_first(void **state)
{
	struct store *s = store_at(dir);

	(void)state;
	store_limit(s, 4 * BLOB, 0);
	fill(s, "abcd");
	make_older(blob('a'), 100);
	make_older(blob('b'), 400);
	make_older(blob('c'), 300);
	make_older(blob('d'), 200);
	fill(s, "e");
	/* one was needed; a little more goes, so that the next needs none */
	assert_false(holds(s, blob('b')));
	assert_false(holds(s, blob('c')));
	assert_true(holds(s, blob('a')));
	assert_true(holds(s, blob('d')));
	assert_true(holds(s, blob('e')));
	assert_int_equal(bytes_in(s), 3 * BLOB);
	store_free(s);
}

static void never_grows_beyond_its_size(void **state)
{
	struct store *s = store_at(dir);

	(void)state;
	store_limit(s, 4 * BLOB, 0);
	for (char c = 'A'; c <= 'Z'; c++) {
		fill(s, (const char[]){ c, '\0' });
		assert_true(bytes_in(s) <= 4 * BLOB);
		assert_true(holds(s, blob(c)));
	}
	store_free(s);
}

struct told {
	char letter;
	int64_t used_s;
};

static int tell(void *ctx, store_use *use, void *arg)
{
	for (const struct told *t = ctx; t->letter; t++) {
		struct digest d = digest_of(blob(t->letter));

		use(arg, &d, t->used_s);
	}
	return 0;
}

/* Somebody takes a blob in while a cleaner works, which has walked already. */
static int take_in_meanwhile(void *ctx, store_use *use, void *arg)
{
	struct store *s = ctx;

	(void)use;
	(void)arg;
	store_ask_uses(s, NULL, NULL);
	store_limit(s, 0, 0);
	return take_in(s, blob('x'), NULL);
}

static void what_comes_while_it_is_cleaned_is_counted(void **state)
{
	struct store *s = store_at(dir);
	uint64_t counted, walked = 0, blobs = 0;

	(void)state;
	store_limit(s, 4 * BLOB, 0);
	fill(s, "abcd");
	store_ask_uses(s, take_in_meanwhile, s);
	fill(s, "e");
	assert_true(holds(s, blob('x')));
	counted = bytes_in(s);
	assert_int_equal(store_recount(s, &walked, &blobs), 0);
	assert_int_equal(counted, walked);
	assert_true(blobs < 5);
	store_free(s);
}

static void a_use_that_is_told_counts_and_the_youngest_of_them(void **state)
{
	struct store *s = store_at(dir);
	struct told told[] = {
		{ 'a', time(NULL) - 900 }, { 'a', time(NULL) - 5 },
		{ 'a', time(NULL) - 800 }, { 'x', time(NULL) },
		{ 'b', time(NULL) - 999 }, { '\0', 0 },
	};

	(void)state;
	store_limit(s, 4 * BLOB, 0);
	store_ask_uses(s, tell, told);
	fill(s, "abcd");
	make_older(blob('a'), 500);
	make_older(blob('b'), 400); /* came after that use: counts */
	make_older(blob('c'), 450);
	make_older(blob('d'), 300);
	fill(s, "e");
	assert_true(holds(s, blob('a')));
	assert_false(holds(s, blob('b')));
	assert_false(holds(s, blob('c')));
	assert_true(holds(s, blob('d')));
	store_free(s);
}

static void spares_what_is_open_here(void **state)
{
	struct store *s = store_at(dir);
	struct err err = ERR_INIT;
	int a;
	int b;

	(void)state;
	store_limit(s, 2 * BLOB, 0);
	fill(s, "ab");
	make_older(blob('a'), 100);
	a = open_it(s, blob('a'));
	assert_true(a >= 0);
	fill(s, "c");
	assert_true(holds(s, blob('a')));
	assert_false(holds(s, blob('b')));
	b = open_it(s, blob('c'));
	assert_true(b >= 0);
	assert_int_equal(take_in(s, blob('d'), &err), -ENOSPC);
	assert_non_null(strstr(err.text, "cache_size"));
	assert_non_null(strstr(err.text, dir));
	assert_true(holds(s, blob('a')));
	assert_true(holds(s, blob('c')));
	(void)close(a);
	fill(s, "d");
	assert_false(holds(s, blob('a')));
	(void)close(b);
	store_free(s);
}

static void close_it(void *ctx)
{
	int *fd = ctx;

	if (*fd >= 0)
		(void)close(*fd);
	*fd = -1;
}

static void who_holds_an_idle_blob_is_asked_first_and_only_then(void **state)
{
	struct store *s = store_at(dir);
	int fd = -1;

	(void)state;
	store_limit(s, 2 * BLOB, 0);
	store_ask_idle(s, close_it, &fd);
	fill(s, "a");
	fd = open_it(s, blob('a'));
	assert_true(fd >= 0);
	fill(s, "b");
	assert_true(fd >= 0); /* there was room */
	make_older(blob('a'), 100);
	fill(s, "c");
	assert_int_equal(fd, -1);
	assert_false(holds(s, blob('a')));
	store_free(s);
}

/* Hold a blob open until the pipe ends. */
static void hold_in_child(const char *bytes, int ready[2], int end[2])
{
	struct store *s = NULL;
	char c;

	(void)close(end[1]);
	if (store_new(&s, dir, NULL) < 0 || open_it(s, bytes) < 0)
		_exit(1);
	if (write(ready[1], "x", 1) != 1 || read(end[0], &c, 1) != 0)
		_exit(2);
	_exit(0);
}

static void spares_what_is_open_in_another_process(void **state)
{
	struct store *s = store_at(dir);
	int ready[2];
	int end[2];
	int status;
	pid_t pid;
	char c;

	(void)state;
	store_limit(s, 2 * BLOB, 0);
	fill(s, "ab");
	make_older(blob('a'), 100);
	assert_int_equal(pipe(ready), 0);
	assert_int_equal(pipe(end), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		hold_in_child(blob('a'), ready, end);
	assert_int_equal(read(ready[0], &c, 1), 1);
	fill(s, "cdef");
	assert_true(holds(s, blob('a')));
	assert_false(holds(s, blob('e')));
	(void)close(end[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	fill(s, "g");
	assert_false(holds(s, blob('a')));
	store_free(s);
	(void)close(end[0]);
	(void)close(ready[0]);
	(void)close(ready[1]);
}

static void refuses_at_once_what_can_never_fit(void **state)
{
	struct store *s = store_at(dir);
	struct err err = ERR_INIT;
	struct digest d = digest_of("x");
	struct ingest *in = NULL;

	(void)state;
	store_limit(s, 2 * BLOB, 0);
	fill(s, "a");
	assert_int_equal(store_ingest(&in, s, &d, 2 * BLOB + 1, &err), -ENOSPC);
	assert_null(in);
	assert_non_null(strstr(err.text, "2001"));
	assert_true(holds(s, blob('a')));
	store_free(s);
}

static void what_is_being_taken_in_counts(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("x");
	struct ingest *in = NULL;

	(void)state;
	store_limit(s, 4 * BLOB, 0);
	assert_int_equal(store_ingest(&in, s, &d, 3 * BLOB, NULL), 0);
	fill(s, "a");
	fill(s, "b"); /* 5: a must go */
	assert_false(holds(s, blob('a')));
	ingest_free(in);
	fill(s, "cde");
	assert_true(holds(s, blob('b')));
	assert_int_equal(bytes_in(s), 4 * BLOB);
	store_free(s);
}

static void counts_without_walking_and_mends_the_count(void **state)
{
	struct store *s = store_at(dir);
	struct store *other = store_at(dir);
	char path[3 * SCRATCH_MAX];
	uint64_t bytes;
	uint64_t blobs;

	(void)state;
	assert_int_equal(bytes_in(s), 0);
	fill(s, "ab");
	fill(other, "bc");
	assert_int_equal(bytes_in(s), 3 * BLOB);
	assert_int_equal(bytes_in(other), 3 * BLOB);
	/* nobody walked: what is planted is not seen */
	scratch_put(dir, "blobs/planted", "x", 1);
	blob_path(dir, blob('a'), path);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(bytes_in(s), 3 * BLOB);
	assert_int_equal(store_recount(s, &bytes, &blobs), 0);
	assert_int_equal(bytes, 2 * BLOB);
	assert_int_equal(blobs, 2);
	assert_int_equal(bytes_in(other), 2 * BLOB);
	/* and a damaged one is made anew */
	scratch_put(dir, "usage", "nonsense", 8);
	assert_int_equal(bytes_in(other), 2 * BLOB);
	scratch_put(dir, "usage", "nonsense", 8);
	fill(s, "d");
	assert_int_equal(bytes_in(s), 3 * BLOB);
	store_free(s);
	store_free(other);
}

static void trims_to_a_smaller_size_by_hand(void **state)
{
	struct store *s = store_at(dir);

	(void)state;
	fill(s, "abcd");
	assert_int_equal(store_trim(s), 0);
	store_limit(s, 2 * BLOB, 0);
	make_older(blob('d'), 100);
	make_older(blob('c'), 50);
	make_older(blob('b'), 20);
	assert_int_equal(store_trim(s), 3 * BLOB);
	assert_true(holds(s, blob('a')));
	store_free(s);
}

/* An opener finds whole bytes or nothing, whoever cleans meanwhile. */
#define RACERS 3
#define ROUNDS 400

static int race(void *arg)
{
	unsigned seed = *(unsigned *)arg;
	struct store *s = NULL;

	if (store_new(&s, dir, NULL) < 0)
		return 1;
	store_limit(s, 3 * BLOB, 0);
	for (int i = 0; i < ROUNDS; i++) {
		char letter = (char)('a' + (seed = seed * 1103515245u + 12345u,
					    (seed >> 16) % 6));
		char got[BLOB];
		int fd = open_it(s, blob(letter));
		struct stat st;
		int r;

		if (fd >= 0) {
			if (fstat(fd, &st) < 0 || st.st_nlink == 0)
				return 2;
			if (read(fd, got, BLOB) != BLOB || got[7] != letter)
				return 3;
			(void)close(fd);
		} else if (fd != -ENOENT) {
			return 4;
		}
		r = take_in(s, blob(letter), NULL);
		if (r < 0 && r != -ENOSPC)
			return 5;
	}
	store_free(s);
	return 0;
}

static void several_processes_clean_and_open_at_once(void **state)
{
	unsigned seeds[RACERS] = { 1, 77, 4711 };
	pid_t pids[RACERS];
	struct store *s;
	uint64_t bytes;
	uint64_t blobs;

	(void)state;
	for (int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(race(&seeds[i]));
	}
	for (int i = 0; i < RACERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_int_equal(status, 0);
	}
	s = store_at(dir);
	store_limit(s, 3 * BLOB, 0);
	(void)store_trim(s);
	assert_int_equal(store_recount(s, &bytes, &blobs), 0);
	assert_true(bytes <= 3 * BLOB);
	store_free(s);
}

/* ---- a small disk ---- */

static int with_small_disk(int (*body)(void))
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("unit", dir, "tmpfs", 0, "size=16m,mode=700") < 0)
			_exit(77);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

#define MIB (1u << 20)

static int take_mib(struct store *s, char letter, struct err *err)
{
	static char big[4 * MIB];

	memset(big, letter, sizeof(big));
	return take_bytes(s, big, sizeof(big), err);
}

static int keeps_the_floor(void)
{
	struct err err = ERR_INIT;
	struct store *s = NULL;
	uint64_t bytes;
	uint64_t blobs;

	if (store_new(&s, dir, NULL) < 0)
		return 1;
	store_limit(s, 0, 6 * MIB); /* leaves room for two of four MiB */
	for (char c = 'a'; c < 'f'; c++)
		if (take_mib(s, c, NULL) < 0)
			return 2;
	if (store_recount(s, &bytes, &blobs) < 0 || blobs != 2)
		return 3;
	store_limit(s, 0, 15 * MIB);
	if (take_mib(s, 'g', &err) != -ENOSPC || !strstr(err.text, "min_free"))
		return 4;
	store_free(s);
	return 0;
}

static int makes_room_on_a_full_disk(void)
{
	struct store *s = NULL;

	if (store_new(&s, dir, NULL) < 0)
		return 1;
	for (char c = 'a'; c < 'k'; c++)
		if (take_mib(s, c, NULL) < 0)
			return 2;
	store_free(s);
	return 0;
}

static void keeps_a_floor_of_free_space(void **state)
{
	int r = with_small_disk(keeps_the_floor);

	(void)state;
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
}

static void removes_old_ones_when_the_disk_itself_is_full(void **state)
{
	int r = with_small_disk(makes_room_on_a_full_disk);

	(void)state;
	if (r == 77)
		skip();
	assert_int_equal(r, 0);
}

/* ---- hashing again ---- */

static void note_wrong(void *arg, const struct digest *d)
{
	char(*hex)[DIGEST_HEX_MAX] = arg;

	digest_print(d, *hex);
}

static void finds_and_drops_what_is_wrong(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of(blob('b'));
	char hex[DIGEST_HEX_MAX] = "";
	char want[DIGEST_HEX_MAX];
	char path[3 * SCRATCH_MAX];
	bool stop = true;
	uint64_t checked;
	int fd;

	(void)state;
	fill(s, "abc");
	assert_int_equal(bytes_in(s), 3 * BLOB);
	blob_path(dir, blob('b'), path);
	assert_int_equal(chmod(path, 0600), 0);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "!", 1, 500), 1);
	(void)close(fd);
	assert_int_equal(store_verify(s, note_wrong, &hex, &stop, &checked),
			 -ECANCELED);
	assert_int_equal(store_verify(s, note_wrong, &hex, NULL, &checked), 0);
	assert_int_equal(checked, 3);
	digest_print(&d, want);
	assert_string_equal(hex, want);
	assert_false(holds(s, blob('b')));
	assert_true(holds(s, blob('a')));
	assert_int_equal(bytes_in(s), 2 * BLOB);
	store_free(s);
}

static void a_small_file_that_is_used_is_no_old_one(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of(blob('a'));

	(void)state;
	store_limit(s, 3 * BLOB, 0);
	fill(s, "abd");
	make_older(blob('a'), 9000);
	make_older(blob('b'), 8000);
	make_older(blob('d'), 7000);
	store_used(s, &d);
	fill(s, "c");
	assert_true(holds(s, blob('a')));
	assert_false(holds(s, blob('b')));
	assert_false(holds(s, blob('d')));
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(removes_the_least_recently_used_first),
		TEST(never_grows_beyond_its_size),
		TEST(what_comes_while_it_is_cleaned_is_counted),
		TEST(a_use_that_is_told_counts_and_the_youngest_of_them),
		TEST(spares_what_is_open_here),
		TEST(who_holds_an_idle_blob_is_asked_first_and_only_then),
		TEST(spares_what_is_open_in_another_process),
		TEST(refuses_at_once_what_can_never_fit),
		TEST(what_is_being_taken_in_counts),
		TEST(counts_without_walking_and_mends_the_count),
		TEST(trims_to_a_smaller_size_by_hand),
		TEST(several_processes_clean_and_open_at_once),
		TEST(keeps_a_floor_of_free_space),
		TEST(removes_old_ones_when_the_disk_itself_is_full),
		TEST(finds_and_drops_what_is_wrong),
		TEST(a_small_file_that_is_used_is_no_old_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
