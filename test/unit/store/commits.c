#include "commits.h"

#include <stddef.h>
#include <string.h>

#include "check.h"

int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static struct store {
	const MDB_env *env;
	unsigned after, times;
	int error;
} stores[2];

static struct store *find(const MDB_env *env)
{
	for (size_t i = 0; i < sizeof stores / sizeof *stores; i++) {
		if (stores[i].env == env)
			return &stores[i];
	}
	return NULL;
}

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	struct store *s = find(mdb_txn_env(txn));

	if (!s || s->times == 0 || s->after > 0) {
		if (s && s->after > 0)
			s->after--;
		return __real_mdb_txn_commit(txn);
	}
	if (s->times != COMMITS_ALL)
		s->times--;
	mdb_txn_abort(txn);
	return s->error;
}

void commits_fail(const MDB_env *env, unsigned after, unsigned times, int error)
{
	struct store *s = find(env);

	if (!s)
		s = find(NULL);
	require(s);
	*s = (struct store){env, after, times, error};
}

unsigned commits_left(const MDB_env *env)
{
	const struct store *s = find(env);

	return s ? s->times : 0;
}

void commits_work(void)
{
	memset(stores, 0, sizeof stores);
}
