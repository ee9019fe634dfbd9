/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

/*
 * What all verbs share: their table, how they say something, and what the
 * program's exit means. Results go to stdout whole and last, all else to
 * stderr as "kernelfs: sentence".
 */

#include <stdbool.h>
#include <stddef.h>

struct err;
struct options;
struct text;

enum cli_exit {
	CLI_DONE = 0,
	CLI_FAILED = 1,
	CLI_MISUSE = 2,
	CLI_NO_BUILD = 3,
	CLI_MISMATCH = 4,
};

struct cli {
	struct options *o;
	const char *const *words; /* behind the verb */
	size_t count;
};

struct cli_verb {
	const char *name;
	const char *synopsis;
	const char *summary; /* one line of help */
	const char *text;    /* what `help VERB` adds */
	size_t least, most;  /* words */
	bool settle;	     /* reads environment and config files */
	bool json;	     /* has --json */
	int (*run)(const struct cli *c);
};

/* Verb i, or NULL at the end; by name, or NULL. */
const struct cli_verb *cli_verb_at(size_t i);
const struct cli_verb *cli_verb_find(const char *name);
/* The verb that was probably meant, or NULL. */
const char *cli_verb_nearest(const char *name);

/* A line on stderr. */
void cli_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The exit code of -errno. */
int cli_code(int r);
/* Say the sentence of a failure; its exit code. */
int cli_fail(int r, const struct err *err);
/* Say it, and go on. */
void cli_say_failure(int r, const struct err *err);
/* Has one of them said that a source does not answer? */
bool cli_said_silence(void);
/* Say a sentence and how to go on. */
int cli_misuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The result, to stdout. CLI_DONE, or CLI_FAILED when it cannot be written. */
int cli_put(struct text *out);

/* May the output be coloured? */
bool cli_colour(void);
/* "12.3 MiB" */
void cli_add_bytes(struct text *out, unsigned long long bytes);

int verb_cache(const struct cli *c);
int verb_doctor(const struct cli *c);
int verb_env(const struct cli *c);
int verb_fetch(const struct cli *c);
int verb_help(const struct cli *c);
int verb_lock(const struct cli *c);
int verb_mount(const struct cli *c);
/* Its first word, as the first source of the command line. */
int verb_mount_source(const struct cli *c, struct err *err);
int verb_refresh(const struct cli *c);
int verb_resolve(const struct cli *c);
int verb_status(const struct cli *c);
int verb_umount(const struct cli *c);
int verb_verify(const struct cli *c);
int verb_version(const struct cli *c);
int verb_why(const struct cli *c);

#endif
