#include "ledger_id.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "secret.h"
#include "text.h"

#define NAME "ledger_id"

/* ERRC_NOTFOUND when there is no file yet. */
static enum errc read_id(int dir, char *out)
{
	char text[LEDGER_ID_DIGITS + 2];
	unsigned char raw[LEDGER_ID_DIGITS / 2];
	struct slice s;
	ssize_t n;
	int err, fd = openat(dir, NAME, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return errc_from_errno(errno);
	n = read(fd, text, sizeof(text));
	err = errno;
	close(fd);
	if (n < 0)
		return errc_from_errno(err);
	s = slice_of(text, (size_t)n);
	if (s.n == LEDGER_ID_DIGITS + 1 && s.p[LEDGER_ID_DIGITS] == '\n')
		s.n--;
	if (s.n != LEDGER_ID_DIGITS || !text_unhex(s, raw, sizeof(raw)))
		return ERRC_CORRUPT;
	text_hex(raw, sizeof(raw), out);
	return ERRC_OK;
}

static enum errc write_synced(int dir, const char *name, const char *id)
{
	char line[LEDGER_ID_DIGITS + 2];
	enum errc e = ERRC_OK;
	int n, fd;

	fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0)
		return errc_from_errno(errno);
	n = snprintf(line, sizeof(line), "%s\n", id);
	errno = ENOSPC; /* a short write sets none */
	if (write(fd, line, (size_t)n) != n || fsync(fd) != 0)
		e = errc_from_errno(errno);
	close(fd);
	return e;
}

/* Written aside under a name of our own and linked into place: of two makers the first one wins, and the file is never seen
 * half written. */
static enum errc make_id(int dir)
{
	unsigned char raw[LEDGER_ID_DIGITS / 2];
	char id[LEDGER_ID_DIGITS + 1], aside[64];
	enum errc e;

	secret_random(raw, sizeof(raw));
	text_hex(raw, sizeof(raw), id);
	snprintf(aside, sizeof(aside), "%s.%d", NAME, (int)getpid());
	e = write_synced(dir, aside, id);
	if (!e && linkat(dir, aside, dir, NAME, 0) != 0 && errno != EEXIST)
		e = errc_from_errno(errno);
	unlinkat(dir, aside, 0);
	if (!e && fsync(dir) != 0)
		e = errc_from_errno(errno);
	return e;
}

enum errc ledger_id_open(const char *state, char *out)
{
	enum errc e;
	int dir = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir < 0)
		return errc_from_errno(errno);
	e = read_id(dir, out);
	if (e == ERRC_NOTFOUND) {
		e = make_id(dir);
		if (!e)
			e = read_id(dir, out);
	}
	close(dir);
	return e;
}
