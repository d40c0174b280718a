/* When a day is sealed, what its seal says, and that it cannot say anything else, while its records are kept and after. */
#include "days.h"

#include "ledger_priv.h"
#include "seal.h"

static void test_seals(void **state)
{
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	struct verify_result v;
	uint64_t from = 1;
	struct seal seal;

	days_fill(s);
	days_verify_good(s, &v);
	assert_int_equal(v.seals, DAYS_N - 1);
	assert_int_equal(v.first_seq, 1);
	for (int d = 0; d < DAYS_N - 1; d++) {
		assert_int_equal(seal_from(l, from, &seal, NULL), ERRC_OK);
		assert_int_equal(seal.day, DAYS_0 / ROLLUP_DAY_MS + d);
		assert_int_equal(seal.first, from);
		assert_int_equal(seal.accounts_n, 1);
		from = seal.last + 1;
	}
	assert_int_equal(seal_from(l, from, &seal, NULL), ERRC_NOTFOUND);
	/* Not twice, not across a restart, and not before the day is over. */
	assert_false(seal_is_due(l, s->now_ms));
	days_reopen(s);
	assert_false(seal_is_due(s->rig.ledger, s->now_ms));
	assert_true(seal_is_due(s->rig.ledger, s->now_ms + ROLLUP_DAY_MS));
}

/* A commit that fails has sealed nothing. */
static void test_aborted_seal(void **state)
{
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	struct seal seal;

	days_take(s, 3);
	s->now_ms += ROLLUP_DAY_MS;
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(seal_day(l, s->now_ms), ERRC_OK);
	ledger_abort(l);
	assert_int_equal(seal_from(l, 1, &seal, NULL), ERRC_NOTFOUND);
	assert_true(seal_is_due(l, s->now_ms));
	days_take(s, 3);
	assert_int_equal(seal_from(l, 1, &seal, NULL), ERRC_OK);
	assert_false(seal_is_due(l, s->now_ms));
}

/* Once a day, if something came since: also of records that come late, with a time of the day before. */
static void test_when_a_seal_is_due(void **state)
{
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	int64_t day_1 = DAYS_0 + ROLLUP_DAY_MS;

	days_take(s, 3);
	assert_false(seal_is_due(l, DAYS_0 + 1000));
	assert_true(seal_is_due(l, day_1));
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(seal_day(l, day_1), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	assert_false(seal_is_due(l, day_1));
	assert_false(seal_is_due(l, day_1 + ROLLUP_DAY_MS));
	s->now_ms = day_1 - 1;
	days_take(s, 3);
	assert_false(seal_is_due(l, day_1));
	assert_true(seal_is_due(l, day_1 + ROLLUP_DAY_MS));
}

/* A seal that lies is found, and stops retention. */
static void test_wrong_seal(void **state)
{
	const struct retain_keep keep = {.days = 1};
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	struct retain_base base;
	struct verify_result v;
	struct slice row;
	struct seal seal;
	struct buf b;
	MDB_txn *txn;
	uint8_t key[8];
	bool more;

	days_fill(s);
	assert_int_equal(seal_from(l, 1, &seal, NULL), ERRC_OK);
	ledger_put_be(seal.last, key);
	buf_init(&b, 4096);
	for (size_t at = sizeof seal - 8 - DIGEST_SHA256; at < sizeof seal + 32; at += 40) {
		assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
		assert_int_equal(lmdbx_get(txn, l->seals, slice_of(key, 8), &row), ERRC_OK);
		buf_reset(&b);
		assert_int_equal(buf_adds(&b, row), ERRC_OK);
		b.p[at] ^= 1;
		assert_int_equal(lmdbx_put(txn, l->seals, slice_of(key, 8), buf_slice(&b), 0),
				 ERRC_OK);
		assert_int_equal(mdb_txn_commit(txn), 0);
		assert_int_equal(verify_ledger(l, false, NULL, NULL, &v), ERRC_OK);
		assert_int_equal(v.bad_seal_seq, seal.last);
		assert_false(verify_is_good(&v));
	}
	assert_int_equal(retain_step(l, &keep, s->now_ms, &more), ERRC_OK);
	assert_false(more);
	assert_int_equal(retain_base(l, &base, NULL), ERRC_OK);
	assert_int_equal(base.seq, 0);
	buf_fini(&b);
}

static void flip_seal(struct ledger *l, const struct seal *seal, size_t at)
{
	uint8_t key[8];
	struct slice row;
	struct buf b;
	MDB_txn *txn;

	ledger_put_be(seal->last, key);
	buf_init(&b, 4096);
	assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_get(txn, l->seals, slice_of(key, 8), &row), ERRC_OK);
	assert_int_equal(buf_adds(&b, row), ERRC_OK);
	b.p[at] ^= 1;
	assert_int_equal(lmdbx_put(txn, l->seals, slice_of(key, 8), buf_slice(&b), 0), ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
	buf_fini(&b);
}

/* A seal that names another day than its records have is found, and retention does not go by it. */
static void test_seal_of_another_day(void **state)
{
	const struct retain_keep keep = {.days = 2};
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	struct retain_base base;
	struct verify_result v;
	struct seal seal;
	bool more;

	days_fill(s);
	assert_int_equal(seal_from(l, 1, &seal, NULL), ERRC_OK);
	for (size_t byte = 0; byte < sizeof seal.day; byte++) {
		flip_seal(l, &seal, byte);
		assert_int_equal(verify_ledger(l, false, NULL, NULL, &v), ERRC_OK);
		assert_int_equal(v.bad_seal_seq, seal.last);
		if (byte == 0) {
			assert_int_equal(retain_step(l, &keep, s->now_ms, &more), ERRC_OK);
			assert_int_equal(retain_base(l, &base, NULL), ERRC_OK);
			assert_int_equal(base.seq, 0);
		}
		flip_seal(l, &seal, byte);
	}
	days_retain(s, &keep, true);
	assert_int_equal(retain_base(s->rig.ledger, &base, NULL), ERRC_OK);
	assert_true(base.seq > 0);
}

/* The day of a seal is that of the newest record, whose time may be later than the last one's; a clock that is set back counts as
 * it is. */
static void test_day_of_a_seal(void **state)
{
	const struct {
		int64_t before_ms, last_ms, day;
	} cases[] = {{10000, -5000, 0},
		     {0, -LEDGER_STEP_BACK_MS, 0},
		     {10000, -60000, -1},
		     {0, -3 * ROLLUP_DAY_MS, -3}};
	struct days *s = *state;
	struct verify_result v;
	struct seal seal;
	int64_t midnight = DAYS_0;
	uint64_t from;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		for (int restart = 0; restart < 2; restart++) {
			midnight += 10 * ROLLUP_DAY_MS;
			s->now_ms = midnight + cases[i].before_ms;
			days_take(s, 1);
			s->now_ms = midnight + cases[i].last_ms;
			days_take(s, 1);
			if (restart)
				days_reopen(s);
			from = ledger_state(s->rig.ledger)->last_seq;
			s->now_ms = midnight + 2 * ROLLUP_DAY_MS;
			days_take(s, 1);
			assert_int_equal(seal_from(s->rig.ledger, from, &seal, NULL), ERRC_OK);
			assert_int_equal(seal.last, from);
			assert_int_equal(seal.day,
					 midnight / ROLLUP_DAY_MS +
						 (restart && cases[i].day == 0 ? -1 : cases[i].day));
			days_checkpoint(s->rig.ledger);
			days_verify_good(s, &v);
		}
	}
}

/* What the seals of removed days say was noted in the chain when their records went: no byte of them can be another one later. */
static void test_seals_of_removed_days(void **state)
{
	const struct retain_keep keep = {.days = 1};
	struct days *s = *state;
	struct verify_result v;
	struct seal seal = {.last = 0};

	days_fill(s);
	days_retain(s, &keep, true);
	s->now_ms += ROLLUP_DAY_MS;
	days_take(s, 5);
	days_checkpoint(s->rig.ledger);
	days_retain(s, &keep, true);
	for (int d = 0; d < DAYS_N - 1; d++) {
		assert_int_equal(seal_from(s->rig.ledger, seal.last + 1, &seal, NULL), ERRC_OK);
		for (size_t at = 0; at < sizeof seal + sizeof(struct seal_sums); at++) {
			flip_seal(s->rig.ledger, &seal, at);
			assert_int_equal(verify_ledger(s->rig.ledger, false, NULL, NULL, &v),
					 ERRC_OK);
			if (v.bad_seal_seq == 0)
				fail_msg("byte %zu of seal %d", at, d);
			flip_seal(s->rig.ledger, &seal, at);
		}
	}
	days_verify_good(s, &v);
}

/* A seal that leaves an account out is found: what it says of the others is right. */
static void test_seal_without_an_account(void **state)
{
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	struct verify_result v;
	struct slice row;
	struct seal seal;
	struct buf b;
	MDB_txn *txn;
	uint8_t key[8];

	days_fill(s);
	assert_int_equal(seal_from(l, 1, &seal, NULL), ERRC_OK);
	assert_true(seal.accounts_n > 0);
	ledger_put_be(seal.last, key);
	buf_init(&b, 4096);
	assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_get(txn, l->seals, slice_of(key, 8), &row), ERRC_OK);
	seal.accounts_n--;
	assert_int_equal(buf_add(&b, &seal, sizeof seal), ERRC_OK);
	assert_int_equal(buf_adds(&b, slice_sub(row, sizeof seal,
						seal.accounts_n * sizeof(struct seal_sums))),
			 ERRC_OK);
	assert_int_equal(lmdbx_put(txn, l->seals, slice_of(key, 8), buf_slice(&b), 0), ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_int_equal(verify_ledger(l, false, NULL, NULL, &v), ERRC_OK);
	assert_int_equal(v.bad_seal_seq, seal.last);
	assert_false(verify_is_good(&v));
	buf_fini(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, days_setup, days_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_seals),
		T(test_aborted_seal),
		T(test_when_a_seal_is_due),
		T(test_wrong_seal),
		T(test_seal_of_another_day),
		T(test_day_of_a_seal),
		T(test_seals_of_removed_days),
		T(test_seal_without_an_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
