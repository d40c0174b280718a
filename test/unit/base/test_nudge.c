/* The signal to the process reaches each thread that waits, whichever it is, and no other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "nudge.h"

#define THREADS    3
#define PATIENCE_S 20

static uint32_t lock = 1; /* nobody will wake those who wait for it */
static atomic_int begun, ended;

/* Gives up on its own only after long, when nobody has nudged it. */
static void *wait_for_it(void *arg)
{
	struct timespec most = {.tv_sec = PATIENCE_S};
	int place = nudge_begin();
	long rc;

	atomic_fetch_add(&begun, 1);
	rc = syscall(SYS_futex, &lock, FUTEX_WAIT_PRIVATE, 1, &most, NULL, 0);
	*(int *)arg = rc == 0 ? 0 : errno;
	nudge_end(place);
	atomic_fetch_add(&ended, 1);
	return NULL;
}

static void test_each_that_waits(void **state)
{
	pthread_t threads[THREADS];
	int how[THREADS];

	(void)state;
	nudge_take();
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, wait_for_it, &how[i]), 0);
	while (atomic_load(&begun) < THREADS)
		sched_yield();
	/* Each of them has begun, and may not wait yet: as the master does, once more. */
	while (atomic_load(&ended) < THREADS) {
		assert_int_equal(kill(getpid(), NUDGE_SIGNAL), 0);
		sched_yield();
	}
	for (int i = 0; i < THREADS; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(how[i], EINTR);
	}
}

/* Places are given back, and where there is none it does without. */
static void test_places(void **state)
{
	int places[NUDGE_WAITING];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < NUDGE_WAITING; i++)
			assert_in_range(places[i] = nudge_begin(), 0, NUDGE_WAITING - 1);
		assert_int_equal(nudge_begin(), -1);
		nudge_end(-1);
		for (int i = 0; i < NUDGE_WAITING; i++)
			nudge_end(places[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_that_waits),
		cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
