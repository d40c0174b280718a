/* Settles what dead processes left behind, for the keeper: the holds of an instance whose lock is free, from their progress,
 * charged at most to the hold, with the end reason worker_died. */
#ifndef AIGW_SWEEP_H
#define AIGW_SWEEP_H

#include "live.h"

struct sweep_result {
	uint32_t settled;   /* holds in this call */
	uint32_t instances; /* dead ones that are finished now: region given back */
	int64_t charged_nusd;
	bool more; /* call again */
};

/* At most LIMIT_TXN_OPS holds in one write transaction. Start with the processes' deaths and call at least every second. */
MUSTCHECK enum errc sweep_run(struct live *l, int64_t boot_ms, int64_t wall_ms,
			      struct sweep_result *out);

#endif
