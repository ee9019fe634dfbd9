/* SPDX-License-Identifier: Apache-2.0 */
#include "gitlib.h"

#include "base/err.h"

#include <dlfcn.h>
#include <errno.h>
#include <git2/common.h>
#include <git2/config.h>
#include <pthread.h>
#include <stddef.h>

#define LIBRARY "libgit2.so.1.5"
/* A pack says first how many objects it holds, and room is made for them. */
#define PACK_OBJECTS_MAX ((size_t)16 << 20)
/* One object of a pack is whole in memory when it is made from pieces. */
#define PACK_OBJECT_BYTES ((size_t)1 << 30)

static struct gitlib library;
static struct err failure;

static const struct {
	const char *symbol;
	size_t offset;
} calls[] = {
#define CALL(result, name, parameters) \
	{ "git_" #name, offsetof(struct gitlib, name) },
	GITLIB_CALLS(CALL)
#undef CALL
};

static int find_all(void *handle)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		void *found = dlsym(handle, calls[i].symbol);

		if (!found)
			return err_set(&failure, EIO, "libgit2: %s has no '%s'",
				       LIBRARY, calls[i].symbol);
		*(void **)(void *)((char *)&library + calls[i].offset) = found;
	}
	return 0;
}

/* No file of the system's or the user's configuration is looked for; whose a
 * repository is does not matter to who only reads objects; nothing is kept in
 * memory between two questions; what was taken in outlives a power cut. */
static int set_options(void)
{
	static const int levels[] = {
		GIT_CONFIG_LEVEL_PROGRAMDATA,
		GIT_CONFIG_LEVEL_SYSTEM,
		GIT_CONFIG_LEVEL_XDG,
		GIT_CONFIG_LEVEL_GLOBAL,
	};
	int r = 0;

	for (size_t i = 0; !r && i < sizeof(levels) / sizeof(*levels); i++)
		r = library.libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i],
					 "");
	if (!r)
		r = library.libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
	if (!r)
		r = library.libgit2_opts(GIT_OPT_ENABLE_CACHING, 0);
	if (!r)
		r = library.libgit2_opts(GIT_OPT_ENABLE_FSYNC_GITDIR, 1);
	if (!r)
		r = library.libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECTS,
					 PACK_OBJECTS_MAX);
	if (!r)
		r = library.libgit2_opts(GIT_OPT_SET_PACK_MAX_OBJECT_SIZE,
					 PACK_OBJECT_BYTES);
	return r;
}

static void load(void)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

	if (!handle) {
		(void)err_set(&failure, EIO,
			      "a git source needs libgit2, which cannot be "
			      "loaded: %s (Debian has it as libgit2-1.5)",
			      dlerror());
		return;
	}
	if (find_all(handle) < 0)
		return;
	if (library.libgit2_init() < 0 || set_options() < 0)
		(void)gitlib_fail(&library, -1, "libgit2", &failure);
}

const struct gitlib *gitlib_load(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, load);
	if (!failure.code)
		return &library;
	if (err)
		*err = failure;
	return NULL;
}

int gitlib_fail(const struct gitlib *g, int r, const char *what,
		struct err *err)
{
	const git_error *e = g->error_last();
	int code = r == GIT_ENOTFOUND ? ENOENT : EIO;

	(void)err_set(err, code, "%s: %s", what,
		      e && e->message ? e->message : "no reason given");
	g->error_clear();
	return -code;
}
