/* SPDX-License-Identifier: Apache-2.0 */
#include "env.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>

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
	static const char *const abi[] = {
		[ABI_NONE] = "null", [ABI_CXX98] = "false", [ABI_CXX11] = "true"
	};
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
	text_add(out, "\"gpus\": [");
	for (size_t i = 0; i < e->gpu_count; i++) {
		text_add(out, i ? ", {\"name\": " : "{\"name\": ");
		if (e->gpus[i].name[0])
			text_add_json(out, e->gpus[i].name);
		else
			text_add(out, "null");
		text_add(out, ", \"arch\": ");
		text_add_json(out, e->gpus[i].arch);
		text_add_char(out, '}');
	}
	text_printf(out, "], \"host_gpus\": %s, \"any_gpu\": %s, ",
		    e->host_gpus ? "true" : "false",
		    e->any_gpu ? "true" : "false");
	add_version(out, "macos", &e->macos);
	env_print(e, spec);
	text_add(out, "\"spec\": ");
	text_add_json(out, spec);
	text_add_char(out, '}');
}

/* ---- reading: unknown members are passed over, known ones are strict ---- */

static int wrong(struct err *err, const char *name, const char *wanted)
{
	return err_set(err, EINVAL, "environment: '%s' is not %s", name,
		       wanted);
}

/* The member, NULL when there is none or it is null: both mean unknown. */
static const struct json *member(const struct json *j, const char *name)
{
	const struct json *m = json_get(j, name);

	return m && !json_is_null(m) ? m : NULL;
}

static int get_version(const struct json *j, const char *name,
		       struct version *out, struct err *err)
{
	const struct json *m = member(j, name);

	if (!m)
		return 0;
	if (!json_is_string(m) || version_parse(out, json_string(m)) < 0)
		return wrong(err, name, "a version in quotes, or null");
	return 0;
}

static int get_flag(const struct json *j, const char *name, bool *out,
		    struct err *err)
{
	const struct json *m = member(j, name);

	/* what is no boolean gives back either fallback */
	if (m && json_bool(m, true) != json_bool(m, false))
		return wrong(err, name, "true, false or null");
	*out = json_bool(m, false);
	return 0;
}

static int get_word(const struct json *j, const char *name,
		    char out[ENV_WORD_MAX], struct err *err)
{
	const char *s = json_get_string(j, name);

	if (!s || !env_word_is_valid(s))
		return wrong(err, name, "a word in quotes");
	return text_copy(out, ENV_WORD_MAX, s);
}

static int get_torch(const struct json *j, struct env *e, struct err *err)
{
	bool cxx11 = false;
	int r = get_version(j, "torch", &e->torch, err);

	if (r == 0 && e->torch.known &&
	    text_copy(e->torch_text, sizeof(e->torch_text),
		      json_get_string(j, "torch")) < 0)
		return wrong(err, "torch", "short enough for a version");
	if (r == 0)
		r = get_flag(j, "cxx11_abi", &cxx11, err);
	if (r < 0 || !member(j, "cxx11_abi"))
		return r;
	if (!e->torch.known)
		return wrong(err, "cxx11_abi", "null, where 'torch' is");
	e->abi = cxx11 ? ABI_CXX11 : ABI_CXX98;
	return 0;
}

static int get_backend(const struct json *j, struct env *e, struct err *err)
{
	const char *name = json_get_string(j, "backend");
	int r;

	if (!name || env_backend_parse(&e->backend, name) < 0)
		return wrong(err, "backend", "the name of a backend");
	r = get_version(j, "backend_version", &e->backend_version, err);
	if (r == 0 &&
	    e->backend_version.known != env_backend_has_version(e->backend))
		return wrong(err, "backend_version",
			     e->backend_version.known
				     ? "null, and this backend has none"
				     : "a version, and this backend has one");
	return r;
}

static int get_gpu(const struct json *j, struct env *e, struct err *err)
{
	const struct json *name = member(j, "name");
	const char *arch = json_get_string(j, "arch");
	struct env_gpu gpu = { .name = "" };

	if (e->gpu_count == ENV_GPUS_MAX)
		return err_set(err, EINVAL, "environment: more than %d GPUs",
			       ENV_GPUS_MAX);
	if (!arch || !env_gpu_arch_is_valid(arch) ||
	    (name && !json_is_string(name)))
		return wrong(err, "gpus",
			     "a list of {\"name\", \"arch\"} with "
			     "an arch such as sm90 or gfx942");
	if (name &&
	    text_copy(gpu.name, sizeof(gpu.name), json_string(name)) < 0)
		return wrong(err, "gpus",
			     "a list of names of less than 64 "
			     "bytes");
	(void)text_copy(gpu.arch, sizeof(gpu.arch), arch);
	e->gpus[e->gpu_count++] = gpu;
	return 0;
}

static int get_gpus(const struct json *j, struct env *e, struct err *err)
{
	const struct json *list = member(j, "gpus");
	int r = 0;

	if (list && !json_is_array(list))
		return wrong(err, "gpus", "a list");
	for (const struct json *g = json_first(list); g && r == 0;
	     g = json_next(g))
		r = get_gpu(g, e, err);
	return r;
}

static int get_flags(const struct json *j, struct env *e, struct err *err)
{
	int r = get_flag(j, "free_threaded", &e->free_threaded, err);

	if (r == 0)
		r = get_flag(j, "host_gpus", &e->host_gpus, err);
	if (r == 0)
		r = get_flag(j, "any_gpu", &e->any_gpu, err);
	return r;
}

static int get_all(const struct json *j, struct env *e, struct err *err)
{
	const struct {
		const char *name;
		struct version *version;
	} versions[] = {
		{ "tvm_ffi", &e->ffi },
		{ "python", &e->python },
		{ "glibc", &e->glibc },
		{ "macos", &e->macos },
	};
	int r = get_torch(j, e, err);

	if (r == 0)
		r = get_backend(j, e, err);
	if (r == 0)
		r = get_word(j, "cpu", e->cpu, err);
	if (r == 0)
		r = get_word(j, "os", e->os, err);
	for (size_t i = 0; r == 0 && i < sizeof(versions) / sizeof(*versions);
	     i++)
		r = get_version(j, versions[i].name, versions[i].version, err);
	if (r == 0)
		r = get_flags(j, e, err);
	return r < 0 ? r : get_gpus(j, e, err);
}

int env_from_json(struct env *out, const char *s, size_t n, struct err *err)
{
	AUTO(auto_json) struct json *j = NULL;
	struct env e = { 0 };
	int r = json_parse(&j, s, n, err);

	if (r < 0)
		return r;
	if (!json_is_object(j))
		return err_set(err, EINVAL, "environment: no JSON object");
	r = get_all(j, &e, err);
	if (r == 0)
		*out = e;
	return r;
}
