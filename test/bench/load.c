/* Loads an HTTP server on this machine: N connections that ask again as soon as they are answered, or, with --rate, requests
 * at even times whatever the answers do. Times count from when a request was due. Prints one JSON object.
 *
 *	load --port P [--connections N] [--seconds S | --requests N] [--rate N] [--hold] [--path PATH] [--body FILE]
 *		[--key KEY | --keys FILE]
 *
 * --requests ends after so many. --keys: one a line, all of one length; each request has the next one. --hold: each connection
 * asks once; once each has its answer, or the first event of it, `held` is printed, and all stay open until standard input
 * ends. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "clock.h"
#include "mem.h"
#include "reply.h"
#include "samples.h"
#include "text.h"

#define BODY_MAX   (64 << 20)
#define KEYS_MAX   (4 << 20)
#define READ_BYTES 65536
#define WAVE       64 /* connections that --hold opens at a time */
#define GRACE_NS   (10 * CLOCK_NS_S)
#define EVENTS_N   256

struct conn {
	int fd;
	bool is_busy, is_blocked, is_held;
	size_t sent, key;
	int64_t due_ns,
		event_ns; /* event_ns: when the last event of this answer came, 0: none yet */
	struct reply reply;
};

struct load {
	uint64_t port, connections, seconds_ms, requests, rate;
	bool hold, is_starved; /* is_starved: every connection is busy */
	const char *path, *key, *keys_path;
	struct buf request, keys; /* keys: each with the newline behind it */
	size_t key_at, key_len, keys_n;
	struct conn *conns; /* owned */
	struct conn **idle; /* owned; used with --rate, last in first out */
	size_t open_n, idle_n, busy_n, held_n;
	int epoll;
	int64_t begun_ns, end_ns;
	uint64_t asked, answered, errors, events, bytes, waited;
	int status; /* the last one that was not 200 */
	struct samples latency, first, gap;
};

static void open_conn(struct load *l, struct conn *c)
{
	struct sockaddr_in a = {.sin_family = AF_INET,
				.sin_addr = {htonl(INADDR_LOOPBACK)},
				.sin_port = htons((uint16_t)l->port)};
	struct epoll_event e = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c};
	int on = 1;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&a, sizeof(a)) != 0) {
		fprintf(stderr, "load: port %u: %s\n", (unsigned)l->port, strerror(errno));
		exit(1);
	}
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	fcntl(c->fd, F_SETFL, O_NONBLOCK);
	require(epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e) == 0);
}

/* All connections send from the one request: each puts its key there first. */
static void send_rest(struct load *l, struct conn *c)
{
	if (l->keys_n > 0)
		memcpy(l->request.p + l->key_at, l->keys.p + c->key * (l->key_len + 1), l->key_len);
	while (c->sent < l->request.len) {
		ssize_t n =
			send(c->fd, l->request.p + c->sent, l->request.len - c->sent, MSG_NOSIGNAL);

		if (n < 0)
			return;
		c->sent += (size_t)n;
	}
}

static void ask(struct load *l, struct conn *c, int64_t due_ns)
{
	c->is_busy = true;
	c->due_ns = due_ns;
	c->event_ns = 0;
	c->sent = 0;
	c->key = l->keys_n > 0 ? l->asked % l->keys_n : 0;
	reply_start(&c->reply);
	l->asked++;
	l->busy_n++;
	send_rest(l, c);
}

static bool is_over(const struct load *l, int64_t now)
{
	return l->requests > 0 ? l->asked >= l->requests : now >= l->end_ns;
}

/* The connection has nothing to do any more, or can ask again. */
static void go_on(struct load *l, struct conn *c, int64_t now)
{
	if (l->hold)
		return;
	if (l->rate > 0)
		l->idle[l->idle_n++] = c;
	else if (!is_over(l, now))
		ask(l, c, now);
}

static void answered(struct load *l, struct conn *c, int64_t now)
{
	c->is_busy = false;
	l->busy_n--;
	l->answered++;
	l->events += c->reply.events;
	samples_add(&l->latency, now - c->due_ns);
	if (c->reply.status != 200) {
		l->errors++;
		l->status = c->reply.status;
	}
	if (c->reply.closes) {
		close(c->fd);
		open_conn(l, c);
	}
	go_on(l, c, now);
}

static void failed(struct load *l, struct conn *c, int64_t now)
{
	bool was_busy = c->is_busy;

	if (was_busy) {
		c->is_busy = false;
		l->busy_n--;
		l->errors++;
	}
	close(c->fd);
	if (!l->hold && !is_over(l, now)) {
		open_conn(l, c);
		if (was_busy)
			go_on(l, c, now);
	}
}

static void held(struct load *l, struct conn *c)
{
	if (!l->hold || c->is_held)
		return;
	c->is_held = true;
	if (++l->held_n == l->connections) {
		printf("held\n");
		fflush(stdout);
	}
}

static void note_events(struct load *l, struct conn *c, uint64_t before, int64_t now)
{
	if (c->reply.events == before)
		return;
	samples_add(c->event_ns ? &l->gap : &l->first,
		    now - (c->event_ns ? c->event_ns : c->due_ns));
	c->event_ns = now;
	held(l, c);
}

static void on_data(struct load *l, struct conn *c, struct slice data)
{
	int64_t now = clock_boot_ns();
	uint64_t before = c->reply.events;

	l->bytes += data.n;
	data.n -= reply_feed(&c->reply, data);
	note_events(l, c, before, now);
	if (c->reply.state == REPLY_BAD || data.n > 0) {
		failed(l, c, now);
	} else if (c->reply.state == REPLY_DONE) {
		held(l, c);
		answered(l, c, now);
	}
}

static void on_ready(struct load *l, struct conn *c, uint32_t events)
{
	static char room[READ_BYTES];

	if (events & EPOLLOUT && c->is_busy)
		send_rest(l, c);
	while (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
		int fd = c->fd;
		ssize_t n = read(fd, room, sizeof(room));

		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0 || !c->is_busy) {
			failed(l, c, clock_boot_ns());
			return;
		}
		on_data(l, c, slice_of(room, (size_t)n));
		if (c->fd != fd || (size_t)n < sizeof(room))
			return;
	}
}

/* Starts what is due, and says how long to wait for what comes next. */
static int64_t start_due(struct load *l, int64_t now)
{
	while (l->rate > 0 && !is_over(l, now)) {
		int64_t due = l->begun_ns + (int64_t)(l->asked * (uint64_t)CLOCK_NS_S / l->rate);

		if (due > now) {
			l->is_starved = false;
			return due - now;
		}
		if (l->idle_n == 0) {
			l->is_starved = true;
			return CLOCK_NS_MS;
		}
		/* A request that waited for a connection counts from when it was due; one that only this
		 * program was late for does not. */
		l->waited += l->is_starved;
		l->idle_n--;
		ask(l, l->idle[l->idle_n], l->is_starved ? due : now);
	}
	while (l->hold && l->open_n < l->connections && l->open_n - l->held_n < WAVE) {
		struct conn *c = &l->conns[l->open_n++];

		open_conn(l, c);
		ask(l, c, now);
	}
	return 100 * CLOCK_NS_MS;
}

static void run(struct load *l)
{
	struct epoll_event events[EVENTS_N];

	for (;;) {
		int64_t now = clock_boot_ns(), wait = start_due(l, now);
		struct timespec t = {wait / CLOCK_NS_S, wait % CLOCK_NS_S};
		int n;

		if (l->hold ? l->held_n == l->connections
			    : is_over(l, now) && (l->busy_n == 0 || now > l->end_ns + GRACE_NS))
			return;
		n = epoll_pwait2(l->epoll, events, EVENTS_N, &t, NULL);
		for (int i = 0; i < n; i++)
			on_ready(l, events[i].data.ptr, events[i].events);
	}
}

static void start(struct load *l)
{
	l->conns = mem_new(l->connections * sizeof(*l->conns));
	l->idle = mem_new(l->connections * sizeof(*l->idle));
	l->epoll = epoll_create1(EPOLL_CLOEXEC);
	require(l->conns && l->idle && l->epoll >= 0);
	prctl(PR_SET_TIMERSLACK, 1UL);
	while (!l->hold && l->open_n < l->connections)
		open_conn(l, &l->conns[l->open_n++]);
	l->begun_ns = clock_boot_ns();
	l->end_ns = l->begun_ns + (int64_t)l->seconds_ms * CLOCK_NS_MS;
	for (size_t i = 0; i < l->open_n; i++)
		go_on(l, &l->conns[i], l->begun_ns);
}

static void print(struct load *l)
{
	struct rusage u;
	struct buf b;
	struct json_out o;

	getrusage(RUSAGE_SELF, &u);
	buf_init(&b, 65536);
	json_out_init(&o, &b);
	json_out_obj(&o);
	json_out_ki64(&o, "requests", (int64_t)l->answered);
	json_out_ki64(&o, "errors", (int64_t)(l->errors + l->busy_n));
	json_out_ki64(&o, "status", l->status);
	json_out_ki64(&o, "waited", (int64_t)l->waited);
	json_out_ki64(&o, "events", (int64_t)l->events);
	json_out_ki64(&o, "bytes", (int64_t)l->bytes);
	json_out_ki64(&o, "elapsed_us", (clock_boot_ns() - l->begun_ns) / 1000);
	json_out_ki64(&o, "cpu_us",
		      (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
			      u.ru_stime.tv_usec);
	samples_print(&l->latency, &o, "latency_us");
	samples_print(&l->first, &o, "first_us");
	samples_print(&l->gap, &o, "gap_us");
	json_out_obj_end(&o);
	require(json_out_end(&o) == ERRC_OK);
	printf("%.*s\n", (int)b.len, b.p);
	buf_fini(&b);
}

static void read_file(const char *path, struct buf *b, size_t max)
{
	char *room;
	FILE *f = fopen(path, "rb");

	buf_init(b, max);
	if (!f || buf_reserve(b, max, &room)) {
		fprintf(stderr, "load: %s: %s\n", path, strerror(errno));
		exit(1);
	}
	buf_commit(b, fread(room, 1, max, f));
	fclose(f);
}

static void read_keys(struct load *l)
{
	const char *end;

	read_file(l->keys_path, &l->keys, KEYS_MAX);
	end = l->keys.len > 0 ? memchr(l->keys.p, '\n', l->keys.len) : NULL;
	l->key_len = end ? (size_t)(end - l->keys.p) : 0;
	l->keys_n = l->keys.len / (l->key_len + 1);
	for (size_t i = 0; i < l->keys_n; i++)
		require(l->keys.p[i * (l->key_len + 1) + l->key_len] == '\n');
	require(l->key_len > 0 && l->keys_n * (l->key_len + 1) == l->keys.len);
}

/* The request as it goes out, the same each time but for its key. */
static void make_request(struct load *l, const char *body_path)
{
	struct buf body;

	read_file(body_path, &body, BODY_MAX);
	buf_init(&l->request, BODY_MAX);
	if (l->keys_path)
		read_keys(l);
	require(buf_addf(&l->request,
			 "%s %s HTTP/1.1\r\nhost: 127.0.0.1\r\nuser-agent: load\r\naccept: */*\r\n",
			 body.len > 0 ? "POST" : "GET", l->path) == ERRC_OK);
	if (l->key)
		require(buf_addf(&l->request, "authorization: Bearer %s\r\n", l->key) == ERRC_OK);
	if (l->keys_n > 0) {
		require(buf_addz(&l->request, "authorization: Bearer ") == ERRC_OK);
		l->key_at = l->request.len;
		require(buf_addf(&l->request, "%.*s\r\n", (int)l->key_len, l->keys.p) == ERRC_OK);
	}
	if (body.len > 0)
		require(buf_addf(&l->request,
				 "content-type: application/json\r\ncontent-length: %zu\r\n",
				 body.len) == ERRC_OK);
	require(buf_addz(&l->request, "\r\n") == ERRC_OK);
	require(buf_adds(&l->request, buf_slice(&body)) == ERRC_OK);
	buf_fini(&body);
}

static bool read_options(int argc, char **argv, struct load *l, const char **body)
{
	static const struct option longs[] = {
		{"port", 1, NULL, 'p'},     {"connections", 1, NULL, 'c'},
		{"seconds", 1, NULL, 's'},  {"rate", 1, NULL, 'r'},
		{"requests", 1, NULL, 'n'}, {"hold", 0, NULL, 'h'},
		{"path", 1, NULL, 'u'},     {"body", 1, NULL, 'b'},
		{"key", 1, NULL, 'k'},      {"keys", 1, NULL, 'K'},
		{NULL, 0, NULL, 0}};
	int c;
	int64_t ms = 0;

	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		struct slice v = slice_str(optarg);

		if (c == '?' || (c == 'p' && !text_u64(v, &l->port)) ||
		    (c == 'c' && (!text_u64(v, &l->connections) || l->connections == 0)) ||
		    (c == 's' && text_decimal(v, 3, &ms)) || (c == 'r' && !text_u64(v, &l->rate)) ||
		    (c == 'n' && !text_u64(v, &l->requests)))
			return false;
		l->hold |= c == 'h';
		l->path = c == 'u' ? optarg : l->path;
		l->key = c == 'k' ? optarg : l->key;
		l->keys_path = c == 'K' ? optarg : l->keys_path;
		*body = c == 'b' ? optarg : *body;
	}
	l->seconds_ms = ms > 0 ? (uint64_t)ms : l->seconds_ms;
	return optind == argc && l->port > 0 && !(l->key && l->keys_path);
}

int main(int argc, char **argv)
{
	struct load l = {.connections = 1, .seconds_ms = 1000, .path = "/"};
	const char *body = "/dev/null";

	if (!read_options(argc, argv, &l, &body)) {
		fprintf(stderr, "load: see the head of load.c for its options\n");
		return 2;
	}
	make_request(&l, body);
	start(&l);
	run(&l);
	if (l.hold) {
		while (getchar() != EOF)
			;
	} else {
		print(&l);
	}
	samples_fini(&l.latency);
	samples_fini(&l.first);
	samples_fini(&l.gap);
	buf_fini(&l.request);
	buf_fini(&l.keys);
	mem_free(l.conns);
	mem_free(l.idle);
	return 0;
}
