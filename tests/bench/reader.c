/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program's access to a file costs, without an interpreter around it.
 *
 *   reader read FILE       seconds for a read from its begin to its end
 *   reader mmap FILE       seconds to map it and touch each page
 *   reader resident FILE   bytes of it in the page cache, as mincore says
 *
 * Prints one figure and a check: the sum of the bytes looked at.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define BLOCK (128u << 10)

static void die(const char *what)
{
	fprintf(stderr, "reader: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Each block is looked at once per page, like what mmap touches. */
static uint64_t read_all(int fd, size_t size, size_t page)
{
	char *block = malloc(BLOCK);
	uint64_t sum = 0;
	size_t done = 0;
	ssize_t n = 0;

	if (!block)
		die("malloc");
	while (done < size && (n = read(fd, block, BLOCK)) > 0) {
		for (size_t i = 0; i < (size_t)n; i += page)
			sum += (uint8_t)block[i];
		done += (size_t)n;
	}
	if (n < 0 || done != size)
		die("read");
	free(block);
	return sum;
}

static uint8_t *map(int fd, size_t size)
{
	void *at = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);

	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static uint64_t touch_all(int fd, size_t size, size_t page)
{
	volatile uint8_t *at = map(fd, size);
	uint64_t sum = 0;

	for (size_t i = 0; i < size; i += page)
		sum += at[i];
	(void)munmap((void *)(uintptr_t)at, size);
	return sum;
}

static uint64_t resident(int fd, size_t size, size_t page)
{
	size_t n = (size + page - 1) / page;
	unsigned char *in = malloc(n);
	uint8_t *at = map(fd, size);
	uint64_t found = 0;

	if (!in || mincore(at, size, in) < 0)
		die("mincore");
	for (size_t i = 0; i < n; i++)
		found += in[i] & 1;
	free(in);
	return found * page;
}

int main(int argc, char **argv)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct stat st;
	uint64_t sum;
	double start;
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: reader read|mmap|resident FILE\n");
		return 2;
	}
	start = now();
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(argv[2]);
	if (!strcmp(argv[1], "resident")) {
		printf("%" PRIu64 " 0\n",
		       resident(fd, (size_t)st.st_size, page));
		return 0;
	}
	if (!strcmp(argv[1], "mmap"))
		sum = touch_all(fd, (size_t)st.st_size, page);
	else
		sum = read_all(fd, (size_t)st.st_size, page);
	printf("%.9f %" PRIu64 "\n", now() - start, sum);
	return 0;
}
