/* Workers that have a live store which is the node's no more: what they charge there no ledger takes. */
#ifndef AIGW_OLDSTORE_H
#define AIGW_OLDSTORE_H

#include "page.h"

/* Kills all workers but those of the master of this generation, which replaces its own; 0: of any. Any thread. */
void oldstore_kill(struct page *page, uint64_t generation);

#endif
