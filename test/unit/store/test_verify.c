/* What verify finds that no record tells: a charge that was taken back twice, a checkpoint of which any byte is wrong. */
#include "family.h"

#include <stdio.h>

#include "ledger_priv.h"
#include "live_priv.h"
#include "verify.h"

static void is_good(struct rig *r)
{
	struct verify_result v;

	assert_int_equal(verify_ledger(r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
}

static enum errc append(struct rig *r, const struct record *rec, uint64_t *seq)
{
	enum errc rc = ledger_begin(r->ledger);

	if (!rc)
		rc = ledger_append(r->ledger, rec, seq);
	if (!rc)
		rc = ledger_commit(r->ledger);
	ledger_abort(r->ledger);
	return rc;
}

/* The ledger takes none; one that got in all the same is found. */
static void test_a_second_reversal(void **state)
{
	struct rig *r = family.r;
	uint64_t acc = family.account, first = 0, second = 0, last, last_n = 0;
	struct genid id;
	struct admit_op op;
	struct admit_done done;
	struct record back;
	struct verify_result v;
	struct rows_account a;
	struct buf b;
	MDB_txn *txn;

	(void)state;
	assert_true(rig_hold(r, acc, FAMILY_KEY, &r->price, 100, &id, &op));
	rig_settle(r, acc, &id, 10, 5, &done);
	for (int time = 0; time < 2; time++) { /* the live store does it once */
		op.outbox_n = done.outbox_n;
		op.kind = ADMIT_REVERSE;
		op.settle.account = acc;
		op.settle.id = id;
		rig_run(r, &op);
		assert_int_equal(op.done.settled, time == 0);
		last_n = MAX_OF(last_n, op.done.outbox_n);
	}
	rig_drain(r);
	is_good(r);
	assert_int_equal(ledger_find_reversal(r->ledger, &id, &first), ERRC_OK);
	last = ledger_state(r->ledger)->last_seq;
	assert_int_equal(first, last);
	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(r->ledger, first, &b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &back), ERRC_OK);
	assert_int_equal(append(r, &back, &second), ERRC_DUPLICATE);

	/* Through the outbox likewise, and what comes behind it is taken. */
	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(live_outbox_append(r->live, txn, last_n + 1, r->boot_ms, &back), ERRC_OK);
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
	assert_true(rig_hold(r, acc, FAMILY_KEY, &r->price, 100, &id, &op));
	rig_settle(r, acc, &id, 10, 5, &done);
	rig_drain(r);
	assert_int_equal(ledger_state(r->ledger)->last_seq, last + 1);
	is_good(r);
	rig_get_account(r, acc, &a);
	assert_int_equal(book_account(ledger_book(r->ledger), acc)->balance_nusd, a.balance_nusd);

	assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_drop(txn, r->ledger->reversed, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
	back.change.amount_nusd = 0; /* the account alone would not tell */
	back.change.uncollected_nusd = 0;
	assert_int_equal(append(r, &back, &second), ERRC_OK);
	assert_int_equal(verify_ledger(r->ledger, false, NULL, NULL, &v), ERRC_OK);
	assert_int_equal(v.bad_record_seq, first);
	buf_fini(&b);
}

/* What an end user has used may be forgotten, and begins anew then. */
static bool may_differ(struct slice key)
{
	uint64_t account;
	enum rows_kind kind;
	struct slice id;

	assert_true(rows_name_parse(key, &account, &kind, &id));
	return kind == ROWS_STATE && id.p[0] == ROWS_USER;
}

static void change_row(struct ledger *l, struct slice key, struct slice value)
{
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_put(txn, l->rows, key, value, 0), ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

/* Copies the row behind `key`; false: there is none. */
static bool next_row(struct ledger *l, struct slice *key, struct slice *value, char mem[2][ROWS_MAX])
{
	struct slice v;
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc;

	assert_int_equal(mdb_txn_begin(l->env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_cursor_open(txn, l->rows, &c), 0);
	rc = lmdbx_move(c, key->n ? MDB_SET_RANGE : MDB_FIRST, key, &v);
	if (!rc && key->n && slice_eq(*key, slice_of(mem[0], key->n)))
		rc = lmdbx_move(c, MDB_NEXT, key, &v);
	if (!rc) {
		memcpy(mem[0], key->p, key->n);
		memcpy(mem[1], v.p, v.n);
		*key = slice_of(mem[0], key->n);
		*value = slice_of(mem[1], v.n);
	}
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	return !rc;
}

static void test_every_flipped_byte_of_the_checkpoint(void **state)
{
	static char mem[2][ROWS_MAX];
	struct slice key = SLICE_NONE, value;
	struct ledger *l = family.r->ledger;
	struct verify_result v;
	struct genid id;
	struct admit_done done;
	size_t n = 0, rows = 0;

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	rig_drain(family.r);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_checkpoint(l), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	is_good(family.r);
	for (; next_row(l, &key, &value, mem); rows++) {
		for (size_t at = 0; at < value.n; at++) {
			if (may_differ(key))
				continue;
			mem[1][at] ^= (char)(1u << (at % 8));
			change_row(l, key, value);
			assert_int_equal(verify_ledger(l, false, NULL, NULL, &v), ERRC_OK);
			if (v.bad_account == 0)
				fail_msg("byte %zu of row %zu", at, rows);
			mem[1][at] ^= (char)(1u << (at % 8));
			n++;
		}
		change_row(l, key, value);
	}
	assert_true(rows > 8 && n > 800);
	is_good(family.r);
}

/* What all accounts have together may be more than one may. */
static void test_more_than_a_number_holds(void **state)
{
	struct rig *r = family.r;
	struct verify_result v;
	char name[24];

	(void)state;
	for (int i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "rich-%d", i);
		rig_account(r, name, MONEY_NUSD_MAX);
	}
	assert_int_equal(verify_ledger(r->ledger, true, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
	assert_int_equal(v.granted_nusd, INT64_MAX);
}

static void flip_price(struct ledger *l, const uint8_t hash[DIGEST_SHA256], size_t at)
{
	uint8_t bytes[PRICE_BYTES_MAX];
	struct slice key = slice_of(hash, DIGEST_SHA256), row;
	MDB_txn *txn;

	assert_int_equal(mdb_txn_begin(l->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_get(txn, l->prices, key, &row), ERRC_OK);
	assert_true(row.n <= sizeof bytes);
	memcpy(bytes, row.p, row.n);
	bytes[at] ^= 1;
	assert_int_equal(lmdbx_put(txn, l->prices, key, slice_of(bytes, row.n), 0), ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

/* Another price for what the charge does not count, and a row that no charge names: every sum is as it was. */
static void test_changed_price_row(void **state)
{
	struct rig *r = family.r;
	const struct price *prices[] = {&r->price, &r->per_request};
	uint8_t hash[ARRAY_LEN(prices)][DIGEST_SHA256];
	struct verify_result v;
	struct genid id;
	struct admit_op op;
	struct admit_done done;
	struct price p;

	(void)state;
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_put_prices(r->ledger, prices, ARRAY_LEN(prices)), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	assert_true(rig_hold(r, family.account, FAMILY_KEY, &r->price, 100, &id, &op));
	rig_settle(r, family.account, &id, 10, 5, &done);
	rig_drain(r);
	assert_int_equal(verify_ledger(r->ledger, true, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
	for (size_t i = 0; i < ARRAY_LEN(prices); i++) {
		size_t at = 4 + 8 * USAGE_WEB_SEARCH + 7;

		price_hash(prices[i], hash[i]);
		flip_price(r->ledger, hash[i], at);
		assert_int_equal(ledger_price(r->ledger, hash[i], &p), ERRC_CORRUPT);
		for (int charges = 0; charges < 2; charges++) {
			assert_int_equal(verify_ledger(r->ledger, charges, NULL, NULL, &v), ERRC_OK);
			assert_false(verify_is_good(&v));
			assert_int_equal(v.bad_prices_n, 1);
			assert_memory_equal(v.bad_price, hash[i], DIGEST_SHA256);
			assert_int_equal(v.bad_charge_seq != 0, charges && i == 0);
		}
		flip_price(r->ledger, hash[i], at);
	}
	assert_int_equal(verify_ledger(r->ledger, true, NULL, NULL, &v), ERRC_OK);
	assert_true(verify_is_good(&v));
}

#define T(f) cmocka_unit_test_setup_teardown(f, family_setup, family_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_second_reversal),
		T(test_changed_price_row),
		T(test_more_than_a_number_holds),
		T(test_every_flipped_byte_of_the_checkpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
