/* The list of claims and the records while the keeper writes on: what the walk over the records has seen of either, it has seen at
 * different times. */
#include "rig.h"

#include "claimcheck.h"
#include "idem.h"
#include "ledger_priv.h"

#define KEY    "aaaaaaaaaaaa"
#define DAY_MS INT64_C(86400000)

struct scene {
	struct rig rig;
	uint64_t account;
	int words;
	struct claimcheck check;
	uint64_t next; /* record of the walk */
};

static struct scene s;

static int setup(void **state)
{
	struct rows_scope k;

	s = (struct scene){.next = 1};
	rig_init(&s.rig);
	rig_open(&s.rig);
	rig_join(&s.rig);
	s.account = rig_account(&s.rig, "acme", 1000 * RIG_DOLLAR);
	rig_key(&s.rig, s.account, KEY, &k);
	claimcheck_init(&s.check, s.rig.ledger);
	(void)state;
	return 0;
}

static int teardown(void **state)
{
	claimcheck_fini(&s.check);
	rig_fini(&s.rig);
	(void)state;
	return 0;
}

/* A charge with a word of its own, a second after the one before. */
struct charge {
	struct genid id;
	uint64_t outbox_n, seq;
};

static void take(void)
{
	struct ledger *l = s.rig.ledger;

	assert_int_equal(outbox_read(s.rig.live, ledger_state(l)->taken_n, &s.rig.batch), ERRC_OK);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(ledger_take(l, live_head(s.rig.live)->epoch, &s.rig.batch), ERRC_OK);
	assert_int_equal(ledger_commit(l), ERRC_OK);
}

static struct charge charge(void)
{
	uint8_t tag[IDEM_TAG] = {0}, bound[DIGEST_SHA256] = {0};
	struct hold_candidate c;
	struct charge out;
	struct admit_op op;

	s.words++;
	idem_tag(slice_of(&s.words, sizeof s.words), bound, tag);
	rig_ask(&s.rig, &op, &c, s.account, KEY, &s.rig.price, 100);
	op.ask.idem = slice_of(tag, sizeof tag);
	out.id = op.ask.id;
	rig_run(&s.rig, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	rig_settle_op(&s.rig, &op, s.account, &out.id, 10, 10);
	rig_run(&s.rig, &op);
	assert_true(op.done.settled);
	out.outbox_n = op.done.outbox_n;
	take(); /* it stays in the outbox and can be taken back */
	out.seq = ledger_state(s.rig.ledger)->last_seq;
	s.rig.wall_ms += 1000;
	return out;
}

static void take_back(const struct charge *c)
{
	rig_reverse(&s.rig, s.account, &c->id, c->outbox_n);
	take();
}

/* The claim leaves the list, and all up to `over_seq` are called over. */
static void lose(uint64_t seq, uint64_t over_seq)
{
	struct ledger *l = s.rig.ledger;
	uint8_t key[8];

	ledger_put_be(seq, key);
	assert_int_equal(ledger_begin(l), ERRC_OK);
	assert_int_equal(lmdbx_del(l->txn, l->idem, slice_of(key, sizeof key)), ERRC_OK);
	l->next.claims_over_seq = over_seq;
	assert_int_equal(ledger_commit(l), ERRC_OK);
}

static enum errc on_item(void *arg, const struct ledger_item *item)
{
	struct record r;
	uint64_t at;

	(void)arg;
	assert_int_equal(record_decode(item->record, &r), ERRC_OK);
	assert_int_equal(claimcheck_add(&s.check, item->seq, &r), ERRC_OK);
	if (r.type == RECORD_REVERSE) {
		assert_int_equal(ledger_find(s.rig.ledger, &r.change.id, &at), ERRC_OK);
		assert_int_equal(claimcheck_taken_back(&s.check, at), ERRC_OK);
	}
	return ERRC_OK;
}

/* On to the end that the ledger has now; `meanwhile` is done when that is known. */
static void walk(const struct charge *meanwhile)
{
	struct ledger_state now;

	assert_int_equal(ledger_read_state(s.rig.ledger, &now), ERRC_OK);
	claimcheck_go_on(&s.check, &now);
	if (meanwhile)
		take_back(meanwhile);
	assert_int_equal(ledger_walk(s.rig.ledger, &s.next, now.last_seq, on_item, NULL), ERRC_OK);
	assert_int_equal(s.next, now.last_seq + 1);
}

static uint64_t ended(void)
{
	claimcheck_end(&s.check);
	return s.check.bad_seq;
}

/* The first claim is lacking when the walk comes by. It goes on for what explains that, and not for another one that is taken back
 * then: this would never end. */
static void test_taken_back_behind_the_end(void **state)
{
	struct charge first = charge(), second;

	(void)state;
	walk(&first);
	assert_true(claimcheck_waits(&s.check));
	second = charge();
	walk(&second);
	assert_int_equal(ended(), 0);
}

/* Nor is what no record explains forgotten over it. */
static void test_never_explained(void **state)
{
	struct charge first = charge(), second = charge(), third;

	(void)state;
	lose(second.seq, 0);
	walk(&first);
	assert_true(claimcheck_waits(&s.check));
	third = charge();
	walk(&third);
	assert_int_equal(ended(), second.seq);
}

/* Claims that are added behind what was seen of the list, and some that are over and leave it meanwhile. */
static void test_list_moves_on(void **state)
{
	struct charge c[3];

	(void)state;
	for (int day = 0; day < 3; day++) {
		for (size_t i = 0; i < ARRAY_LEN(c); i++)
			c[i] = charge();
		walk(day % 2 ? &c[0] : &c[2]);
		s.rig.wall_ms += DAY_MS;
	}
	if (claimcheck_waits(&s.check))
		walk(NULL);
	assert_true(ledger_state(s.rig.ledger)->claims_over_seq > 0);
	assert_int_equal(ended(), 0);
}

/* A claim is called over too early, and others rightly so before the walk is at its end. */
static void test_over_too_early_and_then_others(void **state)
{
	struct charge first = charge();

	(void)state;
	charge();
	charge();
	lose(first.seq, first.seq);
	walk(NULL);
	s.rig.wall_ms += DAY_MS;
	charge();
	assert_true(ledger_state(s.rig.ledger)->claims_over_seq > first.seq);
	walk(NULL);
	assert_int_equal(ended(), first.seq);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_taken_back_behind_the_end),
		T(test_never_explained),
		T(test_list_moves_on),
		T(test_over_too_early_and_then_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
