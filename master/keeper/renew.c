#include "renew.h"

#include "sweep.h"

enum errc renew_take(struct admin *a, int64_t boot_ms, int64_t wall_ms, bool *empty)
{
	struct sweep_result swept = {.more = true};
	struct live_owner one;
	uint64_t taken;
	size_t owners = 0;
	enum errc e = ERRC_OK;

	*empty = false;
	while (!e && swept.more)
		e = sweep_run(a->live, boot_ms, wall_ms, &swept);
	/* In this order: who is gone now leaves nothing behind that is not taken below. */
	if (!e)
		e = live_instances(a->live, &one, 1, &owners);
	if (!e)
		e = store_drain_outbox(a->live, a->ledger, a->batch, &taken);
	*empty = !e && owners == 0;
	return e;
}
