/* aigwd whose disk fails on demand: while the file state/test-enospc or state/test-eio exists, no commit of the ledger succeeds.
 * Linked with --wrap=mdb_txn_commit. */
#include <errno.h>
#include <lmdb.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static bool is_asked(const char *ledger, const char *what)
{
	char path[4096];

	return snprintf(path, sizeof(path), "%s/../test-%s", ledger, what) < (int)sizeof(path) &&
	       access(path, F_OK) == 0;
}

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	const char *path = "", *end;
	int err = 0;

	if (mdb_env_get_path(mdb_txn_env(txn), &path) == 0 && (end = strrchr(path, '/')) &&
	    strcmp(end, "/ledger") == 0)
		err = is_asked(path, "enospc") ? ENOSPC : is_asked(path, "eio") ? EIO : 0;
	if (!err)
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return err;
}
