/* A report with what waits in the outbox: exact whatever the ledger has taken, also while it takes. */
#include "rig.h"

#include "ledger_priv.h"
#include "live_priv.h"
#include "mem.h"
#include "report.h"
#include "report_tail.h"
#include "text.h"

#define KEY_A "aaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbb"
#define STEPS 1500

struct node {
	struct rig r;
	uint64_t account;
	struct text_rng rng;
	/* Of key A, as it must be told. */
	int64_t requests, charge_nusd;
	/* The last one of A, while it may be taken back. */
	bool has_last;
	struct genid last;
	struct admit_done last_done;
};

/* Done once, when a report has read the outbox and comes to the roll-ups: the second time that it looks into the ledger. */
static void (*meanwhile)(struct node *n);
static unsigned looks;
static struct node node;

int __real_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out);
int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out);

int __wrap_mdb_txn_begin(MDB_env *env, MDB_txn *parent, unsigned flags, MDB_txn **out)
{
	bool look = node.r.ledger && env == node.r.ledger->env && (flags & MDB_RDONLY);

	if (look && ++looks == 2 && meanwhile)
		meanwhile(&node);
	return __real_mdb_txn_begin(env, parent, flags, out);
}

static int setup(void **state)
{
	struct rows_scope k;

	node = (struct node){.rng = {{11, 12}}};
	meanwhile = NULL;
	rig_init(&node.r);
	node.r.opts.live_bytes = 64 * 1024 * 1024;
	rig_open(&node.r);
	rig_join(&node.r);
	node.account = rig_account(&node.r, "acme", 1000 * RIG_DOLLAR);
	rig_key(&node.r, node.account, KEY_A, &k);
	rig_key(&node.r, node.account, KEY_B, &k);
	*state = &node;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	rig_fini(&node.r);
	return 0;
}

/* --- what happens --- */

static void spend(struct node *n, const char *key)
{
	int64_t out = 1 + (int64_t)(text_rng_next(&n->rng) % 9);
	struct admit_done done;
	struct admit_op op;
	struct genid id;

	assert_true(rig_hold(&n->r, n->account, key, &n->r.price, 10, &id, &op));
	rig_settle(&n->r, n->account, &id, 10, out, &done);
	if (strcmp(key, KEY_A) != 0)
		return;
	n->requests++;
	n->charge_nusd += done.charge_nusd;
	n->has_last = true;
	n->last = id;
	n->last_done = done;
}

static void take_back(struct node *n)
{
	struct admit_op op;

	if (!n->has_last)
		return;
	n->has_last = false;
	rig_settle_op(&n->r, &op, n->account, &n->last, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = n->last_done.outbox_n;
	rig_run(&n->r, &op);
	if (op.done.settled)
		n->charge_nusd -= n->last_done.charge_nusd;
}

/* Into the ledger, some of it; what it has stays in the outbox. */
static void take_some(struct node *n)
{
	struct rig *r = &n->r;
	const struct ledger_state *s = ledger_state(r->ledger);
	uint64_t epoch = live_head(r->live)->epoch;

	assert_int_equal(outbox_read(r->live, s->taken_epoch == epoch ? s->taken_n : 0, &r->batch),
			 ERRC_OK);
	r->batch.n = (r->batch.n + 1) / 2;
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_take(r->ledger, epoch, &r->batch), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
}

static void take_all(struct node *n)
{
	rig_drain(&n->r);
}

static void nothing(struct node *n)
{
	(void)n;
}

/* --- what is told --- */

static struct report_row told(struct node *n, const char *key, bool waiting)
{
	struct report_ask ask = {
		.until_ms = INT64_MAX, .account = n->account, .key_id = key, .waiting = waiting};
	struct report *rep = NULL;
	struct report_row row;

	looks = 0;
	assert_int_equal(report_new(n->r.ledger, n->r.live, &ask, &rep), ERRC_OK);
	row = report_total(rep);
	report_free(&rep);
	return row;
}

static void check(struct node *n)
{
	struct report_row row = told(n, KEY_A, true);

	assert_int_equal(row.requests, n->requests);
	assert_int_equal(row.charge_nusd, n->charge_nusd);
}

static void test_before_the_ledger(void **state)
{
	struct node *n = *state;

	spend(n, KEY_A);
	spend(n, KEY_B);
	spend(n, KEY_A);
	assert_int_equal(told(n, KEY_A, false).requests, 0);
	check(n);
	assert_int_equal(told(n, KEY_B, true).requests, 1);
	take_back(n);
	check(n);
	take_some(n);
	check(n);
	take_all(n);
	check(n);
	assert_int_equal(told(n, KEY_A, false).requests, 2);
}

/* As in the ledger: by its names, and within the span only. */
static void test_names_and_spans(void **state)
{
	struct node *n = *state;
	struct report_ask ask = {.until_ms = INT64_MAX,
				 .account = n->account,
				 .key_id = KEY_A,
				 .waiting = true,
				 .by = {REPORT_MODEL},
				 .by_n = 1};
	struct report *rep = NULL;
	int64_t between;

	spend(n, KEY_A);
	take_all(n);
	between = n->r.wall_ms += 1000;
	spend(n, KEY_A);
	assert_int_equal(report_new(n->r.ledger, n->r.live, &ask, &rep), ERRC_OK);
	assert_int_equal(report_rows_n(rep), 1);
	assert_true(slice_is(report_row_at(rep, 0).name[0], "m1"));
	assert_int_equal(report_row_at(rep, 0).requests, 2);
	report_free(&rep);
	ask.since_ms = between;
	assert_int_equal(report_new(n->r.ledger, n->r.live, &ask, &rep), ERRC_OK);
	assert_int_equal(report_total(rep).requests, 1);
	report_free(&rep);
	ask.model = SLICE_LIT("m2");
	assert_int_equal(report_new(n->r.ledger, n->r.live, &ask, &rep), ERRC_OK);
	assert_int_equal(report_total(rep).requests, 0);
	report_free(&rep);
}

/* Whatever order things come in, and whatever the ledger takes while a report is made. */
static void test_any_order(void **state)
{
	static void (*const steps[])(struct node *) = {take_some, take_all, take_back, nothing};
	struct node *n = *state;

	for (int i = 0; i < STEPS; i++) {
		uint64_t pick = text_rng_next(&n->rng);

		if (pick % 8 < 5)
			spend(n, pick % 8 < 3 ? KEY_A : KEY_B);
		else
			steps[pick / 8 % 3](n);
		meanwhile = steps[(uint64_t[]){0, 1, 3}[pick / 64 % 3]];
		check(n);
		n->r.wall_ms++;
	}
	assert_true(n->requests > STEPS / 5);
}

/* Rows that nobody asks for. */
static void fill(struct node *n, size_t rows)
{
	const struct record r = {.type = RECORD_TAKE,
				 .account = n->account,
				 .wall_ms = n->r.wall_ms,
				 .change = {.amount_nusd = 1}};
	uint64_t last;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(n->r.live, &txn), ERRC_OK);
	assert_int_equal(live_outbox_last(n->r.live, txn, &last), ERRC_OK);
	for (size_t i = 1; i <= rows; i++)
		assert_int_equal(live_outbox_append(n->r.live, txn, last + i, n->r.boot_ms, &r),
				 ERRC_OK);
	assert_int_equal(live_txn_commit(n->r.live, &txn), ERRC_OK);
}

/* The ledger does not take anything for long: that is said, and not a part told as if it were all. */
static void test_too_many(void **state)
{
	struct node *n = *state;
	struct report_ask ask = {
		.until_ms = INT64_MAX, .account = n->account, .key_id = KEY_A, .waiting = true};
	struct report *rep = NULL;

	spend(n, KEY_A);
	fill(n, REPORT_TAIL_MAX - 2);
	spend(n, KEY_A);
	check(n);
	spend(n, KEY_A);
	assert_int_equal(report_new(n->r.ledger, n->r.live, &ask, &rep), ERRC_BUSY);
	assert_null(rep);
}

/* The rows of an epoch that is over are all in the ledger. */
static void test_another_epoch(void **state)
{
	struct node *n = *state;
	struct report_tail t;
	struct ledger_state s;
	uint64_t seen = 0;

	spend(n, KEY_A);
	assert_int_equal(report_tail_read(n->r.live, n->r.ledger, KEY_A, &t), ERRC_OK);
	assert_true(t.rows.len > 0);
	s = *ledger_state(n->r.ledger);
	s.taken_epoch = t.epoch + 1;
	s.taken_n = 0;
	assert_int_equal(report_tail_each(&t, &s, NULL, &seen), ERRC_OK);
	assert_false(report_tail_charge(&t, &n->last).n == 0);
	report_tail_fini(&t);
}

static void test_no_memory(void **state)
{
	struct node *n = *state;
	struct report_ask ask = {
		.until_ms = INT64_MAX, .account = n->account, .key_id = KEY_A, .waiting = true};
	struct report *rep = NULL;
	enum errc rc = ERRC_NOMEM;

	spend(n, KEY_A);
	take_back(n);
	for (unsigned i = 1; rc; i++) {
		mem_fail_after(i);
		rc = report_new(n->r.ledger, n->r.live, &ask, &rep);
		mem_fail_after(0);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
		assert_true(i < 1000);
	}
	assert_int_equal(report_total(rep).requests, 1);
	report_free(&rep);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_before_the_ledger, setup, teardown),
		cmocka_unit_test_setup_teardown(test_names_and_spans, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_epoch, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_memory, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
