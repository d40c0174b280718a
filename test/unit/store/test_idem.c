/* Claims on idempotency keys: what they refuse, how long they last, how many there are, what a new live store gets back. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>

#include "clock.h"
#include "folder.h"
#include "idem_priv.h"

#define KEY_A "aaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbb"

/* The program is linked so that every begin passes here: write transactions can be made to fail. */
int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out);

static bool no_writing;

int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out)
{
	return no_writing && !(flags & MDB_RDONLY) ? ENOMEM
						   : __real_mdb_txn_begin(env, parent, flags, out);
}

static int setup_of(void **state, size_t live_bytes)
{
	static struct rig r;

	rig_init(&r);
	r.opts.live_bytes = live_bytes;
	rig_open(&r);
	rig_join(&r);
	*state = &r;
	return 0;
}

static int setup(void **state)
{
	return setup_of(state, 16 << 20);
}

static int setup_small(void **state)
{
	return setup_of(state, 1 << 20);
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static void tag_of(const char *word, const char *body, uint8_t tag[IDEM_TAG])
{
	uint8_t bound[DIGEST_SHA256];

	digest_sha256(slice_str(body), bound);
	idem_tag(slice_str(word), bound, tag);
}

/* Asks; op->reason tells. */
static bool ask(struct rig *r, uint64_t acc, const char *key, const char *word, const char *body,
		struct admit_op *op, struct genid *id)
{
	struct hold_candidate c;
	uint8_t tag[IDEM_TAG];

	tag_of(word, body, tag);
	rig_ask(r, op, &c, acc, key, &r->price, 100);
	op->ask.idem = slice_of(tag, sizeof tag);
	*id = op->ask.id;
	rig_run(r, op);
	assert_int_equal(op->rc, ERRC_OK);
	return op->reason == ADMIT_NONE;
}

static void refused(struct rig *r, uint64_t acc, const char *key, const char *word,
		    const char *body, enum admit_reason why, const struct genid *other)
{
	struct admit_op op;
	struct genid id;

	assert_false(ask(r, acc, key, word, body, &op, &id));
	assert_int_equal(op.reason, why);
	assert_true(genid_eq(&op.refusal.other, other));
	assert_true(op.refusal.wait_ms == (why == ADMIT_IDEM_RUNNING ? 1000 : WINDOW_NEVER));
}

static void end(struct rig *r, uint64_t acc, const struct genid *id, enum admit_kind kind,
		bool charged, struct admit_op *op)
{
	rig_settle_op(r, op, acc, id, 10, 10);
	op->kind = kind;
	op->settle.charged = charged;
	rig_run(r, op);
	assert_int_equal(op->rc, ERRC_OK);
	assert_true(op->done.settled);
}

static void test_life_of_a_claim(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct genid id, of_b, other;
	struct rows_account a, b;
	struct rows_scope k;
	struct admit_op op;

	rig_key(r, acc, KEY_A, &k);
	rig_key(r, acc, KEY_B, &k);
	assert_true(ask(r, acc, KEY_A, "w", "body", &op, &id));
	rig_get_account(r, acc, &a);
	refused(r, acc, KEY_A, "w", "body", ADMIT_IDEM_RUNNING, &id);
	refused(r, acc, KEY_A, "w", "other", ADMIT_IDEM_MISMATCH, &id);
	rig_get_account(r, acc, &b);
	assert_true(rig_same(&a, &b)); /* who is refused takes nothing */
	assert_true(ask(r, acc, KEY_B, "w", "body", &op, &of_b));
	assert_true(ask(r, acc, KEY_A, "v", "body", &op, &other));
	end(r, acc, &id, ADMIT_SETTLE, true, &op);
	refused(r, acc, KEY_A, "w", "body", ADMIT_IDEM_COMPLETED, &id);
	refused(r, acc, KEY_A, "w", "other", ADMIT_IDEM_MISMATCH, &id);
	refused(r, acc, KEY_B, "w", "body", ADMIT_IDEM_RUNNING, &of_b);
}

static void test_without_charge_it_is_free_again(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_scope k;
	struct admit_op op;
	struct genid id;

	rig_key(r, acc, KEY_A, &k);
	assert_true(ask(r, acc, KEY_A, "w", "body", &op, &id));
	end(r, acc, &id, ADMIT_RELEASE, false, &op);
	assert_true(ask(r, acc, KEY_A, "w", "other", &op, &id));
	end(r, acc, &id, ADMIT_SETTLE, false, &op);
	assert_true(ask(r, acc, KEY_A, "w", "third", &op, &id));
	end(r, acc, &id, ADMIT_SETTLE, true, &op);
	refused(r, acc, KEY_A, "w", "third", ADMIT_IDEM_COMPLETED, &id);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = 2; /* of two records that of the charge */
	op.settle.account = acc;
	op.settle.id = id;
	rig_run(r, &op);
	assert_true(op.done.settled);
	assert_true(ask(r, acc, KEY_A, "w", "fourth", &op, &id));
}

/* What was not charged has no claim in the ledger: its reversal, which would look through all of them, names none. */
static void test_reversal_names_the_claim_of_a_charge(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_scope k;
	struct admit_op op;
	struct record rec;
	struct genid id;

	rig_key(r, acc, KEY_A, &k);
	for (int charged = 0; charged < 2; charged++) {
		rig_drain(r);
		assert_true(ask(r, acc, KEY_A, "w", "body", &op, &id));
		end(r, acc, &id, ADMIT_SETTLE, charged, &op);
		op.outbox_n = op.done.outbox_n;
		op.kind = ADMIT_REVERSE;
		rig_run(r, &op);
		assert_true(op.done.settled);
		assert_int_equal(outbox_read(r->live, op.outbox_n, &r->batch), ERRC_OK);
		assert_int_equal(r->batch.n, 1);
		assert_int_equal(record_decode(r->batch.rows[0].record, &rec), ERRC_OK);
		assert_int_equal(rec.type, RECORD_REVERSE);
		assert_int_equal(rec.change.idem.n, charged ? IDEM_TAG : 0);
	}
}

static uint64_t rows_of(struct rig *r)
{
	MDB_txn *txn;
	MDB_stat st;

	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(mdb_stat(txn, r->live->idem, &st), 0);
	live_read_end(r->live);
	return st.ms_entries;
}

static void sweep_all(struct rig *r, uint32_t expected)
{
	const struct idem_now now = {r->wall_ms, r->wall_ms};
	struct idem_sweep s = {{0}};
	uint32_t removed, sum = 0;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(idem_sweep(r->live, &now, &s, &removed), ERRC_OK);
		assert_true(removed <= LIMIT_TXN_OPS * 8);
		sum += removed;
	}
	assert_int_equal(sum, expected);
}

/* An older request must not end a claim that has become another's. */
static void test_only_its_own(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct genid first, second;
	struct rows_scope k;
	struct admit_op op;

	rig_key(r, acc, KEY_A, &k);
	assert_true(ask(r, acc, KEY_A, "w", "body", &op, &first));
	r->wall_ms += IDEM_LASTS_MS;
	refused(r, acc, KEY_A, "w", "body", ADMIT_IDEM_RUNNING, &first);
	sweep_all(r, 1);
	assert_true(ask(r, acc, KEY_A, "w", "other", &op, &second));
	end(r, acc, &first, ADMIT_SETTLE, false, &op);
	refused(r, acc, KEY_A, "w", "other", ADMIT_IDEM_RUNNING, &second);
	end(r, acc, &second, ADMIT_SETTLE, true, &op);
	refused(r, acc, KEY_A, "w", "other", ADMIT_IDEM_COMPLETED, &second);
}

/* A request that cannot be stored fails alone, with its claim: those beside it are admitted. */
static void test_what_cannot_be_stored(void **state)
{
	static const struct admit_rules rules = {.ledger_lag_max_ms = 10000};
	static char long_name[4096];
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct hold_candidate c[2];
	struct admit_op op[2], *ops[] = {&op[0], &op[1]};
	uint8_t tag[IDEM_TAG];
	struct rows_scope k;
	struct scan s;

	rig_key(r, acc, KEY_A, &k);
	memset(long_name, 'm', sizeof long_name);
	tag_of("word", "body", tag);
	for (int i = 0; i < 2; i++)
		rig_ask(r, ops[i], &c[i], acc, KEY_A, &r->price, 100);
	op[0].ask.idem = slice_of(tag, sizeof tag);
	op[0].ask.model = slice_of(long_name, sizeof long_name);
	assert_int_equal(admit_batch(r->live, &rules, ops, 2), ERRC_OK);
	assert_int_equal(op[0].rc, ERRC_LIMIT);
	assert_int_equal(op[1].rc, ERRC_OK);
	assert_int_equal(op[1].reason, ADMIT_NONE);
	assert_int_equal(rows_of(r), 0);
	rig_check(r, &s);
	assert_int_equal(s.holds, 1);
}

/* A sweep that cannot begin to write leaves the transaction that it read in alone. */
static void test_sweep_without_writing(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 100 * RIG_DOLLAR);
	struct idem_now now;
	struct idem_sweep s = {{0}};
	struct admit_op op;
	struct rows_scope k;
	struct genid id;
	uint32_t removed;

	rig_key(r, acc, KEY_A, &k);
	assert_true(ask(r, acc, KEY_A, "word", "body", &op, &id));
	end(r, acc, &id, ADMIT_SETTLE, true, &op);
	r->wall_ms += IDEM_LASTS_MS;
	no_writing = true;
	now = (struct idem_now){r->wall_ms, r->wall_ms};
	assert_int_equal(idem_sweep(r->live, &now, &s, &removed), ERRC_NOMEM);
	no_writing = false;
	sweep_all(r, 1);
}

static void test_a_day(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct genid id, first = {{0}};
	struct rows_scope k;
	struct admit_op op;

	rig_key(r, acc, KEY_A, &k);
	rig_key(r, acc, KEY_B, &k);
	for (int i = 0; i < 200; i++) {
		char word[16];

		snprintf(word, sizeof word, "w%d", i);
		assert_true(ask(r, acc, i % 2 ? KEY_A : KEY_B, word, "body", &op, &id));
		end(r, acc, &id, ADMIT_SETTLE, true, &op);
		first = i ? first : id;
		r->wall_ms += 1000;
	}
	rig_drain(r);
	r->wall_ms += IDEM_LASTS_MS - 200000 - 1;
	sweep_all(r, 0);
	refused(r, acc, KEY_B, "w0", "body", ADMIT_IDEM_COMPLETED, &first);
	r->wall_ms += 100001;
	assert_int_equal(rows_of(r), 400 + 2); /* and their counts */
	sweep_all(r, 101);
	assert_int_equal(rows_of(r), 2 * 99 + 2);
	assert_true(ask(r, acc, KEY_B, "w0", "else", &op, &id));
	r->wall_ms += 2 * IDEM_LASTS_MS;
	sweep_all(r, 100);
	assert_int_equal(rows_of(r), 0);
}

struct bulk {
	struct rig *r;
	MDB_txn *txn;
	int n;
};

/* False: there was no room. */
static bool bulk_claim(struct bulk *b, const char *key, const char *word, bool charged)
{
	uint8_t tag[IDEM_TAG] = {0};
	struct slice s = slice_of(tag, sizeof tag);
	struct genid id = rig_id(b->r);
	enum errc rc;

	tag_of(word, "body", tag);
	if (b->n++ % 64 == 0) {
		if (b->txn)
			assert_int_equal(live_txn_commit(b->r->live, &b->txn), ERRC_OK);
		live_txn_abort(b->r->live, &b->txn);
		assert_int_equal(live_txn_begin(b->r->live, &b->txn), ERRC_OK);
	}
	rc = idem_claim(b->r->live, b->txn, key, s, &id, b->r->wall_ms);
	assert_true(rc == ERRC_OK || rc == ERRC_FULL);
	if (!rc && charged)
		assert_int_equal(idem_end(b->r->live, b->txn, key, s, &id, true), ERRC_OK);
	return !rc;
}

static void bulk_end(struct bulk *b)
{
	assert_int_equal(live_txn_commit(b->r->live, &b->txn), ERRC_OK);
	live_txn_abort(b->r->live, &b->txn);
	b->n = 0;
}

static enum idem_result look(struct rig *r, const char *key, const char *word)
{
	enum idem_result result;
	uint8_t tag[IDEM_TAG];
	struct genid other;
	MDB_txn *txn;

	tag_of(word, "body", tag);
	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(idem_look(r->live, txn, key, slice_of(tag, sizeof tag), &result, &other),
			 ERRC_OK);
	live_read_end(r->live);
	return result;
}

static const char *word_n(int n)
{
	static char text[24];

	snprintf(text, sizeof text, "word-%d", n);
	return text;
}

static size_t idem_bytes(struct rig *r)
{
	size_t used;
	MDB_txn *txn;

	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(lmdbx_used(txn, r->live->idem, &used), ERRC_OK);
	live_read_end(r->live);
	return used;
}

/* As many as there is room for, of words of its own: how many it was. */
static int claim_all(struct rig *r, const char *key, bool charged)
{
	struct bulk b = {.r = r};
	char word[40];
	int n = 0;

	do
		snprintf(word, sizeof word, "%s-%s", key, word_n(n++));
	while (bulk_claim(&b, key, word, charged) && n < 3000);
	bulk_end(&b);
	assert_int_not_equal(n, 3000);
	return n - 1;
}

static void expect_all(struct rig *r, const char *key, int n, enum idem_result is)
{
	char word[40];

	for (int i = 0; i < n; i++) {
		snprintf(word, sizeof word, "%s-%s", key, word_n(i));
		assert_int_equal(look(r, key, word), is);
	}
	snprintf(word, sizeof word, "%s-%s", key, word_n(n));
	assert_int_equal(look(r, key, word), IDEM_NEW);
}

#define SHARE_SMALL ((1 << 20) / IDEM_SHARE)

/* What was charged is not forgotten for another, whoever asks: of one API key all stay, of its neighbours too, and the next finds half of
 * the room that is left. */
static void test_nothing_is_forgotten(void **state)
{
	struct rig *r = *state;
	char key[5][APIKEY_ID + 1];
	int n[ARRAY_LEN(key)];

	for (size_t i = 0; i < ARRAY_LEN(key); i++) {
		snprintf(key[i], sizeof key[i], "key%09u", (unsigned)i * 7919 % 100);
		n[i] = claim_all(r, key[i], i != 3);
		assert_in_range(n[i], i ? 1 : SHARE_SMALL / IDEM_BYTES / 2 - 100,
				i ? n[i - 1] * 2 / 3 : 700);
		assert_in_range(idem_bytes(r), 100000, SHARE_SMALL);
	}
	for (size_t i = 0; i < ARRAY_LEN(key); i++)
		expect_all(r, key[i], n[i], i == 3 ? IDEM_RUNNING : IDEM_COMPLETED);
}

/* What is over makes way once it is swept; that of others does not. */
static void test_room_after_a_day(void **state)
{
	struct rig *r = *state;
	int a = claim_all(r, KEY_A, true), b, n = 0;
	struct bulk bulk = {.r = r};

	r->wall_ms += 1000;
	b = claim_all(r, KEY_B, true);
	r->wall_ms += IDEM_LASTS_MS - 1001;
	assert_false(bulk_claim(&bulk, KEY_A, "one more", true));
	r->wall_ms++;
	assert_false(bulk_claim(&bulk, KEY_A, "one more", true));
	bulk_end(&bulk);
	sweep_all(r, (uint32_t)a);
	for (; bulk_claim(&bulk, KEY_A, word_n(n), true); n++)
		continue;
	bulk_end(&bulk);
	assert_in_range(n, b, a);
	expect_all(r, KEY_A, a, IDEM_NEW);
	expect_all(r, KEY_B, b, IDEM_COMPLETED);
	for (int i = 0; i < n; i++)
		assert_int_equal(look(r, KEY_A, word_n(i)), IDEM_COMPLETED);
}

/* What was not charged takes no room, however much of it comes between. */
static void test_gaps_take_no_room(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct genid first, id, last;
	struct rows_scope k;
	struct admit_op op;

	rig_key(r, acc, KEY_A, &k);
	assert_true(ask(r, acc, KEY_A, "first", "body", &op, &first));
	assert_true(ask(r, acc, KEY_A, "last", "body", &op, &last));
	for (int i = 0; i < 2000; i++) {
		assert_true(ask(r, acc, KEY_A, word_n(i), "body", &op, &id));
		end(r, acc, &last, ADMIT_RELEASE, false, &op);
		last = id;
	}
	end(r, acc, &last, ADMIT_RELEASE, false, &op);
	end(r, acc, &first, ADMIT_SETTLE, true, &op);
	assert_int_equal(rows_of(r), 3);
	r->wall_ms += IDEM_LASTS_MS;
	sweep_all(r, 1);
	assert_int_equal(rows_of(r), 0);
}

/* Such a request holds nothing and is told until when; without the word it is admitted. */
static void test_refused_for_room(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_account a, b;
	struct hold_candidate c;
	struct rows_scope k;
	struct admit_op op;
	struct genid id;
	int n;

	rig_key(r, acc, KEY_A, &k);
	rig_key(r, acc, KEY_B, &k);
	n = claim_all(r, KEY_A, true);
	r->wall_ms += 5000;
	rig_get_account(r, acc, &a);
	assert_false(ask(r, acc, KEY_A, "w", "body", &op, &id));
	assert_int_equal(op.reason, ADMIT_IDEM_FULL);
	assert_int_equal(op.refusal.limit, n);
	assert_int_equal(op.refusal.wait_ms, IDEM_LASTS_MS - 5000);
	assert_int_equal(op.refusal.reset_wall_ms, r->wall_ms + IDEM_LASTS_MS - 5000);
	rig_get_account(r, acc, &b);
	assert_true(rig_same(&a, &b));
	assert_int_equal(look(r, KEY_A, "w"), IDEM_NEW);
	assert_true(ask(r, acc, KEY_B, "w", "body", &op, &id));
	rig_ask(r, &op, &c, acc, KEY_A, &r->price, 100);
	rig_run(r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
}

static void lose_live(struct rig *r)
{
	rig_close(r);
	folder_remove("%s/live", r->dir);
	rig_open(r);
	rig_join(r);
}

/* The rebuilding goes by the clock on the wall, so does this test. */
static void test_new_live_store(void **state)
{
	struct rig *r = *state;
	struct genid ids[32], taken_back, old, running;
	struct rows_scope k;
	struct admit_op op;
	uint64_t acc;

	r->wall_ms = clock_wall_ms() - IDEM_LASTS_MS - 1000;
	acc = rig_account(r, "acme", RIG_DOLLAR);
	rig_key(r, acc, KEY_A, &k);
	assert_true(ask(r, acc, KEY_A, "old", "body", &op, &old));
	end(r, acc, &old, ADMIT_SETTLE, true, &op);
	r->wall_ms = clock_wall_ms() - 1000;
	for (int i = 0; i < 32; i++) {
		assert_true(ask(r, acc, KEY_A, word_n(i), "body", &op, &ids[i]));
		end(r, acc, &ids[i], ADMIT_SETTLE, i % 4 != 3, &op);
	}
	assert_true(ask(r, acc, KEY_A, "back", "body", &op, &taken_back));
	end(r, acc, &taken_back, ADMIT_SETTLE, true, &op);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = 34;
	op.settle.account = acc;
	op.settle.id = taken_back;
	rig_run(r, &op);
	assert_true(op.done.settled);
	assert_true(ask(r, acc, KEY_A, "runs", "body", &op, &running));
	rig_drain(r);
	lose_live(r);
	for (int i = 0; i < 32; i++) {
		if (i % 4 == 3) {
			assert_true(ask(r, acc, KEY_A, word_n(i), "body", &op, &ids[i]));
			continue;
		}
		refused(r, acc, KEY_A, word_n(i), "body", ADMIT_IDEM_COMPLETED, &ids[i]);
		refused(r, acc, KEY_A, word_n(i), "other", ADMIT_IDEM_MISMATCH, &ids[i]);
	}
	assert_true(ask(r, acc, KEY_A, "old", "other", &op, &old));
	assert_true(ask(r, acc, KEY_A, "back", "other", &op, &taken_back));
	assert_true(ask(r, acc, KEY_A, "runs", "other", &op, &running));
}

/* Charged requests of one key, with words of their own; how many had room. */
static int charge_all(struct rig *r, uint64_t acc, const char *key, int most)
{
	struct admit_op op;
	struct genid id;
	char word[40];
	int n = 0;

	for (; n < most; n++) {
		snprintf(word, sizeof word, "%s-%s", key, word_n(n));
		if (!ask(r, acc, key, word, "body", &op, &id))
			break;
		end(r, acc, &id, ADMIT_SETTLE, true, &op);
		if (n % 100 == 99)
			rig_drain(r);
	}
	rig_drain(r);
	return n;
}

/* All that had room find it again, in whatever order. */
static void test_new_store_has_all(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct rows_scope k;
	struct admit_op op;
	struct genid id;
	char key[4][APIKEY_ID + 1];
	int n[ARRAY_LEN(key)];

	r->wall_ms = clock_wall_ms() - 1000;
	for (int i = 0; i < 4; i++) {
		snprintf(key[i], sizeof key[i], "key%09d", 4 - i);
		rig_key(r, acc, key[i], &k);
		n[i] = charge_all(r, acc, key[i], 10000);
		assert_int_not_equal(n[i], 10000);
	}
	lose_live(r);
	for (int i = 0; i < 4; i++)
		expect_all(r, key[i], n[i], IDEM_COMPLETED);
	assert_false(ask(r, acc, key[0], "w", "body", &op, &id));
	assert_int_equal(op.reason, ADMIT_IDEM_FULL);
}

/* A store that has become smaller gets the newest; new ones wait until these are over. */
static void test_new_store_is_smaller(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", 1000 * RIG_DOLLAR);
	struct rows_scope k;
	struct admit_op op;
	struct genid id;
	char word[40];
	int kept = 0;

	r->wall_ms = clock_wall_ms() - 1000;
	rig_key(r, acc, KEY_A, &k);
	assert_int_equal(charge_all(r, acc, KEY_A, 3000), 3000);
	r->opts.live_bytes = 1 << 20;
	lose_live(r);
	for (int i = 3000; i-- > 0; kept++) {
		snprintf(word, sizeof word, "%s-%s", KEY_A, word_n(i));
		if (look(r, KEY_A, word) == IDEM_NEW)
			break;
	}
	assert_in_range(kept, SHARE_SMALL / IDEM_BYTES, 3000 - 1000);
	assert_false(ask(r, acc, KEY_A, "w", "body", &op, &id));
	assert_int_equal(op.reason, ADMIT_IDEM_FULL);
	r->wall_ms += IDEM_LASTS_MS;
	sweep_all(r, (uint32_t)kept);
	assert_true(ask(r, acc, KEY_A, "w", "body", &op, &id));
}

/* The tag of a word tells nothing of the body without the word. */
static void test_tags(void **state)
{
	uint8_t a[IDEM_TAG], b[IDEM_TAG], c[IDEM_TAG];

	(void)state;
	tag_of("w", "body", a);
	tag_of("w", "other", b);
	tag_of("v", "body", c);
	assert_memory_equal(a, b, IDEM_TAG / 2);
	assert_memory_not_equal(a + IDEM_TAG / 2, b + IDEM_TAG / 2, IDEM_TAG / 2);
	assert_memory_not_equal(a, c, IDEM_TAG / 2);
	assert_memory_not_equal(a + IDEM_TAG / 2, c + IDEM_TAG / 2, IDEM_TAG / 2);
}

#define T(f, s) cmocka_unit_test_setup_teardown(f, s, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_life_of_a_claim, setup),
		T(test_without_charge_it_is_free_again, setup),
		T(test_only_its_own, setup),
		T(test_reversal_names_the_claim_of_a_charge, setup),
		T(test_a_day, setup),
		T(test_nothing_is_forgotten, setup_small),
		T(test_room_after_a_day, setup_small),
		T(test_gaps_take_no_room, setup_small),
		T(test_refused_for_room, setup_small),
		T(test_new_store_has_all, setup_small),
		T(test_new_store_is_smaller, setup),
		T(test_new_live_store, setup),
		T(test_sweep_without_writing, setup),
		T(test_what_cannot_be_stored, setup),
		cmocka_unit_test(test_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
