#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum errc files_sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum errc e = ERRC_OK;

	if (fd < 0)
		return errc_from_errno(errno);
	if (fsync(fd) != 0)
		e = errc_from_errno(errno);
	close(fd);
	return e;
}

void files_parent(const char *path, char out[PATH_MAX])
{
	size_t n = strlen(path);

	while (n > 1 && path[n - 1] == '/')
		n--;
	while (n > 0 && path[n - 1] != '/')
		n--;
	while (n > 1 && path[n - 1] == '/')
		n--;
	snprintf(out, PATH_MAX, "%.*s", n ? (int)n : 1, n ? path : ".");
}

enum errc files_sync_parent(const char *path)
{
	char parent[PATH_MAX];

	files_parent(path, parent);
	return files_sync_folder(parent);
}

enum errc files_write(int fd, struct slice s)
{
	while (s.n > 0) {
		ssize_t n = write(fd, s.p, s.n);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? errc_from_errno(errno) : ERRC_IO;
		s = slice_sub(s, (size_t)n, s.n);
	}
	return ERRC_OK;
}

static enum errc write_aside(int dir, const char *aside, mode_t mode, struct slice bytes)
{
	int fd = openat(dir, aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
	enum errc e;

	if (fd < 0)
		return errc_from_errno(errno);
	e = files_write(fd, bytes);
	if (!e && fsync(fd) != 0)
		e = errc_from_errno(errno);
	if (close(fd) != 0 && !e)
		e = errc_from_errno(errno);
	return e;
}

static enum errc give_name(int dir, const char *aside, const char *name, enum files_how how)
{
	unsigned flags = how == FILES_NEW ? RENAME_NOREPLACE : 0;
	int rc = renameat2(dir, aside, dir, name, flags);

	/* Some network filesystems cannot; that the name is free has been seen, and there is one at a time. */
	if (rc != 0 && errno == EINVAL && flags)
		rc = renameat(dir, aside, dir, name);
	if (rc != 0)
		return errc_from_errno(errno);
	return fsync(dir) == 0 ? ERRC_OK : errc_from_errno(errno);
}

enum errc files_put(int dir, const char *name, mode_t mode, struct slice bytes, enum files_how how)
{
	char aside[NAME_MAX + 1];
	enum errc e;

	if (snprintf(aside, sizeof(aside), "%s" FILES_ASIDE, name) >= (int)sizeof(aside))
		return ERRC_TOOBIG;
	if (unlinkat(dir, aside, 0) != 0 && errno != ENOENT)
		return errc_from_errno(errno);
	if (how == FILES_NEW && faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return ERRC_EXISTS;
	e = write_aside(dir, aside, mode, bytes);
	if (!e)
		e = give_name(dir, aside, name, how);
	if (e)
		(void)unlinkat(dir, aside, 0);
	return e;
}
