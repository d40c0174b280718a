/* The provider table of this worker through its two phases: PREPARE decodes off the loop and opens what the table names, COMMIT swaps, ABORT
 * drops. One at a time. */
#ifndef AIGW_TABLE_H
#define AIGW_TABLE_H

#include "ptable.h"

struct worker;
struct table;

MUSTCHECK enum errc table_new(struct worker *w, struct table **out);
void table_free(struct table **t);

/* Copies the blob, answers PREPARED or REJECTED to the master later. A second one replaces the first. */
void table_prepare(struct table *t, uint64_t generation, struct slice blob);
void table_commit(struct table *t, uint64_t generation);
void table_abort(struct table *t, uint64_t generation);
/* The committed one, borrowed until the next commit; NULL before the first. */
struct ptable *table_current(const struct table *t);

#endif
