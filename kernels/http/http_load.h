/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_LOAD_H
#define HTTP_HTTP_LOAD_H

/*
 * libcurl, loaded when the first request is made. It and the thirty libraries
 * behind it cost more than all else that starting takes (3 of 5 ms), and what
 * lies in the cache needs none of them. All calls or none.
 */

#include <curl/curl.h>

struct err;

/* result, name behind "curl_", parameters */
/* clang-format off */
#define HTTP_LOAD_CALLS(X) \
	X(CURLcode, global_init, (long flags)) \
	X(CURL *, easy_init, (void)) \
	X(void, easy_cleanup, (CURL *)) \
	X(void, easy_reset, (CURL *)) \
	X(CURLcode, easy_setopt, (CURL *, CURLoption, ...)) \
	X(CURLcode, easy_getinfo, (CURL *, CURLINFO, ...)) \
	X(const char *, easy_strerror, (CURLcode)) \
	X(CURLM *, multi_init, (void)) \
	X(CURLMcode, multi_cleanup, (CURLM *)) \
	X(CURLMcode, multi_setopt, (CURLM *, CURLMoption, ...)) \
	X(CURLMcode, multi_add_handle, (CURLM *, CURL *)) \
	X(CURLMcode, multi_remove_handle, (CURLM *, CURL *)) \
	X(CURLMcode, multi_perform, (CURLM *, int *running)) \
	X(CURLMcode, multi_poll, \
	  (CURLM *, struct curl_waitfd *, unsigned, int ms, int *ready)) \
	X(CURLMcode, multi_wakeup, (CURLM *)) \
	X(CURLMsg *, multi_info_read, (CURLM *, int *left)) \
	X(CURLSH *, share_init, (void)) \
	X(CURLSHcode, share_setopt, (CURLSH *, CURLSHoption, ...)) \
	X(CURLSHcode, share_cleanup, (CURLSH *)) \
	X(struct curl_slist *, slist_append, \
	  (struct curl_slist *, const char *)) \
	X(void, slist_free_all, (struct curl_slist *)) \
	X(CURLU *, url, (void)) \
	X(void, url_cleanup, (CURLU *)) \
	X(CURLUcode, url_get, (const CURLU *, CURLUPart, char **, unsigned)) \
	X(CURLUcode, url_set, (CURLU *, CURLUPart, const char *, unsigned)) \
	X(void, free, (void *))
/* clang-format on */

#define HTTP_LOAD_FIELD(result, name, parameters) result(*name) parameters;
struct http_library {
	HTTP_LOAD_CALLS(HTTP_LOAD_FIELD)
};
#undef HTTP_LOAD_FIELD

/* The table, or NULL with a sentence. The first call loads and starts the
 * library, which then stays; later ones are cheap. Any thread. */
const struct http_library *http_load(struct err *err);

#endif
