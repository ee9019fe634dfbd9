/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/options_in.h"
#include "optioning.h"

#include <errno.h>

/* ---- the command line ---- */

static void reads_all_spellings_of_a_value(void **state)
{
	(void)state;
	assert_int_equal(read_line("--stall-timeout=7", "--deadline", "2h",
				   "--connect_timeout=250ms", "-o",
				   "connections=3,cache=/c", NULL),
			 0);
	assert_int_equal(o.stall_timeout_ms, 7000);
	assert_int_equal(o.deadline_ms, 7200000);
	assert_int_equal(o.connect_timeout_ms, 250);
	assert_int_equal(o.connections, 3);
	assert_string_equal(o.cache, "/c");
}

static void the_last_value_wins_and_lists_add_up(void **state)
{
	(void)state;
	assert_int_equal(read_line("--cache=/a", "--trust=x", "-otrust=y/z",
				   "--cache=/b", "--trust", "*", NULL),
			 0);
	assert_string_equal(o.cache, "/b");
	assert_list(&o.trust, "x|y/z|*");
}

static void an_empty_list_value_forgets_the_ones_before(void **state)
{
	(void)state;
	assert_int_equal(read_line("--import=a", "--import=", NULL), 0);
	assert_settles();
	assert_list(&o.import, "");
}

static void a_comma_in_a_list_is_escaped_or_quoted(void **state)
{
	(void)state;
	assert_int_equal(read_line("-o", "cache=/a\\,b\\\\c,token_file=/t",
				   "-o", "context=\"x:c1,c2\",uid=7", NULL),
			 0);
	assert_string_equal(o.cache, "/a,b\\c");
	assert_string_equal(o.token_file, "/t");
	/* For libfuse's own list: quoted for the kernel, and escaped. */
	assert_list(&o.fuse, "context=\"x:c1\\,c2\"|uid=7");
}

static void flags_stand_anywhere_and_in_clusters(void **state)
{
	(void)state;
	assert_int_equal(read_line("mount", "-fz", "--json", "/m", "--",
				   "--json-like", NULL),
			 0);
	assert_true(o.foreground);
	assert_true(o.lazy);
	assert_true(o.json);
	assert_false(o.debug);
	assert_list(&o.words, "mount|/m|--json-like");
}

static void debug_stays_in_the_foreground(void **state)
{
	(void)state;
	assert_int_equal(read_line("-d", NULL), 0);
	assert_true(o.foreground);
}

static void tolerates_what_fstab_says_to_others(void **state)
{
	(void)state;
	assert_int_equal(read_line("-o",
				   "rw,nosuid,nodev,noatime,_netdev,"
				   "noauto,nofail,user,defaults,dev,suid,"
				   "x-systemd.automount,x-gvfs-hide,,"
				   "allow_other,ro,comment=a b",
				   NULL),
			 0);
	assert_list(&o.fuse, "nosuid|nodev|noatime|allow_other|ro");
}

static void refuses_what_it_does_not_know(void **state)
{
	static const struct {
		const char *arg, *says;
	} rows[] = {
		{ "--trsut=x", "did you mean '--trust'?" },
		{ "--stall-timeot=1", "did you mean '--stall-timeout'?" },
		{ "--connecti=1", "did you mean '--connections'?" },
		{ "--cache-limit=1G", "unknown option '--cache-limit'" },
		{ "--ofline", "did you mean '--offline'?" },
		{ "--jsn", "did you mean '--json'?" },
		{ "--allow-other", "write -o allow_other" },
		{ "--uid=1", "write -o uid" },
		{ "--=x", "unknown option '--'" },
		{ "-oalow_other", "did you mean 'allow_other'?" },
		{ "-ocahce=/x", "did you mean 'cache'?" },
		{ "-olokced", "did you mean 'locked'?" },
		{ "-o=", "unknown option '-o '" },
		{ "-q", "unknown option '-q'" },
		{ "-fq", "unknown option '-q'" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		(void)fresh(state);
		assert_int_equal(read_line(rows[i].arg, NULL), -EINVAL);
		assert_says(rows[i].says);
	}
}

static void refuses_values_out_of_bounds(void **state)
{
	static const char *const rows[] = {
		"--connections=0",
		"--connections=65",
		"--connections=-1",
		"--connections= 4",
		"--connections=4x",
		"--connections=",
		"--connections=99999999999999999999999",
		"--deadline=",
		"--deadline=s",
		"--deadline=1m",
		"--deadline=1.5s",
		"--deadline=0",
		"--deadline=25h",
		"--deadline=-3s",
		"--deadline=3 s",
		"--deadline=3S",
		"--deadline=18446744073709551616ms",
		"--deadline=9999999999999999999999999999h",
		"--log-level=loud",
		"--source=ftp://h",
		"--source=h",
		"--source=https://",
		"--source=https:///x",
		"--source=https://u:secret@h",
		"--source=https://h/?q",
		"--source=https://h/#f",
		"--source=https://h/ x",
		"--source=https://h\n",
		"--source=file://host/x",
		"--source=file:/x",
		"--source=git+https://",
		"--source=git+https://u:p@h",
		"--source=git+ssh://h/x",
		"--source=git+file://x",
		"--source=mirror=ftp://h",
		"--mirror=file:///x",
		"--mirror=git+https://h",
		"--mirror=h",
		"--cache-size=",
		"--cache-size=G",
		"--cache-size=1P",
		"--cache-size=1GB",
		"--cache-size=1.5G",
		"--cache-size=-1",
		"--cache-size=99999999T",
		"--min-free=99999999999999999999999999",
		"--offline=",
		"--offline=maybe",
		"-olocked=2",
		"--lock=",
		"--refresh=always",
		"--refresh=366d",
		"--deadline=never",
		"--trust=a b",
		"--trust=a/b/c",
		"--trust=../x",
		"--trust=a/..",
		"--import=*",
		"--import=a/b@",
		"--import=a/b@x..y",
		"--import=a/b@v1@v2~",
		"--import=-x",
		"--cache=",
		"--token-file=",
		"-ouid=x",
		"-ogid=-1",
		"-ouid=4294967295",
		"-ocontext=",
		"--json=1",
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		(void)fresh(state);
		if (read_line(rows[i], NULL) != -EINVAL)
			fail_msg("'%s' was taken", rows[i]);
		assert_true(err.text[0] != '\0');
	}
}

static void takes_values_at_their_bounds(void **state)
{
	(void)state;
	assert_int_equal(read_line("--connections=64", "--deadline=24h",
				   "--stall-timeout=1ms", "-ouid=4294967294",
				   NULL),
			 0);
	assert_int_equal(o.connections, 64);
	assert_int_equal(o.deadline_ms, 86400000);
	assert_int_equal(o.stall_timeout_ms, 1);
}

static void a_secret_in_a_url_is_not_repeated(void **state)
{
	(void)state;
	assert_int_equal(read_line("--source=https://me:hunter2@h", NULL),
			 -EINVAL);
	assert_null(strstr(err.text, "hunter2"));
}

static void needs_the_value_that_is_missing(void **state)
{
	static const char *const rows[] = { "--cache", "-ocache", "-o" };

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		(void)fresh(state);
		assert_int_equal(read_line(rows[i], NULL), -EINVAL);
		assert_says("needs a");
	}
}

static void refuses_what_is_too_long(void **state)
{
	char *s = malloc(70000);

	(void)state;
	assert_non_null(s);
	memset(s, 'x', 69999);
	s[69999] = '\0';
	memcpy(s, "--cache=", 8);
	assert_int_equal(read_line(s, NULL), -EINVAL);
	memcpy(s, "-ocache=", 8);
	assert_int_equal(read_line(s, NULL), -EINVAL);
	assert_int_equal(read_line(s + 8, NULL), -EINVAL);
	memset(s, '-', 40000);
	assert_int_equal(read_line(s, NULL), -EINVAL);
	assert_true(strlen(err.text) < 400);
	free(s);
}

static void relative_paths_become_absolute(void **state)
{
	char cwd[PATH_MAX], want[PATH_MAX + 8];

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_int_equal(read_line("--cache=c", "--python=~/venv",
				   "--env=e.json", "--log=l", NULL),
			 0);
	(void)snprintf(want, sizeof(want), "%s/c", cwd);
	assert_string_equal(o.cache, want);
	(void)snprintf(want, sizeof(want), "%s/venv", folder);
	assert_string_equal(o.python, want);
	(void)snprintf(want, sizeof(want), "%s/e.json", cwd);
	assert_string_equal(o.env, want);
	(void)snprintf(want, sizeof(want), "%s/l", cwd);
	assert_string_equal(o.log, want);
	assert_int_equal(read_line("--env=notorch-cpu-x86_64-linux",
				   "--log=syslog", NULL),
			 0);
	assert_string_equal(o.env, "notorch-cpu-x86_64-linux");
	assert_string_equal(o.log, "syslog");
}

/* ---- flags, sizes, durations without end ---- */

static void a_flag_is_on_by_its_name_alone(void **state)
{
	(void)state;
	assert_int_equal(read_line("--locked", "/m", "-o", "offline", NULL), 0);
	assert_true(o.locked);
	assert_true(o.offline);
	assert_list(&o.words, "/m");
	assert_int_equal(read_line("--locked=off", "-ooffline=no", NULL), 0);
	assert_false(o.locked);
	assert_false(o.offline);
	put_config("locked = true\noffline = true\ninsecure = 'on'\n");
	assert_settles();
	assert_false(o.locked);
	assert_false(o.offline);
	assert_true(o.insecure);
}

static void the_hubs_own_variables_mean_offline(void **state)
{
	static const struct {
		const char *name, *value;
		bool offline;
	} rows[] = {
		{ "HF_HUB_OFFLINE", "1", true },
		{ "HF_HUB_OFFLINE", "oN", true },
		{ "TRANSFORMERS_OFFLINE", "Yes", true },
		{ "TRANSFORMERS_OFFLINE", "true", true },
		{ "HF_HUB_OFFLINE", "0", false },
		{ "HF_HUB_OFFLINE", "", false },
		{ "HF_HUB_OFFLINE", "2", false },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		(void)fresh(state);
		(void)setenv(rows[i].name, rows[i].value, 1);
		assert_settles();
		assert_int_equal(o.offline, rows[i].offline);
	}
	(void)fresh(state);
	(void)setenv("HF_HUB_OFFLINE", "1", 1);
	(void)setenv("KERNELFS_OFFLINE", "off", 1);
	assert_settles();
	assert_false(o.offline);
	(void)fresh(state);
	(void)setenv("HF_HUB_OFFLINE", "1", 1);
	assert_int_equal(read_line("--offline=off", NULL), 0);
	assert_settles();
	assert_false(o.offline);
}

static void sizes_are_powers_of_1024(void **state)
{
	static const struct {
		const char *arg;
		uint64_t bytes;
	} rows[] = {
		{ "--cache-size=0", 0 },
		{ "--cache-size=7", 7 },
		{ "--cache-size=3K", 3 << 10 },
		{ "--cache-size=512M", 512 << 20 },
		{ "--cache-size=20G", 20ull << 30 },
		{ "--cache-size=1048576T", 1ull << 60 },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		(void)fresh(state);
		assert_int_equal(read_line(rows[i].arg, NULL), 0);
		assert_int_equal(o.cache_size, rows[i].bytes);
	}
}

static void a_refresh_may_be_never(void **state)
{
	(void)state;
	assert_int_equal(read_line("--refresh=1d", NULL), 0);
	assert_int_equal(o.refresh_ms, 86400000);
	assert_int_equal(read_line("--refresh=never", NULL), 0);
	assert_int_equal(o.refresh_ms, 0);
	assert_int_equal(read_line("--refresh=250ms", "--refresh=0", NULL), 0);
	assert_int_equal(o.refresh_ms, 0);
}

static void tiers_are_folders_in_order(void **state)
{
	char want[2 * PATH_MAX];

	(void)state;
	assert_int_equal(read_line("--tier=/b", "-o", "tier=~/a", NULL), 0);
	assert_settles();
	(void)snprintf(want, sizeof(want), "/b|%s/a", folder);
	assert_list(&o.tier, want);
}

/* ---- reports ---- */

static void the_report_is_a_config_file_that_says_the_same(void **state)
{
	struct text first = TEXT_INIT(65536), second = TEXT_INIT(65536);

	assert_int_equal(read_line("--trust=a", "--trust=b/c", "--cache=/a\"b",
				   "--deadline=250ms", "--import=", "-f",
				   "--source=http://h", "-o",
				   "mirror=http://i,source=file:///d,locked",
				   "--cache-size=3M", "--refresh=1h",
				   "--tier=/t", NULL),
			 0);
	assert_settles();
	options_report(&o, &first);
	(void)fresh(state);
	put_config(text_str(&first));
	assert_settles();
	options_report(&o, &second);
	assert_string_equal(text_str(&first), text_str(&second));
	assert_non_null(strstr(text_str(&first), "deadline = \"250ms\""));
	assert_non_null(strstr(text_str(&first), "cache_size = \"3M\""));
	assert_non_null(strstr(text_str(&first), "locked = true"));
	assert_non_null(strstr(text_str(&first),
			       "source = [\"http://h\", \"mirror=http://i\", "
			       "\"file:///d\"]"));
	text_done(&first);
	text_done(&second);
}

static void the_report_of_a_config_file_can_be_read_again(void **state)
{
	struct text t = TEXT_INIT(65536);
	char arg[PATH_MAX + 16];

	put_config("connections = 9\n");
	(void)snprintf(arg, sizeof(arg), "--config=%s", config);
	assert_int_equal(read_line(arg, NULL), 0);
	assert_settles();
	options_report(&o, &t);
	assert_non_null(strstr(text_str(&t), config));
	(void)fresh(state);
	put_config(text_str(&t));
	assert_settles();
	assert_int_equal(o.connections, 9);
	text_done(&t);
}

static void a_token_is_never_in_the_report(void **state)
{
	struct text t = TEXT_INIT(65536);
	char path[PATH_MAX], arg[PATH_MAX + 16];
	FILE *f;

	(void)state;
	(void)setenv("HF_TOKEN", "hf_hunter2", 1);
	(void)snprintf(path, sizeof(path), "%s/token", folder);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs("hf_hunter2", f) >= 0);
	assert_int_equal(fclose(f), 0);
	(void)snprintf(arg, sizeof(arg), "--token-file=%s", path);
	assert_int_equal(read_line(arg, NULL), 0);
	assert_settles();
	options_report(&o, &t);
	assert_null(strstr(text_str(&t), "hunter2"));
	assert_non_null(strstr(text_str(&t), path));
	text_done(&t);
	(void)unsetenv("HF_TOKEN");
	(void)unlink(path);
}

static void help_names_every_option_within_80_columns(void **state)
{
	struct text t = TEXT_INIT(65536);
	const struct option *row;

	(void)state;
	options_help(&t);
	for (size_t i = 0; (row = options_row_at(i)); i++) {
		char name[OPTION_NAME_MAX + 8];

		(void)snprintf(name, sizeof(name), "--%s=", row->name);
		for (char *p = name; *p; p++)
			*p = *p == '_' ? '-' : *p;
		assert_non_null(strstr(text_str(&t), name));
	}
	for (const char *p = text_str(&t); *p;) {
		size_t n = strcspn(p, "\n");

		assert_true(n < 80);
		p += n + (p[n] == '\n');
	}
	text_done(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(reads_all_spellings_of_a_value),
		TEST(the_last_value_wins_and_lists_add_up),
		TEST(an_empty_list_value_forgets_the_ones_before),
		TEST(a_comma_in_a_list_is_escaped_or_quoted),
		TEST(flags_stand_anywhere_and_in_clusters),
		TEST(debug_stays_in_the_foreground),
		TEST(tolerates_what_fstab_says_to_others),
		TEST(refuses_what_it_does_not_know),
		TEST(refuses_values_out_of_bounds),
		TEST(takes_values_at_their_bounds),
		TEST(a_secret_in_a_url_is_not_repeated),
		TEST(needs_the_value_that_is_missing),
		TEST(refuses_what_is_too_long),
		TEST(relative_paths_become_absolute),
		TEST(a_flag_is_on_by_its_name_alone),
		TEST(the_hubs_own_variables_mean_offline),
		TEST(sizes_are_powers_of_1024),
		TEST(a_refresh_may_be_never),
		TEST(tiers_are_folders_in_order),
		TEST(the_report_is_a_config_file_that_says_the_same),
		TEST(the_report_of_a_config_file_can_be_read_again),
		TEST(a_token_is_never_in_the_report),
		TEST(help_names_every_option_within_80_columns),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
