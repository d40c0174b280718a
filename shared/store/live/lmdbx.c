#include "lmdbx.h"

#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "lmdbx_whole.h"

enum errc lmdbx_errc(int rc)
{
	switch (rc) {
	case MDB_SUCCESS:
		return ERRC_OK;
	case MDB_NOTFOUND:
		return ERRC_NOTFOUND;
	case MDB_KEYEXIST:
		return ERRC_EXISTS;
	case MDB_MAP_FULL:
		return ERRC_NOSPACE;
	case MDB_VERSION_MISMATCH:
		return ERRC_VERSION;
	case MDB_PANIC:
		return ERRC_IO;
	case MDB_READERS_FULL:
	case MDB_DBS_FULL:
	case MDB_TXN_FULL:
		return ERRC_LIMIT;
	case MDB_PAGE_NOTFOUND:
	case MDB_CORRUPTED:
	case MDB_INVALID:
	case MDB_CURSOR_FULL:
	case MDB_PAGE_FULL:
	case MDB_MAP_RESIZED:
	case MDB_BAD_TXN: /* what comes after one of these in the same transaction */
		return ERRC_CORRUPT;
	default:
		return rc > 0 ? errc_from_errno(rc) : ERRC_INTERNAL;
	}
}

/* Below this there is not room for each commit. */
#define ROOM_BYTES (UINT64_C(1) << 20)

static bool is_full(MDB_env *env)
{
	struct statvfs fs;
	int fd;

	return mdb_env_get_fd(env, &fd) == 0 && fstatvfs(fd, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize < ROOM_BYTES;
}

enum errc lmdbx_commit(MDB_txn *txn)
{
	MDB_env *env = mdb_txn_env(txn);
	int rc = mdb_txn_commit(txn);

	return rc == EIO && is_full(env) ? ERRC_NOSPACE : lmdbx_errc(rc);
}

enum errc lmdbx_open(const struct lmdbx_opts *o, MDB_env **out)
{
	MDB_env *env = NULL;
	int rc = mdb_env_create(&env);
	enum errc e;

	if (rc == 0)
		rc = mdb_env_set_mapsize(env, o->map_bytes);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(env, o->readers_max);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(env, o->dbs_max);
	if (rc == 0)
		rc = mdb_env_open(env, o->dir, o->flags, 0640);
	if (rc != 0) {
		if (env)
			mdb_env_close(env);
		return lmdbx_errc(rc);
	}
	e = lmdbx_whole(env, o->dir);
	if (e)
		mdb_env_close(env);
	else
		*out = env;
	return e;
}

enum errc lmdbx_db(MDB_txn *txn, const char *name, unsigned flags, MDB_dbi *out)
{
	return lmdbx_errc(mdb_dbi_open(txn, name, flags, out));
}

static MDB_val val_of(struct slice s)
{
	return (MDB_val){.mv_size = s.n, .mv_data = (void *)(uintptr_t)s.p};
}

enum errc lmdbx_get(MDB_txn *txn, MDB_dbi db, struct slice key, struct slice *out)
{
	MDB_val k = val_of(key), v;
	int rc = mdb_get(txn, db, &k, &v);

	if (rc != 0)
		return lmdbx_errc(rc);
	*out = slice_of(v.mv_data, v.mv_size);
	return ERRC_OK;
}

enum errc lmdbx_put(MDB_txn *txn, MDB_dbi db, struct slice key, struct slice value, unsigned flags)
{
	MDB_val k = val_of(key), v = val_of(value);

	return lmdbx_errc(mdb_put(txn, db, &k, &v, flags));
}

enum errc lmdbx_cursor_put(MDB_cursor *c, struct slice key, struct slice value, unsigned flags)
{
	MDB_val k = val_of(key), v = val_of(value);

	return lmdbx_errc(mdb_cursor_put(c, &k, &v, flags));
}

enum errc lmdbx_del(MDB_txn *txn, MDB_dbi db, struct slice key)
{
	MDB_val k = val_of(key);

	return lmdbx_errc(mdb_del(txn, db, &k, NULL));
}

enum errc lmdbx_move(MDB_cursor *c, MDB_cursor_op op, struct slice *key, struct slice *value)
{
	MDB_val k = val_of(*key), v = {0, NULL};
	int rc = mdb_cursor_get(c, &k, &v, op);

	if (rc != 0)
		return lmdbx_errc(rc);
	*key = slice_of(k.mv_data, k.mv_size);
	*value = slice_of(v.mv_data, v.mv_size);
	return ERRC_OK;
}

bool lmdbx_is_in_place(MDB_env *env)
{
	char path[PATH_MAX];
	const char *dir;
	mdb_filehandle_t fd;
	struct stat ours, there;

	if (mdb_env_get_path(env, &dir) != 0 || mdb_env_get_fd(env, &fd) != 0 ||
	    snprintf(path, sizeof path, "%s/data.mdb", dir) >= (int)sizeof path ||
	    fstat(fd, &ours) != 0)
		return true;
	if (stat(path, &there) != 0)
		return errno != ENOENT && errno != ENOTDIR;
	return ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

enum errc lmdbx_used(MDB_txn *txn, MDB_dbi db, size_t *bytes)
{
	MDB_stat st;
	int rc = mdb_stat(txn, db, &st);

	if (rc != 0)
		return lmdbx_errc(rc);
	*bytes = st.ms_psize * (st.ms_branch_pages + st.ms_leaf_pages + st.ms_overflow_pages);
	return ERRC_OK;
}
