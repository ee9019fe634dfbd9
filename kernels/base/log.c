/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include "cleanup.h"
#include "err.h"
#include "io.h"
#include "lock.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

/* syslog.h has macros of the names of our levels; its numbers are below. */
#undef LOG_WARNING
#undef LOG_INFO
#undef LOG_DEBUG

#define LINE_MAX_BYTES 1400

struct line {
	int64_t when_s;
	enum log_level level;
	char room[24];
	char sentence[LINE_MAX_BYTES];
};

static struct lock lock = { PTHREAD_MUTEX_INITIALIZER, LOCK_LOG };
static enum log_level threshold = LOG_WARNING; /* __atomic */
static int sink_fd = STDERR_FILENO;	       /* lock; -1: syslog */
static bool sink_owned;			       /* lock */
static bool sink_dated; /* lock: a file wants the time in front */
/* lock: the memory, a ring; its lines are made when they are needed */
static struct line *memory[LOG_MEMORY];
static unsigned memory_next;
static unsigned repeats; /* lock: of the newest line */
/* lock: whose warnings wait, and the sentences of those that do */
#define HELD_MAX 8
static const char *held_room;
static char *held[HELD_MAX];
static unsigned held_count;

static const char *const words[] = { "error", "warning", "info", "debug" };

int log_level_parse(const char *s, enum log_level *out)
{
	for (int i = 0; i < 4; i++) {
		if (strcmp(s, words[i]) != 0)
			continue;
		*out = (enum log_level)i;
		return 0;
	}
	return -EINVAL;
}

static int syslog_level(enum log_level level)
{
	static const int map[] = { 3, 4, 6, 7 }; /* RFC 5424, 6.2.1 */

	return map[level];
}

static void emit_locked(enum log_level level, const char *room,
			const char *sentence) LOCK_REQUIRES(&lock)
{
	char out[LINE_MAX_BYTES + 128], when[32] = "";
	int n;

	if (sink_fd < 0) {
		syslog(syslog_level(level), "%s: %s", room, sentence);
		return;
	}
	if (sink_dated)
		io_time_print(io_wall_s(), when);
	n = snprintf(out, sizeof(out), "%s%skernelfs: %s: %s: %s\n", when,
		     *when ? " " : "", words[level], room, sentence);
	if (n > 0) /* a sink that is gone is no reason to stop */
		(void)io_write_all(sink_fd, out,
				   (size_t)n < sizeof(out) ? (size_t)n
							   : sizeof(out) - 1);
}

static struct line *newest_locked(void) LOCK_REQUIRES(&lock)
{
	return memory_next ? memory[(memory_next - 1) % LOG_MEMORY] : NULL;
}

static void flush_repeats_locked(void) LOCK_REQUIRES(&lock)
{
	struct line *l = newest_locked();
	char text[64];

	if (!repeats || !l)
		return;
	(void)snprintf(text, sizeof(text), "(the line before %u times more)",
		       repeats);
	emit_locked(l->level, l->room, text);
	repeats = 0;
}

int log_open(const char *where, enum log_level level, struct err *err)
{
	int fd = -1;

	if (!strcmp(where, "stderr")) {
		fd = STDERR_FILENO;
	} else if (strcmp(where, "syslog") != 0) {
		fd = open(where,
			  O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY |
				  O_NOFOLLOW,
			  0640);
		if (fd < 0)
			return err_errno(err, errno, "log '%s'", where);
	}
	log_close();
	lock_take(&lock);
	sink_fd = fd;
	sink_owned = fd > STDERR_FILENO;
	sink_dated = sink_owned;
	lock_drop(&lock);
	__atomic_store_n(&threshold, level, __ATOMIC_RELAXED);
	return 0;
}

void log_close(void)
{
	int fd = -1;

	lock_take(&lock);
	flush_repeats_locked();
	if (sink_owned)
		fd = sink_fd;
	sink_fd = STDERR_FILENO;
	sink_owned = false;
	sink_dated = false;
	lock_drop(&lock);
	if (fd >= 0)
		(void)close(fd);
}

static void remember_locked(enum log_level level, const char *room,
			    const char *sentence) LOCK_REQUIRES(&lock)
{
	struct line **slot = &memory[memory_next % LOG_MEMORY];

	if (!*slot)
		*slot = malloc(sizeof(**slot));
	if (!*slot) /* no memory for a memory: the sink has it */
		return;
	memory_next++;
	(*slot)->when_s = io_wall_s();
	(*slot)->level = level;
	(void)snprintf((*slot)->room, sizeof((*slot)->room), "%s", room);
	(void)snprintf((*slot)->sentence, sizeof((*slot)->sentence), "%s",
		       sentence);
}

void log_hold(const char *room)
{
	lock_take(&lock);
	held_room = room;
	lock_drop(&lock);
}

void log_release(bool say)
{
	lock_take(&lock);
	for (unsigned i = 0; i < held_count; i++) {
		if (say)
			emit_locked(LOG_WARNING, held_room, held[i]);
		free(held[i]);
	}
	held_count = 0;
	held_room = NULL;
	lock_drop(&lock);
}

/* False: say it now. */
static bool hold_locked(enum log_level level, const char *room,
			const char *sentence) LOCK_REQUIRES(&lock)
{
	if (!held_room || level != LOG_WARNING || strcmp(room, held_room) ||
	    held_count == HELD_MAX)
		return false;
	held[held_count] = strdup(sentence);
	if (!held[held_count])
		return false;
	held_count++;
	return true;
}

void log_print(enum log_level level, const char *room, const char *fmt, ...)
{
	char sentence[LINE_MAX_BYTES];
	struct line *last;
	va_list ap;

	if (level > __atomic_load_n(&threshold, __ATOMIC_RELAXED))
		return;
	va_start(ap, fmt);
	(void)vsnprintf(sentence, sizeof(sentence), fmt, ap);
	va_end(ap);
	for (char *p = sentence; (p = strchr(p, '\n'));)
		*p = ' ';
	text_printable(sentence);
	lock_take(&lock);
	last = newest_locked();
	if (last && last->level == level && !strcmp(last->room, room) &&
	    !strcmp(last->sentence, sentence)) {
		repeats++;
		last->when_s = io_wall_s();
	} else {
		flush_repeats_locked();
		if (!hold_locked(level, room, sentence))
			emit_locked(level, room, sentence);
		remember_locked(level, room, sentence);
	}
	lock_drop(&lock);
}

/* Line i of what is remembered, oldest first; NULL at the end. */
static struct line *at_locked(unsigned i) LOCK_REQUIRES(&lock)
{
	unsigned first =
		memory_next > LOG_MEMORY ? memory_next - LOG_MEMORY : 0;

	return first + i < memory_next ? memory[(first + i) % LOG_MEMORY]
				       : NULL;
}

void log_report(struct text *out)
{
	struct line *l;
	char when[32];

	lock_take(&lock);
	for (unsigned i = 0; (l = at_locked(i)); i++) {
		io_time_print(l->when_s, when);
		text_printf(out, "%s %s: %s: %s\n", when, words[l->level],
			    l->room, l->sentence);
	}
	lock_drop(&lock);
}

void log_report_errors(struct text *out)
{
	bool any = false;
	struct line *l;
	char when[32];

	text_add_char(out, '[');
	lock_take(&lock);
	for (unsigned i = 0; (l = at_locked(i)); i++) {
		if (l->level != LOG_ERROR)
			continue;
		io_time_print(l->when_s, when);
		text_printf(out,
			    "%s{\"time\": \"%s\", \"room\": ", any ? ", " : "",
			    when);
		text_add_json(out, l->room);
		text_add(out, ", \"message\": ");
		text_add_json(out, l->sentence);
		text_add_char(out, '}');
		any = true;
	}
	lock_drop(&lock);
	text_add_char(out, ']');
}
