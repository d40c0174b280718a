/* The ledger thread: the only one that writes the ledger. It waits for state/keeper.lock, opens the stores, takes the outbox
 * into the ledger at the pace of the configured durability, writes the checkpoint, and runs the jobs that change the
 * ledger, one after the other. What the loop must know comes to it through struct writer_events, on its own thread. */
#ifndef AIGW_WRITER_H
#define AIGW_WRITER_H

#include <uv.h>

#include "admin.h"
#include "heritage.h"
#include "list.h"
#include "page.h"
#include "pepper.h"
#include "settings.h"
#include "stores.h"
#include "trust.h"
#include "upkeep.h"

struct writer;

/* All on the loop. */
struct writer_events {
	/* The stores are open and everything that waited is in the ledger. */
	void (*started)(void *arg, const struct store_started *s);
	/* The keeper must end: `what` (static) was being done, and at the start `fault` may be what is wrong with the ledger. The
	 * thread has stopped, or does nothing any more. */
	void (*failed)(void *arg, enum errc e, const char *what, enum ledger_fault fault);
	/* A new live store stands in place of the lost one. */
	void (*renewed)(void *arg);
};

struct writer_opts {
	const struct heritage *h; /* this and the next five are borrowed until writer_free() */
	struct page *page;
	struct stores *stores;
	struct trust *trust;
	struct upkeep *upkeep;
	struct pepper *pepper; /* opened here */
	enum settings_durability durability;
	size_t live_bytes;
	uint32_t regions, slots;
	const struct writer_events *ev; /* borrowed likewise */
	void *arg;
};

/* Something to be done on the ledger thread. Embedded in what it is about; owned by the submitter, who keeps it until `done`. */
struct writer_job {
	struct list node;
	/* Its result tells the writer how the ledger fared: after ERRC_IO and the like the keeper ends. */
	enum errc (*run)(struct writer_job *j, struct admin *a);
	void (*done)(struct writer_job *j, enum errc e); /* on the loop; may free the job */
	enum errc result;
	bool last; /* once it is done the thread does nothing any more: jobs behind it get ERRC_CANCELED from writer_free() */
};

/* Starts the thread. The result is owned by the caller. */
MUSTCHECK enum errc writer_new(uv_loop_t *loop, const struct writer_opts *o, struct writer **out);
/* Ends the thread after the commit or job that it is at (jobs that wait get ERRC_CANCELED and their done()) and closes its
 * handles; the stores stay open. The lock is dropped with the thread. */
void writer_free(struct writer **w);

/* After `started`. */
void writer_submit(struct writer *w, struct writer_job *j);
/* The live store is lost: once all processes that had it open are dead, a new one is made. `renewed` follows. */
void writer_renew(struct writer *w);

#endif
