/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DIR_SOURCE_DIR_H
#define DIR_SOURCE_DIR_H

/*
 * What the files of the local source share among themselves; the source
 * itself is declared with the others in source.h.
 */

#include <dirent.h>

#include "base/lock.h"
#include "dir_scan.h"
#include "kernels/source.h"

/* Versions with a folder of their own, and as many by name only. */
#define SOURCE_DIR_VERSIONS_MAX 1000u

/* One version of a repository as it was seen; never changed after. */
struct source_dir_seen {
	struct source_dir_seen *next; /* mu */
	unsigned refs;		      /* mu */
	char base[16];		      /* "" or "vN": where it lies */
	struct dir_scan scan;
};

struct source_dir_repo {
	struct source_dir_repo *next; /* mu */
	struct repo_id id;
	bool busy;		      /* mu: somebody is looking */
	struct source_dir_seen *seen; /* mu; owned; the newest first */
};

struct source_dir {
	struct source source; /* first */
	struct http *http;    /* borrowed; NULL: never stopped */
	struct store *store;  /* borrowed; NULL: nothing is remembered */
	char *path;	      /* owned; decoded, absolute */
	int parent;	      /* the folder that the folder is in; or -1 */
	struct lock mu;
	pthread_cond_t looked;
	int root;		       /* mu; O_PATH */
	struct source_dir_repo *repos; /* mu; owned */
};

/* The program is ending. `arg` is a struct source_dir. */
bool source_dir_stopped(void *arg);
/* The folder as it stands now under its name; caller closes. */
int source_dir_open_root(struct source_dir *d);
/* The folder of a repository ("") or of one of its versions; O_PATH. */
int source_dir_open_repo(struct source_dir *d, const struct repo_id *repo,
			 const char *base);
bool source_dir_has_folder(int at, const char *path);
/* A stream of the names in an O_PATH descriptor's folder, or NULL. */
DIR *source_dir_stream(int folder);
/* Not any folder is a repository: nobody wants his home hashed. */
bool source_dir_is_repo(int folder);

/* Look at a repository whole; see source_dir_look.c. */
int source_dir_look(struct source_dir *d, const struct repo_id *repo,
		    struct source_refs *out, struct err *err);
/* A commit as it was seen, held; looked for if need be. */
int source_dir_find(struct source_dir *d, const struct repo_id *repo,
		    const char *commit, struct source_dir_seen **out,
		    struct err *err);
void source_dir_put(struct source_dir *d, struct source_dir_seen *s);
void source_dir_forget_all(struct source_dir *d);

/* source_ops.file */
int source_dir_file(struct source *s, const struct source_file *f,
		    struct http_sink *sink, struct err *err);

#endif
