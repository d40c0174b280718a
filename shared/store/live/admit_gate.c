#include "admit_priv.h"

/* Bytes of an outbox record as they come, for its share of the store. */
#define RECORD_BYTES 768

static enum errc gate_space(struct admit_run *b, enum admit_gate *gate)
{
	size_t room;
	enum errc rc = live_room(b->l, b->txn, &room);

	if (!rc && room == 0)
		*gate = ADMIT_GATE_SPACE;
	return rc;
}

/* The outbox may take half of the store; admission ends when three quarters of that are full, or when the oldest record
 * waits too long, whoever is to blame for it. */
static enum errc gate_outbox(struct admit_run *b, int64_t boot_ms, enum admit_gate *gate)
{
	uint64_t first, last;
	int64_t since;
	enum errc rc = live_outbox_first(b->l, b->txn, &first, &since);

	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	rc = live_outbox_last(b->l, b->txn, &last);
	if (rc)
		return rc;
	if (boot_ms - since > b->rules->ledger_lag_max_ms ||
	    (last + 1 - first) * RECORD_BYTES > b->l->size_bytes / 2 / 4 * 3)
		*gate = ADMIT_GATE_LEDGER;
	return ERRC_OK;
}

enum errc admit_look_at_gate(struct admit_run *b, int64_t boot_ms)
{
	enum admit_gate gate = progress_ledger_failed(b->l->progress) ? ADMIT_GATE_LEDGER
								      : ADMIT_GATE_OPEN;
	enum errc rc = ERRC_OK;

	if (gate == ADMIT_GATE_OPEN)
		rc = gate_outbox(b, boot_ms, &gate);
	if (!rc && gate == ADMIT_GATE_OPEN)
		rc = gate_space(b, &gate);
	if (!rc)
		b->gate = gate;
	return rc;
}

bool admit_is_open(struct live *l, const struct admit_rules *rules, int64_t boot_ms)
{
	struct admit_run b = {.l = l, .rules = rules};
	enum errc rc = live_read_begin(l, &b.txn);

	if (rc)
		return false;
	rc = admit_look_at_gate(&b, boot_ms);
	live_read_end(l);
	return !rc && b.gate == ADMIT_GATE_OPEN;
}
