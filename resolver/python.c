/* SPDX-License-Identifier: Apache-2.0 */
#include "python.h"

#include "assign.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "env.h"
#include "layout.h"
#include "ldcache.h"
#include "pathjoin.h"
#include "plugins.h"
#include "prefix.h"
#include "sitepath.h"
#include "torch.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#define VERSION_FILE_MAX 65536u
#define METADATA_MAX (4u << 20) /* METADATA holds the whole README */
#define NOTES_MAX 65536u	/* that nobody reads */
#define ENTRIES_MAX 65536u

int python_find(char found[PYTHON_PATH_MAX], const char *asked, struct err *err)
{
	return prefix_find(found, asked, err);
}

/* ---- this machine ---- */

/* glibc is this program's own: a prefix does not carry one, and whoever
 * imports from it on this machine runs on this machine's. */
static int machine(struct env *e, struct err *err)
{
	struct utsname u;

	if (uname(&u) < 0)
		return err_errno(err, errno, "uname");
	if (text_copy(e->os, sizeof(e->os), u.sysname) < 0 ||
	    text_copy(e->cpu, sizeof(e->cpu), u.machine) < 0)
		return err_set(err, EINVAL, "uname says '%.64s', '%.64s'",
			       u.sysname, u.machine);
	for (char *p = e->os; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (!strcmp(e->os, "darwin") && !strcmp(e->cpu, "arm64"))
		(void)text_copy(e->cpu, sizeof(e->cpu), "aarch64");
	(void)version_parse(&e->glibc, gnu_get_libc_version());
	return 0;
}

/* ---- CUDA without torch ---- */

/* "libcudart.so.12.8.90" is 12.8; "…/cuda-13.0/lib/libcudart.so.13" 13.0. */
static bool cudart_version(const char *real, struct version *out)
{
	const char *name = path_base(real), *folder = NULL;

	if (text_starts(name, "libcudart.so.") &&
	    strchr(name + strlen("libcudart.so."), '.') &&
	    version_parse(out, name + strlen("libcudart.so.")) == 0)
		return true;
	for (const char *p = strstr(real, "/cuda-"); p;
	     p = strstr(p + 1, "/cuda-"))
		folder = p + strlen("/cuda-");
	if (folder) {
		char text[VERSION_TEXT_MAX];
		size_t n = strcspn(folder, "/");

		if (n >= sizeof(text))
			return false;
		memcpy(text, folder, n);
		text[n] = '\0';
		return strchr(text, '.') && version_parse(out, text) == 0;
	}
	return false;
}

/* The reference asks the library itself; a program that reads only takes the
 * version from the library's name. What is in the way means CPU, as there. */
static void backend_without_torch(struct env *e, struct text *notes)
{
	char path[PYTHON_PATH_MAX];
	AUTO(auto_free) char *real = NULL;
	struct err err = ERR_INIT;
	int r = ldcache_find(path, LDCACHE_FILE, "libcudart.", &err);

	e->backend = BACKEND_CPU;
	if (r < 0 && r != -ENOENT)
		text_printf(notes, "backend: %s\n", err_text(&err));
	if (r < 0)
		return;
	real = realpath(path, NULL);
	if (real && cudart_version(real, &e->backend_version))
		e->backend = BACKEND_CUDA;
	if (e->backend == BACKEND_CUDA)
		text_printf(notes, "backend: from %s, as there is no torch\n",
			    real);
	else
		text_printf(notes, "backend: '%s' does not tell its version\n",
			    real ? real : path);
}

int python_no_torch(struct env *out, struct err *err)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(NOTES_MAX);
	struct env e;
	int r;

	memset(&e, 0, sizeof(e));
	r = machine(&e, err);
	if (r < 0)
		return r;
	backend_without_torch(&e, &notes);
	*out = e;
	return 0;
}

/* ---- torch ---- */

/* Since 2.5 torch imports plugins by itself. */
static bool torch_has_autoload(const struct env *e)
{
	return e->torch.major > 2 ||
	       (e->torch.major == 2 && e->torch.minor >= 5);
}

static int find_backend(struct env *e, const struct torch *t,
			const struct sitepath *s, struct text *notes,
			struct err *err)
{
	struct plugins p = { .tpu = false };
	int r;

	if (torch_has_autoload(e))
		plugins_find(&p, s, notes);
	if (p.tpu || p.neuron) {
		e->backend = p.tpu ? BACKEND_TPU : BACKEND_NEURON;
		text_printf(notes, "backend: from a plugin of torch\n");
		return 0;
	}
	r = torch_backend(t, &e->backend, &e->backend_version, err);
	if (r < 0 || e->backend != BACKEND_CPU || !p.npu)
		return r;
	r = plugins_cann(&e->backend_version, err);
	if (r == 0)
		e->backend = BACKEND_CANN;
	if (r == 0)
		text_printf(notes, "backend: from torch_npu and "
				   "ASCEND_HOME_PATH\n");
	return r;
}

static int find_torch(struct env *e, const struct sitepath *s,
		      struct text *notes, struct err *err)
{
	const char *folder = sitepath_package(s, "torch");
	char dir[PYTHON_PATH_MAX];
	struct torch t;
	int r;

	if (!folder) {
		backend_without_torch(e, notes);
		return 0;
	}
	r = path_join(dir, folder, "torch");
	if (r < 0)
		return err_errno(err, -r, "torch in '%s'", folder);
	r = torch_read(&t, dir, err);
	if (r < 0)
		return r;
	if (version_parse(&e->torch, t.version) < 0)
		return err_set(err, EINVAL,
			       "'%s/version.py': '%s' is no "
			       "version",
			       dir, t.version);
	memcpy(e->torch_text, t.version, sizeof(e->torch_text));
	text_printf(notes, "torch: from %s/version.py\n", dir);
	if (!strcmp(e->os, "linux"))
		e->abi = torch_abi(dir, notes);
	return find_backend(e, &t, s, notes, err);
}

/* ---- tvm-ffi ---- */

/* The first line "Version: X" of the headers; they end at an empty line. */
static bool metadata_version(const char *text, struct version *out)
{
	struct cursor c = cursor_of(text);

	while (!cursor_done(&c)) {
		struct cursor line = cursor_until(&c, '\n');
		char value[64];

		(void)cursor_skip_char(&c, '\n');
		if (cursor_done(&line) || *line.p == '\r')
			return false;
		if (!cursor_skip(&line, "Version:"))
			continue;
		while (cursor_skip_char(&line, ' '))
			;
		while (line.p < line.end && line.end[-1] == '\r')
			line.end--;
		if (cursor_left(&line) >= sizeof(value))
			return false;
		memcpy(value, line.p, cursor_left(&line));
		value[cursor_left(&line)] = '\0';
		return version_parse(out, value) == 0;
	}
	return false;
}

static bool distribution_version(const char *folder, struct version *out)
{
	AUTO(auto_text) struct text text = TEXT_INIT(METADATA_MAX);
	AUTO(auto_closedir) DIR *d = opendir(folder);

	for (unsigned i = 0; d && i < ENTRIES_MAX; i++) {
		struct dirent *e = readdir(d);
		char name[sizeof(e->d_name) + sizeof("/METADATA")];

		if (!e)
			break;
		if (!text_starts(e->d_name, "apache_tvm_ffi-") ||
		    !text_ends(e->d_name, ".dist-info"))
			continue;
		(void)snprintf(name, sizeof(name), "%s/METADATA", e->d_name);
		text_clear(&text);
		if (io_read_file(dirfd(d), name, &text) == 0 &&
		    metadata_version(text_str(&text), out))
			return true;
	}
	return false;
}

/* The package takes its version from _version.py, so that is asked first. */
static void find_ffi(struct env *e, const struct sitepath *s,
		     struct text *notes)
{
	AUTO(auto_text) struct text text = TEXT_INIT(VERSION_FILE_MAX);
	const char *folder = sitepath_package(s, "tvm_ffi");
	char path[PYTHON_PATH_MAX], said[TORCH_TEXT_MAX];

	if (!folder)
		return;
	if (path_join(path, folder, "tvm_ffi/_version.py") == 0 &&
	    io_read_file(AT_FDCWD, path, &text) == 0 &&
	    assign_find(text_str(&text), "__version__", said, sizeof(said)) ==
		    ASSIGN_STRING &&
	    version_parse(&e->ffi, said) == 0) {
		text_printf(notes, "tvm-ffi: from %s\n", path);
		return;
	}
	if (distribution_version(folder, &e->ffi))
		text_printf(notes, "tvm-ffi: from its metadata in %s\n",
			    folder);
	else
		text_printf(notes,
			    "tvm-ffi: '%s/tvm_ffi' does not tell its "
			    "version\n",
			    folder);
}

/* ---- all of it ---- */

int python_env(struct env *out, const char *prefix, struct text *notes,
	       struct err *err)
{
	AUTO(auto_text) struct text unread = TEXT_INIT(NOTES_MAX);
	AUTO(auto_sitepath) struct sitepath s;
	struct layout l;
	struct env e;
	int r;

	memset(&e, 0, sizeof(e));
	notes = notes ? notes : &unread;
	sitepath_init(&s);
	r = layout_read(&l, prefix, err);
	if (r == 0)
		r = machine(&e, err);
	if (r < 0)
		return r;
	e.python = l.tag.version;
	e.free_threaded = l.free_threaded;
	r = sitepath_read(&s, &l, notes);
	if (r < 0)
		return err_errno(err, -r, "packages of '%s'", prefix);
	r = find_torch(&e, &s, notes, err);
	if (r < 0)
		return r;
	find_ffi(&e, &s, notes);
	*out = e;
	return 0;
}
