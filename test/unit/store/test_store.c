#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin_priv.h"
#include "folder.h"
#include "ledger_priv.h"
#include "live_priv.h"

#define KEY_A "aaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbb"

/* The program is linked so that every commit passes here: a process can be ended before or after its n-th one. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static unsigned commits, die_before, die_after;
static const MDB_env *no_space; /* whose commits fail */

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	int rc;

	commits++;
	if (commits == die_before)
		_exit(77);
	if (mdb_txn_env(txn) == no_space) {
		mdb_txn_abort(txn);
		return ENOSPC;
	}
	rc = __real_mdb_txn_commit(txn);
	if (commits == die_after)
		_exit(77);
	return rc;
}

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_open(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static uint64_t some_work(struct rig *r, const char *name, const char *key_id)
{
	uint64_t acc = rig_account(r, name, RIG_DOLLAR);
	struct admit_done done;
	struct admit_op op;
	struct rows_scope k;
	struct genid id;

	rig_key(r, acc, key_id, &k);
	rig_join(r);
	for (int i = 0; i < 5; i++) {
		assert_true(rig_hold(r, acc, key_id, &r->price, 100, &id, &op));
		rig_settle(r, acc, &id, 10, 10, &done);
	}
	return acc;
}

static void test_goes_on(void **state)
{
	struct rig *r = *state;
	struct rows_account a, b;
	struct admit_op op;
	struct genid id;
	uint64_t acc;

	assert_int_equal(r->started.outcome, STORE_FIRST);
	acc = some_work(r, "acme", KEY_A);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	rig_get_account(r, acc, &a);
	rig_close(r);
	rig_open(r);
	assert_int_equal(r->started.outcome, STORE_ACCEPTED);
	assert_null(r->started.reason);
	assert_int_equal(r->started.taken, 5);
	rig_get_account(r, acc, &b);
	assert_true(rig_same(&a, &b));
	rig_check_books(r);
}

/* The keeper dies between the ledger's commit and the outbox's delete. */
static void test_taken_but_not_deleted(void **state)
{
	struct rig *r = *state;
	uint64_t acc = some_work(r, "acme", KEY_A), seq;

	assert_int_equal(outbox_read(r->live, 0, &r->batch), ERRC_OK);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_take(r->ledger, live_head(r->live)->epoch, &r->batch), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	seq = ledger_state(r->ledger)->last_seq;
	rig_close(r);
	rig_open(r);
	assert_int_equal(r->started.outcome, STORE_ACCEPTED);
	assert_int_equal(r->started.taken, 0);
	assert_int_equal(ledger_state(r->ledger)->last_seq, seq);
	assert_int_equal(book_account(ledger_book(r->ledger), acc)->settled_nusd, 5 * 30000);
	rig_check_books(r);
}

static void expect_rebuilt(struct rig *r, uint64_t acc, int64_t settled)
{
	struct rows_account a;
	struct admit_op op;
	struct genid id;
	struct auth_key key;
	enum auth_result result;
	uint8_t hash[DIGEST_SHA256], addr[16] = {0};

	assert_int_equal(r->started.outcome, STORE_REBUILT);
	assert_non_null(r->started.reason);
	rig_get_account(r, acc, &a);
	assert_int_equal(a.granted_nusd, RIG_DOLLAR);
	assert_int_equal(a.settled_nusd, settled);
	assert_int_equal(a.held_nusd, 0);
	digest_sha256(SLICE_LIT(KEY_A), hash);
	assert_int_equal(auth_lookup(r->live, hash, addr, 1, &result, &key), ERRC_OK);
	assert_int_equal(result, AUTH_OK);
	assert_string_equal(key.account_name, "acme");
	rig_join(r);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	rig_check_books(r);
}

static void test_lost_live_store(void **state)
{
	struct rig *r = *state;
	uint64_t acc = some_work(r, "acme", KEY_A), epoch = live_head(r->live)->epoch;
	struct admit_op op;
	struct genid id;
	char dir[256];

	rig_drain(r);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
	assert_true(live_is_in_place(r->live));
	memcpy(dir, r->started.live_dir, sizeof dir);
	folder_remove("%s", dir);
	assert_false(live_is_in_place(r->live));
	rig_close(r);
	rig_open(r);
	assert_int_equal(live_head(r->live)->epoch, epoch + 1);
	expect_rebuilt(r, acc, 5 * 30000);
}

static enum errc start_again(struct rig *r)
{
	struct ledger *ledger = NULL;
	struct live *live = NULL;
	enum errc rc = store_start(&r->opts, &live, &ledger, &r->started);

	live_close(&live);
	ledger_close(&ledger);
	return rc;
}

/* A new ledger in place of one that is gone would throw the live store away with everybody's money. */
static void test_lost_ledger(void **state)
{
	static const uint8_t id[LIVE_ID] = "0123456789abcde";
	struct rig *r = *state;
	char dir[256], live[256], data[300], ledger[280], aside[280];
	struct ledger_opts read = {.dir = dir, .read_only = true};
	struct lmdbx_opts bare = {
		.dir = ledger, .map_bytes = 1 << 20, .readers_max = 4, .dbs_max = 4};
	struct ledger *none = NULL, *again = NULL;
	struct live *l = NULL;
	MDB_env *env;

	rig_close(r);
	folder_remove("%s/state", r->dir);
	r->opts.ledger_id = id;
	rig_open(r);
	some_work(r, "acme", KEY_A);
	memcpy(live, r->started.live_dir, sizeof live);
	rig_close(r);
	snprintf(dir, sizeof dir, "%s/state", r->dir);
	snprintf(ledger, sizeof ledger, "%s/ledger", dir);
	snprintf(aside, sizeof aside, "%s/aside", dir);
	snprintf(data, sizeof data, "%s/data.mdb", ledger);
	assert_int_equal(rename(ledger, aside), 0);
	for (int i = 0; i < 5; i++) {
		if (i == 1) /* the folder is there */
			assert_int_equal(mkdir(ledger, 0700), 0);
		if (i == 2) /* and an empty file */
			fclose(fopen(data, "w"));
		if (i == 3) { /* and one without trees */
			assert_int_equal(lmdbx_open(&bare, &env), ERRC_OK);
			mdb_env_close(env);
		}
		if (i == 4) { /* a reboot: only who asks knows */
			folder_remove("%s", live);
			r->opts.had_ledger = true;
			assert_int_equal(truncate(data, 0), 0);
		}
		assert_int_equal(start_again(r), ERRC_CORRUPT);
		assert_int_equal(r->started.fault, LEDGER_GONE);
		assert_int_equal(access(ledger, F_OK), i == 0 ? -1 : 0);
		if (i != 3)
			assert_int_equal(ledger_open(&read, &none), ERRC_CORRUPT);
	}
	r->opts.had_ledger = false;
	assert_int_equal(start_again(r), ERRC_OK);
	assert_int_equal(r->started.outcome, STORE_FIRST);
	folder_remove("%s", ledger);
	assert_int_equal(rename(aside, ledger), 0);
	r->opts.had_ledger = true;
	assert_int_equal(store_start(&r->opts, &l, &again, &r->started), ERRC_OK);
	assert_int_not_equal(book_accounts_n(ledger_book(again)), 0);
	live_close(&l);
	ledger_close(&again);
	rig_open(r);
}

/* A copy of the very files in the very place is another file. */
static void test_copied_live_store(void **state)
{
	struct rig *r = *state;
	uint64_t acc = some_work(r, "acme", KEY_A);
	char dir[256], copy[300];

	rig_drain(r);
	memcpy(dir, r->started.live_dir, sizeof dir);
	snprintf(copy, sizeof copy, "%s.copy", dir);
	folder_copy(dir, copy);
	rig_close(r);
	folder_remove("%s", dir);
	assert_int_equal(rename(copy, dir), 0);
	rig_open(r);
	expect_rebuilt(r, acc, 5 * 30000);
}

/* The ledger is older than the live store: a backup was put back by hand. */
static void test_older_ledger(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct admit_done done;
	struct rows_scope k;
	struct admit_op op;
	struct genid id;
	char ledger[256], copy[256];

	rig_key(r, acc, KEY_A, &k);
	rig_close(r);
	snprintf(ledger, sizeof ledger, "%s/state", r->dir);
	snprintf(copy, sizeof copy, "%s/state.copy", r->dir);
	folder_copy(ledger, copy);
	rig_open(r);
	rig_join(r);
	for (int i = 0; i < 5; i++) {
		assert_true(rig_hold(r, acc, KEY_A, &r->price, 100, &id, &op));
		rig_settle(r, acc, &id, 10, 10, &done);
	}
	rig_drain(r);
	rig_close(r);
	folder_remove("%s", ledger);
	assert_int_equal(rename(copy, ledger), 0);
	rig_open(r);
	assert_int_equal(r->started.at_risk_nusd,
			 -1); /* what was charged nothing tells of any more */
	expect_rebuilt(r, acc, 0);
}

static void test_unfinished_live_store(void **state)
{
	struct rig *r = *state;
	struct live_opts o = {.dir = r->started.live_dir,
			      .size_bytes = 4 << 20,
			      .regions = 4,
			      .slots = 16,
			      .any_filesystem = true};
	struct live *l = NULL;

	memcpy(o.ledger_id, live_head(r->live)->ledger_id, LIVE_ID);
	live_close(&r->live);
	assert_int_equal(live_create(&o, &l), ERRC_EXISTS);
	assert_int_equal(live_remove(o.dir), ERRC_OK);
	assert_int_equal(live_open(&o, &l), ERRC_NOTFOUND);
	assert_int_equal(live_create(&o, &l), ERRC_OK);
	live_close(&l);
	assert_int_equal(live_open(&o, &l), ERRC_STALE);
	rig_close(r);
	rig_open(r);
	assert_int_equal(r->started.outcome, STORE_REBUILT);
}

static void test_other_ledger_is_refused(void **state)
{
	struct rig *r = *state;
	struct live_opts o = {.dir = r->started.live_dir};
	struct live *l = NULL;

	live_close(&r->live);
	assert_int_equal(live_open(&o, &l), ERRC_STALE);
	o.dir = "/nowhere";
	assert_int_equal(live_open(&o, &l), ERRC_NOTFOUND);
}

/* Rules of the account, of a team that the key is put into, and of an end user, who goes again. */
static void add_scopes(struct rig *r, uint64_t acc)
{
	struct rows_scope s, key;
	struct buf mem;
	bool durable;

	rig_scope(&s, acc, ROWS_ACCOUNT, "");
	rig_budget(&s, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_YEAR});
	rig_put(r, &s);
	rig_scope(&s, acc, ROWS_USER, "ann");
	rig_limit(&s, ROWS_RPM, 100);
	rig_put(r, &s);
	rig_scope(&s, acc, ROWS_TEAM, "team");
	rig_budget(&s, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_YEAR});
	rig_put(r, &s);
	buf_init(&mem, ROWS_MAX);
	assert_int_equal(admin_key_get(r->live, KEY_B, &mem, &key, NULL), ERRC_OK);
	memcpy(key.team, s.id, ROWS_ID);
	rig_put(r, &key);
	buf_fini(&mem);
	assert_int_equal(admin_user_remove(&r->admin, &r->by, acc, SLICE_LIT("ann"), &durable),
			 ERRC_OK);
}

/* The life of a node, with everything that writes. `r` is closed before and after. */
static void script(struct rig *r)
{
	struct admit_done done;
	struct admit_op op;
	struct rows_scope k;
	struct genid id, open;
	uint64_t acc;
	bool durable;

	rig_open(r);
	acc = some_work(r, "second", KEY_B);
	add_scopes(r, acc);
	assert_true(rig_hold(r, acc, KEY_B, &r->price, 100, &open, &op));
	assert_int_equal(admin_account_take(&r->admin, &r->by, acc, 1000, &durable), ERRC_OK);
	assert_int_equal(admin_account_credit(&r->admin, &r->by, acc, 5000, &durable), ERRC_OK);
	assert_int_equal(admin_account_set_status(&r->admin, &r->by, acc, ROWS_SUSPENDED, &durable),
			 ERRC_OK);
	assert_int_equal(admin_account_set_status(&r->admin, &r->by, acc, ROWS_ACTIVE, &durable),
			 ERRC_OK);
	rig_key(r, acc, "cccccccccccc", &k);
	assert_int_equal(admin_key_revoke(&r->admin, &r->by, k.id, false, &durable), ERRC_OK);
	assert_true(rig_hold(r, acc, KEY_B, &r->price, 100, &id, &op));
	rig_settle(r, acc, &id, 10, 10, &done);
	rig_settle_op(r, &op, acc, &id, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = done.outbox_n;
	rig_run(r, &op);
	rig_drain(r);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	rig_settle(r, acc, &open, 10, 10, &done);
	rig_drain(r);
	rig_close(r);
}

#define CRASH_LIVE_BYTES (4 << 20) /* many are made, each allocated whole */

enum loss { LOSE_NOTHING, LOSE_BEFORE, LOSE_AFTER };

/* Ends the node before or after its n-th commit; whatever stands then must start, agree and verify. The live store may be
 * lost before (then the node dies while it rebuilds) or after. True when the script ran to its end. */
static bool crash_at(unsigned n, bool after, enum loss loss)
{
	static struct rig r;
	char live[256];
	int status;
	pid_t pid;

	rig_init(&r);
	r.opts.live_bytes = CRASH_LIVE_BYTES;
	rig_open(&r);
	some_work(&r, "acme", KEY_A);
	rig_drain(&r);
	rig_close(&r);
	snprintf(live, sizeof live, "%s/live", r.dir);
	if (loss == LOSE_BEFORE)
		folder_remove("%s", live);
	pid = fork();
	if (pid == 0) {
		commits = 0;
		*(after ? &die_after : &die_before) = n;
		script(&r);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		fail_msg("no child: %s", strerror(errno));
	if (!WIFEXITED(status) || (WEXITSTATUS(status) != 77 && WEXITSTATUS(status) != 0))
		fail_msg("%s commit %u, loss %d: the child ended with %#x",
			 after ? "after" : "before", n, (int)loss, (unsigned)status);
	if (loss == LOSE_AFTER)
		folder_remove("%s", live);
	rig_open(&r);
	if (loss == LOSE_AFTER)
		assert_int_equal(r.started.outcome, STORE_REBUILT);
	if (loss == LOSE_NOTHING)
		assert_int_equal(r.started.outcome, STORE_ACCEPTED);
	rig_check_books(&r);
	rig_join(&r);
	rig_fini(&r);
	return WEXITSTATUS(status) == 0;
}

static void test_crash_at_every_commit(void **state)
{
	unsigned n = 1;

	(void)state;
	for (; !crash_at(n, false, LOSE_NOTHING); n++)
		;
	assert_true(n > 30);
	for (n = 1; !crash_at(n, true, LOSE_NOTHING); n++)
		;
	for (n = 1; !crash_at(n, n % 2 == 0, LOSE_AFTER); n++)
		;
	for (n = 1; n <= 12; n++) {
		crash_at(n, false, LOSE_BEFORE);
		crash_at(n, true, LOSE_BEFORE);
	}
}

/* An administrative record that is in the ledger and did not reach the live store is applied at the next start, once. */
static void test_catch_up(void **state)
{
	struct rig *r = *state;
	uint64_t acc = some_work(r, "acme", KEY_A), seq;
	struct record grant = {.type = RECORD_GRANT, .account = acc, .wall_ms = r->wall_ms};
	struct rows_account a;

	grant.change.amount_nusd = 42;
	rig_drain(r);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_append(r->ledger, &grant, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	for (int i = 0; i < 2; i++) {
		rig_close(r);
		rig_open(r);
		rig_get_account(r, acc, &a);
		assert_int_equal(a.granted_nusd, RIG_DOLLAR + 42);
		rig_check_books(r);
	}
}

/* The account's row out of the live store, or back into it. */
static void move_account(struct rig *r, uint64_t acc, struct buf *row, bool out)
{
	struct rows_key_name name = rows_name(acc, ROWS_ACCOUNT, SLICE_NONE);
	struct slice v;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	if (out) {
		assert_int_equal(live_row_get(r->live, txn, &name, &v), ERRC_OK);
		assert_int_equal(buf_adds(row, v), ERRC_OK);
		assert_int_equal(live_row_del(r->live, txn, &name), ERRC_OK);
	} else {
		assert_int_equal(live_row_put(r->live, txn, &name, buf_slice(row), 0), ERRC_OK);
	}
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
}

/* A grant that the live store cannot take: the caller is told that the ledger has it, and it is there once in the end. */
static void test_grant_that_is_not_in_force(void **state)
{
	struct rig *r = *state;
	uint64_t acc = some_work(r, "acme", KEY_A);
	struct rows_account a;
	struct buf row;
	bool durable = false;

	buf_init(&row, ROWS_MAX);
	move_account(r, acc, &row, true);
	assert_int_equal(admin_account_credit(&r->admin, &r->by, acc, 42, &durable), ERRC_NOTFOUND);
	assert_true(durable);
	/* Nothing else is changed before it. */
	assert_int_equal(admin_account_credit(&r->admin, &r->by, acc, 1, &durable), ERRC_NOTFOUND);
	assert_false(durable);
	assert_int_equal(admin_account_take(&r->admin, &r->by, acc, 1, &durable), ERRC_NOTFOUND);
	assert_false(durable);
	move_account(r, acc, &row, false);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(admin_catch_up(r->live, r->ledger), ERRC_OK);
		rig_get_account(r, acc, &a);
		assert_int_equal(a.granted_nusd, RIG_DOLLAR + 42);
	}
	rig_check_books(r);
	buf_fini(&row);
}

/* However many charges there were since the change before: after a crash between ledger and live store only what came with
 * the last change is walked over. */
static void test_catch_up_is_short(void **state)
{
	struct rig *r = *state;
	uint64_t acc = some_work(r, "acme", KEY_A), seq, before;
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	struct buf row;
	MDB_txn *txn;
	bool durable = false;

	buf_init(&row, ROWS_MAX);
	for (int i = 0; i < 400; i++) {
		assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
		rig_settle(r, acc, &id, 1, 1, &done);
	}
	rig_drain(r);
	before = ledger_state(r->ledger)->last_seq;
	move_account(r, acc, &row, true);
	assert_int_equal(admin_account_credit(&r->admin, &r->by, acc, 42, &durable), ERRC_NOTFOUND);
	assert_true(durable);
	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(live_get_admin_seq(r->live, txn, &seq), ERRC_OK);
	live_read_end(r->live);
	assert_int_equal(seq, before);
	move_account(r, acc, &row, false);
	assert_int_equal(admin_catch_up(r->live, r->ledger), ERRC_OK);
	rig_check_books(r);
	buf_fini(&row);
}

/* A change that came no further than the ledger is there before the next one is made from what the live store says. */
static void test_change_upon_change(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_account row;
	struct rows_scope k, now;
	uint8_t hash[DIGEST_SHA256];
	struct buf mem;
	bool durable = false;

	buf_init(&mem, ROWS_MAX);
	rig_key(r, acc, KEY_A, &k);
	digest_sha256(SLICE_LIT("another secret"), hash);
	assert_int_equal(admin_account_get(r->live, acc, &mem, &row), ERRC_OK);
	row.overdraft_nusd = RIG_DOLLAR;
	no_space = r->live->env;
	assert_int_equal(admin_key_rotate(&r->admin, &r->by, KEY_A, hash, 2, 0, &durable),
			 ERRC_NOSPACE);
	assert_true(durable);
	no_space = NULL;
	k.expires_s = r->wall_ms / 1000 + 1000;
	assert_int_equal(admin_key_update(&r->admin, &r->by, &k, &durable), ERRC_OK);
	/* Where there is not even room to note that this one is there, the ledger gets none that would wait. */
	no_space = r->live->env;
	assert_int_equal(admin_account_update(&r->admin, &r->by, &row, &durable), ERRC_NOSPACE);
	assert_false(durable);
	no_space = NULL;
	assert_int_equal(admin_catch_up_all(r->live, r->ledger), ERRC_OK);
	no_space = r->live->env;
	assert_int_equal(admin_account_update(&r->admin, &r->by, &row, &durable), ERRC_NOSPACE);
	assert_true(durable);
	no_space = NULL;
	assert_int_equal(admin_account_set_status(&r->admin, &r->by, acc, ROWS_SUSPENDED, &durable),
			 ERRC_OK);
	assert_int_equal(admin_key_get(r->live, KEY_A, &mem, &now, NULL), ERRC_OK);
	assert_memory_equal(now.hash, hash, sizeof hash);
	assert_int_equal(now.expires_s, k.expires_s);
	assert_int_equal(admin_account_get(r->live, acc, &mem, &row), ERRC_OK);
	assert_int_equal(row.overdraft_nusd, RIG_DOLLAR);
	assert_int_equal(row.status, ROWS_SUSPENDED);
	buf_fini(&mem);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

/* The first limits of an account and of an end user restrict: they are in force at once, also while the ledger takes nothing, and
 * the ledger has them later. */
static void test_first_limits_without_the_ledger(void **state)
{
	struct rig *r = *state;
	uint64_t acc = some_work(r, "acme", KEY_A);
	struct rows_scope s[2];
	struct admit_op op;
	struct genid id;
	bool durable = true;

	rig_scope(&s[0], acc, ROWS_ACCOUNT, "");
	rig_scope(&s[1], acc, ROWS_USER, "ann");
	rig_drain(r);
	no_space = r->ledger->env;
	rig_limit(&s[0], ROWS_RPM, 0);
	assert_int_equal(admin_rules_set(&r->admin, &r->by, &s[0], &durable), ERRC_OK);
	assert_false(durable);
	assert_int_equal(r->admin.not_durable, ERRC_NOSPACE);
	rig_limit(&s[1], ROWS_RPM, 0);
	assert_int_equal(admin_user_set(&r->admin, &r->by, &s[1], &durable), ERRC_OK);
	assert_false(durable);
	assert_false(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	assert_int_equal(op.reason, ADMIT_RATE);
	assert_int_equal(op.refusal.scope, ROWS_ACCOUNT);
	/* What gives something waits for the ledger. */
	rows_limits_remove(&s[0].limits, 1);
	assert_int_equal(admin_rules_set(&r->admin, &r->by, &s[0], &durable), ERRC_NOSPACE);
	assert_false(durable);
	no_space = NULL;
	rig_drain(r);
	assert_non_null(book_scope(ledger_book(r->ledger), ROWS_ACCOUNT, acc, s[0].id));
	assert_int_equal(admin_rules_set(&r->admin, &r->by, &s[0], &durable), ERRC_OK);
	assert_true(durable);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	rig_check_books(r);
}

/* Whoever says it again, for the ledger takes nothing, is told that it is in force. */
static void test_suspended_twice_without_the_ledger(void **state)
{
	struct rig *r = *state;
	struct rows_scope k;
	struct buf mem;
	bool durable;

	some_work(r, "acme", KEY_A);
	rig_drain(r);
	buf_init(&mem, ROWS_MAX);
	assert_int_equal(admin_key_get(r->live, KEY_A, &mem, &k, NULL), ERRC_OK);
	k.status = ROWS_SUSPENDED;
	no_space = r->ledger->env;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(admin_key_update(&r->admin, &r->by, &k, &durable), ERRC_OK);
		assert_false(durable);
	}
	k.keepalive_ms = 5000;
	assert_int_equal(admin_key_update(&r->admin, &r->by, &k, &durable), ERRC_NOSPACE);
	no_space = NULL;
	rig_drain(r);
	assert_int_equal(admin_key_update(&r->admin, &r->by, &k, &durable), ERRC_OK);
	assert_true(durable);
	rig_check_books(r);
	buf_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_goes_on),
		T(test_change_upon_change),
		T(test_taken_but_not_deleted),
		T(test_lost_live_store),
		T(test_lost_ledger),
		T(test_copied_live_store),
		T(test_older_ledger),
		T(test_unfinished_live_store),
		T(test_other_ledger_is_refused),
		T(test_catch_up),
		T(test_grant_that_is_not_in_force),
		T(test_catch_up_is_short),
		T(test_first_limits_without_the_ledger),
		T(test_suspended_twice_without_the_ledger),
		cmocka_unit_test(test_crash_at_every_commit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
