/* What the ledger thread finds in the live store beside its work: rows that cannot be read are told, once an hour, and keep it from nothing. */
#include "family.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "live_states.h"
#include "log.h"
#include "upkeep.h"

#define ROUND_MS INT64_C(10000)
#define HOUR_MS  INT64_C(3600000)

static const char none[ROWS_ID];

static struct upkeep upkeep;
static struct pepper pepper;
static char log_path[] = "/tmp/aigw-upkeep-XXXXXX", said[1 << 16];
static int64_t now_ms;

static bool apart; /* what scopes have used, in rows of their own */

static int set_up(void **state, bool is_apart)
{
	int fd = mkstemp(log_path);

	apart = is_apart;
	if (fd < 0 || (apart ? family_setup_apart : family_setup)(state))
		return -1;
	close(fd);
	pepper_init(&pepper);
	upkeep_init(&upkeep, &pepper);
	now_ms = 1;
	return 0;
}

static int setup(void **state)
{
	return set_up(state, false);
}

static int setup_apart(void **state)
{
	return set_up(state, true);
}

static int teardown(void **state)
{
	upkeep_fini(&upkeep);
	pepper_fini(&pepper);
	(void)unlink(log_path);
	memcpy(strrchr(log_path, '-'), "-XXXXXX", sizeof "-XXXXXX");
	return family_teardown(state);
}

/* What one piece of the upkeep says. */
static const char *step(void)
{
	char to[64];
	struct log_opts o = {.to = to, .format = LOG_TEXT, .level = LOG_WARN, .process = "test"};
	size_t n;
	FILE *f;

	snprintf(to, sizeof to, "file:%s", log_path);
	assert_int_equal(log_start(&o), ERRC_OK);
	assert_int_equal(upkeep_step(&upkeep, &family.r->admin, now_ms, family.r->wall_ms,
				     family.r->wall_ms),
			 ERRC_OK);
	log_stop();
	f = fopen(log_path, "r+");
	assert_non_null(f);
	n = fread(said, 1, sizeof said - 1, f);
	said[n] = '\0';
	assert_int_equal(ftruncate(fileno(f), 0), 0);
	fclose(f);
	now_ms += ROUND_MS;
	return said;
}

static void begin(void)
{
	struct admit_done done;
	struct genid id;

	for (size_t i = 0; i < FAMILY_N; i++)
		family_give_rules(&family.of[i]);
	family_put();
	family_hold(100, &id);
	rig_settle(family.r, family.account, &id, 50, 20, &done);
	assert_string_equal(step(), "");
}

/* The account, what its scopes have used, a definition. */
static size_t rows(struct rows_key_name out[2 + FAMILY_N + 1])
{
	size_t n = 0;
	char user[ROWS_ID];

	rows_user_id(family.user, user);
	out[n++] = rows_name(family.account, ROWS_ACCOUNT, SLICE_NONE);
	out[n++] = rows_name_states(family.account);
	for (size_t i = 0; apart && i < FAMILY_N; i++)
		out[n++] = rows_name_state(family.account, family.of[i].kind,
					   i == 0   ? none
					   : i == 3 ? user
						    : family.of[i].id);
	out[n++] = rows_name_scope(family.account, ROWS_KEY, family.of[2].id);
	return n;
}

/* Puts `row` there (p NULL: nothing), and copies what was there before to `room`. */
static struct slice exchange(const struct rows_key_name *name, struct slice row, char room[ROWS_MAX])
{
	struct slice before;
	MDB_txn *txn;

	assert_int_equal(live_txn_begin(family.r->live, &txn), ERRC_OK);
	assert_int_equal(live_row_get(family.r->live, txn, name, &before), ERRC_OK);
	memcpy(room, before.p, before.n);
	if (row.p)
		assert_int_equal(live_row_put(family.r->live, txn, name, row, 0), ERRC_OK);
	assert_int_equal(live_txn_commit(family.r->live, &txn), ERRC_OK);
	return slice_of(room, before.n);
}

static bool is_damage_said(void)
{
	const char *line = strstr(said, "event=live_row_damaged");

	return line && strncmp(said, "time=", 5) == 0 && strstr(said, "level=error") &&
	       strstr(said, "ledger verify") && !strchr(strchr(said, '\n') + 1, '\n');
}

static void test_told_once_an_hour(void **state)
{
	struct rows_key_name at_row[2 + FAMILY_N + 1];
	char room[ROWS_MAX], other[ROWS_MAX];
	size_t n;

	(void)state;
	begin();
	n = rows(at_row);
	for (size_t i = 0; i < n - 1; i++) {
		struct slice good = exchange(&at_row[i], SLICE_NONE, room);

		exchange(&at_row[i], slice_sub(good, 0, 1), other);
		step();
		assert_true(is_damage_said());
		for (int64_t until = now_ms + HOUR_MS - 2 * ROUND_MS; now_ms < until;)
			assert_string_equal(step(), "");
		now_ms += ROUND_MS;
		step();
		assert_true(is_damage_said());
		exchange(&at_row[i], good, other);
		now_ms += HOUR_MS;
		assert_string_equal(step(), "");
		assert_true(upkeep.lost.at == 0 && !upkeep.agree.inside); /* a whole round */
	}
}

/* Whichever byte is another one: it is seen, or it is a number that nobody can check, and the keeper goes on. */
static void test_every_byte(void **state)
{
	struct rows_key_name at_row[2 + FAMILY_N + 1];
	char room[ROWS_MAX], bad[ROWS_MAX], other[ROWS_MAX];
	size_t told = 0, n;

	(void)state;
	begin();
	n = rows(at_row);
	for (size_t i = 0; i < n; i++) {
		struct slice good = exchange(&at_row[i], SLICE_NONE, room);

		for (size_t at = 0; at < good.n; at++) {
			memcpy(bad, good.p, good.n);
			bad[at] = (char)(bad[at] ^ 0x81);
			exchange(&at_row[i], slice_of(bad, good.n), other);
			step();
			told += is_damage_said();
			now_ms += HOUR_MS;
			exchange(&at_row[i], good, other);
			step();
			now_ms += HOUR_MS;
		}
	}
	assert_true(told > n);
	assert_string_equal(step(), "");
}

/* A damaged row keeps no node from starting. */
static void test_start(void **state)
{
	struct rows_key_name at_row[2 + FAMILY_N + 1];
	char room[ROWS_MAX], bad[ROWS_MAX], other[ROWS_MAX];
	size_t n;

	(void)state;
	begin();
	n = rows(at_row);
	for (size_t i = 0; i < n; i++) {
		struct slice good = exchange(&at_row[i], SLICE_NONE, room);

		memcpy(bad, good.p, good.n);
		bad[0] = (char)0x81; /* its version */
		exchange(&at_row[i], slice_of(bad, good.n), other);
		rig_close(family.r);
		rig_open(family.r);
		assert_int_equal(family.r->started.outcome, STORE_ACCEPTED);
		exchange(&at_row[i], good, other);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_told_once_an_hour, setup, teardown),
		cmocka_unit_test_setup_teardown(test_every_byte, setup, teardown),
		cmocka_unit_test_setup_teardown(test_start, setup, teardown),
		{"test_told_once_an_hour_apart", test_told_once_an_hour, setup_apart, teardown,
		 NULL},
		{"test_every_byte_apart", test_every_byte, setup_apart, teardown, NULL},
		{"test_start_apart", test_start, setup_apart, teardown, NULL},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
