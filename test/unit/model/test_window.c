#include "window.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <time.h>

#include "clock.h"
#include "fault.h"
#include "text.h"

#define MINUTE WINDOW_MINUTE_MS

/* A limit of 1,000 a minute under 5,000 a minute admits exactly 1,000 in every window. */
static void test_exact_under_load(void **state)
{
	for (int64_t start = 1; start < 200000; start += 17341) {
		struct window_rate w = {0};
		int admitted[10] = {0};

		for (int64_t t = 0; t < 10 * MINUTE; t += 12)
			admitted[t / MINUTE] += window_rate_take(&w, MINUTE, start + t, 1000, 1);
		for (int i = 0; i < 10; i++)
			assert_int_equal(admitted[i], 1000);
	}
}

/* The same with a burst at once: the limit is not passed within the first window, whatever came before. */
static void test_burst(void **state)
{
	struct window_rate w = {0};
	int admitted = 0;

	for (int i = 0; i < 5000; i++)
		admitted += window_rate_take(&w, MINUTE, 777, 1000, 1);
	assert_int_equal(admitted, 1000);
	assert_false(window_rate_take(&w, MINUTE, 777 + MINUTE - 1, 1000, 1));
	assert_int_equal(window_rate_used(&w, MINUTE, 777 + MINUTE), 999);
	assert_int_equal(window_rate_used(&w, MINUTE, 777 + MINUTE + MINUTE / 4 - 1), 750);
	assert_int_equal(window_rate_used(&w, MINUTE, 777 + 2 * MINUTE), 0);
	/* After two empty buckets a window begins with its first use. */
	assert_true(window_rate_take(&w, MINUTE, 777 + 5 * MINUTE + 5, 1000, 1));
	assert_int_equal(w.start_ms, 777 + 5 * MINUTE + 5);
}

/* One a minute, asked again at once, has to wait a minute and not a millisecond more: up to then a client is told to retry. */
static void test_one_a_minute(void **state)
{
	struct window_rate w = {0};
	struct fault f = {.kind = FAULT_RATE_LIMIT};

	assert_true(window_rate_take(&w, MINUTE, 777, 1, 1));
	f.retry_after_ms = window_rate_wait_ms(&w, MINUTE, 777, 1, 1);
	assert_int_equal(f.retry_after_ms, MINUTE);
	assert_true(fault_should_retry(&f));
	assert_int_equal(window_rate_reset_ms(&w, MINUTE, 777), MINUTE);
	assert_false(window_rate_take(&w, MINUTE, 777 + MINUTE - 1, 1, 1));
	assert_true(window_rate_take(&w, MINUTE, 777 + MINUTE, 1, 1));
	/* Nor does any other limit of requests wait longer. */
	for (int64_t limit = 2; limit < 2000; limit++) {
		w = (struct window_rate){0};
		for (int64_t i = 0; i < limit; i++)
			assert_true(window_rate_take(&w, MINUTE, 777, limit, 1));
		assert_in_range(window_rate_wait_ms(&w, MINUTE, 777, limit, 1), 1, MINUTE);
	}
}

static void test_two_clocks_readings_apart(void **state)
{
	struct window_rate w = {0};

	assert_true(window_rate_take(&w, MINUTE, 1000, 2, 1));
	assert_true(window_rate_take(&w, MINUTE, 990, 2, 1));
	assert_false(window_rate_take(&w, MINUTE, 995, 2, 1));
	assert_int_equal(w.start_ms, 1000);
}

/* wait_ms is the first millisecond at which take succeeds; reset_ms the first at which nothing is used. */
static void test_wait_is_exact(void **state)
{
	struct text_rng rng = {{9, 10}};

	for (int round = 0; round < 3000; round++) {
		int64_t len = 50 + (int64_t)(text_rng_next(&rng) % 300),
			limit = 1 + (int64_t)(text_rng_next(&rng) % 40);
		int64_t now = 1000, wait, reset;
		struct window_rate w = {0};

		for (int i = 0; i < 60; i++, now += (int64_t)(text_rng_next(&rng) % 20)) {
			int64_t n = (int64_t)(text_rng_next(&rng) % (uint64_t)(limit + 2));
			struct window_rate before = w;

			wait = window_rate_wait_ms(&w, len, now, limit, n);
			if (n > limit) {
				assert_true(wait == WINDOW_NEVER);
				continue;
			}
			assert_in_range(wait, 0, 2 * len);
			for (int64_t t = 0; t < wait; t++)
				assert_false(window_rate_take(&w, len, now + t, limit, n));
			assert_memory_equal(&w, &before, sizeof w);
			assert_true(window_rate_take(&before, len, now + wait, limit, n));
			reset = window_rate_reset_ms(&w, len, now);
			assert_int_equal(window_rate_used(&w, len, now + reset), 0);
			if (reset)
				assert_true(window_rate_used(&w, len, now + reset - 1) > 0);
			(void)window_rate_take(&w, len, now, limit, n);
		}
	}
}

static void test_tokens(void **state)
{
	struct window_rate w = {0};

	assert_true(window_rate_take_open(&w, MINUTE, 100, 1000, 900));
	assert_true(window_rate_take_open(&w, MINUTE, 200, 1000, 5000));
	assert_false(window_rate_take_open(&w, MINUTE, 300, 1000, 1));
	assert_int_equal(window_rate_used(&w, MINUTE, 300), 5900);
	window_rate_adjust(&w, MINUTE, 400, 200, -4950);
	assert_true(window_rate_take_open(&w, MINUTE, 500, 1000, 1));
	/* What was taken in the bucket before is corrected there. */
	window_rate_adjust(&w, MINUTE, 100 + MINUTE, 200, -451);
	assert_int_equal(w.prev, 500);
	assert_int_equal(w.cur, 0);
	window_rate_adjust(&w, MINUTE, 100 + MINUTE, 100 + MINUTE, 7);
	assert_int_equal(w.cur, 7);
	/* Never below zero. */
	window_rate_adjust(&w, MINUTE, 200 + MINUTE, 200 + MINUTE, -1000);
	assert_int_equal(w.cur, 0);
}

/* What was taken in a bucket that is gone: more than that is used now, when it is known, and less was counted for as long as it lasted. */
static void test_tokens_of_long_ago(void **state)
{
	static const int64_t lens[] = {MINUTE, WINDOW_DAY_MS};

	for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
		int64_t len = lens[i], start = 100, now = start + 2 * len + 7;
		struct window_rate w = {0}, idle;

		/* Others use it all the time. */
		assert_true(window_rate_take_open(&w, len, start, 1000, 50));
		assert_true(window_rate_take_open(&w, len, start + len, 1000, 300));
		assert_true(window_rate_take_open(&w, len, now, 1000, 5));
		window_rate_adjust(&w, len, now, start + len - 1, 20000);
		assert_int_equal(w.prev, 300);
		assert_int_equal(w.cur, 20005);
		assert_false(window_rate_take_open(&w, len, now, 1000, 1));
		assert_true(window_rate_used(&w, len, start + 3 * len + len / 2) >= 10000);
		window_rate_adjust(&w, len, now, start + len - 1, -20000);
		assert_int_equal(w.cur, 20005);
		/* The last millisecond that is of the bucket before. */
		window_rate_adjust(&w, len, now, start + len, -100);
		assert_int_equal(w.prev, 200);

		/* Nobody else does. */
		idle = (struct window_rate){0};
		assert_true(window_rate_take_open(&idle, len, start, 1000, 50));
		window_rate_adjust(&idle, len, now, start, -10);
		assert_int_equal(window_rate_used(&idle, len, now), 0);
		window_rate_adjust(&idle, len, now, start, 1000);
		assert_int_equal(idle.cur, 1000);
		assert_false(window_rate_take_open(&idle, len, now, 1000, 1));
		assert_true(window_rate_wait_ms(&idle, len, now, 1000, 1) <= len);
		window_rate_adjust(&idle, len, now, start, INT64_MAX);
		assert_int_equal(idle.cur, WINDOW_RATE_MAX);
	}
}

static void test_rate_extremes(void **state)
{
	struct window_rate w = {0};

	assert_true(window_rate_take(&w, WINDOW_DAY_MS, 5, INT64_MAX, INT64_MAX));
	assert_int_equal(w.cur, WINDOW_RATE_MAX);
	assert_false(window_rate_take(&w, WINDOW_DAY_MS, 5, INT64_MAX, INT64_MAX));
	assert_true(window_rate_used(&w, WINDOW_DAY_MS, 4 + WINDOW_DAY_MS + WINDOW_DAY_MS / 2) ==
		    WINDOW_RATE_MAX / 2);
	window_rate_adjust(&w, WINDOW_DAY_MS, 6, 5, INT64_MIN);
	assert_int_equal(w.cur, 0);
	assert_false(window_rate_take(&w, MINUTE, 10, 0, 1));
	assert_true(window_rate_take(&w, MINUTE, 10, 0, 0));
	assert_true(window_rate_take(&w, MINUTE, 10, 5, -3));
	assert_int_equal(w.cur, 0);
}

static int64_t at(const char *text)
{
	int64_t ms;

	assert_true(clock_parse(slice_str(text), &ms));
	return ms / 1000;
}

static struct window_spec utc(enum window_unit u)
{
	return (struct window_spec){.unit = u};
}

static void test_calendar(void **state)
{
	static const struct {
		enum window_unit unit;
		const char *now, *begin, *next;
	} rows[] = {
		{WINDOW_MINUTE, "2026-11-25T09:30:59Z", "2026-11-25T09:30:00Z",
		 "2026-11-25T09:31:00Z"},
		{WINDOW_HOUR, "2026-11-25T23:30:59Z", "2026-11-25T23:00:00Z",
		 "2026-11-26T00:00:00Z"},
		{WINDOW_DAY, "2026-12-31T23:59:59Z", "2026-12-31", "2027-01-01"},
		{WINDOW_WEEK, "2026-11-25T09:30:00Z", "2026-11-23", "2026-11-30"},
		{WINDOW_WEEK, "2026-11-29T23:59:59Z", "2026-11-23", "2026-11-30"},
		{WINDOW_WEEK, "2026-11-30", "2026-11-30", "2026-12-07"},
		{WINDOW_MONTH, "2028-02-29T12:00:00Z", "2028-02-01", "2028-03-01"},
		{WINDOW_MONTH, "2026-12-31T23:59:59Z", "2026-12-01", "2027-01-01"},
		{WINDOW_MONTH, "2100-02-28T23:59:59Z", "2100-02-01", "2100-03-01"},
		{WINDOW_QUARTER, "2026-11-25", "2026-10-01", "2027-01-01"},
		{WINDOW_QUARTER, "2026-03-31T23:59:59Z", "2026-01-01", "2026-04-01"},
		{WINDOW_YEAR, "2026-01-01", "2026-01-01", "2027-01-01"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(window_begin_s(utc(rows[i].unit), at(rows[i].now)),
				 at(rows[i].begin));
		assert_int_equal(window_next_s(utc(rows[i].unit), at(rows[i].now)),
				 at(rows[i].next));
	}
	assert_int_equal(window_begin_s(utc(WINDOW_TOTAL), 12345), 0);
	assert_true(window_next_s(utc(WINDOW_TOTAL), 12345) == WINDOW_NEVER);
	assert_int_equal(window_begin_s(utc(WINDOW_MONTH), -5), 0);
}

/* Every day of 400 years agrees with the C library. */
static void test_months_of_every_day(void **state)
{
	for (int64_t day = 0; day < 146097; day++) {
		time_t t = (time_t)(day * 86400), b, n;
		struct tm now, begin, next;

		gmtime_r(&t, &now);
		b = (time_t)window_begin_s(utc(WINDOW_MONTH), t);
		n = (time_t)window_next_s(utc(WINDOW_MONTH), t);
		gmtime_r(&b, &begin);
		gmtime_r(&n, &next);
		assert_true(begin.tm_mday == 1 && begin.tm_mon == now.tm_mon &&
			    begin.tm_year == now.tm_year);
		assert_true(next.tm_mday == 1 && next.tm_mon == (now.tm_mon + 1) % 12);
		assert_true(b <= t && t < n && n - b <= 31 * 86400);
		b = (time_t)window_begin_s(utc(WINDOW_WEEK), t);
		gmtime_r(&b, &begin);
		assert_true(begin.tm_wday == 1 && b <= t && t - b < 7 * 86400);
	}
}

static void test_names(void **state)
{
	for (enum window_unit u = 0; u < WINDOW_COUNT; u++)
		assert_int_equal(window_unit_of(slice_str(window_unit_name(u))), u);
	assert_int_equal(window_unit_of(SLICE_LIT("fortnight")), WINDOW_COUNT);
}

static const struct window_spec day = {.unit = WINDOW_DAY},
				roll = {.unit = WINDOW_DAY, .rolling = true},
				total = {.unit = WINDOW_TOTAL};

static void test_budget(void **state)
{
	int64_t t = at("2026-11-25T09:30:00Z"), id, id2;
	struct window_budget b = {0};

	assert_int_equal(window_budget_left(&b, day, t, 100), 100);
	assert_false(window_budget_hold(&b, day, t, 100, 101, &id));
	assert_int_equal(b.cur.id, 0);
	assert_true(window_budget_hold(&b, day, t, 100, 60, &id));
	assert_int_equal(id, at("2026-11-25"));
	assert_false(window_budget_hold(&b, day, t, 100, 41, &id2));
	assert_false(window_budget_hold(&b, day, t, 100, -1, &id2));
	assert_true(window_budget_hold(&b, day, t, 100, 40, &id2));
	window_budget_settle(&b, id, 60, 10);
	assert_int_equal(window_budget_left(&b, day, t, 100), 50);
	assert_int_equal(window_budget_reset_s(&b, day, t), at("2026-11-26"));
	/* The next day is a window of its own; what was held before settles where it was held. */
	assert_true(window_budget_hold(&b, day, t + 86400, 100, 100, &id));
	window_budget_settle(&b, id2, 40, 40);
	assert_int_equal(b.prev.used_nusd, 50);
	assert_int_equal(b.prev.held_nusd, 0);
	assert_int_equal(window_budget_left(&b, day, t + 86400, 100), 0);
	/* The wall clock goes back: the window stays. */
	assert_int_equal(window_budget_left(&b, day, t, 100), 0);
	assert_false(window_budget_hold(&b, day, t, 100, 1, &id2));
	assert_int_equal(window_budget_reset_s(&b, day, t), at("2026-11-27"));
	/* Two windows later the hold has no effect any more. */
	assert_true(window_budget_hold(&b, day, t + 2 * 86400, 100, 1, &id2));
	assert_true(window_budget_hold(&b, day, t + 3 * 86400, 100, 1, &id2));
	window_budget_settle(&b, id, 100, 100);
	assert_int_equal(b.prev.used_nusd + b.cur.used_nusd, 0);
	assert_int_equal(b.prev.held_nusd + b.cur.held_nusd, 2);
}

static void test_rolling(void **state)
{
	struct window_budget b = {0};
	int64_t id, t = 1000000;

	assert_int_equal(window_budget_reset_s(&b, roll, t), t);
	assert_true(window_budget_hold(&b, roll, t, 100, 100, &id));
	assert_int_equal(id, t);
	assert_int_equal(window_budget_reset_s(&b, roll, t + 5), t + 86400);
	assert_false(window_budget_hold(&b, roll, t + 86399, 100, 1, &id));
	assert_false(window_budget_hold(&b, roll, t - 5, 100, 1, &id));
	window_budget_settle(&b, t, 100, 70);
	/* Looking opens no window; the next use does. */
	assert_int_equal(window_budget_left(&b, roll, t + 90000, 100), 100);
	assert_int_equal(b.cur.id, t);
	assert_int_equal(window_budget_reset_s(&b, roll, t + 90000), t + 90000);
	assert_true(window_budget_hold(&b, roll, t + 90000, 100, 5, &id));
	assert_int_equal(id, t + 90000);
	assert_int_equal(b.prev.used_nusd, 70);
}

static struct window_spec change_any(struct text_rng *rng, struct window_spec s, int64_t t)
{
	struct window_spec to = utc((enum window_unit)(text_rng_next(rng) % WINDOW_COUNT));

	to.rolling = to.unit != WINDOW_TOTAL && text_rng_next(rng) % 3 == 0;
	return window_change(s, to, t);
}

/* Whatever the wall clock does, with changes of the kind of window and without: ids never go back, what was used counts until the
 * window ends, and it ends in the future. */
static void test_clock_steps(void **state)
{
	struct text_rng rng = {{3, 4}};

	for (int round = 0; round < 800; round++) {
		struct window_spec spec = {.unit = (enum window_unit)(round / 2 % WINDOW_COUNT),
					   .rolling = round / 2 / WINDOW_COUNT % 2};
		int64_t t = at("2026-11-25T09:30:00Z"), id = 0, sum = 0;
		struct window_budget b = {0};

		for (int i = 0; i < 300; i++) {
			static const int64_t steps_s[] = {1,     61,    -1,        3600,
							  -3600, 86400, -31536000, 31536000};
			int64_t was = id;

			if (text_rng_next(&rng) % 4 == 0)
				t = MAX_OF(t + steps_s[text_rng_next(&rng) % ARRAY_LEN(steps_s)], 1);
			if (round % 2 && text_rng_next(&rng) % 16 == 0)
				spec = change_any(&rng, spec, t);
			assert_true(window_budget_hold(&b, spec, t, INT64_MAX, 7, &id));
			assert_true(id >= was);
			sum = id == was ? sum + 7 : 7;
			assert_int_equal(window_budget_left(&b, spec, t, 1000000), 1000000 - sum);
			assert_true(window_budget_reset_s(&b, spec, t) > t);
			if (text_rng_next(&rng) % 2)
				window_budget_settle(&b, id, 7, 7);
			assert_int_equal(b.cur.used_nusd + b.cur.held_nusd, sum);
		}
	}
}

static int64_t used(const struct window_budget *b, struct window_spec s, int64_t t)
{
	return -window_budget_left(b, s, t, 0);
}

static void spend(struct window_budget *b, struct window_spec s, int64_t t, int64_t n)
{
	int64_t id;

	assert_true(window_budget_hold(b, s, t, INT64_MAX, n, &id));
	window_budget_settle(b, id, n, n);
}

/* 2 of 2 a month are used: neither a week nor a total in between lets through another. */
static void test_changed_there_and_back(void **state)
{
	int64_t t = at("2026-11-26T09:30:00Z"), id;
	struct window_spec s = utc(WINDOW_MONTH);
	struct window_budget b = {0};

	spend(&b, s, t, 2);
	for (enum window_unit u = 0; u < WINDOW_COUNT; u++) {
		s = window_change(s, utc(u), t + 1);
		assert_false(window_budget_hold(&b, s, t + 2, 2, 1, &id));
		s = window_change(s, roll, t + 3);
		assert_false(window_budget_hold(&b, s, t + 4, 2, 1, &id));
		assert_int_equal(window_budget_reset_s(&b, s, t + 4), t + 3 + 86400);
	}
	s = window_change(s, utc(WINDOW_WEEK), t + 5);
	assert_int_equal(window_budget_reset_s(&b, s, t + 6), at("2026-11-30"));
	assert_int_equal(used(&b, s, at("2026-11-29T23:59:59Z")), 2);
	assert_true(window_budget_hold(&b, s, at("2026-11-30"), 2, 1, &id));
	assert_int_equal(id, at("2026-11-30"));
	s = window_change(s, utc(WINDOW_MONTH), at("2026-12-02"));
	assert_int_equal(used(&b, s, at("2026-12-31")), 1);
	assert_int_equal(used(&b, s, at("2027-01-01")), 0);
}

/* A hold of before is settled where it counts still; nothing else changed is nothing changed. */
static void test_changed_while_held(void **state)
{
	int64_t t = at("2026-11-26T09:30:00Z"), id;
	struct window_spec s = utc(WINDOW_MONTH);
	struct window_budget b = {0};

	assert_true(window_budget_hold(&b, s, t, 100, 60, &id));
	s = window_change(s, utc(WINDOW_HOUR), t);
	spend(&b, s, t + 1, 5);
	window_budget_settle(&b, id, 60, 50);
	assert_int_equal(used(&b, s, t + 2), 55);
	s = window_change(s, utc(WINDOW_HOUR), t + 1700);
	assert_int_equal(used(&b, s, at("2026-11-26T10:00:00Z")), 0);
}

/* What was over stays over, also when it would be within the window that comes. */
static void test_changed_when_over(void **state)
{
	int64_t t = at("2026-11-26T09:30:00Z"), id;
	static const struct window_spec to[] = {{.unit = WINDOW_YEAR},
						{.unit = WINDOW_TOTAL},
						{.unit = WINDOW_DAY, .rolling = true}};

	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		struct window_spec s = utc(WINDOW_HOUR);
		struct window_budget b = {0};

		spend(&b, s, t, 7);
		s = window_change(s, to[i], t + 3600);
		assert_int_equal(used(&b, s, t + 3600), 0);
		if (to[i].rolling)
			assert_int_equal(window_budget_reset_s(&b, s, t + 3600), t + 3600);
		assert_true(window_budget_hold(&b, s, t + 3601, 7, 7, &id));
		assert_false(window_budget_hold(&b, s, t + 3602, 7, 1, &id));
		assert_int_equal(b.prev.used_nusd, 7);
	}
}

/* Any change at any time keeps exactly what counts then, until the time that is told as the end. */
static void test_changes(void **state)
{
	struct text_rng rng = {{7, 8}};
	struct window_spec s = utc(WINDOW_MONTH);
	int64_t t = at("2026-11-25T09:30:00Z");
	struct window_budget b = {0};

	for (int i = 0; i < 50000; i++) {
		static const int64_t later_s[] = {0, 1, 50, 3000, 80000, 600000, 20000000};
		int64_t was, end;

		t += later_s[text_rng_next(&rng) % ARRAY_LEN(later_s)];
		if (text_rng_next(&rng) % 2)
			spend(&b, s, t, 1);
		was = used(&b, s, t);
		s = change_any(&rng, s, t);
		assert_int_equal(used(&b, s, t), was);
		end = window_budget_reset_s(&b, s, t);
		if (was == 0)
			continue;
		assert_true(end > t);
		assert_int_equal(used(&b, s, MIN_OF(end - 1, t + INT64_C(10000000000))), was);
		if (end != WINDOW_NEVER)
			assert_int_equal(used(&b, s, end), 0);
	}
}

static void test_total(void **state)
{
	struct window_spec odd = {.unit = WINDOW_TOTAL, .rolling = true};
	struct window_budget b = {0};
	int64_t id;

	assert_true(window_budget_hold(&b, total, 1000, 100, 60, &id));
	window_budget_settle(&b, id, 60, 60);
	assert_int_equal(window_budget_left(&b, total, INT64_C(5000000000), 100), 40);
	assert_int_equal(window_budget_left(&b, odd, INT64_C(5000000000), 100), 40);
	assert_true(window_budget_reset_s(&b, total, 1000) == WINDOW_NEVER);
	window_budget_settle(&b, id, 0, INT64_MAX);
	assert_true(b.cur.used_nusd > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact_under_load),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_one_a_minute),
		cmocka_unit_test(test_two_clocks_readings_apart),
		cmocka_unit_test(test_wait_is_exact),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_tokens_of_long_ago),
		cmocka_unit_test(test_rate_extremes),
		cmocka_unit_test(test_calendar),
		cmocka_unit_test(test_months_of_every_day),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_budget),
		cmocka_unit_test(test_rolling),
		cmocka_unit_test(test_clock_steps),
		cmocka_unit_test(test_total),
		cmocka_unit_test(test_changed_there_and_back),
		cmocka_unit_test(test_changed_while_held),
		cmocka_unit_test(test_changed_when_over),
		cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
