#include "call_host.h"

#include "call_steps.h"
#include "mem.h"

#define CALL_HOST_MAGIC 0x43484f53u
#define TIDY_BYTES      (1024 * 1024) /* below, what the heap keeps is not worth the look */
#define TIDY_SPARE      (256 * 1024)
#define TIDY_SHARE      4 /* of what memory is kept for, this part is used no more */
#define SCRATCH_MAX \
	(4 * 1024 * 1024) /* the longest list of models is the longest body made in it */

static void on_request(void *arg, struct down_conn *dc, const struct http1_head *head,
		       const struct down_fault *fault)
{
	struct call_host *h = arg;
	struct call *c;

	require_magic(h, CALL_HOST_MAGIC);
	c = call_new(h, dc, head, fault);
	if (!c) {
		down_conn_take(dc, &down_conn_deaf, NULL); /* there is no memory for it */
		down_conn_cut(dc);
		return;
	}
	down_conn_take(dc, &call_down_events, c);
	call_wake(c);
}

const struct down_host_events call_host_down_events = {.on_request = on_request};

enum errc call_host_new(const struct call_env *env, struct call_host **out)
{
	struct call_host *h = mem_new_of(struct call_host);
	enum errc e;

	if (!h)
		return ERRC_NOMEM;
	h->magic = CALL_HOST_MAGIC;
	h->env = *env;
	h->ended_seen = page_ended_now(env->page);
	list_init(&h->calls);
	list_init(&h->spares);
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
	require_magic(h, CALL_HOST_MAGIC);
	list_each_safe (n, &h->calls)
		call_free(list_entry(n, struct call, node));
	call_spares_free(h);
	body_pool_clear(&h->bodies);
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

	if (!h->rt)
		rtable_take_over(h->next, h->env.page_slot);
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

static void end_key(struct call_host *h, struct slice key_id)
{
	list_each (n, &h->calls) {
		struct call *c = list_entry(n, struct call, node);

		if (!c->key || !slice_is(key_id, c->key->id) || c->step >= CALL_SETTLE)
			continue;
		fault_set(&c->fault, FAULT_KEY_INVALID, "The API key `%s` was revoked.", c->key->id);
		call_cancel(c, RECORD_END_REVOKED);
	}
}

void call_host_end_keys(struct call_host *h)
{
	char id[APIKEY_ID];

	while (page_ended_next(h->env.page, &h->ended_seen, id))
		end_key(h, slice_of(id, APIKEY_ID));
}

int call_host_ready(struct call_host *h, struct slice *body)
{
	const struct call_env *env = &h->env;
	struct admit_rules rules = {.ledger_lag_max_ms = h->rt->t->set.ledger_lag_max_ms};
	bool draining = h->draining || page_is_draining(env->page, env->generation);
	bool takes = atomic_load(page_gauge(env->page, PAGE_LEDGER_STATE)) == PAGE_LEDGER_GOOD &&
		     admit_is_open(env->live, &rules, turn_now_ms(env->turn));

	*body = draining ? SLICE_LIT("{\"status\":\"draining\"}")
		: takes  ? SLICE_LIT("{\"status\":\"ready\"}")
			 : SLICE_LIT("{\"status\":\"ledger_unavailable\"}");
	return draining || !takes ? 503 : 200;
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

		call_owe_end(c);
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

void call_host_tidy(struct call_host *h)
{
	size_t most = h->body_most, kept = MAX_OF(h->body_kept, most);

	h->body_most = h->body_bytes;
	h->body_kept = kept;
	if (most > kept / TIDY_SHARE)
		return;
	h->body_kept = most;
	body_pool_clear(&h->bodies);
	if (kept >= TIDY_BYTES)
		mem_give_back(TIDY_SPARE);
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
