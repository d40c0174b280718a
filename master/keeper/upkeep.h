/* What the ledger thread does now and then beside taking records: those that need be kept no longer are removed, a little at a
 * time, peppers that no key needs go, live store and ledger are compared, and alerts are told. The loop gives the settings, also while it works. */
#ifndef AIGW_UPKEEP_H
#define AIGW_UPKEEP_H

#include <pthread.h>

#include "agree.h"
#include "agree_lost.h"
#include "alerts.h"
#include "pepper.h"
#include "retain.h"
#include "settings.h"

struct upkeep {
	pthread_mutex_t lock; /* guards `keep` */
	struct retain_keep keep;
	struct alerts alerts;  /* for ledger_watch() */
	struct pepper *pepper; /* borrowed */
	int64_t pepper_due_ms, agree_due_ms, damage_due_ms;
	struct agree agree; /* rounds that never end */
	struct agree_lost lost;
	int64_t due_ms; /* boot clock; the ledger thread's own */
};

void upkeep_init(struct upkeep *u, struct pepper *pepper);
void upkeep_fini(struct upkeep *u);
void upkeep_set(struct upkeep *u, const struct settings *set);

/* How long nothing is due; 0: now. */
int64_t upkeep_wait_ms(const struct upkeep *u, int64_t now_ms);
/* A piece of it, no transaction open. What cannot be done now is due again later. `believed_ms`: trust_now_ms(). */
MUSTCHECK enum errc upkeep_step(struct upkeep *u, struct admin *a, int64_t now_ms, int64_t wall_ms,
				int64_t believed_ms);

#endif
