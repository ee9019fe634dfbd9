/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sources and their mirrors, each asked once, and whether they take our
 * token.
 */
#include "checks.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"
#include "fs/options.h"
#include "kernels/http/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_MAX (4u << 20)
/* A person waits for this one. */
#define WAIT_MS 10000

static int64_t at_most(uint64_t ms)
{
	return ms < WAIT_MS ? (int64_t)ms : WAIT_MS;
}

static void check_token(struct checks *c, struct http *h,
			const struct http_response *resp)
{
	if (resp->token_sent && (resp->status == 401 || resp->status == 403))
		checks_hint(checks_add(c, "token", false,
				       "the source refuses "
				       "it (%ld)",
				       resp->status),
			    "put a new one into the file of --token-file, or "
			    "HF_TOKEN");
	else if (resp->token_sent)
		(void)checks_add(c, "token", true,
				 "there is one, and the "
				 "source did not refuse it");
	else if (resp->token_kept)
		checks_hint(checks_add(c, "token", false,
				       "there is one; it "
				       "is not sent in clear text"),
			    "name the source with https://");
	else if (http_has_token(h))
		(void)checks_add(c, "token", true,
				 "there is one; the source "
				 "could not be asked");
	else
		(void)checks_add(c, "token", true,
				 "none: public kernels "
				 "only");
}

static void ask_hub(struct checks *c, struct http *h, const char *source)
{
	AUTO(auto_text) struct text url = TEXT_INIT(8192);
	AUTO(auto_text) struct text answer = TEXT_INIT(ANSWER_MAX);
	struct http_response resp = { .status = 0 };
	struct http_request req = { .endpoint = "kernels",
				    .authorize = true,
				    .tries = 1 };
	struct err err = ERR_INIT;
	size_t n = strlen(source);
	int r;

	while (n && source[n - 1] == '/')
		n--;
	text_add_bytes(&url, source, n);
	text_add(&url, "/api/kernels?limit=1");
	req.url = text_str(&url);
	r = http_get_text(h, &req, &answer, &resp, &err);
	if (r == 0 && resp.html)
		checks_hint(checks_add(c, "source", false,
				       "'%.300s' answers "
				       "with a web page",
				       source),
			    "is there a login in between? name the Hub: "
			    "--source=URL");
	else if (resp.status > 0 && resp.status < 500 && resp.status != 429)
		(void)checks_add(c, "source", true, "'%.400s' answers", source);
	else
		checks_hint(checks_add(c, "source", false, "%.500s",
				       err_text(&err)),
			    "name a source that answers: --source=URL; what "
			    "is cached works without one");
	check_token(c, h, &resp);
}

static void look_at_folder(struct checks *c, const char *source)
{
	const char *path = strstr(source, "://") + 3;

	if (access(path, R_OK | X_OK) == 0)
		(void)checks_add(c, "source", true, "'%.400s' can be read",
				 source);
	else
		checks_hint(checks_add(c, "source", false, "'%.400s': %s",
				       source, strerrordesc_np(errno)),
			    "name a folder that is there: "
			    "--source=file:///FOLDER");
}

/* A git server says nothing before a repository is named. */
static void ask(struct checks *c, struct http *h, const char *source)
{
	if (text_starts(source, "https://") || text_starts(source, "http://"))
		ask_hub(c, h, source);
	else if (text_starts(source, "file://") ||
		 text_starts(source, "git+file://"))
		look_at_folder(c, source);
	else
		(void)checks_add(c, "source", true,
				 "'%.400s' is asked when a kernel is", source);
}

static void ask_all(struct checks *c, struct http *h)
{
	if (c->o->offline) {
		(void)checks_add(c, "source", true,
				 "offline: no request is made");
		return;
	}
	for (size_t i = 0; i < c->o->source.count; i++)
		ask(c, h, c->o->source.items[i]);
	for (size_t i = 0; i < c->o->mirror.count; i++)
		ask(c, h, c->o->mirror.items[i]);
}

void checks_source(struct checks *c)
{
	const struct http_options ho = {
		.user_agent = "kernelfs doctor",
		.token_file = c->o->token_file,
		.connect_timeout_ms = at_most(c->o->connect_timeout_ms),
		.stall_timeout_ms = at_most(c->o->stall_timeout_ms),
		.deadline_ms = at_most(c->o->deadline_ms),
	};
	struct err err = ERR_INIT;
	struct http *h = NULL;
	int r = http_new(&h, &ho, &err);

	if (r < 0) {
		(void)checks_add(c, "source", false, "%s", err_text(&err));
		return;
	}
	ask_all(c, h);
	http_free(h);
}
