/* Files that were cut short: found when they are opened, before what is missing is read; what LMDB never wrote is not missing. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"
#include "lmdbx.h"

#define KEY "aaaaaaaaaaaa"

struct scene {
	char dir[64], path[80], kept[80];
	MDB_env *env;
};

static int setup(void **state)
{
	static struct scene s;

	s = (struct scene){.env = NULL};
	snprintf(s.dir, sizeof s.dir, "/tmp/aigw-whole-XXXXXX");
	if (!mkdtemp(s.dir))
		return 1;
	snprintf(s.path, sizeof s.path, "%s/data.mdb", s.dir);
	snprintf(s.kept, sizeof s.kept, "%s.kept", s.dir);
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct scene *s = *state;

	if (s->env)
		mdb_env_close(s->env);
	folder_remove("%s", s->dir);
	folder_remove("%s", s->kept);
	return 0;
}

static enum errc open_it(struct scene *s)
{
	const struct lmdbx_opts o = {.dir = s->dir,
				     .map_bytes = 1 << 24,
				     .flags = MDB_NOTLS | MDB_NOSYNC,
				     .readers_max = 4,
				     .dbs_max = 4};

	s->env = NULL;
	return lmdbx_open(&o, &s->env);
}

static void close_it(struct scene *s)
{
	mdb_env_close(s->env);
	s->env = NULL;
}

static size_t file_bytes(const struct scene *s)
{
	struct stat st;

	assert_int_equal(stat(s->path, &st), 0);
	return (size_t)st.st_size;
}

/* What it says it has. */
static size_t said_bytes(const struct scene *s)
{
	MDB_envinfo info;
	MDB_stat st;

	assert_int_equal(mdb_env_info(s->env, &info), 0);
	assert_int_equal(mdb_env_stat(s->env, &st), 0);
	return (info.me_last_pgno + 1) * st.ms_psize;
}

/* A transaction that takes rows away that it has put there, large ones among them: their pages are not written. */
static void write_some(struct scene *s, unsigned round)
{
	static char bytes[60000];
	MDB_txn *txn;
	MDB_dbi db;

	assert_int_equal(mdb_txn_begin(s->env, NULL, 0, &txn), 0);
	assert_int_equal(lmdbx_db(txn, NULL, 0, &db), ERRC_OK);
	for (unsigned i = 0; i < 40; i++) {
		unsigned name = (round * 7 + i * 13) % 200;

		assert_int_equal(lmdbx_put(txn, db, slice_of(&name, sizeof name),
					   slice_of(bytes, 50 + name * 3), 0),
				 ERRC_OK);
	}
	for (unsigned i = 0; i < 30; i++) {
		unsigned name = (round * 7 + i * 13) % 200;

		assert_int_equal(lmdbx_del(txn, db, slice_of(&name, sizeof name)), ERRC_OK);
	}
	if (round % 3 == 0) {
		unsigned name = 1000;

		assert_int_equal(lmdbx_put(txn, db, slice_of(&name, sizeof name),
					   slice_of(bytes, sizeof bytes), 0),
				 ERRC_OK);
		assert_int_equal(lmdbx_del(txn, db, slice_of(&name, sizeof name)), ERRC_OK);
	}
	assert_int_equal(mdb_txn_commit(txn), 0);
}

/* Reads all of it: a page that is missing would end the test. */
static size_t read_all(struct scene *s)
{
	struct slice key, value;
	size_t n = 0, sum = 0;
	MDB_cursor *c;
	MDB_txn *txn;
	MDB_dbi db;

	assert_int_equal(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &txn), 0);
	assert_int_equal(lmdbx_db(txn, NULL, 0, &db), ERRC_OK);
	assert_int_equal(mdb_cursor_open(txn, db, &c), 0);
	key = value = SLICE_NONE;
	while (lmdbx_move(c, MDB_NEXT, &key, &value) == ERRC_OK) {
		n++;
		for (size_t i = 0; i < value.n; i++)
			sum += (unsigned char)value.p[i];
	}
	assert_int_equal(sum, 0);
	mdb_cursor_close(c);
	mdb_txn_abort(txn);
	return n;
}

static void test_never_written(void **state)
{
	struct scene *s = *state;
	unsigned shorter = 0;
	size_t rows;

	for (unsigned round = 0; round < 60; round++) {
		assert_int_equal(open_it(s), ERRC_OK);
		write_some(s, round);
		shorter += file_bytes(s) < said_bytes(s);
		rows = read_all(s);
		close_it(s);
		assert_int_equal(open_it(s), ERRC_OK);
		assert_int_equal(read_all(s), rows);
		close_it(s);
	}
	assert_int_not_equal(shorter, 0);
}

static void test_cut_anywhere(void **state)
{
	struct scene *s = *state;
	size_t page = (size_t)sysconf(_SC_PAGESIZE), found = 0, rows = 0;

	assert_int_equal(open_it(s), ERRC_OK);
	for (unsigned round = 0; round < 60; round++)
		write_some(s, round);
	rows = read_all(s);
	close_it(s);
	for (size_t bytes = file_bytes(s) - 1; bytes >= 2 * page; bytes -= page / 2) {
		enum errc rc;

		folder_copy(s->dir, s->kept);
		assert_int_equal(truncate(s->path, (off_t)bytes), 0);
		rc = open_it(s);
		assert_true(rc == ERRC_OK || rc == ERRC_TRUNCATED);
		found += rc != ERRC_OK;
		if (!rc) {
			assert_int_equal(read_all(s), rows);
			close_it(s);
		}
		folder_remove("%s", s->dir);
		assert_int_equal(rename(s->kept, s->dir), 0);
	}
	assert_true(found > 20);
	/* Two pages without a tree are all of an empty file. */
	assert_int_equal(truncate(s->path, (off_t)(2 * page)), 0);
	assert_int_equal(open_it(s), ERRC_TRUNCATED);
	folder_remove("%s", s->path);
	assert_int_equal(open_it(s), ERRC_OK);
}

/* The live store is made anew, the ledger stays as it is and is named. */
static void test_stores(void **state)
{
	struct ledger *ledger = NULL;
	struct live *live = NULL;
	struct rows_scope k;
	struct rig r;
	char path[300];
	uint64_t account;

	(void)state;
	rig_init(&r);
	rig_open(&r);
	account = rig_account(&r, "acme", RIG_DOLLAR);
	rig_key(&r, account, KEY, &k);
	rig_drain(&r);
	rig_close(&r);
	snprintf(path, sizeof path, "%s/data.mdb", r.started.live_dir);
	assert_int_equal(truncate(path, 2 * sysconf(_SC_PAGESIZE)), 0);
	rig_open(&r);
	assert_int_equal(r.started.outcome, STORE_REBUILT);
	assert_string_equal(r.started.reason, "the live store is damaged");
	rig_check_books(&r);
	rig_close(&r);
	snprintf(path, sizeof path, "%s/state/ledger/data.mdb", r.dir);
	assert_int_equal(truncate(path, 2 * sysconf(_SC_PAGESIZE)), 0);
	assert_int_equal(store_start(&r.opts, &live, &ledger, &r.started), ERRC_CORRUPT);
	assert_int_equal(r.started.fault, LEDGER_SHORT);
	assert_null(live);
	assert_null(ledger);
	folder_remove("%s", r.dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_never_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cut_anywhere, setup, teardown),
		cmocka_unit_test(test_stores),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
