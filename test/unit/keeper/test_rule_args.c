/* Limits in words: what they become, what is refused and why, and that changes keep ids and what is not named. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "money.h"
#include "rule_args.h"
#include "zone_folder.h"
#include "zones.h"

#define WALL_S 1795608000 /* 2026-11-25T12:00:00Z */

struct scene {
	struct rows_limits l;
	struct rows_state used;
	struct buf mem;
	char why[RULE_ARGS_WHY];
};

static void begin(struct scene *s)
{
	char *room;

	rows_limits_init(&s->l);
	memset(&s->used, 0, sizeof s->used);
	buf_init(&s->mem, RULE_ARGS_MEM);
	assert_int_equal(buf_reserve(&s->mem, s->mem.max, &room), ERRC_OK);
}

static void put(struct scene *s, const char *text)
{
	if (!rule_args_put(slice_str(text), WALL_S, &s->used, false, &s->l, &s->mem, s->why))
		fail_msg("%s: %s", text, s->why);
}

static void refuse(const char *text, const char *part)
{
	struct scene s;

	begin(&s);
	put(&s, "requests=5/minute,budget=1/month");
	assert_false(rule_args_put(slice_str(text), WALL_S, &s.used, false, &s.l, &s.mem, s.why));
	if (!strstr(s.why, part))
		fail_msg("%s: '%s' is not in '%s'", text, part, s.why);
	buf_fini(&s.mem);
}

static void test_kinds(void **state)
{
	static const struct {
		const char *text;
		enum rows_limit kind;
		int64_t limit;
	} rows[] = {
		{"requests=60/minute", ROWS_RPM, 60},
		{"requests=0/day", ROWS_RPD, 0},
		{"tokens=100000/minute", ROWS_TPM, 100000},
		{" tokens=7/day ", ROWS_TPD, 7},
		{"concurrency=5", ROWS_CONCURRENCY, 5},
		{"budget=10.50/month", ROWS_BUDGET, INT64_C(10500000000)},
		{"budget=0.000000001/total", ROWS_BUDGET, 1},
	};
	struct scene s;

	begin(&s);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		put(&s, rows[i].text);
		assert_int_equal(s.l.n, i + 1);
		assert_int_equal(s.l.v[i].kind, rows[i].kind);
		assert_int_equal(s.l.v[i].limit, rows[i].limit);
		assert_int_equal(s.l.v[i].id, i + 1);
	}
	assert_int_equal(s.l.v[5].window.unit, WINDOW_MONTH);
	assert_int_equal(s.l.v[6].window.unit, WINDOW_TOTAL);
	assert_true(rows_limits_are_valid(&s.l));
	buf_fini(&s.mem);
	(void)state;
}

static void test_options(void **state)
{
	struct rows_rule *r;
	struct scene s;

	begin(&s);
	put(&s,
	    "budget=1/week zone=Area/Three models=gpt-5*|!*-preview shadow,budget=2/day rolling");
	assert_int_equal(s.l.n, 2);
	r = &s.l.v[0];
	assert_true(slice_is(r->zone, "Area/Three"));
	assert_true(slice_is(r->models, "gpt-5*\n!*-preview"));
	assert_true(r->shadow);
	assert_false(r->window.rolling);
	assert_true(s.l.v[1].window.rolling);
	/* By its id: what is not named stays. */
	put(&s, "1:budget=3/week");
	assert_int_equal(s.l.n, 2);
	assert_int_equal(r->limit, 3 * MONEY_NUSD_DOLLAR);
	assert_true(r->shadow && slice_is(r->zone, "Area/Three") && r->models.n > 0);
	put(&s, "1:shadow=off zone=UTC models=all,2:rolling=off");
	assert_true(!r->shadow && r->zone.n == 0 && r->models.n == 0);
	assert_false(s.l.v[1].window.rolling);
	buf_fini(&s.mem);
	(void)state;
}

static void test_raise(void **state)
{
	struct scene s;
	struct rows_rule *r = &s.l.v[0];

	begin(&s);
	put(&s, "budget=10/month raise=2.5 windows=2");
	assert_int_equal(r->raise, INT64_C(2500000000));
	assert_int_equal(r->raise_until_s, 1798761600); /* 2027-01-01 */
	assert_true(r->raise_by_window);
	put(&s, "1:raise=1 until=2026-11-26");
	assert_int_equal(r->raise_until_s, 1795651200);
	put(&s, "1:raise=1 until=2h");
	assert_int_equal(r->raise_until_s, WALL_S + 7200);
	assert_false(r->raise_by_window);
	put(&s, "1:until=3h raise=4"); /* in any order */
	assert_int_equal(r->raise, 4 * MONEY_NUSD_DOLLAR);
	assert_int_equal(r->raise_until_s, WALL_S + 3 * 3600);
	put(&s, "1:raise=3");
	assert_int_equal(r->raise, 3 * MONEY_NUSD_DOLLAR);
	assert_int_equal(r->raise_until_s, 0);
	put(&s, "1:raise=off");
	assert_int_equal(r->raise, 0);
	put(&s, "requests=10/minute raise=5 until=2026-11-26");
	assert_int_equal(s.l.v[1].raise, 5);
	buf_fini(&s.mem);
	(void)state;
}

/* The window that lasts is kept, and one that a raise is counted from. */
static void test_another_window(void **state)
{
	struct scene s;
	struct rows_rule *r = &s.l.v[0];
	struct rows_counter *c = &s.used.counters[0];
	int64_t id;

	begin(&s);
	put(&s, "budget=10/month");
	s.used.n = 1;
	*c = (struct rows_counter){.id = r->id, .kind = ROWS_BUDGET};
	assert_true(window_budget_hold(&c->budget, r->window, WALL_S, 10, 10, &id));
	put(&s, "1:budget=10/week raise=5 windows=2");
	assert_int_equal(window_budget_left(&c->budget, r->window, WALL_S, 10), 0);
	assert_int_equal(window_budget_reset_s(&c->budget, r->window, WALL_S), 1795996800);
	assert_int_equal(r->raise_until_s, 1795996800 + 7 * 86400); /* 2026-12-07 */
	put(&s, "1:budget=11/week");
	assert_int_equal(window_budget_reset_s(&c->budget, r->window, WALL_S), 1795996800);
	buf_fini(&s.mem);
	(void)state;
}

/* A raise for so many periods is for those of its kind: in the first of another kind it lasts as long as what is used of it, and no longer. */
static void test_raise_of_another_window(void **state)
{
	static const struct {
		const char *from, *to;
		int64_t until_s;
	} rows[] = {
		{"budget=1/month raise=2 windows=1", "1:budget=1/day", 1795651200},
		{"budget=1/year raise=2 windows=9", "1:budget=1/month", 1796083200},
		{"budget=1/day raise=2 windows=1", "1:budget=1/month", 1795651200},
		{"budget=1/day raise=2 windows=30", "1:budget=1/month", 1796083200},
		{"budget=1/day raise=2 windows=3", "1:rolling", WALL_S + 86400},
		{"budget=1/month raise=2 windows=1", "1:zone=Area/Three", 1796072400},
		/* Not where nothing changes, nor where it was given up to a time, for good or anew. */
		{"budget=1/day raise=2 windows=3", "1:budget=3/day", 1795651200 + 2 * 86400},
		{"budget=1/month raise=2 until=9d", "1:budget=1/day", WALL_S + 9 * 86400},
		{"budget=1/month raise=2", "1:budget=1/day", 0},
		{"budget=1/month raise=2 windows=1", "1:budget=1/day raise=3 windows=2",
		 1795651200 + 86400},
		{"budget=1/month raise=2 windows=1", "1:budget=1/day windows=2", 1795651200 + 86400},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct scene s;

		begin(&s);
		put(&s, rows[i].from);
		put(&s, rows[i].to);
		assert_int_equal(s.l.v[0].raise_until_s, rows[i].until_s);
		assert_true(rows_limits_are_valid(&s.l));
		buf_fini(&s.mem);
	}
	(void)state;
}

/* Nor is the window that was carried over followed by another one that is raised. */
static void test_raise_of_a_carried_window(void **state)
{
	struct scene s;
	struct rows_rule *r = &s.l.v[0];
	struct rows_counter *c = &s.used.counters[0];
	int64_t id, end_s = 1795651200;

	begin(&s);
	put(&s, "budget=10/month raise=5 windows=1");
	s.used.n = 1;
	*c = (struct rows_counter){.id = r->id, .kind = ROWS_BUDGET};
	assert_true(window_budget_hold(&c->budget, r->window, WALL_S, 10, 3, &id));
	put(&s, "1:budget=10/day");
	assert_int_equal(rows_rule_limit(r, c, end_s - 1), 15 * MONEY_NUSD_DOLLAR);
	assert_int_equal(rows_rule_limit(r, c, end_s), 10 * MONEY_NUSD_DOLLAR);
	assert_int_equal(rows_rule_limit(r, NULL, end_s + 86400), 10 * MONEY_NUSD_DOLLAR);
	buf_fini(&s.mem);
	(void)state;
}

/* What was used of a total, or of a credit, lasts for the first period of what it becomes: one of those that a raise is counted in. */
static void test_raise_of_what_was_total(void **state)
{
	struct scene s;
	struct rows_rule *r = &s.l.v[0];
	struct rows_counter *c = &s.used.counters[0];
	int64_t id;

	begin(&s);
	put(&s, "budget=10/total");
	s.used.n = 1;
	*c = (struct rows_counter){.id = r->id, .kind = ROWS_BUDGET};
	assert_true(window_budget_hold(&c->budget, r->window, WALL_S, 10, 3, &id));
	put(&s, "1:budget=10/day");
	put(&s, "1:raise=2 windows=2");
	assert_int_equal(r->raise_until_s, 1795651200 + 86400); /* the midnight after the next */
	id = 1795651200;
	assert_int_equal(rows_rule_limit(r, c, id - 1), 12 * MONEY_NUSD_DOLLAR);
	assert_int_equal(rows_rule_limit(r, c, id), 12 * MONEY_NUSD_DOLLAR);
	assert_int_equal(rows_rule_limit(r, c, id + 86400), 10 * MONEY_NUSD_DOLLAR);
	put(&s, "1:raise=off");
	put(&s, "1:credit=10");
	put(&s, "1:budget=10/year rolling");
	put(&s, "1:raise=2 windows=2");
	assert_int_equal(r->raise_until_s, WALL_S + 2 * INT64_C(365) * 86400);
	buf_fini(&s.mem);
	(void)state;
}

/* Windows that roll are counted too: from the one that lasts on, else from now on, whatever the order of the words. */
static void test_raise_of_rolling(void **state)
{
	struct scene s;
	struct rows_rule *r = &s.l.v[0];
	int64_t id;

	begin(&s);
	put(&s, "budget=10/day raise=2 windows=2 rolling");
	assert_int_equal(r->raise_until_s, WALL_S + 2 * 86400);
	s.used.n = 1;
	s.used.counters[0] = (struct rows_counter){.id = r->id, .kind = ROWS_BUDGET};
	assert_true(window_budget_hold(&s.used.counters[0].budget, r->window, WALL_S - 3600, 10, 1,
				       &id));
	put(&s, "1:raise=3 windows=1");
	assert_int_equal(r->raise_until_s, WALL_S - 3600 + 86400);
	put(&s, "1:windows=3");
	assert_int_equal(r->raise_until_s, WALL_S - 3600 + 3 * 86400);
	/* The one that lasts counts, and of those that come two. */
	assert_int_equal(rows_rule_limit(r, &s.used.counters[0], WALL_S), 13 * MONEY_NUSD_DOLLAR);
	id = r->raise_until_s;
	assert_int_equal(rows_rule_limit(r, &s.used.counters[0], id - 1), 13 * MONEY_NUSD_DOLLAR);
	assert_int_equal(rows_rule_limit(r, &s.used.counters[0], id), 10 * MONEY_NUSD_DOLLAR);
	put(&s, "1:rolling=off raise=1 windows=1");
	assert_int_equal(r->raise_until_s, 1795651200); /* midnight */
	put(&s, "1:budget=10/total");
	assert_true(r->raise && r->raise_until_s && !r->raise_by_window);
	buf_fini(&s.mem);
	(void)state;
}

/* How far an end user may go who has the limit with all others: in the middle of a window, or (-1) without one. */
static int64_t limit_of(const struct rows_rule *r, int64_t begun_s, int64_t at_s)
{
	struct rows_counter c = {.id = r->id, .kind = ROWS_BUDGET};
	int64_t id;

	if (begun_s >= 0)
		assert_true(window_budget_hold(&c.budget, r->window, begun_s, 10, 1, &id));
	return rows_rule_limit(r, &c, at_s) / MONEY_NUSD_DOLLAR;
}

static void put_of_each(struct scene *s, const char *text)
{
	assert_true(rule_args_put(slice_str(text), WALL_S, &s->used, true, &s->l, &s->mem, s->why));
}

/* Of a limit for each end user: no more windows than that are raised of anybody, wherever the window is that lasts. */
static void test_raise_of_each(void **state)
{
	const int64_t day = 86400, begun = WALL_S - 3600;
	int64_t begun_id;
	struct scene s;
	struct rows_rule *r = &s.l.v[0];

	begin(&s);
	/* Nobody is in a window of what is new. */
	put_of_each(&s, "budget=10/day rolling raise=5 windows=1");
	assert_int_equal(limit_of(r, -1, WALL_S + day - 1), 15);
	assert_int_equal(limit_of(r, -1, WALL_S + day), 10);
	put_of_each(&s, "1:raise=5 windows=1");
	assert_int_equal(limit_of(r, begun, WALL_S), 15);
	assert_int_equal(limit_of(r, begun, begun + day - 1), 15);
	assert_int_equal(limit_of(r, begun, begun + day), 10);
	assert_int_equal(limit_of(r, WALL_S, WALL_S), 15);
	put_of_each(&s, "1:raise=5 windows=3");
	assert_int_equal(limit_of(r, begun + 2 * day, begun + 2 * day), 15);
	assert_int_equal(limit_of(r, begun + 2 * day, begun + 3 * day), 10);
	/* A user may call itself as the limit for all is called: its window is none of the others'. */
	s.used.n = 1;
	s.used.counters[0] = (struct rows_counter){.id = r->id, .kind = ROWS_BUDGET};
	assert_true(
		window_budget_hold(&s.used.counters[0].budget, r->window, begun, 10, 1, &begun_id));
	put_of_each(&s, "1:raise=5 windows=1");
	assert_int_equal(limit_of(r, WALL_S, WALL_S), 15);
	/* One with a calendar is the same of all. */
	put_of_each(&s, "1:rolling=off raise=5 windows=1");
	assert_int_equal(limit_of(r, -1, 1795651200 - 1), 15);
	assert_int_equal(limit_of(r, -1, 1795651200), 10);
	buf_fini(&s.mem);
	(void)state;
}

/* What was granted and how far it may be overdrawn; a budget that becomes one keeps what was used of the period that lasts. */
static void test_credit(void **state)
{
	struct scene s;
	struct rows_rule *r = &s.l.v[0];
	struct window_budget b = {.cur = {0}};
	int64_t id;

	begin(&s);
	put(&s, "credit=50 overdraft=5,credit=2 models=gpt-5*,credit=3 shadow");
	assert_true(r->credit && r->kind == ROWS_BUDGET && r->window.unit == WINDOW_TOTAL);
	assert_true(r->limit == 50 * MONEY_NUSD_DOLLAR && r->raise == 5 * MONEY_NUSD_DOLLAR);
	assert_int_equal(r->raise_until_s, 0);
	assert_int_equal(rows_rule_limit(r, NULL, WALL_S), 55 * MONEY_NUSD_DOLLAR);
	assert_ptr_equal(rows_limits_credit(&s.l), r);
	put(&s, "1:credit=+20.5");
	assert_int_equal(r->limit, INT64_C(70500000000));
	assert_int_equal(r->raise, 5 * MONEY_NUSD_DOLLAR);
	put(&s, "1:overdraft=7");
	assert_int_equal(r->raise, 7 * MONEY_NUSD_DOLLAR);
	put(&s, "1:credit=8 overdraft=off");
	assert_true(r->limit == 8 * MONEY_NUSD_DOLLAR && r->raise == 0);
	assert_true(rows_limits_are_valid(&s.l));
	assert_int_equal(s.l.n, 3);
	put(&s, "1:budget=9/month rolling zone=Area/Three,2:shadow");
	assert_true(!r->credit && r->window.rolling && r->zone.n > 0);
	assert_true(window_budget_hold(&b, r->window, WALL_S, 10, 10, &id));
	put(&s, "1:credit=5");
	assert_true(r->credit && !r->window.rolling && r->zone.n == 0 && !r->window.zone);
	assert_int_equal(window_budget_left(&b, r->window, WALL_S + 86400 * 365, 10), 0);
	assert_true(rows_limits_are_valid(&s.l));
	assert_false(rule_args_put(SLICE_LIT("credit=1"), WALL_S, NULL, false, &s.l, &s.mem, s.why));
	assert_non_null(strstr(s.why, "a credit already"));
	s.l.n--;
	assert_false(
		rule_args_put(SLICE_LIT("3:shadow=off"), WALL_S, NULL, false, &s.l, &s.mem, s.why));
	assert_false(
		rule_args_put(SLICE_LIT("1:raise=1"), WALL_S, NULL, false, &s.l, &s.mem, s.why));
	assert_non_null(strstr(s.why, "what a credit has: overdraft="));
	buf_fini(&s.mem);
	(void)state;
}

static void test_remove(void **state)
{
	struct scene s;

	begin(&s);
	put(&s, "requests=1/minute,requests=2/day,tokens=3/day");
	assert_true(rule_args_remove(SLICE_LIT("1, 3"), &s.l, s.why));
	assert_int_equal(s.l.n, 1);
	assert_int_equal(s.l.v[0].id, 2);
	assert_true(rule_args_remove(SLICE_NONE, &s.l, s.why));
	assert_false(rule_args_remove(SLICE_LIT("1"), &s.l, s.why));
	/* An id is never used again. */
	put(&s, "concurrency=1");
	assert_int_equal(s.l.v[1].id, 4);
	buf_fini(&s.mem);
	(void)state;
}

static void test_refusals(void **state)
{
	static const char *const rows[][2] = {
		{"requests=5/hour", "requests=N/minute"},
		{"requests=x/minute", "whole number"},
		{"requests=-5/minute", "whole number"},
		{"concurrency=5/minute", "concurrency=N"},
		{"budget=10", "budget=DOLLARS/PERIOD"},
		{"budget=x/month", "amount such as 10"},
		{"budget=-1/month", "amount such as 10"},
		{"dollars=10/month", "budget=DOLLARS/PERIOD"},
		{"budget=1/month zone=No/Where", "time zone that is installed"},
		{"budget=1/month models=|", "models=PATTERN"},
		{"budget=1/month models=!", "models=PATTERN"},
		{"budget=1/month shadow=maybe", "on or off"},
		{"budget=1/month loud", "zone=ZONE"},
		{"budget=1/total rolling", "never ends"},
		{"requests=1/day rolling", "rolling and zone are for budgets"},
		{"budget=1/month windows=2", "belong to raise"},
		{"budget=1/month until=2h raise=off", "belong to raise"},
		{"budget=1/month raise=1 windows=2 until=2h", "not by both"},
		{"budget=1/month until=2h raise=1 windows=2", "not by both"},
		{"budget=1/month raise=0", "above 0"},
		{"budget=1/month raise=1 windows=0", "1 to 1000"},
		{"budget=1/total raise=1 windows=2", "give until=TIME"},
		{"requests=1/day raise=1 windows=2", "give until=TIME"},
		{"budget=1/month raise=1 until=2020-01-01", "to come"},
		{"budget=1/month raise=1 until=90", "to come"},
		{"budget=1/month raise=1 until=0h", "to come"},
		{"budget=1/month raise=1 until=9000000d", "to come"},
		{"credit=x", "credit=DOLLARS"},
		{"credit", "credit=DOLLARS"},
		{"credit=-1", "credit=DOLLARS"},
		{"credit=5/total", "credit=DOLLARS"},
		{"credit=+5", "of one that is there"},
		{"2:credit=+5", "of one that is there"},
		{"credit=1 overdraft=x", "overdraft=DOLLARS"},
		{"credit=1 overdraft=-1", "overdraft=DOLLARS"},
		{"credit=1 rolling", "what a credit has"},
		{"credit=1 zone=UTC", "what a credit has"},
		{"credit=1 raise=1", "what a credit has"},
		{"credit=1 until=2h", "what a credit has"},
		{"credit=1,credit=2", "a credit already"},
		{"budget=1/total overdraft=1", "overdraft is of a credit"},
		{"budget=1/total raise=1 until=2h,3:credit=1", "no overdraft"},
		{"1:credit=1", "remove it and add another"},
		{"9:budget=1/month", "the id of one"},
		{"x:budget=1/month", "the id of one"},
		{"1:budget=1/month", "remove it and add another"},
		{"1:", "a limit such as"},
		{"requests=1/day,,", "a limit such as"},
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		refuse(rows[i][0], rows[i][1]);
	(void)state;
}

static void test_room(void **state)
{
	struct scene s;
	char text[ROWS_MODELS_MAX + 64] = "requests=1/day models=";

	begin(&s);
	for (int i = 0; i < ROWS_RULES_MAX; i++)
		put(&s, "requests=1/day");
	assert_false(rule_args_put(SLICE_LIT("requests=1/day"), WALL_S, &s.used, false, &s.l,
				   &s.mem, s.why));
	assert_non_null(strstr(s.why, "there are 64 limits, as many as there may be"));
	put(&s, "64:requests=2/day");
	assert_int_equal(s.l.n, 64);
	assert_int_equal(s.l.v[63].limit, 2);
	memset(text + strlen(text), 'm', ROWS_MODELS_MAX + 1);
	rows_limits_init(&s.l);
	assert_false(rule_args_put(slice_str(text), WALL_S, &s.used, false, &s.l, &s.mem, s.why));
	assert_non_null(strstr(s.why, "1024 bytes"));
	buf_fini(&s.mem);
	(void)state;
}

/* Of all limits together: the one that is too much is named, and one that becomes shorter makes room. */
static void test_room_for_patterns(void **state)
{
	struct scene s;
	char text[ROWS_MODELS_MAX + 64] = "requests=1/day models=";

	begin(&s);
	memset(text + strlen(text), 'm', ROWS_MODELS_MAX);
	for (int i = 0; i < ROWS_PATTERNS_MAX / ROWS_MODELS_MAX; i++)
		put(&s, text);
	assert_false(rule_args_put(SLICE_LIT("requests=2/day models=x"), WALL_S, &s.used, false,
				   &s.l, &s.mem, s.why));
	assert_non_null(strstr(s.why, "'requests=2/day models=x'"));
	assert_non_null(strstr(s.why, "16385 bytes and may have 16384"));
	rows_limits_remove(&s.l, s.l.last_id);
	put(&s, "3:models=all,requests=2/day models=x");
	buf_fini(&s.mem);
	/* More is named at once than there is memory for. */
	begin(&s);
	for (int i = 0; i < ROWS_PATTERNS_MAX / ROWS_MODELS_MAX; i++)
		put(&s, text);
	assert_false(rule_args_put(slice_str(text), WALL_S, &s.used, false, &s.l, &s.mem, s.why));
	assert_non_null(strstr(s.why, "17408 bytes and may have 16384"));
	assert_false(rule_args_put(slice_str(text), WALL_S, &s.used, false, &s.l, &s.mem, s.why));
	assert_non_null(strstr(s.why, "too many patterns at once"));
	buf_fini(&s.mem);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_raise),
		cmocka_unit_test(test_remove),
		cmocka_unit_test(test_another_window),
		cmocka_unit_test(test_raise_of_another_window),
		cmocka_unit_test(test_raise_of_a_carried_window),
		cmocka_unit_test(test_raise_of_what_was_total),
		cmocka_unit_test(test_raise_of_rolling),
		cmocka_unit_test(test_raise_of_each),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_room),
		cmocka_unit_test(test_room_for_patterns),
		cmocka_unit_test(test_credit),
	};

	int failed;

	zone_folder_make();
	zone_folder_put("Area/Three", "AAA-3");
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	zones_fini();
	zone_folder_remove();
	return failed;
}
