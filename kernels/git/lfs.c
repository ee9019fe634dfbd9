/* SPDX-License-Identifier: Apache-2.0 */
#include "lfs.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "kernels/tree.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define HREF_MAX 8000u
#define HEADER_MAX 8192u

/* ---- pointers ---- */

static int bad_pointer(struct err *err, const char *why)
{
	return err_set(err, EIO, "it says that it stands for a large file, %s",
		       why);
}

int lfs_pointer_parse(struct lfs_pointer *out, const char *s, size_t n,
		      struct err *err)
{
	struct cursor c = { .p = s, .end = s + n };
	struct lfs_pointer p = { .size = 0 };
	char room[24] = "";
	char hex[65] = "";
	struct cursor word;

	if (n > LFS_POINTER_MAX ||
	    !cursor_skip(&c, "version https://git-lfs.github.com/spec/v1\n"))
		return 0;
	if (cursor_skip(&c, "ext-"))
		return bad_pointer(err, "changed by an extension, which only "
					"git-lfs itself could undo");
	if (!cursor_skip(&c, "oid sha256:"))
		return bad_pointer(err, "and names none by its SHA-256");
	word = cursor_until(&c, '\n');
	if (cursor_left(&word) == 64)
		memcpy(hex, word.p, 64);
	if (!text_is_hex(hex, 64) || digest_parse(&p.digest, hex) < 0)
		return bad_pointer(err, "but its oid is not 64 lower-case hex "
					"digits");
	if (!cursor_skip(&c, "\nsize "))
		return bad_pointer(err, "and gives no size");
	word = cursor_until(&c, '\n');
	if (cursor_left(&word) < sizeof(room))
		memcpy(room, word.p, cursor_left(&word));
	if (strlen(room) != cursor_left(&word) ||
	    text_to_u64(room, TREE_FILE_MAX, &p.size) < 0)
		return bad_pointer(err, "of no size that a file can have");
	if (!cursor_skip_char(&c, '\n') || !cursor_done(&c))
		return bad_pointer(err, "and does not end where it should");
	*out = p;
	return 1;
}

/* ---- asking ---- */

void lfs_batch_ask(struct text *out, const struct lfs_pointer *what)
{
	char hex[DIGEST_HEX_MAX];

	digest_print(&what->digest, hex);
	text_printf(out,
		    "{\"operation\": \"download\", \"transfers\": [\"basic\"], "
		    "\"hash_algo\": \"sha256\", \"objects\": [{\"oid\": "
		    "\"%s\", \"size\": %" PRIu64 "}]}",
		    hex, what->size);
}

void lfs_action_done(struct lfs_action *a)
{
	free(a->href);
	for (size_t i = 0; i < LFS_HEADERS_MAX && a->headers[i]; i++) {
		explicit_bzero(a->headers[i], strlen(a->headers[i]));
		free(a->headers[i]);
	}
	memset(a, 0, sizeof(*a));
}

/* ---- the answer ---- */

static bool is_token(const char *s)
{
	if (!*s)
		return false;
	for (; *s; s++)
		if (!isalnum((unsigned char)*s) && !strchr("-_.", *s))
			return false;
	return true;
}

static bool is_value(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < ' ' || *s == 0x7f)
			return false;
	return true;
}

/* What says how the bytes travel is for us to say, not for the server. */
static bool is_ours(const char *name)
{
	static const char *const ours[] = {
		"host",	  "connection", "content-length",  "transfer-encoding",
		"range",  "te",		"accept-encoding", "upgrade",
		"expect", "keep-alive", "trailer",
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return true;
	return text_starts(name, "proxy-") || text_starts(name, "Proxy-");
}

static int read_header(struct lfs_action *a, size_t *count,
		       const struct json *member, struct err *err)
{
	AUTO(auto_text) struct text line = TEXT_INIT(HEADER_MAX);
	const char *name = json_name(member);
	const char *value = json_string(member);

	if (!name || !value || !is_token(name) || !is_value(value))
		return err_set(err, EIO, "a header that is none");
	if (is_ours(name))
		return 0;
	if (*count == LFS_HEADERS_MAX)
		return err_set(err, EIO, "more than %u headers",
			       LFS_HEADERS_MAX);
	text_printf(&line, "%s: %s", name, value);
	a->headers[*count] = text_take(&line);
	if (!a->headers[*count])
		return err_set(err, EIO, "a header of more than %u bytes",
			       HEADER_MAX);
	++*count;
	if (strcasecmp(name, "authorization") == 0)
		a->authorizes = true;
	return 0;
}

static int read_action(struct lfs_action *a, const struct json *download,
		       struct err *err)
{
	const char *href = json_get_string(download, "href");
	const struct json *headers = json_get(download, "header");
	size_t count = 0;
	int r = 0;

	if (!href || !*href || strlen(href) > HREF_MAX)
		return err_set(err, EIO, "no address to get it from");
	if (headers && !json_is_null(headers) && !json_is_object(headers))
		return err_set(err, EIO, "'header' is no object");
	for (const struct json *j = json_first(headers); j && !r;
	     j = json_next(j))
		r = read_header(a, &count, j, err);
	if (r < 0)
		return r;
	a->href = text_dup(href, strlen(href));
	return a->href ? 0 : err_errno(err, ENOMEM, "address");
}

static int read_error(const struct json *error, struct err *err)
{
	const char *message = json_get_string(error, "message");
	uint64_t code = 0;
	int r = EIO;

	(void)json_u64(json_get(error, "code"), &code);
	if (code == 404 || code == 410)
		r = ENOENT;
	if (code == 401 || code == 403)
		r = EACCES;
	return err_set(err, r, "the server of large files says %" PRIu64 ": %s",
		       code, message ? message : "no reason given");
}

/* The one object of the answer that was asked for. */
static int find_object(const struct json *root, const struct lfs_pointer *what,
		       const struct json **out, struct err *err)
{
	const struct json *objects = json_get(root, "objects");
	char hex[DIGEST_HEX_MAX];

	digest_print(&what->digest, hex);
	if (!json_is_array(objects))
		return err_set(err, EIO, "'objects' is no list");
	for (const struct json *j = json_first(objects); j; j = json_next(j)) {
		const char *oid = json_get_string(j, "oid");

		if (!oid || strcmp(oid, hex) != 0)
			continue;
		if (*out)
			return err_set(err, EIO, "'%s' is there twice", hex);
		*out = j;
	}
	if (!*out)
		return err_set(err, EIO, "'%s' is not in the answer", hex);
	return 0;
}

static int read_answer(struct lfs_action *a, const struct json *root,
		       const struct lfs_pointer *what, struct err *err)
{
	const char *transfer = json_get_string(root, "transfer");
	const struct json *object = NULL;
	const struct json *error;
	uint64_t size;
	int r;

	if (transfer && strcmp(transfer, "basic") != 0)
		return err_set(err, EIO,
			       "it offers the transfer '%s', which was not "
			       "asked for",
			       transfer);
	r = find_object(root, what, &object, err);
	if (r < 0)
		return r;
	error = json_get(object, "error");
	if (json_is_object(error))
		return read_error(error, err);
	if (json_get(object, "size") &&
	    (!json_u64(json_get(object, "size"), &size) || size != what->size))
		return err_set(err, EIO, "it names another size");
	return read_action(a, json_get(json_get(object, "actions"), "download"),
			   err);
}

int lfs_batch_read(const char *s, size_t n, const struct lfs_pointer *what,
		   struct lfs_action *out, struct err *err)
{
	AUTO(auto_json) struct json *root = NULL;
	struct lfs_action a = { .href = NULL };
	struct err why = ERR_INIT;
	int r = json_parse(&root, s, n, &why);

	if (r == -ENOMEM)
		return err_errno(err, ENOMEM, "the answer");
	if (r < 0)
		return err_set(err, EIO, "the answer is no good JSON: %s",
			       err_text(&why));
	if (!json_is_object(root))
		return err_set(err, EIO, "the answer is no JSON object");
	r = read_answer(&a, root, what, err);
	if (r < 0) {
		lfs_action_done(&a);
		return r;
	}
	*out = a;
	return 0;
}
