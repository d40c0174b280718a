#include "scope_row.h"

#include <stdio.h>

#include "clock.h"

void scope_row_init(struct scope_row_texts *t)
{
	buf_init(&t->models, 4 * ROWS_MODELS_MAX);
	buf_init(&t->nets, ROWS_NETS_MAX * (IPNET_TEXT_MAX + 2));
}

void scope_row_fini(struct scope_row_texts *t)
{
	buf_fini(&t->models);
	buf_fini(&t->nets);
}

struct control_field scope_row_number(const char *name, int64_t v, bool known)
{
	return (struct control_field){
		.name = slice_str(name), .type = known ? CONTROL_T_I64 : CONTROL_T_NONE, .i = v};
}

static struct control_field limit_field(const char *name, int64_t v)
{
	return scope_row_number(name, v, v != ROWS_NO_LIMIT);
}

static struct control_field time_field(const char *name, int64_t s)
{
	return scope_row_number(name, s, s > 0 && s != WINDOW_NEVER);
}

const char *scope_row_status(const struct rows_scope *k, int64_t now_s)
{
	if (k->status == ROWS_REVOKED)
		return "revoked";
	if (k->expires_s && k->expires_s <= now_s)
		return "expired";
	return k->status == ROWS_SUSPENDED ? "suspended" : "active";
}

/* "10.0.0.0/8, fd00::/8" */
static enum errc list_nets(const struct rows_scope *k, struct buf *mem)
{
	char text[IPNET_TEXT_MAX];
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < k->nets_n; i++) {
		size_t n = ipnet_print(&k->nets[i], text);

		e = i ? buf_addz(mem, ", ") : ERRC_OK;
		if (!e)
			e = buf_add(mem, text, n);
	}
	return e;
}

/* "gpt-*, !gpt-4*" */
static enum errc list_models(struct slice rest, struct buf *mem)
{
	struct slice one;
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && rest.n; i++) {
		(void)slice_cut(&rest, '\n', &one);
		e = i ? buf_addz(mem, ", ") : ERRC_OK;
		if (!e)
			e = buf_adds(mem, one);
	}
	return e;
}

/* The budget that the options --budget and --period are about, or the credit of --credit and --overdraft. */
static const struct rows_rule *budget_of(const struct rows_scope *k, bool credit)
{
	for (size_t i = 0; i < k->limits.n; i++) {
		const struct rows_rule *r = &k->limits.v[i];

		if (r->kind == ROWS_BUDGET && r->credit == credit && !r->shadow && r->models.n == 0)
			return r;
	}
	return NULL;
}

static size_t fill_limits(struct control_field *f, const struct rows_scope *k)
{
	const struct rows_rule *b = budget_of(k, false);
	size_t n = 0;

	for (unsigned i = 0; i < ROWS_LIMIT_COUNT; i++)
		f[n++] = limit_field(verb_args_limit((enum rows_limit)i),
				     rows_limits_get(&k->limits, (enum rows_limit)i));
	f[n++] = limit_field("concurrency", rows_limits_get(&k->limits, ROWS_CONCURRENCY));
	f[n++] = limit_field("budget_nusd", b ? b->limit : ROWS_NO_LIMIT);
	f[n++] = CONTROL_S("budget_period",
			   slice_str(window_unit_name(b ? b->window.unit : WINDOW_MONTH)));
	f[n++] = CONTROL_B("rolling", b && b->window.rolling);
	f[n++] = CONTROL_S("zone", b && b->zone.n ? b->zone : SLICE_LIT("UTC"));
	return n;
}

static size_t fill_used(struct control_field *f, const struct rows_scope *k,
			const struct rows_state *s, int64_t now_s)
{
	const struct rows_rule *b = budget_of(k, false);
	struct rows_rule_now now = {0};
	size_t n = 0;

	f[n++] = time_field("used_s", s->used_s);
	f[n++] = CONTROL_I("requests", s->requests);
	f[n++] = CONTROL_I("tokens", s->tokens);
	f[n++] = CONTROL_I("charged_nusd", s->charged_nusd);
	f[n++] = CONTROL_I("holds", s->holds);
	if (b)
		rows_rule_look(b, rows_state_counter(s, b), s->holds, 0, now_s * 1000, &now);
	f[n++] = CONTROL_I("budget_used_nusd", now.used);
	f[n++] = CONTROL_I("budget_held_nusd", now.held);
	f[n++] = scope_row_number("budget_left_nusd", now.limit - now.used - now.held, b != NULL);
	f[n++] = time_field("budget_reset_s", now.reset_s);
	return n;
}

static size_t fill_credit(struct control_field *f, const struct rows_scope *k,
			  const struct rows_state *s, int64_t now_s)
{
	const struct rows_rule *c = budget_of(k, true);
	struct rows_rule_now now = {0};
	size_t n = 0;

	if (c)
		rows_rule_look(c, rows_state_counter(s, c), s->holds, 0, now_s * 1000, &now);
	f[n++] = scope_row_number("credit_nusd", now.limit - now.raise, c != NULL);
	f[n++] = scope_row_number("overdraft_nusd", now.raise, c != NULL);
	f[n++] = scope_row_number("credit_used_nusd", now.used, c != NULL);
	f[n++] = scope_row_number("credit_held_nusd", now.held, c != NULL);
	f[n++] = scope_row_number("credit_left_nusd", now.limit - now.used - now.held, c != NULL);
	return n;
}

enum errc scope_row_access(struct control_field *f, size_t *n, const struct rows_scope *k,
			   struct scope_row_texts *t)
{
	enum errc e = list_models(k->models, &t->models);

	if (!e)
		e = list_nets(k, &t->nets);
	f[(*n)++] = CONTROL_S("models", buf_slice(&t->models));
	f[(*n)++] = CONTROL_S("ip", buf_slice(&t->nets));
	f[(*n)++] = CONTROL_B("shadow", k->flags & ROWS_SHADOW);
	f[(*n)++] = time_field("expires_s", k->expires_s);
	return e;
}

enum errc scope_row_fill(struct control_field *f, size_t *n, const struct rows_scope *k,
			 const struct rows_state *s, struct scope_row_texts *t, int64_t now_s)
{
	enum errc e;

	*n += fill_limits(f + *n, k);
	e = scope_row_access(f, n, k, t);
	f[(*n)++] = CONTROL_I("created_s", k->created_s);
	*n += fill_used(f + *n, k, s, now_s);
	*n += fill_credit(f + *n, k, s, now_s);
	return e;
}

/* --- limits --- */

_Static_assert(sizeof((struct scope_row_limit *)0)->id == sizeof((struct rows_rule *)0)->id,
	       "a limit is named by the whole of its id");

enum errc scope_row_send(struct verbs *v, const struct scope_row_limit *l)
{
	bool limited = l->max != ROWS_NO_LIMIT;
	const struct control_field f[] = {CONTROL_S("scope", slice_str(l->scope)),
					  CONTROL_S("name", l->name),
					  scope_row_number("id", l->id, l->id != 0),
					  CONTROL_S("limit", slice_str(l->limit)),
					  CONTROL_S("text", l->text),
					  CONTROL_S("unit", slice_str(l->unit)),
					  scope_row_number("max", l->max, limited),
					  scope_row_number("used", l->used, true),
					  scope_row_number("held", l->held, l->held >= 0),
					  scope_row_number("remaining", l->remaining, limited),
					  time_field("reset_s", l->reset_s),
					  limit_field("granted", l->granted),
					  limit_field("overdraft", l->overdraft),
					  scope_row_number("raise", l->raise, l->raise > 0),
					  time_field("raise_until_s", l->raise_until_s),
					  CONTROL_B("shadow", l->shadow)};

	return verbs_row(v, "limit", f, ARRAY_LEN(f));
}

struct slice scope_row_rule_text(char out[SCOPE_ROW_RULE_TEXT], const char *text, bool rolling,
				 struct slice zone, const char *models, bool shadow)
{
	snprintf(out, SCOPE_ROW_RULE_TEXT, "%s%s%s" SLICE_FMT "%s%s%s", text,
		 rolling ? ", rolling" : "", zone.n ? ", in " : "", SLICE_ARG(zone),
		 models[0] ? ", for " : "", models, shadow ? ", only counted" : "");
	return slice_str(out);
}

void scope_row_stand(struct scope_row_limit *l, enum rows_limit kind, bool credit,
		     const struct rows_rule_now *now)
{
	bool budget = kind == ROWS_BUDGET;

	l->limit = credit ? "credit" : rows_limit_word(kind);
	l->unit = budget ? "nusd" : rows_limit_is_tokens(kind) ? "tokens" : "requests";
	l->max = now->limit;
	l->raise = credit ? 0 : now->raise;
	l->raise_until_s = now->raise_until_s;
	l->granted = credit ? now->limit - now->raise : ROWS_NO_LIMIT;
	l->overdraft = credit ? now->raise : ROWS_NO_LIMIT;
	l->used = now->used;
	l->held = budget ? now->held : -1;
	l->remaining = budget ? now->limit - now->used - now->held : now->remaining;
	l->reset_s = now->reset_s;
}

static enum errc send_rule(struct verbs *v, const struct rows_scope *k, const struct rows_state *s,
			   const struct rows_rule *r)
{
	char text[SCOPE_ROW_RULE_TEXT], models[64];
	struct rows_rule_now now;
	struct scope_row_limit l = {.scope = rows_scope_word(k->kind),
				    .name = k->name,
				    .id = r->id,
				    .shadow = r->shadow || (k->flags & ROWS_SHADOW)};

	rows_rule_look(r, rows_state_counter(s, r), s->holds, clock_boot_ms(), clock_wall_ms(),
		       &now);
	scope_row_stand(&l, r->kind, r->credit, &now);
	rows_rule_models(r, models, sizeof(models));
	l.text = scope_row_rule_text(text, rows_rule_text(r),
				     r->kind == ROWS_BUDGET && r->window.rolling, r->zone, models,
				     l.shadow);
	return scope_row_send(v, &l);
}

enum errc scope_row_limits(struct verbs *v, const struct rows_scope *k, const struct rows_state *s)
{
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < k->limits.n; i++)
		e = send_rule(v, k, s, &k->limits.v[i]);
	return e;
}
