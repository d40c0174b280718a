/* Requests of operators on the ledger thread, with both stores of a node, on a disk that may be full. */
#include "rig.h"

#include <errno.h>
#include <sys/socket.h>

#include "chan.h"
#include "commits.h"
#include "ledger_priv.h"
#include "live_priv.h"
#include "verbs.h"

#define KEY_A  "aaaaaaaaaaaa"
#define KEY_B  "bbbbbbbbbbbb"
#define ANSWER 65536 /* bytes of one at most */

struct scene {
	struct rig rig;
	struct rows_scope team;
	struct stores stores;
	struct chan chan, peer;
	struct buf answer; /* to the last request */
	atomic_bool cancel;
};

static struct scene s;

static int setup(void **state)
{
	int fds[2];

	(void)state;
	commits_work();
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
	buf_init(&s.answer, ANSWER);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	chan_fini(&s.chan);
	chan_fini(&s.peer);
	buf_fini(&s.answer);
	rig_fini(&s.rig); /* closes what the stores have */
	return 0;
}

/* The next commits of the live store fail; before that some do not. */
static void fill_live(unsigned after, unsigned times)
{
	commits_fail(s.rig.live->env, after, times, ENOSPC);
}

static void fill_ledger(unsigned times)
{
	commits_fail(s.rig.ledger->env, 0, times, ENOSPC);
}

static enum errc run(enum control_verb verb, const struct control_field *f, size_t n)
{
	struct verbs v = {.verb = verb,
			  .args = {f, n},
			  .chan = &s.chan,
			  .stores = &s.stores,
			  .admin = &s.rig.admin,
			  .who = "root",
			  .cancel = &s.cancel};
	struct chan_frame frame;
	int got;

	verbs_run(&v);
	assert_true(v.ended);
	buf_reset(&s.answer);
	assert_int_equal(chan_read(&s.peer), ERRC_OK);
	while ((got = chan_next(&s.peer, &frame)) > 0)
		assert_int_equal(buf_adds(&s.answer, frame.payload), ERRC_OK);
	assert_int_equal(got, 0);
	return v.failed;
}

#define FIELDS(...)  ((const struct control_field[]){__VA_ARGS__})
#define RUN(v, ...)  run(v, FIELDS(__VA_ARGS__), ARRAY_LEN(FIELDS(__VA_ARGS__)))
#define ACME         CONTROL_S("account", SLICE_LIT("acme"))
#define TEAM(name)   CONTROL_S("team", SLICE_LIT(name))
#define KEY(v, name) RUN(v, CONTROL_S("key", SLICE_LIT(name)))

/* What is typed as `team update red --account acme --credit AMOUNT`. */
static enum errc grant(const char *amount)
{
	return RUN(CONTROL_DO_TEAM_UPDATE, ACME, TEAM("red"),
		   CONTROL_S("credit", slice_str(amount)));
}

/* The answer to the last one has this code, or this field. */
static void expect(const char *code)
{
	assert_true(slice_find(buf_slice(&s.answer), slice_str(code)) >= 0);
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

static void expect_status(const char *key, enum rows_status status)
{
	struct rows_scope k;
	struct buf mem;

	buf_init(&mem, ROWS_MAX);
	assert_int_equal(admin_key_get(s.rig.live, key, &mem, &k, NULL), ERRC_OK);
	assert_int_equal(k.status, status);
	buf_fini(&mem);
}

static void make_keys(void)
{
	struct rows_scope k;

	rig_key(&s.rig, s.team.account, KEY_A, &k);
	rig_key(&s.rig, s.team.account, KEY_B, &k);
}

/* The ledger has the change, the live store could not take it. */
#define WAITS(notes, request)                                       \
	do {                                                        \
		fill_live(notes, 1);                                \
		assert_int_equal(request, ERRC_NOSPACE);            \
		assert_int_equal(commits_left(s.rig.live->env), 0); \
		expect("not_in_force");                             \
	} while (0)
/* Of a change that the ledger has the live store notes first that it has all before: that much there is room for. */
#define NOTES 1
/* Not even the ledger has it, for the live store lacks what it would be made from, however often one looks: it may be repeated. */
#define REFUSED(looks, request)                                     \
	do {                                                        \
		fill_live(0, looks);                                \
		assert_int_equal(request, ERRC_NOSPACE);            \
		assert_int_equal(commits_left(s.rig.live->env), 0); \
		expect("unavailable");                              \
	} while (0)
/* It is in force, and what waited waits on. */
#define PASSES(request)                                             \
	do {                                                        \
		fill_live(0, LOOKS);                                \
		assert_int_equal(request, ERRC_OK);                 \
		assert_int_equal(commits_left(s.rig.live->env), 0); \
		expect("durable");                                  \
	} while (0)
#define LOOKS 3 /* of what only takes: for all, for its scope, and where it is made */

/* The ledger has a grant and the live store could not take it; when it can again, and somebody adds to it, nothing is lost of the first. */
static void test_a_grant_upon_one_that_is_not_in_force(void **state)
{
	(void)state;
	assert_int_equal(grant("50"), ERRC_OK);
	WAITS(NOTES, grant("+20"));
	assert_int_equal(granted(), 50 * RIG_DOLLAR);
	/* While it cannot, nothing is made from what it says. */
	REFUSED(1, grant("+20"));
	assert_int_equal(grant("+20"), ERRC_OK);
	assert_int_equal(granted(), 90 * RIG_DOLLAR);
	rig_check_books(&s.rig);
}

/* A grant of a team waits for room: something can be taken from others meanwhile, and nothing given. */
static void test_what_takes_passes_what_waits_of_others(void **state)
{
	(void)state;
	make_keys();
	assert_int_equal(grant("50"), ERRC_OK);
	assert_int_equal(KEY(CONTROL_DO_KEY_SUSPEND, KEY_A), ERRC_OK);
	WAITS(NOTES, grant("+20"));
	REFUSED(2, RUN(CONTROL_DO_TEAM_SUSPEND, ACME, TEAM("red")));
	REFUSED(1, RUN(CONTROL_DO_KEY_UPDATE, CONTROL_S("key", SLICE_LIT(KEY_B)),
		       CONTROL_I("rpm", 5)));
	REFUSED(1, RUN(CONTROL_DO_ACCOUNT_CREDIT, ACME, CONTROL_I("add_nusd", 1)));
	PASSES(KEY(CONTROL_DO_KEY_REVOKE, KEY_A));
	PASSES(KEY(CONTROL_DO_KEY_SUSPEND, KEY_B));
	PASSES(RUN(CONTROL_DO_ACCOUNT_SUSPEND, ACME));
	REFUSED(1, KEY(CONTROL_DO_KEY_RESUME, KEY_B));
	assert_int_equal(granted(), 50 * RIG_DOLLAR);
	assert_int_equal(grant("+20"), ERRC_OK);
	assert_int_equal(granted(), 90 * RIG_DOLLAR);
	expect_status(KEY_A, ROWS_REVOKED);
	expect_status(KEY_B, ROWS_SUSPENDED);
	rig_check_books(&s.rig);
}

/* Also what is still to be made there. */
static void test_what_takes_waits_for_its_own(void **state)
{
	(void)state;
	make_keys();
	WAITS(0, KEY(CONTROL_DO_KEY_RESUME, KEY_A));
	REFUSED(2, KEY(CONTROL_DO_KEY_REVOKE, KEY_A));
	PASSES(KEY(CONTROL_DO_KEY_REVOKE, KEY_B));
	assert_int_equal(KEY(CONTROL_DO_KEY_REVOKE, KEY_A), ERRC_OK);
	expect_status(KEY_A, ROWS_REVOKED);
	WAITS(NOTES, RUN(CONTROL_DO_ACCOUNT_CREDIT, ACME, CONTROL_I("add_nusd", 1)));
	REFUSED(2, RUN(CONTROL_DO_ACCOUNT_SUSPEND, ACME));
	PASSES(RUN(CONTROL_DO_TEAM_SUSPEND, ACME, TEAM("red")));
	assert_int_equal(RUN(CONTROL_DO_ACCOUNT_SUSPEND, ACME), ERRC_OK);
	WAITS(NOTES, RUN(CONTROL_DO_TEAM_CREATE, ACME, TEAM("blue")));
	REFUSED(1, RUN(CONTROL_DO_TEAM_SUSPEND, ACME, TEAM("blue")));
	assert_int_equal(RUN(CONTROL_DO_TEAM_SUSPEND, ACME, TEAM("blue")), ERRC_OK);
	rig_check_books(&s.rig);
}

/* What waits is set again together with what came through the outbox just before it: a key whose suspension did cannot be revoked
 * before, for then it would be suspended only. */
static void test_what_came_with_it_is_not_set_over_what_is_newer(void **state)
{
	(void)state;
	assert_int_equal(grant("50"), ERRC_OK);
	make_keys();
	fill_ledger(1);
	assert_int_equal(KEY(CONTROL_DO_KEY_SUSPEND, KEY_A), ERRC_OK);
	WAITS(0, grant("+20"));
	REFUSED(2, KEY(CONTROL_DO_KEY_REVOKE, KEY_A));
	PASSES(KEY(CONTROL_DO_KEY_REVOKE, KEY_B));
	assert_int_equal(KEY(CONTROL_DO_KEY_REVOKE, KEY_A), ERRC_OK);
	assert_int_equal(granted(), 70 * RIG_DOLLAR);
	expect_status(KEY_A, ROWS_REVOKED);
	expect_status(KEY_B, ROWS_REVOKED);
	rig_check_books(&s.rig);
}

/* The keeper ends while one change is in the ledger only, and the one that passed it in the live store only. */
static void test_a_start_between_both(void **state)
{
	(void)state;
	make_keys();
	assert_int_equal(grant("50"), ERRC_OK);
	assert_int_equal(KEY(CONTROL_DO_KEY_SUSPEND, KEY_A), ERRC_OK);
	WAITS(NOTES, grant("+20"));
	fill_ledger(1);
	PASSES(KEY(CONTROL_DO_KEY_REVOKE, KEY_A));
	assert_int_equal(commits_left(s.rig.ledger->env), 0);
	rig_close(&s.rig);
	rig_open(&s.rig);
	assert_int_equal(s.rig.started.outcome, STORE_ACCEPTED);
	assert_int_equal(granted(), 70 * RIG_DOLLAR);
	expect_status(KEY_A, ROWS_REVOKED);
	rig_check_books(&s.rig);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_a_grant_upon_one_that_is_not_in_force),
		T(test_what_takes_passes_what_waits_of_others),
		T(test_what_takes_waits_for_its_own),
		T(test_what_came_with_it_is_not_set_over_what_is_newer),
		T(test_a_start_between_both),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
