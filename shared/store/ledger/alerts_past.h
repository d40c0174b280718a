/* What changes put out of an alert's reach: an account as it was just before its credit was changed, a scope just before and just after
 * its limits were, for the next look, which comes some seconds later. A crash before that loses it. The ledger's writer alone. */
#ifndef AIGW_ALERTS_PAST_H
#define AIGW_ALERTS_PAST_H

#include "book.h"

struct alerts_past {
	struct buf b;
	size_t looked; /* bytes that the open transaction has looked at */
};

struct alerts_before {
	bool is_account;
	struct rows_account account; /* without its group */
	int64_t granted_nusd;        /* what the change gave */
	struct book_scope scope;
};

void alerts_past_init(struct alerts_past *p);
void alerts_past_fini(struct alerts_past *p);
/* Before the book applies the record, and after it: a limit that holds between two looks is one of which shares are reached, too. Of
 * what has used nothing, and beyond a ceiling, nothing is kept. */
void alerts_past_note(struct alerts_past *p, const struct book *b, const struct record *r,
		      bool is_after);
/* Oldest first, from *at = 0; valid until the next note. False: there is no more, and all of them are looked at. */
bool alerts_past_next(struct alerts_past *p, size_t *at, struct alerts_before *out);
/* Nobody is told anything. */
void alerts_past_drop(struct alerts_past *p);
/* The transaction ended. */
void alerts_past_committed(struct alerts_past *p);
void alerts_past_aborted(struct alerts_past *p);

#endif
