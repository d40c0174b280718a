/* What the book makes of records, one by one: which it takes, what they change, and that one without memory changes nothing. */
#include "rig.h"

#include "book.h"
#include "mem.h"

#define ACCOUNT 1
#define KEY     "aaaaaaaaaaaa"
#define TEAM    "tttttttttttt"

static struct book *book;

static int setup(void **state)
{
	(void)state;
	return book_new(&book);
}

static int teardown(void **state)
{
	(void)state;
	book_free(&book);
	return mem_live_count() != 0;
}

static enum errc apply_account(const struct rows_account *a)
{
	struct record r = {.type = RECORD_ACCOUNT, .account = a->id};
	struct buf row;
	enum errc rc;

	buf_init(&row, ROWS_MAX);
	assert_int_equal(rows_put_account(&row, a), ERRC_OK);
	r.change.row = buf_slice(&row);
	rc = book_apply(book, &r);
	buf_fini(&row);
	return rc;
}

static enum errc apply_scope(enum record_type type, const struct rows_scope *s)
{
	struct record r = {.type = type, .account = s->account};
	struct buf row;
	enum errc rc;

	buf_init(&row, ROWS_MAX);
	assert_int_equal(rows_put_scope(&row, s), ERRC_OK);
	r.change.row = buf_slice(&row);
	rc = book_apply(book, &r);
	buf_fini(&row);
	return rc;
}

static enum errc apply_credit(enum record_type type, int64_t nusd)
{
	struct record r = {.type = type, .account = ACCOUNT};

	r.change.amount_nusd = nusd;
	return book_apply(book, &r);
}

static enum errc charge(const char *user, int64_t admitted_ms, const struct record_budget *of)
{
	struct record r = {.type = RECORD_CHARGE, .account = ACCOUNT};

	memcpy(r.charge.key_id, KEY, APIKEY_ID);
	r.charge.user = slice_str(user);
	r.charge.admitted_ms = admitted_ms;
	r.charge.charge_nusd = 10;
	usage_init(&r.charge.usage);
	if (of)
		r.charge.budgets.v[r.charge.budgets.n++] = *of;
	return book_apply(book, &r);
}

static void open_account(void)
{
	const struct rows_account a = {.id = ACCOUNT, .name = SLICE_LIT("acme")};
	struct rows_scope k;

	assert_int_equal(apply_account(&a), ERRC_OK);
	rig_scope(&k, ACCOUNT, ROWS_KEY, "a key");
	memcpy(k.id, KEY, ROWS_ID);
	assert_int_equal(apply_scope(RECORD_KEY, &k), ERRC_OK);
	assert_int_equal(apply_credit(RECORD_GRANT, 1000), ERRC_OK);
}

static const struct book_scope *key_in_book(void)
{
	const struct book_scope *s = book_scope(book, ROWS_KEY, ACCOUNT, KEY);

	assert_non_null(s);
	return s;
}

/* A definition says what an account may do; what it has only other records say. */
static void test_definitions_of_accounts(void **state)
{
	struct rows_account a = {.id = ACCOUNT,
				 .name = SLICE_LIT("acme"),
				 .granted_nusd = 5,
				 .balance_nusd = 5,
				 .overdraft_nusd = 3};
	const struct rows_account *b;

	(void)state;
	assert_int_equal(apply_account(&a), ERRC_OK);
	b = book_account(book, ACCOUNT);
	assert_int_equal(b->granted_nusd, 0);
	assert_int_equal(b->balance_nusd, 0);
	assert_int_equal(b->overdraft_nusd, 3);
	assert_int_equal(apply_credit(RECORD_GRANT, 7), ERRC_OK);
	a.overdraft_nusd = 4;
	a.status = ROWS_SUSPENDED;
	a.mode = ROWS_POSTPAID;
	assert_int_equal(apply_account(&a), ERRC_OK);
	b = book_account(book, ACCOUNT);
	assert_int_equal(b->granted_nusd, 7);
	assert_int_equal(b->overdraft_nusd, 4);
	assert_int_equal(b->status, ROWS_SUSPENDED);
	assert_int_equal(b->mode, ROWS_POSTPAID);
	a.name = SLICE_LIT("other"); /* accounts keep their names */
	assert_int_equal(apply_account(&a), ERRC_CORRUPT);
}

/* Whether an account is in shadow only its rules say, before and after any other definition. */
static void test_shadow_of_accounts(void **state)
{
	const struct rows_account a = {
		.id = ACCOUNT, .name = SLICE_LIT("acme"), .overdraft_nusd = 4};
	struct rows_scope rules;

	(void)state;
	open_account();
	rig_scope(&rules, ACCOUNT, ROWS_ACCOUNT, "");
	for (int on = 1; on >= 0; on--) {
		rules.flags = on ? ROWS_SHADOW : 0;
		assert_int_equal(apply_scope(RECORD_RULES, &rules), ERRC_OK);
		assert_int_equal(apply_account(&a), ERRC_OK);
		assert_int_equal(book_account(book, ACCOUNT)->flags,
				 ROWS_ACCOUNT_RULES | (on ? ROWS_ACCOUNT_SHADOW : 0));
		assert_int_equal(book_account(book, ACCOUNT)->overdraft_nusd, 4);
	}
}

static void test_contradictions(void **state)
{
	struct rows_scope s;

	(void)state;
	assert_int_equal(apply_credit(RECORD_GRANT, 1), ERRC_CORRUPT);
	open_account();
	assert_int_equal(apply_credit(RECORD_GRANT, -1), ERRC_CORRUPT);
	assert_int_equal(apply_credit(RECORD_TAKE, -1), ERRC_CORRUPT);
	assert_int_equal(book_account(book, ACCOUNT)->granted_nusd, 1000);
	rig_scope(&s, ACCOUNT, ROWS_KEY, "another");
	memcpy(s.id, "bbbbbbbbbbbb", ROWS_ID);
	memcpy(s.team, TEAM, ROWS_ID);
	assert_int_equal(apply_scope(RECORD_TEAM, &s), ERRC_CORRUPT);
	assert_int_equal(apply_scope(RECORD_KEY, &s), ERRC_CORRUPT); /* no such team */
	assert_null(book_scope(book, ROWS_KEY, ACCOUNT, s.id));
	rig_scope(&s, ACCOUNT, ROWS_TEAM, "growth");
	memcpy(s.id, TEAM, ROWS_ID);
	assert_int_equal(apply_scope(RECORD_TEAM, &s), ERRC_OK);
	rig_scope(&s, ACCOUNT, ROWS_KEY, "another");
	memcpy(s.id, "bbbbbbbbbbbb", ROWS_ID);
	memcpy(s.team, TEAM, ROWS_ID);
	assert_int_equal(apply_scope(RECORD_KEY, &s), ERRC_OK);
}

/* Requests do not end in the order in which they were admitted. */
static void test_last_use(void **state)
{
	(void)state;
	open_account();
	assert_int_equal(charge("", 5000, NULL), ERRC_OK);
	assert_int_equal(charge("", 3000, NULL), ERRC_OK);
	assert_int_equal(key_in_book()->used_s, 5);
	assert_int_equal(key_in_book()->requests, 2);
	assert_int_equal(key_in_book()->charged_nusd, 20);
}

static void make_team(const char id[ROWS_ID], const char *name)
{
	struct rows_scope t;

	rig_scope(&t, ACCOUNT, ROWS_TEAM, name);
	memcpy(t.id, id, ROWS_ID);
	assert_int_equal(apply_scope(RECORD_TEAM, &t), ERRC_OK);
}

static enum errc charge_team(const char *id)
{
	struct record r = {.type = RECORD_CHARGE, .account = ACCOUNT};

	memcpy(r.charge.key_id, KEY, APIKEY_ID);
	r.charge.team = slice_str(id);
	r.charge.charge_nusd = 10;
	usage_init(&r.charge.usage);
	return book_apply(book, &r);
}

/* What a key costs is its team's at that time, in whichever order requests end: a key may move. */
static void test_a_key_of_several_teams(void **state)
{
	static const char *const teams[] = {TEAM, "gggggggggggg"};

	(void)state;
	open_account();
	assert_int_equal(charge_team(TEAM), ERRC_CORRUPT); /* no such team */
	make_team(teams[0], "growth");
	make_team(teams[1], "green");
	for (int i = 0; i < 5; i++)
		assert_int_equal(charge_team(teams[i % 3 == 0]), ERRC_OK);
	assert_int_equal(charge("", 1000, NULL), ERRC_OK); /* of none */
	assert_int_equal(charge_team("rrrrrrrrrrrr"), ERRC_CORRUPT);
	assert_int_equal(book_scope(book, ROWS_TEAM, ACCOUNT, teams[0])->requests, 3);
	assert_int_equal(book_scope(book, ROWS_TEAM, ACCOUNT, teams[1])->requests, 2);
	assert_int_equal(key_in_book()->requests, 6);
	assert_int_equal(book_account(book, ACCOUNT)->settled_nusd, 60);
}

/* Of end users only those are kept whom a budget counts: there may be any number of others. */
static void test_users_without_budgets(void **state)
{
	struct record_budget of = {.scope = ROWS_USER, .rule = 1, .window = 0};
	struct rows_scope every;
	size_t before;

	(void)state;
	open_account();
	rig_scope(&every, ACCOUNT, ROWS_USER, ROWS_EVERY_USER);
	rig_budget(&every, 100, (struct window_spec){.unit = WINDOW_DAY});
	of.rule = every.limits.v[0].id;
	rows_user_id(slice_str(ROWS_EVERY_USER), every.id);
	assert_int_equal(apply_scope(RECORD_USER, &every), ERRC_OK);
	before = book_scopes_n(book);
	assert_int_equal(charge("alice", 1000, NULL), ERRC_OK);
	assert_int_equal(book_scopes_n(book), before);
	assert_int_equal(charge("alice", 1000, &of), ERRC_OK);
	assert_int_equal(book_scopes_n(book), before + 1);
	assert_int_equal(charge("alice", 2000, NULL), ERRC_OK);
	assert_int_equal(book_scopes_n(book), before + 1);
}

/* Without memory for what it has to count in, a charge is not counted at all. */
static void test_no_memory(void **state)
{
	struct record_budget of = {.scope = ROWS_KEY, .window = 0};
	struct rows_scope k;
	enum errc rc = ERRC_NOMEM;
	unsigned n = 1;

	(void)state;
	open_account();
	rig_scope(&k, ACCOUNT, ROWS_KEY, "a key");
	memcpy(k.id, KEY, ROWS_ID);
	rig_budget(&k, 100, (struct window_spec){.unit = WINDOW_DAY});
	of.rule = k.limits.v[0].id;
	assert_int_equal(apply_scope(RECORD_KEY, &k), ERRC_OK);
	for (; rc; n++) {
		mem_fail_after(n);
		rc = charge("", 1000, &of);
		mem_fail_after(0);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
		assert_int_equal(book_account(book, ACCOUNT)->settled_nusd, rc ? 0 : 10);
		assert_int_equal(key_in_book()->requests, rc ? 0 : 1);
	}
	assert_true(n > 2);
	assert_int_equal(key_in_book()->counters_n, 1);
	assert_int_equal(key_in_book()->counters[0].budget.cur.used_nusd, 10);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_definitions_of_accounts),
		T(test_shadow_of_accounts),
		T(test_contradictions),
		T(test_last_use),
		T(test_a_key_of_several_teams),
		T(test_users_without_budgets),
		T(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
