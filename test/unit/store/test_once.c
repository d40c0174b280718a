/* Exactly once (proof row 25): clients that ask again with their idempotency keys, settle twice, and are answered by processes that die at any
 * commit, before or after it; account, team, keys and end user have rules of every kind, which count what is charged. Seeded: a seed is one interleaving, printed when it fails; AIGW_ONCE_SEED runs that one alone, AIGW_ONCE_RUNS
 * says how many there are; 2,000, or 10,000 with AIGW_LONG=1, from 1 or AIGW_TEST_SEED on; in the long form from any. */
#include "rig.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "clock.h"
#include "folder.h"
#include "idem_priv.h"
#include "shrink.h"
#include "sweep.h"
#include "text.h"

#define KEY_A        "aaaaaaaaaaaa"
#define KEY_B        "bbbbbbbbbbbb"
#define RUNS         2000
#define RUNS_LONG    10000 /* with AIGW_LONG=1 */
#define RUNS_A_STORE 250   /* then a fresh one, so that starts stay short */
#define STEPS        30
#define CLIENTS      5
#define SCOPES       5 /* of the account, its team, the two keys in it, an end user */
#define USER         SLICE_LIT("alice")
#define WORDS        3
#define NO_SLOT      PROGRESS_NO_SLOT

/* --- every commit passes here --- */

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static unsigned crash_in; /* commits from now; 0: none */
static bool crash_after, crashed;

/* A process that died at a commit: whoever called it never learns whether it was done, and neither does the test. */
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (crashed) {
		mdb_txn_abort(txn);
		return EIO;
	}
	if (crash_in == 0 || --crash_in > 0)
		return __real_mdb_txn_commit(txn);
	crashed = true;
	if (crash_after)
		(void)!__real_mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	return EIO;
}

/* --- the world --- */

struct client {
	bool runs, gone; /* has a hold; its process has died */
	int word;
	struct genid id;
	uint32_t slot;
	uint64_t charged_n; /* outbox number of its charge, which may be taken back; 0: none */
};

/* What a client was told of a word: binding from then on. */
struct promise {
	bool given, durable; /* durable: nothing but a lost disk undoes it */
	struct genid id;
};

struct world {
	struct rig *r;
	struct text_rng rng;
	const struct rows_scope *scopes; /* SCOPES */
	uint64_t account, seed, from;    /* first record of this run */
	struct client clients[CLIENTS];
	struct promise charged[WORDS]; /* settled before a client's eyes */
	struct promise told[WORDS];    /* said to be completed */
};

static unsigned pick(struct world *w, unsigned n)
{
	return (unsigned)(text_rng_next(&w->rng) % n);
}

static void fail_seed(const struct world *w, const char *what)
{
	fail_msg("seed %llu: %s", (unsigned long long)w->seed, what);
}

static const char *key_of(int word)
{
	return word % 2 ? KEY_A : KEY_B;
}

static void tag_of(const struct world *w, int word, int body, uint8_t tag[IDEM_TAG])
{
	uint8_t bound[DIGEST_SHA256];
	char text[64];

	snprintf(text, sizeof text, "body %d", body);
	digest_sha256(slice_str(text), bound);
	snprintf(text, sizeof text, "%llu-%d", (unsigned long long)w->seed, word);
	idem_tag(slice_str(text), bound, tag);
}

/* One operation; false: the process died in it. */
static bool run(struct world *w, struct admit_op *op)
{
	static const struct admit_rules rules = {.ledger_lag_max_ms = INT64_MAX};
	enum errc rc = admit_batch(w->r->live, &rules, &op, 1);

	if (crashed)
		return false;
	if (rc || op->rc)
		fail_seed(w, "an operation failed");
	return true;
}

/* --- recovery --- */

static void sweep_all(struct world *w)
{
	struct sweep_result s = {.more = true};

	while (s.more)
		if (sweep_run(w->r->live, w->r->boot_ms, w->r->wall_ms, &s))
			fail_seed(w, "the sweep failed");
}

static void set_durable(struct world *w)
{
	for (int i = 0; i < WORDS; i++)
		w->charged[i].durable = w->told[i].durable = true;
	for (int i = 0; i < CLIENTS; i++)
		w->clients[i].charged_n = 0; /* cannot be taken back any more */
}

/* All processes of the node are new: a keeper, which takes over what there is, then a worker. */
static void restart(struct world *w, bool reboot)
{
	struct rig *r = w->r;

	crashed = false;
	crash_in = 0;
	rig_close(r);
	if (reboot) {
		folder_remove("%s/live", r->dir);
		for (int i = 0; i < WORDS; i++) {
			w->charged[i].given &= w->charged[i].durable;
			w->told[i].given &= w->told[i].durable;
		}
	}
	rig_open(r);
	set_durable(w); /* the start took the outbox */
	for (int i = 0; i < CLIENTS; i++)
		w->clients[i].gone = w->clients[i].runs;
	rig_join(r);
	if (pick(w, 2))
		sweep_all(w);
}

static void drain(struct world *w)
{
	uint64_t taken;
	enum errc rc = store_drain_outbox(w->r->live, w->r->ledger, &w->r->batch, &taken);

	if (crashed)
		return;
	if (rc)
		fail_seed(w, "the outbox could not be taken");
	set_durable(w);
}

/* --- clients --- */

static void ask(struct world *w, struct client *c)
{
	struct rig *r = w->r;
	struct hold_candidate candidate;
	uint8_t tag[IDEM_TAG];
	struct admit_op op;
	int word = (int)pick(w, WORDS);

	tag_of(w, word, (int)pick(w, 2), tag);
	rig_ask(r, &op, &candidate, w->account, key_of(word), &r->price, 100);
	op.ask.idem = slice_of(tag, sizeof tag);
	op.ask.user = USER;
	op.ask.slot = progress_take(live_progress(r->live), w->account, &op.ask.id);
	*c = (struct client){.word = word, .id = op.ask.id, .slot = op.ask.slot};
	if (c->slot == NO_SLOT)
		fail_seed(w, "no slot of progress is left");
	if (!run(w, &op))
		return; /* whether it holds anything the sweep will see */
	if (op.reason == ADMIT_NONE) {
		if (w->charged[word].given || w->told[word].given)
			fail_seed(w, "what was charged is asked again");
		c->runs = true;
		progress_attempt(progress_at(live_progress(r->live), c->slot), 0);
		return;
	}
	progress_give(live_progress(r->live), c->slot);
	if (op.reason == ADMIT_IDEM_COMPLETED) {
		w->told[word] = (struct promise){.given = true, .id = op.refusal.other};
	} else if (op.reason != ADMIT_IDEM_RUNNING && op.reason != ADMIT_IDEM_MISMATCH) {
		fail_seed(w, "refused for another reason");
	}
}

static void deliver(struct world *w, struct client *c)
{
	progress_seen(progress_at(live_progress(w->r->live), c->slot), pick(w, 3));
}

/* Settles or releases, sometimes twice: the second one finds nothing to do. */
static void end(struct world *w, struct client *c)
{
	struct rig *r = w->r;
	struct admit_op op;
	bool charged = pick(w, 3) > 0;

	rig_settle_op(r, &op, w->account, &c->id, 10, 10);
	op.settle.charged = charged;
	if (!charged && pick(w, 2))
		op.kind = ADMIT_RELEASE;
	for (int times = 1 + (int)pick(w, 2); times > 0; times--) {
		if (!run(w, &op))
			return;
		if (op.done.settled != c->runs)
			fail_seed(w, "settled twice, or never");
		if (op.done.settled && charged) {
			w->charged[c->word] = (struct promise){.given = true, .id = c->id};
			c->charged_n = op.done.outbox_n;
		}
		c->runs = false;
	}
	progress_give(live_progress(r->live), c->slot);
}

static void take_back(struct world *w, struct client *c)
{
	struct admit_op op;

	rig_settle_op(w->r, &op, w->account, &c->id, 0, 0);
	op.kind = ADMIT_REVERSE;
	op.outbox_n = c->charged_n;
	c->charged_n = 0;
	/* From its beginning it is uncertain which way it goes. */
	w->charged[c->word].given = w->told[c->word].given = false;
	(void)run(w, &op);
}

static void step(struct world *w)
{
	struct client *c = &w->clients[pick(w, CLIENTS)];
	unsigned what = pick(w, 100);

	w->r->wall_ms += pick(w, 1000 * 60 * 10);
	w->r->boot_ms += 1;
	if (what < 4) {
		crash_in = 1 + pick(w, 4);
		crash_after = pick(w, 2);
	} else if (what < 14) {
		drain(w);
	} else if (what < 16) {
		restart(w, false);
	} else if (what == 16 && pick(w, 4) == 0) {
		restart(w, true);
	} else if (c->gone) {
		c->gone = c->runs = false; /* somebody new in its place */
	} else if (!c->runs && c->charged_n && what < 40) {
		take_back(w, c);
	} else if (!c->runs) {
		ask(w, c);
	} else if (what < 40) {
		deliver(w, c);
	} else {
		end(w, c);
	}
	if (crashed)
		restart(w, false);
}

/* --- the truth --- */

struct tally {
	const struct world *w;
	uint8_t words[WORDS][IDEM_TAG / 2];
	struct genid charged[WORDS][16];
	int n[WORDS];
};

static enum errc count(void *arg, const struct ledger_item *i)
{
	struct tally *t = arg;
	struct record r;

	assert_int_equal(record_decode(i->record, &r), ERRC_OK);
	for (int w = 0; w < WORDS; w++) {
		if (r.type == RECORD_CHARGE && (r.charge.flags & RECORD_CHARGED) &&
		    r.charge.idem.n == IDEM_TAG &&
		    memcmp(r.charge.idem.p, t->words[w], IDEM_TAG / 2) == 0 && t->n[w] < 16)
			t->charged[w][t->n[w]++] = r.charge.id;
		for (int k = 0; r.type == RECORD_REVERSE && k < t->n[w]; k++)
			if (genid_eq(&t->charged[w][k], &r.change.id))
				t->charged[w][k] = t->charged[w][--t->n[w]];
	}
	return ERRC_OK;
}

static void check_promise(const struct world *w, const struct tally *t, int word,
			  const struct promise *p, const char *broken)
{
	if (p->given && (t->n[word] != 1 || !genid_eq(&t->charged[word][0], &p->id)))
		fail_seed(w, broken);
}

/* What a client that asks now is told must be what the ledger says. */
static void check_word(struct world *w, const struct tally *t, int word)
{
	bool charged = t->n[word] == 1, known = false;

	if (t->n[word] > 1)
		fail_seed(w, "charged twice");
	check_promise(w, t, word, &w->charged[word], "a charge is lost");
	check_promise(w, t, word, &w->told[word], "completed was said of what is not charged");
	for (int body = 0; body < 2; body++) {
		struct hold_candidate candidate;
		uint8_t tag[IDEM_TAG];
		struct admit_op op;
		struct genid id;

		tag_of(w, word, body, tag);
		rig_ask(w->r, &op, &candidate, w->account, key_of(word), &w->r->price, 100);
		op.ask.idem = slice_of(tag, sizeof tag);
		op.ask.user = USER;
		id = op.ask.id;
		(void)run(w, &op);
		if ((op.reason == ADMIT_NONE) == charged)
			fail_seed(w, "the claim and the ledger differ");
		if (op.reason == ADMIT_IDEM_COMPLETED)
			known |= genid_eq(&op.refusal.other, &t->charged[word][0]);
		if (op.reason != ADMIT_NONE)
			continue;
		rig_settle_op(w->r, &op, w->account, &id, 0, 0);
		op.kind = ADMIT_RELEASE;
		(void)run(w, &op);
	}
	if (charged && !known)
		fail_seed(w, "the claim names another request");
}

/* What the budgets of a scope say, for all models and for some: the same, in no hold. */
static int64_t used_by(struct world *w, const struct rows_scope *k)
{
	static const char none[ROWS_ID];
	char id[ROWS_ID];
	struct rows_state s;
	int64_t used = -1;

	memcpy(id, k->kind == ROWS_ACCOUNT ? none : k->id, ROWS_ID);
	if (k->kind == ROWS_USER)
		rows_user_id(k->name, id);
	rig_state(w->r, w->account, k->kind, id, &s);
	if (s.holds != 0)
		fail_seed(w, "a scope has a hold");
	for (size_t i = 0; i < k->limits.n; i++) {
		const struct rows_rule *rule = &k->limits.v[i];
		struct rows_rule_now now;

		rows_rule_look(rule, rows_state_counter(&s, rule), s.holds, w->r->boot_ms,
			       w->r->wall_ms, &now);
		if (rule->kind == ROWS_BUDGET && ((used >= 0 && now.used != used) || now.held != 0))
			fail_seed(w, "two budgets of a scope differ");
		if (rule->kind == ROWS_BUDGET)
			used = now.used;
	}
	return used;
}

static void check_scopes(struct world *w)
{
	int64_t used[SCOPES];
	struct rows_account a;

	rig_get_account(w->r, w->account, &a);
	for (size_t i = 0; i < SCOPES; i++)
		used[i] = used_by(w, &w->scopes[i]);
	if (used[0] != a.settled_nusd || used[1] != a.settled_nusd ||
	    used[2] + used[3] != a.settled_nusd || used[4] != a.settled_nusd)
		fail_seed(w, "a scope has not used what is settled");
}

static void check(struct world *w)
{
	struct tally t = {.w = w};
	struct scan scan;
	uint64_t seq = w->from;

	restart(w, false);
	sweep_all(w);
	drain(w);
	for (int i = 0; i < WORDS; i++) {
		uint8_t tag[IDEM_TAG];

		tag_of(w, i, 0, tag);
		memcpy(t.words[i], tag, sizeof t.words[i]);
	}
	assert_int_equal(ledger_walk(w->r->ledger, &seq, UINT64_MAX, count, &t), ERRC_OK);
	for (int i = 0; i < WORDS; i++)
		check_word(w, &t, i);
	rig_check(w->r, &scan);
	if (scan.holds != 0)
		fail_seed(w, "a hold is left");
	check_scopes(w);
}

static void interleave(struct rig *r, uint64_t account, const struct rows_scope *scopes,
		       uint64_t seed)
{
	struct world w = {.r = r,
			  .rng = {{seed, seed * UINT64_C(0x9e3779b97f4a7c15) + 1}},
			  .account = account,
			  .scopes = scopes,
			  .seed = seed,
			  .from = ledger_state(r->ledger)->last_seq + 1};

	crash_in = 0;
	crashed = false;
	for (int i = 0; i < STEPS; i++)
		step(&w);
	check(&w);
}

static uint64_t env_number(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text ? strtoull(text, NULL, 10) : otherwise;
}

static struct rig r;
static uint64_t running; /* seed; 0: none */

static void add_scopes(uint64_t account, struct rows_scope s[SCOPES])
{
	static const struct window_spec total = {.unit = WINDOW_TOTAL};

	rig_scope(&s[0], account, ROWS_ACCOUNT, "");
	rig_scope(&s[1], account, ROWS_TEAM, "growth");
	rig_put(&r, &s[1]);
	rig_key(&r, account, KEY_A, &s[2]);
	rig_key(&r, account, KEY_B, &s[3]);
	rig_scope(&s[4], account, ROWS_USER, "alice");
	for (size_t i = 0; i < SCOPES; i++) {
		struct rows_rule *some;

		if (s[i].kind == ROWS_KEY)
			memcpy(s[i].team, s[1].id, ROWS_ID);
		rig_limit(&s[i], ROWS_RPD, 1000000);
		rig_limit(&s[i], ROWS_TPM, 1000000000);
		rig_limit(&s[i], ROWS_CONCURRENCY, 100);
		rig_budget(&s[i], 1000000 * RIG_DOLLAR, total);
		some = rows_limits_add(&s[i].limits, ROWS_BUDGET, 1000000 * RIG_DOLLAR);
		some->window = total;
		some->models = SLICE_LIT("m*\n!m2");
		rig_put(&r, &s[i]);
	}
}

/* One store for some runs; each uses words of its own. */
static void run_some(uint64_t first, uint64_t n)
{
	struct rows_scope scopes[SCOPES];
	uint64_t account;

	running = first;
	rig_init(&r);
	r.opts.live_bytes = 2 << 20;
	r.wall_ms = clock_wall_ms();
	rig_open(&r);
	account = rig_account(&r, "acme", 1000000 * RIG_DOLLAR);
	add_scopes(account, scopes);
	rig_join(&r);
	for (; running < first + n; running++)
		interleave(&r, account, scopes, running);
	rig_fini(&r);
	running = 0;
}

/* Also where it was not the simulator that found it. */
static int name_seed(void **state)
{
	(void)state;
	if (running == 0)
		return 0;
	print_error("it failed at seed %llu\n", (unsigned long long)running);
	crashed = false;
	crash_in = 0;
	rig_fini(&r);
	return 0;
}

static void test_exactly_once(void **state)
{
	uint64_t seed = env_number("AIGW_ONCE_SEED", 0),
		 runs = env_number("AIGW_ONCE_RUNS", env_number("AIGW_LONG", 0) ? RUNS_LONG : RUNS),
		 first = MAX_OF(shrink_seed(1), 1ul);

	(void)state;
	if (seed) {
		run_some(seed, 1);
		return;
	}
	printf("# AIGW_TEST_SEED=%llu: the first of %llu\n", (unsigned long long)first,
	       (unsigned long long)runs);
	fflush(stdout);
	for (uint64_t i = 0; i < runs; i += RUNS_A_STORE)
		run_some(first + i, MIN_OF(runs - i, (uint64_t)RUNS_A_STORE));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_exactly_once, name_seed)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
