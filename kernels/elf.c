/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The names of the dynamic symbols of a shared library. Where they are is
 * said twice: by a section of type SHT_DYNSYM, which strip may take away,
 * and by the dynamic segment, which the loader needs and which gives the
 * table's address but its length only through a hash table.
 *
 * The file is read, not mapped: whoever replaces a library in place while
 * it is looked at must not end this program with SIGBUS. libelf checks
 * every offset and size against the file's length.
 */
#include "kernels/elf.h"

#include "base/err.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/stat.h>

/* Entries of a dynamic segment, program headers: real files have under 50. */
#define DYNAMIC_MAX 4096u
#define SEGMENTS_MAX 4096u
/* Symbols with one hash bucket: linkers aim at one or two. */
#define CHAIN_MAX 65536u
#define SECTIONS_MAX 100000u

/* What the dynamic segment says; 0 is "not said". */
struct dynamic {
	uint64_t symbols;
	uint64_t names;
	uint64_t names_size;
	uint64_t hash;
	uint64_t gnu_hash;
};

static int damaged(struct err *err, const char *what)
{
	return err_set(err, EINVAL, "damaged ELF file: %s", what);
}

/* strstr() over a name that need not end in NUL before `end`. */
static bool name_contains(const char *name, const char *end, const char *needle)
{
	size_t n = strnlen(name, (size_t)(end - name));

	return memmem(name, n, needle, strlen(needle)) != NULL;
}

/* ---- by sections ---- */

static int search_section(Elf *elf, Elf_Scn *scn, const GElf_Shdr *sh,
			  const char *needle, struct err *err)
{
	size_t size = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t count;

	if (!data || !data->d_buf || !size)
		return damaged(err, "its dynamic symbols cannot be read");
	count = data->d_size / size;
	if (count > ELF_SYMBOLS_MAX)
		return damaged(err, "too many dynamic symbols");
	for (size_t i = 0; i < count; i++) {
		GElf_Sym sym;
		const char *name;

		if (!gelf_getsym(data, (int)i, &sym))
			return damaged(err, "a dynamic symbol is cut off");
		name = elf_strptr(elf, sh->sh_link, sym.st_name);
		if (!name)
			return damaged(err, "a symbol's name lies outside");
		if (strstr(name, needle))
			return 1;
	}
	return 0;
}

/* -ENOENT, and no sentence, when no section holds dynamic symbols. */
static int search_sections(Elf *elf, const char *needle, struct err *err)
{
	Elf_Scn *scn = NULL;

	for (unsigned i = 0; i < SECTIONS_MAX; i++) {
		GElf_Shdr sh;

		scn = elf_nextscn(elf, scn);
		if (!scn)
			return -ENOENT;
		if (!gelf_getshdr(scn, &sh))
			return damaged(err, "a section header is cut off");
		if (sh.sh_type == SHT_DYNSYM)
			return search_section(elf, scn, &sh, needle, err);
	}
	return damaged(err, "too many sections");
}

/* ---- by the dynamic segment ---- */

/* Where in the file the byte at a virtual address is, and how many follow
 * it in its segment. */
static bool file_offset(Elf *elf, size_t segments, uint64_t address,
			uint64_t *offset, uint64_t *left)
{
	for (size_t i = 0; i < segments; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph) || ph.p_type != PT_LOAD ||
		    address < ph.p_vaddr || address - ph.p_vaddr >= ph.p_filesz)
			continue;
		*left = ph.p_filesz - (address - ph.p_vaddr);
		return !__builtin_add_overflow(ph.p_offset,
					       address - ph.p_vaddr, offset) &&
		       *offset <= INT64_MAX;
	}
	return false;
}

/* `size` bytes at an address, as `type`; NULL when the file lacks them. */
static Elf_Data *chunk(Elf *elf, size_t segments, uint64_t address,
		       uint64_t size, Elf_Type type)
{
	uint64_t offset, left;

	if (!file_offset(elf, segments, address, &offset, &left) || size > left)
		return NULL;
	return elf_getdata_rawchunk(elf, (int64_t)offset, (size_t)size, type);
}

static bool word_at(Elf *elf, size_t segments, uint64_t address, uint32_t *out)
{
	Elf_Data *data = chunk(elf, segments, address, 4, ELF_T_WORD);

	if (!data || !data->d_buf || data->d_size < 4)
		return false;
	memcpy(out, data->d_buf, 4);
	return true;
}

static void dynamic_note(struct dynamic *d, const GElf_Dyn *entry)
{
	switch (entry->d_tag) {
	case DT_SYMTAB:
		d->symbols = entry->d_un.d_ptr;
		break;
	case DT_STRTAB:
		d->names = entry->d_un.d_ptr;
		break;
	case DT_STRSZ:
		d->names_size = entry->d_un.d_val;
		break;
	case DT_HASH:
		d->hash = entry->d_un.d_ptr;
		break;
	case DT_GNU_HASH:
		d->gnu_hash = entry->d_un.d_ptr;
		break;
	default:
		break;
	}
}

static int dynamic_read(Elf *elf, size_t segments, struct dynamic *out,
			struct err *err)
{
	size_t size = gelf_fsize(elf, ELF_T_DYN, 1, EV_CURRENT);
	struct dynamic d = { .symbols = 0 };
	Elf_Data *data = NULL;

	for (size_t i = 0; i < segments && !data; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(elf, (int)i, &ph))
			return damaged(err, "a program header is cut off");
		if (ph.p_type != PT_DYNAMIC || ph.p_offset > INT64_MAX)
			continue;
		data = elf_getdata_rawchunk(elf, (int64_t)ph.p_offset,
					    (size_t)ph.p_filesz, ELF_T_DYN);
		if (!data)
			return damaged(err, "its dynamic segment is cut off");
	}
	if (!data || !data->d_buf || !size)
		return err_set(err, EINVAL,
			       "ELF file has no dynamic symbols: it is no "
			       "shared library");
	for (size_t i = 0; i < data->d_size / size && i < DYNAMIC_MAX; i++) {
		GElf_Dyn entry;

		if (!gelf_getdyn(data, (int)i, &entry) ||
		    entry.d_tag == DT_NULL)
			break;
		dynamic_note(&d, &entry);
	}
	if (!d.symbols || !d.names || !d.names_size)
		return damaged(err, "its dynamic segment names no symbols");
	*out = d;
	return 0;
}

/* Symbols up to the end of the chain that starts with symbol `first`. */
static bool count_chain(Elf *elf, size_t segments, uint64_t at, uint32_t first,
			uint64_t *count)
{
	uint64_t offset, left;
	Elf_Data *data;

	if (!file_offset(elf, segments, at, &offset, &left))
		return false;
	left = left / 4 < CHAIN_MAX ? left / 4 : CHAIN_MAX;
	data = chunk(elf, segments, at, left * 4, ELF_T_WORD);
	if (!data || !data->d_buf)
		return false;
	for (uint64_t i = 0; i < data->d_size / 4; i++) {
		uint32_t word;

		memcpy(&word, (const char *)data->d_buf + i * 4, 4);
		if (!(word & 1))
			continue;
		*count = first + i + 1;
		return true;
	}
	return false;
}

/*
 * The GNU hash table: buckets hold the first symbol of each chain, chains
 * are in symbol order, and the last of a chain has its lowest bit set. So
 * the table's last symbol ends the chain of the largest bucket.
 */
static bool count_gnu(Elf *elf, size_t segments, uint64_t at, uint64_t *count)
{
	uint32_t buckets, first, bloom, word, last = 0;
	uint64_t width = gelf_getclass(elf) == ELFCLASS64 ? 8 : 4;
	uint64_t table;
	Elf_Data *data;

	if (!word_at(elf, segments, at, &buckets) ||
	    !word_at(elf, segments, at + 4, &first) ||
	    !word_at(elf, segments, at + 8, &bloom) ||
	    buckets > ELF_SYMBOLS_MAX || bloom > ELF_SYMBOLS_MAX)
		return false;
	table = at + 16 + bloom * width;
	data = chunk(elf, segments, table, buckets * 4ull, ELF_T_WORD);
	if (!data || !data->d_buf || data->d_size < buckets * 4ull)
		return false;
	for (uint32_t i = 0; i < buckets; i++) {
		memcpy(&word, (const char *)data->d_buf + i * 4ull, 4);
		last = word > last ? word : last;
	}
	*count = first;
	if (last < first)
		return true;
	return count_chain(elf, segments,
			   table + (buckets + (uint64_t)(last - first)) * 4,
			   last, count);
}

static bool count_symbols(Elf *elf, size_t segments, const struct dynamic *d,
			  uint64_t *count)
{
	uint32_t n;

	if (d->hash && word_at(elf, segments, d->hash + 4, &n)) {
		*count = n;
		return true;
	}
	return d->gnu_hash && count_gnu(elf, segments, d->gnu_hash, count);
}

static int search_segment(Elf *elf, const char *needle, struct err *err)
{
	size_t size = gelf_fsize(elf, ELF_T_SYM, 1, EV_CURRENT);
	size_t segments;
	struct dynamic d = { .symbols = 0 };
	Elf_Data *symbols, *names;
	uint64_t count = 0;
	int r;

	if (elf_getphdrnum(elf, &segments) < 0 || segments > SEGMENTS_MAX)
		return damaged(err, "its program headers cannot be read");
	r = dynamic_read(elf, segments, &d, err);
	if (r < 0)
		return r;
	if (!count_symbols(elf, segments, &d, &count) ||
	    count > ELF_SYMBOLS_MAX)
		return damaged(err, "its dynamic symbols cannot be counted");
	if (!count)
		return 0;
	symbols = chunk(elf, segments, d.symbols, count * size, ELF_T_SYM);
	names = chunk(elf, segments, d.names, d.names_size, ELF_T_BYTE);
	if (!symbols || !names || !names->d_buf)
		return damaged(err, "its dynamic symbols are cut off");
	for (uint64_t i = 0; i < count; i++) {
		const char *s = names->d_buf;
		GElf_Sym sym;

		if (!gelf_getsym(symbols, (int)i, &sym) ||
		    sym.st_name >= names->d_size)
			return damaged(err, "a symbol's name lies outside");
		if (name_contains(s + sym.st_name, s + names->d_size, needle))
			return 1;
	}
	return 0;
}

int elf_dynamic_symbol_contains(int fd, const char *needle, struct err *err)
{
	struct stat st;
	Elf *elf;
	int r;

	if (fstat(fd, &st) < 0)
		return err_errno(err, errno, "shared library");
	if (!S_ISREG(st.st_mode))
		return err_set(err, EINVAL, "not a regular file");
	if (elf_version(EV_CURRENT) == EV_NONE)
		return err_set(err, ENOSYS, "libelf is too old");
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf || elf_kind(elf) != ELF_K_ELF ||
	    gelf_getclass(elf) == ELFCLASSNONE) {
		r = err_set(err, EINVAL, "not an ELF file");
		goto out;
	}
	r = search_sections(elf, needle, err);
	if (r == -ENOENT)
		r = search_segment(elf, needle, err);
out:
	(void)elf_end(elf);
	return r;
}
