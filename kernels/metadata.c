/* SPDX-License-Identifier: Apache-2.0 */
#include "metadata.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "metadata_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/*
 * Judged as the reference does (its parser is a typed one): a key that it
 * knows must be well-formed where it stands, an unknown one may be anything.
 * Each object of the schema may be an array as well, which holds the same
 * values in the order of the object's table below.
 *
 * Narrower than the reference where the house is: NUL in a string, and
 * nesting (base/json.h).
 */

#define REQUIRED 1u
#define NULL_IS_ABSENT 2u

struct field {
	const char *name;
	const char *alias; /* an older name of the same, or NULL */
	unsigned rule;
};

enum top {
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

static const struct field top_fields[F_COUNT] = {
	[F_NAME] = { "name", NULL, REQUIRED },
	[F_ID] = { "id", NULL, REQUIRED },
	[F_VERSION] = { "version", NULL, REQUIRED },
	[F_MINVER] = { "kernels-minver", NULL, NULL_IS_ABSENT },
	[F_LICENSE] = { "license", NULL, REQUIRED },
	[F_UPSTREAM] = { "upstream", NULL, NULL_IS_ABSENT },
	[F_SOURCE] = { "source", NULL, NULL_IS_ABSENT },
	[F_PYTHON_DEPENDS] = { "python-depends", NULL, REQUIRED },
	[F_KERNEL_DEPENDS] = { "kernel-depends", NULL, 0 },
	[F_BACKEND] = { "backend", NULL, REQUIRED },
	[F_DIGEST] = { "digest", NULL, NULL_IS_ABSENT },
	[F_PROVENANCE] = { "provenance", NULL, NULL_IS_ABSENT },
};

enum depend {
	D_REPO,
	D_VERSION,
	D_REVISION,
	D_COUNT,
};

static const struct field depend_fields[D_COUNT] = {
	[D_REPO] = { "repo-id", NULL, REQUIRED },
	[D_VERSION] = { "version", NULL, NULL_IS_ABSENT },
	[D_REVISION] = { "revision", NULL, NULL_IS_ABSENT },
};

enum backend {
	B_TYPE,
	B_ARCHS,
	B_COUNT,
};

static const struct field backend_fields[B_COUNT] = {
	[B_TYPE] = { "type", NULL, REQUIRED },
	[B_ARCHS] = { "archs", NULL, NULL_IS_ABSENT },
};

enum digest_field {
	G_ALGORITHM,
	G_FILES,
	G_COUNT,
};

static const struct field digest_fields[G_COUNT] = {
	[G_ALGORITHM] = { "algorithm", NULL, REQUIRED },
	[G_FILES] = { "files", NULL, REQUIRED },
};

enum provenance {
	P_BUILDER,
	P_KERNEL,
	P_COUNT,
};

static const struct field provenance_fields[P_COUNT] = {
	[P_BUILDER] = { "kernel-builder", NULL, REQUIRED },
	[P_KERNEL] = { "kernel", NULL, NULL_IS_ABSENT },
};

enum origin {
	O_VERSION,
	O_COMMIT,
	O_DIRTY,
	O_COUNT,
};

static const struct field builder_fields[O_COUNT] = {
	[O_VERSION] = { "version", NULL, REQUIRED },
	[O_COMMIT] = { "commit", "sha", 0 },
	[O_DIRTY] = { "dirty", NULL, 0 },
};

/* without the version */
static const struct field kernel_fields[O_COUNT - 1] = {
	[O_COMMIT - 1] = { "commit", "sha", REQUIRED },
	[O_DIRTY - 1] = { "dirty", NULL, REQUIRED },
};

static int bad(struct err *err, const char *key, const char *what)
{
	return err_set(err, EINVAL, "metadata: '%s' %s", key, what);
}

/* ---- the objects of the schema ---- */

struct shape {
	const char *key; /* of the object itself, for messages */
	const struct field *fields;
	size_t count;
	size_t least; /* so many an array may hold; 0: all */
	bool closed;  /* unknown keys are refused */
};

static int collect_object(const struct json *j, const struct shape *s,
			  const struct json **f, struct err *err)
{
	for (const struct json *m = json_first(j); m; m = json_next(m)) {
		size_t i = 0;

		while (i < s->count &&
		       strcmp(json_name(m), s->fields[i].name) != 0 &&
		       (!s->fields[i].alias ||
			strcmp(json_name(m), s->fields[i].alias) != 0))
			i++;
		if (i == s->count && s->closed)
			return bad(err, s->key, "holds an unknown key");
		if (i == s->count)
			continue;
		if (f[i])
			return err_set(err, EINVAL,
				       "metadata: '%s' is there twice",
				       s->fields[i].name);
		f[i] = m;
	}
	return 0;
}

/* The values of an object, or of an array that stands for it, into f, which
 * is all NULL. What may be null is NULL then. */
static int collect(const struct json *j, const struct shape *s,
		   const struct json **f, struct err *err)
{
	const struct json *item = json_first(j);

	if (json_is_array(j)) {
		size_t n = json_count(j);

		if (n > s->count || n < (s->least ? s->least : s->count))
			return err_set(err, EINVAL,
				       "metadata: '%s' is an array of %zu "
				       "values, expected %zu",
				       s->key, n, s->count);
		for (size_t i = 0; i < n; i++, item = json_next(item))
			f[i] = item;
	} else if (json_is_object(j)) {
		int r = collect_object(j, s, f, err);

		if (r < 0)
			return r;
	} else {
		return bad(err, s->key, "is no object");
	}
	for (size_t i = 0; i < s->count; i++) {
		if (f[i] && json_is_null(f[i]) &&
		    (s->fields[i].rule & NULL_IS_ABSENT))
			f[i] = NULL;
		if (!f[i] && (s->fields[i].rule & REQUIRED))
			return err_set(err, EINVAL, "metadata: '%s' is missing",
				       s->fields[i].name);
	}
	return 0;
}

/* ---- texts ---- */

static int take_text(char **out, const struct json *j, const char *key,
		     struct err *err)
{
	const char *s = json_string(j);

	if (!s)
		return bad(err, key, "is no string");
	*out = text_dup(s, strlen(s));
	return *out ? 0 : err_errno(err, ENOMEM, "metadata");
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
	if (n < 2 || !is_lower(s[0]) || !is_alnum(s[n - 1]))
		return bad(err, "name", "is no kernel's name");
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && s[i] != '-')
			return bad(err, "name", "is no kernel's name");
	}
	return take_text(&m->name, j, "name", err);
}

static int take_minver(struct metadata *m, const struct json *j,
		       struct err *err)
{
	if (!j)
		return 0;
	if (!json_is_string(j))
		return bad(err, "kernels-minver", "is no string");
	return metadata_text_minver(json_string(j), m->minver)
		       ? 0
		       : bad(err, "kernels-minver",
			     "is no version of three numbers");
}

static int check_git_url(const struct json *j, const char *key, struct err *err)
{
	const char *s = json_string(j);

	if (!j)
		return 0;
	if (!s)
		return bad(err, key, "is no string");
	return metadata_text_is_git_url(s) ? 0 : bad(err, key, "is no git URL");
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

/* ---- what it needs ---- */

static int take_python_depends(struct metadata *m, const struct json *j,
			       struct err *err)
{
	size_t count = json_count(j);
	int r = check_strings(j, "python-depends", err);

	if (r < 0 || count == 0)
		return r;
	m->python_depends = calloc(count, sizeof(*m->python_depends));
	if (!m->python_depends)
		return err_errno(err, ENOMEM, "metadata");
	for (const struct json *i = json_first(j); i && r == 0;
	     i = json_next(i))
		r = take_text(&m->python_depends[m->python_count++], i,
			      "python-depends", err);
	return r;
}

static int take_depend(struct metadata_depend *d, const struct json *j,
		       struct err *err)
{
	static const struct shape shape = { "kernel-depends", depend_fields,
					    D_COUNT, 0, true };
	const struct json *f[D_COUNT] = { NULL };
	int r = collect(j, &shape, f, err);

	if (r < 0)
		return r;
	if (!f[D_VERSION] == !f[D_REVISION])
		return bad(err, shape.key,
			   "has an entry without exactly one of "
			   "'version' and 'revision'");
	if (f[D_VERSION] && !json_whole(f[D_VERSION], &d->version))
		return bad(err, shape.key,
			   "has an entry with a malformed "
			   "version");
	d->has_version = f[D_VERSION] != NULL;
	r = take_text(&d->repo_id, f[D_REPO], "repo-id", err);
	if (r == 0 && f[D_REVISION])
		r = take_text(&d->revision, f[D_REVISION], "revision", err);
	if (r < 0)
		return r;
	if (!d->revision)
		d->revision = text_dup("", 0);
	if (!d->revision)
		return err_errno(err, ENOMEM, "metadata");
	/* the schema takes any text; who follows it sees that it is none */
	(void)ref_parse_repo(&d->repo, d->repo_id, NULL);
	return 0;
}

static int take_depends(struct metadata *m, const struct json *j,
			struct err *err)
{
	size_t count = json_count(j);
	int r = 0;

	if (!j)
		return 0;
	if (!json_is_array(j))
		return bad(err, "kernel-depends", "is no list");
	if (count == 0)
		return 0;
	m->depends = calloc(count, sizeof(*m->depends));
	if (!m->depends)
		return err_errno(err, ENOMEM, "metadata");
	for (const struct json *i = json_first(j); i && r == 0;
	     i = json_next(i))
		r = take_depend(&m->depends[m->depend_count++], i, err);
	return r;
}

/* ---- the other objects ---- */

static int take_backend(struct metadata *m, const struct json *j,
			struct err *err)
{
	static const char *const types[] = {
		"cann", "cpu", "cuda", "metal", "neuron", "rocm", "tpu", "xpu",
	};
	static const struct shape shape = { "backend", backend_fields, B_COUNT,
					    0, false };
	const struct json *f[B_COUNT] = { NULL };
	const char *type;
	int r = collect(j, &shape, f, err);

	if (r < 0)
		return r;
	type = json_string(f[B_TYPE]);
	for (size_t i = 0; type && i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(type, types[i]) != 0)
			continue;
		(void)text_copy(m->backend, sizeof(m->backend), type);
		return f[B_ARCHS]
			       ? check_strings(f[B_ARCHS], "backend.archs", err)
			       : 0;
	}
	return bad(err, "backend", "has an unknown 'type'");
}

static int take_files(struct metadata *m, const struct json *files,
		      struct err *err)
{
	size_t count = json_count(files);
	int r = 0;

	m->digest = calloc(count ? count : 1, sizeof(*m->digest));
	if (!m->digest)
		return err_errno(err, ENOMEM, "metadata");
	for (const struct json *f = json_first(files); f && r == 0;
	     f = json_next(f)) {
		struct metadata_file *file = &m->digest[m->digest_count++];

		file->path = text_dup(json_name(f), strlen(json_name(f)));
		if (!file->path)
			return err_errno(err, ENOMEM, "metadata");
		r = take_text(&file->hash, f, "digest.files", err);
	}
	return r;
}

static int take_digest(struct metadata *m, const struct json *j,
		       struct err *err)
{
	static const struct shape shape = { "digest", digest_fields, G_COUNT, 0,
					    false };
	const struct json *f[G_COUNT] = { NULL };
	const char *algorithm;
	int r;

	if (!j)
		return 0;
	r = collect(j, &shape, f, err);
	if (r < 0)
		return r;
	algorithm = json_string(f[G_ALGORITHM]);
	m->digest_sha512 = algorithm && !strcmp(algorithm, "sha512");
	if (!algorithm || (!m->digest_sha512 && strcmp(algorithm, "sha256")))
		return bad(err, "digest", "has no known 'algorithm'");
	if (!json_is_object(f[G_FILES]))
		return bad(err, "digest", "has no 'files'");
	return take_files(m, f[G_FILES], err);
}

/* `commit` and `dirty`: both, or neither where that is allowed. */
static int take_origin(const struct json *commit, const struct json *flag,
		       const char *key, bool *dirty, struct err *err)
{
	const char *hex = json_string(commit);
	size_t n = hex ? strlen(hex) : 0;

	if (!commit && !flag)
		return 0;
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
	static const struct shape shape = { "provenance", provenance_fields,
					    P_COUNT, 0, false };
	static const struct shape builder = { "provenance.kernel-builder",
					      builder_fields, O_COUNT, 1,
					      false };
	static const struct shape kernel = { "provenance.kernel", kernel_fields,
					     O_COUNT - 1, 0, false };
	const struct json *p[P_COUNT] = { NULL };
	const struct json *b[O_COUNT] = { NULL };
	const struct json *k[O_COUNT - 1] = { NULL };
	int r;

	if (!j)
		return 0;
	r = collect(j, &shape, p, err);
	if (r == 0)
		r = collect(p[P_BUILDER], &builder, b, err);
	if (r == 0 && !json_is_string(b[O_VERSION]))
		r = bad(err, builder.key, "has a 'version' that is no string");
	if (r == 0)
		r = take_origin(b[O_COMMIT], b[O_DIRTY], builder.key,
				&m->builder_dirty, err);
	if (r < 0 || !p[P_KERNEL])
		return r;
	r = collect(p[P_KERNEL], &kernel, k, err);
	return r < 0 ? r
		     : take_origin(k[O_COMMIT - 1], k[O_DIRTY - 1], kernel.key,
				   &m->dirty, err);
}

static int take_fields(struct metadata *m, const struct json **f,
		       struct err *err)
{
	uint64_t version;
	int r = take_name(m, f[F_NAME], err);

	if (r == 0)
		r = take_text(&m->id, f[F_ID], "id", err);
	if (r == 0 && !json_is_string(f[F_LICENSE]))
		r = bad(err, "license", "is no string");
	if (r == 0 && !json_whole(f[F_VERSION], &version))
		r = bad(err, "version", "is no whole number");
	if (r == 0)
		r = take_minver(m, f[F_MINVER], err);
	if (r == 0)
		r = check_git_url(f[F_UPSTREAM], "upstream", err);
	if (r == 0)
		r = check_git_url(f[F_SOURCE], "source", err);
	if (r == 0)
		r = take_python_depends(m, f[F_PYTHON_DEPENDS], err);
	if (r == 0)
		r = take_depends(m, f[F_KERNEL_DEPENDS], err);
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
	static const struct shape shape = { "metadata", top_fields, F_COUNT, 0,
					    false };
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
	r = json_parse_strict(&root, s, n, err);
	if (r < 0) {
		(void)err_wrap(err, r, "metadata");
		return r == -ENOMEM ? r : -EINVAL;
	}
	r = collect(root, &shape, f, err);
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
	for (size_t i = 0; i < m->depend_count; i++) {
		free(m->depends[i].repo_id);
		free(m->depends[i].revision);
	}
	for (size_t i = 0; i < m->python_count; i++)
		free(m->python_depends[i]);
	for (size_t i = 0; i < m->digest_count; i++) {
		free(m->digest[i].path);
		free(m->digest[i].hash);
	}
	free(m->depends);
	free(m->python_depends);
	free(m->digest);
	free(m->name);
	free(m->id);
	memset(m, 0, sizeof(*m));
}
