/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where in a library the loader works. Its tables (names, hashes, versions,
 * relocations) lie side by side in the segment that holds them, so that all
 * that the dynamic segment points to in one segment makes one range; what it
 * relocates is the file's part of the writable segments. Code and constants
 * are faulted in by whoever runs them, and may be most of the file.
 *
 * Nothing is believed: numbers that lead out of the file give no range.
 */
#include "kernels/elf.h"

#include "base/io.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Linkers write a dozen segments and under 50 entries. */
#define SEGMENTS_MAX 32u
#define ENTRIES_MAX 256u

/* The tables of one segment, by address. */
struct span {
	uint64_t low;
	uint64_t high; /* 0: none */
};

struct library {
	int fd;
	uint64_t file_size;
	Elf64_Phdr segments[SEGMENTS_MAX];
	size_t segment_count;
	Elf64_Dyn entries[ENTRIES_MAX];
	size_t entry_count;
	struct span tables[SEGMENTS_MAX];
};

/* In this machine's byte order, so that no number has to be turned. */
static bool is_ours(const Elf64_Ehdr *h)
{
	return memcmp(h->e_ident, ELFMAG, SELFMAG) == 0 &&
	       h->e_ident[EI_CLASS] == ELFCLASS64 &&
	       h->e_ident[EI_DATA] == (__BYTE_ORDER == __LITTLE_ENDIAN
					       ? ELFDATA2LSB
					       : ELFDATA2MSB) &&
	       h->e_type == ET_DYN && h->e_phentsize == sizeof(Elf64_Phdr);
}

/* The whole of it or nothing. */
static int read_at(const struct library *l, void *p, size_t n, uint64_t at)
{
	ssize_t got;

	if (at > l->file_size || n > l->file_size - at)
		return 0;
	got = io_pread_all(l->fd, p, n, (off_t)at);
	if (got < 0)
		return (int)got;
	return (size_t)got == n;
}

/* 1 with the segments in *l, 0: it is none of ours, -errno. */
static int read_segments(struct library *l)
{
	Elf64_Ehdr h;
	int r = read_at(l, &h, sizeof(h), 0);

	if (r <= 0)
		return r;
	if (!is_ours(&h))
		return 0;
	l->segment_count = h.e_phnum < SEGMENTS_MAX ? h.e_phnum : SEGMENTS_MAX;
	return read_at(l, l->segments, l->segment_count * sizeof(*l->segments),
		       h.e_phoff);
}

static int read_dynamic(struct library *l)
{
	for (size_t i = 0; i < l->segment_count; i++) {
		const Elf64_Phdr *p = &l->segments[i];
		size_t n = p->p_filesz / sizeof(*l->entries);

		if (p->p_type != PT_DYNAMIC)
			continue;
		l->entry_count = n < ENTRIES_MAX ? n : ENTRIES_MAX;
		return read_at(l, l->entries,
			       l->entry_count * sizeof(*l->entries),
			       p->p_offset);
	}
	return 0;
}

/* What is at this address belongs to the tables of its segment. */
static void widen(struct library *l, uint64_t at, uint64_t size)
{
	for (size_t i = 0; i < l->segment_count; i++) {
		const Elf64_Phdr *p = &l->segments[i];
		struct span *s = &l->tables[i];
		uint64_t in = at - p->p_vaddr;

		if (p->p_type != PT_LOAD || at < p->p_vaddr ||
		    in >= p->p_filesz)
			continue;
		if (size > p->p_filesz - in)
			size = p->p_filesz - in;
		if (!s->high || in < s->low)
			s->low = in;
		if (in + size > s->high)
			s->high = in + size;
		return;
	}
}

static uint64_t value_of(const struct library *l, Elf64_Sxword tag)
{
	for (size_t i = 0; i < l->entry_count; i++) {
		if (l->entries[i].d_tag == DT_NULL)
			break;
		if (l->entries[i].d_tag == tag)
			return l->entries[i].d_un.d_val;
	}
	return 0;
}

static void find_tables(struct library *l)
{
	static const struct {
		Elf64_Sxword at;
		Elf64_Sxword size; /* 0: it has none of its own */
	} tables[] = {
		{ DT_HASH, 0 },
		{ DT_GNU_HASH, 0 },
		{ DT_SYMTAB, 0 },
		{ DT_STRTAB, DT_STRSZ },
		{ DT_VERSYM, 0 },
		{ DT_VERNEED, 0 },
		{ DT_RELA, DT_RELASZ },
		{ DT_REL, DT_RELSZ },
		{ DT_JMPREL, DT_PLTRELSZ },
		{ DT_RELR, DT_RELRSZ },
		{ DT_INIT_ARRAY, DT_INIT_ARRAYSZ },
	};

	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		uint64_t at = value_of(l, tables[i].at);
		uint64_t n = tables[i].size ? value_of(l, tables[i].size) : 1;

		if (at && n)
			widen(l, at, n);
	}
}

static int add(const struct library *l, struct elf_range *out, int count,
	       uint64_t at, uint64_t size)
{
	if (!size || at >= l->file_size || count == (int)ELF_RANGES_MAX)
		return count;
	if (size > l->file_size - at)
		size = l->file_size - at;
	out[count] = (struct elf_range){ at, size };
	return count + 1;
}

int elf_loader_ranges(int fd, struct elf_range out[ELF_RANGES_MAX])
{
	struct library l = { .fd = fd };
	struct stat st;
	int count = 0;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	l.file_size = (uint64_t)st.st_size;
	r = read_segments(&l);
	if (r > 0)
		r = read_dynamic(&l);
	if (r <= 0)
		return r;
	find_tables(&l);
	for (size_t i = 0; i < l.segment_count; i++) {
		const Elf64_Phdr *p = &l.segments[i];

		if (p->p_type != PT_LOAD || p->p_offset >= l.file_size)
			continue;
		if (p->p_flags & PF_W)
			count = add(&l, out, count, p->p_offset, p->p_filesz);
		else if (l.tables[i].high)
			count = add(&l, out, count,
				    p->p_offset + l.tables[i].low,
				    l.tables[i].high - l.tables[i].low);
	}
	return count;
}
