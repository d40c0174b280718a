/* The rows of the live store (and of the ledger's checkpoint, which has the same ones): fixed layout or packed numbers, little-endian, a
 * version byte first, checked against their length before anything is believed. A row's key is
 * `account (8, big-endian) | kind (1) | id`, so that what requests of an account write lies together; what its scopes are
 * (rows_name_is_scope()) lies in a tree of its own there. Account 0 holds the head rows and account 2^64-1, the tail of the tree, the
 * outbox. Pure: no LMDB here. Slices in decoded rows point into the bytes they came from and are valid as long as those. */
#ifndef AIGW_ROWS_H
#define AIGW_ROWS_H

#include "apikey.h"
#include "caps.h"
#include "genid.h"
#include "ipnet.h"
#include "price.h"
#include "rows_rule.h"

#define ROWS_ID           APIKEY_ID /* bytes of the id of a scope; an account's is 0 */
#define ROWS_NAME_MAX     64        /* bytes of the name of an account, a group, a team or a key */
#define ROWS_TAG_MAX      128       /* bytes of the tag of an end user */
#define ROWS_COUNTERS_MAX (2 * ROWS_RULES_MAX)
#define ROWS_NETS_MAX     32    /* address ranges of a scope */
#define ROWS_SCOPES_MAX   4     /* of a request */
#define ROWS_MAX          32768 /* bytes of any row */
#define ROWS_ACCOUNT_HEAD UINT64_C(0)
#define ROWS_ACCOUNT_TAIL UINT64_MAX
#define ROWS_ACCOUNT_LAST (UINT64_MAX - 2) /* behind it: the names of the other trees, the tail */
#define ROWS_EVERY_USER   "*" /* the tag of the row for all end users; see rows_user.h */

enum rows_kind {
	ROWS_HEAD = 1, /* the order is that of an account's rows */
	ROWS_ACCOUNT,  /* its sums: struct rows_account */
	ROWS_RULES, /* what the account may do, where there is anything to say: struct rows_scope, like the next */
	ROWS_TEAM,
	ROWS_KEY,
	ROWS_USER,
	ROWS_STATE,
	ROWS_HOLD,
	ROWS_TAIL,
	ROWS_OUTBOX
};

enum rows_mode { ROWS_PREPAID, ROWS_POSTPAID, ROWS_MODE_COUNT };
enum rows_status { ROWS_ACTIVE, ROWS_SUSPENDED, ROWS_REVOKED, ROWS_STATUS_COUNT };

struct rows_key_name {
	size_t n;
	uint8_t b[48];
};

enum {
	ROWS_ACCOUNT_RULES = 1 << 0, /* it has a row of its own rules */
	ROWS_ACCOUNT_USERS = 1 << 1, /* it has, or had, rows for end users */
	ROWS_ACCOUNT_SHADOW = 1 << 2 /* ROWS_SHADOW of its own rules: its credit refuses nothing */
};

/* granted = balance + held + settled, always. `holds` counts the account's hold rows. */
struct rows_account {
	uint64_t id;
	enum rows_mode mode;
	enum rows_status status;
	uint8_t flags; /* ROWS_ACCOUNT_… */
	uint32_t holds;
	/* The highest id of a rule that any of its end users ever had, `*` included: none is used for two of them. */
	uint32_t user_rules;
	int64_t granted_nusd, balance_nusd, held_nusd, settled_nusd, uncollected_nusd;
	int64_t overdraft_nusd; /* >= 0; how far the balance may go below 0, where it has a floor */
	int64_t created_s;
	struct slice name;
	struct slice group; /* whose multiplier its prices get; empty: none */
};

#define ROWS_KEY_CLAMP (1 << 0) /* lower a cap that the credit does not cover instead of refusing */
/* What becomes of an answer whose client leaves; neither: as the node's setting says. */
#define ROWS_KEY_DRAIN (1 << 1)
#define ROWS_KEY_ABORT (1 << 2)
/* Of any scope: its limits, models, addresses and end, an account's credit too, refuse nothing: what they would have is counted and told. */
#define ROWS_SHADOW (1 << 3)

/* What a scope is and may do. An account has one only where there is anything to say; its name and status are those of its
 * other row. */
struct rows_scope {
	enum rows_kind kind; /* ROWS_ACCOUNT, ROWS_TEAM, ROWS_KEY, ROWS_USER */
	uint64_t account;
	char id[ROWS_ID];
	enum rows_status status;      /* REVOKED: keys only */
	int64_t created_s, expires_s; /* 0: never */
	struct slice name;            /* of an end user its tag */
	struct slice models; /* patterns, one a line, `!` before those that deny; empty: all */
	size_t nets_n;       /* 0: from anywhere */
	struct ipnet nets[ROWS_NETS_MAX];
	uint8_t hash[DIGEST_SHA256]; /* apikey_hash(); keys only, like what follows up to keepalive_ms */
	/* The secret before the last rotation is good until this second; 0: it is not, then the hash is 0 too. */
	uint8_t old_hash[DIGEST_SHA256];
	int64_t old_until_s;
	uint16_t pepper, old_pepper; /* ids of the peppers that the two hashes were made with */
	char team[ROWS_ID];          /* 0: none */
	uint8_t flags;               /* ROWS_KEY_… */
	int64_t keepalive_ms;        /* 0: off; ROWS_NO_LIMIT: the node's */
	struct rows_limits limits;   /* at the end: most have few */
};

/* What a scope has used. Its row's id is `kind | id` of the scope, where it is not with others in one (rows_states.h). */
struct rows_state {
	uint32_t holds;
	uint16_t noted; /* bytes of the room for end users without a definition (userroom.h); 0 in the ledger */
	uint64_t requests, tokens; /* settled, ever */
	int64_t charged_nusd;      /* settled, ever */
	int64_t used_s;            /* wall second of the last admission */
	size_t n;
	struct rows_counter counters[ROWS_COUNTERS_MAX]; /* see rows_state_align(); at the end */
};

struct rows_key_name rows_name(uint64_t account, enum rows_kind kind, struct slice id);
struct rows_key_name rows_name_scope(uint64_t account, enum rows_kind scope, const char id[ROWS_ID]);
struct rows_key_name rows_name_state(uint64_t account, enum rows_kind scope, const char id[ROWS_ID]);
struct rows_key_name rows_name_outbox(uint64_t n);
bool rows_name_is_scope(const struct rows_key_name *name); /* of a definition: struct rows_scope */
/* False: no key of ours. */
bool rows_name_parse(struct slice bytes, uint64_t *account, enum rows_kind *kind, struct slice *id);
/* The id of an end user. */
void rows_user_id(struct slice tag, char id[ROWS_ID]);
/* Encoders append to `out`; ERRC_LIMIT when a name or list is too long, ERRC_NOMEM. */
MUSTCHECK enum errc rows_put_account(struct buf *out, const struct rows_account *a);
MUSTCHECK enum errc rows_put_scope(struct buf *out, const struct rows_scope *s);
MUSTCHECK enum errc rows_put_state(struct buf *out, const struct rows_state *s);
/* ERRC_VERSION, ERRC_CORRUPT (a length, an enum or a count that cannot be). The ids that stand in the row's key
 * (an account's id, a scope's account) are part of the row too and are compared by the caller. */
MUSTCHECK enum errc rows_get_account(struct slice bytes, struct rows_account *a);
MUSTCHECK enum errc rows_get_scope(struct slice bytes, struct rows_scope *s);
MUSTCHECK enum errc rows_get_state(struct slice bytes, struct rows_state *s);

/* "account", "team", "key", "user"; "" for what is no scope. */
const char *rows_scope_word(enum rows_kind kind);
void rows_state_init(struct rows_state *s); /* nothing is used; its counters are not touched */
/* NULL: the rule has none yet. */
const struct rows_counter *rows_state_counter(const struct rows_state *s, const struct rows_rule *r);
/* Makes the first l->n counters those of the rules, in their order; new ones begin at nothing, and those of removed rules are dropped. An
 * end user is sometimes held by rules of its own and sometimes by those for all (`of_all`): while it has its own, the counters of the others
 * are kept behind them, so that what is used of them is there when they hold again, and holds that run are given back to what they were
 * taken from. */
void rows_state_align(struct rows_state *s, const struct rows_limits *l, bool of_all);
/* What the row of an account tells of a definition of it or of one of its end users, which comes into force. */
void rows_account_note(struct rows_account *a, const struct rows_scope *def);
/* True when the sums of the account hold (design 3.5). */
bool rows_account_is_sound(const struct rows_account *a);
/* Whether the patterns admit the model: denied by any `!` pattern that matches, else allowed when some other matches or there is none. */
bool rows_models_allow(struct slice patterns, struct slice model);
/* The same for several lists of patterns, each ended by a byte 0: all of them must admit it. */
bool rows_lists_allow(struct slice lists, struct slice model);

#endif
