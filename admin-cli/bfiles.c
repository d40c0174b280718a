#include "bfiles.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "unfinished.h"

/* What cannot be removed is somebody else's, or can be removed next time. */
static void sweep(const char *name)
{
	char parent[PATH_MAX];
	int dir;

	files_parent(name, parent);
	dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return;
	(void)!unfinished_sweep(dir);
	close(dir);
}

enum errc bfiles_begin(struct bfiles *b, const char *name)
{
	*b = (struct bfiles){.dir = -1};
	sweep(name);
	return unfinished_make(name, b->path, &b->dir);
}

enum errc bfiles_finish(struct bfiles *b, const char *name)
{
	if (fsync(b->dir) != 0)
		return errc_from_errno(errno);
	if (renameat2(AT_FDCWD, b->path, AT_FDCWD, name, RENAME_NOREPLACE) != 0)
		return errc_from_errno(errno);
	close(b->dir);
	*b = (struct bfiles){.dir = -1};
	return files_sync_parent(name);
}

void bfiles_resume(struct bfiles *b, const char *name)
{
	snprintf(b->path, sizeof(b->path), "%s", name);
	b->dir = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

void bfiles_abort(struct bfiles *b)
{
	if (!b->path[0])
		return;
	(void)!unfinished_remove(AT_FDCWD, b->path);
	if (b->dir >= 0)
		close(b->dir);
	*b = (struct bfiles){.dir = -1};
}

enum errc bfiles_create(struct bfiles *b, const char *name, int *fd)
{
	*fd = openat(b->dir, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return *fd < 0 ? errc_from_errno(errno) : ERRC_OK;
}

enum errc bfiles_close(int *fd, enum errc so_far)
{
	enum errc e = so_far;

	if (*fd < 0)
		return e;
	if (!e && fsync(*fd) != 0)
		e = errc_from_errno(errno);
	if (close(*fd) != 0 && !e)
		e = errc_from_errno(errno);
	*fd = -1;
	return e;
}

enum errc bfiles_put(struct bfiles *b, const char *name, struct slice s)
{
	int fd = -1;
	enum errc e = bfiles_create(b, name, &fd);

	if (!e)
		e = files_write(fd, s);
	return bfiles_close(&fd, e);
}
