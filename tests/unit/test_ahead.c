/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ahead.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <sys/mman.h>

#include "kernels/elf.h"
#include "kernels/ref.h"
#include "kernels/tree.h"
#include "storing.h"

#define PAGE 4096u
#define WAIT_MS 20000

/*
 * A library of this machine's kind, by hand: its tables in the second page
 * of the first segment, much that the loader does not touch, and a page that
 * is writable at the end.
 */
#define TABLES_AT PAGE
#define TABLES_N (2 * PAGE)
#define DYNAMIC_AT (3 * PAGE)
#define FILLER_N (16u << 20)
#define DATA_AT (4 * PAGE + FILLER_N)
#define LIBRARY_N (DATA_AT + PAGE)

static char library[LIBRARY_N + 1];

static Elf64_Dyn *entry(Elf64_Dyn *d, Elf64_Sxword tag, uint64_t value)
{
	d->d_tag = tag;
	d->d_un.d_val = value;
	return d + 1;
}

static void make_library(void)
{
	Elf64_Ehdr *h = (void *)library;
	Elf64_Phdr *p = (void *)(library + sizeof(*h));
	Elf64_Dyn *d = (void *)(library + DYNAMIC_AT);

	for (size_t i = 0; i < LIBRARY_N; i++)
		library[i] = (char)('a' + i % 23);
	memset(library, 0, PAGE);
	memcpy(h->e_ident, ELFMAG, SELFMAG);
	h->e_ident[EI_CLASS] = ELFCLASS64;
	h->e_ident[EI_DATA] =
		__BYTE_ORDER == __LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB;
	h->e_type = ET_DYN;
	h->e_phoff = sizeof(*h);
	h->e_phentsize = sizeof(*p);
	h->e_phnum = 3;
	p[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
			     .p_flags = PF_R,
			     .p_filesz = DATA_AT };
	p[1] = (Elf64_Phdr){ .p_type = PT_LOAD,
			     .p_flags = PF_R | PF_W,
			     .p_offset = DATA_AT,
			     .p_vaddr = DATA_AT,
			     .p_filesz = PAGE };
	p[2] = (Elf64_Phdr){ .p_type = PT_DYNAMIC,
			     .p_offset = DYNAMIC_AT,
			     .p_vaddr = DYNAMIC_AT,
			     .p_filesz = 6 * sizeof(*d) };
	d = entry(d, DT_SYMTAB, TABLES_AT);
	d = entry(d, DT_STRTAB, TABLES_AT + 100);
	d = entry(d, DT_STRSZ, 200);
	d = entry(d, DT_RELA, TABLES_AT + 300);
	d = entry(d, DT_RELASZ, TABLES_N - 300);
	(void)entry(d, DT_NULL, 0);
}

static int ranges_of(const void *bytes, size_t n,
		     struct elf_range out[ELF_RANGES_MAX])
{
	AUTO(auto_close) int fd = memfd_create("library", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(io_write_all(fd, bytes, n), 0);
	return elf_loader_ranges(fd, out);
}

static void finds_the_tables_and_what_is_writable(void **state)
{
	struct elf_range out[ELF_RANGES_MAX];

	(void)state;
	assert_int_equal(ranges_of(library, LIBRARY_N, out), 2);
	assert_int_equal(out[0].at, TABLES_AT);
	assert_int_equal(out[0].size, TABLES_N);
	assert_int_equal(out[1].at, DATA_AT);
	assert_int_equal(out[1].size, PAGE);
}

static void finds_nothing_in_what_is_no_library(void **state)
{
	struct elf_range out[ELF_RANGES_MAX];

	(void)state;
	assert_int_equal(ranges_of("print()\n", 8, out), 0);
	assert_int_equal(ranges_of("", 0, out), 0);
	assert_int_equal(ranges_of(library, sizeof(Elf64_Ehdr), out), 0);
	assert_int_equal(ranges_of(library, DYNAMIC_AT + 1, out), 0);
}

static void stays_inside_the_file(void **state)
{
	AUTO(auto_free) char *copy = malloc(LIBRARY_N);
	Elf64_Phdr *p = (void *)(copy + sizeof(Elf64_Ehdr));
	struct elf_range out[ELF_RANGES_MAX];

	(void)state;
	assert_non_null(copy);
	memcpy(copy, library, LIBRARY_N);
	p[1].p_filesz = UINT64_MAX;
	assert_int_equal(ranges_of(copy, LIBRARY_N, out), 2);
	assert_int_equal(out[1].size, PAGE);
	p[1].p_offset = UINT64_MAX - 10;
	assert_int_equal(ranges_of(copy, LIBRARY_N, out), 1);
}

/* ---- pages ---- */

#define SMALL "a = 1\n"

struct bed {
	struct store *store;
	struct pool *pool;
	struct ahead *ahead;
	struct tree *tree;
};

static struct tree *listing(void)
{
	static const char *const names[] = { "lib.so", "a.py" };
	const struct digest of[] = {
		digest_as(DIGEST_SHA256, library, LIBRARY_N),
		digest_of(SMALL),
	};
	const size_t sizes[] = { LIBRARY_N, sizeof(SMALL) - 1 };
	struct tree_builder *b = NULL;
	struct tree *tree = NULL;
	void *bytes = NULL;
	size_t n = 0;

	assert_int_equal(tree_builder_new(&b, NULL), 0);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(tree_builder_add(b, names[i], TREE_FILE,
						  sizes[i], &of[i], NULL),
				 0);
	assert_int_equal(tree_builder_end(b, &bytes, &n, NULL), 0);
	assert_int_equal(tree_from_bytes(&tree, bytes, n, NULL), 0);
	free(bytes);
	tree_builder_free(b);
	return tree;
}

static void bed_up(struct bed *b)
{
	b->store = store_at(dir);
	assert_int_equal(pool_new(&b->pool, "disk", 2, NULL), 0);
	assert_int_equal(ahead_new(&b->ahead, b->store, b->pool, NULL), 0);
	b->tree = listing();
}

static void bed_down(struct bed *b)
{
	ahead_stop(b->ahead);
	pool_free(b->pool);
	ahead_free(b->ahead);
	tree_unref(b->tree);
	store_free(b->store);
}

static int blob(struct bed *b, const char *bytes, size_t n)
{
	struct digest d = digest_as(DIGEST_SHA256, bytes, n);
	int fd = store_open(b->store, NULL, &d, n);

	assert_true(fd >= 0);
	return fd;
}

/* Out of the page cache, and small enough a window that none comes back by
 * being read around. */
static void make_cold(int fd)
{
	assert_int_equal(fdatasync(fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

/* Are all of these pages there, or (want false) none? */
static bool resident(int fd, size_t at, size_t n, bool want)
{
	unsigned char in[TABLES_N / PAGE + 1];
	void *map = mmap(NULL, n, PROT_READ, MAP_SHARED, fd, (off_t)at);
	bool all = true;

	assert_true(map != MAP_FAILED && n / PAGE < sizeof(in));
	assert_int_equal(mincore(map, n, in), 0);
	for (size_t i = 0; i < (n + PAGE - 1) / PAGE; i++)
		all = all && (in[i] & 1) == want;
	(void)munmap(map, n);
	return all;
}

static void wait_resident(int fd, size_t at, size_t n)
{
	int64_t until = io_now_ms() + WAIT_MS;

	while (!resident(fd, at, n, true)) {
		if (io_now_ms() > until)
			fail_msg("%zu bytes at %zu did not come", n, at);
		(void)sched_yield();
	}
}

static const struct repo_id repo = { "acme", "relu" };

static void reads_what_the_loader_will_touch(void **state)
{
	AUTO(auto_close) int fd = -1;
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(take_bytes(b.store, library, LIBRARY_N, NULL), 0);
	fd = blob(&b, library, LIBRARY_N);
	make_cold(fd);
	if (!resident(fd, DATA_AT, PAGE, false))
		skip(); /* a disk of memory: all is there at once */
	ahead_build(b.ahead, &repo, b.tree, AHEAD_LIBRARIES);
	wait_resident(fd, DATA_AT, PAGE);
	wait_resident(fd, TABLES_AT, TABLES_N);
	assert_true(resident(fd, DATA_AT - (2u << 20), TABLES_N, false));
	bed_down(&b);
}

static void reads_small_files_when_they_will_be_compiled(void **state)
{
	AUTO(auto_close) int fd = -1;
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(take_in(b.store, SMALL, NULL), 0);
	fd = blob(&b, SMALL, sizeof(SMALL) - 1);
	make_cold(fd);
	if (!resident(fd, 0, sizeof(SMALL) - 1, false))
		skip();
	ahead_build(b.ahead, &repo, b.tree, AHEAD_SMALL_FILES);
	wait_resident(fd, 0, sizeof(SMALL) - 1);
	bed_down(&b);
}

static void nothing_begins_once_it_is_stopped(void **state)
{
	AUTO(auto_close) int fd = -1;
	struct bed b;

	(void)state;
	bed_up(&b);
	assert_int_equal(take_in(b.store, SMALL, NULL), 0);
	fd = blob(&b, SMALL, sizeof(SMALL) - 1);
	make_cold(fd);
	if (!resident(fd, 0, sizeof(SMALL) - 1, false))
		skip();
	ahead_stop(b.ahead);
	ahead_build(b.ahead, &repo, b.tree, AHEAD_SMALL_FILES);
	pool_stop(b.pool); /* whatever was begun has ended */
	assert_true(resident(fd, 0, sizeof(SMALL) - 1, false));
	bed_down(&b);
}

static void asks_nobody_for_what_is_not_in_the_cache(void **state)
{
	struct digest d = digest_of(SMALL);
	struct bed b;

	(void)state;
	bed_up(&b);
	for (int i = 0; i < 100; i++) /* more than may wait */
		ahead_build(b.ahead, &repo, b.tree, AHEAD_SMALL_FILES);
	bed_down(&b);
	b.store = store_at(dir);
	assert_false(store_has(b.store, NULL, &d, sizeof(SMALL) - 1));
	store_free(b.store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_the_tables_and_what_is_writable),
		cmocka_unit_test(finds_nothing_in_what_is_no_library),
		cmocka_unit_test(stays_inside_the_file),
		TEST(reads_what_the_loader_will_touch),
		TEST(reads_small_files_when_they_will_be_compiled),
		TEST(nothing_begins_once_it_is_stopped),
		TEST(asks_nobody_for_what_is_not_in_the_cache),
	};

	make_library();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
