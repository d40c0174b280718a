/* The orderly end: /readyz says no, the listeners go on for drain_delay, then every copy of them is closed, workers finish
 * what runs until drain_timeout, the keeper takes the rest into the ledger, and the master exits. */
#ifndef AIGW_DRAIN_H
#define AIGW_DRAIN_H

#include <uv.h>

#include "check.h"

struct master;
struct child;

enum drain_phase { DRAIN_OFF, DRAIN_DELAY, DRAIN_WORKERS, DRAIN_KEEPER, DRAIN_DONE };

struct drain {
	enum drain_phase phase;
	bool now;            /* nothing may run on any more */
	int64_t deadline_ms; /* boot clock; for the streams */
	int64_t kill_ms;     /* boot clock; what still runs then is killed */
	uint64_t finished, cut;
	uv_timer_t step, progress;
};

void drain_init(struct master *m);
/* now: nothing may run on; called again while draining it shortens what is left. */
void drain_start(struct master *m, bool now);
bool drain_is_on(const struct master *m);
/* As long as the listeners are open. */
bool drain_wants_workers(const struct master *m);
/* While workers run a keeper must, too. */
bool drain_wants_keeper(const struct master *m);
void drain_worker_done(struct master *m, struct child *c, uint64_t finished, uint64_t cut);
/* After a child's death. */
void drain_child_gone(struct master *m, struct child *c, int status);

#endif
