/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_OPTIONING_H
#define UNIT_OPTIONING_H

/*
 * Options read anew for each test, in an environment that says nothing and
 * with a folder of its own for config files.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGS_MAX 16

static char folder[] = "/tmp/test-options-XXXXXX";
static char config[PATH_MAX];

static struct options o;
static struct err err;

static inline int fresh(void **state)
{
	static const char *const unset[] = {
		"HF_ENDPOINT",		"XDG_CACHE_HOME",
		"KERNELFS_CONFIG",	"KERNELFS_CONNECTIONS",
		"KERNELFS_TRUST",	"KERNELFS_IMPORT",
		"KERNELFS_SOURCE",	"KERNELFS_CACHE",
		"KERNELFS_DEADLINE",	"KERNELFS_MIRROR",
		"KERNELFS_LOCKED",	"KERNELFS_OFFLINE",
		"KERNELFS_TIER",	"HF_HUB_OFFLINE",
		"TRANSFORMERS_OFFLINE",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(unset) / sizeof(*unset); i++)
		(void)unsetenv(unset[i]);
	/* No file of the user is read. */
	(void)setenv("XDG_CONFIG_HOME", folder, 1);
	(void)setenv("HOME", folder, 1);
	(void)snprintf(config, sizeof(config), "%s/kernelfs.conf", folder);
	(void)unlink(config);
	err = (struct err)ERR_INIT;
	options_done(&o);
	return 0;
}

static inline int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static inline int drop_folder(void **state)
{
	(void)fresh(state);
	return rmdir(folder);
}

/* Arguments up to NULL. */
static inline int read_line(const char *first, ...)
{
	char *argv[ARGS_MAX + 1] = { NULL };
	const char *arg = first;
	int argc = 1, r;
	va_list ap;

	argv[0] = strdup("kernelfs");
	va_start(ap, first);
	for (; arg && argc < ARGS_MAX; arg = va_arg(ap, const char *))
		argv[argc++] = strdup(arg);
	va_end(ap);
	r = options_read(&o, argc, argv, &err);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return r;
}

static inline void write_config(const char *s, size_t n)
{
	FILE *f = fopen(config, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(s, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static inline void put_config(const char *s)
{
	write_config(s, strlen(s));
}

static inline void assert_says(const char *part)
{
	if (!strstr(err.text, part))
		fail_msg("'%s' does not say '%s'", err.text, part);
}

static inline void assert_list(const struct options_list *l, const char *want)
{
	struct text t = TEXT_INIT(65536);

	for (size_t i = 0; i < l->count; i++)
		text_printf(&t, "%s%s", i ? "|" : "", l->items[i]);
	assert_string_equal(text_str(&t), want);
	text_done(&t);
}

static inline void assert_settles(void)
{
	int r = options_settle(&o, &err);

	if (r < 0)
		fail_msg("%s", err.text);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, fresh)

#endif
