#include <stdio.h>

#include "clock.h"
#include "verbs.h"

/* One limit of one scope, as it stands now. */
struct limit {
	const char *scope, *limit, *unit;
	struct slice name, text;
	int64_t max, used, held; /* max: ROWS_NO_LIMIT; held: -1 where nothing is held */
	int64_t remaining;
	int64_t reset_s; /* 0: never */
};

static struct control_field number(const char *name, int64_t v, bool known)
{
	return (struct control_field){
		.name = slice_str(name), .type = known ? CONTROL_T_I64 : CONTROL_T_NONE, .i = v};
}

static enum errc send(struct verbs *v, const struct limit *l)
{
	bool limited = l->max != ROWS_NO_LIMIT;
	const struct control_field f[] = {
		CONTROL_S("scope", slice_str(l->scope)),
		CONTROL_S("name", l->name),
		CONTROL_S("limit", slice_str(l->limit)),
		CONTROL_S("text", l->text),
		CONTROL_S("unit", slice_str(l->unit)),
		number("max", l->max, limited),
		number("used", l->used, true),
		number("held", l->held, l->held >= 0),
		number("remaining", l->remaining, limited),
		number("reset_s", l->reset_s, l->reset_s > 0 && l->reset_s != WINDOW_NEVER)};

	return verbs_row(v, "limit", f, ARRAY_LEN(f));
}

static enum errc send_credit(struct verbs *v, const struct rows_account *a)
{
	bool limited = a->mode == ROWS_PREPAID;
	struct limit l = {.scope = "account",
			  .name = a->name,
			  .limit = "credit",
			  .text = SLICE_LIT("credit"),
			  .unit = "nusd",
			  .max = ROWS_NO_LIMIT,
			  .used = a->settled_nusd,
			  .held = a->held_nusd};

	if (limited && money_add(a->granted_nusd, a->overdraft_nusd, &l.max))
		l.remaining = l.max - l.used - l.held;
	return send(v, &l);
}

static enum errc send_rates(struct verbs *v, const struct rows_key *k, const struct rows_state *s)
{
	static const int64_t len_ms[] = {
#define LIMIT_ROW(id, name, text, counts, len) len,
#include "limits_tbl.h"
#undef LIMIT_ROW
	};
	static const char *const units[] = {
#define LIMIT_REQUESTS                         "requests"
#define LIMIT_TOKENS                           "tokens"
#define LIMIT_ROW(id, name, text, counts, len) LIMIT_##counts,
#include "limits_tbl.h"
#undef LIMIT_ROW
	};
	int64_t boot_ms = clock_boot_ms(), wall_ms = clock_wall_ms();
	enum errc e = ERRC_OK;

	for (unsigned i = 0; !e && i < ROWS_LIMIT_COUNT; i++) {
		struct limit l = {.scope = "key",
				  .name = slice_of(k->id, APIKEY_ID),
				  .limit = verb_args_limit((enum rows_limit)i),
				  .text = slice_str(rows_limit_name((enum rows_limit)i)),
				  .unit = units[i],
				  .max = k->limits.rate[i],
				  .held = -1};
		int64_t reset_ms = window_rate_reset_ms(&s->rate[i], len_ms[i], boot_ms);

		l.used = window_rate_used(&s->rate[i], len_ms[i], boot_ms);
		l.remaining = MAX_OF(l.max - l.used, 0);
		l.reset_s = reset_ms > 0 ? (wall_ms + reset_ms + 999) / 1000 : 0;
		e = send(v, &l);
	}
	return e;
}

static enum errc send_concurrency(struct verbs *v, const struct rows_key *k,
				  const struct rows_state *s)
{
	const struct limit l = {.scope = "key",
				.name = slice_of(k->id, APIKEY_ID),
				.limit = "concurrency",
				.text = SLICE_LIT("requests at once"),
				.unit = "requests",
				.max = k->limits.concurrency,
				.used = s->holds,
				.held = -1,
				.remaining = MAX_OF(k->limits.concurrency - (int64_t)s->holds, 0)};

	return send(v, &l);
}

static enum errc send_budget(struct verbs *v, const struct rows_key *k, const struct rows_state *s)
{
	struct window_spec spec = k->limits.budget;
	int64_t now_s = clock_wall_s(), max = k->limits.budget_nusd;
	/* What is left of nothing is minus what is taken, also when the window of the row is over. */
	int64_t taken = -window_budget_left(&s->budget, spec, now_s, 0);
	int64_t held = taken == s->budget.cur.used_nusd + s->budget.cur.held_nusd
			       ? s->budget.cur.held_nusd
			       : 0;
	char text[64];
	struct limit l = {.scope = "key",
			  .name = slice_of(k->id, APIKEY_ID),
			  .limit = "budget",
			  .unit = "nusd",
			  .max = max,
			  .used = taken - held,
			  .held = held,
			  .remaining = max == ROWS_NO_LIMIT ? 0 : max - taken};

	snprintf(text, sizeof(text), spec.unit == WINDOW_TOTAL ? "budget, in all" : "budget a %s%s",
		 window_unit_name(spec.unit), spec.rolling ? ", rolling" : "");
	l.text = slice_str(text);
	if (max != ROWS_NO_LIMIT)
		l.reset_s = window_budget_reset_s(&s->budget, spec, now_s);
	return send(v, &l);
}

static enum errc explain(struct verbs *v, struct live *live, const char id[APIKEY_ID + 1],
			 struct buf *key_mem, struct buf *account_mem)
{
	struct rows_account a;
	struct rows_state s;
	struct rows_key k;
	enum errc e = admin_key_get(live, id, key_mem, &k, &s);

	if (!e)
		e = admin_account_get(live, k.account, account_mem, &a);
	if (!e)
		e = send_credit(v, &a);
	if (!e)
		e = send_budget(v, &k, &s);
	if (!e)
		e = send_rates(v, &k, &s);
	return e ? e : send_concurrency(v, &k, &s);
}

void verb_limit(struct verbs *v)
{
	struct buf key_mem, account_mem;
	char id[APIKEY_ID + 1];
	enum errc e;

	if (!verbs_key(v, id))
		return;
	buf_init(&key_mem, ROWS_MAX);
	buf_init(&account_mem, ROWS_MAX);
	e = explain(v, v->live, id, &key_mem, &account_mem);
	buf_fini(&key_mem);
	buf_fini(&account_mem);
	verbs_end_errc(v, e, "key");
}
