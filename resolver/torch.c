/* SPDX-License-Identifier: Apache-2.0 */
#include "torch.h"

#include "assign.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "kernels/elf.h"
#include "pathjoin.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CMAKE_MAX (1u << 20)

static int field(const char *text, const char *name, char *out, struct err *err)
{
	switch (assign_find(text, name, out, TORCH_TEXT_MAX)) {
	case ASSIGN_STRING:
	case ASSIGN_NONE:
	case ASSIGN_MISSING:
		return 0;
	case ASSIGN_BOOL:
	case ASSIGN_UNREADABLE:
		break;
	}
	return err_set(err, EINVAL, "the value of '%s' is no plain text", name);
}

int torch_parse(struct torch *out, const char *text, struct err *err)
{
	struct torch t;
	int r = field(text, "__version__", t.version, err);

	if (r == 0)
		r = field(text, "cuda", t.cuda, err);
	if (r == 0)
		r = field(text, "hip", t.hip, err);
	if (r == 0)
		r = field(text, "xpu", t.xpu, err);
	if (r < 0)
		return r;
	if (!t.version[0])
		return err_set(err, EINVAL, "it has no __version__");
	*out = t;
	return 0;
}

int torch_read(struct torch *out, const char *dir, struct err *err)
{
	AUTO(auto_text) struct text text = TEXT_INIT(TORCH_VERSION_FILE_MAX);
	char path[PYTHON_PATH_MAX];
	int r = path_join(path, dir, "version.py");

	if (r == 0)
		r = io_read_file(AT_FDCWD, path, &text);
	/* Not -ENOENT: a torch is there, and it is broken. */
	if (r < 0)
		return err_set(err, EINVAL,
			       "torch in '%s' has no version.py "
			       "that can be read",
			       dir);
	r = torch_parse(out, text_str(&text), err);
	return r < 0 ? err_wrap(err, r, "'%s'", path) : 0;
}

/* ---- backend ---- */

static int wrong(struct err *err, const char *name, const char *value)
{
	return err_set(err, EINVAL,
		       "torch's %s version '%s' has another shape than known",
		       name, value);
}

/* "7.1.25424-4179531dcd": what stands before the dash. */
static int hip_version(const char *hip, struct version *out)
{
	char text[TORCH_TEXT_MAX];
	size_t n = strcspn(hip, "-");

	memcpy(text, hip, n);
	text[n] = '\0';
	return version_parse(out, text);
}

/* "20250303" is 2025.3: the reference takes four digits, leaves one out and
 * takes one more. */
static int xpu_version(const char *xpu, struct version *out)
{
	char text[] = "YYYY.M";

	if (strlen(xpu) < 6)
		return -EINVAL;
	memcpy(text, xpu, 4);
	text[5] = xpu[5];
	return version_parse(out, text);
}

int torch_backend(const struct torch *t, enum backend *backend,
		  struct version *version, struct err *err)
{
	if (t->cuda[0]) {
		if (version_parse(version, t->cuda) < 0)
			return wrong(err, "CUDA", t->cuda);
		*backend = BACKEND_CUDA;
	} else if (t->hip[0]) {
		if (hip_version(t->hip, version) < 0)
			return wrong(err, "HIP", t->hip);
		*backend = BACKEND_ROCM;
	} else if (t->xpu[0]) {
		if (xpu_version(t->xpu, version) < 0)
			return wrong(err, "XPU", t->xpu);
		*backend = BACKEND_XPU;
	} else {
		*backend = BACKEND_CPU;
		version->known = false;
	}
	return 0;
}

/* ---- C++ ABI ---- */

/* 1, 0 (an old ABI), or -errno; -ENOENT when there is no such library. */
static int abi_of_library(const char *path, struct err *err)
{
	AUTO(auto_close) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_errno(err, errno, "cannot open it");
	return elf_dynamic_symbol_contains(fd, "__cxx11", err);
}

static enum cxx_abi abi_of_cmake(const char *dir)
{
	AUTO(auto_text) struct text text = TEXT_INIT(CMAKE_MAX);
	char path[PYTHON_PATH_MAX];

	if (path_join(path, dir, "share/cmake/Torch/TorchConfig.cmake") < 0 ||
	    io_read_file(AT_FDCWD, path, &text) < 0)
		return ABI_NONE;
	if (strstr(text_str(&text), "_GLIBCXX_USE_CXX11_ABI=1"))
		return ABI_CXX11;
	if (strstr(text_str(&text), "_GLIBCXX_USE_CXX11_ABI=0"))
		return ABI_CXX98;
	return ABI_NONE;
}

enum cxx_abi torch_abi(const char *dir, struct text *notes)
{
	char path[PYTHON_PATH_MAX];
	struct err err = ERR_INIT;
	enum cxx_abi abi;
	int r = path_join(path, dir, "lib/libc10.so");

	r = r < 0 ? -ENOENT : abi_of_library(path, &err);
	if (r >= 0) {
		text_printf(notes, "C++ ABI: from %s\n", path);
		return r ? ABI_CXX11 : ABI_CXX98;
	}
	if (r != -ENOENT)
		text_printf(notes, "C++ ABI: '%s': %s\n", path, err_text(&err));
	abi = abi_of_cmake(dir);
	if (abi != ABI_NONE)
		text_printf(notes,
			    "C++ ABI: from %s/share/cmake/Torch/"
			    "TorchConfig.cmake\n",
			    dir);
	else
		text_printf(notes,
			    "C++ ABI: not known, '%s' has neither "
			    "lib/libc10.so nor a TorchConfig.cmake that "
			    "tells\n",
			    dir);
	return abi;
}
