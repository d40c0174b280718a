/* The only file that calls malloc and free. Tests make the n-th allocation fail (mem_fail_after) to walk every
 * out-of-memory path. Sizes are bytes. */
#ifndef AIGW_MEM_H
#define AIGW_MEM_H

#include "check.h"

#define MEM_HUGE ((size_t)2 << 20) /* bytes of a huge page */

/* Zeroed memory, owned by the caller until mem_free(); NULL when there is none. */
MUSTCHECK void *mem_new(size_t n);
/* The same for what is read here and there all over: huge pages, where the system has them (THP: always, or madvise), so that finding out where
 * a byte lies does not cost more than reading it. All of it is touched. `n` is a multiple of MEM_HUGE. */
MUSTCHECK void *mem_new_huge(size_t n);
/* As realloc: NULL leaves the old block as it was. New bytes are not zeroed. */
MUSTCHECK void *mem_grow(void *p, size_t n);
/* Accepts NULL. */
void mem_free(void *p);
/* Owned copy with a NUL behind it; NULL when there is no memory. */
MUSTCHECK char *mem_dup(const void *p, size_t n);

/* For a process that takes and frees much: blocks from `big` bytes on are given back to the system at once, of the rest at
 * most about `spare` bytes are kept free. Without it both figures follow the largest block ever freed, up to 64 MiB, and
 * start so low that each large request is paid for with page faults. */
void mem_keep(int big, int spare);

/* Gives pages of freed blocks back to the system wherever they lie, which takes some milliseconds a hundred megabytes. About `spare` bytes at
 * the end are kept free. */
void mem_give_back(size_t spare);

#define mem_new_of(type) ((type *)mem_new(sizeof(type)))

/* For tests: the n-th allocation from now (1 = the next) and all after it fail; 0 switches off. */
void mem_fail_after(unsigned n);
/* Allocations not freed yet, for leak checks in tests. */
size_t mem_live_count(void);

#define MEM_LINE 64 /* bytes that the processor reads at once */
/* Has the processor read these bytes, which are soon needed and written to, while it is busy with others. */
static inline void mem_fetch(const void *p, size_t n)
{
	for (size_t at = 0; at < n; at += MEM_LINE)
		__builtin_prefetch((const char *)p + at, 1);
	if (n > 0)
		__builtin_prefetch((const char *)p + n - 1, 1);
	/* GCC takes what does nothing but this for a function without effect, and drops its calls. */
	__asm__ volatile("" : : "r"(p));
}

/* The same for bytes that are only read: other processors keep theirs. */
static inline void mem_fetch_read(const void *p, size_t n)
{
	for (size_t at = 0; at < n; at += MEM_LINE)
		__builtin_prefetch((const char *)p + at, 0);
	if (n > 0)
		__builtin_prefetch((const char *)p + n - 1, 0);
	__asm__ volatile("" : : "r"(p));
}

#define MEM_PAGE 4096 /* bytes that LMDB keeps together */

/* A walk over what stands in pages, mostly one page behind the other. All 0 before it begins. */
struct mem_walk {
	uintptr_t page;
	bool in_order;
};

/* The walk is at these bytes. Of the page that is expected next, the processor reads what lies where they lie in theirs: so lines come
 * as evenly as they are used, for it reads some dozens at a time, no more. Of any other page it reads all. */
static inline void mem_fetch_walk(struct mem_walk *w, const void *at, size_t n)
{
	uintptr_t now = (uintptr_t)at / MEM_PAGE;

	if (now != w->page) {
		bool in_order = now == w->page + 1;

		if (!in_order || !w->in_order)
			mem_fetch_read((const char *)(now * MEM_PAGE), MEM_PAGE);
		if (in_order)
			mem_fetch_read((const char *)((now + 1) * MEM_PAGE), MEM_LINE);
		*w = (struct mem_walk){now, in_order};
	}
	if (w->in_order)
		mem_fetch_read((const char *)at + MEM_PAGE, n);
}

#endif
