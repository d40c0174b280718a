/* The rows of the live store (and of the ledger's checkpoint, which has the same ones): fixed layout, little-endian, a
 * version byte first, checked against their length before anything is believed. A row's key is
 * `account (8, big-endian) | kind (1) | id`, so that everything of an account lies together; account 0 holds the head
 * rows and account 2^64-1, the tail of the tree, the outbox. Pure: no LMDB here. Slices in decoded rows point into the
 * bytes they came from and are valid as long as those. */
#ifndef AIGW_ROWS_H
#define AIGW_ROWS_H

#include "apikey.h"
#include "caps.h"
#include "genid.h"
#include "ipnet.h"
#include "tariff.h"
#include "window.h"

#define ROWS_NO_LIMIT     INT64_C(-1) /* "none" differs from a limit of 0, which refuses everything */
#define ROWS_NAME_MAX     64          /* bytes of an account's or key's name */
#define ROWS_MODELS_MAX   1024        /* bytes of all model patterns of a key */
#define ROWS_NETS_MAX     32          /* address ranges of a key */
#define ROWS_MAX          16384       /* bytes of any row */
#define ROWS_ACCOUNT_HEAD UINT64_C(0)
#define ROWS_ACCOUNT_TAIL UINT64_MAX

enum rows_kind {
	ROWS_HEAD = 1, /* the order is that of an account's rows */
	ROWS_ACCOUNT,
	ROWS_TEAM, /* not yet */
	ROWS_KEY,
	ROWS_STATE,
	ROWS_HOLD,
	ROWS_TAIL,
	ROWS_OUTBOX
};

enum rows_mode { ROWS_PREPAID, ROWS_POSTPAID, ROWS_MODE_COUNT };
enum rows_status { ROWS_ACTIVE, ROWS_SUSPENDED, ROWS_REVOKED, ROWS_STATUS_COUNT };

enum rows_limit {
#define LIMIT_ROW(id, name, text, counts, len_ms) ROWS_##id,
#include "limits_tbl.h"
#undef LIMIT_ROW
	ROWS_LIMIT_COUNT
};

struct rows_key_name {
	size_t n;
	uint8_t b[48];
};

/* What one scope may use. */
struct rows_limits {
	int64_t rate[ROWS_LIMIT_COUNT];
	int64_t concurrency;
	int64_t budget_nusd;
	struct window_spec budget;
};

/* granted = balance + held + settled, always. `holds` counts the account's hold rows. */
struct rows_account {
	uint64_t id;
	enum rows_mode mode;
	enum rows_status status;
	uint32_t holds;
	int64_t granted_nusd, balance_nusd, held_nusd, settled_nusd, uncollected_nusd;
	int64_t overdraft_nusd; /* >= 0; how far the balance may go below 0 */
	int64_t created_s;
	struct slice name;
};

#define ROWS_KEY_CLAMP (1 << 0) /* lower a cap that the credit does not cover instead of refusing */
/* What becomes of an answer whose client leaves; neither: as the node's setting says. */
#define ROWS_KEY_DRAIN (1 << 1)
#define ROWS_KEY_ABORT (1 << 2)

struct rows_key {
	uint64_t account;
	char id[APIKEY_ID];
	uint8_t hash[DIGEST_SHA256]; /* apikey_hash() */
	enum rows_status status;
	uint8_t flags;                              /* ROWS_KEY_… */
	int64_t created_s, expires_s, keepalive_ms; /* 0: never, off; ROWS_NO_LIMIT: the node's */
	struct rows_limits limits;
	struct slice name;
	struct slice models; /* patterns, one a line, `!` before those that deny; empty: all */
	size_t nets_n;       /* 0: from anywhere */
	struct ipnet nets[ROWS_NETS_MAX];
};

/* What one scope has used: of a key now, of teams and end users later. Its row's id is `kind | id` of the scope. */
struct rows_state {
	struct window_rate rate[ROWS_LIMIT_COUNT];
	struct window_budget budget;
	uint32_t holds;
	uint64_t requests, tokens; /* settled, ever */
	int64_t charged_nusd;      /* settled, ever */
	int64_t used_s;            /* wall second of the last admission */
};

/* One way a held request may be served. Its prices, by the size of the prompt, are `tiers` of the hold's from `price` on. */
struct rows_candidate {
	uint64_t offer;
	uint8_t price, tiers;
	int64_t cap; /* output tokens a choice; 0 where the operation has none */
	struct slice provider, model, upstream;
};

enum {
	ROWS_HOLD_STREAM = 1 << 0,
	ROWS_HOLD_BUDGET = 1 << 1, /* budget_id is a window that the hold is in */
};

struct rows_hold {
	uint64_t account;
	struct genid id;
	char key_id[APIKEY_ID];
	uint32_t instance, slot; /* who holds it; its progress */
	uint8_t front, flags;
	int64_t hold_nusd, budget_id;
	int64_t tokens_estimate, input_bound;
	int64_t admitted_boot_ms, admitted_wall_ms;
	struct slice model_asked;
	size_t candidates_n, prices_n;
	struct rows_candidate candidates[LIMIT_CANDIDATES];
	struct price prices[LIMIT_HOLD_PRICES];
};

struct rows_key_name rows_name(uint64_t account, enum rows_kind kind, struct slice id);
struct rows_key_name rows_name_state(uint64_t account, enum rows_kind scope, struct slice id);
struct rows_key_name rows_name_outbox(uint64_t n);
/* False: no key of ours. */
bool rows_name_parse(struct slice bytes, uint64_t *account, enum rows_kind *kind, struct slice *id);

/* Encoders append to `out`; ERRC_LIMIT when a name or list is too long, ERRC_NOMEM. */
MUSTCHECK enum errc rows_put_account(struct buf *out, const struct rows_account *a);
MUSTCHECK enum errc rows_put_key(struct buf *out, const struct rows_key *k);
MUSTCHECK enum errc rows_put_state(struct buf *out, const struct rows_state *s);
MUSTCHECK enum errc rows_put_hold(struct buf *out, const struct rows_hold *h);
/* ERRC_VERSION, ERRC_CORRUPT (a length, an enum or a count that cannot be). The ids that stand in the row's key
 * (account's id, hold's account) are part of the row too and are compared by the caller. */
MUSTCHECK enum errc rows_get_account(struct slice bytes, struct rows_account *a);
MUSTCHECK enum errc rows_get_key(struct slice bytes, struct rows_key *k);
MUSTCHECK enum errc rows_get_state(struct slice bytes, struct rows_state *s);
MUSTCHECK enum errc rows_get_hold(struct slice bytes, struct rows_hold *h);

const char *rows_limit_name(enum rows_limit l);
void rows_limits_init(struct rows_limits *l); /* no limit at all */
/* True when the sums of the account hold (design 3.5). */
bool rows_account_is_sound(const struct rows_account *a);
/* Whether the patterns admit the model: denied by any `!` pattern that matches, else allowed when some other pattern
 * matches or there is none. */
bool rows_models_allow(struct slice patterns, struct slice model);

#endif
