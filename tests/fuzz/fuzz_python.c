/* SPDX-License-Identifier: Apache-2.0 */
#include "fuzz.h"

#include "resolver/assign.h"
#include "resolver/plugins.h"
#include "resolver/torch.h"

#include "base/cleanup.h"
#include "base/text.h"

#define SMALL 8

/* Files of an installed Python: version.py and entry_points.txt. */

static void field(const char *s, const char *name)
{
	char out[TORCH_TEXT_MAX], small[SMALL];
	enum assign a = assign_find(s, name, out, sizeof(out));
	enum assign b = assign_find(s, name, small, sizeof(small));

	FUZZ_CHECK((a == ASSIGN_STRING) || !out[0]);
	FUZZ_CHECK(fuzz_is_plain(out) && !strpbrk(out, "'\"\\"));
	if (a == ASSIGN_STRING && strlen(out) >= sizeof(small))
		FUZZ_CHECK(b == ASSIGN_UNREADABLE && !small[0]);
	else if (a != ASSIGN_UNREADABLE)
		FUZZ_CHECK(a == b && strcmp(out, small) == 0);
}

static void entry_points(const char *s)
{
	AUTO(auto_text) struct text notes = TEXT_INIT(1 << 20);
	AUTO(auto_text) struct text twice = TEXT_INIT(1 << 20);
	struct plugins p = { .tpu = false }, q;

	plugins_parse(&p, s, &notes);
	q = p;
	plugins_parse(&q, s, &twice);
	FUZZ_CHECK(p.tpu == q.tpu && p.neuron == q.neuron && p.npu == q.npu);
	FUZZ_CHECK(strcmp(text_str(&notes), text_str(&twice)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "__version__", "cuda", "x" };
	AUTO(auto_free) char *s = fuzz_string(data, size);
	enum backend backend = BACKEND_CPU;
	struct version version = { .known = false };
	struct torch t;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		field(s, names[i]);
	if (torch_parse(&t, s, NULL) == 0) {
		FUZZ_CHECK(fuzz_is_plain(t.version) && fuzz_is_plain(t.hip));
		if (torch_backend(&t, &backend, &version, NULL) == 0)
			FUZZ_CHECK(env_backend_has_version(backend) ==
				   version.known);
	}
	entry_points(s);
	return 0;
}
