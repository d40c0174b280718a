/* A library to preload: counts what a process asks of malloc and of the kernel, in a file that a test reads while the process runs.
 * AIGW_TEST_TALLY names the folder; the file is named by the process id and holds one 64 bit number a row of the table. */
#undef _FILE_OFFSET_BITS /* pwrite is pwrite, as for those who are not asked for large files */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* Name, parameters, their names; of those that are no allocator the type before. */
/* clang-format off */
#define ALLOCATORS(X) \
	X(malloc, (size_t n), (n)) \
	X(calloc, (size_t n, size_t size), (n, size)) \
	X(realloc, (void *p, size_t n), (p, n))
#define CALLS(X) \
	X(ssize_t, recv, (int a, void *b, size_t c, int d), (a, b, c, d)) \
	X(ssize_t, send, (int a, const void *b, size_t c, int d), (a, b, c, d)) \
	X(ssize_t, sendmsg, (int a, const struct msghdr *b, int c), (a, b, c)) \
	X(ssize_t, read, (int a, void *b, size_t c), (a, b, c)) \
	X(ssize_t, write, (int a, const void *b, size_t c), (a, b, c)) \
	X(ssize_t, writev, (int a, const struct iovec *b, int c), (a, b, c)) \
	X(ssize_t, pwrite, (int a, const void *b, size_t c, off_t d), (a, b, c, d)) \
	X(int, epoll_ctl, (int a, int b, int c, struct epoll_event *d), (a, b, c, d)) \
	X(int, epoll_wait, (int a, struct epoll_event *b, int c, int d), (a, b, c, d)) \
	X(int, clock_gettime, (clockid_t a, struct timespec *b), (a, b)) \
	X(pid_t, getpid, (void), ())
/* clang-format on */

enum {
	TALLY_allocations,
#define CALL(type, name, args, names) TALLY_##name,
	CALLS(CALL)
#undef CALL
		TALLY_COUNT
};

static atomic_uint_least64_t early[TALLY_COUNT]; /* before the file is there */
static atomic_uint_least64_t *tally = early;

static void count(unsigned what)
{
	atomic_fetch_add_explicit(&tally[what], 1, memory_order_relaxed);
}

#define ALLOCATOR(name, args, names)        \
	void *__libc_##name args;           \
	void *name args                     \
	{                                   \
		count(TALLY_allocations);   \
		return __libc_##name names; \
	}
ALLOCATORS(ALLOCATOR)
#undef ALLOCATOR

#define CALL(type, name, args, names)                              \
	type name args                                             \
	{                                                          \
		static type(*next) args;                           \
                                                                   \
		if (!next)                                         \
			*(void **)&next = dlsym(RTLD_NEXT, #name); \
		count(TALLY_##name);                               \
		return next names;                                 \
	}
CALLS(CALL)
#undef CALL

__attribute__((constructor)) static void begin(void)
{
	const char *dir = getenv("AIGW_TEST_TALLY");
	char path[4096];
	void *p;
	int fd;

	if (!dir)
		return;
	snprintf(path, sizeof(path), "%s/%d", dir, (int)getpid());
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0 || ftruncate(fd, sizeof(early)) != 0)
		return;
	p = mmap(NULL, sizeof(early), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p != MAP_FAILED)
		tally = p;
}
