/* Sets of peppers: stored and read again, changed in nothing unnoticed, ids never used again. */
#include "peppers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "apikey.h"
#include "mem.h"

static void fill(struct peppers *p, size_t n)
{
	*p = (struct peppers){.n = 0};
	for (size_t i = 0; i < n; i++)
		assert_int_equal(peppers_add(p, 100 + (int64_t)i), ERRC_OK);
}

static void test_stored_and_read(void **state)
{
	for (size_t n = 1; n <= PEPPERS_MAX; n++) {
		struct peppers p, q;
		struct buf b;

		fill(&p, n);
		buf_init(&b, PEPPERS_BYTES_MAX);
		assert_int_equal(peppers_encode(&p, &b), ERRC_OK);
		assert_int_equal(peppers_decode(buf_slice(&b), &q), ERRC_OK);
		assert_int_equal(q.n, n);
		assert_memory_equal(&p, &q, sizeof p);
		assert_int_equal(q.v[0].id, n);
		assert_int_equal(q.v[n - 1].id, 1);
		assert_int_equal(q.v[0].made_s, 99 + n);
		peppers_fini(&p);
		peppers_fini(&q);
		for (size_t i = 0; i < sizeof q; i++)
			assert_int_equal(((char *)&q)[i], 0);
		buf_fini(&b);
	}
	(void)state;
}

/* Every byte counts, and every length. */
static void test_damaged(void **state)
{
	struct peppers p, q;
	struct buf b;

	fill(&p, 3);
	buf_init(&b, PEPPERS_BYTES_MAX);
	assert_int_equal(peppers_encode(&p, &b), ERRC_OK);
	for (size_t i = 0; i < b.len; i++) {
		b.p[i] ^= 1;
		assert_int_equal(peppers_decode(buf_slice(&b), &q), ERRC_CORRUPT);
		assert_int_equal(q.n, 0);
		b.p[i] ^= 1;
		assert_int_equal(peppers_decode(slice_of(b.p, i), &q), ERRC_CORRUPT);
	}
	assert_int_equal(peppers_decode(buf_slice(&b), &q), ERRC_OK);
	peppers_fini(&q);
	/* Whole, but not of us: an id that comes twice. */
	p.v[1].id = p.v[0].id;
	buf_reset(&b);
	assert_int_equal(peppers_encode(&p, &b), ERRC_OK);
	assert_int_equal(peppers_decode(buf_slice(&b), &q), ERRC_CORRUPT);
	peppers_fini(&p);
	buf_fini(&b);
	(void)state;
}

static void test_change(void **state)
{
	uint8_t before[DIGEST_SHA256], after[DIGEST_SHA256];
	struct peppers p;
	struct apikey k;

	fill(&p, PEPPERS_MAX);
	apikey_make(&k);
	apikey_hash(&peppers_find(&p, 2)->key, slice_str(k.text), before);
	assert_int_equal(peppers_add(&p, 1), ERRC_LIMIT);
	peppers_remove(&p, PEPPERS_MAX); /* the newest stays */
	assert_int_equal(p.n, PEPPERS_MAX);
	peppers_remove(&p, 1);
	peppers_remove(&p, 3);
	peppers_remove(&p, 3);
	assert_int_equal(p.n, PEPPERS_MAX - 2);
	assert_null(peppers_find(&p, 1));
	assert_null(peppers_find(&p, 3));
	assert_int_equal(peppers_add(&p, 1), ERRC_OK);
	assert_int_equal(p.v[0].id, PEPPERS_MAX + 1);
	apikey_hash(&peppers_find(&p, 2)->key, slice_str(k.text), after);
	assert_memory_equal(before, after, sizeof before);
	apikey_hash(&p.v[0].key, slice_str(k.text), after);
	assert_memory_not_equal(before, after, sizeof before);
	p.v[0].id = UINT16_MAX;
	assert_int_equal(peppers_add(&p, 1), ERRC_LIMIT);
	apikey_fini(&k);
	peppers_fini(&p);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_stored_and_read),
					   cmocka_unit_test(test_damaged),
					   cmocka_unit_test(test_change)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
