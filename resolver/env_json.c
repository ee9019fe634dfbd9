/* SPDX-License-Identifier: Apache-2.0 */
#include "env.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <string.h>

/* ---- writing ---- */

static void add_string(struct text *out, const char *name, const char *value)
{
	text_printf(out, "\"%s\": ", name);
	if (value)
		text_add_json(out, value);
	else
		text_add(out, "null");
	text_add(out, ", ");
}

static void add_version(struct text *out, const char *name,
			const struct version *v)
{
	char s[VERSION_TEXT_MAX];

	version_print(v, s);
	add_string(out, name, v->known ? s : NULL);
}

void env_json(const struct env *e, struct text *out)
{
	static const char *const abi[] = { [ABI_NONE] = "null",
					   [ABI_CXX98] = "false",
					   [ABI_CXX11] = "true" };
	char spec[ENV_SPEC_MAX];

	text_add_char(out, '{');
	if (e->torch.known && e->torch_text[0])
		add_string(out, "torch", e->torch_text);
	else
		add_version(out, "torch", &e->torch);
	text_printf(out, "\"cxx11_abi\": %s, ", abi[e->abi]);
	add_string(out, "backend", env_backend_name(e->backend));
	add_version(out, "backend_version", &e->backend_version);
	add_string(out, "cpu", e->cpu);
	add_string(out, "os", e->os);
	add_version(out, "tvm_ffi", &e->ffi);
	add_version(out, "python", &e->python);
	text_printf(out, "\"free_threaded\": %s, ",
		    e->free_threaded ? "true" : "false");
	add_version(out, "glibc", &e->glibc);
	add_version(out, "macos", &e->macos);
	text_add(out, "\"gpus\": [");
	for (size_t i = 0; i < e->gpu_count; i++) {
		text_add(out, i ? ", {\"name\": " : "{\"name\": ");
		text_add_json(out, e->gpus[i].name);
		text_add(out, ", \"arch\": ");
		text_add_json(out, e->gpus[i].arch);
		text_add_char(out, '}');
	}
	env_print(e, spec);
	text_printf(out, "], \"host_gpus\": %s, \"any_gpu\": %s, \"spec\": ",
		    e->host_gpus ? "true" : "false",
		    e->any_gpu ? "true" : "false");
	text_add_json(out, spec);
	text_add_char(out, '}');
}

/* ---- reading ---- */

static int wrong(struct err *err, const char *name, const char *wanted)
{
	return err_set(err, EINVAL, "environment: \"%s\" is not %s", name,
		       wanted);
}

static int get_version(const struct json *j, const char *name,
		       struct version *out, struct err *err)
{
	const struct json *m = json_get(j, name);

	if (!m || json_is_null(m))
		return 0;
	if (!json_is_string(m) || version_parse(out, json_string(m)) < 0)
		return wrong(err, name, "a version in quotes");
	return 0;
}

static int get_word(const struct json *j, const char *name,
		    char out[ENV_WORD_MAX], struct err *err)
{
	const char *s = json_get_string(j, name);

	if (!s || !*s || text_copy(out, ENV_WORD_MAX, s) < 0)
		return wrong(err, name, "a word");
	return 0;
}

static int get_gpu(const struct json *j, struct env *e, struct err *err)
{
	const char *arch = json_get_string(j, "arch");
	const char *name = json_get_string(j, "name");
	struct env_gpu *g = &e->gpus[e->gpu_count];

	if (e->gpu_count == ENV_GPUS_MAX)
		return err_set(err, EINVAL, "environment: more than %d GPUs",
			       ENV_GPUS_MAX);
	if (!arch || text_copy(g->arch, sizeof(g->arch), arch) < 0)
		return wrong(err, "gpus", "a list of {\"name\", \"arch\"}");
	if (name && text_copy(g->name, sizeof(g->name), name) < 0)
		g->name[0] = '\0'; /* for people only */
	e->gpu_count++;
	return 0;
}

static int get_gpus(const struct json *j, struct env *e, struct err *err)
{
	const struct json *list = json_get(j, "gpus");
	int r = 0;

	if (!list || json_is_null(list))
		return 0;
	if (!json_is_array(list))
		return wrong(err, "gpus", "a list");
	for (const struct json *g = json_first(list); g && r == 0;
	     g = json_next(g))
		r = get_gpu(g, e, err);
	return r;
}

static int get_backend(const struct json *j, struct env *e, struct err *err)
{
	const char *backend = json_get_string(j, "backend");
	int r;

	if (!backend || env_backend_parse(&e->backend, backend) < 0)
		return wrong(err, "backend", "the name of a backend");
	r = get_version(j, "backend_version", &e->backend_version, err);
	if (r == 0 && !e->backend_version.known &&
	    (e->backend == BACKEND_CUDA || e->backend == BACKEND_ROCM ||
	     e->backend == BACKEND_XPU || e->backend == BACKEND_CANN))
		return wrong(err, "backend_version", "a version");
	return r;
}

static int get_all(const struct json *j, struct env *e, struct err *err)
{
	const struct json *abi = json_get(j, "cxx11_abi");
	int r = get_version(j, "torch", &e->torch, err);

	if (r == 0 && e->torch.known)
		(void)text_copy(e->torch_text, sizeof(e->torch_text),
				json_get_string(j, "torch"));
	if (r == 0 && abi && !json_is_null(abi))
		e->abi = json_bool(abi, false) ? ABI_CXX11 : ABI_CXX98;
	if (r == 0)
		r = get_backend(j, e, err);
	if (r == 0)
		r = get_word(j, "cpu", e->cpu, err);
	if (r == 0)
		r = get_word(j, "os", e->os, err);
	if (r == 0)
		r = get_version(j, "tvm_ffi", &e->ffi, err);
	if (r == 0)
		r = get_version(j, "python", &e->python, err);
	if (r == 0)
		r = get_version(j, "glibc", &e->glibc, err);
	if (r == 0)
		r = get_version(j, "macos", &e->macos, err);
	e->free_threaded = json_bool(json_get(j, "free_threaded"), false);
	e->host_gpus = json_bool(json_get(j, "host_gpus"), false);
	e->any_gpu = json_bool(json_get(j, "any_gpu"), false);
	return r < 0 ? r : get_gpus(j, e, err);
}

int env_from_json(struct env *out, const char *s, size_t n, struct err *err)
{
	AUTO(auto_json) struct json *j = NULL;
	char spec[ENV_SPEC_MAX];
	struct env e, again;
	int r = json_parse(&j, s, n, err);

	if (r < 0)
		return r;
	if (!json_is_object(j))
		return err_set(err, EINVAL, "environment: no JSON object");
	memset(&e, 0, sizeof(e));
	r = get_all(j, &e, err);
	if (r < 0)
		return r;
	/* What cannot be spelled cannot be a path of ours. */
	env_print(&e, spec);
	r = env_parse(&again, spec, err);
	if (r < 0)
		return err_wrap(err, r, "what it says cannot be spelled");
	*out = e;
	return 0;
}
