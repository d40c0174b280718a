/* What the ledger's records add up to: every account with its sums and every team, key and end user with its
 * definition, budget windows and totals, in memory. The keeper applies each record once it is committed; on start the book is the checkpoint plus the
 * records after it. From the book a live store is rebuilt. Not thread safe; memory grows with accounts and scopes only. */
#ifndef AIGW_BOOK_H
#define AIGW_BOOK_H

#include <stddef.h>

#include "record.h"

struct book;

/* A team, a key, an end user, or what an account may do. */
struct book_scope {
	enum rows_kind kind; /* as in rows_scope */
	uint64_t account;
	char id[ROWS_ID];
	/* Owned by the book like the counters, valid until the next change. Empty: an end user that has none of its own, only
	 * the rules for all. */
	struct slice row; /* rows_scope, encoded */
	uint64_t requests, tokens;
	int64_t charged_nusd, used_s;
	size_t counters_n; /* of budgets only: rates are not in the ledger */
	struct rows_counter *counters;
	int64_t untold_nusd; /* see book_note_untold(); 0: not known */
};

/* What counts of a charge, to be kept and applied without its record. */
struct book_charge {
	uint64_t account;
	char key_id[APIKEY_ID], team[ROWS_ID], user[ROWS_ID]; /* 0: none */
	uint64_t key_hash, user_hash;                         /* in the book that it is for */
	int64_t charge_nusd, uncollected_nusd, tokens, used_s;
	struct record_budgets budgets; /* at the end: only those that there are need be kept */
};
#define BOOK_CHARGE_BYTES(c) \
	(offsetof(struct book_charge, budgets.v) + (c)->budgets.n * sizeof *(c)->budgets.v)

MUSTCHECK enum errc book_new(struct book **out);
void book_free(struct book **b);

/* ERRC_CORRUPT when the record contradicts the book (an unknown account, a duplicate, a sum out of range): then nothing
 * changed. */
MUSTCHECK enum errc book_apply(struct book *b, const struct record *r);
/* For that book alone. */
void book_charge_of(const struct book *b, const struct record *r, struct book_charge *out);
MUSTCHECK enum errc book_apply_charge(struct book *b, const struct book_charge *c);
/* A charge is applied soon, after some others: asks for the memory that this will take, which of many accounts lies anywhere. In
 * BOOK_STEPS steps, from 0 on, with some time between them. */
#define BOOK_STEPS 5
void book_expect(const struct book *b, const struct book_charge *c, unsigned step);
/* Puts back what a checkpoint held; book_load_state() for an end user without a row. */
MUSTCHECK enum errc book_load_account(struct book *b, struct slice row);
MUSTCHECK enum errc book_load_scope(struct book *b, struct slice row, struct slice state);
MUSTCHECK enum errc book_load_state(struct book *b, uint64_t account, const char user[ROWS_ID],
				    struct slice state);

/* NULL when there is none; valid until the next change. In a book held is 0 and balance = granted - settled. */
const struct rows_account *book_account(const struct book *b, uint64_t account);
const struct rows_account *book_account_named(const struct book *b, struct slice name);
/* A key is found by its id alone: `account` does not count. */
const struct book_scope *book_scope(const struct book *b, enum rows_kind kind, uint64_t account,
				    const char id[ROWS_ID]);
uint64_t book_next_account(const struct book *b);
size_t book_accounts_n(const struct book *b);
size_t book_scopes_n(const struct book *b);
/* By position, for walks that change nothing meanwhile. */
const struct rows_account *book_account_at(const struct book *b, size_t i);
const struct book_scope *book_scope_at(const struct book *b, size_t i);
/* For alerts.h: none has been told of the scope yet, which has a definition, and its least budget is `nusd`. Holds until the definition
 * changes. */
void book_note_untold(struct book *b, const struct book_scope *s, int64_t nusd);
/* Its state as a row: totals and budgets, nothing held. */
void book_state(const struct book_scope *s, struct rows_state *out);
/* For the live store, which makes room for a new rule without knowing those for all end users: where it holds many counters, without those of
 * rules that are gone. */
void book_state_now(const struct book *b, const struct book_scope *s, struct rows_state *out);

/* Calls `fn` for each account and scope that changed since the last book_clean(); one of the two pointers is NULL. `row`: so did the
 * scope's definition, which most changes leave as it is. Stops at the first error and returns it. */
MUSTCHECK enum errc book_each_changed(struct book *b,
				      enum errc (*fn)(void *arg, const struct rows_account *,
						      const struct book_scope *, bool row),
				      void *arg);
/* After book_each_changed(), in the same transaction: chooses the end users without a row of their own of whom nothing counts any
 * more (idle.h) once there are enough of them, and calls `fn` for each. book_clean() forgets them. */
MUSTCHECK enum errc book_each_idle(struct book *b, int64_t wall_s,
				   enum errc (*fn)(void *arg, const struct book_scope *), void *arg);
/* What has changed is written, and who is idle is gone. */
void book_clean(struct book *b);

#endif
