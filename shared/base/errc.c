#include "errc.h"

#include <errno.h>

static const struct {
	const char *name, *text;
} table[] = {
#define ERRC(name, text) {#name, text},
#include "errc_tbl.h"
#undef ERRC
};

static const struct {
	int err;
	enum errc code;
} from_errno[] = {
	{ENOMEM, ERRC_NOMEM},
	{EINVAL, ERRC_INVAL},
	{ERANGE, ERRC_RANGE},
	{ENOENT, ERRC_NOTFOUND},
	{ESRCH, ERRC_NOTFOUND},
	{EEXIST, ERRC_EXISTS},
	{EADDRINUSE, ERRC_EXISTS},
	{EPERM, ERRC_PERM},
	{EACCES, ERRC_PERM},
	{EROFS, ERRC_READONLY},
	{EISDIR, ERRC_ISDIR},
	{ENOTDIR, ERRC_NOTDIR},
	{EAGAIN, ERRC_AGAIN},
	{EINTR, ERRC_AGAIN},
	{ECANCELED, ERRC_CANCELED},
	{ETIMEDOUT, ERRC_TIMEOUT},
	{EIO, ERRC_IO},
	{ENOSPC, ERRC_NOSPACE},
	{EDQUOT, ERRC_NOSPACE},
	{ECONNREFUSED, ERRC_CONNREFUSED},
	{ECONNRESET, ERRC_CONNRESET},
	{EPIPE, ERRC_CONNRESET},
	{ECONNABORTED, ERRC_CONNRESET},
	{EHOSTUNREACH, ERRC_UNREACHABLE},
	{ENETUNREACH, ERRC_UNREACHABLE},
	{EPROTO, ERRC_PROTOCOL},
	{EMSGSIZE, ERRC_TOOBIG},
	{EFBIG, ERRC_TOOBIG},
	{EBUSY, ERRC_BUSY},
	{EMFILE, ERRC_LIMIT},
	{ENFILE, ERRC_LIMIT},
};

const char *errc_name(enum errc code)
{
	return (unsigned)code < ERRC_COUNT ? table[code].name : "unknown";
}

const char *errc_text(enum errc code)
{
	return (unsigned)code < ERRC_COUNT ? table[code].text : "unknown";
}

enum errc errc_from_errno(int err)
{
	if (err == 0)
		return ERRC_OK;
	for (size_t i = 0; i < ARRAY_LEN(from_errno); i++)
		if (from_errno[i].err == err)
			return from_errno[i].code;
	return ERRC_SYSTEM;
}
