#include "folders.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "restored.h"

#define TMPFS       0x01021994
#define SYSTEM_UIDS 1000 /* below: root and system users */

/* What keeper and workers keep there; the rest is the master's. */
static const char *const state_files[] = {"keeper.lock", "pepper", "pepper.new"};
static const char *const ledger_files[] = {"data.mdb", "lock.mdb", RESTORED_PEPPER, RESTORED_MARK};
static const char *const live_files[] = {"data.mdb", "lock.mdb", "owners.lock", "progress"};

/* One that is made is there for good, like what will be in it. */
static enum errc make_one(const char *path, mode_t mode, bool *made)
{
	*made = mkdir(path, mode) == 0;
	if (!*made)
		return errno == EEXIST ? ERRC_OK : errc_from_errno(errno);
	return files_sync_parent(path);
}

static enum errc make_parents(const char *path)
{
	char part[PATH_MAX];
	enum errc e = ERRC_OK;
	bool made;

	if (snprintf(part, sizeof(part), "%s", path) >= (int)sizeof(part))
		return ERRC_TOOBIG;
	for (char *p = strchr(part + 1, '/'); !e && p; p = strchr(p + 1, '/')) {
		*p = 0;
		e = make_one(part, 0755, &made);
		*p = '/';
	}
	return e;
}

enum errc folders_make(const char *path, mode_t mode, const struct drop_ids *ids)
{
	enum errc e = make_parents(path);
	struct stat st;
	bool made;

	if (!e)
		e = make_one(path, mode, &made);
	if (e)
		return e;
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

/* --- whose they are --- */

/* `type` only, and no file that has another name elsewhere: who owns the folder may have put anything here. */
static enum errc give_open(int fd, mode_t type, const struct drop_ids *ids)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return errc_from_errno(errno);
	if ((st.st_mode & S_IFMT) != type || (type == S_IFREG && st.st_nlink != 1) ||
	    (st.st_uid == ids->uid && st.st_gid == ids->gid))
		return ERRC_OK;
	return fchownat(fd, "", ids->uid, ids->gid, AT_EMPTY_PATH) == 0 ? ERRC_OK
									: errc_from_errno(errno);
}

static enum errc give_files(int dir, const char *const *names, size_t n, const struct drop_ids *ids)
{
	enum errc e = ERRC_OK;

	for (size_t i = 0; i < n && !e; i++) {
		int fd = openat(dir, names[i], O_PATH | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0)
			continue;
		e = give_open(fd, S_IFREG, ids);
		close(fd);
	}
	return e;
}

enum errc folders_give_state(int dir, const struct drop_ids *ids)
{
	enum errc e = ERRC_OK;
	int ledger;

	if (!ids->change)
		return ERRC_OK;
	e = give_open(dir, S_IFDIR, ids);
	if (e)
		return e;
	ledger = openat(dir, "ledger", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ledger >= 0) {
		e = give_open(ledger, S_IFDIR, ids);
		if (!e)
			e = give_files(ledger, ledger_files, ARRAY_LEN(ledger_files), ids);
		close(ledger);
	}
	return e ? e : give_files(dir, state_files, ARRAY_LEN(state_files), ids);
}

enum errc folders_give_live(const char *path, const struct drop_ids *ids)
{
	enum errc e;
	int dir;

	if (!ids->change)
		return ERRC_OK;
	dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return errc_from_errno(errno);
	e = give_files(dir, live_files, ARRAY_LEN(live_files), ids);
	close(dir);
	return e;
}

/* --- who gets there --- */

/* As another user, up to the end of `path` in folder after folder: how many bytes of it could be entered. */
static size_t entered(const char *path)
{
	char part[PATH_MAX];
	size_t good = 0, n = strlen(path);

	memcpy(part, path, n + 1);
	for (size_t i = 1; i <= n; i++) {
		if (path[i] != '/' && path[i])
			continue;
		part[i] = 0;
		if (access(part, X_OK) != 0)
			break;
		part[i] = path[i];
		good = i;
	}
	return good;
}

/* In a child: only a process can be another user in every respect. */
static _Noreturn void try_as(const char *path, const struct drop_ids *ids, int out)
{
	size_t n;

	if (!drop_apply(ids))
		_exit(1);
	n = entered(path);
	_exit(write(out, &n, sizeof(n)) == sizeof(n) ? 0 : 1);
}

enum errc folders_reach(const char *path, const struct drop_ids *ids, char *blocked)
{
	size_t n = 0, next;
	bool told;
	pid_t pid;
	int p[2];

	blocked[0] = 0;
	if (!ids->change)
		return ERRC_OK;
	if (strlen(path) >= PATH_MAX)
		return ERRC_TOOBIG;
	if (pipe2(p, O_CLOEXEC) != 0)
		return errc_from_errno(errno);
	pid = fork();
	if (pid == 0)
		try_as(path, ids, p[1]);
	close(p[1]);
	told = pid > 0 && read(p[0], &n, sizeof(n)) == sizeof(n);
	close(p[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
	if (!told)
		return ERRC_STATE;
	if (path[n] == 0)
		return ERRC_OK;
	next = n + 1 + strcspn(path + n + 1, "/");
	snprintf(blocked, PATH_MAX, "%.*s", (int)next, path);
	return ERRC_PERM;
}
