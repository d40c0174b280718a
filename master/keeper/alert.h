/* Tells an operator, in one log line each, that a budget or an account's credit is nearly or wholly used up: once each time its
 * use passes the share that the settings name, or all of it. */
#ifndef AIGW_ALERT_H
#define AIGW_ALERT_H

#include <stdatomic.h>

#include "ledger.h"

struct alert {
	atomic_int percent; /* 0: only when all is used */
};

/* Which share `u` passes: the higher one of `percent` and 100 that its use was below and is not any more; 0: none. */
int alert_passed(const struct book_use *u, int percent);
/* For ledger_on_use(), with a struct alert. */
void alert_use(void *arg, const struct book_use *u);

#endif
