#include "unfinished.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "slice.h"

#define LETTERS  6 /* behind the tag */
#define TRIES    8
#define OPEN_DIR (O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)

/* --- making one --- */

/* One who sweeps may have come between the making and the lock. */
static bool lock(const char *path, int fd)
{
	/* Where a filesystem knows no locks nobody gets one to sweep either. */
	return (flock(fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) &&
	       access(path, F_OK) == 0;
}

enum errc unfinished_make(const char *place, char path[PATH_MAX], int *fd)
{
	size_t n = strlen(place);

	while (n > 1 && place[n - 1] == '/')
		n--;
	*fd = -1;
	for (int i = 0; i < TRIES; i++) {
		if (snprintf(path, PATH_MAX, "%.*s" UNFINISHED_TAG "XXXXXX", (int)n, place) >=
			    PATH_MAX ||
		    !mkdtemp(path)) {
			path[0] = '\0';
			return errc_from_errno(errno ? errno : ENAMETOOLONG);
		}
		*fd = open(path, OPEN_DIR);
		if (*fd >= 0 && lock(path, *fd))
			return ERRC_OK;
		if (*fd >= 0)
			close(*fd);
		*fd = -1;
	}
	path[0] = '\0';
	return ERRC_BUSY;
}

/* --- removing --- */

static bool is_self(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* For each name in the folder. *fd is the callee's to close. */
static enum errc each(int dir, enum errc (*fn)(int dir, const char *name))
{
	int own = openat(
		dir, ".",
		OPEN_DIR); /* it may be one that cannot be read, and has a place of its own */
	const struct dirent *d;
	enum errc e = ERRC_OK;
	DIR *list;

	if (own < 0)
		return errc_from_errno(errno);
	list = fdopendir(own);
	if (!list) {
		e = errc_from_errno(errno);
		close(own);
		return e;
	}
	while (!e && (d = readdir(list))) {
		if (!is_self(d->d_name))
			e = fn(dir, d->d_name);
	}
	closedir(list);
	return e;
}

static enum errc gone(int rc)
{
	return rc == 0 || errno == ENOENT ? ERRC_OK : errc_from_errno(errno);
}

static enum errc remove_file(int dir, const char *name)
{
	return gone(unlinkat(dir, name, 0));
}

static enum errc remove_any(int dir, const char *name)
{
	enum errc e;
	int fd;

	if (strcmp(name, UNFINISHED_MARK) == 0)
		return ERRC_OK;
	if (unlinkat(dir, name, 0) == 0)
		return ERRC_OK;
	fd = openat(dir, name, OPEN_DIR);
	if (fd < 0)
		return gone(-1);
	e = each(fd, remove_file);
	close(fd);
	return e ? e : gone(unlinkat(dir, name, AT_REMOVEDIR));
}

static enum errc empty(int dir)
{
	enum errc e = each(dir, remove_any);

	return e ? e : gone(unlinkat(dir, UNFINISHED_MARK, 0));
}

enum errc unfinished_remove(int parent, const char *name)
{
	int dir = openat(parent, name, OPEN_DIR);
	enum errc e;

	if (dir < 0)
		return gone(-1);
	e = empty(dir);
	close(dir);
	return e ? e : gone(unlinkat(parent, name, AT_REMOVEDIR));
}

/* --- sweeping --- */

static bool has_tag(const char *name)
{
	const char *tag = strstr(name, UNFINISHED_TAG);

	return tag && tag != name && strlen(tag) == sizeof(UNFINISHED_TAG) - 1 + LETTERS;
}

static enum errc sweep_one(int parent, const char *name)
{
	enum errc e = ERRC_OK;
	int fd;

	if (!has_tag(name))
		return ERRC_OK;
	fd = openat(parent, name, OPEN_DIR);
	if (fd < 0)
		return ERRC_OK; /* gone meanwhile, somebody else's, or no folder */
	if (flock(fd, LOCK_EX | LOCK_NB) == 0)
		e = unfinished_remove(parent, name);
	close(fd);
	return e;
}

enum errc unfinished_sweep(int parent)
{
	return each(parent, sweep_one);
}

/* An empty one is what is left when the removal of one was cut off at its last step. */
static enum errc sweep_renamed(int state, const char *name)
{
	char mark[NAME_MAX + sizeof(UNFINISHED_MARK) + 1];

	if (strncmp(name, "ledger.before-", 14) != 0)
		return ERRC_OK;
	snprintf(mark, sizeof(mark), "%s/" UNFINISHED_MARK, name);
	if (faccessat(state, mark, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return unfinished_remove(state, name);
	(void)unlinkat(state, name, AT_REMOVEDIR);
	return ERRC_OK;
}

enum errc unfinished_end(int state)
{
	int ledger = openat(state, "ledger", OPEN_DIR);
	enum errc e;

	if (ledger < 0)
		return gone(-1);
	e = gone(unlinkat(ledger, UNFINISHED_MARK, 0));
	if (!e && fsync(ledger) != 0)
		e = errc_from_errno(errno);
	close(ledger);
	return e;
}

enum errc unfinished_sweep_state(int state)
{
	enum errc e = unfinished_sweep(state);

	if (!e)
		e = each(state, sweep_renamed);
	return e ? e : unfinished_end(state);
}
