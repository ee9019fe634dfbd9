/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Judged as the reference does (its parser is a typed one): a key that it
 * knows must be well-formed where it stands, an unknown one may be anything.
 * A document that is an array holds the same values in the order of the
 * table below.
 *
 * Narrower than the reference in one place: numbers above 2^53, which JSON
 * does not hold exactly, are refused.
 */

enum field {
	F_NAME,
	F_ID,
	F_VERSION,
	F_MINVER,
	F_LICENSE,
	F_UPSTREAM,
	F_SOURCE,
	F_PYTHON_DEPENDS,
	F_KERNEL_DEPENDS,
	F_BACKEND,
	F_DIGEST,
	F_PROVENANCE,
	F_COUNT,
};

#define REQUIRED 1u
#define NULL_IS_ABSENT 2u

static const struct {
	const char *name;
	unsigned rule;
} fields[F_COUNT] = {
	[F_NAME] = { "name", REQUIRED },
	[F_ID] = { "id", REQUIRED },
	[F_VERSION] = { "version", REQUIRED },
	[F_MINVER] = { "kernels-minver", NULL_IS_ABSENT },
	[F_LICENSE] = { "license", REQUIRED },
	[F_UPSTREAM] = { "upstream", NULL_IS_ABSENT },
	[F_SOURCE] = { "source", NULL_IS_ABSENT },
	[F_PYTHON_DEPENDS] = { "python-depends", REQUIRED },
	[F_KERNEL_DEPENDS] = { "kernel-depends", 0 },
	[F_BACKEND] = { "backend", REQUIRED },
	[F_DIGEST] = { "digest", NULL_IS_ABSENT },
	[F_PROVENANCE] = { "provenance", NULL_IS_ABSENT },
};

static int bad(struct err *err, const char *key, const char *what)
{
	return err_set(err, EINVAL, "metadata: '%s' %s", key, what);
}

/* The member, with a null taken for none. */
static const struct json *member(const struct json *j, const char *name)
{
	const struct json *m = json_get(j, name);

	return m && json_is_null(m) ? NULL : m;
}

/* ---- the fields ---- */

static int collect_object(const struct json *root, const struct json **f,
			  struct err *err)
{
	for (const struct json *m = json_first(root); m; m = json_next(m)) {
		for (size_t i = 0; i < F_COUNT; i++) {
			if (strcmp(json_name(m), fields[i].name) != 0)
				continue;
			if (f[i])
				return bad(err, fields[i].name,
					   "is there twice");
			f[i] = m;
		}
	}
	return 0;
}

static int collect(const struct json *root, const struct json **f,
		   struct err *err)
{
	const struct json *item = json_first(root);
	int r;

	if (json_is_array(root)) {
		if (json_count(root) != F_COUNT)
			return err_set(err, EINVAL,
				       "metadata: an array of %zu values, "
				       "expected %d",
				       json_count(root), F_COUNT);
		for (size_t i = 0; i < F_COUNT; i++, item = json_next(item))
			f[i] = item;
	} else if (json_is_object(root)) {
		r = collect_object(root, f, err);
		if (r < 0)
			return r;
	} else {
		return err_set(err, EINVAL, "metadata: no JSON object");
	}
	for (size_t i = 0; i < F_COUNT; i++) {
		if (f[i] && json_is_null(f[i]) &&
		    (fields[i].rule & NULL_IS_ABSENT))
			f[i] = NULL;
		if (!f[i] && (fields[i].rule & REQUIRED))
			return bad(err, fields[i].name, "is missing");
	}
	return 0;
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_alnum(char c)
{
	return is_lower(c) || (c >= '0' && c <= '9');
}

static int take_name(struct metadata *m, const struct json *j, struct err *err)
{
	const char *s = json_string(j);
	size_t n = s ? strlen(s) : 0;

	if (!s)
		return bad(err, "name", "is no string");
	if (n < 2 || n >= sizeof(m->name) || !is_lower(s[0]) ||
	    !is_alnum(s[n - 1]))
		return bad(err, "name", "is no kernel's name");
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && s[i] != '-')
			return bad(err, "name", "is no kernel's name");
	}
	return text_copy(m->name, sizeof(m->name), s);
}

/* Three numbers; blanks around them and a '+' are let pass, as there. */
static int check_minver(const struct json *j, struct err *err)
{
	const char *s = json_string(j);
	unsigned parts = 0;

	if (!j)
		return 0;
	if (!s)
		return bad(err, "kernels-minver", "is no string");
	s += strspn(s, " \t\r\n");
	do {
		size_t n;

		s += *s == '+';
		n = strspn(s, "0123456789");
		if (n == 0 || n > 20)
			return bad(err, "kernels-minver",
				   "is no version of three numbers");
		s += n;
		parts++;
	} while (*s == '.' && s++);
	if (parts != 3 || s[strspn(s, " \t\r\n")])
		return bad(err, "kernels-minver",
			   "is no version of three numbers");
	return 0;
}

/* A git URL, or host:path as scp spells it. */
static int check_git_url(const struct json *j, const char *key, struct err *err)
{
	static const char *const schemes[] = {
		"https",   "http",	"git",	    "ssh",
		"git+ssh", "git+https", "git+http",
	};
	const char *s = json_string(j);
	const char *colon;

	if (!j)
		return 0;
	if (!s)
		return bad(err, key, "is no string");
	colon = strchr(s, ':');
	if (!colon || colon == s || !colon[1])
		return bad(err, key, "is no git URL");
	if (strncmp(colon, "://", 3) != 0)
		return memchr(s, '/', (size_t)(colon - s))
			       ? bad(err, key, "is no git URL")
			       : 0;
	for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
		if (strlen(schemes[i]) == (size_t)(colon - s) &&
		    strncmp(s, schemes[i], (size_t)(colon - s)) == 0 &&
		    colon[3])
			return 0;
	}
	return bad(err, key, "is no git URL");
}

static int check_strings(const struct json *j, const char *key, struct err *err)
{
	if (!json_is_array(j))
		return bad(err, key, "is no list");
	for (const struct json *i = json_first(j); i; i = json_next(i)) {
		if (!json_is_string(i))
			return bad(err, key, "holds what is no string");
	}
	return 0;
}

static int check_kernel_depend(const struct json *j, struct err *err)
{
	static const char key[] = "kernel-depends";
	const struct json *version = member(j, "version");
	const struct json *revision = member(j, "revision");
	uint64_t number;

	if (!json_is_object(j) || !json_get_string(j, "repo-id"))
		return bad(err, key, "has an entry without 'repo-id'");
	for (const struct json *m = json_first(j); m; m = json_next(m)) {
		if (strcmp(json_name(m), "repo-id") != 0 &&
		    strcmp(json_name(m), "version") != 0 &&
		    strcmp(json_name(m), "revision") != 0)
			return bad(err, key,
				   "has an entry with an unknown "
				   "key");
	}
	if (!version == !revision)
		return bad(err, key,
			   "has an entry without exactly one of "
			   "'version' and 'revision'");
	if ((version && !json_u64(version, &number)) ||
	    (revision && !json_is_string(revision)))
		return bad(err, key, "has an entry with a malformed version");
	return 0;
}

static int check_kernel_depends(const struct json *j, struct err *err)
{
	int r = 0;

	if (!j)
		return 0;
	if (!json_is_array(j))
		return bad(err, "kernel-depends", "is no list");
	for (const struct json *i = json_first(j); i && r == 0;
	     i = json_next(i))
		r = check_kernel_depend(i, err);
	return r;
}

static int take_backend(struct metadata *m, const struct json *j,
			struct err *err)
{
	static const char *const types[] = {
		"cann", "cpu", "cuda", "metal", "neuron", "rocm", "tpu", "xpu",
	};
	const char *type = json_get_string(j, "type");
	const struct json *archs = member(j, "archs");

	if (!json_is_object(j) || !type)
		return bad(err, "backend", "has no 'type'");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(type, types[i]) != 0)
			continue;
		(void)text_copy(m->backend, sizeof(m->backend), type);
		return archs ? check_strings(archs, "backend.archs", err) : 0;
	}
	return bad(err, "backend", "has an unknown 'type'");
}

static int take_digest(struct metadata *m, const struct json *j,
		       struct err *err)
{
	const char *algorithm = json_get_string(j, "algorithm");
	const struct json *files = json_get(j, "files");
	size_t count;

	if (!j)
		return 0;
	if (!json_is_object(j) || !algorithm ||
	    (strcmp(algorithm, "sha256") != 0 &&
	     strcmp(algorithm, "sha512") != 0))
		return bad(err, "digest", "has no known 'algorithm'");
	if (!json_is_object(files))
		return bad(err, "digest", "has no 'files'");
	count = json_count(files);
	m->digest_files = calloc(count ? count : 1, sizeof(char *));
	if (!m->digest_files)
		return err_errno(err, ENOMEM, "metadata");
	for (const struct json *f = json_first(files); f; f = json_next(f)) {
		const char *name = json_name(f);

		if (!json_is_string(f))
			return bad(err, "digest", "holds what is no string");
		m->digest_files[m->digest_count] = text_dup(name, strlen(name));
		if (!m->digest_files[m->digest_count])
			return err_errno(err, ENOMEM, "metadata");
		m->digest_count++;
	}
	return 0;
}

/* `commit` (once `sha`) and `dirty`: both, or neither where that is allowed. */
static int check_origin(const struct json *j, const char *key, bool needed,
			bool *dirty, struct err *err)
{
	const struct json *commit = member(j, "commit");
	const struct json *flag = member(j, "dirty");
	const char *hex;
	size_t n;

	if (!commit)
		commit = member(j, "sha");
	if (!commit && !flag && !needed)
		return 0;
	hex = json_string(commit);
	n = hex ? strlen(hex) : 0;
	if ((n != 40 && n != 64) || strspn(hex, "0123456789abcdefABCDEF") != n)
		return bad(err, key, "has no whole 'commit'");
	/* a flag reads the same whatever the fallback, nothing else does */
	if (!flag || json_bool(flag, false) != json_bool(flag, true))
		return bad(err, key, "has no 'dirty'");
	*dirty = json_bool(flag, false);
	return 0;
}

static int take_provenance(struct metadata *m, const struct json *j,
			   struct err *err)
{
	const struct json *builder = json_get(j, "kernel-builder");
	const struct json *kernel = member(j, "kernel");
	bool builder_dirty = false;
	int r;

	if (!j)
		return 0;
	if (!json_is_object(j) || !json_is_object(builder) ||
	    !json_get_string(builder, "version"))
		return bad(err, "provenance",
			   "has no 'kernel-builder' with a "
			   "version");
	r = check_origin(builder, "provenance.kernel-builder", false,
			 &builder_dirty, err);
	if (r < 0 || !kernel)
		return r;
	if (!json_is_object(kernel))
		return bad(err, "provenance.kernel", "is no object");
	return check_origin(kernel, "provenance.kernel", true, &m->dirty, err);
}

static int take_fields(struct metadata *m, const struct json **f,
		       struct err *err)
{
	uint64_t version;
	int r;

	if (!json_is_string(f[F_ID]))
		return bad(err, "id", "is no string");
	if (!json_is_string(f[F_LICENSE]))
		return bad(err, "license", "is no string");
	if (!json_u64(f[F_VERSION], &version))
		return bad(err, "version", "is no whole number");
	r = take_name(m, f[F_NAME], err);
	if (r == 0)
		r = check_minver(f[F_MINVER], err);
	if (r == 0)
		r = check_git_url(f[F_UPSTREAM], "upstream", err);
	if (r == 0)
		r = check_git_url(f[F_SOURCE], "source", err);
	if (r == 0)
		r = check_strings(f[F_PYTHON_DEPENDS], "python-depends", err);
	if (r == 0)
		r = check_kernel_depends(f[F_KERNEL_DEPENDS], err);
	if (r == 0)
		r = take_backend(m, f[F_BACKEND], err);
	if (r == 0)
		r = take_digest(m, f[F_DIGEST], err);
	if (r == 0)
		r = take_provenance(m, f[F_PROVENANCE], err);
	return r;
}

int metadata_parse(struct metadata *out, const char *s, size_t n,
		   struct err *err)
{
	AUTO(auto_json) struct json *root = NULL;
	const struct json *f[F_COUNT] = { NULL };
	struct metadata m = { .dirty = false };
	int r;

	if (n > METADATA_BYTES_MAX)
		return err_set(err, EINVAL, "metadata: more than %u bytes",
			       METADATA_BYTES_MAX);
	/* the house's parser steps over a byte order mark, theirs does not */
	if (n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0)
		return err_set(err, EINVAL,
			       "metadata: begins with a byte order mark");
	r = json_parse(&root, s, n, err);
	if (r < 0) {
		(void)err_wrap(err, r, "metadata");
		return r == -ENOMEM ? r : -EINVAL;
	}
	r = collect(root, f, err);
	if (r == 0)
		r = take_fields(&m, f, err);
	if (r < 0) {
		metadata_done(&m);
		return r;
	}
	*out = m;
	return 0;
}

void metadata_done(struct metadata *m)
{
	for (size_t i = 0; i < m->digest_count; i++)
		free(m->digest_files[i]);
	free(m->digest_files);
	memset(m, 0, sizeof(*m));
}

int metadata_complete(const struct metadata *m, const struct tree *build,
		      struct err *err)
{
	const char *first = NULL;
	size_t missing = 0;

	for (size_t i = 0; i < m->digest_count; i++) {
		uint32_t at = tree_find(build, m->digest_files[i]);
		struct tree_entry e = { .kind = TREE_FOLDER };

		if (at != TREE_NONE)
			tree_get(build, at, &e);
		if (e.kind != TREE_FOLDER)
			continue;
		missing++;
		if (!first)
			first = m->digest_files[i];
	}
	if (!missing)
		return 0;
	return err_set(err, ENOENT,
		       "incomplete upload: %zu of the %zu files of its digest "
		       "are missing, the first is '%.300s'",
		       missing, m->digest_count, first);
}
