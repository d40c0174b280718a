/* What the ledger's records add up to: every account with its sums and every key with its definition, budget window and
 * totals, in memory. The keeper applies each record once it is committed; on start the book is the checkpoint plus the
 * records after it. From the book a live store is rebuilt. Not thread safe; memory grows with accounts and keys only. */
#ifndef AIGW_BOOK_H
#define AIGW_BOOK_H

#include "record.h"

struct book;

struct book_key {
	struct slice row; /* rows_key, encoded; owned by the book, valid until the next change */
	struct rows_state state; /* budget and totals; rates are not in the ledger */
};

struct book_charge {
	uint64_t account;
	char key_id[APIKEY_ID];
	bool budget; /* budget_id counts */
	int64_t charge_nusd, uncollected_nusd, tokens, used_s, budget_id;
};

MUSTCHECK enum errc book_new(struct book **out);
void book_free(struct book **b);

/* ERRC_CORRUPT when the record contradicts the book (an unknown account, a duplicate, a sum out of range): then nothing
 * changed. */
MUSTCHECK enum errc book_apply(struct book *b, const struct record *r);
/* What counts of a charge, to be kept and applied without its record. */
struct book_charge book_charge_of(const struct record *r);
MUSTCHECK enum errc book_apply_charge(struct book *b, const struct book_charge *c);
/* Puts back what a checkpoint held. */
MUSTCHECK enum errc book_load_account(struct book *b, struct slice row);
MUSTCHECK enum errc book_load_key(struct book *b, struct slice row, struct slice state);

/* NULL when there is none; valid until the next change. In a book held is 0 and balance = granted - settled. */
const struct rows_account *book_account(const struct book *b, uint64_t account);
const struct rows_account *book_account_named(const struct book *b, struct slice name);
const struct book_key *book_key(const struct book *b, const char id[APIKEY_ID]);
uint64_t book_next_account(const struct book *b);
size_t book_accounts_n(const struct book *b);
size_t book_keys_n(const struct book *b);
/* By position, for walks that change nothing meanwhile. */
const struct rows_account *book_account_at(const struct book *b, size_t i);
const struct book_key *book_key_at(const struct book *b, size_t i);

/* Calls `fn` for each account and key that changed since the last book_clean(); one of the two pointers is NULL. Stops at
 * the first error and returns it. */
MUSTCHECK enum errc book_each_changed(struct book *b,
				      enum errc (*fn)(void *arg, const struct rows_account *,
						      const struct book_key *),
				      void *arg);
void book_clean(struct book *b);

#endif
