/* Arithmetic of limits over time. Rate windows slide: two buckets, on CLOCK_BOOTTIME. Budget
 * windows are rows on the wall clock, aligned to the calendar of a time zone or rolling, that never
 * go back. Pure: the caller passes the times and
 * stores the structs. */
#ifndef AIGW_WINDOW_H
#define AIGW_WINDOW_H

#include "errc.h"
#include "slice.h"
#include "zone.h"

#define WINDOW_MINUTE_MS INT64_C(60000)
#define WINDOW_DAY_MS    INT64_C(86400000)
/* No count is larger; two of them can be added. */
#define WINDOW_RATE_MAX INT64_C(4000000000000000000)
#define WINDOW_NEVER    INT64_MAX

/* A sliding window of the last `len_ms` milliseconds, the present one among them. Used now = cur +
 * floor(prev * share of the previous bucket that the window still covers). The first bucket begins
 * with the first use after two empty ones, so that a fresh key gets its limit exactly. Zeroed =
 * never used. */
struct window_rate {
	int64_t start_ms; /* of the current bucket */
	int64_t cur, prev;
};

/* What counts as used at `now_ms`. */
int64_t window_rate_used(const struct window_rate *w, int64_t len_ms, int64_t now_ms);
/* Takes n if used + n <= limit; false changes nothing but the passing of time. */
bool window_rate_take(struct window_rate *w, int64_t len_ms, int64_t now_ms, int64_t limit,
		      int64_t n);
/* For estimates: takes n if used < limit, whatever n is. */
bool window_rate_take_open(struct window_rate *w, int64_t len_ms, int64_t now_ms, int64_t limit,
			   int64_t n);
/* The correction at settlement of what was taken at `taken_ms`, in its bucket; never below 0. Where that is older than the previous one, what was
 * taken counts no longer: more than it is used now, when it is known, and less has no effect. */
void window_rate_adjust(struct window_rate *w, int64_t len_ms, int64_t now_ms, int64_t taken_ms,
			int64_t delta);
/* Milliseconds until take(n) could succeed if nobody else takes: 0 = now, WINDOW_NEVER = n > limit.
 */
int64_t window_rate_wait_ms(const struct window_rate *w, int64_t len_ms, int64_t now_ms,
			    int64_t limit, int64_t n);
/* Milliseconds until nothing counts as used any more. */
int64_t window_rate_reset_ms(const struct window_rate *w, int64_t len_ms, int64_t now_ms);

enum window_unit {
#define WINDOW(id, name, rolling_s) WINDOW_##id,
#include "window_tbl.h"
#undef WINDOW
	WINDOW_COUNT
};

struct window_spec {
	enum window_unit unit;
	bool rolling; /* fixed length, opened by the first use after the last one ended; else
			 aligned to the calendar */
	const struct zone *zone; /* whose calendar, borrowed; NULL: UTC. Of no effect when rolling */
	/* Of a spec that was changed: the window that lasted then, which is one with an id from the first of these seconds on,
	 * goes on until the second, when the first window of the new kind begins. 0, 0: never changed. */
	int64_t carry_from_s, carry_until_s;
};

const char *window_unit_name(enum window_unit u);
/* WINDOW_COUNT when there is no such name. */
enum window_unit window_unit_of(struct slice name);

/* One window: its id is the wall second at which it began (0 for total). */
struct window_sum {
	int64_t id;
	int64_t used_nusd, held_nusd;
};

/* Zeroed = never used. */
struct window_budget {
	struct window_sum cur, prev;
};

/* The aligned window around `wall_s`, whatever `rolling` says: its first second, and the first one of the next (WINDOW_NEVER for
 * total). Windows tile the time line: begin <= wall_s < next, and the next one begins at `next`. */
int64_t window_begin_s(struct window_spec spec, int64_t wall_s);
int64_t window_next_s(struct window_spec spec, int64_t wall_s);

/* `to` in place of `from` at `wall_s`: what is used of the window that lasts is not forgotten, else a limit would let through its
 * amount once more with every change. The same as `from` when nothing changes. */
struct window_spec window_change(struct window_spec from, struct window_spec to, int64_t wall_s);

/* What the current window has left under `limit`, without opening one; may be negative after an
 * edit. */
int64_t window_budget_left(const struct window_budget *b, struct window_spec spec, int64_t wall_s,
			   int64_t limit_nusd);
/* Opens a new window if it is time, and holds in it; *id goes into the hold row. False (nothing
 * held): it does not fit. */
bool window_budget_hold(struct window_budget *b, struct window_spec spec, int64_t wall_s,
			int64_t limit_nusd, int64_t hold_nusd, int64_t *id);
/* Turns the hold made in window `id` into the charge, in that window; without effect when it is
 * older than the previous one. */
void window_budget_settle(struct window_budget *b, int64_t id, int64_t hold_nusd,
			  int64_t charge_nusd);
/* The wall second at which the current window ends; WINDOW_NEVER for total; `wall_s` when none is
 * open. */
int64_t window_budget_reset_s(const struct window_budget *b, struct window_spec spec,
			      int64_t wall_s);

#endif
