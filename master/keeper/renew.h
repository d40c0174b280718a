/* A live store that was removed or replaced under load. Whoever has the old file open still works on it: it is taken over to
 * its end before a new one is made, so nothing is lost. Ledger thread only. */
#ifndef AIGW_RENEW_H
#define AIGW_RENEW_H

#include "admin.h"

/* One turn of settling and taking over what is in the old store; *empty: no process has it open any more and all of it is in
 * the ledger. */
MUSTCHECK enum errc renew_take(struct admin *a, int64_t boot_ms, int64_t wall_ms, bool *empty);

#endif
