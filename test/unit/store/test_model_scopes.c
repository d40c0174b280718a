/* Random operations on accounts, teams, keys and end users with rules that come, change and go, against a model that is nothing
 * but sums in memory: which scope refuses and why, what is used and held of every budget and of every limit over time, what runs, also where
 * a limit of it comes later, through edits, raises, grants, overdrafts, charges beyond their holds, accounts that are postpaid for a while, suspensions and revocations, moves of keys between teams, end users that get rules of their own and lose them, days that
 * end in UTC and in New York, periods that roll, scopes in shadow, a wall clock that is set back, processes that die at any commit, restarts, and the loss of
 * the live store; all of it while holds are out. A run that fails is shortened; see shrink.h. */
#include "world.h"

#include <stdio.h>
#include <unistd.h>

#include "agree.h"
#include "death.h"
#include "folder.h"
#include "shrink.h"
#include "verify.h"
#include "zone_folder.h"
#include "zones.h"

#define BUSY_DAYS 50 /* at the most; and those of the rests */
#define RESTS     20
#define FEW       6 /* rules */

static struct shrink run;

/* --- edits --- */

/* Who changes something, now. */
static const struct admin_by *by_now(void)
{
	world.r.by.wall_ms = world.r.wall_ms;
	world.r.by.boot_ms = world.r.boot_ms;
	return &world.r.by;
}

static void put(struct rows_scope *def)
{
	bool durable;

	death_told(rig_try_put(&world.r, def, &durable));
	if (def->kind != ROWS_USER)
		return;
	world.user_ids = MAX_OF(world.user_ids, def->limits.last_id);
	world_set_users();
}

static const enum rows_limit kinds[] = {ROWS_BUDGET, ROWS_BUDGET, ROWS_BUDGET, ROWS_CONCURRENCY,
					ROWS_RPM,    ROWS_TPM,    ROWS_RPD,    ROWS_TPD};

static int64_t any_limit(enum rows_limit kind)
{
	switch (kind) {
	case ROWS_BUDGET:
		return (int64_t)world_pick(80000000);
	case ROWS_CONCURRENCY:
		return (int64_t)world_pick(30);
	case ROWS_RPM:
		return (int64_t)world_pick(600);
	case ROWS_RPD:
		return (int64_t)world_pick(200000);
	case ROWS_TPM:
		return (int64_t)world_pick(90000);
	default:
		return (int64_t)world_pick(30000000);
	}
}

static bool has_place(const struct rows_scope *def, uint32_t id)
{
	for (size_t i = 0; i < def->limits.n; i++) {
		if (def->limits.v[i].id % WORLD_IDS == id % WORLD_IDS)
			return true;
	}
	return false;
}

/* Some have as many as there may be in the end: those that come after a few are far from refusing anything. */
static bool has_many(const struct rows_scope *def)
{
	return def == &world.account_def || def == &world.team_def[0] || def == &world.own_def;
}

/* Whether the model has room for the use of one more: an old rule may be in its place. */
static bool may_add(const struct rows_scope *def)
{
	if (def->limits.n >= (has_many(def) ? ROWS_RULES_MAX : FEW))
		return false;
	if (def->kind != ROWS_USER)
		return !has_place(def, def->limits.last_id + 1);
	return !has_place(&world.own_def, world.user_ids + 1) &&
	       !has_place(&world.every_def, world.user_ids + 1);
}

static struct window_spec any_window(struct slice *zone)
{
	struct window_spec w = {.unit = world_pick(2) ? WINDOW_DAY : WINDOW_TOTAL,
				.rolling = world_pick(3) == 0};

	if (w.rolling && (w.unit == WINDOW_TOTAL || world_pick(2)))
		w.unit = WINDOW_HOUR;
	*zone = !w.rolling && w.unit == WINDOW_DAY && world_pick(2) ? SLICE_LIT(WORLD_ZONE)
								    : SLICE_NONE;
	if (zone->n)
		w.zone = zones_get(*zone);
	return w;
}

static void add_rule(struct rows_scope *def)
{
	struct rows_rule *r;

	if (!may_add(def))
		return;
	r = rows_limits_add(&def->limits, kinds[world_pick(ARRAY_LEN(kinds))], 0);
	assert_non_null(r);
	r->limit = any_limit(r->kind) * (def->limits.n > FEW ? 1000 : 1);
	if (r->kind == ROWS_BUDGET)
		r->window = any_window(&r->zone);
	if (r->kind == ROWS_BUDGET && r->window.unit == WINDOW_TOTAL) {
		r->credit = world_pick(3) > 0;
		r->limit *= r->credit ? 1 : 10;
		world.credits += r->credit;
	}
	if (world_pick(3) == 0)
		r->models = slice_str(world_models[world_pick(WORLD_MODELS)]);
	r->shadow = world_pick(5) == 0;
}

static void add_rules(struct rows_scope *def)
{
	size_t n = has_many(def) && world_pick(3) == 0 ? 20 : 1;

	for (size_t i = 0; i < n; i++)
		add_rule(def);
	world.full += def->limits.n == ROWS_RULES_MAX;
}

/* For some days, in the windows that begin in them, until it is taken back, or no longer. */
static void raise_rule(struct rows_rule *r)
{
	r->raise = world_pick(3) == 0       ? 0
		   : r->kind == ROWS_BUDGET ? (int64_t)world_pick(40000000)
					    : (int64_t)world_pick(10);
	r->raise_until_s = r->raise == 0 || r->credit || world_pick(3) == 0
				   ? 0
				   : world_now_s() + (int64_t)world_pick(3 * 86400) + 1;
	r->raise_by_window = r->raise_until_s && r->kind == ROWS_BUDGET &&
			     r->window.unit != WINDOW_TOTAL && world_pick(2);
	world.raised++;
}

static void change_window(struct rows_rule *r)
{
	rows_rule_set_window(r, any_window(&r->zone), world_now_s());
	r->credit = r->window.unit == WINDOW_TOTAL && r->raise_until_s == 0 && world_pick(2);
	world.credits += r->credit;
	world.rewindowed++;
}

/* What is used of it stays used, also where less is granted than that. */
static void grant(struct rows_rule *r)
{
	int64_t nusd = (int64_t)world_pick(20000000);

	r->limit = world_pick(4) ? r->limit + nusd : MAX_OF(r->limit - nusd, 0);
	world.grants++;
}

static void change_rule(struct rows_scope *def)
{
	struct rows_rule *r;

	if (def->limits.n == 0)
		return;
	r = &def->limits.v[world_pick(def->limits.n)];
	if (r->credit && world_pick(2))
		grant(r);
	else if (world_pick(3) == 0)
		rows_limits_remove(&def->limits, r->id);
	else if (world_pick(3) == 0)
		raise_rule(r);
	else if (world_pick(4) == 0)
		r->shadow = !r->shadow;
	else if (r->kind == ROWS_BUDGET && world_pick(3) == 0)
		change_window(r);
	else
		r->limit = any_limit(r->kind);
}

static void move_key(void)
{
	static const char none[ROWS_ID];
	int k = (int)world_pick((uint64_t)world.keys_n);

	if (world.key_def[k].status == ROWS_REVOKED)
		return;
	world.team_of[k] = (int)world_pick(WORLD_TEAMS + 1) - 1;
	memcpy(world.key_def[k].team,
	       world.team_of[k] < 0 ? none : world.team_def[world.team_of[k]].id, ROWS_ID);
	put(&world.key_def[k]);
}

/* The row of one end user, or of all, comes or goes, some without any rule: what was used of the ones and the others stays apart. */
static void switch_user(struct rows_scope *def, bool *there, const char *tag)
{
	bool durable;

	if (*there) {
		death_told(admin_user_remove(&world.r.admin, by_now(), world.account,
					     slice_str(tag), &durable));
	} else {
		rig_scope(def, world.account, ROWS_USER, tag);
		if (world_pick(3))
			add_rule(def);
		put(def);
	}
	*there = !*there;
	world_set_users();
	world.switches++;
	shrink_note("rules of user %s %s", tag, *there ? "come" : "go");
}

/* A scope comes into shadow or leaves it. An account stays there while it owes. */
static void change_shadow(struct rows_scope *def)
{
	bool durable, stays = def == &world.account_def && world_in_shadow() && !world.postpaid &&
			      world_available() < 0;
	enum errc e;

	def->flags ^= ROWS_SHADOW;
	e = rig_try_put(&world.r, def, &durable);
	if (stays) {
		def->flags ^= ROWS_SHADOW;
		death_refused(e);
		world.stays++;
	} else {
		death_told(e);
		world.shadows++;
	}
	shrink_note("%s %s shadow", rows_scope_word(def->kind),
		    stays                      ? "has to stay in"
		    : def->flags & ROWS_SHADOW ? "is in"
					       : "is out of");
}

/* The account gets another overdraft, or is postpaid for a while; it stays as it is where it owes more than it then may. */
static void change_payment(void)
{
	bool durable, postpaid = world.postpaid;
	int64_t overdraft = world.overdraft;
	struct rows_account a;
	struct buf mem;
	enum errc e;

	if (world_pick(2))
		overdraft = world_pick(4) ? (int64_t)world_pick(2000000) : 0;
	else
		postpaid = !postpaid && world_pick(4) == 0;
	buf_init(&mem, ROWS_MAX);
	assert_int_equal(admin_account_get(world.r.live, world.account, &mem, &a), ERRC_OK);
	a.mode = postpaid ? ROWS_POSTPAID : ROWS_PREPAID;
	a.overdraft_nusd = overdraft;
	e = admin_account_update(&world.r.admin, by_now(), &a, &durable);
	buf_fini(&mem);
	if (!postpaid && !world_in_shadow() && world_balance() + overdraft < 0) {
		death_refused(e);
		world.stays++;
		return;
	}
	world.postpaid = postpaid;
	world.overdraft = overdraft;
	death_told(e);
	world.payments++;
	shrink_note("the account is %s, its overdraft is %lld", postpaid ? "postpaid" : "prepaid",
		    (long long)overdraft);
}

/* Of whom something is to be changed; of an end user only while it has rules. NULL: nothing. */
static struct rows_scope *any_def(void)
{
	struct rows_scope *defs[4 + 3] = {&world.account_def, &world.team_def[0],
					  &world.team_def[1], &world.own_def, &world.every_def};
	struct rows_scope *def;

	defs[5] = defs[6] = &world.key_def[world_pick((uint64_t)world.keys_n)];
	def = defs[world_pick(ARRAY_LEN(defs))];
	if ((def == &world.own_def && !world.own_there) ||
	    (def == &world.every_def && !world.every_there) || def->status == ROWS_REVOKED)
		return NULL;
	return def;
}

static void do_edit(void)
{
	struct rows_scope *def;

	if (world_pick(6) == 0) {
		move_key();
		return;
	}
	if (world_pick(12) == 0) {
		if (world_pick(2))
			switch_user(&world.own_def, &world.own_there, world_tags[0]);
		else
			switch_user(&world.every_def, &world.every_there, ROWS_EVERY_USER);
		return;
	}
	def = any_def();
	if (!def)
		return;
	if (def == &world.account_def && world_pick(3) == 0) {
		change_payment();
		return;
	}
	if (world_pick(def == &world.account_def ? 2 : 20) == 0) {
		change_shadow(def);
		return;
	}
	if (world_pick(2))
		add_rules(def);
	else
		change_rule(def);
	shrink_note("a definition has %zu rules now", def->limits.n);
	put(def);
}

static void revoke_one(void)
{
	int k = (int)world_pick((uint64_t)world.keys_n);
	bool durable;

	if (world.keys_n == WORLD_KEYS || world.key_def[k].status == ROWS_REVOKED)
		return;
	world.key_def[k].status = ROWS_REVOKED;
	death_told(admin_key_revoke(&world.r.admin, by_now(), world.key_def[k].id, false, &durable));
	shrink_note("key %d is revoked", k);
}

/* As many as ever. */
static void keep_keys(void)
{
	int left = 0;

	for (int i = 0; i < world.keys_n; i++)
		left += world.key_def[i].status != ROWS_REVOKED;
	for (; left < WORLD_ACTIVE_KEYS; left++) {
		world_add_key();
		world_drained();
	}
}

/* Who is suspended seldom stays it for long. */
static void suspend_one(void)
{
	struct rows_scope *def = any_def();
	bool durable;

	if (!def)
		return;
	if (def->kind != ROWS_ACCOUNT) {
		def->status = def->status == ROWS_ACTIVE && world_pick(20) == 0 ? ROWS_SUSPENDED
										: ROWS_ACTIVE;
		put(def);
		shrink_note("a scope is %s", def->status == ROWS_ACTIVE ? "active" : "suspended");
		return;
	}
	world.suspended = !world.suspended && world_pick(20) == 0;
	death_told(admin_account_set_status(&world.r.admin, by_now(), world.account,
					    world.suspended ? ROWS_SUSPENDED : ROWS_ACTIVE,
					    &durable));
	shrink_note("the account is %s", world.suspended ? "suspended" : "active");
}

static void do_suspend(void)
{
	if (world_pick(run.steps / 500 + 1) > 0) {
		suspend_one();
		return;
	}
	revoke_one();
	keep_keys();
}

/* The power goes, and the live store with it: what ran is gone, and so are charges that had not come into the ledger. */
static void lose_live_store(void)
{
	folder_remove("%s/live", world.r.dir);
	world_lose();
}

static void do_restart(void)
{
	bool lose = world_pick(2) == 0;

	shrink_note("restart%s", lose ? ", and the live store is lost" : "");
	if (world_pick(2))
		world_drain();
	rig_close(&world.r);
	if (lose)
		lose_live_store();
	death_open_again(lose ? STORE_REBUILT : STORE_ACCEPTED);
	death_sweep_soon();
}

static void do_die(void)
{
	uint64_t what = world_pick(11);

	by_now();
	if (what == 0 && world_pick(run.steps / 2500 + 1) == 0) {
		death_in_change("revocation", revoke_one);
		keep_keys();
	} else if (what <= 1) {
		death_in_change("suspension", suspend_one);
	} else if (what <= 3) {
		death_in_change("edit", do_edit);
	} else {
		death_in_other();
	}
	death_sweep_soon();
}

/* --- checks --- */

static void check_scope(struct model_scope *s, const char *tag)
{
	struct rows_state st;
	char id[ROWS_ID];

	if (tag)
		rows_user_id(slice_str(tag), id);
	else
		memcpy(id, s->def->id, ROWS_ID);
	rig_state(&world.r, world.account, s->kind, id, &st);
	for (size_t i = 0; i < s->def->limits.n; i++) {
		const struct rows_rule *r = &s->def->limits.v[i];
		const struct use *u = world_use(s, r->id);
		struct model_window w = world_look(u, world_window_of(r, u));
		struct rows_rule_now now;

		rows_rule_look(r, rows_state_counter(&st, r), st.holds, world.r.boot_ms,
			       world.r.wall_ms, &now);
		if (r->kind == ROWS_BUDGET) {
			assert_int_equal(now.used, w.used);
			assert_int_equal(now.held, w.held);
		} else if (r->kind == ROWS_CONCURRENCY) {
			assert_int_equal(now.used, r->models.n ? u->running : s->holds);
		} else {
			assert_int_equal(now.used, world_rate_used(r, u));
		}
	}
}

static void check_all(bool last)
{
	struct verify_result v;
	struct agree g = {.done = false};
	struct rows_account a;
	struct scan s;

	rig_get_account(&world.r, world.account, &a);
	assert_int_equal(a.settled_nusd, world.settled);
	assert_int_equal(a.held_nusd, world.held);
	assert_int_equal(a.balance_nusd, world_balance());
	assert_int_equal(a.uncollected_nusd, world.uncollected);
	assert_int_equal((a.flags & ROWS_ACCOUNT_SHADOW) != 0, world_in_shadow());
	assert_true(death_defs_are_stored());
	check_scope(&world.acc, NULL);
	for (int i = 0; i < WORLD_TEAMS; i++)
		check_scope(&world.team[i], NULL);
	for (int i = 0; i < world.keys_n; i++)
		check_scope(&world.key[i], NULL);
	for (int i = 0; i < WORLD_USERS; i++)
		check_scope(&world.user[i], world_tags[i]);
	world_drain();
	rig_check(&world.r, &s);
	while (!g.done)
		assert_int_equal(agree_slice(&world.r.admin, &g), ERRC_OK);
	assert_int_equal(g.different, 0);
	assert_int_equal(ledger_begin(world.r.ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(world.r.ledger), ERRC_OK);
	assert_int_equal(ledger_commit(world.r.ledger), ERRC_OK);
	/* Which takes the longer the more there is. */
	if (!last && ledger_state(world.r.ledger)->last_seq < world.verified + world.verified / 8)
		return;
	world.verified = ledger_state(world.r.ledger)->last_seq;
	assert_int_equal(verify_ledger(world.r.ledger, false, NULL, NULL, &v), ERRC_OK);
	if (!verify_is_good(&v))
		fail_msg(
			"verify: chain %llu, record %llu, account %llu, day %u, seal %llu, head %d",
			(unsigned long long)v.bad_chain_seq, (unsigned long long)v.bad_record_seq,
			(unsigned long long)v.bad_account, v.bad_day,
			(unsigned long long)v.bad_seal_seq, v.bad_head);
}

/* No more than is there and held by nobody, where it has a floor. */
static void take_some(void)
{
	int64_t less = (int64_t)world_pick(1000000) + 1;
	bool durable, fits = !world_has_floor() || less <= world_available();

	assert_int_equal(admin_account_take(&world.r.admin, by_now(), world.account, less, &durable),
			 fits ? ERRC_OK : ERRC_STATE);
	shrink_note("%lld are %s", (long long)less, fits ? "taken" : "too much to take");
	if (!fits)
		return;
	world.granted -= less;
	world.takes++;
	world_drained();
}

static void top_up(void)
{
	int64_t more = (int64_t)world_pick(1500000) + 1;
	bool durable, owes = world_available() < 0;

	if (world_pick(4) == 0) {
		take_some();
		return;
	}
	if (owes && world_pick(2))
		more = -world_available();
	assert_int_equal(
		admin_account_credit(&world.r.admin, by_now(), world.account, more, &durable),
		ERRC_OK);
	world.granted += more;
	world_drained();
	if (owes && world_available() == 0)
		change_shadow(&world.account_def);
}

/* The ledger keeps pace, else nobody would be admitted. */
static void pass_boot(uint64_t max_ms)
{
	world_drain();
	world.r.boot_ms += (int64_t)world_pick(max_ms);
}

/* Some days without a request; no hold lasts as long. */
static void do_rest(void)
{
	shrink_note("nobody asks for some days");
	death_sweep();
	for (size_t i = 0; i < WORLD_HOLDS; i++) {
		if (world.holds[i].used)
			world_release(&world.holds[i]);
	}
	world.r.wall_ms += (int64_t)world_pick(3 * WORLD_DAY_MS);
	pass_boot(2 * WORLD_DAY_MS);
	world.rests++;
}

/* Somebody sets the wall clock back, mostly by some minutes: windows never go back. */
static void step_back(void)
{
	world.r.wall_ms -= (int64_t)world_pick(world_pick(4) ? WORLD_DAY_MS / 48 : WORLD_DAY_MS);
	world.steps_back++;
	shrink_note("the clock is set back");
}

static void pass_time(unsigned long number)
{
	world.r.wall_ms += (int64_t)((number - world.number) * world.step_ms);
	world.number = number;
	world.r.boot_ms += (int64_t)world_pick(50);
	if (world_pick(3000) == 0)
		pass_boot(3 * 60000);
	if (world_pick(run.steps / RESTS) == 0)
		step_back();
	if (world.rests < RESTS && world_pick(run.steps / RESTS) == 0)
		do_rest();
}

static void step(struct text_rng *rng, unsigned long number)
{
	uint64_t what;

	world.rng = rng;
	what = world_pick(1000);
	pass_time(number);
	if (what < 480)
		world_admit();
	else if (what < 850)
		world_end_one();
	else if (what < 890)
		death_deliver();
	else if (what < 940)
		do_edit();
	else if (what < 950)
		do_suspend();
	else if (what < 966)
		top_up();
	else if (what < 980)
		world_drain();
	else if (what < 990)
		death_sweep();
	else if (what < 998)
		do_die();
	else if (world_pick(2) == 0)
		do_restart();
	world_count_running();
}

static void end(void)
{
	rig_fini(&world.r);
}

static const char *begin(void)
{
	const char *dir = world_begin(run.seed);

	death_reset();
	world.step_ms = MIN_OF(UINT64_C(30000), BUSY_DAYS * WORLD_DAY_MS / run.steps);
	return dir;
}

static struct shrink run = {.begin = begin,
			    .step = step,
			    .check = check_all,
			    .end = end,
			    .seed = 20261125,
			    .steps = 30000,
			    .every = 200};

static void test_against_model(void **state)
{
	(void)state;
	shrink_run(&run);
	printf("# %lu granted, refused: %lu at once, %lu rate, %lu budget, %lu credit, %lu held, "
	       "%lu suspended, %lu revoked; %lu raises, %lu other windows, %lu credits, %lu "
	       "grants, %lu "
	       "switches, %lu steps "
	       "back, %lu takes, %lu edits of as many rules as there may be, "
	       "%lu shadows, %lu payments, %lu stays, %lu unpaid, "
	       "%lu losses\n",
	       world.refused_n[ADMIT_NONE], world.refused_n[ADMIT_CONCURRENCY],
	       world.refused_n[ADMIT_RATE], world.refused_n[ADMIT_BUDGET],
	       world.refused_n[ADMIT_CREDIT], world.refused_n[ADMIT_CREDIT_HELD],
	       world.refused_n[ADMIT_KEY_SUSPENDED] + world.refused_n[ADMIT_ACCOUNT_SUSPENDED] +
		       world.refused_n[ADMIT_TEAM_SUSPENDED] + world.refused_n[ADMIT_USER_SUSPENDED],
	       world.refused_n[ADMIT_KEY_REVOKED], world.raised, world.rewindowed, world.credits,
	       world.grants, world.switches, world.steps_back, world.takes, world.full,
	       world.shadows, world.payments, world.stays, world.unpaid, world.losses);
	death_print();
	assert_true((world.refused_n[ADMIT_NONE] > run.n / 50 && world.credits > 0) || run.n < 1000);
}

static int teardown(void **state)
{
	(void)state;
	shrink_failed(&run);
	return 0;
}

static pid_t self;

static int make_zone(void **state)
{
	(void)state;
	self = getpid();
	zone_folder_make();
	zone_folder_put(WORLD_ZONE, "EST5EDT,M3.2.0,M11.1.0");
	return 0;
}

/* Those that shrink.c makes come here too when they fail. */
static int remove_zone(void **state)
{
	(void)state;
	if (getpid() != self)
		return 0;
	zones_fini();
	zone_folder_remove();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(test_against_model, teardown)};

	return cmocka_run_group_tests(tests, make_zone, remove_zone);
}
