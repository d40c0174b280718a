/* Processes of the world (see world.h) that die at any commit of what they do, before it is done or after. Whoever takes their place goes on with
 * what is found, and so does the model: all of what was begun, or nothing of it. What runs in a slot of progress is then settled by a
 * sweep, on what the slot says. Wraps mdb_txn_commit(). */
#ifndef AIGW_TEST_DEATH_H
#define AIGW_TEST_DEATH_H

#include "world.h"

void death_reset(void);
/* Of each kind, for people. */
void death_print(void);
/* One operation, in which the process may die. True: it did, and another one runs. */
bool death_run(struct admit_op *op);
/* In the live store. */
bool death_has_hold(const struct genid *id);
/* The keeper and its only worker begin again. The holds of the worker before stay; those that have a slot wait for a sweep. */
void death_open_again(enum store_outcome outcome);
/* A worker notes what came of a request, should it die. */
void death_deliver(void);
/* Now or later, but never later than there are regions for those who come. */
void death_sweep_soon(void);
/* What dead workers left behind is settled. */
void death_sweep(void);
/* All definitions of the live store are those of the model. */
bool death_defs_are_stored(void);

/* Somebody dies in something; death_in_change(): in this edit, suspension or revocation, which tells death_told() what it was told. */
void death_in_change(const char *what, void (*change)(void));
void death_told(enum errc e);
/* Likewise of a change that is none. */
void death_refused(enum errc e);
void death_in_other(void);

#endif
