/* SPDX-License-Identifier: Apache-2.0 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

/*
 * Typed, bounded reading of JSON over cJSON. The only room that knows cJSON.
 * A `struct json` is a borrowed pointer into the document of its root.
 *
 * Refused with a sentence: text longer than the caller's limit, invalid
 * UTF-8, nesting beyond JSON_DEPTH, more than JSON_VALUES, trailing text,
 * NUL inside strings.
 * (cJSON's nesting limit is a compile-time constant of 1000; ours is lower
 * because callers walk with recursion-free loops over few levels.)
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct err;
struct json;

#define JSON_DEPTH 32
/* Values of a document: each costs 64 bytes and more, and stands in two. */
#define JSON_VALUES (1u << 20)

/* Parse n bytes. The caller frees the root with json_free(). */
int json_parse(struct json **out, const char *s, size_t n, struct err *err);
/*
 * The same for documents of which another parser must think the same: what
 * cJSON lets pass and RFC 8259 does not is refused (control bytes, "01"), and
 * json_whole() knows how each number is spelled.
 */
int json_parse_strict(struct json **out, const char *s, size_t n,
		      struct err *err);
void json_free(struct json *root);  /* NULL allowed */
void auto_json(struct json **root); /* for AUTO() */

bool json_is_object(const struct json *j);
bool json_is_array(const struct json *j);
bool json_is_null(const struct json *j);
bool json_is_string(const struct json *j);

/* Member of an object, or NULL. Names are case-sensitive. */
const struct json *json_get(const struct json *j, const char *name);
/* Iterate an array's items or an object's members: first, then next. */
const struct json *json_first(const struct json *j);
const struct json *json_next(const struct json *item);
const char *json_name(const struct json *member); /* of an object's member */
size_t json_count(const struct json *j);

/* Value of a string / NULL when j is NULL or of another type. Borrowed. */
const char *json_string(const struct json *j);
/* The string member `name` of j, or NULL. */
const char *json_get_string(const struct json *j, const char *name);
/*
 * A whole number from 0 to 2^53 (what JSON numbers hold exactly).
 * false when j is NULL, no number, negative, fractional or larger.
 */
bool json_u64(const struct json *j, uint64_t *out);
/*
 * A number from 0 to 2^64 - 1 that is spelled with digits alone; only in a
 * document of json_parse_strict(), false in any other.
 */
bool json_whole(const struct json *j, uint64_t *out);
/* true or false; `fallback` when j is NULL or of another type. */
bool json_bool(const struct json *j, bool fallback);

#endif
