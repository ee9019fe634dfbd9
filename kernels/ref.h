/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KERNELS_REF_H
#define KERNELS_REF_H

/*
 * What a user asks for: owner/repo[@rev]. Everything here is checked text:
 * once parsed it holds no '/', NUL, control byte, "." or "..", and may be
 * used as one component of a path.
 *
 * Repository rule: kernels-facts.md 6.1 (letters, digits, '_', '-', '.', at
 * most 96 bytes a part, starts and ends with a word character, no "--", no
 * "..", no ".git" at the end). A revision is a git reference name
 * (git-check-ref-format(1)) or a commit; '/' in it is spelled %2F in a path.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;

#define REF_PART_MAX 96
#define REF_REV_MAX 200
#define REF_COMMIT_LEN 40

struct repo_id {
	char owner[REF_PART_MAX + 1];
	char name[REF_PART_MAX + 1];
};

enum rev_kind {
	REV_DEFAULT, /* nothing was said */
	REV_LATEST,  /* the default, without lock and config */
	REV_VERSION, /* vN or N: a version branch */
	REV_COMMIT,  /* 40 lower-case hex digits */
	REV_NAME,    /* a branch or tag, vX.Y.Z included */
	REV_RANGE,   /* PEP 440 specifiers over tags (specifier.h) */
};

struct ref {
	struct repo_id repo;
	enum rev_kind kind;
	uint32_t version;	   /* of REV_VERSION */
	char rev[REF_REV_MAX + 1]; /* as git spells it: "v2" for "2"; may
				    * hold '/'; "" for REV_DEFAULT; a range
				    * without its blanks */
};

/* Room for the largest printed ref, each '/' as %2F, and its NUL. */
#define REF_TEXT_MAX (2 * REF_PART_MAX + 3 * REF_REV_MAX + 3)

bool ref_owner_valid(const char *owner);
bool ref_name_valid(const char *name);
/* "owner/repo". -EINVAL with a sentence. */
int ref_parse_repo(struct repo_id *out, const char *s, struct err *err);
/* "owner/repo[@rev]"; the revision may hold '/' or %2F. */
int ref_parse(struct ref *out, const char *s, struct err *err);
/* `step` is one path component below an owner: "repo" or "repo@rev". */
int ref_parse_step(struct ref *out, const char *owner, const char *step,
		   struct err *err);
/* "owner/repo" or "owner/repo@rev" with '/' of the revision as %2F. */
void ref_print(const struct ref *r, char out[REF_TEXT_MAX]);
/* "repo" or "repo@rev", as a path component. */
void ref_print_step(const struct ref *r, char out[REF_TEXT_MAX]);
bool repo_equal(const struct repo_id *a, const struct repo_id *b);
int repo_compare(const struct repo_id *a, const struct repo_id *b);
/* The import name: '-' as '_'. `out` holds REF_PART_MAX + 1 bytes. */
void repo_package(const struct repo_id *r, char *out);
/* Can it be asked for as the revision that it is called? */
bool ref_is_rev(const char *name);
/* Can an import statement spell it? (an identifier, not a keyword) */
bool ref_is_identifier(const char *s);

#endif
