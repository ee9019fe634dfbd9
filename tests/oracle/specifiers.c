/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Versions and sets of specifiers, for test_specifier.py. A line in, a line
 * out; fields between tabs:
 *
 *	set SET			1 or 0: is it one?
 *	version V		the same
 *	compare A B		-1, 0, 1
 *	best SET V...		the index of the best, or -1
 */
#include "kernels/specifier.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 65536
#define FIELDS_MAX 512

static size_t split(char *line, const char **fields)
{
	size_t n = 0;

	line[strcspn(line, "\n")] = '\0';
	for (char *p = line; n < FIELDS_MAX; p++) {
		fields[n++] = p;
		p = strchr(p, '\t');
		if (!p)
			break;
		*p = '\0';
	}
	return n;
}

static long answer(const char *const *f, size_t n)
{
	int c;

	if (n == 2 && !strcmp(f[0], "set"))
		return !specifier_fault(f[1]);
	if (n == 2 && !strcmp(f[0], "version"))
		return specifier_is_version(f[1]);
	if (n == 3 && !strcmp(f[0], "compare")) {
		c = specifier_compare(f[1], f[2]);
		return (c > 0) - (c < 0);
	}
	if (n >= 2 && !strcmp(f[0], "best"))
		return specifier_best(f[1], f + 2, n - 2);
	return -2;
}

int main(void)
{
	static char line[LINE_MAX_BYTES];
	const char *fields[FIELDS_MAX];

	while (fgets(line, sizeof(line), stdin)) {
		size_t n = split(line, fields);

		if (printf("%ld\n", answer(fields, n)) < 0)
			return 1;
	}
	return 0;
}
