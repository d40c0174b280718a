/* Live store and ledger compared, with records that wait in the outbox and with a difference made by hand. */
#include "family.h"

#include <stdio.h>

#include "agree.h"
#include "live_priv.h"

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

static size_t different(void)
{
	struct agree g;

	round_of(family.r, &g);
	assert_int_equal(g.missing, 0);
	return g.different;
}

/* A budget or a total of one scope that is not what the records say. */
static void test_scopes_differ(void **state)
{
	struct admit_done done;
	struct rows_state s;
	struct genid id;
	char user[ROWS_ID];

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	family_hold(100, &id); /* runs */
	assert_int_equal(different(), 0);
	family.r->wall_ms += 86400000; /* a window that only this hold is in */
	family_hold(100, &id);
	assert_int_equal(different(), 0);
	rows_user_id(family.user, user);
	for (size_t i = 0; i < FAMILY_N; i++) {
		for (int change = 0; change < 2; change++) {
			struct rows_state bad;
			const char *scope = i == 3 ? user : family.of[i].id;
			MDB_txn *txn = NULL;

			family_state(i, &s);
			bad = s;
			if (change)
				bad.counters[4].budget.cur.used_nusd++;
			else
				bad.requests++;
			assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
			assert_int_equal(live_put_state(family.r->live, txn, family.account,
							family.of[i].kind, scope, &bad),
					 ERRC_OK);
			assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
			assert_int_equal(different(), change || i == 1 || i == 2);
			assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
			assert_int_equal(live_put_state(family.r->live, txn, family.account,
							family.of[i].kind, scope, &s),
					 ERRC_OK);
			assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
		}
	}
	assert_int_equal(different(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agree),
		cmocka_unit_test(test_differ),
		cmocka_unit_test_setup_teardown(test_scopes_differ, family_setup, family_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
