/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "latch.h"
#include "scratch.h"

#include <sys/socket.h>

/* The log is one for the process, and so is its memory: each test says
 * sentences of its own. */

static char dir[SCRATCH_MAX];

static int setup(void **state)
{
	(void)state;
	scratch_make(dir);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_close();
	scratch_remove(dir);
	return 0;
}

static void open_file(const char *name, enum log_level level)
{
	char path[2 * SCRATCH_MAX];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(log_open(path, level, NULL), 0);
}

/* Lines of the file without the time in front, which is looked at. */
static void file_says(const char *name, const char *lines)
{
	AUTO(auto_text) struct text t = TEXT_INIT(100000);
	AUTO(auto_free) char *s = NULL;
	size_t n;

	s = scratch_read(dir, name, &n);
	for (const char *p = s; *p;) {
		const char *end = strchr(p, '\n');
		int year;

		assert_non_null(end);
		assert_int_equal(
			sscanf(p, "%4d-%*2d-%*2dT%*2d:%*2d:%*2dZ ", &year), 1);
		assert_true(year > 2020);
		assert_int_equal(p[19], 'Z');
		text_add_bytes(&t, p + 21, (size_t)(end - p - 20));
		p = end + 1;
	}
	assert_string_equal(text_str(&t), lines);
}

static void reads_the_names_of_levels(void **state)
{
	enum log_level level = LOG_WARNING;

	(void)state;
	assert_int_equal(log_level_parse("debug", &level), 0);
	assert_int_equal(level, LOG_DEBUG);
	assert_int_equal(log_level_parse("info", &level), 0);
	assert_int_equal(level, LOG_INFO);
	assert_int_equal(log_level_parse("warning", &level), 0);
	assert_int_equal(level, LOG_WARNING);
	assert_int_equal(log_level_parse("error", &level), 0);
	assert_int_equal(level, LOG_ERROR);
	assert_int_equal(log_level_parse("Error", &level), -EINVAL);
	assert_int_equal(log_level_parse("", &level), -EINVAL);
	assert_int_equal(level, LOG_ERROR);
}

static void dates_the_lines_of_a_file(void **state)
{
	(void)state;
	open_file("log", LOG_INFO);
	log_error("mount", "no '%s'", "x");
	log_info("fetch", "%d bytes", 7);
	log_debug("fetch", "not asked for");
	file_says("log", "kernelfs: error: mount: no 'x'\n"
			 "kernelfs: info: fetch: 7 bytes\n");
}

static void appends_to_a_file(void **state)
{
	(void)state;
	open_file("log", LOG_INFO);
	log_info("mount", "up");
	log_close();
	open_file("log", LOG_INFO);
	log_info("mount", "up once more");
	file_says("log", "kernelfs: info: mount: up\n"
			 "kernelfs: info: mount: up once more\n");
}

static void counts_what_repeats(void **state)
{
	(void)state;
	open_file("log", LOG_INFO);
	for (int i = 0; i < 5; i++)
		log_warning("http", "slow");
	file_says("log", "kernelfs: warning: http: slow\n");
	log_error("http", "slow");
	log_error("hub", "slow");
	log_error("hub", "slow");
	/* the sink that is closed gets the count that belongs to it */
	log_close();
	file_says("log", "kernelfs: warning: http: slow\n"
			 "kernelfs: warning: http: (the line before 4 times "
			 "more)\n"
			 "kernelfs: error: http: slow\n"
			 "kernelfs: error: hub: slow\n"
			 "kernelfs: error: hub: (the line before 1 times "
			 "more)\n");
}

static void holds_the_warnings_of_a_room_until_they_are_wanted(void **state)
{
	(void)state;
	open_file("log", LOG_INFO);
	for (int say = 0; say < 2; say++) {
		log_hold("source");
		log_warning("source", "down, %s", say ? "said" : "dropped");
		log_warning("http", "slow, %d", say);
		log_error("source", "wrong, %d", say);
		log_release(say);
	}
	log_warning("source", "held no more");
	file_says("log", "kernelfs: warning: http: slow, 0\n"
			 "kernelfs: error: source: wrong, 0\n"
			 "kernelfs: warning: http: slow, 1\n"
			 "kernelfs: error: source: wrong, 1\n"
			 "kernelfs: warning: source: down, said\n"
			 "kernelfs: warning: source: held no more\n");
}

static void lets_no_control_byte_through(void **state)
{
	(void)state;
	open_file("log", LOG_INFO);
	log_error("hub", "%s", "a\x1b[1m\nkernelfs: error: forged\x7f");
	file_says("log", "kernelfs: error: hub: a?[1m kernelfs: error: "
			 "forged?\n");
}

static void keeps_the_old_sink_when_it_cannot_open(void **state)
{
	struct err err = ERR_INIT;
	char path[2 * SCRATCH_MAX];

	(void)state;
	open_file("log", LOG_INFO);
	(void)snprintf(path, sizeof(path), "%s/no/such", dir);
	assert_int_equal(log_open(path, LOG_DEBUG, &err), -ENOENT);
	assert_non_null(strstr(err.text, "/no/such'"));
	log_info("mount", "still here");
	log_debug("mount", "level kept as well");
	file_says("log", "kernelfs: info: mount: still here\n");
}

static void writes_each_line_to_stderr_at_once(void **state)
{
	static const char warning[] = "kernelfs: warning: mount: 3 builds\n";
	static const char error[] = "kernelfs: error: mount: none fits\n";
	char line[3][200] = { "", "", "" };
	int pair[2], stderr_was;
	ssize_t n[3];

	(void)state;
	/* what is one write is one message here */
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(log_open("stderr", LOG_WARNING, NULL), 0);
	stderr_was = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	assert_true(stderr_was >= 0);
	assert_true(dup2(pair[1], STDERR_FILENO) >= 0);
	log_warning("mount", "%d builds", 3);
	log_info("mount", "not asked for");
	log_error("mount", "none fits");
	for (int i = 0; i < 3; i++)
		n[i] = recv(pair[0], line[i], sizeof(line[i]) - 1,
			    MSG_DONTWAIT);
	assert_true(dup2(stderr_was, STDERR_FILENO) >= 0);
	(void)close(stderr_was);
	(void)close(pair[0]);
	(void)close(pair[1]);
	assert_string_equal(line[0], warning);
	assert_string_equal(line[1], error);
	assert_int_equal(n[2], -1);
}

static void goes_on_without_its_sink(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(1 << 20);

	(void)state;
	assert_int_equal(log_open("/dev/full", LOG_INFO, NULL), 0);
	log_info("mount", "to a full disk");
	log_report(&t);
	assert_non_null(strstr(text_str(&t), "info: mount: to a full disk\n"));
}

static void remembers_the_last_lines(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(1 << 20);
	const char *line;
	size_t lines = 0;
	char want[64];

	(void)state;
	open_file("log", LOG_INFO);
	for (int i = 0; i < LOG_MEMORY + 44; i++)
		log_info("mount", "line %d.", i);
	log_report(&t);
	assert_int_equal(text_failed(&t), 0);
	line = text_str(&t);
	for (; *line; line = strchr(line, '\n') + 1, lines++) {
		(void)snprintf(want, sizeof(want), "Z info: mount: line %zu.\n",
			       44 + lines);
		assert_memory_equal(line + 19, want, strlen(want));
	}
	assert_int_equal(lines, LOG_MEMORY);
}

static void reports_errors_as_json(void **state)
{
	AUTO(auto_text) struct text t = TEXT_INIT(1 << 20);
	AUTO(auto_json) struct json *j = NULL;
	const struct json *e;

	(void)state;
	open_file("log", LOG_INFO);
	for (int i = 0; i < LOG_MEMORY; i++) /* what other tests said */
		log_info("mount", "over %d", i);
	log_report_errors(&t);
	assert_string_equal(text_str(&t), "[]");
	text_clear(&t);
	log_error("hub", "says \"no\" \\ \xff");
	log_warning("hub", "no error");
	log_error("http", "gone");
	log_report_errors(&t);
	assert_int_equal(json_parse(&j, t.s, t.len, NULL), 0);
	assert_int_equal(json_count(j), 2);
	e = json_first(j);
	assert_string_equal(json_get_string(e, "room"), "hub");
	assert_string_equal(json_get_string(e, "message"),
			    "says \"no\" \\ \xef\xbf\xbd");
	assert_int_equal(strlen(json_get_string(e, "time")), 20);
	e = json_next(e);
	assert_string_equal(json_get_string(e, "room"), "http");
	assert_string_equal(json_get_string(e, "message"), "gone");
}

static void *say_much(void *arg)
{
	for (int i = 0; i < 200; i++)
		log_info("many", "%s %d", (const char *)arg, i);
	return NULL;
}

static void takes_lines_from_many_threads(void **state)
{
	const char *const names[] = { "a", "b", "c", "d" };
	AUTO(auto_text) struct text t = TEXT_INIT(1 << 20);
	AUTO(auto_free) char *s = NULL;
	pthread_t threads[4];
	size_t n, lines = 0;

	(void)state;
	open_file("log", LOG_INFO);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, say_much,
						(void *)(uintptr_t)names[i]),
				 0);
	log_report(&t);
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	s = scratch_read(dir, "log", &n);
	for (const char *p = s; *p; p = strchr(p, '\n') + 1, lines++)
		assert_memory_equal(p + 19, "Z kernelfs: info: many: ", 24);
	assert_int_equal(lines, 800);
}

#define ON_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_the_names_of_levels),
		ON_A_FOLDER(dates_the_lines_of_a_file),
		ON_A_FOLDER(appends_to_a_file),
		ON_A_FOLDER(counts_what_repeats),
		ON_A_FOLDER(holds_the_warnings_of_a_room_until_they_are_wanted),
		ON_A_FOLDER(lets_no_control_byte_through),
		ON_A_FOLDER(keeps_the_old_sink_when_it_cannot_open),
		ON_A_FOLDER(writes_each_line_to_stderr_at_once),
		ON_A_FOLDER(goes_on_without_its_sink),
		ON_A_FOLDER(remembers_the_last_lines),
		ON_A_FOLDER(reports_errors_as_json),
		ON_A_FOLDER(takes_lines_from_many_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
