/* What the files of admission share: the batch, the scopes of a request and the writing of their rows. */
#ifndef AIGW_ADMIT_PRIV_H
#define AIGW_ADMIT_PRIV_H

#include "admit.h"
#include "idem_priv.h"
#include "live_states.h"
#include "rows_hold.h"

enum admit_gate { ADMIT_GATE_UNKNOWN, ADMIT_GATE_OPEN, ADMIT_GATE_LEDGER, ADMIT_GATE_SPACE };

struct admit_run {
	struct live *l;
	MDB_txn *txn;
	const struct admit_rules *rules;
	enum admit_gate gate; /* looked at once a batch */
	uint64_t outbox_last; /* 0: not read yet */
	int32_t holds,
		pages; /* change of the number of holds, and of the pages that their records need beyond one each */
};

/* A scope of a request: its definition (not at settlement) and its use. */
struct admit_scope {
	enum rows_kind kind;
	char id[ROWS_ID];
	bool counts;       /* it has a state, which is written back */
	bool of_all;       /* an end user: the limits are those for all */
	uint64_t matched;  /* one bit for each rule that is about this request */
	struct slice name; /* for errors */
	/* In the store's room. */
	struct rows_scope *row;
	struct rows_state *state; /* aligned with the rules of `row` */
};
_Static_assert(ROWS_RULES_MAX <= 64, "a bit for each rule");

/* The rows of one operation, read before anything is written. Slices in `row` of a scope point into pages of the store: they
 * are valid until the first write; what is written back stands in here. */
struct admit_rows {
	struct rows_account account;
	char account_name[ROWS_NAME_MAX + 1], group[ROWS_NAME_MAX];
	struct slice several; /* states: of live_get_states(), where they are loaded */
	size_t scopes_n;
	struct admit_scope scopes[ROWS_SCOPES_MAX];
};

/* An admission, and how far it came. */
struct admit_hold_run {
	struct admit_run *b;
	const struct admit_ask *ask;
	struct admit_op *op;
	bool may[LIMIT_CANDIDATES]; /* the candidates whose model every scope allows */
	struct admit_shadow shadow;
	struct admit_rows rows;
};

MUSTCHECK enum errc admit_load_account(struct admit_run *b, uint64_t account, struct admit_rows *r);
/* Fills r->scopes: account, team, key and end user, as far as there are such. ERRC_NOTFOUND: there is no such key. */
MUSTCHECK enum errc admit_load_scopes(struct admit_run *b, const struct admit_ask *ask,
				      struct admit_rows *r);
/* Reads what is used, anew: a zeroed state where there is none. `several`: of live_get_states(). */
MUSTCHECK enum errc admit_load_state(struct admit_run *b, uint64_t account, struct slice several,
				     struct admit_scope *s);
/* Checks the account's sums, then writes account and scopes. */
MUSTCHECK enum errc admit_store(struct admit_run *b, const struct admit_rows *r);
/* The number for the next outbox record. */
MUSTCHECK enum errc admit_next_n(struct admit_run *b, uint64_t *n);

/* Whether ledger and store take requests now: into b->gate. */
MUSTCHECK enum errc admit_look_at_gate(struct admit_run *b, int64_t boot_ms);

/* Sets reason and refusal of the operation. An empty name: none is known. */
struct admit_refusal *admit_refuse(struct admit_hold_run *h, enum admit_reason reason,
				   enum rows_kind scope, struct slice name);
/* The same with the rule in words. */
struct admit_refusal *admit_refuse_rule(struct admit_hold_run *h, enum admit_reason reason,
					const struct admit_scope *s, const struct rows_rule *rule);
/* What the scopes may do at all, and which candidates; then rates and concurrency, taken in the copies. True: go on. */
bool admit_check_access(struct admit_hold_run *h);
bool admit_check_limits(struct admit_hold_run *h);
/* A rule that only counts would have refused, or the credit of an account in shadow. */
void admit_note_shadow(struct admit_hold_run *h, const struct admit_scope *s,
		       const struct rows_rule *r, int64_t limit);
void admit_note_shadow_credit(struct admit_hold_run *h, int64_t limit);
/* Moves the hold into the holds of the account and of every scope, in the copies; says in `row` what was taken. */
MUSTCHECK enum errc admit_take(struct admit_hold_run *h, struct rows_hold *row);
/* The tightest money scope now, and the tightest once everything held has come back. */
struct hold_purse admit_purse(const struct admit_hold_run *h);
/* Of an account in shadow, before the offer is taken: whether its credit would have refused. */
void admit_note_credit(struct admit_hold_run *h, const struct hold_offer *o);
void admit_refuse_money(struct admit_hold_run *h, const struct hold_offer *o);
/* The tightest limit of one kind over all scopes. */
struct admit_remaining admit_tightest(const struct admit_hold_run *h, bool tokens);

/* The operations. On an error nothing was written if *wrote is false: the operation alone failed. */
MUSTCHECK enum errc admit_hold(struct admit_run *b, struct admit_op *op, bool *wrote);
MUSTCHECK enum errc admit_settle(struct admit_run *b, struct admit_op *op, bool *wrote);
MUSTCHECK enum errc admit_release(struct admit_run *b, struct admit_op *op, bool *wrote);
MUSTCHECK enum errc admit_reverse(struct admit_run *b, struct admit_op *op, bool *wrote);

static inline bool admit_matches(const struct admit_scope *s, size_t rule)
{
	return s->matched >> rule & 1;
}

#endif
