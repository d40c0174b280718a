/* The pace of commits, checkpoints and retries on a clock of our own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pace.h"

static void test_group(void **state)
{
	struct pace p;

	pace_init(&p, SETTINGS_DURABILITY_GROUP, 1000, 0);
	assert_false(pace_is_due(&p, 1000));
	assert_true(pace_wait_ms(&p, 1000) > 0 && pace_wait_ms(&p, 1000) <= 50);
	assert_true(pace_is_due(&p, 1050));
	pace_begin(&p, 1050);
	pace_good(&p, 1052, true, false);
	assert_false(pace_is_due(&p, 1053));
	assert_true(pace_is_due(&p, 1100));
	(void)state;
}

static void test_async(void **state)
{
	struct pace p;

	pace_init(&p, SETTINGS_DURABILITY_ASYNC, 0, 0);
	assert_false(pace_is_due(&p, 900));
	assert_true(pace_is_due(&p, 1000));
	(void)state;
}

static void test_settle_at_once(void **state)
{
	struct pace p;

	pace_init(&p, SETTINGS_DURABILITY_SETTLE, 0, 0);
	assert_false(pace_is_due(&p, 1));
	pace_ring(&p);
	assert_true(pace_is_due(&p, 1));
	pace_begin(&p, 1);
	assert_false(pace_is_due(&p, 2));
	/* Who rings during a commit is not served by it. */
	pace_ring(&p);
	pace_good(&p, 3, true, false);
	assert_true(pace_is_due(&p, 3));
	(void)state;
}

static void test_retry(void **state)
{
	struct pace p;

	pace_init(&p, SETTINGS_DURABILITY_SETTLE, 0, 0);
	pace_begin(&p, 100);
	pace_failed(&p, 110);
	pace_ring(&p);
	assert_false(pace_is_due(&p, 500));
	assert_int_equal(pace_wait_ms(&p, 500), 610);
	assert_true(pace_is_due(&p, 1110));
	pace_begin(&p, 1110);
	pace_good(&p, 1111, false, false);
	pace_ring(&p);
	assert_true(pace_is_due(&p, 1112));
	(void)state;
}

static void test_checkpoint(void **state)
{
	struct pace p;

	pace_init(&p, SETTINGS_DURABILITY_GROUP, 0, 0);
	assert_false(pace_wants_checkpoint(&p, 60000));
	pace_good(&p, 100, true, false);
	assert_false(pace_wants_checkpoint(&p, 4999));
	assert_true(pace_wants_checkpoint(&p, 5000));
	/* What came with the commit of the checkpoint is not in it. */
	pace_good(&p, 5000, true, true);
	assert_false(pace_wants_checkpoint(&p, 9999));
	assert_true(pace_wants_checkpoint(&p, 10000));
	pace_good(&p, 10000, false, true);
	assert_false(pace_wants_checkpoint(&p, 60000));
	(void)state;
}

static void test_checkpoint_of_a_long_tail(void **state)
{
	struct pace p;

	pace_init(&p, SETTINGS_DURABILITY_GROUP, 100, PACE_TAIL - 1);
	assert_false(pace_wants_checkpoint(&p, 5099));
	assert_true(pace_wants_checkpoint(&p, 5100));
	pace_init(&p, SETTINGS_DURABILITY_GROUP, 100, PACE_TAIL);
	assert_true(pace_wants_checkpoint(&p, 100));
	pace_good(&p, 100, false, true);
	assert_false(pace_wants_checkpoint(&p, 60000));
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_async),
		cmocka_unit_test(test_settle_at_once),
		cmocka_unit_test(test_retry),
		cmocka_unit_test(test_checkpoint),
		cmocka_unit_test(test_checkpoint_of_a_long_tail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
