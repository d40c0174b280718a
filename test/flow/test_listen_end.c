/* What a client meets whose connection begins while a listener ends, over loopback in one process. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "listen.h"
#include "synstop.h"

#define CONNS 3

struct rig {
	uv_loop_t loop;
	struct turn *turn;
	struct listen_set *set;
	struct listen *listen;
	int copy; /* the master's */
	struct sockaddr_in addr;
	int conns, drained;
};

static void on_conn(void *arg, struct xport *x, const struct listen_peer *peer)
{
	struct rig *r = arg;

	xport_close(&x);
	listen_set_gone(r->set, peer);
	r->conns++;
}

static void on_drained(void *arg)
{
	struct rig *r = arg;

	r->drained++;
	uv_stop(&r->loop);
}

static const struct listen_events events = {on_conn, on_drained};

static int setup(void **state)
{
	static struct rig rig;
	struct rig *r = *state = &rig;
	struct listen_opts o = {.tls_ms = 1000};
	socklen_t n = sizeof(r->addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	*r = (struct rig){
		.addr = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
	assert_int_equal(bind(fd, (struct sockaddr *)&r->addr, sizeof(r->addr)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&r->addr, &n), 0);
	r->copy = dup(fd);
	assert_int_equal(uv_loop_init(&r->loop), 0);
	assert_int_equal(turn_new(&r->loop, &r->turn), ERRC_OK);
	assert_int_equal(listen_set_new(r->turn, 100, 0, &r->set), ERRC_OK);
	assert_int_equal(listen_open(r->set, fd, &o, &events, r, &r->listen), ERRC_OK);
	return 0;
}

static int teardown(void **state)
{
	struct rig *r = *state;

	if (r->copy >= 0)
		close(r->copy);
	listen_close(&r->listen);
	listen_set_free(&r->set);
	turn_step(r->turn);
	turn_free(&r->turn);
	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&r->loop), 0);
	return 0;
}

/* Until the listener is closed; how long that took. */
static int64_t run_until_drained(struct rig *r)
{
	int64_t begun_ms = turn_now_ms(r->turn);

	uv_run(&r->loop, UV_RUN_DEFAULT);
	assert_int_equal(r->drained, 1);
	return turn_now_ms(r->turn) - begun_ms;
}

static int connect_to(const struct rig *r)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (const struct sockaddr *)&r->addr, sizeof(r->addr)), 0);
	return fd;
}

/* The kernel answers a SYN over loopback before connect() returns: a connection that does not stand then has none. */
static bool is_dropped(const struct rig *r)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	struct pollfd p = {.fd = fd, .events = POLLOUT};
	bool dropped;

	assert_int_equal(connect(fd, (const struct sockaddr *)&r->addr, sizeof(r->addr)), -1);
	assert_int_equal(errno, EINPROGRESS);
	dropped = poll(&p, 1, 20) == 0;
	close(fd);
	return dropped;
}

/* The end of the connection as on_conn() made it, no reset. */
static void assert_was_served(int fd)
{
	char c;

	assert_int_equal(read(fd, &c, 1), 0);
	close(fd);
}

static void test_queue_is_served_and_nobody_comes_after_it(void **state)
{
	struct rig *r = *state;
	int conns[CONNS];

	for (int i = 0; i < CONNS; i++)
		conns[i] = connect_to(r);
	listen_drain(r->listen, LISTEN_END_SOCKET);
	assert_true(is_dropped(r));
	assert_true(run_until_drained(r) < 100);
	assert_int_equal(r->conns, CONNS);
	for (int i = 0; i < CONNS; i++)
		assert_was_served(conns[i]);
	/* The stop is the socket's. */
	assert_true(is_dropped(r));
	close(r->copy);
	r->copy = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(r->copy, (struct sockaddr *)&r->addr, sizeof(r->addr)), -1);
	assert_int_equal(errno, ECONNREFUSED);
}

/* With TCP_DEFER_ACCEPT a handshake stays half-open until the client sends: as one whose ACK is on its way. */
static void test_handshake_under_way_is_waited_for(void **state)
{
	struct rig *r = *state;
	const int seconds = 5;
	int fd;

	assert_int_equal(
		setsockopt(r->copy, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)), 0);
	close(r->copy);
	r->copy = -1;
	fd = connect_to(r);
	listen_drain(r->listen, LISTEN_END_LATE);
	uv_run(&r->loop, UV_RUN_NOWAIT);
	assert_int_equal(r->conns + r->drained, 0);
	assert_true(is_dropped(r));
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	assert_in_range(run_until_drained(r), 150, 2000);
	assert_int_equal(r->conns, 1);
	assert_was_served(fd);
}

/* The queue is empty, but that is not seen before there is a descriptor again. */
static void test_drain_without_descriptors(void **state)
{
	struct rig *r = *state;
	struct rlimit all, none;
	int64_t begun_ms = turn_now_ms(r->turn);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &all), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = all.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	listen_drain(r->listen, LISTEN_END_COPY);
	uv_run(&r->loop, UV_RUN_NOWAIT);
	assert_int_equal(r->drained, 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &all), 0);
	while (!r->drained && turn_now_ms(r->turn) < begun_ms + 5000) {
		usleep(1000);
		uv_run(&r->loop, UV_RUN_NOWAIT);
	}
	assert_int_equal(r->drained, 1);
}

/* A worker that ends alone: the next one serves with the same socket. */
static void test_socket_of_others_stays_open(void **state)
{
	struct rig *r = *state;

	listen_drain(r->listen, LISTEN_END_COPY);
	assert_true(run_until_drained(r) < 100);
	close(connect_to(r));
}

/* A connection that was half-open then works like any other once it is accepted. */
static void half_open_works(struct sockaddr *a, socklen_t n)
{
	const int seconds = 5;
	int fd = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int late = socket(a->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct pollfd p = {.fd = late, .events = POLLOUT};
	char got[8];
	int c;

	assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)),
			 0);
	assert_int_equal(bind(fd, a, n), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, a, &n), 0);
	assert_int_equal(connect(client, a, n), 0);
	assert_true(synstop_set(fd));
	assert_int_equal(connect(late, a, n), -1);
	assert_int_equal(poll(&p, 1, 20), 0);
	assert_int_equal(send(client, "one", 3, 0), 3);
	c = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(c >= 0);
	synstop_undo(c);
	close(fd);
	assert_int_equal(read(c, got, sizeof(got)), 3);
	assert_int_equal(send(client, "two", 3, 0), 3);
	p = (struct pollfd){.fd = c, .events = POLLIN};
	assert_int_equal(poll(&p, 1, 5000), 1);
	assert_int_equal(read(c, got, sizeof(got)), 3);
	close(c);
	close(client);
	close(late);
}

static void test_half_open_connection_works(void **state)
{
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};

	(void)state;
	half_open_works((struct sockaddr *)&four, sizeof(four));
	half_open_works((struct sockaddr *)&six, sizeof(six));
}

static void test_unix_socket_is_left_alone(void **state)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX}; /* without a path the kernel names it */
	socklen_t n = sizeof(a);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)state;
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a.sun_family)), 0);
	assert_int_equal(listen(fd, 16), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	assert_false(synstop_set(fd));
	assert_int_equal(connect(client, (struct sockaddr *)&a, n), 0);
	close(client);
	close(fd);
	assert_false(synstop_set(-1));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_queue_is_served_and_nobody_comes_after_it),
		T(test_handshake_under_way_is_waited_for),
		T(test_drain_without_descriptors),
		T(test_socket_of_others_stays_open),
		cmocka_unit_test(test_half_open_connection_works),
		cmocka_unit_test(test_unix_socket_is_left_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
