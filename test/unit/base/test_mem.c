#include "mem.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <sys/mman.h>

#include <string.h>

static void test_counts(void **state)
{
	char *a, *b, *c;

	assert_int_equal(mem_live_count(), 0);
	a = mem_new(100);
	for (int i = 0; i < 100; i++)
		assert_int_equal(a[i], 0);
	b = mem_grow(NULL, 10);
	b = mem_grow(b, 20);
	c = mem_dup("abc", 3);
	assert_string_equal(c, "abc");
	assert_int_equal(mem_live_count(), 3);
	mem_free(a);
	mem_free(b);
	mem_free(c);
	mem_free(NULL);
	assert_int_equal(mem_live_count(), 0);
	a = mem_new_huge(2 * MEM_HUGE);
	assert_int_equal((uintptr_t)a % MEM_HUGE, 0);
	for (size_t i = 0; i < 2 * MEM_HUGE; i++)
		assert_int_equal(a[i], 0);
	assert_int_equal(mem_live_count(), 1);
	mem_free(a);
	c = mem_dup(NULL, 0);
	assert_string_equal(c, "");
	mem_free(c);
	assert_null(mem_dup("x", SIZE_MAX));
}

static void test_failing(void **state)
{
	char *a, *b;

	mem_fail_after(2);
	a = mem_new(1);
	assert_non_null(a);
	assert_null(mem_new(1));
	assert_null(mem_new_huge(MEM_HUGE));
	b = mem_grow(a, 100);
	assert_null(b);
	assert_null(mem_dup("x", 1));
	mem_fail_after(0);
	mem_free(a);
	assert_int_equal(mem_live_count(), 0);
}

/* What is not ours may be asked for: behind the last page of a file there is nothing. */
static void test_walk(void **state)
{
	char *pages = mmap(NULL, 4 * MEM_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct mem_walk w = {.page = 0};

	(void)state;
	assert_ptr_not_equal(pages, MAP_FAILED);
	assert_int_equal(munmap(pages + (ptrdiff_t)3 * MEM_PAGE, MEM_PAGE), 0);
	mem_fetch_walk(&w, pages, 10);
	assert_false(w.in_order);
	mem_fetch_walk(&w, pages + 100, 10);
	assert_false(w.in_order);
	mem_fetch_walk(&w, pages + MEM_PAGE, MEM_PAGE);
	assert_true(w.in_order);
	mem_fetch_walk(&w, pages + 2 * MEM_PAGE - 1, 1);
	assert_true(w.in_order);
	mem_fetch_walk(&w, pages + 3 * MEM_PAGE - 1, 1);
	assert_true(w.in_order);
	mem_fetch_walk(&w, pages, 1);
	assert_false(w.in_order);
	mem_fetch_walk(&w, pages + (ptrdiff_t)2 * MEM_PAGE, 0);
	assert_false(w.in_order);
	munmap(pages, (size_t)3 * MEM_PAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_failing),
		cmocka_unit_test(test_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
