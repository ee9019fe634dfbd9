/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/elf.h"

#include "base/cleanup.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>

#include "madeup.h"

/* A real library: the one that this program runs its tests with. */
static char *real_bytes;
static size_t real_size;

#define REAL_SYMBOL "cmocka_run_group_tests"

static int load_real(void **state)
{
	AUTO(auto_fclose) FILE *maps = fopen("/proc/self/maps", "re");
	AUTO(auto_close) int fd = -1;
	char line[4096];
	struct stat st;

	(void)state;
	while (maps && fd < 0 && fgets(line, sizeof(line), maps)) {
		char *path = strchr(line, '/');

		line[strcspn(line, "\n")] = '\0';
		if (path && strstr(path, "libcmocka"))
			fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return -1;
	real_size = (size_t)st.st_size;
	real_bytes = malloc(real_size);
	return real_bytes && pread(fd, real_bytes, real_size, 0) ==
				       (ssize_t)real_size
		       ? 0
		       : -1;
}

static int free_real(void **state)
{
	(void)state;
	free(real_bytes);
	return 0;
}

static int contains(const void *bytes, size_t n, const char *needle,
		    struct err *err)
{
	AUTO(auto_close) int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, 0), (ssize_t)n);
	return elf_dynamic_symbol_contains(fd, needle, err);
}

/* As strip takes the section headers away. */
static void without_sections(void *bytes)
{
	Elf64_Ehdr head;

	memcpy(&head, bytes, sizeof(head));
	head.e_shoff = 0;
	head.e_shnum = 0;
	head.e_shstrndx = 0;
	memcpy(bytes, &head, sizeof(head));
}

static void finds_a_part_of_a_symbols_name(void **state)
{
	struct err err = ERR_INIT;
	struct madeup_elf e;

	(void)state;
	assert_int_equal(
		contains(real_bytes, real_size, "mocka_run_group_t", &err), 1);
	madeup_elf(&e, "_ZNSt7__cxx1112basic_stringE");
	assert_int_equal(contains(&e, sizeof(e), "__cxx11", &err), 1);
	assert_int_equal(err.code, 0);
}

static void says_no_when_no_name_has_it(void **state)
{
	struct err err = ERR_INIT;
	struct madeup_elf e;

	(void)state;
	madeup_elf(&e, "_ZSs");
	assert_int_equal(contains(&e, sizeof(e), "__cxx11", &err), 0);
	assert_int_equal(contains(real_bytes, real_size, "__cxx11", &err), 0);
	/* A library that is needed is in the same strings, and no symbol. */
	assert_int_equal(contains(real_bytes, real_size, "libc.so", &err), 0);
	assert_int_equal(err.code, 0);
}

static void reads_the_dynamic_segment_when_sections_are_gone(void **state)
{
	AUTO(auto_free) char *copy = malloc(real_size);
	struct err err = ERR_INIT;
	struct madeup_elf e;

	(void)state;
	assert_non_null(copy);
	memcpy(copy, real_bytes, real_size);
	without_sections(copy);
	assert_int_equal(contains(copy, real_size, REAL_SYMBOL, &err), 1);
	assert_int_equal(contains(copy, real_size, "__cxx11", &err), 0);
	assert_int_equal(contains(copy, real_size, "libc.so", &err), 0);
	madeup_elf(&e, "_ZNSt7__cxx1112basic_stringE");
	without_sections(&e);
	assert_int_equal(contains(&e, sizeof(e), "__cxx11", &err), 1);
	assert_int_equal(contains(&e, sizeof(e), "__cxx98", &err), 0);
}

/* Every symbol of the table is reached through the GNU hash table too. */
static void counts_all_symbols_of_a_gnu_hash_table(void **state)
{
	static const char *const names[] = {
		"_cmocka_run_group_tests",
		"_assert_true",
		"_will_return",
		"_test_free",
		"cmocka_set_message_output",
		"_fail",
		"_check_expected",
		"mock_assert",
		"_function_called",
	};
	AUTO(auto_free) char *copy = malloc(real_size);

	(void)state;
	assert_non_null(copy);
	memcpy(copy, real_bytes, real_size);
	without_sections(copy);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(contains(copy, real_size, names[i], NULL), 1);
}

static void counts_past_the_empty_buckets_of_a_gnu_hash_table(void **state)
{
	/* 2 buckets, first symbol 1, no filter; buckets 1 and 0; the chain */
	static const Elf64_Word table[] = { 2, 1, 0, 0, 1, 0, 1 };
	struct madeup_elf e;

	(void)state;
	madeup_elf(&e, "_ZNSt7__cxx1112basic_stringE");
	without_sections(&e);
	e.dynamic[3].d_tag = DT_GNU_HASH;
	memcpy(e.hash, table, sizeof(table));
	assert_int_equal(contains(&e, sizeof(e), "__cxx11", NULL), 1);
}

static void refuses_what_is_no_library(void **state)
{
	struct err err = ERR_INIT;
	struct madeup_elf e;

	(void)state;
	assert_int_equal(contains("", 0, "x", &err), -EINVAL);
	assert_string_equal(err_text(&err), "not an ELF file");
	assert_int_equal(contains("!<arch>\nx", 9, "x", &err), -EINVAL);
	assert_string_equal(err_text(&err), "not an ELF file");
	madeup_elf(&e, "x");
	without_sections(&e);
	e.segments[1].p_type = PT_NULL;
	assert_int_equal(contains(&e, sizeof(e), "x", &err), -EINVAL);
	assert_string_equal(err_text(&err), "ELF file has no dynamic symbols: "
					    "it is no shared library");
}

static void refuses_what_is_no_regular_file(void **state)
{
	AUTO(auto_close) int fd = open("/", O_RDONLY | O_CLOEXEC | O_DIRECTORY);
	struct err err = ERR_INIT;

	(void)state;
	assert_int_equal(elf_dynamic_symbol_contains(fd, "x", &err), -EINVAL);
	assert_string_equal(err_text(&err), "not a regular file");
}

static void refuses_names_outside_of_the_file(void **state)
{
	struct err err = ERR_INIT;
	struct madeup_elf e;

	(void)state;
	madeup_elf(&e, "x");
	e.symbols[1].st_name = 0x7fffffff;
	assert_int_equal(contains(&e, sizeof(e), "x", &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "a symbol's name lies outside"));
	without_sections(&e);
	assert_int_equal(contains(&e, sizeof(e), "x", &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "a symbol's name lies outside"));
}

static void refuses_a_hash_table_that_counts_too_much(void **state)
{
	struct err err = ERR_INIT;
	struct madeup_elf e;

	(void)state;
	madeup_elf(&e, "x");
	without_sections(&e);
	e.hash[1] = ELF_SYMBOLS_MAX + 1;
	assert_int_equal(contains(&e, sizeof(e), "y", &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "cannot be counted"));
	e.hash[1] = 1000;
	assert_int_equal(contains(&e, sizeof(e), "y", &err), -EINVAL);
	assert_non_null(strstr(err_text(&err), "cut off"));
}

/* The last byte of the names must not let a search run on. */
static void stops_at_the_end_of_names_without_a_nul(void **state)
{
	struct madeup_elf e;

	(void)state;
	madeup_elf(&e, "x");
	memset(e.names, 'a', sizeof(e.names));
	without_sections(&e);
	assert_int_equal(contains(&e, sizeof(e), "aaab", NULL), 0);
	assert_int_equal(contains(&e, sizeof(e), "aaaa", NULL), 1);
}

static void check(const void *bytes, size_t n)
{
	struct err err = ERR_INIT;
	int r = contains(bytes, n, "no such symbol", &err);

	/* No answer but no, or a reason. */
	assert_true(r == 0 || (r < 0 && err.code == -r && err.text[0]));
}

static void survives_a_cut_at_any_offset(void **state)
{
	AUTO(auto_free) char *copy = malloc(real_size);
	struct madeup_elf e;

	(void)state;
	assert_non_null(copy);
	memcpy(copy, real_bytes, real_size);
	for (size_t n = 0; n < real_size; n += n < 2048 ? 7 : 97)
		check(copy, n);
	without_sections(copy);
	for (size_t n = 0; n < real_size; n += n < 2048 ? 7 : 97)
		check(copy, n);
	madeup_elf(&e, "x");
	for (size_t n = 0; n < sizeof(e); n++)
		check(&e, n);
}

/* The same numbers in every run. */
static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (uint32_t)(*seed >> 33);
}

static void flip(char *bytes, size_t n, uint64_t *seed)
{
	static const unsigned char hard[] = { 0, 0xff, 0x7f, 0x80, 1 };
	size_t at = next_random(seed) % n;
	uint32_t how = next_random(seed);

	bytes[at] = (char)(how % 2 ? hard[how / 2 % sizeof(hard)]
				   : (unsigned char)(how >> 8));
}

static void survives_bytes_that_are_flipped(void **state)
{
	AUTO(auto_free) char *copy = malloc(real_size);
	uint64_t seed = 1;

	(void)state;
	assert_non_null(copy);
	for (int i = 0; i < 4000; i++) {
		struct madeup_elf e;
		char bytes[sizeof(e)];

		madeup_elf(&e, "x");
		memcpy(bytes, &e, sizeof(e));
		if (i % 2)
			without_sections(bytes);
		for (int k = 0; k <= i % 4; k++)
			flip(bytes, sizeof(bytes), &seed);
		check(bytes, sizeof(bytes));
	}
	for (int i = 0; i < 1000; i++) {
		memcpy(copy, real_bytes, real_size);
		if (i % 2)
			without_sections(copy);
		/* Tables are at both ends of a library. */
		flip(copy, 1024, &seed);
		flip(copy + real_size - 4096, 4096, &seed);
		flip(copy, real_size < 16384 ? real_size : 16384, &seed);
		check(copy, real_size);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(finds_a_part_of_a_symbols_name),
		cmocka_unit_test(says_no_when_no_name_has_it),
		cmocka_unit_test(
			reads_the_dynamic_segment_when_sections_are_gone),
		cmocka_unit_test(counts_all_symbols_of_a_gnu_hash_table),
		cmocka_unit_test(
			counts_past_the_empty_buckets_of_a_gnu_hash_table),
		cmocka_unit_test(refuses_what_is_no_library),
		cmocka_unit_test(refuses_what_is_no_regular_file),
		cmocka_unit_test(refuses_names_outside_of_the_file),
		cmocka_unit_test(refuses_a_hash_table_that_counts_too_much),
		cmocka_unit_test(stops_at_the_end_of_names_without_a_nul),
		cmocka_unit_test(survives_a_cut_at_any_offset),
		cmocka_unit_test(survives_bytes_that_are_flipped),
	};

	return cmocka_run_group_tests(tests, load_real, free_real);
}
