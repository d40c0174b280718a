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

static int setup_large(void **state)
{
	return setup_of(state, 64 << 20);
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
	assert_true(ask(r, acc, KEY_A, "w", "other", &op, &second));
	end(r, acc, &first, ADMIT_SETTLE, false, &op);
	refused(r, acc, KEY_A, "w", "other", ADMIT_IDEM_RUNNING, &second);
	end(r, acc, &second, ADMIT_SETTLE, true, &op);
	refused(r, acc, KEY_A, "w", "other", ADMIT_IDEM_COMPLETED, &second);
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
	struct idem_sweep s = {{0}};
	uint32_t removed, sum = 0;

	for (int i = 0; i < 100; i++) {
		assert_int_equal(idem_sweep(r->live, r->wall_ms, &s, &removed), ERRC_OK);
		assert_true(removed <= LIMIT_TXN_OPS * 8);
		sum += removed;
	}
	assert_int_equal(sum, expected);
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
	assert_int_equal(idem_sweep(r->live, r->wall_ms, &s, &removed), ERRC_NOMEM);
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
	assert_int_equal(rows_of(r), 400);
	sweep_all(r, 101);
	assert_int_equal(rows_of(r), 2 * 99);
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

static void bulk_claim(struct bulk *b, const char *key, const char *word, bool charged)
{
	uint8_t tag[IDEM_TAG] = {0};
	struct slice s = slice_of(tag, sizeof tag);
	struct genid id = rig_id(b->r);

	tag_of(word, "body", tag);
	if (b->n++ % 64 == 0) {
		if (b->txn)
			assert_int_equal(live_txn_commit(b->r->live, &b->txn), ERRC_OK);
		live_txn_abort(b->r->live, &b->txn);
		assert_int_equal(live_txn_begin(b->r->live, &b->txn), ERRC_OK);
	}
	assert_int_equal(idem_claim(b->r->live, b->txn, key, s, &id, b->r->wall_ms), ERRC_OK);
	if (charged)
		assert_int_equal(idem_end(b->r->live, b->txn, key, s, &id, true), ERRC_OK);
}

static void bulk_end(struct bulk *b)
{
	assert_int_equal(live_txn_commit(b->r->live, &b->txn), ERRC_OK);
	live_txn_abort(b->r->live, &b->txn);
}

static enum idem_result look(struct rig *r, const char *key, const char *word)
{
	enum idem_result result;
	uint8_t tag[IDEM_TAG];
	struct genid other;
	MDB_txn *txn;

	tag_of(word, "body", tag);
	assert_int_equal(live_read_begin(r->live, &txn), ERRC_OK);
	assert_int_equal(idem_look(r->live, txn, key, slice_of(tag, sizeof tag), r->wall_ms,
				   &result, &other),
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

/* The oldest go, one for each that comes; a running one stays, however old. */
static void test_most_of_a_key(void **state)
{
	struct rig *r = *state;
	struct bulk b = {.r = r};

	for (int i = 0; i < 3; i++)
		bulk_claim(&b, KEY_A, word_n(-1 - i), false);
	for (int i = 0; i < IDEM_KEY_MAX + 500; i++)
		bulk_claim(&b, KEY_A, word_n(i), true);
	bulk_claim(&b, KEY_B, "w", true);
	bulk_end(&b);
	assert_in_range(rows_of(r) / 2, IDEM_KEY_MAX - 8, IDEM_KEY_MAX + 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(look(r, KEY_A, word_n(-1 - i)), IDEM_RUNNING);
	assert_int_equal(look(r, KEY_A, word_n(0)), IDEM_NEW);
	assert_int_equal(look(r, KEY_A, word_n(490)), IDEM_NEW);
	assert_int_equal(look(r, KEY_A, word_n(520)), IDEM_COMPLETED);
	assert_int_equal(look(r, KEY_A, word_n(IDEM_KEY_MAX + 499)), IDEM_COMPLETED);
	assert_int_equal(look(r, KEY_B, "w"), IDEM_COMPLETED);
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

/* All together have an eighth of the store; a key that has none takes a neighbour's oldest. */
static void test_most_of_all(void **state)
{
	struct rig *r = *state;
	struct bulk b = {.r = r};
	char key[APIKEY_ID + 1];

	bulk_claim(&b, KEY_A, "runs", false);
	for (int i = 0; i < 4000; i++)
		bulk_claim(&b, KEY_A, word_n(i), true);
	for (int i = 0; i < 300; i++) {
		snprintf(key, sizeof key, "key%09d", i * 7919);
		bulk_claim(&b, key, "w", true);
	}
	bulk_end(&b);
	assert_in_range(idem_bytes(r), 100000, (1 << 20) / 8 + 16 * 4096);
	assert_int_equal(look(r, KEY_A, "runs"), IDEM_RUNNING);
	assert_int_equal(look(r, key, "w"), IDEM_COMPLETED);
	assert_int_equal(look(r, KEY_A, word_n(3999)), IDEM_COMPLETED);
}

/* When all that there are run, nobody may go. */
static void test_no_room(void **state)
{
	struct rig *r = *state;
	uint8_t tag[IDEM_TAG];
	MDB_txn *txn;
	enum errc rc = ERRC_OK;
	int n = 0;

	assert_int_equal(live_txn_begin(r->live, &txn), ERRC_OK);
	for (; !rc && n < 10000; n++) {
		struct genid id = rig_id(r);

		tag_of(word_n(n), "body", tag);
		rc = idem_claim(r->live, txn, n % 2 ? KEY_A : KEY_B, slice_of(tag, sizeof tag), &id,
				r->wall_ms);
	}
	assert_int_equal(rc, ERRC_FULL);
	assert_in_range(n, 300, 2000);
	assert_int_equal(live_txn_commit(r->live, &txn), ERRC_OK);
	live_txn_abort(r->live, &txn);
	assert_int_equal(look(r, KEY_A, word_n(1)), IDEM_RUNNING);
	assert_int_equal(look(r, KEY_B, word_n(0)), IDEM_RUNNING);
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
		T(test_most_of_a_key, setup_large),
		T(test_most_of_all, setup_small),
		T(test_no_room, setup_small),
		T(test_new_live_store, setup),
		T(test_sweep_without_writing, setup),
		T(test_what_cannot_be_stored, setup),
		cmocka_unit_test(test_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
