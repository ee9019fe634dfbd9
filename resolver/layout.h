/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_LAYOUT_H
#define RESOLVER_LAYOUT_H

/*
 * The shape of a Python installation: is it a virtual environment, of which
 * installation, and which python3.X of the prefix is meant. Reads folder
 * names, links, pyvenv.cfg and _sysconfigdata; runs nothing.
 */

#include "python.h"
#include "version.h"

#include <stdbool.h>

struct err;

/* "python3.13t" */
struct layout_tag {
	struct version version; /* known false: none */
	bool free_threaded;
};

#define LAYOUT_TAG_MAX 32

struct layout {
	char prefix[PYTHON_PATH_MAX];
	char base[PYTHON_PATH_MAX]; /* of a venv; else the prefix itself */
	bool venv;
	bool system_site;      /* a venv that also sees the base's packages */
	struct layout_tag tag; /* as the folder's name says it */
	bool free_threaded;    /* as name or _sysconfigdata say it */
};

/* "python3.X" or "python3.Xt" and nothing else. */
bool layout_tag_parse(struct layout_tag *out, const char *name);
void layout_tag_print(const struct layout_tag *t, char out[LAYOUT_TAG_MAX]);

/*
 * The tag in the first name of an interpreter's chain of links that has one
 * (python -> python3 -> python3.11); `version.known` false when none has.
 */
void layout_tag_of_links(struct layout_tag *out, const char *interpreter);

/* A pyvenv.cfg, a standard library or packages lie here. */
bool layout_is_prefix(const char *path);

/*
 * The nearest folder above `path` with a standard library, as the
 * interpreter looks for its prefix; -ENOENT when there is none.
 */
int layout_above(char found[PYTHON_PATH_MAX], const char *path);

/*
 * Of a prefix, or of an interpreter in its bin/ when another than the
 * default one is meant. -ENOENT with a sentence when it is no prefix.
 */
int layout_read(struct layout *out, const char *path, struct err *err);

#endif
