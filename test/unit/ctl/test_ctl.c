/* Whole runs of aigwctl against scripted answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <cmocka.h>

#include <stdio.h>

#include "mem.h"
#include "rig.h"

static struct rig r;

static int setup(void **state)
{
	rig_init(&r);
	return 0;
}

static int teardown(void **state)
{
	rig_fini(&r);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

static void account(const char *name, int64_t balance_nusd)
{
	RIG_ROW(&r, "account", CONTROL_I("id", 1), CONTROL_S("name", slice_str(name)),
		CONTROL_S("mode", SLICE_LIT("prepaid")), CONTROL_S("status", SLICE_LIT("active")),
		CONTROL_I("balance_nusd", balance_nusd), CONTROL_I("held_nusd", 0),
		CONTROL_N("available_nusd"), CONTROL_I("created_s", 1764063000),
		CONTROL_B("durable", true));
}

static void test_list_as_text(void **state)
{
	account("zeta", 5000000000);
	account("acme", 4999980001);
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "list"), 0);
	assert_string_equal(r.verb, "account list");
	assert_string_equal(r.err, "");
	assert_string_equal(r.out,
			    "NAME  MODE     STATUS    BALANCE $  HELD $  CREATED\n"
			    "acme  prepaid  active  4.999980001    0.00  2025-11-25T09:30:00Z\n"
			    "zeta  prepaid  active  5.000000000    0.00  2025-11-25T09:30:00Z\n");
}

static void test_list_as_json(void **state)
{
	account("acme", 4999980001);
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "--json", "account", "list"), 0);
	assert_string_equal(r.out,
			    "{\"accounts\":[{\"id\":1,\"name\":\"acme\",\"mode\":\"prepaid\","
			    "\"status\":\"active\","
			    "\"balance_usd\":4.999980001,\"held_usd\":0.0,\"available_usd\":null,"
			    "\"created_at\":\"2025-11-25T09:30:00Z\",\"durable\":true}]}\n");
}

static void test_empty_list(void **state)
{
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "list"), 0);
	assert_string_equal(r.out, "no accounts\n");
}

static void test_empty_list_as_json(void **state)
{
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "list", "--json"), 0);
	assert_string_equal(r.out, "{\"accounts\":[]}\n");
}

/* What a client or an operator named cannot steer the terminal, in no encoding of a control character. */
static void test_names_are_harmless(void **state)
{
	RIG_ROW(&r, "account",
		CONTROL_S("name", SLICE_LIT("a\x1b[2Jb\xc2\x9b"
					    "2Jc\x9b\xc0\x9b\xe2\x80\xae"
					    "d\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\xe2\x82")));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "show", "acme"), 0);
	assert_string_equal(r.out, "name                    a?[2Jb?2Jc???"
				   "d\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80?\n");
}

static void test_debt_is_minus_dollars(void **state)
{
	account("acme", -2000000);
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "show", "acme"), 0);
	assert_non_null(strstr(r.out, "\nbalance                 -$0.002\n"));
}

static void test_account_create(void **state)
{
	int64_t v;

	account("acme", 1000000000);
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "create", "acme", "--credit", "1"), 0);
	assert_string_equal(r.verb, "account create");
	assert_true(control_get_i64(r.f, r.n, "credit_nusd", &v) && v == 1000000000);
	assert_non_null(strstr(r.out, "balance                 $1.00\n"));
	assert_non_null(strstr(r.out, "available               no limit\n"));
	assert_null(strstr(r.out, "durable"));
}

static void test_key_is_shown_once(void **state)
{
	RIG_ROW(&r, "key", CONTROL_S("id", SLICE_LIT("abcdefghijkl")),
		CONTROL_S("key", SLICE_LIT("sk-aigw-abcdefghijkl-secret")));
	RIG_ROW(&r, "limit", CONTROL_I("id", 1), CONTROL_S("text", SLICE_LIT("requests a minute")));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "key", "create", "--account", "acme"), 0);
	assert_string_equal(r.out, "id                      abcdefghijkl\n\nlimits\n"
				   "ID  TEXT\n 1  requests a minute\n\n"
				   "sk-aigw-abcdefghijkl-secret\n");
	assert_non_null(strstr(r.err, "will not be shown again"));
}

static void test_key_as_json(void **state)
{
	RIG_ROW(&r, "key", CONTROL_S("id", SLICE_LIT("abcdefghijkl")),
		CONTROL_S("key", SLICE_LIT("sk-aigw-abcdefghijkl-secret")));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "key", "create", "--account", "acme", "--json"), 0);
	assert_string_equal(r.out, "{\"id\":\"abcdefghijkl\",\"key\":\"sk-aigw-abcdefghijkl-"
				   "secret\",\"limits\":[]}\n");
	assert_string_equal(r.err, "");
}

static void test_key_create_needs_an_account(void **state)
{
	assert_int_equal(RIG_RUN(&r, "key", "create"), CONTROL_USAGE);
	assert_non_null(strstr(r.err, "--account NAME is needed"));
	assert_int_equal(RIG_RUN(&r, "key", "update", "abc"), CONTROL_USAGE);
	assert_int_equal(RIG_RUN(&r, "account", "credit", "a"), CONTROL_USAGE);
	assert_int_equal(RIG_RUN(&r, "account", "credit", "a", "--add", "1", "--take", "1"),
			 CONTROL_USAGE);
	assert_int_equal(RIG_RUN(&r, "account", "create", "a", "--postpaid", "--overdraft", "1"),
			 CONTROL_USAGE);
	assert_int_equal(RIG_RUN(&r, "usage", "--csv", "--json"), CONTROL_USAGE);
	assert_string_equal(r.err, "{\"error\":{\"code\":\"usage\",\"message\":\"--csv and --json "
				   "exclude each other\",\"file\":null,"
				   "\"line\":null}}\n");
}

static void test_restriction_not_durable(void **state)
{
	RIG_ROW(&r, "account", CONTROL_S("name", SLICE_LIT("acme")), CONTROL_B("durable", false));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "suspend", "acme"), 0);
	assert_non_null(strstr(r.out, "durable                 in force, not on disk yet\n"));
}

static void test_each_status_is_the_exit_status(void **state)
{
	for (int s = CONTROL_REFUSED; s <= CONTROL_TIMED_OUT; s++) {
		rig_fini(&r);
		rig_init(&r);
		rig_end(&r, (enum control_status)s, "why", "because", NULL, 0);
		assert_int_equal(RIG_RUN(&r, "account", "show", "acme"), s);
		assert_string_equal(r.out, "");
		assert_non_null(strstr(r.err, "aigwctl: because\n"));
	}
	rig_fini(&r);
	rig_init(&r);
	rig_end(&r, (enum control_status)200, "why", "because", NULL, 0);
	assert_int_equal(RIG_RUN(&r, "account", "show", "acme"), CONTROL_REFUSED);
}

static void test_error_as_json_has_its_place(void **state)
{
	RIG_ROW(&r, "message", CONTROL_S("level", SLICE_LIT("error")),
		CONTROL_S("file", SLICE_LIT("a.yaml")), CONTROL_I("line", 3),
		CONTROL_I("column", 7), CONTROL_S("text", SLICE_LIT("unknown key `x`")));
	rig_end(&r, CONTROL_REFUSED, "reload_refused", "unknown key `x`", "a.yaml", 3);
	assert_int_equal(RIG_RUN(&r, "reload", "--json"), CONTROL_REFUSED);
	assert_string_equal(r.err, "{\"error\":{\"code\":\"reload_refused\",\"message\":\"unknown "
				   "key `x`\",\"file\":\"a.yaml\",\"line\":3}}\n");
	assert_string_equal(
		r.out,
		"{\"messages\":[{\"level\":\"error\",\"file\":\"a.yaml\",\"line\":3,\"column\":7,"
		"\"text\":\"unknown key `x`\"}],\"changes\":[]}\n");
}

static void test_reload_prints_errors_as_compilers_do(void **state)
{
	for (int i = 0; i < 2; i++)
		RIG_ROW(&r, "message", CONTROL_S("level", SLICE_LIT("error")),
			CONTROL_S("file", SLICE_LIT("a.yaml")), CONTROL_I("line", 3 + i),
			CONTROL_I("column", 7), CONTROL_S("text", SLICE_LIT("unknown key `x`")));
	rig_end(&r, CONTROL_REFUSED, "reload_refused", "unknown key `x`", "a.yaml", 3);
	assert_int_equal(RIG_RUN(&r, "reload"), CONTROL_REFUSED);
	assert_string_equal(r.out, "");
	assert_string_equal(
		r.err, "a.yaml:3:7: error: unknown key `x`\na.yaml:4:7: error: unknown key `x`\n"
		       "aigwctl: nothing was changed: 2 errors\n");
}

static void test_reload_tells_changes(void **state)
{
	RIG_ROW(&r, "change", CONTROL_S("path", SLICE_LIT("models.m1")),
		CONTROL_S("change", SLICE_LIT("added")), CONTROL_B("waits_for_restart", false));
	rig_done(&r, "generation 2 is in force");
	assert_int_equal(RIG_RUN(&r, "reload"), 0);
	assert_string_equal(r.out, "CHANGE  PATH       WAITS FOR RESTART\nadded   models.m1  "
				   "no\ngeneration 2 is in force\n");
}

static void test_config_show_joins_pieces(void **state)
{
	RIG_ROW(&r, "text", CONTROL_S("text", SLICE_LIT("region: ")));
	RIG_ROW(&r, "text", CONTROL_S("text", SLICE_LIT("test\n")));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "config", "show"), 0);
	assert_string_equal(r.out, "region: test\n");
}

static void test_config_check_of_a_file_needs_no_daemon(void **state)
{
	assert_int_equal(RIG_RUN(&r, "config", "check", "/nonexistent/aigw.yaml"), CONTROL_FINDINGS);
	assert_string_equal(r.verb, "");
	assert_non_null(strstr(r.out, "/nonexistent/aigw.yaml:1:1: error: "));
	assert_non_null(strstr(r.err, "the configuration is not valid: 1 error\n"));
	assert_int_equal(RIG_RUN(&r, "config", "check", "/nonexistent/aigw.yaml", "--json"),
			 CONTROL_FINDINGS);
	assert_non_null(strstr(r.err, "\"file\":\"/nonexistent/aigw.yaml\",\"line\":1}}\n"));
}

static void usage_row(const char *kind, const char *model, int64_t charge_nusd, int64_t cost_nusd)
{
	struct control_field f[] = {CONTROL_S("model", slice_str(model)), CONTROL_I("requests", 2),
				    CONTROL_I("charge_nusd", charge_nusd),
				    CONTROL_I("cost_nusd", cost_nusd)};

	if (model)
		rig_row(&r, kind, f, ARRAY_LEN(f));
	else
		rig_row(&r, kind, f + 1, ARRAY_LEN(f) - 1);
}

static void usage_answer(void)
{
	usage_row("usage", "m1", 30000, 10000);
	usage_row("usage", "a,\"b\"", 5, 1);
	usage_row("total", NULL, 30005, 10001);
	rig_done(&r, "");
}

static void test_usage_as_text(void **state)
{
	usage_answer();
	assert_int_equal(RIG_RUN(&r, "usage", "--by", "model", "--margin"), 0);
	assert_string_equal(r.out, "MODEL  REQUESTS     CHARGE $       COST $     MARGIN $\n"
				   "m1            2  0.000030000  0.000010000  0.000020000\n"
				   "a,\"b\"         2  0.000000005  0.000000001  0.000000004\n"
				   "total         2  0.000030005  0.000010001  0.000020004\n");
}

static void test_usage_as_csv(void **state)
{
	usage_answer();
	assert_int_equal(RIG_RUN(&r, "usage", "--by", "model", "--csv"), 0);
	assert_string_equal(r.out, "model,requests,charge_usd,cost_usd\nm1,2,0.00003,0.00001\n"
				   "\"a,\"\"b\"\"\",2,0.000000005,0.000000001\n");
}

/* What an end user calls itself is no formula of the operator's spreadsheet; numbers stay what they are. */
static void test_usage_as_csv_runs_nothing(void **state)
{
	static const struct {
		const char *name, *cell;
	} cells[] = {
		{"=1+1", "'=1+1"},
		{"+1", "'+1"},
		{"-1", "'-1"},
		{"@SUM(A1)", "'@SUM(A1)"},
		{"\t=1", "'\t=1"},
		{"\uff1d1", "'\uff1d1"},
		{"'=1", "''=1"},
		{"=HYPERLINK(\"http://x\",\"y\")", "\"'=HYPERLINK(\"\"http://x\"\",\"\"y\"\")\""},
		{"a=1", "a=1"},
		{"\u00e9", "\u00e9"},
		{"", ""},
	};
	char want[256];

	for (size_t i = 0; i < ARRAY_LEN(cells); i++) {
		usage_row("usage", cells[i].name, -30000, 10000);
		usage_row("total", NULL, -30000, 10000);
		rig_done(&r, "");
		assert_int_equal(RIG_RUN(&r, "usage", "--by", "model", "--csv"), 0);
		snprintf(want, sizeof want,
			 "model,requests,charge_usd,cost_usd\n%s,2,-0.00003,0.00001\n",
			 cells[i].cell);
		assert_string_equal(r.out, want);
		rig_fini(&r);
		rig_init(&r);
	}
}

static void test_usage_as_json(void **state)
{
	usage_answer();
	assert_int_equal(RIG_RUN(&r, "usage", "--by", "model", "--json"), 0);
	assert_non_null(strstr(r.out, "{\"rows\":[{\"model\":\"m1\",\"requests\":2,\"charge_usd\":"
				      "0.00003,\"cost_usd\":0.00001},"));
	assert_non_null(strstr(
		r.out,
		"\"total\":{\"requests\":2,\"charge_usd\":0.000030005,\"cost_usd\":0.000010001}}"));
}

/* Only what is a sum of charges has a margin: how many rows there are has none. */
static void test_usage_with_margin_as_json(void **state)
{
	const struct control_field page[] = {CONTROL_I("row_count", 1),
					     CONTROL_B("has_more", false), CONTROL_N("next_page")};

	usage_row("usage", "m1", 30000, 10000);
	usage_row("total", NULL, 30000, 10000);
	rig_row(&r, "page", page, ARRAY_LEN(page));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "usage", "--by", "model", "--json", "--margin"), 0);
	assert_string_equal(
		r.out,
		"{\"rows\":[{\"model\":\"m1\",\"requests\":2,\"charge_usd\":0.00003,\"cost_usd\":"
		"0.00001,\"margin_usd\":0.00002}],\"total\":{\"requests\":2,\"charge_usd\":0.00003,"
		"\"cost_usd\":0.00001,\"margin_usd\":0.00002},\"row_count\":1,\"has_more\":false,"
		"\"next_page\":null}\n");
}

/* Lines go out as they came, whatever follows them. */
static void test_export_streams(void **state)
{
	static const char one[] = "{\"export\":1}\n{\"seq\":1}\n", two[] = "{\"end\":true}\n";

	RIG_ROW(&r, "lines", CONTROL_S("text", slice_str(one)));
	RIG_ROW(&r, "lines", CONTROL_S("text", slice_str(two)));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "ledger", "export", "--changes"), 0);
	assert_string_equal(r.verb, "ledger export");
	assert_true(control_get_bool(r.f, r.n, "changes"));
	assert_string_equal(r.out, "{\"export\":1}\n{\"seq\":1}\n{\"end\":true}\n");
	assert_string_equal(r.err, "");
}

static void test_export_that_is_cut(void **state)
{
	RIG_ROW(&r, "lines", CONTROL_S("text", SLICE_LIT("{\"export\":1}\n")));
	rig_end(&r, CONTROL_REFUSED, "unavailable", "the keeper is ending", NULL, 0);
	assert_int_equal(RIG_RUN(&r, "ledger", "export"), CONTROL_REFUSED);
	assert_string_equal(r.out, "{\"export\":1}\n");
	assert_non_null(strstr(r.err, "the keeper is ending"));
}

static void test_limits_by_their_unit(void **state)
{
	RIG_ROW(&r, "limit", CONTROL_S("scope", SLICE_LIT("account")),
		CONTROL_S("name", SLICE_LIT("acme")), CONTROL_S("limit", SLICE_LIT("credit")),
		CONTROL_S("unit", SLICE_LIT("nusd")), CONTROL_I("max", 5000000000),
		CONTROL_I("used", 20), CONTROL_N("reset_s"));
	RIG_ROW(&r, "limit", CONTROL_S("scope", SLICE_LIT("key")), CONTROL_S("name", SLICE_LIT("k")),
		CONTROL_S("limit", SLICE_LIT("rpm")), CONTROL_S("unit", SLICE_LIT("requests")),
		CONTROL_N("max"), CONTROL_I("used", 20), CONTROL_I("reset_s", 1764063000));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "limit", "explain", "k", "--json"), 0);
	assert_non_null(strstr(
		r.out, "\"unit\":\"usd\",\"max\":5.0,\"used\":0.00000002,\"resets_at\":null"));
	assert_non_null(strstr(r.out, "\"unit\":\"requests\",\"max\":null,\"used\":20,\"resets_"
				      "at\":\"2025-11-25T09:30:00Z\""));
}

static void test_unknown_kinds_are_shown(void **state)
{
	account("acme", 0);
	RIG_ROW(&r, "planet", CONTROL_S("name", SLICE_LIT("mars")), CONTROL_I("moons", 2));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "show", "acme"), 0);
	assert_non_null(strstr(r.out, "\nplanet\nNAME  MOONS\nmars      2\n"));
}

static void test_control_bytes_reach_no_terminal(void **state)
{
	RIG_ROW(&r, "account", CONTROL_S("name", SLICE_LIT("a\033[2Jb\n")));
	rig_done(&r, "");
	assert_int_equal(RIG_RUN(&r, "account", "show", "a"), 0);
	assert_string_equal(r.out, "name                    a?[2Jb?\n");
}

static void test_broken_connection(void **state)
{
	shutdown(r.peer, SHUT_WR);
	assert_int_equal(RIG_RUN(&r, "status"), CONTROL_REFUSED);
	assert_non_null(strstr(r.err, "closed the connection before its answer was complete"));
}

static void test_silence_ends_with_7(void **state)
{
	assert_int_equal(RIG_RUN(&r, "status", "--timeout", "20ms"), CONTROL_TIMED_OUT);
	assert_string_equal(r.err, "aigwctl: the daemon has not answered in time\n");
}

static void test_garbage_is_told(void **state)
{
	assert_int_equal(chan_send(&r.chan, SLICE_LIT("\x93no"), NULL, 0), ERRC_OK);
	assert_int_equal(RIG_RUN(&r, "status"), CONTROL_REFUSED);
	assert_non_null(strstr(r.err, "no answer of aigwd"));
}

static void test_every_allocation_may_fail(void **state)
{
	int status = -1;

	for (unsigned n = 1; status != 0 && n < 500; n++) {
		rig_fini(&r);
		rig_init(&r);
		account("acme", 5);
		rig_done(&r, "");
		mem_fail_after(n);
		status = RIG_RUN(&r, "account", "list", n % 2 ? "--json" : "--wide");
		mem_fail_after(0);
		assert_true(status == CONTROL_REFUSED ||
			    (status == 0 && strstr(r.out, "2025-11-25T09:30:00Z")));
	}
	assert_int_equal(status, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_list_as_text),
		TEST(test_list_as_json),
		TEST(test_empty_list),
		TEST(test_empty_list_as_json),
		TEST(test_names_are_harmless),
		TEST(test_debt_is_minus_dollars),
		TEST(test_account_create),
		TEST(test_key_is_shown_once),
		TEST(test_key_as_json),
		TEST(test_key_create_needs_an_account),
		TEST(test_restriction_not_durable),
		TEST(test_each_status_is_the_exit_status),
		TEST(test_error_as_json_has_its_place),
		TEST(test_reload_prints_errors_as_compilers_do),
		TEST(test_reload_tells_changes),
		TEST(test_config_show_joins_pieces),
		TEST(test_config_check_of_a_file_needs_no_daemon),
		TEST(test_usage_as_text),
		TEST(test_usage_as_csv),
		TEST(test_usage_as_csv_runs_nothing),
		TEST(test_usage_as_json),
		TEST(test_usage_with_margin_as_json),
		TEST(test_export_streams),
		TEST(test_export_that_is_cut),
		TEST(test_limits_by_their_unit),
		TEST(test_unknown_kinds_are_shown),
		TEST(test_control_bytes_reach_no_terminal),
		TEST(test_broken_connection),
		TEST(test_silence_ends_with_7),
		TEST(test_garbage_is_told),
		TEST(test_every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
