#include "ledger_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "files.h"
#include "restored.h"

enum errc ledger_copy_bytes(struct ledger *l, uint64_t *bytes)
{
	MDB_envinfo info;
	MDB_stat st;
	enum errc rc = lmdbx_errc(mdb_env_info(l->env, &info));

	if (!rc)
		rc = lmdbx_errc(mdb_env_stat(l->env, &st));
	if (!rc)
		*bytes = ((uint64_t)info.me_last_pgno + 1) * st.ms_psize;
	return rc;
}

enum errc ledger_copy(struct ledger *l, int fd)
{
	return lmdbx_errc(mdb_env_copyfd2(l->env, fd, 0));
}

static bool mark_path(const char *state_dir, char out[PATH_MAX])
{
	int n = snprintf(out, PATH_MAX, "%s/ledger/" RESTORED_MARK, state_dir);

	return n > 0 && n < PATH_MAX;
}

bool ledger_is_restored(const char *state_dir)
{
	char path[PATH_MAX];

	return mark_path(state_dir, path) && access(path, F_OK) == 0;
}

void ledger_restored_read(const char *state_dir, char mem[LEDGER_RESTORED_MAX],
			  struct ledger_restored *out)
{
	struct slice left = SLICE_NONE;
	char path[PATH_MAX];
	int fd = mark_path(state_dir, path) ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? 0 : read(fd, mem, LEDGER_RESTORED_MAX);

	if (fd >= 0)
		close(fd);
	if (n > 0)
		left = slice_of(mem, (size_t)n);
	(void)slice_cut(&left, '\n', &out->made);
	(void)slice_cut(&left, '\n', &out->who);
	(void)slice_cut(&left, '\n', &out->put);
}

enum errc ledger_restored_done(const char *state_dir)
{
	char path[PATH_MAX];

	if (!mark_path(state_dir, path))
		return ERRC_LIMIT;
	if (unlink(path) != 0)
		return errno == ENOENT ? ERRC_OK : errc_from_errno(errno);
	*strrchr(path, '/') = 0;
	return files_sync_folder(path);
}
