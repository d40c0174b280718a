#include "digest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <mbedtls/sha256.h>

#include "sha256x.h"
#include "text.h"

#define LENGTH_MAX 300

static void expect(const uint8_t sum[DIGEST_SHA256], const char *hex)
{
	char text[2 * DIGEST_SHA256 + 1];

	text_hex(sum, DIGEST_SHA256, text);
	assert_string_equal(text, hex);
}

static void test_sha256(void **state)
{
	struct slice abc = SLICE_LIT("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
	uint8_t sum[DIGEST_SHA256];

	digest_sha256(SLICE_NONE, sum);
	expect(sum, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	digest_sha256(SLICE_LIT("abc"), sum);
	expect(sum, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	for (size_t split = 0; split <= abc.n; split++) {
		struct digest d, copy;

		digest_init(&d);
		digest_add(&d, slice_of(abc.p, split));
		copy = d;
		digest_add(&d, SLICE_LIT("something else"));
		digest_add(&copy, slice_of(abc.p + split, abc.n - split));
		digest_final(&copy, sum);
		expect(sum, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
	}
}

/* RFC 4231. */
static void test_hmac(void **state)
{
	char key[131];
	struct digest_key k;
	uint8_t sum[DIGEST_SHA256];

	memset(key, 0x0b, 20);
	digest_key_init(&k, slice_of(key, 20));
	for (int again = 0; again < 2; again++) {
		digest_hmac(&k, SLICE_LIT("Hi There"), sum);
		expect(sum, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
	}
	digest_key_init(&k, SLICE_LIT("Jefe"));
	digest_hmac(&k, SLICE_LIT("what do ya want for nothing?"), sum);
	expect(sum, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, sizeof key);
	digest_key_init(&k, slice_of(key, sizeof key));
	digest_hmac(&k, SLICE_LIT("Test Using Larger Than Block-Size Key - Hash Key First"), sum);
	expect(sum, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	digest_key_fini(&k);
	for (size_t i = 0; i < sizeof k; i++)
		assert_int_equal(((unsigned char *)&k)[i], 0);
}

/* What the processor says, where it can, is what the library says: every length, at every split point. */
static void test_lengths(void **state)
{
	unsigned char bytes[LENGTH_MAX], want[DIGEST_SHA256];
	uint8_t sum[DIGEST_SHA256];
	bool only_library = *state != NULL;

	digest_only_library(only_library);
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (unsigned char)(i * 167 + 13);
	for (size_t n = 0; n <= sizeof bytes; n++) {
		assert_int_equal(mbedtls_sha256(bytes, n, want, 0), 0);
		for (size_t split = 0; split <= n; split++) {
			struct digest d;

			digest_init(&d);
			assert_int_equal(d.is_own, sha256x_is_here() && !only_library);
			digest_add(&d, slice_of(bytes, split));
			digest_add(&d, slice_of(bytes + split, n - split));
			digest_final(&d, sum);
			assert_memory_equal(sum, want, DIGEST_SHA256);
		}
	}
	digest_only_library(false);
}

/* A byte at a time, then pieces of odd length: 8 MB. */
static void test_long(void **state)
{
	static unsigned char piece[65536];
	uint8_t own[DIGEST_SHA256], library[DIGEST_SHA256];

	for (int only_library = 0; only_library <= 1; only_library++) {
		struct digest d;

		digest_only_library(only_library);
		digest_init(&d);
		for (int i = 0; i < 1000; i++)
			digest_add(&d, slice_of(&(uint8_t){(uint8_t)i}, 1));
		for (int i = 0; i < 130; i++)
			digest_add(&d, slice_of(piece, sizeof piece - 1));
		digest_final(&d, only_library ? library : own);
	}
	digest_only_library(false);
	assert_memory_equal(own, library, DIGEST_SHA256);
}

static int only_library(void **state)
{
	digest_only_library(true);
	return 0;
}

static int any(void **state)
{
	digest_only_library(false);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sha256),
		cmocka_unit_test(test_hmac),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_long),
		{"test_sha256_library", test_sha256, only_library, any, NULL},
		{"test_hmac_library", test_hmac, only_library, any, NULL},
		{"test_lengths_library", test_lengths, NULL, NULL, (void *)"library"},
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
