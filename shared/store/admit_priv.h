/* What the files of admission share: the batch, the scopes of a request and the writing of their rows. */
#ifndef AIGW_ADMIT_PRIV_H
#define AIGW_ADMIT_PRIV_H

#include "admit.h"
#include "live_priv.h"

enum admit_gate { ADMIT_GATE_UNKNOWN, ADMIT_GATE_OPEN, ADMIT_GATE_LEDGER, ADMIT_GATE_SPACE };

struct admit_run {
	struct live *l;
	MDB_txn *txn;
	const struct admit_rules *rules;
	enum admit_gate gate; /* looked at once a batch */
	uint64_t outbox_last; /* 0: not read yet */
	int32_t holds;        /* change of the number of holds */
};

/* A scope with limits of its own and its use: the key; teams and end users are further ones. */
struct admit_scope {
	enum rows_kind kind;
	char id[APIKEY_ID];
	char name[ROWS_NAME_MAX + 1];
	struct rows_limits limits;
	struct rows_state state;
};

#define ADMIT_SCOPES_MAX 1

/* The rows of one operation, read before anything is written; nothing in here points into pages of the store. */
struct admit_rows {
	struct rows_account account;
	char account_name[ROWS_NAME_MAX + 1];
	struct admit_scope scopes[ADMIT_SCOPES_MAX];
	size_t scopes_n;
};

MUSTCHECK enum errc admit_load_account(struct admit_run *b, uint64_t account, struct admit_rows *r);
MUSTCHECK enum errc admit_load_state(struct admit_run *b, uint64_t account, struct admit_scope *s);
/* Checks the account's sums, then writes account and scopes. */
MUSTCHECK enum errc admit_store(struct admit_run *b, const struct admit_rows *r);
/* The number for the next outbox record. */
MUSTCHECK enum errc admit_next_n(struct admit_run *b, uint64_t *n);

/* The operations. On an error nothing was written if *wrote is false: the operation alone failed. */
MUSTCHECK enum errc admit_hold(struct admit_run *b, struct admit_op *op, bool *wrote);
MUSTCHECK enum errc admit_settle(struct admit_run *b, struct admit_op *op, bool *wrote);
MUSTCHECK enum errc admit_release(struct admit_run *b, struct admit_op *op, bool *wrote);
MUSTCHECK enum errc admit_reverse(struct admit_run *b, struct admit_op *op, bool *wrote);

extern const int64_t admit_limit_len_ms[ROWS_LIMIT_COUNT];
extern const bool admit_limit_is_tokens[ROWS_LIMIT_COUNT];

#endif
