/* A library to preload: makes malloc, calloc and realloc of one process fail. AIGW_TEST_STARVE names a file that is open to everybody and
 * holds a struct starve_page, through which a test says when. */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* Counted are the calls of process `target`; those from the number `fail_from` up to before `fail_to` fail. */
struct starve_page {
	_Atomic uint64_t calls, failed, fail_from, fail_to, target;
};

static struct starve_page *page;
static uint64_t self;

static bool is_to_fail(void)
{
	uint64_t n;

	if (!page || atomic_load_explicit(&page->target, memory_order_relaxed) != self)
		return false;
	n = atomic_fetch_add(&page->calls, 1) + 1;
	if (n < atomic_load(&page->fail_from) || n >= atomic_load(&page->fail_to))
		return false;
	atomic_fetch_add(&page->failed, 1);
	errno = ENOMEM;
	return true;
}

/* Name, parameters, their names. */
/* clang-format off */
#define ALLOCATORS(X) \
	X(malloc, (size_t n), (n)) \
	X(calloc, (size_t n, size_t size), (n, size)) \
	X(realloc, (void *p, size_t n), (p, n))
/* clang-format on */

#define ALLOCATOR(name, args, names)                              \
	void *__libc_##name args;                                 \
	void *name args                                           \
	{                                                         \
		return is_to_fail() ? NULL : __libc_##name names; \
	}
ALLOCATORS(ALLOCATOR)
#undef ALLOCATOR

__attribute__((constructor)) static void begin(void)
{
	const char *path = getenv("AIGW_TEST_STARVE");
	void *p;
	int fd;

	if (!path)
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	p = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	self = (uint64_t)getpid();
	if (p != MAP_FAILED)
		page = p;
}
