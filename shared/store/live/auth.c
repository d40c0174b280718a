#include "auth.h"

#include "live_states.h"
#include "rows_user.h"
#include "secret.h"

static const char none[ROWS_ID];

/* What a key belongs to, among the store's copies. NULL: there is no such row. */
struct parties {
	struct rows_account account;
	const struct rows_scope *rules, *team, *key;
};

static void copy_name(char *out, struct slice name)
{
	if (name.n)
		memcpy(out, name.p, name.n);
	out[name.n] = '\0';
}

static bool is_shadow(const struct rows_scope *s)
{
	return s->flags & ROWS_SHADOW;
}

static bool is_over(const struct rows_scope *s, int64_t wall_s)
{
	return !is_shadow(s) && s->expires_s != 0 && wall_s >= s->expires_s;
}

static enum auth_result judge_scope(const struct rows_scope *s, const uint8_t *addr, int64_t wall_s)
{
	if (!s)
		return AUTH_OK;
	if (s->status != ROWS_ACTIVE)
		return AUTH_SUSPENDED;
	if (is_over(s, wall_s))
		return AUTH_OVER;
	if (s->nets_n == 0 || is_shadow(s) || (addr && ipnet_any_has(s->nets, s->nets_n, addr)))
		return AUTH_OK;
	return AUTH_IP;
}

/* The key itself, then account, team and key as they stand. */
static enum auth_result judge(const struct parties *p, const uint8_t *addr, int64_t wall_s,
			      enum rows_kind *by)
{
	const struct rows_scope *all[] = {p->rules, p->team, p->key};
	enum auth_result r = AUTH_OK;

	*by = ROWS_KEY;
	if (p->key->status == ROWS_REVOKED)
		return AUTH_REVOKED;
	if (is_over(p->key, wall_s))
		return AUTH_EXPIRED;
	*by = ROWS_ACCOUNT;
	if (p->account.status != ROWS_ACTIVE)
		return AUTH_SUSPENDED;
	for (size_t i = 0; i < ARRAY_LEN(all) && r == AUTH_OK; i++) {
		r = judge_scope(all[i], addr, wall_s);
		if (all[i])
			*by = all[i]->kind;
	}
	return r;
}

static enum errc load(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
		      const char id[ROWS_ID], const struct rows_scope **out)
{
	struct rows_scope *s = live_copies_scope(&l->copies_read);
	enum errc rc = live_get_scope(l, txn, account, kind, id, s);

	if (rc)
		return rc;
	live_copies_keep_scope(&l->copies_read, s);
	*out = s;
	return ERRC_OK;
}

/* What the key belongs to; the key is there already. */
static enum errc load_owners(struct live *l, MDB_txn *txn, struct parties *p)
{
	const struct rows_scope *k = p->key;
	bool has_team = memcmp(k->team, none, ROWS_ID) != 0;
	enum errc rc;

	live_expect_scope(l, txn, k->account, ROWS_ACCOUNT, none);
	if (has_team)
		live_expect_scope(l, txn, k->account, ROWS_TEAM, k->team);
	rc = live_get_account(l, txn, k->account, &p->account);
	p->rules = p->team = NULL;
	if (!rc && (p->account.flags & ROWS_ACCOUNT_RULES))
		rc = load(l, txn, k->account, ROWS_ACCOUNT, none, &p->rules);
	if (!rc && has_team)
		rc = load(l, txn, k->account, ROWS_TEAM, k->team, &p->team);
	/* Last: the memory of a whole page is long on its way, and what is asked for after it waits behind it. */
	if (!rc)
		live_expect_page(p->account.name);
	return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc;
}

static bool is_secret(const struct rows_scope *k, const uint8_t hash[DIGEST_SHA256], int64_t wall_s)
{
	struct slice given = slice_of(hash, DIGEST_SHA256);

	return secret_eq(slice_of(k->hash, DIGEST_SHA256), given) ||
	       (wall_s < k->old_until_s && secret_eq(slice_of(k->old_hash, DIGEST_SHA256), given));
}

/* The index, and more so what is known of it, may lead to a key whose secret was changed since: only the row counts. */
static enum errc load_key(struct live *l, MDB_txn *txn, struct known_key *k,
			  const uint8_t hash[DIGEST_SHA256], int64_t wall_s, struct parties *p)
{
	bool known = k->row.n > 0;
	struct rows_scope *s;
	enum errc rc;

	live_copies_clear(&l->copies_read);
	s = live_copies_scope(&l->copies_read);
	rc = live_get_key(l, txn, k, s);
	if (!rc && !is_secret(s, hash, wall_s))
		rc = ERRC_NOTFOUND;
	if (rc)
		return rc;
	live_copies_keep_scope(&l->copies_read, s);
	p->key = s;
	if (!known)
		live_know_key(l, txn, hash, k);
	return ERRC_OK;
}

static enum errc look_up(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256],
			 int64_t wall_s, struct parties *p)
{
	enum errc rc = ERRC_NOTFOUND;
	struct known_key k;

	if (live_known_key(l, txn, hash, &k)) {
		/* Of many keys each has its rows anywhere in memory: those are asked for together, not waited for one by one. */
		mem_fetch_read(k.row.p, k.row.n);
		live_expect_scopes(l, k.account);
		rc = load_key(l, txn, &k, hash, wall_s, p);
	}
	if (rc == ERRC_NOTFOUND) {
		k.row = SLICE_NONE;
		rc = live_find_hash(l, txn, hash, &k.account, k.id);
		if (!rc)
			rc = load_key(l, txn, &k, hash, wall_s, p);
	}
	return rc ? rc : load_owners(l, txn, p);
}

static void add_models(struct auth_key *out, const struct rows_scope *s)
{
	struct slice models = s->models;

	if (models.n == 0 || is_shadow(s))
		return;
	memcpy(out->models + out->models_n, models.p, models.n);
	out->models_n += models.n;
	out->models[out->models_n++] = '\0';
}

static void fill(const struct parties *p, struct auth_key *out)
{
	const struct rows_scope *k = p->key;

	out->account = k->account;
	copy_name(out->id, slice_of(k->id, APIKEY_ID));
	copy_name(out->name, k->name);
	copy_name(out->account_name, p->account.name);
	copy_name(out->group, p->account.group);
	copy_name(out->team, p->team ? slice_of(k->team, ROWS_ID) : SLICE_NONE);
	copy_name(out->team_name, p->team ? p->team->name : SLICE_NONE);
	out->flags = k->flags;
	out->created_s = k->created_s;
	out->expires_s = k->expires_s;
	out->keepalive_ms = k->keepalive_ms;
	out->models_n = 0;
	if (p->rules)
		add_models(out, p->rules);
	if (p->team)
		add_models(out, p->team);
	add_models(out, k);
}

enum errc auth_lookup(struct live *l, const uint8_t hash[DIGEST_SHA256], const uint8_t *addr,
		      int64_t wall_s, enum auth_result *result, struct auth_key *out)
{
	struct parties p;
	MDB_txn *txn;
	enum errc rc;

	known_expect_hash(l->known, hash);
	rc = live_read_begin(l, &txn);
	if (rc)
		return rc;
	rc = look_up(l, txn, hash, wall_s, &p);
	if (rc == ERRC_NOTFOUND) {
		*result = AUTH_UNKNOWN;
		rc = ERRC_OK;
	} else if (!rc) {
		*result = judge(&p, addr, wall_s, &out->refused_by);
		fill(&p, out);
	}
	live_read_end(l);
	return rc;
}

/* The rules of one scope, with the state that belongs to `id`. */
static enum errc add_rules(struct live *l, MDB_txn *txn, const struct rows_scope *s,
			   const char id[ROWS_ID], const int64_t now_ms[2], struct auth_usage *out)
{
	struct rows_state st;
	enum errc rc = live_get_state(l, txn, s->account, s->kind, id, &st);

	if (rc)
		return rc;
	for (size_t i = 0; i < s->limits.n; i++) {
		const struct rows_rule *r = &s->limits.v[i];
		struct auth_rule *to = &out->rules[out->rules_n++];

		*to = (struct auth_rule){.scope = s->kind,
					 .kind = r->kind,
					 .shadow = r->shadow || is_shadow(s),
					 .credit = r->credit,
					 .id = r->id,
					 .text = rows_rule_text(r),
					 .window = r->window};
		if (!r->window.rolling)
			memcpy(to->zone, r->zone.p, r->zone.n);
		rows_rule_models(r, to->models, sizeof to->models);
		rows_rule_look(r, rows_state_counter(&st, r), st.holds, now_ms[0], now_ms[1],
			       &to->now);
	}
	if (s->kind == ROWS_KEY) {
		out->holds = st.holds;
		out->charged_nusd = st.charged_nusd;
		out->requests = st.requests;
		out->tokens = st.tokens;
	}
	return ERRC_OK;
}

/* The rules of an end user, or where it has none those for all. */
static enum errc add_user(struct live *l, MDB_txn *txn, uint64_t account, struct slice user,
			  const int64_t now_ms[2], struct auth_usage *out)
{
	struct rows_scope own, s;
	char id[ROWS_ID], every[ROWS_ID];
	bool has_own;
	enum errc rc;

	rows_user_id(user, id);
	rc = live_get_scope(l, txn, account, ROWS_USER, id, &own);
	has_own = !rc;
	if (has_own && own.limits.n > 0)
		return add_rules(l, txn, &own, id, now_ms, out);
	if (!has_own && rc != ERRC_NOTFOUND)
		return rc;
	rows_user_id(SLICE_LIT(ROWS_EVERY_USER), every);
	rc = live_get_scope(l, txn, account, ROWS_USER, every, &s);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	if (has_own)
		rows_user_join(&own, &s);
	return add_rules(l, txn, &s, id, now_ms, out);
}

static enum errc add_all(struct live *l, MDB_txn *txn, const struct parties *p, struct slice user,
			 const int64_t now_ms[2], struct auth_usage *out)
{
	enum errc rc = ERRC_OK;

	if (p->rules)
		rc = add_rules(l, txn, p->rules, none, now_ms, out);
	if (!rc && p->team)
		rc = add_rules(l, txn, p->team, p->team->id, now_ms, out);
	if (!rc)
		rc = add_rules(l, txn, p->key, p->key->id, now_ms, out);
	if (!rc && user.n && (p->account.flags & ROWS_ACCOUNT_USERS))
		rc = add_user(l, txn, p->key->account, user, now_ms, out);
	return rc;
}

enum errc auth_usage(struct live *l, uint64_t account, const char key_id[APIKEY_ID],
		     struct slice user, int64_t boot_ms, int64_t wall_ms, struct auth_usage *out)
{
	const int64_t now_ms[2] = {boot_ms, wall_ms};
	struct parties p;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	live_copies_clear(&l->copies_read);
	rc = load(l, txn, account, ROWS_KEY, key_id, &p.key);
	if (!rc)
		rc = load_owners(l, txn, &p);
	if (!rc) {
		out->rules_n = 0;
		out->granted_nusd = p.account.granted_nusd;
		out->balance_nusd = p.account.balance_nusd;
		out->held_nusd = p.account.held_nusd;
		out->settled_nusd = p.account.settled_nusd;
		out->overdraft_nusd = p.account.overdraft_nusd;
		out->mode = p.account.mode;
		out->in_shadow = p.account.flags & ROWS_ACCOUNT_SHADOW;
		rc = add_all(l, txn, &p, user, now_ms, out);
	}
	live_read_end(l);
	return rc;
}

const struct auth_rule *auth_usage_find(const struct auth_usage *u, enum rows_kind scope,
					enum rows_limit kind)
{
	const struct auth_rule *found = NULL;

	for (size_t i = 0; i < u->rules_n; i++) {
		const struct auth_rule *r = &u->rules[i];

		if (r->scope == scope && r->kind == kind && !r->shadow && r->models[0] == '\0' &&
		    (!found || r->now.remaining < found->now.remaining))
			found = r;
	}
	return found;
}
