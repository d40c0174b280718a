/* aigwd with faults on demand, linked with --wrap for what it changes in LMDB. What a test wants it asks for by files in the state
 * folder:
 * test-enospc, test-eio: while it is there, no commit of the ledger succeeds;
 * and, where $AIGW_TEST_DIR names that folder to the workers as well:
 * test-kill-in-write, test-stop-in-write: the next worker inside a write transaction of the live store kills or stops itself, once;
 * test-kill-in-read: the same in a read transaction;
 * test-no-live: while it is there, no worker's commit to the live store succeeds;
 * test-lose: the next write transaction of a worker also takes away the definition of the end user `ann` of account 1, once;
 * test-damage-account, test-damage-state, test-damage-definition, test-damage-hold: the next write transaction of a worker also cuts a byte off
 * the row of account 1, off what is used of it, off its definition of the end user `ann`, or off its first hold, once;
 * test-skew: the next write transaction of a worker also adds a nano-dollar to the balance of account 1, once, as a stray pointer would. */
#include <errno.h>
#include <lmdb.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "rows_states.h"

#define DEFINITIONS                            \
	"\xff\xff\xff\xff\xff\xff\xff\xfe\x01" \
	"defs" /* the tree, see live.c */

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);
int __real_mdb_txn_renew(MDB_txn *txn);
int __wrap_mdb_txn_renew(MDB_txn *txn);

static bool is_asked(const char *ledger, const char *what)
{
	char path[4096];

	return snprintf(path, sizeof(path), "%s/../test-%s", ledger, what) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

static bool is_asked_of_workers(const char *what)
{
	const char *dir = getenv("AIGW_TEST_DIR");
	char path[4096];

	return dir && snprintf(path, sizeof(path), "%s/test-%s", dir, what) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

/* Once: whoever removes the file does it. */
static bool is_asked_once(const char *what)
{
	const char *dir = getenv("AIGW_TEST_DIR");
	char path[4096];

	return dir && snprintf(path, sizeof(path), "%s/test-%s", dir, what) < (int)sizeof(path) &&
	       access(path, F_OK) == 0 && unlink(path) == 0;
}

static bool is_worker(void)
{
	char name[16] = "";

	return prctl(PR_GET_NAME, name, 0, 0, 0) == 0 && strcmp(name, "aigwd-worker") == 0;
}

static void skew(MDB_txn *txn)
{
	struct rows_key_name name = rows_name(1, ROWS_ACCOUNT, SLICE_NONE);
	MDB_val k = {name.n, (void *)(uintptr_t)name.b}, v;
	struct rows_account a;
	struct buf b;
	MDB_dbi db;

	buf_init(&b, ROWS_MAX);
	if (mdb_dbi_open(txn, NULL, 0, &db) || mdb_get(txn, db, &k, &v) ||
	    rows_get_account(slice_of(v.mv_data, v.mv_size), &a))
		abort();
	a.balance_nusd++;
	if (rows_put_account(&b, &a))
		abort();
	v = (MDB_val){b.len, b.p};
	if (mdb_put(txn, db, &k, &v, 0))
		abort();
	buf_fini(&b);
}

static void lose(MDB_txn *txn)
{
	struct rows_key_name name;
	char id[ROWS_ID];
	MDB_val k, v;
	MDB_dbi db;

	/* As where a definition is changed: nobody goes by what it knows of before. */
	name = rows_name(ROWS_ACCOUNT_HEAD, ROWS_HEAD, SLICE_LIT("defs"));
	k = (MDB_val){name.n, name.b};
	v = (MDB_val){sizeof(uint64_t), &(uint64_t){mdb_txn_id(txn)}};
	if (mdb_dbi_open(txn, NULL, 0, &db) || mdb_put(txn, db, &k, &v, 0))
		abort();
	rows_user_id(SLICE_LIT("ann"), id);
	name = rows_name_scope(1, ROWS_USER, id);
	k = (MDB_val){name.n, name.b};
	if (mdb_dbi_open(txn, DEFINITIONS, 0, &db) || mdb_del(txn, db, &k, NULL))
		abort();
}

/* One byte less of a row. */
static void damage(MDB_txn *txn, const char *tree, struct rows_key_name name)
{
	MDB_val k = {name.n, name.b}, v;
	char room[ROWS_MAX];
	MDB_dbi db;

	if (mdb_dbi_open(txn, tree, 0, &db) || mdb_get(txn, db, &k, &v) || v.mv_size > sizeof(room))
		abort();
	memcpy(room, v.mv_data, v.mv_size);
	v = (MDB_val){v.mv_size - 1, room};
	if (mdb_put(txn, db, &k, &v, 0))
		abort();
}

static struct rows_key_name first_hold(MDB_txn *txn)
{
	struct rows_key_name name = rows_name(1, ROWS_HOLD, SLICE_NONE);
	MDB_val k = {name.n, name.b}, v;
	MDB_cursor *c;
	MDB_dbi db;

	if (mdb_dbi_open(txn, NULL, 0, &db) || mdb_cursor_open(txn, db, &c) ||
	    mdb_cursor_get(c, &k, &v, MDB_SET_RANGE) || k.mv_size > sizeof(name.b))
		abort();
	memcpy(name.b, k.mv_data, k.mv_size);
	name.n = k.mv_size;
	mdb_cursor_close(c);
	return name;
}

static bool damages(MDB_txn *txn)
{
	char id[ROWS_ID];

	rows_user_id(SLICE_LIT("ann"), id);
	if (is_asked_once("damage-account"))
		damage(txn, NULL, rows_name(1, ROWS_ACCOUNT, SLICE_NONE));
	else if (is_asked_once("damage-state"))
		damage(txn, NULL, rows_name_states(1));
	else if (is_asked_once("damage-definition"))
		damage(txn, DEFINITIONS, rows_name_scope(1, ROWS_USER, id));
	else if (is_asked_once("damage-hold"))
		damage(txn, NULL, first_hold(txn));
	else
		return false;
	return true;
}

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	const char *path = "", *end;
	int err = 0;

	if (mdb_env_get_path(mdb_txn_env(txn), &path) == 0 && (end = strrchr(path, '/')) &&
	    strcmp(end, "/ledger") == 0)
		err = is_asked(path, "enospc") ? ENOSPC : is_asked(path, "eio") ? EIO : 0;
	else if (is_worker() && is_asked_once("kill-in-write"))
		raise(SIGKILL);
	else if (is_worker() && is_asked_once("stop-in-write"))
		raise(SIGSTOP);
	else if (is_worker() && is_asked_once("lose"))
		lose(txn);
	else if (is_worker() && is_asked_once("skew"))
		skew(txn);
	else if (is_worker() && damages(txn))
		err = 0;
	else if (is_worker() && is_asked_of_workers("no-live"))
		err = ENOSPC;
	if (!err)
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return err;
}

int __wrap_mdb_txn_renew(MDB_txn *txn)
{
	int rc = __real_mdb_txn_renew(txn);

	if (rc == 0 && is_worker() && is_asked_once("kill-in-read"))
		raise(SIGKILL);
	return rc;
}
