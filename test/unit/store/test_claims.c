/* The ledger's list of claims on idempotency keys against its records, as verify compares them: what may differ, and what may not. */
#include "rig.h"

#include <errno.h>

#include "agree_claims.h"
#include "clock.h"
#include "idem_priv.h"
#include "ledger_priv.h"
#include "retain.h"
#include "seal.h"
#include "verify.h"

#define KEY    "aaaaaaaaaaaa"
#define DAY_MS INT64_C(86400000)

/* The program is linked so that every commit passes here. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static bool disk_fails;

/* The disk has it, or has it not; the keeper is told that it failed. */
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	int rc = __real_mdb_txn_commit(txn);

	return disk_fails ? EIO : rc;
}

/* And the end of every read transaction of the live store: workers go on behind it. */
void __real_mdb_txn_reset(MDB_txn *txn);
void __wrap_mdb_txn_reset(MDB_txn *txn);

static void (*meanwhile)(void);

void __wrap_mdb_txn_reset(MDB_txn *txn)
{
	void (*run)(void) = meanwhile;

	__real_mdb_txn_reset(txn);
	meanwhile = NULL;
	if (run)
		run();
}

struct scene {
	struct rig rig;
	uint64_t account;
	int words;
};

static struct scene *scene;

static int setup(void **state)
{
	static struct scene s;
	struct rows_scope k;

	s = (struct scene){.words = 0};
	rig_init(&s.rig);
	rig_open(&s.rig);
	rig_join(&s.rig);
	s.account = rig_account(&s.rig, "acme", 1000 * RIG_DOLLAR);
	rig_key(&s.rig, s.account, KEY, &k);
	scene = &s;
	(void)state;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&scene->rig);
	(void)state;
	return 0;
}

/* Admits a request with a word of its own. */
static struct genid hold(void)
{
	uint8_t tag[IDEM_TAG] = {0}, bound[DIGEST_SHA256] = {0};
	struct hold_candidate c;
	struct admit_op op;
	struct genid id;

	scene->words++;
	idem_tag(slice_of(&scene->words, sizeof scene->words), bound, tag);
	rig_ask(&scene->rig, &op, &c, scene->account, KEY, &scene->rig.price, 100);
	op.ask.idem = slice_of(tag, sizeof tag);
	id = op.ask.id;
	rig_run(&scene->rig, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	return id;
}

/* Its number in the outbox. */
static uint64_t settle(const struct genid *id, bool charged)
{
	struct admit_op op;

	rig_settle_op(&scene->rig, &op, scene->account, id, 10, 10);
	op.settle.charged = charged;
	rig_run(&scene->rig, &op);
	assert_true(op.done.settled);
	return op.done.outbox_n;
}

static void charges(int n)
{
	for (int i = 0; i < n; i++) {
		struct genid id = hold();

		settle(&id, true);
		scene->rig.wall_ms += 1000;
	}
	rig_drain(&scene->rig);
}

static void take_back(const struct genid *id, uint64_t outbox_n)
{
	rig_reverse(&scene->rig, scene->account, id, outbox_n);
}

/* Into the ledger; it stays in the outbox, as when the keeper has not come to delete it. */
static void take(void)
{
	struct ledger *l = scene->rig.ledger;
	const struct ledger_state *s = ledger_state(l);

	assert_int_equal(outbox_read(scene->rig.live, s->taken_n, &scene->rig.batch), ERRC_OK);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_take(l, live_head(scene->rig.live)->epoch, &scene->rig.batch),
			 ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
}

static uint64_t bad_claim(void)
{
	struct verify_result v;

	assert_int_equal(verify_ledger(scene->rig.ledger, false, NULL, NULL, &v), ERRC_OK);
	v.bad_claim_seq = verify_is_good(&v) ? 0 : v.bad_claim_seq ? v.bad_claim_seq : UINT64_MAX;
	return v.bad_claim_seq;
}

/* --- the list by hand --- */

struct row {
	uint8_t key[8], bytes[128];
	size_t n;
};

static bool get_row(MDB_cursor_op op, uint64_t seq, struct row *r)
{
	struct slice key = slice_of(r->key, sizeof r->key), value;
	MDB_cursor *c;
	MDB_txn *txn;
	enum errc rc;

	ledger_put_be(seq, r->key);
	assert_int_equal(mdb_txn_begin(scene->rig.ledger->env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(mdb_cursor_open(txn, scene->rig.ledger->idem, &c), 0);
	rc = lmdbx_move(c, op, &key, &value);
	if (!rc) {
		memcpy(r->key, key.p, key.n);
		memcpy(r->bytes, value.p, value.n);
		r->n = value.n;
	}
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	return !rc;
}

static uint64_t number(const struct row *r)
{
	return ledger_get_be(r->key);
}

/* n = 0: removes it. */
static void put_row(uint64_t seq, const struct row *r)
{
	uint8_t key[8];
	MDB_txn *txn;

	ledger_put_be(seq, key);
	assert_int_equal(mdb_txn_begin(scene->rig.ledger->env, NULL, 0, &txn), 0);
	if (r->n)
		assert_int_equal(lmdbx_put(txn, scene->rig.ledger->idem, slice_of(key, 8),
					   slice_of(r->bytes, r->n), 0),
				 ERRC_OK);
	else
		assert_int_equal(lmdbx_del(txn, scene->rig.ledger->idem, slice_of(key, 8)), ERRC_OK);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static const struct row none;

/* --- what is in order --- */

static void test_all_that_may_be(void **state)
{
	struct genid running = hold(), id;
	struct row r;
	uint64_t n;

	(void)state;
	assert_int_equal(bad_claim(), 0); /* a hold is none of the ledger's */
	id = hold();
	settle(&id, false); /* not charged: no claim */
	charges(3);
	assert_int_equal(bad_claim(), 0);
	id = hold();
	n = settle(&id, true);
	take();
	assert_int_equal(bad_claim(), 0);
	take_back(&id, n); /* in the outbox only */
	assert_int_equal(bad_claim(), 0);
	rig_drain(&scene->rig);
	assert_int_equal(bad_claim(), 0);
	id = hold();
	take_back(&id, settle(&id, true)); /* both come at once */
	rig_drain(&scene->rig);
	assert_int_equal(bad_claim(), 0);
	settle(&running, true);
	rig_drain(&scene->rig);
	assert_true(get_row(MDB_LAST, 0, &r));
	assert_int_equal(number(&r), ledger_state(scene->rig.ledger)->last_seq);
	assert_int_equal(bad_claim(), 0);
}

static void test_only_one_that_was_taken_back(void **state)
{
	struct genid id = hold();
	struct row r;

	(void)state;
	take_back(&id, settle(&id, true));
	rig_drain(&scene->rig);
	assert_false(get_row(MDB_FIRST, 0, &r));
	assert_int_equal(bad_claim(), 0);
}

/* Claims that are over leave the list, two with each that comes; those of then that were taken back are no matter. */
static void test_over(void **state)
{
	struct genid id;
	struct row r;

	(void)state;
	for (int day = 0; day < 3; day++) {
		charges(4);
		id = hold();
		take_back(&id, settle(&id, true));
		rig_drain(&scene->rig);
		assert_int_equal(bad_claim(), 0);
		scene->rig.wall_ms += DAY_MS;
	}
	for (int i = 0; i < 12; i++) {
		charges(1);
		assert_int_equal(bad_claim(), 0);
	}
	rig_close(&scene->rig);
	rig_open(&scene->rig);
	assert_int_equal(bad_claim(), 0);
	assert_true(get_row(MDB_FIRST, 0, &r));
	assert_true(ledger_state(scene->rig.ledger)->claims_over_seq > 8);
	assert_true(ledger_state(scene->rig.ledger)->claims_over_seq < number(&r));
}

/* To the millisecond. */
static void test_over_exactly(void **state)
{
	(void)state;
	charges(1);
	scene->rig.wall_ms += DAY_MS - 1001;
	charges(1);
	assert_int_equal(ledger_state(scene->rig.ledger)->claims_over_seq, 0);
	scene->rig.wall_ms -= 1000 - 1;
	charges(1);
	assert_true(ledger_state(scene->rig.ledger)->claims_over_seq > 0);
	assert_int_equal(bad_claim(), 0);
}

/* The clock is set back, by two days and for good. */
static void test_clock_back(void **state)
{
	(void)state;
	charges(3);
	scene->rig.wall_ms += 2 * DAY_MS;
	charges(3);
	scene->rig.wall_ms -= 2 * DAY_MS;
	charges(3);
	assert_int_equal(bad_claim(), 0);
	scene->rig.wall_ms += 5 * DAY_MS;
	charges(8);
	assert_int_equal(bad_claim(), 0);
}

/* Their records are gone, the claims are not. */
static void test_removed_day(void **state)
{
	struct retain_keep keep = {.bytes = 1};
	struct ledger *l = scene->rig.ledger;
	bool more = true;
	struct genid id;
	struct row r;
	uint64_t n;

	(void)state;
	charges(3);
	id = hold();
	n = settle(&id, true);
	take();
	scene->rig.wall_ms += DAY_MS;
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(seal_day(l, scene->rig.wall_ms), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	take_back(&id, n); /* on the next day */
	rig_drain(&scene->rig);
	scene->rig.wall_ms -= DAY_MS / 2; /* nothing is over */
	charges(2);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_checkpoint(l), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	while (more) {
		assert_int_equal(retain_step(l, &keep, scene->rig.wall_ms, &more), ERRC_OK);
		assert_int_equal(bad_claim(), 0);
	}
	assert_int_equal(ledger_get(l, 3, &(struct buf){.max = 0}), ERRC_NOTFOUND);
	assert_true(get_row(MDB_FIRST, 0, &r));
	assert_true(number(&r) < ledger_state(l)->last_seq - 4); /* of a record that is gone */
	charges(2);
	assert_int_equal(bad_claim(), 0);
}

/* After the disk failed the node starts only when all is right. */
static void test_failed_commit(void **state)
{
	struct genid id = hold();

	(void)state;
	charges(3);
	settle(&id, true);
	assert_int_equal(outbox_read(scene->rig.live, ledger_state(scene->rig.ledger)->taken_n,
				     &scene->rig.batch),
			 ERRC_OK);
	assert_int_equal(ledger_begin(scene->rig.ledger), ERRC_OK);
	assert_int_equal(ledger_take(scene->rig.ledger, live_head(scene->rig.live)->epoch,
				     &scene->rig.batch),
			 ERRC_OK);
	disk_fails = true;
	assert_int_equal(ledger_commit(scene->rig.ledger), ERRC_IO);
	disk_fails = false;
	rig_close(&scene->rig);
	assert_int_equal(verify_folder(scene->rig.opts.state_dir, NULL), ERRC_OK);
	rig_open(&scene->rig);
	assert_int_equal(bad_claim(), 0);
}

/* While verify reads, claims are taken back, added and go. */
struct meanwhile {
	struct genid id;
	uint64_t n;
	bool done;
};

static void on_progress(void *arg, int permille)
{
	struct meanwhile *m = arg;

	(void)permille;
	if (m->done)
		return;
	m->done = true;
	take_back(&m->id, m->n);
	take();
	charges(3);
}

static void test_while_the_keeper_writes(void **state)
{
	struct meanwhile m = {.done = false};
	struct verify_result v;

	(void)state;
	for (int days = 0; days < 2; days++) { /* the second time all before it is over */
		charges(8);
		m = (struct meanwhile){.id = hold()};
		m.n = settle(&m.id, true);
		take();
		scene->rig.wall_ms += days * DAY_MS;
		assert_int_equal(verify_ledger(scene->rig.ledger, false, on_progress, &m, &v),
				 ERRC_OK);
		assert_true(m.done);
		assert_int_equal(v.bad_claim_seq, 0);
		assert_true(verify_is_good(&v));
	}
}

/* --- what is not --- */

static void test_every_flipped_byte(void **state)
{
	struct row r;

	(void)state;
	charges(2);
	for (bool more = get_row(MDB_FIRST, 0, &r); more;) {
		uint64_t seq = number(&r);

		for (size_t at = 0; at < r.n; at++) {
			r.bytes[at] ^= (uint8_t)(1u << (at % 8));
			put_row(seq, &r);
			assert_int_equal(bad_claim(), seq);
			r.bytes[at] ^= (uint8_t)(1u << (at % 8));
		}
		r.n--; /* too short */
		put_row(seq, &r);
		assert_int_equal(bad_claim(), seq);
		r.n++;
		put_row(seq, &r);
		more = get_row(MDB_SET_RANGE, seq + 1, &r);
	}
	assert_int_equal(bad_claim(), 0);
}

static void test_first_of_two(void **state)
{
	struct row r;
	uint64_t first;

	(void)state;
	charges(3);
	assert_true(get_row(MDB_FIRST, 0, &r));
	first = number(&r);
	for (int i = 0; i < 2; i++) {
		r.bytes[0] ^= 1;
		put_row(number(&r), &r);
		assert_int_equal(bad_claim(), first);
		assert_true(get_row(MDB_SET_RANGE, number(&r) + 1, &r));
	}
}

static void test_missing_and_too_many(void **state)
{
	struct row first, r;
	struct genid id;
	uint64_t n;

	(void)state;
	charges(4);
	assert_true(get_row(MDB_FIRST, 0, &first));
	for (bool more = get_row(MDB_FIRST, 0, &r); more;) {
		uint64_t seq = number(&r);

		put_row(seq, &none);
		assert_int_equal(bad_claim(), seq);
		put_row(seq, &r);
		more = get_row(MDB_SET_RANGE, seq + 1, &r);
	}
	n = ledger_state(scene->rig.ledger)->last_seq;
	put_row(1, &first); /* of a record that is no charge */
	assert_int_equal(bad_claim(), 1);
	put_row(1, &none);
	put_row(n + 1, &first); /* of none */
	assert_int_equal(bad_claim(), n + 1);
	put_row(n + 1, &none);
	assert_int_equal(bad_claim(), 0);
	id = hold();
	n = settle(&id, true);
	take();
	assert_true(get_row(MDB_LAST, 0, &r));
	take_back(&id, n);
	rig_drain(&scene->rig);
	assert_int_equal(bad_claim(), 0);
	put_row(number(&r), &r); /* of a charge that was taken back */
	assert_int_equal(bad_claim(), number(&r));
}

/* Claims that are not over must not be called so. */
static void test_over_too_early(void **state)
{
	struct row r;

	(void)state;
	charges(4);
	assert_true(get_row(MDB_FIRST, 0, &r));
	put_row(number(&r), &none);
	assert_int_equal(ledger_begin(scene->rig.ledger), ERRC_OK);
	scene->rig.ledger->next.claims_over_seq = number(&r);
	assert_int_equal(ledger_commit(scene->rig.ledger), ERRC_OK);
	assert_int_equal(bad_claim(), number(&r));
}

/* --- the live store's claims --- */

static uint64_t different(uint64_t claims)
{
	struct agree_claims g = {.done = false};

	while (!g.done)
		assert_int_equal(agree_claims_slice(&scene->rig.admin, &g), ERRC_OK);
	assert_int_equal(g.claims, claims);
	return g.different;
}

/* Running, charged and in the outbox, in the ledger, taken back, over, removed with its day, of a store made anew. */
static void test_live_claims(void **state)
{
	struct retain_keep keep = {.bytes = 1};
	struct ledger *l = scene->rig.ledger;
	struct genid id = hold(), back;
	bool more = true;

	(void)state;
	assert_int_equal(different(1), 0);
	charges(300); /* more than a slice */
	settle(&id, true);
	assert_int_equal(different(301), 0);
	back = hold();
	take_back(&back, settle(&back, true));
	assert_int_equal(different(301), 0);
	id = hold();
	settle(&id, false);
	assert_int_equal(different(301), 0);
	scene->rig.wall_ms += DAY_MS;
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(seal_day(l, scene->rig.wall_ms), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	charges(2);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_checkpoint(l), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
	while (more)
		assert_int_equal(retain_step(l, &keep, scene->rig.wall_ms, &more), ERRC_OK);
	assert_int_equal(different(303), 0);
	scene->rig.wall_ms = clock_wall_ms(); /* the new store gets those of the last day */
	charges(2);
	rig_close(&scene->rig);
	assert_int_equal(live_remove(scene->rig.started.live_dir), ERRC_OK);
	rig_open(&scene->rig);
	assert_int_equal(different(2), 0);
}

static size_t seen;

static enum errc see(void *oldest_ms, const struct ledger_claim *c)
{
	if (seen++ == 0)
		*(int64_t *)oldest_ms = c->made_ms;
	return ERRC_OK;
}

/* A new live store gets as many as it has room for, the newest, and none that is over. */
static void test_last_claims(void **state)
{
	int64_t wall_ms = scene->rig.wall_ms, oldest_ms = 0;

	(void)state;
	charges(5); /* one a second */
	for (int over = 0; over < 2; over++) {
		int64_t now_ms = wall_ms + (over ? DAY_MS : 5000);

		for (size_t max = 1; max < 8; max++) {
			size_t n = MIN_OF(max, (size_t)(5 - over));

			seen = 0;
			assert_int_equal(
				ledger_each_claim(scene->rig.ledger, now_ms, max, see, &oldest_ms),
				ERRC_OK);
			assert_int_equal(seen, n);
			assert_int_equal(oldest_ms, wall_ms + (int64_t)(5 - n) * 1000);
		}
	}
}

static void in_live(enum errc (*fn)(struct live *l, MDB_txn *txn))
{
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(scene->rig.live, &txn), ERRC_OK);
	assert_int_equal(fn(scene->rig.live, txn), ERRC_OK);
	assert_int_equal(live_txn_commit(scene->rig.live, &txn), ERRC_OK);
}

static struct genid by_hand;

static enum errc claim(struct live *l, MDB_txn *txn)
{
	static const uint8_t tag[IDEM_TAG] = {1};

	return idem_claim(l, txn, KEY, slice_of(tag, sizeof tag), &by_hand, scene->rig.wall_ms);
}

static enum errc complete(struct live *l, MDB_txn *txn)
{
	static const uint8_t tag[IDEM_TAG] = {1};

	return idem_end(l, txn, KEY, slice_of(tag, sizeof tag), &by_hand, true);
}

static struct {
	struct genid running, charged;
	uint64_t charged_n;
} two;

static void settle_and_take_back(void)
{
	settle(&two.running, true);
	take_back(&two.charged, two.charged_n);
}

/* Between the look at the claims and that at the ledger one is completed and another taken back. */
static void test_claims_that_change_meanwhile(void **state)
{
	(void)state;
	charges(1);
	two.charged = hold();
	two.charged_n = settle(&two.charged, true);
	two.running = hold();
	meanwhile = settle_and_take_back;
	assert_int_equal(different(3), 0);
	assert_null(meanwhile);
	assert_int_equal(different(2), 0);
}

static enum errc claim_first_word(struct live *l, MDB_txn *txn)
{
	uint8_t tag[IDEM_TAG] = {0}, bound[DIGEST_SHA256] = {0};
	const int first = 1;
	enum errc rc;

	idem_tag(slice_of(&first, sizeof first), bound, tag);
	rc = idem_claim(l, txn, KEY, slice_of(tag, sizeof tag), &by_hand, scene->rig.wall_ms);
	return rc ? rc : idem_end(l, txn, KEY, slice_of(tag, sizeof tag), &by_hand, true);
}

/* The charge is in the ledger, and that it was taken back is too. */
static void test_completed_but_taken_back(void **state)
{
	(void)state;
	by_hand = hold();
	take_back(&by_hand, settle(&by_hand, true));
	assert_int_equal(different(0), 0);
	in_live(claim_first_word);
	assert_int_equal(different(1), 1);
}

/* One that runs without a hold; one that is completed without a charge, or with the charge of another word. */
static void test_wrong_live_claims(void **state)
{
	struct genid charged = hold();

	(void)state;
	settle(&charged, true);
	by_hand = rig_id(&scene->rig);
	in_live(claim);
	assert_int_equal(different(2), 1);
	in_live(complete);
	assert_int_equal(different(2), 1);
	scene->rig.wall_ms += IDEM_LASTS_MS; /* the word is free again, */
	by_hand = charged;
	in_live(claim);
	assert_int_equal(different(2), 1);
	in_live(complete); /* and stands for the request of another */
	assert_int_equal(different(2), 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_all_that_may_be),
		T(test_only_one_that_was_taken_back),
		T(test_over),
		T(test_over_exactly),
		T(test_clock_back),
		T(test_removed_day),
		T(test_failed_commit),
		T(test_while_the_keeper_writes),
		T(test_every_flipped_byte),
		T(test_first_of_two),
		T(test_missing_and_too_many),
		T(test_over_too_early),
		T(test_live_claims),
		T(test_last_claims),
		T(test_claims_that_change_meanwhile),
		T(test_completed_but_taken_back),
		T(test_wrong_live_claims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
