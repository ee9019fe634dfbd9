/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_MADEUP_H
#define UNIT_MADEUP_H

/*
 * A made-up installation in a scratch folder: files, links and folders by
 * name, a shared library of a few hundred bytes, and an environment in which
 * nothing of the machine's own Python is seen.
 */

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MADEUP_PATH_MAX 4096

static inline int madeup_remove(const char *path, const struct stat *st,
				int kind, struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static inline void madeup_must(bool ok, const char *what, const char *name)
{
	if (ok)
		return;
	(void)fprintf(stderr, "made-up prefix: %s '%s': %s\n", what, name,
		      strerror(errno));
	abort();
}

/* A scratch folder, its name without links. */
static inline void madeup_init(char root[MADEUP_PATH_MAX])
{
	const char *tmp = getenv("TMPDIR");
	char name[MADEUP_PATH_MAX];

	(void)snprintf(name, sizeof(name), "%s/madeup-XXXXXX",
		       tmp && tmp[0] == '/' ? tmp : "/tmp");
	madeup_must(mkdtemp(name) != NULL, "mkdtemp", name);
	madeup_must(realpath(name, root) != NULL, "realpath", name);
}

static inline void madeup_done(const char *root)
{
	madeup_must(chdir("/") == 0, "chdir", "/");
	madeup_must(nftw(root, madeup_remove, 16, FTW_DEPTH | FTW_PHYS) == 0,
		    "remove", root);
}

static inline void madeup_path(char out[MADEUP_PATH_MAX], const char *root,
			       const char *name)
{
	int n = snprintf(out, MADEUP_PATH_MAX, "%s/%s", root, name);

	madeup_must(n > 0 && n < MADEUP_PATH_MAX, "too long", name);
}

static inline void madeup_parents(char path[MADEUP_PATH_MAX])
{
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		madeup_must(mkdir(path, 0755) == 0 || errno == EEXIST, "mkdir",
			    path);
		*p = '/';
	}
}

static inline void madeup_dir(const char *root, const char *name)
{
	char path[MADEUP_PATH_MAX];

	madeup_path(path, root, name);
	madeup_parents(path);
	madeup_must(mkdir(path, 0755) == 0 || errno == EEXIST, "mkdir", path);
}

static inline void madeup_bytes(const char *root, const char *name,
				const void *bytes, size_t n)
{
	char path[MADEUP_PATH_MAX];
	FILE *f;

	madeup_path(path, root, name);
	madeup_parents(path);
	f = fopen(path, "we");
	madeup_must(f && fwrite(bytes, 1, n, f) == n && fclose(f) == 0, "write",
		    path);
	madeup_must(chmod(path, 0755) == 0, "chmod", path);
}

static inline void madeup_file(const char *root, const char *name,
			       const char *text)
{
	madeup_bytes(root, name, text, strlen(text));
}

static inline void madeup_link(const char *root, const char *name,
			       const char *target)
{
	char path[MADEUP_PATH_MAX];

	madeup_path(path, root, name);
	madeup_parents(path);
	madeup_must(symlink(target, path) == 0, "link", path);
}

/* <prefix>/bin/python3 -> python3.X, and a standard library. */
static inline void madeup_python(const char *root, const char *prefix,
				 const char *tag)
{
	char name[MADEUP_PATH_MAX];

	(void)snprintf(name, sizeof(name), "%s/bin/%s", prefix, tag);
	madeup_file(root, name, "\177ELF, made up");
	(void)snprintf(name, sizeof(name), "%s/bin/python3", prefix);
	madeup_link(root, name, tag);
	(void)snprintf(name, sizeof(name), "%s/lib/%s/os.py", prefix, tag);
	madeup_file(root, name, "");
	(void)snprintf(name, sizeof(name), "%s/lib/%s/site-packages", prefix,
		       tag);
	madeup_dir(root, name);
}

/* None of the variables that say which Python, which packages. */
static inline void madeup_environment(const char *root)
{
	static const char *const names[] = {
		"VIRTUAL_ENV",	    "CONDA_PREFIX",
		"PYTHONPATH",	    "PYTHONUSERBASE",
		"PYTHONNOUSERSITE", "PYENV_VERSION",
		"PYENV_ROOT",	    "TORCH_DEVICE_BACKEND_AUTOLOAD",
		"ASCEND_HOME_PATH",
	};
	char home[MADEUP_PATH_MAX];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)unsetenv(names[i]);
	madeup_dir(root, "home");
	madeup_path(home, root, "home");
	madeup_must(setenv("HOME", home, 1) == 0, "setenv", "HOME");
	madeup_must(setenv("PATH", "/nowhere", 1) == 0, "setenv", "PATH");
	madeup_must(chdir(root) == 0, "chdir", root);
}

/*
 * A 64-bit shared library with one dynamic symbol. All of it is in one
 * loaded segment at address 0, so that addresses are offsets.
 */
struct madeup_elf {
	Elf64_Ehdr head;
	Elf64_Phdr segments[2];
	Elf64_Dyn dynamic[5];
	Elf64_Sym symbols[2];
	Elf64_Word hash[8]; /* 1 bucket, 2 chain entries; and filling */
	char names[128];
	Elf64_Shdr sections[3];
};

static inline void madeup_elf(struct madeup_elf *e, const char *symbol)
{
	const uint16_t one = 1;
	bool little = *(const char *)&one == 1;

	memset(e, 0, sizeof(*e));
	memcpy(e->head.e_ident, ELFMAG, SELFMAG);
	e->head.e_ident[EI_CLASS] = ELFCLASS64;
	e->head.e_ident[EI_DATA] = little ? ELFDATA2LSB : ELFDATA2MSB;
	e->head.e_ident[EI_VERSION] = EV_CURRENT;
	e->head.e_type = ET_DYN;
	e->head.e_machine = EM_X86_64;
	e->head.e_version = EV_CURRENT;
	e->head.e_ehsize = sizeof(Elf64_Ehdr);
	e->head.e_phoff = offsetof(struct madeup_elf, segments);
	e->head.e_phnum = 2;
	e->head.e_phentsize = sizeof(Elf64_Phdr);
	e->head.e_shoff = offsetof(struct madeup_elf, sections);
	e->head.e_shnum = 3;
	e->head.e_shentsize = sizeof(Elf64_Shdr);
	e->segments[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				       .p_filesz = sizeof(*e),
				       .p_memsz = sizeof(*e) };
	e->segments[1] = (Elf64_Phdr){
		.p_type = PT_DYNAMIC,
		.p_offset = offsetof(struct madeup_elf, dynamic),
		.p_filesz = sizeof(e->dynamic),
	};
	e->dynamic[0].d_tag = DT_SYMTAB;
	e->dynamic[0].d_un.d_ptr = offsetof(struct madeup_elf, symbols);
	e->dynamic[1].d_tag = DT_STRTAB;
	e->dynamic[1].d_un.d_ptr = offsetof(struct madeup_elf, names);
	e->dynamic[2].d_tag = DT_STRSZ;
	e->dynamic[2].d_un.d_val = sizeof(e->names);
	e->dynamic[3].d_tag = DT_HASH;
	e->dynamic[3].d_un.d_ptr = offsetof(struct madeup_elf, hash);
	e->symbols[1].st_name = 1;
	e->hash[0] = 1;
	e->hash[1] = 2;
	e->hash[2] = 1;
	(void)snprintf(e->names + 1, sizeof(e->names) - 1, "%s", symbol);
	e->sections[1] = (Elf64_Shdr){
		.sh_type = SHT_DYNSYM,
		.sh_offset = offsetof(struct madeup_elf, symbols),
		.sh_size = sizeof(e->symbols),
		.sh_link = 2,
		.sh_info = 1,
		.sh_entsize = sizeof(Elf64_Sym),
		.sh_addralign = 8,
	};
	e->sections[2] = (Elf64_Shdr){
		.sh_type = SHT_STRTAB,
		.sh_offset = offsetof(struct madeup_elf, names),
		.sh_size = sizeof(e->names),
		.sh_addralign = 1,
	};
}

/* A libc10.so whose std::string is the new or the old one. */
static inline void madeup_library(const char *root, const char *name,
				  bool cxx11)
{
	struct madeup_elf e;

	madeup_elf(&e, cxx11 ? "_ZN3c105ErrorC1ENSt7__cxx1112basic_stringIcE"
			     : "_ZN3c105ErrorC1ESs");
	madeup_bytes(root, name, &e, sizeof(e));
}

#endif
