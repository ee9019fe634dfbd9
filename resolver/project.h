/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_PROJECT_H
#define RESOLVER_PROJECT_H

/*
 * What a project needs: [tool.kernels.dependencies] of its pyproject.toml,
 * "owner/name" = version, a whole number.
 */

#include <stddef.h>
#include <stdint.h>

#include "kernels/ref.h"

struct err;

#define PROJECT_NAME "pyproject.toml"
#define PROJECT_DEPENDS_MAX 1000u

struct project_depend {
	struct repo_id repo;
	uint64_t version;
};

struct project {
	struct project_depend *depends; /* owned; in the order of the file */
	size_t count;			/* at least one */
};

/*
 * -EINVAL with "path:line: sentence"; -ENOENT when the document names no
 * kernels. `path` is for sentences.
 */
int project_parse(struct project *out, const char *path, const char *s,
		  size_t n, struct err *err);
int project_read(struct project *out, const char *path, struct err *err);
void project_done(struct project *p); /* all zero is allowed */

#endif
