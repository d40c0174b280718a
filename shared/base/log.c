#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "clock.h"
#include "logline.h"
#include "text.h"

#define RING_BYTES  (256 * 1024)
#define BATCH_BYTES (64 * 1024)
#define GATHER_MS \
	10 /* lines below warn wait so long for company: one wake-up and one write for many */
#define STOP_MS         1000
#define SYSLOG_PATH     "/dev/log"
#define SYSLOG_FACILITY 24 /* daemon */

enum target_kind { TARGET_STDERR, TARGET_FILE, TARGET_SYSLOG };

struct target {
	enum target_kind kind;
	int fd;              /* ours, but for stderr */
	char path[PATH_MAX]; /* "" when only the descriptor is known */
};

/* Before each line in the ring. Lines may wrap around. */
struct head {
	uint16_t n;
	uint8_t level;
};

/* Producers write under `lock` what the thread reads under `lock`; nobody waits for a device with
 * it held. The target in use belongs to the thread while there is one; a new one waits in `next`
 * until the thread takes it. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	pthread_t thread;
	bool stop, idle, urgent, has_next;
	char ring[RING_BYTES];
	size_t first, used;
	struct target next;
} lg = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct target target = {.kind = TARGET_STDERR, .fd = STDERR_FILENO};
static atomic_bool running;
static atomic_int direct_fd = STDERR_FILENO; /* where log_now() writes */
static atomic_int direct_kind = TARGET_STDERR;
static atomic_uint level_max = LOG_INFO, line_format = LOG_TEXT;
static _Atomic(const char *) process_name;
static atomic_uint_least64_t dropped;

/* --- targets --- */

static enum errc open_file(const char *path, struct target *t)
{
	if (strlen(path) >= sizeof(t->path))
		return ERRC_TOOBIG;
	t->kind = TARGET_FILE;
	t->fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
	if (t->fd < 0)
		return errc_from_errno(errno);
	memcpy(t->path, path, strlen(path) + 1);
	return ERRC_OK;
}

static enum errc open_syslog(const char *path, struct target *t)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int err;

	if (strlen(path) >= sizeof(to.sun_path))
		return ERRC_TOOBIG;
	memcpy(to.sun_path, path, strlen(path));
	t->kind = TARGET_SYSLOG;
	t->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->fd < 0)
		return errc_from_errno(errno);
	if (connect(t->fd, (struct sockaddr *)&to, sizeof(to)) == 0) {
		memcpy(t->path, path, strlen(path) + 1);
		return ERRC_OK;
	}
	err = errno;
	close(t->fd);
	return errc_from_errno(err);
}

static enum errc open_target(const char *to, struct target *t)
{
	struct slice s = slice_str(to);
	uint64_t fd;

	*t = (struct target){.kind = TARGET_STDERR, .fd = STDERR_FILENO};
	if (slice_is(s, "stderr"))
		return ERRC_OK;
	if (slice_is(s, "syslog"))
		return open_syslog(SYSLOG_PATH, t);
	if (slice_has_prefix(s, SLICE_LIT("syslog:")))
		return open_syslog(to + 7, t);
	if (slice_has_prefix(s, SLICE_LIT("file:")))
		return open_file(to + 5, t);
	if (slice_has_prefix(s, SLICE_LIT("fd:")) && text_u64(slice_sub(s, 3, s.n), &fd) &&
	    fd <= INT_MAX) {
		t->kind = TARGET_FILE;
		t->fd = (int)fd;
		return ERRC_OK;
	}
	return ERRC_INVAL;
}

static void close_target(struct target *t)
{
	if (t->fd != STDERR_FILENO)
		close(t->fd);
}

static void use_target(const struct target *t)
{
	target = *t;
	atomic_store(&direct_fd, t->fd);
	atomic_store(&direct_kind, (int)t->kind);
}

/* Waits at most a second for room; a descriptor that others made non-blocking is waited for as
 * well. */
static bool wait_writable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLOUT};

	return poll(&p, 1, 1000) == 1 && (p.revents & POLLOUT);
}

static bool write_all(int fd, const char *p, size_t n)
{
	while (n) {
		ssize_t put = write(fd, p, n);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0 && errno == EAGAIN && wait_writable(fd))
			continue;
		if (put <= 0)
			return false;
		p += put;
		n -= (size_t)put;
	}
	return true;
}

/* One datagram a line, without its newline. The receiver adds host and time. */
static bool send_syslog(int fd, enum log_level level, const char *p, size_t n)
{
	static const int severity[] = {3, 4, 6, 7};
	char d[LOGLINE_MAX + 32];
	int len = snprintf(d, sizeof(d), "<%d>aigwd[%d]: ", SYSLOG_FACILITY | severity[level],
			   (int)getpid());

	if (n && p[n - 1] == '\n')
		n--;
	memcpy(d + len, p, n);
	for (;;) {
		if (send(fd, d, (size_t)len + n, MSG_NOSIGNAL) >= 0)
			return true;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || !wait_writable(fd))
			return false;
	}
}

/* A restarted syslog daemon has a new socket: connect once more when the old one is gone. */
static bool syslog_line(enum log_level level, const char *p, size_t n)
{
	struct target again = {0};

	if (send_syslog(target.fd, level, p, n))
		return true;
	if (open_syslog(target.path, &again) != ERRC_OK)
		return false;
	close_target(&target);
	pthread_mutex_lock(&lg.lock);
	use_target(&again);
	pthread_mutex_unlock(&lg.lock);
	return send_syslog(target.fd, level, p, n);
}

/* --- the ring; all with the lock held --- */

static void ring_copy_in(const void *p, size_t n)
{
	size_t at = (lg.first + lg.used) % RING_BYTES, part = MIN_OF(n, RING_BYTES - at);

	memcpy(lg.ring + at, p, part);
	memcpy(lg.ring, (const char *)p + part, n - part);
	lg.used += n;
}

static void ring_peek(void *p, size_t n)
{
	size_t part = MIN_OF(n, RING_BYTES - lg.first);

	memcpy(p, lg.ring + lg.first, part);
	memcpy((char *)p + part, lg.ring, n - part);
}

static void ring_skip(size_t n)
{
	lg.first = (lg.first + n) % RING_BYTES;
	lg.used -= n;
}

static bool ring_push(enum log_level level, const char *line, size_t n)
{
	struct head h = {.n = (uint16_t)n, .level = (uint8_t)level};

	if (sizeof(h) + n > RING_BYTES - lg.used)
		return false;
	ring_copy_in(&h, sizeof(h));
	ring_copy_in(line, n);
	return true;
}

/* Takes whole lines: for syslog one, else as many as the batch holds. Returns their bytes. */
static size_t ring_take(char *batch, size_t max, size_t *lines, enum log_level *level)
{
	size_t n = 0;

	for (*lines = 0; lg.used && n < max; ++*lines) {
		struct head h;

		ring_peek(&h, sizeof(h));
		if (h.n > BATCH_BYTES - n)
			break;
		ring_skip(sizeof(h));
		ring_peek(batch + n, h.n);
		ring_skip(h.n);
		n += h.n;
		*level = (enum log_level)h.level;
	}
	return n;
}

/* --- the thread --- */

static size_t format_line(char *out, enum log_level level, const char *event, struct slice message,
			  const struct log_field *fields, size_t n)
{
	const struct logline l = {.wall_ms = clock_wall_ms(),
				  .level = level,
				  .format = (enum log_format)atomic_load(&line_format),
				  .process = atomic_load(&process_name),
				  .event = event,
				  .message = message,
				  .fields = fields,
				  .field_count = n};

	return logline_write(&l, out);
}

static bool target_write(enum log_level level, const char *p, size_t n)
{
	if (target.kind == TARGET_SYSLOG)
		return syslog_line(level, p, n);
	return write_all(target.fd, p, n);
}

/* Says how many lines were lost since the last time it said so. */
static void report_dropped(void)
{
	static uint64_t
		told; /* outlives the thread: what is lost before the next one starts is told by it */
	uint64_t now = atomic_load(&dropped);
	char line[LOGLINE_MAX];
	struct log_field count = LOG_U("lines", now - told);

	if (now == told)
		return;
	if (target_write(LOG_WARN, line,
			 format_line(line, LOG_WARN, "log_dropped", SLICE_NONE, &count, 1)))
		told = now;
}

static void wait_for_lines(void)
{
	struct timespec until;

	while (lg.used == 0 && !lg.stop && !lg.has_next) {
		lg.idle = true;
		pthread_cond_wait(&lg.wake, &lg.lock);
	}
	lg.idle = false;
	if (lg.stop || lg.urgent || lg.used > RING_BYTES / 4)
		return;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += GATHER_MS * CLOCK_NS_MS;
	until.tv_sec += until.tv_nsec / CLOCK_NS_S;
	until.tv_nsec %= CLOCK_NS_S;
	while (!lg.stop && !lg.urgent &&
	       pthread_cond_timedwait(&lg.wake, &lg.lock, &until) != ETIMEDOUT)
		;
}

static void *writer(void *arg)
{
	static char batch[BATCH_BYTES];
	bool stop = false;

	while (!stop) {
		size_t n, lines;
		enum log_level level = LOG_INFO;

		pthread_mutex_lock(&lg.lock);
		wait_for_lines();
		if (lg.has_next) {
			close_target(&target);
			use_target(&lg.next);
			lg.has_next = false;
		}
		n = ring_take(batch, target.kind == TARGET_SYSLOG ? 1 : BATCH_BYTES, &lines, &level);
		if (lg.used == 0)
			lg.urgent = false;
		stop = lg.stop && lg.used == 0;
		pthread_mutex_unlock(&lg.lock);
		if (n && !target_write(level, batch, n))
			atomic_fetch_add(&dropped, lines);
		report_dropped();
	}
	return NULL;
}

/* --- exported --- */

/* The thread takes no signals: they are the loop's. */
static enum errc start_thread(void)
{
	pthread_condattr_t attr;
	sigset_t all, old;
	int err;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&lg.wake, &attr);
	pthread_condattr_destroy(&attr);
	lg.stop = false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = pthread_create(&lg.thread, NULL, writer, NULL);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return errc_from_errno(err);
}

static void hand_over(const struct target *t)
{
	pthread_mutex_lock(&lg.lock);
	if (lg.has_next)
		close_target(&lg.next);
	lg.next = *t;
	lg.has_next = true;
	pthread_cond_signal(&lg.wake);
	pthread_mutex_unlock(&lg.lock);
}

enum errc log_start(const struct log_opts *o)
{
	struct target t;
	enum errc rc = open_target(o->to, &t);

	if (rc)
		return rc;
	if (!running) {
		rc = start_thread();
		if (rc) {
			close_target(&t);
			return rc;
		}
		running = true;
	}
	hand_over(&t);
	atomic_store(&process_name, o->process);
	atomic_store(&line_format, o->format);
	atomic_store(&level_max, o->level);
	return ERRC_OK;
}

enum errc log_try(const char *to)
{
	struct target t;
	enum errc rc = open_target(to, &t);

	if (!rc)
		close_target(&t);
	return rc;
}

void log_stop(void)
{
	struct timespec until;

	if (!running)
		return;
	pthread_mutex_lock(&lg.lock);
	lg.stop = true;
	pthread_cond_signal(&lg.wake);
	pthread_mutex_unlock(&lg.lock);
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOP_MS / 1000;
	/* A device that hangs keeps the thread; then it is left behind and dies with the process.
	 */
	if (pthread_clockjoin_np(lg.thread, NULL, CLOCK_MONOTONIC, &until) == 0)
		running = false;
}

uint64_t log_dropped(void)
{
	return atomic_load(&dropped);
}

bool log_wants(enum log_level level)
{
	return level <= atomic_load_explicit(&level_max, memory_order_relaxed);
}

static void write_direct(enum log_level level, const char *line, size_t n)
{
	int fd = atomic_load(&direct_fd);

	if (atomic_load(&direct_kind) == TARGET_SYSLOG)
		(void)send_syslog(fd, level, line, n);
	else if (!write_all(fd, line, n))
		atomic_fetch_add(&dropped, 1);
}

static void carry(enum log_level level, const char *line, size_t n)
{
	bool ok;

	if (!running) {
		write_direct(level, line, n);
		return;
	}
	pthread_mutex_lock(&lg.lock);
	ok = ring_push(level, line, n);
	if (level <= LOG_WARN || lg.used > RING_BYTES / 4) {
		if (!lg.urgent)
			pthread_cond_signal(&lg.wake);
		lg.urgent = true;
	} else if (lg.idle) {
		lg.idle = false;
		pthread_cond_signal(&lg.wake);
	}
	pthread_mutex_unlock(&lg.lock);
	if (!ok)
		atomic_fetch_add(&dropped, 1);
}

void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t n,
	       const char *fmt, ...)
{
	char message[LOGLINE_VALUE_MAX + 8], line[LOGLINE_MAX];
	va_list ap;
	int len;

	if (!log_wants(level))
		return;
	va_start(ap, fmt);
	len = vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	if (len < 0)
		return;
	carry(level, line,
	      format_line(line, level, event,
			  slice_of(message, MIN_OF((size_t)len, sizeof(message) - 1)), fields, n));
}

void log_line(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
	char line[LOGLINE_MAX];

	if (log_wants(level))
		carry(level, line, format_line(line, level, event, SLICE_NONE, fields, n));
}

void log_now(enum log_level level, const char *event, const char *fmt, ...)
{
	char message[LOGLINE_VALUE_MAX], line[LOGLINE_MAX];
	va_list ap;
	size_t n;
	int len;

	va_start(ap, fmt);
	len = vsnprintf(message, sizeof(message), fmt, ap);
	va_end(ap);
	n = format_line(line, level, event,
			slice_of(message, MIN_OF((size_t)MAX_OF(len, 0), sizeof(message) - 1)),
			NULL, 0);
	write_direct(level, line, n);
	if (atomic_load(&direct_kind) != TARGET_STDERR)
		(void)write_all(STDERR_FILENO, line, n);
}
