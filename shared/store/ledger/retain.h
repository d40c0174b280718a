/* Retention: the records of the oldest sealed days are removed when they are older than they need be kept, or when all of them
 * take more bytes than they may. Only whole days go, some hundred records a transaction. What is removed is added up, in the
 * same transaction, in rows like the checkpoint's, with the chain's hash behind it: the base, from which verify goes on. Also
 * removed is what finds the records by their ids, and the roll-ups by end user; roll-ups by key and model stay, so that reports
 * by whole days remain. A day goes also when nothing has
 * come since: the record of its removal is the last one then, and stays while nothing does. The file does not get smaller, its pages are used again. */
#ifndef AIGW_RETAIN_H
#define AIGW_RETAIN_H

#include "ledger.h"

struct retain_keep {
	int64_t days;  /* 0: for ever */
	int64_t bytes; /* 0: any number */
};

/* One transaction's worth. *more: call again soon. Writer thread, no transaction open. A failed one changes nothing and may be tried
 * again like any commit. */
MUSTCHECK enum errc retain_step(struct ledger *l, const struct retain_keep *keep, int64_t wall_ms,
				bool *more);

/* What has been removed. */
struct retain_base {
	uint64_t seq;                /* the last record of it; 0: nothing has */
	uint8_t head[DIGEST_SHA256]; /* of the chain behind it */
};

/* Any thread. With `book` not NULL (and *book NULL) also what it added up to, owned by the caller. */
MUSTCHECK enum errc retain_base(struct ledger *l, struct retain_base *out, struct book **book);

/* The first day (since 1970) of which all records are kept; 0: none has been removed. *whole: of the day
 * before all are gone, not only some. Any thread but a loop. */
MUSTCHECK enum errc retain_first_day(struct ledger *l, uint32_t *day, bool *whole);

#endif
