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
	enum errc not_durable; /* why the ledger did not take a restriction that is in force; the caller clears it */
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
 * below the floor, or a floor above the balance; ERRC_FULL: the live store has no room for another account or scope, or for a larger one. What a change
 * keeps is read when the live store has all that the ledger has of it. */

/* 1..ROWS_NAME_MAX bytes of UTF-8 without spaces and control characters: what no log, answer or metric has to change. */
bool admin_is_name(struct slice s);
/* The same without a slash, for accounts and teams that are made: reports name a team as account/team, and cut there. */
bool admin_is_new_name(struct slice s);

struct admin_account_spec {
	struct slice name; /* unique, admin_is_new_name() */
	enum rows_mode mode;
	int64_t credit_nusd, overdraft_nusd; /* >= 0 */
	struct slice group;                  /* empty: none */
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

/* Mode, overdraft, group and status of `row`, read before with admin_account_get(). ERRC_STATE: the balance is below what
 * they allow. */
MUSTCHECK enum errc admin_account_update(struct admin *a, const struct admin_by *by,
					 const struct rows_account *row, bool *durable);

/* Scopes. Definitions are replaced as a whole: read one with admin_scope_get(), change it, write it back. Usage is kept, by the
 * ids of the rules; rules are added with rows_limits_add() to what was read, so that no id is used again. A change that may
 * restrict (a new or lower limit, patterns, ranges, an end, a status) is done in the live store first. Account, id, hash and
 * created_s of what is there cannot change, nor the name of a team. */

/* `k` holds everything: id and hash as made by apikey_make() and apikey_hash(), name, limits, patterns, ranges. ERRC_NOTFOUND
 * also when it names a team that the account does not have. */
MUSTCHECK enum errc admin_key_create(struct admin *a, const struct admin_by *by,
				     const struct rows_scope *k, bool *durable);
/* Many keys, all or none: in one commit of the ledger. Each row is what rows_put_scope() makes of a new key; ids are filled in. On
 * an error that is about one of them *at is its place, else n. */
struct admin_key_new {
	struct slice row;
	char id[APIKEY_ID];
};
MUSTCHECK enum errc admin_keys_create(struct admin *a, const struct admin_by *by,
				      struct admin_key_new *keys, size_t n, size_t *at,
				      bool *durable);
/* Revoked keys cannot change (ERRC_STATE). */
MUSTCHECK enum errc admin_key_update(struct admin *a, const struct admin_by *by,
				     const struct rows_scope *k, bool *durable);
/* A new secret, whose hash under this pepper this is; the one before stays good until this second (0: no longer). ERRC_STATE: it is revoked. */
MUSTCHECK enum errc admin_key_rotate(struct admin *a, const struct admin_by *by,
				     const char id[APIKEY_ID], const uint8_t hash[DIGEST_SHA256],
				     uint16_t pepper, int64_t old_until_s, bool *durable);
/* `now`: its running requests are to be cancelled; said in the record, which there is then of a revoked key as well. */
MUSTCHECK enum errc admin_key_revoke(struct admin *a, const struct admin_by *by,
				     const char id[APIKEY_ID], bool now, bool *durable);
/* `t` needs no id: it is drawn here and put there. Its name is unique in the account, admin_is_new_name(). */
MUSTCHECK enum errc admin_team_create(struct admin *a, const struct admin_by *by,
				      struct rows_scope *t, bool *durable);
MUSTCHECK enum errc admin_team_update(struct admin *a, const struct admin_by *by,
				      const struct rows_scope *t, bool *durable);
/* Makes or replaces the definition of the end user whose tag is u->name (ROWS_EVERY_USER: of all that have none). The ids of new
 * rules are drawn here and put there: no two definitions of an account's end users ever have one in common, for what a user has
 * used is counted by them. */
MUSTCHECK enum errc admin_user_set(struct admin *a, const struct admin_by *by, struct rows_scope *u,
				   bool *durable);
MUSTCHECK enum errc admin_user_remove(struct admin *a, const struct admin_by *by, uint64_t account,
				      struct slice tag, bool *durable);
/* Makes or replaces what an account may do: limits, patterns, ranges, an end. ERRC_STATE: the balance is below the floor that holds out of
 * shadow. */
MUSTCHECK enum errc admin_rules_set(struct admin *a, const struct admin_by *by,
				    const struct rows_scope *s, bool *durable);

/* What changes no row of the stores but must stand in the chain: RECORD_PEPPER, RECORD_RELOAD. */
/* A reload of that life of a master, unless the ledger has it: they come in the order of their generations. */
MUSTCHECK enum errc admin_note_reload(struct admin *a, const struct admin_by *by, uint64_t life,
				      uint64_t generation);
MUSTCHECK enum errc admin_note(struct admin *a, const struct admin_by *by, enum record_type type,
			       const char *what, int64_t number);

/* Applies to the live store what the ledger has and it has not: at a start, before each change, and after one that came only
 * so far. */
MUSTCHECK enum errc admin_catch_up(struct live *l, struct ledger *ledger);
/* Before what only takes, which is done in the live store first: the same, but what waits may go on waiting when none of it is of
 * this scope, an account with its credit and its rules (`id` is not looked at) or one of its teams, keys or end users. (A key is
 * known by its id alone.) What gives has no use for it: it would wait behind what waits. */
MUSTCHECK enum errc admin_catch_up_of(struct live *l, struct ledger *ledger, uint64_t account,
				      enum rows_kind kind, const char *id);

/* Reads, from the live store, any thread. Slices in the results point into `mem`, which is reset by the call. */
MUSTCHECK enum errc admin_account_find(struct live *l, struct slice name_or_id, uint64_t *account);
MUSTCHECK enum errc admin_account_get(struct live *l, uint64_t account, struct buf *mem,
				      struct rows_account *out);
/* `id` of an account is not looked at. `state` may be NULL; it is aligned with the rules. */
MUSTCHECK enum errc admin_scope_get(struct live *l, uint64_t account, enum rows_kind kind,
				    const char id[ROWS_ID], struct buf *mem, struct rows_scope *out,
				    struct rows_state *state);
MUSTCHECK enum errc admin_key_get(struct live *l, const char id[APIKEY_ID], struct buf *mem,
				  struct rows_scope *out, struct rows_state *state);
MUSTCHECK enum errc admin_team_find(struct live *l, uint64_t account, struct slice name_or_id,
				    char id[ROWS_ID]);
/* Calls `fn` for each account (scope: each team, key or end user of `account`, 0: of all), in order of account and id. */
MUSTCHECK enum errc admin_account_each(struct live *l,
				       enum errc (*fn)(void *arg, const struct rows_account *),
				       void *arg);
MUSTCHECK enum errc admin_scope_each(struct live *l, uint64_t account, enum rows_kind kind,
				     enum errc (*fn)(void *arg, const struct rows_scope *,
						     const struct rows_state *),
				     void *arg);

#endif
