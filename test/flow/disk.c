/* A library to preload: records what is written to a ledger's data file and when it was synced, and makes such calls fail. AIGW_TEST_DISK
 * names a folder, open to everybody: what is in it is used, `log` for the record, `page` (struct disk_page) for failures. LMDB writes with
 * pwrite, or lseek and writev, syncs with fdatasync, and writes its meta pages through a second descriptor with O_DSYNC. */
#undef _FILE_OFFSET_BITS /* pwrite is pwrite, as for those who are not asked for large files */
#include "disk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define PARTS_MAX 1024

static struct disk_page *page;
static int log_fd = -1;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static int open_in(const char *dir, const char *name, int flags)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return open(path, flags | O_CLOEXEC);
}

/* In the process that first writes to a ledger: the master closes what its children do not need. */
static void begin(void)
{
	const char *dir = getenv("AIGW_TEST_DISK");
	int fd;

	if (!dir)
		return;
	log_fd = open_in(dir, "log", O_WRONLY | O_APPEND);
	fd = open_in(dir, "page", O_RDWR);
	if (fd < 0)
		return;
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED)
		abort();
}

static bool is_ledger(int fd)
{
	static const char end[] = "/ledger/data.mdb";
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path));
	if (n < (ssize_t)strlen(end) || memcmp(path + n - strlen(end), end, strlen(end)) != 0)
		return false;
	pthread_once(&once, begin);
	return true;
}

static bool is_to_fail(void)
{
	uint64_t n;

	if (!page)
		return false;
	n = atomic_fetch_add(&page->calls, 1) + 1;
	if (n < atomic_load(&page->fail_from) || n >= atomic_load(&page->fail_to))
		return false;
	atomic_fetch_add(&page->failed, 1);
	return true;
}

/* A disk that is full takes a part of what is written, and says how much. */
static bool is_full(void)
{
	return page && atomic_load(&page->error) == 0 && atomic_load(&page->failed) > 0;
}

static int failure(void)
{
	errno = (int)atomic_load(&page->error);
	return -1;
}

static void note(enum disk_kind kind, uint64_t offset, const struct iovec *v, int n, ssize_t len)
{
	struct disk_entry e = {.offset = offset, .len = (uint32_t)len, .kind = kind};
	struct iovec all[1 + PARTS_MAX] = {{&e, sizeof(e)}};
	int saved = errno, used = 1;
	struct timespec t;
	ssize_t want = len;

	if (log_fd < 0)
		return;
	for (int i = 0; i < n && want > 0; i++) {
		all[used] = v[i];
		if ((ssize_t)all[used].iov_len > want)
			all[used].iov_len = (size_t)want;
		want -= (ssize_t)all[used++].iov_len;
	}
	pthread_mutex_lock(&lock);
	clock_gettime(CLOCK_MONOTONIC, &t);
	e.at_ns = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
	if (want != 0 || syscall(SYS_writev, log_fd, all, used) != (long)sizeof(e) + (long)len)
		abort();
	pthread_mutex_unlock(&lock);
	errno = saved;
}

/* `at` < 0: where the descriptor stands. */
static ssize_t write_parts(int fd, const struct iovec *v, int n, off_t at)
{
	off_t offset = at < 0 ? lseek(fd, 0, SEEK_CUR) : at;
	bool fails = is_to_fail();
	struct iovec half = {v[0].iov_base, v[0].iov_len / 2};
	ssize_t done = 0;

	if (n > PARTS_MAX)
		abort();
	if (!fails && at < 0)
		done = syscall(SYS_writev, fd, v, n);
	else if (!fails)
		done = syscall(SYS_pwrite64, fd, v[0].iov_base, v[0].iov_len, at);
	else if (half.iov_len >= 512)
		done = syscall(SYS_pwrite64, fd, half.iov_base, half.iov_len, offset);
	if (done > 0)
		note(fcntl(fd, F_GETFL) & O_DSYNC ? DISK_DURABLE_WRITE : DISK_WRITE,
		     (uint64_t)offset, fails ? &half : v, fails ? 1 : n, done);
	if (fails && is_full())
		return done;
	return fails ? failure() : done;
}

ssize_t pwrite(int fd, const void *p, size_t n, off_t at)
{
	struct iovec v = {(void *)(uintptr_t)p, n};

	return is_ledger(fd) ? write_parts(fd, &v, 1, at) : syscall(SYS_pwrite64, fd, p, n, at);
}

ssize_t pwrite64(int fd, const void *p, size_t n, off_t at)
{
	return pwrite(fd, p, n, at);
}

ssize_t write(int fd, const void *p, size_t n)
{
	struct iovec v = {(void *)(uintptr_t)p, n};

	return is_ledger(fd) ? write_parts(fd, &v, 1, -1) : syscall(SYS_write, fd, p, n);
}

ssize_t writev(int fd, const struct iovec *v, int n)
{
	return is_ledger(fd) ? write_parts(fd, v, n, -1) : syscall(SYS_writev, fd, v, n);
}

static int sync_as(long call, int fd)
{
	int rc;

	if (!is_ledger(fd))
		return (int)syscall(call, fd);
	if (is_to_fail() && !is_full())
		return failure();
	rc = (int)syscall(call, fd);
	if (rc == 0)
		note(DISK_SYNC, 0, NULL, 0, 0);
	return rc;
}

int fsync(int fd)
{
	return sync_as(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	return sync_as(SYS_fdatasync, fd);
}

int ftruncate(int fd, off_t size)
{
	int rc;

	if (!is_ledger(fd))
		return (int)syscall(SYS_ftruncate, fd, size);
	if (is_to_fail() && !is_full())
		return failure();
	rc = (int)syscall(SYS_ftruncate, fd, size);
	if (rc == 0)
		note(DISK_SIZE, (uint64_t)size, NULL, 0, 0);
	return rc;
}

int ftruncate64(int fd, off_t size)
{
	return ftruncate(fd, size);
}

int fstatvfs(int fd, struct statvfs *fs)
{
	static int (*next)(int, struct statvfs *);
	int rc;

	if (!next)
		*(void **)&next = dlsym(RTLD_NEXT, "fstatvfs");
	rc = next(fd, fs);
	if (is_ledger(fd) && is_full())
		fs->f_bavail = 0;
	return rc;
}

int fstatvfs64(int fd, struct statvfs64 *fs)
{
	return fstatvfs(fd, (struct statvfs *)fs);
}
