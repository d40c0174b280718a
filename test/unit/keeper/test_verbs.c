/* Requests of operators on the ledger thread, with both stores of a node, on a disk that may be full. */
#include "rig.h"

#include <errno.h>
#include <sys/socket.h>

#include "chan.h"
#include "live_priv.h"
#include "verbs.h"

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static struct {
	const MDB_env *env; /* whose commits fail, */
	unsigned times;     /* so many */
} disk;

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (mdb_txn_env(txn) != disk.env || disk.times == 0)
		return __real_mdb_txn_commit(txn);
	disk.times--;
	mdb_txn_abort(txn);
	return ENOSPC;
}

struct scene {
	struct rig rig;
	struct rows_scope team;
	struct stores stores;
	struct chan chan, peer;
	atomic_bool cancel;
};

static struct scene s;

static int setup(void **state)
{
	int fds[2];

	(void)state;
	disk.times = 0;
	rig_init(&s.rig);
	rig_open(&s.rig);
	rig_join(&s.rig);
	rig_scope(&s.team, rig_account(&s.rig, "acme", 1000 * RIG_DOLLAR), ROWS_TEAM, "red");
	rig_put(&s.rig, &s.team);
	stores_init(&s.stores);
	stores_put(&s.stores, s.rig.live);
	s.stores.ledger = s.rig.ledger;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	chan_init(&s.chan, fds[0], LIMIT_FRAME_CONTROL);
	chan_init(&s.peer, fds[1], LIMIT_FRAME_CONTROL);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	chan_fini(&s.chan);
	chan_fini(&s.peer);
	rig_fini(&s.rig); /* closes what the stores have */
	return 0;
}

/* What is typed as `team update red --account acme --credit AMOUNT`. */
static enum errc grant(const char *amount)
{
	const struct control_field f[] = {CONTROL_S("account", SLICE_LIT("acme")),
					  CONTROL_S("team", SLICE_LIT("red")),
					  CONTROL_S("credit", slice_str(amount))};
	struct verbs v = {.verb = CONTROL_DO_TEAM_UPDATE,
			  .args = {f, ARRAY_LEN(f)},
			  .chan = &s.chan,
			  .stores = &s.stores,
			  .admin = &s.rig.admin,
			  .who = "root",
			  .cancel = &s.cancel};

	verbs_run(&v);
	assert_true(v.ended);
	return v.failed;
}

/* The END of the last one had this code. */
static void expect_code(const char *code)
{
	struct chan_frame f;
	bool found = false;
	int got;

	assert_int_equal(chan_read(&s.peer), ERRC_OK);
	while ((got = chan_next(&s.peer, &f)) > 0)
		found = slice_find(f.payload, slice_str(code)) >= 0;
	assert_int_equal(got, 0);
	assert_true(found);
}

static int64_t granted(void)
{
	struct rows_scope k;
	struct buf mem;
	int64_t nusd;

	buf_init(&mem, ROWS_MAX);
	assert_int_equal(
		admin_scope_get(s.rig.live, s.team.account, ROWS_TEAM, s.team.id, &mem, &k, NULL),
		ERRC_OK);
	nusd = rows_limits_credit(&k.limits) ? rows_limits_credit(&k.limits)->limit : 0;
	buf_fini(&mem);
	return nusd;
}

/* The ledger has a grant and the live store could not take it; when it can again, and somebody adds to it, nothing is lost of the first. */
static void test_a_grant_upon_one_that_is_not_in_force(void **state)
{
	(void)state;
	assert_int_equal(grant("50"), ERRC_OK);
	disk.env = s.rig.live->env;
	disk.times = 1;
	assert_int_equal(grant("+20"), ERRC_NOSPACE);
	assert_int_equal(granted(), 50 * RIG_DOLLAR);
	expect_code("not_in_force");
	/* While it cannot, nothing is made from what it says. */
	disk.times = 1;
	assert_int_equal(grant("+20"), ERRC_NOSPACE);
	expect_code("unavailable"); /* it may be repeated, the other may not */
	assert_int_equal(grant("+20"), ERRC_OK);
	assert_int_equal(granted(), 90 * RIG_DOLLAR);
	rig_check_books(&s.rig);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {T(test_a_grant_upon_one_that_is_not_in_force)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
