/* record_words.c: what people changed, as people say it. */
#include "rig.h"

#include "mem.h"
#include "record_words.h"

static struct record base(enum record_type type, const char *what)
{
	struct record r = {.type = type, .account = 3, .wall_ms = 1764000000000};

	r.change.who = SLICE_LIT("root");
	r.change.what = slice_str(what);
	return r;
}

static void expect(const struct record *r, const char *account, const char *want)
{
	struct buf b;

	buf_init(&b, 65536);
	assert_int_equal(record_words(&b, r, slice_str(account)), ERRC_OK);
	assert_string_equal(b.len ? buf_cstr(&b) : "", want);
	buf_fini(&b);
	/* Whatever does not fit is told, and nothing leaks. */
	for (size_t max = 1; max < strlen(want); max += 7) {
		buf_init(&b, max);
		assert_int_equal(record_words(&b, r, slice_str(account)), ERRC_LIMIT);
		buf_fini(&b);
	}
	assert_int_equal(mem_live_count(), 0);
}

static void test_money(void **state)
{
	struct record r = base(RECORD_GRANT, "grant");

	(void)state;
	r.change.amount_nusd = 5 * RIG_DOLLAR;
	r.change.note = SLICE_LIT("first payment");
	expect(&r, "acme", "root: gave 5.00 dollars to account acme (first payment)");
	expect(&r, "", "root: gave 5.00 dollars to account 3 (first payment)");
	r.type = RECORD_TAKE;
	r.change.note = SLICE_NONE;
	r.change.amount_nusd = 1;
	expect(&r, "acme", "root: took 0.000000001 dollars from account acme");
	r.type = RECORD_CHARGE;
	expect(&r, "acme", "");
}

static void test_reversal_and_gap(void **state)
{
	struct record r = base(RECORD_REVERSE, "ledger_unavailable");

	(void)state;
	r.change.who = SLICE_NONE;
	r.change.amount_nusd = 18000;
	expect(&r, "acme",
	       "gave back 0.000018 dollars to account acme: the charge of request "
	       "gen_00000000000000000000000000 is void");
	r = base(RECORD_GAP, "reboot");
	r.change.who = SLICE_NONE;
	r.change.epoch = 4;
	r.change.amount_nusd = 20000000;
	expect(&r, "",
	       "the live store was lost (reboot) and made anew, epoch 4; holds and charges that "
	       "it had and the ledger has not: 0.02 dollars");
	r.change.amount_nusd = -1;
	expect(&r, "",
	       "the live store was lost (reboot) and made anew, epoch 4; holds and charges that "
	       "it had and the ledger has not: unknown");
}

/* What changes no row of the stores. */
static void test_notes(void **state)
{
	struct record r = base(RECORD_PEPPER, "made");

	(void)state;
	r.change.number = 2;
	expect(&r, "", "root: pepper 2: made");
	r.type = RECORD_RELOAD;
	r.change.what = SLICE_LIT("in force");
	r.change.note = SLICE_LIT("changed models.m");
	expect(&r, "", "root: configuration 2: in force (changed models.m)");
	r.type = RECORD_RETAIN;
	r.change.what = SLICE_LIT("removed");
	r.change.note = SLICE_NONE;
	expect(&r, "", "root: records up to 2: removed");
	r.type = RECORD_RESTORE;
	r.change.what = SLICE_LIT("restored from a backup");
	r.change.note = SLICE_LIT("of today");
	expect(&r, "", "root: restored from a backup (of today)");
}

static void put_row(struct buf *b, struct record *r, const struct rows_scope *s)
{
	buf_init(b, ROWS_MAX);
	assert_int_equal(rows_put_scope(b, s), ERRC_OK);
	r->change.row = buf_slice(b);
}

static void expect_scope(struct record *r, const struct rows_scope *s, const char *want)
{
	static char row[ROWS_MAX];
	struct buf b;

	put_row(&b, r, s);
	memcpy(row, b.p, b.len);
	r->change.row.p = row;
	buf_fini(&b);
	expect(r, "acme", want);
}

static void test_scopes(void **state)
{
	struct record r = base(RECORD_KEY, "update");
	struct rows_scope s = {.kind = ROWS_KEY,
			       .account = 3,
			       .id = "abcdefghijkl",
			       .name = SLICE_LIT("build"),
			       .models = SLICE_LIT("gpt-5*\n!*-preview"),
			       .team = "tttttttttttt",
			       .flags = ROWS_KEY_CLAMP | ROWS_KEY_DRAIN | ROWS_SHADOW,
			       .keepalive_ms = ROWS_NO_LIMIT,
			       .expires_s = 1800000000};
	struct rows_rule *rule;

	(void)state;
	rows_limits_init(&s.limits);
	assert_non_null(rows_limits_add(&s.limits, ROWS_RPM, 60));
	rule = rows_limits_add(&s.limits, ROWS_BUDGET, 5 * RIG_DOLLAR);
	rule->window = (struct window_spec){.unit = WINDOW_MONTH};
	rule->models = SLICE_LIT("o1");
	rule->shadow = true;
	rule->raise = RIG_DOLLAR;
	rule->raise_until_s = 1764000000;
	rule = rows_limits_add(&s.limits, ROWS_BUDGET, RIG_DOLLAR);
	rule->window = (struct window_spec){.unit = WINDOW_DAY, .rolling = true};
	rule = rows_limits_add(&s.limits, ROWS_BUDGET, 50 * RIG_DOLLAR);
	rule->window = (struct window_spec){.unit = WINDOW_TOTAL};
	rule->credit = true;
	rule->raise = RIG_DOLLAR / 2;
	s.nets_n = 1;
	assert_true(ipnet_parse(SLICE_LIT("10.0.0.0/8"), &s.nets[0]));
	expect_scope(&r, &s,
		     "root: update key abcdefghijkl of account acme: active, name build, team "
		     "tttttttttttt, clamps, drains when clients leave, models gpt-5*, !*-preview, "
		     "from 10.0.0.0/8, until 2027-01-15T08:00:00Z, refuses nothing, 60 requests a "
		     "minute, budget per month 5.00 dollars for o1 raised by 1.00 until "
		     "2025-11-24T16:00:00Z only "
		     "counted, budget per day 1.00 dollars rolling, credit 50.00 dollars overdraft "
		     "0.50");
	r = base(RECORD_USER, "remove");
	s = (struct rows_scope){.kind = ROWS_USER,
				.account = 3,
				.name = SLICE_LIT("ann"),
				.status = ROWS_REVOKED,
				.keepalive_ms = ROWS_NO_LIMIT};
	rows_limits_init(&s.limits);
	expect_scope(&r, &s, "root: remove user ann of account acme: removed");
}

/* Which secrets are good is told for as long as there are two. */
static void test_rotation(void **state)
{
	struct record r = base(RECORD_KEY, "rotate");
	struct rows_scope s = {.kind = ROWS_KEY,
			       .account = 3,
			       .id = "abcdefghijkl",
			       .keepalive_ms = ROWS_NO_LIMIT,
			       .old_until_s = 1764003600};

	(void)state;
	rows_limits_init(&s.limits);
	expect_scope(&r, &s,
		     "root: rotate key abcdefghijkl of account acme: active, secret before good "
		     "until 2025-11-24T17:00:00Z");
	r = base(RECORD_KEY, "rotate");
	s.old_until_s = r.wall_ms / 1000;
	expect_scope(&r, &s, "root: rotate key abcdefghijkl of account acme: active");
}

static void test_account(void **state)
{
	struct record r = base(RECORD_ACCOUNT, "create");
	struct rows_account a = {.id = 3,
				 .mode = ROWS_POSTPAID,
				 .overdraft_nusd = RIG_DOLLAR,
				 .name = SLICE_LIT("acme"),
				 .group = SLICE_LIT("resellers")};
	static char row[ROWS_MAX];
	struct buf b;

	(void)state;
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_account(&b, &a), ERRC_OK);
	memcpy(row, b.p, b.len);
	r.change.row = slice_of(row, b.len);
	buf_fini(&b);
	expect(&r,
	       "acme", "root: create account acme: postpaid, active, overdraft 1.00 dollars, group resellers");
	r.change.row = SLICE_LIT("torn");
	expect(&r, "acme", "root: account acme");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_money),    cmocka_unit_test(test_reversal_and_gap),
		cmocka_unit_test(test_notes),    cmocka_unit_test(test_scopes),
		cmocka_unit_test(test_rotation), cmocka_unit_test(test_account),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
