#include "record_words.h"

#include <stdio.h>

#include "clock.h"

/* The account's name, or its number. */
static enum errc put_account(struct buf *out, const struct record *r, struct slice account)
{
	return account.n ? buf_addf(out, "account " SLICE_FMT, SLICE_ARG(account))
			 : buf_addf(out, "account %llu", (unsigned long long)r->account);
}

static enum errc put_money(struct buf *out, const char *verb, const struct record *r,
			   const char *to, struct slice account)
{
	char dollars[MONEY_TEXT_MAX];
	enum errc e;

	money_print(r->change.amount_nusd, 2, dollars);
	e = buf_addf(out, "%s %s dollars %s ", verb, dollars, to);
	return e ? e : put_account(out, r, account);
}

static enum errc put_definition(struct buf *out, const struct record *r, struct slice account)
{
	struct rows_account row;
	char overdraft[MONEY_TEXT_MAX];
	enum errc e;

	if (rows_get_account(r->change.row, &row))
		return put_account(out, r, account);
	money_print(row.overdraft_nusd, 2, overdraft);
	e = buf_addf(out, SLICE_FMT " account " SLICE_FMT ": %s, %s", SLICE_ARG(r->change.what),
		     SLICE_ARG(row.name), row.mode == ROWS_POSTPAID ? "postpaid" : "prepaid",
		     row.status == ROWS_SUSPENDED ? "suspended" : "active");
	if (!e && row.overdraft_nusd)
		e = buf_addf(out, ", overdraft %s dollars", overdraft);
	return e || row.group.n == 0 ? e : buf_addf(out, ", group " SLICE_FMT, SLICE_ARG(row.group));
}

static enum errc put_time(struct buf *out, const char *what, int64_t wall_s)
{
	char text[CLOCK_TEXT_MAX];

	if (wall_s == 0)
		return ERRC_OK;
	(void)clock_format_s(wall_s, text);
	return buf_addf(out, "%s %s", what, text);
}

/* ", 60 requests a minute for gpt-*, budget per month 5.00 dollars only counted, credit 5.00 dollars overdraft 1.00" */
static enum errc put_rules(struct buf *out, const struct rows_limits *l)
{
	char models[256], number[MONEY_TEXT_MAX], raise[MONEY_TEXT_MAX];
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < l->n; i++) {
		const struct rows_rule *r = &l->v[i];
		bool money = r->kind == ROWS_BUDGET;

		rows_rule_models(r, models, sizeof models);
		if (money) {
			money_print(r->limit, 2, number);
			money_print(r->raise, 2, raise);
			e = buf_addf(out, ", %s %s dollars", rows_rule_text(r), number);
		} else {
			snprintf(raise, sizeof raise, "%lld", (long long)r->raise);
			e = buf_addf(out, ", %lld %s", (long long)r->limit, rows_rule_text(r));
		}
		if (!e && models[0])
			e = buf_addf(out, " for %s", models);
		if (!e && money && r->window.rolling)
			e = buf_addz(out, " rolling");
		if (!e && r->zone.n)
			e = buf_addf(out, " in " SLICE_FMT, SLICE_ARG(r->zone));
		if (!e && r->raise)
			e = buf_addf(out, " %s %s", r->credit ? "overdraft" : "raised by", raise);
		if (!e && r->raise)
			e = put_time(out, " until", r->raise_until_s);
		if (!e && r->shadow)
			e = buf_addz(out, " only counted");
	}
	return e;
}

/* ", models gpt-5*, !*-preview, from 10.0.0.0/8, until 2026-11-25T00:00:00Z" */
static enum errc put_restrictions(struct buf *out, const struct rows_scope *s)
{
	struct slice left = s->models, one;
	char net[IPNET_TEXT_MAX];
	enum errc e = ERRC_OK;

	for (bool first = true; !e && left.n; first = false) {
		(void)slice_cut(&left, '\n', &one);
		e = buf_addf(out, "%s " SLICE_FMT, first ? ", models" : ",", SLICE_ARG(one));
	}
	for (size_t i = 0; !e && i < s->nets_n; i++) {
		(void)ipnet_print(&s->nets[i], net);
		e = buf_addf(out, "%s %s", i ? "," : ", from", net);
	}
	if (!e)
		e = put_time(out, ", until", s->expires_s);
	if (!e && (s->flags & ROWS_SHADOW))
		e = buf_addz(out, ", refuses nothing");
	return e;
}

/* What only keys have; the secret before the last rotation while it is good at the time of the record. */
static enum errc put_key_options(struct buf *out, const struct rows_scope *s, int64_t wall_ms)
{
	enum errc e = ERRC_OK;

	if (s->name.n)
		e = buf_addf(out, ", name " SLICE_FMT, SLICE_ARG(s->name));
	if (!e && s->team[0])
		e = buf_addf(out, ", team %.*s", ROWS_ID, s->team);
	if (!e && (s->flags & ROWS_KEY_CLAMP))
		e = buf_addz(out, ", clamps");
	if (!e && (s->flags & (ROWS_KEY_DRAIN | ROWS_KEY_ABORT)))
		e = buf_addf(out, ", %s when clients leave",
			     s->flags & ROWS_KEY_DRAIN ? "drains" : "aborts");
	if (!e && s->keepalive_ms != ROWS_NO_LIMIT)
		e = buf_addf(out, ", keepalive %lld ms", (long long)s->keepalive_ms);
	if (!e && s->old_until_s > wall_ms / 1000)
		e = put_time(out, ", secret before good until", s->old_until_s);
	return e;
}

/* "update key abcdefghijkl of account acme: active, name build, 60 requests a minute" */
static enum errc put_scope(struct buf *out, const struct record *r, struct slice account)
{
	static const char *const statuses[ROWS_STATUS_COUNT] = {"active", "suspended", "revoked"};
	struct rows_scope row;
	enum errc e = buf_addf(out, SLICE_FMT " ", SLICE_ARG(r->change.what));

	if (e)
		return e;
	if (rows_get_scope(r->change.row, &row))
		return put_account(out, r, account);
	if (row.kind == ROWS_ACCOUNT)
		e = buf_addz(out, "rules of ");
	else if (row.kind == ROWS_KEY)
		e = buf_addf(out, "key %.*s of ", APIKEY_ID, row.id);
	else
		e = buf_addf(out, "%s " SLICE_FMT " of ", rows_scope_word(row.kind),
			     SLICE_ARG(row.name));
	if (!e)
		e = put_account(out, r, account);
	if (!e)
		e = buf_addf(out, ": %s",
			     row.kind == ROWS_USER && row.status == ROWS_REVOKED
				     ? "removed"
				     : statuses[row.status]);
	if (!e && row.kind == ROWS_KEY)
		e = put_key_options(out, &row, r->wall_ms);
	if (!e)
		e = put_restrictions(out, &row);
	return e ? e : put_rules(out, &row.limits);
}

static enum errc put_reversal(struct buf *out, const struct record *r, struct slice account)
{
	char id[GENID_TEXT + 1];
	enum errc e;

	genid_print(&r->change.id, id);
	e = put_money(out, "gave back", r, "to", account);
	return e ? e : buf_addf(out, ": the charge of request %s is void", id);
}

static enum errc put_gap(struct buf *out, const struct record *r)
{
	char dollars[MONEY_TEXT_MAX];
	bool known = r->change.amount_nusd >= 0;

	money_print(r->change.amount_nusd, 2, dollars);
	return buf_addf(out,
			"the live store was lost (" SLICE_FMT
			") and made anew, epoch %llu; holds and charges that it had and the ledger "
			"has not: %s%s",
			SLICE_ARG(r->change.what), (unsigned long long)r->change.epoch,
			known ? dollars : "unknown", known ? " dollars" : "");
}

/* "pepper 2: made", "records up to 4711: removed" */
static enum errc put_number(struct buf *out, const char *noun, const struct record *r)
{
	return buf_addf(out, "%s %lld: " SLICE_FMT, noun, (long long)r->change.number,
			SLICE_ARG(r->change.what));
}

static enum errc put_what(struct buf *out, const struct record *r, struct slice account)
{
	switch (r->type) {
	case RECORD_ACCOUNT:
		return put_definition(out, r, account);
	case RECORD_GRANT:
		return put_money(out, "gave", r, "to", account);
	case RECORD_TAKE:
		return put_money(out, "took", r, "from", account);
	case RECORD_RULES:
	case RECORD_TEAM:
	case RECORD_KEY:
	case RECORD_USER:
		return put_scope(out, r, account);
	case RECORD_REVERSE:
		return put_reversal(out, r, account);
	case RECORD_GAP:
		return put_gap(out, r);
	case RECORD_PEPPER:
		return put_number(out, "pepper", r);
	case RECORD_RELOAD:
		return put_number(out, "configuration", r);
	case RECORD_RETAIN:
		return put_number(out, "records up to", r);
	case RECORD_RESTORE:
		return buf_adds(out, r->change.what);
	default:
		return ERRC_OK;
	}
}

enum errc record_words(struct buf *out, const struct record *r, struct slice account)
{
	enum errc e = ERRC_OK;

	if (r->type == RECORD_CHARGE)
		return ERRC_OK;
	if (r->change.who.n)
		e = buf_addf(out, SLICE_FMT ": ", SLICE_ARG(r->change.who));
	if (!e)
		e = put_what(out, r, account);
	if (!e && r->change.note.n)
		e = buf_addf(out, " (" SLICE_FMT ")", SLICE_ARG(r->change.note));
	return e;
}
