/* SPDX-License-Identifier: Apache-2.0 */
#include "fact.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static size_t count_lines(const char *p, const char *end)
{
	size_t n = 0;

	while (p < end)
		n += *p++ == '\n';
	return n;
}

void fact_begin(struct text *t, const char *kind)
{
	text_printf(t, "kernelfs %s 1\n", kind);
}

void fact_end(struct text *t)
{
	const char *s = text_str(t);

	text_printf(t, "end %zu\n", count_lines(s, s + t->len) - 1);
}

/* The last line: its start, or NULL. */
static const char *last_line(const char *p, const char *end)
{
	if (p == end || end[-1] != '\n')
		return NULL;
	for (end--; end > p && end[-1] != '\n'; end--)
		;
	return end;
}

int fact_open(const struct text *t, const char *kind, struct cursor *lines)
{
	const char *s = text_str(t);
	struct cursor c = { .p = s, .end = s + t->len };
	const char *last = last_line(c.p, c.end);
	struct cursor tail = { .p = last, .end = c.end };
	uint32_t count;

	if (!last || strlen(s) != t->len)
		return -EBADMSG;
	if (!cursor_skip(&c, "kernelfs ") || !cursor_skip(&c, kind) ||
	    !cursor_skip(&c, " 1\n") || c.p > last)
		return -EBADMSG;
	c.end = last;
	if (!cursor_skip(&tail, "end ") || !cursor_number(&tail, 9, &count) ||
	    !cursor_equals(&tail, "\n") || count_lines(c.p, c.end) != count)
		return -EBADMSG;
	*lines = c;
	return 0;
}

bool fact_next(struct cursor *lines, struct cursor *line)
{
	if (cursor_done(lines))
		return false;
	*line = cursor_until(lines, '\n');
	(void)cursor_skip_char(lines, '\n');
	return true;
}

/* The whole cursor as a string; false when it does not fit. */
static bool copy(const struct cursor *c, char *dst, size_t room)
{
	size_t n = cursor_left(c);

	if (n >= room)
		return false;
	memcpy(dst, c->p, n);
	dst[n] = '\0';
	return true;
}

/* ---- refs: "b <commit> <name>" and "t …", "m <owner>/<name>" ---- */

static void print_refs(struct text *t, char kind, const struct source_ref *refs,
		       size_t n)
{
	for (size_t i = 0; i < n; i++)
		text_printf(t, "%c %s %s\n", kind, refs[i].commit,
			    refs[i].name);
}

void fact_print_refs(struct text *t, const struct source_refs *refs)
{
	fact_begin(t, "refs");
	print_refs(t, 'b', refs->branches, refs->branch_count);
	print_refs(t, 't', refs->tags, refs->tag_count);
	if (refs->moved_to.owner[0])
		text_printf(t, "m %s/%s\n", refs->moved_to.owner,
			    refs->moved_to.name);
	fact_end(t);
}

static bool read_ref(struct cursor line, struct source_ref *out)
{
	struct cursor commit = cursor_until(&line, ' ');
	char full[REF_REV_MAX + 8] = "o/r@";
	struct ref ref;

	if (!copy(&commit, out->commit, sizeof(out->commit)) ||
	    !text_is_hex(out->commit, REF_COMMIT_LEN) ||
	    !cursor_skip_char(&line, ' ') ||
	    !copy(&line, out->name, sizeof(out->name)))
		return false;
	if (text_copy(full + 4, sizeof(full) - 4, out->name) < 0)
		return false;
	return ref_parse(&ref, full, NULL) == 0 &&
	       strcmp(ref.rev, out->name) == 0;
}

static bool read_moved(struct cursor line, struct repo_id *out)
{
	char text[2 * REF_PART_MAX + 2];

	return !out->owner[0] && copy(&line, text, sizeof(text)) &&
	       ref_parse_repo(out, text, NULL) == 0;
}

int fact_parse_refs(const struct text *t, struct source_refs *out)
{
	struct source_refs refs = { .branches = NULL };
	struct cursor lines;
	struct cursor line;
	size_t n;

	if (fact_open(t, "refs", &lines) < 0)
		return -EBADMSG;
	n = count_lines(lines.p, lines.end);
	if (n > 2 * SOURCE_REFS_MAX + 1)
		return -EBADMSG;
	refs.branches = calloc(n + 1, sizeof(*refs.branches));
	refs.tags = calloc(n + 1, sizeof(*refs.tags));
	if (!refs.branches || !refs.tags) {
		source_refs_done(&refs);
		return -ENOMEM;
	}
	while (fact_next(&lines, &line)) {
		bool good = false;

		if (cursor_skip(&line, "b "))
			good = read_ref(line,
					&refs.branches[refs.branch_count++]);
		else if (cursor_skip(&line, "t "))
			good = read_ref(line, &refs.tags[refs.tag_count++]);
		else if (cursor_skip(&line, "m "))
			good = read_moved(line, &refs.moved_to);
		if (!good) {
			source_refs_done(&refs);
			return -EBADMSG;
		}
	}
	*out = refs;
	return 0;
}

/* ---- names: one a line ---- */

void fact_print_names(struct text *t, const struct source_names *names)
{
	fact_begin(t, "kernels");
	for (size_t i = 0; i < names->count; i++)
		text_printf(t, "%s\n", names->names[i]);
	fact_end(t);
}

int fact_parse_names(const struct text *t, struct source_names *out)
{
	AUTO(auto_text) struct text names = TEXT_INIT(FACT_BYTES_MAX);
	struct cursor lines;
	struct cursor line;

	if (fact_open(t, "kernels", &lines) < 0)
		return -EBADMSG;
	while (fact_next(&lines, &line)) {
		char name[REF_PART_MAX + 1];

		if (!copy(&line, name, sizeof(name)) || !ref_name_valid(name))
			return -EBADMSG;
		text_add_bytes(&names, name, strlen(name) + 1);
	}
	if (text_failed(&names))
		return text_failed(&names);
	return source_names_from(out, text_str(&names), names.len, NULL);
}
