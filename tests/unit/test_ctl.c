/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/ctl.h"

#include "base/json.h"
#include "base/log.h"
#include "fakeworld.h"

#define N(rows) (sizeof(rows) / sizeof((rows)[0]))
#define BEST "torch213-cxx11-cpu-x86_64-linux"
#define RELU "acme/relu@" FAKE_C1

static const struct fake_file files[] = {
	{ "acme/relu", FAKE_C1, "build/" BEST "/__init__.py", "x = 1" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/_k.so", "library" },
	{ "acme/relu", FAKE_C1, "build/" BEST "/metadata.json", FAKE_METADATA },
	{ "zeta/evil", FAKE_C2, "build/" BEST "/__init__.py", "evil" },
	{ NULL, NULL, NULL, NULL },
};

static const struct fake_ref refs[] = {
	{ "acme/relu", "v1", FAKE_C1, false },
	{ "zeta/evil", "main", FAKE_C2, false },
	{ NULL, NULL, NULL, false },
};

static const char *const imports[] = { "acme" };

static int setup(void **state)
{
	struct fakeworld *f = fakeworld_new(files, refs, imports, N(imports));

	names_start(f->world->names, FAKEWORLD_WAIT_MS);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fakeworld_free(*state);
	return 0;
}

static char *report(struct fakeworld *f, const char *name)
{
	struct text t = TEXT_INIT(1 << 20);
	int i = ctl_find(name);

	assert_true(i >= 0);
	ctl_report(f->view, (size_t)i, &t);
	assert_int_equal(text_failed(&t), 0);
	return t.s ? text_take(&t) : strdup("");
}

static struct json *status(struct fakeworld *f)
{
	char *s = report(f, "status");
	struct err err = ERR_INIT;
	struct json *j = NULL;

	if (json_parse(&j, s, strlen(s), &err) < 0)
		fail_msg("%s: %s", err_text(&err), s);
	free(s);
	return j;
}

static void says(const char *text, const char *what)
{
	if (!strstr(text, what))
		fail_msg("'%s' does not say '%s'", text, what);
}

static void read_whole(struct fakeworld *f, const char *path)
{
	struct node *n = fakeworld_at(f, path);
	struct text t = TEXT_INIT(1 << 16);

	assert_int_equal(fakeworld_read(f, n, &t), 0);
	text_done(&t);
	inode_put(view_inodes(f->view), n);
}

/* ---- the table ---- */

static void finds_each_report_by_its_name(void **state)
{
	static const char *const names[] = { "status", "env",	 "metrics",
					     "log",    "config", "version" };
	struct text t = TEXT_INIT(64);
	struct fakeworld *f = *state;
	size_t count = 0;

	for (; ctl_name(count); count++)
		assert_int_equal(ctl_find(ctl_name(count)), count);
	assert_int_equal(count, N(names));
	for (size_t i = 0; i < N(names); i++)
		assert_true(ctl_find(names[i]) >= 0);
	assert_int_equal(ctl_find(""), -1);
	assert_int_equal(ctl_find("Status"), -1);
	assert_int_equal(ctl_find("statu"), -1);
	assert_null(ctl_name(count + 1));
	ctl_report(f->view, count, &t);
	assert_int_equal(t.len, 0);
	text_done(&t);
}

/* ---- status ---- */

static void status_is_the_document_that_was_promised(void **state)
{
	static const char *const strings[] = { "mountpoint", "version", "since",
					       "environment" };
	static const char *const objects[] = { "cache", "passthrough",
					       "requests" };
	static const char *const arrays[] = { "sources", "kernels", "errors" };
	struct fakeworld *f = *state;
	struct json *j = status(f);
	const struct json *source = json_first(json_get(j, "sources"));
	uint64_t n = 0;

	for (size_t i = 0; i < N(strings); i++)
		assert_non_null(json_get_string(j, strings[i]));
	for (size_t i = 0; i < N(objects); i++)
		assert_true(json_is_object(json_get(j, objects[i])));
	for (size_t i = 0; i < N(arrays); i++)
		assert_true(json_is_array(json_get(j, arrays[i])));
	assert_string_equal(json_get_string(j, "mountpoint"), "/kernels");
	assert_true(json_u64(json_get(j, "pid"), &n));
	assert_int_equal(n, getpid());
	assert_string_equal(json_get_string(source, "url"), FAKE_URL);
	assert_string_equal(json_get_string(source, "state"), "unused");
	assert_false(json_bool(json_get(j, "offline"), true));
	assert_string_equal(json_get_string(json_get(j, "cache"), "path"),
			    f->options.cache);
	assert_false(
		json_bool(json_get(json_get(j, "passthrough"), "on"), true));
	assert_string_equal(json_get_string(j, "environment"), FAKEWORLD_SPEC);
	assert_int_equal(json_count(json_get(j, "kernels")), 0);
	json_free(j);
}

/* The row of a repository; *j is the document it lies in. */
static const struct json *kernel(struct fakeworld *f, const char *repo,
				 struct json **j)
{
	const struct json *k;

	*j = status(f);
	for (k = json_first(json_get(*j, "kernels")); k; k = json_next(k))
		if (!strcmp(json_get_string(k, "repo"), repo))
			return k;
	fail_msg("no row of '%s'", repo);
	return NULL;
}

static void status_tells_of_each_kernel(void **state)
{
	struct fakeworld *f = *state;
	const struct json *k;
	struct json *j;
	uint64_t blobs = 0;

	inode_put(view_inodes(f->view), fakeworld_at(f, "acme/relu@v1"));
	read_whole(f, RELU "/.kernelfs/decision");
	k = kernel(f, "acme/relu", &j);
	assert_string_equal(json_get_string(k, "revision"), "v1");
	assert_string_equal(json_get_string(k, "commit"), FAKE_C1);
	assert_string_equal(json_get_string(k, "variant"), BEST);
	/* Its metadata is there, for the choice. */
	assert_string_equal(json_get_string(k, "state"), "partial");
	json_free(j);
	read_whole(f, RELU "/build/" BEST "/__init__.py");
	read_whole(f, RELU "/build/" BEST "/_k.so");
	k = kernel(f, "acme/relu", &j);
	assert_string_equal(json_get_string(k, "state"), "verified");
	assert_true(json_u64(json_get(json_get(j, "cache"), "blobs"), &blobs));
	assert_int_equal(blobs, 3);
	json_free(j);
	read_whole(f, "zeta/evil@" FAKE_C2 "/.kernelfs/decision");
	k = kernel(f, "zeta/evil", &j);
	assert_true(json_is_null(json_get(k, "variant")));
	assert_string_equal(json_get_string(k, "state"), "refused");
	assert_int_equal(json_count(json_get(j, "kernels")), 2);
	json_free(j);
}

static void status_is_valid_for_hostile_text(void **state)
{
	static const char nasty[] = "/m\"n\\t\n\x01\xff\xc3</x>%s%n";
	struct fakeworld *f = *state;
	struct json *j;

	view_free(f->view);
	assert_int_equal(view_new(&f->view, f->world, nasty, NULL), 0);
	log_error("ctl", "a \"quoted\" \\ \x01 \xff\xfe %s", nasty);
	j = status(f);
	assert_non_null(json_get_string(j, "mountpoint"));
	says(json_get_string(j, "mountpoint"), "/m\"n\\t\n");
	assert_int_equal(json_count(json_get(j, "errors")), 1);
	json_free(j);
}

/* ---- the others ---- */

static void env_reads_as_the_environment(void **state)
{
	struct fakeworld *f = *state;
	char *s = report(f, "env");
	char spec[ENV_SPEC_MAX];
	struct env env;

	assert_int_equal(env_from_json(&env, s, strlen(s), NULL), 0);
	env_print(&env, spec);
	assert_string_equal(spec, FAKEWORLD_SPEC);
	assert_int_equal(s[strlen(s) - 1], '\n');
	free(s);
}

static unsigned long long metric(struct fakeworld *f, const char *name)
{
	char *s = report(f, "metrics"), *at = strstr(s, name);
	unsigned long long n = 0;

	if (!at)
		fail_msg("no '%s' in '%s'", name, s);
	assert_int_equal(sscanf(at + strlen(name), " %llu\n", &n), 1);
	free(s);
	return n;
}

static void metrics_count_what_the_kernel_asks(void **state)
{
	static const struct {
		enum ctl_op op;
		const char *name;
	} rows[] = {
		{ CTL_LOOKUP, "kernelfs_requests_total{op=\"lookup\"}" },
		{ CTL_GETATTR, "kernelfs_requests_total{op=\"getattr\"}" },
		{ CTL_READLINK, "kernelfs_requests_total{op=\"readlink\"}" },
		{ CTL_OPEN, "kernelfs_requests_total{op=\"open\"}" },
		{ CTL_READ, "kernelfs_requests_total{op=\"read\"}" },
		{ CTL_OPENDIR, "kernelfs_requests_total{op=\"opendir\"}" },
		{ CTL_FLUSH, "kernelfs_requests_total{op=\"flush\"}" },
		{ CTL_READDIR, "kernelfs_requests_total{op=\"readdir\"}" },
		{ CTL_XATTR, "kernelfs_requests_total{op=\"xattr\"}" },
		{ CTL_IOCTL, "kernelfs_requests_total{op=\"ioctl\"}" },
	};
	struct fakeworld *f = *state;

	for (size_t i = 0; i < N(rows); i++) {
		unsigned long long before = metric(f, rows[i].name);

		ctl_count(rows[i].op);
		ctl_count(rows[i].op);
		assert_int_equal(metric(f, rows[i].name), before + 2);
	}
	ctl_parked(1);
	ctl_parked(1);
	assert_int_equal(metric(f, "\nkernelfs_waiting"), 2);
	ctl_parked(-2);
	assert_int_equal(metric(f, "\nkernelfs_waiting"), 0);
	assert_int_equal(metric(f, "\nkernelfs_inodes"), 1);
	inode_put(view_inodes(f->view), fakeworld_at(f, "acme"));
}

/* Prometheus' text format: a comment, or name{labels} and a number. */
static void metrics_are_of_one_form(void **state)
{
	struct fakeworld *f = *state;
	char *s = report(f, "metrics"), *rest = NULL;
	unsigned lines = 0;

	assert_int_equal(s[strlen(s) - 1], '\n');
	for (char *l = strtok_r(s, "\n", &rest); l;
	     l = strtok_r(NULL, "\n", &rest), lines++) {
		char *blank = strrchr(l, ' ');

		assert_non_null(blank);
		if (l[0] == '#')
			continue;
		assert_true(!strncmp(l, "kernelfs_", 9));
		assert_true(blank[1] &&
			    !blank[1 + strspn(blank + 1, "0123456789")]);
	}
	assert_true(lines > 12);
	free(s);
}

static void log_and_config_tell_what_is_so(void **state)
{
	struct fakeworld *f = *state;
	char *s;

	log_error("ctl", "it is %s", "remembered");
	s = report(f, "log");
	says(s, "it is remembered");
	free(s);
	s = report(f, "config");
	says(s, "source = [\"" FAKE_URL "\"]\n");
	says(s, f->options.cache);
	free(s);
	s = report(f, "version");
	assert_true(!strncmp(s, "kernelfs ", 9));
	free(s);
}

#define unit(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		unit(finds_each_report_by_its_name),
		unit(status_is_the_document_that_was_promised),
		unit(status_tells_of_each_kernel),
		unit(status_is_valid_for_hostile_text),
		unit(env_reads_as_the_environment),
		unit(metrics_count_what_the_kernel_asks),
		unit(metrics_are_of_one_form),
		unit(log_and_config_tell_what_is_so),
	};

	if (log_open("/dev/null", LOG_ERROR, NULL) < 0)
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
