/* Administrative writes and reads, in the order that survives a crash at any point (design 3.4). What gives more (create,
 * grant, resume, edits) goes to the ledger first and is then applied to the live store together with admin_seq. What takes
 * (take, suspend, revoke) is done in the live store first, with its record in the outbox, and is acknowledged when the
 * ledger has it. Every function first takes over the outbox, so that the ledger's order is the order of events. Keeper
 * only, ledger thread only. */
#ifndef AIGW_ADMIN_H
#define AIGW_ADMIN_H

#include "store.h"

struct admin {
	struct live *live;
	struct ledger *ledger;
	struct outbox_batch *batch; /* scratch; all three borrowed */
};

/* What the caller knows about this change; borrowed during the call. */
struct admin_by {
	struct slice who; /* unix user */
	struct slice note;
	int64_t wall_ms, boot_ms;
};

/* Every writing function returns ERRC_OK when the change is in force; then *durable (never NULL) says whether the ledger has
 * it: false only for restrictions that the ledger could not take now, they follow from the outbox. On any other code nothing
 * changed, but for one case that *durable tells by being true: the ledger has the change and the live store could not take
 * it; it follows with admin_catch_up(). ERRC_NOTFOUND, ERRC_EXISTS, ERRC_INVAL, ERRC_LIMIT, ERRC_RANGE; ERRC_STATE: take
 * below the floor; ERRC_FULL: the live store has no room for another account or key, or for a larger one. */

/* 1..ROWS_NAME_MAX bytes without spaces and control characters. */
bool admin_is_name(struct slice s);

struct admin_account_spec {
	struct slice name; /* unique, admin_is_name() */
	enum rows_mode mode;
	int64_t credit_nusd, overdraft_nusd; /* >= 0 */
};
MUSTCHECK enum errc admin_account_create(struct admin *a, const struct admin_by *by,
					 const struct admin_account_spec *spec, uint64_t *account,
					 bool *durable);
MUSTCHECK enum errc admin_account_credit(struct admin *a, const struct admin_by *by,
					 uint64_t account, int64_t nusd, bool *durable);
MUSTCHECK enum errc admin_account_take(struct admin *a, const struct admin_by *by, uint64_t account,
				       int64_t nusd, bool *durable);
/* ROWS_ACTIVE or ROWS_SUSPENDED. */
MUSTCHECK enum errc admin_account_set_status(struct admin *a, const struct admin_by *by,
					     uint64_t account, enum rows_status status,
					     bool *durable);

/* `k` holds everything: id and hash as made by apikey_make() and apikey_hash(), name, limits, patterns, ranges. */
MUSTCHECK enum errc admin_key_create(struct admin *a, const struct admin_by *by,
				     const struct rows_key *k, bool *durable);
/* Replaces the definition: read it with admin_key_get(), change it, write it back. Usage is kept. Account, id, hash and
 * created_s cannot change. A change of status to ROWS_SUSPENDED or ROWS_REVOKED, or one that lowers limits, is a
 * restriction; revoked keys cannot change (ERRC_STATE). */
MUSTCHECK enum errc admin_key_update(struct admin *a, const struct admin_by *by,
				     const struct rows_key *k, bool *durable);
MUSTCHECK enum errc admin_key_revoke(struct admin *a, const struct admin_by *by,
				     const char id[APIKEY_ID], bool *durable);

/* Applies to the live store what the ledger has and it has not: at a start, before each change, and after one that came only
 * so far. */
MUSTCHECK enum errc admin_catch_up(struct live *l, struct ledger *ledger);

/* Reads, from the live store, any thread. Slices in the results point into `mem`, which is reset by the call. */
MUSTCHECK enum errc admin_account_find(struct live *l, struct slice name_or_id, uint64_t *account);
MUSTCHECK enum errc admin_account_get(struct live *l, uint64_t account, struct buf *mem,
				      struct rows_account *out);
MUSTCHECK enum errc admin_key_get(struct live *l, const char id[APIKEY_ID], struct buf *mem,
				  struct rows_key *out, struct rows_state *state);
/* Calls `fn` for each account (key: each key of `account`, 0: of all), in order of account and id. */
MUSTCHECK enum errc admin_account_each(struct live *l,
				       enum errc (*fn)(void *arg, const struct rows_account *),
				       void *arg);
MUSTCHECK enum errc admin_key_each(struct live *l, uint64_t account,
				   enum errc (*fn)(void *arg, const struct rows_key *,
						   const struct rows_state *),
				   void *arg);

#endif
