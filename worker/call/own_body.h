/* Bodies of the routes about a key's own account, `{"data":{…}}` as OpenRouter's clients read them. Pure; what is written goes behind what `out`
 * holds. Money is written in dollars, from nano-dollars. */
#ifndef AIGW_OWN_BODY_H
#define AIGW_OWN_BODY_H

#include "own_usage.h"

/* GET /v1/key: the key, its limits and what is left of them. `spent` NULL: not known. */
MUSTCHECK enum errc own_body_key(const struct auth_key *key, const struct auth_usage *u,
				 const struct own_usage_spent *spent, struct buf *out);
/* What the key may spend now: what the tightest of credit and budgets for all models leaves; OWN_BODY_NO_END where there is no such
 * limit. */
#define OWN_BODY_NO_END INT64_MAX
int64_t own_body_left_nusd(const struct auth_usage *u);
/* GET /v1/credits: the account's balance, and the limits. */
MUSTCHECK enum errc own_body_credits(const struct auth_usage *u, struct buf *out);

#endif
