/* The records of the ledger: one for each settled request and each administrative change. A record is a msgpack array
 * [version, type, fields…]; the same bytes stand in the outbox and in the ledger, where the hash chain runs over them.
 * Fields are only ever added at the end of a type. Content-free: names, numbers and times. Pure. */
#ifndef AIGW_RECORD_H
#define AIGW_RECORD_H

#include "buf.h"
#include "rows.h"

#define RECORD_VERSION         4
#define RECORD_MAX             65536 /* bytes: above the largest row in one */
#define RECORD_RAW_MAX         1024  /* bytes of raw_usage */
#define RECORD_FINISH_MAX      32    /* bytes of native_finish */
#define RECORD_UPSTREAM_ID_MAX 64    /* bytes of upstream_id */
#define RECORD_BYTES_MAX       64    /* of a field that exports show as hexadecimal */
#define RECORD_BUDGETS_MAX     (ROWS_SCOPES_MAX * ROWS_RULES_MAX)

enum record_type {
#define RECORD_TYPE(id, name, text) RECORD_##id,
#include "record_type_tbl.h"
#undef RECORD_TYPE
	RECORD_TYPE_COUNT
};

enum record_end {
#define RECORD_END(id, name, text) RECORD_END_##id,
#include "record_end_tbl.h"
#undef RECORD_END
	RECORD_END_COUNT
};

struct record_attempt {
	struct slice provider, upstream;
	uint16_t status;    /* of the provider's answer; 0: none */
	int64_t start_ms;   /* since admission */
	int64_t ms;         /* from its start to its end; -1: it ran when its process died */
	int64_t cost_nusd;  /* what it cost us: our loss where another candidate answered */
	struct slice error; /* short code; empty for success */
};

enum {
	RECORD_STREAM = 1 << 0,
	RECORD_ESTIMATED = 1 << 1,
	RECORD_FREE = 1 << 2,
	RECORD_CHARGED = 1 << 4,
	RECORD_CAPPED = 1 << 5 /* at the hold, which is less than what it comes to */
};

/* A budget that a charge counts in: which rule of which scope, in which of its windows. */
struct record_budget {
	enum rows_kind scope; /* ROWS_ACCOUNT, ROWS_TEAM, ROWS_KEY, ROWS_USER */
	uint32_t rule;
	int64_t window;
};

struct record_budgets {
	size_t n;
	struct record_budget v[RECORD_BUDGETS_MAX]; /* at the end: most charges count in few */
};

static inline void record_budgets_copy(struct record_budgets *to, const struct record_budgets *from)
{
	to->n = from->n;
	if (from->n)
		memcpy(to->v, from->v, from->n * sizeof *from->v);
}

/* A settled request. Slices are borrowed: by an encoder during the call, from a decoder as long as the bytes. */
struct record_charge {
	char key_id[APIKEY_ID];
	struct genid id;
	uint8_t front; /* a row of front_tbl.h */
	uint8_t flags;
	uint16_t status; /* that the client saw; 0: none */
	enum record_end end;
	int64_t admitted_ms, first_byte_ms,
		total_ms; /* wall time; since then; since then (-1: never) */
	struct slice model_asked, model, provider, upstream, upstream_id;
	uint8_t price_hash[DIGEST_SHA256];
	struct usage usage;
	int64_t hold_nusd, charge_nusd, uncollected_nusd, cost_nusd;
	size_t attempts_n;
	struct record_attempt attempts[LIMIT_ATTEMPTS];
	struct slice team, user; /* id of the key's team (empty: none); tag of the end user */
	struct slice group;      /* of the account, which its prices were multiplied for */
	struct slice raw_usage; /* the provider's usage object or a list of them, JSON text: what fits of it */
	struct slice idem; /* of the idempotency key: IDEM_TAG bytes; empty: there was none */
	struct slice finish,
		native_finish; /* why the answer ended: in OpenAI's word, in the provider's */
	struct record_budgets budgets;
};

/* An administrative change, a reversal or a gap; which members count depends on the type. */
struct record_change {
	struct slice who, what, note; /* unix user; "create", "update", "suspend", …; free text */
	int64_t amount_nusd;          /* GRANT, TAKE, REVERSE; GAP: holds at risk */
	struct slice row; /* ACCOUNT: rows_account; RULES, TEAM, KEY, USER: rows_scope; as encoded rows; RETAIN: hash over the seals (seal.h) */
	char key_id[APIKEY_ID];  /* REVERSE */
	struct genid id;         /* REVERSE: of the charge */
	struct slice team, user; /* REVERSE: as in the charge, like budgets */
	uint64_t epoch; /* GAP: the one that begins; RELOAD: number of the master's life, in which generations count from 1 */
	struct slice idem;        /* REVERSE: as in the charge */
	int64_t uncollected_nusd; /* REVERSE: as in the charge */
	int64_t number; /* PEPPER: its id; RELOAD: the generation; RETAIN: the last record that is gone */
	struct record_budgets budgets;
};

struct record {
	enum record_type type;
	uint64_t account; /* 0: none (GAP) */
	int64_t wall_ms;  /* when it was written */
	union {
		struct record_charge charge;
		struct record_change change;
	};
};

/* Appends. ERRC_LIMIT when it would be larger than RECORD_MAX. */
MUSTCHECK enum errc record_encode(struct buf *out, const struct record *r);
/* ERRC_VERSION, ERRC_CORRUPT. */
MUSTCHECK enum errc record_decode(struct slice bytes, struct record *r);
/* The same, but of a charge only what usage reports count or tell apart: other members than those that record_charge_tbl.h
 * says so of stay as they were. */
MUSTCHECK enum errc record_decode_used(struct slice bytes, struct record *r);
/* The type alone, for searches that pass over many records. */
MUSTCHECK enum errc record_peek(struct slice bytes, enum record_type *type);
/* Appends one JSON object with all fields by name, for people and for `ledger export`. */
MUSTCHECK enum errc record_json(struct buf *out, uint64_t seq, const struct record *r);

const char *record_end_name(enum record_end e);

#endif
