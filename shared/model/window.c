#include "window.h"

#include "clock.h"
#include "money.h"

/* The year 9999; a clock that shows more is broken. */
#define CALENDAR_END_S INT64_C(253402300799)

/* Rate windows */

static bool is_unused(const struct window_rate *w)
{
	return w->cur == 0 && w->prev == 0;
}

/* The buckets as they stand at `now_ms`. A clock reading a little older than the one that opened the bucket belongs to it. */
static struct window_rate at_time(const struct window_rate *w, int64_t len_ms, int64_t now_ms)
{
	struct window_rate r = *w;

	if (!is_unused(&r) && now_ms - r.start_ms >= len_ms) {
		r.prev = now_ms - r.start_ms < 2 * len_ms ? r.cur : 0;
		r.cur = 0;
		r.start_ms += len_ms;
	}
	if (is_unused(&r))
		r.start_ms = now_ms;
	return r;
}

static int64_t elapsed(const struct window_rate *w, int64_t now_ms)
{
	return MAX_OF(now_ms - w->start_ms, 0);
}

static int64_t used(const struct window_rate *w, int64_t len_ms, int64_t now_ms)
{
	/* Of the bucket before it covers what is behind the same place there. */
	money_wide share = (money_wide)w->prev * (len_ms - 1 - elapsed(w, now_ms)) / len_ms;

	return (int64_t)share + w->cur;
}

int64_t window_rate_used(const struct window_rate *w, int64_t len_ms, int64_t now_ms)
{
	struct window_rate r = at_time(w, len_ms, now_ms);

	return used(&r, len_ms, now_ms);
}

static int64_t clamp(int64_t n)
{
	return n < 0 ? 0 : MIN_OF(n, WINDOW_RATE_MAX);
}

bool window_rate_take(struct window_rate *w, int64_t len_ms, int64_t now_ms, int64_t limit,
		      int64_t n)
{
	struct window_rate r = at_time(w, len_ms, now_ms);

	n = clamp(n);
	if (used(&r, len_ms, now_ms) > clamp(limit) - n)
		return false;
	r.cur = clamp(r.cur + n);
	*w = r;
	return true;
}

bool window_rate_take_open(struct window_rate *w, int64_t len_ms, int64_t now_ms, int64_t limit,
			   int64_t n)
{
	struct window_rate r = at_time(w, len_ms, now_ms);

	if (used(&r, len_ms, now_ms) >= clamp(limit))
		return false;
	r.cur = clamp(r.cur + clamp(n));
	*w = r;
	return true;
}

void window_rate_adjust(struct window_rate *w, int64_t len_ms, int64_t now_ms, int64_t taken_ms,
			int64_t delta)
{
	struct window_rate r = at_time(w, len_ms, now_ms);

	delta = MAX_OF(MIN_OF(delta, WINDOW_RATE_MAX), -WINDOW_RATE_MAX);
	if (taken_ms >= r.start_ms)
		r.cur = clamp(r.cur + delta);
	else if (taken_ms >= r.start_ms - len_ms)
		r.prev = clamp(r.prev + delta);
	else
		r.cur = clamp(r.cur + MAX_OF(delta, 0));
	*w = r;
}

/* How far into a bucket the share of `prev` uses of the bucket before has shrunk to `room`: the first e with
 * floor(prev * (len - 1 - e) / len) <= room, that is len - 1 - e < (room + 1) * len / prev. */
static int64_t shrink_ms(int64_t prev, int64_t room, int64_t len_ms)
{
	money_wide top = ((money_wide)room + 1) * len_ms;

	if (prev <= room)
		return 0;
	return len_ms - (int64_t)((top + prev - 1) / prev);
}

int64_t window_rate_wait_ms(const struct window_rate *w, int64_t len_ms, int64_t now_ms,
			    int64_t limit, int64_t n)
{
	struct window_rate r = at_time(w, len_ms, now_ms);
	int64_t e = elapsed(&r, now_ms), room;

	n = clamp(n);
	limit = clamp(limit);
	if (n > limit)
		return WINDOW_NEVER;
	room = limit - n - r.cur;
	if (room >= 0)
		return MAX_OF(shrink_ms(r.prev, room, len_ms) - e, 0);
	/* Not while this bucket lasts; in the next one its uses shrink. */
	return len_ms - e + shrink_ms(r.cur, limit - n, len_ms);
}

int64_t window_rate_reset_ms(const struct window_rate *w, int64_t len_ms, int64_t now_ms)
{
	struct window_rate r = at_time(w, len_ms, now_ms);
	int64_t e = elapsed(&r, now_ms);

	if (r.cur)
		return len_ms - e + shrink_ms(r.cur, 0, len_ms);
	return MAX_OF(shrink_ms(r.prev, 0, len_ms) - e, 0);
}

/* Budget windows */

static const struct row {
	const char *name;
	int64_t rolling_s;
} rows[WINDOW_COUNT] = {
#define WINDOW(id, name, rolling_s) [WINDOW_##id] = {#name, rolling_s},
#include "window_tbl.h"
#undef WINDOW
};

const char *window_unit_name(enum window_unit u)
{
	return rows[u].name;
}

enum window_unit window_unit_of(struct slice name)
{
	enum window_unit u = 0;

	while (u < WINDOW_COUNT && !slice_is(name, rows[u].name))
		u++;
	return u;
}

/* The first day of the group of `n` months (1, 3, 12) that the day lies in, or of one `later`. */
static int64_t months_day(int64_t day, int n, int later)
{
	int y, m, d;

	clock_date(day, &y, &m, &d);
	m = (m - 1) / n * n + later * n;
	return clock_days(y + m / 12, m % 12 + 1, 1);
}

/* The first day of the window of whole days around a day, or of one `later`. */
static int64_t bound_day(enum window_unit u, int64_t day, int later)
{
	switch (u) {
	case WINDOW_WEEK:
		/* 1970-01-01 was a Thursday; before the first Monday lies the week that began in 1969. */
		return day - (day + 3) % 7 + 7 * later;
	case WINDOW_MONTH:
		return months_day(day, 1, later);
	case WINDOW_QUARTER:
		return months_day(day, 3, later);
	case WINDOW_YEAR:
		return months_day(day, 12, later);
	default:
		return day + later;
	}
}

/* The begin of the window around `wall_s`, or of one `later`. */
static int64_t bound_s(struct window_spec spec, int64_t wall_s, int later)
{
	int64_t t = MIN_OF(MAX_OF(wall_s, 0), CALENDAR_END_S), len_s = rows[spec.unit].rolling_s;

	if (spec.unit == WINDOW_TOTAL)
		return later ? WINDOW_NEVER : 0;
	if (spec.unit == WINDOW_MINUTE || spec.unit == WINDOW_HOUR)
		return later ? zone_tick_next_s(spec.zone, len_s, t)
			     : zone_tick_begin_s(spec.zone, len_s, t);
	return zone_day_begin_s(spec.zone, bound_day(spec.unit, zone_day(spec.zone, t), later));
}

int64_t window_begin_s(struct window_spec spec, int64_t wall_s)
{
	return bound_s(spec, wall_s, 0);
}

int64_t window_next_s(struct window_spec spec, int64_t wall_s)
{
	return bound_s(spec, wall_s, 1);
}

static bool rolls(struct window_spec spec)
{
	return spec.rolling && spec.unit != WINDOW_TOTAL;
}

/* The least id of a window at `wall_s`: one that was over when the kind of window changed stays over, also where the new kind is
 * longer. */
static int64_t first_id(struct window_spec spec, int64_t wall_s)
{
	return MAX_OF(rolls(spec) ? wall_s : window_begin_s(spec, wall_s),
		      wall_s < spec.carry_until_s ? spec.carry_from_s : 0);
}

struct window_spec window_change(struct window_spec from, struct window_spec to, int64_t wall_s)
{
	if (to.unit == from.unit && to.rolling == from.rolling && to.zone == from.zone)
		return from;
	if (wall_s < from.carry_until_s)
		to.carry_from_s = from.carry_from_s;
	else if (rolls(from))
		to.carry_from_s = MAX_OF(wall_s - rows[from.unit].rolling_s + 1, 0);
	else
		to.carry_from_s = window_begin_s(from, wall_s);
	to.carry_until_s = rolls(to) ? wall_s + rows[to.unit].rolling_s : window_next_s(to, wall_s);
	return to;
}

/* Whether the current window is one that lasted, or was opened, while the change's time runs. */
static bool is_carried(const struct window_budget *b, struct window_spec spec)
{
	return b->cur.id >= spec.carry_from_s && b->cur.id < spec.carry_until_s &&
	       (b->cur.id || b->cur.used_nusd || b->cur.held_nusd);
}

/* When the current window, which rolls, is over; 0: none was opened. */
static int64_t rolled_s(const struct window_budget *b, struct window_spec spec)
{
	return b->cur.id && b->cur.id >= spec.carry_from_s ? b->cur.id + rows[spec.unit].rolling_s
							   : 0;
}

/* The id that a use at `wall_s` belongs to: never lower than the one there is. */
static int64_t id_now(const struct window_budget *b, struct window_spec spec, int64_t wall_s)
{
	if (wall_s < spec.carry_until_s && is_carried(b, spec))
		return b->cur.id;
	if (rolls(spec) && wall_s < rolled_s(b, spec))
		return b->cur.id;
	return MAX_OF(b->cur.id, first_id(spec, wall_s));
}

static struct window_budget at_wall(const struct window_budget *b, struct window_spec spec,
				    int64_t wall_s)
{
	struct window_budget r = *b;
	int64_t id = id_now(b, spec, wall_s);

	if (id > b->cur.id) {
		r.prev = b->cur;
		r.cur = (struct window_sum){.id = id};
	}
	return r;
}

static int64_t left(const struct window_budget *b, int64_t limit_nusd)
{
	return limit_nusd - b->cur.used_nusd - b->cur.held_nusd;
}

int64_t window_budget_left(const struct window_budget *b, struct window_spec spec, int64_t wall_s,
			   int64_t limit_nusd)
{
	struct window_budget r = at_wall(b, spec, wall_s);

	return left(&r, limit_nusd);
}

bool window_budget_hold(struct window_budget *b, struct window_spec spec, int64_t wall_s,
			int64_t limit_nusd, int64_t hold_nusd, int64_t *id)
{
	struct window_budget r = at_wall(b, spec, wall_s);

	if (hold_nusd < 0 || hold_nusd > left(&r, limit_nusd))
		return false;
	r.cur.held_nusd += hold_nusd;
	*id = r.cur.id;
	*b = r;
	return true;
}

void window_budget_settle(struct window_budget *b, int64_t id, int64_t hold_nusd,
			  int64_t charge_nusd)
{
	struct window_sum *s = b->cur.id == id ? &b->cur : b->prev.id == id ? &b->prev : NULL;

	if (!s)
		return;
	s->held_nusd = MAX_OF(s->held_nusd - hold_nusd, 0);
	if (!money_add(s->used_nusd, charge_nusd, &s->used_nusd))
		s->used_nusd = MONEY_NUSD_MAX;
}

int64_t window_budget_reset_s(const struct window_budget *b, struct window_spec spec, int64_t wall_s)
{
	int64_t carried_s = is_carried(b, spec) ? spec.carry_until_s : 0;

	if (spec.unit == WINDOW_TOTAL)
		return WINDOW_NEVER;
	if (!rolls(spec))
		return MAX_OF(window_next_s(spec, MAX_OF(wall_s, b->cur.id)), carried_s);
	return MAX_OF(MAX_OF(rolled_s(b, spec), wall_s), carried_s);
}
