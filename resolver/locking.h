/* SPDX-License-Identifier: Apache-2.0 */
#ifndef RESOLVER_LOCKING_H
#define RESOLVER_LOCKING_H

/*
 * From what a project needs to what it is locked to: each kernel and all
 * that any of its builds needs, whatever machine it is for, with the commit
 * that its version has now. What the reference refuses is refused here: an
 * unknown version, a publisher that is not trusted, a build without
 * metadata, a cycle, a dependency by a revision that is no full commit.
 */

struct err;
struct lockfile;
struct project;
struct resolve;

/*
 * Blocks: asks for the refs of each repository, for the names of the builds
 * of each commit, and for the metadata of each build that was not seen
 * before. `path` becomes that of the lock file.
 */
int locking_run(struct lockfile *out, struct resolve *r,
		const struct project *project, const char *path,
		struct err *err);

#endif
