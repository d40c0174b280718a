#include "folders.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <unistd.h>

#define TMPFS       0x01021994
#define SYSTEM_UIDS 1000 /* below: root and system users */

static enum errc make_parents(const char *path)
{
	char part[PATH_MAX];

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return ERRC_TOOBIG;
	for (char *p = strchr(part + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = 0;
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return errc_from_errno(errno);
		*p = '/';
	}
	return ERRC_OK;
}

enum errc folders_make(const char *path, mode_t mode, const struct drop_ids *ids)
{
	enum errc e = make_parents(path);
	struct stat st;
	bool made;

	if (e)
		return e;
	made = mkdir(path, mode) == 0;
	if (!made && errno != EEXIST)
		return errc_from_errno(errno);
	if (stat(path, &st) != 0)
		return errc_from_errno(errno);
	if (!S_ISDIR(st.st_mode))
		return ERRC_INVAL;
	if (ids->change && (st.st_uid != ids->uid || st.st_gid != ids->gid) &&
	    chown(path, ids->uid, ids->gid) != 0)
		return errc_from_errno(errno);
	if (made && chmod(path, mode) != 0)
		return errc_from_errno(errno);
	return access(path, W_OK | X_OK) == 0 ? ERRC_OK : errc_from_errno(errno);
}

enum errc folders_live_path(struct slice shared_memory, const char *ledger_id, char *out, size_t n)
{
	int len;

	if (shared_memory.n)
		len = snprintf(out, n, SLICE_FMT "/%s", SLICE_ARG(shared_memory), ledger_id);
	else if (getuid() < SYSTEM_UIDS)
		len = snprintf(out, n, "/run/aigw/live/%s", ledger_id);
	else
		len = snprintf(out, n, "/dev/shm/aigw-%u-%.8s/%s", (unsigned)getuid(), ledger_id,
			       ledger_id);
	return len > 0 && (size_t)len < n ? ERRC_OK : ERRC_TOOBIG;
}

enum errc folders_live_make(const char *path, uint64_t need, const struct drop_ids *ids)
{
	char above[PATH_MAX], data[PATH_MAX];
	struct statfs fs;
	enum errc e;

	/* The folder that holds those of all ledgers is opened to the processes that have to pass through it. */
	snprintf(above, sizeof(above), "%s", path);
	*strrchr(above, '/') = 0;
	e = folders_make(above, 0755, &(struct drop_ids){0});
	if (!e)
		e = folders_make(path, 0700, ids);
	if (e)
		return e;
	if (statfs(path, &fs) != 0)
		return errc_from_errno(errno);
	if (fs.f_type != TMPFS)
		return ERRC_INVAL;
	if (snprintf(data, sizeof(data), "%s/page", path) < (int)sizeof(data) &&
	    access(data, F_OK) == 0)
		return ERRC_OK;
	return (uint64_t)fs.f_bavail * (uint64_t)fs.f_bsize >= need ? ERRC_OK : ERRC_NOSPACE;
}
