/* Whose limits an end user has: its own, where its row has any, else those of the row for all, ROWS_EVERY_USER. The rest (status, models,
 * addresses, end) is what its row says, and of the row for all only where it has none. */
#ifndef AIGW_ROWS_USER_H
#define AIGW_ROWS_USER_H

#include "rows.h"

/* What counts for an end user whose own row has no limits: that row with the limits for all, into `every`. Where either is in shadow they
 * refuse nothing. Slices are those of the two rows. */
static inline void rows_user_join(const struct rows_scope *own, struct rows_scope *every)
{
	for (size_t i = 0; (own->flags | every->flags) & ROWS_SHADOW && i < every->limits.n; i++)
		every->limits.v[i].shadow = true;
	memcpy(every, own, offsetof(struct rows_scope, limits));
}

#endif
