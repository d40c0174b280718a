#include "auth.h"

#include "live_priv.h"
#include "secret.h"

static void copy_name(char out[ROWS_NAME_MAX + 1], struct slice name)
{
	memcpy(out, name.p, name.n);
	out[name.n] = '\0';
}

static enum auth_result judge(const struct rows_key *k, const struct rows_account *a,
			      const uint8_t addr[16], int64_t wall_s)
{
	if (k->status == ROWS_REVOKED)
		return AUTH_REVOKED;
	if (k->expires_s != 0 && wall_s >= k->expires_s)
		return AUTH_EXPIRED;
	if (k->status == ROWS_SUSPENDED || a->status != ROWS_ACTIVE)
		return AUTH_SUSPENDED;
	if (k->nets_n > 0 && !ipnet_any_has(k->nets, k->nets_n, addr))
		return AUTH_IP;
	return AUTH_OK;
}

static enum errc look_up(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256],
			 struct rows_key *k, struct rows_account *a)
{
	char id[APIKEY_ID];
	uint64_t account;
	enum errc rc = live_find_hash(l, txn, hash, &account, id);

	if (!rc)
		rc = live_get_key(l, txn, account, id, k);
	/* The index may lead to a key whose secret was changed since: only the row counts. */
	if (!rc && !secret_eq(slice_of(k->hash, DIGEST_SHA256), slice_of(hash, DIGEST_SHA256)))
		return ERRC_NOTFOUND;
	return rc ? rc : live_get_account(l, txn, account, a);
}

static void fill(const struct rows_key *k, const struct rows_account *a, struct auth_key *out)
{
	out->account = k->account;
	memcpy(out->id, k->id, APIKEY_ID);
	out->id[APIKEY_ID] = '\0';
	copy_name(out->name, k->name);
	copy_name(out->account_name, a->name);
	out->flags = k->flags;
	out->created_s = k->created_s;
	out->expires_s = k->expires_s;
	out->keepalive_ms = k->keepalive_ms;
	out->models_n = k->models.n;
	memcpy(out->models, k->models.p, k->models.n);
}

enum errc auth_lookup(struct live *l, const uint8_t hash[DIGEST_SHA256], const uint8_t addr[16],
		      int64_t wall_s, enum auth_result *result, struct auth_key *out)
{
	struct rows_account a;
	struct rows_key k;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = look_up(l, txn, hash, &k, &a);
	if (rc == ERRC_NOTFOUND) {
		*result = AUTH_UNKNOWN;
		rc = ERRC_OK;
	} else if (!rc) {
		*result = judge(&k, &a, addr, wall_s);
		fill(&k, &a, out);
	}
	live_read_end(l);
	return rc;
}

static void fill_usage(const struct rows_key *k, const struct rows_state *s, int64_t boot_ms,
		       int64_t wall_s, struct auth_usage *out)
{
	static const int64_t len_ms[ROWS_LIMIT_COUNT] = {
#define LIMIT_ROW(id, name, text, counts, len) len,
#include "limits_tbl.h"
#undef LIMIT_ROW
	};
	const struct rows_limits *l = &k->limits;

	for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++)
		out->used[i] = window_rate_used(&s->rate[i], len_ms[i], boot_ms);
	out->limits = *l;
	out->holds = s->holds;
	out->charged_nusd = s->charged_nusd;
	out->requests = s->requests;
	out->tokens = s->tokens;
	if (l->budget_nusd == ROWS_NO_LIMIT)
		return;
	out->budget_reset_s = window_budget_reset_s(&s->budget, l->budget, wall_s);
	out->budget_left_nusd = window_budget_left(&s->budget, l->budget, wall_s, l->budget_nusd);
	if (out->budget_left_nusd !=
	    l->budget_nusd - s->budget.cur.used_nusd - s->budget.cur.held_nusd)
		return; /* the last window has ended: nothing is used in the next */
	out->budget_held_nusd = s->budget.cur.held_nusd;
	out->budget_used_nusd = s->budget.cur.used_nusd;
}

enum errc auth_usage(struct live *l, uint64_t account, const char key_id[APIKEY_ID],
		     int64_t boot_ms, int64_t wall_s, struct auth_usage *out)
{
	struct rows_account a;
	struct rows_key k;
	struct rows_state s;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_get_account(l, txn, account, &a);
	if (!rc)
		rc = live_get_key(l, txn, account, key_id, &k);
	if (!rc)
		rc = live_get_state(l, txn, account, ROWS_KEY, slice_of(key_id, APIKEY_ID), &s);
	if (!rc) {
		*out = (struct auth_usage){.granted_nusd = a.granted_nusd,
					   .balance_nusd = a.balance_nusd,
					   .held_nusd = a.held_nusd,
					   .settled_nusd = a.settled_nusd,
					   .overdraft_nusd = a.overdraft_nusd,
					   .mode = a.mode};
		fill_usage(&k, &s, boot_ms, wall_s, out);
	}
	live_read_end(l);
	return rc;
}
