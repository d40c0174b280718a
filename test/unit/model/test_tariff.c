/* Rules are cut into rows that exclude each other: against the plain reading of the list, rule by rule. */
#include "tariff.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "text.h"

#define DAY INT64_C(86400)

static struct text_rng rng = {{7, 8}};

static int64_t any(int64_t max)
{
	return (int64_t)(text_rng_next(&rng) % (uint64_t)max);
}

static struct price row(int64_t input_pusd)
{
	struct price p;

	price_init(&p);
	p.pusd[USAGE_INPUT] = input_pusd;
	p.pusd[USAGE_OUTPUT] = 1;
	assert_int_equal(price_complete(&p), ERRC_OK);
	return p;
}

struct cut {
	struct price rows[TARIFF_ROWS];
	size_t from[TARIFF_ROWS];
	const struct price *list[TARIFF_ROWS];
	struct tariff t;
};

static enum errc cut(const struct price *rules, size_t n, struct cut *c)
{
	enum errc rc = tariff_cut(rules, n, c->rows, c->from, &c->t.n);

	for (size_t i = 0; i < c->t.n; i++)
		c->list[i] = &c->rows[i];
	c->t.rows = c->list;
	return rc;
}

static int64_t price_then(const struct cut *c, int64_t wall_s, int64_t input)
{
	return tariff_pick(&c->t, wall_s, input, USAGE_TIER_NONE)->pusd[USAGE_INPUT];
}

/* One that has no conditions is one row without any: its hash is that of the same price written as a mapping. */
static void one_row_stays_itself(void **state)
{
	struct price p = row(5);
	struct cut c;

	assert_int_equal(cut(&p, 1, &c), ERRC_OK);
	assert_int_equal(c.t.n, 1);
	assert_true(price_eq(&c.rows[0], &p));
}

static void long_context(void **state)
{
	struct price rules[] = {row(6), row(3)};
	const struct price *tiers[TARIFF_TIERS];
	struct cut c;

	rules[0].when.prompt_above = 200000;
	assert_int_equal(cut(rules, 2, &c), ERRC_OK);
	assert_int_equal(c.t.n, 2);
	assert_int_equal(price_then(&c, 0, 0), 3);
	assert_int_equal(price_then(&c, 0, 200000), 3);
	assert_int_equal(price_then(&c, 0, 200001), 6);
	assert_int_equal(price_then(&c, 0, INT64_MAX), 6);
	assert_int_equal(tariff_tiers(&c.t, 0, tiers), 2);
	assert_int_equal(tiers[0]->pusd[USAGE_INPUT], 3);
	assert_int_equal(tiers[0]->when.prompt_upto, 200000);
	assert_int_equal(tiers[1]->when.prompt_above, 200000);
}

static void hours_over_midnight_and_dates(void **state)
{
	struct price rules[] = {row(9), row(1), row(3)};
	int64_t today = 20000 * DAY, night = 16 * 3600 + 30 * 60;
	const struct price *tiers[TARIFF_TIERS];
	struct cut c;

	rules[0].when.from_s = today + 10 * DAY;
	rules[1].when.minute_from = 16 * 60 + 30;
	rules[1].when.minute_until = 30;
	assert_int_equal(cut(rules, 3, &c), ERRC_OK);
	assert_int_equal(price_then(&c, today + night - 1, 1), 3);
	assert_int_equal(price_then(&c, today + night, 1), 1);
	assert_int_equal(price_then(&c, today + DAY - 1, 1), 1);
	assert_int_equal(price_then(&c, today + DAY + 30 * 60 - 1, 1), 1);
	assert_int_equal(price_then(&c, today + DAY + 30 * 60, 1), 3);
	assert_int_equal(price_then(&c, today + 10 * DAY - 1, 1), 1);
	assert_int_equal(price_then(&c, today + 10 * DAY, 1), 9);
	assert_int_equal(tariff_tiers(&c.t, today, tiers), 1);
}

/* Each tier has rows of its own as soon as a rule is for one; unsaid is standard, and what no rule is for costs what the standard does. */
static void tiers_of_service(void **state)
{
	const struct price *tiers[TARIFF_TIERS];
	struct price rules[3];
	struct cut c;

	rules[0] = row(5);
	rules[0].when.tier = USAGE_TIER_FLEX;
	rules[1] = row(20);
	rules[1].when.prompt_above = 100;
	rules[2] = row(10);
	assert_int_equal(cut(rules, 3, &c), ERRC_OK);
	assert_int_equal(tariff_tiers(&c.t, 0, tiers), 5);
	assert_int_equal(tiers[0]->pusd[USAGE_INPUT], 10);
	for (int64_t input = 0; input < 300; input += 100) {
		int64_t standard = input > 100 ? 20 : 10;

		assert_int_equal(tariff_pick(&c.t, 0, input, USAGE_TIER_NONE)->pusd[USAGE_INPUT],
				 standard);
		assert_int_equal(tariff_pick(&c.t, 0, input, USAGE_TIER_STANDARD)->pusd[USAGE_INPUT],
				 standard);
		assert_int_equal(tariff_pick(&c.t, 0, input, USAGE_TIER_FLEX)->pusd[USAGE_INPUT], 5);
		assert_int_equal(tariff_pick(&c.t, 0, input, USAGE_TIER_PRIORITY)->pusd[USAGE_INPUT],
				 standard);
	}
}

static void gaps_and_crowds_are_refused(void **state)
{
	struct price rules[TARIFF_RULES];
	struct cut c;

	rules[0] = row(1);
	rules[0].when.prompt_above = 5;
	assert_int_equal(cut(rules, 1, &c), ERRC_INVAL);
	for (int i = 0; i < TARIFF_TIERS + 1; i++) {
		rules[i] = row(i + 1);
		rules[i].when.prompt_above = TARIFF_TIERS - i;
	}
	assert_int_equal(cut(rules, TARIFF_TIERS + 1, &c), ERRC_LIMIT);
	assert_int_equal(cut(rules + 1, TARIFF_TIERS, &c), ERRC_OK);
	for (int i = 0; i < 12; i++) {
		rules[i] = row(i + 1);
		rules[i].when = (struct price_when){
			.from_s = 1 + i, .minute_from = 2 * i, .minute_until = 2 * i + 1};
	}
	rules[12] = row(99);
	assert_int_equal(cut(rules, 13, &c), ERRC_LIMIT);
}

/* The rule that counts, as the list reads. */
static size_t first_match(const struct price *rules, size_t n, int64_t wall_s, int64_t input)
{
	size_t i = 0;

	while (i < n && (!price_counts_at(&rules[i], wall_s) ||
			 !price_counts_for(&rules[i], input, USAGE_TIER_NONE)))
		i++;
	return i;
}

static void any_when(struct price_when *w)
{
	if (any(2))
		w->prompt_above = 1 + any(3) * 100;
	if (any(3) == 0)
		w->from_s = 1 + any(4) * DAY / 2;
	if (any(3) == 0)
		w->until_s = w->from_s + 1 + any(4) * DAY / 2;
	if (any(2)) {
		w->minute_from = any(24) * 60;
		w->minute_until = any(24) * 60;
	}
}

static void every_moment_and_size_has_the_first_match(void **state)
{
	size_t cut_n = 0;

	for (int round = 0; round < 3000; round++) {
		struct price rules[5];
		size_t n = 1 + (size_t)any(5);
		struct cut c;

		for (size_t i = 0; i < n; i++) {
			rules[i] = row((int64_t)i + 1);
			if (i + 1 < n)
				any_when(&rules[i].when);
		}
		if (cut(rules, n, &c) != ERRC_OK)
			continue;
		cut_n++;
		for (int probe = 0; probe < 100; probe++) {
			int64_t s = any(4 * DAY), input = any(500);
			size_t want = first_match(rules, n, s, input), hits = 0;

			assert_int_equal(price_then(&c, s, input), want + 1);
			for (size_t i = 0; i < c.t.n; i++)
				hits += price_counts_at(c.list[i], s) &&
					price_counts_for(c.list[i], input, USAGE_TIER_NONE);
			assert_int_equal(hits, 1);
		}
	}
	assert_true(cut_n > 2000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_row_stays_itself),
		cmocka_unit_test(long_context),
		cmocka_unit_test(hours_over_midnight_and_dates),
		cmocka_unit_test(tiers_of_service),
		cmocka_unit_test(gaps_and_crowds_are_refused),
		cmocka_unit_test(every_moment_and_size_has_the_first_match),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
