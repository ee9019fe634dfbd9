/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Layout, all in the machine's byte order:
 *
 *	[ "ld.so-1.7.0" NUL, u32 count, count old entries of 12 bytes, up to
 *	  the next multiple of 8 ]	only in caches written for libc5
 *	"glibc-ld.so.cache1.1", u32 count, u32 bytes of strings, 20 bytes
 *	count entries: i32 flags, u32 name, u32 path, u32, u64
 *	strings; offsets in entries count from the word "glibc"
 */
#include "ldcache.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>

#define CACHE_MAX (64u << 20)
#define HEADER_SIZE 48u
#define ENTRY_SIZE 24u
#define OLD_HEADER_SIZE 16u
#define OLD_ENTRY_SIZE 12u

/* Kind of library: low byte 3 is glibc's, the next says the machine. */
#define FLAGS_MASK 0xffffu
#if defined(__x86_64__) && defined(__LP64__)
#define FLAGS_MINE 0x0303u
#elif defined(__aarch64__)
#define FLAGS_MINE 0x0a03u
#elif defined(__powerpc64__)
#define FLAGS_MINE 0x0503u
#elif defined(__s390x__)
#define FLAGS_MINE 0x0403u
#elif defined(__riscv) && __riscv_xlen == 64
#define FLAGS_MINE 0x1003u
#else
#define FLAGS_MINE 0x0003u
#endif

static const char old_magic[] = "ld.so-1.7.0";
static const char magic[] = "glibc-ld.so.cache1.1";

static uint32_t word(const char *p)
{
	uint32_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* The string at an offset, NULL when it does not end within the file. */
static const char *string_at(const struct cursor *c, uint32_t offset)
{
	if (offset >= cursor_left(c) ||
	    !memchr(c->p + offset, '\0', cursor_left(c) - offset))
		return NULL;
	return c->p + offset;
}

/* Step over the table for libc5, when there is one. */
static bool skip_old(struct cursor *c)
{
	uint64_t size;

	if (cursor_left(c) < OLD_HEADER_SIZE ||
	    memcmp(c->p, old_magic, sizeof(old_magic) - 1) != 0)
		return true;
	size = OLD_HEADER_SIZE + (uint64_t)word(c->p + 12) * OLD_ENTRY_SIZE;
	size = (size + 7) & ~UINT64_C(7);
	if (size > cursor_left(c))
		return false;
	c->p += size;
	return true;
}

static int search(char found[PYTHON_PATH_MAX], const struct cursor *c,
		  const char *start)
{
	uint32_t count;

	if (cursor_left(c) < HEADER_SIZE ||
	    memcmp(c->p, magic, sizeof(magic) - 1) != 0)
		return -EINVAL;
	count = word(c->p + sizeof(magic) - 1);
	if (count > (cursor_left(c) - HEADER_SIZE) / ENTRY_SIZE)
		return -EINVAL;
	for (uint32_t i = 0; i < count; i++) {
		const char *entry = c->p + HEADER_SIZE + i * ENTRY_SIZE;
		const char *name = string_at(c, word(entry + 4));
		const char *path = string_at(c, word(entry + 8));

		if (!name || !path)
			return -EINVAL;
		if ((word(entry) & FLAGS_MASK) == FLAGS_MINE &&
		    text_starts(name, start))
			return text_copy(found, PYTHON_PATH_MAX, path) < 0
				       ? -EINVAL
				       : 0;
	}
	return -ENOENT;
}

int ldcache_find(char found[PYTHON_PATH_MAX], const char *file,
		 const char *start, struct err *err)
{
	AUTO(auto_text) struct text text = TEXT_INIT(CACHE_MAX);
	struct cursor c;
	int r = io_read_file(AT_FDCWD, file, &text);

	if (r == -ENOENT)
		return r;
	if (r < 0)
		return err_errno(err, -r, "'%s'", file);
	c = (struct cursor){ text_str(&text), text_str(&text) + text.len };
	r = skip_old(&c) ? search(found, &c, start) : -EINVAL;
	if (r < 0 && r != -ENOENT)
		return err_set(err, -r,
			       "'%s' is no cache of the dynamic "
			       "linker, or is damaged",
			       file);
	return r;
}
