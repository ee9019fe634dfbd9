/* SPDX-License-Identifier: Apache-2.0 */
#include "http_load.h"

#include "base/err.h"

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stddef.h>

#define LIBRARY "libcurl.so.4"

static struct http_library library;
static struct err failure;

static const struct {
	const char *symbol;
	size_t offset;
} calls[] = {
#define CALL(result, name, parameters) \
	{ "curl_" #name, offsetof(struct http_library, name) },
	HTTP_LOAD_CALLS(CALL)
#undef CALL
};

static int find_all(void *handle)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		void *found = dlsym(handle, calls[i].symbol);

		if (!found)
			return err_set(&failure, EIO,
				       "libcurl: %s has no '%s'; version 7.87 "
				       "or later is needed",
				       LIBRARY, calls[i].symbol);
		*(void **)(void *)((char *)&library + calls[i].offset) = found;
	}
	return 0;
}

static void load(void)
{
	void *handle = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
	CURLcode c;

	if (!handle) {
		(void)err_set(&failure, EIO,
			      "libcurl cannot be loaded: %s (Debian has it as "
			      "libcurl4)",
			      dlerror());
		return;
	}
	if (find_all(handle) < 0)
		return;
	c = library.global_init(CURL_GLOBAL_DEFAULT);
	if (c)
		(void)err_set(&failure, EIO, "libcurl: %s",
			      library.easy_strerror(c));
}

const struct http_library *http_load(struct err *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	(void)pthread_once(&once, load);
	if (!failure.code)
		return &library;
	if (err)
		*err = failure;
	return NULL;
}
