#include "auth.h"
#include "clock.h"
#include "credit.h"
#include "mem.h"
#include "scope_row.h"
#include "user_tag.h"

/* In shadow too what it would refuse by: below 0 is then left what shadow let through. */
static enum errc send_credit(struct verbs *v, const struct rows_account *a)
{
	const struct rows_account own = credit_out_of_shadow(a);
	struct scope_row_limit l = {.scope = "account",
				    .name = a->name,
				    .limit = "credit",
				    .text = SLICE_LIT("credit"),
				    .unit = "nusd",
				    .max = ROWS_NO_LIMIT,
				    .granted = a->granted_nusd,
				    .overdraft = a->mode == ROWS_POSTPAID ? ROWS_NO_LIMIT
									  : a->overdraft_nusd,
				    .used = a->settled_nusd,
				    .held = a->held_nusd,
				    .shadow = a->flags & ROWS_ACCOUNT_SHADOW};

	if (l.shadow)
		l.text = SLICE_LIT("credit, only counted");
	if (credit_is_limited(&own)) {
		l.max = credit_limit(&own);
		l.remaining = credit_available(&own);
	}
	return scope_row_send(v, &l);
}

/* Names of the scopes, beside the rules that say which scope they are of. */
struct names {
	struct slice account, team, key, user;
};

static struct slice name_of(const struct names *n, enum rows_kind scope)
{
	switch (scope) {
	case ROWS_ACCOUNT:
		return n->account;
	case ROWS_TEAM:
		return n->team;
	case ROWS_USER:
		return n->user;
	default:
		return n->key;
	}
}

static enum errc send_rule(struct verbs *v, const struct auth_rule *r, const struct names *names)
{
	char text[SCOPE_ROW_RULE_TEXT];
	struct scope_row_limit l = {.scope = rows_scope_word(r->scope),
				    .name = name_of(names, r->scope),
				    .id = r->id,
				    .shadow = r->shadow};

	scope_row_stand(&l, r->kind, r->credit, &r->now);
	l.text = scope_row_rule_text(text, r->text, r->kind == ROWS_BUDGET && r->window.rolling,
				     slice_str(r->zone), r->models, r->shadow);
	return scope_row_send(v, &l);
}

static enum errc send_rules(struct verbs *v, struct live *live, const struct rows_scope *k,
			    const struct names *names)
{
	struct auth_usage *u = mem_new_of(struct auth_usage);
	enum errc e = ERRC_NOMEM;

	if (u)
		e = auth_usage(live, k->account, k->id, names->user, clock_boot_ms(),
			       clock_wall_ms(), u);
	for (size_t i = 0; !e && i < u->rules_n; i++)
		e = send_rule(v, &u->rules[i], names);
	mem_free(u);
	return e;
}

/* Whether a scope admits anything at all, and what; `status` of an account stands in another row than its rules. */
static enum errc send_scope(struct verbs *v, const struct rows_scope *k, struct slice name,
			    const char *status)
{
	struct control_field f[3 + SCOPE_ROW_ACCESS];
	struct scope_row_texts t;
	size_t n = 0;
	enum errc e;

	f[n++] = CONTROL_S("scope", slice_str(rows_scope_word(k->kind)));
	f[n++] = CONTROL_S("name", name);
	f[n++] = CONTROL_S("status", slice_str(status));
	scope_row_init(&t);
	e = scope_row_access(f, &n, k, &t);
	if (!e)
		e = verbs_row(v, "scope", f, n);
	scope_row_fini(&t);
	return e;
}

struct explained {
	struct buf key, account, rules, team, user;
	struct rows_account a;
	struct rows_scope k, account_rules, of_team, of_user; /* kind 0: there is none */
};

/* *out has the kind 0 where there is no such scope. */
static enum errc get_scope(struct live *live, uint64_t account, enum rows_kind kind,
			   const char id[ROWS_ID], struct buf *mem, struct rows_scope *out)
{
	enum errc e = admin_scope_get(live, account, kind, id, mem, out, NULL);

	if (e == ERRC_NOTFOUND) {
		memset(out, 0, sizeof *out);
		return ERRC_OK;
	}
	return e;
}

/* What is said of the end user itself, else what is said of all; whose limits it has send_rules() knows. */
static enum errc get_user(struct live *live, struct slice tag, struct explained *m)
{
	char id[ROWS_ID];
	enum errc e;

	if (tag.n == 0)
		return ERRC_OK;
	rows_user_id(tag, id);
	e = get_scope(live, m->k.account, ROWS_USER, id, &m->user, &m->of_user);
	if (e || m->of_user.kind)
		return e;
	rows_user_id(SLICE_LIT(ROWS_EVERY_USER), id);
	return get_scope(live, m->k.account, ROWS_USER, id, &m->user, &m->of_user);
}

static enum errc get_all(struct live *live, const char id[APIKEY_ID + 1], struct slice tag,
			 struct explained *m)
{
	static const char none[ROWS_ID];
	enum errc e = admin_key_get(live, id, &m->key, &m->k, NULL);

	if (!e)
		e = admin_account_get(live, m->k.account, &m->account, &m->a);
	if (!e)
		e = get_scope(live, m->k.account, ROWS_ACCOUNT, none, &m->rules, &m->account_rules);
	if (!e && memcmp(m->k.team, none, ROWS_ID) != 0)
		e = get_scope(live, m->k.account, ROWS_TEAM, m->k.team, &m->team, &m->of_team);
	return e ? e : get_user(live, tag, m);
}

static enum errc send_scopes(struct verbs *v, struct explained *m, const struct names *names)
{
	struct rows_scope *const all[] = {&m->account_rules, &m->of_team, &m->k, &m->of_user};
	int64_t now_s = clock_wall_ms() / 1000;
	enum errc e = ERRC_OK;

	m->account_rules.kind = ROWS_ACCOUNT;
	if (m->a.status != ROWS_ACTIVE)
		m->account_rules.status = m->a.status;
	for (size_t i = 0; !e && i < ARRAY_LEN(all); i++) {
		if (all[i]->kind)
			e = send_scope(v, all[i], name_of(names, all[i]->kind),
				       scope_row_status(all[i], now_s));
	}
	return e;
}

static enum errc explain(struct verbs *v, struct live *live, const char id[APIKEY_ID + 1],
			 struct explained *m)
{
	struct names names = {.key = slice_of(id, APIKEY_ID),
			      .user = verb_args_str(v->args, "user")};
	enum errc e = get_all(live, id, names.user, m);

	if (e)
		return e;
	names.account = m->a.name;
	names.team = m->of_team.name;
	e = send_scopes(v, m, &names);
	if (!e)
		e = send_credit(v, &m->a);
	return e ? e : send_rules(v, live, &m->k, &names);
}

void verb_limit(struct verbs *v)
{
	struct explained *m;
	char id[APIKEY_ID + 1];
	enum errc e = ERRC_NOMEM;

	if (!verbs_key(v, id))
		return;
	if (verb_args_has(v->args, "user") && !user_tag_is_good(verb_args_str(v->args, "user"))) {
		verbs_end(v, CONTROL_USAGE, "invalid", "user: %s: no request has another tag",
			  USER_TAG_RULES);
		return;
	}
	m = mem_new_of(struct explained);
	if (m) {
		struct buf *const all[] = {&m->key, &m->account, &m->rules, &m->team, &m->user};

		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			buf_init(all[i], ROWS_MAX);
		e = explain(v, v->live, id, m);
		for (size_t i = 0; i < ARRAY_LEN(all); i++)
			buf_fini(all[i]);
	}
	mem_free(m);
	verbs_end_errc(v, e, "key");
}
