/* SPDX-License-Identifier: Apache-2.0 */
#include "toml_room.h"

#include "err.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- members ---- */

struct wanted {
	const struct toml *table;
	const char *name;
	size_t n;
};

static bool is_wanted(const struct toml *v, const struct wanted *w)
{
	return v->parent == w->table && v->name_len == w->n &&
	       memcmp(v->name, w->name, w->n) == 0;
}

static int member_equal(const struct map_link *l, const void *key)
{
	return is_wanted(map_item_const(l, struct toml, link), key);
}

static uint64_t member_hash(const struct toml *t, const char *name, size_t n)
{
	return map_hash_more(map_hash(&t, sizeof(t)), name, n);
}

struct toml *toml_member(const struct toml_document *d, const struct toml *t,
			 const char *name, size_t n)
{
	struct wanted w = { t, name, n };
	struct map_link *l = map_find(&d->members, member_hash(t, name, n), &w);

	return l ? map_item(l, struct toml, link) : NULL;
}

int toml_add(struct toml_reader *r, struct toml *parent, char **name, size_t n,
	     struct toml **out)
{
	struct toml_document *d = r->doc;
	struct toml *v;

	if (d->count == TOML_VALUES_MAX)
		return toml_refuse(r, "more than %u values", TOML_VALUES_MAX);
	v = calloc(1, sizeof(*v));
	if (!v)
		return err_errno(r->err, ENOMEM, "%s", r->path);
	v->parent = parent;
	v->line = r->line;
	if (name) {
		v->name = *name;
		v->name_len = n;
		if (map_add(&d->members, &v->link,
			    member_hash(parent, *name, n)) < 0) {
			free(v);
			return err_errno(r->err, ENOMEM, "%s", r->path);
		}
		*name = NULL;
	}
	if (parent->last)
		parent->last->next = v;
	else
		parent->first = v;
	parent->last = v;
	v->made = d->made;
	d->made = v;
	d->count++;
	*out = v;
	return 0;
}

/* ---- the document ---- */

static struct toml_document *document_new(void)
{
	struct toml_document *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	map_init(&d->members, member_equal);
	d->root.type = TOML_TABLE;
	d->root.how = TOML_HEADER;
	d->root.line = 1;
	return d;
}

void toml_free(struct toml *root)
{
	struct toml_document *d = (struct toml_document *)(void *)root;

	if (!d)
		return;
	map_done(&d->members);
	while (d->made) {
		struct toml *v = d->made;

		d->made = v->made;
		if (v->type == TOML_STRING)
			free(v->is.text.s);
		free(v->name);
		free(v);
	}
	free(d);
}

void auto_toml(struct toml **root)
{
	toml_free(*root);
}

int toml_parse(struct toml **out, const char *path, const char *s, size_t n,
	       struct err *err)
{
	struct toml_reader r = {
		.path = path,
		.at = { s, s + n },
		.line = 1,
		.section = 1,
		.err = err,
	};
	int e;

	if (n > TOML_BYTES_MAX)
		return err_set(err, EINVAL, "%s: more than %u bytes", path,
			       TOML_BYTES_MAX);
	r.doc = document_new();
	if (!r.doc)
		return err_errno(err, ENOMEM, "%s", path);
	e = toml_read(&r);
	if (e < 0)
		toml_free(&r.doc->root);
	else
		*out = &r.doc->root;
	return e;
}

/* ---- reading the tree ---- */

bool toml_is(const struct toml *v, enum toml_type type)
{
	return v && v->type == type;
}

unsigned toml_line(const struct toml *v)
{
	return v->line;
}

const struct toml *toml_get(const struct toml *t, const char *name)
{
	struct wanted w = { t, name, strlen(name) };

	if (!toml_is(t, TOML_TABLE))
		return NULL;
	for (const struct toml *m = t->first; m; m = m->next) {
		if (is_wanted(m, &w))
			return m;
	}
	return NULL;
}

const struct toml *toml_first(const struct toml *v)
{
	return v ? v->first : NULL;
}

const struct toml *toml_next(const struct toml *item)
{
	return item->next;
}

size_t toml_count(const struct toml *v)
{
	size_t n = 0;

	for (const struct toml *i = toml_first(v); i; i = i->next)
		n++;
	return n;
}

/* With nowhere to say the length, only what is a string in C. */
static const char *bytes_of(const char *s, size_t len, size_t *n)
{
	if (n)
		*n = len;
	else if (memchr(s, '\0', len))
		return NULL;
	return s;
}

const char *toml_name(const struct toml *member, size_t *n)
{
	if (!member || !member->name)
		return NULL;
	return bytes_of(member->name, member->name_len, n);
}

const char *toml_string(const struct toml *v, size_t *n)
{
	if (!toml_is(v, TOML_STRING))
		return NULL;
	return bytes_of(v->is.text.s, v->is.text.n, n);
}

bool toml_integer(const struct toml *v, int64_t *out)
{
	if (!toml_is(v, TOML_INTEGER))
		return false;
	*out = v->is.integer;
	return true;
}

bool toml_float(const struct toml *v, double *out)
{
	if (!toml_is(v, TOML_FLOAT))
		return false;
	*out = v->is.real;
	return true;
}

bool toml_boolean(const struct toml *v, bool *out)
{
	if (!toml_is(v, TOML_BOOLEAN))
		return false;
	*out = v->is.truth;
	return true;
}

bool toml_time(const struct toml *v, struct toml_time *out)
{
	if (!toml_is(v, TOML_TIME))
		return false;
	*out = v->is.time;
	return true;
}
