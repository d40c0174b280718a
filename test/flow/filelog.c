/* A library to preload: what a process does to files below the folder AIGW_TEST_FILES is counted, and in order
 *   noted in the file AIGW_TEST_FILES_LOG, open to everybody: a line a call, `what, path, other path or -, number, bytes in hexadecimal`;
 *   the process ends at call number AIGW_TEST_FILES_KILL, before it is done, as by kill -9;
 *   or call number AIGW_TEST_FILES_FAIL fails with the error AIGW_TEST_FILES_ERROR.
 * Each where it is set. Calls are those that programs of ours make: a new one must be added here to be seen. */
#undef _FILE_OFFSET_BITS /* open is open, as for those who are not asked for large files */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH      4096
#define BYTES_MAX (2 * 1024 * 1024)

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned long calls;
static char line[2 * BYTES_MAX + 4 * PATH];

static unsigned long number(const char *name)
{
	const char *s = getenv(name);

	return s ? strtoul(s, NULL, 10) : 0;
}

static bool is_below(const char *path)
{
	const char *root = getenv("AIGW_TEST_FILES");
	size_t n = root ? strlen(root) : 0;

	return n && strncmp(path, root, n) == 0 && (path[n] == '/' || !path[n]);
}

/* Where a descriptor leads. */
static bool path_of(int fd, char out[PATH])
{
	char link[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, out, PATH - 1);
	out[n > 0 ? n : 0] = 0;
	return n > 0 && is_below(out);
}

/* The true path of a name: the folder it is in may be given by a descriptor or be a link. */
static bool path_at(int dir, const char *name, char out[PATH])
{
	const char *last = strrchr(name, '/');
	char folder[PATH], above[PATH];
	bool below = false;
	int fd;

	snprintf(folder, sizeof(folder), "%.*s", last ? (int)(last - name) + 1 : 1,
		 last ? name : ".");
	fd = (int)syscall(SYS_openat, dir, folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)path_of(fd, above);
		below = snprintf(out, PATH, "%.2000s/%.1000s", above, last ? last + 1 : name) <
				PATH &&
			is_below(out);
		syscall(SYS_close, fd);
	}
	return below;
}

/* --- what happens at a call --- */

/* With the lock. True: the call is to fail, and errno says how. */
static bool meet_call(void)
{
	unsigned long n = ++calls;

	if (n == number("AIGW_TEST_FILES_KILL"))
		syscall(SYS_kill, getpid(), SIGKILL);
	if (n != number("AIGW_TEST_FILES_FAIL"))
		return false;
	errno = (int)number("AIGW_TEST_FILES_ERROR");
	return true;
}

static size_t put_hex(size_t at, const struct iovec *v, int n, size_t len)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < n && len > 0; i++) {
		const unsigned char *p = v[i].iov_base;

		for (size_t k = 0; k < v[i].iov_len && len > 0; k++, len--) {
			line[at++] = digits[p[k] >> 4];
			line[at++] = digits[p[k] & 15];
		}
	}
	return at;
}

static void note(const char *what, const char *path, const char *other, long long value,
		 const struct iovec *v, int n, size_t len)
{
	const char *log = getenv("AIGW_TEST_FILES_LOG");
	int saved = errno, fd;
	size_t at;

	if (!log)
		return;
	if (len > BYTES_MAX)
		abort();
	at = (size_t)snprintf(line, sizeof(line), "%s\t%s\t%s\t%lld\t", what, path, other, value);
	at = put_hex(at, v, n, len);
	line[at++] = '\n';
	fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0 || syscall(SYS_write, fd, line, at) != (long)at)
		abort();
	syscall(SYS_close, fd);
	errno = saved;
}

/* A call on names, done as `call` with up to five numbers; noted where it is done. */
static int on_names(const char *what, const char *path, const char *other, long long value,
		    long call, const long a[5])
{
	int rc = -1;

	pthread_mutex_lock(&lock);
	if (!meet_call())
		rc = (int)syscall(call, a[0], a[1], a[2], a[3], a[4]);
	if (rc >= 0)
		note(what, path, other, value, NULL, 0, 0);
	pthread_mutex_unlock(&lock);
	return rc;
}

#define P(p) ((long)(intptr_t)(p))

static int open_any(int dir, const char *name, int flags, mode_t mode)
{
	const long a[5] = {dir, P(name), flags, (long)mode};
	char path[PATH];
	struct stat st;
	bool is_new;

	if (!(flags & (O_CREAT | O_TRUNC)) || !path_at(dir, name, path))
		return (int)syscall(SYS_openat, dir, name, flags, mode);
	is_new = fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0;
	if (!is_new && ((flags & O_EXCL) || !(flags & O_TRUNC)))
		return (int)syscall(SYS_openat, dir, name, flags, mode);
	return on_names(is_new ? "create" : "size", path, "-", is_new ? (long long)mode : 0,
			SYS_openat, a);
}

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define OPEN(name)                                            \
	int name(const char *path, int flags, ...)            \
	{                                                     \
		va_list args;                                 \
		mode_t mode;                                  \
                                                              \
		va_start(args, flags);                        \
		mode = mode_of(flags, args);                  \
		va_end(args);                                 \
		return open_any(AT_FDCWD, path, flags, mode); \
	}
#define OPENAT(name)                                        \
	int name(int dir, const char *path, int flags, ...) \
	{                                                   \
		va_list args;                               \
		mode_t mode;                                \
                                                            \
		va_start(args, flags);                      \
		mode = mode_of(flags, args);                \
		va_end(args);                               \
		return open_any(dir, path, flags, mode);    \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)

/* The letters are chosen here: the one of the C library would make the folder without us. */
char *mkdtemp(char *template)
{
	static unsigned made;
	char *letters = template + strlen(template) - 6;

	do
		snprintf(letters, 7, "%06x", ((unsigned)getpid() * 64 + made++) & 0xffffff);
	while (mkdirat(AT_FDCWD, template, 0700) != 0 && errno == EEXIST);
	return access(template, F_OK) == 0 ? template : NULL;
}

int mkdirat(int dir, const char *name, mode_t mode)
{
	const long a[5] = {dir, P(name), (long)mode};
	char path[PATH];

	return path_at(dir, name, path)
		       ? on_names("mkdir", path, "-", (long long)mode, SYS_mkdirat, a)
		       : (int)syscall(SYS_mkdirat, dir, name, mode);
}

int mkdir(const char *name, mode_t mode)
{
	return mkdirat(AT_FDCWD, name, mode);
}

int unlinkat(int dir, const char *name, int flags)
{
	const long a[5] = {dir, P(name), flags};
	char path[PATH];

	return path_at(dir, name, path) ? on_names("unlink", path, "-", 0, SYS_unlinkat, a)
					: (int)syscall(SYS_unlinkat, dir, name, flags);
}

int unlink(const char *name)
{
	return unlinkat(AT_FDCWD, name, 0);
}

int rmdir(const char *name)
{
	return unlinkat(AT_FDCWD, name, AT_REMOVEDIR);
}

int renameat2(int from, const char *old, int to, const char *new, unsigned flags)
{
	const long a[5] = {from, P(old), to, P(new), (long)flags};
	char path[PATH], other[PATH];

	if (!path_at(from, old, path) || !path_at(to, new, other))
		return (int)syscall(SYS_renameat2, from, old, to, new, flags);
	return on_names(flags & RENAME_EXCHANGE ? "exchange" : "rename", path, other, 0,
			SYS_renameat2, a);
}

int renameat(int from, const char *old, int to, const char *new)
{
	return renameat2(from, old, to, new, 0);
}

int rename(const char *old, const char *new)
{
	return renameat2(AT_FDCWD, old, AT_FDCWD, new, 0);
}

/* --- what is in files --- */

/* `at` < 0: where the descriptor stands. */
static ssize_t write_parts(int fd, const struct iovec *v, int n, off_t at, const char *path)
{
	off_t offset = at < 0 ? lseek(fd, 0, SEEK_CUR) : at;
	ssize_t done = -1;

	pthread_mutex_lock(&lock);
	if (!meet_call())
		done = at < 0 ? syscall(SYS_writev, fd, v, n)
			      : syscall(SYS_pwrite64, fd, v[0].iov_base, v[0].iov_len, at);
	if (done > 0)
		note(fcntl(fd, F_GETFL) & O_DSYNC ? "durable" : "write", path, "-", offset, v, n,
		     (size_t)done);
	pthread_mutex_unlock(&lock);
	return done;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec v = {(void *)(uintptr_t)p, n};
	char path[PATH];

	return path_of(fd, path) ? write_parts(fd, &v, 1, at, path)
				 : syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct iovec v = {(void *)(uintptr_t)p, n};
	char path[PATH];

	return path_of(fd, path) ? write_parts(fd, &v, 1, -1, path) : syscall(SYS_write, fd, p, n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	char path[PATH];

	return path_of(fd, path) ? write_parts(fd, v, n, -1, path) : syscall(SYS_writev, fd, v, n);
}

static int on_file(const char *what, int fd, long long value, long call)
{
	const long a[5] = {fd, (long)value};
	char path[PATH];

	return path_of(fd, path) ? on_names(what, path, "-", value, call, a)
				 : (int)syscall(call, fd, value);
}

int fsync(int fd)
{
	return on_file("sync", fd, 0, SYS_fsync);
}

int fdatasync(int fd)
{
	return on_file("sync", fd, 0, SYS_fdatasync);
}

int ftruncate(int fd, off_t size)
{
	return on_file("size", fd, size, SYS_ftruncate);
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}
