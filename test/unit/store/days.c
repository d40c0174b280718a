#include "days.h"

#include <stdio.h>

#include "ledger_priv.h"
#include "seal.h"

int days_setup(void **state)
{
	static struct days s;
	struct rows_scope k;

	s = (struct days){.now_ms = DAYS_0};
	rig_init(&s.rig);
	s.rig.wall_ms = DAYS_0;
	rig_open(&s.rig);
	s.account = rig_account(&s.rig, "acme", 1000 * RIG_DOLLAR);
	rig_key(&s.rig, s.account, DAYS_KEY, &k);
	*state = &s;
	return 0;
}

int days_teardown(void **state)
{
	struct days *s = *state;

	rig_fini(&s->rig);
	return 0;
}

struct genid days_id_of(uint64_t n)
{
	struct genid id = {.b = {0}};

	ledger_put_be(n, id.b);
	return id;
}

/* One commit as the keeper's: a day that is over is sealed first. */
void days_take(struct days *s, size_t n)
{
	struct ledger *l = s->rig.ledger;
	uint64_t seq;

	assert_int_equal(ledger_begin(l), ERRC_OK);
	if (seal_is_due(l, s->now_ms))
		assert_int_equal(seal_day(l, s->now_ms), ERRC_OK);
	for (size_t i = 0; i < n; i++) {
		struct record rec = {
			.type = RECORD_CHARGE, .account = s->account, .wall_ms = s->now_ms};
		char user[16];

		snprintf(user, sizeof user, "user-%d", (int)(i % 7));
		memcpy(rec.charge.key_id, DAYS_KEY, APIKEY_ID);
		rec.charge.id = days_id_of(++s->charges);
		rec.charge.upstream_id = slice_str(user);
		rec.charge.model = SLICE_LIT("m");
		rec.charge.provider = SLICE_LIT("p");
		rec.charge.user = slice_str(user);
		rec.charge.charge_nusd = 1000 + (int64_t)i;
		usage_init(&rec.charge.usage);
		assert_int_equal(ledger_append(l, &rec, &seq), ERRC_OK);
	}
	assert_int_equal(ledger_commit(l), ERRC_OK);
}

void days_checkpoint(struct ledger *l)
{
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_checkpoint(l), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
}

void days_fill(struct days *s)
{
	for (int d = 0; d < DAYS_N; d++) {
		s->now_ms = DAYS_0 + d * ROLLUP_DAY_MS + 1000;
		for (int i = 0; i < 13; i++)
			days_take(s, DAYS_CHARGES / 13);
		days_checkpoint(s->rig.ledger);
	}
}

void days_verify_good(struct days *s, struct verify_result *v)
{
	assert_int_equal(verify_ledger(s->rig.ledger, false, NULL, NULL, v), ERRC_OK);
	assert_int_equal(v->bad_chain_seq, 0);
	assert_int_equal(v->bad_record_seq, 0);
	assert_int_equal(v->bad_account, 0);
	assert_int_equal(v->bad_seal_seq, 0);
	assert_int_equal(v->bad_day, ROLLUP_DAY_MAX);
	assert_true(verify_is_good(v));
}

void days_reopen(struct days *s)
{
	rig_close(&s->rig);
	rig_open(&s->rig);
}

/* All steps; the number of them. */
int days_retain(struct days *s, const struct retain_keep *keep, bool restart)
{
	struct verify_result v;
	bool more = true;
	int n = 0;

	for (; more; n++) {
		assert_int_equal(retain_step(s->rig.ledger, keep, s->now_ms, &more), ERRC_OK);
		days_verify_good(s, &v);
		if (restart && n % 2)
			days_reopen(s);
	}
	return n;
}
