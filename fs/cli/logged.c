/* SPDX-License-Identifier: Apache-2.0 */
#include "logged.h"

#include "base/cleanup.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/ref.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LOG_ROOM (16u << 20)

/* Does the line name it, or something in it? */
static bool names_it(const char *line, size_t n, const struct text *what)
{
	const char *at = memmem(line, n, what->s, what->len);

	return at && at + what->len < line + n && strchr("'/:", at[what->len]);
}

/* The newest line about it, without its time, level and room. */
static void add_line(const char *log, const struct text *what, struct text *out)
{
	const char *found = NULL;
	size_t len = 0;

	for (const char *l = log; *l; l += strcspn(l, "\n"), l += *l == '\n') {
		size_t n = strcspn(l, "\n");

		if (!names_it(l, n, what))
			continue;
		found = l;
		len = n;
	}
	for (int i = 0; found && i < 2; i++) {
		const char *colon = memmem(found, len, ": ", 2);

		len -= colon ? (size_t)(colon + 2 - found) : 0;
		found = colon ? colon + 2 : found;
	}
	if (found)
		text_add_bytes(out, found, len);
}

/* The name that the path begins with, as sentences spell it. */
static int add_name(const char *rest, struct text *out)
{
	AUTO(auto_free) char *owner = text_dup(rest, strcspn(rest, "/"));
	const char *step = rest + strcspn(rest, "/");
	AUTO(auto_free) char *repo = NULL;
	char name[REF_TEXT_MAX];
	struct ref ref;

	step += *step == '/';
	repo = text_dup(step, strcspn(step, "/"));
	if (!owner || !repo)
		return -ENOMEM;
	if (*repo && ref_parse_step(&ref, owner, repo, NULL) < 0)
		return -ENOENT;
	if (*repo)
		ref_print(&ref, name);
	text_printf(out, "'%s", *repo ? name : owner);
	return text_failed(out);
}

int logged_find(const char *mount, const char *rest, struct text *out)
{
	AUTO(auto_text) struct text log = TEXT_INIT(LOG_ROOM);
	AUTO(auto_text) struct text what = TEXT_INIT(2 * PATH_MAX);
	char path[2 * PATH_MAX];
	size_t before = out->len;
	int r = add_name(rest, &what);

	(void)snprintf(path, sizeof(path), "%s/.kernelfs/log", mount);
	if (r == 0)
		r = io_read_file(AT_FDCWD, path, &log);
	if (r < 0)
		return r;
	add_line(text_str(&log), &what, out);
	if (out->len == before)
		return -ENOENT;
	text_add_char(out, '\n');
	return text_failed(out);
}
