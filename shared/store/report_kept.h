/* What reports no longer know: whose end users the requests of removed days were (retain.h). Sums of whole days stay. */
#ifndef AIGW_REPORT_KEPT_H
#define AIGW_REPORT_KEPT_H

#include "report.h"

/* The first day (since 1970) of which the end users are known; 0: nothing has been removed. Any thread but a loop. */
MUSTCHECK enum errc report_kept_users(struct ledger *l, uint32_t *day);

/* After all has been read. ERRC_TRUNCATED: end users are asked for, and the span has requests of days that know theirs no more. */
MUSTCHECK enum errc report_kept_check(struct ledger *l, const struct report_ask *ask);

#endif
