/* A disk that is full, or broken, for a while: for programs that are linked with -Wl,--wrap=mdb_txn_commit. */
#ifndef AIGW_TEST_COMMITS_H
#define AIGW_TEST_COMMITS_H

#include <lmdb.h>

#define COMMITS_ALL (~0u)

/* The commits of this store (of two at most) fail with this error, so many of them, once so many went well. */
void commits_fail(const MDB_env *env, unsigned after, unsigned times, int error);
/* How many are still to fail. */
unsigned commits_left(const MDB_env *env);
/* None fails any more, of any store. */
void commits_work(void);

#endif
