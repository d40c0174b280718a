/* A limit of requests at once that comes while requests run counts them, in every scope, for all models or some, and they leave it when
 * they end. */
#include "family.h"

#include "live_priv.h"
#include "rows_states.h"

#define RUN 5

static bool ask(const char *user, const char *model, struct admit_op *op, struct genid *id)
{
	struct hold_candidate c;

	rig_ask(family.r, op, &c, family.account, FAMILY_KEY, &family.r->price, 10);
	op->ask.user = slice_str(user);
	op->ask.model = slice_str(model);
	*id = op->ask.id;
	rig_run(family.r, op);
	assert_int_equal(op->rc, ERRC_OK);
	return op->reason == ADMIT_NONE;
}

static struct genid start(const char *user, const char *model)
{
	struct admit_op op;
	struct genid id;

	if (!ask(user, model, &op, &id))
		fail_msg("%s: %s of %s", admit_reason_text(op.reason), op.refusal.what,
			 op.refusal.scope_name);
	return id;
}

static void end(const struct genid *id)
{
	struct admit_done done;

	rig_settle(family.r, family.account, id, 1, 1, &done);
	assert_true(done.settled);
}

static void refused(const char *user, const char *model, enum rows_kind scope, const char *name)
{
	struct admit_op op;
	struct genid id;

	assert_false(ask(user, model, &op, &id));
	assert_int_equal(op.reason, ADMIT_CONCURRENCY);
	assert_int_equal(op.refusal.scope, scope);
	assert_string_equal(op.refusal.scope_name, name);
}

static void limit(struct rows_scope *s, int64_t n, const char *models)
{
	struct rows_rule *r = rows_limits_add(&s->limits, ROWS_CONCURRENCY, n);

	assert_non_null(r);
	r->models = slice_str(models);
	rig_put(family.r, s);
}

static void user_state(const char *tag, struct rows_state *out)
{
	char id[ROWS_ID];

	rows_user_id(slice_str(tag), id);
	rig_state(family.r, family.account, ROWS_USER, id, out);
}

/* Of all scopes nothing runs any more. */
static void nothing_runs(void)
{
	for (size_t i = 0; i < FAMILY_N; i++) {
		struct rows_state s;

		family_state(i, &s);
		assert_int_equal(s.holds, 0);
		for (size_t k = 0; k < s.n; k++)
			assert_true(s.counters[k].kind != ROWS_CONCURRENCY ||
				    s.counters[k].running == 0);
	}
	rig_check_books(family.r);
}

/* The scope gets its limit while requests run; `models`: for these only, and there are others that it is not about. */
static void limit_of_scope(size_t scope, const char *models)
{
	static const char *const names[FAMILY_N] = {"acme", "growth", "a key", "alice"};
	struct rows_scope *s = &family.of[scope];
	struct genid ids[RUN], others[2], next;

	print_message("scope %zu, models \"%s\"\n", scope, models);
	for (size_t i = 0; i < RUN; i++)
		ids[i] = start("alice", "m1");
	others[0] = start("alice", "m2");
	others[1] = start("alice", "m2");
	if (!models[0]) {
		end(&others[0]);
		end(&others[1]);
	}
	limit(s, 2, models);
	assert_int_equal(family_look(scope, 0).used, RUN);
	for (size_t i = 0; i + 2 <= RUN; i++) {
		refused("alice", "m1", s->kind, names[scope]);
		end(&ids[i]);
	}
	next = start("alice", "m1");
	refused("alice", "m1", s->kind, names[scope]);
	if (models[0]) {
		struct genid other = start("alice", "m2");

		end(&other);
		end(&others[0]);
		end(&others[1]);
	}
	end(&ids[RUN - 1]);
	end(&next);
	nothing_runs();
}

static void test_for_all_models(void **state)
{
	(void)state;
	for (size_t i = FAMILY_N; i-- > 0;) {
		limit_of_scope(i, "");
		family.of[i].limits.n = 0;
		rig_put(family.r, &family.of[i]);
	}
}

static void test_for_some_models(void **state)
{
	(void)state;
	for (size_t i = FAMILY_N; i-- > 0;) {
		limit_of_scope(i, "m1\nx*");
		family.of[i].limits.n = 0;
		rig_put(family.r, &family.of[i]);
	}
}

/* A scope that counts already, for it has another limit, and then gets this one. */
static void test_beside_another_limit(void **state)
{
	struct genid first, second;

	(void)state;
	first = start("alice", "m1");
	for (size_t i = 0; i < FAMILY_N; i++)
		rig_limit(&family.of[i], ROWS_RPM, 1000);
	family_put();
	second = start("alice", "m1");
	for (size_t i = 0; i < FAMILY_N; i++) {
		limit(&family.of[i], 100, "m1");
		limit(&family.of[i], 100, "");
	}
	for (size_t i = 0; i < FAMILY_N; i++) {
		assert_int_equal(family_look(i, 1).used, 2);
		assert_int_equal(family_look(i, 2).used, 2);
		assert_int_equal(family_look(i, 0).used, 1);
	}
	end(&first);
	end(&second);
	for (size_t i = 0; i < FAMILY_N; i++) {
		assert_int_equal(family_look(i, 1).used, 0);
		assert_int_equal(family_look(i, 0).used, 1);
	}
	nothing_runs();
}

/* Those for all end users hold each of them by what it runs itself; whom rules of its own hold is not their business, until it loses them. */
static void test_every_user(void **state)
{
	struct rows_scope every, *alice = &family.of[3];
	struct genid a[2], b[2], none;
	struct rows_state s;
	bool durable;

	(void)state;
	rig_limit(alice, ROWS_RPM, 1000);
	rig_put(family.r, alice);
	for (size_t i = 0; i < 2; i++) {
		a[i] = start("alice", "m1");
		b[i] = start("bob", "m1");
	}
	none = start("", "m1");
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	limit(&every, 2, "");
	limit(&every, 1, "m2");
	limit(&every, 3, "m*");
	user_state("bob", &s);
	assert_int_equal(s.holds, 2);
	assert_int_equal(s.counters[1].running, 0);
	assert_int_equal(s.counters[2].running, 2);
	assert_true(s.counters[2].of_all);
	refused("bob", "m1", ROWS_USER, "bob");
	end(&b[0]);
	b[0] = start("bob", "m1");
	assert_int_equal(start("carol", "m1").b[0], none.b[0]);
	user_state("alice", &s);
	assert_int_equal(s.holds, 2);
	assert_int_equal(s.n, 1);
	assert_int_equal(admin_user_remove(&family.r->admin, &family.r->by, family.account,
					   SLICE_LIT("alice"), &durable),
			 ERRC_OK);
	refused("alice", "m1", ROWS_USER, "alice");
	user_state("alice", &s);
	assert_int_equal(s.holds, 2);
	assert_int_equal(s.counters[2].running, 2);
	for (size_t i = 0; i < 2; i++) {
		end(&a[i]);
		end(&b[i]);
	}
	end(&none);
	for (size_t i = 0; i < 2; i++) {
		user_state(i ? "alice" : "bob", &s);
		assert_int_equal(s.holds, 0);
		assert_int_equal(s.counters[2].running, 0);
	}
	rig_check_books(family.r);
}

/* Those for all count who has a row and no limits in it: from the start, or once its own are taken away. */
static void test_without_limits_of_its_own(void **state)
{
	struct rows_scope every, bob, *alice = &family.of[3];
	struct genid a[2], b[2];

	(void)state;
	rig_limit(alice, ROWS_RPM, 1000);
	rig_put(family.r, alice);
	rig_scope(&bob, family.account, ROWS_USER, "bob");
	rig_put(family.r, &bob);
	for (size_t i = 0; i < 2; i++) {
		a[i] = start("alice", "m1");
		b[i] = start("bob", "m1");
	}
	rig_scope(&every, family.account, ROWS_USER, ROWS_EVERY_USER);
	limit(&every, 2, "m*");
	refused("bob", "m1", ROWS_USER, "bob");
	end(&b[0]);
	b[0] = start("bob", "m1");
	rig_limit(alice, ROWS_RPM, ROWS_NO_LIMIT);
	rig_put(family.r, alice);
	refused("alice", "m1", ROWS_USER, "alice");
	end(&a[0]);
	a[0] = start("alice", "m1");
	for (size_t i = 0; i < 2; i++) {
		end(&a[i]);
		end(&b[i]);
	}
	nothing_runs();
	rig_check_books(family.r);
}

/* Other patterns of a limit count what they are about. */
static void test_other_patterns(void **state)
{
	struct rows_scope *key = &family.of[2];
	struct genid one, two[2];

	(void)state;
	one = start("", "m1");
	limit(key, 9, "m1");
	assert_int_equal(family_look(2, 0).used, 1);
	two[0] = start("", "m2");
	two[1] = start("", "m2");
	key->limits.v[0].models = SLICE_LIT("m2");
	rig_put(family.r, key);
	assert_int_equal(family_look(2, 0).used, 2);
	key->limits.v[0].limit = 2;
	rig_put(family.r, key);
	assert_int_equal(family_look(2, 0).used, 2);
	refused("", "m2", ROWS_KEY, "a key");
	end(&one);
	assert_int_equal(family_look(2, 0).used, 2);
	key->limits.v[0].models = SLICE_NONE;
	rig_put(family.r, key);
	assert_int_equal(family_look(2, 0).used, 2);
	refused("", "m1", ROWS_KEY, "a key");
	end(&two[0]);
	key->limits.v[0].models = SLICE_LIT("m*");
	rig_put(family.r, key);
	assert_int_equal(family_look(2, 0).used, 1);
	end(&two[1]);
	nothing_runs();
}

/* Without a charge, and with nothing but the record's own page for it, however many limits come while it runs. */
static void test_released(void **state)
{
	struct genid id = start("alice", "m1");

	(void)state;
	for (size_t i = 0; i < FAMILY_N; i++) {
		for (size_t k = 0; k < 20; k++)
			limit(&family.of[i], 5, "m*");
		assert_int_equal(family_look(i, 19).used, 1);
	}
	assert_int_equal(progress_pages(live_progress(family.r->live)), 0);
	rig_release(family.r, family.account, &id);
	assert_int_equal(progress_pages(live_progress(family.r->live)), 0);
	nothing_runs();
}

/* A hold or a state that cannot be read keeps no limit from coming into force. */
static void test_damaged(void **state)
{
	struct genid bad = start("alice", "m1"), good = start("alice", "m1");
	struct rows_key_name name =
		rows_name(family.account, ROWS_HOLD, slice_of(bad.b, GENID_BYTES));
	MDB_txn *txn;

	(void)state;
	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_row_put(family.r->live, txn, &name, SLICE_LIT("\1xyz"), 0), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
	limit(&family.of[3], 2, "");
	assert_int_equal(family_look(3, 0).used, 1);
	end(&good);
	assert_int_equal(family_look(3, 0).used, 0);
	good = start("alice", "m1");
	name = rows_name_states(family.account);
	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_row_put(family.r->live, txn, &name, SLICE_LIT("\1xyz"), 0), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
	limit(&family.of[0], 2, "");
}

int main(void)
{
#define T(name)                                                               \
	cmocka_unit_test_setup_teardown(name, family_setup, family_teardown), \
		cmocka_unit_test_setup_teardown(name, family_setup_apart, family_teardown)
	const struct CMUnitTest tests[] = {
		T(test_for_all_models),
		T(test_for_some_models),
		T(test_beside_another_limit),
		T(test_every_user),
		T(test_without_limits_of_its_own),
		T(test_other_patterns),
		T(test_released),
		cmocka_unit_test_setup_teardown(test_damaged, family_setup, family_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
