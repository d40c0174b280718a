/* The conservation check over the live store, account by account in slices (design 3.5): granted = balance + held + settled,
 * balance >= -overdraft, held = sum of the holds, and the counts of holds of account and keys. */
#ifndef AIGW_SCAN_H
#define AIGW_SCAN_H

#include "live.h"
#include "rows.h"

struct scan {
	uint64_t next_account;                                   /* 0 to begin */
	uint64_t accounts, holds, broken_accounts, first_broken; /* so far in this round */
	/* Rows that cannot be read, and the account of the first. They are passed over, and what cannot be added up without them. */
	uint64_t damaged, first_damaged;
	int64_t imbalance_nusd; /* sum of absolute differences: must be 0 */
	int64_t oldest_hold_ms; /* boot clock when the oldest hold was made; 0: there is none */
	int64_t held_nusd, balance_nusd, settled_nusd, uncollected_nusd;
	uint64_t rows; /* looked at */
	bool done;     /* the round is complete: read the sums, then clear the struct */
	/* scan_slice() alone: */
	bool inside,
		told; /* next_account is not done with: it goes on at the key `at`; it is among the broken */
	char at[ROWS_ID];
};

/* Goes on with the round for at most `accounts_max` accounts in one read transaction, and for fewer where they have many keys: of one
 * that has more than a transaction may read each key is compared with the holds of its moment. Looks at an account's sums, the states
 * of its keys and its holds, however many definitions and end users it has besides. */
MUSTCHECK enum errc scan_slice(struct live *l, struct scan *s, size_t accounts_max);

/* What a round found in one number: by how much the money is out of balance, or, where it is not, how many accounts are broken in
 * another way and how many rows cannot be read. 0: all is right. */
int64_t scan_off(const struct scan *s);

#endif
