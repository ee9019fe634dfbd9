/* SPDX-License-Identifier: Apache-2.0 */
#ifndef HTTP_HTTP_ENGINE_H
#define HTTP_HTTP_ENGINE_H

/*
 * All exchanges that are not apart, on one thread with one multi handle of
 * curl: so they share connections, and one that carries several streams
 * carries them. The thread is born by the first, ends after a while without
 * any, and takes all connections with it.
 */

struct engine;
struct err;
struct exchange;
struct http;

int http_engine_new(struct engine **out, struct http *h, struct err *err);
/* NULL allowed; nobody waits. Waits for the thread. */
void http_engine_free(struct engine *e);

/* Have it done, and wait. 0: x->result and x->code say how it ended; -errno
 * with a sentence in x->err: no thread could be had. */
int http_engine_ask(struct http *h, struct exchange *x);
/* Something has changed that all exchanges look at. */
void http_engine_wake(struct engine *e);
/* See to it that idle handles and connections are freed in a while. */
void http_engine_tend(struct engine *e);

#endif
