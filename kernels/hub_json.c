/* SPDX-License-Identifier: Apache-2.0 */
#include "hub_json.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "digest.h"
#include "ref.h"
#include "source.h"
#include "tree.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Parse; what is no JSON is the source's fault, not the caller's. */
static int parse(struct json **out, const char *s, size_t n, struct err *err)
{
	struct err why = ERR_INIT;
	int r = json_parse(out, s, n, &why);

	if (r == -ENOMEM)
		return err_errno(err, ENOMEM, "the answer");
	if (r < 0)
		return err_set(err, EPROTO, "the answer is no good JSON: %s",
			       err_text(&why));
	return 0;
}

int hub_json_trusted(const char *s, size_t n, bool *out, struct err *err)
{
	AUTO(auto_json) struct json *root = NULL;
	int r = parse(&root, s, n, err);

	if (r < 0)
		return r;
	if (!json_is_object(root))
		return err_set(err, EPROTO, "the answer is no JSON object");
	*out = json_bool(json_get(root, "trustedKernelPublisher"), false);
	return 0;
}

/* ---- refs ---- */

static int read_refs(const struct json *list, const char *kind,
		     struct source_ref **out, size_t *count, struct err *err)
{
	struct source_ref *refs;
	size_t n = 0;

	if (!json_is_array(list))
		return err_set(err, EPROTO, "'%s' is no list", kind);
	if (json_count(list) > SOURCE_REFS_MAX)
		return err_set(err, EPROTO, "more than %u %s", SOURCE_REFS_MAX,
			       kind);
	refs = calloc(json_count(list) + 1, sizeof(*refs));
	if (!refs)
		return err_errno(err, ENOMEM, "%s", kind);
	for (const struct json *j = json_first(list); j; j = json_next(j)) {
		const char *name = json_get_string(j, "name");
		const char *commit = json_get_string(j, "targetCommit");

		if (!name || !commit || !ref_is_rev(name) ||
		    !text_is_hex(commit, REF_COMMIT_LEN)) {
			log_debug("source",
				  "one of the %s is left out: '%s' "
				  "at '%s'",
				  kind, name ? name : "", commit ? commit : "");
			continue;
		}
		(void)text_copy(refs[n].name, sizeof(refs[n].name), name);
		(void)text_copy(refs[n].commit, sizeof(refs[n].commit), commit);
		n++;
	}
	*out = refs;
	*count = n;
	return 0;
}

int hub_json_refs(const char *s, size_t n, struct source_refs *out,
		  struct err *err)
{
	AUTO(auto_json) struct json *root = NULL;
	struct source_refs refs = { .branches = NULL };
	int r = parse(&root, s, n, err);

	if (r < 0)
		return r;
	if (!json_is_object(root))
		return err_set(err, EPROTO, "the answer is no JSON object");
	r = read_refs(json_get(root, "branches"), "branches", &refs.branches,
		      &refs.branch_count, err);
	if (!r && json_get(root, "tags"))
		r = read_refs(json_get(root, "tags"), "tags", &refs.tags,
			      &refs.tag_count, err);
	if (r < 0) {
		source_refs_done(&refs);
		return r;
	}
	*out = refs;
	return 0;
}

/* ---- trees ---- */

/* The path below the folder; NULL when it lies elsewhere. */
static const char *below(const struct hub_page *page, const char *path)
{
	size_t n = strlen(page->dir);

	if (n == 0)
		return path;
	if (strncmp(path, page->dir, n) != 0 || path[n] != '/')
		return NULL;
	return path + n + 1;
}

/* Size and digest: those of the large file where `oid` is its pointer's. */
static int read_content(const struct json *item, const char *path,
			uint64_t *size, struct digest *digest, struct err *err)
{
	const struct json *lfs = json_get(item, "lfs");
	const struct json *of = item;
	size_t hex = 40;
	const char *oid;

	if (lfs && !json_is_null(lfs)) {
		of = lfs;
		hex = 64;
	}
	if (!json_is_object(of))
		return err_set(err, EPROTO, "'%s': 'lfs' is no object", path);
	oid = json_get_string(of, "oid");
	if (!oid || !text_is_hex(oid, hex) || digest_parse(digest, oid) < 0)
		return err_set(err, EPROTO,
			       "'%s': 'oid' is no hash of %zu digits", path,
			       hex);
	if (!json_u64(json_get(of, "size"), size) || *size > TREE_FILE_MAX)
		return err_set(err, EPROTO, "'%s': 'size' is no good size",
			       path);
	return 0;
}

static int add_item(struct hub_page *page, const struct json *item,
		    struct err *err)
{
	const char *type = json_get_string(item, "type");
	const char *path = json_get_string(item, "path");
	const char *name;
	struct digest digest = { .kind = DIGEST_NONE };
	uint64_t size = 0;
	bool file;
	int r = 0;

	if (!type || !path)
		return err_set(err, EPROTO,
			       "an entry has no 'type' or 'path' of "
			       "text");
	file = strcmp(type, "file") == 0;
	if (!file && strcmp(type, "directory") != 0)
		return err_set(err, EPROTO, "'%s': unknown type '%s'", path,
			       type);
	if (file && *page->dir && strcmp(path, page->dir) == 0)
		return err_set(err, ENOENT, "'%s' is a file", path);
	name = below(page, path);
	if (!name)
		return err_set(err, EPROTO, "'%s' is not below '%s'", path,
			       page->dir);
	if (!page->recursive && strchr(name, '/'))
		return err_set(err, EPROTO, "'%s' is not in '%s' itself", path,
			       page->dir);
	if (file)
		r = read_content(item, path, &size, &digest, err);
	if (r < 0)
		return r;
	r = tree_builder_add(page->builder, name,
			     file ? TREE_FILE : TREE_FOLDER, size, &digest,
			     err);
	if (r == -ENOMEM)
		return r;
	if (r < 0 && err)
		err->code = EPROTO;
	return r < 0 ? -EPROTO : 0;
}

int hub_json_tree(const char *s, size_t n, struct hub_page *page,
		  struct err *err)
{
	AUTO(auto_json) struct json *root = NULL;
	int r = parse(&root, s, n, err);

	if (r < 0)
		return r;
	if (!json_is_array(root))
		return err_set(err, EPROTO, "the answer is no JSON array");
	for (const struct json *j = json_first(root); j && !r; j = json_next(j))
		r = add_item(page, j, err);
	if (!r)
		page->entries += json_count(root);
	return r;
}

/* ---- an owner's kernels ---- */

int hub_json_kernels(const char *s, size_t n, const char *owner,
		     struct text *out, size_t *count, struct err *err)
{
	AUTO(auto_json) struct json *root = NULL;
	int r = parse(&root, s, n, err);

	if (r < 0)
		return r;
	if (!json_is_array(root))
		return err_set(err, EPROTO, "the answer is no JSON array");
	*count += json_count(root);
	for (const struct json *j = json_first(root); j; j = json_next(j)) {
		const char *id = json_get_string(j, "id");
		struct repo_id repo;

		if (!id || ref_parse_repo(&repo, id, NULL) < 0 ||
		    strcmp(repo.owner, owner) != 0) {
			log_debug("source",
				  "'%s' is no kernel of '%s', left "
				  "out",
				  id ? id : "", owner);
			continue;
		}
		text_add_bytes(out, repo.name, strlen(repo.name) + 1);
	}
	return text_failed(out) ? err_errno(err, -text_failed(out),
					    "kernels of '%s'", owner)
				: 0;
}
