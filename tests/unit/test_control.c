/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/control.h"
#include "fs/control_in.h"

#include "base/err.h"
#include "base/io.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define WAIT_MS 10000
#define NOBODY 65534

static char runtime[] = "/tmp/test-control-XXXXXX";
static struct control *control;
static struct err err;
static int asked;

/* As root the folder is the system's; a user of the test has one of its own. */
static bool own_folder(void)
{
	return geteuid() != 0;
}

static int echo(void *arg, const struct json *request, struct text *answer,
		struct err *e)
{
	const char *say = json_get_string(request, "say");

	++*(int *)arg;
	if (!say)
		return err_set(e, EINVAL, "nothing \"to\" say");
	text_add(answer, ", \"said\": ");
	text_add_json(answer, say);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	err = (struct err)ERR_INIT;
	asked = 0;
	if (control_new(&control, "/some/mount", echo, &asked, &err) < 0)
		fail_msg("%s", err.text);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	control_free(control);
	control = NULL;
	return 0;
}

static int ask(const char *path, const char *line, struct text *answer)
{
	struct text request = TEXT_INIT(1 << 20);
	int r;

	text_add(&request, line);
	text_add_char(&request, '\n');
	r = control_ask(path, &request, WAIT_MS, answer, &err);
	text_done(&request);
	return r;
}

static void assert_answer(const char *line, const char *want)
{
	struct text answer = TEXT_INIT(CONTROL_ANSWER_MAX);

	if (ask(control_path(control), line, &answer) < 0)
		fail_msg("%s", err.text);
	if (!strstr(text_str(&answer), want))
		fail_msg("'%s' does not say '%s'", text_str(&answer), want);
	text_done(&answer);
}

/* Caller frees. */
static char *folder_of(const char *path)
{
	char *folder = strdup(path);
	char *slash = folder ? strrchr(folder, '/') : NULL;

	if (!slash)
		abort();
	*slash = '\0';
	return folder;
}

/* A connection that the test speaks on by itself. */
static int connect_raw(void)
{
	const char *slash = strrchr(control_path(control), '/');
	char *folder = folder_of(control_path(control));
	int at, fd;

	assert_non_null(slash);
	at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	assert_true(at >= 0);
	fd = control_in_connect(at, slash + 1);
	assert_true(fd >= 0);
	(void)close(at);
	free(folder);
	return fd;
}

static void answers_a_line_with_a_line(void **state)
{
	(void)state;
	assert_answer("{\"say\": \"h\\u00e9 \\\"x\\\"\"}",
		      "{\"ok\": true, \"said\": \"h\xc3\xa9 \\\"x\\\"\"}");
	assert_answer("{}", "{\"ok\": false, \"error\": "
			    "\"nothing \\\"to\\\" say\"}");
	assert_int_equal(asked, 2);
}

static void refuses_what_is_no_request(void **state)
{
	(void)state;
	assert_answer("", "\"ok\": false");
	assert_answer("[]", "a request is an object");
	assert_answer("{\"say\": 01}", "\"ok\": false");
	assert_answer("{\"say\": \"x\"} {}", "\"ok\": false");
	assert_answer("\xff\xfe", "\"ok\": false");
	assert_int_equal(asked, 0);
}

/* Who says nothing, too much, or goes away is dropped, and the next served. */
static void a_bad_peer_does_not_end_it(void **state)
{
	struct text big = TEXT_INIT(4 * CONTROL_REQUEST_MAX);
	struct text got = TEXT_INIT(64);
	int fd = connect_raw();

	(void)state;
	(void)close(fd);
	fd = connect_raw();
	assert_int_equal(write(fd, "{\"say\"", 6), 6);
	(void)close(fd);
	fd = connect_raw();
	for (unsigned i = 0; i < 2 * CONTROL_REQUEST_MAX; i++)
		text_add_char(&big, 'x');
	(void)control_in_write(fd, -1, io_now_ms() + WAIT_MS, &big);
	assert_true(control_in_read_line(fd, -1, io_now_ms() + WAIT_MS, &got) <
		    0);
	(void)close(fd);
	assert_answer("{\"say\": \"still here\"}", "still here");
	text_done(&big);
	text_done(&got);
}

static void a_silent_peer_has_its_time_and_no_more(void **state)
{
	int fd = connect_raw();
	struct text got = TEXT_INIT(64);

	(void)state;
	/* Nothing is sent; the other end closes in the end. */
	assert_int_equal(
		control_in_read_line(fd, -1, io_now_ms() + WAIT_MS, &got),
		-EPIPE);
	(void)close(fd);
	assert_answer("{\"say\": \"y\"}", "\"y\"");
	text_done(&got);
}

static void it_ends_while_a_peer_is_silent(void **state)
{
	struct text got = TEXT_INIT(64);
	int fd = connect_raw(), r;

	control_free(control);
	control = NULL;
	r = control_in_read_line(fd, -1, io_now_ms() + WAIT_MS, &got);
	assert_true(r == -EPIPE || r == -ECONNRESET);
	assert_int_equal(got.len, 0);
	text_done(&got);
	(void)close(fd);
	(void)setup(state);
}

static void lies_in_a_folder_that_nobody_else_may_enter(void **state)
{
	char *folder = folder_of(control_path(control));
	struct stat st;

	(void)state;
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_uid, geteuid());
	assert_int_equal(st.st_mode & 077, 0);
	free(folder);
}

static void its_end_takes_the_socket_away(void **state)
{
	char *path = strdup(control_path(control));
	struct text answer = TEXT_INIT(64);
	struct stat st;

	(void)state;
	assert_non_null(path);
	assert_int_equal(lstat(path, &st), 0);
	control_free(control);
	control = NULL;
	assert_int_equal(lstat(path, &st), -1);
	assert_int_equal(ask(path, "{}", &answer), -ENOTCONN);
	assert_int_equal(ask("nowhere", "{}", &answer), -EINVAL);
	text_done(&answer);
	free(path);
}

/* A child that dies with its socket open leaves the name behind. */
static void sockets_of_the_dead_are_taken_away(void **state)
{
	char name[PATH_MAX] = "";
	int ends[2], status;
	struct stat st;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	(void)teardown(state);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct control *c = NULL;
		int none = 0;

		if (control_new(&c, "/some/mount", echo, &none, &err) == 0)
			(void)io_write_all(ends[1], control_path(c),
					   strlen(control_path(c)));
		_exit(0);
	}
	(void)close(ends[1]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(read(ends[0], name, sizeof(name) - 1) > 0);
	(void)close(ends[0]);
	assert_int_equal(lstat(name, &st), 0);
	(void)setup(state);
	assert_int_equal(lstat(name, &st), -1);
	assert_int_equal(lstat(control_path(control), &st), 0);
}

static void two_mounts_have_two_sockets(void **state)
{
	struct control *other = NULL;
	int count = 0;

	(void)state;
	assert_int_equal(
		control_new(&other, "/other/mount", echo, &count, &err), 0);
	assert_string_not_equal(control_path(other), control_path(control));
	assert_answer("{\"say\": \"one\"}", "one");
	assert_int_equal(asked, 1);
	assert_int_equal(count, 0);
	control_free(other);
	assert_answer("{\"say\": \"one\"}", "one");
}

/* The folder is closed to others; whoever comes in all the same is refused
 * by his number, and refuses us by ours. */
static void another_user_is_refused(void **state)
{
	char *folder = folder_of(control_path(control));
	int status;
	pid_t pid;

	(void)state;
	if (geteuid() != 0) {
		free(folder);
		skip();
	}
	assert_int_equal(chmod(folder, 0711), 0);
	assert_int_equal(chmod(control_path(control), 0666), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct text answer = TEXT_INIT(1024);
		int r;

		if (setuid(NOBODY) < 0)
			_exit(1);
		r = ask(control_path(control), "{\"say\": \"x\"}", &answer);
		_exit(r == -EACCES && answer.len == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	(void)chmod(folder, 0700);
	free(folder);
	assert_int_equal(status, 0);
	assert_int_equal(asked, 0);
}

static void a_folder_that_others_may_enter_is_not_used(void **state)
{
	struct control *c = NULL;
	char folder[PATH_MAX];

	(void)state;
	if (!own_folder())
		skip();
	(void)snprintf(folder, sizeof(folder), "%s/kernelfs", runtime);
	assert_int_equal(chmod(folder, 0755), 0);
	assert_int_equal(control_new(&c, "/m", echo, &asked, &err), -EACCES);
	assert_int_equal(chmod(folder, 0700), 0);
}

static int make_runtime(void **state)
{
	(void)state;
	if (!mkdtemp(runtime))
		return -1;
	return setenv("XDG_RUNTIME_DIR", runtime, 1);
}

static int drop_runtime(void **state)
{
	char folder[PATH_MAX];

	(void)state;
	(void)snprintf(folder, sizeof(folder), "%s/kernelfs", runtime);
	(void)rmdir(folder);
	return rmdir(runtime);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(answers_a_line_with_a_line),
		TEST(refuses_what_is_no_request),
		TEST(a_bad_peer_does_not_end_it),
		TEST(a_silent_peer_has_its_time_and_no_more),
		TEST(it_ends_while_a_peer_is_silent),
		TEST(lies_in_a_folder_that_nobody_else_may_enter),
		TEST(its_end_takes_the_socket_away),
		TEST(sockets_of_the_dead_are_taken_away),
		TEST(two_mounts_have_two_sockets),
		TEST(another_user_is_refused),
		TEST(a_folder_that_others_may_enter_is_not_used),
	};

	return cmocka_run_group_tests(tests, make_runtime, drop_runtime);
}
