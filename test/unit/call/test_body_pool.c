/* Memory of long bodies goes from one to the next, and never more than they took together. */
#include "body_pool.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

#define KIB ((size_t)1024)

static struct buf taken(struct body_pool *p, size_t length)
{
	struct buf b;

	buf_init(&b, 32 * KIB * KIB);
	assert_int_equal(body_pool_take(p, length, &b), ERRC_OK);
	assert_true(b.p != NULL && b.len == 0 && b.cap >= length);
	memset(b.p, 'x', length);
	return b;
}

static void test_memory_is_used_again(void **state)
{
	struct body_pool p = {0};
	struct buf a = taken(&p, 400 * KIB + 1), b = taken(&p, 100 * KIB);
	const char *at = a.p, *small = b.p;

	assert_int_equal(a.cap, 416 * KIB);
	body_pool_give(&p, &a);
	body_pool_give(&p, &b);
	assert_true(a.p == NULL && a.cap == 0 && a.max == 32 * KIB * KIB);
	assert_int_equal(p.bytes, (416 + 112) * KIB);
	/* The smallest that fits, and no more than a little too large. */
	b = taken(&p, 80 * KIB);
	assert_ptr_equal(b.p, small);
	a = taken(&p, 416 * KIB - BODY_POOL_WASTE);
	assert_ptr_equal(a.p, at);
	assert_int_equal(p.n, 0);
	assert_int_equal(p.bytes, 0);
	body_pool_give(&p, &a);
	body_pool_give(&p, &b);
	body_pool_clear(&p);
	assert_int_equal(p.n, 0);
	assert_int_equal(mem_live_count(), 0);
}

/* What does not fit makes way for what is taken anew. */
static void test_no_more_than_before(void **state)
{
	struct body_pool p = {0};
	struct buf v[3];

	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = taken(&p, (i + 1) * 128 * KIB);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		body_pool_give(&p, &v[i]);
	assert_int_equal(p.bytes, 6 * 128 * KIB);
	v[0] = taken(&p, 512 * KIB);
	assert_int_equal(p.n, 0);
	body_pool_give(&p, &v[0]);
	v[0] = taken(&p, 512 * KIB - BODY_POOL_WASTE - 1);
	assert_int_equal(p.n, 0);
	body_pool_give(&p, &v[0]);
	body_pool_clear(&p);
	assert_int_equal(mem_live_count(), 0);
}

static void test_short_and_many_are_not_kept(void **state)
{
	struct body_pool p = {0};
	struct buf v[BODY_POOL_COUNT + 1];

	v[0] = taken(&p, BODY_POOL_LEAST - 1);
	assert_int_equal(v[0].cap, BODY_POOL_LEAST - 1);
	body_pool_give(&p, &v[0]);
	assert_int_equal(p.n, 0);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		v[i] = taken(&p, BODY_POOL_LEAST);
	for (size_t i = 0; i < ARRAY_LEN(v); i++)
		body_pool_give(&p, &v[i]);
	assert_int_equal(p.n, BODY_POOL_COUNT);
	body_pool_clear(&p);
	v[0] = taken(&p, BODY_POOL_BYTES - BODY_POOL_LEAST);
	v[1] = taken(&p, BODY_POOL_LEAST);
	v[2] = taken(&p, BODY_POOL_LEAST);
	for (size_t i = 0; i < 3; i++)
		body_pool_give(&p, &v[i]);
	assert_int_equal(p.n, 2);
	assert_int_equal(p.bytes, BODY_POOL_BYTES);
	body_pool_clear(&p);
	assert_int_equal(mem_live_count(), 0);
}

/* A ceiling that was lowered meanwhile holds; without memory nothing is lost. */
static void test_ceiling_and_memory(void **state)
{
	struct body_pool p = {0};
	struct buf a = taken(&p, 100 * KIB), b;

	body_pool_give(&p, &a);
	buf_init(&b, 100 * KIB);
	assert_int_equal(body_pool_take(&p, 100 * KIB, &b), ERRC_OK);
	assert_int_equal(b.cap, 100 * KIB);
	body_pool_give(&p, &b);
	assert_int_equal(body_pool_take(&p, 100 * KIB + 1, &b), ERRC_LIMIT);
	assert_int_equal(p.n, 1);
	mem_fail_after(1);
	buf_init(&a, 1024 * KIB);
	assert_int_equal(body_pool_take(&p, 100 * KIB, &b), ERRC_OK);
	assert_int_equal(body_pool_take(&p, 100 * KIB, &a), ERRC_NOMEM);
	mem_fail_after(0);
	assert_true(a.p == NULL && a.cap == 0);
	body_pool_give(&p, &b);
	body_pool_clear(&p);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_used_again),
		cmocka_unit_test(test_no_more_than_before),
		cmocka_unit_test(test_short_and_many_are_not_kept),
		cmocka_unit_test(test_ceiling_and_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
