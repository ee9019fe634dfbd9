/* SPDX-License-Identifier: Apache-2.0 */

/*
 * fsx [-a] [-e] FOLDER GOLDEN SEED COUNT NAME...
 *
 * COUNT random operations that read the files NAME of FOLDER in every way that
 * there is, each compared with the same file of GOLDEN, a folder of plain
 * copies. The same SEED does the same again. Up to OPEN files are open at a
 * time. With -a signals come all the while; with -e it holds fewer files, and
 * one may not be had for want of room, which is tried again without the others. Ends with 0 and a
 * line that counts what was done, or with 1 and what was wrong.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#define OPEN 6u
#define OPEN_WITHOUT_ROOM 2u
#define CHUNK_MAX (256u << 10)
#define PAGE 4096u
#define SIGNAL_EVERY_US 1500
#define NO_ROOM_TRIES 20000

struct file {
	const char *name;
	const unsigned char *golden; /* mapped; NULL when it is empty */
	uint64_t size;
	int fd; /* -1: not open */
};

struct fsx {
	int folder;
	struct file *files; /* owned */
	size_t count;
	bool may_lack_room;
	uint64_t state;	    /* of the generator */
	uint64_t operation; /* which one this is */
	int pipe[2];
	int sink; /* a memory file */
	unsigned char *got;
	uint64_t no_room, interrupted; /* how often an open was */
};

typedef void work(struct fsx *x, struct file *f);

/* ---- saying, and numbers ---- */

static void die(const struct fsx *x, const struct file *f, const char *fmt, ...)
	__attribute__((format(printf, 3, 4), noreturn));

static void die(const struct fsx *x, const struct file *f, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr,
		      "fsx: operation %" PRIu64 ", '%s': ", x->operation,
		      f ? f->name : "");
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	(void)fputc('\n', stderr);
	exit(1);
}

/* splitmix64 */
static uint64_t next(struct fsx *x)
{
	uint64_t z = x->state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t below(struct fsx *x, uint64_t n)
{
	return n ? next(x) % n : 0;
}

/* Near the edges of pages and of the file as often as anywhere. */
static uint64_t place(struct fsx *x, const struct file *f)
{
	uint64_t at = below(x, f->size + 1);

	switch (below(x, 4)) {
	case 0:
		at &= ~(uint64_t)(PAGE - 1);
		break;
	case 1:
		at = (at & ~(uint64_t)(PAGE - 1)) + PAGE - 1;
		break;
	case 2:
		at = f->size - below(x, f->size < 9 ? f->size + 1 : 9);
		break;
	default:
		break;
	}
	return at > f->size ? f->size : at;
}

static size_t length(struct fsx *x)
{
	return (size_t)(1 + below(x, below(x, 3) ? 3u * PAGE : CHUNK_MAX - 1));
}

static size_t left(const struct file *f, uint64_t at, size_t n)
{
	return at >= f->size	  ? 0
	       : n < f->size - at ? n
				  : (size_t)(f->size - at);
}

static void compare(const struct fsx *x, const struct file *f, const char *how,
		    uint64_t at, const unsigned char *got, size_t n)
{
	if (!n || !memcmp(got, f->golden + at, n))
		return;
	for (size_t i = 0; i < n; i++)
		if (got[i] != f->golden[at + i])
			die(x, f,
			    "%s of %zu at %" PRIu64 ": byte %" PRIu64
			    " is %02x, not %02x",
			    how, n, at, at + i, got[i], f->golden[at + i]);
}

/* What came of one call: -1 with EINTR is to be tried again. */
static bool interrupted(ssize_t n)
{
	return n < 0 && errno == EINTR;
}

static void demand(const struct fsx *x, const struct file *f, const char *how,
		   uint64_t at, ssize_t n, size_t want)
{
	if (n < 0)
		die(x, f, "%s at %" PRIu64 ": %s", how, at, strerror(errno));
	if ((size_t)n != want)
		die(x, f, "%s at %" PRIu64 ": %zd bytes, not %zu", how, at, n,
		    want);
}

/* ---- ways to read ---- */

static void do_pread(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f);
	size_t n = length(x);
	ssize_t got;

	do
		got = pread(f->fd, x->got, n, (off_t)at);
	while (interrupted(got));
	demand(x, f, "pread", at, got, left(f, at, n));
	compare(x, f, "pread", at, x->got, (size_t)got);
}

static void do_preadv(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f);
	size_t n = length(x);
	size_t first = (size_t)below(x, n + 1);
	struct iovec v[2] = { { .iov_base = x->got, .iov_len = first },
			      { .iov_base = x->got + first,
				.iov_len = n - first } };
	ssize_t got;

	do
		got = preadv(f->fd, v, 2, (off_t)at);
	while (interrupted(got));
	demand(x, f, "preadv", at, got, left(f, at, n));
	compare(x, f, "preadv", at, x->got, (size_t)got);
}

/* The file's own position, in pieces up to the end of the chunk. */
static void do_read(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f);
	size_t n = length(x), have = 0;

	if (lseek(f->fd, (off_t)at, SEEK_SET) != (off_t)at)
		die(x, f, "lseek to %" PRIu64 ": %s", at, strerror(errno));
	while (have < n) {
		size_t piece = 1 + (size_t)below(x, n - have);
		ssize_t got = read(f->fd, x->got + have, piece);

		if (interrupted(got))
			continue;
		demand(x, f, "read", at + have, got, left(f, at + have, piece));
		have += (size_t)got;
		if (!got)
			break;
	}
	compare(x, f, "read", at, x->got, have);
	if (lseek(f->fd, 0, SEEK_CUR) != (off_t)(at + have))
		die(x, f, "the position is wrong after %zu bytes", have);
}

static void do_mmap(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f) & ~(uint64_t)(PAGE - 1);
	size_t n = left(f, at, length(x));
	unsigned char *map;

	if (!n)
		return;
	map = mmap(NULL, n, PROT_READ, below(x, 2) ? MAP_SHARED : MAP_PRIVATE,
		   f->fd, (off_t)at);
	if (map == MAP_FAILED)
		die(x, f, "mmap at %" PRIu64 ": %s", at, strerror(errno));
	switch (below(x, 4)) {
	case 0:
		(void)madvise(map, n, MADV_DONTNEED);
		break;
	case 1:
		(void)madvise(map, n, MADV_RANDOM);
		break;
	case 2:
		(void)madvise(map, n, MADV_WILLNEED);
		break;
	default:
		break;
	}
	compare(x, f, "mmap", at, map, n);
	(void)munmap(map, n);
}

/* Programs are mapped so, and their pages are written to. */
static void do_private(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f) & ~(uint64_t)(PAGE - 1);
	size_t n = left(f, at, length(x));
	size_t mark;
	unsigned char *map;

	if (!n)
		return;
	map = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE, f->fd,
		   (off_t)at);
	if (map == MAP_FAILED)
		die(x, f, "private mmap: %s", strerror(errno));
	mark = (size_t)below(x, n);
	map[mark] ^= 0xff;
	compare(x, f, "a private mapping", at, map, mark);
	compare(x, f, "a private mapping", at + mark + 1, map + mark + 1,
		n - mark - 1);
	(void)munmap(map, n);
}

/* What a pipe holds is at most its size, so nobody has to empty it. */
static void drain(struct fsx *x, struct file *f, const char *how, uint64_t at,
		  size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(x->pipe[0], x->got + have, n - have);

		if (interrupted(got))
			continue;
		if (got <= 0)
			die(x, f, "the pipe: %s", strerror(errno));
		have += (size_t)got;
	}
	compare(x, f, how, at, x->got, n);
}

static void do_splice(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f);
	size_t want = left(f, at, 1 + (size_t)below(x, 48u << 10));
	off_t from = (off_t)at;
	ssize_t got;

	do
		got = splice(f->fd, &from, x->pipe[1], NULL, want,
			     below(x, 2) ? SPLICE_F_MOVE : 0);
	while (interrupted(got));
	/* It may be less: a pipe holds so many pieces of pages. */
	if (got < 0 || (want && !got) || (size_t)got > want)
		die(x, f, "splice of %zu at %" PRIu64 ": %zd (%s)", want, at,
		    got, strerror(errno));
	if (from != (off_t)at + got)
		die(x, f, "splice moved the offset by %jd, not %zd",
		    (intmax_t)from - (intmax_t)at, got);
	drain(x, f, "splice", at, (size_t)got);
}

static void do_sendfile(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f);
	size_t want = left(f, at, length(x)), have = 0;
	off_t from = (off_t)at;

	if (ftruncate(x->sink, 0) < 0 || lseek(x->sink, 0, SEEK_SET) < 0)
		die(x, f, "the memory file: %s", strerror(errno));
	while (have < want) {
		ssize_t got = sendfile(x->sink, f->fd, &from, want - have);

		if (interrupted(got))
			continue;
		if (got <= 0)
			die(x, f, "sendfile at %" PRIu64 ": %zd (%s)",
			    at + have, got, strerror(errno));
		have += (size_t)got;
	}
	if (pread(x->sink, x->got, have, 0) != (ssize_t)have)
		die(x, f, "the memory file is short");
	compare(x, f, "sendfile", at, x->got, have);
}

/* A hole may be claimed where there are zeros, and ends at the end. */
static void do_seek(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f);
	bool data = below(x, 2);
	off_t r = lseek(f->fd, (off_t)at, data ? SEEK_DATA : SEEK_HOLE);
	const char *how = data ? "SEEK_DATA" : "SEEK_HOLE";

	if (at >= f->size) {
		if (r >= 0 || errno != ENXIO)
			die(x, f, "%s at the end: %jd", how, (intmax_t)r);
		return;
	}
	if (r < 0 && data && errno == ENXIO)
		r = (off_t)f->size;
	if (r < (off_t)at || r > (off_t)f->size)
		die(x, f, "%s at %" PRIu64 ": %jd (%s)", how, at, (intmax_t)r,
		    strerror(errno));
	for (uint64_t i = at; data && i < (uint64_t)r; i++)
		if (f->golden[i])
			die(x, f, "%s at %" PRIu64 " leaves out byte %" PRIu64,
			    how, at, i);
	if (lseek(f->fd, 0, SEEK_END) != (off_t)f->size)
		die(x, f, "SEEK_END is not the size");
}

/* The next reads come from the disk, or from the daemon. */
static void do_forget(struct fsx *x, struct file *f)
{
	uint64_t at = place(x, f);

	(void)posix_fadvise(f->fd, (off_t)at, (off_t)length(x),
			    below(x, 2) ? POSIX_FADV_DONTNEED
					: POSIX_FADV_WILLNEED);
	if (!below(x, 8))
		(void)posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
}

static void do_stat(struct fsx *x, struct file *f)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		die(x, f, "fstat: %s", strerror(errno));
	if ((uint64_t)st.st_size != f->size)
		die(x, f, "fstat says %jd bytes", (intmax_t)st.st_size);
}

static void do_close(struct fsx *x, struct file *f)
{
	(void)x;
	(void)close(f->fd);
	f->fd = -1;
}

static const struct way {
	const char *name;
	work *run;
	unsigned share;
} ways[] = {
	{ "pread", do_pread, 8 },	{ "preadv", do_preadv, 4 },
	{ "read", do_read, 5 },		{ "mmap", do_mmap, 8 },
	{ "private", do_private, 2 },	{ "splice", do_splice, 5 },
	{ "sendfile", do_sendfile, 5 }, { "seek", do_seek, 3 },
	{ "forget", do_forget, 2 },	{ "stat", do_stat, 1 },
	{ "close", do_close, 2 },
};

#define WAYS (sizeof(ways) / sizeof(*ways))

/* ---- files ---- */

static size_t open_count(const struct fsx *x)
{
	size_t n = 0;

	for (size_t i = 0; i < x->count; i++)
		n += x->files[i].fd >= 0;
	return n;
}

/* One that is open, chosen by chance; there is one. */
static struct file *any_open(struct fsx *x)
{
	size_t i = (size_t)below(x, x->count);

	while (x->files[i].fd < 0)
		i = (i + 1) % x->count;
	return &x->files[i];
}

/* The next signal, and those after it. */
static void set_alarm(suseconds_t us)
{
	struct itimerval every = {
		.it_interval = { .tv_usec = us },
		.it_value = { .tv_usec = us },
	};

	(void)setitimer(ITIMER_REAL, &every, NULL);
}

/* Who is interrupted asks again, and is left in peace for longer each time:
 * a download that nobody waits for ends. */
static void open_file(struct fsx *x, struct file *f)
{
	suseconds_t us = SIGNAL_EVERY_US;

	for (unsigned tries = 0; f->fd < 0; tries++) {
		while (open_count(x) >=
		       (x->may_lack_room ? OPEN_WITHOUT_ROOM : OPEN))
			do_close(x, any_open(x));
		f->fd = openat(x->folder, f->name, O_RDONLY | O_CLOEXEC);
		if (f->fd < 0 && errno == EINTR) {
			us = us < 400000 ? 2 * us : us;
			set_alarm(us);
			x->interrupted++;
			continue;
		}
		if (f->fd >= 0)
			break;
		if (!x->may_lack_room || errno != ENOSPC ||
		    tries > NO_ROOM_TRIES)
			die(x, f, "open: %s", strerror(errno));
		x->no_room++;
		if (open_count(x))
			do_close(x, any_open(x));
		else
			(void)usleep(1000); /* others have it all */
	}
	if (us != SIGNAL_EVERY_US)
		set_alarm(SIGNAL_EVERY_US);
}

static void map_golden(struct fsx *x, struct file *f, const char *golden)
{
	char path[4096];
	struct stat st;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", golden, f->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(x, f, "'%s': %s", path, strerror(errno));
	f->fd = -1;
	f->size = (uint64_t)st.st_size;
	if (f->size)
		f->golden = mmap(NULL, f->size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (f->golden == MAP_FAILED)
		die(x, f, "'%s': %s", path, strerror(errno));
	(void)close(fd);
}

/* ---- the program ---- */

static void on_alarm(int sig)
{
	(void)sig;
}

/* Without SA_RESTART: what waits returns with EINTR. */
static void start_alarms(void)
{
	struct sigaction act = { .sa_handler = on_alarm };

	(void)sigaction(SIGALRM, &act, NULL);
	set_alarm(SIGNAL_EVERY_US);
}

static size_t pick_way(struct fsx *x)
{
	uint64_t all = 0, r;
	size_t i = 0;

	for (size_t k = 0; k < WAYS; k++)
		all += ways[k].share;
	for (r = below(x, all); r >= ways[i].share; i++)
		r -= ways[i].share;
	return i;
}

static void run(struct fsx *x, uint64_t count)
{
	uint64_t done[WAYS] = { 0 };

	for (x->operation = 0; x->operation < count; x->operation++) {
		/* Mostly what is held already, where another costs much. */
		bool held = x->may_lack_room && open_count(x) && below(x, 4);
		struct file *f =
			held ? any_open(x) : &x->files[below(x, x->count)];
		size_t i = pick_way(x);

		open_file(x, f);
		ways[i].run(x, f);
		done[i]++;
	}
	(void)printf("fsx: %" PRIu64 " operations:", count);
	for (size_t i = 0; i < WAYS; i++)
		(void)printf(" %s %" PRIu64, ways[i].name, done[i]);
	(void)printf(" no-room %" PRIu64 " interrupted %" PRIu64 "\n",
		     x->no_room, x->interrupted);
}

int main(int argc, char **argv)
{
	struct fsx x = { .folder = -1 };
	bool alarms = false;
	int o;

	while ((o = getopt(argc, argv, "ae")) != -1) {
		alarms = alarms || o == 'a';
		x.may_lack_room = x.may_lack_room || o == 'e';
	}
	if (argc - optind < 5) {
		(void)fprintf(stderr, "usage: fsx [-a] [-e] FOLDER GOLDEN SEED "
				      "COUNT NAME...\n");
		return 2;
	}
	argv += optind;
	x.count = (size_t)(argc - optind - 4);
	x.files = calloc(x.count, sizeof(*x.files));
	x.got = malloc(CHUNK_MAX);
	x.state = strtoull(argv[2], NULL, 10);
	x.folder = open(argv[0], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	x.sink = memfd_create("sink", MFD_CLOEXEC);
	if (!x.files || !x.got || x.folder < 0 || x.sink < 0 ||
	    pipe2(x.pipe, O_CLOEXEC) < 0)
		die(&x, NULL, "'%s': %s", argv[0], strerror(errno));
	for (size_t i = 0; i < x.count; i++) {
		x.files[i].name = argv[4 + i];
		map_golden(&x, &x.files[i], argv[1]);
	}
	if (alarms)
		start_alarms();
	run(&x, strtoull(argv[3], NULL, 10));
	return 0;
}
