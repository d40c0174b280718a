#include "death.h"

#include <errno.h>
#include <stdio.h>

#include "live_priv.h"
#include "shrink.h"
#include "sweep.h"

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

#define KINDS 11

static unsigned dies_in; /* commits from now; 0: not */
static bool dies_after, is_dead, was_told;

static struct {
	const char *what;
	unsigned long n;
} kinds[KINDS];

/* Whoever dies at a commit never learns whether it was done. */
int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (is_dead) {
		mdb_txn_abort(txn);
		return EIO;
	}
	if (dies_in == 0 || --dies_in > 0)
		return __real_mdb_txn_commit(txn);
	is_dead = true;
	if (dies_after)
		(void)!__real_mdb_txn_commit(txn);
	else
		mdb_txn_abort(txn);
	return EIO;
}

void death_reset(void)
{
	dies_in = 0;
	is_dead = false;
	memset(kinds, 0, sizeof kinds);
}

void death_print(void)
{
	for (size_t i = 0; i < KINDS && kinds[i].what; i++)
		printf("%s %lu in %s", i ? "," : "# died:", kinds[i].n, kinds[i].what);
	printf("; %lu swept\n", world.swept);
}

/* The process dies in what it does next, at one of so many commits, if it has as many. */
static void begin(unsigned commits)
{
	dies_in = 1 + (unsigned)world_pick(commits);
	dies_after = world_pick(2);
}

/* Another one takes its place; the keeper too. False: it did not come so far. */
static bool start_again(void)
{
	bool dead = is_dead;

	dies_in = 0;
	is_dead = false;
	if (!dead)
		return false;
	world.deaths++;
	rig_close(&world.r);
	death_open_again(STORE_ACCEPTED);
	return true;
}

bool death_run(struct admit_op *op)
{
	static const struct admit_rules rules = {.ledger_lag_max_ms = 10000};
	enum errc rc = admit_batch(world.r.live, &rules, &op, 1);

	if (start_again())
		return true;
	assert_int_equal(rc, ERRC_OK);
	assert_int_equal(op->rc, ERRC_OK);
	return false;
}

bool death_has_hold(const struct genid *id)
{
	struct rows_key_name name =
		rows_name(world.account, ROWS_HOLD, slice_of(id->b, GENID_BYTES));
	struct slice row;
	MDB_txn *txn;
	enum errc rc;

	assert_int_equal(live_read_begin(world.r.live, &txn), ERRC_OK);
	rc = live_row_get(world.r.live, txn, &name, &row);
	live_read_end(world.r.live);
	assert_true(rc == ERRC_OK || rc == ERRC_NOTFOUND);
	return rc == ERRC_OK;
}

void death_open_again(enum store_outcome outcome)
{
	rig_open(&world.r);
	world_drained();
	assert_int_equal(world.r.started.outcome, outcome);
	for (size_t i = 0; i < WORLD_HOLDS; i++)
		world.holds[i].orphan = world.holds[i].slot != PROGRESS_NO_SLOT;
	world.dead = outcome == STORE_ACCEPTED ? world.dead + 1 : 0;
	rig_join(&world.r);
}

/* --- sweeps --- */

void death_deliver(void)
{
	struct model_hold *h = &world.holds[world_pick(WORLD_HOLDS)];
	struct model_progress *p = &h->came;
	struct progress_slot *s;
	uint32_t events = (uint32_t)world_pick(40), bytes = (uint32_t)world_pick(400);
	struct usage u;

	if (!h->used || h->orphan || h->slot == PROGRESS_NO_SLOT)
		return;
	s = progress_at(live_progress(world.r.live), h->slot);
	switch (world_pick(6)) {
	case 0:
		progress_attempt(s, 0);
		*p = (struct model_progress){0};
		break;
	case 1:
	case 2:
		p->events += events;
		p->bytes += bytes;
		progress_seen(s, MAX_OF(p->events, p->bytes / 4));
		break;
	case 3:
		progress_finish(s);
		p->finished = true;
		break;
	default:
		p->in = (int64_t)world_pick(120);
		p->out = (int64_t)world_pick(200);
		usage_init(&u);
		usage_set(&u, USAGE_INPUT, p->in);
		usage_set(&u, USAGE_OUTPUT, p->out);
		p->reported |= world_pick(2) && p->in + p->out > 0;
		progress_usage(s, &u, p->reported);
	}
}

/* At most the hold; nothing where nothing came. */
static int64_t end_orphan(struct model_hold *h)
{
	const struct model_progress *p = &h->came;
	int64_t seen = MAX_OF(p->events, p->bytes / 4),
		out = p->reported ? p->out : MAX_OF(seen, p->out);
	bool charged = p->reported || p->finished || seen > 0;
	int64_t charge = charged ? MIN_OF(p->in * 1000 + out * 2000, h->nusd) : 0;

	shrink_note("an orphan of %lld is settled: %lld", (long long)h->nusd, (long long)charge);
	world_end_hold(h, &(struct model_done){.charge = charge}, charged ? p->in + out : 0);
	world.swept++;
	return charge;
}

/* In the order of the sweeper, those whose holds are gone. */
static size_t end_orphans(int64_t *charged)
{
	size_t n = 0;

	*charged = 0;
	for (;;) {
		struct model_hold *first = NULL;

		for (size_t i = 0; i < WORLD_HOLDS; i++) {
			struct model_hold *h = &world.holds[i];

			if (h->used && h->orphan && (!first || h->slot < first->slot) &&
			    !death_has_hold(&h->id))
				first = h;
		}
		if (!first)
			return n;
		*charged += end_orphan(first);
		n++;
	}
}

static void check_settled(void)
{
	struct rows_account a;

	rig_get_account(&world.r, world.account, &a);
	assert_int_equal(a.settled_nusd, world.settled);
	assert_int_equal(a.held_nusd, world.held);
}

/* Until nothing is left, or somebody dies. */
static enum errc sweep_all(struct sweep_result *sum)
{
	struct sweep_result sw;
	enum errc rc;

	*sum = (struct sweep_result){0};
	if (world.fresh_n + WORLD_HOLDS > WORLD_FRESH)
		world_drain();
	do {
		rc = sweep_run(world.r.live, world.r.boot_ms, world.r.wall_ms, &sw);
		sum->settled += sw.settled;
		sum->instances += sw.instances;
		sum->charged_nusd += sw.charged_nusd;
	} while (!rc && sw.more);
	return rc;
}

void death_sweep(void)
{
	struct sweep_result sum;
	int64_t charged;

	assert_int_equal(sweep_all(&sum), ERRC_OK);
	assert_int_equal(end_orphans(&charged), sum.settled);
	assert_int_equal(charged, sum.charged_nusd);
	for (size_t i = 0; i < WORLD_HOLDS; i++)
		assert_false(world.holds[i].used && world.holds[i].orphan);
	world.dead = 0;
	check_settled();
}

void death_sweep_soon(void)
{
	if (world.dead > 4 || world_pick(2))
		death_sweep();
}

static void die_in_sweep(void)
{
	struct sweep_result sum;
	int64_t charged;

	begin(3);
	(void)!sweep_all(&sum);
	if (start_again()) {
		(void)end_orphans(&charged);
		world_drained(); /* the start took what there was */
		death_sweep();
		return;
	}
	assert_int_equal(end_orphans(&charged), sum.settled);
	assert_int_equal(charged, sum.charged_nusd);
	world.dead = 0;
	check_settled();
}

/* --- edits --- */

struct defs {
	struct rows_scope account, team[WORLD_TEAMS], key[WORLD_KEYS], own, every;
	bool own_there, every_there, suspended, postpaid;
	int64_t overdraft;
	uint32_t user_ids;
	int team_of[WORLD_KEYS];
};

static void save(struct defs *d)
{
	*d = (struct defs){.account = world.account_def,
			   .own = world.own_def,
			   .every = world.every_def,
			   .own_there = world.own_there,
			   .every_there = world.every_there,
			   .suspended = world.suspended,
			   .postpaid = world.postpaid,
			   .overdraft = world.overdraft,
			   .user_ids = world.user_ids};
	memcpy(d->team, world.team_def, sizeof d->team);
	memcpy(d->key, world.key_def, sizeof d->key);
	memcpy(d->team_of, world.team_of, sizeof d->team_of);
}

static void put_back(const struct defs *d)
{
	world.account_def = d->account;
	world.own_def = d->own;
	world.every_def = d->every;
	world.own_there = d->own_there;
	world.every_there = d->every_there;
	world.suspended = d->suspended;
	world.postpaid = d->postpaid;
	world.overdraft = d->overdraft;
	world.user_ids = d->user_ids;
	memcpy(world.team_def, d->team, sizeof d->team);
	memcpy(world.key_def, d->key, sizeof d->key);
	memcpy(world.team_of, d->team_of, sizeof d->team_of);
	world_set_users();
}

static bool same(const struct rows_scope *a, const struct rows_scope *b)
{
	struct buf x, y;
	bool equal;

	buf_init(&x, ROWS_MAX);
	buf_init(&y, ROWS_MAX);
	assert_int_equal(rows_put_scope(&x, a), ERRC_OK);
	assert_int_equal(rows_put_scope(&y, b), ERRC_OK);
	equal = slice_eq(buf_slice(&x), buf_slice(&y));
	buf_fini(&x);
	buf_fini(&y);
	return equal;
}

/* What the live store says of it; `mem` is the caller's. */
static enum errc read(const struct rows_scope *def, enum rows_kind kind, const char *tag,
		      struct buf *mem, struct rows_scope *now)
{
	char id[ROWS_ID];

	if (tag)
		rows_user_id(slice_str(tag), id);
	else
		memcpy(id, def->id, ROWS_ID);
	return admin_scope_get(world.r.live, world.account, kind, id, mem, now, NULL);
}

/* `tag`: of an end user. */
static bool is_stored(const struct rows_scope *def, enum rows_kind kind, const char *tag, bool there)
{
	struct rows_scope want = *def, now;
	struct buf mem;
	bool stored;
	enum errc rc;

	buf_init(&mem, ROWS_MAX);
	rc = read(def, kind, tag, &mem, &now);
	if (tag)
		rows_user_id(slice_str(tag), want.id);
	stored = there ? rc == ERRC_OK && same(&want, &now) : rc == ERRC_NOTFOUND;
	buf_fini(&mem);
	return stored;
}

/* The ids of an end user's new rules are drawn by who died. */
static void take_ids(struct rows_scope *def, const char *tag)
{
	struct rows_scope now;
	struct buf mem;

	buf_init(&mem, ROWS_MAX);
	if (read(def, ROWS_USER, tag, &mem, &now) == ERRC_OK && now.limits.n == def->limits.n) {
		for (size_t i = 0; i < now.limits.n; i++)
			def->limits.v[i].id = now.limits.v[i].id;
		def->limits.last_id = now.limits.last_id;
		world.user_ids = MAX_OF(world.user_ids, now.limits.last_id);
	}
	buf_fini(&mem);
}

bool death_defs_are_stored(void)
{
	struct rows_account a;
	bool all = is_stored(&world.account_def, ROWS_ACCOUNT, NULL, true) &&
		   is_stored(&world.own_def, ROWS_USER, world_tags[0], world.own_there) &&
		   is_stored(&world.every_def, ROWS_USER, ROWS_EVERY_USER, world.every_there);

	for (int i = 0; all && i < WORLD_TEAMS; i++)
		all = is_stored(&world.team_def[i], ROWS_TEAM, NULL, true);
	for (int i = 0; all && i < world.keys_n; i++)
		all = is_stored(&world.key_def[i], ROWS_KEY, NULL, true);
	rig_get_account(&world.r, world.account, &a);
	return all && (a.status == ROWS_SUSPENDED) == world.suspended &&
	       (a.mode == ROWS_POSTPAID) == world.postpaid && a.overdraft_nusd == world.overdraft;
}

static void count(const char *what, unsigned long before)
{
	size_t i = 0;

	while (i + 1 < KINDS && kinds[i].what && strcmp(kinds[i].what, what) != 0)
		i++;
	kinds[i].what = what;
	kinds[i].n += world.deaths - before;
}

void death_told(enum errc e)
{
	if (is_dead) {
		was_told = e == ERRC_OK;
		return;
	}
	assert_int_equal(e, ERRC_OK);
	world_drained(); /* every change takes over the outbox first */
}

void death_refused(enum errc e)
{
	if (is_dead)
		was_told = false;
	else
		assert_int_equal(e, ERRC_STATE);
}

/* What was said to be done is. */
void death_in_change(const char *what, void (*change)(void))
{
	unsigned long before_n = world.deaths;
	static struct defs before;

	shrink_note("somebody dies in an %s", what);
	save(&before);
	was_told = false;
	begin(4);
	change();
	if (start_again()) {
		take_ids(&world.own_def, world_tags[0]);
		take_ids(&world.every_def, ROWS_EVERY_USER);
		if (!was_told && !death_defs_are_stored())
			put_back(&before);
	}
	assert_true(death_defs_are_stored());
	count(what, before_n);
}

/* --- the others --- */

/* The keeper dies while it takes over the outbox or writes a checkpoint: the next one goes on where it was. */
static void die_in_keeper(void)
{
	uint64_t taken;

	begin(4);
	(void)!store_drain_outbox(world.r.live, world.r.ledger, &world.r.batch, &taken);
	if (!is_dead && ledger_begin(world.r.ledger) == ERRC_OK) {
		if (ledger_checkpoint(world.r.ledger) == ERRC_OK)
			(void)!ledger_commit(world.r.ledger);
		else
			ledger_abort(world.r.ledger);
	}
	(void)start_again();
	world_drain();
}

/* Credit is there once or not at all, and is taken once or not at all. */
static void die_in_credit(bool takes)
{
	int64_t more = 1 + (int64_t)world_pick(1000000), back = takes ? -more : more;
	struct rows_account a;
	bool durable, dead;
	enum errc e;

	if (takes && more > world_available() && world_has_floor())
		return;
	begin(4);
	e = takes ? admin_account_take(&world.r.admin, &world.r.by, world.account, more, &durable)
		  : admin_account_credit(&world.r.admin, &world.r.by, world.account, more, &durable);
	dead = start_again();
	world_drain();
	rig_get_account(&world.r, world.account, &a);
	assert_true(a.granted_nusd == world.granted || a.granted_nusd == world.granted + back);
	if (e == ERRC_OK || !dead)
		assert_int_equal(a.granted_nusd, world.granted + back);
	world.granted = a.granted_nusd;
}

static void die_in_grant(void)
{
	die_in_credit(false);
}

static void die_in_take(void)
{
	die_in_credit(true);
}

static void die_in_admission(void)
{
	begin(1);
	world_admit();
}

static struct model_hold *any_hold(void)
{
	struct model_hold *h = &world.holds[world_pick(WORLD_HOLDS)];

	return h->used && !h->orphan ? h : NULL;
}

static void die_in_release(void)
{
	struct model_hold *h = any_hold();

	if (!h)
		return;
	begin(1);
	world_release(h);
}

static void die_in_settle(void)
{
	struct model_hold *h = any_hold();
	struct model_done done;

	if (!h)
		return;
	begin(1);
	(void)world_settle(h, &done);
}

static void die_in_reverse(void)
{
	struct model_hold *h = any_hold();
	struct model_done done;

	if (!h || !world_settle(h, &done))
		return;
	begin(1);
	world_reverse(h, &done);
}

void death_in_other(void)
{
	static const struct {
		const char *what;
		void (*die)(void);
	} of[] = {
		{"admission", die_in_admission}, {"settlement", die_in_settle},
		{"release", die_in_release},     {"reversal", die_in_reverse},
		{"grant", die_in_grant},         {"take", die_in_take},
		{"keeper", die_in_keeper},       {"sweep", die_in_sweep},
	};
	size_t i = world_pick(ARRAY_LEN(of));
	unsigned long before = world.deaths;

	shrink_note("somebody dies in %s", of[i].what);
	of[i].die();
	(void)start_again(); /* it did not come so far */
	count(of[i].what, before);
}
