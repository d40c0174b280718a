/* Looks up an API key in one short read transaction: everything that a worker needs before it reads the body. Workers keep
 * no key or account state: admission reads the rows again. */
#ifndef AIGW_AUTH_H
#define AIGW_AUTH_H

#include "live.h"
#include "rows.h"

enum auth_result { AUTH_OK, AUTH_UNKNOWN, AUTH_REVOKED, AUTH_EXPIRED, AUTH_SUSPENDED, AUTH_IP };

struct auth_key {
	uint64_t account;
	char id[APIKEY_ID + 1];
	char name[ROWS_NAME_MAX + 1], account_name[ROWS_NAME_MAX + 1];
	uint8_t flags; /* ROWS_KEY_… */
	int64_t created_s, expires_s, keepalive_ms;
	size_t models_n;
	char models[ROWS_MODELS_MAX]; /* patterns, see rows_models_allow() */
};

/* `hash` is apikey_hash() of the whole credential, `addr` the client's address. *out is filled for every result but
 * AUTH_UNKNOWN. ERRC_IO and the like: the store could not be read (500, never 401). */
MUSTCHECK enum errc auth_lookup(struct live *l, const uint8_t hash[DIGEST_SHA256],
				const uint8_t addr[16], int64_t wall_s, enum auth_result *result,
				struct auth_key *out);

/* For GET /v1/key and /v1/credits: the limits and what is used of them now. */
struct auth_usage {
	struct rows_limits limits;
	int64_t used[ROWS_LIMIT_COUNT]; /* in the sliding windows */
	uint32_t holds;
	int64_t charged_nusd; /* by this key, ever */
	uint64_t requests, tokens;
	int64_t budget_used_nusd, budget_held_nusd, budget_left_nusd, budget_reset_s;
	int64_t granted_nusd, balance_nusd, held_nusd, settled_nusd,
		overdraft_nusd; /* the account's */
	enum rows_mode mode;
};
MUSTCHECK enum errc auth_usage(struct live *l, uint64_t account, const char key_id[APIKEY_ID],
			       int64_t boot_ms, int64_t wall_s, struct auth_usage *out);

#endif
