/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

/*
 * One sink for lines about what happened, and a short memory of the last
 * lines for who asks later. Only the doors of the program (mount, control
 * files, verbs, the top frame of a worker) log errors; rooms below return
 * them. All functions may be called from any thread.
 */

#include <stdbool.h>
#include <stddef.h>

struct text;
struct err;

enum log_level {
	LOG_ERROR,   /* someone must act */
	LOG_WARNING, /* went on without */
	LOG_INFO,    /* mounted, picked, fetched */
	LOG_DEBUG,
};

/*
 * Where lines go: "stderr" (default), "syslog", or a file's path, which is
 * opened for appending. Returns 0 or -errno with the old sink kept.
 */
int log_open(const char *where, enum log_level level, struct err *err);
void log_close(void);

/* "error", "warning", "info", "debug" -> level; -EINVAL for another. */
int log_level_parse(const char *s, enum log_level *out);

/*
 * One line: "level room: sentence". `room` is the module's name. A line that
 * repeats the one before it is counted and not printed; the count is printed
 * with the next other line. Control bytes become '?'.
 */
void log_print(enum log_level level, const char *room, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...) log_print(LOG_ERROR, __VA_ARGS__)
#define log_warning(...) log_print(LOG_WARNING, __VA_ARGS__)
#define log_info(...) log_print(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_print(LOG_DEBUG, __VA_ARGS__)

/*
 * Warnings of one room wait (the first few of them) until somebody knows
 * whether they are worth saying, and are said or dropped then.
 */
void log_hold(const char *room);
void log_release(bool say);

/* Append the remembered lines (at most LOG_MEMORY of them), oldest first. */
#define LOG_MEMORY 256
void log_report(struct text *out);

/*
 * Append the remembered errors as a JSON array of
 * {"time": RFC 3339, "room": …, "message": …}, oldest first.
 */
void log_report_errors(struct text *out);

#endif
