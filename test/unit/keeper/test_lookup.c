/* A request is looked for among those that wait for the ledger, and in the ledger, at a bounded cost. */
#include "family.h"

#include "ledger_priv.h"
#include "live_priv.h"
#include "lookup.h"

static enum errc find(const struct genid *id, const char *key, struct lookup_found *f)
{
	char text[GENID_TEXT + 1];
	enum errc e;

	genid_print(id, text);
	e = lookup_find(family.r->live, family.r->ledger, slice_str(text), key, f);
	lookup_fini(f);
	return e;
}

/* By the provider's id, which all have in common: what was settled last. */
static enum errc find_upstream(struct lookup_found *f)
{
	enum errc e = lookup_find(family.r->live, family.r->ledger, SLICE_LIT("chatcmpl-1"),
				  FAMILY_KEY, f);

	lookup_fini(f);
	return e;
}

static struct genid spend(void)
{
	struct admit_done done;
	struct genid id;

	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	return id;
}

/* Records that somebody else has written: as many as are looked through for one. */
static void fill(size_t n)
{
	const struct record r = {.type = RECORD_TAKE,
				 .account = family.account,
				 .wall_ms = family.r->wall_ms,
				 .change = {.amount_nusd = 1}};
	uint64_t last;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_outbox_last(family.r->live, txn, &last), ERRC_OK);
	for (size_t i = 1; i <= n; i++)
		assert_int_equal(
			live_outbox_append(family.r->live, txn, last + i, family.r->boot_ms, &r),
			ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
}

static void test_how_far_is_looked(void **state)
{
	struct lookup_found f;
	struct genid old, new, none = {{1}};

	(void)state;
	rig_drain(family.r);
	old = spend();
	fill(OUTBOX_FIND_MAX - 1);
	assert_int_equal(find(&old, FAMILY_KEY, &f), ERRC_OK);
	assert_int_equal(f.seq, 0);
	assert_int_equal(find(&none, FAMILY_KEY, &f), ERRC_NOTFOUND);
	new = spend();
	assert_int_equal(find(&new, FAMILY_KEY, &f), ERRC_OK);
	assert_int_equal(find(&new, "bbbbbbbbbbbb", &f), ERRC_BUSY);
	assert_int_equal(find(&old, FAMILY_KEY, &f), ERRC_BUSY);
	assert_int_equal(find(&none, FAMILY_KEY, &f), ERRC_BUSY);
	rig_drain(family.r);
	assert_int_equal(find(&old, FAMILY_KEY, &f), ERRC_OK);
	assert_true(f.seq > 0);
	assert_int_equal(find(&none, FAMILY_KEY, &f), ERRC_NOTFOUND);
	assert_int_equal(find(&old, "bbbbbbbbbbbb", &f), ERRC_NOTFOUND);
	/* What the ledger has is found there, however much waits. */
	fill(OUTBOX_FIND_MAX + 1);
	assert_int_equal(find(&old, FAMILY_KEY, &f), ERRC_OK);
}

/* A price row that is not the one that was charged is not shown as if it were. */
static void test_changed_price_row(void **state)
{
	struct rig *r = family.r;
	uint8_t hash[DIGEST_SHA256], bytes[PRICE_BYTES_MAX];
	struct lookup_found f;
	struct genid id = spend();
	MDB_txn *txn;

	(void)state;
	rig_drain(r);
	price_hash(&r->price, hash);
	for (int wrong = 0; wrong < 2; wrong++) {
		size_t n = price_encode(&r->price, bytes);

		bytes[n - 1] ^= (uint8_t)wrong;
		assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
		assert_int_equal(lmdbx_put(txn, r->ledger->prices, slice_of(hash, sizeof hash),
					   slice_of(bytes, n), 0),
				 ERRC_OK);
		assert_int_equal(mdb_txn_commit(txn), 0);
		assert_int_equal(find(&id, FAMILY_KEY, &f), wrong ? ERRC_CORRUPT : ERRC_OK);
		assert_int_equal(f.priced, !wrong);
	}
}

/* Into the ledger, and out of the outbox all that it has. */
static void take(bool away)
{
	struct rig *r = family.r;
	struct ledger *l = r->ledger;
	bool more;

	assert_int_equal(outbox_read(r->live, ledger_state(l)->taken_n, &r->batch), ERRC_OK);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_take(l, live_head(r->live)->epoch, &r->batch), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	if (away)
		assert_int_equal(outbox_delete(r->live, ledger_state(l)->taken_n, &more), ERRC_OK);
}

/* A charge that was taken back says so, wherever the two are by then. */
static void test_taken_back(void **state)
{
	struct rig *r = family.r;
	struct lookup_found f;
	struct admit_done done;
	struct admit_op op = {.kind = ADMIT_REVERSE};
	uint64_t taken;
	bool more;

	(void)state;
	rig_drain(r);
	family_hold(100, &op.settle.id);
	rig_settle(r, family.account, &op.settle.id, 50, 20, &done);
	take(false);
	taken = ledger_state(r->ledger)->taken_n;
	assert_int_equal(find(&op.settle.id, FAMILY_KEY, &f), ERRC_OK);
	assert_false(f.reversed);
	op.settle.account = family.account;
	op.settle.wall_ms = r->wall_ms;
	op.settle.boot_ms = r->boot_ms;
	op.outbox_n = done.outbox_n;
	rig_run(r, &op);
	assert_true(op.done.settled);
	assert_int_equal(find(&op.settle.id, FAMILY_KEY, &f), ERRC_OK);
	assert_true(f.reversed);
	assert_int_equal(outbox_delete(r->live, taken, &more), ERRC_OK);
	assert_int_equal(find(&op.settle.id, FAMILY_KEY, &f), ERRC_OK);
	assert_true(f.seq > 0);
	assert_true(f.reversed);
	assert_int_equal(find_upstream(&f), ERRC_OK);
	assert_true(f.seq > 0);
	assert_true(f.reversed);
	take(true);
	assert_int_equal(find(&op.settle.id, FAMILY_KEY, &f), ERRC_OK);
	assert_true(f.seq > 0);
	assert_true(f.reversed);
	assert_int_equal(find_upstream(&f), ERRC_OK);
	assert_true(f.seq > 0);
	assert_true(f.reversed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_how_far_is_looked, family_setup,
						family_teardown),
		cmocka_unit_test_setup_teardown(test_changed_price_row, family_setup,
						family_teardown),
		cmocka_unit_test_setup_teardown(test_taken_back, family_setup, family_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
