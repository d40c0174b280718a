#include "ledger_id.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "files.h"
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

static enum errc make_id(int dir)
{
	char line[LEDGER_ID_DIGITS + 2];
	unsigned char raw[LEDGER_ID_DIGITS / 2];

	secret_random(raw, sizeof(raw));
	text_hex(raw, sizeof(raw), line);
	line[LEDGER_ID_DIGITS] = '\n';
	return files_put(dir, NAME, 0644, slice_of(line, LEDGER_ID_DIGITS + 1), FILES_NEW);
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
