#include "rows.h"

#define REQUESTS false
#define TOKENS   true
static const struct kind {
	const char *word, *text;
	bool tokens;
	int64_t len_ms;
} kinds[ROWS_LIMIT_END] = {
#define LIMIT_ROW(id, name, text, counts, len_ms) [ROWS_##id] = {#name, text, counts, len_ms},
#include "limits_tbl.h"
#undef LIMIT_ROW
	[ROWS_CONCURRENCY] = {"concurrency", "requests at once", false, 0},
	[ROWS_BUDGET] = {"budget", "budget", false, 0},
};

static const char *const budget_texts[] = {
#define WINDOW(id, name, rolling_s) "budget per " #name,
#include "window_tbl.h"
#undef WINDOW
};

void rows_limits_init(struct rows_limits *l)
{
	l->n = 0;
	l->last_id = 0;
}

struct rows_rule *rows_limits_add(struct rows_limits *l, enum rows_limit kind, int64_t limit)
{
	struct rows_rule *r = &l->v[l->n];

	if (l->n == ROWS_RULES_MAX || l->last_id == ROWS_RULE_ID_MAX)
		return NULL;
	l->n++;
	*r = (struct rows_rule){
		.id = ++l->last_id, .kind = kind, .limit = limit, .window = {.unit = WINDOW_MONTH}};
	return r;
}

void rows_limits_remove(struct rows_limits *l, uint32_t id)
{
	size_t to = 0;

	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id != id)
			l->v[to++] = l->v[i];
	}
	l->n = to;
}

struct rows_rule *rows_limits_by_id(struct rows_limits *l, uint32_t id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id == id)
			return &l->v[i];
	}
	return NULL;
}

static bool is_plain(const struct rows_rule *r, enum rows_limit kind)
{
	return r->kind == kind && !r->credit && !r->shadow && r->models.n == 0;
}

struct rows_rule *rows_limits_find(struct rows_limits *l, enum rows_limit kind)
{
	for (size_t i = 0; i < l->n; i++) {
		if (is_plain(&l->v[i], kind))
			return &l->v[i];
	}
	return NULL;
}

struct rows_rule *rows_limits_credit(struct rows_limits *l)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].credit && !l->v[i].shadow && l->v[i].models.n == 0)
			return &l->v[i];
	}
	return NULL;
}

int64_t rows_limits_get(const struct rows_limits *l, enum rows_limit kind)
{
	for (size_t i = 0; i < l->n; i++) {
		if (is_plain(&l->v[i], kind))
			return l->v[i].limit;
	}
	return ROWS_NO_LIMIT;
}

enum errc rows_limits_set(struct rows_limits *l, enum rows_limit kind, int64_t limit)
{
	struct rows_rule *r = rows_limits_find(l, kind);

	if (limit == ROWS_NO_LIMIT) {
		if (r)
			rows_limits_remove(l, r->id);
		return ERRC_OK;
	}
	if (!r)
		r = rows_limits_add(l, kind, limit);
	if (!r)
		return ERRC_LIMIT;
	r->limit = limit;
	return ERRC_OK;
}

static bool may_be_credit(const struct rows_rule *r)
{
	return r->kind == ROWS_BUDGET && r->window.unit == WINDOW_TOTAL && r->zone.n == 0 &&
	       r->raise_until_s == 0;
}

size_t rows_limits_patterns(const struct rows_limits *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->v[i].models.n;
	return n;
}

static bool is_repeated(const struct rows_limits *l, size_t rule)
{
	for (size_t i = 0; i < rule; i++) {
		if (l->v[i].id == l->v[rule].id)
			return true;
	}
	return false;
}

static bool may_raise_by_window(const struct rows_rule *r)
{
	return r->kind == ROWS_BUDGET && r->window.unit != WINDOW_TOTAL && r->raise_until_s > 0;
}

bool rows_limits_are_valid(const struct rows_limits *l)
{
	size_t patterns = 0;
	uint32_t last = 0;

	if (l->n > ROWS_RULES_MAX)
		return false;
	for (size_t i = 0; i < l->n; i++) {
		const struct rows_rule *r = &l->v[i];

		if (!rows_limit_word(r->kind) || r->limit < 0 || r->limit > MONEY_NUSD_MAX ||
		    r->raise < 0 || r->raise > MONEY_NUSD_MAX || r->raise_until_s < 0 ||
		    r->window.unit >= WINDOW_COUNT || r->window.carry_from_s < 0 ||
		    r->window.carry_until_s < 0 || r->id == 0 || r->id > l->last_id ||
		    (r->window.rolling && r->window.unit == WINDOW_TOTAL) ||
		    (r->raise_by_window && !may_raise_by_window(r)) ||
		    (r->credit && !may_be_credit(r)))
			return false;
		/* Rules stand in the order of their ids, and then no two are looked at. */
		if (r->id <= last && is_repeated(l, i))
			return false;
		last = MAX_OF(last, r->id);
		patterns += r->models.n;
	}
	return patterns <= ROWS_PATTERNS_MAX;
}

const char *rows_limit_word(enum rows_limit kind)
{
	return (size_t)kind < ARRAY_LEN(kinds) ? kinds[kind].word : NULL;
}

const char *rows_rule_text(const struct rows_rule *r)
{
	if (r->credit)
		return "credit";
	if (r->kind != ROWS_BUDGET)
		return rows_limit_word(r->kind) ? kinds[r->kind].text : "unknown";
	return r->window.unit == WINDOW_TOTAL || r->window.unit >= WINDOW_COUNT
		       ? "budget in total"
		       : budget_texts[r->window.unit];
}

bool rows_limit_is_tokens(enum rows_limit kind)
{
	return (size_t)kind < ARRAY_LEN(kinds) && kinds[kind].tokens;
}

int64_t rows_limit_len_ms(enum rows_limit kind)
{
	require(kind < ROWS_LIMIT_COUNT);
	return kinds[kind].len_ms;
}

void rows_rule_models(const struct rows_rule *r, char *out, size_t size)
{
	struct slice rest = r->models, line;
	size_t n = 0;

	while (rest.n) {
		(void)slice_cut(&rest, '\n', &line);
		if (line.n == 0)
			continue;
		if (n + line.n + 3 > size)
			break;
		if (n) {
			memcpy(out + n, ", ", 2);
			n += 2;
		}
		memcpy(out + n, line.p, line.n);
		n += line.n;
	}
	out[n] = '\0';
}

bool rows_rule_matches(const struct rows_rule *r, struct slice model)
{
	return r->models.n == 0 || rows_models_allow(r->models, model);
}

void rows_rule_set_window(struct rows_rule *r, struct window_spec to, int64_t wall_s)
{
	struct window_spec was = r->window;

	r->window = window_change(was, to, wall_s);
	if (!r->raise_by_window ||
	    (to.unit == was.unit && to.rolling == was.rolling && to.zone == was.zone))
		return;
	if (to.unit == WINDOW_TOTAL)
		r->raise_by_window = false;
	else
		r->raise_until_s = MIN_OF(r->raise_until_s, r->window.carry_until_s);
}

int64_t rows_rule_window(const struct rows_rule *r, const struct rows_counter *c, int64_t wall_s)
{
	struct window_budget b = {0};
	int64_t id = 0;

	if (c)
		b = c->budget;
	return window_budget_hold(&b, r->window, wall_s, INT64_MAX, 0, &id) ? id : wall_s;
}

int64_t rows_rule_limit_at(const struct rows_rule *r, int64_t begun_s, int64_t wall_s)
{
	int64_t at = r->raise_by_window ? begun_s : wall_s;

	if (r->raise == 0 || (r->raise_until_s != 0 && at >= r->raise_until_s))
		return r->limit;
	return MIN_OF(r->limit + r->raise, MONEY_NUSD_MAX);
}

int64_t rows_rule_limit(const struct rows_rule *r, const struct rows_counter *c, int64_t wall_s)
{
	int64_t begun_s = r->raise && r->raise_by_window ? rows_rule_window(r, c, wall_s) : 0;

	return rows_rule_limit_at(r, begun_s, wall_s);
}

static void look_at_budget(const struct rows_rule *r, const struct rows_counter *c, int64_t wall_ms,
			   struct rows_rule_now *out)
{
	static const struct window_budget none;
	const struct window_budget *b = c ? &c->budget : &none;
	int64_t wall_s = wall_ms / 1000, reset_s = window_budget_reset_s(b, r->window, wall_s);
	/* What is left of nothing is minus what is taken: exact also when the window of the counter is over. */
	int64_t taken = -window_budget_left(b, r->window, wall_s, 0);

	if (taken == b->cur.used_nusd + b->cur.held_nusd)
		out->held = b->cur.held_nusd;
	out->used = taken - out->held;
	out->remaining = MAX_OF(out->limit - taken, 0);
	out->reset_ms = reset_s == WINDOW_NEVER ? WINDOW_NEVER : MAX_OF(reset_s * 1000 - wall_ms, 0);
	out->reset_s = out->reset_ms > 0 ? reset_s : 0;
}

void rows_rule_look(const struct rows_rule *r, const struct rows_counter *c, uint32_t holds,
		    int64_t boot_ms, int64_t wall_ms, struct rows_rule_now *out)
{
	*out = (struct rows_rule_now){.limit = rows_rule_limit(r, c, wall_ms / 1000)};
	out->raise = out->limit - r->limit;
	out->raise_until_s = out->raise > 0 ? r->raise_until_s : 0;
	if (r->kind == ROWS_BUDGET) {
		look_at_budget(r, c, wall_ms, out);
		return;
	}
	if (r->kind == ROWS_CONCURRENCY) {
		out->used = r->models.n == 0 ? holds : c ? c->running : 0;
	} else if (c) {
		int64_t len_ms = rows_limit_len_ms(r->kind);

		out->used = window_rate_used(&c->rate, len_ms, boot_ms);
		out->reset_ms = window_rate_reset_ms(&c->rate, len_ms, boot_ms);
		out->reset_s = out->reset_ms > 0 ? (wall_ms + out->reset_ms + 999) / 1000 : 0;
	}
	out->remaining = MAX_OF(out->limit - out->used, 0);
}

bool rows_counter_is_idle(const struct rows_counter *c, const struct rows_rule *r, int64_t boot_ms,
			  int64_t wall_s)
{
	if (c->kind == ROWS_CONCURRENCY)
		return c->running == 0;
	if (c->kind == ROWS_BUDGET)
		return c->budget.prev.held_nusd == 0 &&
		       window_budget_left(&c->budget, r->window, wall_s, 0) == 0;
	return window_rate_used(&c->rate, rows_limit_len_ms(c->kind), boot_ms) == 0;
}
