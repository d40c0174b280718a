#include "files.h"

#include <errno.h>
#include <fcntl.h>
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
