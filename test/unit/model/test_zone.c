#include "zone.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "buf.h"
#include "clock.h"
#include "mem.h"
#include "text.h"
#include "window.h"

/* A zone of a test: changes {second, type}, the offsets of the types, and the rule for afterwards. */
struct make {
	char version; /* 0, '2', '3', '4' */
	struct {
		int64_t at_s;
		int type;
	} changes[4];
	int changes_n;
	int32_t types[3];
	int types_n;
	const char *rule;
	uint32_t leaps;
};

static void put_be(struct buf *b, uint64_t v, int bytes)
{
	while (bytes--)
		assert_int_equal(buf_addc(b, bytes < 8 ? (char)(v >> 8 * bytes) : 0), ERRC_OK);
}

static void put_block(struct buf *b, const struct make *m, int bytes)
{
	assert_int_equal(buf_add(b, "TZif", 4), ERRC_OK);
	assert_int_equal(buf_addc(b, m->version), ERRC_OK);
	put_be(b, 0, 15);
	put_be(b, 0, 4);
	put_be(b, 0, 4);
	put_be(b, m->leaps, 4);
	put_be(b, (uint64_t)m->changes_n, 4);
	put_be(b, (uint64_t)m->types_n, 4);
	put_be(b, 4, 4);
	for (int i = 0; i < m->changes_n; i++)
		put_be(b, (uint64_t)m->changes[i].at_s, bytes);
	for (int i = 0; i < m->changes_n; i++)
		put_be(b, (uint64_t)m->changes[i].type, 1);
	for (int i = 0; i < m->types_n; i++)
		put_be(b, (uint64_t)(uint32_t)m->types[i] << 16, 6);
	put_be(b, 0x41424300, 4);
	for (uint32_t i = 0; i < m->leaps; i++)
		put_be(b, 0, bytes + 4);
}

static void put_zone(struct buf *b, const struct make *m)
{
	put_block(b, m, 4);
	if (!m->version)
		return;
	put_block(b, m, 8);
	assert_int_equal(buf_addf(b, "\n%s\n", m->rule), ERRC_OK);
}

static enum errc parse(const struct make *m, struct zone **out)
{
	struct buf b;
	enum errc rc;

	buf_init(&b, 1 << 16);
	put_zone(&b, m);
	rc = zone_parse(buf_slice(&b), out);
	buf_fini(&b);
	return rc;
}

static struct zone *by_rule(const char *rule)
{
	struct make m = {.version = '2', .types_n = 1, .rule = rule};
	struct zone *z;

	assert_int_equal(parse(&m, &z), ERRC_OK);
	return z;
}

static int64_t at(const char *text)
{
	int64_t ms;

	assert_true(clock_parse(slice_str(text), &ms));
	return ms / 1000;
}

struct offsets {
	const char *at;
	int before, after;
};

static void check_offsets(const char *rule, const struct offsets *rows, size_t n)
{
	struct zone *z = by_rule(rule);

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(zone_offset_s(z, at(rows[i].at) - 1), rows[i].before);
		assert_int_equal(zone_offset_s(z, at(rows[i].at)), rows[i].after);
	}
	zone_free(&z);
}

#define CHECK_OFFSETS(rule, ...)                                   \
	check_offsets(rule, (const struct offsets[]){__VA_ARGS__}, \
		      ARRAY_LEN(((const struct offsets[]){__VA_ARGS__})))

/* Each form of the rule: when the offset changes, from what, to what. */
static void test_rules(void **state)
{
	CHECK_OFFSETS("CET-1CEST,M3.5.0,M10.5.0/3", {"2026-03-29T01:00:00Z", 3600, 7200},
		      {"2026-10-25T01:00:00Z", 7200, 3600}, {"2400-03-26T01:00:00Z", 3600, 7200});
	CHECK_OFFSETS("EST5EDT,M3.2.0,M11.1.0", {"2026-03-08T07:00:00Z", -18000, -14400},
		      {"2026-11-01T06:00:00Z", -14400, -18000});
	/* South of the equator; half an hour of DST. */
	CHECK_OFFSETS("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0", {"2026-04-04T15:00:00Z", 39600, 37800},
		      {"2026-10-03T15:30:00Z", 37800, 39600});
	/* Summer time is the standard one, and winter is "DST". */
	CHECK_OFFSETS("IST-1GMT0,M10.5.0,M3.5.0/1", {"2026-03-29T01:00:00Z", 0, 3600},
		      {"2026-10-25T01:00:00Z", 3600, 0});
	/* Before the day, and two days behind it. */
	CHECK_OFFSETS("<-02>2<-01>,M3.5.0/-1,M10.5.0/0", {"2026-03-29T01:00:00Z", -7200, -3600},
		      {"2026-10-25T01:00:00Z", -3600, -7200});
	CHECK_OFFSETS("EET-2EEST,M3.4.4/50,M10.4.4/50", {"2026-03-28T00:00:00Z", 7200, 10800},
		      {"2026-10-23T23:00:00Z", 10800, 7200});
	/* Days of the year, with and without the leap day. */
	CHECK_OFFSETS("AAA0BBB,J60,J300", {"2028-03-01T02:00:00Z", 0, 3600},
		      {"2027-03-01T02:00:00Z", 0, 3600}, {"2028-10-27T01:00:00Z", 3600, 0});
	CHECK_OFFSETS("AAA0BBB,59,299", {"2028-02-29T02:00:00Z", 0, 3600},
		      {"2027-03-01T02:00:00Z", 0, 3600});
	/* DST all year; none at all. */
	CHECK_OFFSETS("XXX3EDT4,0/0,J365/23", {"2027-01-01T04:00:00Z", -14400, -14400},
		      {"2027-01-01T03:00:00Z", -14400, -14400}, {"2027-07-01", -14400, -14400});
	CHECK_OFFSETS("<+0545>-5:45", {"2026-01-01", 20700, 20700});
	CHECK_OFFSETS("LMT0:44:30", {"2026-01-01", -2670, -2670});
}

static void test_table(void **state)
{
	struct make m = {.version = '3',
			 .changes = {{-9000000, 1}, {100, 0}, {200, 1}, {300, 2}},
			 .changes_n = 4,
			 .types = {3600, 7200, -3600},
			 .types_n = 3,
			 .rule = "AAA1"};
	struct zone *z;

	for (int i = 0; i < 3; i++) {
		m.version = "\0"
			    "24"[i];
		assert_int_equal(parse(&m, &z), ERRC_OK);
		assert_int_equal(zone_offset_s(z, 99), 7200);
		assert_int_equal(zone_offset_s(z, 100), 3600);
		assert_int_equal(zone_offset_s(z, 199), 3600);
		assert_int_equal(zone_offset_s(z, 200), 7200);
		assert_int_equal(zone_offset_s(z, 300), -3600);
		assert_int_equal(zone_offset_s(z, INT64_C(1) << 40), -3600);
		zone_free(&z);
	}
	/* Without a rule the last change stays, without a change the first type. */
	m.rule = "";
	assert_int_equal(parse(&m, &z), ERRC_OK);
	assert_int_equal(zone_offset_s(z, INT64_C(1) << 40), -3600);
	zone_free(&z);
	m.changes_n = 0;
	assert_int_equal(parse(&m, &z), ERRC_OK);
	assert_int_equal(zone_offset_s(z, 150), 3600);
	zone_free(&z);
}

static void test_refused(void **state)
{
	static const char *const rules[] = {
		"A1",
		"AAA",
		"AAA25",
		"AAA1B",
		"AAA1BBB",
		"AAA1BBB,M3.5.0",
		"AAA1BBB,M3.5.0,",
		"<AA1",
		"AAA1BBB,M13.1.0,M3.1.0",
		"AAA1BBB,M0.1.0,M3.1.0",
		"AAA1BBB,M3.6.0,M3.1.0",
		"AAA1BBB,M3.0.0,M3.1.0",
		"AAA1BBB,M3.1.7,M3.1.0",
		"AAA1BBB,J0,J5",
		"AAA1BBB,366,J5",
		"AAA1BBB,M3.5.0/168,M10.5.0",
		"AAA1BBB,M3.5.0,M10.5.0x",
		"AAA1:60",
		"AAA1:",
		"AAA1:5:61",
		"AAA1BBB;M3.5.0,M10.5.0",
		"AAA1\n",
		"AAA12345BBB,1,2",
		"AAA1BBB,M3,M4",
		"AAA1BBB,M3.1,M4",
	};
	struct make m = {.version = '2', .changes = {{1, 0}, {2, 0}}, .changes_n = 2, .types_n = 1};
	struct zone *z;

	for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
		m.rule = rules[i];
		assert_int_equal(parse(&m, &z), ERRC_SYNTAX);
		assert_null(z);
	}
	m.rule = "AAA1";
	m.leaps = 1;
	assert_int_equal(parse(&m, &z), ERRC_SYNTAX);
	m.leaps = 0;
	m.changes[1].type = 1; /* there is none */
	assert_int_equal(parse(&m, &z), ERRC_SYNTAX);
	m.changes[1].type = 0;
	m.changes[1].at_s = 1; /* not later */
	assert_int_equal(parse(&m, &z), ERRC_SYNTAX);
	m.changes_n = 0;
	m.types[0] = 26 * 3600 + 1;
	assert_int_equal(parse(&m, &z), ERRC_SYNTAX);
	m.types_n = 0;
	assert_int_equal(parse(&m, &z), ERRC_SYNTAX);
	m.types_n = 1;
	m.types[0] = 0;
	m.version = '1';
	assert_int_equal(parse(&m, &z), ERRC_SYNTAX);
	assert_int_equal(zone_parse(SLICE_NONE, &z), ERRC_SYNTAX);
}

/* Cut at every byte, changed at every byte: refused, or a zone whose days follow each other. */
static void test_damaged(void **state)
{
	struct make m = {.version = '2',
			 .changes = {{100, 1}, {5000000, 0}, {9000000, 1}},
			 .changes_n = 3,
			 .types = {3600, 7200},
			 .types_n = 2,
			 .rule = "CET-1CEST,M3.5.0,M10.5.0/3"};
	struct text_rng rng = {{1, 2}};
	struct zone *z;
	struct buf b;

	buf_init(&b, 1 << 16);
	put_zone(&b, &m);
	for (size_t n = 0; n < b.len; n++) {
		assert_int_equal(zone_parse(slice_of(b.p, n), &z), ERRC_SYNTAX);
		assert_null(z);
	}
	for (int round = 0; round < 20000; round++) {
		size_t i = text_rng_next(&rng) % b.len;
		char was = b.p[i];

		b.p[i] = (char)text_rng_next(&rng);
		if (zone_parse(buf_slice(&b), &z) == ERRC_OK) {
			int64_t t = (int64_t)(text_rng_next(&rng) % 4000000000),
				day = zone_day(z, t);

			assert_true(zone_day_begin_s(z, day) <= t);
			assert_true(t < zone_day_begin_s(z, day + 1));
			zone_free(&z);
		}
		b.p[i] = was;
	}
	buf_fini(&b);
}

static void test_no_memory(void **state)
{
	struct make m = {.version = '2', .types_n = 1, .rule = "AAA1"};
	struct zone *z;
	struct buf b;

	buf_init(&b, 1 << 16);
	put_zone(&b, &m);
	mem_fail_after(1);
	assert_int_equal(zone_parse(buf_slice(&b), &z), ERRC_NOMEM);
	mem_fail_after(0);
	assert_null(z);
	buf_fini(&b);
}

static void check_window(const struct zone *z, enum window_unit unit, const char *t,
			 const char *begin, const char *next)
{
	struct window_spec w = {.unit = unit, .zone = z};

	assert_int_equal(window_begin_s(w, at(t)), at(begin));
	assert_int_equal(window_next_s(w, at(t)), at(next));
}

/* Days of 23 and 25 hours, the hour that comes twice, weeks and months around them. */
static void test_windows_across_dst(void **state)
{
	struct zone *z = by_rule("CET-1CEST,M3.5.0,M10.5.0/3");

	check_window(z, WINDOW_DAY, "2026-03-29T12:00:00Z", "2026-03-28T23:00:00Z",
		     "2026-03-29T22:00:00Z");
	check_window(z, WINDOW_DAY, "2026-10-25T12:00:00Z", "2026-10-24T22:00:00Z",
		     "2026-10-25T23:00:00Z");
	check_window(z, WINDOW_HOUR, "2026-10-25T00:59:59Z", "2026-10-25T00:00:00Z",
		     "2026-10-25T01:00:00Z");
	check_window(z, WINDOW_HOUR, "2026-10-25T01:00:00Z", "2026-10-25T01:00:00Z",
		     "2026-10-25T02:00:00Z");
	check_window(z, WINDOW_WEEK, "2026-10-25T12:00:00Z", "2026-10-18T22:00:00Z",
		     "2026-10-25T23:00:00Z");
	check_window(z, WINDOW_MONTH, "2026-03-31T21:59:59Z", "2026-02-28T23:00:00Z",
		     "2026-03-31T22:00:00Z");
	check_window(z, WINDOW_MONTH, "2028-02-29T22:59:59Z", "2028-01-31T23:00:00Z",
		     "2028-02-29T23:00:00Z");
	check_window(z, WINDOW_MONTH, "2100-02-28T22:59:59Z", "2100-01-31T23:00:00Z",
		     "2100-02-28T23:00:00Z");
	check_window(z, WINDOW_QUARTER, "2026-12-31T22:59:59Z", "2026-09-30T22:00:00Z",
		     "2026-12-31T23:00:00Z");
	check_window(z, WINDOW_YEAR, "2026-12-31T23:00:00Z", "2026-12-31T23:00:00Z",
		     "2027-12-31T23:00:00Z");
	zone_free(&z);
}

/* Clocks that skip midnight, fall back over it, or a minute behind it; a date left out; an hour cut by half an hour of DST. */
static void test_odd_days(void **state)
{
	struct make skip = {.version = '2',
			    .changes = {{36000, 1}},
			    .changes_n = 1,
			    .types = {-36000, 50400},
			    .types_n = 2,
			    .rule = "<+14>-14"};
	struct zone *z = by_rule("<-03>3<-02>,M11.1.0/0,M2.3.0/0");

	check_window(z, WINDOW_DAY, "2026-11-01T12:00:00Z", "2026-11-01T03:00:00Z",
		     "2026-11-02T02:00:00Z");
	check_window(z, WINDOW_DAY, "2026-02-15T02:59:59Z", "2026-02-14T02:00:00Z",
		     "2026-02-15T03:00:00Z");
	check_window(z, WINDOW_MONTH, "2026-11-01T03:00:00Z", "2026-11-01T03:00:00Z",
		     "2026-12-01T02:00:00Z");
	zone_free(&z);
	z = by_rule("NST3:30NDT,M3.2.0/0:01,M11.1.0/0:01");
	check_window(z, WINDOW_DAY, "2026-11-01T02:29:59Z", "2026-10-31T02:30:00Z",
		     "2026-11-01T02:30:00Z");
	check_window(z, WINDOW_DAY, "2026-11-01T03:00:00Z", "2026-11-01T02:30:00Z",
		     "2026-11-02T03:30:00Z");
	zone_free(&z);
	z = by_rule("<+1030>-10:30<+11>-11,M10.1.0,M4.1.0");
	check_window(z, WINDOW_HOUR, "2026-04-04T14:59:59Z", "2026-04-04T14:00:00Z",
		     "2026-04-04T15:00:00Z");
	check_window(z, WINDOW_HOUR, "2026-04-04T15:00:00Z", "2026-04-04T15:00:00Z",
		     "2026-04-04T15:30:00Z");
	check_window(z, WINDOW_HOUR, "2026-04-04T15:30:00Z", "2026-04-04T15:30:00Z",
		     "2026-04-04T16:30:00Z");
	zone_free(&z);
	z = by_rule("<+0830>-8:30<+09>-9,M5.1.0/23:30,M10.1.0");
	check_window(z, WINDOW_HOUR, "2026-05-03T14:59:59Z", "2026-05-03T14:30:00Z",
		     "2026-05-03T15:00:00Z");
	check_window(z, WINDOW_HOUR, "2026-05-03T15:00:00Z", "2026-05-03T15:00:00Z",
		     "2026-05-03T16:00:00Z");
	zone_free(&z);
	/* From -10 to +14 hours at the end of 1969: 1970-01-01 is never shown, its window is empty. */
	assert_int_equal(parse(&skip, &z), ERRC_OK);
	assert_int_equal(zone_day(z, 35999), -1);
	assert_int_equal(zone_day(z, 36000), 1);
	assert_int_equal(zone_day_begin_s(z, -1), -86400 + 36000);
	assert_int_equal(zone_day_begin_s(z, 0), 36000);
	assert_int_equal(zone_day_begin_s(z, 1), 36000);
	assert_int_equal(window_next_s((struct window_spec){.unit = WINDOW_DAY, .zone = z}, 35999),
			 36000);
	check_window(z, WINDOW_DAY, "1970-01-01T10:00:00Z", "1970-01-01T10:00:00Z",
		     "1970-01-02T10:00:00Z");
	zone_free(&z);
}

static void test_utc(void **state)
{
	assert_int_equal(zone_offset_s(NULL, 12345), 0);
	assert_int_equal(zone_day(NULL, -1), -1);
	assert_int_equal(zone_day(NULL, 86400), 1);
	assert_int_equal(zone_day_begin_s(NULL, 3), 3 * 86400);
	assert_int_equal(zone_tick_begin_s(NULL, 3600, 7201), 7200);
	assert_int_equal(zone_tick_next_s(NULL, 3600, 7200), 10800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rules),     cmocka_unit_test(test_table),
		cmocka_unit_test(test_refused),   cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_no_memory), cmocka_unit_test(test_windows_across_dst),
		cmocka_unit_test(test_odd_days),  cmocka_unit_test(test_utc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
