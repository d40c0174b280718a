#include "rows_priv.h"

/* The fixed part, without padding; the counters follow, each its kind and packed numbers, of which the rule's id is the first. */
struct state_v1 {
	uint8_t version, counters_n;
	uint16_t noted;
	uint32_t holds;
	uint64_t requests, tokens;
	int64_t charged, used_s;
};
_Static_assert(sizeof(struct state_v1) == 40, "layout of stored rows");

#define NUMBERS_MAX   7    /* of a counter */
#define OF_ALL        0x80 /* beside the kind */
#define COUNTER_BYTES (1 + ROWS_PACKED_MAX(NUMBERS_MAX))

_Static_assert(ROWS_COUNTERS_MAX <= UINT8_MAX, "how many counters there are is told in a byte");
_Static_assert(sizeof(struct state_v1) + ROWS_COUNTERS_MAX * COUNTER_BYTES <= ROWS_MAX,
	       "a row has room for all counters");

static const uint8_t budget_least[] = {1, 4, 5, 4, 0, 0, 0}, rate_least[] = {1, 4, 2, 2},
		     running_least[] = {1, 1};

/* How many bytes. */
static size_t put_counter(uint8_t *to, const struct rows_counter *c)
{
	*to++ = (uint8_t)(c->kind | (c->of_all ? OF_ALL : 0));
	if (c->kind == ROWS_BUDGET) {
		const struct window_budget *b = &c->budget;
		const int64_t v[] = {
			c->id,      b->cur.id,         b->cur.used_nusd, b->cur.held_nusd,
			b->prev.id, b->prev.used_nusd, b->prev.held_nusd};

		return 1 + rows_pack(to, v, budget_least, ARRAY_LEN(v));
	}
	if (c->kind == ROWS_CONCURRENCY)
		return 1 + rows_pack(to, (const int64_t[]){c->id, c->running}, running_least, 2);
	return 1 + rows_pack(to,
			     (const int64_t[]){c->id, c->rate.start_ms, c->rate.cur, c->rate.prev},
			     rate_least, 4);
}

static bool is_within(int64_t n, int64_t min, int64_t max)
{
	return n >= min && n <= max;
}

static bool is_sum(const struct window_sum *s)
{
	return is_within(s->id, 0, INT64_MAX / 2) &&
	       is_within(s->used_nusd, -MONEY_NUSD_MAX, MONEY_NUSD_MAX) &&
	       is_within(s->held_nusd, 0, MONEY_NUSD_MAX);
}

static bool is_rate(const struct window_rate *w)
{
	return is_within(w->start_ms, 0, INT64_MAX / 2) && is_within(w->cur, 0, WINDOW_RATE_MAX) &&
	       is_within(w->prev, 0, WINDOW_RATE_MAX);
}

static bool get_counter(struct rows_reader *r, struct rows_counter *c)
{
	int64_t v[NUMBERS_MAX];
	uint8_t kind;
	size_t n;

	if (!rows_take(r, &kind, sizeof kind))
		return false;
	c->of_all = kind & OF_ALL;
	c->kind = (enum rows_limit)(kind & ~OF_ALL);
	n = c->kind == ROWS_BUDGET ? 7 : c->kind == ROWS_CONCURRENCY ? 2 : 4;
	if (!rows_unpack(r, v, n) || !is_within(v[0], 0, UINT32_MAX))
		return false;
	c->id = (uint32_t)v[0];
	if (c->kind == ROWS_BUDGET) {
		c->budget = (struct window_budget){{v[1], v[2], v[3]}, {v[4], v[5], v[6]}};
		return is_sum(&c->budget.cur) && is_sum(&c->budget.prev);
	}
	if (c->kind == ROWS_CONCURRENCY) {
		c->running = v[1];
		return is_within(c->running, 0, UINT32_MAX);
	}
	c->rate = (struct window_rate){v[1], v[2], v[3]};
	return c->kind < ROWS_LIMIT_COUNT && is_rate(&c->rate);
}

enum errc rows_put_state(struct buf *out, const struct rows_state *s)
{
	struct state_v1 v = {.version = ROWS_VERSION,
			     .counters_n = (uint8_t)s->n,
			     .noted = s->noted,
			     .holds = s->holds,
			     .requests = s->requests,
			     .tokens = s->tokens,
			     .charged = s->charged_nusd,
			     .used_s = s->used_s};
	size_t n = sizeof v;
	char *row;
	enum errc rc;

	if (s->n > ROWS_COUNTERS_MAX)
		return ERRC_LIMIT;
	rc = buf_reserve(out, sizeof v + s->n * COUNTER_BYTES, &row);
	if (rc)
		return rc;
	memcpy(row, &v, sizeof v);
	for (size_t i = 0; i < s->n; i++)
		n += put_counter((uint8_t *)row + n, &s->counters[i]);
	buf_commit(out, n);
	return ERRC_OK;
}

enum errc rows_get_state(struct slice bytes, struct rows_state *s)
{
	struct state_v1 v;
	struct rows_reader r;
	enum errc rc = rows_take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	if (v.counters_n > ROWS_COUNTERS_MAX)
		return ERRC_CORRUPT;
	s->noted = v.noted;
	s->holds = v.holds;
	s->requests = v.requests;
	s->tokens = v.tokens;
	s->charged_nusd = v.charged;
	s->used_s = v.used_s;
	s->n = v.counters_n;
	for (size_t i = 0; i < s->n; i++) {
		if (!get_counter(&r, &s->counters[i]))
			return ERRC_CORRUPT;
	}
	return r.left == 0 ? ERRC_OK : ERRC_CORRUPT;
}

void rows_state_init(struct rows_state *s)
{
	memset(s, 0, offsetof(struct rows_state, counters));
}

const struct rows_counter *rows_state_counter(const struct rows_state *s, const struct rows_rule *r)
{
	for (size_t i = 0; i < s->n; i++) {
		if (s->counters[i].id == r->id && s->counters[i].kind == r->kind)
			return &s->counters[i];
	}
	return NULL;
}

static bool has_rule(const struct rows_limits *l, uint32_t id)
{
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].id == id)
			return true;
	}
	return false;
}

/* Those for all users, behind the `n` that hold now. */
static size_t keep_others(const struct rows_state *s, const struct rows_limits *l,
			  struct rows_counter *to, size_t n)
{
	for (size_t i = 0; i < s->n && n < ROWS_COUNTERS_MAX; i++) {
		if (s->counters[i].of_all && !has_rule(l, s->counters[i].id))
			to[n++] = s->counters[i];
	}
	return n;
}

static bool is_aligned(const struct rows_state *s, const struct rows_limits *l, bool of_all)
{
	bool same = of_all ? s->n == l->n : s->n >= l->n;

	for (size_t i = 0; same && i < l->n; i++)
		same = s->counters[i].id == l->v[i].id && s->counters[i].kind == l->v[i].kind;
	for (size_t i = l->n; same && i < s->n; i++)
		same = s->counters[i].of_all;
	return same;
}

/* Apart, for it is not often that rules have changed, and all counters there may be take much of the stack. */
static __attribute__((noinline)) void align(struct rows_state *s, const struct rows_limits *l,
					    bool of_all)
{
	struct rows_counter fresh[ROWS_COUNTERS_MAX];
	size_t n = l->n;

	for (size_t i = 0; i < l->n; i++) {
		const struct rows_counter *c = rows_state_counter(s, &l->v[i]);

		fresh[i] = c ? *c
			     : (struct rows_counter){
				       .id = l->v[i].id, .kind = l->v[i].kind, .of_all = of_all};
	}
	if (!of_all)
		n = keep_others(s, l, fresh, n);
	if (n)
		memcpy(s->counters, fresh, n * sizeof *fresh);
	s->n = n;
}

void rows_state_align(struct rows_state *s, const struct rows_limits *l, bool of_all)
{
	if (!is_aligned(s, l, of_all))
		align(s, l, of_all);
}
