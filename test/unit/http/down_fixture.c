#include "down_fixture.h"

#include <stdio.h>

/* --- the call --- */

static void on_body(void *arg, struct slice data)
{
	struct call *c = arg;

	if (c->body.p && data.p == c->body.p + c->body.len)
		buf_commit(&c->body, data.n);
	else
		assert_int_equal(buf_adds(&c->body, data), ERRC_OK);
}

static struct iovec on_room(void *arg, size_t n)
{
	struct call *c = arg;
	struct iovec room = {NULL, MIN_OF(n, c->f->room)};
	char *at = NULL;

	assert_true(n > 0);
	assert_int_equal(buf_reserve(&c->body, room.iov_len, &at), ERRC_OK);
	room.iov_base = at;
	return room;
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

static const struct down_conn_events call_ev = {on_body, on_body_end, on_fault, on_writable,
						on_sent, on_gone,     on_room};

void fix_answer(struct call *c, int status, const char *text)
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
		fix_answer(c, c->fault, "fault");
	} else if (strcmp(c->target, "/stream") == 0 || strcmp(c->target, "/cut") == 0) {
		stream(c);
	} else {
		snprintf(text, sizeof(text), "%s %.*s", c->target,
			 (int)MIN_OF(c->body.len, (size_t)64), c->body.len ? c->body.p : "");
		fix_answer(c, 200, text);
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
		fix_answer(c, 401, "no");
	else
		turn_wake(&c->task);
}

static const struct down_host_events host_ev = {on_request};

/* --- fixture --- */

static void open_conn(struct fixture *f)
{
	const struct listen_peer peer = {.port = 1};
	struct xport *x = NULL;

	assert_int_equal(mem_xport_new(f->turn, &f->mem, &x), ERRC_OK);
	assert_int_equal(down_conn_open(f->host, x, &peer), ERRC_OK);
}

int fix_setup(void **state)
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

void fix_calls_clear(struct fixture *f)
{
	for (unsigned i = 0; i < f->calls_n; i++) {
		turn_task_fini(&f->calls[i].task);
		buf_fini(&f->calls[i].body);
	}
	f->calls_n = 0;
}

int fix_teardown(void **state)
{
	struct fixture *f = *state;

	down_host_free(&f->host);
	mem_xport_free(&f->mem);
	turn_step(f->turn);
	fix_calls_clear(f);
	turn_free(&f->turn);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	mem_free(f);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

void fix_reopen(struct fixture *f)
{
	down_host_free(&f->host);
	mem_xport_free(&f->mem);
	turn_step(f->turn);
	fix_calls_clear(f);
	assert_int_equal(down_host_new(f->turn, &f->opts, NULL, &host_ev, f, &f->host), ERRC_OK);
	open_conn(f);
}

void fix_step(struct fixture *f)
{
	do {
		turn_step(f->turn);
	} while (!mem_xport_is_closed(f->mem) && mem_xport_pump(f->mem));
	turn_step(f->turn);
}

void fix_advance(struct fixture *f, int64_t ms)
{
	f->now_ms += ms;
	turn_fake_clock(f->turn, f->now_ms);
	fix_step(f);
}

void fix_feed(struct fixture *f, struct slice data)
{
	assert_int_equal(mem_xport_feed(f->mem, data, 0), ERRC_OK);
	fix_step(f);
}

void fix_feedz(struct fixture *f, const char *text)
{
	fix_feed(f, slice_str(text));
}

bool fix_out_has(struct fixture *f, const char *text)
{
	return slice_find(mem_xport_out(f->mem), slice_str(text)) >= 0;
}

void fix_expect_out(struct fixture *f, const char *text)
{
	if (!fix_out_has(f, text))
		fail_msg("\"%s\" is not in: %.*s", text, SLICE_ARG(mem_xport_out(f->mem)));
}

void fix_expect_end(struct fixture *f, const char *text)
{
	if (!slice_has_suffix(mem_xport_out(f->mem), slice_str(text)))
		fail_msg("\"%s\" does not end: %.*s", text, SLICE_ARG(mem_xport_out(f->mem)));
}
