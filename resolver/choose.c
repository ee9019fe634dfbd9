/* SPDX-License-Identifier: Apache-2.0 */
#include "choose.h"

#include "env.h"
#include "variant.h"
#include "version.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The first Python whose free-threaded build has a stable ABI. */
static const struct version stable_free_threading = { true, 3, 15 };
/* Metal 4, for which these kernels are built, came with it. */
static const struct version metal_macos = { true, 26, 0 };

/* ---- accept, or refuse with the reference's sentence: first one counts */

struct shown {
	char s[VERSION_TEXT_MAX];
};

static struct shown shown(const struct version *v)
{
	struct shown out;

	version_print(v, out.s);
	return out;
}

__attribute__((format(printf, 2, 3))) static bool refuse(
	char reason[CHOOSE_REASON_MAX], const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(reason, CHOOSE_REASON_MAX, fmt, ap);
	va_end(ap);
	return false;
}

static bool is_same(const struct version *a, const struct version *b)
{
	return a->known && b->known && version_compare(a, b) == 0;
}

static const char *python_abi(enum cxx_abi abi)
{
	return abi == ABI_CXX11 ? "True" : abi == ABI_CXX98 ? "False" : "None";
}

static bool accept_framework(const struct variant *v, const struct env *e,
			     char reason[CHOOSE_REASON_MAX])
{
	const struct shown built = shown(&v->framework);

	if (v->kind == VARIANT_STABLE)
		return (e->torch.known &&
			version_compare(&v->framework, &e->torch) <= 0) ||
		       refuse(reason,
			      "Torch stable ABI version (%s) is too "
			      "new for environment Torch version (%s)",
			      built.s, shown(&e->torch).s);
	if (v->kind == VARIANT_FFI)
		return is_same(&v->framework, &e->ffi) ||
		       refuse(reason,
			      "tvm-ffi version (%s) does not match "
			      "environment tvm-ffi version (%s)",
			      built.s, shown(&e->ffi).s);
	if (!is_same(&v->framework, &e->torch))
		return refuse(reason,
			      "Torch version (%s) does not match "
			      "environment Torch version (%s)",
			      built.s, shown(&e->torch).s);
	return v->abi == ABI_NONE || v->abi == e->abi ||
	       refuse(reason,
		      "Torch CXX11 ABI (%s) does not match "
		      "environment Torch CXX11 ABI (%s)",
		      python_abi(v->abi), python_abi(e->abi));
}

static bool accept_backend(const struct variant *v, const struct env *e,
			   char reason[CHOOSE_REASON_MAX])
{
	const struct version *built = &v->backend_version;
	const struct version *here = &e->backend_version;
	char theirs[ENV_WORD_MAX], ours[ENV_WORD_MAX];

	if (e->backend == BACKEND_CUDA && v->backend == BACKEND_CUDA)
		return (built->major == here->major &&
			built->minor <= here->minor) ||
		       refuse(reason,
			      "CUDA version (%s) is not compatible "
			      "with system CUDA version (%s)",
			      shown(built).s, shown(here).s);
	variant_backend_print(v, theirs);
	env_backend_print(e, ours);
	if (strcmp(theirs, ours) != 0)
		return refuse(reason,
			      "backend (%s) does not match selected "
			      "backend (%s)",
			      theirs, ours);
	return v->backend != BACKEND_METAL ||
	       version_compare(&e->macos, &metal_macos) >= 0 ||
	       refuse(reason,
		      "Metal kernels require macOS %s or later, "
		      "system macOS version is %s",
		      shown(&metal_macos).s, shown(&e->macos).s);
}

static bool accept_arch(const struct variant *v, const struct env *e,
			char reason[CHOOSE_REASON_MAX])
{
	/* a Python of unknown version is below */
	if (e->free_threaded &&
	    version_compare(&e->python, &stable_free_threading) < 0)
		return refuse(reason, "arch kernel not supported on "
				      "free-threaded Python <3.15");
	if (strcmp(v->cpu, e->cpu) != 0)
		return refuse(reason,
			      "CPU (%s) does not match system CPU "
			      "(%s)",
			      v->cpu, e->cpu);
	if (strcmp(v->os, e->os) != 0)
		return refuse(reason, "OS (%s) does not match system OS (%s)",
			      v->os, e->os);
	return accept_framework(v, e, reason) && accept_backend(v, e, reason);
}

static bool accept_noarch(const struct variant *v, const struct env *e,
			  char reason[CHOOSE_REASON_MAX])
{
	/* what loaders for Ascend look for */
	const char *name = e->backend == BACKEND_CANN
				   ? "npu"
				   : env_backend_name(e->backend);

	return variant_is_universal(v) || !strcmp(v->noarch, name) ||
	       refuse(reason,
		      "backend (%s) does not match system backend "
		      "(%s) and is not universal",
		      v->noarch, name);
}

/* ---- prefer ---- */

/*
 * Smaller is better, field by field: the reference's key, but for one
 * number. Where two builds tie, it takes them in the order of a hash set;
 * here the name decides, so that the same builds always give the same order.
 * And it gives tvm-ffi and noarch one family, which makes them tie where the
 * backend's minor version is 0; its documentation means tvm-ffi to come first.
 */
enum rank_key {
	RANK_REFUSED,
	RANK_FAMILY,
	RANK_STABLE_MAJOR,
	RANK_STABLE_MINOR, /* or: has a C++ ABI tag */
	RANK_BACKEND,	   /* or: is universal */
	RANK_KEYS,
};

struct rank {
	int64_t key[RANK_KEYS];
};

struct ranked {
	struct decision d;
	struct rank rank;
};

static struct rank rank_of(const struct variant *v, bool accepted)
{
	struct rank r = { { 0 } };

	r.key[RANK_REFUSED] = !accepted;
	if (v->kind == VARIANT_NOARCH) {
		r.key[RANK_FAMILY] = 3;
		r.key[RANK_BACKEND] = variant_is_universal(v);
		return r;
	}
	if (env_backend_has_version(v->backend))
		r.key[RANK_BACKEND] = -(int64_t)v->backend_version.minor;
	if (v->kind == VARIANT_STABLE) {
		r.key[RANK_STABLE_MAJOR] = -(int64_t)v->framework.major;
		r.key[RANK_STABLE_MINOR] = -(int64_t)v->framework.minor;
	} else if (v->kind == VARIANT_TORCH) {
		r.key[RANK_FAMILY] = 1;
		r.key[RANK_STABLE_MINOR] = v->abi != ABI_NONE;
	} else {
		r.key[RANK_FAMILY] = 2;
	}
	return r;
}

static int by_preference(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;

	for (size_t i = 0; i < RANK_KEYS; i++)
		if (x->rank.key[i] != y->rank.key[i])
			return x->rank.key[i] < y->rank.key[i] ? -1 : 1;
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
	*d = (struct decisions){ 0 };
}

static void auto_decisions(struct decisions *d)
{
	decisions_done(d);
}

/* One name more, ranked among the first d->count or among the skipped. */
static int judge(struct ranked *list, struct decisions *d, const char *name,
		 const struct env *env)
{
	struct ranked *r = &list[d->count];
	struct variant v;
	char *copy = strdup(name);

	if (!copy)
		return -ENOMEM;
	if (variant_parse(&v, name, NULL) < 0) {
		d->skipped[d->skipped_count++] = copy;
		return 0;
	}
	r->d.accepted = variant_is_arch(&v)
				? accept_arch(&v, env, r->d.reason)
				: accept_noarch(&v, env, r->d.reason);
	r->rank = rank_of(&v, r->d.accepted);
	r->d.name = copy;
	d->items[d->count++].name = copy;
	return 0;
}

int choose(struct decisions *out, const char *const *names, size_t count,
	   const struct env *env, struct err *err)
{
	AUTO(auto_free) struct ranked *list = calloc(count + 1, sizeof(*list));
	AUTO(auto_decisions) struct decisions d = { 0 };

	d.items = calloc(count + 1, sizeof(*d.items));
	d.skipped = calloc(count + 1, sizeof(*d.skipped));
	if (!list || !d.items || !d.skipped)
		return err_errno(err, ENOMEM, "choose a build");
	for (size_t i = 0; i < count; i++)
		if (judge(list, &d, names[i], env) < 0)
			return err_errno(err, ENOMEM, "choose a build");
	qsort(list, d.count, sizeof(*list), by_preference);
	qsort(d.skipped, d.skipped_count, sizeof(*d.skipped), by_bytes);
	for (size_t i = 0; i < d.count; i++) {
		d.items[i] = list[i].d;
		d.accepted += list[i].d.accepted;
	}
	*out = d;
	d = (struct decisions){ 0 };
	return 0;
}

/* A decision's rank again; its name did parse. */
static struct ranked ranked_again(const struct decision *d)
{
	struct ranked r = { .d = *d };
	struct variant v;

	if (variant_parse(&v, d->name, NULL) == 0)
		r.rank = rank_of(&v, d->accepted);
	return r;
}

void decisions_refuse(struct decisions *d, size_t i, const char *reason)
{
	struct decision moved = d->items[i];
	struct ranked self, next;

	moved.accepted = false;
	(void)snprintf(moved.reason, sizeof(moved.reason), "%s", reason);
	self = ranked_again(&moved);
	d->accepted--;
	for (; i + 1 < d->count; i++) {
		next = ranked_again(&d->items[i + 1]);
		if (by_preference(&self, &next) < 0)
			break;
		d->items[i] = d->items[i + 1];
	}
	d->items[i] = moved;
}
