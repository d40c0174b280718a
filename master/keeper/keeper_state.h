/* The inside of a keeper process, shared by the files of this folder. All of it belongs to the loop's thread, but what
 * writer.h and stores.h say. */
#ifndef AIGW_KEEPER_STATE_H
#define AIGW_KEEPER_STATE_H

#include "heritage.h"
#include "klink.h"
#include "list.h"
#include "ptable.h"
#include "stores.h"
#include "trust.h"
#include "watch.h"
#include "writer.h"

#define KEEPER_MAGIC          0x4b454550u
#define KEEPER_ORPHAN_TICK_MS 10

struct ktable;
struct serve;

/* The link to one worker. */
struct keeper_worker {
	struct klink link;
	struct keeper *k;
	uint64_t serial;    /* of the link: an answer for an older one is dropped */
	unsigned lookups_n; /* under way */
	uint16_t pepper;    /* the newest that it knows; 0: none yet */
};

enum keeper_end { KEEPER_RUNS, KEEPER_DRAINS, KEEPER_YIELDS, KEEPER_FAILED };

struct keeper {
	unsigned magic;
	struct heritage h;
	uv_loop_t loop;
	struct page *page;
	struct page_proc *proc;
	struct stores stores;
	struct upkeep upkeep;
	struct trust trust;
	struct pepper pepper;
	uint64_t pepper_sent;   /* pepper_changes() that the workers were told */
	uint16_t pepper_newest; /* of those that they were told */
	struct writer *writer;  /* NULL before the first table and after the end */
	bool started, ready;    /* stores open; the master was told so */
	struct klink master;
	struct keeper_worker workers[HERITAGE_WORKERS_MAX]; /* by slot */
	uint64_t serials;
	struct ktable *table;
	struct serve *serve;
	struct list notes; /* records of reloads that the ledger may lack; of knote.c, like the next four */
	unsigned notes_n;       /* those that were not tried yet */
	bool note_busy;         /* the first one is with the writer */
	uint64_t note_last;     /* generation of the newest that came */
	int64_t note_due_ms;    /* when one that failed is tried again */
	uint64_t generation;    /* of the table in force */
	struct list keyreports; /* that wait; of keyreport.c */
	unsigned keyreports_n;
	bool keyreport_busy;
	struct watch watch;
	unsigned works_n; /* on the loop's thread pool */
	enum keeper_end end;
	struct writer_job drain;
	bool node_stops; /* the master's word at the drain: no worker is left, and none will be */
	int64_t drain_until_ms;
	uv_timer_t tick, last; /* last: how long an end may take */
	uv_signal_t term;
	int exit_status;
};

/* keeper.c */
/* Once tables and stores are there. */
void keeper_check_ready(struct keeper *k);
/* First table: the ledger thread starts with its settings. */
MUSTCHECK enum errc keeper_open(struct keeper *k, const struct settings *set);
/* Takes everything into the ledger and ends with status 0. On a full disk it tries again until then (boot clock). node_stops: the master has
 * no worker any more and starts none. */
void keeper_drain(struct keeper *k, int64_t deadline_ms, bool node_stops);
/* Says why to the master and ends with status 1. */
void keeper_fail(struct keeper *k, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Work on the loop's pool is over: an end may wait for it. */
void keeper_work_over(struct keeper *k);

/* kmsg.c: what comes over the channels. */
void kmsg_on_master(struct klink *l, struct msg *m);
void kmsg_on_master_end(struct klink *l, enum errc e);
/* Tells the workers which peppers there are, when there are others than before; to be called often. */
void kmsg_peppers(struct keeper *k);
/* All workers of this master are to be replaced; those of older ones, which it does not know, are killed. */
void kmsg_store_lost(struct keeper *k);

#endif
