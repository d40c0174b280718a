#include "rig.h"

#include <stdio.h>
#include <stdlib.h>

#include "lmdbx.h"
#include "mem.h"
#include "progress_priv.h"

#define KEY_A "aaaaaaaaaaaa"
#define HOLDS 20000
#define BYTES ((size_t)4 << 20)

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	r.opts.live_bytes = BYTES;
	rig_open(&r);
	rig_join(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

/* A settlement whose record is as large as they come: the provider says much, and all attempts have long names. */
static void settle_large(struct rig *r, uint64_t acc, const struct genid *id)
{
	static struct record_attempt attempts[LIMIT_ATTEMPTS];
	static char text[RECORD_RAW_MAX];
	struct admit_op op;

	memset(text, '7', sizeof text);
	for (size_t i = 0; i < ARRAY_LEN(attempts); i++)
		attempts[i] = (struct record_attempt){.provider = slice_of(text, 60),
						      .upstream = slice_of(text, 100),
						      .status = 503,
						      .error = slice_of(text, 30)};
	rig_settle_op(r, &op, acc, id, 10, 10);
	op.settle.raw_usage = slice_of(text, sizeof text);
	op.settle.attempts = attempts;
	op.settle.attempts_n = ARRAY_LEN(attempts);
	rig_run(r, &op);
	assert_int_equal(op.rc, ERRC_OK);
	assert_true(op.done.settled);
}

static bool hold(struct rig *r, uint64_t acc, const char *user, struct genid *id,
		 struct admit_op *op)
{
	struct hold_candidate c;

	rig_ask(r, op, &c, acc, KEY_A, &r->price, 100);
	op->ask.user = slice_str(user);
	*id = op->ask.id;
	rig_run(r, op);
	assert_int_equal(op->rc, ERRC_OK);
	return op->reason == ADMIT_NONE;
}

/* Holds until the store says no; then every one of them settles, though nobody takes from the outbox. */
static void fill_and_settle(struct rig *r, uint64_t acc, const char *user, struct genid *ids,
			    bool large)
{
	struct admit_done done;
	struct admit_op op;
	int n = 0;

	while (n < HOLDS && hold(r, acc, user, &ids[n], &op))
		n++;
	assert_in_range(n, 100, HOLDS - 1);
	assert_true(op.reason == ADMIT_SPACE || op.reason == ADMIT_LEDGER);
	for (int i = 0; i < n; i++) {
		if (large) {
			settle_large(r, acc, &ids[i]);
			continue;
		}
		rig_settle(r, acc, &ids[i], 10, 10, &done);
		assert_true(done.settled);
	}
}

static void test_full_store_settles(void **state)
{
	struct rig *r = *state;
	struct genid *ids = mem_new(HOLDS * sizeof *ids);
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct live_space space;
	struct rows_scope k;
	struct scan s;

	assert_non_null(ids);
	rig_key(r, acc, KEY_A, &k);
	for (int round = 0; round < 4; round++) {
		fill_and_settle(r, acc, "", ids, round % 2);
		assert_int_equal(live_space(r->live, r->boot_ms, &space), ERRC_OK);
		assert_true(space.used_bytes < BYTES);
		assert_int_equal(space.holds, 0);
		assert_true(space.outbox_records > 100);
		assert_int_equal(rig_drain(r), space.outbox_records);
		rig_check(r, &s);
	}
	assert_int_equal(live_space(r->live, r->boot_ms, &space), ERRC_OK);
	assert_int_equal(space.outbox_records, 0);
	assert_int_equal(space.outbox_age_ms, 0);
	mem_free(ids);
}

static void give_budgets(struct rows_scope *s)
{
	while (rows_limits_add(&s->limits, ROWS_BUDGET, 1000 * RIG_DOLLAR))
		;
}

/* Each request counts in as many budgets as there may be: its record, where it is as large as they come, needs a page more than others. */
static void test_full_store_of_many_budgets(void **state)
{
	struct rig *r = *state;
	struct genid *ids = mem_new(HOLDS * sizeof *ids);
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct rows_scope k, s;
	struct live_space space;
	struct scan sums;

	assert_non_null(ids);
	rig_scope(&s, acc, ROWS_ACCOUNT, "");
	give_budgets(&s);
	rig_put(r, &s);
	rig_scope(&s, acc, ROWS_TEAM, "growth");
	give_budgets(&s);
	rig_put(r, &s);
	rig_key(r, acc, KEY_A, &k);
	memcpy(k.team, s.id, ROWS_ID);
	give_budgets(&k);
	rig_put(r, &k);
	rig_scope(&s, acc, ROWS_USER, "alice");
	give_budgets(&s);
	rig_put(r, &s);
	for (int round = 0; round < 3; round++) {
		fill_and_settle(r, acc, "alice", ids, true);
		assert_int_equal(live_space(r->live, r->boot_ms, &space), ERRC_OK);
		assert_int_equal(space.holds, 0);
		assert_int_equal(progress_pages(live_progress(r->live)), 0);
		rig_drain(r);
		rig_check(r, &sums);
	}
	mem_free(ids);
}

/* Nobody takes from the outbox at all: in the end nothing is admitted, and nothing is lost. */
static void test_outbox_share(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct rows_scope k;
	uint64_t n = 0;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	for (; n < HOLDS && rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op); n++) {
		rig_settle(r, acc, &id, 10, 10, &done);
		assert_true(done.settled);
	}
	assert_in_range(n, 1000, HOLDS - 1);
	assert_int_equal(op.reason, ADMIT_LEDGER);
	rig_check(r, &s);
	assert_int_equal(s.settled_nusd, (int64_t)n * 30000);
	assert_int_equal(rig_drain(r), n);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
}

/* Keys until there is no room: refused before the ledger has it, so that what restricts still works, requests are still
 * admitted, and a start finds the stores as they were. */
static void test_full_of_keys(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct rows_scope k;
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct scan s;
	bool durable = false;
	char name[16];
	enum errc rc = ERRC_OK;
	int n = 0;

	rig_key(r, acc, KEY_A, &k);
	for (; n < HOLDS && !rc; n++) {
		snprintf(name, sizeof name, "%012d", n);
		memcpy(k.id, name, APIKEY_ID);
		memset(k.hash, 0, sizeof k.hash);
		memcpy(k.hash, &n, sizeof n);
		rc = admin_key_create(&r->admin, &r->by, &k, &durable);
	}
	assert_int_equal(rc, ERRC_FULL);
	assert_in_range(n, 1000, HOLDS - 1);
	assert_false(durable);
	assert_int_equal(admin_account_credit(&r->admin, &r->by, acc, 1, &durable), ERRC_OK);
	assert_int_equal(admin_key_revoke(&r->admin, &r->by, "000000000001", false, &durable),
			 ERRC_OK);
	assert_true(durable);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	rig_settle(r, acc, &id, 10, 10, &done);
	assert_true(done.settled);
	rig_drain(r);
	rig_check(r, &s);
	rig_close(r);
	rig_open(r);
	rig_join(r);
	rig_check(r, &s);
}

/* Definitions that restrict are done in the live store first: they leave the room of settlements alone too, and one that takes no
 * more room than before is always possible. */
static void test_full_of_users(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct rows_scope k, u;
	struct genid ids[100];
	struct admit_op op;
	char name[32];
	bool durable = false;
	enum errc rc = ERRC_OK;
	int n = 0;

	rig_key(r, acc, KEY_A, &k);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &ids[i], &op));
	for (; n < HOLDS && !rc; n++) {
		snprintf(name, sizeof name, "user-%d", n);
		rig_scope(&u, acc, ROWS_USER, name);
		rig_limit(&u, ROWS_RPM, 5);
		rc = admin_user_set(&r->admin, &r->by, &u, &durable);
		if (!rc)
			rig_drain(r);
	}
	assert_int_equal(rc, ERRC_FULL);
	assert_in_range(n, 1000, HOLDS - 1);
	assert_false(durable);
	rig_scope(&u, acc, ROWS_USER, "user-1");
	rig_limit(&u, ROWS_RPM, 4);
	assert_int_equal(admin_user_set(&r->admin, &r->by, &u, &durable), ERRC_OK);
	u.limits.v[0].models = SLICE_LIT("gpt-*"); /* no rule more, but a larger one */
	assert_int_equal(admin_user_set(&r->admin, &r->by, &u, &durable), ERRC_FULL);
	assert_int_equal(admin_account_set_status(&r->admin, &r->by, acc, ROWS_SUSPENDED, &durable),
			 ERRC_OK);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		settle_large(r, acc, &ids[i]);
}

/* The program is linked so that every commit passes here. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static int no_room; /* commits that find none */

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (no_room == 0)
		return __real_mdb_txn_commit(txn);
	no_room--;
	mdb_txn_abort(txn);
	return MDB_MAP_FULL;
}

/* A batch that finds no room, though there seemed to be some: who came in with it is refused, who goes out is settled. */
static void test_no_room_at_the_commit(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 10 * RIG_DOLLAR);
	struct hold_candidate c;
	struct admit_rules rules = {.ledger_lag_max_ms = 10000};
	struct admit_op first, hold, settle, *const both[] = {&hold, &settle};
	struct rows_scope k;
	struct genid id;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &first));
	rig_ask(r, &hold, &c, acc, KEY_A, &r->price, 100);
	rig_settle_op(r, &settle, acc, &id, 10, 10);
	no_room = 1;
	assert_int_equal(admit_batch(r->live, &rules, both, ARRAY_LEN(both)), ERRC_OK);
	assert_int_equal(no_room, 0);
	assert_int_equal(hold.rc, ERRC_OK);
	assert_int_equal(hold.reason, ADMIT_SPACE);
	assert_int_equal(settle.rc, ERRC_OK);
	assert_true(settle.done.settled);
	rig_check(r, &s);
	assert_int_equal(s.holds, 0);
	assert_int_equal(s.settled_nusd, 30000);
}

static void test_too_small_or_no_room(void **state)
{
	struct rig *r = *state;
	struct live_opts o = {
		.dir = r->started.live_dir, .size_bytes = 1000, .regions = 4, .slots = 16};
	struct live *l = NULL;
	enum errc e;
	char dir[200];

	assert_int_equal(live_create(&o, &l), ERRC_INVAL);
	snprintf(dir, sizeof dir, "%s/huge", r->dir);
	o.dir = dir;
	o.any_filesystem = true;
	o.size_bytes = (size_t)1 << 46;
	e = live_create(&o, &l);
	assert_int_not_equal(e, ERRC_OK);
	if (!getenv("AIGW_VALGRIND")) /* which has a word of its own for such a size */
		assert_int_equal(e, ERRC_NOSPACE);
	assert_null(l);
	o.size_bytes = BYTES;
	o.dir = "/proc/aigw";
	assert_true(live_create(&o, &l) != ERRC_OK);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_full_store_settles),    T(test_full_store_of_many_budgets),
		T(test_full_of_keys),          T(test_full_of_users),
		T(test_outbox_share),          T(test_too_small_or_no_room),
		T(test_no_room_at_the_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
