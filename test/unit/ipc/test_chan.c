/* Over a socketpair within this process: what a channel does cannot be seen without one. */
#include "chan.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

#define MAX (1024 * 1024)

static struct chan a, b;
static int raw; /* the other side of b without a chan */

static int setup(void **state)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	chan_init(&a, sv[0], MAX);
	chan_init(&b, sv[1], MAX);
	return 0;
}

static int teardown(void **state)
{
	chan_fini(&a);
	chan_fini(&b);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

static int setup_raw(void **state)
{
	int sv[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
	raw = sv[0];
	chan_init(&b, sv[1], MAX);
	return 0;
}

static int teardown_raw(void **state)
{
	close(raw);
	chan_fini(&b);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

static unsigned open_fds(void)
{
	unsigned n = 0;

	for (int i = 0; i < 256; i++)
		n += fcntl(i, F_GETFD) >= 0;
	return n;
}

static void expect(struct chan *c, const char *text, unsigned fds_n, struct chan_frame *f)
{
	int r = chan_next(c, f);

	if (r == 0) {
		assert_int_equal(chan_read(c), ERRC_OK);
		r = chan_next(c, f);
	}
	assert_int_equal(r, 1);
	assert_true(slice_is(f->payload, text));
	assert_int_equal(f->fds_n, fds_n);
}

static void test_frames_and_descriptors_stay_together(void **state)
{
	struct chan_frame f;
	int p[2];
	char c;

	assert_int_equal(pipe(p), 0);
	assert_int_equal(chan_send(&a, SLICE_LIT("one"), NULL, 0), ERRC_OK);
	assert_int_equal(chan_send(&a, SLICE_LIT("two"), &p[1], 1), ERRC_OK);
	assert_int_equal(chan_send(&a, SLICE_LIT("three"), NULL, 0), ERRC_OK);
	assert_int_equal(chan_send(&a, SLICE_LIT("four"), p, 2), ERRC_OK);
	close(p[1]);
	expect(&b, "one", 0, &f);
	expect(&b, "two", 1, &f);
	p[1] = f.fds[0];
	f.fds[0] = -1;
	expect(&b, "three", 0, &f);
	assert_int_equal(write(p[1], "x", 1), 1);
	assert_int_equal(read(p[0], &c, 1), 1);
	expect(&b, "four", 2, &f);
	assert_true(fcntl(f.fds[0], F_GETFD) & FD_CLOEXEC);
	close(p[0]);
	close(p[1]);
	assert_int_equal(chan_next(&b, &f), 0);
}

static void test_descriptors_not_taken_are_closed(void **state)
{
	unsigned before = open_fds();
	struct chan_frame f;
	int fd = dup(0);

	for (int i = 0; i < 50; i++) {
		assert_int_equal(chan_send(&a, SLICE_LIT("x"), &fd, 1), ERRC_OK);
		expect(&b, "x", 1, &f);
	}
	close(fd);
	assert_int_equal(chan_next(&b, &f), 0);
	assert_int_equal(open_fds(), before);
}

/* Far more than a socket buffer: queued, sent as the other side reads, in order, with the descriptors. */
static void test_queues_what_does_not_fit(void **state)
{
	static char big[MAX];
	struct chan_frame f;
	unsigned got = 0;
	int fd = dup(0);

	memset(big, 'b', sizeof(big));
	for (int i = 0; i < 3; i++)
		assert_int_equal(chan_send(&a, slice_of(big, sizeof(big)), &fd, 1), ERRC_OK);
	close(fd);
	assert_true(chan_wants_write(&a));
	while (got < 3) {
		int r;

		assert_int_equal(chan_flush(&a), ERRC_OK);
		assert_int_equal(chan_read(&b), ERRC_OK);
		for (; (r = chan_next(&b, &f)) == 1; got++) {
			assert_int_equal(f.payload.n, sizeof(big));
			assert_int_equal(f.fds_n, 1);
		}
		assert_int_equal(r, 0);
	}
	assert_false(chan_wants_write(&a));
	assert_int_equal(b.in.cap, 0);
}

static void test_queue_has_a_ceiling(void **state)
{
	static char big[MAX];
	enum errc e = ERRC_OK;
	int n = 0;

	assert_int_equal(chan_send(&a, slice_of(big, MAX + 1), NULL, 0), ERRC_TOOBIG);
	for (; n < 20 && !e; n++)
		e = chan_send(&a, slice_of(big, sizeof(big)), NULL, 0);
	assert_int_equal(e, ERRC_LIMIT);
	assert_in_range(n, 4, 7);
}

static void test_end_of_peer(void **state)
{
	struct chan_frame f;
	enum errc e = ERRC_OK;

	assert_int_equal(chan_send(&a, SLICE_LIT("last"), NULL, 0), ERRC_OK);
	shutdown(chan_fd(&a), SHUT_RDWR);
	expect(&b, "last", 0, &f);
	assert_int_equal(chan_next(&b, &f), 0);
	assert_int_equal(chan_read(&b), ERRC_EOF);
	for (int i = 0; i < 3 && !e; i++)
		e = chan_send(&b, SLICE_LIT("x"), NULL, 0);
	assert_true(e == ERRC_EOF || e == ERRC_CONNRESET);
}

static void test_every_split(void **state)
{
	char bytes[2 * (FRAME_HEAD + 3)];
	struct chan_frame f;

	frame_head(bytes, 3, 0);
	memcpy(bytes + FRAME_HEAD, "abc", 3);
	memcpy(bytes + FRAME_HEAD + 3, bytes, FRAME_HEAD + 3);
	for (size_t cut = 1; cut < sizeof(bytes); cut++) {
		unsigned got = 0;

		assert_int_equal(write(raw, bytes, cut), (ssize_t)cut);
		assert_int_equal(chan_read(&b), ERRC_OK);
		while (chan_next(&b, &f) == 1)
			got += slice_is(f.payload, "abc");
		assert_int_equal(write(raw, bytes + cut, sizeof(bytes) - cut),
				 (ssize_t)(sizeof(bytes) - cut));
		assert_int_equal(chan_read(&b), ERRC_OK);
		while (chan_next(&b, &f) == 1)
			got += slice_is(f.payload, "abc");
		assert_int_equal(got, 2);
	}
}

static void test_odd_peer(void **state)
{
	char bytes[FRAME_HEAD];
	struct chan_frame f;

	frame_head(bytes, MAX + 1, 0);
	assert_int_equal(write(raw, bytes, sizeof(bytes)), FRAME_HEAD);
	assert_int_equal(chan_read(&b), ERRC_OK);
	assert_int_equal(chan_next(&b, &f), -ERRC_TOOBIG);
}

static void test_frame_without_its_descriptor(void **state)
{
	char bytes[FRAME_HEAD + 1] = {0};
	struct chan_frame f;

	frame_head(bytes, 1, 1);
	assert_int_equal(write(raw, bytes, sizeof(bytes)), (ssize_t)sizeof(bytes));
	assert_int_equal(chan_read(&b), ERRC_OK);
	assert_int_equal(chan_next(&b, &f), -ERRC_PROTOCOL);
}

static void test_wait_and_drain(void **state)
{
	static char big[MAX];

	assert_int_equal(chan_wait(&b, 0), ERRC_TIMEOUT);
	assert_int_equal(chan_send(&a, slice_of(big, sizeof(big)), NULL, 0), ERRC_OK);
	assert_int_equal(chan_drain(&a, 0), ERRC_TIMEOUT);
	assert_int_equal(chan_wait(&b, 0), ERRC_OK);
}

static void test_no_memory(void **state)
{
	struct chan_frame f;
	enum errc e;
	unsigned n = 0;

	do {
		mem_fail_after(++n);
		e = chan_send(&a, SLICE_LIT("x"), NULL, 0);
		if (!e)
			e = chan_read(&b);
		mem_fail_after(0);
		assert_true(e == ERRC_OK || e == ERRC_NOMEM);
	} while (e);
	assert_true(n > 1);
	assert_int_equal(chan_next(&b, &f), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_frames_and_descriptors_stay_together, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_not_taken_are_closed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_queues_what_does_not_fit, setup, teardown),
		cmocka_unit_test_setup_teardown(test_queue_has_a_ceiling, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end_of_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_wait_and_drain, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_split, setup_raw, teardown_raw),
		cmocka_unit_test_setup_teardown(test_odd_peer, setup_raw, teardown_raw),
		cmocka_unit_test_setup_teardown(test_frame_without_its_descriptor, setup_raw,
						teardown_raw),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
