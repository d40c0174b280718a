#include "upool.h"

#include "mem.h"

#define UPOOL_MAGIC 0x55504f4fu
#define EP_MAGIC    0x55504550u
#define BUCKETS     64

enum upool_state {
	UPOOL_NONE,    /* in no list: just made, or on its way out */
	UPOOL_DIALING, /* warming up, nobody waits for it */
	UPOOL_IDLE,
	UPOOL_BUSY, /* borrowed */
	UPOOL_STATES,
};

struct upool_ep {
	unsigned magic;
	struct upool *pool;
	struct list node; /* in a bucket */
	uint64_t id;
	unsigned refs;
	unsigned generation; /* of the spec: connections of an older one are not used again */
	char *host;          /* owned */
	struct upool_spec spec;
	struct tls_sessions *sessions;   /* owned */
	struct list lists[UPOOL_STATES]; /* up_conn_link.node; the last used in front */
	unsigned counts[UPOOL_STATES];
	struct turn_timer timer; /* closes what has been idle for too long */
	struct upool_stats stats;
};

struct upool {
	unsigned magic;
	struct turn *turn; /* borrowed */
	struct dns *dns;   /* borrowed */
	struct list buckets[BUCKETS];
	struct upool_stats past; /* of endpoints that are gone */
};

static struct upool_ep *ep_of(struct up_conn_link *l)
{
	struct upool_ep *ep = l->ep;

	require_magic(ep, EP_MAGIC);
	return ep;
}

/* The only function that changes where a connection is listed. */
static void move(struct up_conn_link *l, enum upool_state to)
{
	static const bool legal[UPOOL_STATES][UPOOL_STATES] = {
		[UPOOL_NONE] = {[UPOOL_DIALING] = true, [UPOOL_BUSY] = true},
		[UPOOL_DIALING] = {[UPOOL_NONE] = true, [UPOOL_IDLE] = true, [UPOOL_BUSY] = true},
		[UPOOL_IDLE] = {[UPOOL_NONE] = true, [UPOOL_BUSY] = true},
		[UPOOL_BUSY] = {[UPOOL_NONE] = true, [UPOOL_IDLE] = true},
	};
	struct upool_ep *ep = ep_of(l);

	require(legal[l->state][to]);
	if (l->state != UPOOL_NONE) {
		list_remove(&l->node);
		ep->counts[l->state]--;
	}
	l->state = to;
	if (to == UPOOL_NONE)
		return;
	list_push_front(&ep->lists[to], &l->node);
	ep->counts[to]++;
}

static void ep_free_if_unused(struct upool_ep *ep);

/* Ends a connection, wherever it is. */
static void conn_end(struct up_conn *u)
{
	struct up_conn_link *l = up_conn_link(u);
	struct upool_ep *ep = ep_of(l);

	move(l, UPOOL_NONE);
	up_conn_free(&u);
	ep_free_if_unused(ep);
}

static struct up_conn *first_of(struct upool_ep *ep, enum upool_state state)
{
	return up_conn_of_link(list_entry(ep->lists[state].next, struct up_conn_link, node));
}

static void end_all(struct upool_ep *ep, enum upool_state state)
{
	while (ep->counts[state] > 0)
		conn_end(first_of(ep, state));
}

/* --- what connections tell --- */

static void on_idle_end(void *arg, struct up_conn *u)
{
	(void)arg;
	conn_end(u);
}

static void idle_watch(struct upool_ep *ep);

static void on_dialed(void *arg, struct up_conn *u, const struct dial_result *r)
{
	struct up_conn_link *l = up_conn_link(u);
	struct upool_ep *ep = ep_of(l);

	(void)arg;
	if (r->errc) {
		ep->stats.dial_failed++;
		return;
	}
	ep->stats.tls_resumed += ep->spec.tls && r->tls_resumed;
	ep->stats.tls_full += ep->spec.tls && !r->tls_resumed;
	if (l->state != UPOOL_DIALING)
		return;
	l->idle_since_ms = turn_now_ms(ep->pool->turn);
	move(l, UPOOL_IDLE);
	idle_watch(ep);
}

static const struct up_conn_owner owner = {.on_idle_end = on_idle_end, .on_dialed = on_dialed};

/* --- age --- */

static int64_t ends_ms(const struct upool_ep *ep, const struct up_conn_link *l)
{
	int64_t idle_ms = l->idle_since_ms + ep->spec.idle_ms;

	return ep->spec.age_ms > 0 ? MIN_OF(idle_ms, l->born_ms + ep->spec.age_ms) : idle_ms;
}

static bool is_usable(const struct upool_ep *ep, const struct up_conn_link *l, int64_t now_ms)
{
	return ep->refs > 0 && l->generation == ep->generation && now_ms < ends_ms(ep, l);
}

/* Sets the timer to the idle connection that has waited longest. */
static void idle_watch(struct upool_ep *ep)
{
	struct list *oldest = ep->lists[UPOOL_IDLE].prev;

	if (ep->counts[UPOOL_IDLE] > 0)
		turn_timer_set(&ep->timer,
			       ends_ms(ep, list_entry(oldest, struct up_conn_link, node)));
	else
		turn_timer_clear(&ep->timer);
}

static void on_timer(struct turn_timer *m)
{
	struct upool_ep *ep = CONTAINER_OF(m, struct upool_ep, timer);
	int64_t now_ms = turn_now_ms(ep->pool->turn);

	list_each_safe (it, &ep->lists[UPOOL_IDLE]) {
		struct up_conn_link *l = list_entry(it, struct up_conn_link, node);

		if (!is_usable(ep, l, now_ms))
			conn_end(up_conn_of_link(l));
	}
	idle_watch(ep);
}

/* --- endpoints --- */

static struct list *bucket(struct upool *p, uint64_t id)
{
	return &p->buckets[(id ^ (id >> 32)) % BUCKETS];
}

static void stats_add(struct upool_stats *to, const struct upool_stats *s)
{
	to->dialing += s->dialing;
	to->idle += s->idle;
	to->busy += s->busy;
	to->dialed += s->dialed;
	to->dial_failed += s->dial_failed;
	to->borrowed += s->borrowed;
	to->reused += s->reused;
	to->tls_full += s->tls_full;
	to->tls_resumed += s->tls_resumed;
}

static void ep_free(struct upool_ep *ep)
{
	list_remove(&ep->node);
	stats_add(&ep->pool->past, &ep->stats);
	turn_timer_clear(&ep->timer);
	tls_sessions_free(&ep->sessions);
	tls_client_drop(&ep->spec.tls);
	mem_free(ep->host);
	ep->magic = 0;
	mem_free(ep);
}

static void ep_free_if_unused(struct upool_ep *ep)
{
	if (ep->refs == 0 &&
	    ep->counts[UPOOL_DIALING] + ep->counts[UPOOL_IDLE] + ep->counts[UPOOL_BUSY] == 0)
		ep_free(ep);
}

static bool is_same_place(const struct upool_ep *ep, const struct upool_spec *spec)
{
	return ep->host && strcmp(ep->host, spec->host) == 0 && ep->spec.port == spec->port &&
	       ep->spec.tls == spec->tls;
}

/* Takes over a spec. What leads elsewhere than before is closed or will not be used again. */
static enum errc ep_set(struct upool_ep *ep, const struct upool_spec *spec)
{
	struct tls_client *old = ep->spec.tls;
	char *host;

	if (!is_same_place(ep, spec)) {
		host = mem_dup(spec->host, strlen(spec->host));
		if (!host)
			return ERRC_NOMEM;
		mem_free(ep->host);
		ep->host = host;
		ep->generation++;
		tls_sessions_clear(ep->sessions);
	}
	ep->spec = *spec;
	ep->spec.host = ep->host;
	ep->spec.tls = spec->tls ? tls_client_hold(spec->tls) : NULL;
	if (spec->conns_max == 0)
		ep->spec.conns_max = UPOOL_CONNS_MAX;
	if (spec->idle_max == 0)
		ep->spec.idle_max = UPOOL_IDLE_MAX;
	tls_client_drop(&old);
	return ERRC_OK;
}

static enum errc ep_new(struct upool *p, const struct upool_spec *spec, struct upool_ep **out)
{
	struct upool_ep *ep = mem_new_of(struct upool_ep);
	enum errc e;

	if (!ep)
		return ERRC_NOMEM;
	e = tls_sessions_new(&ep->sessions);
	if (e) {
		mem_free(ep);
		return e;
	}
	ep->magic = EP_MAGIC;
	ep->pool = p;
	ep->id = spec->id;
	for (int i = 0; i < UPOOL_STATES; i++)
		list_init(&ep->lists[i]);
	turn_timer_init(&ep->timer, p->turn, on_timer);
	list_push_front(bucket(p, spec->id), &ep->node);
	*out = ep;
	return ERRC_OK;
}

/* NULL when there is none. Borrowed from whoever holds it. */
static struct upool_ep *ep_find(struct upool *p, uint64_t id)
{
	list_each (it, bucket(p, id)) {
		struct upool_ep *ep = list_entry(it, struct upool_ep, node);

		if (ep->id == id)
			return ep;
	}
	return NULL;
}

enum errc upool_ep_get(struct upool *p, const struct upool_spec *spec, struct upool_ep **out)
{
	struct upool_ep *ep = ep_find(p, spec->id);
	unsigned generation = ep ? ep->generation : 0;
	enum errc e = ERRC_OK;

	if (!ep)
		e = ep_new(p, spec, &ep);
	if (e)
		return e;
	e = ep_set(ep, spec);
	if (e) {
		ep_free_if_unused(ep);
		return e;
	}
	ep->refs++;
	if (ep->generation != generation) {
		end_all(ep, UPOOL_IDLE);
		end_all(ep, UPOOL_DIALING);
	}
	idle_watch(ep);
	*out = ep;
	return ERRC_OK;
}

void upool_ep_drop(struct upool_ep **p)
{
	struct upool_ep *ep = *p;

	if (!ep)
		return;
	require_magic(ep, EP_MAGIC);
	*p = NULL;
	if (ep->refs > 1) {
		ep->refs--;
		return;
	}
	/* The reference goes last, so that the endpoint is not freed under the loops. */
	end_all(ep, UPOOL_IDLE);
	end_all(ep, UPOOL_DIALING);
	ep->refs = 0;
	ep_free_if_unused(ep);
}

/* --- borrowing --- */

static enum errc dial_new(struct upool_ep *ep, enum upool_state state, struct up_conn **out)
{
	const struct dial_target to = {
		.host = ep->host,
		.port = ep->spec.port,
		.tls = ep->spec.tls,
		.sessions = ep->sessions,
		.connect_ms = ep->spec.connect_ms,
		.tls_ms = ep->spec.tls_ms,
	};
	struct up_conn_link *l;
	enum errc e;

	if (ep->counts[UPOOL_DIALING] + ep->counts[UPOOL_IDLE] + ep->counts[UPOOL_BUSY] >=
	    ep->spec.conns_max)
		return ERRC_BUSY;
	e = up_conn_dial(ep->pool->turn, ep->pool->dns, &to, &owner, NULL, out);
	if (e)
		return e;
	ep->stats.dialed++;
	l = up_conn_link(*out);
	l->ep = ep;
	l->generation = ep->generation;
	l->born_ms = turn_now_ms(ep->pool->turn);
	move(l, state);
	return ERRC_OK;
}

enum errc upool_adopt(struct upool_ep *ep, struct xport *x)
{
	struct up_conn_link *l;
	struct up_conn *u;
	enum errc e;

	require_magic(ep, EP_MAGIC);
	e = up_conn_new(ep->pool->turn, x, &owner, NULL, &u);
	if (e)
		return e;
	l = up_conn_link(u);
	l->ep = ep;
	l->generation = ep->generation;
	l->born_ms = l->idle_since_ms = turn_now_ms(ep->pool->turn);
	move(l, UPOOL_DIALING);
	move(l, UPOOL_IDLE);
	return ERRC_OK;
}

/* The idle connection that was used last, or one that is warming up; NULL without. */
static struct up_conn *take_ready(struct upool_ep *ep)
{
	int64_t now_ms = turn_now_ms(ep->pool->turn);

	while (ep->counts[UPOOL_IDLE] > 0) {
		struct up_conn *u = first_of(ep, UPOOL_IDLE);

		if (is_usable(ep, up_conn_link(u), now_ms))
			return u;
		conn_end(u);
	}
	return ep->counts[UPOOL_DIALING] > 0 ? first_of(ep, UPOOL_DIALING) : NULL;
}

enum errc upool_borrow(struct upool_ep *ep, bool fresh, const struct up_conn_events *ev, void *arg,
		       struct up_conn **out)
{
	struct up_conn *u = NULL;
	enum errc e = ERRC_OK;

	require_magic(ep, EP_MAGIC);
	require(ep->refs > 0);
	if (!fresh)
		u = take_ready(ep);
	else if (ep->counts[UPOOL_IDLE] > 0 &&
		 ep->counts[UPOOL_BUSY] + ep->counts[UPOOL_IDLE] >= ep->spec.conns_max)
		conn_end(first_of(
			ep,
			UPOOL_IDLE)); /* makes room: it is no better than the one that was stale */
	if (u)
		move(up_conn_link(u), UPOOL_BUSY);
	else
		e = dial_new(ep, UPOOL_BUSY, &u);
	if (e)
		return e;
	ep->stats.borrowed++;
	ep->stats.reused += up_conn_is_reused(u);
	up_conn_set_events(u, ev, arg);
	*out = u;
	return ERRC_OK;
}

void upool_give(struct up_conn **p)
{
	struct up_conn *u = *p;
	struct up_conn_link *l;
	struct upool_ep *ep;

	if (!u)
		return;
	*p = NULL;
	l = up_conn_link(u);
	ep = ep_of(l);
	require(l->state == UPOOL_BUSY);
	l->idle_since_ms = turn_now_ms(ep->pool->turn);
	if (!up_conn_is_reusable(u) || !is_usable(ep, l, l->idle_since_ms) ||
	    ep->counts[UPOOL_IDLE] >= ep->spec.idle_max) {
		conn_end(u);
		return;
	}
	up_conn_rest(u);
	move(l, UPOOL_IDLE);
	if (!turn_timer_is_set(&ep->timer))
		idle_watch(ep);
}

void upool_forget(struct up_conn **p)
{
	struct up_conn *u = *p;

	if (!u)
		return;
	*p = NULL;
	require(up_conn_link(u)->state == UPOOL_BUSY);
	conn_end(u);
}

void upool_warm(struct upool_ep *ep, unsigned n)
{
	struct up_conn *u;

	require_magic(ep, EP_MAGIC);
	while (ep->counts[UPOOL_IDLE] + ep->counts[UPOOL_DIALING] < MIN_OF(n, ep->spec.idle_max))
		if (dial_new(ep, UPOOL_DIALING, &u))
			return; /* warming is a favour: requests will dial for themselves */
}

/* --- the pool --- */

enum errc upool_new(struct turn *t, struct dns *dns, struct upool **out)
{
	struct upool *p = mem_new_of(struct upool);

	if (!p)
		return ERRC_NOMEM;
	p->magic = UPOOL_MAGIC;
	p->turn = t;
	p->dns = dns;
	for (int i = 0; i < BUCKETS; i++)
		list_init(&p->buckets[i]);
	*out = p;
	return ERRC_OK;
}

void upool_free(struct upool **pp)
{
	struct upool *p = *pp;

	if (!p)
		return;
	require_magic(p, UPOOL_MAGIC);
	for (int i = 0; i < BUCKETS; i++) {
		while (!list_is_empty(&p->buckets[i])) {
			struct upool_ep *ep = list_entry(p->buckets[i].next, struct upool_ep, node);

			ep->refs = MAX_OF(ep->refs, 1u);
			end_all(ep, UPOOL_BUSY);
			end_all(ep, UPOOL_IDLE);
			end_all(ep, UPOOL_DIALING);
			ep_free(ep);
		}
	}
	p->magic = 0;
	mem_free(p);
	*pp = NULL;
}

static void ep_stats(const struct upool_ep *ep, struct upool_stats *out)
{
	struct upool_stats s = ep->stats;

	s.dialing = ep->counts[UPOOL_DIALING];
	s.idle = ep->counts[UPOOL_IDLE];
	s.busy = ep->counts[UPOOL_BUSY];
	stats_add(out, &s);
}

void upool_stats_get(const struct upool *p, const struct upool_ep *ep, struct upool_stats *out)
{
	*out = (struct upool_stats){0};
	if (ep) {
		ep_stats(ep, out);
		return;
	}
	*out = p->past;
	for (int i = 0; i < BUCKETS; i++)
		list_each (it, &p->buckets[i])
			ep_stats(list_entry(it, struct upool_ep, node), out);
}
