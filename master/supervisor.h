/* Keeps the keeper and every worker slot filled: starts, respawns with back-off, hands sockets and links out, lends the
 * sockets of an empty slot, and kills what the watchdog names. The keeper comes first; workers start once it was ready. */
#ifndef AIGW_SUPERVISOR_H
#define AIGW_SUPERVISOR_H

#include "child.h"
#include "watchdog.h"

struct master;

/* One child with what the supervisor remembers about its slot. */
struct supervisor_slot {
	struct child child;
	uv_timer_t respawn;
	struct master *m;
	int64_t away_since_ms; /* not ready since; 0 while it is */
	int lent_to;           /* worker slot that accepts on its sockets; -1 */
	const char *killed;    /* why we killed it: label of aigw_worker_restarts_total; NULL */
};

struct supervisor {
	struct supervisor_slot keeper;
	struct supervisor_slot *workers; /* owned */
	unsigned workers_n;
	bool keeper_was_ready;
	struct watchdog_row *rows; /* owned; by page row */
	uint32_t *row_pids;        /* owned; whose history a row of the watchdog is */
	uv_timer_t tick;
	int64_t tick_ms;
};

/* Claims the rows of the page. */
MUSTCHECK enum errc supervisor_init(struct master *m, unsigned workers);
/* Starts the keeper and the watchdog's ticks. */
void supervisor_start(struct master *m);
void supervisor_fini(struct master *m);

/* On SIGCHLD. */
void supervisor_reap(struct master *m);

/* Calls fn for the keeper and every worker that has a process. */
void supervisor_each(struct master *m, void (*fn)(struct master *m, struct child *c, void *arg),
		     void *arg);
/* The new and the vanished listeners of a reload, to all workers. */
struct list;
void supervisor_listen(struct master *m, struct list *fresh, struct list *gone);
/* TLS ticket keys to one worker, or to all (NULL). */
void supervisor_tickets(struct master *m, struct child *c);
unsigned supervisor_workers_up(const struct master *m);
unsigned supervisor_workers_ready(const struct master *m);
/* Any ready worker, taking turns; NULL when there is none. */
struct child *supervisor_any_worker(struct master *m);
/* No worker is started any more; those that are not ready yet are killed. The keeper is respawned as long as workers run. */
void supervisor_drain(struct master *m, int64_t deadline_ms);
void supervisor_kill(struct master *m, struct child *c, const char *label, const char *reason);

#endif
