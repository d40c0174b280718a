/* The client side over a scripted transport. The "call" of these tests answers when its request's body has ended, with what it was
 * sent, unless the path says otherwise. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "down_conn.h"
#include "mem.h"
#include "mem_xport.h"

#define CALLS_MAX 64

struct fixture;

struct call {
	struct fixture *f;
	struct down_conn *dc;
	struct turn_task task;
	char target[64];
	struct buf body;
	bool ended, answered, sent, gone, writable;
	int fault;
};

struct fixture {
	uv_loop_t loop;
	struct turn *turn;
	struct down_opts opts;
	struct down_host *host;
	struct mem_xport *mem;
	struct call calls[CALLS_MAX];
	unsigned calls_n, closed;
	bool manual; /* the test answers by itself */
	int64_t now_ms;
};

/* --- the call --- */

static void on_body(void *arg, struct slice data)
{
	struct call *c = arg;

	assert_int_equal(buf_adds(&c->body, data), ERRC_OK);
}

static void on_body_end(void *arg)
{
	struct call *c = arg;

	assert_false(c->ended);
	c->ended = true;
	turn_wake(&c->task);
}

static void on_fault(void *arg, const struct down_fault *f)
{
	struct call *c = arg;

	assert_false(c->ended);
	c->fault = f->status;
	turn_wake(&c->task);
}

static void on_writable(void *arg)
{
	((struct call *)arg)->writable = true;
}

static void on_sent(void *arg)
{
	struct call *c = arg;

	assert_false(c->sent || c->gone);
	c->sent = true;
	c->dc = NULL;
}

static void on_gone(void *arg)
{
	struct call *c = arg;

	assert_false(c->sent || c->gone);
	c->gone = true;
	c->dc = NULL;
}

static const struct down_conn_events call_ev = {on_body,     on_body_end, on_fault,
						on_writable, on_sent,     on_gone};

static void answer(struct call *c, int status, const char *text)
{
	const struct down_answer a = {.status = status, .fields = SLICE_LIT("x-test: 1\r\n")};
	struct slice body = slice_str(text);

	c->answered = true;
	assert_int_equal(down_conn_answer(c->dc, &a, &body, 1), ERRC_OK);
}

static void stream(struct call *c)
{
	const struct down_answer a = {.status = 200,
				      .fields = SLICE_LIT("content-type: text/event-stream\r\n")};

	c->answered = true;
	assert_int_equal(down_conn_start(c->dc, &a), ERRC_OK);
	assert_int_equal(down_conn_write(c->dc, SLICE_LIT("one")), ERRC_OK);
	assert_int_equal(down_conn_write(c->dc, SLICE_NONE), ERRC_OK);
	assert_int_equal(down_conn_write(c->dc, SLICE_LIT("two!")), ERRC_OK);
	if (strcmp(c->target, "/cut") == 0)
		down_conn_cut(c->dc);
	else
		assert_int_equal(down_conn_end(c->dc), ERRC_OK);
}

static void call_run(struct turn_task *k)
{
	struct call *c = CONTAINER_OF(k, struct call, task);
	char text[128];

	if (!c->dc || c->answered)
		return;
	if (!c->ended && !c->fault) {
		down_conn_read_start(c->dc);
		return;
	}
	if (c->f->manual)
		return;
	if (c->fault) {
		answer(c, c->fault, "fault");
	} else if (strcmp(c->target, "/stream") == 0 || strcmp(c->target, "/cut") == 0) {
		stream(c);
	} else {
		snprintf(text, sizeof(text), "%s %.*s", c->target,
			 (int)MIN_OF(c->body.len, (size_t)64), c->body.len ? c->body.p : "");
		answer(c, 200, text);
	}
}

static void on_request(void *arg, struct down_conn *dc, const struct http1_head *head,
		       const struct down_fault *fault)
{
	struct fixture *f = arg;
	struct call *c = &f->calls[f->calls_n++];

	assert_in_range(f->calls_n, 1, CALLS_MAX);
	*c = (struct call){.f = f, .dc = dc, .fault = fault ? fault->status : 0};
	snprintf(c->target, sizeof(c->target), "%.*s", (int)head->target.n,
		 head->target.n ? head->target.p : "");
	buf_init(&c->body, 64 << 20);
	turn_task_init(&c->task, f->turn, call_run);
	down_conn_take(dc, &call_ev, c);
	if (strcmp(c->target, "/early") == 0)
		answer(c, 401, "no");
	else
		turn_wake(&c->task);
}

static void on_closed(void *arg)
{
	((struct fixture *)arg)->closed++;
}

static const struct down_host_events host_ev = {on_request, on_closed};

/* --- fixture --- */

static void open_conn(struct fixture *f)
{
	const struct listen_peer peer = {.port = 1};
	struct xport *x = NULL;

	assert_int_equal(mem_xport_new(f->turn, &f->mem, &x), ERRC_OK);
	assert_int_equal(down_conn_open(f->host, x, &peer), ERRC_OK);
}

static int setup(void **state)
{
	struct fixture *f = mem_new_of(struct fixture);

	*state = f;
	assert_non_null(f);
	assert_int_equal(uv_loop_init(&f->loop), 0);
	assert_int_equal(turn_new(&f->loop, &f->turn), ERRC_OK);
	f->now_ms = 1000000;
	turn_fake_clock(f->turn, f->now_ms);
	f->opts = DOWN_OPTS_DEFAULT;
	assert_int_equal(down_host_new(f->turn, &f->opts, NULL, &host_ev, f, &f->host), ERRC_OK);
	open_conn(f);
	return 0;
}

static void calls_clear(struct fixture *f)
{
	for (unsigned i = 0; i < f->calls_n; i++) {
		turn_task_fini(&f->calls[i].task);
		buf_fini(&f->calls[i].body);
	}
	f->calls_n = 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	down_host_free(&f->host);
	mem_xport_free(&f->mem);
	turn_step(f->turn);
	calls_clear(f);
	turn_free(&f->turn);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	mem_free(f);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

static void reopen(struct fixture *f)
{
	down_host_free(&f->host);
	mem_xport_free(&f->mem);
	turn_step(f->turn);
	calls_clear(f);
	f->closed = 0;
	assert_int_equal(down_host_new(f->turn, &f->opts, NULL, &host_ev, f, &f->host), ERRC_OK);
	open_conn(f);
}

static void step(struct fixture *f)
{
	do {
		turn_step(f->turn);
	} while (!mem_xport_is_closed(f->mem) && mem_xport_pump(f->mem));
	turn_step(f->turn);
}

static void advance(struct fixture *f, int64_t ms)
{
	f->now_ms += ms;
	turn_fake_clock(f->turn, f->now_ms);
	step(f);
}

static void feed(struct fixture *f, struct slice data)
{
	assert_int_equal(mem_xport_feed(f->mem, data, 0), ERRC_OK);
	step(f);
}

static void feedz(struct fixture *f, const char *text)
{
	feed(f, slice_str(text));
}

static bool out_has(struct fixture *f, const char *text)
{
	return slice_find(mem_xport_out(f->mem), slice_str(text)) >= 0;
}

static void expect_out(struct fixture *f, const char *text)
{
	if (!out_has(f, text))
		fail_msg("\"%s\" is not in: %.*s", text, SLICE_ARG(mem_xport_out(f->mem)));
}

static void expect_end(struct fixture *f, const char *text)
{
	if (!slice_has_suffix(mem_xport_out(f->mem), slice_str(text)))
		fail_msg("\"%s\" does not end: %.*s", text, SLICE_ARG(mem_xport_out(f->mem)));
}

/* --- answers --- */

static void test_whole_answer(void **state)
{
	struct fixture *f = *state;

	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_out(f, "HTTP/1.1 200 OK\r\n");
	expect_out(f, "\r\ncontent-length: 3\r\n");
	expect_out(f, "\r\nkeep-alive: timeout=75\r\n");
	expect_out(f, "\r\nx-test: 1\r\n");
	expect_out(f, "\r\ndate: Thu, 01 Jan 1970 00:16:40 GMT\r\n");
	expect_end(f, "\r\n\r\n/a ");
	assert_int_equal(mem_xport_writes(f->mem), 1);
	assert_true(f->calls[0].sent);
	assert_false(mem_xport_is_shut(f->mem));
}

static void test_stream_goes_out_in_one_write(void **state)
{
	struct fixture *f = *state;

	feedz(f, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_out(f, "\r\ntransfer-encoding: chunked\r\n");
	expect_end(f, "\r\n\r\n3\r\none\r\n4\r\ntwo!\r\n0\r\n\r\n");
	assert_int_equal(mem_xport_writes(f->mem), 1);
	assert_true(f->calls[0].sent);
}

static void test_cut_is_a_fin_without_the_last_chunk(void **state)
{
	struct fixture *f = *state;

	feedz(f, "GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_end(f, "\r\n\r\n3\r\none\r\n4\r\ntwo!\r\n");
	assert_true(mem_xport_is_shut(f->mem));
	assert_false(mem_xport_is_closed(f->mem));
	assert_true(f->calls[0].sent);
	mem_xport_eof(f->mem);
	assert_true(mem_xport_is_closed(f->mem));
	assert_int_equal(f->closed, 1);
}

static void test_http10_and_head(void **state)
{
	struct fixture *f = *state;

	feedz(f, "HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_out(f, "content-length: 5\r\n");
	expect_end(f, "\r\n\r\n");
	mem_xport_take(f->mem);
	feedz(f, "GET /k HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
	expect_out(f, "\r\nconnection: keep-alive\r\nkeep-alive: timeout=75\r\n");
	mem_xport_take(f->mem);
	feedz(f, "GET /stream HTTP/1.0\r\n\r\n");
	assert_false(out_has(f, "chunked"));
	expect_out(f, "\r\nconnection: close\r\n");
	expect_end(f, "\r\n\r\nonetwo!");
	assert_true(mem_xport_is_shut(f->mem));
}

static void test_big_answer_and_slow_client(void **state)
{
	struct fixture *f = *state;
	struct slice body;
	const struct down_answer a = {.status = 200};
	char *big = mem_new(200000);
	size_t head;

	assert_non_null(big);
	memset(big, 'b', 200000);
	f->manual = true;
	mem_xport_window(f->mem, 1000);
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	body = slice_of(big, 200000);
	assert_int_equal(down_conn_answer(f->calls[0].dc, &a, &body, 1), ERRC_OK);
	memset(big, 'x', 200000); /* the memory is ours again */
	step(f);
	assert_int_equal(mem_xport_out(f->mem).n, 1000);
	assert_false(f->calls[0].sent);
	for (int i = 0; i < 1000 && !f->calls[0].sent; i++) {
		mem_xport_window(f->mem, 999);
		step(f);
	}
	assert_true(f->calls[0].sent);
	head = (size_t)slice_find(mem_xport_out(f->mem), SLICE_LIT("\r\n\r\n")) + 4;
	assert_int_equal(mem_xport_out(f->mem).n, head + 200000);
	for (size_t i = 0; i < 200000; i++)
		assert_int_equal(mem_xport_out(f->mem).p[head + i], 'b');
	mem_free(big);
}

static void test_marks(void **state)
{
	struct fixture *f = *state;
	const struct down_answer a = {.status = 200};
	static const char piece[10000];

	f->manual = true;
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	mem_xport_window(f->mem, 0);
	assert_int_equal(down_conn_start(f->calls[0].dc, &a), ERRC_OK);
	for (int i = 0; i < 7; i++) {
		assert_int_equal(down_conn_write(f->calls[0].dc, slice_of(piece, sizeof(piece))),
				 ERRC_OK);
		step(f);
		assert_int_equal(down_conn_is_full(f->calls[0].dc), i == 6);
	}
	mem_xport_window(f->mem, 40000);
	step(f);
	assert_false(f->calls[0].writable);
	mem_xport_window(f->mem, 20000);
	step(f);
	assert_true(f->calls[0].writable);
	assert_int_equal(down_conn_end(f->calls[0].dc), ERRC_OK);
	mem_xport_window(f->mem, SIZE_MAX);
	step(f);
	assert_true(f->calls[0].sent);
}

static void test_client_that_takes_nothing_is_gone(void **state)
{
	struct fixture *f = *state;

	mem_xport_window(f->mem, 10);
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	advance(f, 59000);
	assert_false(f->calls[0].gone);
	mem_xport_window(f->mem, 10);
	advance(f, 59000);
	assert_false(f->calls[0].gone);
	advance(f, 2000);
	assert_true(f->calls[0].gone);
	assert_true(mem_xport_is_closed(f->mem));
}

/* --- requests --- */

static const char post[] = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
static const char chunked[] = "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
			      "chunked\r\n\r\n2\r\nhe\r\n3;a=b\r\nllo\r\n0\r\n\r\n";

static void test_bodies_at_every_split(void **state)
{
	struct fixture *f = *state;
	const struct slice texts[] = {SLICE_LIT(post), SLICE_LIT(chunked)};

	for (size_t t = 0; t < ARRAY_LEN(texts); t++) {
		for (size_t cut = 1; cut < texts[t].n; cut++) {
			feed(f, slice_sub(texts[t], 0, cut));
			feed(f, slice_sub(texts[t], cut, texts[t].n));
			expect_end(f, "\r\n\r\n/p hello");
			assert_int_equal(f->calls_n, 1);
			assert_true(f->calls[0].sent);
			mem_xport_take(f->mem);
			calls_clear(f);
		}
		assert_int_equal(mem_xport_feed(f->mem, texts[t], 1), ERRC_OK);
		step(f);
		expect_end(f, "\r\n\r\n/p hello");
		mem_xport_take(f->mem);
		calls_clear(f);
	}
}

static void test_pipelining_keeps_the_order(void **state)
{
	struct fixture *f = *state;
	struct buf in;

	buf_init(&in, 1 << 20);
	for (int i = 0; i < 16; i++)
		assert_int_equal(
			buf_addf(&in,
				 "POST /r%d HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n%02d",
				 i, i),
			ERRC_OK);
	for (size_t size = 0; size < 3; size++) {
		struct slice out;

		assert_int_equal(mem_xport_feed(f->mem, buf_slice(&in), size), ERRC_OK);
		for (int i = 0; i < 40; i++)
			step(f);
		assert_int_equal(f->calls_n, 16);
		out = mem_xport_out(f->mem);
		for (int i = 0; i < 16; i++) {
			char want[32];
			ptrdiff_t at;

			snprintf(want, sizeof(want), "\r\n\r\n/r%d %02d", i, i);
			at = slice_find(out, slice_str(want));
			assert_true(at >= 0);
			out = slice_sub(out, (size_t)at + strlen(want), out.n);
		}
		assert_int_equal(out.n, 0);
		mem_xport_take(f->mem);
		calls_clear(f);
	}
	buf_fini(&in);
}

/* While a call runs nothing of the next request is looked at, and only one read is kept. */
static void test_next_request_waits(void **state)
{
	struct fixture *f = *state;

	f->manual = true;
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(f->calls_n, 1);
	assert_false(mem_xport_is_reading(f->mem));
	answer(&f->calls[0], 200, "A");
	step(f);
	assert_int_equal(f->calls_n, 2);
	answer(&f->calls[1], 200, "B");
	step(f);
	expect_end(f, "B");
	assert_true(mem_xport_is_reading(f->mem));
}

static void test_continue(void **state)
{
	struct fixture *f = *state;

	feedz(f,
	      "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	assert_true(slice_is(mem_xport_out(f->mem), "HTTP/1.1 100 Continue\r\n\r\n"));
	feedz(f, "hello");
	expect_end(f, "/p hello");
	mem_xport_take(f->mem);
	feedz(f, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: "
		 "100-continue\r\n\r\n");
	assert_false(out_has(f, "100 Continue"));
	expect_out(f, "HTTP/1.1 401 ");
	expect_out(f, "connection: close\r\n");
}

static void test_body_reading_can_be_stopped(void **state)
{
	struct fixture *f = *state;

	f->manual = true;
	feedz(f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
	assert_int_equal(f->calls[0].body.len, 3);
	down_conn_read_stop(f->calls[0].dc);
	step(f);
	feedz(f, "lo");
	assert_int_equal(f->calls[0].body.len, 3);
	advance(f, 100000); /* time in which we do not read is not the client's */
	assert_int_equal(f->calls[0].fault, 0);
	down_conn_read_start(f->calls[0].dc);
	step(f);
	assert_int_equal(f->calls[0].body.len, 5);
}

/* --- what is refused --- */

static void test_faults(void **state)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{"GET / HTTP/1.1\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400},
		{"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n",
		 400},
		{"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n", 413},
		{"POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: br\r\nContent-Length: "
		 "3\r\n\r\nabc",
		 415},
		{"\x16\x03\x01\x02\x01\x01\r\n\r\n", 400},
	};
	struct fixture *f = *state;
	char want[32];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		feedz(f, rows[i].text);
		snprintf(want, sizeof(want), "HTTP/1.1 %d ", rows[i].status);
		expect_out(f, want);
		expect_out(f, "connection: close\r\n");
		assert_true(mem_xport_is_shut(f->mem));
		assert_int_equal(f->calls_n, 1);
		reopen(f);
	}
}

static void test_limits_of_the_head(void **state)
{
	struct fixture *f = *state;
	struct buf in;

	buf_init(&in, 1 << 20);
	assert_int_equal(buf_addz(&in, "GET /"), ERRC_OK);
	for (int i = 0; i < 9000; i++)
		assert_int_equal(buf_addc(&in, 'a'), ERRC_OK);
	feed(f, buf_slice(&in));
	expect_out(f, "HTTP/1.1 414 ");
	reopen(f);
	buf_reset(&in);
	assert_int_equal(buf_addz(&in, "GET / HTTP/1.1\r\nHost: x\r\n"), ERRC_OK);
	for (int i = 0; i < 70; i++)
		assert_int_equal(buf_addf(&in, "x-h%d: %01000d\r\n", i, 0), ERRC_OK);
	feed(f, buf_slice(&in));
	expect_out(f, "HTTP/1.1 431 ");
	buf_fini(&in);
}

static void test_chunked_body_above_the_limit(void **state)
{
	struct fixture *f = *state;

	f->opts.body_max = 10;
	down_host_set_opts(f->host, &f->opts);
	feedz(f, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		 "chunked\r\n\r\n5\r\nhello\r\n6\r\nworld!\r\n");
	expect_out(f, "HTTP/1.1 413 ");
}

/* "hello", by gzip -n. */
static const unsigned char gzipped[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02,
					0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x86,
					0xa6, 0x10, 0x36, 0x05, 0x00, 0x00, 0x00};

static void feed_gzip(struct fixture *f, size_t step_bytes)
{
	struct buf in;

	buf_init(&in, 1 << 20);
	assert_int_equal(buf_addf(&in,
				  "POST /p HTTP/1.1\r\nHost: x\r\nContent-Encoding: "
				  "gzip\r\nContent-Length: %zu\r\n\r\n",
				  sizeof(gzipped)),
			 ERRC_OK);
	assert_int_equal(buf_add(&in, gzipped, sizeof(gzipped)), ERRC_OK);
	assert_int_equal(mem_xport_feed(f->mem, buf_slice(&in), step_bytes), ERRC_OK);
	step(f);
	buf_fini(&in);
}

static void test_gzip(void **state)
{
	struct fixture *f = *state;

	feed_gzip(f, 0);
	expect_end(f, "/p hello");
	feed_gzip(f, 1);
	expect_end(f, "/p hello");
	mem_xport_take(f->mem);
	feedz(f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: "
		 "4\r\n\r\nabcd");
	expect_out(f, "HTTP/1.1 400 ");
}

/* A small body that expands above the limit. */
static void test_gzip_bomb(void **state)
{
	struct fixture *f = *state;

	char chunk[16];

	f->manual = true;
	assert_int_equal(
		mem_xport_feed(f->mem,
			       SLICE_LIT("POST /p HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
					 "Transfer-Encoding: chunked\r\n\r\n"),
			       0),
		ERRC_OK);
	down_conn_set_body_max(f->calls[0].dc, 4);
	f->manual = false;
	step(f);
	snprintf(chunk, sizeof(chunk), "%zx\r\n", sizeof(gzipped));
	feedz(f, chunk);
	feed(f, slice_of(gzipped, sizeof(gzipped)));
	expect_out(f, "HTTP/1.1 413 ");
}

/* --- leaving --- */

static void test_lingering_close(void **state)
{
	struct fixture *f = *state;

	feedz(f, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome");
	expect_out(f, "connection: close\r\n");
	assert_true(f->calls[0].sent);
	assert_true(mem_xport_is_shut(f->mem));
	for (int i = 0; i < 100; i++)
		feedz(f, "more of the body");
	assert_false(mem_xport_is_closed(f->mem));
	advance(f, 4900);
	assert_false(mem_xport_is_closed(f->mem));
	advance(f, 200);
	assert_true(mem_xport_is_closed(f->mem));
}

static void test_lingering_is_bounded_in_bytes(void **state)
{
	struct fixture *f = *state;
	static const char data[1000];

	f->opts.linger_max = 5000;
	down_host_set_opts(f->host, &f->opts);
	feedz(f, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
	for (int i = 0; i < 5; i++) {
		assert_false(mem_xport_is_closed(f->mem));
		feed(f, slice_of(data, sizeof(data)));
	}
	assert_false(mem_xport_is_closed(f->mem));
	feed(f, slice_of(data, sizeof(data)));
	assert_true(mem_xport_is_closed(f->mem));
}

static void test_client_gone(void **state)
{
	struct fixture *f = *state;
	const struct down_answer a = {.status = 200};

	f->manual = true;
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(down_conn_start(f->calls[0].dc, &a), ERRC_OK);
	step(f);
	mem_xport_eof(f->mem);
	advance(f, 30);
	assert_true(f->calls[0].gone);
	assert_true(mem_xport_is_closed(f->mem));
	reopen(f);
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	mem_xport_reset(f->mem, ERRC_CONNRESET);
	assert_true(f->calls[0].gone);
	reopen(f);
	feedz(f, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
	mem_xport_eof(f->mem);
	assert_true(f->calls[0].gone);
	reopen(f);
	/* Seen although reading is stopped, a next request lies unread. */
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_false(mem_xport_is_reading(f->mem));
	mem_xport_eof(f->mem);
	advance(f, 30);
	assert_true(f->calls[0].gone);
}

/* A client that shuts its sending side behind the request still gets what is answered at once. */
static void test_half_closed_client_is_answered(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mem_xport_feed(f->mem, SLICE_LIT("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0),
			 ERRC_OK);
	mem_xport_eof(f->mem);
	step(f);
	expect_end(f, "/a ");
	expect_out(f, "connection: close\r\n");
	assert_true(f->calls[0].sent);
	assert_true(mem_xport_is_closed(f->mem));
}

static void test_write_failure_is_gone(void **state)
{
	struct fixture *f = *state;

	mem_xport_fail_write(f->mem, ERRC_CONNRESET);
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(f->calls[0].gone);
	assert_true(mem_xport_is_closed(f->mem));
}

static void test_detach(void **state)
{
	struct fixture *f = *state;
	struct down_conn *dc;

	f->manual = true;
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	answer(&f->calls[0], 200, "bye");
	dc = f->calls[0].dc;
	down_conn_detach(&dc);
	assert_null(dc);
	down_conn_detach(&dc);
	step(f);
	assert_false(f->calls[0].sent);
	expect_end(f, "bye");
	feedz(f, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	dc = f->calls[1].dc;
	down_conn_detach(&dc); /* not answered: closed without a word */
	step(f);
	assert_true(mem_xport_is_shut(f->mem));
}

/* --- times --- */

static void test_idle_and_head_deadlines(void **state)
{
	struct fixture *f = *state;

	advance(f, 14000);
	feedz(f, "GET /a HT");
	advance(f, 2000); /* the first head is timed from the accept on */
	expect_out(f, "HTTP/1.1 408 ");
	assert_true(mem_xport_is_shut(f->mem));
	advance(f, 600);
	assert_true(mem_xport_is_closed(f->mem));
	reopen(f);
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	advance(f, 74000);
	assert_false(mem_xport_is_closed(f->mem));
	feedz(f, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	advance(f, 74900);
	assert_false(mem_xport_is_closed(f->mem));
	advance(f, 200);
	assert_true(mem_xport_is_closed(f->mem));
	reopen(f);
	advance(f, 15001);
	assert_true(mem_xport_is_closed(f->mem));
	assert_int_equal(f->calls_n, 0);
}

static void test_slow_body(void **state)
{
	struct fixture *f = *state;
	static const char kib[1024];

	feedz(f, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
	for (int i = 0; i < 30; i++) { /* above 1 KiB a second */
		advance(f, 900);
		feed(f, slice_of(kib, sizeof(kib)));
	}
	assert_int_equal(f->calls[0].fault, 0);
	advance(f, 10000);
	assert_int_equal(f->calls[0].fault, 408);
	expect_out(f, "HTTP/1.1 408 ");
}

static void test_drain(void **state)
{
	struct fixture *f = *state;

	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	down_host_drain(f->host);
	advance(f, 4000);
	mem_xport_take(f->mem);
	feedz(f, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"); /* still served */
	expect_end(f, "/b ");
	expect_out(f, "connection: close\r\n");
	assert_true(mem_xport_is_shut(f->mem));
	mem_xport_eof(f->mem);
	assert_true(mem_xport_is_closed(f->mem));
	assert_int_equal(f->closed, 1);
	reopen(f);
	feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	down_host_drain(f->host);
	advance(f, 5001);
	assert_true(mem_xport_is_closed(f->mem));
}

/* An idle connection holds no buffers: besides its own struct and the transport nothing is allocated. */
static void test_idle_memory(void **state)
{
	struct fixture *f = *state;
	size_t before = mem_live_count();

	feedz(f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
	assert_true(f->calls[0].sent);
	calls_clear(f);
	mem_xport_take(f->mem);
	assert_true(mem_live_count() <= before + 2); /* the buffers of the test's transport */
}

/* Every allocation fails once: the request is lost or answered, nothing leaks, nothing hangs. */
static void test_out_of_memory(void **state)
{
	struct fixture *f = *state;
	bool answered = false;

	for (unsigned n = 1; !answered && n < 200; n++) {
		f->manual = true; /* the test's own call needs memory, too */
		assert_int_equal(
			mem_xport_feed(f->mem, SLICE_LIT("GET /a HTTP/1.1\r\nHost: x\r\n"), 0),
			ERRC_OK);
		mem_xport_take(f->mem);
		mem_fail_after(n);
		if (mem_xport_feed(f->mem, SLICE_LIT("\r\n"), 0) == ERRC_OK)
			step(f);
		if (f->calls_n == 1 && f->calls[0].dc) {
			const struct down_answer a = {.status = 200};

			answered = down_conn_answer(f->calls[0].dc, &a, NULL, 0) == ERRC_OK;
			step(f);
		}
		mem_fail_after(0);
		reopen(f);
	}
	assert_true(answered);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_whole_answer),
		T(test_stream_goes_out_in_one_write),
		T(test_cut_is_a_fin_without_the_last_chunk),
		T(test_http10_and_head),
		T(test_big_answer_and_slow_client),
		T(test_marks),
		T(test_client_that_takes_nothing_is_gone),
		T(test_bodies_at_every_split),
		T(test_pipelining_keeps_the_order),
		T(test_next_request_waits),
		T(test_continue),
		T(test_body_reading_can_be_stopped),
		T(test_faults),
		T(test_limits_of_the_head),
		T(test_chunked_body_above_the_limit),
		T(test_gzip),
		T(test_gzip_bomb),
		T(test_lingering_close),
		T(test_lingering_is_bounded_in_bytes),
		T(test_client_gone),
		T(test_half_closed_client_is_answered),
		T(test_write_failure_is_gone),
		T(test_detach),
		T(test_idle_and_head_deadlines),
		T(test_slow_body),
		T(test_drain),
		T(test_idle_memory),
		T(test_out_of_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
