/* Live store and ledger compared, with records that wait in the outbox and with a difference made by hand. */
#include "family.h"

#include <stdio.h>

#include "agree.h"
#include "live_states.h"

static void round_of(struct rig *r, struct agree *g)
{
	*g = (struct agree){.done = false};
	while (!g->done)
		assert_int_equal(agree_slice(&r->admin, g), ERRC_OK);
}

static void test_agree(void **state)
{
	struct rig r;
	struct agree g;
	struct rows_scope k;
	struct genid id;
	struct admit_op op;
	struct admit_done done;
	uint64_t account, other = 0;
	char name[32];
	bool durable;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	round_of(&r, &g);
	assert_int_equal(g.accounts, 0);
	account = rig_account(&r, "acme", RIG_DOLLAR);
	rig_key(&r, account, "aaaaaaaaaaaa", &k);
	for (int i = 0; i < 3 * AGREE_SLICE; i++) {
		snprintf(name, sizeof name, "other-%d", i);
		other = rig_account(&r, name, RIG_DOLLAR);
	}
	for (int i = 0; i < 20; i++) {
		assert_true(rig_hold(&r, account, "aaaaaaaaaaaa", &r.price, 100, &id, &op));
		if (i % 4 != 0)
			rig_settle(&r, account, &id, 50, 20, &done);
	}
	assert_int_equal(admin_account_take(&r.admin, &r.by, other, RIG_DOLLAR / 2, &durable),
			 ERRC_OK);
	round_of(&r, &g);
	assert_int_equal(g.accounts, 3 * AGREE_SLICE + 1);
	assert_int_equal(g.different, 0);
	assert_int_equal(g.missing, 0);
	rig_fini(&r);
	(void)state;
}

static void test_differ(void **state)
{
	struct record take = {.type = RECORD_TAKE, .wall_ms = 1};
	struct rig r;
	struct agree g;
	uint64_t seq;

	rig_init(&r);
	rig_open(&r);
	(void)rig_account(&r, "acme", RIG_DOLLAR);
	take.account = rig_account(&r, "second", RIG_DOLLAR);
	take.change.amount_nusd = 1;
	assert_int_equal(ledger_begin(r.ledger), ERRC_OK);
	assert_int_equal(ledger_append(r.ledger, &take, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(r.ledger), ERRC_OK);
	round_of(&r, &g);
	assert_int_equal(g.accounts, 2);
	assert_int_equal(g.different, 1);
	assert_int_equal(g.first_different, take.account);
	rig_fini(&r);
	(void)state;
}

/* The program is linked so that every commit passes here: workers go on while the ledger takes over what they have made. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static struct {
	struct rig *r;
	uint64_t account, poor;
	bool runs;
} beside;

/* A take that has come as far as the outbox. */
static void take_in_live(struct rig *r, uint64_t account)
{
	struct record take = {.type = RECORD_TAKE, .account = account, .wall_ms = r->wall_ms};
	struct rows_account a;
	MDB_txn *txn;
	uint64_t n;

	take.change.amount_nusd = 7;
	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(live_get_account(r->live, txn, account, &a), ERRC_OK);
	a.granted_nusd -= 7;
	a.balance_nusd -= 7;
	assert_int_equal(live_put_account(r->live, txn, &a), ERRC_OK);
	assert_int_equal(live_outbox_last(r->live, txn, &n), ERRC_OK);
	assert_int_equal(live_outbox_append(r->live, txn, n + 1, r->boot_ms, &take), ERRC_OK);
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
}

/* A charge, and what takes it back. */
static void charge_in_live(struct rig *r, uint64_t account, const char *key, int64_t in, bool back)
{
	struct admit_op hold, op = {.kind = ADMIT_REVERSE};
	struct admit_done done;
	struct genid id;

	assert_true(rig_hold(r, account, key, &r->price, 100, &id, &hold));
	rig_settle(r, account, &id, in, 20, &done);
	if (!back)
		return;
	op.settle.account = account;
	op.settle.id = id;
	op.outbox_n = done.outbox_n;
	rig_run(r, &op);
	assert_true(op.done.settled);
}

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	bool live = beside.r && mdb_txn_env(txn) == beside.r->live->env;
	int rc = __real_mdb_txn_commit(txn);

	if (!beside.runs || live)
		return rc;
	charge_in_live(beside.r, beside.account, "aaaaaaaaaaaa", 50, false);
	charge_in_live(beside.r, beside.poor, "bbbbbbbbbbbb", 1000000, true);
	take_in_live(beside.r, beside.account);
	return rc;
}

/* However often the ledger takes over what there is, something waits in the outbox: it counts. */
static void test_outbox_beside(void **state)
{
	struct rig r;
	struct agree g;
	struct rows_scope k;

	(void)state;
	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	beside.account = rig_account(&r, "acme", RIG_DOLLAR);
	beside.poor = rig_account(&r, "poor", RIG_DOLLAR / 1000);
	rig_key(&r, beside.account, "aaaaaaaaaaaa", &k);
	rig_key(&r, beside.poor, "bbbbbbbbbbbb", &k);
	charge_in_live(&r, beside.account, "aaaaaaaaaaaa", 50, false);
	beside.r = &r;
	beside.runs = true;
	round_of(&r, &g);
	beside.runs = false;
	beside.r = NULL;
	assert_int_equal(g.accounts, 2);
	assert_int_equal(g.different, 0);
	assert_true(rig_drain(&r) > 0);
	round_of(&r, &g);
	assert_int_equal(g.different, 0);
	rig_fini(&r);
}

static size_t different(void)
{
	struct agree g;

	round_of(family.r, &g);
	assert_int_equal(g.missing, 0);
	return g.different;
}

/* A budget or a total of each scope, one after the other, that is not what the records say. */
static void expect_each_to_differ(void)
{
	struct rows_state s;
	char user[ROWS_ID];

	rows_user_id(family.user, user);
	for (size_t i = 0; i < FAMILY_N; i++) {
		for (int change = 0; change < 3; change++) {
			struct rows_state bad;
			const char *scope = i == 3 ? user : family.of[i].id;
			MDB_txn *txn = NULL;

			family_state(i, &s);
			bad = s;
			if (change == 0)
				bad.counters[4].budget.cur.used_nusd++;
			else if (change == 1)
				bad.requests++;
			else
				bad.tokens++;
			assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
			assert_int_equal(live_put_state(family.r->live, txn, family.account,
							family.of[i].kind, scope, &bad),
					 ERRC_OK);
			assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
			assert_int_equal(different(), change == 0 || i == 1 || i == 2);
			assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
			assert_int_equal(live_put_state(family.r->live, txn, family.account,
							family.of[i].kind, scope, &s),
					 ERRC_OK);
			assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
		}
	}
}

/* Also in a window that only holds are in. */
static void test_scopes_differ(void **state)
{
	struct admit_done done;
	struct genid id;

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	family_hold(100, &id); /* the ledger knows of no use yet */
	expect_each_to_differ();
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	family_hold(100, &id); /* runs */
	assert_int_equal(different(), 0);
	expect_each_to_differ();
	family.r->wall_ms += 86400000;
	family_hold(100, &id);
	assert_int_equal(different(), 0);
	expect_each_to_differ();
	assert_int_equal(different(), 0);
}

static void put_state(struct rig *r, uint64_t account, enum rows_kind kind, const char *id,
		      const struct rows_state *s)
{
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(live_put_state(r->live, txn, account, kind, id, s), ERRC_OK);
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
}

/* An account whose rows are more than a slice, which ends inside it: all of them are compared, and it is counted once. */
static void test_more_rows_than_a_slice(void **state)
{
	struct rows_state s = {.n = 0}, bad = {.tokens = 1};
	struct rig r;
	struct agree g;
	struct rows_scope k;
	uint64_t account, other;
	char id[16];

	(void)state;
	rig_init(&r);
	rig_open(&r);
	account = rig_account(&r, "acme", RIG_DOLLAR);
	other = rig_account(&r, "other", RIG_DOLLAR);
	for (int i = 0; i < 520; i++) {
		snprintf(id, sizeof id, "%012d", i);
		rig_key(&r, account, id, &k);
	}
	round_of(&r, &g);
	assert_int_equal(g.accounts, 2);
	assert_int_equal(g.different + g.missing, 0);
	put_state(&r, account, ROWS_KEY, "000000000000", &bad);
	put_state(&r, account, ROWS_KEY, "000000000519", &bad);
	round_of(&r, &g);
	assert_int_equal(g.accounts, 2);
	assert_int_equal(g.different, 1);
	put_state(&r, account, ROWS_KEY, "000000000000", &s);
	round_of(&r, &g);
	assert_int_equal(g.different, 1);
	assert_int_equal(g.first_different, account);
	put_state(&r, account, ROWS_KEY, "000000000519", &s);
	/* Of a key that the ledger does not know; of such an end user only what is swept is there. */
	put_state(&r, other, ROWS_USER, "zzzzzzzzzzzz", &s);
	round_of(&r, &g);
	assert_int_equal(g.different, 0);
	put_state(&r, other, ROWS_KEY, "zzzzzzzzzzzz", &s);
	round_of(&r, &g);
	assert_int_equal(g.first_different, other);
	rig_fini(&r);
}

/* Changes an account's row in the live store. */
static void put_wrong(struct rig *r, uint64_t account, int64_t nusd, uint32_t holds)
{
	struct rows_account a;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(live_get_account(r->live, txn, account, &a), ERRC_OK);
	a.balance_nusd += nusd;
	a.holds += holds;
	assert_int_equal(live_put_account(r->live, txn, &a), ERRC_OK);
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
}

static void scan_all(struct rig *r, struct scan *sum)
{
	*sum = (struct scan){.done = false};
	while (!sum->done)
		assert_int_equal(scan_slice(r->live, sum, 1), ERRC_OK);
}

/* By how much the sums of an account are wrong, and of how many accounts; wrong in both directions is no balance. Without a
 * difference in money the number is no 0 either. */
static void test_imbalance_is_measured(void **state)
{
	static const int64_t wrong[] = {5, -3};
	struct scan sum;
	struct rig r;
	uint64_t id[ARRAY_LEN(wrong)];

	(void)state;
	rig_init(&r);
	rig_open(&r);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		id[i] = rig_account(&r, i ? "other" : "acme", RIG_DOLLAR);
	scan_all(&r, &sum);
	assert_int_equal(scan_off(&sum), 0);
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
		put_wrong(&r, id[i], 0, 1); /* counts a hold that there is not */
		scan_all(&r, &sum);
		assert_int_equal(sum.imbalance_nusd, 0);
		assert_int_equal(sum.broken_accounts, i + 1);
		assert_int_equal(scan_off(&sum), i + 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		put_wrong(&r, id[i], wrong[i], 0);
	scan_all(&r, &sum);
	assert_int_equal(sum.imbalance_nusd, 5 + 3);
	assert_int_equal(scan_off(&sum), 5 + 3);
	assert_int_equal(sum.broken_accounts, 2);
	assert_int_equal(sum.first_broken, id[0]);
	rig_fini(&r);
}

static void test_account_of_one_store(void **state)
{
	struct rig r;
	struct agree g;
	struct rows_key_name name;
	MDB_txn *txn;

	(void)state;
	rig_init(&r);
	rig_open(&r);
	name = rows_name(rig_account(&r, "acme", RIG_DOLLAR), ROWS_ACCOUNT, SLICE_NONE);
	(void)rig_account(&r, "other", RIG_DOLLAR);
	assert_int_equal(live_txn_begin(r.live, &txn), ERRC_OK);
	assert_int_equal(live_row_del(r.live, txn, &name), ERRC_OK);
	assert_int_equal(live_txn_commit(r.live, &txn), ERRC_OK);
	round_of(&r, &g);
	assert_int_equal(g.accounts, 1);
	assert_int_equal(g.missing, 1);
	assert_int_equal(g.different, 0);
	rig_fini(&r);
}

/* By one of the two: what is held is no matter of the ledger's. */
static bool is_found(void)
{
	struct agree g = {.done = false};
	struct scan s = {0};

	while (!g.done)
		assert_int_equal(agree_slice(&family.r->admin, &g), ERRC_OK);
	while (g.different == 0 && !s.done)
		assert_int_equal(scan_slice(family.r->live, &s, 64), ERRC_OK);
	return g.different > 0 || g.damaged > 0 || s.broken_accounts > 0 || s.damaged > 0;
}

static void put_row(const struct rows_key_name *name, const char *p, size_t n)
{
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_row_put(family.r->live, txn, name, slice_of(p, n), 0), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
}

/* What the account, its team, key and end user may do, in the live store. */
static void test_every_flipped_byte(void **state)
{
	static char row[ROWS_MAX];
	char user[ROWS_ID];

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	assert_false(is_found());
	rows_user_id(family.user, user);
	for (size_t i = 0; i <= FAMILY_N; i++) {
		struct rows_key_name name =
			i == FAMILY_N ? rows_name(family.account, ROWS_ACCOUNT, SLICE_NONE)
				      : rows_name_scope(family.account, family.of[i].kind,
							i == 3 ? user : family.of[i].id);
		MDB_txn *txn;
		struct slice v;
		size_t n;

		assert_int_equal(live_read_begin(family.r->live, &txn), ERRC_OK);
		assert_int_equal(live_row_get(family.r->live, txn, &name, &v), ERRC_OK);
		n = v.n;
		memcpy(row, v.p, n);
		live_read_end(family.r->live);
		for (size_t at = 0; at < n; at++) {
			row[at] ^= (char)(1u << (at % 8));
			put_row(&name, row, n);
			if (!is_found())
				fail_msg("byte %zu of row %zu", at, i);
			row[at] ^= (char)(1u << (at % 8));
		}
		put_row(&name, row, n);
	}
	assert_false(is_found());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agree),
		cmocka_unit_test(test_differ),
		cmocka_unit_test(test_outbox_beside),
		cmocka_unit_test(test_more_rows_than_a_slice),
		cmocka_unit_test(test_imbalance_is_measured),
		cmocka_unit_test(test_account_of_one_store),
		cmocka_unit_test_setup_teardown(test_scopes_differ, family_setup, family_teardown),
		cmocka_unit_test_setup_teardown(test_every_flipped_byte, family_setup,
						family_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
