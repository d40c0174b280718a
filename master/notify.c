#include "notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "slice.h"
#include "text.h"

static struct {
	int fd;
	struct sockaddr_un to;
	socklen_t to_n;
	int64_t alive_ms;
} nt = {.fd = -1};

static void open_socket(const char *path)
{
	size_t n = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || n >= sizeof(nt.to.sun_path))
		return;
	nt.to.sun_family = AF_UNIX;
	memcpy(nt.to.sun_path, path, n);
	if (path[0] == '@')
		nt.to.sun_path[0] = 0; /* the abstract name space */
	nt.to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	nt.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

void notify_init(void)
{
	const char *path = getenv("NOTIFY_SOCKET"), *usec = getenv("WATCHDOG_USEC"),
		   *pid = getenv("WATCHDOG_PID");
	uint64_t us, who;

	if (path)
		open_socket(path);
	if (usec && text_u64(slice_str(usec), &us) &&
	    (!pid || (text_u64(slice_str(pid), &who) && who == (uint64_t)getpid())))
		nt.alive_ms = (int64_t)(us / 2000);
	unsetenv("NOTIFY_SOCKET");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
}

/* A manager that does not read loses the message: it is never waited for. */
static void put(const char *text, size_t n)
{
	if (nt.fd >= 0)
		(void)!sendto(nt.fd, text, n, MSG_NOSIGNAL, (struct sockaddr *)&nt.to, nt.to_n);
}

void notify_ready(void)
{
	put("READY=1", 7);
}

void notify_reloading(void)
{
	struct timespec t;
	char text[64];
	int n;

	clock_gettime(CLOCK_MONOTONIC, &t);
	n = snprintf(text, sizeof(text), "RELOADING=1\nMONOTONIC_USEC=%llu",
		     (unsigned long long)t.tv_sec * 1000000 + (unsigned long long)t.tv_nsec / 1000);
	put(text, (size_t)n);
}

void notify_stopping(int64_t within_ms)
{
	char text[64];
	int n = snprintf(text, sizeof(text), "STOPPING=1\nEXTEND_TIMEOUT_USEC=%lld",
			 (long long)within_ms * 1000);

	put(text, (size_t)n);
}

void notify_status(const char *fmt, ...)
{
	char text[512] = "STATUS=";
	va_list ap;
	int n;

	if (nt.fd < 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(text + 7, sizeof(text) - 7, fmt, ap);
	va_end(ap);
	if (n >= 0)
		put(text, MIN_OF((size_t)n + 7, sizeof(text) - 1));
}

int64_t notify_alive_ms(void)
{
	return nt.alive_ms;
}

void notify_alive(void)
{
	put("WATCHDOG=1", 10);
}

void notify_fini(void)
{
	if (nt.fd >= 0)
		close(nt.fd);
	nt.fd = -1;
}
