#include "net_sink.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem.h"

size_t sink_roomed;

struct sink {
	struct down_conn *dc;
	struct slice want;
	struct buf body;
};

static struct iovec sink_room(void *arg, size_t n)
{
	struct sink *k = arg;

	return (struct iovec){k->body.p + k->body.len, MIN_OF(n, k->body.cap - k->body.len)};
}

static void sink_body(void *arg, struct slice data)
{
	struct sink *k = arg;

	if (data.p != k->body.p + k->body.len) {
		assert_int_equal(buf_adds(&k->body, data), ERRC_OK);
		return;
	}
	buf_commit(&k->body, data.n);
	sink_roomed += data.n;
}

static void sink_end(void *arg)
{
	struct sink *k = arg;
	const struct down_answer a = {.status = 200};
	struct slice yes = SLICE_LIT("all");

	assert_int_equal(k->body.len, k->want.n);
	assert_memory_equal(k->body.p, k->want.p, k->want.n);
	assert_int_equal(down_conn_answer(k->dc, &a, &yes, 1), ERRC_OK);
}

static void sink_over(void *arg)
{
	struct sink *k = arg;

	buf_fini(&k->body);
	mem_free(k);
}

static void sink_nothing(void *arg)
{
	(void)arg;
}

static void sink_fault(void *arg, const struct down_fault *fault)
{
	(void)arg;
	fail_msg("%s", fault->text);
}

static const struct down_conn_events sink_ev = {.on_body = sink_body,
						.on_body_end = sink_end,
						.on_fault = sink_fault,
						.on_writable = sink_nothing,
						.on_sent = sink_over,
						.on_gone = sink_over,
						.on_room = sink_room};

void sink_take(struct down_conn *dc, struct slice want)
{
	struct sink *k = mem_new_of(struct sink);
	char *room;

	assert_non_null(k);
	k->dc = dc;
	k->want = want;
	buf_init(&k->body, want.n);
	assert_int_equal(buf_reserve(&k->body, want.n, &room), ERRC_OK);
	down_conn_take(dc, &sink_ev, k);
	down_conn_read_start(dc);
}
