/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

/*
 * What the targets share. A target is a file fuzz_<grammar>.c with one
 * function that gives bytes of any kind to the parser of that grammar and
 * checks what must hold of whatever it made of them. libFuzzer feeds it what
 * it makes up (make fuzz); replay.c feeds it the files of corpus/<grammar>
 * and of tests/data/must-refuse/<grammar>.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/io.h"

/* NOLINTNEXTLINE: the name is libFuzzer's */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert(), in every mode. */
#define FUZZ_CHECK(holds) \
	do { \
		if (!(holds)) \
			fuzz_fail(#holds, __FILE__, __LINE__); \
	} while (0)

__attribute__((noreturn)) static inline void fuzz_fail(const char *holds,
						       const char *file,
						       int line)
{
	(void)fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, holds);
	abort();
}

/* The input as a string of just its length, for parsers that take one;
 * caller frees. What stands behind a NUL is cut. */
static inline char *fuzz_string(const uint8_t *data, size_t size)
{
	size_t n = size ? strnlen((const char *)data, size) : 0;
	char *s = malloc(n + 1);

	FUZZ_CHECK(s);
	if (n)
		memcpy(s, data, n);
	s[n] = '\0';
	return s;
}

/* The input as a file; caller closes. */
static inline int fuzz_file(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0);
	FUZZ_CHECK(io_pwrite_all(fd, data, size, 0) == 0);
	return fd;
}

/* No control byte and nothing beyond ASCII. */
static inline bool fuzz_is_plain(const char *s)
{
	for (; *s; s++) {
		if (*s < ' ' || *s > '~')
			return false;
	}
	return true;
}

#endif
