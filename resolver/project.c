/* SPDX-License-Identifier: Apache-2.0 */
#include "project.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/io.h"
#include "base/text.h"
#include "base/toml.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define TABLE "[tool.kernels.dependencies]"

static int take_depend(struct project_depend *d, const char *path,
		       const struct toml *v, struct err *err)
{
	const char *name = toml_name(v, NULL);
	struct err why = ERR_INIT;
	unsigned line = toml_line(v);
	int64_t version;

	if (!name)
		return err_set(err, EINVAL, "%s:%u: a NUL in a name", path,
			       line);
	if (ref_parse_repo(&d->repo, name, &why) < 0)
		return err_set(err, EINVAL, "%s:%u: %s", path, line,
			       err_text(&why));
	if (toml_is(v, TOML_STRING))
		return err_set(err, EINVAL,
			       "%s:%u: the version of '%s' is a string; write "
			       "a whole number without quotes",
			       path, line, name);
	if (!toml_integer(v, &version) || version < 0)
		return err_set(err, EINVAL,
			       "%s:%u: the version of '%s' is no whole number",
			       path, line, name);
	d->version = (uint64_t)version;
	return 0;
}

/* The table, or -ENOENT when there is none or nothing is in it. */
static int find_table(const struct toml **out, const char *path,
		      const struct toml *root, struct err *err)
{
	static const char *const steps[] = { "tool", "kernels",
					     "dependencies" };
	const struct toml *at = root;

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps) && at; i++) {
		at = toml_get(at, steps[i]);
		if (at && !toml_is(at, TOML_TABLE))
			return err_set(err, EINVAL,
				       "%s:%u: '%s' is no table; the kernels "
				       "stand in " TABLE,
				       path, toml_line(at), steps[i]);
	}
	if (!at)
		return err_set(err, ENOENT,
			       "%s: no table " TABLE "; name the kernels "
			       "there: \"owner/name\" = 1",
			       path);
	if (!toml_first(at))
		return err_set(err, ENOENT,
			       "%s:%u: no kernels in " TABLE "; name them "
			       "there: \"owner/name\" = 1",
			       path, toml_line(at));
	*out = at;
	return 0;
}

int project_parse(struct project *out, const char *path, const char *s,
		  size_t n, struct err *err)
{
	AUTO(auto_toml) struct toml *root = NULL;
	const struct toml *table = NULL;
	struct project p = { .count = 0 };
	size_t count;
	int r = toml_parse(&root, path, s, n, err);

	if (r == 0)
		r = find_table(&table, path, root, err);
	if (r < 0)
		return r;
	count = toml_count(table);
	if (count > PROJECT_DEPENDS_MAX)
		return err_set(err, EINVAL, "%s: more than %u kernels", path,
			       PROJECT_DEPENDS_MAX);
	p.depends = calloc(count, sizeof(*p.depends));
	if (!p.depends)
		return err_errno(err, ENOMEM, "%s", path);
	for (const struct toml *v = toml_first(table); v && r == 0;
	     v = toml_next(v))
		r = take_depend(&p.depends[p.count++], path, v, err);
	if (r < 0) {
		project_done(&p);
		return r;
	}
	*out = p;
	return 0;
}

int project_read(struct project *out, const char *path, struct err *err)
{
	AUTO(auto_text) struct text s = TEXT_INIT(TOML_BYTES_MAX);
	int r = io_read_file(AT_FDCWD, path, &s);

	if (r == -E2BIG)
		return err_set(err, EINVAL, "%s: more than %u bytes", path,
			       TOML_BYTES_MAX);
	if (r == -EINVAL)
		return err_set(err, EINVAL, "project '%s' is no regular file",
			       path);
	if (r < 0)
		return err_errno(err, -r, "project '%s'", path);
	return project_parse(out, path, text_str(&s), s.len, err);
}

void project_done(struct project *p)
{
	free(p->depends);
	memset(p, 0, sizeof(*p));
}
