/* SPDX-License-Identifier: Apache-2.0 */
#include "progress.h"

#include "cli.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define LINE_MAX_BYTES 512
#define COLUMNS 80
#define BAR_MOST 40
#define BAR_LEAST 8
#define WORDS 62    /* room for the figures */
#define SOON_MS 500 /* a rate of less time than this says nothing */

static unsigned columns(void)
{
	struct winsize w = { .ws_col = 0 };

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		return COLUMNS;
	return w.ws_col;
}

void progress_begin(struct progress *p, uint64_t bytes, size_t files)
{
	const char *term = getenv("TERM");

	*p = (struct progress){
		.on = files && isatty(STDERR_FILENO) && term &&
		      strcmp(term, "dumb") != 0,
		.begin_ms = io_now_ms(),
		.bytes = bytes,
		.files = files,
	};
}

static void add_bar(struct text *out, uint64_t done, uint64_t all,
		    unsigned width)
{
	unsigned full = all ? (unsigned)(done * width / all) : width;

	text_add_char(out, '[');
	for (unsigned i = 0; i < width; i++)
		text_add_char(out, i < full ? '#' : '.');
	text_add(out, "] ");
}

void progress_line(const struct progress *p, uint64_t bytes, size_t files,
		   int64_t now_ms, unsigned width, struct text *out)
{
	int64_t took = now_ms - p->begin_ms;
	unsigned bar = width > WORDS + BAR_LEAST ? width - WORDS : 0;

	/* What comes twice (a file begun anew) does not lead beyond the end. */
	bytes = bytes < p->bytes ? bytes : p->bytes;
	if (bar)
		add_bar(out, bytes, p->bytes, bar < BAR_MOST ? bar : BAR_MOST);
	cli_add_bytes(out, bytes);
	text_add(out, " of ");
	cli_add_bytes(out, p->bytes);
	text_printf(out, ", %zu of %zu files", files, p->files);
	if (took < SOON_MS)
		return;
	text_add(out, ", ");
	cli_add_bytes(out, bytes * 1000 / (uint64_t)took);
	text_add(out, "/s");
}

static void put(const struct text *t)
{
	/* There is no other place to say that stderr cannot be written. */
	(void)io_write_all(STDERR_FILENO, text_str(t), t->len);
}

void progress_show(const struct progress *p, uint64_t bytes, size_t files)
{
	AUTO(auto_text) struct text line = TEXT_INIT(LINE_MAX_BYTES);

	if (!p->on)
		return;
	text_add(&line, "\r");
	progress_line(p, bytes, files, io_now_ms(), columns(), &line);
	text_add(&line, "\033[K");
	put(&line);
}

void progress_end(const struct progress *p)
{
	AUTO(auto_text) struct text line = TEXT_INIT(LINE_MAX_BYTES);

	if (!p->on)
		return;
	text_add(&line, "\r\033[K");
	put(&line);
}
