/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "resolver/env.h"

#include "base/cleanup.h"
#include "base/text.h"

static void same(const struct env *e, const struct env *f)
{
	FUZZ_CHECK(e->backend == f->backend && e->abi == f->abi);
	FUZZ_CHECK(version_compare(&e->torch, &f->torch) == 0);
	FUZZ_CHECK(version_compare(&e->ffi, &f->ffi) == 0);
	FUZZ_CHECK(version_compare(&e->python, &f->python) == 0);
	FUZZ_CHECK(version_compare(&e->glibc, &f->glibc) == 0);
	FUZZ_CHECK(version_compare(&e->macos, &f->macos) == 0);
	FUZZ_CHECK(e->free_threaded == f->free_threaded);
	FUZZ_CHECK(e->host_gpus == f->host_gpus && e->any_gpu == f->any_gpu);
	FUZZ_CHECK(!strcmp(e->cpu, f->cpu) && !strcmp(e->os, f->os));
}

/* Spec and JSON say the same, and say it again when they are read. */
static void check(const struct env *e)
{
	AUTO(auto_text) struct text json = TEXT_INIT(64 << 10);
	char spec[ENV_SPEC_MAX], again[ENV_SPEC_MAX];
	struct env f;

	FUZZ_CHECK(e->gpu_count <= ENV_GPUS_MAX);
	FUZZ_CHECK(e->backend < ENV_BACKENDS);
	env_print(e, spec);
	FUZZ_CHECK(strlen(spec) < ENV_SPEC_MAX - 1 && fuzz_is_plain(spec));
	FUZZ_CHECK(!strchr(spec, '/'));
	FUZZ_CHECK(env_parse(&f, spec, NULL) == 0);
	same(e, &f);
	env_print(&f, again);
	FUZZ_CHECK(strcmp(spec, again) == 0);
	env_json(e, &json);
	FUZZ_CHECK(!text_failed(&json));
	FUZZ_CHECK(env_from_json(&f, json.s, json.len, NULL) == 0);
	same(e, &f);
	env_print(&f, again);
	FUZZ_CHECK(strcmp(spec, again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *s = fuzz_string(data, size);
	struct env e;

	if (env_parse(&e, s, NULL) == 0)
		check(&e);
	if (env_from_json(&e, (const char *)data, size, NULL) == 0)
		check(&e);
	(void)env_gpu_arch_is_valid(s);
	return 0;
}
