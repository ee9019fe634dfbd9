/* SPDX-License-Identifier: Apache-2.0 */
#include "choose.h"

#include "env.h"
#include "variant.h"
#include "version.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first Python whose free-threaded build has a stable ABI. */
static const struct version stable_free_threading = { true, 3, 15 };
/* Metal 4 came with it. */
static const struct version metal_macos = { true, 26, 0 };

struct ranked {
	struct decision d;
	struct variant v;
};

/* ---- accept or refuse: kernels-facts.md 2.2, row by row ---- */

static bool same(const struct version *a, const struct version *b)
{
	return a->known && b->known && version_compare(a, b) == 0;
}

/* A sentence with the two versions that do not go together. */
static bool refuse(char *reason, const char *fmt, const struct version *a,
		   const struct version *b) __attribute__((format(printf, 2, 0)));

static bool refuse(char *reason, const char *fmt, const struct version *a,
		   const struct version *b)
{
	char x[VERSION_TEXT_MAX], y[VERSION_TEXT_MAX];

	version_print(a, x);
	version_print(b, y);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	(void)snprintf(reason, CHOOSE_REASON_MAX, fmt, x, y);
#pragma GCC diagnostic pop
	return false;
}

static const char *python_abi(enum cxx_abi abi)
{
	return abi == ABI_CXX11 ? "True" : abi == ABI_CXX98 ? "False" : "None";
}

static bool accept_framework(const struct variant *v, const struct env *e,
			     char *reason)
{
	switch (v->kind) {
	case VARIANT_TORCH:
		if (!same(&v->framework, &e->torch))
			return refuse(reason, "Torch version (%s) does not "
				      "match environment Torch version (%s)",
				      &v->framework, &e->torch);
		if (v->abi != ABI_NONE && v->abi != e->abi) {
			(void)snprintf(reason, CHOOSE_REASON_MAX,
				       "Torch CXX11 ABI (%s) does not match "
				       "environment Torch CXX11 ABI (%s)",
				       python_abi(v->abi),
				       python_abi(e->abi));
			return false;
		}
		return true;
	case VARIANT_STABLE:
		if (!e->torch.known ||
		    version_compare(&v->framework, &e->torch) > 0)
			return refuse(reason, "Torch stable ABI version (%s) "
				      "is too new for environment Torch "
				      "version (%s)", &v->framework,
				      &e->torch);
		return true;
	case VARIANT_FFI:
		if (!same(&v->framework, &e->ffi))
			return refuse(reason, "tvm-ffi version (%s) does not "
				      "match environment tvm-ffi version (%s)",
				      &v->framework, &e->ffi);
		return true;
	case VARIANT_NOARCH:
		break;
	}
	return true;
}

static bool accept_backend(const struct variant *v, const struct env *e,
			   char *reason)
{
	char theirs[ENV_WORD_MAX] = "", ours[ENV_WORD_MAX];

	if (e->backend == BACKEND_CUDA && v->backend == BACKEND_CUDA) {
		if (v->backend_version.major == e->backend_version.major &&
		    v->backend_version.minor <= e->backend_version.minor)
			return true;
		return refuse(reason, "CUDA version (%s) is not compatible "
			      "with system CUDA version (%s)",
			      &v->backend_version, &e->backend_version);
	}
	variant_backend_print(v, theirs);
	env_backend_print(e, ours);
	if (strcmp(theirs, ours) != 0) {
		(void)snprintf(reason, CHOOSE_REASON_MAX, "backend (%s) does "
			       "not match selected backend (%s)", theirs,
			       ours);
		return false;
	}
	if (e->backend == BACKEND_METAL &&
	    (!e->macos.known || version_compare(&e->macos, &metal_macos) < 0))
		return refuse(reason, "Metal kernels require macOS %s or "
			      "later, system macOS version is %s",
			      &metal_macos, &e->macos);
	return true;
}

static bool accept_arch(const struct variant *v, const struct env *e,
			char *reason)
{
	if (e->free_threaded &&
	    (!e->python.known ||
	     version_compare(&e->python, &stable_free_threading) < 0)) {
		(void)text_copy(reason, CHOOSE_REASON_MAX,
				"arch kernel not supported on free-threaded "
				"Python <3.15");
		return false;
	}
	if (strcmp(v->cpu, e->cpu) != 0) {
		(void)snprintf(reason, CHOOSE_REASON_MAX, "CPU (%.150s) does "
			       "not match system CPU (%s)", v->cpu, e->cpu);
		return false;
	}
	if (strcmp(v->os, e->os) != 0) {
		(void)snprintf(reason, CHOOSE_REASON_MAX, "OS (%.150s) does "
			       "not match system OS (%s)", v->os, e->os);
		return false;
	}
	return accept_framework(v, e, reason) && accept_backend(v, e, reason);
}

static bool accept_noarch(const struct variant *v, const struct env *e,
			  char *reason)
{
	const char *name = e->backend == BACKEND_CANN ?
				   "npu" :
				   env_backend_name(e->backend);

	if (variant_is_universal(v) || !strcmp(v->noarch, name))
		return true;
	(void)snprintf(reason, CHOOSE_REASON_MAX, "backend (%.150s) does not "
		       "match system backend (%s) and is not universal",
		       v->noarch, name);
	return false;
}

/* ---- prefer: 2.3 ---- */

struct rank {
	int64_t key[6];
};

static int64_t backend_minor(const struct variant *v)
{
	return v->backend_version.known ? -(int64_t)v->backend_version.minor :
					  0;
}

static struct rank rank_of(const struct ranked *r)
{
	struct rank k = { { r->d.accepted ? 0 : 1 } };
	const struct variant *v = &r->v;

	switch (v->kind) {
	case VARIANT_STABLE:
		k.key[2] = -(int64_t)v->framework.major;
		k.key[3] = -(int64_t)v->framework.minor;
		k.key[4] = backend_minor(v);
		break;
	case VARIANT_TORCH:
		k.key[1] = 1;
		k.key[3] = v->abi == ABI_NONE ? 0 : 1;
		k.key[4] = backend_minor(v);
		break;
	case VARIANT_FFI:
		k.key[1] = 2;
		k.key[4] = backend_minor(v);
		break;
	case VARIANT_NOARCH:
		k.key[1] = 2;
		k.key[4] = variant_is_universal(v) ? 1 : 0;
		/* where the reference leaves it to a hash's order */
		k.key[5] = 1;
		break;
	}
	return k;
}

static int by_preference(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	struct rank p = rank_of(x), q = rank_of(y);

	for (size_t i = 0; i < sizeof(p.key) / sizeof(*p.key); i++)
		if (p.key[i] != q.key[i])
			return p.key[i] < q.key[i] ? -1 : 1;
	return strcmp(x->d.name, y->d.name);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* ---- the whole ---- */

void decisions_done(struct decisions *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->items[i].name);
	for (size_t i = 0; i < d->skipped_count; i++)
		free(d->skipped[i]);
	free(d->items);
	free(d->skipped);
	memset(d, 0, sizeof(*d));
}

void decisions_refuse(struct decisions *d, size_t i, const char *reason)
{
	struct decision moved = d->items[i];

	moved.accepted = false;
	(void)snprintf(moved.reason, sizeof(moved.reason), "%s", reason);
	d->accepted--;
	memmove(&d->items[i], &d->items[i + 1],
		(d->accepted - i) * sizeof(*d->items));
	d->items[d->accepted] = moved;
}

/* Judge one name into the ranked list or among the skipped. */
static int judge(struct ranked *list, struct decisions *d, const char *name,
		 const struct env *env)
{
	struct ranked *r = &list[d->count];
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	if (variant_parse(&r->v, name, NULL) < 0) {
		d->skipped[d->skipped_count++] = copy;
		return 0;
	}
	r->d.name = copy;
	r->d.accepted = variant_is_arch(&r->v) ?
				accept_arch(&r->v, env, r->d.reason) :
				accept_noarch(&r->v, env, r->d.reason);
	d->count++;
	return 0;
}

int choose(struct decisions *out, const char *const *names, size_t count,
	   const struct env *env, struct err *err)
{
	AUTO(auto_free) struct ranked *list = calloc(count + 1, sizeof(*list));
	struct decisions d = { 0 };
	int r = 0;

	d.items = calloc(count + 1, sizeof(*d.items));
	d.skipped = calloc(count + 1, sizeof(*d.skipped));
	if (!list || !d.items || !d.skipped)
		r = -ENOMEM;
	for (size_t i = 0; i < count && r == 0; i++)
		r = judge(list, &d, names[i], env);
	if (r == 0 && d.count)
		qsort(list, d.count, sizeof(*list), by_preference);
	if (r == 0 && d.skipped_count)
		qsort(d.skipped, d.skipped_count, sizeof(*d.skipped),
		      by_bytes);
	for (size_t i = 0; i < d.count; i++) {
		d.items[i] = list[i].d;
		d.accepted += d.items[i].accepted;
	}
	if (r < 0) {
		decisions_done(&d);
		return err_errno(err, ENOMEM, "choose a build");
	}
	*out = d;
	return 0;
}
