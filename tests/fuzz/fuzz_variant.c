/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "resolver/choose.h"
#include "resolver/variant.h"

#include "base/cleanup.h"

static const char spec[] = "torch213-cxx11-cu130-x86_64-linux+sm90+py311";

/* What is printed is parsed as the same again. */
static void check(const struct variant *v)
{
	char text[VARIANT_NAME_MAX + 64], again[VARIANT_NAME_MAX + 64];
	struct variant w;

	FUZZ_CHECK(v->kind <= VARIANT_NOARCH && v->backend < ENV_BACKENDS);
	FUZZ_CHECK(variant_is_arch(v) == (v->kind != VARIANT_NOARCH));
	variant_print(v, text);
	FUZZ_CHECK(strlen(text) < sizeof(text) - 1);
	if (strlen(text) > VARIANT_NAME_MAX)
		return; /* "torch" alone gains a '-' */
	FUZZ_CHECK(variant_parse(&w, text, NULL) == 0);
	FUZZ_CHECK(v->kind == w.kind && v->abi == w.abi);
	FUZZ_CHECK(v->backend == w.backend);
	FUZZ_CHECK(!strcmp(v->cpu, w.cpu) && !strcmp(v->os, w.os));
	FUZZ_CHECK(version_compare(&v->framework, &w.framework) == 0);
	variant_print(&w, again);
	FUZZ_CHECK(strcmp(text, again) == 0);
}

/* One build is chosen, refused for a reason, or passed over. */
static void check_choice(const char *name, bool parses)
{
	struct decisions d;
	struct env e;

	FUZZ_CHECK(env_parse(&e, spec, NULL) == 0);
	FUZZ_CHECK(choose(&d, &name, 1, &e, NULL) == 0);
	FUZZ_CHECK(d.count == (parses ? 1 : 0));
	FUZZ_CHECK(d.skipped_count == (parses ? 0 : 1));
	for (size_t i = 0; i < d.count; i++)
		FUZZ_CHECK(d.items[i].accepted == !d.items[i].reason[0]);
	decisions_done(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	AUTO(auto_free) char *s = fuzz_string(data, size);
	struct variant v;
	int r = variant_parse(&v, s, NULL);

	if (r == 0)
		check(&v);
	check_choice(s, r == 0);
	return 0;
}
