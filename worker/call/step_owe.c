/* A settlement that the store refused for so long that its client was answered: it is asked for again until the store takes it, so that
 * no hold outlives what it was for while the worker lives. The call keeps what the charge needs, nothing else. */
#include "addrs.h"
#include "call_steps.h"
#include "log.h"
#include "progress.h"

#define OWE_MS    1000
#define OWING_MAX 1024 /* calls of a worker; the holds of more are left to the keeper */

static void count(const struct call *c, const char *result)
{
	char text[SERIES_LABELS_MAX];
	struct slice v = slice_str(result);

	series_add(series_cell(c->rt->page, SERIES_LATE_SETTLEMENTS,
			       slice_of(text, series_labels(SERIES_LATE_SETTLEMENTS, &v, 1, text))),
		   1);
}

static enum call_next leave_it(struct call *c)
{
	log_error("settle_left", "the hold of request %s is left to the keeper: %s", c->id_text,
		  errc_text(c->item.result));
	count(c, "left");
	return CALL_DONE;
}

static bool begin(struct call *c)
{
	if (c->host->owing >= OWING_MAX)
		return false;
	c->host->owing++;
	c->owing = true;
	count(c, "late");
	if (c->addr_counted)
		addrs_give(&c->host->addrs, c->addr);
	c->addr_counted = false;
	call_body_free(c);
	return true;
}

/* What it is stays as it was; it ends now, and what the client saw is known. With durability settle nobody pays for what was not durable in
 * time (design 3.4). */
static void ask(struct call *c)
{
	struct admit_settle *s = &c->item.op.settle;

	s->boot_ms = turn_now_ms(call_turn(c));
	s->wall_ms = turn_wall_ms(call_turn(c));
	s->end = c->end;
	if (call_set(c)->durability == SETTINGS_DURABILITY_SETTLE)
		s->charged = c->charged = false;
	s->status = (uint16_t)c->status;
	c->owe_at_ms = 0;
	batch_add(c->host->batch, &c->item);
}

static enum call_next settled(struct call *c)
{
	c->done = c->item.op.done;
	c->hold = CALL_HOLD_ENDED;
	progress_give(live_progress(c->host->env.live), c->slot);
	c->slot = PROGRESS_NO_SLOT;
	log_info("settled_late", "request %s is settled", c->id_text);
	count(c, "settled");
	call_count_late(c);
	return CALL_DONE;
}

void call_owe_end(struct call *c)
{
	if (c->step != CALL_OWE)
		return;
	c->owe_over = true;
	call_wake(c);
}

enum call_next step_owe(struct call *c)
{
	int64_t now = turn_now_ms(call_turn(c));

	if (c->hold != CALL_HOLD_ENDING)
		return CALL_DONE;
	if (c->item.queued)
		return CALL_WAIT;
	if (c->owing && c->owe_at_ms == 0 && !c->item.result)
		return settled(c);
	if (c->owe_over || (!c->owing && !begin(c)))
		return leave_it(c);
	if (c->owe_at_ms == 0)
		c->owe_at_ms = now + OWE_MS;
	if (now < c->owe_at_ms) {
		turn_timer_set(&c->timer, c->owe_at_ms);
		return CALL_WAIT;
	}
	ask(c);
	return CALL_WAIT;
}
