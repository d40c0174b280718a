#include "parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "mem.h"

#define NOW_MS INT64_C(1764063000000) /* 2025-11-25T09:30:00Z */

static struct parse p;

static enum errc parse(const char *const *args)
{
	int n = 0;

	while (args[n])
		n++;
	parse_fini(&p);
	parse_init(&p, NOW_MS);
	return parse_args(&p, n, (char *const *)args);
}
#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

static struct slice sent_str(const char *name)
{
	struct slice s = SLICE_NONE;

	assert_true(control_get_str(p.send.f, p.send.n, name, &s));
	return s;
}

static int64_t sent_i64(const char *name)
{
	int64_t v;

	assert_true(control_get_i64(p.send.f, p.send.n, name, &v));
	return v;
}

static void test_commands_and_words(void **state)
{
	assert_int_equal(PARSE("account", "create", "acme", "--credit", "5"), ERRC_OK);
	assert_int_equal(p.cmd->verb, CONTROL_DO_ACCOUNT_CREATE);
	assert_true(slice_is(sent_str("name"), "acme"));
	assert_true(sent_i64("credit_nusd") == INT64_C(5000000000));
	assert_int_equal(p.send.n, 2);
	assert_int_equal(PARSE("status"), ERRC_OK);
	assert_int_equal(p.cmd->verb, CONTROL_DO_STATUS);
	assert_int_equal(p.send.n, 0);
}

static void test_options_stand_anywhere(void **state)
{
	assert_int_equal(
		PARSE("--socket=/a", "key", "--json", "create", "--rpm=3", "--account", "acme"),
		ERRC_OK);
	assert_int_equal(p.cmd->verb, CONTROL_DO_KEY_CREATE);
	assert_true(slice_is(parse_local_str(&p, "socket"), "/a"));
	assert_true(parse_local_bool(&p, "json"));
	assert_true(sent_i64("rpm") == 3);
	assert_false(parse_has(&p, "json"));
	assert_true(parse_has(&p, "account"));
	assert_int_equal(PARSE("account", "show", "--", "--json"), ERRC_OK);
	assert_true(slice_is(sent_str("account"), "--json"));
	assert_false(parse_local_bool(&p, "json"));
}

static void test_values(void **state)
{
	assert_int_equal(PARSE("key", "update", "abc", "--rpm", "none", "--budget", "0.000000001",
			       "--clamp", "off", "--models", "a*,!b", "--models", "c", "--ip",
			       "none", "--expires", "30d", "--period", "week"),
			 ERRC_OK);
	assert_true(sent_i64("rpm") == -1);
	assert_true(sent_i64("budget_nusd") == 1);
	assert_false(control_get_bool(p.send.f, p.send.n, "clamp"));
	assert_true(parse_has(&p, "clamp"));
	assert_true(slice_is(sent_str("models"), "a*,!b,c"));
	assert_true(slice_is(sent_str("ip"), ""));
	assert_true(sent_i64("expires_s") == NOW_MS / 1000 + 30 * 86400);
	assert_true(slice_is(sent_str("budget_period"), "week"));
	assert_int_equal(
		PARSE("key", "create", "--account", "a", "--expires", "never", "--budget", "none"),
		ERRC_OK);
	assert_true(sent_i64("expires_s") == 0);
	assert_true(sent_i64("budget_nusd") == -1);
	assert_int_equal(PARSE("key", "create", "--account", "a", "--expires", "2026-01-01"),
			 ERRC_OK);
	assert_true(sent_i64("expires_s") == INT64_C(1767225600));
	assert_int_equal(PARSE("key", "create", "--account", "a", "--credit", "$12.5"), ERRC_OK);
	assert_true(slice_is(sent_str("credit"), "12.5"));
	assert_int_equal(PARSE("key", "update", "a", "--credit", "+20", "--overdraft", "1"),
			 ERRC_OK);
	assert_true(slice_is(sent_str("credit"), "+20") && sent_i64("overdraft_nusd") == 1000000000);
	/* Of a line of a file: a flag is a truth value there. */
	assert_int_equal(PARSE("key", "create"), ERRC_OK);
	assert_int_equal(parse_option(&p, SLICE_LIT("postpaid"), SLICE_LIT("off")), ERRC_OK);
	assert_false(control_get_bool(p.send.f, p.send.n, "postpaid"));
	assert_true(parse_has(&p, "postpaid"));
	assert_int_equal(PARSE("key", "create"), ERRC_OK);
	assert_int_equal(parse_option(&p, SLICE_LIT("postpaid"), SLICE_LIT("5")), ERRC_INVAL);
	assert_non_null(strstr(p.error, "postpaid: '5' is not on or off"));
	assert_int_equal(PARSE("account", "credit", "a", "--add", "$12.5"), ERRC_OK);
	assert_true(sent_i64("add_nusd") == INT64_C(12500000000));
}

static void test_times_before_now(void **state)
{
	assert_int_equal(PARSE("usage", "--since", "24h", "--until", "now", "--by", "day,model"),
			 ERRC_OK);
	assert_true(sent_i64("since_ms") == NOW_MS - 86400000);
	assert_true(sent_i64("until_ms") == NOW_MS);
	assert_true(slice_is(sent_str("by"), "day,model"));
	assert_int_equal(PARSE("usage", "--since", "yesterday", "--until", "today"), ERRC_OK);
	assert_true(sent_i64("since_ms") == INT64_C(1763942400000));
	assert_true(sent_i64("until_ms") == INT64_C(1764028800000));
	assert_int_equal(PARSE("usage", "--since", "2025-11-01T12:00:00Z"), ERRC_OK);
	assert_true(sent_i64("since_ms") == INT64_C(1761998400000));
}

/* Each line is refused, with these words in the message. */
static void test_wrong_lines(void **state)
{
	static const struct {
		const char *args[8], *why;
	} lines[] = {
		{{NULL}, "no command"},
		{{"acount"}, "unknown command 'acount' (did you mean 'account'?)"},
		{{"banana"}, "unknown command 'banana'"},
		{{"account"}, "'account' needs a verb"},
		{{"account", "lst"}, "'account' has no verb 'lst' (did you mean 'list'?)"},
		{{"account", "show"}, "NAME is missing"},
		{{"account", "show", ""}, "NAME is empty"},
		{{"account", "show", "a", "b"}, "'b' is one word too many"},
		{{"status", "--jsn"}, "unknown option '--jsn' (did you mean '--json'?)"},
		{{"status", "-x"}, "unknown option '-x'"},
		{{"status", "--json=1"}, "--json takes no value"},
		{{"status", "--json", "--json"}, "--json is given twice"},
		{{"status", "--socket"}, "--socket needs a value: --socket PATH"},
		{{"status", "--timeout", "5"}, "--timeout: '5' is not a time span"},
		{{"account", "create", "a", "--credit", "-5"}, "--credit: '-5' is not dollars"},
		{{"account", "create", "a", "--credit", "1e99"},
		 "--credit: '1e99' is not dollars up to 4000000000"},
		{{"account", "create", "a", "--credit", "0.0000000001"}, "is not dollars"},
		{{"key", "create", "--rpm", "1.5"}, "--rpm: '1.5' is not a whole number, or none"},
		{{"key", "create", "--models", ""}, "--models: '' is not PATTERNS"},
		{{"key", "update", "a", "--ip", " ,"}, "--ip: ' ,' is not RANGES"},
		{{"key", "create", "--period", "weak"}, "(did you mean 'week'?)"},
		{{"key", "create", "--clamp", "yes"}, "--clamp: 'yes' is not one of on|off"},
		{{"key", "create", "--expires", "soon"}, "--expires: 'soon' is not 2026-11-25"},
		{{"usage", "--by", "day,modl"}, "(did you mean 'model'?)"},
		{{"usage", "--by", ""}, "--by: '' is not one of"},
		{{"usage", "--since", "last week"}, "--since: 'last week' is not"},
		{{"usage", "--bye", "day"}, "unknown option '--bye' (did you mean '--by'?)"},
		{{"key", "update", "a", "--credit=+-5"},
		 "--credit: '+-5' is not dollars up to 4000000000, such as 5 or 0.25, or +5 to add "
		 "some"},
		{{"team", "create", "a", "--credit", "++5"}, "--credit: '++5' is not dollars"},
		{{"user", "update", "a", "--credit", ""}, "--credit: '' is not dollars"},
		{{"user", "update", "a", "--postpaid"}, "--postpaid needs a value"},
		{{"key", "create", "--postpaid=on"}, "--postpaid takes no value"},
		{{"account", "update", "a", "--credit", "5"},
		 "(account credit NAME --add DOLLARS gives some)"},
		{{"completion", "fihs"}, "(did you mean 'fish'?)"},
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		assert_int_equal(parse(lines[i].args), ERRC_INVAL);
		if (!strstr(p.error, lines[i].why))
			fail_msg("line %zu: \"%s\" lacks \"%s\"", i, p.error, lines[i].why);
	}
}

static void test_help_and_version_at_each_level(void **state)
{
	assert_int_equal(PARSE("--help"), ERRC_OK);
	assert_true(p.want == PARSE_HELP && !p.cmd && !p.group);
	assert_int_equal(PARSE("account", "-h"), ERRC_OK);
	assert_true(p.want == PARSE_HELP && !p.cmd && p.group);
	assert_int_equal(PARSE("account", "create", "--help"), ERRC_OK);
	assert_true(p.want == PARSE_HELP && p.cmd);
	assert_int_equal(PARSE("-V"), ERRC_OK);
	assert_int_equal(p.want, PARSE_VERSION);
}

static void test_no_memory(void **state)
{
	const char *args[] = {"key", "create", "--models", "a", "--models", "b", NULL};
	enum errc e = ERRC_NOMEM;

	for (unsigned n = 1; e; n++) {
		mem_fail_after(n);
		e = parse(args);
		mem_fail_after(0);
		assert_true(e == ERRC_OK || e == ERRC_NOMEM);
	}
}

/* What the table says holds together: fields of one command are distinct, words come before options. */
static void test_table_is_consistent(void **state)
{
	const struct command *c;

	for (size_t i = 0; (c = command_at(i)); i++) {
		bool options = false;

		assert_ptr_equal(command_named(slice_str(c->words)), c);
		if (c->verb != CONTROL_VERB_COUNT)
			assert_string_equal(c->words, control_verb_row(c->verb)->text);
		for (size_t k = 0; k < c->args_n; k++) {
			const struct command_arg *a = &c->args[k];

			assert_false(options && !a->is_option);
			options = a->is_option;
			assert_true((a->value[0] != '\0') ==
				    (a->is_option && a->type != COMMAND_FLAG));
			assert_int_equal(a->sentence[strlen(a->sentence) - 1], '.');
			for (size_t m = 0; m < k; m++)
				assert_string_not_equal(a->field, c->args[m].field);
			for (size_t m = 0; a->is_option && m < command_all()->args_n; m++)
				assert_string_not_equal(a->name, command_all()->args[m].name);
		}
	}
}

/* Every verb of the protocol has its command. */
static void test_every_verb_has_a_command(void **state)
{
	for (unsigned v = 0; v < CONTROL_VERB_COUNT; v++)
		assert_non_null(
			command_named(slice_str(control_verb_row((enum control_verb)v)->text)));
}

static int no_leaks(void **state)
{
	parse_fini(&p);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands_and_words),
		cmocka_unit_test(test_options_stand_anywhere),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_times_before_now),
		cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_help_and_version_at_each_level),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_table_is_consistent),
		cmocka_unit_test(test_every_verb_has_a_command),
	};

	parse_init(&p, NOW_MS);
	return cmocka_run_group_tests(tests, NULL, no_leaks);
}
