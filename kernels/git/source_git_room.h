/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GIT_SOURCE_GIT_ROOM_H
#define GIT_SOURCE_GIT_ROOM_H

/* What the files of source_git share; nobody else's. */

#include "base/lock.h"
#include "gitodb.h"
#include "kernels/http/http.h"
#include "kernels/source.h"

#include <pthread.h>

struct flight;
struct netrc;

#define SOURCE_GIT_URL_MAX 4096

struct git {
	struct source source; /* first; its url has the "git+" */
	struct http *http;
	struct store *store;
	struct netrc *netrc; /* owned */
	bool file;	     /* a folder of this machine */
	bool insecure;
	const char *base; /* within url: https://..., or the folder's path */
	struct lock mu;
	pthread_cond_t landed;
	struct flight *flights; /* mu; packs being fetched */
};

/* One repository of it, as somebody asks for it. */
struct git_repo {
	const struct repo_id *id;
	char where[SOURCE_GIT_URL_MAX]; /* its URL, or git's folder of it */
	struct gitodb *odb;		/* owned */
};

/* Which addresses a repository may have, the likeliest first. */
#define SOURCE_GIT_PLACES 3
struct git_places {
	char url[SOURCE_GIT_PLACES][SOURCE_GIT_URL_MAX];
	size_t count;
};

int source_git_places(struct git *g, const struct repo_id *repo,
		      struct git_places *out, struct err *err);
/* It answered there: first, the next time. */
void source_git_found(struct git *g, const struct repo_id *repo,
		      const struct git_places *known, const char *url);

/* ---- source_git_ask.c: requests ---- */

/* GET or POST (req->body) with the login of .netrc for that host, unless one
 * of the request's headers is a credential (`opened`); into `out`, or into
 * req->sink when it is NULL. */
int source_git_ask(struct git *g, struct http_request *req, bool opened,
		   struct text *out, struct http_response *a, struct err *err);
int source_git_refs(struct git *g, const struct repo_id *repo,
		    struct source_refs *out, struct err *err);

/* ---- source_git_fetch.c: packs ---- */

/* The commit's objects from the server into the cache's folder for it, once
 * however many ask. `objects`: that folder. */
int source_git_fetch(struct git *g, struct git_repo *r, const char *commit,
		     const char *objects, const bool *cancelled,
		     struct err *err);
/* "git/<40 hex>/objects" below the cache. */
int source_git_folder(struct git *g, const struct repo_id *repo,
		      struct text *out, struct err *err);

/* ---- source_git_lfs.c: large files ---- */

int source_git_large(struct git *g, struct git_repo *r,
		     const struct source_file *f,
		     const struct lfs_pointer *what, struct http_sink *sink,
		     struct err *err);

#endif
