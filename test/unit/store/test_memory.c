/* Every allocation fails once: the call says so, keeps nothing, and works the next time. */
#include "rig.h"

#include "mem.h"
#include "report.h"
#include "verify.h"

#define KEY_A "aaaaaaaaaaaa"

static int setup(void **state)
{
	static struct rig r;
	struct admit_done done;
	struct admit_op op;
	struct rows_scope k;
	struct genid id;
	uint64_t acc;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	acc = rig_account(&r, "acme", RIG_DOLLAR);
	rig_key(&r, acc, KEY_A, &k);
	for (int i = 0; i < 5; i++) {
		assert_true(rig_hold(&r, acc, KEY_A, &r.price, 100, &id, &op));
		rig_settle(&r, acc, &id, 10, 10, &done);
	}
	rig_drain(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static void torture(struct rig *r, enum errc (*fn)(struct rig *))
{
	enum errc rc = ERRC_NOMEM;
	unsigned n = 1;

	for (; rc; n++) {
		size_t before = mem_live_count();

		mem_fail_after(n);
		rc = fn(r);
		mem_fail_after(0);
		assert_int_equal(mem_live_count(), before);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
		assert_true(n < 10000);
	}
	assert_true(n > 2);
}

static enum errc run_report(struct rig *r)
{
	struct report_ask ask = {
		.until_ms = INT64_MAX, .by = {REPORT_MODEL, REPORT_ACCOUNT, REPORT_TAG}, .by_n = 3};
	struct report *rep = NULL;
	enum errc rc = report_new(r->ledger, r->live, &ask, &rep);

	report_free(&rep);
	return rc;
}

static enum errc run_verify(struct rig *r)
{
	struct verify_result v;

	return verify_ledger(r->ledger, true, NULL, NULL, &v);
}

static enum errc run_find(struct rig *r)
{
	struct genid id = {{1}};
	bool reversed;
	struct buf b;
	enum errc rc;

	buf_init(&b, RECORD_MAX);
	rc = outbox_find(r->live, &id, SLICE_NONE, NULL, &b, &reversed);
	buf_fini(&b);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc run_start(struct rig *r)
{
	struct store_started started;
	struct ledger *ledger = NULL;
	struct live *live = NULL;
	enum errc rc = store_start(&r->opts, &live, &ledger, &started);

	if (!rc)
		assert_int_equal(started.outcome, STORE_ACCEPTED);
	live_close(&live);
	ledger_close(&ledger);
	return rc;
}

static enum errc count_account(void *arg, const struct rows_account *a)
{
	*(int *)arg += slice_is(a->name, "acme");
	return ERRC_OK;
}

static enum errc count_key(void *arg, const struct rows_scope *k, const struct rows_state *s)
{
	*(int *)arg += slice_is(k->name, "a key") && s->requests == 5;
	return ERRC_OK;
}

static enum errc run_lists(struct rig *r)
{
	int accounts = 0, keys = 0;
	enum errc rc = admin_account_each(r->live, count_account, &accounts);

	if (!rc)
		rc = admin_scope_each(r->live, 0, ROWS_KEY, count_key, &keys);
	if (!rc)
		assert_true(accounts == 1 && keys == 1);
	return rc;
}

static void test_reads(void **state)
{
	torture(*state, run_report);
	torture(*state, run_verify);
	torture(*state, run_find);
	torture(*state, run_lists);
}

static void test_start(void **state)
{
	struct rig *r = *state;

	rig_close(r);
	torture(r, run_start);
	rig_open(r);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_reads), T(test_start)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
