/* rows_rule.c and what states make of rules: pure, without a store. */
#include "rig.h"

#define DAY_S INT64_C(86400)

static struct rows_rule rule_of(enum rows_limit kind, int64_t limit)
{
	return (struct rows_rule){
		.id = 1, .kind = kind, .limit = limit, .window = {.unit = WINDOW_DAY}};
}

static void test_lists(void **state)
{
	struct rows_limits l;

	(void)state;
	rows_limits_init(&l);
	assert_true(rows_limits_are_valid(&l));
	for (size_t i = 0; i < ROWS_RULES_MAX; i++)
		assert_int_equal(rows_limits_add(&l, ROWS_TPM, (int64_t)i)->id, i + 1);
	assert_null(rows_limits_add(&l, ROWS_TPM, 1));
	assert_int_equal(rows_limits_set(&l, ROWS_RPM, 1), ERRC_LIMIT);
	assert_int_equal(rows_limits_set(&l, ROWS_RPM, ROWS_NO_LIMIT), ERRC_OK);
	assert_true(rows_limits_are_valid(&l));
	rows_limits_remove(&l, 3);
	rows_limits_remove(&l, 3);
	assert_int_equal(l.n, ROWS_RULES_MAX - 1);
	assert_null(rows_limits_by_id(&l, 3));
	assert_int_equal(rows_limits_by_id(&l, 4)->limit, 3);
	/* An id is never used again. */
	assert_int_equal(rows_limits_add(&l, ROWS_RPM, 9)->id, ROWS_RULES_MAX + 1);
	assert_true(rows_limits_are_valid(&l));
	/* No two have the same, wherever they stand. */
	l.v[0].id = l.v[9].id;
	assert_false(rows_limits_are_valid(&l));
	l.v[0].id = 3;
	assert_true(rows_limits_are_valid(&l));
	l.v[ROWS_RULES_MAX - 1].id = 3;
	assert_false(rows_limits_are_valid(&l));
	l.n = 0;
	l.last_id = ROWS_RULE_ID_MAX;
	assert_null(rows_limits_add(&l, ROWS_RPM, 9));
}

static void test_patterns(void **state)
{
	static char text[ROWS_MODELS_MAX];
	struct rows_limits l;

	(void)state;
	rows_limits_init(&l);
	memset(text, 'm', sizeof text);
	for (size_t i = 0; i < ROWS_PATTERNS_MAX / sizeof text; i++)
		rows_limits_add(&l, ROWS_RPM, 1)->models = slice_of(text, sizeof text);
	assert_int_equal(rows_limits_patterns(&l), ROWS_PATTERNS_MAX);
	assert_true(rows_limits_are_valid(&l));
	rows_limits_add(&l, ROWS_RPM, 1)->models = slice_of(text, 1);
	assert_false(rows_limits_are_valid(&l));
}

/* What the settings of one limit are about: not the rules for some models, and not those that only count. */
static void test_the_plain_rule(void **state)
{
	struct rows_limits l;

	(void)state;
	rows_limits_init(&l);
	rows_limits_add(&l, ROWS_RPM, 1)->models = SLICE_LIT("m*");
	rows_limits_add(&l, ROWS_RPM, 2)->shadow = true;
	*rows_limits_add(&l, ROWS_BUDGET, 3) = (struct rows_rule){
		.id = 3, .kind = ROWS_BUDGET, .credit = true, .window = {.unit = WINDOW_TOTAL}};
	assert_null(rows_limits_find(&l, ROWS_BUDGET));
	assert_ptr_equal(rows_limits_credit(&l), &l.v[2]);
	l.v[2].shadow = true;
	assert_null(rows_limits_credit(&l));
	l.v[2].shadow = false;
	l.v[2].models = SLICE_LIT("m*");
	assert_null(rows_limits_credit(&l));
	rows_limits_remove(&l, 3);
	assert_null(rows_limits_find(&l, ROWS_RPM));
	assert_int_equal(rows_limits_get(&l, ROWS_RPM), ROWS_NO_LIMIT);
	assert_int_equal(rows_limits_set(&l, ROWS_RPM, 0), ERRC_OK);
	assert_int_equal(rows_limits_get(&l, ROWS_RPM), 0);
	assert_int_equal(rows_limits_find(&l, ROWS_RPM)->id, 4);
	assert_int_equal(rows_limits_set(&l, ROWS_RPM, 7), ERRC_OK);
	assert_int_equal(l.n, 3);
	assert_int_equal(rows_limits_set(&l, ROWS_RPM, ROWS_NO_LIMIT), ERRC_OK);
	assert_int_equal(l.n, 2);
}

static void test_what_cannot_be(void **state)
{
	struct rows_limits good, l;

	(void)state;
	rows_limits_init(&good);
	assert_non_null(rows_limits_add(&good, ROWS_BUDGET, 5));
	assert_non_null(rows_limits_add(&good, ROWS_CONCURRENCY, 0));
	assert_true(rows_limits_are_valid(&good));
#define BAD(change) \
	l = good;   \
	change;     \
	assert_false(rows_limits_are_valid(&l))
	BAD(l.v[0].kind = ROWS_LIMIT_COUNT);
	BAD(l.v[0].kind = ROWS_LIMIT_END);
	BAD(l.v[0].limit = -1);
	BAD(l.v[0].limit = MONEY_NUSD_MAX + 1);
	BAD(l.v[0].raise = -1);
	BAD(l.v[0].raise_until_s = -1);
	BAD(l.v[0].raise_by_window = true);
	BAD(l.v[0].window.carry_from_s = -1);
	BAD(l.v[0].window.carry_until_s = -1);
	BAD(l.v[0].window.unit = WINDOW_COUNT);
	BAD(l.v[0].window.unit = WINDOW_TOTAL; l.v[0].window.rolling = true);
	BAD(l.v[0].credit = true);
	BAD(l.v[1].window.unit = WINDOW_TOTAL; l.v[1].credit = true);
	good.v[0].window.unit = WINDOW_TOTAL;
	good.v[0].credit = true;
	good.v[0].raise = 1;
	assert_true(rows_limits_are_valid(&good));
	BAD(l.v[0].raise_until_s = 1);
	BAD(l.v[0].zone = SLICE_LIT("Europe/Berlin"));
	BAD(l.v[0].id = 0);
	BAD(l.v[0].id = 3);
	BAD(l.v[1].id = 1);
#undef BAD
}

static void test_words(void **state)
{
	struct rows_rule r = rule_of(ROWS_TPD, 1);
	char text[12];

	(void)state;
	assert_string_equal(rows_rule_text(&r), "tokens a day");
	assert_string_equal(rows_limit_word(r.kind), "tpd");
	assert_true(rows_limit_is_tokens(r.kind));
	r.kind = ROWS_BUDGET;
	assert_string_equal(rows_rule_text(&r), "budget per day");
	r.window.unit = WINDOW_TOTAL;
	assert_string_equal(rows_rule_text(&r), "budget in total");
	r.credit = true;
	assert_string_equal(rows_rule_text(&r), "credit");
	r.credit = false;
	assert_string_equal(rows_limit_word(ROWS_BUDGET), "budget");
	assert_string_equal(rows_limit_word(ROWS_CONCURRENCY), "concurrency");
	assert_null(rows_limit_word(ROWS_LIMIT_COUNT));
	assert_null(rows_limit_word((enum rows_limit)99));
	r.models = SLICE_LIT("gpt-*\n\n!o1\nclaude-opus-4-6");
	rows_rule_models(&r, text, sizeof text);
	assert_string_equal(text, "gpt-*, !o1");
	assert_true(rows_rule_matches(&r, SLICE_LIT("gpt-5")));
	assert_false(rows_rule_matches(&r, SLICE_LIT("o1")));
	r.models = SLICE_NONE;
	rows_rule_models(&r, text, sizeof text);
	assert_string_equal(text, "");
	assert_true(rows_rule_matches(&r, SLICE_LIT("o1")));
}

/* A raise of a budget counts in the windows that begin before its end; of all others, before that second. */
static void test_raise(void **state)
{
	struct rows_rule r = rule_of(ROWS_RPM, 10);
	struct rows_counter c = {.id = 1, .kind = ROWS_BUDGET};
	int64_t id;

	(void)state;
	assert_int_equal(rows_rule_limit(&r, NULL, 100), 10);
	r.raise = 5;
	assert_int_equal(rows_rule_limit(&r, NULL, 100), 15);
	r.raise_until_s = 100;
	assert_int_equal(rows_rule_limit(&r, NULL, 99), 15);
	assert_int_equal(rows_rule_limit(&r, NULL, 100), 10);
	r = rule_of(ROWS_BUDGET, 10);
	r.raise = 5;
	r.raise_until_s = 2 * DAY_S;
	assert_int_equal(rows_rule_limit(&r, NULL, 2 * DAY_S - 1), 15);
	assert_int_equal(rows_rule_limit(&r, NULL, 2 * DAY_S), 10);
	/* Up to its end and no longer, but where it counts by windows. */
	r.raise_until_s = 2 * DAY_S + 100;
	for (int by_window = 0; by_window < 2; by_window++) {
		r.raise_by_window = by_window;
		assert_int_equal(rows_rule_limit(&r, NULL, 2 * DAY_S + 99), 15);
		assert_int_equal(rows_rule_limit(&r, NULL, 2 * DAY_S + 100), by_window ? 15 : 10);
		assert_int_equal(rows_rule_limit(&r, NULL, 3 * DAY_S), 10);
	}
	r.raise_until_s = 2 * DAY_S;
	/* A rolling window that began before lasts longer. */
	r.window.rolling = true;
	assert_true(window_budget_hold(&c.budget, r.window, 2 * DAY_S - 10, 10, 1, &id));
	assert_int_equal(rows_rule_limit(&r, &c, 3 * DAY_S - 11), 15);
	assert_int_equal(rows_rule_limit(&r, &c, 3 * DAY_S - 10), 10);
	r.raise_by_window = false;
	assert_int_equal(rows_rule_limit(&r, &c, 2 * DAY_S), 10);
	r.window = (struct window_spec){.unit = WINDOW_TOTAL};
	assert_int_equal(rows_rule_limit(&r, NULL, 2 * DAY_S - 1), 15);
	assert_int_equal(rows_rule_limit(&r, NULL, 2 * DAY_S), 10);
	r.limit = r.raise = MONEY_NUSD_MAX;
	r.raise_until_s = 0;
	assert_int_equal(rows_rule_limit(&r, NULL, 1), MONEY_NUSD_MAX);
}

static void test_look(void **state)
{
	struct rows_rule r = rule_of(ROWS_BUDGET, 10);
	struct rows_counter c = {.id = 1, .kind = ROWS_BUDGET};
	struct rows_rule_now now;
	int64_t id;

	(void)state;
	rows_rule_look(&r, NULL, 7, 0, 1000 * DAY_S, &now);
	assert_true(now.limit == 10 && now.used == 0 && now.held == 0 && now.remaining == 10);
	assert_true(window_budget_hold(&c.budget, r.window, DAY_S, 10, 4, &id));
	window_budget_settle(&c.budget, id, 1, 2);
	rows_rule_look(&r, &c, 7, 0, 1000 * (DAY_S + 1), &now);
	assert_true(now.used == 2 && now.held == 3 && now.remaining == 5);
	assert_int_equal(now.reset_s, 2 * DAY_S);
	assert_int_equal(now.reset_ms, 1000 * (DAY_S - 1));
	assert_false(rows_counter_is_idle(&c, &r, 0, DAY_S + 1));
	rows_rule_look(&r, &c, 7, 0, 1000 * 2 * DAY_S, &now);
	assert_true(now.used == 0 && now.held == 0 && now.remaining == 10);
	assert_true(rows_counter_is_idle(&c, &r, 0, 2 * DAY_S));
	/* A period that rolls ends only once it has begun. */
	r.window.rolling = true;
	rows_rule_look(&r, &c, 7, 0, 1000 * 2 * DAY_S, &now);
	assert_true(now.reset_s == 0 && now.reset_ms == 0);
	assert_true(window_budget_hold(&c.budget, r.window, 2 * DAY_S + 5, 10, 1, &id));
	rows_rule_look(&r, &c, 7, 0, 1000 * (2 * DAY_S + 5), &now);
	assert_int_equal(now.reset_s, 3 * DAY_S + 5);
	/* A raise is told while it lasts. */
	assert_true(now.raise == 0 && now.raise_until_s == 0);
	r = rule_of(ROWS_RPM, 10);
	r.raise = 5;
	r.raise_until_s = 100;
	rows_rule_look(&r, NULL, 7, 0, 99000, &now);
	assert_true(now.limit == 15 && now.raise == 5 && now.raise_until_s == 100);
	rows_rule_look(&r, NULL, 7, 0, 100000, &now);
	assert_true(now.limit == 10 && now.raise == 0 && now.raise_until_s == 0);
	r = rule_of(ROWS_CONCURRENCY, 5);
	c = (struct rows_counter){.id = 1, .kind = ROWS_CONCURRENCY, .running = 2};
	rows_rule_look(&r, &c, 7, 0, 0, &now);
	assert_true(now.used == 7 && now.remaining == 0);
	r.models = SLICE_LIT("m");
	rows_rule_look(&r, &c, 7, 0, 0, &now);
	assert_true(now.used == 2 && now.remaining == 3);
	assert_false(rows_counter_is_idle(&c, &r, 0, 0));
	r = rule_of(ROWS_TPM, 100);
	c = (struct rows_counter){.id = 1, .kind = ROWS_TPM};
	assert_true(window_rate_take_open(&c.rate, WINDOW_MINUTE_MS, 5, 100, 130));
	rows_rule_look(&r, &c, 7, 1005, 3000500, &now);
	assert_true(now.used == 130 && now.remaining == 0);
	assert_true(now.reset_ms > 0 && now.reset_s == (3000500 + now.reset_ms + 999) / 1000);
	assert_false(rows_counter_is_idle(&c, &r, 1005, 0));
	assert_true(rows_counter_is_idle(&c, &r, 5 + 2 * WINDOW_MINUTE_MS, 0));
}

/* Counters follow their rules by id and kind, in any order; of what is new nothing is used. */
static void test_align(void **state)
{
	struct rows_state s = {.n = 3,
			       .counters = {{.id = 1, .kind = ROWS_CONCURRENCY, .running = 1},
					    {.id = 2, .kind = ROWS_CONCURRENCY, .running = 2},
					    {.id = 3, .kind = ROWS_CONCURRENCY, .running = 3}}};
	struct rows_limits l;

	(void)state;
	rows_limits_init(&l);
	for (size_t i = 0; i < 4; i++)
		assert_non_null(rows_limits_add(&l, ROWS_CONCURRENCY, 9));
	rows_limits_remove(&l, 1);
	l.v[0].kind = ROWS_RPM;
	rows_state_align(&s, &l, false);
	assert_int_equal(s.n, 3);
	assert_int_equal(s.counters[0].id, 2);
	assert_int_equal(s.counters[0].kind, ROWS_RPM);
	assert_int_equal(s.counters[0].rate.cur, 0);
	assert_int_equal(s.counters[1].running, 3);
	assert_int_equal(s.counters[2].id, 4);
	assert_int_equal(s.counters[2].running, 0);
	assert_ptr_equal(rows_state_counter(&s, &l.v[1]), &s.counters[1]);
	l.n = 0;
	rows_state_align(&s, &l, false);
	assert_int_equal(s.n, 0);
	assert_null(rows_state_counter(&s, &l.v[1]));
}

/* While an end user has rules of its own, what it has used of those for all is kept behind them; not the other way round. */
static void test_align_user(void **state)
{
	struct rows_state s = {.n = 0};
	struct rows_limits all, own;

	(void)state;
	rows_limits_init(&all);
	rows_limits_init(&own);
	assert_non_null(rows_limits_add(&all, ROWS_CONCURRENCY, 9));
	own.last_id = 1;
	assert_non_null(rows_limits_add(&own, ROWS_CONCURRENCY, 9));
	rows_state_align(&s, &all, true);
	s.counters[0].running = 1;
	rows_state_align(&s, &own, false);
	assert_int_equal(s.n, 2);
	assert_int_equal(s.counters[0].id, 2);
	assert_int_equal(s.counters[0].running, 0);
	assert_int_equal(s.counters[1].running, 1);
	for (int i = 0; i < 100; i++) { /* own rules that come and go */
		rows_limits_remove(&own, own.v[0].id);
		assert_non_null(rows_limits_add(&own, ROWS_CONCURRENCY, 9));
		rows_state_align(&s, &own, false);
		assert_int_equal(s.n, 2);
	}
	rows_state_align(&s, &all, true); /* and back */
	assert_int_equal(s.n, 1);
	assert_int_equal(s.counters[0].id, 1);
	assert_int_equal(s.counters[0].running, 1);
	rows_state_align(&s, &own, false);
	all.n = 0;
	rows_state_align(&s, &all, true);
	assert_int_equal(s.n, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_patterns),       cmocka_unit_test(test_lists),
		cmocka_unit_test(test_the_plain_rule), cmocka_unit_test(test_what_cannot_be),
		cmocka_unit_test(test_words),          cmocka_unit_test(test_raise),
		cmocka_unit_test(test_look),           cmocka_unit_test(test_align),
		cmocka_unit_test(test_align_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
