/* Durability `settle`: nothing that follows the known usage reaches the client before the charge is on disk, or was taken back. */
#include "call_steps.h"
#include "log.h"

#define DURABLE_MS 2000 /* design 3.4: so long is the disk waited for */
#define LOOK_MS \
	25 /* a keeper of another master has no bell of ours: it writes at its own pace and rings nobody here */
#define REVERSE_RETRY_MS 50
#define REVERSE_TRIES    40

/* The store could not take it back. While it is tried again the charge may become durable after all. */
static enum call_next reverse_failed(struct call *c)
{
	if (++c->reverse_tries < REVERSE_TRIES) {
		c->reversing = false;
		turn_timer_set(&c->timer, turn_now_ms(call_turn(c)) + REVERSE_RETRY_MS);
		return CALL_WAIT;
	}
	log_error("reverse_failed", "the charge of request %s is not durable and stands: %s",
		  c->id_text, errc_text(c->item.result));
	c->end = RECORD_END_LEDGER;
	fault_set(&c->fault, FAULT_LEDGER, "The charge could not be made durable in time.");
	return CALL_MORE;
}

static enum call_next reverse_charge(struct call *c)
{
	if (!c->reversing) {
		c->reversing = true;
		c->item.op = (struct admit_op){.kind = ADMIT_REVERSE};
		c->item.op.settle.account = c->key->account;
		c->item.op.settle.id = c->id;
		c->item.op.settle.boot_ms = turn_now_ms(call_turn(c));
		c->item.op.settle.wall_ms = turn_wall_ms(call_turn(c));
		c->item.op.outbox_n = c->done.outbox_n;
		batch_add(c->host->batch, &c->item);
		return CALL_WAIT;
	}
	if (c->item.queued)
		return CALL_WAIT;
	if (c->item.result)
		return reverse_failed(c);
	if (!c->item.op.done.settled)
		return CALL_MORE; /* it had become durable meanwhile: the charge stands and so does the answer */
	c->done.charge_nusd = c->done.uncollected_nusd = 0;
	c->end = RECORD_END_LEDGER;
	fault_set(&c->fault, FAULT_LEDGER,
		  "The charge could not be made durable in time; nothing was charged.");
	return CALL_MORE;
}

enum call_next step_durable(struct call *c)
{
	int64_t now = turn_now_ms(call_turn(c));

	if (call_set(c)->durability != SETTINGS_DURABILITY_SETTLE || c->hold != CALL_HOLD_ENDED ||
	    !c->done.settled || c->done.outbox_n == 0 || c->end != RECORD_END_DONE)
		return CALL_MORE;
	if (c->reversing)
		return reverse_charge(c);
	if (page_durable_has(c->host->env.page, live_head(c->host->env.live)->epoch,
			     c->done.outbox_n)) {
		turn_timer_clear(&c->timer);
		return CALL_MORE;
	}
	if (!c->durable_until_ms) {
		c->durable_until_ms = now + DURABLE_MS;
		c->host->env.ring_keeper(c->host->env.arg);
	} else if (now >= c->durable_until_ms) {
		return reverse_charge(c);
	}
	turn_timer_set(&c->timer, MIN_OF(now + LOOK_MS, c->durable_until_ms));
	return CALL_WAIT;
}
