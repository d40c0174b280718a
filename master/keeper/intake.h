/* What the ledger thread does to the two stores, without the thread: takes the outbox into the ledger, seals days, writes the checkpoint, deletes
 * from the outbox what the ledger has, and puts into the live store what came no further than the ledger. Tells the shared page and
 * the workers what is on disk. Ledger thread only. */
#ifndef AIGW_INTAKE_H
#define AIGW_INTAKE_H

#include "admin.h"
#include "heritage.h"
#include "pace.h"
#include "page.h"

struct writer_job;

struct intake {
	struct admin admin; /* zeroed until intake_opened() */
	struct pace pace;
	struct outbox_batch batch;
	const struct heritage *h; /* this and `page` are borrowed */
	struct page *page;
	enum settings_durability durability;
	bool leftover; /* rows that are in the ledger may still stand in the outbox */
	bool behind;   /* the live store may lack a change that the ledger has */
	uint64_t durable_epoch, durable_n; /* as published */
};

MUSTCHECK enum errc intake_init(struct intake *in, const struct heritage *h, struct page *page,
				enum settings_durability durability);
/* Of a zeroed one too. */
void intake_fini(struct intake *in);
/* The stores, both borrowed, are open; again when another live store stands in place. */
void intake_opened(struct intake *in, struct live *live, struct ledger *ledger);

/* Whether trying again can help; else only a new start can tell what the disk holds. */
bool intake_may_pass(enum errc e);
/* The ledger takes no records: told, and tried again after a while. */
void intake_failed(struct intake *in, enum errc e);

/* A commit, with the checkpoint when it is due, and what follows from it. Any error is one that does not pass. */
MUSTCHECK enum errc intake_round(struct intake *in, int64_t now_ms);
/* A day that is over is sealed once the outbox is empty, unless what comes behind it in the outbox has done so. Any error is one that does
 * not pass. */
MUSTCHECK enum errc intake_seal(struct intake *in, int64_t wall_ms);
/* Deletes what the ledger has from the outbox, as long as no commit is due. */
MUSTCHECK enum errc intake_delete(struct intake *in);
/* The ledger was written by others than intake_round(), the outbox perhaps with it. */
void intake_wrote(struct intake *in);

/* Runs the job and puts down its result; then, when whoever waits for that has it, what follows from this result. Any error of that
 * is one that ends the keeper. */
void intake_run(struct intake *in, struct writer_job *j);
MUSTCHECK enum errc intake_ran(struct intake *in, enum errc result);

#endif
