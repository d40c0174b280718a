#include "childlog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "log.h"

/* What the process writes to now. A file is known by its descriptor, which the log owns. */
static struct {
	const char *process;
	char to[4096];
	int fd; /* -1: `to` is no file */
	enum log_format format;
	enum log_level level;
} now = {.to = "stderr", .fd = -1, .format = LOG_TEXT, .level = LOG_INFO};

/* Gives `fd` to the log, which closes the one before. */
static enum errc start_fd(int fd)
{
	struct log_opts o = {
		.to = now.to, .format = now.format, .level = now.level, .process = now.process};
	enum errc e;

	snprintf(now.to, sizeof(now.to), "fd:%d", fd);
	e = log_start(&o);
	if (e)
		close(fd);
	else
		now.fd = fd;
	return e;
}

static enum errc start_named(void)
{
	struct log_opts o = {
		.to = now.to, .format = now.format, .level = now.level, .process = now.process};

	now.fd = -1;
	return log_start(&o);
}

enum errc childlog_start(const struct heritage *h, const char *process)
{
	now.process = process;
	now.format = (enum log_format)h->log_format;
	now.level = (enum log_level)h->log_level;
	if (h->log_to[0])
		snprintf(now.to, sizeof(now.to), "%s", h->log_to);
	return h->log_fd >= 0 ? start_fd(h->log_fd) : start_named();
}

enum errc childlog_apply(const struct settings *set)
{
	int fd;

	now.format = (enum log_format)set->log_format;
	now.level = (enum log_level)set->log_level;
	if (!slice_has_prefix(set->log_to, SLICE_LIT("file:"))) {
		snprintf(now.to, sizeof(now.to), SLICE_FMT, SLICE_ARG(set->log_to));
		return start_named();
	}
	if (now.fd < 0)
		return start_named(); /* the file's descriptor is on its way */
	fd = fcntl(now.fd, F_DUPFD_CLOEXEC, 3);
	return fd < 0 ? errc_from_errno(errno) : start_fd(fd);
}

enum errc childlog_reopen(struct msg *m)
{
	int fd = msg_take_fd(m, 0);

	return fd < 0 ? ERRC_OK : start_fd(fd);
}
