/* A live store that is lost while it is in use, and the identity that a ledger is given. */
#include "rig.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "live_priv.h"

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

/* A version before or after this one made the live store: both layouts are named, and it is made anew. */
static void test_another_layout(void **state)
{
	uint32_t other = LIVE_LAYOUT + 1;
	struct rows_key_name name = rows_name(ROWS_ACCOUNT_HEAD, ROWS_HEAD, SLICE_LIT("id"));
	char text[4096], want[128], head[256];
	struct slice v;
	MDB_txn *txn;
	struct rig r;
	size_t n;

	rig_init(&r);
	rig_open(&r);
	assert_int_equal(live_txn_begin(r.live, &txn), ERRC_OK);
	assert_int_equal(live_row_get(r.live, txn, &name, &v), ERRC_OK);
	n = v.n - 8; /* of another size, too */
	memcpy(head, v.p, n);
	memcpy(head, &other, sizeof other);
	assert_int_equal(live_row_put(r.live, txn, &name, slice_of(head, n), 0), ERRC_OK);
	assert_int_equal(live_txn_commit(r.live, &txn), ERRC_OK);
	rig_close(&r);
	told(rig_open, &r, text, sizeof text);
	assert_int_equal(r.started.outcome, STORE_REBUILT);
	assert_string_equal(r.started.reason,
			    "the live store was made by another version of aigwd");
	snprintf(want, sizeof want,
		 "the live store has layout %u, this version of aigwd reads layout %u",
		 (unsigned)other, (unsigned)LIVE_LAYOUT);
	assert_non_null(strstr(text, "event=live_store_layout"));
	assert_non_null(strstr(text, want));
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
		cmocka_unit_test(test_given_identity),
		cmocka_unit_test(test_oldest_hold),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
