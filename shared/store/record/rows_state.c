#include "rows_priv.h"

/* The fixed part, without padding; the counters follow, each a head and its numbers. */
struct state_v1 {
	uint8_t version, counters_n;
	uint16_t reserved;
	uint32_t holds;
	uint64_t requests, tokens;
	int64_t charged, used_s;
};
_Static_assert(sizeof(struct state_v1) == 40, "layout of stored rows");

struct counter_v1 {
	uint32_t id;
	uint8_t kind, of_all, reserved[2];
};
_Static_assert(sizeof(struct counter_v1) == 8, "layout of stored rows");

static enum errc put_counter(struct buf *out, const struct rows_counter *c)
{
	struct {
		struct counter_v1 head;
		int64_t v[6];
	} v = {.head = {.id = c->id, .kind = (uint8_t)c->kind, .of_all = c->of_all}};
	const struct window_budget *b = &c->budget;
	size_t n;

	if (c->kind == ROWS_BUDGET) {
		const int64_t six[] = {b->cur.id,  b->cur.used_nusd,  b->cur.held_nusd,
				       b->prev.id, b->prev.used_nusd, b->prev.held_nusd};

		memcpy(v.v, six, sizeof six);
		n = 6;
	} else if (c->kind == ROWS_CONCURRENCY) {
		v.v[0] = c->running;
		n = 1;
	} else {
		const int64_t three[] = {c->rate.start_ms, c->rate.cur, c->rate.prev};

		memcpy(v.v, three, sizeof three);
		n = 3;
	}
	return buf_add(out, &v, sizeof v.head + n * sizeof *v.v);
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
	struct counter_v1 head;
	int64_t v[6];

	if (!rows_take(r, &head, sizeof head) || head.of_all > 1 || head.reserved[0] ||
	    head.reserved[1])
		return false;
	c->id = head.id;
	c->kind = (enum rows_limit)head.kind;
	c->of_all = head.of_all == 1;
	if (c->kind == ROWS_BUDGET) {
		if (!rows_take(r, v, 6 * sizeof *v))
			return false;
		c->budget = (struct window_budget){{v[0], v[1], v[2]}, {v[3], v[4], v[5]}};
		return is_sum(&c->budget.cur) && is_sum(&c->budget.prev);
	}
	if (c->kind == ROWS_CONCURRENCY)
		return rows_take(r, &c->running, sizeof c->running) &&
		       is_within(c->running, 0, UINT32_MAX);
	if (c->kind >= ROWS_LIMIT_COUNT || !rows_take(r, v, 3 * sizeof *v))
		return false;
	c->rate = (struct window_rate){v[0], v[1], v[2]};
	return is_rate(&c->rate);
}

enum errc rows_put_state(struct buf *out, const struct rows_state *s)
{
	struct state_v1 v = {.version = ROWS_VERSION,
			     .counters_n = (uint8_t)s->n,
			     .holds = s->holds,
			     .requests = s->requests,
			     .tokens = s->tokens,
			     .charged = s->charged_nusd,
			     .used_s = s->used_s};
	enum errc rc;

	if (s->n > ROWS_COUNTERS_MAX)
		return ERRC_LIMIT;
	rc = buf_add(out, &v, sizeof v);
	for (size_t i = 0; !rc && i < s->n; i++)
		rc = put_counter(out, &s->counters[i]);
	return rc;
}

enum errc rows_get_state(struct slice bytes, struct rows_state *s)
{
	struct state_v1 v;
	struct rows_reader r;
	enum errc rc = rows_take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	if (v.counters_n > ROWS_COUNTERS_MAX || v.reserved != 0)
		return ERRC_CORRUPT;
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

void rows_state_align(struct rows_state *s, const struct rows_limits *l, bool of_all)
{
	struct rows_counter fresh[ROWS_COUNTERS_MAX];
	size_t n = l->n;

	if (is_aligned(s, l, of_all))
		return;
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
