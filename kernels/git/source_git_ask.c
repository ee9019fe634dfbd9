/* SPDX-License-Identifier: Apache-2.0 */
#include "source_git_room.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "gitwire.h"
#include "kernels/http/netrc.h"
#include "kernels/store.h"

#include <errno.h>
#include <string.h>

#define LOGIN_MAX 1100
#define SERVICE "/info/refs?service=git-upload-pack"
#define NOTE "git"

static void wipe(struct text *t)
{
	if (t->s)
		explicit_bzero(t->s, t->room);
	text_done(t);
}

/* What a refusal means here: a server tells no stranger what it has. Who may
 * have a login is none, and another source is not asked in its place. */
static int explain(const struct http_response *a, int login, int r,
		   struct err *err)
{
	if (r != -EACCES || a->status != 401)
		return r;
	if (login > 0)
		return err_wrap(err, r, "the login in .netrc was refused");
	if (login < 0)
		return err_wrap(err, r, ".netrc, with its login, is no good");
	if (err)
		err->code = ENOENT;
	return err_wrap(err, -ENOENT,
			"not there, or private: .netrc has no login for it");
}

int source_git_ask(struct git *g, struct http_request *req, bool opened,
		   struct text *out, struct http_response *a, struct err *err)
{
	AUTO(wipe) struct text login = TEXT_INIT(LOGIN_MAX);
	int has = opened ? 0 : netrc_get(g->netrc, req->url, &login);
	int r;

	if (has > 0)
		req->userpwd = text_str(&login);
	if (__atomic_load_n(&g->source.hasty, __ATOMIC_RELAXED))
		req->tries = 1;
	r = out ? http_get_text(g->http, req, out, a, err)
		: http_get(g->http, req, a, err);
	req->userpwd = NULL;
	return r < 0 ? explain(a, has, r, err) : 0;
}

/* ---- addresses ---- */

static void add_place(struct git_places *p, const char *url)
{
	for (size_t i = 0; i < p->count; i++)
		if (strcmp(p->url[i], url) == 0)
			return;
	if (p->count < SOURCE_GIT_PLACES &&
	    text_copy(p->url[p->count], SOURCE_GIT_URL_MAX, url) == 0)
		p->count++;
}

static void add_key(struct git *g, const struct repo_id *repo, struct text *out)
{
	text_printf(out, "%s %s/%s", g->source.url, repo->owner, repo->name);
}

/* A note that leads to another server is none of ours. */
static void add_noted(struct git *g, const struct repo_id *repo,
		      struct git_places *p)
{
	AUTO(auto_text) struct text key = TEXT_INIT(SOURCE_GIT_URL_MAX);
	AUTO(auto_text) struct text url = TEXT_INIT(SOURCE_GIT_URL_MAX - 1);

	add_key(g, repo, &key);
	if (g->file || !g->store || text_failed(&key) ||
	    store_note_read(g->store, NOTE, text_str(&key), &url, NULL) < 0)
		return;
	if (strlen(text_str(&url)) == url.len &&
	    http_same_origin(text_str(&url), g->base))
		add_place(p, text_str(&url));
}

int source_git_places(struct git *g, const struct repo_id *repo,
		      struct git_places *out, struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(SOURCE_GIT_URL_MAX - 64);

	out->count = 0;
	add_noted(g, repo, out);
	text_printf(&url, "%s/%s/%s", g->base, repo->owner, repo->name);
	if (text_failed(&url))
		return err_errno(err, -text_failed(&url), "'%s'",
				 g->source.url);
	add_place(out, text_str(&url));
	text_add(&url, ".git");
	add_place(out, text_str(&url));
	return 0;
}

void source_git_found(struct git *g, const struct repo_id *repo,
		      const struct git_places *known, const char *url)
{
	AUTO(auto_text) struct text key = TEXT_INIT(SOURCE_GIT_URL_MAX);

	add_key(g, repo, &key);
	/* Nothing is noted where the first guess is right. */
	if (g->file || !g->store || text_failed(&key) ||
	    strcmp(known->url[0], url) == 0)
		return;
	(void)store_note_write(g->store, NOTE, text_str(&key), url, strlen(url),
			       NULL);
}

/* ---- names ---- */

/* Where redirects have led, on the same server: the pack is asked for there,
 * because a POST is not led from one place to another by every server. */
static void follow(const struct http_response *a, char url[SOURCE_GIT_URL_MAX])
{
	size_t n = strlen(a->last);
	const size_t tail = strlen(SERVICE);

	if (n > tail && strcmp(a->last + n - tail, SERVICE) == 0) {
		memcpy(url, a->last, n - tail);
		url[n - tail] = '\0';
	}
}

static int ask_refs(struct git *g, char url[SOURCE_GIT_URL_MAX],
		    struct source_refs *out, struct err *err)
{
	AUTO(auto_text) struct text at = TEXT_INIT(SOURCE_GIT_URL_MAX + 64);
	AUTO(auto_text) struct text said = TEXT_INIT(GITWIRE_REFS_BYTES);
	struct http_request req = { .endpoint = "refs" };
	struct http_response a = { .status = 0 };
	int r;

	text_printf(&at, "%s" SERVICE, url);
	req.url = text_str(&at);
	r = source_git_ask(g, &req, false, &said, &a, err);
	if (r == -EFBIG)
		return err_set(err, EIO, "names of more than %u bytes",
			       GITWIRE_REFS_BYTES);
	if (r < 0)
		return r;
	r = gitwire_refs(text_str(&said), said.len, out, err);
	if (!r)
		follow(&a, url);
	return r;
}

int source_git_refs(struct git *g, const struct repo_id *repo,
		    struct source_refs *out, struct err *err)
{
	struct git_places known;
	int r = source_git_places(g, repo, &known, err);

	for (size_t i = 0; !r && i < known.count; i++) {
		char url[SOURCE_GIT_URL_MAX];

		memcpy(url, known.url[i], sizeof(url));
		r = ask_refs(g, url, out, err);
		if (!r) {
			source_git_found(g, repo, &known, url);
			return 0;
		}
		if (r != -ENOENT || i + 1 == known.count)
			return err_wrap(err, r, "'%s/%s' at %s", repo->owner,
					repo->name, g->source.url);
		r = 0;
	}
	return r;
}
