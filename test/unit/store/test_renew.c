/* A live store that is lost while it is in use, and the identity that a ledger is given. */
#include "rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "clean.h"
#include "folder.h"
#include "live_priv.h"
#include "sweep.h"

static void remove_live(struct rig *r)
{
	char path[512];

	snprintf(path, sizeof path, "%s/data.mdb", r->started.live_dir);
	assert_int_equal(unlink(path), 0);
}

static void test_nothing_is_lost(void **state)
{
	struct rig r;
	struct rows_account before, after;
	struct store_started out;
	struct rows_scope k;
	struct genid id;
	struct admit_op op;
	struct admit_done done;
	struct scan s = {0};
	struct live *live = NULL;
	uint64_t account, taken, epoch;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	account = rig_account(&r, "acme", RIG_DOLLAR);
	rig_key(&r, account, "aaaaaaaaaaaa", &k);
	epoch = live_head(r.live)->epoch;
	remove_live(&r);
	assert_false(live_is_in_place(r.live));

	/* Whoever has it open goes on: what is charged there counts. */
	assert_true(rig_hold(&r, account, "aaaaaaaaaaaa", &r.price, 100, &id, &op));
	rig_settle(&r, account, &id, 50, 20, &done);
	assert_true(done.charge_nusd > 0);
	assert_int_equal(store_drain_outbox(r.live, r.ledger, &r.batch, &taken), ERRC_OK);
	rig_get_account(&r, account, &before);

	assert_int_equal(store_renew(&r.opts, r.ledger, &live, &out), ERRC_OK);
	live_close(&r.live);
	r.live = r.admin.live = live;
	assert_int_equal(out.outcome, STORE_REBUILT);
	assert_int_equal(out.at_risk_nusd, 0);
	assert_int_equal(live_head(r.live)->epoch, epoch + 1);
	assert_true(live_is_in_place(r.live));
	rig_get_account(&r, account, &after);
	assert_int_equal(after.granted_nusd, before.granted_nusd);
	assert_int_equal(after.balance_nusd, before.balance_nusd);
	assert_int_equal(after.settled_nusd, before.settled_nusd);
	rig_check(&r, &s);

	/* And it is one to work with. */
	rig_join(&r);
	assert_true(rig_hold(&r, account, "aaaaaaaaaaaa", &r.price, 100, &id, &op));
	rig_settle(&r, account, &id, 50, 20, &done);
	assert_int_equal(rig_drain(&r), 1);
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_ACCEPTED);
	rig_fini(&r);
	(void)state;
}

/* What goes to standard error, as text. */
static char *told(void (*during)(struct rig *), struct rig *r, char *out, size_t room)
{
	FILE *f = tmpfile();
	int old = dup(STDERR_FILENO);
	size_t n;

	assert_true(f && old >= 0);
	assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
	during(r);
	assert_true(dup2(old, STDERR_FILENO) >= 0);
	close(old);
	rewind(f);
	n = fread(out, 1, room - 1, f);
	out[n] = '\0';
	fclose(f);
	return out;
}

/* As if a version before or after this one had made the live store. */
static void give_layout(struct rig *r, uint32_t layout)
{
	struct rows_key_name name = rows_name(ROWS_ACCOUNT_HEAD, ROWS_HEAD, SLICE_LIT("id"));
	char head[256];
	struct slice v;
	MDB_txn *txn;
	size_t n;

	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(live_row_get(r->live, txn, &name, &v), ERRC_OK);
	n = v.n - 8; /* of another size, too */
	memcpy(head, v.p, n);
	memcpy(head, &layout, sizeof layout);
	assert_int_equal(live_row_put(r->live, txn, &name, slice_of(head, n), 0), ERRC_OK);
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
}

static void commit_clean(struct rig *r)
{
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(store_mark_clean(r->live, r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
}

/* The last record is of the gap. */
static void expect_gap(struct rig *r, int64_t amount, const char *note)
{
	struct record rec;
	struct buf b;

	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(r->ledger, ledger_state(r->ledger)->last_seq, &b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &rec), ERRC_OK);
	assert_int_equal(rec.type, RECORD_GAP);
	assert_int_equal(rec.change.amount_nusd, amount);
	assert_true(slice_eq(rec.change.note, slice_str(note)));
	buf_fini(&b);
}

/* Both layouts are named, and it is made anew. */
static void test_another_layout(void **state)
{
	uint32_t other = LIVE_LAYOUT + 1;
	char text[4096], want[128];
	struct rig r;

	rig_init(&r);
	rig_open(&r);
	give_layout(&r, other);
	rig_close(&r);
	told(rig_open, &r, text, sizeof text);
	assert_int_equal(r.started.outcome, STORE_REBUILT);
	assert_int_equal(r.started.at_risk_nusd, -1);
	assert_string_equal(r.started.reason,
			    "the live store was made by another version of aigwd");
	snprintf(want, sizeof want,
		 "the live store has layout %u, this version of aigwd reads layout %u",
		 (unsigned)other, (unsigned)LIVE_LAYOUT);
	assert_non_null(strstr(text, "event=live_store_layout"));
	assert_non_null(strstr(text, want));
	assert_non_null(strstr(text, "event=live_store_rebuilt"));
	expect_gap(&r, -1, "");
	rig_fini(&r);
	(void)state;
}

/* --- after a clean stop --- */

/* A charge, all of which is in the ledger, and the process that made it is gone. */
static void open_and_work(struct rig *r, uint64_t *account)
{
	struct sweep_result swept;
	struct rows_scope k;
	struct genid id;
	struct admit_op op;
	struct admit_done done;

	rig_init(r);
	rig_open(r);
	*account = rig_account(r, "acme", RIG_DOLLAR);
	rig_key(r, *account, "aaaaaaaaaaaa", &k);
	rig_join(r);
	assert_true(rig_hold(r, *account, "aaaaaaaaaaaa", &r->price, 100, &id, &op));
	rig_settle(r, *account, &id, 50, 20, &done);
	rig_close(r);
	rig_open(r);
	assert_int_equal(sweep_run(r->live, r->boot_ms, r->wall_ms, &swept), ERRC_OK);
	rig_drain(r);
}

static void test_clean_and_another_layout(void **state)
{
	struct rows_account before, after;
	char text[4096];
	uint64_t account;
	struct rig r;

	open_and_work(&r, &account);
	rig_get_account(&r, account, &before);
	give_layout(&r, LIVE_LAYOUT - 1);
	commit_clean(&r);
	rig_close(&r);
	told(rig_open, &r, text, sizeof text);
	assert_int_equal(r.started.outcome, STORE_CLEAN);
	assert_int_equal(r.started.at_risk_nusd, 0);
	assert_null(strstr(text, "level=error"));
	assert_null(strstr(text, "level=warn"));
	assert_non_null(strstr(text, "level=info event=live_store_anew"));
	expect_gap(&r, 0, "after a clean stop");
	rig_get_account(&r, account, &after);
	assert_true(rig_same(&before, &after));
	rig_check_books(&r);
	rig_fini(&r);
	(void)state;
}

/* Nothing tells what was in it but the mark: removed, or a reboot. */
static void test_clean_and_gone(void **state)
{
	uint64_t account;
	struct rig r;

	open_and_work(&r, &account);
	commit_clean(&r);
	rig_close(&r);
	remove_live(&r);
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_CLEAN);
	expect_gap(&r, 0, "after a clean stop");

	assert_int_equal(ledger_begin(r.ledger), ERRC_OK);
	assert_int_equal(ledger_raise_epoch(r.ledger, "another boot", 0, NULL), ERRC_OK);
	assert_int_equal(ledger_commit(r.ledger), ERRC_OK);
	commit_clean(&r); /* of another epoch than the live store's: nothing was taken */
	rig_close(&r);
	remove_live(&r);
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_REBOOT);
	expect_gap(&r, 0, "after a clean stop");
	rig_close(&r);
	remove_live(&r);
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_REBUILT);
	expect_gap(&r, -1, "");
	rig_fini(&r);
	(void)state;
}

/* While a process may charge, a hold is out, or something is not in the ledger. */
static void test_no_clean_stop(void **state)
{
	struct sweep_result swept;
	struct hold_candidate c;
	struct admit_op op;
	uint64_t account, txn;
	struct rig r;

	open_and_work(&r, &account);
	rig_join(&r);
	commit_clean(&r);
	assert_false(clean_is_marked(r.ledger, &txn));
	rig_ask(&r, &op, &c, account, "aaaaaaaaaaaa", &r.price, 100);
	op.ask.slot = progress_take(live_progress(r.live), account, &op.ask.id);
	rig_run(&r, &op);
	rig_close(&r);
	rig_open(&r);
	commit_clean(&r);
	assert_false(clean_is_marked(r.ledger, &txn));
	do
		assert_int_equal(sweep_run(r.live, r.boot_ms, r.wall_ms, &swept), ERRC_OK);
	while (swept.more);
	commit_clean(&r); /* what the sweep charged is still in the outbox */
	assert_false(clean_is_marked(r.ledger, &txn));
	rig_drain(&r);
	commit_clean(&r);
	assert_true(clean_is_marked(r.ledger, &txn));
	rig_drain(&r); /* that is no commit */
	assert_true(clean_is_marked(r.ledger, &txn));
	(void)rig_account(&r, "other", RIG_DOLLAR);
	assert_false(clean_is_marked(r.ledger, &txn));
	rig_fini(&r);
	(void)state;
}

/* The start takes the mark away before anyone can charge: what follows is as after any kill. */
static void test_clean_no_more(void **state)
{
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	uint64_t account, txn;
	struct rig r;

	open_and_work(&r, &account);
	commit_clean(&r);
	rig_close(&r);
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_ACCEPTED);
	assert_false(clean_is_marked(r.ledger, &txn));
	rig_join(&r);
	assert_true(rig_hold(&r, account, "aaaaaaaaaaaa", &r.price, 100, &id, &op));
	rig_settle(&r, account, &id, 50, 20, &done);
	rig_close(&r);
	remove_live(&r);
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_REBUILT);
	expect_gap(&r, -1, "");
	rig_fini(&r);
	(void)state;
}

/* An older ledger, put back by hand, has the mark of then; and a version without marks leaves the one that is there. */
static void test_clean_of_another_time(void **state)
{
	struct admit_done done;
	struct admit_op op;
	struct genid id;
	char ledger[256], copy[256];
	uint64_t account;
	struct rig r;

	open_and_work(&r, &account);
	commit_clean(&r);
	rig_close(&r);
	snprintf(ledger, sizeof ledger, "%s/state", r.dir);
	snprintf(copy, sizeof copy, "%s/state.copy", r.dir);
	folder_copy(ledger, copy);
	rig_open(&r);
	rig_join(&r);
	assert_true(rig_hold(&r, account, "aaaaaaaaaaaa", &r.price, 100, &id, &op));
	rig_settle(&r, account, &id, 50, 20, &done);
	give_layout(&r, LIVE_LAYOUT - 1);
	rig_close(&r);
	folder_remove("%s", ledger);
	assert_int_equal(rename(copy, ledger), 0);
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_REBUILT);
	expect_gap(&r, -1, "");
	rig_fini(&r);
	(void)state;
}

static void test_given_identity(void **state)
{
	static const uint8_t mine[LIVE_ID] = {1, 2, 3}, other[LIVE_ID] = {3, 2, 1};
	struct store_started out;
	struct ledger *ledger = NULL;
	struct live *live = NULL;
	struct rig r;

	rig_init(&r);
	r.opts.ledger_id = mine;
	rig_open(&r);
	assert_memory_equal(ledger_state(r.ledger)->id, mine, LIVE_ID);
	assert_non_null(strstr(r.started.live_dir, "/01020300000000000000000000000000"));
	rig_close(&r);
	r.opts.ledger_id = other;
	assert_int_equal(store_start(&r.opts, &live, &ledger, &out), ERRC_STALE);
	r.opts.ledger_id = NULL;
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_ACCEPTED);
	rig_fini(&r);
	(void)state;
}

static void test_oldest_hold(void **state)
{
	struct rig r;
	struct rows_scope k;
	struct genid id, id2;
	struct admit_op op;
	struct admit_done done;
	struct scan s = {0};
	uint64_t account;
	int64_t first;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	account = rig_account(&r, "acme", RIG_DOLLAR);
	rig_key(&r, account, "aaaaaaaaaaaa", &k);
	rig_check(&r, &s);
	assert_int_equal(s.oldest_hold_ms, 0);
	first = r.boot_ms;
	assert_true(rig_hold(&r, account, "aaaaaaaaaaaa", &r.price, 100, &id, &op));
	r.boot_ms += 500;
	assert_true(rig_hold(&r, account, "aaaaaaaaaaaa", &r.price, 100, &id2, &op));
	s = (struct scan){0};
	rig_check(&r, &s);
	assert_int_equal(s.oldest_hold_ms, first);
	rig_settle(&r, account, &id, 50, 20, &done);
	s = (struct scan){0};
	rig_check(&r, &s);
	assert_int_equal(s.oldest_hold_ms, first + 500);
	rig_fini(&r);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_lost),
		cmocka_unit_test(test_another_layout),
		cmocka_unit_test(test_clean_and_another_layout),
		cmocka_unit_test(test_clean_and_gone),
		cmocka_unit_test(test_no_clean_stop),
		cmocka_unit_test(test_clean_no_more),
		cmocka_unit_test(test_clean_of_another_time),
		cmocka_unit_test(test_given_identity),
		cmocka_unit_test(test_oldest_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
