#include "lockfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum errc lockfile_take(const char *path, int *fd, pid_t *holder)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char text[16];
	enum errc e;
	int n;

	*holder = 0;
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (*fd < 0)
		return errc_from_errno(errno);
	if (fcntl(*fd, F_SETLK, &l) == 0) {
		n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
		/* The text is for people only; the kernel knows the holder. A full disk so does not matter. */
		if (ftruncate(*fd, 0) != 0 || pwrite(*fd, text, (size_t)n, 0) != n)
			errno = 0;
		return ERRC_OK;
	}
	e = errno == EAGAIN || errno == EACCES ? ERRC_BUSY : errc_from_errno(errno);
	if (e == ERRC_BUSY && fcntl(*fd, F_GETLK, &l) == 0 && l.l_type != F_UNLCK)
		*holder = l.l_pid;
	close(*fd);
	*fd = -1;
	return e;
}
