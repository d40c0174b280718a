#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "progress_priv.h"

#define REGIONS 3
#define SLOTS   4

struct file {
	char dir[64], path[96];
	struct progress *p;
};

static int setup(void **state)
{
	static struct file f;

	snprintf(f.dir, sizeof f.dir, "/tmp/aigw-progress-XXXXXX");
	assert_non_null(mkdtemp(f.dir));
	snprintf(f.path, sizeof f.path, "%s/progress", f.dir);
	assert_int_equal(progress_create(f.path, REGIONS, SLOTS), ERRC_OK);
	assert_int_equal(progress_create(f.path, REGIONS, SLOTS), ERRC_EXISTS);
	assert_int_equal(progress_open(f.path, REGIONS, SLOTS, &f.p), ERRC_OK);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct file *f = *state;

	progress_close(&f->p);
	assert_int_equal(unlink(f->path), 0);
	return rmdir(f->dir);
}

static struct genid id_of(uint8_t n)
{
	struct genid id = {{n, 1}};

	return id;
}

static void test_slots(void **state)
{
	struct file *f = *state;
	struct genid id = id_of(1), got;
	struct progress *other = NULL;
	uint32_t slots[SLOTS], at = 0;
	uint64_t account;

	assert_int_equal(progress_open(f->path, REGIONS, SLOTS + 1, &other), ERRC_STALE);
	assert_int_equal(progress_open("/nowhere", REGIONS, SLOTS, &other), ERRC_NOTFOUND);
	assert_int_equal(progress_take(f->p, 7, &id), PROGRESS_NO_SLOT); /* no region yet */
	assert_int_equal(progress_adopt(f->p, 1), ERRC_OK);
	for (uint8_t i = 0; i < SLOTS; i++) {
		id = id_of((uint8_t)(i + 1));
		slots[i] = progress_take(f->p, 7u + i, &id);
		assert_in_range(slots[i], SLOTS, 2 * SLOTS - 1);
	}
	assert_int_equal(progress_take(f->p, 7, &id), PROGRESS_NO_SLOT);
	/* The sweeper finds them, in whatever process. */
	assert_int_equal(progress_open(f->path, REGIONS, SLOTS, &other), ERRC_OK);
	for (uint32_t n = 0; n < SLOTS; n++, at++) {
		assert_true(progress_next(other, 1, &at, &account, &got));
		assert_int_equal(account, 7 + (int)got.b[0] - 1);
	}
	assert_false(progress_next(other, 1, &at, &account, &got));
	at = 0;
	assert_false(progress_next(other, 0, &at, &account, &got));
	progress_give(f->p, slots[2]);
	assert_int_equal(progress_take(f->p, 7, &id), slots[2]);
	progress_clear_region(other, 1);
	at = 0;
	assert_false(progress_next(other, 1, &at, &account, &got));
	progress_close(&other);
}

static void test_holds(void **state)
{
	struct file *f = *state;

	progress_count_holds(f->p, 5); /* of no region: nobody's */
	assert_int_equal(progress_holds(f->p), 0);
	assert_int_equal(progress_adopt(f->p, 2), ERRC_OK);
	progress_count_holds(f->p, 5);
	progress_count_holds(f->p, -2);
	assert_int_equal(progress_holds(f->p), 3);
	progress_clear_region(f->p, 2);
	assert_int_equal(progress_holds(f->p), 0);
	assert_false(progress_ledger_failed(f->p));
	progress_set_ledger_failed(f->p, true);
	assert_true(progress_ledger_failed(f->p));
}

static void test_what_is_charged(void **state)
{
	struct file *f = *state;
	struct genid id = id_of(1), wrong = id_of(2);
	struct progress_slot *s;
	struct usage u, got;
	uint32_t slot, candidate = 9;

	assert_int_equal(progress_adopt(f->p, 0), ERRC_OK);
	slot = progress_take(f->p, 1, &id);
	s = progress_at(f->p, slot);
	assert_false(progress_read(f->p, slot, &id, &candidate, &got)); /* nothing came */
	usage_init(&u);
	usage_set(&u, USAGE_INPUT, 50);
	usage_set(&u, USAGE_IMAGE, 4);
	usage_set(&u, USAGE_WEB_SEARCH, 1);
	u.tier = USAGE_TIER_FLEX;
	progress_attempt(s, 3);
	progress_usage(s, &u, false);
	assert_false(progress_read(f->p, slot, &id, &candidate,
				   &got)); /* an estimate alone is not charged */
	progress_seen(s, 11);
	progress_seen(s, 4);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(candidate, 3);
	assert_int_equal(usage_get(&got, USAGE_INPUT), 50);
	assert_int_equal(usage_get(&got, USAGE_IMAGE), 4);
	assert_int_equal(usage_get(&got, USAGE_WEB_SEARCH), 1);
	assert_int_equal(got.tier, USAGE_TIER_FLEX);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 11); /* the most that was seen */
	assert_true(got.estimated);
	assert_false(progress_read(f->p, slot, &wrong, &candidate, &got));
	assert_false(progress_read(f->p, REGIONS * SLOTS, &id, &candidate, &got));
	progress_reasoning(s, 7);
	progress_reasoning(s, 5);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_REASONING), 7);
	/* Reported early, before the end: the larger number counts. */
	usage_set(&u, USAGE_OUTPUT, 2);
	progress_usage(s, &u, true);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 11);
	/* With a finish reason what is reported is the truth. */
	progress_finish(s);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 2);
	assert_false(got.estimated);
	/* One that is given up is our cost alone. */
	assert_int_equal(progress_lost_nusd(f->p, slot, &id), 0);
	progress_lose(s, 77);
	assert_false(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(progress_lost_nusd(f->p, slot, &id), 77);
	assert_int_equal(progress_lost_nusd(f->p, slot, &wrong), 0);
	/* Another candidate begins from nothing, but for that. */
	progress_seen(s, 3);
	progress_attempt(s, 4);
	assert_false(progress_read(f->p, slot, &id, &candidate, &got));
	progress_usage(s, &u, true);
	progress_finish(s);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(candidate, 4);
	assert_int_equal(got.tier, USAGE_TIER_FLEX);
	assert_int_equal(progress_lost_nusd(f->p, slot, &id), 77);
	progress_lose(s, INT64_MAX);
	assert_int_equal(progress_lost_nusd(f->p, slot, &id), (INT64_C(1) << 48) - 1);
}

/* Tokens of sound or pictures stand beside the text, and are as they are set last. */
static void test_media(void **state)
{
	struct file *f = *state;
	struct genid id = id_of(1);
	struct progress_slot *s;
	uint32_t slot, candidate;
	struct usage u, got;

	assert_int_equal(progress_adopt(f->p, 0), ERRC_OK);
	slot = progress_take(f->p, 1, &id);
	s = progress_at(f->p, slot);
	progress_attempt(s, 0);
	usage_init(&u);
	usage_set(&u, USAGE_CACHE_WRITE_1H, 9);
	progress_usage(s, &u, true);
	progress_seen(s, 100);
	progress_media(s, false, 7);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 100);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT_AUDIO), 7);
	assert_int_equal(usage_get(&got, USAGE_CACHE_WRITE_5M), 9);
	assert_false(usage_has(&got, USAGE_CACHE_WRITE_1H));
	assert_true(got.estimated);
	progress_seen(s, 101);
	progress_media(s, true, 2000);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 101);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT_IMAGE), 2000);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT_AUDIO), 0);
	/* The provider's last word. */
	usage_init(&u);
	usage_set(&u, USAGE_OUTPUT, 3);
	usage_set(&u, USAGE_CACHE_WRITE_5M, 1);
	usage_set(&u, USAGE_CACHE_WRITE_1H, 4);
	progress_usage(s, &u, true);
	progress_media(s, true, 1290);
	progress_finish(s);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 3);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT_IMAGE), 1290);
	assert_int_equal(usage_get(&got, USAGE_CACHE_WRITE_5M), 5);
	assert_false(got.estimated);
	progress_attempt(s, 1);
	assert_false(progress_read(f->p, slot, &id, &candidate, &got));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_slots), T(test_holds), T(test_what_is_charged),
					   T(test_media)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
