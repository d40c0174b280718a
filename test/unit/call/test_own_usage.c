/* own_usage.c: what a key asks about its use, and what it is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "json.h"
#include "mem.h"
#include "own_usage.h"

#define NOW INT64_C(1764000000000)

static struct auth_key key = {
	.id = "abcdefghijkl", .name = "build", .account_name = "acme", .expires_s = 1800000000};

static void test_times(void **state)
{
	static const struct {
		const char *query;
		int64_t since_ms, until_ms;
	} rows[] = {
		{"", 0, INT64_MAX},
		{"since=&until=", 0, INT64_MAX},
		{"since=2025-11-24", 1763942400000, INT64_MAX},
		{"since=2025-11-24T16%3A00%3A00Z&until=1764000001", NOW, NOW + 1000},
		{"until=1d&since=7d", NOW - 7 * 86400000, NOW - 86400000},
		{"since=90m", NOW - 90 * 60000, INT64_MAX},
	};
	static const char *const bad[] = {"since=x",
					  "until=2025-13-01",
					  "since=-5",
					  "since=99999999999999999999",
					  "until=1y",
					  "since=1h&until=2h",
					  "since=2025-11-24&until=2025-11-24"};
	struct own_usage u;
	struct fault f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		f = (struct fault){0};
		assert_true(own_usage_read(slice_str(rows[i].query), NOW, &u, &f));
		assert_int_equal(u.since_ms, rows[i].since_ms);
		assert_int_equal(u.until_ms, rows[i].until_ms);
		assert_int_equal(u.by.n, 0);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		f = (struct fault){0};
		assert_false(own_usage_read(slice_str(bad[i]), NOW, &u, &f));
		assert_int_equal(f.kind, FAULT_INVALID_VALUE);
	}
}

static void test_by(void **state)
{
	struct own_usage u;
	struct fault f = {0};
	char query[200];

	(void)state;
	assert_true(own_usage_read(SLICE_LIT("by=day%2Cmodel&since=1d"), NOW, &u, &f));
	assert_true(slice_is(u.by, "day,model"));
	assert_true(own_usage_read_billing(SLICE_LIT("start_date=2025-11-01&end_date=2025-12-01"),
					   NOW, &u, &f));
	assert_true(slice_is(u.by, "day,model"));
	assert_int_equal(u.until_ms, 1764547200000);
	assert_false(own_usage_read_billing(SLICE_LIT("start_date=yesterday"), NOW, &u, &f));
	memset(query, 'x', sizeof(query));
	memcpy(query, "by=", 3);
	f = (struct fault){0};
	assert_false(own_usage_read(slice_of(query, sizeof(query)), NOW, &u, &f));
	assert_int_equal(f.kind, FAULT_INVALID_VALUE);
}

static void test_filters(void **state)
{
	struct own_usage u;
	struct fault f = {0};
	char query[300];

	(void)state;
	assert_true(own_usage_read(SLICE_LIT("model=a%2Fb&tag=c+d&key=abcdefghijkl&account=acme"),
				   NOW, &u, &f));
	assert_true(slice_is(own_usage_filter(&u, OWN_USAGE_MODEL), "a/b"));
	assert_true(slice_is(own_usage_filter(&u, OWN_USAGE_TAG), "c d"));
	assert_int_equal(own_usage_filter(&u, OWN_USAGE_TEAM).n, 0);
	assert_int_equal(own_usage_filter(&u, OWN_USAGE_PROVIDER).n, 0);
	assert_true(own_usage_is_own(&u, &key, &f));
	assert_false(own_usage_is_none(&u, OWN_USAGE_TAG));
	assert_false(own_usage_is_none(&u, OWN_USAGE_MODEL));
	assert_false(own_usage_is_none(&u, OWN_USAGE_PROVIDER));
	assert_true(own_usage_read(SLICE_LIT("tag=&model&by=day"), NOW, &u, &f));
	assert_true(own_usage_is_none(&u, OWN_USAGE_TAG));
	assert_true(own_usage_is_none(&u, OWN_USAGE_MODEL));
	assert_false(own_usage_is_none(&u, OWN_USAGE_PROVIDER));
	for (size_t i = 0; i < 3; i++) {
		static const char *const names[] = {"team=", "account=&tag=", "by=day&key="};

		f = (struct fault){0};
		assert_false(own_usage_read(slice_str(names[i]), NOW, &u, &f));
		assert_int_equal(f.kind, FAULT_INVALID_VALUE);
	}
	f = (struct fault){0};
	/* `key` is what a request may be authenticated with, too. */
	for (int own = 0; own < 2; own++) {
		for (int quoted = 0; quoted < 2; quoted++) {
			snprintf(query, sizeof(query), "key=%ssk-aigw-%s-%043d%s",
				 quoted ? "%20%22" : "", own ? key.id : "aaaaaaaaaaaa", 7,
				 quoted ? "%22" : "");
			f = (struct fault){0};
			assert_true(own_usage_read(slice_str(query), NOW, &u, &f));
			assert_int_equal(own_usage_is_own(&u, &key, &f), own);
		}
	}
	f = (struct fault){0};
	assert_true(own_usage_read(SLICE_LIT("key=aaaaaaaaaaaa"), NOW, &u, &f));
	assert_false(own_usage_is_own(&u, &key, &f));
	assert_int_equal(f.kind, FAULT_INVALID_VALUE);
	f = (struct fault){0};
	assert_true(own_usage_read(SLICE_LIT("account=other"), NOW, &u, &f));
	assert_false(own_usage_is_own(&u, &key, &f));
	memset(query, 'x', sizeof(query));
	memcpy(query, "team=", 5);
	f = (struct fault){0};
	assert_false(own_usage_read(slice_of(query, sizeof(query)), NOW, &u, &f));
	assert_int_equal(f.kind, FAULT_INVALID_VALUE);
}

/* What is not known would be left out of the question, and the answer be of all. */
static void test_names(void **state)
{
	static const struct {
		const char *query, *param;
	} bad[] = {
		{"foo=bar", "foo"},
		{"modle=x&by=day", "modle"},
		{"by=day&since=1d&by=model", "by"},
		{"team=a&team=a", "team"},
		{"since=1d&since=2d", "since"},
		{"%62y=day", "%62y"},
		{"a%0a=1", "a%0a"},
		{"foo", "foo"},
		{"=x", ""},
	};
	struct own_usage u;
	struct fault f = {0};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		f = (struct fault){0};
		assert_false(own_usage_read(slice_str(bad[i].query), NOW, &u, &f));
		assert_int_equal(fault_status(&f), 400);
		assert_string_equal(f.param, bad[i].param);
	}
	f = (struct fault){0};
	assert_true(own_usage_read(
		SLICE_LIT("since=2d&until=1d&by=day&model=m&provider=p&team=t&tag=u&account=a&key="
			  "k&limit=5&page=p&"),
		NOW, &u, &f));
	/* Other gateways' clients send what they like, but no span the wrong way round. */
	assert_true(own_usage_read_billing(SLICE_LIT("foo=bar&end_date=2025-12-01&foo=1"), NOW, &u,
					   &f));
	assert_true(own_usage_read_billing(SLICE_LIT("start_date=2025-12-01&end_date=2025-12-01"),
					   NOW, &u, &f));
	assert_false(own_usage_read_billing(SLICE_LIT("start_date=2025-12-02&end_date=2025-12-01"),
					    NOW, &u, &f));
	assert_int_equal(fault_status(&f), 400);
	assert_string_equal(f.param, "end_date");
}

/* As report_pack() writes them. */
static void row(struct mpack_out *o, const char *day, const char *model, int64_t n)
{
	mpack_arr(o, day ? 10 : 8);
	if (day) {
		mpack_strz(o, day);
		mpack_strz(o, model);
	}
	mpack_u64(o, (uint64_t)n);
	mpack_u64(o, 1);
	for (int64_t i = 1; i <= 4; i++)
		mpack_i64(o, n * i);
	mpack_i64(o, n * 1000000);
	mpack_i64(o, 0);
}

static struct msg_reported answer(struct buf *rows)
{
	struct mpack_out o;

	buf_init(rows, 65536);
	mpack_out_init(&o, rows);
	row(&o, "2025-11-24", "a", 1);
	row(&o, "2025-11-24", "b\"", 2);
	row(&o, "2025-11-25", "a", 4);
	row(&o, NULL, NULL, 7);
	assert_int_equal(mpack_out_end(&o), ERRC_OK);
	return (struct msg_reported){.rows = buf_slice(rows), .next = SLICE_LIT("AAE")};
}

static void has(const struct buf *b, const char *text)
{
	struct json_doc *doc = NULL;

	assert_int_equal(json_parse(buf_slice(b), NULL, &doc), ERRC_OK);
	json_free(&doc);
	if (slice_find(buf_slice(b), slice_str(text)) < 0)
		fail_msg("no %s in " SLICE_FMT, text, SLICE_ARG(buf_slice(b)));
}

static void test_usage_body(void **state)
{
	struct own_usage u = {.has_since = true, .since_ms = NOW, .by = SLICE_LIT("day,model")};
	struct msg_reported m;
	struct buf rows, b;

	(void)state;
	m = answer(&rows);
	buf_init(&b, 65536);
	assert_int_equal(own_usage_body(&u, &key, &m, &b), ERRC_OK);
	has(&b, "{\"object\":\"usage\",\"account\":\"acme\",\"key\":\"abcdefghijkl\",\"since\":"
		"\"2025-11-24T16:00:00.000Z\",\"until\":null,\"by\":[\"day\",\"model\"],\"data\":[{"
		"\"day\":\"2025-11-24\",\"model\":\"a\",\"requests\":1,\"failed\":1,");
	has(&b,
	    "{\"day\":\"2025-11-25\",\"model\":\"a\",\"requests\":4,\"failed\":1,\"tokens_prompt\":"
	    "4,\"tokens_cached\":8,\"tokens_completion\":12,\"tokens_reasoning\":16,\"cost\":0.004,"
	    "\"uncollected\":0.0}]");
	has(&b, "\"total\":{\"requests\":7,");
	has(&b, "\"has_more\":true,\"next_page\":\"AAE\"}");
	buf_fini(&b);
	buf_fini(&rows);
	assert_int_equal(mem_live_count(), 0);
}

/* More than the days that were asked for. */
static const struct auth_usage of_all_time = {.charged_nusd = 2500000000};

static void test_billing_body(void **state)
{
	struct msg_reported m;
	struct buf rows, b;

	(void)state;
	m = answer(&rows);
	buf_init(&b, 65536);
	assert_int_equal(own_usage_billing(&m, &of_all_time, &b), ERRC_OK);
	has(&b,
	    "{\"object\":\"list\",\"daily_costs\":[{\"timestamp\":1763942400,\"line_items\":[{"
	    "\"name\":\"a\",\"cost\":0.1},{\"name\":\"b\\\"\",\"cost\":0.2}]},{\"timestamp\":"
	    "1764028800,\"line_items\":[{\"name\":\"a\",\"cost\":0.4}]}],\"total_usage\":250.0}");
	buf_fini(&b);
	buf_fini(&rows);
}

static void test_spent(void **state)
{
	static const struct {
		const char *day;
		int64_t nusd;
	} days[] = {{"2025-10-31", 1},
		    {"2025-11-01", 10},
		    {"2025-11-23", 100},
		    {"2025-11-24", 1000},
		    {"2025-11-25", 10000}};
	struct own_usage_spent s;
	struct msg_reported m = {.seq = 1};
	struct mpack_out o;
	struct buf b;

	(void)state;
	/* A Monday; the Tuesday after it; a Saturday that is the first of a month. */
	assert_int_equal(own_usage_spent_since(1763942400000), 1761955200000);
	assert_int_equal(own_usage_spent_since(1764028800000 + 5), 1761955200000);
	assert_int_equal(own_usage_spent_since(1761955200000), 1761523200000);
	buf_init(&b, 65536);
	mpack_out_init(&o, &b);
	for (size_t i = 0; i < ARRAY_LEN(days); i++) {
		mpack_arr(&o, 9);
		mpack_strz(&o, days[i].day);
		for (int k = 0; k < 6; k++)
			mpack_u64(&o, 0);
		mpack_i64(&o, days[i].nusd);
		mpack_i64(&o, 0);
	}
	m.rows = buf_slice(&b);
	assert_false(own_usage_spent(&m, NOW, &s)); /* without its total it was cut */
	row(&o, NULL, NULL, 0);
	assert_int_equal(mpack_out_end(&o), ERRC_OK);
	m.rows = buf_slice(&b);
	assert_true(own_usage_spent(&m, 1764028800000 + 5, &s));
	assert_int_equal(s.day_nusd, 10000);
	assert_int_equal(s.week_nusd, 11000);
	assert_int_equal(s.month_nusd, 11110);
	/* The clock was set back by a day, then to the month before: days to come are none of these. */
	assert_true(own_usage_spent(&m, 1764028800000 - 1, &s));
	assert_int_equal(s.day_nusd, 1000);
	assert_int_equal(s.week_nusd, 1000);
	assert_int_equal(s.month_nusd, 1110);
	assert_true(own_usage_spent(&m, 1761955200000 - 1, &s));
	assert_int_equal(s.day_nusd, 1);
	assert_int_equal(s.week_nusd, 1);
	assert_int_equal(s.month_nusd, 1);
	buf_fini(&b);
}

/* What does not fit the question, or is cut anywhere, is an error and no body. */
static void test_answers_that_do_not_fit(void **state)
{
	struct own_usage u = {.by = SLICE_LIT("day")};
	struct msg_reported m;
	struct buf rows, b;
	size_t whole;

	(void)state;
	m = answer(&rows);
	buf_init(&b, 65536);
	assert_int_equal(own_usage_body(&u, &key, &m, &b), ERRC_CORRUPT);
	whole = m.rows.n;
	u.by = SLICE_LIT("day,model");
	for (m.rows.n = 0; m.rows.n < whole; m.rows.n++) {
		buf_reset(&b);
		assert_int_not_equal(own_usage_body(&u, &key, &m, &b), ERRC_OK);
		buf_reset(&b);
		assert_int_not_equal(own_usage_billing(&m, &of_all_time, &b), ERRC_OK);
	}
	buf_fini(&b);
	buf_fini(&rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_times),      cmocka_unit_test(test_by),
		cmocka_unit_test(test_filters),    cmocka_unit_test(test_names),
		cmocka_unit_test(test_usage_body), cmocka_unit_test(test_billing_body),
		cmocka_unit_test(test_spent),      cmocka_unit_test(test_answers_that_do_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
