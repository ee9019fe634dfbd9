/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "hub_json.h"
#include "kernels/http/http.h"
#include "tree.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/*
 * The Hub's HTTP API for repositories of the type "kernel". URLs and their
 * quoting: kernels-facts.md 6.1, 6.2.
 */

#define ENDPOINT_MAX 1024
#define URL_MAX 8000
#define OVERVIEW_BYTES (1u << 20)
#define REFS_BYTES (8u << 20)
#define PAGE_BYTES (16u << 20)
/* A page holds 1000 entries or more; a listing has its own limit. */
#define PAGES_MAX 2000u
#define PAGE_ENTRIES 1000

struct hub {
	struct source source; /* first; its url is the endpoint, no '/' last */
	struct http *http;
};

static struct hub *hub_of(struct source *s)
{
	return (struct hub *)s;
}

/* ---- what a failure means ---- */

static const char *why_no_token(const struct hub *h,
				const struct http_response *a)
{
	if (h->source.silent_token)
		return "it is only sent to the first source";
	return a->token_kept ? "it is only sent over https"
			     : "set HF_TOKEN or token_file";
}

/*
 * `r` of a request for `what`, with the Hub's answer, as what it means to
 * who asked. Failures that are no answer of the Hub stay what they are.
 */
static int explain(struct hub *h, const struct http_response *a, int r,
		   const char *what, struct err *err)
{
	const char *message = a->error_message;

	/* It answered, only what it said is of no use. */
	if (r == -EIO && a->status && a->status < 500 && a->status != 429)
		r = -EPROTO;
	if (r != -ENOENT && r != -EACCES)
		return err_wrap(err, r, "%s", what);
	if (a->status < 400)
		return r; /* the sink's own: a cache that refuses */
	if (a->status == 401 && !a->token_sent &&
	    strcmp(a->error_code, "GatedRepo") != 0)
		return err_set(err, ENOENT,
			       "%s: not found at %s, or private: no token was "
			       "sent (%s)",
			       what, h->source.url, why_no_token(h, a));
	if (strcmp(a->error_code, "GatedRepo") == 0)
		return err_set(err, EACCES,
			       "%s: access is gated: accept its terms at %s "
			       "and use the token of that account%s%s",
			       what, h->source.url, *message ? ": " : "",
			       message);
	if (a->status == 401)
		return err_set(err, EACCES, "%s: %s refused the token%s%s",
			       what, h->source.url, *message ? ": " : "",
			       message);
	if (strcmp(a->error_code, "RevisionNotFound") == 0)
		return err_set(err, ENOENT, "%s: no such revision at %s", what,
			       h->source.url);
	if (strcmp(a->error_code, "EntryNotFound") == 0)
		return err_set(err, ENOENT, "%s: no such file or folder at %s",
			       what, h->source.url);
	if (r == -ENOENT || strcmp(a->error_code, "RepoNotFound") == 0)
		return err_set(err, ENOENT, "%s: not found at %s", what,
			       h->source.url);
	return err_set(err, EACCES, "%s: %s refused access%s%s%s", what,
		       h->source.url,
		       a->token_sent ? " with this token" : " without a token",
		       *message ? ": " : "", message);
}

static int no_html(const struct http_response *a, struct err *err)
{
	if (!a->html)
		return 0;
	return err_set(err, EPROTO,
		       "answered with a web page, is there a login "
		       "or proxy in between?");
}

/* ---- small answers ---- */

/* Where another can be asked, that one is the second try; and who was silent a
 * moment ago is asked once, and not waited for each time. */
static unsigned tries_of(const struct hub *h)
{
	if (source_is_down(&h->source))
		return 1;
	return __atomic_load_n(&h->source.hasty, __ATOMIC_RELAXED) ? 1 : 0;
}

/* GET into `out`, whose limit holds; `what` names it in failures. */
static int ask(struct hub *h, const char *url, const char *endpoint,
	       const char *what, struct text *out, struct http_response *a,
	       struct err *err)
{
	struct http_request req = {
		.url = url,
		.endpoint = endpoint,
		.authorize = !h->source.silent_token,
		.tries = tries_of(h),
		.hasty = tries_of(h) != 0,
	};
	int r = http_get_text(h->http, &req, out, a, err);

	if (r == -EFBIG)
		return err_set(err, EPROTO,
			       "%s: the answer is larger than %zu "
			       "bytes",
			       what, out->limit);
	if (r < 0)
		return explain(h, a, r, what, err);
	r = no_html(a, err);
	return r < 0 ? err_wrap(err, r, "%s", what) : 0;
}

static int check_url(const struct text *url, struct err *err)
{
	if (text_failed(url))
		return err_errno(err, -text_failed(url), "URL");
	return 0;
}

/* <endpoint>/api/kernels/<owner>/<name> */
static void add_api(struct text *url, const struct hub *h,
		    const struct repo_id *repo)
{
	text_add(url, h->source.url);
	text_add(url, "/api/kernels/");
	text_add_url(url, repo->owner, "");
	text_add_char(url, '/');
	text_add_url(url, repo->name, "");
}

static int hub_trusted(struct source *s, const struct repo_id *repo, bool *out,
		       struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(URL_MAX);
	AUTO(auto_text) struct text body = TEXT_INIT(OVERVIEW_BYTES);
	AUTO(auto_text) struct text what = TEXT_INIT(URL_MAX);
	struct http_response a;
	int r;

	text_printf(&what, "publisher '%s'", repo->owner);
	text_printf(&url, "%s/api/organizations/", s->url);
	text_add_url(&url, repo->owner, "");
	text_add(&url, "/overview");
	r = check_url(&url, err);
	if (r < 0)
		return r;
	r = ask(hub_of(s), text_str(&url), "trust", text_str(&what), &body, &a,
		err);
	if (r == -ENOENT || (r == -EACCES && !a.token_sent)) {
		/* A user account, or hidden from us: nobody vouches. */
		*out = false;
		return 0;
	}
	if (r < 0)
		return r;
	r = hub_json_trusted(text_str(&body), body.len, out, err);
	return r < 0 ? err_wrap(err, r, "%s", text_str(&what)) : 0;
}

/* "<api>/<owner>/<name>/refs", where a redirect from `repo` has led. */
static void find_present_name(const struct hub *h, const char *url,
			      const struct repo_id *repo, struct repo_id *out)
{
	AUTO(auto_text) struct text api = TEXT_INIT(ENDPOINT_MAX + 16);
	char id[sizeof(repo->owner) + sizeof(repo->name)];
	const size_t tail = strlen("/refs");
	struct repo_id found;
	size_t len;

	text_printf(&api, "%s/api/kernels/", h->source.url);
	if (text_failed(&api) || strncmp(url, text_str(&api), api.len) != 0)
		return;
	url += api.len;
	len = strcspn(url, "?");
	if (len <= tail || len - tail >= sizeof(id) ||
	    strncmp(url + len - tail, "/refs", tail) != 0)
		return;
	memcpy(id, url, len - tail);
	id[len - tail] = '\0';
	if (ref_parse_repo(&found, id, NULL) == 0 && !repo_equal(&found, repo))
		*out = found;
}

static int hub_refs(struct source *s, const struct repo_id *repo,
		    struct source_refs *out, struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(URL_MAX);
	AUTO(auto_text) struct text body = TEXT_INIT(REFS_BYTES);
	AUTO(auto_text) struct text what = TEXT_INIT(URL_MAX);
	struct http_response a;
	int r;

	text_printf(&what, "'%s/%s'", repo->owner, repo->name);
	add_api(&url, hub_of(s), repo);
	text_add(&url, "/refs");
	r = check_url(&url, err);
	if (!r)
		r = ask(hub_of(s), text_str(&url), "refs", text_str(&what),
			&body, &a, err);
	if (r < 0)
		return r;
	r = hub_json_refs(text_str(&body), body.len, out, err);
	if (r < 0)
		return err_wrap(err, r, "refs of %s", text_str(&what));
	find_present_name(hub_of(s), a.last, repo, &out->moved_to);
	return 0;
}

/* ---- paged answers ---- */

/* An answer that goes on at the URL of its Link header. */
struct pages {
	const char *endpoint;
	const char *what;
	size_t entries_max;
	/* One page; *entries is counted up by it. */
	int (*take)(struct pages *p, const char *s, size_t n, size_t *entries,
		    struct err *err);
};

/* The Hub's token must not be led elsewhere, and every page must bring us
 * on, or a hostile source would keep us for ever. */
static int next_page(struct hub *h, struct text *url,
		     const struct http_response *a, const struct pages *p,
		     struct err *err)
{
	if (strcmp(a->next, text_str(url)) == 0)
		return err_set(err, EPROTO,
			       "%s: a page names itself as the next", p->what);
	if (!http_same_origin(a->next, h->source.url))
		return err_set(err, EPROTO,
			       "%s: the next page is at another host", p->what);
	text_clear(url);
	text_add(url, a->next);
	return check_url(url, err);
}

/* A listing may take the deadline for each page's worth of entries: many
 * pages of few, each just in time, do not hold us for days. */
static int check_pace(struct hub *h, int64_t begun_ms, size_t entries,
		      const struct pages *p, struct err *err)
{
	int64_t worth = 1 + (int64_t)(entries / PAGE_ENTRIES);
	int64_t took = io_now_ms() - begun_ms;

	if (took / worth <= http_deadline_ms(h->http))
		return 0;
	return err_set(err, ETIMEDOUT,
		       "%s: only %zu entries came in %" PRId64 " s", p->what,
		       entries, took / 1000);
}

static int all_pages(struct hub *h, struct text *url, struct pages *p,
		     struct http_response *a, struct err *err)
{
	const int64_t begun_ms = io_now_ms();
	size_t entries = 0;
	int r = check_url(url, err);

	for (size_t page = 0; !r; page++) {
		AUTO(auto_text) struct text body = TEXT_INIT(PAGE_BYTES);
		size_t before = entries;

		r = ask(h, text_str(url), p->endpoint, p->what, &body, a, err);
		if (r < 0)
			return r;
		r = p->take(p, text_str(&body), body.len, &entries, err);
		if (r < 0)
			return err_wrap(err, r, "%s", p->what);
		if (!a->next[0])
			break;
		if (entries > p->entries_max || page == PAGES_MAX ||
		    entries == before)
			return err_set(err, EPROTO,
				       "%s: a listing without end: %zu "
				       "entries on %zu pages",
				       p->what, entries, page + 1);
		r = check_pace(h, begun_ms, entries, p, err);
		if (!r)
			r = next_page(h, url, a, p, err);
	}
	return r;
}

struct tree_pages {
	struct pages pages; /* first */
	struct hub_page page;
};

static int take_tree(struct pages *p, const char *s, size_t n, size_t *entries,
		     struct err *err)
{
	struct tree_pages *t = (struct tree_pages *)p;
	int r = hub_json_tree(s, n, &t->page, err);

	*entries = t->page.entries;
	return r;
}

static int hub_tree(struct source *s, const struct repo_id *repo,
		    const char *commit, const char *dir, bool recursive,
		    struct tree_builder *b, struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(URL_MAX);
	AUTO(auto_text) struct text what = TEXT_INIT(URL_MAX);
	struct http_response a;
	struct tree_pages t = {
		.pages = { .endpoint = "tree",
			   .entries_max = TREE_ENTRIES_MAX,
			   .take = take_tree },
		.page = { .dir = dir, .recursive = recursive, .builder = b },
	};
	int r;

	text_printf(&what, "'%s/%s@%s%s%s'", repo->owner, repo->name, commit,
		    *dir ? "/" : "", dir);
	t.pages.what = text_str(&what);
	add_api(&url, hub_of(s), repo);
	text_add(&url, "/tree/");
	text_add_url(&url, commit, "");
	if (*dir)
		text_add_char(&url, '/');
	text_add_url(&url, dir, "");
	text_printf(&url, "?recursive=%s&expand=false",
		    recursive ? "true" : "false");
	r = all_pages(hub_of(s), &url, &t.pages, &a, err);
	if (r < 0)
		return r;
	/* git keeps no empty folders */
	if (*dir && t.page.entries == 0)
		return err_set(err, ENOENT, "%s: no such folder", t.pages.what);
	return 0;
}

struct kernel_pages {
	struct pages pages; /* first */
	const char *owner;
	struct text names;
};

static int take_kernels(struct pages *p, const char *s, size_t n,
			size_t *entries, struct err *err)
{
	struct kernel_pages *k = (struct kernel_pages *)p;

	return hub_json_kernels(s, n, k->owner, &k->names, entries, err);
}

static int hub_kernels(struct source *s, const char *owner,
		       struct source_names *out, struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(URL_MAX);
	AUTO(auto_text) struct text what = TEXT_INIT(URL_MAX);
	struct http_response a = { .status = 0 };
	struct kernel_pages k = {
		.pages = { .endpoint = "kernels",
			   .entries_max = SOURCE_KERNELS_MAX,
			   .take = take_kernels },
		.owner = owner,
		.names = TEXT_INIT(SOURCE_KERNELS_MAX * (REF_PART_MAX + 1)),
	};
	int r;

	text_printf(&what, "kernels of '%s'", owner);
	k.pages.what = text_str(&what);
	text_printf(&url, "%s/api/kernels?author=", s->url);
	text_add_url(&url, owner, "");
	text_add(&url, "&limit=1000");
	r = all_pages(hub_of(s), &url, &k.pages, &a, err);
	if (!r)
		r = source_names_from(out, text_str(&k.names), k.names.len,
				      err);
	else if (a.status == 404 || a.status == 400 || a.status == 405)
		r = err_set(err, ENOSYS, "%s cannot list the kernels of '%s'",
			    s->url, owner);
	text_done(&k.names);
	return r;
}

/* ---- files ---- */

/* Between the wire and the caller's sink: is it a file, and all of it? */
struct file_sink {
	struct http_sink sink; /* first */
	struct http_sink *to;
	const struct http_response *answer;
	const struct source_file *file;
	uint64_t at;
};

static int file_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct file_sink *f = (struct file_sink *)s;
	bool page = text_ends(f->file->path, ".html") ||
		    text_ends(f->file->path, ".htm");
	int r = page ? 0 : no_html(f->answer, err);

	if (r < 0)
		return r;
	f->at = from;
	return f->to->begin(f->to, from, err);
}

static int file_write(struct http_sink *s, const void *p, size_t n,
		      struct err *err)
{
	struct file_sink *f = (struct file_sink *)s;

	f->at += n;
	return f->to->write(f->to, p, n, err);
}

static void file_asked(struct http_sink *s)
{
	struct http_sink *to = ((struct file_sink *)s)->to;

	if (to->asked)
		to->asked(to);
}

/* Of a part, its end is enough. */
static int check_end(const struct source_file *f, uint64_t at, const char *what,
		     struct err *err)
{
	if (f->size == SOURCE_SIZE_UNKNOWN || at == f->size ||
	    (f->until && at == f->until))
		return 0;
	return err_set(
		err, EPROTO,
		"%s: the source sends %" PRIu64 " bytes and lists %" PRIu64,
		what, at, f->until && f->until < f->size ? f->until : f->size);
}

static int hub_file(struct source *s, const struct source_file *f,
		    struct http_sink *sink, struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(URL_MAX);
	AUTO(auto_text) struct text what = TEXT_INIT(URL_MAX);
	struct http_response a = { .status = 0 };
	struct file_sink to = {
		.sink = { .begin = file_begin,
			  .write = file_write,
			  .asked = file_asked },
		.to = sink,
		.answer = &a,
		.file = f,
	};
	struct http_request req = {
		.endpoint = "resolve",
		.authorize = !s->silent_token,
		.tries = tries_of(hub_of(s)),
		.hasty = tries_of(hub_of(s)) != 0,
		.from = f->from,
		.until = f->until,
		.place = f->place,
		.apart = f->apart,
		.limit = f->size,
		.sink = &to.sink,
		.cancelled = f->cancelled,
		.progress_ms = f->progress_ms,
	};
	int r;

	text_printf(&what, "'%s/%s@%s/%s'", f->repo->owner, f->repo->name,
		    f->commit, f->path);
	text_printf(&url, "%s/kernels/%s/%s/resolve/%s/", s->url,
		    f->repo->owner, f->repo->name, f->commit);
	text_add_url(&url, f->path, "/");
	r = check_url(&url, err);
	if (r < 0)
		return r;
	req.url = text_str(&url);
	r = http_get(hub_of(s)->http, &req, &a, err);
	if (r == -EFBIG)
		return err_set(err, EBADMSG,
			       "%s: the source sends more than "
			       "the %" PRIu64 " bytes that it lists",
			       text_str(&what), f->size);
	/* One file that cannot be had says nothing about all others. */
	if (r == -EIO && a.status)
		r = -EPROTO;
	if (r < 0)
		return explain(hub_of(s), &a, r, text_str(&what), err);
	return check_end(f, to.at, text_str(&what), err);
}

/* ---- does it answer ---- */

/* Whatever it says, it says something. */
static int hub_alive(struct source *s, struct err *err)
{
	AUTO(auto_text) struct text url = TEXT_INIT(URL_MAX);
	AUTO(auto_text) struct text body = TEXT_INIT(PAGE_BYTES);
	struct http_response a = { .status = 0 };
	struct http_request req = { .endpoint = "alive",
				    .tries = 1,
				    .hasty = true };
	int r;

	text_printf(&url, "%s/api/kernels?limit=1", s->url);
	r = check_url(&url, err);
	if (r < 0)
		return r;
	req.url = text_str(&url);
	r = http_get_text(hub_of(s)->http, &req, &body, &a, err);
	if (r == -ENOENT || r == -EACCES)
		return 0;
	return r == -EFBIG ? 0 : r;
}

/* ---- life ---- */

static void hub_free(struct source *s)
{
	free(s->url);
	free(s);
}

static const struct source_ops hub_ops = {
	.kernels = hub_kernels,
	.trusted = hub_trusted,
	.refs = hub_refs,
	.tree = hub_tree,
	.file = hub_file,
	.alive = hub_alive,
	.free = hub_free,
};

/* "host", "host:port" or "[address]:port" behind the scheme. */
static bool has_host(const char *url)
{
	const char *at = strstr(url, "://");
	struct cursor c = cursor_of(at ? at + strlen("://") : "");
	struct cursor all = cursor_until(&c, '/');
	bool literal = cursor_skip_char(&all, '[');
	struct cursor host = cursor_until(&all, literal ? ']' : ':');
	uint32_t port = 0;

	if (cursor_done(&host) || (literal && !cursor_skip_char(&all, ']')))
		return false;
	if (cursor_skip_char(&all, ':') &&
	    (!cursor_number(&all, 5, &port) || port > 65535))
		return false;
	return cursor_done(&all);
}

int source_hub_new(struct source **out, const char *url,
		   const struct source_options *o, struct err *err)
{
	struct hub *h;
	size_t n = strlen(url);

	while (n && url[n - 1] == '/')
		n--;
	/* Is there a host, and no password, which would stand in every
	 * message? What else is wrong with it, the first request finds. */
	if (n > ENDPOINT_MAX || strpbrk(url, "?#@ ") || !has_host(url))
		return err_set(err, EINVAL,
			       "source '%s': not an http or https URL with a "
			       "host and without user, query or fragment",
			       strpbrk(url, "@?#") ? "(not shown)" : url);
	h = calloc(1, sizeof(*h));
	if (!h)
		return err_errno(err, ENOMEM, "source");
	h->http = o->http;
	h->source.ops = &hub_ops;
	h->source.url = text_dup(url, n);
	if (!h->source.url) {
		free(h);
		return err_errno(err, ENOMEM, "source");
	}
	*out = &h->source;
	return 0;
}
