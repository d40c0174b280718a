/* Writing administrative records, and applying them to the live store: for the files of admin and for a keeper's start. */
#ifndef AIGW_ADMIN_PRIV_H
#define AIGW_ADMIN_PRIV_H

#include "admin.h"
#include "live_priv.h"

/* A record of this change, without what it is about. */
struct record admin_change(const struct admin_by *by, enum record_type type, uint64_t account,
			   const char *what);
/* What gives more: ledger first. When the live store cannot follow, admin_catch_up() does it. `grows`: it needs room there, which
 * ERRC_FULL refuses while requests still find some. */
MUSTCHECK enum errc admin_give(struct admin *a, const struct record *records, size_t n, bool grows,
			       bool *durable);
/* What takes: in the live store first, its record in the outbox; then the ledger at once, if it can. `grows`: as above. The caller
 * has seen to it that nothing of the scope waits: applied after this, it would undo it. */
MUSTCHECK enum errc admin_withdraw(struct admin *a, int64_t boot_ms, const struct record *r,
				   bool grows, bool *durable);
/* Of a restriction that is in force: *durable when the ledger has all that was done before, else a->not_durable says why not. */
void admin_make_durable(struct admin *a, bool *durable);

/* Whether a scope may do anything with `to` that it may not with `from`: then the ledger is first, whatever else the change takes away but its
 * suspension. What cannot be told counts as given. */
bool admin_gives(const struct rows_scope *from, const struct rows_scope *to);

/* As admin_catch_up(); then the live store notes that it has everything, so that what waits from here on is all of what comes next. */
MUSTCHECK enum errc admin_catch_up_all(struct live *l, struct ledger *ledger);

/* Does what the record says to the rows: definitions are set, grants are added. Sums and usage that are there are kept. */
MUSTCHECK enum errc admin_apply(struct live *l, MDB_txn *txn, const struct record *r);
/* A new account, with what leads to it. */
MUSTCHECK enum errc admin_put_account(struct live *l, MDB_txn *txn, const struct rows_account *a);

struct admin_filled {
	uint64_t left_out; /* end users without a definition that there was no room for: see userroom_close() */
	uint64_t needs_bytes; /* where there were any, or ERRC_NOSPACE: about the size that the store should have */
};
/* Fills an empty live store with everything of the book that counts, up to `seq`. */
MUSTCHECK enum errc admin_fill(struct live *l, const struct book *b, uint64_t seq, int64_t wall_s,
			       struct admin_filled *out);

#endif
