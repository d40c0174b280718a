#include "upkeep.h"

#include "log.h"

#define EVERY_MS   10000 /* looked for something to do */
#define DAMAGED_MS 3600000
#define PAUSE_MS   20 /* between two pieces: commits of records come in between */

void upkeep_init(struct upkeep *u)
{
	*u = (struct upkeep){.due_ms = 0};
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

enum errc upkeep_step(struct upkeep *u, struct admin *a, int64_t now_ms, int64_t wall_ms)
{
	struct retain_keep keep;
	bool more = false;
	enum errc e;

	pthread_mutex_lock(&u->lock);
	keep = u->keep;
	pthread_mutex_unlock(&u->lock);
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
