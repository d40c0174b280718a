/* The requests of one worker. A call_host takes requests from the down_host and carries each through the steps of call_tbl.h,
 * from its head to its log line. One `struct call` a request; its inside is call_state.h, private to this folder. The
 * worker process lends what calls need in struct call_env and passes on what other processes say. Everything here
 * belongs to the loop's thread; nothing here reads a file or a configuration. */
#ifndef AIGW_CALL_HOST_H
#define AIGW_CALL_HOST_H

#include "down_conn.h"
#include "live.h"
#include "msg.h"
#include "page.h"
#include "peppers.h"
#include "ptable.h"
#include "upool.h"

struct call_host;
struct rtable;

/* All borrowed until call_host_free(). */
struct call_env {
	struct turn *turn;
	struct tls *tls;
	struct upool *pool;
	struct live *live; /* joined */
	struct page *page;
	unsigned page_slot;
	uint64_t generation; /* of our master */
	const struct peppers *peppers;
	/* Asks the keeper to make everything up to now durable at once; it answers through call_host_durable(). */
	void (*ring_keeper)(void *arg);
	/* Asks the keeper for a charge record of this key; answered by call_host_found() with the same seq. ERRC_BUSY, ERRC_AGAIN: there is no
	 * keeper now. */
	enum errc (*lookup)(void *arg, uint64_t seq, struct slice id, struct slice key_id);
	/* The same for what a key has used; answered by call_host_reported(). */
	enum errc (*report)(void *arg, const struct msg_report *m);
	void *arg;
};

MUSTCHECK enum errc call_host_new(const struct call_env *env, struct call_host **out);
/* Calls that still run are dropped without an answer; their holds are left to the keeper. */
void call_host_free(struct call_host **h);

/* The two phases of a new table. Prepare opens what the table names, with the cause in `why` on failure; `t` is held. Commit takes it for
 * requests that begin from now on, running ones keep theirs. */
MUSTCHECK enum errc call_host_prepare(struct call_host *h, struct ptable *t, char *why,
				      size_t why_n);
void call_host_commit(struct call_host *h);
/* Drops what was prepared; nothing happens without. */
void call_host_abort(struct call_host *h);
/* The table in force as calls use it; borrowed until the next commit, NULL before the first. */
struct rtable *call_host_table(struct call_host *h);

/* For down_host_new(): receives the host's requests; arg is the call_host. */
extern const struct down_host_events call_host_down_events;

/* The durable mark in the shared page has moved. */
void call_host_durable(struct call_host *h);
/* The keeper's answer to a lookup, valid during the call. */
void call_host_found(struct call_host *h, const struct msg_found *m);
/* The keeper's answer to a report; likewise. */
void call_host_reported(struct call_host *h, const struct msg_reported *m);
/* `key revoke --now`: cancels what runs for the keys that the shared page names since the last time; to be called some times a second. */
void call_host_end_keys(struct call_host *h);

/* What /readyz answers, on either address: its status, and *body, which is static. Not before the first commit. */
int call_host_ready(struct call_host *h, struct slice *body);
/* /readyz answers 503 from now on; running calls go on. */
void call_host_drain(struct call_host *h);
/* Ends every running call as cut off by a drain; returns how many there were. */
unsigned call_host_cut(struct call_host *h);
unsigned call_host_count(const struct call_host *h);
/* Requests that came to their own end since the drain began. */
uint64_t call_host_finished(const struct call_host *h);

/* Each process's gauges in the shared page; to be called about once a second. */
void call_host_publish(struct call_host *h);
/* Gives memory back when since the last look far less of it was used by request bodies than before; to be called as often. */
void call_host_tidy(struct call_host *h);

#endif
