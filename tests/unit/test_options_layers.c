/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/options_in.h"
#include "optioning.h"

#include <errno.h>

/* ---- sources and their mirrors ---- */

static void assert_mirrors(size_t source, const char *want)
{
	struct text t = TEXT_INIT(65536);
	const char *const *first;
	size_t n = options_mirrors(&o, source, &first);

	for (size_t i = 0; i < n; i++)
		text_printf(&t, "%s%s", i ? "|" : "", first[i]);
	assert_string_equal(text_str(&t), want);
	text_done(&t);
}

static void a_mirror_belongs_to_the_source_before_it(void **state)
{
	(void)state;
	assert_int_equal(read_line("-o",
				   "source=https://a,mirror=https://a1,"
				   "mirror=https://a2,source=file:///b",
				   "--source=git+https://c",
				   "--mirror=https://c1", NULL),
			 0);
	assert_settles();
	assert_list(&o.source, "https://a|file:///b|git+https://c");
	assert_mirrors(0, "https://a1|https://a2");
	assert_mirrors(1, "");
	assert_mirrors(2, "https://c1");
	assert_mirrors(3, "");
}

static void a_file_and_a_variable_spell_whose_mirror_it_is(void **state)
{
	(void)state;
	put_config("source = ['https://a', 'mirror=https://a1', 'https://b']");
	assert_settles();
	assert_list(&o.source, "https://a|https://b");
	assert_mirrors(0, "https://a1");
	assert_mirrors(1, "");
	(void)fresh(state);
	(void)setenv("KERNELFS_SOURCE", "https://c,mirror=https://c1", 1);
	(void)setenv("KERNELFS_MIRROR", "https://c2", 1);
	assert_settles();
	assert_list(&o.source, "https://c");
	assert_mirrors(0, "https://c1|https://c2");
}

static void a_mirror_alone_is_of_the_only_source(void **state)
{
	(void)state;
	assert_int_equal(read_line("--mirror=https://m", NULL), 0);
	assert_settles();
	assert_mirrors(0, "https://m");
	(void)fresh(state);
	put_config("source = ['https://a', 'https://b']");
	assert_int_equal(read_line("--mirror=https://m", NULL), 0);
	assert_int_equal(options_settle(&o, &err), -EINVAL);
	assert_says("'https://m': there are several sources");
}

static void mirrors_of_a_replaced_source_are_gone(void **state)
{
	(void)state;
	put_config("source = 'https://a'\nmirror = 'https://a1'\n");
	assert_int_equal(read_line("--source=https://b", NULL), 0);
	assert_settles();
	assert_list(&o.source, "https://b");
	assert_list(&o.mirror, "");
	(void)fresh(state);
	assert_int_equal(read_line("--source=https://a", "--mirror=https://a1",
				   "--source=", "--source=https://b", NULL),
			 0);
	assert_settles();
	assert_list(&o.source, "https://b");
	assert_list(&o.mirror, "");
}

static void the_source_of_fstab_stands_first(void **state)
{
	(void)state;
	assert_int_equal(read_line("-o",
				   "mirror=https://m,source=https://b,"
				   "mirror=https://b1",
				   NULL),
			 0);
	assert_int_equal(options_set_first(&o, "https://a", &err), 0);
	put_config("source = 'https://c'");
	assert_settles();
	assert_list(&o.source, "https://a|https://b");
	assert_mirrors(0, "https://m");
	assert_mirrors(1, "https://b1");
}

static void there_is_an_end_to_sources_and_mirrors(void **state)
{
	(void)state;
	for (size_t i = 0; i < OPTION_SOURCES_MAX; i++)
		assert_int_equal(
			options_set(&o, "source", "https://a", "", &err), 0);
	assert_int_equal(options_set(&o, "source", "https://a", "", &err),
			 -EINVAL);
	for (size_t i = 0; i < OPTION_MIRRORS_MAX; i++)
		assert_int_equal(
			options_set(&o, "mirror", "https://a", "", &err), 0);
	assert_int_equal(options_set(&o, "mirror", "https://a", "", &err),
			 -EINVAL);
	assert_mirrors(OPTION_SOURCES_MAX - 1,
		       "https://a|https://a|https://a|https://a|"
		       "https://a|https://a|https://a|https://a|"
		       "https://a|https://a|https://a|https://a|"
		       "https://a|https://a|https://a|https://a|"
		       "https://a|https://a|https://a|https://a|"
		       "https://a|https://a|https://a|https://a|"
		       "https://a|https://a|https://a|https://a|"
		       "https://a|https://a|https://a|https://a");
}

/* ---- layers ---- */

static void defaults_stand_below_everything(void **state)
{
	(void)state;
	(void)setenv("XDG_CACHE_HOME", "/xdg", 1);
	assert_settles();
	assert_list(&o.source, "https://huggingface.co");
	assert_list(&o.mirror, "");
	assert_list(&o.tier, "");
	assert_int_equal(o.cache_size, 50ull << 30);
	assert_int_equal(o.min_free, 2ull << 30);
	assert_int_equal(o.refresh_ms, 0);
	assert_null(o.lock);
	assert_false(o.locked);
	assert_false(o.offline);
	assert_false(o.insecure);
	assert_string_equal(o.cache, "/xdg/kernelfs");
	assert_list(&o.import, "kernels-community");
	assert_list(&o.trust, "");
	assert_int_equal(o.connect_timeout_ms, 10000);
	assert_int_equal(o.stall_timeout_ms, 30000);
	assert_int_equal(o.deadline_ms, 300000);
	assert_int_equal(o.connections, 32);
	assert_string_equal(o.log, "syslog");
	assert_string_equal(o.log_level, "info");
	assert_null(o.python);
	assert_null(o.env);
	assert_false(options_given(&o, "connections"));
}

static void without_xdg_the_cache_is_roots_or_homes(void **state)
{
	char want[PATH_MAX];

	(void)state;
	(void)setenv("XDG_CACHE_HOME", "relative", 1);
	(void)snprintf(want, sizeof(want), "%s/.cache/kernelfs", folder);
	assert_settles();
	assert_string_equal(o.cache,
			    geteuid() == 0 ? "/var/cache/kernelfs" : want);
}

static void the_endpoint_of_the_environment_is_the_default(void **state)
{
	(void)state;
	(void)setenv("HF_ENDPOINT", "http://127.0.0.1:9", 1);
	assert_settles();
	assert_list(&o.source, "http://127.0.0.1:9");
	(void)fresh(state);
	(void)setenv("HF_ENDPOINT", "nonsense", 1);
	assert_int_equal(options_settle(&o, &err), -EINVAL);
	assert_says("HF_ENDPOINT");
}

static void later_layers_win(void **state)
{
	(void)state;
	put_config("connections = 2\ndeadline = '2s'\nstall_timeout = 2\n");
	(void)setenv("KERNELFS_CONNECTIONS", "3", 1);
	(void)setenv("KERNELFS_DEADLINE", "3s", 1);
	assert_int_equal(read_line("--connections=4", NULL), 0);
	assert_settles();
	assert_int_equal(o.connections, 4);
	assert_int_equal(o.deadline_ms, 3000);
	assert_int_equal(o.stall_timeout_ms, 2000);
	assert_true(options_given(&o, "stall_timeout"));
}

static void a_list_replaces_the_list_below(void **state)
{
	(void)state;
	put_config("trust = [\"a\", \"b\"]\nimport = 'c'\n");
	(void)setenv("KERNELFS_TRUST", "d,e/f,,*", 1);
	assert_settles();
	assert_list(&o.trust, "d|e/f|*");
	assert_list(&o.import, "c");
}

static void what_is_overridden_is_checked_all_the_same(void **state)
{
	(void)state;
	(void)setenv("KERNELFS_CONNECTIONS", "many", 1);
	assert_int_equal(read_line("--connections=4", NULL), 0);
	assert_int_equal(options_settle(&o, &err), -EINVAL);
	assert_says("KERNELFS_CONNECTIONS");
}

static void an_empty_variable_says_nothing(void **state)
{
	(void)state;
	(void)setenv("KERNELFS_CONNECTIONS", "", 1);
	(void)setenv("KERNELFS_IMPORT", "", 1);
	assert_settles();
	assert_int_equal(o.connections, 32);
	assert_list(&o.import, "kernels-community");
}

static void a_named_config_replaces_the_usual_ones(void **state)
{
	char other[PATH_MAX + 16];

	(void)state;
	put_config("connections = 2\n");
	(void)snprintf(other, sizeof(other), "--config=%s", config);
	(void)setenv("XDG_CONFIG_HOME", "/nowhere", 1);
	assert_int_equal(read_line(other, NULL), 0);
	assert_settles();
	assert_int_equal(o.connections, 2);
	(void)fresh(state);
	assert_int_equal(read_line(other, NULL), 0);
	assert_int_equal(options_settle(&o, &err), -ENOENT);
	assert_says(config);
}

static void the_foreground_logs_to_stderr(void **state)
{
	(void)state;
	assert_int_equal(read_line("-f", NULL), 0);
	assert_settles();
	assert_string_equal(o.log, "stderr");
}

/* ---- config files ---- */

static void reads_every_spelling_that_toml_has(void **state)
{
	(void)state;
	put_config("\xef\xbb\xbf# comment\r\n"
		   "\t connections=1_0 # ten\r\n"
		   "\n"
		   "\"cache\" = \"/a\\\"b\\\\c\\u00e9\\U0001F600\"\n"
		   "token_file = '/raw\\n'\n"
		   "import = [ # first\n"
		   "  \"o\", # one\n"
		   "\n"
		   "  'o/r@v2',\n"
		   "]\n"
		   "trust = []\n"
		   "log_level = 'debug'"); /* no newline at the end */
	assert_settles();
	assert_int_equal(o.connections, 10);
	assert_string_equal(o.cache, "/a\"b\\c\xc3\xa9\xf0\x9f\x98\x80");
	assert_string_equal(o.token_file, "/raw\\n");
	assert_list(&o.import, "o|o/r@v2");
	assert_list(&o.trust, "");
	assert_true(options_given(&o, "trust"));
	assert_string_equal(o.log_level, "debug");
}

static void names_file_and_line_of_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *says;
	} rows[] = {
		{ "\n\ncahce = 'x'", ":3: cahce is no option; did you mean "
				     "'cache'?" },
		{ "cache-size = 1", ":1: cache-size is no option" },
		{ "stall-timeout = 1", "did you mean 'stall_timeout'?" },
		{ "config = '/x'", "names no other" },
		{ "connections = 0", ":1: connections: '0' is no number" },
		{ "connections = -1", ":1: connections: '-1' is no number" },
		{ "connections = 1.5", "connections: needs" },
		{ "connections = 08", "does not begin with 0" },
		{ "connections = 1__0", ":1: '1__0' is no value" },
		{ "connections = true", "not true or false" },
		{ "locked = 'perhaps'", ":1: locked: 'perhaps' is neither" },
		{ "source = ['https://h', 'x']", ":1: source: 'x' is no URL" },
		{ "cache_size = '1X'", ":1: cache_size: '1X' is no size" },
		{ "connections = 4\nconnections = 5", ":2: 'connections' "
						      "stands here twice" },
		{ "cache = ['/x']", "takes one value" },
		{ "cache = x", ":1: 'x' is no value" },
		{ "cache =", "no value" },
		{ "cache", "a = belongs behind 'cache'" },
		{ "cache = 'x' y", "more behind" },
		{ "cache = 'x", "has no end" },
		{ "cache = \"x\\", "has no end" },
		{ "cache = \"\\q\"", "no such escape" },
		{ "cache = \"\\u12\"", "4 hex digits" },
		{ "cache = \"\\ud800\"", "no such character" },
		{ "cache = \"\\u0000\"", ":1: cache: needs" },
		{ "cache = 'a\x01'", "control character" },
		{ "cache = 1979-05-27", ":1: cache: needs" },
		{ "[section]", ":1: section: sections" },
		{ "a.b = 1", ":1: a: sections" },
		{ "cache = '\xff'", ":1: no valid UTF-8" },
		{ "trust = ['a' 'b']", "a comma or ]" },
		{ "trust = ['a',", ":1: no value" },
		{ "trust = [1]", "a list holds strings" },
		{ "trust = [['a']]", "a list holds strings" },
		{ "trust = ['a', ' ']", ":1: trust: ' '" },
		{ "= 4", "a line is" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		(void)fresh(state);
		put_config(rows[i].text);
		if (options_settle(&o, &err) != -EINVAL)
			fail_msg("taken: %s", rows[i].text);
		assert_says(rows[i].says);
		assert_says(config);
	}
}

static void refuses_a_file_that_is_no_text(void **state)
{
	char *big = calloc(1, 2u << 20);

	(void)state;
	assert_non_null(big);
	write_config("cache\0= '/x'\n", 13);
	assert_int_equal(options_settle(&o, &err), -EINVAL);
	assert_says("NUL");
	(void)fresh(state);
	memset(big, '#', 2u << 20);
	write_config(big, 2u << 20);
	assert_int_equal(options_settle(&o, &err), -EINVAL);
	assert_says("longer than");
	(void)fresh(state);
	memcpy(big, "cache = '", 9);
	write_config(big, 6000);
	assert_int_equal(options_settle(&o, &err), -EINVAL);
	assert_says("the string has no end");
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_mirror_belongs_to_the_source_before_it),
		TEST(a_file_and_a_variable_spell_whose_mirror_it_is),
		TEST(a_mirror_alone_is_of_the_only_source),
		TEST(mirrors_of_a_replaced_source_are_gone),
		TEST(the_source_of_fstab_stands_first),
		TEST(there_is_an_end_to_sources_and_mirrors),
		TEST(defaults_stand_below_everything),
		TEST(without_xdg_the_cache_is_roots_or_homes),
		TEST(the_endpoint_of_the_environment_is_the_default),
		TEST(later_layers_win),
		TEST(a_list_replaces_the_list_below),
		TEST(what_is_overridden_is_checked_all_the_same),
		TEST(an_empty_variable_says_nothing),
		TEST(a_named_config_replaces_the_usual_ones),
		TEST(the_foreground_logs_to_stderr),
		TEST(reads_every_spelling_that_toml_has),
		TEST(names_file_and_line_of_what_is_wrong),
		TEST(refuses_a_file_that_is_no_text),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
