/* Live store and ledger compared, with records that wait in the outbox and with a difference made by hand. */
#include "rig.h"

#include <stdio.h>

#include "agree.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_agree),
		cmocka_unit_test(test_differ),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
