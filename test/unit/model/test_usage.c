#include "usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "buf.h"
#include "mem.h"

static void test_zero_and_missing_differ(void **state)
{
	struct usage u;

	usage_init(&u);
	assert_true(usage_is_empty(&u));
	assert_false(usage_has(&u, USAGE_INPUT));
	assert_int_equal(usage_get(&u, USAGE_INPUT), 0);
	usage_set(&u, USAGE_INPUT, 0);
	assert_true(usage_has(&u, USAGE_INPUT));
	assert_false(usage_is_empty(&u));
	usage_set(&u, USAGE_INPUT, -5);
	assert_int_equal(usage_get(&u, USAGE_INPUT), 0);
	usage_set(&u, USAGE_INPUT, USAGE_MAX);
	assert_false(u.estimated);
	usage_set(&u, USAGE_INPUT, INT64_MAX);
	assert_int_equal(usage_get(&u, USAGE_INPUT), USAGE_MAX);
	assert_true(u.estimated);
}

static void test_sums(void **state)
{
	struct usage u, newer;

	usage_init(&u);
	usage_init(&newer);
	usage_set(&u, USAGE_INPUT, 10);
	usage_set(&u, USAGE_CACHE_READ, 20);
	usage_set(&u, USAGE_CACHE_WRITE_1H, 5);
	usage_set(&u, USAGE_OUTPUT, 7);
	usage_set(&u, USAGE_REASONING, 9);
	assert_int_equal(usage_input_total(&u), 35);
	assert_int_equal(usage_output_total(&u), 7);
	assert_int_equal(usage_total(&u), 42);
	assert_int_equal(usage_reasoning(&u), 7);
	usage_set(&newer, USAGE_OUTPUT, 12);
	newer.estimated = true;
	usage_merge(&u, &newer);
	assert_int_equal(usage_output_total(&u), 12);
	assert_int_equal(usage_get(&u, USAGE_INPUT), 10);
	assert_int_equal(usage_reasoning(&u), 9);
	assert_true(u.estimated);
}

static struct usage undivided(int64_t total)
{
	struct usage u;

	usage_init(&u);
	usage_set(&u, USAGE_INPUT, total);
	u.undivided = true;
	return u;
}

static void check_sides(const struct usage *u, int64_t input, int64_t output)
{
	assert_int_equal(usage_input_total(u), input);
	assert_int_equal(usage_output_total(u), output);
	assert_false(u->undivided);
}

/* What was seen is output; the input is never more than its bound, both together never more than the total. */
static void test_divide(void **state)
{
	struct usage u = undivided(60), both, known;

	usage_divide(&u, 40, 1000);
	check_sides(&u, 20, 40);
	assert_true(u.estimated);
	u = undivided(60);
	usage_divide(&u, 10, 30);
	check_sides(&u, 30, 30);
	u = undivided(60);
	usage_divide(&u, 100, 30);
	check_sides(&u, 0, 60);
	u = undivided(0);
	usage_divide(&u, 100, 30);
	check_sides(&u, 0, 0);
	/* A later total replaces an earlier one, a known side is not guessed, and both known stay. */
	u = undivided(60);
	both = undivided(80);
	usage_merge(&u, &both);
	usage_init(&known);
	usage_set(&known, USAGE_OUTPUT, 50);
	both = u;
	usage_merge(&u, &known);
	usage_divide(&u, 7, 1000);
	check_sides(&u, 30, 50);
	usage_set(&known, USAGE_INPUT, 9);
	usage_merge(&known, &both);
	check_sides(&known, 9, 50);
	assert_false(known.estimated);
	usage_merge(&both, &known);
	usage_divide(&both, 7, 1000);
	check_sides(&both, 9, 50);
	assert_false(both.estimated);
}

/* The share of reasoning that was seen, unless the provider said how much there is, or that there is none. */
static void test_divide_output(void **state)
{
	struct usage u;

	usage_init(&u);
	usage_divide_output(&u, 40, 30);
	assert_false(usage_has(&u, USAGE_REASONING) || u.estimated);
	usage_set(&u, USAGE_OUTPUT, 10);
	usage_divide_output(&u, 40, 0);
	assert_false(usage_has(&u, USAGE_REASONING) || u.estimated);
	usage_divide_output(&u, 40, 30);
	assert_int_equal(usage_reasoning(&u), 7);
	assert_true(u.estimated);
	usage_divide_output(&u, 40, 10);
	assert_int_equal(usage_reasoning(&u), 7);
	usage_init(&u);
	usage_set(&u, USAGE_OUTPUT, USAGE_MAX);
	usage_divide_output(&u, INT64_MAX - 1, INT64_MAX);
	assert_int_equal(usage_reasoning(&u), USAGE_MAX);
	usage_init(&u);
	usage_set(&u, USAGE_OUTPUT, 10);
	usage_set(&u, USAGE_REASONING, 0);
	usage_divide_output(&u, 40, 30);
	assert_int_equal(usage_reasoning(&u), 0);
	assert_false(u.estimated);
}

static struct usage by_total(int64_t input, int64_t output)
{
	struct usage u;

	usage_init(&u);
	u.rest = true;
	if (input >= 0)
		usage_set(&u, USAGE_INPUT, input);
	if (output >= 0)
		usage_set(&u, USAGE_OUTPUT, output);
	return u;
}

/* A later report by totals that names no parts: each token is in one class, and none is more than the total. */
static void test_totals_later_without_parts(void **state)
{
	struct usage u = by_total(30, 20), newer = by_total(60, 100);

	usage_set(&u, USAGE_CACHE_READ, 20);
	usage_set(&u, USAGE_OUTPUT_AUDIO, 80);
	usage_set(&u, USAGE_REASONING, 15);
	usage_merge(&u, &newer);
	check_sides(&u, 60, 100);
	assert_int_equal(usage_get(&u, USAGE_CACHE_READ), 20);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT_AUDIO), 80);
	assert_int_equal(usage_reasoning(&u), 15);
	/* Less than the parts that were known. */
	newer = by_total(15, 70);
	usage_merge(&u, &newer);
	check_sides(&u, 15, 70);
	assert_int_equal(usage_get(&u, USAGE_INPUT), 0);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), 0);
	assert_int_equal(usage_reasoning(&u), 0);
}

/* Parts that are named anew go before those that are not; one side alone leaves the other; parts alone are of the total that is known. */
static void test_totals_later_with_parts(void **state)
{
	struct usage u = by_total(40, 100), newer = by_total(10, -1);

	usage_set(&u, USAGE_CACHE_READ, 20);
	usage_set(&newer, USAGE_INPUT_AUDIO, 45);
	usage_merge(&u, &newer);
	check_sides(&u, 55, 100);
	assert_int_equal(usage_get(&u, USAGE_INPUT_AUDIO), 45);
	assert_int_equal(usage_get(&u, USAGE_CACHE_READ), 10);
	newer = by_total(-1, 90);
	usage_set(&newer, USAGE_CACHE_READ, 30);
	usage_merge(&u, &newer);
	check_sides(&u, 55, 90);
	assert_int_equal(usage_get(&u, USAGE_CACHE_READ), 30);
	assert_int_equal(usage_get(&u, USAGE_INPUT_AUDIO), 25);
	/* Without a total there is nothing to stay within. */
	u = by_total(-1, 5);
	usage_merge(&u, &newer);
	check_sides(&u, 30, 90);
	assert_false(usage_has(&u, USAGE_INPUT));
}

/* No more than there is, and nothing of a class that was told. */
static void test_take_output(void **state)
{
	struct usage u;

	usage_init(&u);
	usage_take_output(&u, USAGE_OUTPUT_IMAGE, 5);
	assert_true(usage_is_empty(&u));
	usage_set(&u, USAGE_OUTPUT, 10);
	usage_take_output(&u, USAGE_OUTPUT_IMAGE, -5);
	assert_false(usage_has(&u, USAGE_OUTPUT_IMAGE) || u.estimated);
	usage_take_output(&u, USAGE_OUTPUT_IMAGE, 6);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT_IMAGE), 6);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), 4);
	assert_true(u.estimated);
	usage_take_output(&u, USAGE_OUTPUT_IMAGE, 4);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), 4);
	usage_take_output(&u, USAGE_OUTPUT_AUDIO, INT64_MAX);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT_AUDIO), 4);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), 0);
	usage_init(&u);
	usage_set(&u, USAGE_OUTPUT, 10);
	usage_set(&u, USAGE_OUTPUT_IMAGE, 0);
	usage_take_output(&u, USAGE_OUTPUT_IMAGE, 6);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), 10);
	assert_false(u.estimated);
}

static void test_names(void **state)
{
	for (enum usage_class c = 0; c < USAGE_COUNT; c++) {
		assert_int_equal(usage_class_of(slice_str(usage_name(c))), c);
		/* price.c fills the prices in one pass. */
		assert_true(usage_fallback(c) <= c);
	}
	assert_int_equal(usage_class_of(SLICE_LIT("nothing")), USAGE_COUNT);
	assert_int_equal(usage_side_of(USAGE_REASONING), USAGE_SIDE_OF);
}

static void test_pack(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	for (uint32_t have = 0; have < UINT32_C(1) << USAGE_COUNT; have += 37) {
		struct usage u, v;
		struct mpack_out o;
		struct mpack_in r;

		usage_init(&u);
		for (enum usage_class c = 0; c < USAGE_COUNT; c++)
			if (have >> c & 1)
				usage_set(&u, c, (int64_t)c * 1000);
		u.estimated = have & 1;
		buf_reset(&b);
		mpack_out_init(&o, &b);
		usage_pack(&o, &u);
		assert_int_equal(mpack_out_end(&o), ERRC_OK);
		mpack_in_init(&r, buf_slice(&b));
		assert_int_equal(usage_unpack(&r, &v), ERRC_OK);
		assert_true(mpack_is_end(&r));
		assert_memory_equal(&u, &v, sizeof u);
		for (size_t n = 0; n < b.len; n++) {
			mpack_in_init(&r, slice_of(b.p, n));
			assert_int_equal(usage_unpack(&r, &v), ERRC_TRUNCATED);
			mpack_in_init(&r, slice_of(b.p, n));
			assert_false(usage_unpack_quick(&r, &v));
		}
		/* Somewhere in a row, where eight bytes more can be read. */
		assert_int_equal(buf_add(&b, "\0\0\0\0\0\0\0", 8), ERRC_OK);
		mpack_in_init(&r, buf_slice(&b));
		usage_init(&v);
		v.undivided = true;
		assert_true(usage_unpack_quick(&r, &v));
		assert_int_equal(r.end - r.p, 8);
		assert_memory_equal(&u, &v, sizeof u);
	}
	buf_fini(&b);
	assert_int_equal(mem_live_count(), 0);
}

static void test_unpack_refuses(void **state)
{
	static const struct {
		struct slice bytes;
		enum errc want;
	} bad[] = {
		{SLICE_LIT("\x93\xce\xff\xff\xff\xff\xc2\x00"), ERRC_VERSION},
		{SLICE_LIT("\x94\xcd\x10\0\xc2\x00\x01\0\0\0\0\0"),
		 ERRC_VERSION},                                /* a class that is none */
		{SLICE_LIT("\x93\x00\xc2\x04"), ERRC_VERSION}, /* a tier that is none */
		{SLICE_LIT("\x93\x01\xc2\x00"), ERRC_CORRUPT},
		{SLICE_LIT("\x94\x01\xc2\x00\xff"), ERRC_CORRUPT},
		{SLICE_LIT("\x95\x01\xc2\x00\x01\x01"), ERRC_CORRUPT},
		{SLICE_LIT("\x94\x01\xc2\x00\xcf\0\0\0\xff\0\0\0\0"), ERRC_CORRUPT},
		{SLICE_LIT("\x93\xc2\xc2\x00"), ERRC_INVAL},
		{SLICE_LIT("\x01"), ERRC_INVAL},
	};
	struct usage u = {.have = 77}, torn;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct mpack_in r;

		mpack_in_init(&r, bad[i].bytes);
		assert_int_equal(usage_unpack(&r, &u), bad[i].want);
		assert_false(usage_unpack_quick(&r, &torn));
		assert_ptr_equal(r.p, bad[i].bytes.p);
	}
	assert_int_equal(u.have, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_zero_and_missing_differ),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_divide),
		cmocka_unit_test(test_divide_output),
		cmocka_unit_test(test_totals_later_without_parts),
		cmocka_unit_test(test_totals_later_with_parts),
		cmocka_unit_test(test_take_output),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_pack),
		cmocka_unit_test(test_unpack_refuses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
