/* Who reads a record when its commit is done, and it is not yet to be found by its id, waits for that. */
#include "rig.h"

#include <pthread.h>

#include "ledger_priv.h"
#include "report.h"
#include "verify.h"

#define KEY "aaaaaaaaaaaa"

/* What another thread reads in the midst of the ledger's next commit. */
static struct {
	struct rig *rig;
	void (*read)(void); /* NULL: nothing */
	pthread_t thread;
	pthread_mutex_t lock; /* guards the next two */
	pthread_cond_t changed;
	bool waits, over;
	enum errc rc;
	struct verify_result verify;
	struct report_row total;
} reader = {.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static _Thread_local bool is_reader;

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __real_pthread_mutex_lock(pthread_mutex_t *m);
int __wrap_pthread_mutex_lock(pthread_mutex_t *m);

static void set(bool *what)
{
	__real_pthread_mutex_lock(&reader.lock);
	*what = true;
	pthread_cond_signal(&reader.changed);
	pthread_mutex_unlock(&reader.lock);
}

static void *run(void *arg)
{
	void (*read)(void) = reader.read;

	is_reader = true;
	read();
	set(&reader.over);
	return arg;
}

/* Goes on once the reader has come to its end, or to where it waits for this commit's. */
static void let_read(void)
{
	assert_int_equal(pthread_create(&reader.thread, NULL, run, NULL), 0);
	__real_pthread_mutex_lock(&reader.lock);
	while (!reader.waits && !reader.over)
		pthread_cond_wait(&reader.changed, &reader.lock);
	pthread_mutex_unlock(&reader.lock);
	reader.read = NULL;
}

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	bool is_meant = reader.read && mdb_txn_env(txn) == reader.rig->ledger->env;
	int rc = __real_mdb_txn_commit(txn);

	if (is_meant)
		let_read();
	return rc;
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *m)
{
	if (is_reader && m == &reader.rig->ledger->commits)
		set(&reader.waits);
	return __real_pthread_mutex_lock(m);
}

/* A charge, taken back if so wished, goes into the ledger with one commit, while that is read. */
static void read_beside(struct rig *r, bool taken_back, void (*read)(void))
{
	uint64_t account = rig_account(r, "acme", RIG_DOLLAR);
	struct admit_done done;
	struct rows_scope k;
	struct admit_op op;
	struct genid id;

	rig_key(r, account, KEY, &k);
	assert_true(rig_hold(r, account, KEY, &r->price, 100, &id, &op));
	rig_settle(r, account, &id, 50, 20, &done);
	if (taken_back)
		rig_reverse(r, account, &id, done.outbox_n);
	reader.rig = r;
	reader.waits = reader.over = false;
	reader.read = read;
	assert_int_equal(rig_drain(r), 1 + taken_back);
	assert_null(reader.read);
	assert_int_equal(pthread_join(reader.thread, NULL), 0);
	assert_int_equal(reader.rc, ERRC_OK);
}

static void verify(void)
{
	reader.rc = verify_ledger(reader.rig->ledger, false, NULL, NULL, &reader.verify);
}

static void sum_up(void)
{
	const struct report_ask ask = {.until_ms = INT64_MAX};
	struct report *rep = NULL;

	reader.rc = report_new(reader.rig->ledger, reader.rig->live, &ask, &rep);
	if (rep)
		reader.total = report_total(rep);
	report_free(&rep);
}

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static void test_verify_of_a_charge(void **state)
{
	read_beside(*state, false, verify);
	assert_int_equal(reader.verify.charges, 1);
	assert_int_equal(reader.verify.bad_record_seq, 0);
	assert_true(verify_is_good(&reader.verify));
	assert_true(reader.waits);
}

static void test_verify_of_a_reversal(void **state)
{
	read_beside(*state, true, verify);
	assert_int_equal(reader.verify.bad_record_seq, 0);
	assert_int_equal(reader.verify.bad_day, ROLLUP_DAY_MAX);
	assert_true(verify_is_good(&reader.verify));
	assert_true(reader.waits);
}

/* What was taken back is in no report. */
static void test_report_of_a_reversal(void **state)
{
	read_beside(*state, true, sum_up);
	assert_int_equal(reader.total.requests, 1);
	assert_int_equal(reader.total.charge_nusd, 0);
	assert_true(reader.waits);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {T(test_verify_of_a_charge), T(test_verify_of_a_reversal),
					   T(test_report_of_a_reversal)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
