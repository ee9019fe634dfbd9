/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DIR_DIR_SCAN_H
#define DIR_DIR_SCAN_H

/*
 * What a local folder holds, looked at once and never changed after: files
 * with their hashes, and links. Its name as a commit comes from the content
 * alone, so that the same files are the same commit on every machine.
 *
 * Not part of it: .git, __pycache__, *.pyc, what is neither file nor folder
 * nor link, empty folders, what is mounted below it, and names that could
 * not be shown (control bytes, over 255 bytes), which are said in the log.
 * Nothing outside of the folder is ever opened, whatever its links say.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dir_known.h"
#include "kernels/ref.h"

struct err;
struct text;
struct tree_builder;

struct dir_entry {
	char *path;   /* owned; from the folder */
	char *target; /* owned; of a link, else NULL */
	struct dir_stamp stamp;
	struct digest digest; /* of a file */
	bool young; /* changed so lately that its times prove nothing */
};

struct dir_scan {
	struct dir_entry *entries; /* owned; ascending, tree's order */
	size_t count;
	size_t room;
	uint64_t hashed; /* bytes that had to be read */
	char commit[REF_COMMIT_LEN + 1];
};

struct dir_scan_options {
	/* the folder of a repository: versions beside it are not part */
	bool versions_apart;
	const char *name; /* of the folder, for messages */
	int64_t now_s;	  /* wall clock */
	const struct dir_known *known;
	bool (*stopped)(void *arg); /* asked now and then; NULL: never */
	void *arg;
};

/* -E2BIG, -EACCES, -EBADMSG (it changes all the time), -ECANCELED, … */
int dir_scan(struct dir_scan *out, int folder, const struct dir_scan_options *o,
	     struct err *err);
void dir_scan_done(struct dir_scan *s);
/* The file or link at a path, or NULL. */
const struct dir_entry *dir_scan_find(const struct dir_scan *s,
				      const char *path);
/* One folder of it; -ENOENT when it has no such folder. */
int dir_scan_list(const struct dir_scan *s, const char *dir, bool recursive,
		  struct tree_builder *b, struct err *err);
/* The note for the next time (dir_known.h), into an empty text. */
void dir_scan_note(const struct dir_scan *s, struct text *note);

/* "v" and a number without zeros in front: the folder of a version. */
bool dir_is_version(const char *name);
/*
 * Open what lies below a folder, by a path of plain steps: never through a
 * link, never out of the folder, never into what is mounted below it (which
 * may be ourselves). -errno; -EXDEV: mounted, -ELOOP: a link.
 */
int dir_open(int folder, const char *path, int flags);
/* The folder of this name, also by way of a link, but not what is mounted
 * there; O_PATH. */
int dir_open_named(int folder, const char *name);

#endif
