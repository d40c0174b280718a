#include "pepper.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "restored.h"
#include "secret.h"

static enum errc read_file(const char *path, uint8_t out[PEPPER_BYTES])
{
	uint8_t more;
	enum errc e = ERRC_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errc_from_errno(errno);
	if (read(fd, out, PEPPER_BYTES) != PEPPER_BYTES || read(fd, &more, 1) != 0)
		e = ERRC_CORRUPT;
	close(fd);
	return e;
}

static enum errc sync_folder(const char *state)
{
	int fd = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	enum errc e = ERRC_OK;

	if (fd < 0)
		return errc_from_errno(errno);
	if (fsync(fd) != 0)
		e = errc_from_errno(errno);
	close(fd);
	return e;
}

static enum errc write_file(const char *path, const uint8_t pepper[PEPPER_BYTES])
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	enum errc e = ERRC_OK;

	if (fd < 0)
		return errc_from_errno(errno);
	errno = EIO;
	if (write(fd, pepper, PEPPER_BYTES) != PEPPER_BYTES || fsync(fd) != 0)
		e = errc_from_errno(errno);
	close(fd);
	return e;
}

static enum errc take_restored(const char *state, const char *path)
{
	char from[PATH_MAX];

	if (snprintf(from, sizeof(from), "%s/ledger/" RESTORED_PEPPER, state) >= (int)sizeof(from))
		return ERRC_TOOBIG;
	if (rename(from, path) == 0)
		return sync_folder(state);
	return errno == ENOENT ? ERRC_OK : errc_from_errno(errno);
}

enum errc pepper_open(const char *state, uint8_t out[PEPPER_BYTES])
{
	char path[PATH_MAX], aside[PATH_MAX];
	enum errc e;

	if (snprintf(path, sizeof(path), "%s/pepper", state) >= (int)sizeof(path) ||
	    snprintf(aside, sizeof(aside), "%s/pepper.new", state) >= (int)sizeof(aside))
		return ERRC_TOOBIG;
	e = take_restored(state, path);
	if (!e)
		e = read_file(path, out);
	if (e != ERRC_NOTFOUND)
		return e;
	/* Complete on disk before it has its name: a key must never be made under a pepper that a crash takes away. */
	secret_random(out, PEPPER_BYTES);
	e = write_file(aside, out);
	if (!e && rename(aside, path) != 0)
		e = errc_from_errno(errno);
	return e ? e : sync_folder(state);
}
