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

/* The first ones and the last; numbers are cut at the most that has room. */
static void test_tries(void **state)
{
	struct file *f = *state;
	struct genid id = id_of(1), other = id_of(2);
	struct progress_try t = {.candidate = 15, .status = 200, .failed = true, .ms = 0},
			    got[PROGRESS_TRIES];
	uint32_t slot;

	assert_int_equal(progress_adopt(f->p, 0), ERRC_OK);
	slot = progress_take(f->p, 7, &id);
	assert_int_equal(progress_read_tries(f->p, slot, &id, got), 0);
	for (size_t n = 0; n < 7; n++) {
		t.start_ms = (int64_t)n * 10;
		t.ms = -1;
		t.failed = false;
		progress_note_try(f->p, slot, n, &t);
		assert_int_equal(progress_read_tries(f->p, slot, &id, got),
				 MIN_OF(n + 1, (size_t)PROGRESS_TRIES));
		assert_int_equal(got[MIN_OF(n, (size_t)PROGRESS_TRIES - 1)].ms, -1);
		t.ms = 9;
		t.failed = n % 2;
		progress_note_try(f->p, slot, n, &t);
	}
	assert_int_equal(progress_read_tries(f->p, slot, &id, got), PROGRESS_TRIES);
	for (size_t i = 0; i < PROGRESS_TRIES; i++) {
		assert_int_equal(got[i].candidate, 15);
		assert_int_equal(got[i].status, 200);
		assert_int_equal(got[i].start_ms, i + 1 < PROGRESS_TRIES ? i * 10 : 60);
		assert_int_equal(got[i].ms, 9);
		assert_int_equal(got[i].failed, i == 1);
	}
	t = (struct progress_try){.status = UINT16_MAX, .start_ms = INT64_MAX, .ms = INT64_MAX - 1};
	progress_note_try(f->p, slot, 0, &t);
	assert_int_equal(progress_read_tries(f->p, slot, &id, got), PROGRESS_TRIES);
	assert_int_equal(got[0].candidate, 0);
	assert_int_equal(got[0].status, 1023);
	assert_int_equal(got[0].start_ms, (1 << 24) - 1);
	assert_int_equal(got[0].ms, (1 << 23) - 2);
	assert_int_equal(progress_read_tries(f->p, slot, &other, got), 0);
	progress_give(f->p, slot);
	assert_int_equal(progress_take(f->p, 7, &other), slot);
	assert_int_equal(progress_read_tries(f->p, slot, &other, got), 0);
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
	/* What is reported, with what came beyond it, is no less than the truth for having been seen as more. */
	usage_set(&u, USAGE_OUTPUT, 2);
	progress_usage(s, &u, true);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 2);
	assert_false(got.estimated);
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

struct folded {
	int64_t in[USAGE_COUNT];
	bool is_guess; /* before, and after what has no place went elsewhere */
	int64_t out[USAGE_COUNT];
	bool estimated;
};

/* What has no place in a slot is not lost and not taken for something else: it counts to its side, and the record says so. */
static void test_classes(void **state)
{
	static const struct folded cases[] = {
		{{[USAGE_INPUT] = 5,
		  [USAGE_CACHE_READ] = 4,
		  [USAGE_CACHE_WRITE_5M] = 3,
		  [USAGE_CACHE_WRITE_1H] = 2,
		  [USAGE_OUTPUT] = 7,
		  [USAGE_REASONING] = 1},
		 false,
		 {[USAGE_INPUT] = 5,
		  [USAGE_CACHE_READ] = 4,
		  [USAGE_CACHE_WRITE_5M] = 3,
		  [USAGE_CACHE_WRITE_1H] = 2,
		  [USAGE_OUTPUT] = 7,
		  [USAGE_REASONING] = 1},
		 false},
		{{[USAGE_INPUT] = 5, [USAGE_OUTPUT] = 7},
		 true,
		 {[USAGE_INPUT] = 5, [USAGE_OUTPUT] = 7},
		 true},
		{{[USAGE_INPUT] = 100, [USAGE_INPUT_AUDIO] = 900, [USAGE_OUTPUT] = 20},
		 false,
		 {[USAGE_INPUT] = 1000, [USAGE_OUTPUT] = 20},
		 true},
		{{[USAGE_INPUT_AUDIO] = 1, [USAGE_INPUT_IMAGE] = 2}, false, {[USAGE_INPUT] = 3}, true},
		{{[USAGE_OUTPUT] = 3, [USAGE_OUTPUT_AUDIO] = 30},
		 false,
		 {[USAGE_OUTPUT] = 3, [USAGE_OUTPUT_AUDIO] = 30},
		 false},
		{{[USAGE_OUTPUT] = 3, [USAGE_OUTPUT_IMAGE] = 30},
		 false,
		 {[USAGE_OUTPUT] = 3, [USAGE_OUTPUT_IMAGE] = 30},
		 false},
		{{[USAGE_OUTPUT] = 3, [USAGE_OUTPUT_AUDIO] = 300, [USAGE_OUTPUT_IMAGE] = 10},
		 false,
		 {[USAGE_OUTPUT] = 13, [USAGE_OUTPUT_AUDIO] = 300},
		 true},
		{{[USAGE_OUTPUT_AUDIO] = 10, [USAGE_OUTPUT_IMAGE] = 300},
		 false,
		 {[USAGE_OUTPUT] = 10, [USAGE_OUTPUT_IMAGE] = 300},
		 true},
		{{[USAGE_CACHE_WRITE_5M] = 1, [USAGE_CACHE_WRITE_1H] = 4, [USAGE_OUTPUT_IMAGE] = 30},
		 false,
		 {[USAGE_CACHE_WRITE_5M] = 5, [USAGE_OUTPUT_IMAGE] = 30},
		 true},
	};
	struct file *f = *state;
	struct genid id = id_of(1);
	uint32_t slot, candidate;
	struct usage u, got;

	assert_int_equal(progress_adopt(f->p, 0), ERRC_OK);
	slot = progress_take(f->p, 1, &id);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		progress_attempt(progress_at(f->p, slot), 200);
		usage_init(&u);
		for (enum usage_class c = 0; c < USAGE_COUNT; c++)
			if (cases[i].in[c])
				usage_set(&u, c, cases[i].in[c]);
		u.estimated = cases[i].is_guess;
		u.tier = USAGE_TIER_PRIORITY;
		progress_usage(progress_at(f->p, slot), &u, true);
		progress_finish(progress_at(f->p, slot));
		assert_true(progress_read(f->p, slot, &id, &candidate, &got));
		for (enum usage_class c = 0; c < USAGE_COUNT; c++)
			assert_int_equal(usage_get(&got, c), cases[i].out[c]);
		assert_int_equal(got.estimated, cases[i].estimated);
		assert_int_equal(got.tier, USAGE_TIER_PRIORITY);
		assert_int_equal(candidate, 200);
	}
}

/* Tokens of sound or pictures are as they are set last, and as no other class. */
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
	usage_set(&u, USAGE_OUTPUT_AUDIO, 7);
	progress_usage(s, &u, false);
	progress_seen(s, 100);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 100);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT_AUDIO), 7);
	assert_true(got.estimated);
	usage_set(&u, USAGE_OUTPUT_IMAGE, 2000);
	progress_usage(s, &u, false);
	progress_seen(s, 101);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 101);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT_IMAGE), 2000);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT_AUDIO), 0);
	/* The provider's last word: all is output. */
	usage_init(&u);
	usage_set(&u, USAGE_OUTPUT, 1300);
	usage_set(&u, USAGE_CACHE_WRITE_1H, 4);
	progress_usage(s, &u, true);
	progress_finish(s);
	assert_true(progress_read(f->p, slot, &id, &candidate, &got));
	assert_int_equal(usage_get(&got, USAGE_OUTPUT), 1300);
	assert_int_equal(usage_get(&got, USAGE_OUTPUT_IMAGE), 0);
	assert_int_equal(usage_get(&got, USAGE_CACHE_WRITE_1H), 4);
	assert_false(got.estimated);
	progress_attempt(s, 1);
	assert_false(progress_read(f->p, slot, &id, &candidate, &got));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_slots),           T(test_tries),   T(test_holds),
					   T(test_what_is_charged), T(test_classes), T(test_media)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
