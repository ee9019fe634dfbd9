/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/options.h"
#include "fs/options_in.h"

#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define ARGS_MAX 16

static char folder[] = "/tmp/test-options-XXXXXX";
static char config[PATH_MAX];

static struct options o;
static struct err err;

/* ---- helpers ---- */

static int fresh(void **state)
{
	static const char *const unset[] = {
		"HF_ENDPOINT",		"XDG_CACHE_HOME",
		"KERNELFS_CONFIG",	"KERNELFS_CONNECTIONS",
		"KERNELFS_TRUST",	"KERNELFS_IMPORT",
		"KERNELFS_SOURCE",	"KERNELFS_CACHE",
		"KERNELFS_DEADLINE",	"KERNELFS_MIRROR",
		"KERNELFS_LOCKED",	"KERNELFS_OFFLINE",
		"KERNELFS_TIER",	"HF_HUB_OFFLINE",
		"TRANSFORMERS_OFFLINE",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(unset) / sizeof(*unset); i++)
		(void)unsetenv(unset[i]);
	/* No file of the user is read. */
	(void)setenv("XDG_CONFIG_HOME", folder, 1);
	(void)setenv("HOME", folder, 1);
	(void)snprintf(config, sizeof(config), "%s/kernelfs.conf", folder);
	(void)unlink(config);
	err = (struct err)ERR_INIT;
	options_done(&o);
	return 0;
}

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) ? 0 : -1;
}

static int drop_folder(void **state)
{
	(void)fresh(state);
	return rmdir(folder);
}

/* Arguments up to NULL. */
static int read_line(const char *first, ...)
{
	char *argv[ARGS_MAX + 1] = { NULL };
	const char *arg = first;
	int argc = 1, r;
	va_list ap;

	argv[0] = strdup("kernelfs");
	va_start(ap, first);
	for (; arg && argc < ARGS_MAX; arg = va_arg(ap, const char *))
		argv[argc++] = strdup(arg);
	va_end(ap);
	r = options_read(&o, argc, argv, &err);
	for (int i = 0; i < argc; i++)
		free(argv[i]);
	return r;
}

static void write_config(const char *s, size_t n)
{
	FILE *f = fopen(config, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(s, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
}

static void put_config(const char *s)
{
	write_config(s, strlen(s));
}

static void assert_says(const char *part)
{
	if (!strstr(err.text, part))
		fail_msg("'%s' does not say '%s'", err.text, part);
}

static void assert_list(const struct options_list *l, const char *want)
{
	struct text t = TEXT_INIT(65536);

	for (size_t i = 0; i < l->count; i++)
		text_printf(&t, "%s%s", i ? "|" : "", l->items[i]);
	assert_string_equal(text_str(&t), want);
	text_done(&t);
}

static void assert_settles(void)
{
	int r = options_settle(&o, &err);

	if (r < 0)
		fail_msg("%s", err.text);
}

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
	assert_int_equal(o.connections, 8);
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
	assert_int_equal(o.connections, 8);
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

#define TEST(f) cmocka_unit_test_setup_teardown(f, fresh, fresh)

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
		TEST(a_mirror_belongs_to_the_source_before_it),
		TEST(a_file_and_a_variable_spell_whose_mirror_it_is),
		TEST(a_mirror_alone_is_of_the_only_source),
		TEST(mirrors_of_a_replaced_source_are_gone),
		TEST(the_source_of_fstab_stands_first),
		TEST(there_is_an_end_to_sources_and_mirrors),
		TEST(a_flag_is_on_by_its_name_alone),
		TEST(the_hubs_own_variables_mean_offline),
		TEST(sizes_are_powers_of_1024),
		TEST(a_refresh_may_be_never),
		TEST(tiers_are_folders_in_order),
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
		TEST(the_report_is_a_config_file_that_says_the_same),
		TEST(the_report_of_a_config_file_can_be_read_again),
		TEST(a_token_is_never_in_the_report),
		TEST(help_names_every_option_within_80_columns),
	};

	return cmocka_run_group_tests(tests, make_folder, drop_folder);
}
