/* The machine of a request and its life: made for a head, carried from step to step, reaped. */
#include "call_steps.h"
#include "forwarded.h"
#include "mem.h"
#include "progress.h"

#define STEPS_A_RUN 64   /* a call that goes through more steps without waiting is broken */
#define ARENA_FIRST 9216 /* what most calls need */
#ifdef __SANITIZE_ADDRESS__
#define SPARES_MAX 0 /* memory of a call that ended must not be touched */
#else
#define SPARES_MAX 32
#endif

#define TO(STEP) (1u << CALL_##STEP)
#define END(E)   (1u << RECORD_END_##E)

static const struct {
	enum call_next (*fn)(struct call *c);
	uint32_t to, ends;
} steps[] = {
#define CALL_STEP(NAME, fn, to, ends, what) [CALL_##NAME] = {fn, to, ends},
#include "call_tbl.h"
#undef CALL_STEP
};

_Static_assert(CALL_STEP_COUNT <= 32 && RECORD_END_COUNT <= 32, "the table's columns are 32 bits");

enum call_next call_goto(struct call *c, enum call_step step)
{
	require(steps[c->step].to & 1u << step);
	c->jump = (int)step;
	return CALL_MORE;
}

enum call_next call_end(struct call *c, enum record_end end)
{
	require(steps[c->step].ends & 1u << end);
	c->end = end;
	c->jump = CALL_SETTLE;
	return CALL_MORE;
}

void call_wake(struct call *c)
{
	turn_wake(&c->task);
}

void call_cancel(struct call *c, enum record_end end)
{
	require_magic(c, CALL_MAGIC);
	if (c->canceled || c->step >= CALL_SETTLE)
		return;
	c->canceled = true;
	c->end = end;
	call_wake(c);
}

/* The hold that was asked for: not any more, or it is there already, though the call had no turn since. */
static void undo_ask(struct call *c)
{
	bool made = !batch_cancel(&c->item) && !c->item.result && c->item.op.reason == ADMIT_NONE;

	c->hold = made ? CALL_HOLD_HELD : CALL_HOLD_NONE;
	if (made)
		c->grant = c->item.op.grant;
}

/* What a cancelled call must let go before it is settled. */
static void undo(struct call *c)
{
	if (c->attempt && c->attempt->up)
		call_attempt_end(c, -1);
	if (c->hold == CALL_HOLD_ASKED)
		undo_ask(c);
	call_own_forget(c);
	call_read_forget(c);
	c->step = CALL_SETTLE;
}

static void call_run(struct turn_task *k)
{
	struct call *c = CONTAINER_OF(k, struct call, task);
	enum call_next next = CALL_MORE;

	require_magic(c, CALL_MAGIC);
	if (call_is_off(c))
		return;
	for (unsigned i = 0; next == CALL_MORE; i++) {
		require(i < STEPS_A_RUN);
		if (c->canceled && c->step < CALL_SETTLE)
			undo(c);
		c->jump = -1;
		next = steps[c->step].fn(c);
		if (next == CALL_MORE)
			c->step = c->jump >= 0 ? (enum call_step)c->jump
					       : (enum call_step)(c->step + 1);
	}
	if (next == CALL_DONE)
		turn_reap(&c->reap);
}

static void call_timer(struct turn_timer *m)
{
	call_wake(CONTAINER_OF(m, struct call, timer));
}

/* Memory for a call: that of one that ended just now, with its arena's first block, or new. */
static struct call *take_memory(struct call_host *h)
{
	struct list *n = list_pop_front(&h->spares);
	struct call *c = n ? list_entry(n, struct call, node) : mem_new_of(struct call);
	struct arena arena;

	if (!n) {
		if (c)
			arena_init_first(&c->arena, LIMIT_ARENA_CALL, ARENA_FIRST);
		return c;
	}
	h->spares_n--;
	arena = c->arena;
	memset(c, 0, sizeof(*c));
	c->arena = arena;
	return c;
}

static void give_memory(struct call_host *h, struct call *c)
{
	c->magic = 0;
	if (h->spares_n + 1 <= SPARES_MAX) {
		arena_reset(&c->arena);
		list_push_front(&h->spares, &c->node);
		h->spares_n++;
	} else {
		arena_fini(&c->arena);
		mem_free(c);
	}
}

void call_spares_free(struct call_host *h)
{
	struct list *n;

	while ((n = list_pop_front(&h->spares))) {
		struct call *c = list_entry(n, struct call, node);

		arena_fini(&c->arena);
		mem_free(c);
	}
	h->spares_n = 0;
}

void call_free(struct call *c)
{
	struct call_host *h = c->host;

	require_magic(c, CALL_MAGIC);
	if (c->attempt)
		call_attempt_end(c, -1);
	call_own_forget(c);
	call_read_forget(c);
	batch_cancel(&c->item);
	if (c->down)
		down_conn_detach(&c->down);
	if (c->slot != PROGRESS_NO_SLOT && c->hold != CALL_HOLD_HELD && c->hold != CALL_HOLD_ENDING)
		progress_give(live_progress(h->env.live), c->slot);
	call_body_free(c);
	if (c->scan)
		c->front->scan_fini(c->scan);
	turn_timer_clear(&c->timer);
	turn_task_fini(&c->task);
	rtable_drop(&c->rt);
	if (c->addr_counted)
		addrs_give(&h->addrs, c->addr);
	h->owing -= c->owing;
	list_remove(&c->node);
	h->count--;
	h->finished++;
	give_memory(h, c);
}

static void call_reap(struct turn_task *k)
{
	call_free(CONTAINER_OF(k, struct call, reap));
}

static void settle_done(struct batch_item *i)
{
	call_wake(CONTAINER_OF(i, struct call, item));
}

struct call *call_new(struct call_host *h, struct down_conn *dc, const struct http1_head *head,
		      const struct down_fault *fault)
{
	struct call *c = take_memory(h);

	if (!c)
		return NULL;
	c->magic = CALL_MAGIC;
	c->host = h;
	c->down = dc;
	c->head = head;
	c->slot = PROGRESS_NO_SLOT;
	c->grant.requests.limit = c->grant.tokens.limit = ROWS_NO_LIMIT;
	c->end = RECORD_END_INTERNAL;
	c->start_us = call_now_us();
	c->rt = rtable_hold(h->rt);
	turn_task_init(&c->task, h->env.turn, call_run);
	turn_task_init(&c->reap, h->env.turn, call_reap);
	turn_timer_init(&c->timer, h->env.turn, call_timer);
	c->item.done = settle_done;
	c->id = genid_next(&h->ids, turn_wall_ms(h->env.turn));
	genid_print(&c->id, c->id_text);
	c->method = arena_dup(&c->arena, slice_sub(head->method, 0, 32));
	c->target = arena_dup(&c->arena, slice_sub(head->target, 0, 2048));
	c->proxied = down_conn_peer(dc)->proxies;
	c->addr_unknown = !forwarded_client(head, down_conn_peer(dc), c->addr);
	if (fault)
		c->down_fault = *fault;
	list_push_back(&h->calls, &c->node);
	h->count++;
	h->requests++;
	return c;
}
