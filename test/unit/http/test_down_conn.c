/* Reading requests and writing answers. */
#include "down_fixture.h"

#include <stdio.h>

/* --- answers --- */

static void test_whole_answer(void **state)
{
	struct fixture *f = *state;

	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	fix_expect_out(f, "HTTP/1.1 200 OK\r\n");
	fix_expect_out(f, "\r\ncontent-length: 3\r\n");
	fix_expect_out(f, "\r\nkeep-alive: timeout=75\r\n");
	fix_expect_out(f, "\r\nx-test: 1\r\n");
	fix_expect_out(f, "\r\ndate: Thu, 01 Jan 1970 00:16:40 GMT\r\n");
	fix_expect_end(f, "\r\n\r\n/a ");
	assert_int_equal(mem_xport_writes(f->mem), 1);
	assert_true(f->calls[0].sent);
	assert_false(mem_xport_is_shut(f->mem));
}

static void test_stream_goes_out_in_one_write(void **state)
{
	struct fixture *f = *state;

	fix_feedz(f, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	fix_expect_out(f, "\r\ntransfer-encoding: chunked\r\n");
	fix_expect_end(f, "\r\n\r\n3\r\none\r\n4\r\ntwo!\r\n0\r\n\r\n");
	assert_int_equal(mem_xport_writes(f->mem), 1);
	assert_true(f->calls[0].sent);
}

static void test_cut_is_a_fin_without_the_last_chunk(void **state)
{
	struct fixture *f = *state;
	struct down_stats stats;

	fix_feedz(f, "GET /cut HTTP/1.1\r\nHost: x\r\n\r\n");
	fix_expect_end(f, "\r\n\r\n3\r\none\r\n4\r\ntwo!\r\n");
	assert_true(mem_xport_is_shut(f->mem));
	assert_false(mem_xport_is_closed(f->mem));
	assert_true(f->calls[0].sent);
	mem_xport_eof(f->mem);
	assert_true(mem_xport_is_closed(f->mem));
	down_stats_get(f->host, &stats);
	assert_int_equal(stats.open, 0);
}

static void test_http10_and_head(void **state)
{
	struct fixture *f = *state;

	fix_feedz(f, "HEAD /abc HTTP/1.1\r\nHost: x\r\n\r\n");
	fix_expect_out(f, "content-length: 5\r\n");
	fix_expect_end(f, "\r\n\r\n");
	mem_xport_take(f->mem);
	fix_feedz(f, "GET /k HTTP/1.0\r\nconnection: keep-alive\r\n\r\n");
	fix_expect_out(f, "\r\nconnection: keep-alive\r\nkeep-alive: timeout=75\r\n");
	mem_xport_take(f->mem);
	fix_feedz(f, "GET /stream HTTP/1.0\r\n\r\n");
	assert_false(fix_out_has(f, "chunked"));
	fix_expect_out(f, "\r\nconnection: close\r\n");
	fix_expect_end(f, "\r\n\r\nonetwo!");
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
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	body = slice_of(big, 200000);
	assert_int_equal(down_conn_answer(f->calls[0].dc, &a, &body, 1), ERRC_OK);
	memset(big, 'x', 200000); /* the memory is ours again */
	fix_step(f);
	assert_int_equal(mem_xport_out(f->mem).n, 1000);
	assert_false(f->calls[0].sent);
	for (int i = 0; i < 1000 && !f->calls[0].sent; i++) {
		mem_xport_window(f->mem, 999);
		fix_step(f);
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
	static const char piece[3500];

	f->manual = true;
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	mem_xport_window(f->mem, 0);
	assert_int_equal(down_conn_start(f->calls[0].dc, &a), ERRC_OK);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(down_conn_write(f->calls[0].dc, slice_of(piece, sizeof(piece))),
				 ERRC_OK);
		fix_step(f);
		assert_int_equal(down_conn_is_full(f->calls[0].dc), i == 3);
	}
	mem_xport_window(f->mem, 9000);
	fix_step(f);
	assert_false(f->calls[0].writable);
	mem_xport_window(f->mem, 2000);
	fix_step(f);
	assert_true(f->calls[0].writable);
	assert_int_equal(down_conn_end(f->calls[0].dc), ERRC_OK);
	mem_xport_window(f->mem, SIZE_MAX);
	fix_step(f);
	assert_true(f->calls[0].sent);
}

static void test_client_that_takes_nothing_is_gone(void **state)
{
	struct fixture *f = *state;

	mem_xport_window(f->mem, 10);
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	fix_advance(f, 59000);
	assert_false(f->calls[0].gone);
	mem_xport_window(f->mem, 10);
	fix_advance(f, 59000);
	assert_false(f->calls[0].gone);
	fix_advance(f, 2000);
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
			fix_feed(f, slice_sub(texts[t], 0, cut));
			fix_feed(f, slice_sub(texts[t], cut, texts[t].n));
			fix_expect_end(f, "\r\n\r\n/p hello");
			assert_int_equal(f->calls_n, 1);
			assert_true(f->calls[0].sent);
			mem_xport_take(f->mem);
			fix_calls_clear(f);
		}
		assert_int_equal(mem_xport_feed(f->mem, texts[t], 1), ERRC_OK);
		fix_step(f);
		fix_expect_end(f, "\r\n\r\n/p hello");
		mem_xport_take(f->mem);
		fix_calls_clear(f);
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
			fix_step(f);
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
		fix_calls_clear(f);
	}
	buf_fini(&in);
}

/* While a call runs nothing of the next request is looked at, and only one read is kept. */
static void test_next_request_waits(void **state)
{
	struct fixture *f = *state;

	f->manual = true;
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(f->calls_n, 1);
	assert_false(mem_xport_is_reading(f->mem));
	fix_answer(&f->calls[0], 200, "A");
	fix_step(f);
	assert_int_equal(f->calls_n, 2);
	fix_answer(&f->calls[1], 200, "B");
	fix_step(f);
	fix_expect_end(f, "B");
	assert_true(mem_xport_is_reading(f->mem));
}

static void test_continue(void **state)
{
	struct fixture *f = *state;

	fix_feedz(
		f,
		"POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	assert_true(slice_is(mem_xport_out(f->mem), "HTTP/1.1 100 Continue\r\n\r\n"));
	fix_feedz(f, "hello");
	fix_expect_end(f, "/p hello");
	mem_xport_take(f->mem);
	fix_feedz(f, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nExpect: "
		     "100-continue\r\n\r\n");
	assert_false(fix_out_has(f, "100 Continue"));
	fix_expect_out(f, "HTTP/1.1 401 ");
	fix_expect_out(f, "connection: close\r\n");
}

static void test_body_reading_can_be_stopped(void **state)
{
	struct fixture *f = *state;

	f->manual = true;
	fix_feedz(f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhel");
	assert_int_equal(f->calls[0].body.len, 3);
	down_conn_read_stop(f->calls[0].dc);
	fix_step(f);
	fix_feedz(f, "lo");
	assert_int_equal(f->calls[0].body.len, 3);
	fix_advance(f, 100000); /* time in which we do not read is not the client's */
	assert_int_equal(f->calls[0].fault, 0);
	down_conn_read_start(f->calls[0].dc);
	fix_step(f);
	assert_int_equal(f->calls[0].body.len, 5);
}

/* A request in two reads that meet at `split`, with another one behind it. Returns how much of the body was read to where it stays. */
static size_t feed_for_room(struct fixture *f, struct slice text, size_t split)
{
	fix_reopen(f);
	fix_feed(f, slice_sub(text, 0, split));
	fix_feed(f, slice_sub(text, split, text.n));
	assert_int_equal(f->calls_n, 2);
	assert_true(slice_is(buf_slice(&f->calls[0].body), "0123456789abcdefghij"));
	fix_expect_out(f, "/p 0123456789abcdefghij");
	fix_expect_out(f, "/next ");
	return mem_xport_roomed(f->mem);
}

static void test_body_is_read_to_where_it_is_wanted(void **state)
{
	static const char front[] = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n",
			  text[] = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n"
				   "0123456789abcdefghijGET /next HTTP/1.1\r\nHost: x\r\n\r\n";
	static const size_t rooms[] = {1, 7, 1000};
	struct fixture *f = *state;
	size_t body = sizeof(front) - 1, want;

	for (size_t i = 0; i < ARRAY_LEN(rooms); i++) {
		f->room = rooms[i];
		for (size_t split = body; split < sizeof(text); split++) {
			want = split < body + 20 ? body + 20 - split : 0;
			assert_int_equal(feed_for_room(f, slice_str(text), split), want);
		}
	}
}

/* What is decoded cannot be read to where it stays. */
static void test_chunked_body_has_no_room(void **state)
{
	static const char text[] =
		"POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		"a\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n"
		"GET /next HTTP/1.1\r\nHost: x\r\n\r\n";
	struct fixture *f = *state;

	f->room = 1000;
	for (size_t split = 1; split < sizeof(text); split++)
		assert_int_equal(feed_for_room(f, slice_str(text), split), 0);
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
		fix_feedz(f, rows[i].text);
		snprintf(want, sizeof(want), "HTTP/1.1 %d ", rows[i].status);
		fix_expect_out(f, want);
		fix_expect_out(f, "connection: close\r\n");
		assert_true(mem_xport_is_shut(f->mem));
		assert_int_equal(f->calls_n, 1);
		fix_reopen(f);
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
	fix_feed(f, buf_slice(&in));
	fix_expect_out(f, "HTTP/1.1 414 ");
	fix_reopen(f);
	buf_reset(&in);
	assert_int_equal(buf_addz(&in, "GET / HTTP/1.1\r\nHost: x\r\n"), ERRC_OK);
	for (int i = 0; i < 70; i++)
		assert_int_equal(buf_addf(&in, "x-h%d: %01000d\r\n", i, 0), ERRC_OK);
	fix_feed(f, buf_slice(&in));
	fix_expect_out(f, "HTTP/1.1 431 ");
	buf_fini(&in);
}

/* The call learns method and target of a request that cannot be read, as far as they came. */
static void test_faults_tell_what_was_asked(void **state)
{
	static const struct {
		const char *text, *target;
		int status;
	} rows[] = {
		{"POST /v1/messages HTTP/1.1\r\nHost : x\r\n", "/v1/messages", 400},
		{"POST /v1/messages HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "/v1/messages", 400},
		{"POST /v1/messages HTTP/1.1\nHost: x\r\n\r\n", "/v1/messages", 400},
		{"POST /v1/messages HTTP/1.1\r\nHost: x\r\n", "/v1/messages", 408},
		{"POST /v1/mess", "/v1/mess", 408},
		{"POST", "", 408},
		{"POST /v1/\001 HTTP/1.1\r\n", "", 400},
		{"p\001st /v1/messages HTTP/1.1\r\nHost: x\r\n\r\n", "", 400},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		fix_feedz(f, rows[i].text);
		if (rows[i].status == 408)
			fix_advance(f, 16000);
		assert_int_equal(f->calls_n, 1);
		assert_int_equal(f->calls[0].fault, rows[i].status);
		assert_string_equal(f->calls[0].target, rows[i].target);
		fix_reopen(f);
	}
}

static void test_a_target_that_is_too_long_is_known_in_part(void **state)
{
	struct fixture *f = *state;
	struct buf in;

	buf_init(&in, 1 << 20);
	assert_int_equal(buf_addz(&in, "POST /v1/messages?"), ERRC_OK);
	for (int i = 0; i < 9000; i++)
		assert_int_equal(buf_addc(&in, 'a'), ERRC_OK);
	for (size_t cut = 0; cut < 40; cut++) {
		if (cut)
			fix_feed(f, slice_sub(buf_slice(&in), 0, cut));
		fix_feed(f, slice_sub(buf_slice(&in), cut, in.len));
		assert_int_equal(f->calls[0].fault, 414);
		assert_int_equal(strncmp(f->calls[0].target, "/v1/messages?aaa", 16), 0);
		fix_reopen(f);
	}
	buf_fini(&in);
}

static void test_connect_ends_the_connection(void **state)
{
	struct fixture *f = *state;

	fix_feedz(f, "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n");
	fix_expect_out(f, "connection: close\r\n");
	assert_true(mem_xport_is_shut(f->mem));
	assert_int_equal(f->calls_n, 1);
}

static void test_chunked_body_above_the_limit(void **state)
{
	struct fixture *f = *state;

	f->opts.body_max = 10;
	down_host_set_opts(f->host, &f->opts);
	fix_feedz(f, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		     "chunked\r\n\r\n5\r\nhello\r\n6\r\nworld!\r\n");
	fix_expect_out(f, "HTTP/1.1 413 ");
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
	fix_step(f);
	buf_fini(&in);
}

static void test_gzip(void **state)
{
	struct fixture *f = *state;

	feed_gzip(f, 0);
	fix_expect_end(f, "/p hello");
	feed_gzip(f, 1);
	fix_expect_end(f, "/p hello");
	mem_xport_take(f->mem);
	fix_feedz(f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: "
		     "4\r\n\r\nabcd");
	fix_expect_out(f, "HTTP/1.1 400 ");
}

/* A small body that expands above the limit. */
static void test_gzip_bomb(void **state)
{
	struct fixture *f = *state;
	char chunk[16];

	f->opts.body_max = 4;
	down_host_set_opts(f->host, &f->opts);
	fix_feedz(f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\n"
		     "Transfer-Encoding: chunked\r\n\r\n");
	snprintf(chunk, sizeof(chunk), "%zx\r\n", sizeof(gzipped));
	fix_feedz(f, chunk);
	fix_feed(f, slice_of(gzipped, sizeof(gzipped)));
	fix_expect_out(f, "HTTP/1.1 413 ");
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fix_setup, fix_teardown)
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
		T(test_body_is_read_to_where_it_is_wanted),
		T(test_chunked_body_has_no_room),
		T(test_faults),
		T(test_limits_of_the_head),
		T(test_faults_tell_what_was_asked),
		T(test_a_target_that_is_too_long_is_known_in_part),
		T(test_connect_ends_the_connection),
		T(test_chunked_body_above_the_limit),
		T(test_gzip),
		T(test_gzip_bomb),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
