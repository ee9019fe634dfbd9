/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_CATALOG_PINS_H
#define KERNELS_CATALOG_PINS_H

/*
 * Which commits the kernels were that a commit needs, when that was last
 * decided on this machine: so that a pinned and cached kernel asks nobody
 * for the names of what it needs. Any thread; looks at the disk only.
 */

#include <stddef.h>

#include "ref.h"

struct catalog;

#define CATALOG_PINS_MAX 1024

struct catalog_pin {
	struct ref asked; /* as the metadata names it */
	struct repo_id repo;
	char commit[REF_COMMIT_LEN + 1];
};

struct catalog_pins {
	struct catalog_pin *items; /* owned */
	size_t count;
};

/* -ENOENT when nothing (whole) is kept. */
int catalog_pins(struct catalog *c, const struct repo_id *repo,
		 const char *commit, struct catalog_pins *out);
/* Keep these, and what was kept of others. */
void catalog_pins_keep(struct catalog *c, const struct repo_id *repo,
		       const char *commit, const struct catalog_pin *pins,
		       size_t count);
const struct catalog_pin *catalog_pins_find(const struct catalog_pins *p,
					    const struct ref *asked);
void catalog_pins_done(struct catalog_pins *p);

#endif
