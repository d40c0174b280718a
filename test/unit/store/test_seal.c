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

/* --- days that were over before the ledger took their records --- */

static void settle(struct days *s, int64_t wall_ms)
{
	struct admit_done done;
	struct admit_op op;
	struct genid id;

	s->rig.wall_ms = wall_ms;
	assert_true(rig_hold(&s->rig, s->account, DAYS_KEY, &s->rig.price, 100, &id, &op));
	rig_settle(&s->rig, s->account, &id, 10, 10, &done);
}

static uint64_t last_seq(const struct days *s)
{
	return ledger_state(s->rig.ledger)->last_seq;
}

/* The seal behind the one that ends with record `after` ends with `last` and is of this day. */
static void check_seal(struct days *s, uint64_t after, uint64_t last, int day)
{
	struct seal seal;

	assert_int_equal(seal_from(s->rig.ledger, after + 1, &seal, NULL), ERRC_OK);
	assert_int_equal(seal.first, after + 1);
	assert_int_equal(seal.last, last);
	assert_int_equal(seal.day, DAYS_0 / ROLLUP_DAY_MS + day);
}

static void check_no_seal(struct days *s, uint64_t after)
{
	struct seal seal;

	assert_int_equal(seal_from(s->rig.ledger, after + 1, &seal, NULL), ERRC_NOTFOUND);
}

static void check_good(struct days *s)
{
	struct verify_result v;

	days_checkpoint(s->rig.ledger);
	days_verify_good(s, &v);
}

static void take(struct days *s, enum errc want)
{
	struct ledger *l = s->rig.ledger;
	uint64_t taken = ledger_state(l)->taken_n;

	assert_int_equal(outbox_read(s->rig.live, taken, &s->rig.batch), ERRC_OK);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_take(l, live_head(s->rig.live)->epoch, &s->rig.batch), want);
}

/* Of days that wait together each has its seal, whatever becomes of the keeper in between. */
static void test_days_that_waited(void **state)
{
	struct days *s = *state;
	uint64_t seq = last_seq(s);

	rig_join(&s->rig);
	for (int day = 0; day < 3; day++)
		for (int i = 0; i < 4; i++)
			settle(s, DAYS_0 + day * 2 * ROLLUP_DAY_MS + i);
	for (int aborts = 1; aborts >= 0; aborts--) {
		take(s, ERRC_AGAIN);
		if (aborts)
			ledger_abort(s->rig.ledger);
	}
	assert_true(ledger_ends_day(s->rig.ledger, DAYS_0 + 2 * ROLLUP_DAY_MS));
	assert_int_equal(ledger_commit(s->rig.ledger), ERRC_OK);
	assert_int_equal(last_seq(s), seq + 4);
	check_no_seal(s, 0);
	for (int aborts = 1; aborts >= 0; aborts--) {
		take(s, ERRC_AGAIN);
		if (aborts)
			ledger_abort(s->rig.ledger);
	}
	check_no_seal(s, 0);
	assert_int_equal(ledger_commit(s->rig.ledger), ERRC_OK);
	check_seal(s, 0, seq + 4, 0);
	check_no_seal(s, seq + 4);
	days_reopen(s); /* takes the rest */
	assert_int_equal(last_seq(s), seq + 12);
	check_seal(s, seq + 4, seq + 8, 2);
	check_no_seal(s, seq + 8);
	assert_false(seal_is_due(s->rig.ledger, DAYS_0 + 5 * ROLLUP_DAY_MS - 1));
	assert_true(seal_is_due(s->rig.ledger, DAYS_0 + 5 * ROLLUP_DAY_MS));
	check_good(s);
}

/* A day that was over when its records came is sealed when nothing follows, too, on the day on which the one before it was. */
static void test_last_day_that_waited(void **state)
{
	struct days *s = *state;
	uint64_t seq = last_seq(s);
	int64_t day_2 = DAYS_0 + 2 * ROLLUP_DAY_MS;

	rig_join(&s->rig);
	settle(s, DAYS_0 + 1);
	settle(s, day_2 - 1);
	rig_drain(&s->rig);
	check_seal(s, 0, seq + 1, 0);
	assert_true(seal_is_due(s->rig.ledger, day_2));
	s->now_ms = day_2;
	days_take(s, 1);
	check_seal(s, seq + 1, seq + 2, 1);
	assert_false(seal_is_due(s->rig.ledger, day_2 + 1));
	check_good(s);
}

/* What comes behind its day's seal is in the next one: no second seal of a day, before a restart and after. */
static void test_late_for_its_seal(void **state)
{
	static const int64_t late_ms[] = {1, LEDGER_STEP_BACK_MS + 100000, 2 * ROLLUP_DAY_MS};
	struct days *s = *state;
	int64_t midnight = DAYS_0;
	uint64_t seq, sealed = 0;

	rig_join(&s->rig);
	for (size_t i = 0; i < ARRAY_LEN(late_ms) * 2; i++) {
		midnight += 10 * ROLLUP_DAY_MS;
		settle(s, midnight - 3);
		rig_drain(&s->rig);
		seq = last_seq(s);
		settle(s, midnight + 1);
		settle(s, midnight - late_ms[i / 2]);
		rig_drain(&s->rig);
		if (i % 2) {
			days_reopen(s);
			rig_join(&s->rig);
		}
		settle(s, midnight + 2);
		rig_drain(&s->rig);
		assert_int_equal(last_seq(s), seq + 3);
		for (struct seal seal; sealed < seq; sealed = seal.last)
			assert_int_equal(seal_from(s->rig.ledger, sealed + 1, &seal, NULL), ERRC_OK);
		assert_int_equal(sealed, seq);
		check_no_seal(s, seq);
		check_good(s);
	}
}

/* What people do on the next day is behind the seal, too. */
static void test_change_on_the_next_day(void **state)
{
	struct days *s = *state;
	uint64_t seq = last_seq(s);
	bool durable;

	rig_join(&s->rig);
	settle(s, DAYS_0 + 1);
	settle(s, DAYS_0 + ROLLUP_DAY_MS);
	for (int day = 2; day < 4; day++) {
		s->rig.by.wall_ms = DAYS_0 + day * ROLLUP_DAY_MS;
		assert_int_equal(admin_account_credit(&s->rig.admin, &s->rig.by, s->account,
						      RIG_DOLLAR, &durable),
				 ERRC_OK);
		assert_int_equal(last_seq(s), seq + 1 + (uint64_t)day);
	}
	check_seal(s, 0, seq + 1, 0);
	check_seal(s, seq + 1, seq + 2, 1);
	check_seal(s, seq + 2, seq + 3, 2);
	check_no_seal(s, seq + 3);
	check_good(s);
}

/* Two days in one transaction, which is not to be parted, have one seal. */
static void test_days_in_one_transaction(void **state)
{
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	struct record r = {.type = RECORD_RELOAD, .wall_ms = DAYS_0 + ROLLUP_DAY_MS};
	uint64_t seq;

	r.change.who = r.change.what = SLICE_LIT("x");
	assert_int_equal(ledger_begin(l), ERRC_OK);
	for (int i = 0; i < 2; i++, r.wall_ms += ROLLUP_DAY_MS)
		assert_int_equal(ledger_append(l, &r, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	check_seal(s, 0, seq - 2, 0);
	check_no_seal(s, seq - 2);
	s->now_ms = r.wall_ms;
	days_take(s, 1);
	check_seal(s, seq - 2, seq, 2);
	check_good(s);
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
		T(test_days_that_waited),
		T(test_last_day_that_waited),
		T(test_late_for_its_seal),
		T(test_change_on_the_next_day),
		T(test_days_in_one_transaction),
		T(test_wrong_seal),
		T(test_seal_of_another_day),
		T(test_day_of_a_seal),
		T(test_seals_of_removed_days),
		T(test_seal_without_an_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
