/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GIT_GITLIB_H
#define GIT_GITLIB_H

/*
 * libgit2, loaded when the first git source is asked for objects: who names
 * none needs none. All calls or none. Of it we use the object database, the
 * indexer of packs, and the references of a repository on this machine; its
 * own transports, and all that reads configuration of users, stay unused.
 */

#include <git2/errors.h>
#include <git2/indexer.h>
#include <git2/odb.h>
#include <git2/oid.h>
#include <git2/refs.h>
#include <git2/repository.h>
#include <git2/types.h>

struct err;

/* result, name behind "git_", parameters */
/* clang-format off */
#define GITLIB_CALLS(X) \
	X(int, libgit2_init, (void)) \
	X(int, libgit2_opts, (int option, ...)) \
	X(const git_error *, error_last, (void)) \
	X(void, error_clear, (void)) \
	X(int, odb_open, (git_odb **, const char *objects_dir)) \
	X(void, odb_free, (git_odb *)) \
	X(int, odb_read, (git_odb_object **, git_odb *, const git_oid *)) \
	X(int, odb_read_header, \
	  (size_t *, git_object_t *, git_odb *, const git_oid *)) \
	X(const void *, odb_object_data, (git_odb_object *)) \
	X(size_t, odb_object_size, (git_odb_object *)) \
	X(git_object_t, odb_object_type, (git_odb_object *)) \
	X(void, odb_object_free, (git_odb_object *)) \
	X(int, indexer_new, \
	  (git_indexer **, const char *path, unsigned mode, git_odb *, \
	   git_indexer_options *)) \
	X(int, indexer_append, \
	  (git_indexer *, const void *, size_t, git_indexer_progress *)) \
	X(int, indexer_commit, (git_indexer *, git_indexer_progress *)) \
	X(const char *, indexer_name, (const git_indexer *)) \
	X(void, indexer_free, (git_indexer *)) \
	X(int, repository_open_ext, \
	  (git_repository **, const char *path, unsigned flags, \
	   const char *ceiling)) \
	X(const char *, repository_commondir, (const git_repository *)) \
	X(void, repository_free, (git_repository *)) \
	X(int, reference_iterator_new, \
	  (git_reference_iterator **, git_repository *)) \
	X(int, reference_next, (git_reference **, git_reference_iterator *)) \
	X(void, reference_iterator_free, (git_reference_iterator *)) \
	X(const char *, reference_name, (const git_reference *)) \
	X(int, reference_peel, \
	  (git_object **, const git_reference *, git_object_t)) \
	X(void, reference_free, (git_reference *)) \
	X(const git_oid *, object_id, (const git_object *)) \
	X(void, object_free, (git_object *))
/* clang-format on */

#define GITLIB_FIELD(result, name, parameters) result(*name) parameters;
struct gitlib {
	GITLIB_CALLS(GITLIB_FIELD)
};
#undef GITLIB_FIELD

/* The table, or NULL with a sentence. The first call loads and starts the
 * library, which then stays; later ones are cheap. Any thread. */
const struct gitlib *gitlib_load(struct err *err);
/* What libgit2 said last on this thread, as a failure: -ENOENT when it found
 * something missing, else -EIO. `what` names the thing. */
int gitlib_fail(const struct gitlib *g, int r, const char *what,
		struct err *err);

#endif
