#include "arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

static int order[4], order_n;

static void note(void *arg)
{
	order[order_n++] = *(int *)arg;
}

static void test_pieces_are_aligned_and_apart(void **state)
{
	struct arena a;

	arena_init(&a, 1 << 20);
	for (size_t n = 0; n < 3000; n += 7) {
		char *p = arena_zero(&a, n);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(p[i], 0);
		memset(p, 0xff, n);
	}
	arena_fini(&a);
	assert_int_equal(mem_live_count(), 0);
}

static void test_ceiling(void **state)
{
	struct arena a;

	arena_init(&a, 64);
	assert_non_null(arena_get(&a, 33));
	assert_null(arena_get(&a, 17));
	assert_null(arena_get(&a, SIZE_MAX));
	assert_non_null(arena_get(&a, 16));
	assert_null(arena_get(&a, 1));
	arena_fini(&a);
}

static void test_hooks_run_backwards_and_reset_keeps_a_block(void **state)
{
	struct arena a;
	int one = 1, two = 2;

	order_n = 0;
	arena_init(&a, 1 << 20);
	assert_int_equal(arena_on_fini(&a, note, &one), ERRC_OK);
	assert_non_null(arena_get(&a, 100000));
	assert_int_equal(arena_on_fini(&a, note, &two), ERRC_OK);
	arena_reset(&a);
	assert_int_equal(order_n, 2);
	assert_int_equal(order[0], 2);
	assert_int_equal(order[1], 1);
	assert_int_equal(mem_live_count(), 1);
	assert_int_equal(a.used, 0);
	assert_non_null(arena_get(&a, 100));
	assert_int_equal(mem_live_count(), 1);
	arena_fini(&a);
	assert_int_equal(order_n, 2);
	assert_int_equal(mem_live_count(), 0);
}

static void test_first_block(void **state)
{
	struct arena a;

	arena_init_first(&a, 1 << 20, 9000);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 9; i++)
			assert_non_null(arena_get(&a, 1000));
		assert_int_equal(mem_live_count(), 1 + 1); /* 1,008 each: the ninth needs another */
		arena_reset(&a);
		assert_int_equal(mem_live_count(), 1);
	}
	arena_fini(&a);
	assert_non_null(arena_get(&a, 8992));
	assert_int_equal(mem_live_count(), 1);
	arena_fini(&a);
}

static void test_text(void **state)
{
	struct arena a;
	struct slice s;

	arena_init(&a, 1 << 20);
	s = arena_dup(&a, SLICE_LIT("abc"));
	assert_string_equal(s.p, "abc");
	s = arena_dup(&a, SLICE_NONE);
	assert_non_null(s.p);
	assert_int_equal(s.n, 0);
	s = arena_fmt(&a, "%d-%s", 42, "x");
	assert_string_equal(s.p, "42-x");
	assert_int_equal(s.n, 4);
	s = arena_join(&a, (struct slice[]){SLICE_LIT("ab"), SLICE_NONE, SLICE_LIT("c")}, 3);
	assert_string_equal(s.p, "abc");
	assert_int_equal(s.n, 3);
	s = arena_join(&a, NULL, 0);
	assert_string_equal(s.p, "");
	s = arena_join(&a, (struct slice[]){{"x", SIZE_MAX}, SLICE_LIT("y")}, 2);
	assert_null(s.p);
	arena_fini(&a);
}

static void test_no_memory(void **state)
{
	struct arena a;

	arena_init(&a, 1 << 20);
	mem_fail_after(1);
	assert_null(arena_get(&a, 1));
	assert_null(arena_dup(&a, SLICE_LIT("x")).p);
	assert_null(arena_fmt(&a, "x").p);
	assert_null(arena_join(&a, NULL, 0).p);
	assert_int_equal(arena_on_fini(&a, note, NULL), ERRC_NOMEM);
	mem_fail_after(0);
	arena_fini(&a);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_are_aligned_and_apart),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_hooks_run_backwards_and_reset_keeps_a_block),
		cmocka_unit_test(test_first_block),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
