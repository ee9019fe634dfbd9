/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_SCRATCH_H
#define UNIT_SCRATCH_H

/*
 * A scratch folder per test, and the inputs of tests/data/must-refuse. The
 * programs run in the repository's root.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRATCH_MAX 512

static inline int scratch_remove_one(const char *path, const struct stat *st,
				     int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void scratch_make(char dir[SCRATCH_MAX])
{
	const char *tmp = getenv("TMPDIR");

	(void)snprintf(dir, SCRATCH_MAX, "%s/unit-XXXXXX", tmp ? tmp : "/tmp");
	assert_non_null(mkdtemp(dir));
}

static inline void scratch_remove(const char *dir)
{
	assert_int_equal(
		nftw(dir, scratch_remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
}

/* dir/name as a new file with these bytes. */
static inline void scratch_put(const char *dir, const char *name, const void *p,
			       size_t n)
{
	char path[2 * SCRATCH_MAX];
	FILE *f;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_int_equal(fwrite(p, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

/* A file whole, with a NUL behind it; caller frees. */
static inline char *scratch_read(const char *dir, const char *name, size_t *n)
{
	char path[2 * SCRATCH_MAX];
	struct stat st;
	FILE *f;
	char *s;

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(stat(path, &st), 0);
	s = calloc(1, (size_t)st.st_size + 1);
	assert_non_null(s);
	f = fopen(path, "re");
	assert_non_null(f);
	*n = fread(s, 1, (size_t)st.st_size, f);
	assert_int_equal(*n, st.st_size);
	assert_int_equal(fclose(f), 0);
	return s;
}

/* Files in a folder, "." and ".." left out. */
static inline size_t scratch_count(const char *dir)
{
	DIR *d = opendir(dir);
	size_t n = 0;

	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n;
}

/* Call `refuse` with each input of a must-refuse folder. */
static inline void scratch_each(const char *dir,
				void (*refuse)(const char *reason,
					       const char *s, size_t n))
{
	DIR *d = opendir(dir);
	size_t count = 0;

	assert_non_null(d);
	for (struct dirent *e; (e = readdir(d));) {
		size_t n;
		char *s;

		if (e->d_name[0] == '.')
			continue;
		s = scratch_read(dir, e->d_name, &n);
		refuse(e->d_name, s, n);
		free(s);
		count++;
	}
	(void)closedir(d);
	assert_true(count > 10);
}

#endif
