#include "world.h"

#include <time.h>

#define DAY_S  INT64_C(86400)
#define HOUR_S INT64_C(3600)

/* --- days --- */

/* The n-th Sunday of a month, and then this hour of UTC. */
static int64_t sunday_s(int year, int month, int n, int hour)
{
	struct tm t = {.tm_year = year, .tm_mon = month, .tm_mday = 1, .tm_hour = hour};

	(void)timegm(&t); /* tells the weekday */
	t.tm_mday += (7 - t.tm_wday) % 7 + 7 * (n - 1);
	return timegm(&t);
}

/* Seconds that New York is behind UTC. */
static int64_t behind_s(int64_t wall_s)
{
	time_t at = (time_t)wall_s;
	struct tm t;

	gmtime_r(&at, &t);
	return wall_s >= sunday_s(t.tm_year, 2, 2, 7) && wall_s < sunday_s(t.tm_year, 10, 1, 6)
		       ? 4 * HOUR_S
		       : 5 * HOUR_S;
}

/* When the day began. */
static int64_t begin_s(const struct rows_rule *r, int64_t wall_s)
{
	int64_t local = wall_s - (r->zone.n ? behind_s(wall_s) : 0),
		midnight = local - local % DAY_S;

	/* The clock changes after midnight: what counts then is how far behind it is at midnight. */
	return r->zone.n ? midnight + behind_s(midnight + 5 * HOUR_S) : midnight;
}

struct use *world_use_known(struct model_scope *s, uint32_t id)
{
	struct use *u = &s->use[id % WORLD_IDS];

	return u->id == id ? u : NULL;
}

struct use *world_use(struct model_scope *s, uint32_t id)
{
	struct use *u = &s->use[id % WORLD_IDS];

	if (u->id != id)
		*u = (struct use){.id = id};
	return u;
}

/* While the window of before the last change of its kind goes on, one that lasted then counts, and none that was over. */
int64_t world_window_of(const struct rows_rule *r, const struct use *u)
{
	int64_t open = u->n ? u->w[0].id : 0, now = world_now_s(),
		len_s = r->window.unit == WINDOW_HOUR ? HOUR_S : DAY_S;
	bool changed = now < r->window.carry_until_s, lasts = open >= r->window.carry_from_s;
	int64_t least = changed ? r->window.carry_from_s : 0;

	if (changed && lasts && u->n && (open || u->w[0].used || u->w[0].held))
		return open;
	if (r->window.unit == WINDOW_TOTAL)
		return MAX_OF(open, least);
	if (!r->window.rolling)
		return MAX_OF(open, MAX_OF(begin_s(r, now), least));
	return open && lasts && now < open + len_s ? open : MAX_OF(open, MAX_OF(now, least));
}

struct model_window *world_use_find(struct use *u, int64_t window)
{
	for (size_t i = 0; i < u->n; i++) {
		if (u->w[i].id == window)
			return &u->w[i];
	}
	return NULL;
}

struct model_window world_look(const struct use *u, int64_t window)
{
	for (size_t i = 0; i < u->n; i++) {
		if (u->w[i].id == window)
			return u->w[i];
	}
	return (struct model_window){.id = window};
}

struct model_window *world_use_open(struct use *u, int64_t window)
{
	struct model_window *w = world_use_find(u, window);

	if (w)
		return w;
	u->n = MIN_OF(u->n + 1, (size_t)WORLD_WINDOWS);
	memmove(&u->w[1], &u->w[0], (u->n - 1) * sizeof *u->w);
	u->w[0] = (struct model_window){.id = window};
	return &u->w[0];
}

/* --- limits over time --- */

int64_t world_use_len_ms(enum rows_limit kind)
{
	return kind == ROWS_RPM || kind == ROWS_TPM ? 60 * 1000 : DAY_S * 1000;
}

bool world_use_is_tokens(enum rows_limit kind)
{
	return kind == ROWS_TPM || kind == ROWS_TPD;
}

/* The bucket after the one that is over begins where that ended; where there was no use in the last two, with the next use. */
struct model_rate world_use_rate(const struct use *u, int64_t len)
{
	struct model_rate r = u->rate;
	int64_t past = (world.r.boot_ms - r.start_ms) / len;

	if (past == 1)
		r = (struct model_rate){r.start_ms + len, 0, r.now};
	if (past > 1)
		r.now = r.before = 0;
	if (r.now == 0 && r.before == 0)
		r.start_ms = world.r.boot_ms;
	return r;
}

int64_t world_use_sum(const struct model_rate *r, int64_t len)
{
	return r->now + r->before * (len - 1 - (world.r.boot_ms - r->start_ms)) / len;
}

int64_t world_rate_used(const struct rows_rule *r, const struct use *u)
{
	struct model_rate now = world_use_rate(u, world_use_len_ms(r->kind));

	return world_use_sum(&now, world_use_len_ms(r->kind));
}

void world_use_correct(struct use *u, enum rows_limit kind, int64_t taken_ms, int64_t more)
{
	int64_t len = world_use_len_ms(kind);
	struct model_rate r = world_use_rate(u, len);

	if (more == 0)
		return;
	if (taken_ms >= r.start_ms)
		r.now = MAX_OF(r.now + more, 0);
	else if (taken_ms >= r.start_ms - len)
		r.before = MAX_OF(r.before + more, 0);
	else
		r.now += MAX_OF(more, 0);
	u->rate = r;
}

/* With its raise. */
int64_t world_limit_of(const struct rows_rule *r, const struct use *u)
{
	int64_t from = r->raise_by_window ? world_window_of(r, u) : world_now_s();

	return r->limit + (r->raise_until_s == 0 || from < r->raise_until_s ? r->raise : 0);
}
