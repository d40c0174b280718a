/* own_body.c: what a key may read of itself, byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "own_body.h"

static struct auth_key key = {.id = "abcdefghijkl", .name = "build", .account_name = "acme"};

static struct auth_usage usage(void)
{
	struct auth_usage u = {.charged_nusd = 1500000000,
			       .requests = 3,
			       .tokens = 44,
			       .granted_nusd = 10000000000,
			       .balance_nusd = 8499999999,
			       .held_nusd = 1,
			       .settled_nusd = 1500000000,
			       .mode = ROWS_PREPAID};

	return u;
}

static void expect(struct buf *b, enum errc e, const char *text)
{
	assert_int_equal(e, ERRC_OK);
	assert_string_equal(buf_cstr(b), text);
	buf_fini(b);
}

static void has(const struct buf *b, const char *text)
{
	if (slice_find(buf_slice(b), slice_str(text)) < 0)
		fail_msg("no %s in " SLICE_FMT, text, SLICE_ARG(buf_slice(b)));
}

static void test_key_without_limits(void **state)
{
	struct auth_usage u = usage();
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	expect(&b, own_body_key(&key, &u, NULL, &b),
	       "{\"data\":{\"label\":\"sk-aigw-abcdefghijkl-...\",\"name\":\"build\",\"account\":"
	       "\"acme\",\"team\":null,"
	       "\"limit\":null,\"limit_remaining\":null,\"limit_reset\":null,\"usage\":1.5,"
	       "\"usage_daily\":null,\"usage_weekly\":null,\"usage_monthly\":null,"
	       "\"requests\":3,"
	       "\"tokens\":44,\"is_free_tier\":false,\"is_management_key\":false,\"created_at\":"
	       "null,"
	       "\"expires_at\":null,\"byok_usage\":0.0,\"byok_usage_daily\":0.0,"
	       "\"byok_usage_weekly\":0.0,\"byok_usage_monthly\":0.0,\"include_byok_in_limit\":"
	       "false,\"is_provisioning_key\":false,\"creator_user_id\":null,"
	       "\"organization_id\":null,\"workspace_id\":null,\"allowed_data_regions\":[],"
	       "\"free_model_daily_requests\":{\"limit\":0,\"used\":0,\"remaining\":0},"
	       "\"rate_limit\":{\"requests\":-1,\"interval\":\"10s\",\"note\":\"see `limits`\"},"
	       "\"limits\":[]}}");
}

/* What is left is never below zero, whatever was used above a limit that was lowered. */
static void test_key_above_its_limits(void **state)
{
	struct auth_usage u = usage();
	struct buf b;

	(void)state;
	u.rules_n = 4;
	u.rules[0] = (struct auth_rule){.scope = ROWS_KEY,
					.kind = ROWS_RPM,
					.text = "requests a minute",
					.now = {.limit = 5, .used = 9}};
	u.rules[1] = (struct auth_rule){
		.scope = ROWS_KEY,
		.kind = ROWS_BUDGET,
		.window = {.unit = WINDOW_DAY},
		.text = "budget per day",
		.now = {.limit = 2000000000, .used = 2500000000, .reset_s = 86400}};
	u.rules[2] = (struct auth_rule){.scope = ROWS_TEAM,
					.kind = ROWS_TPM,
					.text = "tokens a minute",
					.models = "gpt-*",
					.now = {.limit = 7, .remaining = 6}};
	u.rules[3] = (struct auth_rule){.scope = ROWS_KEY,
					.kind = ROWS_CONCURRENCY,
					.text = "requests at once",
					.now = {.limit = 2, .used = 1, .remaining = 1}};
	u.holds = 1;
	buf_init(&b, 65536);
	assert_int_equal(own_body_key(&key, &u, NULL, &b), ERRC_OK);
	assert_true(
		slice_find(
			buf_slice(&b),
			SLICE_LIT("\"limit\":2.0,\"limit_remaining\":0.0,\"limit_reset\":\"daily\","
				  "\"limit_resets_at\":\"1970-01-02T00:00:00Z\","
				  "\"limit_usage\":2.5")) >= 0);
	has(&b,
	    "\"limits\":[{\"scope\":\"key\",\"name\":\"requests a minute\",\"unit\":\"requests\","
	    "\"limit\":5,\"used\":9,\"remaining\":0}");
	has(&b, "{\"scope\":\"key\",\"name\":\"budget per "
		"day\",\"unit\":\"usd\",\"limit\":2.0,\"used\":2.5,"
		"\"held\":0.0,\"remaining\":0.0,\"resets_at\":\"1970-01-02T00:00:00Z\"}");
	has(&b, "{\"scope\":\"team\",\"name\":\"tokens a minute\",\"unit\":\"tokens\",\"models\":"
		"\"gpt-*\",\"limit\":7,\"used\":0,\"remaining\":6}");
	has(&b, "{\"scope\":\"key\",\"name\":\"concurrency\",\"unit\":\"requests\",\"limit\":2,"
		"\"used\":1,"
		"\"remaining\":1}]");
	buf_fini(&b);
}

/* Of several budgets the one that leaves least is the key's limit, whichever was made first; counted only, or for some models: none. */
static void test_key_of_several_budgets(void **state)
{
	struct auth_usage u = usage();
	struct buf b;

	(void)state;
	u.rules_n = 4;
	for (size_t i = 0; i < u.rules_n; i++)
		u.rules[i] = (struct auth_rule){.scope = ROWS_KEY, .kind = ROWS_BUDGET};
	u.rules[0].window.unit = WINDOW_DAY;
	u.rules[0].now = (struct rows_rule_now){.limit = 5000000000, .remaining = 3000000000};
	u.rules[1].window.unit = WINDOW_TOTAL;
	u.rules[1].now = (struct rows_rule_now){.limit = 9000000000, .remaining = 1000000000};
	u.rules[2].shadow = true;
	memcpy(u.rules[3].models, "gpt-*", 6);
	buf_init(&b, 65536);
	assert_int_equal(own_body_key(&key, &u, NULL, &b), ERRC_OK);
	has(&b, "\"limit\":9.0,\"limit_remaining\":1.0,\"limit_reset\":null,");
	buf_reset(&b);
	u.rules[1].credit = true;
	u.rules[1].text = "credit";
	u.rules[1].now = (struct rows_rule_now){.limit = 1500000000,
						.raise = 500000000,
						.used = 1400000000,
						.held = 1,
						.remaining = 99999999,
						.reset_s = WINDOW_NEVER};
	assert_int_equal(own_body_key(&key, &u, NULL, &b), ERRC_OK);
	has(&b, "\"limit\":1.5,\"limit_remaining\":0.099999999,\"limit_reset\":null,"
		"\"limit_resets_at\":null,\"limit_usage\":1.4");
	has(&b, "{\"scope\":\"key\",\"name\":\"credit\",\"unit\":\"usd\",\"limit\":1.5,"
		"\"overdraft\":0.5,"
		"\"used\":1.4,\"held\":0.000000001,\"remaining\":0.099999999,\"resets_at\":null}");
	assert_int_equal(own_body_left_nusd(&u), 99999999);
	buf_fini(&b);
}

static void test_key_with_what_it_spent(void **state)
{
	const struct own_usage_spent spent = {1, 2000000000, 3500000000};
	struct auth_usage u = usage();
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(own_body_key(&key, &u, &spent, &b), ERRC_OK);
	has(&b, "\"usage_daily\":0.000000001,\"usage_weekly\":2.0,\"usage_monthly\":3.5,");
	buf_fini(&b);
}

static void test_credits(void **state)
{
	struct auth_usage u = usage();
	struct buf b;

	(void)state;
	buf_init(&b, 65536);
	expect(&b, own_body_credits(&u, &b),
	       "{\"data\":{\"total_credits\":10.0,\"total_usage\":1.5,\"balance\":8.499999999,"
	       "\"held\":0.000000001,\"overdraft\":0.0,\"postpaid\":false,"
	       "\"available\":8.499999999,\"limits\":[]}}");
}

/* What is left is what the tightest limit leaves; rules that are only counted, or that are for some models, are none. */
static void test_what_is_left(void **state)
{
	struct auth_usage u = usage();

	(void)state;
	assert_int_equal(own_body_left_nusd(&u), 8499999999);
	u.overdraft_nusd = 1;
	assert_int_equal(own_body_left_nusd(&u), 8500000000);
	u.granted_nusd = 1499999995; /* charges and holds came to more */
	assert_int_equal(own_body_left_nusd(&u), 0);
	u.in_shadow = true;
	assert_int_equal(own_body_left_nusd(&u), OWN_BODY_NO_END);
	u.in_shadow = false;
	u.mode = ROWS_POSTPAID;
	assert_int_equal(own_body_left_nusd(&u), OWN_BODY_NO_END);
	u.settled_nusd = MONEY_NUSD_MAX / 2 - 1;
	u.granted_nusd = 0;
	assert_int_equal(own_body_left_nusd(&u), OWN_BODY_NO_END);
	u.held_nusd = 2;
	assert_int_equal(own_body_left_nusd(&u), MONEY_NUSD_MAX / 2 - 1);
	u.settled_nusd = MONEY_NUSD_MAX - 2;
	assert_int_equal(own_body_left_nusd(&u), 0);
	u.settled_nusd = 0;
	u.rules_n = 4;
	u.rules[0] = (struct auth_rule){.scope = ROWS_KEY, .kind = ROWS_BUDGET, .shadow = true};
	u.rules[1] = (struct auth_rule){.scope = ROWS_KEY, .kind = ROWS_BUDGET, .models = "a"};
	u.rules[2] = (struct auth_rule){.scope = ROWS_TEAM, .kind = ROWS_BUDGET, .now.remaining = 9};
	u.rules[3] = (struct auth_rule){.scope = ROWS_KEY, .kind = ROWS_RPM};
	assert_int_equal(own_body_left_nusd(&u), 9);
}

/* A list that does not fit is an error, not a cut body. */
static void test_too_long(void **state)
{
	struct auth_usage u = usage();
	struct buf b;

	(void)state;
	for (size_t max = 1; max < 90; max++) {
		buf_init(&b, max);
		assert_int_equal(own_body_credits(&u, &b), ERRC_LIMIT);
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_key_without_limits),
		cmocka_unit_test(test_key_above_its_limits),
		cmocka_unit_test(test_key_of_several_budgets),
		cmocka_unit_test(test_key_with_what_it_spent),
		cmocka_unit_test(test_credits),
		cmocka_unit_test(test_what_is_left),
		cmocka_unit_test(test_too_long),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
