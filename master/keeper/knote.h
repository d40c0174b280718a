/* What the master has done that must stand in the ledger's chain: reloads, with who asked and what changed. The keeper counts as
 * having a table only once the ledger has its record: who waits for a reload waits for that too. */
#ifndef AIGW_KNOTE_H
#define AIGW_KNOTE_H

#include "msg.h"

struct keeper;

/* Writes the record of it, unless the ledger has it; answers RELOAD_NOTED once it is durable. What the ledger cannot take is tried
 * again each second, and told to the next keeper. */
void knote_reloaded(struct keeper *k, const struct msg_reloaded *m);
/* The table of this generation is in force here. */
void knote_table(struct keeper *k, uint64_t generation);

/* Each tick. */
void knote_tick(struct keeper *k, int64_t now_ms);
/* The writer has ended, and nothing is at the loop's pool. */
void knote_fini(struct keeper *k);

#endif
