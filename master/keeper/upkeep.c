#include "upkeep.h"

#include "heritage.h"
#include "log.h"

#define EVERY_MS   10000 /* looked for something to do */
#define DAMAGED_MS 3600000
#define PEPPER_MS  3600000
#define AGREE_MS   10000
#define PAUSE_MS   20 /* between two pieces: commits of records come in between */

void upkeep_init(struct upkeep *u, struct pepper *pepper)
{
	*u = (struct upkeep){.pepper = pepper};
	pthread_mutex_init(&u->lock, NULL);
	alerts_init(&u->alerts);
}

void upkeep_fini(struct upkeep *u)
{
	pthread_mutex_destroy(&u->lock);
	alerts_fini(&u->alerts);
}

void upkeep_set(struct upkeep *u, const struct settings *set)
{
	struct shares budget, credit;

	/* They were checked with the configuration. */
	if (shares_read(&set->alerts_budget, &budget) && shares_read(&set->alerts_credit, &credit))
		alerts_set(&u->alerts, &budget, &credit);
	pthread_mutex_lock(&u->lock);
	u->keep = (struct retain_keep){.days = set->ledger_retain_days,
				       .bytes = set->ledger_retain_bytes};
	pthread_mutex_unlock(&u->lock);
}

int64_t upkeep_wait_ms(const struct upkeep *u, int64_t now_ms)
{
	return MAX_OF(u->due_ms - now_ms, 0);
}

/* Those of before a rotation, once the last key that needs them is gone. What goes wrong is no reason to take no records; only
 * that the ledger did not take this one is returned. */
static enum errc look_at_peppers(struct upkeep *u, struct admin *a, int64_t now_ms, int64_t wall_ms,
				 int64_t believed_ms)
{
	const struct admin_by by = {
		.who = SLICE_LIT("aigwd"), .wall_ms = wall_ms, .boot_ms = now_ms};
	struct pepper_use use;
	enum errc e, noted = ERRC_OK;

	if (now_ms < u->pepper_due_ms || !pepper_has_old(u->pepper))
		return ERRC_OK;
	u->pepper_due_ms = now_ms + PEPPER_MS;
	e = admin_catch_up(a->live, a->ledger); /* a key may be in the ledger only */
	if (!e)
		e = pepper_count(u->pepper, a->live, believed_ms / 1000, &use);
	if (!e)
		e = noted = pepper_note_removal(u->pepper, a, &by, &use);
	if (!e)
		e = pepper_prune(u->pepper, HERITAGE_STATE_DIR, &use);
	if (e)
		log_warn("pepper_kept", "peppers that no key needs cannot be taken away: %s",
			 errc_text(e));
	return noted;
}

static void tell_difference(const struct agree *g)
{
	if (g->different || g->missing)
		log_error("stores_differ",
			  "live store and ledger disagree about %llu accounts, the first of them "
			  "%llu, and %llu accounts are in one of them only: see `ledger verify`",
			  (unsigned long long)g->different, (unsigned long long)g->first_different,
			  (unsigned long long)g->missing);
}

/* Once an hour while there are any. */
static void tell_damage(struct upkeep *u, int64_t now_ms)
{
	uint64_t account = u->lost.damaged ? u->lost.first_damaged : u->agree.first_damaged;

	if ((u->lost.damaged == 0 && u->agree.damaged == 0) || now_ms < u->damage_due_ms)
		return;
	u->damage_due_ms = now_ms + DAMAGED_MS;
	log_error("live_row_damaged",
		  "rows of the live store cannot be read, the first of account %llu; what needs "
		  "them fails, all else goes on: see `ledger verify`",
		  (unsigned long long)account);
}

/* A piece of each direction's round. */
static enum errc look_both_ways(struct upkeep *u, struct admin *a, int64_t now_ms, int64_t wall_ms)
{
	enum errc e = agree_lost_slice(a, &u->lost, true, wall_ms / 1000);

	if (!e)
		e = agree_slice(a, &u->agree);
	tell_damage(u, now_ms);
	if (!e && u->lost.done) {
		agree_lost_tell(&u->lost);
		u->lost = (struct agree_lost){.at = 0};
	}
	if (!e && u->agree.done) {
		tell_difference(&u->agree);
		u->agree = (struct agree){.done = false};
	}
	return e;
}

/* A store that cannot be walked through is the business of who verifies, and of the requests that need it. */
static enum errc look_whether_stores_agree(struct upkeep *u, struct admin *a, int64_t now_ms,
					   int64_t wall_ms)
{
	enum errc e;

	if (now_ms < u->agree_due_ms)
		return ERRC_OK;
	u->agree_due_ms = now_ms + AGREE_MS;
	e = look_both_ways(u, a, now_ms, wall_ms);
	if (e != ERRC_CORRUPT)
		return e;
	log_error("live_store_damaged",
		  "the live store cannot be walked through: see `ledger verify`");
	u->lost = (struct agree_lost){.at = 0};
	u->agree = (struct agree){.done = false};
	u->agree_due_ms = now_ms + DAMAGED_MS;
	return ERRC_OK;
}

enum errc upkeep_step(struct upkeep *u, struct admin *a, int64_t now_ms, int64_t wall_ms,
		      int64_t believed_ms)
{
	struct retain_keep keep;
	bool more = false;
	enum errc e;

	pthread_mutex_lock(&u->lock);
	keep = u->keep;
	pthread_mutex_unlock(&u->lock);
	e = look_at_peppers(u, a, now_ms, wall_ms, believed_ms);
	if (!e)
		e = look_whether_stores_agree(u, a, now_ms, wall_ms);
	if (e)
		return e;
	e = retain_step(a->ledger, &keep, wall_ms, &more);
	u->due_ms = now_ms + (more ? PAUSE_MS : EVERY_MS);
	if (e != ERRC_CORRUPT)
		return e;
	/* Old records that are damaged are for verify to name; new ones can be taken all the same. */
	log_error("retention_stopped", "records that were to be removed cannot be read: the ledger "
				       "needs to be verified");
	u->due_ms = now_ms + DAMAGED_MS;
	return ERRC_OK;
}
