/* SPDX-License-Identifier: Apache-2.0 */
#ifndef GIT_GITWIRE_H
#define GIT_GITWIRE_H

/*
 * What is said to a git server, and what it answers: git's "smart" protocol,
 * version 0, as every server speaks it over HTTP. Pure: bytes in, values out,
 * nobody vouches for the bytes. libgit2 1.5 has this protocol too, but can
 * ask neither for a commit that no name leads to nor for one commit without
 * its history; both are what a pinned kernel needs.
 *
 * All is made of lines with their length in four hex digits in front, which
 * counts itself; "0000" ends a part.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/ref.h"

struct err;
struct source_refs;
struct text;

/* The answer of GET <url>/info/refs?service=git-upload-pack. */
#define GITWIRE_REFS_BYTES (32u << 20)

/*
 * Branches and tags, a tag as the commit that it stands for; sorted by name.
 * What is no valid revision is left out. -EIO with a sentence: it is no such
 * answer, it names one thing twice, or too many.
 */
int gitwire_refs(const char *s, size_t n, struct source_refs *out,
		 struct err *err);

/* The body of POST <url>/git-upload-pack: these commits, with their history
 * unless `alone`. */
void gitwire_want(struct text *out, const char *const *commits, size_t n,
		  bool alone);

/* The answer of it, as it arrives. */
struct gitwire_answer {
	/* A piece of the pack. */
	int (*pack)(void *arg, const void *p, size_t n, struct err *err);
	void *arg;
	bool ended;	/* all of the pack has come */
	bool in_pack;	/* some of it has */
	unsigned texts; /* lines before it */
	size_t have;	/* bytes of the line that is coming */
	size_t need;	/* its length; 0: not known yet */
	char line[65536];
};

void gitwire_answer_init(struct gitwire_answer *a,
			 int (*pack)(void *arg, const void *p, size_t n,
				     struct err *err),
			 void *arg);
/* -ENOENT: the server refuses, and says why; -EIO: it breaks the form, or
 * failed; what pack() returned. */
int gitwire_answer_add(struct gitwire_answer *a, const void *p, size_t n,
		       struct err *err);
/* After the last byte. -EIO: cut off. */
int gitwire_answer_end(const struct gitwire_answer *a, struct err *err);

#endif
