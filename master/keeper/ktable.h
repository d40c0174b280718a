/* Two-phase reload, the keeper's part: a table is decoded off the loop, its price rows are made durable by their hash, so
 * that every charge can be recomputed for ever; then it is PREPARED. */
#ifndef AIGW_KTABLE_H
#define AIGW_KTABLE_H

#include "ptable.h"

struct keeper;
struct ktable;

MUSTCHECK enum errc ktable_new(struct keeper *k, struct ktable **out);
void ktable_free(struct ktable **t);
/* Copies the blob; answers PREPARED or REJECTED later. */
void ktable_prepare(struct ktable *t, uint64_t generation, struct slice blob);
void ktable_commit(struct ktable *t, uint64_t generation);
void ktable_abort(struct ktable *t, uint64_t generation);
/* The stores are open: prices that waited for them are written now. */
void ktable_started(struct ktable *t);
/* NULL before the first commit. */
struct ptable *ktable_current(const struct ktable *t);

#endif
