/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FS_OPTIONS_H
#define FS_OPTIONS_H

/*
 * One table of options (options.def) feeds long flags (--cache-size=20G), -o
 * lists, the environment (KERNELFS_CACHE), the config file, --help, the
 * control file `config` and the manual. Order, later wins: default, config
 * file, environment, command line. Repeatable options add up within one of
 * these and replace what the one before said.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct text;

struct options_list {
	char **items; /* owned */
	size_t count;
};

#define OPTION_SOURCES_MAX 16u
#define OPTION_MIRRORS_MAX 32u

struct options {
	struct options_list source; /* URLs; one at least once settled */
	struct options_list mirror; /* see options_mirrors() */
	/* How many sources were named before each; 0: it is of the only one. */
	uint8_t mirror_of[OPTION_MIRRORS_MAX];
	bool offline;
	bool insecure;
	char *cache;	     /* folder; never NULL once settled */
	uint64_t cache_size; /* bytes; 0: no limit */
	uint64_t min_free;
	struct options_list tier; /* folders */
	char *passthrough;	  /* "auto", "off" or "require" */
	char *lock;		  /* file */
	bool locked;
	uint64_t refresh_ms; /* 0: never */
	struct options_list trust;
	struct options_list import;
	char *python;  /* NULL: found */
	char *env;     /* spec or JSON file; NULL: found */
	char *backend; /* NULL: detected */
	char *token_file;
	uint64_t connect_timeout_ms;
	uint64_t stall_timeout_ms;
	uint64_t deadline_ms;
	uint64_t connections;
	char *config; /* NULL: the usual places */
	char *log;
	char *log_level;
	/* FUSE and process */
	bool foreground;	  /* -f */
	bool debug;		  /* -d */
	struct options_list fuse; /* allow_other, uid=…, context=…, … */
	/* what is left of the command line */
	struct options_list words;
	bool help;
	bool version;
	bool json;
	bool lazy;	   /* -z, of umount */
	bool all_variants; /* of fetch and verify */
	bool compile;	   /* of fetch */
	char *range;	   /* of resolve */
	unsigned given;	   /* options.c's: a bit per row that was said */
};

/*
 * Read a command line (argv[0] is skipped). `-o a,b=c` with "\," as a comma.
 * An unknown option is -EINVAL with a sentence that names the nearest one.
 */
int options_read(struct options *o, int argc, char *const *argv,
		 struct err *err);
/* Config file, environment, defaults below what was read. */
int options_settle(struct options *o, struct err *err);
void options_done(struct options *o);
/* One option by its name, as if it stood on the command line; `where` says
 * in messages who gave it. */
int options_set(struct options *o, const char *name, const char *value,
		const char *where, struct err *err);
/* The source that a line of fstab begins with, before those of its list; to
 * be called before options_settle(). */
int options_set_first(struct options *o, const char *source, struct err *err);
/* Of settled options: the mirrors of source `i`, in order; how many. */
size_t options_mirrors(const struct options *o, size_t i,
		       const char *const **first);
/* Was it said by anybody, or is it the default? */
bool options_given(const struct options *o, const char *name);
int options_list_add(struct options_list *l, const char *s, size_t n);
void options_list_done(struct options_list *l);
/* The most similar of `count` words, or NULL when none is similar. */
const char *options_nearest(const char *word, const char *const *words,
			    size_t count);

/* A line or two per option, for --help. */
void options_help(struct text *out);
/* "name = value" of all that is in force (TOML), for `config`. */
void options_report(const struct options *o, struct text *out);

#endif
