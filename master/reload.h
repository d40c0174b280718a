/* Two-phase reload: the configuration is read and checked aside (off the loop), then keeper and workers PREPARE the new
 * table; all of them PREPARED: COMMIT; one REJECTED or silent for 2 s: ABORT, and nothing has changed. A run is over when
 * all have taken what was committed: what comes behind its answer meets the new table. One at a time;
 * requests meanwhile become one more run. An unchanged result makes no generation. Also brings every new child to the
 * committed table. */
#ifndef AIGW_RELOAD_H
#define AIGW_RELOAD_H

#include <uv.h>

#include "buf.h"
#include "config.h"
#include "list.h"

struct master;
struct child;

enum reload_phase { RELOAD_IDLE, RELOAD_LOADING, RELOAD_PREPARING, RELOAD_COMMITTING };

struct reload {
	enum reload_phase phase;
	bool again; /* asked for meanwhile */
	int64_t by,
		again_by; /* unix user who asked for the run that goes on, for the next one; -1: a signal */
	uint64_t run;        /* number of the run that goes on, or of the last one */
	uint64_t generation; /* that is being prepared */
	int64_t until_ms;    /* COMMITTING: who has not taken it by then is not waited for */
	struct config *next; /* owned */
	struct list fresh;   /* listeners bound for it */
	uv_work_t work;
	enum errc loaded;
	struct buf messages; /* of config_load, and what went wrong later */
	struct buf changes;  /* struct reload_change, one after the other, see reload_changes() */
	struct list notes; /* what commits changed whose records the ledger may lack, oldest first */
	unsigned notes_n;
	uint64_t life; /* drawn at the start: with the generation it names a record of a reload */
	uv_timer_t timer;
};

/* What a run ended with; valid during the call that gets it. */
struct reload_result {
	uint64_t run;
	bool ok, changed;
	uint64_t generation;   /* in force now */
	struct slice messages; /* lines: errors, warnings */
	struct slice changes;  /* for reload_next_change() */
};

void reload_init(struct master *m);
void reload_fini(struct master *m);
/* Starts a run, or asks for one more, for this unix user (-1: a signal); returns the number of the run whose result is the asker's. */
uint64_t reload_request(struct master *m, int64_t uid);
/* Sends the committed table to a child that has just been started. */
void reload_bring(struct master *m, struct child *c);
void reload_prepared(struct master *m, struct child *c, uint64_t generation);
void reload_rejected(struct master *m, struct child *c, uint64_t generation, struct slice text);
/* The ledger has the record of this generation. */
void reload_noted(struct master *m, uint64_t generation);
/* A child has died: it counts as PREPARED. */
void reload_gone(struct master *m);

/* Takes the next change off the front of *changes; false when there is none. path points into it. */
bool reload_next_change(struct slice *changes, enum config_change_kind *kind,
			bool *waits_for_restart, struct slice *path);

#endif
