/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a program's access to a file costs, without an interpreter around it.
 *
 *   reader read FILE       seconds for a read from its begin to its end
 *   reader mmap FILE       seconds to map it and touch each page
 *   reader frames FILE...  bytes of memory that hold these files' pages, each
 *                          page frame counted once; as root only
 *
 * Prints one figure and a check: the sum of the bytes looked at; and the
 * processor time, which a busy machine changes less.
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
/* Of an entry of pagemap: bits 0 to 54. */
#define FRAME ((UINT64_C(1) << 55) - 1)

static void die(const char *what)
{
	fprintf(stderr, "reader: %s: %s\n", what, strerror(errno));
	exit(1);
}

static double now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
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

static int by_frame(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Where the pages of one file lie: their frames, by the kernel's own table. */
static size_t frames_of(const char *path, size_t page, uint64_t **frames,
			size_t n)
{
	int table = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t *entries;
	struct stat st;
	uint8_t *at;
	size_t pages;

	if (table < 0 || fd < 0 || fstat(fd, &st) < 0)
		die(path);
	pages = ((size_t)st.st_size + page - 1) / page;
	(void)touch_all(fd, (size_t)st.st_size, page);
	at = map(fd, (size_t)st.st_size);
	for (size_t i = 0; i < pages; i++)
		*(volatile uint8_t *)&at[i * page];
	entries = realloc(*frames, (n + pages) * sizeof(*entries));
	if (!entries ||
	    pread(table, entries + n, pages * sizeof(*entries),
		  (off_t)((uintptr_t)at / page * sizeof(*entries))) !=
		    (ssize_t)(pages * sizeof(*entries)))
		die("pagemap");
	for (size_t i = n; i < n + pages; i++) {
		if (!(entries[i] >> 63) || !(entries[i] & FRAME)) {
			errno = EPERM;
			die("a page without a frame");
		}
		entries[i] &= FRAME;
	}
	*frames = entries;
	close(table);
	close(fd);
	return n + pages;
}

static uint64_t distinct_frames(char **paths, int count, size_t page)
{
	uint64_t *frames = NULL;
	uint64_t found = 0;
	size_t n = 0;

	for (int i = 0; i < count; i++)
		n = frames_of(paths[i], page, &frames, n);
	qsort(frames, n, sizeof(*frames), by_frame);
	for (size_t i = 0; i < n; i++)
		found += i == 0 || frames[i] != frames[i - 1];
	free(frames);
	return found * page;
}

int main(int argc, char **argv)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct stat st;
	uint64_t sum;
	double start, cpu;
	int fd;

	if (argc > 2 && !strcmp(argv[1], "frames")) {
		printf("%" PRIu64 " 0 0\n",
		       distinct_frames(argv + 2, argc - 2, page));
		return 0;
	}
	if (argc != 3) {
		fprintf(stderr, "usage: reader read|mmap|frames FILE...\n");
		return 2;
	}
	fd = open(argv[2], O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(argv[2]);
	/* The bytes are measured here; what an open costs, imports show. */
	start = now(CLOCK_MONOTONIC);
	cpu = now(CLOCK_PROCESS_CPUTIME_ID);
	if (!strcmp(argv[1], "mmap"))
		sum = touch_all(fd, (size_t)st.st_size, page);
	else
		sum = read_all(fd, (size_t)st.st_size, page);
	printf("%.9f %" PRIu64 " %.9f\n", now(CLOCK_MONOTONIC) - start, sum,
	       now(CLOCK_PROCESS_CPUTIME_ID) - cpu);
	return 0;
}
