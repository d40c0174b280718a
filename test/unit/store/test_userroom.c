/* End users without a definition have a share of the live store: who makes up as many of them as he likes is refused new ones, and nobody else. */
#include "rig.h"

#include <stdio.h>
#include <string.h>

#include "agree.h"
#include "folder.h"
#include "idle.h"
#include "live_states.h"
#include "userroom.h"

#define MIB    ((size_t)1 << 20)
#define DAY_MS INT64_C(86400000)
#define MANY   20000

static struct rig rig, *const r = &rig;

/* A start is at the time of the test. */
int64_t __wrap_clock_wall_ms(void);

int64_t __wrap_clock_wall_ms(void)
{
	return r->wall_ms;
}

static const char *const keys[] = {"aaaaaaaaaaaa", "bbbbbbbbbbbb", "cccccccccccc"};
static uint64_t accounts[ARRAY_LEN(keys)];

static int setup(void **state)
{
	static const char *const names[ARRAY_LEN(keys)] = {"acme", "bert", "carl"};
	struct rows_scope k;

	(void)state;
	rig_init(r);
	r->opts.live_bytes = 4 * MIB;
	rig_open(r);
	rig_join(r);
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		accounts[i] = rig_account(r, names[i], 1000000 * RIG_DOLLAR);
		rig_key(r, accounts[i], keys[i], &k);
	}
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_fini(r);
	return 0;
}

static void give_rate(size_t of, const char *tag)
{
	struct rows_scope s;

	rig_scope(&s, accounts[of], ROWS_USER, tag);
	rig_limit(&s, ROWS_RPM, 100);
	rig_put(r, &s);
}

static void give_month(size_t of)
{
	struct rows_scope s;

	rig_scope(&s, accounts[of], ROWS_USER, ROWS_EVERY_USER);
	rig_limit(&s, ROWS_RPM, 100);
	rig_budget(&s, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_MONTH});
	rig_put(r, &s);
}

static int settled;

/* A request of the end user, charged when it is granted. */
static bool asks(size_t of, const char *tag, struct admit_op *op)
{
	struct hold_candidate c;
	struct admit_done done;
	struct genid id;

	rig_ask(r, op, &c, accounts[of], keys[of], &r->price, 100);
	op->ask.user = slice_str(tag);
	id = op->ask.id;
	rig_run(r, op);
	assert_int_equal(op->rc, ERRC_OK);
	if (op->reason != ADMIT_NONE)
		return false;
	rig_settle(r, accounts[of], &id, 10, 10, &done);
	assert_true(done.settled);
	if (++settled % 64 == 0)
		rig_drain(r);
	return true;
}

static void passes(size_t of, const char *tag)
{
	struct admit_op op;

	assert_true(asks(of, tag, &op));
}

/* New ones, from this number on, until one is refused for want of room: how many came. */
static int flood(size_t of, int from, int max)
{
	struct admit_op op;
	char tag[32];
	int n = 0;

	do
		snprintf(tag, sizeof tag, "u%d", from + n);
	while (n < max && asks(of, tag, &op) && ++n);
	rig_drain(r);
	if (n == max)
		return n;
	assert_int_equal(op.reason, ADMIT_USERS);
	assert_int_equal(op.refusal.scope, ROWS_USER);
	assert_string_equal(op.refusal.scope_name, tag);
	assert_string_equal(op.refusal.what, "end users at once");
	assert_true(op.refusal.wait_ms > 0);
	return n;
}

/* By the rows themselves. */
static uint64_t noted(uint64_t account)
{
	struct rows_key_name from = rows_name(account ? account : 1, ROWS_HEAD, SLICE_NONE);
	struct slice key = slice_of(from.b, from.n), value, id;
	uint64_t sum = 0, of = 0;
	enum rows_kind kind;
	struct rows_states w;
	struct rows_state s;
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc;

	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(mdb_cursor_open(txn, r->live->rows, &c), 0);
	for (rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value); !rc;
	     rc = lmdbx_move(c, MDB_NEXT, &key, &value)) {
		assert_true(rows_name_parse(key, &of, &kind, &id));
		if ((account && of != account) || of > ROWS_ACCOUNT_LAST)
			break;
		if (kind != ROWS_STATE)
			continue;
		assert_int_equal(rows_states_begin(&w, id, value), ERRC_OK);
		while (rows_states_next(&w) == ERRC_OK) {
			assert_int_equal(rows_get_state(w.state, &s), ERRC_OK);
			assert_true(s.noted == 0 || w.kind == ROWS_USER);
			sum += s.noted;
		}
	}
	mdb_cursor_close(c);
	live_read_end(r->live);
	return sum;
}

static struct userroom room_of(size_t of)
{
	struct userroom room;
	MDB_txn *txn;

	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(userroom_look(r->live, txn, accounts[of], &room), ERRC_OK);
	live_read_end(r->live);
	assert_int_equal(room.account, noted(accounts[of]));
	assert_int_equal(room.all, noted(0));
	return room;
}

static int64_t used_by(size_t of, const char *tag)
{
	struct rows_state s;
	char id[ROWS_ID];

	rows_user_id(slice_str(tag), id);
	rig_state(r, accounts[of], ROWS_USER, id, &s);
	for (size_t i = 0; i < s.n; i++) {
		if (s.counters[i].kind == ROWS_BUDGET)
			return s.counters[i].budget.cur.used_nusd;
	}
	return 0;
}

static void forget(void)
{
	struct idle it = {.removed = 0};

	do
		assert_int_equal(idle_slice(r->live, &it, r->boot_ms, r->wall_ms), ERRC_OK);
	while (it.at.n > 0);
}

static void later(int64_t ms)
{
	rig_drain(r);
	r->boot_ms += ms;
	r->wall_ms += ms;
}

static void both_agree(void)
{
	struct agree g = {.done = false};
	struct scan s;

	rig_drain(r);
	rig_check(r, &s);
	while (!g.done)
		assert_int_equal(agree_slice(&r->admin, &g), ERRC_OK);
	assert_int_equal(g.different, 0);
}

static void lose_live_store(size_t bytes)
{
	rig_drain(r);
	rig_close(r);
	folder_remove("%s/live", r->dir);
	r->opts.live_bytes = bytes;
	rig_open(r);
	rig_join(r);
}

/* One account makes up end users: it comes to half of what there is for all, and everybody else goes on, itself too. */
static void test_a_flood_refuses_new_ones_only(void **state)
{
	int first, second;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		give_rate(i, ROWS_EVERY_USER);
	give_rate(0, "known");
	first = flood(0, 0, MANY);
	assert_in_range(first, 4000, MANY - 1);
	passes(0, "u0");
	passes(0, "known");
	passes(0, "");
	passes(1, "");
	passes(1, "somebody");
	second = flood(1, 0, MANY);
	assert_in_range(second, first / 3, first - 1);
	passes(2, "somebody");
	assert_in_range(flood(2, 0, MANY), second / 3, second - 1);
	assert_int_equal(flood(0, first, 10), 0);
	assert_true(room_of(0).account > room_of(1).account);
	passes(0, "");
	both_agree();
}

/* Of whom nothing counts any more goes at once when another comes, without anybody who sweeps. */
static void test_what_is_over_goes_for_another(void **state)
{
	uint64_t before;
	int n;

	(void)state;
	give_rate(0, ROWS_EVERY_USER);
	n = flood(0, 0, MANY);
	before = room_of(0).account;
	later(50000);
	assert_int_equal(flood(0, n, 10), 0);
	later(71000);
	assert_int_equal(flood(0, n, n / 5 * 4), n / 5 * 4);
	assert_true(room_of(0).account <= before);
	assert_true(flood(0, 2 * n, MANY) <= n - n / 5 * 4);
	both_agree();
}

/* What a window has used or a hold has taken never goes, though its end user asks no more. */
static void test_what_counts_stays(void **state)
{
	struct hold_candidate c;
	struct admit_done done;
	struct admit_op op;
	struct genid held;
	int n;

	(void)state;
	r->wall_ms = INT64_C(1788220800000) + DAY_MS; /* 2 September */
	give_month(0);
	rig_ask(r, &op, &c, accounts[0], keys[0], &r->price, 100);
	op.ask.user = SLICE_LIT("held");
	held = op.ask.id;
	rig_run(r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	n = flood(0, 0, MANY);
	later(20 * DAY_MS);
	forget();
	assert_int_equal(flood(0, n, 10), 0);
	assert_int_equal(used_by(0, "u0"), 30000);
	passes(0, "u0");
	assert_int_equal(used_by(0, "u0"), 60000);
	/* In October nothing of September counts but the hold. */
	later(10 * DAY_MS);
	assert_int_equal(flood(0, n, 10), 0); /* that they are over is for the keeper to say */
	forget();
	assert_true(flood(0, n, n) > n / 2);
	rig_settle(r, accounts[0], &held, 10, 10, &done);
	assert_true(done.settled);
	assert_int_equal(done.charge_nusd, 30000);
	room_of(0);
	both_agree();
}

/* Where room is short they go at once, else a day later; so where there are no rules for all, for these may be put back. */
static void test_swept(void **state)
{
	bool durable;

	(void)state;
	give_rate(0, ROWS_EVERY_USER);
	give_rate(1, ROWS_EVERY_USER);
	flood(0, 0, 100);
	later(DAY_MS / 2);
	forget();
	assert_true(room_of(0).account > 0);
	assert_int_equal(admin_user_remove(&r->admin, &r->by, accounts[0],
					   SLICE_LIT(ROWS_EVERY_USER), &durable),
			 ERRC_OK);
	forget();
	assert_true(room_of(0).account > 0);
	later(DAY_MS / 2 + 1000);
	forget();
	assert_int_equal(room_of(0).account, 0);
	flood(1, 0, MANY);
	later(121000);
	forget();
	assert_false(userroom_is_short(
		&(struct userroom){.all = room_of(1).all, .share = room_of(1).share}));
	both_agree();
}

/* One that gets a definition takes nothing of it, and is no new one when it has lost it. */
static void test_definitions_come_and_go(void **state)
{
	uint64_t full;
	bool durable;
	int n;

	(void)state;
	give_rate(0, ROWS_EVERY_USER);
	n = flood(0, 0, MANY);
	full = room_of(0).account;
	give_rate(0, "u7");
	passes(0, "u7");
	assert_true(room_of(0).account < full);
	assert_int_equal(flood(0, n, 10), 1);
	assert_int_equal(
		admin_user_remove(&r->admin, &r->by, accounts[0], SLICE_LIT("u7"), &durable),
		ERRC_OK);
	passes(0, "u7");
	assert_true(room_of(0).account > full);
	both_agree();
}

/* A new live store has those that count, and no others. */
static void test_rebuilt(void **state)
{
	uint64_t before;
	int n;

	(void)state;
	r->wall_ms = INT64_C(1788220800000);
	give_month(0);
	give_rate(1, ROWS_EVERY_USER);
	n = flood(0, 0, MANY);
	flood(1, 0, 100);
	before = room_of(0).account;
	lose_live_store(4 * MIB);
	assert_int_equal(r->started.live_needs_bytes, 0);
	assert_int_equal(room_of(0).account, before);
	assert_int_equal(room_of(1).account, 0);
	assert_int_equal(flood(0, n, 10), 0);
	passes(0, "u0");
	assert_int_equal(used_by(0, "u0"), 60000);
	both_agree();
	later(32 * DAY_MS);
	lose_live_store(4 * MIB);
	assert_int_equal(room_of(0).account, 0);
	passes(0, "u0");
	both_agree();
}

/* One that is too small for them starts all the same: who is not there is refused as long as his budget might count. */
static void test_too_small_for_users(void **state)
{
	struct admit_op op;
	size_t needs;
	int there = 0;
	char tag[16];
	int n;

	(void)state;
	r->wall_ms = INT64_C(1788220800000);
	give_month(0);
	give_rate(1, ROWS_EVERY_USER);
	n = flood(0, 0, MANY);
	lose_live_store(5 * MIB / 4);
	needs = r->started.live_needs_bytes;
	assert_in_range(needs, 4 * MIB, 8 * MIB);
	for (int i = 0; i < n; i++) {
		snprintf(tag, sizeof tag, "u%d", i);
		if (used_by(0, tag) == 30000) {
			passes(0, tag);
			assert_int_equal(used_by(0, tag), 60000);
			there++;
			continue;
		}
		assert_false(asks(0, tag, &op));
		assert_int_equal(op.reason, ADMIT_USERS);
		assert_true(op.refusal.wait_ms > DAY_MS);
	}
	assert_in_range(there, 100, n - 1000);
	assert_false(asks(0, "another", &op));
	passes(0, "");
	passes(1, "");
	passes(1, "somebody");
	both_agree();
	lose_live_store(needs);
	assert_int_equal(r->started.live_needs_bytes, 0);
	passes(0, "another");
	for (int i = 0; i < n; i++) {
		snprintf(tag, sizeof tag, "u%d", i);
		assert_true(used_by(0, tag) >= 30000);
	}
	lose_live_store(5 * MIB / 4);
	assert_false(asks(0, "yet another", &op));
	later(32 * DAY_MS);
	forget();
	passes(0, "yet another");
}

/* For its definitions it must be large enough: then the start says how large. */
static void test_too_small_for_definitions(void **state)
{
	struct rows_scope s;
	size_t needs;
	char tag[16], models[400];

	(void)state;
	memset(models, 'm', sizeof models);
	for (int i = 0; i < 3000; i++) {
		snprintf(tag, sizeof tag, "u%d", i);
		rig_scope(&s, accounts[0], ROWS_USER, tag);
		s.models = slice_of(models, sizeof models);
		rig_put(r, &s);
		if (i % 256 == 0)
			rig_drain(r);
	}
	rig_drain(r);
	rig_close(r);
	folder_remove("%s/live", r->dir);
	r->opts.live_bytes = MIB;
	assert_int_equal(outbox_batch_init(&r->batch, 512), ERRC_OK);
	assert_int_equal(store_start(&r->opts, &r->live, &r->ledger, &r->started), ERRC_NOSPACE);
	outbox_batch_fini(&r->batch);
	needs = r->started.live_needs_bytes;
	assert_in_range(needs, 2 * MIB, 64 * MIB);
	folder_remove("%s/live", r->dir);
	r->opts.live_bytes = needs;
	rig_open(r);
	assert_int_equal(r->started.live_needs_bytes, 0);
	rig_join(r);
	passes(0, "");
}

/* After a clean stop the store is made as large as it shall be, and only then. */
static void test_another_size(void **state)
{
	(void)state;
	rig_close(r);
	r->opts.live_bytes = 6 * MIB;
	rig_open(r);
	assert_int_equal(r->started.outcome, STORE_ACCEPTED);
	assert_int_equal(r->live->size_bytes, 4 * MIB);
	lose_live_store(4 * MIB);
	rig_close(r);
	folder_remove("%s/live", r->dir);
	rig_open(r);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(store_mark_clean(r->live, r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	rig_close(r);
	r->opts.live_bytes = 6 * MIB;
	rig_open(r);
	assert_int_equal(r->started.outcome, STORE_CLEAN);
	assert_int_equal(r->started.at_risk_nusd, 0);
	assert_int_equal(r->live->size_bytes, 6 * MIB);
	rig_join(r);
	passes(0, "");
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_a_flood_refuses_new_ones_only),
		T(test_what_is_over_goes_for_another),
		T(test_what_counts_stays),
		T(test_swept),
		T(test_definitions_come_and_go),
		T(test_rebuilt),
		T(test_too_small_for_users),
		T(test_too_small_for_definitions),
		T(test_another_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
