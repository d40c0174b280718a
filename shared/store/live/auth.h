/* Looks up an API key in one short read transaction: everything that a worker needs before it reads the body. Workers keep
 * no key or account state: admission reads the rows again. */
#ifndef AIGW_AUTH_H
#define AIGW_AUTH_H

#include "live.h"
#include "rows.h"
#include "zones.h"

/* AUTH_EXPIRED is the key, AUTH_OVER its account or team. */
enum auth_result {
	AUTH_OK,
	AUTH_UNKNOWN,
	AUTH_REVOKED,
	AUTH_EXPIRED,
	AUTH_SUSPENDED,
	AUTH_OVER,
	AUTH_IP
};

#define AUTH_MODELS_MAX (3 * (ROWS_MODELS_MAX + 1))

struct auth_key {
	uint64_t account;
	char id[APIKEY_ID + 1], team[ROWS_ID + 1]; /* team: empty without one */
	char name[ROWS_NAME_MAX + 1], account_name[ROWS_NAME_MAX + 1], team_name[ROWS_NAME_MAX + 1];
	char group[ROWS_NAME_MAX + 1]; /* of the account; empty: none */
	enum rows_kind refused_by; /* the scope that the result is about, where it is not AUTH_OK */
	uint8_t flags;             /* ROWS_KEY_… */
	int64_t created_s, expires_s, keepalive_ms;
	size_t models_n;
	char models[AUTH_MODELS_MAX]; /* patterns of account, team and key, see rows_lists_allow() */
};

/* `hash` is apikey_hash() of the whole credential, `addr` the client's address; NULL: unknown, in no range. *out is filled for every result but
 * AUTH_UNKNOWN. ERRC_IO and the like: the store could not be read (500, never 401). */
MUSTCHECK enum errc auth_lookup(struct live *l, const uint8_t hash[DIGEST_SHA256],
				const uint8_t *addr, int64_t wall_s, enum auth_result *result,
				struct auth_key *out);

/* One rule of one scope of a key, as it stands. */
#define AUTH_RULE_MODELS 64
struct auth_rule {
	enum rows_kind scope;
	enum rows_limit kind;
	bool shadow, credit;
	uint32_t id;
	const char *text; /* in words; static */
	struct window_spec window;
	char zone[ZONES_NAME_MAX + 1]; /* of a budget that follows its calendar; empty: UTC */
	char models[AUTH_RULE_MODELS]; /* its patterns, "gpt-*, o1", cut; empty: all */
	struct rows_rule_now now;
};

/* For GET /v1/key and /v1/credits: the rules of account, team, key and (with a tag) end user, and what is used of them. */
struct auth_usage {
	uint32_t holds;
	int64_t charged_nusd; /* by this key, ever */
	uint64_t requests, tokens;
	int64_t granted_nusd, balance_nusd, held_nusd, settled_nusd,
		overdraft_nusd; /* the account's */
	enum rows_mode mode;
	bool in_shadow; /* the account: its credit refuses nothing */
	size_t rules_n;
	struct auth_rule rules[ROWS_SCOPES_MAX *
			       ROWS_RULES_MAX]; /* at the end: those behind the last are not touched */
};
MUSTCHECK enum errc auth_usage(struct live *l, uint64_t account, const char key_id[APIKEY_ID],
			       struct slice user, int64_t boot_ms, int64_t wall_ms,
			       struct auth_usage *out);
/* Of the rules of a kind that refuse and are for all models the one that leaves least; NULL: there is none. */
const struct auth_rule *auth_usage_find(const struct auth_usage *u, enum rows_kind scope,
					enum rows_limit kind);

#endif
