/* SPDX-License-Identifier: Apache-2.0 */

/*
 * What the resolver finds out about a Python, for test_environment.py:
 *
 *	env_of find [ASKED]	the prefix
 *	env_of env PREFIX	its spec, its JSON, its notes
 *	env_of none		spec and JSON of a machine without Python
 *	env_of path PREFIX	the folders with packages, one a line
 */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "resolver/env.h"
#include "resolver/layout.h"
#include "resolver/python.h"
#include "resolver/sitepath.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_MAX 1048576u

static int print_env(const struct env *e, const struct text *notes)
{
	AUTO(auto_text) struct text json = TEXT_INIT(TEXT_MAX);
	char spec[ENV_SPEC_MAX];

	env_print(e, spec);
	env_json(e, &json);
	if (text_failed(&json))
		return text_failed(&json);
	(void)printf("%s\n%s\n%s", spec, text_str(&json), text_str(notes));
	return 0;
}

static int find(const char *asked, struct err *err)
{
	char prefix[PYTHON_PATH_MAX];
	int r = python_find(prefix, asked, err);

	if (r == 0)
		(void)puts(prefix);
	return r;
}

static int env(const char *prefix, struct err *err)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(TEXT_MAX);
	struct env e;
	int r = python_env(&e, prefix, &notes, err);

	return r < 0 ? r : print_env(&e, &notes);
}

static int none(struct err *err)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(TEXT_MAX);
	struct env e;
	int r = python_no_torch(&e, err);

	return r < 0 ? r : print_env(&e, &notes);
}

static int path(const char *prefix, struct err *err)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(TEXT_MAX);
	AUTO(auto_sitepath) struct sitepath s;
	AUTO(auto_free) struct layout *l = calloc(1, sizeof(*l));
	int r;

	sitepath_init(&s);
	r = l ? layout_read(l, prefix, err) : -ENOMEM;
	if (r == 0)
		r = sitepath_read(&s, l, &notes);
	for (size_t i = 0; r == 0 && i < s.count; i++)
		(void)puts(s.folders[i].path);
	return r;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	struct err err = ERR_INIT;
	int r;

	if (!strcmp(verb, "find") && argc <= 3)
		r = find(argc == 3 ? argv[2] : NULL, &err);
	else if (!strcmp(verb, "env") && argc == 3)
		r = env(argv[2], &err);
	else if (!strcmp(verb, "none") && argc == 2)
		r = none(&err);
	else if (!strcmp(verb, "path") && argc == 3)
		r = path(argv[2], &err);
	else
		r = err_set(&err, EINVAL,
			    "usage: env_of find [ASKED] | "
			    "env PREFIX | none | path PREFIX");
	if (r < 0)
		(void)fprintf(stderr, "env_of: %s\n",
			      err.code ? err_text(&err) : "no memory");
	return r < 0;
}
