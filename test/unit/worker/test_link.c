/* link.c, over a socketpair within this process: what a poll tells cannot be seen without one. */
#include "link.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "caps.h"
#include "mem.h"

struct fixture {
	uv_loop_t loop;
	struct link link;
	struct chan peer;
	unsigned messages, ends;
	bool closes; /* the receiver closes the link at its first message */
};

static void on_msg(void *arg, struct msg *m)
{
	struct fixture *f = arg;

	assert_int_equal(m->type, MSG_COMMIT);
	f->messages++;
	if (f->closes)
		link_close(&f->link);
}

static void on_end(void *arg, enum errc e)
{
	struct fixture *f = arg;

	assert_true(e == ERRC_EOF || e == ERRC_CONNRESET);
	f->ends++;
}

static int setup(void **state)
{
	static struct fixture f;
	int sv[2];

	f = (struct fixture){.link = {.on_msg = on_msg, .on_end = on_end, .arg = &f}};
	*state = &f;
	assert_int_equal(uv_loop_init(&f.loop), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	chan_init(&f.peer, sv[0], LIMIT_FRAME_IPC);
	assert_int_equal(link_open(&f.link, &f.loop, sv[1], MSG_AT_WORKER, LIMIT_FRAME_IPC),
			 ERRC_OK);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	link_close(&f->link);
	chan_fini(&f->peer);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f->loop), 0);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

static void commit(struct fixture *f)
{
	assert_int_equal(msg_send(&f->peer, &(struct msg){.type = MSG_COMMIT}), ERRC_OK);
}

static void run_until_down(struct fixture *f)
{
	while (link_is_up(&f->link))
		uv_run(&f->loop, UV_RUN_ONCE);
}

static void test_messages_then_end(void **state)
{
	struct fixture *f = *state;

	commit(f);
	commit(f);
	chan_fini(&f->peer);
	run_until_down(f);
	assert_int_equal(f->messages, 2);
	assert_int_equal(f->ends, 1);
	assert_int_equal(link_send(&f->link, &(struct msg){.type = MSG_PREPARED}), ERRC_EOF);
}

/* A peer that ends with something of ours unread makes the poll fail: what it sent before is not lost. */
static void test_peer_ends_with_something_unread(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(link_send(&f->link, &(struct msg){.type = MSG_PREPARED}), ERRC_OK);
	commit(f);
	chan_fini(&f->peer);
	run_until_down(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->ends, 1);
}

static void test_receiver_closes_it(void **state)
{
	struct fixture *f = *state;

	f->closes = true;
	commit(f);
	commit(f);
	run_until_down(f);
	assert_int_equal(f->messages, 1);
	assert_int_equal(f->ends, 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_messages_then_end),
		T(test_peer_ends_with_something_unread),
		T(test_receiver_closes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
