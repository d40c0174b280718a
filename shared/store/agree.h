/* Whether live store and ledger agree (design 3.5): every account has in the live store what the ledger's records say,
 * together with those that still wait in the outbox; and where none wait, what it and its teams, keys and end users may do is the
 * same to the byte, and those have their totals and what is used of every budget. In slices, of accounts and inside them; ledger thread only, so that the ledger stands still in one. */
#ifndef AIGW_AGREE_H
#define AIGW_AGREE_H

#include "admin.h"

#define AGREE_SLICE 64 /* accounts a read transaction */

struct agree {
	uint64_t next_account; /* 0 to begin */
	uint64_t accounts;     /* of the live store, so far in this round */
	uint64_t different, first_different;
	/* Rows that cannot be read, and the account of the first. They are passed over: everything else is compared. */
	uint64_t damaged, first_damaged;
	uint64_t missing; /* accounts that only one of the two has; known at the end */
	bool done;        /* the round is complete */
	/* agree_slice() alone: */
	bool inside,
		told; /* next_account is not done with: it goes on at the row `at`; it was counted as different */
	struct rows_key_name at;
};

/* Takes over the outbox, then goes on with the round for at most AGREE_SLICE accounts, and about five hundred rows of theirs.
 * ERRC_CORRUPT: the live store cannot be walked through. */
MUSTCHECK enum errc agree_slice(struct admin *a, struct agree *g);

#endif
