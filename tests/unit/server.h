/* SPDX-License-Identifier: Apache-2.0 */
#ifndef UNIT_SERVER_H
#define UNIT_SERVER_H

/*
 * An HTTP server for unit tests: threads on loopback that play a script.
 * A request takes the first row that begins like its path and is not used
 * up; without one it gets a 404. What was asked is written down. All of it
 * ends with server_stop(), stalled connections included.
 */

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SERVER_ASKED_MAX 16 /* written down; more are counted */
#define SERVER_HEAD_MAX 704
#define SERVER_BODY_MAX 40
#define SERVER_WAIT_MS 20000
#define SERVER_END_S 100 /* a test that failed may have left one waiting */

enum server_then {
	SERVER_CLOSE,
	SERVER_KEEP,  /* the next request may come on this connection */
	SERVER_STALL, /* nothing more until the end */
};

struct server_row {
	const char *path;   /* what the request's path begins with */
	const char *answer; /* head and body, as they go on the wire */
	enum server_then then;
	bool always; /* is not used up */
	size_t more; /* so many bytes 'x' behind it */
	bool used;   /* the server's */
};

struct server_asked {
	char head[SERVER_HEAD_MAX]; /* request line and header lines */
	char body[SERVER_BODY_MAX]; /* its beginning */
	long long ms;		    /* CLOCK_MONOTONIC */
};

struct server {
	int listener;
	int stop[2];
	unsigned port;
	pthread_t acceptor;
	pthread_mutex_t mu;
	pthread_cond_t changed;
	struct server_row *rows; /* mu */
	size_t row_count;
	struct server_asked asked[SERVER_ASKED_MAX]; /* mu */
	size_t asked_count;			     /* mu */
	size_t connections;			     /* mu */
	size_t running; /* mu; threads of connections */
};

static inline long long server_now_ms(void)
{
	struct timespec ts;

	(void)clock_gettime(CLOCK_MONOTONIC, &ts);
	return (long long)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* false: the end has come first. */
static inline bool server_readable(struct server *s, int fd)
{
	struct pollfd p[2] = { { .fd = fd, .events = POLLIN },
			       { .fd = s->stop[0], .events = POLLIN } };

	return poll(p, 2, SERVER_WAIT_MS) > 0 && !p[1].revents;
}

static inline bool server_read_head(struct server *s, int fd, char *head)
{
	size_t n = 0;

	head[0] = '\0';
	while (!strstr(head, "\r\n\r\n")) {
		if (n + 1 >= SERVER_HEAD_MAX || !server_readable(s, fd) ||
		    recv(fd, head + n, 1, 0) != 1)
			return false;
		head[++n] = '\0';
	}
	return true;
}

/* What is not kept is read too: closing would reset the connection. */
static inline bool server_read_body(struct server *s, int fd, const char *head,
				    char *body)
{
	const char *length = strcasestr(head, "\r\nContent-Length:");
	size_t left = 0;
	size_t n = 0;

	body[0] = '\0';
	if (length)
		(void)sscanf(length + 17, "%zu", &left);
	for (char c; left; left--) {
		if (!server_readable(s, fd) || recv(fd, &c, 1, 0) != 1)
			return false;
		if (n + 1 < SERVER_BODY_MAX)
			body[n++] = c;
		body[n] = '\0';
	}
	return true;
}

static inline void server_send(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t did = send(fd, p, n, MSG_NOSIGNAL);

		if (did <= 0)
			return;
		p += did;
		n -= (size_t)did;
	}
}

static inline void server_fill(int fd, size_t n)
{
	char x[1024];

	memset(x, 'x', sizeof(x));
	while (n) {
		size_t now = n < sizeof(x) ? n : sizeof(x);

		server_send(fd, x, now);
		n -= now;
	}
}

static inline struct server_row server_take(struct server *s, const char *head,
					    const char *body)
{
	struct server_row row = {
		.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n"
			  "Connection: close\r\n\r\n",
	};
	const char *path = strchr(head, ' ');

	path = path ? path + 1 : "";
	(void)pthread_mutex_lock(&s->mu);
	if (s->asked_count < SERVER_ASKED_MAX) {
		struct server_asked *a = &s->asked[s->asked_count];

		(void)snprintf(a->head, sizeof(a->head), "%s", head);
		(void)snprintf(a->body, sizeof(a->body), "%s", body);
		a->ms = server_now_ms();
	}
	s->asked_count++;
	for (size_t i = 0; i < s->row_count; i++) {
		struct server_row *r = &s->rows[i];

		if (r->used || strncmp(path, r->path, strlen(r->path)) != 0)
			continue;
		r->used = !r->always;
		row = *r;
		break;
	}
	(void)pthread_cond_broadcast(&s->changed);
	(void)pthread_mutex_unlock(&s->mu);
	return row;
}

struct server_connection {
	struct server *server;
	int fd;
};

static inline void *server_talk(void *arg)
{
	struct server_connection c = *(struct server_connection *)arg;
	char head[SERVER_HEAD_MAX];
	char body[SERVER_BODY_MAX];
	enum server_then then = SERVER_KEEP;

	free(arg);
	while (then == SERVER_KEEP && server_read_head(c.server, c.fd, head) &&
	       server_read_body(c.server, c.fd, head, body)) {
		struct server_row row = server_take(c.server, head, body);

		then = row.then;
		server_send(c.fd, row.answer, strlen(row.answer));
		server_fill(c.fd, row.more);
		if (then == SERVER_STALL)
			(void)server_readable(c.server, c.server->stop[0]);
	}
	(void)close(c.fd);
	(void)pthread_mutex_lock(&c.server->mu);
	c.server->running--;
	(void)pthread_cond_broadcast(&c.server->changed);
	(void)pthread_mutex_unlock(&c.server->mu);
	return NULL;
}

static inline void *server_accept(void *arg)
{
	struct server *s = arg;

	for (;;) {
		struct server_connection *c;
		pthread_t t;
		int fd;

		if (!server_readable(s, s->listener))
			return NULL;
		fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
		c = malloc(sizeof(*c));
		if (fd < 0 || !c)
			abort();
		c->server = s;
		c->fd = fd;
		(void)pthread_mutex_lock(&s->mu);
		s->connections++;
		s->running++;
		(void)pthread_mutex_unlock(&s->mu);
		if (pthread_create(&t, NULL, server_talk, c))
			abort();
		(void)pthread_detach(t);
	}
}

/* The rows are the caller's and stay. */
static inline void server_start(struct server *s, struct server_row *rows,
				size_t n)
{
	struct sockaddr_in at = { .sin_family = AF_INET };
	socklen_t len = sizeof(at);

	(void)alarm(SERVER_END_S);
	memset(s, 0, sizeof(*s));
	s->rows = rows;
	s->row_count = n;
	(void)pthread_mutex_init(&s->mu, NULL);
	(void)pthread_cond_init(&s->changed, NULL);
	at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->listener < 0 || pipe(s->stop) < 0 ||
	    bind(s->listener, (void *)&at, sizeof(at)) < 0 ||
	    listen(s->listener, 64) < 0 ||
	    getsockname(s->listener, (void *)&at, &len) < 0 ||
	    pthread_create(&s->acceptor, NULL, server_accept, s))
		abort();
	s->port = ntohs(at.sin_port);
}

static inline void server_stop(struct server *s)
{
	(void)close(s->stop[1]);
	(void)pthread_join(s->acceptor, NULL);
	(void)pthread_mutex_lock(&s->mu);
	while (s->running)
		(void)pthread_cond_wait(&s->changed, &s->mu);
	(void)pthread_mutex_unlock(&s->mu);
	(void)close(s->stop[0]);
	(void)close(s->listener);
	(void)pthread_cond_destroy(&s->changed);
	/* the lock stays: what was asked is looked at afterwards */
}

/* In one of a few buffers, so that several stay good. */
static inline const char *server_url(const struct server *s, const char *path)
{
	static char urls[8][512];
	static unsigned next;
	char *url = urls[next++ % 8];

	(void)snprintf(url, sizeof(urls[0]), "http://127.0.0.1:%u%s", s->port,
		       path);
	return url;
}

static inline size_t server_asked(struct server *s)
{
	size_t n;

	(void)pthread_mutex_lock(&s->mu);
	n = s->asked_count;
	(void)pthread_mutex_unlock(&s->mu);
	return n;
}

/* Wait until so many requests have come; false after a deadline. */
static inline bool server_await(struct server *s, size_t n)
{
	struct timespec until;
	bool came;

	(void)clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SERVER_WAIT_MS / 1000;
	(void)pthread_mutex_lock(&s->mu);
	while (s->asked_count < n &&
	       pthread_cond_timedwait(&s->changed, &s->mu, &until) == 0)
		;
	came = s->asked_count >= n;
	(void)pthread_mutex_unlock(&s->mu);
	return came;
}

/* Does the i-th request hold this text? */
static inline bool server_was_asked(struct server *s, size_t i,
				    const char *text)
{
	bool has;

	(void)pthread_mutex_lock(&s->mu);
	has = i < s->asked_count && i < SERVER_ASKED_MAX &&
	      strcasestr(s->asked[i].head, text);
	(void)pthread_mutex_unlock(&s->mu);
	return has;
}

#endif
