/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/source.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "kernels/http/http.h"
#include "kernels/http/http_load.h"
#include "kernels/tree.h"
#include "server.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define COMMIT "0123456789abcdef0123456789abcdef01234567"
#define LAST "Connection: close\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\n" LAST
#define PAGE(rest) \
	"HTTP/1.1 200 OK\r\nConnection: close\r\nLink: <" rest \
	">; rel=\"next\"\r\n\r\n"
#define FILE_ENTRY(path) \
	"{\"type\":\"file\",\"oid\":\"" COMMIT \
	"\",\"size\":3,\"path\":\"" path "\"}"
#define N(rows) (sizeof(rows) / sizeof((rows)[0]))

static const struct repo_id repo = { .owner = "o", .name = "r" };

/* A source at a server that plays a script. */
struct world {
	struct server server;
	struct http *http;
	struct source *source;
	struct err err;
};

static void world_init_for(struct world *w, struct server_row *rows, size_t n,
			   int64_t deadline_ms)
{
	const struct http_options o = {
		.user_agent = "kernelfs/test",
		.connect_timeout_ms = 5000,
		.stall_timeout_ms = 5000,
		.deadline_ms = deadline_ms,
	};

	struct source_options so = { .http = NULL };

	memset(w, 0, sizeof(*w));
	server_start(&w->server, rows, n);
	assert_int_equal(http_new(&w->http, &o, NULL), 0);
	so.http = w->http;
	assert_int_equal(source_hub_new(&w->source,
					server_url(&w->server, "//"), &so,
					NULL),
			 0);
}

static void world_init(struct world *w, struct server_row *rows, size_t n)
{
	world_init_for(w, rows, n, 20000);
}

static void world_done(struct world *w)
{
	source_free(w->source);
	http_free(w->http);
	server_stop(&w->server);
}

static void assert_says(const struct world *w, const char *text)
{
	if (!strstr(w->err.text, text))
		fail_msg("'%s' does not say '%s'", w->err.text, text);
}

static int get_tree(struct world *w, const char *dir, bool recursive,
		    struct tree **out)
{
	AUTO(auto_free) void *bytes = NULL;
	struct tree_builder *b;
	size_t n = 0;
	int r;

	w->err = (struct err)ERR_INIT;
	assert_int_equal(tree_builder_new(&b, NULL), 0);
	r = w->source->ops->tree(w->source, &repo, COMMIT, dir, recursive, b,
				 &w->err);
	if (!r)
		r = tree_builder_end(b, &bytes, &n, &w->err);
	tree_builder_free(b);
	return r < 0 ? r : tree_from_bytes(out, bytes, n, &w->err);
}

/* ---- what an answer means ---- */

static const struct {
	const char *answer;
	bool token;
	int result;
	const char *says;
} meanings[] = {
	{ "404 No\r\nX-Error-Code: RepoNotFound\r\n", false, -ENOENT,
	  "'o/r': not found at http://127.0.0.1" },
	{ "404 No\r\nX-Error-Code: RevisionNotFound\r\n", true, -ENOENT,
	  "no such revision" },
	{ "404 No\r\nX-Error-Code: EntryNotFound\r\n", true, -ENOENT,
	  "no such file or folder" },
	{ "404 No\r\n", true, -ENOENT, "not found" },
	{ "401 No\r\nX-Error-Code: RepoNotFound\r\n", false, -ENOENT,
	  "or private: no token was sent (set HF_TOKEN or token_file)" },
	{ "401 No\r\nX-Error-Message: Invalid credentials\r\n", true, -EACCES,
	  "refused the token: Invalid credentials" },
	{ "401 No\r\nX-Error-Code: GatedRepo\r\n", false, -EACCES,
	  "access is gated: accept its terms" },
	{ "403 No\r\nX-Error-Code: GatedRepo\r\n", true, -EACCES,
	  "access is gated: accept its terms" },
	{ "403 No\r\nX-Error-Message: Go away\r\n", true, -EACCES,
	  "refused access with this token: Go away" },
	{ "403 No\r\n", false, -EACCES, "refused access without a token" },
	{ "400 No\r\n", true, -EPROTO, "answered 400" },
	{ "200 OK\r\nContent-Type: text/html\r\n", true, -EPROTO,
	  "answered with a web page, is there a login or proxy" },
	{ "200 OK\r\n", true, -EPROTO,
	  "refs of 'o/r': the answer is no good "
	  "JSON" },
};

static void says_what_an_answer_means(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(meanings); i++) {
		char answer[512];
		struct server_row rows[] = { { "/", answer, 0, true, 0, 0 } };
		struct source_refs refs;
		struct world w;
		int r;

		(void)snprintf(answer, sizeof(answer),
			       "HTTP/1.1 %sContent-"
			       "Length: 3\r\n" LAST "<a>",
			       meanings[i].answer);
		if (meanings[i].token)
			(void)setenv("HF_TOKEN", "hf_x", 1);
		world_init(&w, rows, N(rows));
		(void)unsetenv("HF_TOKEN");
		r = w.source->ops->refs(w.source, &repo, &refs, &w.err);
		if (r != meanings[i].result)
			fail_msg("%s: %d, %s", answer, r, w.err.text);
		assert_says(&w, meanings[i].says);
		assert_true(server_was_asked(&w.server, 0,
					     "GET /api/kernels/o/r/refs HTTP"));
		world_done(&w);
	}
}

static void who_was_silent_is_asked_once(void **state)
{
	struct server_row rows[] = { { "/", "HTTP/1.1 503 No\r\n" LAST, 0, true,
				       0, 0 } };
	struct source_refs refs = { 0 };
	struct world w;

	(void)state;
	world_init(&w, rows, N(rows));
	source_heard(w.source, -EIO, "", NULL);
	assert_int_equal(w.source->ops->refs(w.source, &repo, &refs, &w.err),
			 -EIO);
	world_done(&w);
	assert_int_equal(w.server.asked_count, 1);
}

/* ---- trust ---- */

static const struct {
	const char *answer;
	bool token;
	int result;
	bool trusted;
} trusts[] = {
	{ "200 OK\r\n" LAST "{\"trustedKernelPublisher\":true}", 0, 0, true },
	{ "200 OK\r\n" LAST "{\"trustedKernelPublisher\":false}", 0, 0, false },
	{ "404 No\r\n" LAST, false, 0, false },
	{ "401 No\r\n" LAST, false, 0, false },
	{ "401 No\r\n" LAST, true, -EACCES, false },
	{ "403 No\r\n" LAST, true, -EACCES, false },
	{ "418 No\r\n" LAST, true, -EPROTO, false },
	{ "200 OK\r\nContent-Type: text/html\r\n" LAST, true, -EPROTO, false },
	{ "200 OK\r\n" LAST "[]", true, -EPROTO, false },
};

static void trusts_only_whom_the_hub_marks(void **state)
{
	static const struct repo_id publisher = { "o-x", "r" };

	(void)state;
	for (size_t i = 0; i < N(trusts); i++) {
		char answer[512];
		struct server_row rows[] = { { "/", answer, 0, true, 0, 0 } };
		struct world w;
		bool yes = false;

		(void)snprintf(answer, sizeof(answer), "HTTP/1.1 %s",
			       trusts[i].answer);
		if (trusts[i].token)
			(void)setenv("HF_TOKEN", "hf_x", 1);
		world_init(&w, rows, N(rows));
		(void)unsetenv("HF_TOKEN");
		assert_int_equal(w.source->ops->trusted(w.source, &publisher,
							&yes, &w.err),
				 trusts[i].result);
		assert_int_equal(yes, trusts[i].trusted);
		assert_true(server_was_asked(
			&w.server, 0,
			"GET /api/organizations/o-x/overview HTTP"));
		world_done(&w);
	}
}

/* ---- trees ---- */

static void joins_the_pages_of_a_listing(void **state)
{
	struct server_row rows[] = {
		{ "/api/kernels/o/r/tree/" COMMIT "/build%2Fa%20b"
		  "?recursive=true&expand=false ",
		  PAGE("/page2?cursor=c%3D") "[" FILE_ENTRY("build/a b/x") "]",
		  0, 0, 0, 0 },
		{ "/page2?cursor=c%3D ", OK "[" FILE_ENTRY("build/a b/y/z") "]",
		  0, 0, 0, 0 },
	};
	struct tree *t = NULL;
	struct world w;

	(void)state;
	world_init(&w, rows, N(rows));
	assert_int_equal(get_tree(&w, "build/a b", true, &t), 0);
	assert_int_equal(tree_count(t), 3);
	assert_int_not_equal(tree_find(t, "y/z"), TREE_NONE);
	tree_unref(t);
	world_done(&w);
}

static void lists_the_root(void **state)
{
	struct server_row rows[] = {
		{ "/api/kernels/o/r/tree/" COMMIT
		  "?recursive=false&expand=false ",
		  OK "[" FILE_ENTRY("README.md") "]", 0, 0, 0, 0 },
	};
	struct tree *t = NULL;
	struct world w;

	(void)state;
	world_init(&w, rows, N(rows));
	assert_int_equal(get_tree(&w, "", false, &t), 0);
	assert_int_equal(tree_count(t), 1);
	tree_unref(t);
	world_done(&w);
}

static void an_empty_folder_is_absent(void **state)
{
	struct server_row rows[] = { { "/", OK "[]", 0, true, 0, 0 } };
	struct tree *t = NULL;
	struct world w;

	(void)state;
	world_init(&w, rows, N(rows));
	assert_int_equal(get_tree(&w, "build", false, &t), -ENOENT);
	assert_says(&w, "'o/r@" COMMIT "/build': no such folder");
	assert_int_equal(get_tree(&w, "", false, &t), 0);
	tree_unref(t);
	world_done(&w);
}

static const struct {
	const char *answer;
	const char *says;
} pagings[] = {
	{ PAGE("http://evil.example/x") "[" FILE_ENTRY("build/a") "]",
	  "next page is at another host" },
	{ PAGE("https://127.0.0.1/x") "[" FILE_ENTRY("build/a") "]",
	  "next page is at another host" },
	{ PAGE("file:///etc/passwd") "[" FILE_ENTRY("build/a") "]",
	  "next page is at another host" },
	{ PAGE("?recursive=false&expand=false") "[" FILE_ENTRY("build/a") "]",
	  "names itself as the next" },
	{ PAGE("/more") "[]", "listing without end: 0 entries on 1 pages" },
	{ OK "[" FILE_ENTRY("other/a") "]", "'other/a' is not below 'build'" },
	{ OK "[" FILE_ENTRY("build/a") "," FILE_ENTRY("build/a") "]", "a" },
};

static void refuses_a_listing_that_leads_astray(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(pagings); i++) {
		struct server_row rows[] = {
			{ "/", pagings[i].answer, 0, true, 0, 0 },
		};
		struct tree *t = NULL;
		struct world w;
		int r;

		world_init(&w, rows, N(rows));
		r = get_tree(&w, "build", false, &t);
		/* The last is found when the listing ends: not ours to map. */
		if (r != (i == N(pagings) - 1 ? -EINVAL : -EPROTO))
			fail_msg("%s: %d, %s", pagings[i].answer, r,
				 w.err.text);
		assert_says(&w, pagings[i].says);
		world_done(&w);
	}
}

/* One entry a page, each page within the deadline: for ever, in the end. */
static void a_listing_by_drops_ends(void **state)
{
	static const char later[] = "HTTP/1.1 503 Later\r\nRetry-After: 1\r\n"
				    "Content-Length: 0\r\n" LAST;
	struct server_row rows[] = {
		{ "/api", PAGE("/a") "[" FILE_ENTRY("build/a") "]", 0, 0, 0,
		  0 },
		{ "/a", later, 0, 0, 0, 0 },
		{ "/a", PAGE("/b") "[" FILE_ENTRY("build/b") "]", 0, 0, 0, 0 },
		{ "/b", later, 0, 0, 0, 0 },
		{ "/b", PAGE("/c") "[" FILE_ENTRY("build/c") "]", 0, 0, 0, 0 },
		{ "/c", OK "[" FILE_ENTRY("build/d") "]", 0, 0, 0, 0 },
	};
	struct tree *t = NULL;
	struct world w;

	(void)state;
	world_init_for(&w, rows, N(rows), 1800);
	assert_int_equal(get_tree(&w, "build", false, &t), -ETIMEDOUT);
	assert_says(&w, "only 3 entries came in");
	world_done(&w);
}

static void pages_in_a_circle_end(void **state)
{
	struct server_row rows[] = {
		{ "/one", PAGE("/two") "[" FILE_ENTRY("build/b") "]", 0, true,
		  0, 0 },
		{ "/two", PAGE("/one") "[" FILE_ENTRY("build/a") "]", 0, true,
		  0, 0 },
		{ "/", PAGE("/one") "[" FILE_ENTRY("build/a") "]", 0, true, 0,
		  0 },
	};
	struct tree *t = NULL;
	struct world w;

	(void)state;
	world_init(&w, rows, N(rows));
	assert_int_equal(get_tree(&w, "build", false, &t), -EPROTO);
	assert_says(&w, "listing without end");
	world_done(&w);
}

/* ---- an owner's kernels ---- */

static void lists_the_kernels_of_an_owner(void **state)
{
	struct server_row rows[] = {
		{ "/api/kernels?author=o&limit=1000 ",
		  PAGE("/api/kernels?author=o&cursor=2") "[{\"id\":\"o/"
							 "b\"},{\"id\":\"x/"
							 "y\"}]",
		  0, 0, 0, 0 },
		{ "/api/kernels?author=o&cursor=2 ", OK "[{\"id\":\"o/a\"}]", 0,
		  0, 0, 0 },
	};
	struct source_names names;
	struct world w;

	(void)state;
	world_init(&w, rows, N(rows));
	assert_int_equal(w.source->ops->kernels(w.source, "o", &names, NULL),
			 0);
	assert_int_equal(names.count, 2);
	assert_string_equal(names.names[0], "a");
	assert_string_equal(names.names[1], "b");
	source_names_done(&names);
	world_done(&w);
}

static void a_hub_may_be_unable_to_list(void **state)
{
	struct server_row rows[] = {
		{ "/", "HTTP/1.1 400 Bad\r\n" LAST, 0, 0, 0, 0 },
		{ "/", "HTTP/1.1 404 No\r\n" LAST, 0, 0, 0, 0 },
		{ "/", "HTTP/1.1 403 No\r\n" LAST, 0, 0, 0, 0 },
	};
	struct source_names names;
	struct world w;

	(void)state;
	world_init(&w, rows, N(rows));
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			w.source->ops->kernels(w.source, "o", &names, &w.err),
			-ENOSYS);
	assert_says(&w, "cannot list the kernels of 'o'");
	assert_int_equal(w.source->ops->kernels(w.source, "o", &names, NULL),
			 -EACCES);
	world_done(&w);
}

/* ---- files ---- */

struct keeper {
	struct http_sink sink; /* first */
	struct text got;
	int refuse;
};

static int keeper_begin(struct http_sink *s, uint64_t from, struct err *err)
{
	struct keeper *k = (struct keeper *)s;

	if (k->refuse)
		return err_set(err, -k->refuse, "the cache refuses");
	k->got.len = from;
	return 0;
}

static int keeper_write(struct http_sink *s, const void *p, size_t n,
			struct err *err)
{
	struct keeper *k = (struct keeper *)s;

	(void)err;
	text_add_bytes(&k->got, p, n);
	return 0;
}

static const struct {
	const char *path;
	const char *answer;
	int refuse;
	int result;
	const char *says;
} files[] = {
	{ "build/a+b c/x.py", OK "hello", 0, 0, "" },
	{ "x.html",
	  "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" LAST "hello", 0, 0,
	  "" },
	{ "x.py", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n" LAST "hello",
	  0, -EPROTO, "web page" },
	{ "x.py", OK "hello!", 0, -EBADMSG, "more than the 5 bytes" },
	{ "x.py", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n" LAST "hello!", 0,
	  -EBADMSG, "more than the 5 bytes" },
	{ "x.py", OK "hell", 0, -EPROTO, "sends 4 bytes and lists 5" },
	{ "x.py", OK "hello", -EACCES, -EACCES, "the cache refuses" },
	{ "x.py", "HTTP/1.1 404 No\r\n" LAST, 0, -ENOENT,
	  "'o/r@" COMMIT "/x.py': not found" },
};

static void takes_a_file_of_the_size_that_is_listed(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(files); i++) {
		struct server_row rows[] = {
			{ "/kernels/o/r/resolve/" COMMIT "/", files[i].answer,
			  0, true, 0, 0 },
		};
		const struct source_file f = { .repo = &repo,
					       .commit = COMMIT,
					       .path = files[i].path,
					       .size = 5 };
		struct keeper k = {
			.sink = { .begin = keeper_begin,
				  .write = keeper_write },
			.got = TEXT_INIT(100),
			.refuse = files[i].refuse,
		};
		struct world w;
		int r;

		world_init(&w, rows, N(rows));
		r = w.source->ops->file(w.source, &f, &k.sink, &w.err);
		if (r != files[i].result)
			fail_msg("%s: %d, %s", files[i].answer, r, w.err.text);
		assert_says(&w, files[i].says);
		if (!r)
			assert_string_equal(text_str(&k.got), "hello");
		text_done(&k.got);
		if (i == 0)
			assert_true(server_was_asked(
				&w.server, 0, "/build/a%2Bb%20c/x.py HTTP"));
		world_done(&w);
	}
}

static const struct {
	const char *answer;
	int result;
	const char *says;
} shares[] = {
	{ "HTTP/1.1 206 Part\r\nContent-Range: bytes 1-2/5\r\n" LAST "el", 0,
	  "" },
	{ "HTTP/1.1 206 Part\r\nContent-Range: bytes 1-1/5\r\n" LAST "e",
	  -EPROTO, "sends 2 bytes and lists 3" },
	{ OK "hello", 0, "" }, /* it was not refused */
};

static void takes_a_part_of_a_file(void **state)
{
	(void)state;
	for (size_t i = 0; i < N(shares); i++) {
		struct server_row rows[] = {
			{ "/", shares[i].answer, 0, true, 0, 0 },
		};
		const struct source_file f = { .repo = &repo,
					       .commit = COMMIT,
					       .path = "x",
					       .size = 5,
					       .from = 1,
					       .until = 3 };
		struct keeper k = {
			.sink = { .begin = keeper_begin,
				  .write = keeper_write },
			.got = TEXT_INIT(100),
		};
		struct world w;
		int r;

		world_init(&w, rows, N(rows));
		r = w.source->ops->file(w.source, &f, &k.sink, &w.err);
		if (r != shares[i].result)
			fail_msg("%s: %d, %s", shares[i].answer, r, w.err.text);
		assert_says(&w, shares[i].says);
		assert_true(server_was_asked(&w.server, 0,
					     "\r\nRange: bytes=1-2\r\n"));
		text_done(&k.got);
		world_done(&w);
	}
}

/* ---- the URL of a source ---- */

static int make(struct source **out, const char *url, struct err *err)
{
	const struct source_options o = { .http = NULL };
	const struct source_spec spec = { .url = url };

	return sources_new(out, &spec, 1, &o, err);
}

static void refuses_urls_that_are_no_endpoint(void **state)
{
	static const char *const bad[] = {
		"",
		"huggingface.co",
		"ftp://h.example",
		"https://",
		"https://user:secret@h.example",
		"https://h.example/?x=secret",
		"https://h.example/#secret",
		"gopher+https://h.example",
		"http://127.0.0.1:99999",
		"http://h.example",
		"https://h.ex ample",
	};
	struct source *s = NULL;
	struct err err;

	(void)state;
	for (size_t i = 0; i < N(bad); i++) {
		err = (struct err)ERR_INIT;
		assert_int_equal(make(&s, bad[i], &err), -EINVAL);
		assert_null(s);
		assert_true(err.text[0] != '\0');
		assert_null(strstr(err.text, "secret"));
	}
	assert_int_equal(make(&s, "https://h.example/hub//", NULL), 0);
	assert_string_equal(s->url, "https://h.example/hub");
	source_free(s);
}

static int start(void **state)
{
	(void)state;
	(void)unsetenv("http_proxy");
	(void)unsetenv("all_proxy");
	(void)unsetenv("ALL_PROXY");
	(void)unsetenv("HF_TOKEN");
	(void)unsetenv("HUGGING_FACE_HUB_TOKEN");
	(void)setenv("HF_TOKEN_PATH", "/nonexistent", 1);
	return http_load(NULL) ? 0 : -1;
}

static int stop(void **state)
{
	(void)state;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(says_what_an_answer_means),
		cmocka_unit_test(who_was_silent_is_asked_once),
		cmocka_unit_test(trusts_only_whom_the_hub_marks),
		cmocka_unit_test(joins_the_pages_of_a_listing),
		cmocka_unit_test(lists_the_root),
		cmocka_unit_test(an_empty_folder_is_absent),
		cmocka_unit_test(refuses_a_listing_that_leads_astray),
		cmocka_unit_test(a_listing_by_drops_ends),
		cmocka_unit_test(pages_in_a_circle_end),
		cmocka_unit_test(lists_the_kernels_of_an_owner),
		cmocka_unit_test(a_hub_may_be_unable_to_list),
		cmocka_unit_test(takes_a_file_of_the_size_that_is_listed),
		cmocka_unit_test(takes_a_part_of_a_file),
		cmocka_unit_test(refuses_urls_that_are_no_endpoint),
	};

	return cmocka_run_group_tests(tests, start, stop);
}
