/* Everything of worker/net and worker/http over loopback in one process: listeners, plain and TLS, client connections that answer by path,
 * pools that dial, name look-up, happy eyeballs, TLS resumption. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "down_conn.h"
#include "mem.h"
#include "net_sink.h"
#include "test_cert.h"
#include "upool.h"

#define WAIT_MS   20000 /* no test comes near it */
#define BIG       (3 << 20)
#define CALLS_MAX 64

static struct test_cert root, cert;

/* A request of the client side, which is sent again until `left` is 0. */
struct job {
	struct flow *f;
	struct up_conn *u;
	struct turn_task task;
	struct slice request;
	int left, done, fails, retries;
	bool ended, failed, pauses;
	struct up_conn_fail fail;
	char why[256];
	size_t body_bytes;
	struct turn_timer pause;
};

struct flow {
	uv_loop_t loop;
	struct turn *turn;
	struct tls *tls;
	struct dns *dns;
	struct tls_client *client;
	struct tls_server *server;
	struct listen_set *set;
	struct listen *plain, *secure;
	uint16_t plain_port, secure_port;
	struct down_opts opts;
	struct down_host *host;
	struct upool *pool;
	struct upool_ep *ep;
	struct job jobs[CALLS_MAX];
	int running, drained;
	struct turn_timer limit;
	bool timed_out;
};

/* --- the server --- */

static char big[BIG];

static void srv_request(void *arg, struct down_conn *dc, const struct http1_head *head,
			const struct down_fault *fault)
{
	const struct down_answer a = {.status = fault ? fault->status : 200};
	struct slice body = slice_is(head->target, "/big") ? slice_of(big, sizeof(big))
							   : SLICE_LIT("hello");

	if (slice_is(head->target, "/sink")) {
		sink_take(dc, slice_of(big, sizeof(big)));
		return;
	}
	down_conn_take(dc, &down_conn_deaf, NULL);
	down_conn_read_start(dc);
	if (slice_is(head->target, "/cut")) {
		assert_int_equal(down_conn_start(dc, &a), ERRC_OK);
		assert_int_equal(down_conn_write(dc, body), ERRC_OK);
		down_conn_cut(dc);
	} else if (!slice_is(head->target, "/never")) {
		assert_int_equal(down_conn_answer(dc, &a, &body, 1), ERRC_OK);
	}
}

static const struct down_host_events host_ev = {srv_request};

static void srv_conn(void *arg, struct xport *x, const struct listen_peer *peer)
{
	struct flow *f = arg;

	assert_int_equal(down_conn_open(f->host, x, peer), ERRC_OK);
}

static void srv_drained(void *arg)
{
	((struct flow *)arg)->drained++;
}

static const struct listen_events listen_ev = {srv_conn, srv_drained};

static int socket_open(uint16_t *port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t n = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 256), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

/* --- the client --- */

static void on_sent(void *arg)
{
	(void)arg;
}

static void on_head(void *arg, const struct http1_head *head)
{
	(void)arg;
	assert_int_equal(head->status, 200);
}

static void on_body(void *arg, struct slice data)
{
	struct job *j = arg;

	j->body_bytes += data.n;
	if (!j->pauses || turn_timer_is_set(&j->pause))
		return;
	up_conn_read_stop(j->u);
	turn_timer_set(&j->pause, turn_now_ms(j->f->turn) + 5);
}

static void on_pause(struct turn_timer *m)
{
	struct job *j = CONTAINER_OF(m, struct job, pause);

	if (j->u)
		up_conn_read_start(j->u);
}

static void on_end(void *arg)
{
	struct job *j = arg;

	j->ended = true;
	turn_wake(&j->task);
}

static void on_fail(void *arg, const struct up_conn_fail *fail)
{
	struct job *j = arg;

	j->failed = true;
	j->fail = *fail;
	snprintf(j->why, sizeof(j->why), "%s", fail->why);
	turn_wake(&j->task);
}

static const struct up_conn_events job_ev = {on_sent, on_head, on_body, on_end, on_fail};

static void job_send(struct job *j, bool fresh)
{
	j->ended = j->failed = false;
	assert_int_equal(upool_borrow(j->f->ep, fresh, &job_ev, j, &j->u), ERRC_OK);
	assert_int_equal(up_conn_send(j->u, &j->request, 1, false), ERRC_OK);
}

static void job_run(struct turn_task *k)
{
	struct job *j = CONTAINER_OF(k, struct job, task);
	bool stale = j->failed && j->fail.stale;

	turn_timer_clear(&j->pause);
	upool_give(&j->u);
	if (stale) {
		j->retries++;
		job_send(j, true);
		return;
	}
	if (j->failed)
		j->fails++;
	else
		j->done++;
	if (--j->left > 0) {
		job_send(j, false);
	} else if (--j->f->running == 0) {
		uv_stop(&j->f->loop);
	}
}

static void on_limit(struct turn_timer *m)
{
	struct flow *f = CONTAINER_OF(m, struct flow, limit);

	f->timed_out = true;
	uv_stop(&f->loop);
}

/* Lets the loop run until the jobs are done or `ms` are over. */
static void run(struct flow *f, int64_t ms)
{
	f->timed_out = false;
	turn_timer_set(&f->limit, turn_now_ms(f->turn) + ms);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	turn_timer_clear(&f->limit);
}

/* Lets the loop run until the endpoint dials nothing and has so many idle connections. */
static void run_until_idle(struct flow *f, unsigned idle)
{
	int64_t end_ms = turn_now_ms(f->turn) + WAIT_MS;
	struct upool_stats st;

	do {
		run(f, 5);
		upool_stats_get(f->pool, f->ep, &st);
	} while ((st.idle != idle || st.dialing) && turn_now_ms(f->turn) < end_ms);
	assert_int_equal(st.idle, idle);
}

static void job_start(struct flow *f, struct job *j, int times, struct slice request)
{
	*j = (struct job){.f = f, .left = times, .request = request};
	turn_task_init(&j->task, f->turn, job_run);
	turn_timer_init(&j->pause, f->turn, on_pause);
	f->running++;
	job_send(j, false);
}

static void jobs_start(struct flow *f, int n, int times, struct slice request)
{
	assert_in_range(n, 1, CALLS_MAX);
	f->running = 0;
	for (int i = 0; i < n; i++)
		job_start(f, &f->jobs[i], times, request);
}

static void endpoint(struct flow *f, const char *host, uint16_t port, bool tls)
{
	const struct upool_spec spec = {.id = 7,
					.host = host,
					.port = port,
					.tls = tls ? f->client : NULL,
					.connect_ms = 3000,
					.tls_ms = 3000,
					.idle_ms = 10000};
	struct upool_ep *old = f->ep;

	assert_int_equal(upool_ep_get(f->pool, &spec, &f->ep), ERRC_OK);
	upool_ep_drop(&old);
}

/* --- fixture --- */

static int setup(void **state)
{
	struct flow *f = mem_new_of(struct flow);
	struct listen_opts o = {.tls_ms = 3000};
	char why[256] = "";

	*state = f;
	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(turn_new(&f->loop, &f->turn), ERRC_OK);
	assert_int_equal(tls_new(f->turn, &f->tls), ERRC_OK);
	assert_int_equal(dns_new(f->turn, 30000, &f->dns), ERRC_OK);
	assert_int_equal(
		tls_client_new(f->tls, slice_str(root.crt_pem), why, sizeof(why), &f->client),
		ERRC_OK);
	assert_int_equal(tls_server_new(f->tls, slice_str(cert.crt_pem), slice_str(cert.key_pem),
					why, sizeof(why), &f->server),
			 ERRC_OK);
	assert_int_equal(listen_set_new(f->turn, 1000, 0, &f->set), ERRC_OK);
	f->opts = DOWN_OPTS_DEFAULT;
	assert_int_equal(down_host_new(f->turn, &f->opts, f->set, &host_ev, f, &f->host), ERRC_OK);
	assert_int_equal(
		listen_open(f->set, socket_open(&f->plain_port), &o, &listen_ev, f, &f->plain),
		ERRC_OK);
	o.tls = f->server;
	assert_int_equal(
		listen_open(f->set, socket_open(&f->secure_port), &o, &listen_ev, f, &f->secure),
		ERRC_OK);
	assert_int_equal(upool_new(f->turn, f->dns, &f->pool), ERRC_OK);
	turn_timer_init(&f->limit, f->turn, on_limit);
	return 0;
}

static int teardown(void **state)
{
	struct flow *f = *state;
	struct listen_stats ls;

	for (int i = 0; i < CALLS_MAX; i++)
		if (f->jobs[i].f) {
			upool_forget(&f->jobs[i].u);
			turn_timer_clear(&f->jobs[i].pause);
		}
	upool_ep_drop(&f->ep);
	upool_free(&f->pool);
	listen_close(&f->plain);
	listen_close(&f->secure);
	down_host_free(&f->host);
	listen_stats_get(f->set, &ls);
	assert_int_equal(ls.open, 0);
	listen_set_free(&f->set);
	turn_step(f->turn);
	tls_client_drop(&f->client);
	tls_server_drop(&f->server);
	dns_free(&f->dns);
	tls_free(&f->tls);
	turn_free(&f->turn);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	mem_free(f);
	assert_int_equal(mem_live_count(), 2); /* the keys of the certificates */
	return 0;
}

static int certs_make(void **state)
{
	(void)state;
	test_cert_make(&root, "root", NULL, "20991231235959");
	test_cert_make(&cert, "localhost", &root, "20991231235959");
	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = (char)(i % 251);
	return 0;
}

static int certs_drop(void **state)
{
	(void)state;
	test_cert_drop(&root);
	test_cert_drop(&cert);
	return 0;
}

#define GET(path) SLICE_LIT("GET " path " HTTP/1.1\r\nHost: localhost\r\n\r\n")

static int done_all(const struct flow *f)
{
	int n = 0;

	for (int i = 0; i < CALLS_MAX; i++)
		n += f->jobs[i].done;
	return n;
}

/* --- tests --- */

static void test_plain_connections_are_reused(void **state)
{
	struct flow *f = *state;
	struct upool_stats st;

	endpoint(f, "127.0.0.1", f->plain_port, false);
	jobs_start(f, 20, 100, GET("/"));
	run(f, WAIT_MS);
	assert_false(f->timed_out);
	assert_int_equal(done_all(f), 2000);
	upool_stats_get(f->pool, NULL, &st);
	assert_int_equal(st.dialed, 20);
	assert_int_equal(st.reused, 1980);
	assert_int_equal(st.idle, 20);
	assert_int_equal(st.busy, 0);
	assert_int_equal(f->jobs[0].body_bytes, 500);
}

static void test_tls_resumes(void **state)
{
	struct flow *f = *state;
	struct upool_stats st;

	endpoint(f, "localhost", f->secure_port, true);
	jobs_start(f, 4, 50, GET("/"));
	run(f, WAIT_MS);
	assert_false(f->timed_out);
	assert_int_equal(done_all(f), 200);
	upool_stats_get(f->pool, f->ep, &st);
	assert_int_equal(st.tls_full + st.tls_resumed, 4);
	assert_true(st.tls_full >= 1);
	/* Closed and begun anew: the ticket of before counts. */
	jobs_start(f, 1, 1, GET("/cut"));
	run(f, WAIT_MS);
	assert_int_equal(f->jobs[0].fails, 1);
	assert_int_equal(f->jobs[0].fail.phase, UP_CONN_BODY);
	assert_int_equal(f->jobs[0].fail.errc, ERRC_TRUNCATED);
	for (int i = 0; i < 3; i++) {
		jobs_start(f, 1, 1, GET("/cut"));
		run(f, WAIT_MS);
	}
	jobs_start(f, 1, 1, GET("/"));
	run(f, WAIT_MS);
	assert_int_equal(f->jobs[0].done, 1);
	upool_stats_get(f->pool, f->ep, &st);
	assert_true(st.tls_resumed >= 1);
}

static void test_large_answers_with_pauses(void **state)
{
	struct flow *f = *state;

	for (int tls = 0; tls < 2; tls++) {
		endpoint(f, "localhost", tls ? f->secure_port : f->plain_port, tls);
		jobs_start(f, 3, 1, GET("/big"));
		for (int i = 0; i < 3; i++)
			f->jobs[i].pauses = i > 0;
		run(f, WAIT_MS);
		assert_false(f->timed_out);
		for (int i = 0; i < 3; i++)
			assert_int_equal(f->jobs[i].body_bytes, BIG);
	}
}

static void test_large_requests(void **state)
{
	static const char head[] =
		"POST /sink HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3145728\r\n\r\n";
	struct flow *f = *state;
	struct buf text;

	_Static_assert(BIG == 3145728, "the length that the head names");
	buf_init(&text, 2 * BIG);
	assert_int_equal(buf_addz(&text, head), ERRC_OK);
	assert_int_equal(buf_add(&text, big, BIG), ERRC_OK);
	for (int tls = 0; tls < 2; tls++) {
		sink_roomed = 0;
		endpoint(f, "localhost", tls ? f->secure_port : f->plain_port, tls);
		jobs_start(f, 3, 2, buf_slice(&text));
		run(f, WAIT_MS);
		assert_false(f->timed_out);
		for (int i = 0; i < 3; i++) {
			assert_int_equal(f->jobs[i].done, 2);
			assert_int_equal(f->jobs[i].body_bytes, 2 * strlen("all"));
		}
		/* Most of it: what comes with the head and the last few bytes are copied. By TLS all is. */
		assert_true(tls ? sink_roomed == 0 : sink_roomed > 6 * (size_t)BIG / 10 * 9);
	}
	buf_fini(&text);
}

static void expect_failure(struct flow *f, enum up_conn_phase phase, enum errc e, const char *why)
{
	jobs_start(f, 1, 1, GET("/"));
	run(f, WAIT_MS);
	assert_false(f->timed_out);
	assert_int_equal(f->jobs[0].fails, 1);
	assert_int_equal(f->jobs[0].fail.phase, phase);
	assert_int_equal(f->jobs[0].fail.errc, e);
	if (!strstr(f->jobs[0].why, why))
		fail_msg("\"%s\" is not in \"%s\"", why, f->jobs[0].why);
}

static void test_failures_of_dialling(void **state)
{
	struct flow *f = *state;
	uint16_t closed_port;

	close(socket_open(&closed_port));
	endpoint(f, "127.0.0.1", closed_port, false);
	expect_failure(f, UP_CONN_NAME, ERRC_CONNREFUSED, "127.0.0.1");
	endpoint(f, "no-such-name.invalid", 80, false);
	expect_failure(f, UP_CONN_NAME, ERRC_DNS, "no-such-name.invalid");
	endpoint(f, "127.0.0.1", f->secure_port, true);
	expect_failure(f, UP_CONN_TLS, ERRC_TLS_CERT, "does not match");
	endpoint(f, "localhost", f->plain_port, true);
	expect_failure(f, UP_CONN_TLS, ERRC_TLS, "localhost");
}

/* Whatever it does, forgetting a connection leaves nothing behind. */
static void test_forgetting_at_any_time(void **state)
{
	struct flow *f = *state;
	struct up_conn *u = NULL;
	struct upool_stats st;
	struct slice request = GET("/never");

	for (int tls = 0; tls < 2; tls++) {
		endpoint(f, "localhost", tls ? f->secure_port : f->plain_port, tls);
		for (int turns = 0; turns < 30; turns++) {
			assert_int_equal(upool_borrow(f->ep, true, &job_ev, &f->jobs[0], &u),
					 ERRC_OK);
			assert_int_equal(up_conn_send(u, &request, 1, false), ERRC_OK);
			f->jobs[0] = (struct job){.f = f};
			turn_task_init(&f->jobs[0].task, f->turn, job_run);
			turn_timer_init(&f->jobs[0].pause, f->turn, on_pause);
			for (int i = 0; i < turns; i++)
				uv_run(&f->loop, UV_RUN_NOWAIT);
			upool_forget(&u);
			assert_null(u);
			upool_forget(&u);
		}
	}
	upool_stats_get(f->pool, NULL, &st);
	assert_int_equal(st.busy + st.idle + st.dialing, 0);
	run(f, 50);
}

/* The server closes what is idle: the pool learns, and a request that meets such a connection goes out once more. */
static void test_idle_connections_that_end(void **state)
{
	struct flow *f = *state;
	int retries = 0;

	f->opts.idle_ms = 20;
	down_host_set_opts(f->host, &f->opts);
	endpoint(f, "127.0.0.1", f->plain_port, false);
	jobs_start(f, 5, 1, GET("/"));
	run(f, WAIT_MS);
	run_until_idle(f, 0);
	for (int i = 0; i < 20; i++) {
		jobs_start(f, 5, 1, GET("/"));
		run(f, WAIT_MS);
		assert_false(f->timed_out);
		assert_int_equal(done_all(f), 5);
		for (int k = 0; k < 5; k++)
			retries += f->jobs[k].retries;
		run(f, 18 + i % 4);
	}
	assert_in_range(retries, 0, 100);
}

static void test_warming_and_limits(void **state)
{
	struct flow *f = *state;
	struct upool_spec spec = {.id = 9,
				  .host = "127.0.0.1",
				  .port = f->plain_port,
				  .connect_ms = WAIT_MS,
				  .tls_ms = WAIT_MS,
				  .idle_ms = 2 * WAIT_MS,
				  .conns_max = 3};
	struct up_conn *u[4] = {NULL};

	assert_int_equal(upool_ep_get(f->pool, &spec, &f->ep), ERRC_OK);
	upool_warm(f->ep, 5);
	run_until_idle(f, 3);
	for (int i = 0; i < 4; i++)
		assert_int_equal(upool_borrow(f->ep, false, &job_ev, &f->jobs[0], &u[i]),
				 i < 3 ? ERRC_OK : ERRC_BUSY);
	for (int i = 0; i < 3; i++)
		upool_forget(&u[i]);
	upool_warm(f->ep, 2);
	run_until_idle(f, 2);
}

static void test_idle_time(void **state)
{
	struct flow *f = *state;
	struct upool_spec spec = {.id = 9,
				  .host = "127.0.0.1",
				  .port = f->plain_port,
				  .connect_ms = WAIT_MS,
				  .tls_ms = WAIT_MS,
				  .idle_ms = 40};
	struct upool_stats st;

	assert_int_equal(upool_ep_get(f->pool, &spec, &f->ep), ERRC_OK);
	upool_warm(f->ep, 2);
	run_until_idle(f, 0);
	upool_stats_get(f->pool, f->ep, &st);
	assert_int_equal(st.dialed, 2);
	assert_int_equal(st.dial_failed, 0);
}

/* Elsewhere from now on: what is idle is closed, what is busy is not used again. */
static void test_endpoint_that_moves(void **state)
{
	struct flow *f = *state;
	struct upool_stats st;
	struct up_conn *u = NULL;

	endpoint(f, "127.0.0.1", f->plain_port, false);
	jobs_start(f, 2, 1, GET("/"));
	run(f, WAIT_MS);
	assert_int_equal(upool_borrow(f->ep, false, &job_ev, &f->jobs[0], &u), ERRC_OK);
	endpoint(f, "localhost", f->secure_port, true);
	upool_stats_get(f->pool, f->ep, &st);
	assert_int_equal(st.idle, 0);
	assert_int_equal(st.busy, 1);
	upool_give(&u);
	upool_stats_get(f->pool, f->ep, &st);
	assert_int_equal(st.busy + st.idle, 0);
	jobs_start(f, 1, 1, GET("/"));
	run(f, WAIT_MS);
	assert_int_equal(f->jobs[0].done, 1);
}

static void test_caps_pause_and_drain(void **state)
{
	struct flow *f = *state;
	int64_t end_ms = turn_now_ms(f->turn) + WAIT_MS;
	struct listen_stats ls;

	listen_set_caps(f->set, 1000, 2);
	endpoint(f, "127.0.0.1", f->plain_port, false);
	jobs_start(f, 4, 1, GET("/never"));
	do {
		run(f, 5);
		listen_stats_get(f->set, &ls);
	} while (ls.open + ls.refused_address < 4 && turn_now_ms(f->turn) < end_ms);
	assert_int_equal(ls.open, 2);
	assert_int_equal(ls.refused_address, 2);
	listen_set_caps(f->set, 2, 0); /* full: the queue waits */
	f->running = 0;                /* two of the first four hang on */
	job_start(f, &f->jobs[4], 1, GET("/"));
	run(f, 50);
	assert_true(f->timed_out);
	assert_int_equal(f->jobs[4].done, 0);
	listen_set_caps(f->set, 10, 0);
	run(f, WAIT_MS);
	assert_int_equal(f->jobs[4].done, 1);
	listen_drain(f->plain, LISTEN_END_COPY);
	while (!f->drained && turn_now_ms(f->turn) < end_ms)
		run(f, 5);
	assert_int_equal(f->drained, 1);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_plain_connections_are_reused),
		T(test_tls_resumes),
		T(test_large_answers_with_pauses),
		T(test_large_requests),
		T(test_failures_of_dialling),
		T(test_forgetting_at_any_time),
		T(test_idle_connections_that_end),
		T(test_warming_and_limits),
		T(test_idle_time),
		T(test_endpoint_that_moves),
		T(test_caps_pause_and_drain),
	};

	return cmocka_run_group_tests(tests, certs_make, certs_drop);
}
