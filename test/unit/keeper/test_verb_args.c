/* The arguments of the keeper's verbs: which are refused and why, what the options of a key become. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "clock.h"
#include "verb_args.h"
#include "zone_folder.h"
#include "zones.h"

#define ARGS(...)                                                                 \
	((struct verb_args){(const struct control_field[]){__VA_ARGS__},          \
			    sizeof((const struct control_field[]){__VA_ARGS__}) / \
				    sizeof(struct control_field)})

static void refuse(enum control_verb v, struct verb_args a, const char *part)
{
	char why[VERB_ARGS_WHY] = "";

	assert_false(verb_args_check(v, a, why));
	if (!strstr(why, part))
		fail_msg("'%s' is not in '%s'", part, why);
}

static void test_check(void **state)
{
	char why[VERB_ARGS_WHY];

	assert_true(verb_args_check(CONTROL_DO_ACCOUNT_LIST, (struct verb_args){NULL, 0}, why));
	assert_true(verb_args_check(
		CONTROL_DO_ACCOUNT_CREATE,
		ARGS(CONTROL_S("name", SLICE_LIT("acme")), CONTROL_I("credit_nusd", 5)), why));
	refuse(CONTROL_DO_ACCOUNT_CREATE, (struct verb_args){NULL, 0}, "'name' is missing");
	refuse(CONTROL_DO_ACCOUNT_CREATE, ARGS(CONTROL_S("name", SLICE_NONE)), "'name' is missing");
	refuse(CONTROL_DO_ACCOUNT_CREATE, ARGS(CONTROL_I("name", 5)), "wrong type");
	refuse(CONTROL_DO_ACCOUNT_CREATE,
	       ARGS(CONTROL_S("name", SLICE_LIT("a")), CONTROL_S("name", SLICE_LIT("b"))), "twice");
	refuse(CONTROL_DO_ACCOUNT_SHOW,
	       ARGS(CONTROL_S("account", SLICE_LIT("a")), CONTROL_B("now", true)),
	       "unknown argument 'now'");
	refuse(CONTROL_DO_ACCOUNT_LIST, ARGS(CONTROL_S("account", SLICE_LIT("a"))), "unknown");
	(void)state;
}

static void key_init(struct rows_scope *k)
{
	*k = (struct rows_scope){.kind = ROWS_KEY, .account = 1};
	rows_limits_init(&k->limits);
}

static void test_key_options(void **state)
{
	struct verb_args a = ARGS(
		CONTROL_S("name", SLICE_LIT("robot 1")), CONTROL_I("rpm", 60), CONTROL_I("tpd", 0),
		CONTROL_I("concurrency", 4), CONTROL_I("budget_nusd", 5000000000),
		CONTROL_S("budget_period", SLICE_LIT("week")), CONTROL_B("rolling", true),
		CONTROL_S("models", SLICE_LIT("gpt-*, !gpt-4*,claude-?\nx")),
		CONTROL_I("expires_s", 4000000000),
		CONTROL_S("ip", SLICE_LIT("10.0.0.0/8 192.168.1.7")), CONTROL_B("clamp", true),
		CONTROL_I("keepalive_ms", 5000));
	char why[VERB_ARGS_WHY], text[IPNET_TEXT_MAX];
	struct rows_scope k;
	struct buf mem;

	buf_init(&mem, 2 * VERB_ARGS_MEM);
	key_init(&k);
	assert_true(verb_args_check(CONTROL_DO_KEY_UPDATE,
				    ARGS(CONTROL_S("key", SLICE_LIT("aaaaaaaaaaaa"))), why));
	assert_true(verb_args_scope(a, NULL, &k, &mem, why));
	assert_true(slice_is(k.name, "robot 1"));
	assert_int_equal(rows_limits_get(&k.limits, ROWS_RPM), 60);
	assert_int_equal(rows_limits_get(&k.limits, ROWS_TPM), ROWS_NO_LIMIT);
	assert_int_equal(rows_limits_get(&k.limits, ROWS_TPD), 0);
	assert_int_equal(rows_limits_get(&k.limits, ROWS_CONCURRENCY), 4);
	assert_int_equal(rows_limits_get(&k.limits, ROWS_BUDGET), 5000000000);
	assert_int_equal(rows_limits_find(&k.limits, ROWS_BUDGET)->window.unit, WINDOW_WEEK);
	assert_true(rows_limits_find(&k.limits, ROWS_BUDGET)->window.rolling);
	assert_true(slice_is(k.models, "gpt-*\n!gpt-4*\nclaude-?\nx"));
	assert_true(rows_models_allow(k.models, SLICE_LIT("gpt-5")));
	assert_false(rows_models_allow(k.models, SLICE_LIT("gpt-4o")));
	assert_int_equal(k.expires_s, 4000000000);
	assert_int_equal(k.nets_n, 2);
	(void)ipnet_print(&k.nets[0], text);
	assert_string_equal(text, "10.0.0.0/8");
	assert_int_equal(k.flags & ROWS_KEY_CLAMP, ROWS_KEY_CLAMP);
	assert_int_equal(k.keepalive_ms, 5000);

	/* What is not given stays; -1 and an empty text take away. */
	assert_true(verb_args_scope(ARGS(CONTROL_I("rpm", -1), CONTROL_S("models", SLICE_NONE),
					 CONTROL_S("ip", SLICE_NONE), CONTROL_B("clamp", false),
					 CONTROL_B("suspended", true)),
				    NULL, &k, &mem, why));
	assert_int_equal(rows_limits_get(&k.limits, ROWS_RPM), ROWS_NO_LIMIT);
	assert_int_equal(rows_limits_get(&k.limits, ROWS_CONCURRENCY), 4);
	assert_int_equal(k.models.n, 0);
	assert_int_equal(k.nets_n, 0);
	assert_int_equal(k.flags & ROWS_KEY_CLAMP, 0);
	assert_int_equal(k.status, ROWS_SUSPENDED);
	assert_int_equal(k.keepalive_ms, 5000);
	assert_true(verb_args_scope(ARGS(CONTROL_I("keepalive_ms", 0)), NULL, &k, &mem, why));
	assert_int_equal(k.keepalive_ms, 0);
	assert_true(verb_args_scope(ARGS(CONTROL_I("keepalive_ms", -1)), NULL, &k, &mem, why));
	assert_int_equal(k.keepalive_ms, ROWS_NO_LIMIT);
	assert_int_equal(rows_limits_find(&k.limits, ROWS_BUDGET)->window.unit, WINDOW_WEEK);
	buf_fini(&mem);
	(void)state;
}

static void test_zone(void **state)
{
	char why[VERB_ARGS_WHY];
	struct rows_rule *r;
	struct rows_scope k;
	struct buf mem;

	buf_init(&mem, 2 * VERB_ARGS_MEM);
	key_init(&k);
	assert_true(verb_args_scope(ARGS(CONTROL_I("budget_nusd", 5),
					 CONTROL_S("budget_period", SLICE_LIT("day")),
					 CONTROL_S("zone", SLICE_LIT("Area/Three"))),
				    NULL, &k, &mem, why));
	r = rows_limits_find(&k.limits, ROWS_BUDGET);
	assert_true(slice_is(r->zone, "Area/Three"));
	/* It stays until it is given again. */
	assert_true(verb_args_scope(ARGS(CONTROL_I("budget_nusd", 6), CONTROL_B("rolling", false)),
				    NULL, &k, &mem, why));
	assert_int_equal(r->limit, 6);
	assert_true(slice_is(r->zone, "Area/Three"));
	assert_int_equal(r->window.carry_until_s, 0);
	assert_true(verb_args_scope(ARGS(CONTROL_S("zone", SLICE_LIT("UTC"))), NULL, &k, &mem, why));
	assert_int_equal(r->zone.n, 0);
	assert_int_equal(r->window.unit, WINDOW_DAY);
	/* The day that lasts is not forgotten. */
	assert_true(r->window.carry_until_s > clock_wall_s());
	buf_fini(&mem);
	(void)state;
}

static bool put_credit(struct rows_scope *k, struct verb_args a)
{
	char why[VERB_ARGS_WHY];
	struct buf mem;
	bool good;

	buf_init(&mem, VERB_ARGS_MEM);
	good = verb_args_scope(a, NULL, k, &mem, why);
	buf_fini(&mem);
	return good;
}

/* Credit of a key: a rule whose id, and with it what was used, stays until it is postpaid. The budget beside it is another. */
static void test_credit(void **state)
{
	struct rows_scope k;
	struct rows_rule *r;

	(void)state;
	key_init(&k);
	assert_true(put_credit(
		&k, ARGS(CONTROL_S("credit", SLICE_LIT("1")), CONTROL_I("overdraft_nusd", 5))));
	assert_true(put_credit(&k, ARGS(CONTROL_I("budget_nusd", 9))));
	r = rows_limits_credit(&k.limits);
	assert_int_equal(k.limits.n, 2);
	assert_true(r->id == 1 && r->limit == 1000000000 && r->raise == 5);
	assert_int_equal(r->window.unit, WINDOW_TOTAL);
	assert_int_equal(rows_limits_find(&k.limits, ROWS_BUDGET)->limit, 9);
	assert_true(put_credit(&k, ARGS(CONTROL_S("credit", SLICE_LIT("+0.5")))));
	assert_true(r->limit == 1500000000 && r->raise == 5);
	assert_true(put_credit(
		&k, ARGS(CONTROL_S("credit", SLICE_LIT("0.1")), CONTROL_B("postpaid", false))));
	assert_true(r->id == 1 && r->limit == 100000000 && r->raise == 5);
	assert_true(put_credit(&k, ARGS(CONTROL_I("overdraft_nusd", 0))));
	assert_true(put_credit(&k, ARGS(CONTROL_B("postpaid", false), CONTROL_I("budget_nusd", 8),
					CONTROL_S("budget_period", SLICE_LIT("day")))));
	assert_true(r->id == 1 && r->limit == 100000000 && r->raise == 0 &&
		    r->window.unit == WINDOW_TOTAL);
	assert_true(put_credit(&k, ARGS(CONTROL_I("budget_nusd", -1))));
	assert_int_equal(k.limits.n, 1);
	assert_true(rows_limits_are_valid(&k.limits));
	assert_true(put_credit(&k, ARGS(CONTROL_B("postpaid", true))));
	assert_int_equal(k.limits.n, 0);
	assert_true(put_credit(&k, ARGS(CONTROL_B("postpaid", true))));
	/* New credit begins at nothing. */
	assert_true(put_credit(&k, ARGS(CONTROL_S("credit", SLICE_LIT("1")))));
	assert_int_equal(rows_limits_credit(&k.limits)->id, 3);
	/* Of an account these are about its balance. */
	key_init(&k);
	k.kind = ROWS_ACCOUNT;
	assert_true(
		put_credit(&k, ARGS(CONTROL_I("overdraft_nusd", 5), CONTROL_B("postpaid", true))));
	assert_int_equal(k.limits.n, 0);
}

/* A scope that has as many limits as there may be: no option adds another one, each says so by its name, and what is removed makes room. */
static void test_full(void **state)
{
	const struct {
		struct control_field f;
		const char *word;
	} more[] = {{CONTROL_I("rpm", 1), "rpm: there are 64 limits"},
		    {CONTROL_I("concurrency", 1), "concurrency: there are 64 limits"},
		    {CONTROL_I("budget_nusd", 1), "budget: there are 64 limits"},
		    {CONTROL_S("credit", SLICE_LIT("1")), "credit: there are 64 limits"},
		    {CONTROL_S("limit", SLICE_LIT("tokens=1/day")),
		     "limit: 'tokens=1/day': there are"}};
	char why[VERB_ARGS_WHY];
	struct rows_scope k;
	struct buf mem;

	buf_init(&mem, 8 * VERB_ARGS_MEM);
	key_init(&k);
	while (k.limits.n < ROWS_RULES_MAX)
		rows_limits_add(&k.limits, ROWS_BUDGET, 1)->models = SLICE_LIT("m");
	for (size_t i = 0; i < ARRAY_LEN(more); i++) {
		assert_false(
			verb_args_scope((struct verb_args){&more[i].f, 1}, NULL, &k, &mem, why));
		assert_memory_equal(why, more[i].word, strlen(more[i].word));
	}
	assert_true(verb_args_scope(
		ARGS(CONTROL_S("limit_remove", SLICE_LIT("5")), CONTROL_I("rpm", 1)), NULL, &k,
		&mem, why));
	assert_int_equal(k.limits.n, ROWS_RULES_MAX);
	assert_int_equal(rows_limits_get(&k.limits, ROWS_RPM), 1);
	buf_fini(&mem);
	(void)state;
}

/* A budget that is taken away leaves the others as they are. */
static void test_two_budgets(void **state)
{
	const struct verb_args none = ARGS(CONTROL_I("budget_nusd", ROWS_NO_LIMIT));
	char why[VERB_ARGS_WHY];
	struct rows_rule *r;
	struct rows_scope k;
	struct buf mem;

	buf_init(&mem, 4 * VERB_ARGS_MEM);
	key_init(&k);
	assert_true(verb_args_scope(
		ARGS(CONTROL_I("budget_nusd", 5), CONTROL_S("budget_period", SLICE_LIT("week"))),
		NULL, &k, &mem, why));
	assert_true(verb_args_scope(
		ARGS(CONTROL_S("limit", SLICE_LIT("budget=0.000000007/day zone=Area/Three"))), NULL,
		&k, &mem, why));
	assert_int_equal(k.limits.n, 2);
	assert_true(verb_args_scope(none, NULL, &k, &mem, why));
	assert_int_equal(k.limits.n, 1);
	r = rows_limits_find(&k.limits, ROWS_BUDGET);
	assert_int_equal(r->limit, 7);
	assert_int_equal(r->window.unit, WINDOW_DAY);
	assert_true(slice_is(r->zone, "Area/Three"));
	/* "none" would be taken for all of them. */
	assert_false(verb_args_scope(ARGS(CONTROL_S("limit", SLICE_NONE)), NULL, &k, &mem, why));
	assert_non_null(strstr(why, "limit-remove"));
	/* One that is removed in the same breath is not the one that is set. */
	assert_true(verb_args_scope(
		ARGS(CONTROL_S("limit_remove", SLICE_LIT("2")), CONTROL_I("budget_nusd", 9)), NULL,
		&k, &mem, why));
	assert_int_equal(k.limits.n, 1);
	r = rows_limits_find(&k.limits, ROWS_BUDGET);
	assert_int_equal(r->limit, 9);
	assert_int_equal(r->window.unit, WINDOW_MONTH);
	buf_fini(&mem);
	(void)state;
}

/* --period ends a raise for so many periods as a change by the rule's id does. */
static void test_raise(void **state)
{
	char why[VERB_ARGS_WHY];
	struct rows_scope k;
	struct rows_rule *r;
	struct buf mem;

	buf_init(&mem, 4 * VERB_ARGS_MEM);
	key_init(&k);
	assert_true(verb_args_scope(
		ARGS(CONTROL_S("limit", SLICE_LIT("budget=1/year raise=2 windows=2"))), NULL, &k,
		&mem, why));
	r = rows_limits_find(&k.limits, ROWS_BUDGET);
	assert_true(verb_args_scope(ARGS(CONTROL_S("budget_period", SLICE_LIT("day"))), NULL, &k,
				    &mem, why));
	assert_true(r->raise_by_window);
	assert_int_equal(r->raise_until_s, r->window.carry_until_s);
	assert_true(r->raise_until_s <= clock_wall_s() + 86400);
	assert_true(verb_args_scope(ARGS(CONTROL_S("budget_period", SLICE_LIT("total"))), NULL, &k,
				    &mem, why));
	assert_true(r->raise && !r->raise_by_window);
	assert_true(rows_limits_are_valid(&k.limits));
	buf_fini(&mem);
	(void)state;
}

static void refuse_key(struct verb_args a, const char *part)
{
	char why[VERB_ARGS_WHY] = "";
	struct rows_scope k;
	struct buf mem;

	buf_init(&mem, 2 * VERB_ARGS_MEM);
	key_init(&k);
	assert_false(verb_args_scope(a, NULL, &k, &mem, why));
	if (!strstr(why, part))
		fail_msg("'%s' is not in '%s'", part, why);
	buf_fini(&mem);
}

static void test_key_refused(void **state)
{
	static char longer[ROWS_MODELS_MAX + 2];

	memset(longer, 'x', sizeof(longer));
	refuse_key(ARGS(CONTROL_I("overdraft_nusd", 5)),
		   "overdraft: there is no credit that it could be of: give --credit DOLLARS with "
		   "--overdraft");
	refuse_key(ARGS(CONTROL_S("credit", SLICE_LIT("1")), CONTROL_I("overdraft_nusd", -1)),
		   "overdraft_nusd: -1");
	refuse_key(ARGS(CONTROL_B("postpaid", false)), "postpaid: off needs a credit");
	refuse_key(ARGS(CONTROL_B("postpaid", true), CONTROL_S("credit", SLICE_LIT("1"))),
		   "postpaid: has no use for credit and overdraft");
	refuse_key(ARGS(CONTROL_B("postpaid", true), CONTROL_I("overdraft_nusd", 1)),
		   "postpaid: has no use for credit and overdraft");
	refuse_key(ARGS(CONTROL_S("credit", SLICE_LIT("+1"))), "credit: there is none to add to");
	refuse_key(ARGS(CONTROL_S("credit", SLICE_LIT("x"))), "4000000000 in all");
	refuse_key(ARGS(CONTROL_S("credit", SLICE_LIT("1")),
			CONTROL_S("limit", SLICE_LIT("credit=2"))),
		   "limit: 'credit=2': it has a credit already");
	refuse_key(ARGS(CONTROL_I("keepalive_ms", 1500)), "keepalive: whole seconds");
	refuse_key(ARGS(CONTROL_I("keepalive_ms", -2)), "keepalive: whole seconds");
	refuse_key(ARGS(CONTROL_I("keepalive_ms", 3601000)), "keepalive: whole seconds");
	refuse_key(ARGS(CONTROL_I("rpm", -2)), "rpm: -2");
	refuse_key(ARGS(CONTROL_I("budget_nusd", INT64_MAX)), "budget_nusd");
	refuse_key(ARGS(CONTROL_I("expires_s", -5)), "expires_s");
	refuse_key(ARGS(CONTROL_S("budget_period", SLICE_LIT("fortnight"))), "period: minute");
	refuse_key(ARGS(CONTROL_S("budget_period", SLICE_LIT("total")), CONTROL_B("rolling", true)),
		   "rolling");
	refuse_key(ARGS(CONTROL_S("budget_period", SLICE_LIT("day"))),
		   "period: there is no budget");
	refuse_key(ARGS(CONTROL_B("rolling", true)), "there is no budget");
	refuse_key(ARGS(CONTROL_S("zone", SLICE_LIT("UTC"))), "zone: there is no budget");
	refuse_key(
		ARGS(CONTROL_I("budget_nusd", 1), CONTROL_S("zone", SLICE_LIT("Europe/Atlantis"))),
		"no time zone 'Europe/Atlantis' is installed");
	refuse_key(ARGS(CONTROL_I("budget_nusd", 1), CONTROL_S("zone", SLICE_LIT("../passwd"))),
		   "no time zone '../passwd'");
	refuse_key(ARGS(CONTROL_I("budget_nusd", 1), CONTROL_S("zone", SLICE_LIT("Area/Broken"))),
		   "zone: Area/Broken cannot be used: syntax error");
	refuse_key(ARGS(CONTROL_S("models", SLICE_LIT("a,!,b"))), "'!'");
	refuse_key(ARGS(CONTROL_S("models", slice_of(longer, sizeof(longer)))), "1024 bytes");
	refuse_key(ARGS(CONTROL_S("ip", SLICE_LIT("10.0.0.1/8"))), "10.0.0.1/8");
	refuse_key(ARGS(CONTROL_S("ip", SLICE_LIT("example.com"))), "example.com");
	refuse_key(ARGS(CONTROL_S("name", SLICE_LIT("a\nb"))), "name");
	refuse_key(ARGS(CONTROL_S("name", SLICE_LIT("gr\xfcn"))), "UTF-8");
	refuse_key(ARGS(CONTROL_S("name", slice_of(longer, ROWS_NAME_MAX + 1))), "name");
	(void)state;
}

static void test_key_id(void **state)
{
	char id[APIKEY_ID + 1];
	struct apikey k;

	apikey_make(&k);
	assert_true(verb_args_key_id(slice_str(k.text), id));
	assert_string_equal(id, k.id);
	assert_true(verb_args_key_id(slice_str(k.id), id));
	assert_string_equal(id, k.id);
	assert_true(verb_args_key_id(SLICE_LIT(" sk-aigw-abcdefghijk1 "), id));
	assert_string_equal(id, "abcdefghijk1");
	assert_false(verb_args_key_id(SLICE_LIT("acme"), id));
	assert_false(verb_args_key_id(SLICE_NONE, id));
	apikey_fini(&k);
	(void)state;
}

static void test_span(void **state)
{
	const struct control_field f[] = {CONTROL_I("since_ms", 5), CONTROL_I("until_ms", 6),
					  CONTROL_I("until_ms", 5)};
	int64_t since, until;
	char why[VERB_ARGS_WHY];

	assert_true(verb_args_span((struct verb_args){f, 0}, &since, &until, why));
	assert_int_equal(since, 0);
	assert_int_equal(until, INT64_MAX);
	assert_true(verb_args_span((struct verb_args){f, 2}, &since, &until, why));
	assert_int_equal(until, 6);
	assert_false(verb_args_span((struct verb_args){(struct control_field[]){f[0], f[2]}, 2},
				    &since, &until, why));
	assert_non_null(strstr(why, "until: "));
	(void)state;
}

static void test_end(void **state)
{
	int64_t now_s = clock_wall_s(), ended_s = now_s - 100;
	char why[VERB_ARGS_WHY];
	struct rows_scope k;
	struct buf mem;

	(void)state;
	buf_init(&mem, 9 * VERB_ARGS_MEM);
	key_init(&k);
	assert_true(
		verb_args_scope(ARGS(CONTROL_I("expires_s", now_s + 1000)), NULL, &k, &mem, why));
	assert_true(k.expires_s == now_s + 1000);
	assert_false(verb_args_scope(ARGS(CONTROL_I("expires_s", now_s)), NULL, &k, &mem, why));
	assert_non_null(strstr(why, "expires: that time is over"));
	assert_false(verb_args_scope(ARGS(CONTROL_I("expires_s", 1)), NULL, &k, &mem, why));
	assert_true(verb_args_scope(ARGS(CONTROL_I("expires_s", 0)), NULL, &k, &mem, why));
	assert_true(k.expires_s == 0);
	/* The end that it had may be said again, and need not be said for another change. */
	k.expires_s = ended_s;
	assert_true(verb_args_scope(ARGS(CONTROL_I("expires_s", ended_s)), NULL, &k, &mem, why));
	assert_true(verb_args_scope(ARGS(CONTROL_I("rpm", 5)), NULL, &k, &mem, why));
	assert_true(k.expires_s == ended_s);
	buf_fini(&mem);
}

static void test_new(void **state)
{
	struct rows_scope k = {.status = ROWS_ACTIVE};
	char why[VERB_ARGS_WHY];

	assert_true(verb_args_is_new(&k, why));
	k.status = ROWS_SUSPENDED;
	assert_false(verb_args_is_new(&k, why));
	assert_non_null(strstr(why, "suspended: "));
	(void)state;
}

static int set_up(void **state)
{
	zone_folder_make();
	zone_folder_put("Area/Three", "AAA-3");
	zone_folder_put("Area/Broken", "AAA");
	(void)state;
	return 0;
}

static int tear_down(void **state)
{
	zones_fini();
	zone_folder_remove();
	(void)state;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check),       cmocka_unit_test(test_key_options),
		cmocka_unit_test(test_zone),        cmocka_unit_test(test_two_budgets),
		cmocka_unit_test(test_full),        cmocka_unit_test(test_credit),
		cmocka_unit_test(test_key_refused), cmocka_unit_test(test_key_id),
		cmocka_unit_test(test_span),        cmocka_unit_test(test_end),
		cmocka_unit_test(test_new),         cmocka_unit_test(test_raise),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
