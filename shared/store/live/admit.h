/* Admission and settlement: up to LIMIT_TXN_OPS operations in one write transaction of the live store, each with its own
 * result. An operation that is refused or fails leaves no trace; the others commit. When admit_batch() returns ERRC_OK
 * everything that was granted is committed; on any other code nothing of the batch happened and it may be tried again. */
#ifndef AIGW_ADMIT_H
#define AIGW_ADMIT_H

#include "hold.h"
#include "live.h"
#include "record.h"

enum admit_kind {
	ADMIT_HOLD,   /* `ask` -> `grant` or `refusal` */
	ADMIT_SETTLE, /* `settle` -> `done`: turns the hold into the charge and appends the record */
	ADMIT_RELEASE, /* `settle.account`, `settle.id`: gives everything back; no record. For what never went upstream */
	ADMIT_REVERSE, /* `settle.account`, `settle.id`, `outbox_n`: takes back a charge that is not durable yet */
};

enum admit_reason {
#define ADMIT_REASON(id, sentence) ADMIT_##id,
#include "admit_tbl.h"
#undef ADMIT_REASON
	ADMIT_REASON_COUNT
};

struct admit_rules { /* from the settings */
	int64_t ledger_lag_max_ms;
};

struct admit_ask {
	uint64_t account;
	char key_id[APIKEY_ID];
	struct genid id;
	int64_t boot_ms, wall_ms;
	uint8_t addr[16];
	bool addr_unknown; /* it is in no range */
	struct slice group; /* of the account, whose multiplier the candidates' prices have; empty: none */
	struct slice model; /* as asked, resolved to the alias that limits and patterns are about */
	struct slice user;  /* tag of the end user, at most ROWS_TAG_MAX bytes; empty: none */
	struct hold_ask hold;
	int64_t tokens_estimate; /* for token limits */
	uint32_t slot;           /* of progress */
	struct slice idem; /* idem_tag() of the client's idempotency key; empty: it gave none */
	uint8_t front;
	bool stream;
};

/* The tightest of all scopes of the key after this request; `limit` ROWS_NO_LIMIT: there is none. */
struct admit_remaining {
	int64_t limit, remaining, reset_ms;
};

/* What the rules of one scope that only count, or all of it, would have refused. */
struct admit_shadow_scope {
	enum rows_kind scope;
	size_t n; /* of them; the first is told: */
	/* Static: a rule; "models", "addresses", "end", of an account "credit", of a scope that refuses nothing. */
	const char *what;
	int64_t limit; /* of a rule or the credit, nano-dollars when `money`; else ROWS_NO_LIMIT */
	bool money;
};

struct admit_shadow {
	size_t n; /* scopes; what is behind them is not set */
	struct admit_shadow_scope v[ROWS_SCOPES_MAX];
};

struct admit_grant {
	struct hold_offer hold; /* caps and kept candidates, in the order of the ask */
	/* Index in the hold row (what settle and progress name) of each candidate of the ask; -1: not kept. */
	int8_t index[LIMIT_CANDIDATES];
	struct admit_remaining requests, tokens;
	struct admit_shadow shadow;
};

#define ADMIT_MODELS_MAX 64

struct admit_refusal {
	enum rows_kind scope; /* ROWS_ACCOUNT, ROWS_TEAM, ROWS_KEY or ROWS_USER */
	char scope_name[ROWS_TAG_MAX + 1];
	const char *what; /* "requests a minute", "requests at once", "budget per month", "credit"; static */
	char models[ADMIT_MODELS_MAX]; /* patterns of the rule, "gpt-*, o1", cut; empty: all */
	int64_t limit, remaining;      /* nano-dollars when `money` */
	bool money;
	int64_t wait_ms;       /* until it may succeed; WINDOW_NEVER; 0 where time does not help */
	int64_t reset_wall_ms; /* 0: no reset */
	int64_t affordable_tokens; /* CREDIT, BUDGET; -1 elsewhere */
	struct genid other;        /* IDEM_…: the request that has the idempotency key */
	/* As they stand without this request; `limit` ROWS_NO_LIMIT also where the rows were not looked at. */
	struct admit_remaining requests, tokens;
};

struct admit_settle {
	uint64_t account;
	struct genid id;
	int candidate; /* index in the hold row of the one that answered; -1: none, nothing is charged */
	bool charged;       /* hold_is_charged() */
	struct usage usage; /* charged at the price in the hold row */
	int64_t boot_ms, wall_ms;
	enum record_end end;
	uint16_t status;
	int64_t first_byte_ms, total_ms; /* since admission; -1: never */
	int64_t cost_nusd;               /* what we pay, lost attempts included */
	bool cost_held; /* beside it, what the usage comes to at the cost in the hold row: nobody else knows it (orphans); attempts are those in its progress */
	struct slice upstream_id;
	struct slice raw_usage; /* for the record, which leaves it out when it is too long; borrowed during the call, like the rest */
	struct slice finish, native_finish; /* for the record; likewise */
	const struct record_attempt *attempts;
	size_t attempts_n;
	bool capped; /* never charge more than the hold (orphans) */
};

struct admit_done {
	bool settled; /* false: there was no such hold (settled before); nothing changed */
	int64_t charge_nusd, uncollected_nusd;
	int64_t tokens;
	uint64_t outbox_n; /* of its record: durable once (epoch, n) is */
	int64_t balance_nusd;
	/* REVERSE: false in `settled` means that the charge is in the ledger already (or was reversed): it stands. */
};

struct admit_op {
	enum admit_kind kind;
	union {
		struct admit_ask ask;
		struct {
			struct admit_settle settle;
			uint64_t outbox_n; /* REVERSE */
		};
	};
	/* Results. `rc` is ERRC_OK when the others count; else this operation alone failed and did nothing. */
	enum errc rc;
	enum admit_reason reason; /* HOLD: ADMIT_NONE when granted */
	union {
		struct admit_grant grant;
		struct admit_refusal refusal;
		struct admit_done done;
	};
};

/* 1 <= n <= LIMIT_TXN_OPS. Only after live_join(). ERRC_NOSPACE: there is no room even for settlements (try again). */
MUSTCHECK enum errc admit_batch(struct live *l, const struct admit_rules *rules,
				struct admit_op *const *ops, size_t n);

const char *admit_reason_text(enum admit_reason r);

/* Whether a request could be admitted now as far as ledger and store are concerned: what ADMIT_LEDGER and ADMIT_SPACE refuse. */
bool admit_is_open(struct live *l, const struct admit_rules *rules, int64_t boot_ms);

#endif
