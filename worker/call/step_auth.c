#include <stdio.h>

#include "call_steps.h"
#include "credential.h"

#define CREDENTIAL_MAX 512 /* of the value of ?key=, decoded */

const char *call_not_from_here(const struct call *c)
{
	return c->addr_unknown ? "may not be used from an address that is unknown: what "
				 "`x-forwarded-for` tells is none"
			       : "may not be used from this address";
}

/* Refused by the key, or by what it belongs to, which the metadata name. */
static void refused_by(struct call *c, enum fault_kind kind, const char *why)
{
	const struct auth_key *k = c->key;
	const char *name = k->refused_by == ROWS_TEAM ? k->team_name : k->account_name;

	if (k->refused_by == ROWS_KEY) {
		fault_set(&c->fault, kind, "The API key `%s` %s.", k->id, why);
		return;
	}
	fault_set(&c->fault, kind, "The %s of API key `%s` %s.", rows_scope_word(k->refused_by),
		  k->id, why);
	snprintf(c->fault.scope, sizeof(c->fault.scope), "%s %s", rows_scope_word(k->refused_by),
		 name);
}

static void auth_fault(struct call *c, enum auth_result r, const struct credential *cr)
{
	int n = (int)cr->id.n;
	const char *id = cr->id.p ? cr->id.p : "";

	switch (r) {
	case AUTH_REVOKED:
		fault_set(&c->fault, FAULT_KEY_INVALID,
			  "The API key `%.*s` (header `%s`) was revoked.", n, id, cr->where);
		break;
	case AUTH_EXPIRED:
		fault_set(&c->fault, FAULT_KEY_INVALID,
			  "The API key `%.*s` (header `%s`) has expired.", n, id, cr->where);
		break;
	case AUTH_SUSPENDED:
		refused_by(c, FAULT_SUSPENDED, "is suspended");
		break;
	case AUTH_OVER:
		refused_by(c, FAULT_SUSPENDED, "has expired");
		break;
	case AUTH_IP:
		refused_by(c, FAULT_IP_DENIED, call_not_from_here(c));
		break;
	default:
		if (n)
			fault_set(&c->fault, FAULT_KEY_INVALID,
				  "The API key `%.*s` in `%s` is not known here.", n, id, cr->where);
		else
			fault_set(&c->fault, FAULT_KEY_INVALID,
				  "What `%s` holds is not an API key of this gateway (they begin "
				  "with `sk-aigw-`).",
				  cr->where);
	}
}

/* With the newest pepper first: there is mostly no other, and keys are made with it. */
static enum errc look_up_one(struct call *c, struct slice text, enum auth_result *result,
			     struct auth_key *key)
{
	const struct peppers *p = c->host->env.peppers;
	int64_t now_s = turn_wall_ms(call_turn(c)) / 1000;
	uint8_t hash[DIGEST_SHA256];
	const uint8_t *addr = c->addr_unknown ? NULL : c->addr;
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < p->n && *result == AUTH_UNKNOWN; i++) {
		apikey_hash(&p->v[i].key, text, hash);
		e = auth_lookup(c->host->env.live, hash, addr, now_s, result, key);
	}
	return e;
}

/* For the life of the call, without the room for patterns that it does not have. */
static enum errc keep_key(struct call *c, const struct auth_key *key)
{
	size_t n = offsetof(struct auth_key, models) + key->models_n;

	c->key = arena_get(&c->arena, n);
	if (!c->key)
		return ERRC_NOMEM;
	memcpy(c->key, key, n);
	return ERRC_OK;
}

/* Tries the credentials in their order; the first value that is a known key counts. */
static enum errc look_up(struct call *c, const struct credential *cr, size_t n,
			 enum auth_result *result, size_t *at)
{
	struct auth_key key;

	memset(&key, 0, offsetof(struct auth_key, models));
	key.models_n = 0;
	*result = AUTH_UNKNOWN;
	for (size_t i = 0; i < n && *result == AUTH_UNKNOWN; i++) {
		enum errc e;

		if (!cr[i].id.n)
			continue;
		*at = i;
		e = look_up_one(c, cr[i].value, result, &key);
		if (e)
			return e;
	}
	return *result != AUTH_UNKNOWN ? keep_key(c, &key) : ERRC_OK;
}

enum call_next step_auth(struct call *c)
{
	struct credential cr[CREDENTIAL_PLACES];
	enum auth_result result = AUTH_UNKNOWN;
	struct buf query;
	size_t n, at = 0;
	enum errc e = ERRC_OK;

	buf_init(&query, CREDENTIAL_MAX);
	n = credential_find(c->head, &c->path, &query, cr);
	if (n == 0)
		fault_set(&c->fault, FAULT_KEY_INVALID,
			  "No API key was given: send it as `authorization: Bearer sk-aigw-...` or "
			  "`x-api-key`.");
	else if ((e = look_up(c, cr, n, &result, &at)))
		fault_errc(&c->fault, e, "key lookup");
	else if (result != AUTH_OK)
		auth_fault(c, result, &cr[at]);
	if (query.p)
		secret_wipe(query.p, query.cap);
	buf_fini(&query);
	if (fault_is_set(&c->fault))
		return call_end(c, e ? RECORD_END_INTERNAL : RECORD_END_REJECTED);
	if (!c->front)
		return CALL_MORE;
	wish_check(&c->wish, &c->fault);
	return fault_is_set(&c->fault) ? call_end(c, RECORD_END_REJECTED) : call_goto(c, CALL_BODY);
}
