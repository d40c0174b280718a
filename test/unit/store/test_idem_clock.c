/* When claims are over where the wall clock jumps, or is not believed. */
#include "rig.h"

#include "idem_priv.h"

#define KEY "aaaaaaaaaaaa"

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static struct slice tag_of(char word, uint8_t tag[IDEM_TAG])
{
	uint8_t bound[DIGEST_SHA256] = {0};

	idem_tag(slice_of(&word, 1), bound, tag);
	return slice_of(tag, IDEM_TAG);
}

/* Of a request that is charged. */
static void claim(struct rig *r, char word)
{
	struct genid id = rig_id(r);
	uint8_t tag[IDEM_TAG];
	struct slice t = tag_of(word, tag);
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(idem_claim(r->live, txn, KEY, t, &id, r->wall_ms), ERRC_OK);
	assert_int_equal(idem_end(r->live, txn, KEY, t, &id, true), ERRC_OK);
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
}

static void expect(struct rig *r, char word, enum idem_result result)
{
	enum idem_result is;
	struct genid other;
	uint8_t tag[IDEM_TAG];
	struct slice t = tag_of(word, tag);
	MDB_txn *txn;

	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(idem_look(r->live, txn, KEY, t, &is, &other), ERRC_OK);
	live_read_end(r->live);
	assert_int_equal(is, result);
}

static void sweep(struct rig *r, int64_t believed_ms, uint32_t expected)
{
	const struct idem_now now = {.believed_ms = believed_ms, .wall_ms = r->wall_ms};
	struct idem_sweep s = {{0}};
	uint32_t removed, sum = 0;

	for (int i = 0; i < 10; i++) {
		assert_int_equal(idem_sweep(r->live, &now, &s, &removed), ERRC_OK);
		sum += removed;
	}
	assert_int_equal(sum, expected);
}

/* Claims of a moment in which the clock was ahead keep those behind them no longer than a day, nor stand themselves for longer than that. */
static void test_clock_was_ahead(void **state)
{
	struct rig *r = *state;

	for (char w = 'a'; w <= 'd'; w++) {
		int64_t ahead_ms = w == 'b' || w == 'c' ? 400 * IDEM_LASTS_MS : 0;

		r->wall_ms += ahead_ms;
		claim(r, w);
		sweep(r, r->wall_ms - ahead_ms, 0);
		r->wall_ms -= ahead_ms;
	}
	sweep(r, r->wall_ms, 0);
	r->wall_ms += IDEM_LASTS_MS;
	sweep(r, r->wall_ms, 4); /* two go, two are as old as this moment now */
	expect(r, 'a', IDEM_NEW);
	expect(r, 'b', IDEM_COMPLETED);
	expect(r, 'c', IDEM_COMPLETED);
	expect(r, 'd', IDEM_NEW);
	r->wall_ms += IDEM_LASTS_MS - 1;
	sweep(r, r->wall_ms, 0);
	r->wall_ms++;
	sweep(r, r->wall_ms, 2);
	expect(r, 'b', IDEM_NEW);
}

/* After time without power the clock is not believed for a day: what is claimed by then is over no sooner for that. */
static void test_clock_is_not_believed(void **state)
{
	struct rig *r = *state;
	int64_t off_ms = 20 * IDEM_LASTS_MS / 24;

	claim(r, 'w');
	sweep(r, r->wall_ms - off_ms, 0);
	r->wall_ms += IDEM_LASTS_MS - 1;
	sweep(r, r->wall_ms - off_ms, 0);
	sweep(r, r->wall_ms, 0);
	expect(r, 'w', IDEM_COMPLETED);
	r->wall_ms++;
	sweep(r, r->wall_ms - off_ms, 0);
	expect(r, 'w', IDEM_COMPLETED);
	sweep(r, r->wall_ms, 1);
	expect(r, 'w', IDEM_NEW);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_clock_was_ahead),
		T(test_clock_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
