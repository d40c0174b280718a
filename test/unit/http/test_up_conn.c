/* The provider side over a scripted transport. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"
#include "mem_xport.h"
#include "up_conn.h"

struct fixture {
	uv_loop_t loop;
	struct turn *turn;
	struct mem_xport *mem;
	struct up_conn *u;
	int heads, sents, ends, fails, idle_ends, status;
	struct buf body;
	struct up_conn_fail fail;
};

static void on_sent(void *arg)
{
	((struct fixture *)arg)->sents++;
}

static void on_head(void *arg, const struct http1_head *head)
{
	struct fixture *f = arg;

	f->heads++;
	f->status = head->status;
}

static void on_body(void *arg, struct slice data)
{
	struct fixture *f = arg;

	assert_int_equal(buf_adds(&f->body, data), ERRC_OK);
}

static void on_end(void *arg)
{
	((struct fixture *)arg)->ends++;
}

static void on_fail(void *arg, const struct up_conn_fail *fail)
{
	struct fixture *f = arg;

	f->fails++;
	f->fail = *fail;
	assert_non_null(fail->why);
}

static const struct up_conn_events ev = {on_sent, on_head, on_body, on_end, on_fail};

static void on_idle_end(void *arg, struct up_conn *u)
{
	struct fixture *f = arg;

	assert_ptr_equal(u, f->u);
	f->idle_ends++;
	up_conn_free(&f->u);
}

static void on_dialed(void *arg, struct up_conn *u, const struct dial_result *r)
{
	(void)arg;
	(void)u;
	(void)r;
	fail();
}

static const struct up_conn_owner owner = {on_idle_end, on_dialed};

static void conn_open(struct fixture *f)
{
	struct xport *x = NULL;

	assert_int_equal(mem_xport_new(f->turn, &f->mem, &x), ERRC_OK);
	assert_int_equal(up_conn_new(f->turn, x, &owner, f, &f->u), ERRC_OK);
	up_conn_set_events(f->u, &ev, f);
	f->heads = f->sents = f->ends = f->fails = f->idle_ends = 0;
	f->fail = (struct up_conn_fail){0};
	buf_reset(&f->body);
}

static void conn_close(struct fixture *f)
{
	up_conn_free(&f->u);
	up_conn_free(&f->u);
	mem_xport_free(&f->mem);
	turn_step(f->turn);
}

static int setup(void **state)
{
	struct fixture *f = mem_new_of(struct fixture);
	char *room;

	*state = f;
	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(turn_new(&f->loop, &f->turn), ERRC_OK);
	turn_fake_clock(f->turn, 1000);
	buf_init(&f->body, 1 << 20);
	assert_int_equal(buf_reserve(&f->body, 100, &room),
			 ERRC_OK); /* none is taken while memory is short */
	conn_open(f);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	conn_close(f);
	buf_fini(&f->body);
	turn_free(&f->turn);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	mem_free(f);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

static void send_request(struct fixture *f, bool no_body)
{
	const struct slice v[] = {SLICE_LIT("POST / HTTP/1.1\r\n\r\n"), SLICE_NONE,
				  SLICE_LIT("body")};

	assert_int_equal(up_conn_send(f->u, v, ARRAY_LEN(v), no_body), ERRC_OK);
	assert_int_equal(up_conn_send(f->u, v, ARRAY_LEN(v), no_body), ERRC_STATE);
	turn_step(f->turn);
}

static void feedz(struct fixture *f, const char *text, size_t step)
{
	assert_int_equal(mem_xport_feed(f->mem, slice_str(text), step), ERRC_OK);
	turn_step(f->turn);
}

static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
static const char chunked[] =
	"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";

static void test_answers_at_every_split(void **state)
{
	struct fixture *f = *state;
	const char *texts[] = {whole, chunked};

	for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
		for (size_t cut = 0; cut < strlen(texts[t]); cut++) {
			struct slice all = slice_str(texts[t]);

			send_request(f, false);
			assert_true(slice_is(mem_xport_out(f->mem), "POST / HTTP/1.1\r\n\r\nbody"));
			assert_int_equal(mem_xport_writes(f->mem),
					 1 + (int)cut + (t ? (int)strlen(texts[0]) : 0));
			assert_int_equal(mem_xport_feed(f->mem, slice_sub(all, 0, cut), 0), ERRC_OK);
			assert_int_equal(mem_xport_feed(f->mem, slice_sub(all, cut, all.n), 0),
					 ERRC_OK);
			assert_int_equal(f->sents, 1);
			assert_int_equal(f->heads, 1);
			assert_int_equal(f->ends, 1);
			assert_true(slice_is(buf_slice(&f->body), "hello"));
			assert_true(up_conn_is_reusable(f->u));
			up_conn_rest(f->u);
			assert_true(up_conn_is_reused(f->u));
			up_conn_set_events(f->u, &ev, f);
			mem_xport_take(f->mem);
			buf_reset(&f->body);
			f->sents = f->heads = f->ends = 0;
		}
	}
}

static void test_slow_peer_takes_the_request_in_pieces(void **state)
{
	struct fixture *f = *state;

	mem_xport_window(f->mem, 3);
	send_request(f, false);
	assert_int_equal(f->sents, 0);
	for (int i = 0; i < 30; i++)
		mem_xport_window(f->mem, 1);
	assert_int_equal(f->sents, 1);
	assert_true(slice_is(mem_xport_out(f->mem), "POST / HTTP/1.1\r\n\r\nbody"));
}

struct end {
	const char *text;
	enum up_conn_phase phase;
	enum errc errc;
};

static void test_where_it_is_cut(void **state)
{
	static const struct end rows[] = {
		{"", UP_CONN_REQUEST, ERRC_CONNRESET},
		{"HTTP/1.1 200", UP_CONN_HEAD, ERRC_TRUNCATED},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", UP_CONN_BODY, ERRC_TRUNCATED},
		{"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel", UP_CONN_BODY, ERRC_TRUNCATED},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
		 UP_CONN_BODY, ERRC_TRUNCATED},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		send_request(f, false);
		if (rows[i].text[0])
			feedz(f, rows[i].text, 1);
		mem_xport_eof(f->mem);
		assert_int_equal(f->fails, 1);
		assert_int_equal(f->ends, 0);
		assert_int_equal(f->fail.phase, rows[i].phase);
		assert_int_equal(f->fail.errc, rows[i].errc);
		assert_false(f->fail.stale);
		assert_false(up_conn_is_reusable(f->u));
		conn_close(f);
		conn_open(f);
		send_request(f, false);
		if (rows[i].text[0])
			feedz(f, rows[i].text, 0);
		mem_xport_reset(f->mem, ERRC_CONNRESET);
		assert_int_equal(f->fails, 1);
		assert_int_equal(f->fail.phase, rows[i].phase);
		assert_int_equal(f->fail.errc, ERRC_CONNRESET);
		conn_close(f);
		conn_open(f);
	}
}

static void test_bad_framing(void **state)
{
	static const struct end rows[] = {
		{"garbage\r\n\r\n", UP_CONN_HEAD, ERRC_PROTOCOL},
		{"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", UP_CONN_HEAD,
		 ERRC_PROTOCOL},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", UP_CONN_BODY,
		 ERRC_PROTOCOL},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		send_request(f, false);
		feedz(f, rows[i].text, i % 2);
		assert_int_equal(f->fails, 1);
		assert_int_equal(f->fail.phase, rows[i].phase);
		assert_int_equal(f->fail.errc, rows[i].errc);
		conn_close(f);
		conn_open(f);
	}
}

static void test_what_is_not_reused(void **state)
{
	static const char *const rows[] = {
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		send_request(f, false);
		feedz(f, rows[i], 0);
		assert_int_equal(f->ends, 1);
		assert_false(up_conn_is_reusable(f->u));
		conn_close(f);
		conn_open(f);
	}
	/* Without length: the end of the connection is the end of the body. */
	send_request(f, false);
	feedz(f, "HTTP/1.1 200 OK\r\n\r\nhello", 0);
	mem_xport_eof(f->mem);
	assert_int_equal(f->ends, 1);
	assert_true(slice_is(buf_slice(&f->body), "hello"));
	assert_false(up_conn_is_reusable(f->u));
	conn_close(f);
	conn_open(f);
	/* An answer before the request was taken wholly. */
	mem_xport_window(f->mem, 5);
	send_request(f, false);
	feedz(f, "HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n", 0);
	assert_int_equal(f->ends, 1);
	assert_int_equal(f->status, 413);
	assert_int_equal(f->sents, 0);
	assert_false(up_conn_is_reusable(f->u));
	mem_xport_window(f->mem, 100);
	assert_int_equal(mem_xport_out(f->mem).n,
			 5); /* the rest is not sent, its memory was given back */
}

static void test_stale_connection(void **state)
{
	struct fixture *f = *state;

	send_request(f, false);
	feedz(f, whole, 0);
	up_conn_rest(f->u);
	up_conn_set_events(f->u, &ev, f);
	send_request(f, false);
	mem_xport_eof(f->mem);
	assert_int_equal(f->fails, 1);
	assert_true(f->fail.stale);
	conn_close(f);
	conn_open(f);
	/* The write fails, too: reading tells. */
	send_request(f, false);
	feedz(f, whole, 0);
	up_conn_rest(f->u);
	up_conn_set_events(f->u, &ev, f);
	mem_xport_fail_write(f->mem, ERRC_CONNRESET);
	send_request(f, false);
	assert_int_equal(f->fails, 0);
	mem_xport_reset(f->mem, ERRC_CONNRESET);
	assert_int_equal(f->fails, 1);
	assert_true(f->fail.stale);
	conn_close(f);
	conn_open(f);
	mem_xport_fail_write(f->mem, ERRC_TLS);
	send_request(f, false);
	assert_int_equal(f->fails, 1);
	assert_int_equal(f->fail.errc, ERRC_TLS);
}

static void test_resting_connection_ends(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++) {
		send_request(f, false);
		feedz(f, whole, 0);
		up_conn_rest(f->u);
		if (i == 0)
			mem_xport_eof(f->mem);
		else
			feedz(f, "HTTP/1.1 408 Request Timeout\r\n", 0);
		assert_int_equal(f->idle_ends, 1);
		assert_int_equal(f->fails, 0);
		assert_null(f->u);
		conn_close(f);
		conn_open(f);
	}
}

static void test_informational_and_head(void **state)
{
	struct fixture *f = *state;

	send_request(f, true);
	feedz(f, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n", 1);
	assert_int_equal(f->heads, 1);
	assert_int_equal(f->status, 200);
	assert_int_equal(f->ends, 1);
	assert_true(up_conn_is_reusable(f->u));
}

static void test_reading_can_be_stopped(void **state)
{
	struct fixture *f = *state;

	send_request(f, false);
	feedz(f, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", 0);
	up_conn_read_stop(f->u);
	feedz(f, "wor", 0);
	assert_int_equal(f->body.len, 5);
	up_conn_read_start(f->u);
	turn_step(f->turn);
	assert_int_equal(f->body.len, 8);
	feedz(f, "ld", 0);
	assert_int_equal(f->ends, 1);
}

static void test_out_of_memory(void **state)
{
	struct fixture *f = *state;
	bool done = false;

	for (unsigned n = 1; !done && n < 100; n++) {
		const struct slice v = SLICE_LIT("GET / HTTP/1.1\r\n\r\n");

		mem_fail_after(n);
		if (up_conn_send(f->u, &v, 1, false) == ERRC_OK) {
			turn_step(f->turn);
			if (mem_xport_feed(f->mem, slice_str(whole), 0) == ERRC_OK)
				done = f->ends == 1;
			assert_true(done || f->fails <= 1);
		}
		mem_fail_after(0);
		conn_close(f);
		conn_open(f);
	}
	assert_true(done);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_answers_at_every_split),  T(test_slow_peer_takes_the_request_in_pieces),
		T(test_where_it_is_cut),         T(test_bad_framing),
		T(test_what_is_not_reused),      T(test_stale_connection),
		T(test_resting_connection_ends), T(test_informational_and_head),
		T(test_reading_can_be_stopped),  T(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
