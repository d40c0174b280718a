/* How a client connection ends: lingering, clients that leave, deadlines, drain, no memory. */
#include "down_fixture.h"

/* --- leaving --- */

static void test_lingering_close(void **state)
{
	struct fixture *f = *state;

	fix_feedz(f, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome");
	fix_expect_out(f, "connection: close\r\n");
	assert_true(f->calls[0].sent);
	assert_true(mem_xport_is_shut(f->mem));
	for (int i = 0; i < 100; i++)
		fix_feedz(f, "more of the body");
	assert_false(mem_xport_is_closed(f->mem));
	fix_advance(f, 4900);
	assert_false(mem_xport_is_closed(f->mem));
	fix_advance(f, 200);
	assert_true(mem_xport_is_closed(f->mem));
}

static void test_lingering_is_bounded_in_bytes(void **state)
{
	struct fixture *f = *state;
	static const char data[1000];

	f->opts.linger_max = 5000;
	down_host_set_opts(f->host, &f->opts);
	fix_feedz(f, "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
	for (int i = 0; i < 5; i++) {
		assert_false(mem_xport_is_closed(f->mem));
		fix_feed(f, slice_of(data, sizeof(data)));
	}
	assert_false(mem_xport_is_closed(f->mem));
	fix_feed(f, slice_of(data, sizeof(data)));
	assert_true(mem_xport_is_closed(f->mem));
}

static void test_client_gone(void **state)
{
	struct fixture *f = *state;
	const struct down_answer a = {.status = 200};

	f->manual = true;
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(down_conn_start(f->calls[0].dc, &a), ERRC_OK);
	fix_step(f);
	mem_xport_eof(f->mem);
	fix_advance(f, 30);
	assert_true(f->calls[0].gone);
	assert_true(mem_xport_is_closed(f->mem));
	fix_reopen(f);
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	mem_xport_reset(f->mem, ERRC_CONNRESET);
	assert_true(f->calls[0].gone);
	fix_reopen(f);
	fix_feedz(f, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
	mem_xport_eof(f->mem);
	assert_true(f->calls[0].gone);
	fix_reopen(f);
	/* Seen although reading is stopped, a next request lies unread. */
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_false(mem_xport_is_reading(f->mem));
	mem_xport_eof(f->mem);
	fix_advance(f, 30);
	assert_true(f->calls[0].gone);
}

/* A client that shuts its sending side behind the request still gets what is answered at once. */
static void test_half_closed_client_is_answered(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(mem_xport_feed(f->mem, SLICE_LIT("GET /a HTTP/1.1\r\nHost: x\r\n\r\n"), 0),
			 ERRC_OK);
	mem_xport_eof(f->mem);
	fix_step(f);
	fix_expect_end(f, "/a ");
	fix_expect_out(f, "connection: close\r\n");
	assert_true(f->calls[0].sent);
	assert_true(mem_xport_is_closed(f->mem));
}

static void test_write_failure_is_gone(void **state)
{
	struct fixture *f = *state;

	mem_xport_fail_write(f->mem, ERRC_CONNRESET);
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_true(f->calls[0].gone);
	assert_true(mem_xport_is_closed(f->mem));
}

static void test_detach(void **state)
{
	struct fixture *f = *state;
	struct down_conn *dc;

	f->manual = true;
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	fix_answer(&f->calls[0], 200, "bye");
	dc = f->calls[0].dc;
	down_conn_detach(&dc);
	assert_null(dc);
	down_conn_detach(&dc);
	fix_step(f);
	assert_false(f->calls[0].sent);
	fix_expect_end(f, "bye");
	fix_feedz(f, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	dc = f->calls[1].dc;
	down_conn_detach(&dc); /* not answered: closed without a word */
	fix_step(f);
	assert_true(mem_xport_is_shut(f->mem));
}

/* --- times --- */

static void test_idle_and_head_deadlines(void **state)
{
	struct fixture *f = *state;

	fix_advance(f, 14000);
	fix_feedz(f, "GET /a HT");
	fix_advance(f, 2000); /* the first head is timed from the accept on */
	fix_expect_out(f, "HTTP/1.1 408 ");
	assert_true(mem_xport_is_shut(f->mem));
	fix_advance(f, 600);
	assert_true(mem_xport_is_closed(f->mem));
	fix_reopen(f);
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	fix_advance(f, 74000);
	assert_false(mem_xport_is_closed(f->mem));
	fix_feedz(f, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	fix_advance(f, 74900);
	assert_false(mem_xport_is_closed(f->mem));
	fix_advance(f, 200);
	assert_true(mem_xport_is_closed(f->mem));
	fix_reopen(f);
	fix_advance(f, 15001);
	assert_true(mem_xport_is_closed(f->mem));
	assert_int_equal(f->calls_n, 0);
}

static void test_slow_body(void **state)
{
	struct fixture *f = *state;
	static const char kib[1024];

	fix_feedz(f, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
	for (int i = 0; i < 30; i++) { /* above 1 KiB a second */
		fix_advance(f, 900);
		fix_feed(f, slice_of(kib, sizeof(kib)));
	}
	assert_int_equal(f->calls[0].fault, 0);
	fix_advance(f, 10000);
	assert_int_equal(f->calls[0].fault, 408);
	fix_expect_out(f, "HTTP/1.1 408 ");
}

static void test_drain(void **state)
{
	struct fixture *f = *state;
	struct down_stats stats;

	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	down_host_drain(f->host);
	fix_advance(f, 4000);
	mem_xport_take(f->mem);
	fix_feedz(f, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"); /* still served */
	fix_expect_end(f, "/b ");
	fix_expect_out(f, "connection: close\r\n");
	assert_true(mem_xport_is_shut(f->mem));
	mem_xport_eof(f->mem);
	assert_true(mem_xport_is_closed(f->mem));
	down_stats_get(f->host, &stats);
	assert_int_equal(stats.open, 0);
	fix_reopen(f);
	fix_feedz(f, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	down_host_drain(f->host);
	fix_advance(f, 5001);
	assert_true(mem_xport_is_closed(f->mem));
}

/* An idle connection holds no buffers: besides its own struct and the transport nothing is allocated. */
static void test_idle_memory(void **state)
{
	struct fixture *f = *state;
	size_t before = mem_live_count();

	fix_feedz(f, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
	assert_true(f->calls[0].sent);
	fix_calls_clear(f);
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
			fix_step(f);
		if (f->calls_n == 1 && f->calls[0].dc) {
			const struct down_answer a = {.status = 200};

			answered = down_conn_answer(f->calls[0].dc, &a, NULL, 0) == ERRC_OK;
			fix_step(f);
		}
		mem_fail_after(0);
		fix_reopen(f);
	}
	assert_true(answered);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, fix_setup, fix_teardown)
	const struct CMUnitTest tests[] = {
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
