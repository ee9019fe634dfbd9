/* SPDX-License-Identifier: Apache-2.0 */
#include "base/io.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "scratch.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

struct folder {
	char dir[SCRATCH_MAX];
	int fd;
};

static int setup(void **state)
{
	struct folder *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	scratch_make(f->dir);
	f->fd = open(f->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = f;
	return f->fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	struct folder *f = *state;

	(void)close(f->fd);
	scratch_remove(f->dir);
	free(f);
	return 0;
}

/* All names in the folder, hidden ones too. */
static size_t count_all(const struct folder *f)
{
	AUTO(auto_closedir) DIR *d = opendir(f->dir);
	size_t n = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));)
		n += strcmp(e->d_name, ".") && strcmp(e->d_name, "..");
	return n;
}

static void holds(const struct folder *f, const char *name, const char *bytes)
{
	AUTO(auto_text) struct text t = TEXT_INIT(1 << 20);

	assert_int_equal(io_read_file(f->fd, name, &t), 0);
	assert_string_equal(text_str(&t), bytes);
}

static void reads_a_file_up_to_the_limit(void **state)
{
	AUTO(auto_text) struct text exact = TEXT_INIT(200000);
	AUTO(auto_text) struct text less = TEXT_INIT(199999);
	AUTO(auto_free) char *bytes = malloc(200000);
	struct folder *f = *state;

	assert_non_null(bytes);
	for (size_t i = 0; i < 200000; i++)
		bytes[i] = (char)(i * 7);
	scratch_put(f->dir, "big", bytes, 200000);
	assert_int_equal(io_read_file(f->fd, "big", &exact), 0);
	assert_int_equal(exact.len, 200000);
	assert_memory_equal(exact.s, bytes, 200000);
	assert_int_equal(io_read_file(f->fd, "big", &less), -E2BIG);
}

static void appends_what_it_reads(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(100);
	struct folder *f = *state;

	scratch_put(f->dir, "a", "one", 3);
	scratch_put(f->dir, "empty", "", 0);
	text_add(&t, "0 ");
	assert_int_equal(io_read_file(f->fd, "a", &t), 0);
	assert_int_equal(io_read_file(f->fd, "empty", &t), 0);
	assert_string_equal(text_str(&t), "0 one");
}

static void reads_regular_files_only(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(100);
	struct folder *f = *state;

	assert_int_equal(mkfifoat(f->fd, "fifo", 0600), 0);
	assert_int_equal(symlinkat("fifo", f->fd, "to-fifo"), 0);
	assert_int_equal(io_read_file(f->fd, "fifo", &t), -EINVAL);
	assert_int_equal(io_read_file(f->fd, "to-fifo", &t), -EINVAL);
	assert_int_equal(io_read_file(f->fd, ".", &t), -EISDIR);
	assert_int_equal(io_read_file(AT_FDCWD, "/dev/zero", &t), -EINVAL);
	assert_int_equal(io_read_file(f->fd, "absent", &t), -ENOENT);
	assert_int_equal(t.len, 0);
	/* a link to a file is followed */
	scratch_put(f->dir, "a", "one", 3);
	assert_int_equal(symlinkat("a", f->fd, "to-a"), 0);
	holds(f, "to-a", "one");
}

static void replaces_a_file_as_a_whole(void **state)
{
	struct folder *f = *state;
	AUTO(auto_close) int old = -1;
	char bytes[8];

	assert_int_equal(io_replace(f->fd, "a", "first", 5, true), 0);
	old = openat(f->fd, "a", O_RDONLY | O_CLOEXEC);
	assert_int_equal(io_replace(f->fd, "a", "2nd", 3, false), 0);
	holds(f, "a", "2nd");
	/* who had it open keeps what was */
	assert_int_equal(io_pread_all(old, bytes, sizeof(bytes), 0), 5);
	assert_memory_equal(bytes, "first", 5);
	assert_int_equal(io_replace(f->fd, "a", NULL, 0, false), 0);
	holds(f, "a", "");
	assert_int_equal(count_all(f), 1);
}

static void replaces_the_longest_name_too(void **state)
{
	struct folder *f = *state;
	char name[257];

	memset(name, 'n', 256);
	name[256] = '\0';
	assert_int_equal(io_replace(f->fd, name, "x", 1, false), -ENAMETOOLONG);
	assert_int_equal(count_all(f), 0);
	name[255] = '\0';
	assert_int_equal(io_replace(f->fd, name, "x", 1, false), 0);
	assert_int_equal(count_all(f), 1);
}

static void leaves_nothing_behind_when_it_cannot(void **state)
{
	AUTO(auto_free) char *big = calloc(1, 1 << 16);
	struct folder *f = *state;
	struct rlimit before, tight;

	assert_non_null(big);
	/* no rename over a folder */
	assert_int_equal(mkdirat(f->fd, "folder", 0700), 0);
	assert_int_equal(io_replace(f->fd, "folder", "x", 1, false), -EISDIR);
	assert_int_equal(count_all(f), 1);
	/* no more room in the middle of writing */
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	tight = before;
	tight.rlim_cur = 1000;
	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
	assert_int_equal(io_replace(f->fd, "a", big, 1 << 16, true), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_DFL);
	assert_int_equal(count_all(f), 1);
	assert_int_equal(io_replace(-1, "a", "x", 1, false), -EBADF);
}

static void writes_and_reads_where_it_is_told(void **state)
{
	struct folder *f = *state;
	AUTO(auto_close)
	int fd = openat(f->fd, "a", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	AUTO(auto_close) int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
	char bytes[8] = "";

	assert_int_equal(io_write_all(fd, "abcdef", 6), 0);
	assert_int_equal(io_pwrite_all(fd, "XY", 2, 2), 0);
	assert_int_equal(io_pread_all(fd, bytes, 3, 1), 3);
	assert_memory_equal(bytes, "bXY", 3);
	assert_int_equal(io_pread_all(fd, bytes, 8, 4), 2);
	assert_int_equal(io_pread_all(fd, bytes, 8, 6), 0);
	assert_int_equal(io_write_all(full, "x", 1), -ENOSPC);
	assert_int_equal(io_write_all(full, NULL, 0), 0);
	assert_int_equal(io_write_all(-1, "x", 1), -EBADF);
	assert_int_equal(io_pwrite_all(-1, "x", 1, 0), -EBADF);
	assert_int_equal(io_pread_all(-1, bytes, 1, 0), -EBADF);
}

static void makes_folders_with_their_parents(void **state)
{
	struct folder *f = *state;
	char path[2 * SCRATCH_MAX];
	struct err err = ERR_INIT;
	struct stat st;

	(void)snprintf(path, sizeof(path), "%s/a//b/c/", f->dir);
	assert_int_equal(io_mkdirs(path, &err), 0);
	assert_int_equal(io_mkdirs(path, &err), 0);
	assert_int_equal(err.code, 0);
	assert_int_equal(fstatat(f->fd, "a/b/c", &st, 0), 0);
	assert_true(S_ISDIR(st.st_mode));
	assert_int_equal(st.st_mode & 077, 0);
	assert_int_equal(io_mkdirs("/", &err), 0);
}

static void names_the_folder_that_cannot_be_made(void **state)
{
	struct folder *f = *state;
	char path[2 * SCRATCH_MAX], name[300];
	struct err err = ERR_INIT;

	scratch_put(f->dir, "file", "", 0);
	assert_int_equal(symlinkat("nowhere", f->fd, "dangling"), 0);
	(void)snprintf(path, sizeof(path), "%s/file/b", f->dir);
	assert_int_equal(io_mkdirs(path, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "/file': Not a directory"));
	(void)snprintf(path, sizeof(path), "%s/dangling/b", f->dir);
	assert_int_equal(io_mkdirs(path, &err), -ENOTDIR);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	assert_int_equal(io_mkdirs(path, &err), -ENAMETOOLONG);
	assert_int_equal(io_mkdirs("", &err), -ENOENT);
	assert_int_equal(err.code, ENOENT);
}

/* Root makes folders everywhere; what a plain user would see needs one. */
static void says_why_a_folder_may_not_be_made(void **state)
{
	struct folder *f = *state;
	const uid_t me = geteuid();
	char path[2 * SCRATCH_MAX];
	struct err err = ERR_INIT;
	int r;

	assert_int_equal(mkdirat(f->fd, "closed", 0700), 0);
	assert_int_equal(fchmodat(f->fd, "closed", 0555, 0), 0);
	assert_int_equal(fchmodat(f->fd, ".", 0755, 0), 0);
	(void)snprintf(path, sizeof(path), "%s/closed/a/b", f->dir);
	if (me == 0)
		assert_int_equal(seteuid(65534), 0);
	r = io_mkdirs(path, &err);
	if (me == 0)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(r, -EACCES);
	assert_non_null(strstr(err.text, "/closed/a': Permission denied"));
}

static void prints_times(void **state)
{
	static const struct {
		int64_t s;
		const char *text;
	} rows[] = {
		{ 0, "1970-01-01T00:00:00Z" },
		{ -1, "1969-12-31T23:59:59Z" },
		{ 951782400, "2000-02-29T00:00:00Z" },
		{ 4102444800, "2100-01-01T00:00:00Z" },
		{ INT64_MAX, "-" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < N(rows); i++) {
		io_time_print(rows[i].s, out);
		assert_string_equal(out, rows[i].text);
	}
}

static void knows_the_time(void **state)
{
	const int64_t now = io_now_ms();

	(void)state;
	assert_true(now > 0);
	assert_true(io_now_ms() >= now);
	assert_true(io_wall_s() > 1600000000);
}

#define ON_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		ON_A_FOLDER(reads_a_file_up_to_the_limit),
		ON_A_FOLDER(appends_what_it_reads),
		ON_A_FOLDER(reads_regular_files_only),
		ON_A_FOLDER(replaces_a_file_as_a_whole),
		ON_A_FOLDER(replaces_the_longest_name_too),
		ON_A_FOLDER(leaves_nothing_behind_when_it_cannot),
		ON_A_FOLDER(writes_and_reads_where_it_is_told),
		ON_A_FOLDER(makes_folders_with_their_parents),
		ON_A_FOLDER(names_the_folder_that_cannot_be_made),
		ON_A_FOLDER(says_why_a_folder_may_not_be_made),
		cmocka_unit_test(prints_times),
		cmocka_unit_test(knows_the_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
