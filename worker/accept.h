/* The listening sockets of this worker: inherited by message, opened with the options of the listener's row once a table is committed. */
#ifndef AIGW_ACCEPT_H
#define AIGW_ACCEPT_H

#include "listen.h"
#include "settings.h"

struct accept;
struct worker;

MUSTCHECK enum errc accept_new(struct worker *w, struct accept **out);
void accept_free(struct accept **a);

/* Opens certificates of the settings aside; ERRC_TLS with the cause in `why`. */
MUSTCHECK enum errc accept_prepare(struct accept *a, const struct settings *set, char *why,
				   size_t why_n);
void accept_abort(struct accept *a);
/* Takes what was prepared: new certificates and proxies for listeners that are open, opens those that wait. */
void accept_commit(struct accept *a, const struct settings *set);

/* The worker has its pepper now: opens what waited for it. */
void accept_pepper(struct accept *a);

/* A socket from the master; `fd` is owned from now on. */
void accept_add(struct accept *a, struct slice address, bool admin, unsigned slot, int fd);
/* Accepts what is queued there, then closes. `last`: no other process goes on serving with the socket. */
void accept_remove(struct accept *a, struct slice address, unsigned slot, bool last);
/* The same for all but the admin listener; with `last` 200 ms later, for the handshakes that are under way. */
void accept_drain(struct accept *a, bool last);
/* Sockets for clients that are open still. */
unsigned accept_open_count(const struct accept *a);
unsigned accept_conns(const struct accept *a);
/* The counters of connections, for the hosts that serve them; borrowed. */
struct listen_set *accept_set(struct accept *a);
struct listen_set *accept_admin_set(struct accept *a);

#endif
