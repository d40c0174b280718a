#include "lmdbx_whole.h"

#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include "log.h"

#define FREE_PAGES 0 /* LMDB's own tree of them */

/* Pages from `first` on are not in the file; `last` is the last one that the newest meta page knows. */
struct missing {
	MDB_txn *txn;
	MDB_cursor *c;
	size_t bytes, first, last, free_n;
	enum errc rc;
};

static enum errc count(struct missing *m, const MDB_val *v)
{
	const char *at = v->mv_data;
	size_t n, page;

	if (v->mv_size < sizeof n)
		return ERRC_CORRUPT;
	memcpy(&n, at, sizeof n);
	if (n > v->mv_size / sizeof n - 1)
		return ERRC_CORRUPT;
	for (size_t i = 1; i <= n; i++) {
		memcpy(&page, at + i * sizeof page, sizeof page);
		m->free_n += page >= m->first && page <= m->last;
	}
	return ERRC_OK;
}

static void count_all(struct missing *m)
{
	MDB_val k, v;
	int rc = mdb_cursor_get(m->c, &k, &v, MDB_FIRST);

	while (rc == 0 && !m->rc) {
		m->rc = count(m, &v);
		rc = m->rc ? 0 : mdb_cursor_get(m->c, &k, &v, MDB_NEXT);
	}
	if (!m->rc && rc != MDB_NOTFOUND)
		m->rc = lmdbx_errc(rc);
}

static _Thread_local sigjmp_buf *beyond;

static void on_bus(int sig)
{
	if (beyond)
		siglongjmp(*beyond, 1);
	signal(sig, SIG_DFL); /* another thread's: it comes again, and ends the process as ever */
}

/* The list of free pages may itself be where the file has ended. That is found by reading on and nowhere else, since only LMDB knows
 * its pages; the read transaction and the cursor can be ended after the jump, for a walk changes nothing but the cursor. */
static void count_guarded(struct missing *m)
{
	const struct sigaction mine = {.sa_handler = on_bus};
	struct sigaction before;
	sigjmp_buf back;

	sigaction(SIGBUS, &mine, &before);
	if (sigsetjmp(back, 1) == 0) {
		beyond = &back;
		count_all(m);
	} else {
		m->rc = ERRC_TRUNCATED;
	}
	beyond = NULL;
	sigaction(SIGBUS, &before, NULL);
}

/* What a transaction took at the end of the file and gave back before its commit was never written: such pages are free. */
static enum errc are_free(struct missing *m)
{
	enum errc rc = lmdbx_errc(mdb_cursor_open(m->txn, FREE_PAGES, &m->c));

	if (rc)
		return rc;
	count_guarded(m);
	mdb_cursor_close(m->c);
	if (m->rc == ERRC_CORRUPT) /* what is there of the list is no list */
		return ERRC_TRUNCATED;
	return !m->rc && m->free_n != m->last - m->first + 1 ? ERRC_TRUNCATED : m->rc;
}

static bool is_short(mdb_filehandle_t fd, size_t page_bytes, struct missing *m)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return false;
	m->bytes = (size_t)st.st_size;
	m->first = m->bytes / page_bytes;
	return m->first <= m->last;
}

enum errc lmdbx_whole(MDB_env *env, const char *dir)
{
	struct missing m = {.rc = ERRC_OK};
	enum errc rc = ERRC_OK;
	mdb_filehandle_t fd;
	MDB_envinfo info;
	MDB_stat st;

	if (mdb_env_info(env, &info) != 0 || mdb_env_stat(env, &st) != 0 ||
	    mdb_env_get_fd(env, &fd) != 0)
		return ERRC_SYSTEM;
	m.last = info.me_last_pgno;
	if (!is_short(fd, st.ms_psize, &m))
		return ERRC_OK;
	rc = lmdbx_errc(mdb_txn_begin(env, NULL, MDB_RDONLY, &m.txn));
	if (rc)
		return rc;
	/* Once more: where others write meanwhile, what is not free in this transaction has been written. */
	if (is_short(fd, st.ms_psize, &m))
		rc = are_free(&m);
	mdb_txn_abort(m.txn);
	if (rc == ERRC_TRUNCATED)
		log_error("store_cut_short",
			  "%s/data.mdb has %zu bytes, and says that it has %zu: its end is missing",
			  dir, m.bytes, (m.last + 1) * st.ms_psize);
	return rc;
}
