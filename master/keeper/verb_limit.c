#include "auth.h"
#include "clock.h"
#include "mem.h"
#include "scope_row.h"

static enum errc send_credit(struct verbs *v, const struct rows_account *a)
{
	bool limited = a->mode == ROWS_PREPAID;
	struct scope_row_limit l = {.scope = "account",
				    .name = a->name,
				    .limit = "credit",
				    .text = SLICE_LIT("credit"),
				    .unit = "nusd",
				    .max = ROWS_NO_LIMIT,
				    .used = a->settled_nusd,
				    .held = a->held_nusd};

	if (limited && money_add(a->granted_nusd, a->overdraft_nusd, &l.max))
		l.remaining = l.max - l.used - l.held;
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
				    .raise = r->raise,
				    .raise_until_s = r->raise_until_s,
				    .shadow = r->shadow};

	scope_row_stand(&l, r->kind, &r->now);
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

struct explained {
	struct buf key, account, team;
};

static enum errc explain(struct verbs *v, struct live *live, const char id[APIKEY_ID + 1],
			 struct explained *m)
{
	static const char none[ROWS_ID];
	struct names names = {.key = slice_of(id, APIKEY_ID),
			      .user = verb_args_str(v->args, "user")};
	struct rows_account a;
	struct rows_scope k, team;
	enum errc e = admin_key_get(live, id, &m->key, &k, NULL);

	if (!e)
		e = admin_account_get(live, k.account, &m->account, &a);
	if (!e)
		e = send_credit(v, &a);
	if (!e && memcmp(k.team, none, ROWS_ID) != 0) {
		e = admin_scope_get(live, k.account, ROWS_TEAM, k.team, &m->team, &team, NULL);
		names.team = team.name;
	}
	names.account = a.name;
	return e ? e : send_rules(v, live, &k, &names);
}

void verb_limit(struct verbs *v)
{
	struct explained m;
	char id[APIKEY_ID + 1];
	enum errc e;

	if (!verbs_key(v, id))
		return;
	buf_init(&m.key, ROWS_MAX);
	buf_init(&m.account, ROWS_MAX);
	buf_init(&m.team, ROWS_MAX);
	e = explain(v, v->live, id, &m);
	buf_fini(&m.key);
	buf_fini(&m.account);
	buf_fini(&m.team);
	verbs_end_errc(v, e, "key");
}
