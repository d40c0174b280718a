#include "listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"
#include "synstop.h"
#include "text.h"

#define LISTEN_MAGIC 0x4c49534eu
#define SET_MAGIC    0x4c495354u
#define BUCKETS      1024
#define ACCEPTS_MAX  64 /* from one queue before others get their turn */
#define PAUSE_MS     100
#define LATE_MS      200 /* a round trip to nearly everywhere; a dropped SYN comes again after 1 s */

/* How many connections a client address has. */
struct client {
	struct list node; /* in a bucket */
	uint8_t addr[16];
	unsigned conns;
};

struct listen_set {
	unsigned magic;
	struct turn *turn; /* borrowed */
	unsigned conns_max, per_address_max;
	struct list listens; /* listen.node */
	struct list buckets[BUCKETS];
	uint8_t seed[16]; /* clients choose the keys */
	struct listen_stats stats;
};

/* A TLS handshake of a client. */
struct shake {
	struct list node; /* listen.shakes */
	struct listen *listen;
	struct xport *x; /* owned */
	struct listen_peer peer;
	struct turn_timer limit;
	struct turn_task reap;
};

/* Its memory is libuv's until on_closed(). */
struct listen {
	unsigned magic;
	struct listen_set *set;
	struct list node;
	uv_poll_t poll;
	int fd; /* < 0: closed after the drain */
	bool armed, out_of_fds, is_draining, drained_told, is_closed;
	bool stopped;           /* synstop_set() */
	struct tls_server *tls; /* held */
	int64_t tls_ms;
	struct listen_proxies *proxies; /* held */
	const struct listen_events *ev;
	void *arg;
	struct list shakes;
	struct turn_timer retry;
	struct turn_timer late; /* set: a drain does not close yet */
	struct turn_task task;  /* says on_drained */
};

/* --- the set: counting --- */

static struct list *bucket_of(struct listen_set *s, const uint8_t addr[16])
{
	return &s->buckets[text_hash_keyed(s->seed, slice_of(addr, 16)) % BUCKETS];
}

static struct client *client_find(struct list *bucket, const uint8_t addr[16])
{
	list_each (it, bucket) {
		struct client *c = list_entry(it, struct client, node);

		if (memcmp(c->addr, addr, 16) == 0)
			return c;
	}
	return NULL;
}

static void proxies_drop(struct listen_proxies **p)
{
	if (*p && --(*p)->holds == 0)
		mem_free(*p);
	*p = NULL;
}

static enum errc count_up(struct listen_set *s, const struct listen_peer *peer)
{
	struct list *bucket = bucket_of(s, peer->addr);
	struct client *c = peer->proxies ? NULL : client_find(bucket, peer->addr);

	if (c && s->per_address_max > 0 && c->conns >= s->per_address_max)
		return ERRC_LIMIT;
	if (!c && !peer->proxies) {
		c = mem_new_of(struct client);
		if (!c)
			return ERRC_NOMEM;
		memcpy(c->addr, peer->addr, 16);
		list_push_front(bucket, &c->node);
	}
	if (c)
		c->conns++;
	if (peer->proxies)
		peer->proxies->holds++;
	s->stats.open++;
	return ERRC_OK;
}

static void listen_arm(struct listen *l);

void listen_set_gone(struct listen_set *s, const struct listen_peer *peer)
{
	struct listen_proxies *p = peer->proxies;
	struct client *c = p ? NULL : client_find(bucket_of(s, peer->addr), peer->addr);

	proxies_drop(&p);
	require(s->stats.open > 0);
	s->stats.open--;
	if (c && --c->conns == 0) {
		list_remove(&c->node);
		mem_free(c);
	}
	list_each (it, &s->listens) {
		struct listen *l = list_entry(it, struct listen, node);

		l->out_of_fds = false;
		listen_arm(l);
	}
}

enum errc listen_set_new(struct turn *t, unsigned conns_max, unsigned per_address_max,
			 struct listen_set **out)
{
	struct listen_set *s = mem_new_of(struct listen_set);

	if (!s)
		return ERRC_NOMEM;
	s->magic = SET_MAGIC;
	s->turn = t;
	s->conns_max = conns_max;
	s->per_address_max = per_address_max;
	list_init(&s->listens);
	for (size_t i = 0; i < BUCKETS; i++)
		list_init(&s->buckets[i]);
	secret_random(s->seed, sizeof(s->seed));
	*out = s;
	return ERRC_OK;
}

void listen_set_free(struct listen_set **p)
{
	struct listen_set *s = *p;
	struct list *n;

	if (!s)
		return;
	require_magic(s, SET_MAGIC);
	require(list_is_empty(&s->listens));
	for (size_t i = 0; i < BUCKETS; i++)
		while ((n = list_pop_front(&s->buckets[i])))
			mem_free(list_entry(n, struct client, node));
	s->magic = 0;
	mem_free(s);
	*p = NULL;
}

void listen_set_caps(struct listen_set *s, unsigned conns_max, unsigned per_address_max)
{
	s->conns_max = conns_max;
	s->per_address_max = per_address_max;
	list_each (it, &s->listens)
		listen_arm(list_entry(it, struct listen, node));
}

void listen_stats_get(const struct listen_set *s, struct listen_stats *out)
{
	*out = s->stats;
}

/* --- TLS of a client --- */

static void shake_reap(struct turn_task *k)
{
	mem_free(CONTAINER_OF(k, struct shake, reap));
}

/* Takes the xport out of a handshake that is over. */
static struct xport *shake_end(struct shake *s)
{
	struct xport *x = s->x;

	s->x = NULL;
	list_remove(&s->node);
	turn_timer_clear(&s->limit);
	turn_reap(&s->reap);
	return x;
}

static void shake_drop(struct shake *s)
{
	struct listen_set *set = s->listen->set;
	struct xport *x = shake_end(s);

	xport_close(&x);
	listen_set_gone(set, &s->peer);
}

static void on_shake_done(void *arg, const struct tls_result *r)
{
	struct shake *s = arg;
	struct listen *l = s->listen;

	if (r->errc) {
		shake_drop(s);
		return;
	}
	l->ev->on_conn(l->arg, shake_end(s), &s->peer);
}

static void on_shake_limit(struct turn_timer *m)
{
	struct shake *s = CONTAINER_OF(m, struct shake, limit);

	shake_drop(s);
}

static enum errc shake_new(struct listen *l, struct xport **x, const struct listen_peer *peer)
{
	struct shake *s = mem_new_of(struct shake);
	enum errc e;

	if (!s)
		return ERRC_NOMEM;
	s->listen = l;
	s->peer = *peer;
	e = tls_accept(l->tls, x, on_shake_done, s, &s->x);
	if (e) {
		mem_free(s);
		return e;
	}
	list_push_back(&l->shakes, &s->node);
	turn_task_init(&s->reap, l->set->turn, shake_reap);
	turn_timer_init(&s->limit, l->set->turn, on_shake_limit);
	turn_timer_set(&s->limit, turn_now_ms(l->set->turn) + l->tls_ms);
	return ERRC_OK;
}

/* --- accepting --- */

static void peer_of(const struct listen *l, const struct sockaddr_storage *ss,
		    struct listen_peer *peer)
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)ss;
	const struct sockaddr_in *four = (const struct sockaddr_in *)ss;

	*peer = (struct listen_peer){0};
	if (ss->ss_family == AF_INET6) {
		memcpy(peer->addr, &six->sin6_addr, 16);
		peer->port = ntohs(six->sin6_port);
	} else if (ss->ss_family == AF_INET) {
		peer->addr[10] = peer->addr[11] = 0xff;
		memcpy(peer->addr + 12, &four->sin_addr, 4);
		peer->port = ntohs(four->sin_port);
	}
	if (ipnet_any_has(l->proxies->nets, l->proxies->n, peer->addr))
		peer->proxies = l->proxies;
}

static void take_conn(struct listen *l, int fd, const struct sockaddr_storage *ss)
{
	struct listen_set *s = l->set;
	struct listen_peer peer;
	struct xport *x = NULL;
	enum errc e;

	if (l->stopped)
		synstop_undo(fd);
	peer_of(l, ss, &peer);
	e = count_up(s, &peer);
	if (e) {
		s->stats.refused_address += e == ERRC_LIMIT;
		close(fd);
		return;
	}
	e = xport_tcp_new(s->turn, fd, &x);
	if (e)
		close(fd);
	else if (l->tls)
		e = shake_new(l, &x, &peer);
	if (e) {
		xport_close(&x);
		listen_set_gone(s, &peer);
		return;
	}
	if (!l->tls)
		l->ev->on_conn(l->arg, x, &peer);
}

static bool is_full(const struct listen *l)
{
	return !l->is_draining && l->set->conns_max > 0 && l->set->stats.open >= l->set->conns_max;
}

/* Errors of accept() that concern one connection that is gone already (accept(2), "Error handling"). */
static bool is_passing(int err)
{
	switch (err) {
	case EINTR:
	case ECONNABORTED:
	case EPERM:
	case EPROTO:
	case ENETDOWN:
	case ENOPROTOOPT:
	case EHOSTDOWN:
	case ENONET:
	case EHOSTUNREACH:
	case EOPNOTSUPP:
	case ENETUNREACH:
		return true;
	default:
		return false;
	}
}

static void socket_close(struct listen *l)
{
	uv_poll_stop(&l->poll);
	l->armed = false;
	close(l->fd);
	l->fd = -1;
}

static void accept_some(struct listen *l)
{
	for (int i = 0; i < ACCEPTS_MAX && l->fd >= 0 && !l->is_closed && !is_full(l); i++) {
		struct sockaddr_storage ss = {0};
		socklen_t n = sizeof(ss);
		int fd = accept4(l->fd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			take_conn(l, fd, &ss);
			continue;
		}
		if (is_passing(errno))
			continue;
		if (errno != EAGAIN && errno != EWOULDBLOCK) {
			l->set->stats.paused++;
			l->out_of_fds = true;
			turn_timer_set(&l->retry, turn_now_ms(l->set->turn) + PAUSE_MS);
			return;
		}
		if (l->is_draining && !turn_timer_is_set(&l->late)) {
			socket_close(l);
			turn_wake(&l->task);
		}
		return;
	}
}

static void on_poll(uv_poll_t *h, int status, int events)
{
	struct listen *l = h->data;

	(void)events;
	if (status < 0)
		l->armed = false; /* libuv stopped it */
	if (!l->is_closed)
		accept_some(l);
	if (!l->is_closed)
		listen_arm(l);
}

static void listen_arm(struct listen *l)
{
	bool want = l->fd >= 0 && !l->out_of_fds && !is_full(l);

	if (want == l->armed || l->fd < 0)
		return;
	l->armed = want;
	if (want)
		require(uv_poll_start(&l->poll, UV_READABLE, on_poll) ==
			0); /* fails only for a descriptor polled twice */
	else
		uv_poll_stop(&l->poll);
}

static void on_retry(struct turn_timer *m)
{
	struct listen *l = CONTAINER_OF(m, struct listen, retry);

	l->out_of_fds = false;
	listen_arm(l);
	/* Without a descriptor accept() does not even say that the queue is empty. */
	if (l->is_draining)
		turn_wake(&l->task);
}

static void on_late(struct turn_timer *m)
{
	turn_wake(&CONTAINER_OF(m, struct listen, late)->task);
}

static void listen_task(struct turn_task *k)
{
	struct listen *l = CONTAINER_OF(k, struct listen, task);

	if (l->is_draining && l->fd >= 0)
		accept_some(l);
	if (l->is_closed)
		return;
	if (l->drained_told)
		return;
	l->drained_told = l->is_draining && l->fd < 0;
	if (l->drained_told)
		l->ev->on_drained(l->arg);
	else if (l->is_draining && !l->out_of_fds && !turn_timer_is_set(&l->late))
		turn_wake(&l->task);
	listen_arm(l);
}

/* --- exported --- */

static void on_closed(uv_handle_t *h)
{
	struct listen *l = h->data;

	proxies_drop(&l->proxies);
	l->magic = 0;
	mem_free(l);
}

enum errc listen_update(struct listen *l, const struct listen_opts *o)
{
	size_t nets_bytes = sizeof(*o->trusted) * o->trusted_n;
	struct listen_proxies *proxies = mem_new(sizeof(*proxies) + nets_bytes);
	struct tls_server *old = l->tls;

	if (!proxies)
		return ERRC_NOMEM;
	proxies->holds = 1;
	proxies->n = o->trusted_n;
	if (o->trusted_n)
		memcpy(proxies->nets, o->trusted, nets_bytes);
	proxies_drop(&l->proxies);
	l->proxies = proxies;
	l->tls = o->tls ? tls_server_hold(o->tls) : NULL;
	l->tls_ms = o->tls_ms;
	tls_server_drop(&old);
	return ERRC_OK;
}

enum errc listen_open(struct listen_set *s, int fd, const struct listen_opts *o,
		      const struct listen_events *ev, void *arg, struct listen **out)
{
	struct listen *l = mem_new_of(struct listen);
	enum errc e;
	int r;

	require_magic(s, SET_MAGIC);
	if (!l)
		return ERRC_NOMEM;
	l->magic = LISTEN_MAGIC;
	l->set = s;
	l->fd = fd;
	l->ev = ev;
	l->arg = arg;
	list_init(&l->node);
	list_init(&l->shakes);
	e = listen_update(l, o);
	if (e)
		goto fail;
	r = uv_poll_init(turn_loop(s->turn), &l->poll, fd);
	e = xport_errc_from_uv(r);
	if (e)
		goto fail;
	l->poll.data = l;
	turn_timer_init(&l->retry, s->turn, on_retry);
	turn_timer_init(&l->late, s->turn, on_late);
	turn_task_init(&l->task, s->turn, listen_task);
	list_push_back(&s->listens, &l->node);
	listen_arm(l);
	*out = l;
	return ERRC_OK;
fail:
	tls_server_drop(&l->tls);
	proxies_drop(&l->proxies);
	mem_free(l);
	return e;
}

void listen_drain(struct listen *l, enum listen_end end)
{
	require_magic(l, LISTEN_MAGIC);
	l->is_draining = true;
	l->stopped = l->fd >= 0 && end != LISTEN_END_COPY && synstop_set(l->fd);
	if (l->stopped && end == LISTEN_END_LATE)
		turn_timer_set(&l->late, turn_now_ms(l->set->turn) + LATE_MS);
	turn_wake(&l->task);
}

bool listen_is_over(const struct listen *l)
{
	return l->drained_told && list_is_empty(&l->shakes);
}

void listen_close(struct listen **p)
{
	struct listen *l = *p;

	if (!l)
		return;
	require_magic(l, LISTEN_MAGIC);
	*p = NULL;
	l->is_closed = true;
	while (!list_is_empty(&l->shakes))
		shake_drop(list_entry(l->shakes.next, struct shake, node));
	list_remove(&l->node);
	turn_timer_clear(&l->retry);
	turn_timer_clear(&l->late);
	turn_task_fini(&l->task);
	tls_server_drop(&l->tls);
	if (l->fd >= 0)
		socket_close(l);
	uv_close((uv_handle_t *)&l->poll, on_closed);
}
