/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A link in user space: makes servers on this machine far away.
 *
 *   relay --rtt-ms 20 [--mbit 1000] HOST-PORT:LISTEN-PORT ...
 *
 * Each argument is a port of 127.0.0.1 and the port at which it is to be had
 * through the link (0: any); `localhost` works as well. Prints one JSON line
 * {"ports": [P, ...]} once it listens, and relays until it is ended.
 *
 * What is read is delivered half a round trip later. All ports and all
 * connections share one link: per direction it sends so many bits a second,
 * one piece after the other, fairly between connections. The link has a queue
 * of AHEAD and no more; what does not fit stays with its sender, as it would
 * in a sender's socket. A new connection costs one round trip before its first
 * byte, as the handshake would. Loss and slow start are not imitated.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536
#define WINDOW (16u << 20)
#define AHEAD 4000000
#define CATCH_UP 100000000
#define PORTS 8
#define EVENTS 256
#define SECOND 1000000000
#define NEVER INT64_MAX

struct piece {
	struct piece *next;
	int64_t when;
	size_t size, done;
	char data[];
};

struct conn;

/* One direction of one connection; data flows from `from` to `to`. */
struct pipe_end {
	struct conn *conn;
	struct link *link;
	int from, to;
	int64_t not_before;
	bool readable, writable, listed, ended, shut;
	size_t queued;
	struct piece *head, **tail;
	struct pipe_end *next;
};

/* One direction of the link, and who wants to send, in turn. */
struct link {
	int64_t free;
	/* Something waits for it: time in which this program does not run is
	 * made up for, as the link would have sent meanwhile.
	 */
	bool busy;
	struct pipe_end *first, **last;
};

struct conn {
	struct pipe_end up, down;
	bool broken;
	struct conn *next;
};

struct listener {
	int fd;
	uint16_t target;
};

static struct link links[2];
static struct conn *conns;
static struct listener listeners[2 * PORTS];
static size_t n_listeners;
static int64_t delay_ns;
static double ns_per_byte;
static int epoll_fd;

static void die(const char *what)
{
	fprintf(stderr, "relay: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void watch(int fd, uint32_t events, void *ptr)
{
	struct epoll_event event = { .events = events, .data.ptr = ptr };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) < 0)
		die("epoll_ctl");
}

/* ---- connections ------------------------------------------------------- */

static void want_link(struct pipe_end *p)
{
	if (p->listed || !p->readable || p->ended || p->queued >= WINDOW)
		return;
	p->listed = true;
	p->next = NULL;
	*p->link->last = p;
	p->link->last = &p->next;
}

static void set_up(struct pipe_end *p, struct conn *conn, int from, int to)
{
	p->conn = conn;
	p->link = p == &conn->up ? &links[0] : &links[1];
	p->from = from;
	p->to = to;
	p->tail = &p->head;
	/* Until its first refusal: a lost edge is asked for again anyway. */
	p->readable = p->writable = true;
}

static int reach(uint16_t port)
{
	struct sockaddr_in to = { .sin_family = AF_INET,
				  .sin_port = htons(port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
	    errno != EINPROGRESS) {
		close(fd);
		return -1;
	}
	return fd;
}

static void accept_one(int client, uint16_t target)
{
	int one = 1;
	int server = reach(target);
	struct conn *conn = server < 0 ? NULL : calloc(1, sizeof(*conn));

	if (!conn) {
		if (server >= 0)
			close(server);
		close(client);
		return;
	}
	(void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	(void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	set_up(&conn->up, conn, client, server);
	set_up(&conn->down, conn, server, client);
	conn->up.not_before = now_ns() + 2 * delay_ns;
	conn->next = conns;
	conns = conn;
	want_link(&conn->up);
	want_link(&conn->down);
	watch(client, EPOLLIN | EPOLLOUT | EPOLLET, &conn->up);
	watch(server, EPOLLIN | EPOLLOUT | EPOLLET, &conn->down);
}

static void accept_all(struct listener *l)
{
	int fd;

	while ((fd = accept4(l->fd, NULL, NULL,
			     SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		accept_one(fd, l->target);
}

static void drop(struct conn *conn)
{
	struct linger reset = { .l_onoff = 1 };
	struct pipe_end *ends[] = { &conn->up, &conn->down };
	struct piece *piece;

	for (size_t i = 0; i < 2; i++) {
		while ((piece = ends[i]->head)) {
			ends[i]->head = piece->next;
			free(piece);
		}
		if (conn->broken)
			(void)setsockopt(ends[i]->from, SOL_SOCKET, SO_LINGER,
					 &reset, sizeof(reset));
		close(ends[i]->from);
	}
	free(conn);
}

/* ---- the link ---------------------------------------------------------- */

/* Take one piece from a sender, if it has one. */
static void take(struct pipe_end *p)
{
	struct piece *piece = malloc(sizeof(*piece) + PIECE);
	int64_t now;
	ssize_t n;

	if (!piece)
		die("malloc");
	n = read(p->from, piece->data, PIECE);
	if (n < 0) {
		free(piece);
		p->readable = false;
		if (errno != EAGAIN && errno != EINTR)
			p->conn->broken = true;
		return;
	}
	/* By the clock of now: on a busy machine the turn began long ago. */
	now = now_ns();
	p->link->free =
		later(p->link->busy ? now - CATCH_UP : now, p->link->free) +
		(int64_t)((double)n * ns_per_byte);
	piece->next = NULL;
	piece->when =
		later(later(now, p->link->free), p->not_before) + delay_ns;
	piece->size = (size_t)n;
	piece->done = 0;
	*p->tail = piece;
	p->tail = &piece->next;
	p->queued += (size_t)n;
	p->ended = n == 0;
}

/* The senders in turn, a piece each, while the queue has room. */
static void fill(struct link *link, int64_t now)
{
	struct pipe_end *p;

	while ((p = link->first) && link->free - now < AHEAD) {
		link->first = p->next;
		if (!link->first)
			link->last = &link->first;
		p->listed = false;
		if (p->conn->broken)
			continue;
		take(p);
		want_link(p);
	}
	link->busy = link->first != NULL;
}

/* Hand over what has arrived. */
static void deliver(struct pipe_end *p, int64_t now)
{
	struct piece *piece;
	ssize_t n;

	while ((piece = p->head) && piece->when <= now && p->writable) {
		if (!piece->size) {
			(void)shutdown(p->to, SHUT_WR);
			p->shut = true;
		} else {
			n = send(p->to, piece->data + piece->done,
				 piece->size - piece->done, MSG_NOSIGNAL);
			if (n < 0) {
				p->writable = false;
				if (errno != EAGAIN && errno != EINTR)
					p->conn->broken = true;
				return;
			}
			piece->done += (size_t)n;
			p->queued -= (size_t)n;
			if (piece->done < piece->size)
				continue;
		}
		p->head = piece->next;
		if (!p->head)
			p->tail = &p->head;
		free(piece);
	}
	want_link(p);
}

static int64_t due(const struct pipe_end *p)
{
	return p->head && p->writable ? p->head->when : NEVER;
}

static bool waits_in(const struct link *link, const struct conn *conn)
{
	const struct pipe_end *p;

	for (p = link->first; p; p = p->next)
		if (p->conn == conn)
			return true;
	return false;
}

/* Everything that can be done now; gives when there is more to do. */
static int64_t turn(void)
{
	int64_t now = now_ns();
	int64_t next = NEVER;
	struct conn **at = &conns;
	struct conn *conn;

	for (conn = conns; conn; conn = conn->next) {
		deliver(&conn->up, now);
		deliver(&conn->down, now);
	}
	for (size_t i = 0; i < 2; i++) {
		fill(&links[i], now);
		if (links[i].first)
			next = links[i].free - AHEAD / 2;
	}
	while ((conn = *at)) {
		int64_t up = due(&conn->up), down = due(&conn->down);

		if ((conn->broken || (conn->up.shut && conn->down.shut)) &&
		    !waits_in(&links[0], conn) && !waits_in(&links[1], conn)) {
			*at = conn->next;
			drop(conn);
			continue;
		}
		if (up < next)
			next = up;
		if (down < next)
			next = down;
		at = &conn->next;
	}
	return next;
}

/* ---- start and loop ---------------------------------------------------- */

static bool is_listener(const void *ptr)
{
	return ptr >= (const void *)listeners &&
	       ptr < (const void *)(listeners + 2 * PORTS);
}

static void hear(const struct epoll_event *event)
{
	struct pipe_end *p = event->data.ptr;
	struct pipe_end *other;

	if (is_listener(p)) {
		accept_all(event->data.ptr);
		return;
	}
	other = p == &p->conn->up ? &p->conn->down : &p->conn->up;
	if (event->events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		p->readable = true;
		want_link(p);
	}
	if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
		other->writable = true;
}

static void loop(void)
{
	struct epoll_event events[EVENTS];
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);

	if (timer < 0)
		die("timerfd_create");
	watch(timer, EPOLLIN | EPOLLET, NULL);
	for (;;) {
		int64_t next = turn();
		int64_t at = next == NEVER ? 0 : later(next, 1);
		struct itimerspec spec = { .it_value.tv_sec = at / SECOND,
					   .it_value.tv_nsec = at % SECOND };
		int n;

		if (timerfd_settime(timer, TFD_TIMER_ABSTIME, &spec, NULL) < 0)
			die("timerfd_settime");
		n = epoll_wait(epoll_fd, events, EVENTS, -1);
		for (int i = 0; i < n; i++)
			if (events[i].data.ptr)
				hear(&events[i]);
	}
}

static int listen_at(int family, uint16_t *port)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6,
				    .sin6_port = htons(*port),
				    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	struct sockaddr_in four = { .sin_family = AF_INET,
				    .sin_port = htons(*port),
				    .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr *address = (struct sockaddr *)&six;
	socklen_t size = sizeof(six);
	int one = 1;
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (family == AF_INET) {
		address = (struct sockaddr *)&four;
		size = sizeof(four);
	}
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, address, size) < 0 || listen(fd, 512) < 0 ||
	    getsockname(fd, address, &size) < 0) {
		close(fd);
		return -1;
	}
	*port = ntohs(family == AF_INET ? four.sin_port : six.sin6_port);
	return fd;
}

static void add_listener(int fd, uint16_t target)
{
	struct listener *l = &listeners[n_listeners++];

	l->fd = fd;
	l->target = target;
	watch(fd, EPOLLIN, l);
}

/* PORT:LISTEN-PORT; gives the port that it listens at. */
static uint16_t open_port(const char *text)
{
	unsigned int target, port;
	uint16_t at;
	int fd;

	if (sscanf(text, "%5u:%5u", &target, &port) != 2 || target > 65535 ||
	    port > 65535 || n_listeners >= 2 * PORTS) {
		fprintf(stderr, "relay: '%s' is not PORT:PORT\n", text);
		exit(2);
	}
	at = (uint16_t)port;
	fd = listen_at(AF_INET, &at);
	if (fd < 0)
		die("listen");
	add_listener(fd, (uint16_t)target);
	/* 'localhost' may mean ::1 first; without IPv6 nobody tries it. */
	fd = listen_at(AF_INET6, &at);
	if (fd >= 0)
		add_listener(fd, (uint16_t)target);
	return at;
}

int main(int argc, char **argv)
{
	struct rlimit files = { 65536, 65536 };
	const char *comma = "";
	double value;
	int i = 1;

	(void)setrlimit(RLIMIT_NOFILE, &files);
	(void)signal(SIGPIPE, SIG_IGN);
	links[0].last = &links[0].first;
	links[1].last = &links[1].first;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (sscanf(argv[i + 1], "%lf", &value) != 1 || value < 0)
			break;
		if (!strcmp(argv[i], "--rtt-ms"))
			delay_ns = (int64_t)(value * 1e6 / 2);
		else if (!strcmp(argv[i], "--mbit") && value > 0)
			ns_per_byte = 8e3 / value;
		else
			break;
	}
	if (i >= argc || argv[i][0] == '-') {
		fprintf(stderr, "usage: relay --rtt-ms N [--mbit N] "
				"PORT:LISTEN-PORT ...\n");
		return 2;
	}
	printf("{\"ports\": [");
	for (; i < argc; i++, comma = ", ")
		printf("%s%" PRIu16, comma, open_port(argv[i]));
	printf("]}\n");
	if (fflush(stdout) != 0)
		die("stdout");
	loop();
	return 0;
}
