#include "sweep.h"

#include "admit.h"
#include "progress_priv.h"

#define OWNERS_MAX 512

/* The settlements of one transaction. */
struct sweep_batch {
	struct admit_op ops[LIMIT_TXN_OPS];
	uint32_t slots[LIMIT_TXN_OPS];
	size_t n;
};

static void fill_op(struct live *l, struct sweep_batch *b, uint32_t slot, uint64_t account,
		    const struct genid *id, int64_t boot_ms, int64_t wall_ms)
{
	struct admit_op *op = &b->ops[b->n];
	struct admit_settle *e = &op->settle;
	uint32_t candidate;

	*op = (struct admit_op){.kind = ADMIT_SETTLE};
	e->account = account;
	e->id = *id;
	e->candidate = -1;
	e->boot_ms = boot_ms;
	e->wall_ms = wall_ms;
	e->end = RECORD_END_WORKER_DIED;
	e->first_byte_ms = e->total_ms = -1;
	e->capped = true;
	e->cost_held = true;
	e->cost_nusd = progress_lost_nusd(live_progress(l), slot, id);
	if (progress_read(live_progress(l), slot, id, &candidate, &e->usage)) {
		e->candidate = (int)candidate;
		e->charged = true;
	} else {
		usage_init(&e->usage);
	}
	b->slots[b->n++] = slot;
}

static enum errc settle(struct live *l, struct sweep_batch *b, struct sweep_result *out)
{
	static const struct admit_rules rules = {.ledger_lag_max_ms = INT64_MAX};
	struct admit_op *ops[LIMIT_TXN_OPS];
	enum errc rc;

	if (b->n == 0)
		return ERRC_OK;
	for (size_t i = 0; i < b->n; i++)
		ops[i] = &b->ops[i];
	rc = admit_batch(l, &rules, ops, b->n);
	if (rc)
		return rc;
	for (size_t i = 0; i < b->n; i++) {
		if (b->ops[i].rc) {
			rc = b->ops[i].rc;
			continue; /* stays for another try: its slot is still named */
		}
		if (b->ops[i].done.settled) {
			out->settled++;
			out->charged_nusd += b->ops[i].done.charge_nusd;
		}
		progress_clear_slot(live_progress(l), b->slots[i]);
	}
	b->n = 0;
	return rc;
}

/* The next settlements of a dead process. True: there are more behind them. */
static bool fill(struct live *l, const struct live_owner *owner, uint32_t *slot, int64_t boot_ms,
		 int64_t wall_ms, struct sweep_batch *b)
{
	uint64_t account;
	struct genid id;

	while (progress_next(live_progress(l), owner->region, slot, &account, &id)) {
		if (b->n == LIMIT_TXN_OPS)
			return true;
		fill_op(l, b, (*slot)++, account, &id, boot_ms, wall_ms);
	}
	return false;
}

/* One transaction's worth of a dead process; when nothing is left of it, its region goes back. Where all of a transaction's
 * holds cannot be settled the next ones are tried, which must not wait for ever behind them. */
static enum errc sweep_owner(struct live *l, const struct live_owner *owner, int64_t boot_ms,
			     int64_t wall_ms, struct sweep_result *out)
{
	struct sweep_batch b = {.n = 0};
	uint32_t slot = 0;
	bool left, bad = false;
	enum errc rc, first = ERRC_OK;

	do {
		left = fill(l, owner, &slot, boot_ms, wall_ms, &b);
		rc = settle(l, &b, out);
		first = first ? first : rc;
		bad = rc && b.n == 0; /* some of them, not the transaction */
	} while (bad && left && out->settled == 0);
	out->more = out->more || left;
	if (first || left)
		return first;
	rc = live_part(l, owner);
	if (!rc)
		out->instances++;
	return rc;
}

enum errc sweep_run(struct live *l, int64_t boot_ms, int64_t wall_ms, struct sweep_result *out)
{
	struct live_owner owners[OWNERS_MAX];
	size_t n;
	enum errc rc = live_instances(l, owners, ARRAY_LEN(owners), &n), first = rc;

	*out = (struct sweep_result){0};
	for (size_t i = 0; i < n; i++) {
		if (!live_owner_is_dead(l, owners[i].instance))
			continue;
		if (out->settled > 0 || out->instances > 0) {
			out->more = true; /* one transaction of settlements a call */
			break;
		}
		/* One that cannot be settled must not keep the others waiting. */
		rc = sweep_owner(l, &owners[i], boot_ms, wall_ms, out);
		if (!first)
			first = rc;
	}
	return first;
}
