#include "mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static atomic_size_t live;
static atomic_uint fail_after; /* 0 = off; 1 = the next allocation and all after it fail */

static bool must_fail(void)
{
	unsigned n = atomic_load_explicit(&fail_after, memory_order_relaxed);

	if (LIKELY(n == 0))
		return false;
	if (n == 1)
		return true;
	atomic_fetch_sub_explicit(&fail_after, 1, memory_order_relaxed);
	return false;
}

void *mem_new(size_t n)
{
	void *p = must_fail() ? NULL : calloc(1, n ? n : 1);

	if (p)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return p;
}

void *mem_new_huge(size_t n)
{
	void *p = must_fail() ? NULL : aligned_alloc(MEM_HUGE, n);

	if (!p)
		return NULL;
	atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	/* Without huge pages it is memory like any other. */
	(void)madvise(p, n, MADV_HUGEPAGE);
	memset(p, 0, n);
	return p;
}

void *mem_grow(void *p, size_t n)
{
	void *q = must_fail() ? NULL : realloc(p, n ? n : 1);

	if (q && !p)
		atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
	return q;
}

void mem_free(void *p)
{
	if (!p)
		return;
	atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
	free(p);
}

char *mem_dup(const void *p, size_t n)
{
	char *copy = n < SIZE_MAX ? mem_grow(NULL, n + 1) : NULL;

	if (!copy)
		return NULL;
	if (n)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

void mem_keep(int big, int spare)
{
	mallopt(M_MMAP_THRESHOLD, big);
	mallopt(M_TRIM_THRESHOLD, spare);
}

void mem_give_back(size_t spare)
{
	malloc_trim(spare);
}

void mem_fail_after(unsigned n)
{
	atomic_store_explicit(&fail_after, n, memory_order_relaxed);
}

size_t mem_live_count(void)
{
	return atomic_load_explicit(&live, memory_order_relaxed);
}
