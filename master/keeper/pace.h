/* When the ledger thread commits, writes the checkpoint and tries again after a failure. Pure: the caller gives the time
 * (boot clock) and does the work. */
#ifndef AIGW_PACE_H
#define AIGW_PACE_H

#include "settings.h"

#define PACE_CHECKPOINT_MS 5000
#define PACE_RETRY_MS      1000
#define PACE_TAIL          1000 /* records that a start may find behind the checkpoint */

struct pace {
	int64_t interval_ms;   /* between the begins of two commits */
	int64_t began_ms;      /* of the last one */
	int64_t checkpoint_ms; /* of the last checkpoint */
	int64_t retry_ms;      /* after a failure: not before; 0: the last commit was good */
	bool rung;             /* somebody waits for a commit */
	bool dirty;            /* records came in since the last checkpoint */
};

/* `tail`: records behind the checkpoint. Many are in the next one at once: a keeper that is killed again and again never comes as far as a
 * checkpoint in its time, and each start would have more to read than the one before. */
void pace_init(struct pace *p, enum settings_durability durability, int64_t now_ms, uint64_t tail);
/* Somebody waits: the next commit is due at once (but never earlier than a retry). */
void pace_ring(struct pace *p);
bool pace_is_due(const struct pace *p, int64_t now_ms);
bool pace_wants_checkpoint(const struct pace *p, int64_t now_ms);
/* How long nothing is due; 0: now. */
int64_t pace_wait_ms(const struct pace *p, int64_t now_ms);

/* Before the outbox is looked at: who rings from here on is not served by this commit. */
void pace_begin(struct pace *p, int64_t now_ms);
void pace_good(struct pace *p, int64_t now_ms, bool took, bool checkpointed);
void pace_failed(struct pace *p, int64_t now_ms);

#endif
