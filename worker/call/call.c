#include "call_steps.h"
#include "progress.h"

#include "ipnet.h"
#include "mem.h"

#define HOST_MAGIC  0x484f5354u
#define STEPS_A_RUN 64 /* a call that goes through more steps without waiting is broken */
#define SCRATCH_MAX (4 * 1024 * 1024)

static const struct {
	enum call_next (*fn)(struct call *c);
} steps[] = {
#define CALL_STEP(NAME, fn, what) [CALL_##NAME] = {fn},
#include "call_tbl.h"
#undef CALL_STEP
};

enum call_next call_goto(struct call *c, enum call_step step)
{
	c->jump = (int)step;
	return CALL_MORE;
}

enum call_next call_end(struct call *c, enum record_end end)
{
	c->end = end;
	return call_goto(c, CALL_SETTLE);
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

/* What a cancelled call must let go before it is settled. */
static void undo(struct call *c)
{
	if (c->attempt && c->attempt->up)
		call_attempt_end(c, -1);
	if (c->hold == CALL_HOLD_ASKED && batch_cancel(&c->item))
		c->hold = CALL_HOLD_NONE;
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

static void call_reap(struct turn_task *k)
{
	struct call *c = CONTAINER_OF(k, struct call, reap);
	struct call_host *h = c->host;

	require_magic(c, CALL_MAGIC);
	if (c->attempt)
		call_attempt_end(c, -1);
	call_own_forget(c);
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
	arena_fini(&c->arena);
	if (c->addr_counted)
		addrs_give(&h->addrs, c->addr);
	list_remove(&c->node);
	h->count--;
	h->finished++;
	c->magic = 0;
	mem_free(c);
}

static void settle_done(struct batch_item *i)
{
	call_wake(CONTAINER_OF(i, struct call, item));
}

/* The address that limits and logs are about: the peer's, or behind a trusted proxy the last one in x-forwarded-for that it did not add. */
static void client_addr(struct call *c)
{
	const struct listen_peer *p = &c->peer;
	struct slice fwd = p->trusted ? http1_header(c->head, "x-forwarded-for") : SLICE_NONE;
	uint8_t told[16];
	ptrdiff_t comma;

	memcpy(c->addr, p->addr, sizeof(c->addr));
	while ((comma = slice_chr(fwd, ',')) >= 0)
		fwd = slice_sub(fwd, (size_t)comma + 1, fwd.n);
	fwd = slice_trim(fwd);
	if (fwd.n && ipnet_addr(fwd, told))
		memcpy(c->addr, told, sizeof(told));
}

static struct call *call_new(struct call_host *h, struct down_conn *dc,
			     const struct http1_head *head, const struct down_fault *fault)
{
	struct call *c = mem_new_of(struct call);

	if (!c)
		return NULL;
	c->magic = CALL_MAGIC;
	c->host = h;
	c->down = dc;
	c->head = head;
	c->peer = *down_conn_peer(dc);
	c->slot = PROGRESS_NO_SLOT;
	c->end = RECORD_END_INTERNAL;
	c->start_us = call_now_us();
	arena_init(&c->arena, LIMIT_ARENA_CALL);
	c->rt = rtable_hold(h->rt);
	turn_task_init(&c->task, h->env.turn, call_run);
	turn_task_init(&c->reap, h->env.turn, call_reap);
	turn_timer_init(&c->timer, h->env.turn, call_timer);
	c->item.done = settle_done;
	c->id = genid_next(&h->ids, turn_wall_ms(h->env.turn));
	genid_print(&c->id, c->id_text);
	c->method = arena_dup(&c->arena, slice_sub(head->method, 0, 32));
	c->target = arena_dup(&c->arena, slice_sub(head->target, 0, 2048));
	client_addr(c);
	if (fault)
		c->down_fault = *fault;
	list_push_back(&h->calls, &c->node);
	h->count++;
	h->requests++;
	return c;
}

static void no_event(void *arg)
{
	(void)arg;
}

static void no_body(void *arg, struct slice data)
{
	(void)arg;
	(void)data;
}

static void no_fault(void *arg, const struct down_fault *f)
{
	(void)arg;
	(void)f;
}

/* For a request that there is no memory for. */
static const struct down_conn_events deaf = {.on_body = no_body,
					     .on_body_end = no_event,
					     .on_fault = no_fault,
					     .on_writable = no_event,
					     .on_sent = no_event,
					     .on_gone = no_event};

static void on_request(void *arg, struct down_conn *dc, const struct http1_head *head,
		       const struct down_fault *fault)
{
	struct call_host *h = arg;
	struct call *c;

	require_magic(h, HOST_MAGIC);
	c = call_new(h, dc, head, fault);
	if (!c) {
		down_conn_take(dc, &deaf, NULL);
		down_conn_cut(dc);
		return;
	}
	down_conn_take(dc, &call_down_events, c);
	call_wake(c);
}

const struct down_host_events call_host_down_events = {.on_request = on_request,
						       .on_closed = no_event};

enum errc call_host_new(const struct call_env *env, struct call_host **out)
{
	struct call_host *h = mem_new_of(struct call_host);
	enum errc e;

	if (!h)
		return ERRC_NOMEM;
	h->magic = HOST_MAGIC;
	h->env = *env;
	list_init(&h->calls);
	list_init(&h->lookups);
	addrs_init(&h->addrs);
	buf_init(&h->scratch, SCRATCH_MAX);
	genid_source_init(&h->ids);
	secret_random(h->rng.s, sizeof(h->rng.s));
	if ((e = rtable_cas_new(&h->cas)) || (e = batch_new(env->turn, env->live, &h->batch))) {
		call_host_free(&h);
		return e;
	}
	*out = h;
	return ERRC_OK;
}

void call_host_free(struct call_host **hp)
{
	struct call_host *h = *hp;

	*hp = NULL;
	if (!h)
		return;
	require_magic(h, HOST_MAGIC);
	list_each_safe (n, &h->calls)
		call_reap(&list_entry(n, struct call, node)->reap);
	batch_free(&h->batch);
	rtable_drop(&h->rt);
	rtable_drop(&h->next);
	rtable_cas_free(&h->cas);
	addrs_fini(&h->addrs);
	buf_fini(&h->scratch);
	h->magic = 0;
	mem_free(h);
}

enum errc call_host_prepare(struct call_host *h, struct ptable *t, char *why, size_t why_n)
{
	struct rtable_env env = {
		.tls = h->env.tls, .pool = h->env.pool, .page = h->env.page, .cas = h->cas};

	call_host_abort(h);
	return rtable_new(&env, t, why, why_n, &h->next);
}

void call_host_commit(struct call_host *h)
{
	const struct settings *set = &h->next->t->set;
	struct admit_rules rules = {.ledger_lag_max_ms = set->ledger_lag_max_ms};

	rtable_drop(&h->rt);
	rtable_warm(h->next);
	h->rt = h->next;
	h->next = NULL;
	batch_set_rules(h->batch, &rules);
}

void call_host_abort(struct call_host *h)
{
	rtable_drop(&h->next);
}

struct rtable *call_host_table(struct call_host *h)
{
	return h->rt;
}

void call_host_durable(struct call_host *h)
{
	list_each (n, &h->calls) {
		struct call *c = list_entry(n, struct call, node);

		if (c->step == CALL_DURABLE)
			call_wake(c);
	}
}

void call_host_revoked(struct call_host *h, struct slice key_id)
{
	list_each (n, &h->calls) {
		struct call *c = list_entry(n, struct call, node);

		if (!c->key || !slice_is(key_id, c->key->id))
			continue;
		fault_set(&c->fault, FAULT_KEY_INVALID, "The API key `%s` was revoked.", c->key->id);
		call_cancel(c, RECORD_END_REVOKED);
	}
}

void call_host_drain(struct call_host *h)
{
	h->draining = true;
	h->finished = 0;
}

unsigned call_host_cut(struct call_host *h)
{
	unsigned n_cut = 0;

	list_each (n, &h->calls) {
		struct call *c = list_entry(n, struct call, node);

		if (c->step >= CALL_SETTLE)
			continue;
		fault_set(&c->fault, FAULT_OVERLOADED,
			  "The gateway is shutting down; send the request again.");
		call_cancel(c, RECORD_END_DRAIN);
		n_cut++;
	}
	return n_cut;
}

unsigned call_host_count(const struct call_host *h)
{
	return h->count;
}

uint64_t call_host_finished(const struct call_host *h)
{
	return h->finished;
}

static void publish_connections(struct call_host *h)
{
	struct rtable *rt = h->rt;
	struct upool_stats s;

	for (size_t i = 0; rt && i < rt->t->providers_n; i++) {
		struct breaker_provider *b = rt->providers[i].health;

		if (!b)
			continue;
		upool_stats_get(h->env.pool, rt->providers[i].ep, &s);
		atomic_store_explicit(&b->use[h->env.page_slot].conns_used, s.busy + s.dialing,
				      memory_order_relaxed);
		atomic_store_explicit(&b->use[h->env.page_slot].conns_idle, s.idle,
				      memory_order_relaxed);
	}
}

void call_host_publish(struct call_host *h)
{
	struct page_proc *p = page_proc(h->env.page, h->env.page_slot);
	struct upool_stats s;

	upool_stats_get(h->env.pool, NULL, &s);
	atomic_store_explicit(&p->inflight, h->count, memory_order_relaxed);
	atomic_store_explicit(&p->requests, h->requests, memory_order_relaxed);
	atomic_store_explicit(&p->conns_up, s.busy + s.dialing, memory_order_relaxed);
	atomic_store_explicit(&p->conns_up_idle, s.idle, memory_order_relaxed);
	publish_connections(h);
}
