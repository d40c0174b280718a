/* What the keeper looks after all the time: dead readers of the live store, dead processes' holds, whether the store is still
 * in its place, the invariants, the gauges of the shared page. On the loop; every step takes at most about a millisecond. */
#ifndef AIGW_WATCH_H
#define AIGW_WATCH_H

#include <uv.h>

#include "idem.h"
#include "idle.h"
#include "scan.h"

struct keeper;

struct watch {
	struct keeper *k;
	uv_timer_t sweep, scan, forget; /* run while there is more to do */
	struct scan round;              /* of the invariants */
	struct idem_sweep claims;
	unsigned forget_slices; /* left of this second */
	struct idle idle;       /* what end users have used that says nothing any more */
	bool scanning, told;    /* told: an imbalance is in the log */
	bool lost;              /* the live store is not in its place; a new one is being made */
	int64_t scan_ms;        /* when the round began, then when the next one may */
	int64_t damage_ms;      /* when rows that cannot be read may be told again */
	int64_t second_ms;      /* boot clock of the last turn of each second */
};

void watch_init(struct watch *w, struct keeper *k);
/* The stores are open; `new_live`: the live store is another one than the gauges are of. */
void watch_opened(struct watch *w, bool new_live, int64_t now_ms);
/* Each tick, once the stores are open. */
void watch_tick(struct watch *w, int64_t now_ms);
/* A process that had the live store open has died. */
void watch_death(struct watch *w);
/* The new live store is there. */
void watch_renewed(struct watch *w, int64_t now_ms);
void watch_stop(struct watch *w);

#endif
