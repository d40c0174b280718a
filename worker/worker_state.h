/* The inside of a worker process, shared by the files of this folder. Everything belongs to the loop's thread but struct table_job,
 * which a thread of libuv's pool decodes. */
#ifndef AIGW_WORKER_STATE_H
#define AIGW_WORKER_STATE_H

#include "call_host.h"
#include "heritage.h"
#include "link.h"
#include "list.h"
#include "peppers.h"

#define WORKER_MAGIC 0x574f524bu

struct accept; /* accept.h */
struct admin;  /* admin.h */
struct table;  /* table.h */

struct worker {
	unsigned magic;
	struct heritage h;
	uv_loop_t loop;
	struct turn *turn;
	struct page *page;
	struct page_proc *proc;
	struct live *live;
	struct tls *tls;
	struct dns *dns;
	struct upool *pool;
	struct call_host *calls;
	struct down_host *clients;
	struct accept *accept;
	struct admin *admin;
	struct table *table;
	struct link master, keeper;
	uv_poll_t bell;
	uv_timer_t tick;
	uv_signal_t term;
	struct turn_hook beat; /* heartbeat each turn */
	struct peppers peppers;
	bool ready, draining, ended;
	int64_t cut_at_ms; /* boot clock; running requests are cut then */
	uint64_t cut;
	int exit_status;
};

/* worker.c */
/* Tells the master READY once table, pepper and sockets are there. */
void worker_check_ready(struct worker *w);
/* Accepts what is queued, closes the listeners, lets requests finish until the deadline, then ends the loop. May be called again with another
 * deadline. `last`: no other process goes on serving with the sockets; false when this worker ends alone. */
void worker_drain(struct worker *w, int64_t deadline_ms, bool last);
/* Says why to the master and ends with status 1. */
void worker_fail(struct worker *w, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* messages.c: what comes over the channels. */
void worker_on_master(void *arg, struct msg *m);
void worker_on_master_end(void *arg, enum errc e);
void worker_on_keeper(void *arg, struct msg *m);
void worker_on_keeper_end(void *arg, enum errc e);

#endif
