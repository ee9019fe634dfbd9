/* SPDX-License-Identifier: Apache-2.0 */
#include "storing.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>

/* ---- filesystems and kernels that can do less ---- */

static bool no_tmpfile;
static bool no_empty_path;
static bool no_hard_links;

/* These two stand before those of libc in this program. */
int openat(int at, const char *path, int flags, ...)
{
	mode_t mode = 0;
	va_list ap;

	if (flags & (O_CREAT | O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, mode_t);
		va_end(ap);
	}
	if (no_tmpfile && (flags & O_TMPFILE) == O_TMPFILE) {
		errno = EOPNOTSUPP;
		return -1;
	}
	return (int)syscall(SYS_openat, at, path, flags, mode);
}

int linkat(int at, const char *path, int to, const char *name, int flags)
{
	if (no_empty_path && (flags & AT_EMPTY_PATH)) {
		errno = ENOENT;
		return -1;
	}
	if (no_hard_links) {
		errno = EPERM;
		return -1;
	}
	return (int)syscall(SYS_linkat, at, path, to, name, flags);
}

static int able_again(void **state)
{
	no_tmpfile = no_empty_path = no_hard_links = false;
	return storing_down(state);
}

static void assert_holds(struct store *s, const char *bytes)
{
	struct digest d = digest_of(bytes);
	int fd = store_open(s, NULL, &d, strlen(bytes));
	char got[256];
	ssize_t n;

	assert_true(fd >= 0);
	assert_true(store_has(s, NULL, &d, strlen(bytes)));
	n = read(fd, got, sizeof(got));
	assert_int_equal(n, strlen(bytes));
	assert_memory_equal(got, bytes, strlen(bytes));
	(void)close(fd);
}

static void assert_nothing_is_locked(void)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[2 * SCRATCH_MAX];
	int fd;

	path_in(path, "fetching");
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	assert_int_equal(fcntl(fd, F_OFD_GETLK, &l), 0);
	assert_int_equal(l.l_type, F_UNLCK);
	(void)close(fd);
}

/* Nothing without a name, nothing half, whatever happened before. */
static void assert_clean(void)
{
	char path[2 * SCRATCH_MAX];

	path_in(path, "partial");
	assert_int_equal(scratch_count(path), 0);
	assert_nothing_is_locked();
}

static void names_a_blob_after_its_hash_was_checked(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("hello");
	char hex[DIGEST_HEX_MAX];
	char name[SCRATCH_MAX];
	char path[3 * SCRATCH_MAX];
	uint64_t bytes = 9;
	uint64_t blobs = 9;
	struct stat st;

	(void)state;
	assert_string_equal(store_path(s), dir);
	assert_int_equal(store_open(s, NULL, &d, 5), -ENOENT);
	assert_false(store_has(s, NULL, &d, 5));
	assert_int_equal(store_usage(s, &bytes, &blobs), 0);
	assert_int_equal(blobs, 0);
	assert_int_equal(take_in(s, "hello", NULL), 0);
	assert_holds(s, "hello");
	digest_print(&d, hex);
	(void)snprintf(name, sizeof(name), "blobs/%.2s/%s", hex, hex);
	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(st.st_nlink, 1);
	assert_int_equal(store_usage(s, &bytes, &blobs), 0);
	assert_int_equal(bytes, 5);
	assert_int_equal(blobs, 1);
	assert_clean();
	store_free(s);
	store_free(NULL);
}

static void a_blob_of_another_size_is_absent_and_replaced(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("hello");
	char path[3 * SCRATCH_MAX];

	(void)state;
	assert_int_equal(take_in(s, "hello", NULL), 0);
	assert_int_equal(store_open(s, NULL, &d, 6), -ENOENT);
	assert_false(store_has(s, NULL, &d, 6));
	blob_path(dir, "hello", path);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(truncate(path, 3), 0);
	assert_int_equal(store_open(s, NULL, &d, 5), -ENOENT);
	assert_false(store_has(s, NULL, &d, 5));
	assert_int_equal(take_in(s, "hello", NULL), 0);
	assert_holds(s, "hello");
	store_free(s);
}

static void an_open_blob_is_locked_as_in_use(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("hello");
	char path[3 * SCRATCH_MAX];
	int other;
	int fd;

	(void)state;
	assert_int_equal(take_in(s, "hello", NULL), 0);
	blob_path(dir, "hello", path);
	other = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(other >= 0);
	fd = store_open(s, NULL, &d, 5);
	assert_true(fd >= 0);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
	(void)close(fd);
	assert_int_equal(flock(other, LOCK_EX | LOCK_NB), 0);
	/* being cleaned away: as good as gone */
	assert_int_equal(store_open(s, NULL, &d, 5), -ENOENT);
	(void)close(other);
	assert_holds(s, "hello");
	store_free(s);
}

static void holds_identical_blobs_once(void **state)
{
	struct store *s = store_at(dir);
	uint64_t bytes;
	uint64_t blobs;

	(void)state;
	assert_int_equal(take_in(s, "same", NULL), 0);
	assert_int_equal(take_in(s, "same", NULL), 0);
	assert_int_equal(store_usage(s, &bytes, &blobs), 0);
	assert_int_equal(blobs, 1);
	store_free(s);
}

static void takes_an_empty_blob(void **state)
{
	struct store *s = store_at(dir);

	(void)state;
	assert_int_equal(take_in(s, "", NULL), 0);
	assert_holds(s, "");
	store_free(s);
}

static void refuses_wrong_bytes_with_both_hashes(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("hello");
	struct digest other = digest_of("hellO");
	struct err err = ERR_INIT;
	struct ingest *in = NULL;
	char hex[DIGEST_HEX_MAX];

	(void)state;
	assert_int_equal(store_ingest(&in, s, &d, 5, NULL), 0);
	assert_int_equal(ingest_write(in, "hellO", 5, NULL), 0);
	assert_int_equal(ingest_commit(in, &err), -EBADMSG);
	digest_print(&d, hex);
	assert_non_null(strstr(err.text, hex));
	digest_print(&other, hex);
	assert_non_null(strstr(err.text, hex));
	assert_false(store_has(s, NULL, &d, 5));
	assert_false(store_has(s, NULL, &other, 5));
	/* and from the start it may come right */
	assert_int_equal(ingest_rewind(in, NULL), 0);
	assert_int_equal(ingest_written(in), 0);
	assert_int_equal(ingest_write(in, "hello", 5, NULL), 0);
	assert_int_equal(ingest_commit(in, NULL), 0);
	ingest_free(in);
	assert_holds(s, "hello");
	assert_clean();
	store_free(s);
}

static void refuses_one_byte_more_and_one_less(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("hello");
	struct ingest *in = NULL;

	(void)state;
	assert_int_equal(store_ingest(&in, s, &d, 5, NULL), 0);
	assert_int_equal(ingest_write(in, "hell", 4, NULL), 0);
	assert_int_equal(ingest_commit(in, NULL), -EIO);
	assert_int_equal(ingest_write(in, "oo", 2, NULL), -EBADMSG);
	assert_int_equal(ingest_written(in), 4);
	assert_int_equal(ingest_write(in, "o", 1, NULL), 0);
	assert_int_equal(ingest_commit(in, NULL), 0);
	ingest_free(in);
	assert_holds(s, "hello");
	store_free(s);
}

static void leaves_nothing_when_it_is_given_up(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("hello");
	struct ingest *in = NULL;
	char hex[DIGEST_HEX_MAX];
	char path[2 * SCRATCH_MAX];
	char name[SCRATCH_MAX];

	(void)state;
	assert_int_equal(store_ingest(&in, s, &d, 5, NULL), 0);
	assert_int_equal(ingest_write(in, "hel", 3, NULL), 0);
	ingest_free(in);
	digest_print(&d, hex);
	(void)snprintf(name, sizeof(name), "blobs/%.2s", hex);
	path_in(path, name);
	assert_int_equal(scratch_count(path), 0);
	assert_clean();
	ingest_free(NULL);
	store_free(s);
}

static void names_a_blob_through_proc_when_it_must(void **state)
{
	struct store *s = store_at(dir);

	(void)state;
	no_empty_path = true;
	assert_int_equal(take_in(s, "through proc", NULL), 0);
	assert_holds(s, "through proc");
	store_free(s);
}

static void goes_without_unnamed_files(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("hello");
	char path[2 * SCRATCH_MAX];
	struct ingest *in = NULL;

	(void)state;
	no_tmpfile = true;
	assert_int_equal(take_in(s, "named", NULL), 0);
	assert_int_equal(take_in(s, "named", NULL), 0);
	assert_holds(s, "named");
	assert_clean();
	/* given up, and not taken away by who opens the cache meanwhile */
	assert_int_equal(store_ingest(&in, s, &d, 5, NULL), 0);
	path_in(path, "partial");
	assert_int_equal(scratch_count(path), 1);
	store_free(store_at(dir));
	assert_int_equal(scratch_count(path), 1);
	ingest_free(in);
	assert_clean();
	store_free(s);
}

static void goes_without_hard_links(void **state)
{
	struct store *s = store_at(dir);

	(void)state;
	no_tmpfile = no_hard_links = true;
	assert_int_equal(take_in(s, "renamed", NULL), 0);
	assert_int_equal(take_in(s, "renamed", NULL), 0);
	assert_holds(s, "renamed");
	assert_clean();
	store_free(s);
}

/* A name of ours that is not a blob of ours. */
static void plant(const struct digest *d, const char *content)
{
	char hex[DIGEST_HEX_MAX];
	char path[2 * SCRATCH_MAX];
	char name[SCRATCH_MAX];

	digest_print(d, hex);
	path_in(path, "blobs");
	(void)mkdir(path, 0700);
	(void)snprintf(name, sizeof(name), "blobs/%.2s", hex);
	path_in(path, name);
	(void)mkdir(path, 0700);
	(void)snprintf(name, sizeof(name), "blobs/%.2s/%s", hex, hex);
	if (content) {
		scratch_put(dir, name, content, strlen(content));
		return;
	}
	path_in(path, name);
	assert_int_equal(symlink("/etc/passwd", path), 0);
}

static void opens_no_link_and_replaces_what_is_no_blob(void **state)
{
	struct store *s = store_at(dir);
	struct digest linked = digest_of("linked");
	struct digest cut = digest_of("cut off");

	(void)state;
	plant(&linked, NULL);
	assert_int_equal(store_open(s, NULL, &linked, 6), -ENOENT);
	assert_false(store_has(s, NULL, &linked, 6));
	assert_int_equal(take_in(s, "linked", NULL), 0);
	assert_holds(s, "linked");
	plant(&cut, "cut");
	assert_int_equal(take_in(s, "cut off", NULL), 0);
	assert_holds(s, "cut off");
	store_free(s);
}

static void hangs_on_no_fifo(void **state)
{
	struct store *s = store_at(dir);
	struct digest d = digest_of("fifo");
	char hex[DIGEST_HEX_MAX];
	char path[2 * SCRATCH_MAX];
	char name[SCRATCH_MAX];

	(void)state;
	plant(&d, "x");
	digest_print(&d, hex);
	(void)snprintf(name, sizeof(name), "blobs/%.2s/%s", hex, hex);
	path_in(path, name);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(store_open(s, NULL, &d, 4), -ENOENT);
	store_free(s);
}

/* ---- cannot be written ---- */

/* In a child with its own mounts: 0, or 77 where that is not allowed. */
static int with_mount(int (*body)(void), const char *options)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("unit", dir, "tmpfs", 0, options) < 0)
			_exit(77);
		_exit(body());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* No asserts in the child: they would jump into the parent's test. */
static int full_disk(void)
{
	static char big[4 << 20];
	struct err err = ERR_INIT;
	struct store *s = NULL;
	struct ingest *in = NULL;
	struct digest d = { .kind = DIGEST_SHA256 };
	int r;

	if (store_new(&s, dir, NULL) < 0 || take_in(s, "small", NULL) < 0)
		return 1;
	r = store_ingest(&in, s, &d, sizeof(big), &err);
	if (r != -ENOSPC || !strstr(err.text, dir))
		return 2;
	/* small enough to be begun without asking for the room */
	for (unsigned i = 0; r != -ENOSPC || i == 0; i++) {
		if (store_ingest(&in, s, &d, 1000000, &err) < 0)
			break;
		r = ingest_write(in, big, 1000000, &err);
		if (i > 8)
			return 3;
	}
	if (r != -ENOSPC || !strstr(err.text, dir))
		return 4;
	return store_has(s, NULL, &d, 1000000) ? 5 : 0;
}

static int read_only(void)
{
	struct err err = ERR_INIT;
	struct store *s = NULL;
	struct digest d = digest_of("kept");
	int lock;
	int fd;

	if (store_new(&s, dir, NULL) < 0 || take_in(s, "kept", NULL) < 0)
		return 1;
	store_free(s);
	if (mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 77;
	if (store_new(&s, dir, NULL) < 0)
		return 2;
	fd = store_open(s, NULL, &d, 4);
	if (fd < 0 || close(fd) < 0)
		return 3;
	if (take_in(s, "new", &err) != -EROFS || !strstr(err.text, dir))
		return 4;
	if (store_note_write(s, "refs", "k", "v", 1, &err) != -EROFS ||
	    !strstr(err.text, dir))
		return 5;
	if (store_lock(s, &d, &lock) != -EROFS)
		return 6;
	return store_note_open(s, "refs", "k") == -ENOENT ? 0 : 7;
}

static void must_pass(int status)
{
	if (status == 77) {
		print_message("no mount namespace here\n");
		skip();
	}
	assert_int_equal(status, 0);
}

static void says_so_when_the_disk_is_full(void **state)
{
	(void)state;
	must_pass(with_mount(full_disk, "size=2m,mode=700"));
}

static void reads_on_when_the_cache_is_read_only(void **state)
{
	(void)state;
	must_pass(with_mount(read_only, "size=2m,mode=700"));
}

static int open_to_all(const char *path, const struct stat *st, int kind,
		       struct FTW *at)
{
	(void)st;
	(void)at;
	return kind == FTW_D ? chmod(path, 0555) : 0;
}

static int ours_again(const char *path, const struct stat *st, int kind,
		      struct FTW *at)
{
	(void)st;
	(void)at;
	return kind == FTW_D ? chmod(path, 0755) : 0;
}

/* As somebody who may read the folder and not write it. */
static int not_ours_to_write(void)
{
	struct err err = ERR_INIT;
	struct store *s = NULL;
	struct digest d = digest_of("kept");
	int fd;

	if (geteuid() == 0 && setresuid(65534, 65534, 65534) < 0)
		return 1;
	if (store_new(&s, dir, NULL) < 0)
		return 2;
	fd = store_open(s, NULL, &d, 4);
	if (fd < 0 || close(fd) < 0)
		return 3;
	if (take_in(s, "new", &err) != -EACCES || !strstr(err.text, dir))
		return 4;
	store_free(s);
	return 0;
}

static void reads_on_in_a_folder_that_we_may_not_write(void **state)
{
	struct store *s = store_at(dir);
	char path[2 * SCRATCH_MAX];
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(take_in(s, "kept", NULL), 0);
	store_free(s);
	assert_int_equal(chmod(dir, 0555), 0);
	path_in(path, "blobs");
	assert_int_equal(nftw(path, open_to_all, 16, FTW_PHYS), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(not_ours_to_write());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(chmod(dir, 0755), 0);
	assert_int_equal(nftw(path, ours_again, 16, FTW_PHYS), 0);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

/* ---- processes ---- */

static void removes_what_the_dead_left_and_spares_the_living(void **state)
{
	struct store *s = store_at(dir);
	char path[2 * SCRATCH_MAX];
	int fd;

	(void)state;
	path_in(path, "partial");
	assert_int_equal(mkdir(path, 0700), 0);
	scratch_put(dir, "partial/dead.1.1", "x", 1);
	scratch_put(dir, "partial/alive.1.2", "x", 1);
	path_in(path, "partial/alive.1.2");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	store_free(s);
	s = store_at(dir);
	path_in(path, "partial");
	assert_int_equal(scratch_count(path), 1);
	path_in(path, "partial/alive.1.2");
	assert_int_equal(access(path, F_OK), 0);
	(void)close(fd);
	store_free(s);
}

static void locks_a_blob_for_one_at_a_time(void **state)
{
	struct store *a = store_at(dir);
	struct store *b = store_at(dir);
	struct digest d = digest_of("x");
	struct digest e = digest_of("y");
	int lock = -1;
	int other = -1;
	size_t files;

	(void)state;
	assert_int_equal(store_lock(a, &d, &lock), 1);
	files = scratch_count(dir);
	assert_int_equal(store_lock(b, &d, &other), 0);
	assert_int_equal(other, -1);
	assert_int_equal(store_lock(b, &e, &other), 1);
	/* there is no file for each, which would be made and removed */
	assert_int_equal(scratch_count(dir), files);
	store_unlock(other);
	store_unlock(lock);
	assert_int_equal(store_lock(b, &d, &other), 1);
	store_unlock(other);
	store_unlock(-1);
	assert_clean();
	store_free(a);
	store_free(b);
}

#define RACERS 8
#define ROUNDS 50

/* Take the same blobs in, all at once, under the lock where it is granted. */
static int race(void)
{
	struct store *s = NULL;
	char bytes[64];

	if (store_new(&s, dir, NULL) < 0)
		return 1;
	for (int i = 0; i < ROUNDS; i++) {
		struct digest d;
		int lock = -1;
		int fd;

		(void)snprintf(bytes, sizeof(bytes), "blob %d", i);
		d = digest_of(bytes);
		if (store_lock(s, &d, &lock) < 0)
			return 2;
		if (take_in(s, bytes, NULL) < 0)
			return 3;
		store_unlock(lock);
		fd = store_open(s, NULL, &d, strlen(bytes));
		if (fd < 0 || close(fd) < 0)
			return 4;
	}
	store_free(s);
	return 0;
}

static void processes_race_for_a_blob_and_all_win(void **state)
{
	pid_t pids[RACERS];
	struct store *s;
	uint64_t bytes;
	uint64_t blobs;

	(void)state;
	for (int i = 0; i < RACERS; i++) {
		pids[i] = fork();
		assert_true(pids[i] >= 0);
		if (pids[i] == 0)
			_exit(race());
	}
	for (int i = 0; i < RACERS; i++) {
		int status;

		assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	s = store_at(dir);
	assert_int_equal(store_usage(s, &bytes, &blobs), 0);
	assert_int_equal(blobs, ROUNDS);
	assert_clean();
	store_free(s);
}

#define ABLE(f) cmocka_unit_test_setup_teardown(f, storing_up, able_again)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ABLE(names_a_blob_after_its_hash_was_checked),
		ABLE(a_blob_of_another_size_is_absent_and_replaced),
		ABLE(an_open_blob_is_locked_as_in_use),
		ABLE(holds_identical_blobs_once),
		ABLE(takes_an_empty_blob),
		ABLE(refuses_wrong_bytes_with_both_hashes),
		ABLE(refuses_one_byte_more_and_one_less),
		ABLE(leaves_nothing_when_it_is_given_up),
		ABLE(names_a_blob_through_proc_when_it_must),
		ABLE(goes_without_unnamed_files),
		ABLE(goes_without_hard_links),
		ABLE(opens_no_link_and_replaces_what_is_no_blob),
		ABLE(hangs_on_no_fifo),
		ABLE(says_so_when_the_disk_is_full),
		ABLE(reads_on_when_the_cache_is_read_only),
		ABLE(reads_on_in_a_folder_that_we_may_not_write),
		ABLE(removes_what_the_dead_left_and_spares_the_living),
		ABLE(locks_a_blob_for_one_at_a_time),
		ABLE(processes_race_for_a_blob_and_all_win),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
