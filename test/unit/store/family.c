#include "family.h"

#include <stdio.h>

#include "live_states.h"

static const char none[ROWS_ID];

struct family family;

int family_setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	family = (struct family){.r = &r, .user = SLICE_LIT("alice")};
	family.account = rig_account(&r, "acme", 100 * RIG_DOLLAR);
	rig_scope(&family.of[0], family.account, ROWS_ACCOUNT, "");
	rig_scope(&family.of[1], family.account, ROWS_TEAM, "growth");
	rig_put(&r, &family.of[1]);
	rig_key(&r, family.account, FAMILY_KEY, &family.of[2]);
	memcpy(family.of[2].team, family.of[1].id, ROWS_ID);
	rig_put(&r, &family.of[2]);
	rig_scope(&family.of[3], family.account, ROWS_USER, "alice");
	*state = &family;
	return 0;
}

int family_setup_apart(void **state)
{
	static const struct rows_state empty = {.n = 0};
	char id[ROWS_ID + 1];
	struct buf one;
	MDB_txn *txn;
	size_t n;

	if (family_setup(state))
		return -1;
	buf_init(&one, ROWS_MAX);
	assert_int_equal(rows_put_state(&one, &empty), ERRC_OK);
	n = ROWS_STATES_MAX / ROWS_STATES_ENTRY(one.len); /* no state is smaller */
	buf_fini(&one);
	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	for (size_t i = 0; i < n; i++) {
		snprintf(id, sizeof id, "user%08zu", i);
		assert_int_equal(
			live_put_state(family.r->live, txn, family.account, ROWS_USER, id, &empty),
			ERRC_OK);
	}
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
	return 0;
}

int family_teardown(void **state)
{
	(void)state;
	rig_fini(family.r);
	return 0;
}

void family_put(void)
{
	for (size_t i = 0; i < FAMILY_N; i++)
		rig_put(family.r, &family.of[i]);
}

/* Some of each kind, far from being used up. */
void family_give_rules(struct rows_scope *s)
{
	struct rows_rule *rolling;

	rig_limit(s, ROWS_RPM, 1000);
	rig_limit(s, ROWS_TPD, 1000000);
	rig_limit(s, ROWS_CONCURRENCY, 100);
	rig_budget(s, 10 * RIG_DOLLAR, (struct window_spec){.unit = WINDOW_DAY});
	rolling = rows_limits_add(&s->limits, ROWS_BUDGET, 20 * RIG_DOLLAR);
	rolling->window = (struct window_spec){.unit = WINDOW_HOUR, .rolling = true};
}

bool family_ask(struct admit_op *op, int64_t cap, struct genid *id)
{
	struct hold_candidate c;

	rig_ask(family.r, op, &c, family.account, FAMILY_KEY, &family.r->price, cap);
	op->ask.user = family.user;
	*id = op->ask.id;
	rig_run(family.r, op);
	assert_int_equal(op->rc, ERRC_OK);
	return op->reason == ADMIT_NONE;
}

void family_hold(int64_t cap, struct genid *id)
{
	struct admit_op op;

	if (!family_ask(&op, cap, id))
		fail_msg("%s: %s of %s", admit_reason_text(op.reason), op.refusal.what,
			 op.refusal.scope_name);
}

void family_refuse(int64_t cap, enum admit_reason why, size_t scope, struct admit_refusal *out)
{
	static const char *const names[FAMILY_N] = {"acme", "growth", "a key", "alice"};
	static const enum rows_kind kinds[FAMILY_N] = {ROWS_ACCOUNT, ROWS_TEAM, ROWS_KEY, ROWS_USER};
	struct admit_op op;
	struct genid id;

	assert_false(family_ask(&op, cap, &id));
	assert_int_equal(op.reason, why);
	assert_int_equal(op.refusal.scope, kinds[scope]);
	assert_string_equal(op.refusal.scope_name, names[scope]);
	*out = op.refusal;
}

static void state_id(size_t scope, char id[ROWS_ID])
{
	if (scope == 3)
		rows_user_id(family.user, id);
	else
		memcpy(id, scope == 0 ? none : family.of[scope].id, ROWS_ID);
}

void family_state(size_t scope, struct rows_state *out)
{
	char id[ROWS_ID];

	state_id(scope, id);
	rig_state(family.r, family.account, family.of[scope].kind, id, out);
}

/* How the n-th rule of a scope stands. */
struct rows_rule_now family_look(size_t scope, size_t n)
{
	const struct rows_rule *r = &family.of[scope].limits.v[n];
	struct rows_rule_now now;
	struct rows_state s;

	family_state(scope, &s);
	rows_rule_look(r, rows_state_counter(&s, r), s.holds, family.r->boot_ms, family.r->wall_ms,
		       &now);
	return now;
}
