/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spec  = head { "+" extra }
 * head  = ( "torch" D N [ "-cxx11" | "-cxx98" ] | "notorch" )
 *	   "-" backend "-" cpu "-" os
 * extra = "gpus" | "anygpu" | "sm" N [ "a" | "f" ] | "gfx" HEX
 *	 | "ffi" D N | "py" D N [ "t" ] | "glibc" N "." N | "macos" N "." N
 *
 * A backend's digits are split as a build name splits them (last digit is
 * the minor) but for what no real machine could mean: a CUDA of four digits
 * has two of major (cu1210 is 12.10, where a build's name says 121.0), and a
 * ROCm of three whose first is 4 to 9 has one (rocm710 is 7.10). Only CUDA
 * is ever compared as numbers; the others are compared as they are written.
 */
#include "env.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"
#include "variant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DIGITS_MAX 9

static const struct {
	const char *name; /* of the backend */
	const char *prefix; /* of its text */
	bool versioned;
} backends[] = {
	[BACKEND_CPU] = { "cpu", "cpu", false },
	[BACKEND_CUDA] = { "cuda", "cu", true },
	[BACKEND_ROCM] = { "rocm", "rocm", true },
	[BACKEND_XPU] = { "xpu", "xpu", true },
	[BACKEND_CANN] = { "cann", "cann", true },
	[BACKEND_METAL] = { "metal", "metal", false },
	[BACKEND_NEURON] = { "neuron", "neuron", false },
	[BACKEND_TPU] = { "tpu", "tpu", false },
};

#define BACKENDS (sizeof(backends) / sizeof(*backends))

const char *env_backend_name(enum backend b)
{
	return backends[b].name;
}

int env_backend_parse(enum backend *out, const char *name)
{
	for (size_t i = 0; i < BACKENDS; i++) {
		if (strcmp(backends[i].name, name) != 0)
			continue;
		*out = (enum backend)i;
		return 0;
	}
	return -EINVAL;
}

const char *env_backend_prefix(enum backend b)
{
	return backends[b].prefix;
}

bool env_backend_has_version(enum backend b)
{
	return backends[b].versioned;
}

void env_backend_text(enum backend b, const struct version *v,
		      char out[ENV_WORD_MAX])
{
	if (backends[b].versioned)
		(void)snprintf(out, ENV_WORD_MAX, "%s%u%u",
			       backends[b].prefix, v->major, v->minor);
	else
		(void)text_copy(out, ENV_WORD_MAX, backends[b].prefix);
}

void env_backend_print(const struct env *e, char out[ENV_WORD_MAX])
{
	env_backend_text(e->backend, &e->backend_version, out);
}

int env_select_backend(struct env *e, const char *name, struct err *err)
{
	const char *found = backends[e->backend].name;

	if (!strcmp(name, found))
		return 0;
	if (!strcmp(name, "cpu")) {
		e->backend = BACKEND_CPU;
		memset(&e->backend_version, 0, sizeof(e->backend_version));
		return 0;
	}
	/* sorted, as the reference prints them */
	return err_set(err, EINVAL, "Invalid backend '%s', system supported "
		       "backends: %s%s%s", name,
		       strcmp(found, "cpu") < 0 ? found : "cpu",
		       strcmp(found, "cpu") ? ", " : "",
		       strcmp(found, "cpu") < 0	 ? "cpu" :
		       strcmp(found, "cpu") > 0 ? found :
						   "");
}

/* ---- reading a spec ---- */

static int bad(struct err *err, const char *what, const struct cursor *c)
{
	return err_set(err, EINVAL, "environment: %s '%.*s'", what,
		       (int)(cursor_left(c) < 64 ? cursor_left(c) : 64), c->p);
}

static bool all_digits(const struct cursor *c)
{
	for (const char *p = c->p; p < c->end; p++)
		if (*p < '0' || *p > '9')
			return false;
	return !cursor_done(c);
}

/* How many of the digits are the major. */
static size_t major_digits(enum backend b, const struct cursor *c)
{
	size_t n = cursor_left(c);

	if (b == BACKEND_CUDA && n == 4)
		return 2;
	if (b == BACKEND_ROCM && n == 3 && *c->p >= '4')
		return 1;
	return n - 1;
}

static bool two_numbers(struct cursor major, struct cursor minor,
			struct version *out)
{
	struct version v = { .known = true };

	if (!cursor_number(&major, DIGITS_MAX, &v.major) ||
	    !cursor_done(&major) ||
	    !cursor_number(&minor, DIGITS_MAX, &v.minor) ||
	    !cursor_done(&minor))
		return false;
	/* "1" and "010" would be printed otherwise than they were read */
	*out = v;
	return true;
}

static bool split_at(const struct cursor *c, size_t at, struct version *out)
{
	struct cursor a = { c->p, c->p + at }, b = { c->p + at, c->end };

	/* A leading zero of more digits would not come back in print. */
	if (cursor_left(&a) == 0 || cursor_left(&b) == 0 ||
	    (cursor_left(&a) > 1 && *a.p == '0') ||
	    (cursor_left(&b) > 1 && *b.p == '0'))
		return false;
	return two_numbers(a, b, out);
}

static int parse_backend(const struct cursor *f, struct env *e,
			 struct err *err)
{
	for (size_t i = 0; i < BACKENDS; i++) {
		struct cursor c = *f;

		if (!cursor_skip(&c, backends[i].prefix))
			continue;
		if (!backends[i].versioned && !cursor_done(&c))
			continue;
		e->backend = (enum backend)i;
		if (!backends[i].versioned)
			return 0;
		if (all_digits(&c) && cursor_left(&c) >= 2 &&
		    split_at(&c, major_digits(e->backend, &c),
			     &e->backend_version))
			return 0;
	}
	return bad(err, "unknown backend", f);
}

static bool word_valid(const struct cursor *c)
{
	if (cursor_done(c) || cursor_left(c) >= ENV_WORD_MAX)
		return false;
	for (const char *p = c->p; p < c->end; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || *p == '_' || *p == '.'))
			return false;
	return true;
}

static void copy_word(char out[ENV_WORD_MAX], const struct cursor *c)
{
	memcpy(out, c->p, cursor_left(c));
	out[cursor_left(c)] = '\0';
}

static struct cursor field(struct cursor *c)
{
	struct cursor f = cursor_until(c, '-');

	(void)cursor_skip_char(c, '-');
	return f;
}

static int parse_torch(struct cursor *head, struct env *e, struct err *err)
{
	struct cursor f = field(head), c = f, mark = *head, abi;

	if (cursor_equals(&f, "notorch"))
		return 0;
	if (!cursor_skip(&c, "torch") || !all_digits(&c) ||
	    cursor_left(&c) < 2 || !split_at(&c, 1, &e->torch))
		return bad(err, "'torch213' or 'notorch' is expected, not",
			   &f);
	abi = field(head);
	if (cursor_equals(&abi, "cxx11"))
		e->abi = ABI_CXX11;
	else if (cursor_equals(&abi, "cxx98"))
		e->abi = ABI_CXX98;
	else
		*head = mark;
	return 0;
}

static int parse_head(struct cursor head, struct env *e, struct err *err)
{
	struct cursor backend, cpu, os;
	int r = parse_torch(&head, e, err);

	if (r < 0)
		return r;
	backend = field(&head);
	cpu = field(&head);
	os = head;
	r = parse_backend(&backend, e, err);
	if (r < 0)
		return r;
	if (!word_valid(&cpu))
		return bad(err, "no name of a CPU:", &cpu);
	if (!word_valid(&os))
		return bad(err, "no name of a system:", &os);
	copy_word(e->cpu, &cpu);
	copy_word(e->os, &os);
	return 0;
}

/* "sm90", "sm100a", "gfx90a": letters and digits that a path can hold. */
static bool gpu_valid(struct cursor c)
{
	uint32_t n;

	if (cursor_skip(&c, "sm")) {
		if (cursor_done(&c) || *c.p == '0' ||
		    !cursor_number(&c, 4, &n) || n < 10)
			return false;
		(void)(cursor_skip_char(&c, 'a') || cursor_skip_char(&c, 'f'));
		return cursor_done(&c);
	}
	if (!cursor_skip(&c, "gfx") || cursor_done(&c) || cursor_left(&c) > 12)
		return false;
	for (; !cursor_done(&c); c.p++)
		if (!((*c.p >= '0' && *c.p <= '9') ||
		      (*c.p >= 'a' && *c.p <= 'f')))
			return false;
	return true;
}

static int add_gpu(struct env *e, const struct cursor *x, struct err *err)
{
	struct env_gpu *g = &e->gpus[e->gpu_count];

	if (!gpu_valid(*x))
		return bad(err, "unknown extra", x);
	if (e->gpu_count == ENV_GPUS_MAX)
		return err_set(err, EINVAL, "environment: more than %d GPUs",
			       ENV_GPUS_MAX);
	memset(g, 0, sizeof(*g));
	memcpy(g->arch, x->p, cursor_left(x));
	e->gpu_count++;
	return 0;
}

static bool dotted(struct cursor c, struct version *out)
{
	struct cursor major = cursor_until(&c, '.');

	return cursor_skip_char(&c, '.') && two_numbers(major, c, out);
}

/* Extras that say one thing: 1 when x is this one, 0 when not, -EINVAL. */
static int single(const struct cursor *x, const char *name, bool is_dotted,
		  struct version *out, struct err *err)
{
	struct cursor c = *x;
	bool ok;

	if (!cursor_skip(&c, name) || cursor_done(&c) || *c.p < '0' ||
	    *c.p > '9')
		return 0;
	if (out->known)
		return bad(err, "said twice:", x);
	ok = is_dotted ? dotted(c, out) :
			 all_digits(&c) && cursor_left(&c) >= 2 &&
				 split_at(&c, 1, out);
	return ok ? 1 : bad(err, "no version in", x);
}

static int parse_extra(struct cursor x, struct env *e, struct err *err)
{
	struct cursor py = x;
	int r;

	if (cursor_equals(&x, "gpus")) {
		e->host_gpus = true;
		return 0;
	}
	if (cursor_equals(&x, "anygpu")) {
		e->any_gpu = true;
		return 0;
	}
	r = single(&x, "ffi", false, &e->ffi, err);
	if (r == 0)
		r = single(&x, "glibc", true, &e->glibc, err);
	if (r == 0)
		r = single(&x, "macos", true, &e->macos, err);
	if (r == 0) {
		bool t = cursor_left(&py) > 2 && py.end[-1] == 't';

		py.end -= t;
		r = single(&py, "py", false, &e->python, err);
		if (r == 1)
			e->free_threaded = t;
	}
	if (r != 0)
		return r < 0 ? r : 0;
	return add_gpu(e, &x, err);
}

static int by_arch(const void *a, const void *b)
{
	const struct env_gpu *x = a, *y = b;
	size_t n = strlen(x->arch), m = strlen(y->arch);

	/* shorter numbers are smaller ones */
	if (n != m && x->arch[0] == y->arch[0])
		return n < m ? -1 : 1;
	return strcmp(x->arch, y->arch);
}

static void sort_gpus(struct env *e)
{
	size_t kept = 0;

	if (e->gpu_count)
		qsort(e->gpus, e->gpu_count, sizeof(*e->gpus), by_arch);
	for (size_t i = 0; i < e->gpu_count; i++)
		if (!kept || strcmp(e->gpus[kept - 1].arch, e->gpus[i].arch))
			e->gpus[kept++] = e->gpus[i];
	e->gpu_count = kept;
}

int env_parse(struct env *out, const char *spec, struct err *err)
{
	struct cursor c = cursor_of(spec), head;
	struct env e;
	int r;

	memset(&e, 0, sizeof(e));
	if (cursor_left(&c) >= ENV_SPEC_MAX)
		return err_set(err, EINVAL, "environment: over %d bytes",
			       ENV_SPEC_MAX - 1);
	head = cursor_until(&c, '+');
	r = parse_head(head, &e, err);
	while (r == 0 && cursor_skip_char(&c, '+'))
		r = parse_extra(cursor_until(&c, '+'), &e, err);
	if (r < 0)
		return r;
	sort_gpus(&e);
	*out = e;
	return 0;
}

/* ---- printing ---- */

static void print_gpus(const struct env *e, struct text *t)
{
	const char *last = "";

	if (e->host_gpus)
		text_add(t, "+gpus");
	if (e->any_gpu)
		text_add(t, "+anygpu");
	for (size_t i = 0; i < e->gpu_count; i++) {
		if (strcmp(last, e->gpus[i].arch) != 0)
			text_printf(t, "+%s", e->gpus[i].arch);
		last = e->gpus[i].arch;
	}
}

void env_print(const struct env *e, char out[ENV_SPEC_MAX])
{
	static const char *const abi[] = { [ABI_NONE] = "",
					   [ABI_CXX98] = "-cxx98",
					   [ABI_CXX11] = "-cxx11" };
	AUTO(auto_text) struct text t = TEXT_INIT(ENV_SPEC_MAX - 1);
	char backend[ENV_WORD_MAX];
	struct env sorted = *e;

	sort_gpus(&sorted);
	env_backend_print(e, backend);
	if (e->torch.known)
		text_printf(&t, "torch%u%u%s", e->torch.major, e->torch.minor,
			    abi[e->abi]);
	else
		text_add(&t, "notorch");
	text_printf(&t, "-%s-%s-%s", backend, e->cpu, e->os);
	print_gpus(&sorted, &t);
	if (e->ffi.known)
		text_printf(&t, "+ffi%u%u", e->ffi.major, e->ffi.minor);
	if (e->python.known)
		text_printf(&t, "+py%u%u%s", e->python.major, e->python.minor,
			    e->free_threaded ? "t" : "");
	if (e->glibc.known)
		text_printf(&t, "+glibc%u.%u", e->glibc.major, e->glibc.minor);
	if (e->macos.known)
		text_printf(&t, "+macos%u.%u", e->macos.major, e->macos.minor);
	(void)text_copy(out, ENV_SPEC_MAX, text_str(&t));
}
