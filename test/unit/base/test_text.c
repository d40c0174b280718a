#include "text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "mem.h"

static void test_hex(void **state)
{
	char out[9];
	unsigned char back[4];

	text_hex("\x00\x7f\xab\xff", 4, out);
	assert_string_equal(out, "007fabff");
	assert_true(text_unhex(SLICE_LIT("007FabFF"), back, 4));
	assert_memory_equal(back, "\x00\x7f\xab\xff", 4);
	assert_false(text_unhex(SLICE_LIT("007fabf"), back, 4));
	assert_false(text_unhex(SLICE_LIT("007fab"), back, 4));
	assert_false(text_unhex(SLICE_LIT("007fabfg"), back, 4));
}

static void test_base64(void **state)
{
	static const char *const rows[][3] = {
		{"", "", ""},
		{"f", "Zg==", "Zg"},
		{"fo", "Zm8=", "Zm8"},
		{"foo", "Zm9v", "Zm9v"},
		{"foob", "Zm9vYg==", "Zm9vYg"},
		{"\xff\xef\xbe", "/+++", "_---"},
	};
	static const char *const bad[] = {
		"Z", "Zg=", "Zh==", "Zg===", "Z*==", "Zm9=", "=", "Zg==Zg=="};
	struct buf b;

	buf_init(&b, 100);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		buf_reset(&b);
		assert_int_equal(text_base64(&b, rows[i][0], strlen(rows[i][0])), ERRC_OK);
		assert_string_equal(buf_cstr(&b), rows[i][1]);
		buf_reset(&b);
		assert_int_equal(text_base64url(&b, rows[i][0], strlen(rows[i][0])), ERRC_OK);
		assert_string_equal(buf_cstr(&b), rows[i][2]);
		for (int k = 1; k < 3; k++) {
			buf_reset(&b);
			assert_int_equal(text_unbase64(&b, slice_str(rows[i][k])), ERRC_OK);
			assert_string_equal(buf_cstr(&b), rows[i][0]);
		}
	}
	buf_reset(&b);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(text_unbase64(&b, slice_str(bad[i])), ERRC_SYNTAX);
		assert_true(buf_is_empty(&b));
	}
	buf_fini(&b);
	mem_fail_after(1);
	assert_int_equal(text_base64(&b, "x", 1), ERRC_NOMEM);
	assert_int_equal(text_unbase64(&b, SLICE_LIT("Zg==")), ERRC_NOMEM);
	mem_fail_after(0);
}

static void test_integers(void **state)
{
	static const char *const bad_u64[] = {
		"", "-1", "+1", " 1", "1 ", "0x1", "18446744073709551616"};
	uint64_t u;
	int64_t i;

	assert_true(text_u64(SLICE_LIT("18446744073709551615"), &u) && u == UINT64_MAX);
	assert_true(text_u64(SLICE_LIT("007"), &u) && u == 7);
	for (size_t k = 0; k < ARRAY_LEN(bad_u64); k++)
		assert_false(text_u64(slice_str(bad_u64[k]), &u));
	assert_true(text_i64(SLICE_LIT("-9223372036854775808"), &i) && i == INT64_MIN);
	assert_true(text_i64(SLICE_LIT("9223372036854775807"), &i) && i == INT64_MAX);
	assert_false(text_i64(SLICE_LIT("9223372036854775808"), &i));
	assert_false(text_i64(SLICE_LIT("-9223372036854775809"), &i));
	assert_false(text_i64(SLICE_LIT("-"), &i));
	assert_false(text_i64(SLICE_LIT("--1"), &i));
}

static void test_decimal(void **state)
{
	static const struct {
		const char *text;
		int scale;
		enum errc rc;
		int64_t value;
	} rows[] = {
		{"1.75", 6, ERRC_OK, 1750000},
		{"0.000001", 6, ERRC_OK, 1},
		{"1e-6", 6, ERRC_OK, 1},
		{"-3", 0, ERRC_OK, -3},
		{"0", 9, ERRC_OK, 0},
		{"-0.0e5", 9, ERRC_OK, 0},
		{"0e999999999999999999999", 9, ERRC_OK, 0},
		{"12.50E+1", 0, ERRC_OK, 125},
		{"1000000000000000000000000e-24", 0, ERRC_OK, 1},
		{"0.100000000000000000000000000000000000", 1, ERRC_OK, 1},
		{"9223372036854775807", 0, ERRC_OK, INT64_MAX},
		{"-9223372036854775808", 0, ERRC_OK, INT64_MIN},
		{"9223372036854775808", 0, ERRC_RANGE, 0},
		{"0.0000001", 6, ERRC_RANGE, 0},
		{"1e19", 0, ERRC_RANGE, 0},
		{"1e99999999999999", 0, ERRC_RANGE, 0},
		{"1e-99999999999999", 0, ERRC_RANGE, 0},
		{"123456789012345678901234567890", 0, ERRC_RANGE, 0},
		{"1000000000000000000000000000000000000000000000000000000000001", 0, ERRC_RANGE, 0},
		{"", 0, ERRC_SYNTAX, 0},
		{"-", 0, ERRC_SYNTAX, 0},
		{".5", 1, ERRC_SYNTAX, 0},
		{"5.", 1, ERRC_SYNTAX, 0},
		{"1.2.3", 1, ERRC_SYNTAX, 0},
		{"1e", 1, ERRC_SYNTAX, 0},
		{"1e+", 1, ERRC_SYNTAX, 0},
		{"e1", 1, ERRC_SYNTAX, 0},
		{"1 ", 1, ERRC_SYNTAX, 0},
		{"+1", 1, ERRC_SYNTAX, 0},
		{"0x1", 1, ERRC_SYNTAX, 0},
		{"nan", 1, ERRC_SYNTAX, 0},
	};
	int64_t v;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		v = 0;
		assert_int_equal(text_decimal(slice_str(rows[i].text), rows[i].scale, &v),
				 rows[i].rc);
		assert_int_equal(v, rows[i].value);
	}
}

static void test_decimal_print(void **state)
{
	static const struct {
		int64_t v;
		int scale, min_frac;
		const char *text;
	} rows[] = {
		{15000, 9, 1, "0.000015"},
		{0, 9, 1, "0.0"},
		{0, 9, 0, "0"},
		{0, 0, 0, "0"},
		{1750000, 6, 2, "1.75"},
		{2000000, 6, 2, "2.00"},
		{-5, 1, 0, "-0.5"},
		{42, 0, 0, "42"},
		{INT64_MIN, 9, 1, "-9223372036.854775808"},
		{INT64_MAX, 20, 0, "0.09223372036854775807"},
	};
	char out[TEXT_DECIMAL_MAX];

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int64_t back;

		assert_int_equal(text_decimal_print(rows[i].v, rows[i].scale, rows[i].min_frac, out),
				 strlen(rows[i].text));
		assert_string_equal(out, rows[i].text);
		assert_int_equal(text_decimal(slice_str(out), rows[i].scale, &back), ERRC_OK);
		assert_int_equal(back, rows[i].v);
	}
	assert_int_equal(text_u64_print(0, out), 1);
	assert_string_equal(out, "0");
	assert_int_equal(text_u64_print(UINT64_MAX, out), 20);
	assert_string_equal(out, "18446744073709551615");
}

static void test_units(void **state)
{
	int64_t v;

	assert_true(text_duration_ms(SLICE_LIT("250ms"), 1000, &v) && v == 250);
	assert_true(text_duration_ms(SLICE_LIT("15s"), 1, &v) && v == 15000);
	assert_true(text_duration_ms(SLICE_LIT("10m"), 1, &v) && v == 600000);
	assert_true(text_duration_ms(SLICE_LIT("2h"), 1, &v) && v == 7200000);
	assert_true(text_duration_ms(SLICE_LIT("1d"), 1, &v) && v == 86400000);
	assert_true(text_duration_ms(SLICE_LIT("7"), 1000, &v) && v == 7000);
	assert_false(text_duration_ms(SLICE_LIT("s"), 1, &v));
	assert_false(text_duration_ms(SLICE_LIT("-1s"), 1, &v));
	assert_false(text_duration_ms(SLICE_LIT("1w"), 1, &v));
	assert_false(text_duration_ms(SLICE_LIT("9223372036854775807s"), 1, &v));
	assert_true(text_bytes(SLICE_LIT("64KiB"), &v) && v == 65536);
	assert_true(text_bytes(SLICE_LIT("32MiB"), &v) && v == 33554432);
	assert_true(text_bytes(SLICE_LIT("1GiB"), &v) && v == 1073741824);
	assert_true(text_bytes(SLICE_LIT("4k"), &v) && v == 4096);
	assert_true(text_bytes(SLICE_LIT("2MB"), &v) && v == 2000000);
	assert_true(text_bytes(SLICE_LIT("12"), &v) && v == 12);
	assert_false(text_bytes(SLICE_LIT(""), &v));
	assert_false(text_bytes(SLICE_LIT("1 k"), &v));
}

static const uint64_t wide_seed[2] = {UINT64_C(0x1234567890abcdef), UINT64_C(0xfedcba0987654321)};

/* One byte less, or another one, or another seed: another hash, also in the bits that a table goes by. */
static void hashes_differ(void)
{
	const uint64_t other_seed[2] = {wide_seed[0] + 1, wide_seed[1]};
	char b[40];
	size_t same = 0;

	memset(b, 'x', sizeof b);
	for (size_t n = 0; n <= sizeof b; n++) {
		uint64_t h = text_hash_wide(wide_seed, slice_of(b, n));

		assert_true(h == text_hash_wide(wide_seed, slice_of(b, n)));
		assert_true(h != text_hash_wide(other_seed, slice_of(b, n)));
		assert_true(n == 0 || h != text_hash_wide(wide_seed, slice_of(b, n - 1)));
		for (size_t i = 0; i < n; i++) {
			uint64_t other;

			b[i] = 'y';
			other = text_hash_wide(wide_seed, slice_of(b, n));
			b[i] = 'x';
			assert_true(other != h);
			same += (other & 1023) == (h & 1023);
		}
	}
	assert_true(same < 10); /* of 820 */
}

/* A hash that multiplies what it has by a constant, whatever it begins with. */
static uint64_t hash_known(uint64_t h, const uint64_t *word, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		h = (h ^ word[i]) * UINT64_C(0x9e3779b97f4a7c15);
		h ^= h >> 32;
	}
	return h;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Keys of an attacker who knows all but the seed: eight pairs of words, each in two ways of which the second word undoes
 * what the first one did. All have one hash where only the beginning is unknown; in ours they have not even the bits in common that a table
 * goes by. */
static void collisions_differ(void)
{
	uint64_t word[16], hash[256], known = 0;
	size_t same = 0;

	for (unsigned k = 0; k < ARRAY_LEN(hash); k++) {
		for (unsigned i = 0; i < 8; i++) {
			uint64_t flip = k >> i & 1;

			word[2 * i] = UINT64_C(0x2d72657375) + (flip << 63);
			word[2 * i + 1] = UINT64_C(0x3a72657375) ^ (flip << 63 | flip << 31);
		}
		known = k == 0 ? hash_known(12345, word, 16) : known;
		assert_true(hash_known(12345, word, 16) == known);
		hash[k] = text_hash_wide(wide_seed, slice_of(word, sizeof word)) & 65535;
	}
	qsort(hash, ARRAY_LEN(hash), sizeof *hash, by_number);
	for (size_t i = 1; i < ARRAY_LEN(hash); i++)
		same += hash[i] == hash[i - 1];
	assert_true(same < 5);
}

static void test_hashes(void **state)
{
	uint8_t seed[16], message[15];

	assert_int_equal(text_hash(SLICE_LIT("")), UINT64_C(0xcbf29ce484222325));
	assert_int_equal(text_hash(SLICE_LIT("a")), UINT64_C(0xaf63dc4c8601ec8c));
	hashes_differ();
	collisions_differ();
	/* The test vector of the SipHash paper. */
	for (uint8_t i = 0; i < 16; i++)
		seed[i] = i;
	for (uint8_t i = 0; i < 15; i++)
		message[i] = i;
	assert_int_equal(text_hash_keyed(seed, slice_of(message, 15)), UINT64_C(0xa129ca6149be45e5));
}

static void test_rng(void **state)
{
	struct text_rng zero = {{0, 0}}, a = {{1, 2}}, b = {{1, 2}};

	assert_int_not_equal(text_rng_next(&zero), 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(text_rng_next(&a), text_rng_next(&b));
	assert_int_not_equal(text_rng_next(&a), text_rng_next(&a));
}

static void test_words(void **state)
{
	static const char *const words[] = {"a", "9x_Z.1:2/3", "a+b@c-d", "0123456789"};
	static const char *const others[] = {
		"",  "two words", "a,b", "\"", "a\\", "\xc3\xa9", "a;", "a\n",
		"[", "`",         "{",   "^",  "=",   "a*",       "a<", "01234567890"};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		assert_true(text_is_word(slice_str(words[i]), 10));
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		assert_false(text_is_word(slice_str(others[i]), 10));
	assert_false(text_is_word(SLICE_LIT("a\0b"), 10));
	assert_false(text_is_word(SLICE_NONE, 10));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hex),           cmocka_unit_test(test_base64),
		cmocka_unit_test(test_integers),      cmocka_unit_test(test_decimal),
		cmocka_unit_test(test_decimal_print), cmocka_unit_test(test_units),
		cmocka_unit_test(test_hashes),        cmocka_unit_test(test_rng),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
