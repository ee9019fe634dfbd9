/* SPDX-License-Identifier: Apache-2.0 */
#include "dir_known.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "kernels/fact.h"
#include "kernels/tree_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static uint64_t nanoseconds(const struct timespec *t)
{
	return (uint64_t)t->tv_sec * UINT64_C(1000000000) +
	       (uint64_t)t->tv_nsec;
}

void dir_stamp_of(struct dir_stamp *out, const struct stat *st)
{
	out->ino = (uint64_t)st->st_ino;
	out->size = (uint64_t)st->st_size;
	out->mtime_ns = nanoseconds(&st->st_mtim);
	out->ctime_ns = nanoseconds(&st->st_ctim);
}

bool dir_stamp_equal(const struct dir_stamp *a, const struct dir_stamp *b)
{
	return a->ino == b->ino && a->size == b->size &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

void dir_known_add(struct text *note, const char *path,
		   const struct dir_stamp *stamp, const struct digest *digest)
{
	char hex[DIGEST_HEX_MAX];

	digest_print(digest, hex);
	text_printf(note,
		    "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %s\n",
		    hex, stamp->ino, stamp->size, stamp->mtime_ns,
		    stamp->ctime_ns, path);
}

/* The next word of a line whose end is a NUL, or NULL. */
static char *word(char **line)
{
	char *start = *line;
	char *space = strchr(start, ' ');

	if (!space)
		return NULL;
	*space = '\0';
	*line = space + 1;
	return start;
}

static bool number(char **line, uint64_t *out)
{
	const char *s = word(line);

	return s && text_to_u64(s, UINT64_MAX, out) == 0;
}

static int parse_line(struct dir_known_file *f, char *line)
{
	const char *hex = word(&line);

	if (!hex || digest_parse(&f->digest, hex) < 0 ||
	    f->digest.kind != DIGEST_SHA256 || !number(&line, &f->stamp.ino) ||
	    !number(&line, &f->stamp.size) ||
	    !number(&line, &f->stamp.mtime_ns) ||
	    !number(&line, &f->stamp.ctime_ns) || !*line)
		return -EBADMSG;
	f->path = line;
	return 0;
}

static int parse_lines(struct dir_known *k, char *s, size_t lines)
{
	k->files = calloc(lines ? lines : 1, sizeof(*k->files));
	if (!k->files)
		return -ENOMEM;
	for (; k->count < lines; k->count++) {
		char *end = strchr(s, '\n');

		*end = '\0';
		if (parse_line(&k->files[k->count], s) < 0)
			return -EBADMSG;
		/* the search leans on it */
		if (k->count && tree_path_compare(k->files[k->count - 1].path,
						  k->files[k->count].path) >= 0)
			return -EBADMSG;
		s = end + 1;
	}
	return 0;
}

int dir_known_parse(struct dir_known *out, const struct text *note)
{
	struct dir_known k = { .count = 0 };
	struct cursor all, line;
	struct cursor rest;
	size_t lines = 0;
	int r = fact_open(note, DIR_KNOWN_KIND, &all);

	if (r < 0)
		return r;
	for (rest = all; fact_next(&rest, &line);)
		lines++;
	k.text = text_dup(all.p, cursor_left(&all));
	if (!k.text)
		return -ENOMEM;
	r = parse_lines(&k, k.text, lines);
	if (r < 0)
		dir_known_done(&k);
	else
		*out = k;
	return r;
}

void dir_known_done(struct dir_known *k)
{
	free(k->files);
	free(k->text);
	memset(k, 0, sizeof(*k));
}

static int by_path(const void *key, const void *item)
{
	const struct dir_known_file *f = item;

	return tree_path_compare(key, f->path);
}

const struct digest *dir_known_find(const struct dir_known *k, const char *path,
				    const struct dir_stamp *stamp)
{
	const struct dir_known_file *f;

	if (!k->count)
		return NULL;
	f = bsearch(path, k->files, k->count, sizeof(*k->files), by_path);
	return f && dir_stamp_equal(&f->stamp, stamp) ? &f->digest : NULL;
}
