/* SPDX-License-Identifier: Apache-2.0 */

/* The JSON of an environment; its specs are in test_env.c. */
#include "resolver/env.h"

#include "base/cleanup.h"
#include "base/err.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define LINUX "-x86_64-linux"
#define JSON_MAX 65536

/* What every document needs, for those that say something else too. */
#define HEAD "{\"backend\": \"cpu\", \"cpu\": \"x86_64\", \"os\": \"linux\""

static struct env parsed(const char *spec)
{
	struct err err = ERR_INIT;
	struct env e;

	if (env_parse(&e, spec, &err) < 0)
		fail_msg("%s", err_text(&err));
	return e;
}

static struct env read_json(const char *json)
{
	struct err err = ERR_INIT;
	struct env e;

	if (env_from_json(&e, json, strlen(json), &err) < 0)
		fail_msg("%s", err_text(&err));
	return e;
}

static void expect_json(const struct env *e, const char *wanted)
{
	AUTO(auto_text) struct text out = TEXT_INIT(JSON_MAX);

	env_json(e, &out);
	assert_string_equal(text_str(&out), wanted);
}

static void expect_spec(const struct env *e, const char *wanted)
{
	char out[ENV_SPEC_MAX];

	env_print(e, out);
	assert_string_equal(out, wanted);
}

static void writes_every_member(void **state)
{
	struct env e = parsed("torch213-cxx11-cu130" LINUX "+gpus+sm80+sm90"
			      "+ffi01+py313t+glibc2.36+macos26.1");

	(void)state;
	(void)snprintf(e.torch_text, sizeof(e.torch_text), "2.13.0+cu130");
	(void)snprintf(e.gpus[1].name, sizeof(e.gpus[1].name), "a \"GPU\"");
	expect_json(&e,
		    "{\"torch\": \"2.13.0+cu130\", \"cxx11_abi\": true, "
		    "\"backend\": \"cuda\", \"backend_version\": \"13.0\", "
		    "\"cpu\": \"x86_64\", \"os\": \"linux\", "
		    "\"tvm_ffi\": \"0.1\", \"python\": \"3.13\", "
		    "\"free_threaded\": true, \"glibc\": \"2.36\", "
		    "\"gpus\": [{\"name\": null, \"arch\": \"sm80\"}, "
		    "{\"name\": \"a \\\"GPU\\\"\", \"arch\": \"sm90\"}], "
		    "\"host_gpus\": true, \"any_gpu\": false, "
		    "\"macos\": \"26.1\", "
		    "\"spec\": \"torch213-cxx11-cu130-x86_64-linux+gpus+sm80"
		    "+sm90+ffi01+py313t+glibc2.36+macos26.1\"}");
}

static void writes_null_for_what_is_unknown(void **state)
{
	struct env e = parsed("notorch-cpu-aarch64-linux");

	(void)state;
	expect_json(&e,
		    "{\"torch\": null, \"cxx11_abi\": null, "
		    "\"backend\": \"cpu\", \"backend_version\": null, "
		    "\"cpu\": \"aarch64\", \"os\": \"linux\", "
		    "\"tvm_ffi\": null, \"python\": null, "
		    "\"free_threaded\": false, \"glibc\": null, "
		    "\"gpus\": [], \"host_gpus\": false, \"any_gpu\": false, "
		    "\"macos\": null, "
		    "\"spec\": \"notorch-cpu-aarch64-linux\"}");
}

static void writes_torch_by_its_version_when_a_spec_named_it(void **state)
{
	AUTO(auto_text) struct text out = TEXT_INIT(JSON_MAX);
	struct env e = parsed("torch210-cxx98-rocm710" LINUX);

	(void)state;
	env_json(&e, &out);
	assert_non_null(strstr(text_str(&out), "\"torch\": \"2.10\", "
					       "\"cxx11_abi\": false"));
	assert_non_null(
		strstr(text_str(&out), "\"backend_version\": \"7.10\""));
}

static void reads_what_it_wrote(void **state)
{
	static const char *const specs[] = {
		"torch213-cxx11-cu130" LINUX "+gpus+anygpu+sm80+sm90a+gfx942"
		"+ffi01+py313t+glibc2.36",
		"torch212-cxx98-cu1210" LINUX,
		"torch212-metal-aarch64-darwin+macos26.1",
		"torch213-xpu20253" LINUX,
		"torch28-cann83-aarch64-linux",
		"torch210-cu128-x86_64-windows",
		"notorch-cpu" LINUX,
		"torch29-neuron" LINUX,
		"torch211-tpu" LINUX,
	};

	(void)state;
	for (size_t i = 0; i < COUNT(specs); i++) {
		AUTO(auto_text) struct text out = TEXT_INIT(JSON_MAX);
		struct env e = parsed(specs[i]), back;

		env_json(&e, &out);
		back = read_json(text_str(&out));
		expect_spec(&back, specs[i]);
		expect_json(&back, text_str(&out));
	}
}

static void keeps_what_no_spec_can_say(void **state)
{
	struct env e = read_json("{\"torch\": \"2.9.0a0+50eac811a6.nv25.09\","
				 "\"backend\": \"cuda\", \"backend_version\":"
				 "\"12.10\", \"cpu\": \"x86_64\", \"os\":"
				 "\"linux\", \"gpus\": [{\"name\": \"H100\","
				 "\"arch\": \"sm90\"}]}");

	(void)state;
	assert_string_equal(e.torch_text, "2.9.0a0+50eac811a6.nv25.09");
	assert_int_equal(e.torch.major, 2);
	assert_int_equal(e.torch.minor, 9);
	assert_string_equal(e.gpus[0].name, "H100");
	assert_int_equal(e.backend_version.major, 12);
	assert_int_equal(e.backend_version.minor, 10);
	expect_spec(&e, "torch29-cu1210" LINUX "+sm90");
}

static void passes_over_what_it_does_not_know(void **state)
{
	struct env e;

	(void)state;
	e = read_json(HEAD ", \"colour\": [1, {\"x\": null}], \"Torch\": 3,"
			   "\"spec\": 17}");
	expect_spec(&e, "notorch-cpu" LINUX);
	e = read_json(HEAD ", \"torch\": null, \"cxx11_abi\": null,"
			   "\"backend_version\": null, \"tvm_ffi\": null,"
			   "\"python\": null, \"free_threaded\": null,"
			   "\"glibc\": null, \"gpus\": null, \"macos\": null}");
	expect_spec(&e, "notorch-cpu" LINUX);
}

static void names_what_is_wrong_in_a_document(void **state)
{
	static const struct {
		const char *json, *why;
	} rows[] = {
		{ "", "JSON" },
		{ "[]", "environment: no JSON object" },
		{ "{}", "'backend' is not" },
		{ "{\"backend\": \"cpu\"}", "'cpu' is not a word" },
		{ "{\"backend\": \"cpu\", \"cpu\": \"x86_64\"}",
		  "'os' is not a word" },
		{ "{\"backend\": \"npu\", \"cpu\": \"a\", \"os\": \"b\"}",
		  "'backend' is not the name of a backend" },
		{ "{\"backend\": \"cuda\", \"cpu\": \"a\", \"os\": \"b\"}",
		  "'backend_version' is not" },
		{ "{\"backend\": \"cpu\", \"cpu\": \"a-b\", \"os\": \"b\"}",
		  "'cpu' is not a word" },
		{ "{\"backend\": \"cpu\", \"cpu\": \"a\", \"os\": \"../b\"}",
		  "'os' is not a word" },
		{ HEAD ", \"backend_version\": \"1.0\"}",
		  "'backend_version' is not null" },
		{ HEAD ", \"torch\": 2.13}", "'torch' is not a version" },
		{ HEAD ", \"torch\": \"new\"}", "'torch' is not a version" },
		{ HEAD ", \"torch\": \"2.13+"
		       "00000000000000000000000000000000"
		       "00000000000000000000000000000000\"}",
		  "'torch' is not short enough" },
		{ HEAD ", \"torch\": \"2.13\", \"cxx11_abi\": \"True\"}",
		  "'cxx11_abi' is not true, false or null" },
		{ HEAD ", \"cxx11_abi\": true}", "'cxx11_abi' is not null" },
		{ HEAD ", \"tvm_ffi\": true}", "'tvm_ffi' is not a version" },
		{ HEAD ", \"python\": [3, 11]}", "'python' is not a version" },
		{ HEAD ", \"glibc\": \"\"}", "'glibc' is not a version" },
		{ HEAD ", \"macos\": {}}", "'macos' is not a version" },
		{ HEAD ", \"free_threaded\": 1}", "'free_threaded' is not" },
		{ HEAD ", \"host_gpus\": \"yes\"}", "'host_gpus' is not" },
		{ HEAD ", \"any_gpu\": 0}", "'any_gpu' is not" },
		{ HEAD ", \"gpus\": {}}", "'gpus' is not a list" },
		{ HEAD ", \"gpus\": [\"sm90\"]}", "'gpus' is not a list of" },
		{ HEAD ", \"gpus\": [{\"arch\": 90}]}", "'gpus' is not" },
		{ HEAD ", \"gpus\": [{\"arch\": \"9.0\"}]}", "'gpus' is not" },
		{ HEAD ", \"gpus\": [{\"name\": \"H100\"}]}", "'gpus' is not" },
		{ HEAD ", \"gpus\": [{\"arch\": \"sm90\", \"name\": 1}]}",
		  "'gpus' is not" },
		{ HEAD "} {", "JSON" },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct err err = ERR_INIT;
		struct env e, before;
		size_t n = strlen(rows[i].json);

		memset(&e, 0x5a, sizeof(e));
		before = e;
		if (env_from_json(&e, rows[i].json, n, &err) >= 0)
			fail_msg("'%s' is not refused", rows[i].json);
		if (!strstr(err_text(&err), rows[i].why))
			fail_msg("'%s' where '%s' is expected", err_text(&err),
				 rows[i].why);
		assert_memory_equal(&e, &before, sizeof(e));
	}
}

static void refuses_more_gpus_than_there_is_room_for(void **state)
{
	AUTO(auto_text) struct text json = TEXT_INIT(JSON_MAX);
	struct err err = ERR_INIT;
	struct env e;
	size_t whole;

	(void)state;
	text_add(&json, HEAD ", \"gpus\": [{\"arch\": \"sm80\"}");
	for (unsigned i = 1; i < ENV_GPUS_MAX; i++)
		text_add(&json, ",{\"arch\": \"sm90\"}");
	whole = json.len;
	text_add(&json, "]}");
	e = read_json(text_str(&json));
	assert_int_equal(e.gpu_count, ENV_GPUS_MAX);
	expect_spec(&e, "notorch-cpu" LINUX "+sm80+sm90");
	json.len = whole;
	text_add(&json, ",{\"arch\": \"sm90\"}]}");
	assert_int_equal(env_from_json(&e, text_str(&json), json.len, &err),
			 -EINVAL);
	assert_string_equal(err_text(&err), "environment: more than 64 GPUs");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_every_member),
		cmocka_unit_test(writes_null_for_what_is_unknown),
		cmocka_unit_test(
			writes_torch_by_its_version_when_a_spec_named_it),
		cmocka_unit_test(reads_what_it_wrote),
		cmocka_unit_test(keeps_what_no_spec_can_say),
		cmocka_unit_test(passes_over_what_it_does_not_know),
		cmocka_unit_test(names_what_is_wrong_in_a_document),
		cmocka_unit_test(refuses_more_gpus_than_there_is_room_for),
	};

	return cmocka_run_group_tests_name("env_json", tests, NULL, NULL);
}
