#include "days.h"

#include <errno.h>
#include <stdio.h>

#include "be.h"
#include "ledger_priv.h"
#include "report.h"
#include "retain.h"
#include "rollup.h"
#include "runs.h"
#include "seal.h"
#include "verify.h"

static size_t deleted, vain; /* rows by name */
static size_t del_fails;     /* so many from now on: that one finds no room */

int __real_mdb_del(MDB_txn *txn, MDB_dbi db, MDB_val *key, MDB_val *data);
int __wrap_mdb_del(MDB_txn *txn, MDB_dbi db, MDB_val *key, MDB_val *data);

int __wrap_mdb_del(MDB_txn *txn, MDB_dbi db, MDB_val *key, MDB_val *data)
{
	int rc = del_fails > 0 && --del_fails == 0 ? ENOSPC : __real_mdb_del(txn, db, key, data);

	deleted += rc == 0;
	vain += rc == MDB_NOTFOUND;
	return rc;
}

static int64_t charged(struct days *s, int64_t since_ms, int64_t until_ms, enum errc want)
{
	struct report_ask ask = {.since_ms = since_ms, .until_ms = until_ms};
	struct report *rep = NULL;
	int64_t nusd = 0;

	assert_int_equal(report_new(s->rig.ledger, NULL, &ask, &rep), want);
	if (rep)
		nusd = report_total(rep).charge_nusd;
	report_free(&rep);
	return nusd;
}

/* Its rows. */
static size_t told(struct days *s, const struct report_ask *ask, enum errc want)
{
	struct report *rep = NULL;
	size_t n;

	assert_int_equal(report_new(s->rig.ledger, NULL, ask, &rep), want);
	n = rep ? report_rows_n(rep) : 0;
	report_free(&rep);
	return n;
}

static void test_days(void **state)
{
	const struct retain_keep keep = {.days = 2}, forever = {.days = 0};
	struct days *s = *state;
	struct retain_base base;
	struct verify_result v;
	struct genid first = days_id_of(1), kept = days_id_of(2 * DAYS_CHARGES + 1);
	struct seal seal;
	int64_t all, day_2 = DAYS_0 + 2 * ROLLUP_DAY_MS;
	uint64_t seq, last;

	days_fill(s);
	all = charged(s, 0, INT64_MAX, ERRC_OK);
	assert_int_equal(days_retain(s, &forever, false), 1);
	assert_int_equal(ledger_find(s->rig.ledger, &first, &seq), ERRC_OK);
	/* Of the days 0 to 4 the last one, and the two before it, are kept. */
	last = ledger_state(s->rig.ledger)->last_seq;
	assert_true(days_retain(s, &keep, false) > 2 * DAYS_CHARGES / 500);
	assert_int_equal(ledger_state(s->rig.ledger)->last_seq, last + 2); /* noted once a day */
	assert_int_equal(retain_base(s->rig.ledger, &base, NULL), ERRC_OK);
	assert_int_equal(seal_from(s->rig.ledger, base.seq, &seal, NULL), ERRC_OK);
	assert_int_equal(seal.last, base.seq);
	assert_int_equal(seal.day, DAYS_0 / ROLLUP_DAY_MS + 1);
	days_reopen(s);
	days_verify_good(s, &v);
	assert_int_equal(v.first_seq, base.seq + 1);
	assert_int_equal(v.charges, 3 * DAYS_CHARGES);
	assert_int_equal(v.seals, 4); /* those of the days that went, and two days */
	assert_int_equal(ledger_find(s->rig.ledger, &first, &seq), ERRC_NOTFOUND);
	assert_int_equal(ledger_find(s->rig.ledger, &kept, &seq), ERRC_OK);
	/* Sums and whole days stay; a part of a day is no longer known. */
	assert_int_equal(charged(s, 0, INT64_MAX, ERRC_OK), all);
	assert_true(charged(s, 0, day_2, ERRC_OK) > 0);
	charged(s, DAYS_0 + 500, day_2, ERRC_RANGE);
	assert_true(charged(s, day_2 + 500, INT64_MAX, ERRC_OK) > 0);
	/* It goes on being a ledger. */
	s->now_ms += ROLLUP_DAY_MS;
	days_take(s, 5);
	days_checkpoint(s->rig.ledger);
	days_retain(s, &keep, false);
	days_verify_good(s, &v);
	assert_int_equal(v.charges, 2 * DAYS_CHARGES + 5);
}

/* Of a node that is no longer used all records go, and it can be used again. What is left says when the last of them went. */
static void test_idle_node(void **state)
{
	const struct retain_keep keep = {.days = 2};
	struct days *s = *state;
	struct verify_result v;
	struct genid last;
	int64_t all;
	uint64_t end, seq;

	days_take(s, DAYS_CHARGES);
	last = days_id_of(s->charges);
	all = charged(s, 0, INT64_MAX, ERRC_OK);
	for (int time = 0; time < 4; time++) {
		end = ledger_state(s->rig.ledger)->last_seq;
		s->now_ms += 10 * ROLLUP_DAY_MS;
		days_take(s, 0);
		days_checkpoint(s->rig.ledger);
		days_retain(s, &keep, time % 2 == 0);
		days_verify_good(s, &v);
		assert_int_equal(v.charges, 0);
		assert_int_equal(v.records, 1);
		assert_int_equal(ledger_state(s->rig.ledger)->last_seq - end, time == 0);
		assert_int_equal(ledger_find(s->rig.ledger, &last, &seq), ERRC_NOTFOUND);
		assert_int_equal(charged(s, 0, INT64_MAX, ERRC_OK), all);
		days_reopen(s);
	}
	days_take(s, 5);
	days_checkpoint(s->rig.ledger);
	days_retain(s, &keep, true);
	days_verify_good(s, &v);
	assert_int_equal(v.charges, 5);
	assert_true(charged(s, 0, INT64_MAX, ERRC_OK) > all);
}

/* That a day has gone is nothing that the live store has to follow: the next change does not look for it in all the records since the
 * change before. */
static void test_nothing_to_follow(void **state)
{
	const struct retain_keep keep = {.days = 2};
	struct days *s = *state;
	const struct ledger_state *l = ledger_state(s->rig.ledger);
	uint64_t admin_seq, last_seq;

	days_fill(s);
	admin_seq = l->admin_seq;
	last_seq = l->last_seq;
	days_retain(s, &keep, false);
	assert_true(l->last_seq > last_seq);
	assert_int_equal(l->admin_seq, admin_seq);
}

/* Charges of a clock that was wrong for a while are of a day long ago: end users' roll-ups of it go with those of the days that go, the
 * charges stay. */
static void test_users_of_a_wrong_clock(void **state)
{
	const struct retain_keep keep = {.days = 2};
	struct days *s = *state;
	int64_t now_ms;

	days_fill(s);
	now_ms = s->now_ms;
	s->now_ms = DAYS_0 - 400 * ROLLUP_DAY_MS;
	days_take(s, 20);
	s->now_ms = now_ms;
	days_take(s, 20);
	days_checkpoint(s->rig.ledger);
	assert_true(days_retain(s, &keep, false) > 2 * DAYS_CHARGES / 500);
}

/* End users of the base whom the book of today knows no more. */
static void add_users(struct days *s, size_t n)
{
	struct ledger *l = s->rig.ledger;
	struct rows_state st = {.used_s = DAYS_0 / 1000};
	char row[256];
	struct buf b = {.p = row, .cap = sizeof row, .max = sizeof row};

	assert_int_equal(rows_put_state(&b, &st), ERRC_OK);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	for (size_t i = 0; i < n; i++) {
		char id[ROWS_ID], tag[32];
		struct rows_key_name name;

		rows_user_id(slice_of(tag, (size_t)snprintf(tag, sizeof tag, "gone-%zu", i)), id);
		name = rows_name_state(s->account, ROWS_USER, id);
		assert_int_equal(
			lmdbx_put(l->txn, l->base, slice_of(name.b, name.n), buf_slice(&b), 0),
			ERRC_OK);
		assert_int_equal(book_load_state(l->base_book, s->account, id, buf_slice(&b)),
				 ERRC_OK);
	}
	assert_int_equal(ledger_commit(l), ERRC_OK);
}

/* Each is looked for once, a bounded number in one transaction: what was done is not begun anew. */
static void test_many_users_who_are_gone(void **state)
{
	const struct retain_keep keep = {.days = 2};
	struct days *s = *state;
	size_t before, most = 0;
	bool more = true;

	days_fill(s);
	assert_int_equal(retain_step(s->rig.ledger, &keep, s->now_ms, &more), ERRC_OK);
	assert_non_null(s->rig.ledger->base_book);
	add_users(s, 20000);
	deleted = vain = 0;
	while (more) {
		before = deleted + vain;
		assert_int_equal(retain_step(s->rig.ledger, &keep, s->now_ms, &more), ERRC_OK);
		most = MAX_OF(most, deleted + vain - before);
	}
	assert_null(s->rig.ledger->base_book);
	assert_true(deleted >= 20000);
	assert_in_range(vain, 0, 100);
	assert_in_range(most, 0, 2000);
}

/* An end user who has a budget by the rules for all: what was used of it stays with the base, as long as the book knows the user. */
static void test_user_of_a_removed_day(void **state)
{
	const struct retain_keep keep = {.days = 2};
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	struct record rec = {.type = RECORD_CHARGE, .account = s->account, .wall_ms = DAYS_0 + 1};
	struct rows_scope every;
	struct verify_result v;
	char user[ROWS_ID];
	uint64_t seq;

	rig_scope(&every, s->account, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&every, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_TOTAL});
	rig_put(&s->rig, &every);
	memcpy(rec.charge.key_id, DAYS_KEY, APIKEY_ID);
	rec.charge.id = days_id_of(1000000);
	rec.charge.user = SLICE_LIT("alice");
	rec.charge.charge_nusd = 77;
	rec.charge.budgets.n = 1;
	rec.charge.budgets.v[0] =
		(struct record_budget){.scope = ROWS_USER, .rule = every.limits.v[0].id};
	usage_init(&rec.charge.usage);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_append(l, &rec, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	days_fill(s);
	days_retain(s, &keep, false);
	days_reopen(s);
	days_verify_good(s, &v);
	assert_true(v.first_seq > seq);
	rows_user_id(rec.charge.user, user);
	assert_int_equal(
		book_scope(ledger_book(s->rig.ledger), ROWS_USER, s->account, user)->charged_nusd,
		77);
}

/* A charge is taken back after midnight, and then the records of its day go. */
static void test_reversal_of_a_removed_charge(void **state)
{
	const struct retain_keep keep = {.days = 1};
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	struct record back = {.type = RECORD_REVERSE, .account = s->account};
	int64_t all, day_1 = DAYS_0 + ROLLUP_DAY_MS;
	struct verify_result v;
	uint64_t seq;

	s->now_ms = day_1 - 100;
	days_take(s, 1);
	s->now_ms = day_1 + 1000;
	days_take(s, 1);
	back.wall_ms = s->now_ms;
	back.change.id = days_id_of(1);
	back.change.amount_nusd = 1000;
	memcpy(back.change.key_id, DAYS_KEY, APIKEY_ID);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_append(l, &back, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	days_take(s, 1);
	s->now_ms += ROLLUP_DAY_MS;
	days_take(s, 1);
	days_checkpoint(l);
	all = charged(s, 0, INT64_MAX, ERRC_OK);
	days_retain(s, &keep, false);
	days_verify_good(s, &v);
	assert_int_equal(ledger_find(l, &back.change.id, &seq), ERRC_NOTFOUND);
	assert_int_equal(charged(s, 0, INT64_MAX, ERRC_OK), all);
	assert_int_equal(charged(s, day_1 + 500, day_1 + 2000, ERRC_OK), 2000);
	assert_int_equal(charged(s, day_1 + 500, INT64_MAX, ERRC_OK), 3000);
	/* What is known of it goes with its own day. */
	assert_int_equal(ledger_find_reversal(l, &back.change.id, &seq), ERRC_OK);
	s->now_ms += ROLLUP_DAY_MS;
	days_take(s, 1);
	days_checkpoint(l);
	days_retain(s, &keep, false);
	days_verify_good(s, &v);
	assert_int_equal(ledger_find_reversal(l, &back.change.id, &seq), ERRC_NOTFOUND);
}

/* Stopped and started anew between the steps; then by bytes, as long as there is a day that is over. */
static void test_restarts_and_bytes(void **state)
{
	const struct retain_keep keep = {.days = 2}, small = {.bytes = 1};
	struct days *s = *state;
	struct verify_result v;

	days_fill(s);
	days_retain(s, &keep, true);
	while (s->rig.ledger->base_book || v.first_seq < 2 * DAYS_CHARGES) {
		days_retain(s, &keep, true);
		days_verify_good(s, &v);
	}
	days_retain(s, &small, false);
	days_verify_good(s, &v);
	assert_int_equal(v.charges, DAYS_CHARGES);
}

/* What a start would have to read again stays: until the next checkpoint, though the roll-ups are past it. */
static void test_nothing_before_the_checkpoint(void **state)
{
	const struct retain_keep keep = {.days = 1};
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	bool more = true;

	for (int d = 0; d < 4; d++) {
		s->now_ms = DAYS_0 + d * ROLLUP_DAY_MS + 1000;
		days_take(s, 10);
	}
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_write_rollups(l, l->txn, l->state.last_seq), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	assert_int_equal(retain_step(l, &keep, s->now_ms, &more), ERRC_OK);
	assert_false(more);
	days_checkpoint(l);
	assert_true(days_retain(s, &keep, false) > 1);
}

/* The records that are kept take so much: no more than that is no reason to remove any. Beyond it a day goes also when nothing stands behind it. */
static void test_bytes(void **state)
{
	struct days *s = *state;
	struct ledger *l = s->rig.ledger;
	const MDB_dbi trees[] = {l->records, l->ids, l->upstream};
	struct retain_keep keep = {.bytes = 0};
	struct retain_base base;
	struct verify_result v;
	struct seal seal;
	MDB_txn *txn;
	bool more;

	days_fill(s);
	assert_int_equal(ledger_read_begin(l, &txn), ERRC_OK);
	for (size_t i = 0; i < ARRAY_LEN(trees); i++) {
		size_t n = 0;

		assert_int_equal(lmdbx_used(txn, trees[i], &n), ERRC_OK);
		keep.bytes += (int64_t)n;
	}
	ledger_read_end(&txn);
	assert_int_equal(retain_step(l, &keep, s->now_ms, &more), ERRC_OK);
	assert_false(more);
	keep.bytes--;
	assert_int_equal(retain_step(l, &keep, s->now_ms, &more), ERRC_OK);
	assert_true(more);
	days_retain(s, &keep, false); /* a day that was begun is finished, though enough is gone */
	assert_int_equal(retain_base(l, &base, NULL), ERRC_OK);
	assert_int_equal(seal_from(l, base.seq, &seal, NULL), ERRC_OK);
	assert_int_equal(base.seq, seal.last);
	keep.bytes = 1;
	days_retain(s, &keep, false);
	s->now_ms += ROLLUP_DAY_MS;
	days_take(s, 0); /* the day is sealed, and nothing stands behind it */
	days_checkpoint(l);
	days_retain(s, &keep, false);
	days_verify_good(s, &v);
	assert_int_equal(v.charges, 0);
}

/* A step that fails in its middle is not there: the next one adds up the same records once, as is verified after each. */
static void test_step_without_room(void **state)
{
	const struct retain_keep keep = {.days = 2};
	struct days *s = *state;
	bool more;

	days_fill(s);
	del_fails = 100;
	assert_int_equal(retain_step(s->rig.ledger, &keep, s->now_ms, &more), ERRC_NOSPACE);
	days_retain(s, &keep, false);
}

static enum errc none(void *arg, const struct rollup_name *n, const struct rollup_sums *sums)
{
	++*(int *)arg;
	return n->tag.n ? ERRC_OK : ERRC_CORRUPT;
}

/* The names of end users go with the records. */
static void test_tags_go(void **state)
{
	const struct retain_keep keep = {.days = 1};
	struct days *s = *state;
	struct rollup_ask ask = {.cut = ROLLUP_TAGS, .to = ROLLUP_DAY_MAX - 1};
	MDB_txn *txn;
	int n = 0;

	days_fill(s);
	days_retain(s, &keep, false);
	assert_int_equal(ledger_read_begin(s->rig.ledger, &txn), ERRC_OK);
	assert_int_equal(rollup_walk(txn, s->rig.ledger->rollups, &ask, none, &n), ERRC_OK);
	assert_int_equal(n, 2 * 7);
	ask.cut = ROLLUP_USERS;
	assert_int_equal(rollup_walk(txn, s->rig.ledger->rollups, &ask, none, &n), ERRC_OK);
	assert_int_equal(n, 4 * 7);
	ledger_read_end(&txn);
}

/* Adds to the first row of each cut of a day, which says then that it begins with the first record. */
static void lie_about(struct ledger *l, int64_t day_ms, int64_t nusd)
{
	static const enum rollup_cut cuts[] = {ROLLUP_DAYS, ROLLUP_MODELS, ROLLUP_PAYERS,
					       ROLLUP_KEYS};
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
	for (size_t i = 0; i < ARRAY_LEN(cuts); i++) {
		uint8_t from[RUNS_HEAD] = {cuts[i]};
		struct rollup_sums lie;
		struct runs_row row;
		struct runs_walk w;

		be_put(from + 1, 4, rollup_day_of(day_ms));
		assert_int_equal(runs_open(&w, txn, l->rollups), ERRC_OK);
		assert_int_equal(runs_seek(&w, slice_of(from, sizeof from)), ERRC_OK);
		runs_close(&w);
		assert_memory_equal(w.key, from, 5);
		lie = (struct rollup_sums){.first_seq = 1, .last_seq = 1, .charge_nusd = nusd};
		row = (struct runs_row){slice_of(w.key, w.key_n), &lie};
		assert_int_equal(runs_add(txn, l->rollups, &row, 1, NULL), ERRC_OK);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
}

/* Which days lack records is known from the seals, not from the rows that are looked at; of removed ones the sum is. */
static void test_rows_that_say_they_were_removed(void **state)
{
	const struct retain_keep keep = {.days = 1};
	struct days *s = *state;
	struct verify_result v;

	days_fill(s);
	days_retain(s, &keep, false);
	days_verify_good(s, &v);
	lie_about(s->rig.ledger, DAYS_0, 1);
	assert_int_equal(verify_ledger(s->rig.ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_int_equal(v.bad_day, rollup_day_of(DAYS_0));
	lie_about(s->rig.ledger, DAYS_0, -1);
	days_verify_good(s, &v);
	lie_about(s->rig.ledger, s->now_ms, -1000);
	assert_int_equal(verify_ledger(s->rig.ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_int_equal(v.bad_day, rollup_day_of(s->now_ms));
	assert_false(verify_is_good(&v));
}

/* Where the sums begin. */
static void test_damaged_base(void **state)
{
	const struct retain_keep keep = {.days = 1};
	struct days *s = *state;
	struct slice key = SLICE_NONE, row;
	struct verify_result v;
	MDB_cursor *c;
	MDB_txn *txn;

	days_fill(s);
	days_retain(s, &keep, false);
	assert_int_equal(mdb_txn_begin(s->rig.ledger->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_cursor_open(txn, s->rig.ledger->base, &c), 0);
	assert_int_equal(lmdbx_move(c, MDB_FIRST, &key, &row), ERRC_OK);
	assert_int_equal(lmdbx_put(txn, s->rig.ledger->base, key, slice_sub(row, 0, row.n / 2), 0),
			 ERRC_OK);
	mdb_cursor_close(c);
	assert_int_equal(mdb_txn_commit(txn), 0);
	assert_int_equal(verify_ledger(s->rig.ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(v.bad_base);
	assert_false(verify_is_good(&v));
}

/* A report whose span has requests that know their end users no more is refused; others are not. */
static void test_reports_by_user(void **state)
{
	const struct retain_keep keep = {.days = 1};
	struct days *s = *state;
	const int64_t kept = DAYS_0 + (DAYS_N - 2) * ROLLUP_DAY_MS;
	struct report_ask by = {.by = {REPORT_DAY, REPORT_TAG}, .by_n = 2, .until_ms = INT64_MAX};
	struct report_ask of = {.tag = SLICE_LIT("user-1"), .until_ms = INT64_MAX};

	days_fill(s);
	told(s, &by, ERRC_OK);
	days_retain(s, &keep, false);
	told(s, &by, ERRC_TRUNCATED);
	told(s, &of, ERRC_TRUNCATED);
	of.account = s->account + 1; /* has none */
	told(s, &of, ERRC_OK);
	of.account = s->account;
	told(s, &of, ERRC_TRUNCATED);
	of.until_ms = DAYS_0; /* nothing is before it */
	told(s, &of, ERRC_OK);
	by.since_ms = kept - ROLLUP_DAY_MS;
	told(s, &by, ERRC_TRUNCATED);
	by.since_ms = kept;
	assert_int_equal(told(s, &by, ERRC_OK), 2 * 7);
	by.since_ms = 0;
	by.by_n = 1; /* by day alone */
	assert_int_equal(told(s, &by, ERRC_OK), DAYS_N);
}

#define T(f) cmocka_unit_test_setup_teardown(f, days_setup, days_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_days),
		T(test_idle_node),
		T(test_nothing_to_follow),
		T(test_users_of_a_wrong_clock),
		T(test_many_users_who_are_gone),
		T(test_step_without_room),
		T(test_user_of_a_removed_day),
		T(test_restarts_and_bytes),
		T(test_nothing_before_the_checkpoint),
		T(test_bytes),
		T(test_tags_go),
		T(test_rows_that_say_they_were_removed),
		T(test_damaged_base),
		T(test_reports_by_user),
		T(test_reversal_of_a_removed_charge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
