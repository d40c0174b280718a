/* Whether LMDB's file has all the pages that it says it has. Private to this folder. */
#ifndef AIGW_LMDBX_WHOLE_H
#define AIGW_LMDBX_WHOLE_H

#include "lmdbx.h"

/* ERRC_TRUNCATED: the file ends before a page that is in use; reading that would end the process with SIGBUS. The log says how
 * long it is. No other thread of the process may call it at the same time for a file that is short. */
MUSTCHECK enum errc lmdbx_whole(MDB_env *env, const char *dir);

#endif
