#include "accept.h"

#include <stdio.h>
#include <unistd.h>

#include "admin.h"
#include "log.h"
#include "mem.h"
#include "worker_state.h"

#define SOCKETS_MAX 256
#define ADDRESS_MAX 128

struct accept_socket {
	struct accept *a;
	char address[ADDRESS_MAX];
	unsigned slot;
	bool admin;
	bool leaving; /* nothing opens it any more */
	bool drained; /* its queue was taken until it was empty */
	int fd;       /* until it is opened; -1 then */
	struct listen *listen;
};

/* A listener row as it counts now or will. */
struct accept_row {
	char address[ADDRESS_MAX];
	struct tls_server *tls; /* held; NULL: plain */
	struct ipnet trusted[SETTINGS_TRUSTED_MAX];
	size_t trusted_n;
};

struct accept_rows {
	struct accept_row *v;
	size_t n;
};

struct accept {
	struct worker *w;
	struct listen_set *set, *admin_set;
	struct accept_rows rows, next;
	int64_t tls_ms;
	bool committed;
	struct accept_socket *sockets[SOCKETS_MAX];
	size_t n;
};

static void rows_free(struct accept_rows *r)
{
	for (size_t i = 0; i < r->n; i++)
		tls_server_drop(&r->v[i].tls);
	mem_free(r->v);
	*r = (struct accept_rows){0};
}

enum errc accept_new(struct worker *w, struct accept **out)
{
	struct accept *a = mem_new_of(struct accept);
	enum errc e;

	if (!a)
		return ERRC_NOMEM;
	a->w = w;
	if ((e = listen_set_new(w->turn, 16, 16, &a->set)) ||
	    (e = listen_set_new(w->turn, 256, 256, &a->admin_set))) {
		accept_free(&a);
		return e;
	}
	*out = a;
	return ERRC_OK;
}

static void socket_free(struct accept *a, size_t i)
{
	struct accept_socket *s = a->sockets[i];

	a->sockets[i] = a->sockets[--a->n];
	listen_close(&s->listen);
	if (s->fd >= 0)
		close(s->fd);
	mem_free(s);
}

void accept_free(struct accept **ap)
{
	struct accept *a = *ap;

	*ap = NULL;
	if (!a)
		return;
	while (a->n > 0)
		socket_free(a, a->n - 1);
	rows_free(&a->rows);
	rows_free(&a->next);
	listen_set_free(&a->set);
	listen_set_free(&a->admin_set);
	mem_free(a);
}

static enum errc row_init(struct accept *a, const struct settings_listener *l, struct accept_row *r,
			  char *why, size_t why_n)
{
	snprintf(r->address, sizeof(r->address), "%.*s", (int)l->address.n, l->address.p);
	r->trusted_n = l->trusted_n;
	if (r->trusted_n)
		memcpy(r->trusted, l->trusted, sizeof(r->trusted[0]) * r->trusted_n);
	if (!l->tls)
		return ERRC_OK;
	return tls_server_new(a->w->tls, l->certificate_pem, l->key_pem, why, why_n, &r->tls);
}

enum errc accept_prepare(struct accept *a, const struct settings *set, char *why, size_t why_n)
{
	rows_free(&a->next);
	a->next.v = mem_new((set->listeners_n + 1) * sizeof(*a->next.v));
	if (!a->next.v)
		return ERRC_NOMEM;
	for (size_t i = 0; i < set->listeners_n; i++) {
		char cause[160] = "";
		enum errc e = row_init(a, &set->listeners[i], &a->next.v[a->next.n], cause,
				       sizeof(cause));

		if (e) {
			snprintf(why, why_n, "listener %.*s: %s", (int)set->listeners[i].address.n,
				 set->listeners[i].address.p, cause[0] ? cause : errc_text(e));
			rows_free(&a->next);
			return e;
		}
		a->next.n++;
	}
	return ERRC_OK;
}

void accept_abort(struct accept *a)
{
	rows_free(&a->next);
}

static const struct accept_row *row_of(const struct accept *a, const char *address)
{
	for (size_t i = 0; i < a->rows.n; i++)
		if (slice_is(slice_str(address), a->rows.v[i].address))
			return &a->rows.v[i];
	return NULL;
}

static void on_conn(void *arg, struct xport *x, const struct listen_peer *peer)
{
	struct accept_socket *s = arg;
	struct down_host *host = s->admin ? admin_host(s->a->w->admin) : s->a->w->clients;
	enum errc e = down_conn_open(host, x, peer);

	if (e)
		log_warn("connection_refused", "a client's connection cannot be served: %s",
			 errc_text(e));
}

static void on_drained(void *arg)
{
	struct accept_socket *s = arg;

	s->drained = true;
}

static const struct listen_events events = {.on_conn = on_conn, .on_drained = on_drained};

static void socket_open(struct accept *a, struct accept_socket *s)
{
	const struct accept_row *r = s->admin ? NULL : row_of(a, s->address);
	struct listen_opts o = {.tls = r ? r->tls : NULL,
				.tls_ms = a->tls_ms,
				.trusted = r ? r->trusted : NULL,
				.trusted_n = r ? r->trusted_n : 0};
	enum errc e;

	/* Without the keeper's pepper no key is known: clients wait in the queue. */
	if (!s->admin && (!r || a->w->peppers.n == 0))
		return;
	if (s->listen) {
		e = s->admin ? ERRC_OK : listen_update(s->listen, &o);
	} else {
		e = listen_open(s->admin ? a->admin_set : a->set, s->fd, &o, &events, s, &s->listen);
		s->fd = -1;
	}
	if (e)
		log_error("listen_failed", "cannot listen on %s: %s", s->address, errc_text(e));
}

void accept_commit(struct accept *a, const struct settings *set)
{
	rows_free(&a->rows);
	a->rows = a->next;
	a->next = (struct accept_rows){0};
	a->tls_ms = set->timeout_tls_ms;
	a->committed = true;
	listen_set_caps(a->set, (unsigned)set->limit_connections,
			(unsigned)set->limit_connections_address);
	for (size_t i = 0; i < a->n; i++)
		if (!a->sockets[i]->leaving)
			socket_open(a, a->sockets[i]);
}

void accept_pepper(struct accept *a)
{
	for (size_t i = 0; i < a->n && a->committed; i++)
		if (!a->sockets[i]->leaving && !a->sockets[i]->listen)
			socket_open(a, a->sockets[i]);
}

/* Sockets that were given up make room once their last handshake is over. */
static void sweep(struct accept *a)
{
	for (size_t i = a->n; i-- > 0;) {
		const struct accept_socket *s = a->sockets[i];

		if (s->leaving && (!s->listen || listen_is_over(s->listen)))
			socket_free(a, i);
	}
}

void accept_add(struct accept *a, struct slice address, bool admin, unsigned slot, int fd)
{
	struct accept_socket *s;

	sweep(a);
	s = a->n < SOCKETS_MAX ? mem_new_of(struct accept_socket) : NULL;
	if (!s) {
		log_error("listen_failed", "no room for the socket of " SLICE_FMT,
			  SLICE_ARG(address));
		close(fd);
		return;
	}
	s->a = a;
	s->admin = admin;
	s->slot = slot;
	s->fd = fd;
	snprintf(s->address, sizeof(s->address), "%.*s", (int)address.n, address.p);
	a->sockets[a->n++] = s;
	if (a->committed)
		socket_open(a, s);
}

static void socket_drain(struct accept_socket *s, enum listen_end end)
{
	if (s->listen && !s->leaving)
		listen_drain(s->listen, end);
	s->leaving = true;
	if (s->fd >= 0)
		close(s->fd);
	s->fd = -1;
}

void accept_remove(struct accept *a, struct slice address, unsigned slot, bool last)
{
	for (size_t i = 0; i < a->n; i++)
		if (slice_is(address, a->sockets[i]->address) && a->sockets[i]->slot == slot)
			/* Not late: the next reload may want the address again. */
			socket_drain(a->sockets[i], last ? LISTEN_END_SOCKET : LISTEN_END_COPY);
}

void accept_drain(struct accept *a, bool last)
{
	for (size_t i = 0; i < a->n; i++)
		if (!a->sockets[i]->admin)
			socket_drain(a->sockets[i], last ? LISTEN_END_LATE : LISTEN_END_COPY);
}

unsigned accept_open_count(const struct accept *a)
{
	unsigned n = 0;

	for (size_t i = 0; i < a->n; i++)
		n += !a->sockets[i]->admin && a->sockets[i]->listen && !a->sockets[i]->drained;
	return n;
}

unsigned accept_conns(const struct accept *a)
{
	struct listen_stats s;

	listen_stats_get(a->set, &s);
	return s.open;
}

struct listen_set *accept_set(struct accept *a)
{
	return a->set;
}

struct listen_set *accept_admin_set(struct accept *a)
{
	return a->admin_set;
}
