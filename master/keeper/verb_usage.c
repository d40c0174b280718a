#include "clock.h"
#include "report_kept.h"
#include "report_page.h"
#include "rollup.h"
#include "verbs.h"

#define NUMBERS 9
#define PAGE    3

/* False: END is sent. */
static bool put_by(struct verbs *v, struct report_ask *ask)
{
	enum errc e = report_put_by(ask, verb_args_str(v->args, "by"));

	if (e == ERRC_EXISTS)
		verbs_end(v, CONTROL_USAGE, "invalid", "by: one of them is there twice");
	else if (e)
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "by: at most %d of day, model, key, account, provider, team, tag",
			  REPORT_DIMS_MAX);
	return e == ERRC_OK;
}

/* Where the names of a question are kept. */
struct names {
	char key[APIKEY_ID + 1], team[ROWS_ID];
};

/* Account and team, which is named within it, or as reports print it: "account/team". */
static bool put_payer(struct verbs *v, struct report_ask *ask, struct names *n)
{
	struct slice account = verb_args_str(v->args, "account");
	struct slice team = verb_args_str(v->args, "team"), rest = team, of;

	if (slice_cut(&rest, '/', &of) && (account.n == 0 || slice_eq(account, of))) {
		account = of;
		team = rest;
	}
	if (account.n && !verbs_account(v, account, &ask->account))
		return false;
	if (team.n == 0)
		return true;
	ask->team = n->team;
	if (account.n)
		return verbs_team(v, ask->account, team, n->team);
	verbs_end(
		v, CONTROL_USAGE, "invalid",
		"a team's name is its own only within its account: give that too, or ACCOUNT/TEAM");
	return false;
}

/* An empty one would be of any, or of none: nobody means that. */
static bool has_payer_names(struct verbs *v)
{
	static const char *const names[] = {"account", "team"};

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		if (!verb_args_has(v->args, names[i]) || verb_args_str(v->args, names[i]).n)
			continue;
		verbs_end(v, CONTROL_USAGE, "invalid", "%s: it is empty", names[i]);
		return false;
	}
	return true;
}

static struct slice given(struct verbs *v, const char *name)
{
	struct slice s = verb_args_str(v->args, name);

	return verb_args_has(v->args, name) && !s.p ? SLICE_LIT("") : s;
}

static bool put_ask(struct verbs *v, struct report_ask *ask, struct names *n)
{
	char why[VERB_ARGS_WHY];

	if (!verb_args_span(v->args, &ask->since_ms, &ask->until_ms, why)) {
		verbs_end(v, CONTROL_USAGE, "invalid", "%s", why);
		return false;
	}
	ask->model = given(v, "model");
	ask->provider = given(v, "provider");
	ask->tag = given(v, "tag");
	if (!put_by(v, ask) || !has_payer_names(v) || !put_payer(v, ask, n))
		return false;
	if (!verb_args_has(v->args, "key"))
		return true;
	ask->key_id = n->key;
	return verbs_key(v, n->key);
}

static void fill_numbers(struct control_field f[NUMBERS], const struct report_row *r)
{
	f[0] = CONTROL_I("requests", r->requests);
	f[1] = CONTROL_I("failed", r->failed);
	f[2] = CONTROL_I("input", r->input);
	f[3] = CONTROL_I("cached", r->cached);
	f[4] = CONTROL_I("output", r->output);
	f[5] = CONTROL_I("reasoning", r->reasoning);
	f[6] = CONTROL_I("charge_nusd", r->charge_nusd);
	f[7] = CONTROL_I("uncollected_nusd", r->uncollected_nusd);
	f[8] = CONTROL_I("cost_nusd", r->cost_nusd);
}

/* How the rows that were sent stand to all of them. */
static enum errc send_page(struct verbs *v, const struct report_ask *ask, const struct report *r,
			   struct report_page page)
{
	struct control_field f[PAGE];
	struct buf next;
	enum errc e;

	buf_init(&next, REPORT_PAGE_CURSOR_MAX);
	e = report_page_next(r, ask, page, &next);
	f[0] = CONTROL_I("row_count", ask->by_n ? report_rows_n(r) : 0);
	f[1] = CONTROL_B("has_more", next.len > 0);
	f[2] = next.len ? CONTROL_S("next_page", buf_slice(&next)) : CONTROL_N("next_page");
	if (!e)
		e = verbs_row(v, "page", f, PAGE);
	buf_fini(&next);
	return e;
}

static enum errc send_rows(struct verbs *v, const struct report_ask *ask, const struct report *r,
			   struct report_page page)
{
	struct control_field f[REPORT_DIMS_MAX + NUMBERS];
	struct report_row row;
	enum errc e = ERRC_OK;

	for (size_t i = page.from; !e && i < page.to; i++) {
		row = report_row_at(r, i);
		for (size_t d = 0; d < ask->by_n; d++)
			f[d] = (struct control_field){.name = slice_str(report_dim_name(ask->by[d])),
						      .type = CONTROL_T_STR,
						      .s = row.name[d]};
		fill_numbers(f + ask->by_n, &row);
		e = verbs_row(v, "usage", f, ask->by_n + NUMBERS);
	}
	row = report_total(r);
	fill_numbers(f, &row);
	if (!e)
		e = verbs_row(v, "total", f, NUMBERS);
	return e ? e : send_page(v, ask, r, page);
}

static void end_without_users(struct verbs *v)
{
	char day[CLOCK_TEXT_MAX];
	uint32_t first;
	enum errc e = report_kept_users(v->ledger, &first);

	if (e) {
		verbs_end_errc(v, e, "usage");
		return;
	}
	clock_format_s(first * (ROLLUP_DAY_MS / 1000), day);
	verbs_end(
		v, CONTROL_REFUSED, "removed",
		"the records of days before %.10s have been removed, and of those no end users are "
		"known, only what all requests add up to: give --since %.10s or a later day",
		day, day);
}

/* One that has used nothing may be a slip of the pen. */
static enum errc find_key(struct verbs *v, const char *id)
{
	struct rows_scope k;
	struct buf mem;
	enum errc e;

	buf_init(&mem, ROWS_MAX);
	e = admin_key_get(v->live, id, &mem, &k, NULL);
	buf_fini(&mem);
	return e;
}

static void end_failed(struct verbs *v, enum errc e)
{
	if (e == ERRC_SYNTAX)
		verbs_end(v, CONTROL_USAGE, "invalid",
			  "page: it is the next_page of a report by the same dimensions");
	else if (e == ERRC_RANGE)
		verbs_end(v, CONTROL_REFUSED, "removed",
			  "the span begins or ends within a day whose records have been removed: "
			  "of such days only whole ones are known");
	else if (e == ERRC_TRUNCATED)
		end_without_users(v);
	else if (e == ERRC_NOTFOUND)
		verbs_end_errc(v, e, "key");
	else
		verbs_end_errc(v, e, "usage");
}

void verb_usage(struct verbs *v)
{
	struct report_ask ask = {.by_n = 0};
	struct report *r = NULL;
	int64_t limit = verb_args_i64(v->args, "limit", -1);
	struct report_page page;
	struct names names;
	enum errc e;

	if (!put_ask(v, &ask, &names))
		return;
	if (limit == 0) {
		verbs_end(v, CONTROL_USAGE, "invalid", "limit: at least 1");
		return;
	}
	e = report_new(v->ledger, v->live, &ask, &r);
	if (!e && ask.key_id && report_total(r).requests == 0)
		e = find_key(v, ask.key_id);
	if (!e)
		e = report_page_find(r, &ask, verb_args_str(v->args, "page"),
				     (size_t)MAX_OF(limit, INT64_C(0)), &page);
	if (!e)
		e = send_rows(v, &ask, r, page);
	report_free(&r);
	if (e)
		end_failed(v, e);
	else
		verbs_end_report(v);
}
