/* What an account has to spend. The overdraft of one that is postpaid or in shadow ends where amounts do: beyond MONEY_NUSD_MAX nothing is
 * counted, of no account. Pure. */
#ifndef AIGW_CREDIT_H
#define AIGW_CREDIT_H

#include "rows.h"

/* Whether the balance may go no further below 0 than the overdraft. */
bool credit_has_floor(const struct rows_account *);
/* What may be charged to it in all, ever: what was granted, and the overdraft. */
int64_t credit_limit(const struct rows_account *);
/* What is left of it beside what was charged and what is held: what is held within it can be settled, whatever the charge within it.
 * Below 0 only where the sums do not hold. */
int64_t credit_available(const struct rows_account *);
/* Whether there is any need to tell: of an account without a floor that is not half used up there is none. */
bool credit_is_limited(const struct rows_account *);
/* The account as it is out of shadow: what of this is less than 0 is what shadow let through. */
struct rows_account credit_out_of_shadow(const struct rows_account *);

#endif
