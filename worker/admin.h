/* The admin address: /metrics from the shared page, /healthz, /readyz. Read-only, no CORS, no key: it listens on loopback. */
#ifndef AIGW_ADMIN_H
#define AIGW_ADMIN_H

#include "down_conn.h"

struct admin;
struct worker;

MUSTCHECK enum errc admin_new(struct worker *w, struct admin **out);
void admin_free(struct admin **a);
/* Serves the admin listener's connections; borrowed. */
struct down_host *admin_host(struct admin *a);

#endif
