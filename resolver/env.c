/* SPDX-License-Identifier: Apache-2.0 */
#include "env.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The spec of an environment:
 *
 *	spec	= head { "+" extra }
 *	head	= "torch" NUM [ "-cxx11" | "-cxx98" ] "-" arch | "notorch-" arch
 *	arch	= backend "-" WORD "-" WORD			(CPU, OS)
 *	backend	= cpu | metal | neuron | tpu | (cu|rocm|xpu|cann) NUM
 *	extra	= "gpus" | "anygpu" | "sm" N ["a"|"f"] | "gfx" HEX
 *		| "ffi" NUM | "py" NUM ["t"] | "pyt"
 *		| "glibc" X.Y | "macos" X.Y
 *	NUM	= X.Y | digits
 *	WORD	= letters, digits, "." and "_"
 *
 * Digits without a dot are cut where a version can stand. The major version
 * of torch, tvm-ffi and Python is one digit. Builds end a backend's version
 * with one digit of minor version; an environment may know better, and then
 * cu1210 is CUDA 12.10 (no CUDA is 121.0) and rocm710 is ROCm 7.10. Only
 * CUDA versions are compared as numbers; of the others the text counts, and
 * every cut gives the same text. A cut that would leave a minor version with
 * a leading zero would not, so there the last digit is cut off.
 *
 * X.Y is printed only where digits would be read as something else.
 */

#define DIGITS_MAX 10
#define SM_DIGITS_MAX 4
#define GFX_DIGITS_MIN 3
#define GFX_DIGITS_MAX 6
#define HEAD_PIECES_MAX 5
#define SHOWN 200 /* bytes of a wrong spec that a sentence repeats */

static const struct {
	const char *name;
	const char *prefix;
	bool has_version;
} backends[ENV_BACKENDS] = {
	[BACKEND_CPU] = { "cpu", "cpu", false },
	[BACKEND_CUDA] = { "cuda", "cu", true },
	[BACKEND_ROCM] = { "rocm", "rocm", true },
	[BACKEND_XPU] = { "xpu", "xpu", true },
	[BACKEND_CANN] = { "cann", "cann", true },
	[BACKEND_METAL] = { "metal", "metal", false },
	[BACKEND_NEURON] = { "neuron", "neuron", false },
	[BACKEND_TPU] = { "tpu", "tpu", false },
};

/* ---- backends ---- */

const char *env_backend_name(enum backend b)
{
	return backends[b].name;
}

const char *env_backend_prefix(enum backend b)
{
	return backends[b].prefix;
}

bool env_backend_has_version(enum backend b)
{
	return backends[b].has_version;
}

void env_backend_text(enum backend b, const struct version *v,
		      char out[ENV_WORD_MAX])
{
	if (backends[b].has_version)
		(void)snprintf(out, ENV_WORD_MAX, "%s%u%u", backends[b].prefix,
			       v->major, v->minor);
	else
		(void)snprintf(out, ENV_WORD_MAX, "%s", backends[b].prefix);
}

void env_backend_print(const struct env *e, char out[ENV_WORD_MAX])
{
	env_backend_text(e->backend, &e->backend_version, out);
}

int env_backend_parse(enum backend *out, const char *name)
{
	for (unsigned i = 0; i < ENV_BACKENDS; i++) {
		if (strcmp(backends[i].name, name) != 0)
			continue;
		*out = (enum backend)i;
		return 0;
	}
	return -EINVAL;
}

int env_select_backend(struct env *e, const char *name, struct err *err)
{
	const char *own = env_backend_name(e->backend);
	bool own_first = strcmp(own, "cpu") < 0;

	if (!strcmp(name, own))
		return 0;
	if (!strcmp(name, "cpu")) {
		e->backend = BACKEND_CPU;
		e->backend_version = (struct version){ .known = false };
		return 0;
	}
	if (e->backend == BACKEND_CPU)
		return err_set(err, EINVAL,
			       "Invalid backend '%s', system "
			       "supported backends: cpu",
			       name);
	return err_set(err, EINVAL,
		       "Invalid backend '%s', system supported "
		       "backends: %s, %s",
		       name, own_first ? own : "cpu", own_first ? "cpu" : own);
}

/* ---- numbers ---- */

/* How many of the digits are the major version. */
enum cut {
	CUT_FIRST, /* torch, tvm-ffi, Python */
	CUT_CUDA,
	CUT_XPU,
	CUT_ROCM, /* and CANN */
};

static enum cut backend_cut(enum backend b)
{
	return b == BACKEND_CUDA  ? CUT_CUDA
	       : b == BACKEND_XPU ? CUT_XPU
				  : CUT_ROCM;
}

static size_t major_digits(struct cursor digits, enum cut cut)
{
	size_t n = cursor_left(&digits), major = 1;

	if (cut == CUT_FIRST)
		return 1;
	if (cut == CUT_CUDA)
		major = n >= 4 ? 2 : n - 1;
	else if (cut == CUT_XPU)
		major = n >= 5 ? 4 : n - 1;
	if (n - major > 1 && digits.p[major] == '0')
		major = n - 1;
	return major;
}

static bool read_both(struct cursor major, struct cursor minor,
		      struct version *out)
{
	struct version v = { .known = true };

	if (!cursor_number(&major, DIGITS_MAX, &v.major) ||
	    !cursor_done(&major) ||
	    !cursor_number(&minor, DIGITS_MAX, &v.minor) ||
	    !cursor_done(&minor))
		return false;
	*out = v;
	return true;
}

static bool read_dotted(struct cursor c, struct version *out)
{
	struct cursor major = cursor_until(&c, '.');

	return cursor_skip_char(&c, '.') && read_both(major, c, out);
}

static bool read_number(struct cursor c, enum cut cut, struct version *out)
{
	struct cursor major = c;

	if (memchr(c.p, '.', cursor_left(&c)))
		return read_dotted(c, out);
	if (cursor_left(&c) < 2)
		return false;
	c.p += major_digits(c, cut);
	major.end = c.p;
	return read_both(major, c, out);
}

static void print_number(const struct version *v, enum cut cut,
			 char out[VERSION_TEXT_MAX])
{
	struct version again;

	(void)snprintf(out, VERSION_TEXT_MAX, "%u%u", v->major, v->minor);
	if (!read_number(cursor_of(out), cut, &again) ||
	    again.major != v->major || again.minor != v->minor)
		(void)snprintf(out, VERSION_TEXT_MAX, "%u.%u", v->major,
			       v->minor);
}

/* ---- words ---- */

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z') || c == '.' || c == '_';
}

bool env_word_is_valid(const char *s)
{
	size_t n = 0;

	while (is_word_char(s[n]))
		n++;
	return n > 0 && n < ENV_WORD_MAX && s[n] == '\0';
}

static bool copy_word(char out[ENV_WORD_MAX], struct cursor c)
{
	char word[ENV_WORD_MAX];
	size_t n = cursor_left(&c);

	if (n >= sizeof(word))
		return false;
	memcpy(word, c.p, n);
	word[n] = '\0';
	if (!env_word_is_valid(word))
		return false;
	memcpy(out, word, n + 1);
	return true;
}

/* The digits of "sm90a", 0 when it is no such thing. */
static uint32_t sm_number(const char *arch)
{
	struct cursor c = cursor_of(arch);
	uint32_t n = 0;

	if (!cursor_skip(&c, "sm") || !cursor_number(&c, SM_DIGITS_MAX, &n))
		return 0;
	if (!cursor_skip_char(&c, 'a'))
		(void)cursor_skip_char(&c, 'f');
	return cursor_done(&c) && n >= 10 && arch[2] != '0' ? n : 0;
}

bool env_gpu_arch_is_valid(const char *arch)
{
	size_t n;

	if (!text_starts(arch, "gfx"))
		return sm_number(arch) != 0;
	arch += strlen("gfx");
	n = strspn(arch, "0123456789abcdef");
	return n >= GFX_DIGITS_MIN && n <= GFX_DIGITS_MAX && arch[n] == '\0' &&
	       is_digit(arch[0]) && arch[0] != '0';
}

/* sm before gfx, each from old to new: sm90 sm90a sm100, gfx90a gfx1100. */
static int compare_archs(const char *a, const char *b)
{
	uint32_t m = sm_number(a), n = sm_number(b);
	size_t la = strlen(a), lb = strlen(b);

	if (m && n && m != n)
		return m < n ? -1 : 1;
	if (!m != !n)
		return m ? -1 : 1;
	if (!m && la != lb)
		return la < lb ? -1 : 1;
	return strcmp(a, b);
}

/* ---- reading ---- */

struct reader {
	struct env *e;
	const char *spec; /* for sentences */
	struct err *err;
};

__attribute__((format(printf, 2, 3))) static int wrong(const struct reader *r,
						       const char *fmt, ...)
{
	char what[ERR_TEXT_MAX - SHOWN - 32];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(r->err, EINVAL, "environment '%.*s': %s", SHOWN, r->spec,
		       what);
}

static bool read_backend(struct env *e, struct cursor p)
{
	for (unsigned i = 0; i < ENV_BACKENDS; i++) {
		enum backend b = (enum backend)i;
		struct cursor at = p;

		if (!cursor_skip(&at, backends[b].prefix))
			continue;
		if (backends[b].has_version ? !read_number(at, backend_cut(b),
							   &e->backend_version)
					    : !cursor_done(&at))
			continue;
		e->backend = b;
		return true;
	}
	return false;
}

static int read_arch(const struct reader *r, const struct cursor *p)
{
	if (!read_backend(r->e, p[0]))
		return wrong(r,
			     "unknown backend '%.*s': as in cpu, cu130, "
			     "rocm72",
			     (int)cursor_left(&p[0]), p[0].p);
	if (!copy_word(r->e->cpu, p[1]))
		return wrong(r, "its CPU '%.*s' is no word",
			     (int)cursor_left(&p[1]), p[1].p);
	if (!copy_word(r->e->os, p[2]))
		return wrong(r, "its OS '%.*s' is no word",
			     (int)cursor_left(&p[2]), p[2].p);
	return 0;
}

static int read_head(const struct reader *r, struct cursor head)
{
	struct cursor pieces[HEAD_PIECES_MAX], torch;
	size_t n = 0, arch = 1;

	do {
		if (n == HEAD_PIECES_MAX)
			return wrong(r, "more between its '-' than a torch, a "
					"C++ ABI, a backend, a CPU and an OS");
		pieces[n++] = cursor_until(&head, '-');
	} while (cursor_skip_char(&head, '-'));
	torch = pieces[0];
	if (!cursor_equals(&torch, "notorch")) {
		if (!cursor_skip(&torch, "torch") ||
		    !read_number(torch, CUT_FIRST, &r->e->torch))
			return wrong(r, "begins neither with a torch, as "
					"torch213, nor with notorch");
		if (n > 1 && cursor_equals(&pieces[1], "cxx11"))
			r->e->abi = ABI_CXX11;
		else if (n > 1 && cursor_equals(&pieces[1], "cxx98"))
			r->e->abi = ABI_CXX98;
		arch += r->e->abi != ABI_NONE;
	}
	if (n != arch + 3)
		return wrong(r,
			     "needs exactly a backend, a CPU and an OS "
			     "behind '%.*s', as cu130-x86_64-linux",
			     (int)cursor_left(&pieces[arch - 1]),
			     pieces[arch - 1].p);
	return read_arch(r, pieces + arch);
}

static int read_gpu(const struct reader *r, struct cursor p)
{
	struct env *e = r->e;
	struct env_gpu gpu = { .name = "" };
	size_t n = cursor_left(&p);

	if (n < sizeof(gpu.arch))
		memcpy(gpu.arch, p.p, n);
	if (n >= sizeof(gpu.arch) || !env_gpu_arch_is_valid(gpu.arch))
		return wrong(r,
			     "'+%.*s' is no GPU: as in +sm90, +sm90a, "
			     "+gfx942",
			     (int)n, p.p);
	for (size_t i = 0; i < e->gpu_count; i++)
		if (!strcmp(e->gpus[i].arch, gpu.arch))
			return 0;
	if (e->gpu_count == ENV_GPUS_MAX)
		return wrong(r, "more than %d kinds of GPU", ENV_GPUS_MAX);
	e->gpus[e->gpu_count++] = gpu;
	return 0;
}

static int twice(const struct reader *r, const char *name)
{
	return wrong(r, "'+%s' stands there twice", name);
}

static int read_flag(const struct reader *r, bool *flag, const char *name)
{
	if (*flag)
		return twice(r, name);
	*flag = true;
	return 0;
}

static int read_python(const struct reader *r, struct cursor p)
{
	struct cursor text = p;
	bool threaded = false;

	if (r->e->python.known || r->e->free_threaded)
		return twice(r, "py");
	if (!cursor_done(&p) && p.end[-1] == 't') {
		threaded = true;
		p.end--;
	}
	if (!(threaded && cursor_done(&p)) &&
	    !read_number(p, CUT_FIRST, &r->e->python))
		return wrong(r,
			     "'+py%.*s' is no Python: as in +py311, "
			     "+py314t",
			     (int)cursor_left(&text), text.p);
	r->e->free_threaded = threaded;
	return 0;
}

static int read_version(const struct reader *r, struct version *v,
			const char *name, struct cursor p)
{
	if (v->known)
		return twice(r, name);
	if (!read_dotted(p, v))
		return wrong(r, "'+%s%.*s' is no version: as in +%s2.36", name,
			     (int)cursor_left(&p), p.p, name);
	return 0;
}

static int read_extra(const struct reader *r, struct cursor p)
{
	struct cursor whole = p;

	if (cursor_equals(&p, "gpus"))
		return read_flag(r, &r->e->host_gpus, "gpus");
	if (cursor_equals(&p, "anygpu"))
		return read_flag(r, &r->e->any_gpu, "anygpu");
	if (cursor_skip(&p, "sm") || cursor_skip(&p, "gfx"))
		return read_gpu(r, whole);
	if (cursor_skip(&p, "py"))
		return read_python(r, p);
	if (cursor_skip(&p, "glibc"))
		return read_version(r, &r->e->glibc, "glibc", p);
	if (cursor_skip(&p, "macos"))
		return read_version(r, &r->e->macos, "macos", p);
	if (!cursor_skip(&p, "ffi"))
		return wrong(r, "unknown extra '+%.*s'",
			     (int)cursor_left(&whole), whole.p);
	if (r->e->ffi.known)
		return twice(r, "ffi");
	if (!read_number(p, CUT_FIRST, &r->e->ffi))
		return wrong(r, "'+ffi%.*s' is no tvm-ffi: as in +ffi01",
			     (int)cursor_left(&p), p.p);
	return 0;
}

static int by_arch(const void *a, const void *b)
{
	return compare_archs(((const struct env_gpu *)a)->arch,
			     ((const struct env_gpu *)b)->arch);
}

int env_parse(struct env *out, const char *spec, struct err *err)
{
	struct env e = { 0 };
	const struct reader r = { &e, spec, err };
	struct cursor rest = cursor_of(spec);
	int n;

	if (cursor_left(&rest) >= ENV_SPEC_MAX)
		return wrong(&r, "more than %d bytes", ENV_SPEC_MAX - 1);
	for (const char *p = spec; *p; p++)
		if (!is_word_char(*p) && *p != '-' && *p != '+')
			return wrong(&r, "byte 0x%02x stands in none",
				     (unsigned char)*p);
	n = read_head(&r, cursor_until(&rest, '+'));
	while (n == 0 && cursor_skip_char(&rest, '+'))
		n = read_extra(&r, cursor_until(&rest, '+'));
	if (n < 0)
		return n;
	qsort(e.gpus, e.gpu_count, sizeof(e.gpus[0]), by_arch);
	*out = e;
	return 0;
}

/* ---- printing ---- */

struct writer {
	char *out;
	size_t len; /* < ENV_SPEC_MAX */
};

__attribute__((format(printf, 2, 3))) static void put(struct writer *w,
						      const char *fmt, ...)
{
	size_t room = ENV_SPEC_MAX - w->len;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(w->out + w->len, room, fmt, ap);
	va_end(ap);
	if (n > 0)
		w->len += (size_t)n < room ? (size_t)n : room - 1;
}

/* What the system calls itself is not checked before it comes here. */
static void put_word(struct writer *w, const char *word)
{
	char clean[ENV_WORD_MAX] = "unknown";

	for (size_t i = 0; *word && i < sizeof(clean) - 1; i++, word++) {
		clean[i] = is_word_char(*word) ? *word : '_';
		clean[i + 1] = '\0';
	}
	put(w, "-%s", clean);
}

static void put_number(struct writer *w, const char *prefix,
		       const struct version *v, enum cut cut)
{
	char number[VERSION_TEXT_MAX];

	print_number(v, cut, number);
	put(w, "%s%s", prefix, number);
}

static void put_head(struct writer *w, const struct env *e)
{
	static const char *const abis[] = {
		[ABI_NONE] = "",
		[ABI_CXX98] = "-cxx98",
		[ABI_CXX11] = "-cxx11",
	};

	if (e->torch.known) {
		put_number(w, "torch", &e->torch, CUT_FIRST);
		put(w, "%s", abis[e->abi]);
	} else {
		put(w, "notorch");
	}
	put(w, "-");
	if (backends[e->backend].has_version)
		put_number(w, backends[e->backend].prefix, &e->backend_version,
			   backend_cut(e->backend));
	else
		put(w, "%s", backends[e->backend].prefix);
	put_word(w, e->cpu);
	put_word(w, e->os);
}

static int by_pointed_arch(const void *a, const void *b)
{
	return compare_archs(*(const char *const *)a, *(const char *const *)b);
}

static void put_gpus(struct writer *w, const struct env *e)
{
	const char *archs[ENV_GPUS_MAX];
	size_t n = 0;

	if (e->host_gpus)
		put(w, "+gpus");
	if (e->any_gpu)
		put(w, "+anygpu");
	for (size_t i = 0; i < e->gpu_count && i < ENV_GPUS_MAX; i++)
		if (env_gpu_arch_is_valid(e->gpus[i].arch))
			archs[n++] = e->gpus[i].arch;
	qsort(archs, n, sizeof(archs[0]), by_pointed_arch);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || strcmp(archs[i], archs[i - 1]) != 0)
			put(w, "+%s", archs[i]);
}

void env_print(const struct env *e, char out[ENV_SPEC_MAX])
{
	struct writer w = { out, 0 };

	put_head(&w, e);
	put_gpus(&w, e);
	if (e->ffi.known)
		put_number(&w, "+ffi", &e->ffi, CUT_FIRST);
	if (e->python.known)
		put_number(&w, "+py", &e->python, CUT_FIRST);
	if (e->free_threaded)
		put(&w, "%s", e->python.known ? "t" : "+pyt");
	if (e->glibc.known)
		put(&w, "+glibc%u.%u", e->glibc.major, e->glibc.minor);
	if (e->macos.known)
		put(&w, "+macos%u.%u", e->macos.major, e->macos.minor);
}
