/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A main() for a fuzz target where there is no fuzzing engine:
 *
 *	<target> FILE-OR-FOLDER...
 *
 * Each file is given to the target as it is, cut at its lengths, and with one
 * byte changed. The changes depend on the file's bytes alone, so that what
 * fails once fails again, and their number is bounded, not their time. What
 * was being tried when it failed stands on stderr.
 */
#include "fuzz.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

/* Shared by all files: a few seconds under sanitizers. */
#define RUNS_MAX 30000u
#define BYTES_MAX (24u << 20)
#define FILE_MAX (4u << 20)
#define FILES_MAX 1024u
/* For all runs of one file; it is there to end what hangs. */
#define HANG_S 120u

/* Where a sanitizer is linked in, its report comes first. */
void __sanitizer_set_death_callback(void (*callback)(void))
	__attribute__((weak));

static char trying[4096 + 128]; /* what a failure is reported with */
static size_t runs;

static void report(void)
{
	static const char nl = '\n';

	(void)!write(STDERR_FILENO, "replay: failed at ", 18);
	(void)!write(STDERR_FILENO, trying, strlen(trying));
	(void)!write(STDERR_FILENO, &nl, 1);
}

static void on_signal(int number)
{
	report();
	(void)raise(number); /* SA_RESETHAND: ends the program */
}

static void watch(void)
{
	static const int numbers[] = { SIGABRT, SIGALRM, SIGSEGV,
				       SIGBUS,	SIGFPE,	 SIGILL };
	struct sigaction act = { .sa_handler = on_signal };
	size_t n = sizeof(numbers) / sizeof(numbers[0]);

	act.sa_flags = (int)(SA_RESETHAND | SA_NODEFER);
	if (__sanitizer_set_death_callback) {
		__sanitizer_set_death_callback(report);
		n = 2; /* the others are the sanitizer's */
	}
	for (size_t i = 0; i < n; i++)
		(void)sigaction(numbers[i], &act, NULL);
}

/* In memory of just this size: a sanitizer sees a step beyond its end. */
static void run(const char *bytes, size_t n)
{
	uint8_t *copy = malloc(n);

	FUZZ_CHECK(copy || n == 0);
	if (n)
		memcpy(copy, bytes, n);
	(void)LLVMFuzzerTestOneInput(copy, n);
	free(copy);
	runs++;
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static uint64_t seed_of(const char *bytes, size_t n)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)bytes[i]) * UINT64_C(0x100000001b3);
	return h ? h : 1;
}

/* `share` runs, one half cuts and one half changed bytes. */
static void run_file(const char *path, size_t share)
{
	AUTO(auto_text) struct text t = TEXT_INIT(FILE_MAX);
	int r = io_read_file(AT_FDCWD, path, &t);
	uint64_t state;
	size_t step;

	if (r < 0) {
		(void)fprintf(stderr, "replay: %s: %s\n", path, strerror(-r));
		exit(2);
	}
	(void)alarm(HANG_S);
	(void)snprintf(trying, sizeof(trying), "%s", path);
	run(t.s, t.len);
	state = seed_of(t.s, t.len);
	step = t.len / (share / 2 + 1) + 1;
	for (size_t n = 0; n < t.len; n += step) {
		(void)snprintf(trying, sizeof(trying), "%s cut at %zu", path,
			       n);
		run(t.s, n);
	}
	for (size_t i = 0; i < share / 2 && t.len; i++) {
		size_t at = next_random(&state) % t.len;
		char was = t.s[at];

		t.s[at] = (char)(was ^ (char)(next_random(&state) % 255 + 1));
		(void)snprintf(trying, sizeof(trying),
			       "%s with byte %zu as 0x%02x", path, at,
			       (unsigned char)t.s[at]);
		run(t.s, t.len);
		t.s[at] = was;
	}
}

/* ---- which files ---- */

struct files {
	char *paths[FILES_MAX]; /* owned, each */
	size_t count;
};

static void add_file(struct files *f, const char *folder, const char *name)
{
	AUTO(auto_text) struct text path = TEXT_INIT(4095);

	text_printf(&path, "%s%s%s", folder, name ? "/" : "", name ? name : "");
	FUZZ_CHECK(!text_failed(&path) && f->count < FILES_MAX);
	f->paths[f->count++] = text_take(&path);
}

static void add_folder(struct files *f, const char *folder)
{
	AUTO(auto_closedir) DIR *d = opendir(folder);
	struct dirent *e;

	if (!d) {
		if (errno == ENOTDIR)
			add_file(f, folder, NULL);
		else
			(void)fprintf(stderr, "replay: %s: %s\n", folder,
				      strerror(errno));
		return;
	}
	while ((e = readdir(d))) {
		if (e->d_name[0] != '.')
			add_file(f, folder, e->d_name);
	}
}

static size_t share_of(const struct files *f, const char *path)
{
	struct stat st;
	size_t share = RUNS_MAX / f->count;
	size_t most = BYTES_MAX / f->count;

	if (stat(path, &st) == 0 && st.st_size > 0 &&
	    most / (size_t)st.st_size < share)
		share = most / (size_t)st.st_size;
	return share;
}

int main(int argc, char **argv)
{
	static struct files files;

	for (int i = 1; i < argc; i++)
		add_folder(&files, argv[i]);
	if (!files.count) {
		(void)fprintf(stderr, "replay: no files to try\n");
		return 2;
	}
	watch();
	for (size_t i = 0; i < files.count; i++) {
		run_file(files.paths[i], share_of(&files, files.paths[i]));
		free(files.paths[i]);
	}
	(void)printf("%zu inputs from %zu files\n", runs, files.count);
	return 0;
}
