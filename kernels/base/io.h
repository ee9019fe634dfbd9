/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_IO_H
#define BASE_IO_H

/*
 * Files and time. Descriptors are CLOEXEC. Files that others read are
 * replaced, never edited: written beside, synced, renamed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct err;
struct text;

int io_write_all(int fd, const void *buf, size_t n); /* 0 or -errno */
int io_pwrite_all(int fd, const void *buf, size_t n, off_t at);
/* Bytes read (less than n only at the end of the file) or -errno. */
ssize_t io_pread_all(int fd, void *buf, size_t n, off_t at);

/*
 * A whole regular file relative to dirfd (AT_FDCWD allowed), appended to
 * `out`, whose limit bounds it (-E2BIG). 0 or -errno; never blocks on a FIFO.
 */
int io_read_file(int dirfd, const char *path, struct text *out);

/*
 * Replace dirfd/name by these bytes: temporary file in the same folder,
 * fdatasync when `sync`, rename. Nothing is left behind on failure.
 */
int io_replace(int dirfd, const char *name, const void *buf, size_t n,
	       bool sync);

/* Make a folder and its missing parents, mode 0700 for what is new. */
int io_mkdirs(const char *path, struct err *err);

/* Milliseconds of CLOCK_MONOTONIC, and seconds of the wall clock. */
int64_t io_now_ms(void);
int64_t io_wall_s(void);
/* `s` (seconds since 1970) as "2026-01-31T12:00:00Z". */
void io_time_print(int64_t s, char out[32]);

#endif
