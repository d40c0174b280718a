#include "apikey.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static void test_make_and_parse(void **state)
{
	struct apikey a, b;
	struct slice id;

	for (int i = 0; i < 200; i++) {
		apikey_make(&a);
		apikey_make(&b);
		assert_int_equal(strlen(a.text), APIKEY_TEXT);
		assert_true(apikey_parse(slice_str(a.text), &id));
		assert_true(slice_is(id, a.id));
		assert_string_not_equal(a.text, b.text);
		assert_string_not_equal(a.id, b.id);
	}
	apikey_fini(&a);
	for (size_t i = 0; i < sizeof a; i++)
		assert_int_equal(((char *)&a)[i], 0);
}

static void test_refuses_other_forms(void **state)
{
	static const char good[] =
		"sk-aigw-abcdefghij23-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
	char text[sizeof good];
	struct slice id;

	assert_true(apikey_parse(SLICE_LIT(good), &id));
	for (size_t i = 0; i < sizeof good - 1; i++) {
		memcpy(text, good, sizeof good);
		text[i] = '!';
		assert_false(apikey_parse(slice_of(text, sizeof good - 1), &id));
		assert_false(apikey_parse(slice_of(good, i), &id));
	}
	memcpy(text, good, sizeof good);
	text[10] = 'A';
	assert_false(apikey_parse(slice_of(text, sizeof good - 1), &id));
	assert_false(apikey_parse(SLICE_NONE, &id));
	assert_false(apikey_parse(
		SLICE_LIT("sk-proj-abcdefghij23-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE"), &id));
}

static void test_trim(void **state)
{
	static const char *const same[] = {"k",   " k",        "k \r\n", "\"k\"",
					   "'k'", " \" k \" ", "\t'k'"};

	for (size_t i = 0; i < ARRAY_LEN(same); i++)
		assert_true(slice_is(apikey_trim(slice_str(same[i])), "k"));
	assert_true(slice_is(apikey_trim(SLICE_LIT("\"k'")), "\"k'"));
	assert_true(slice_is(apikey_trim(SLICE_LIT("\"\"k\"\"")), "\"k\""));
	assert_int_equal(apikey_trim(SLICE_LIT(" \"\" ")).n, 0);
	assert_int_equal(apikey_trim(SLICE_LIT("\"")).n, 1);
	assert_int_equal(apikey_trim(SLICE_NONE).n, 0);
}

static void test_hide(void **state)
{
	static const struct {
		const char *text, *hidden;
	} rows[] = {
		{"", ""},
		{"/v1/models", "/v1/models"},
		{"sk-aigw-abcdefghijkl-0123456789abcdefghijABCDEFGHIJ0123456789abc",
		 "sk-aigw-abcdefghijkl-*******************************************"},
		{"/v1/sk-aigw-abcdefghijkl-0123456789abcdefghijABCDEFGHIJ0123456789abc/x#sk-aigw-"
		 "mnopqrstuvwx-012",
		 "/v1/sk-aigw-abcdefghijkl-*******************************************/x#sk-aigw-"
		 "mnopqrstuvwx-***"},
		{"sk-aigw-abcdefghijkl-", "sk-aigw-abcdefghijkl-"},
		{"sk-aigw-abcdefghijkl", "sk-aigw-abcdefghijkl"},
		{"sk-aigw-sk-aigw-x", "sk-aigw-sk-aigw-x"},
		{"sk-aigw-... keys begin so", "sk-aigw-... keys begin so"},
	};
	char text[128];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		snprintf(text, sizeof(text), "%s", rows[i].text);
		apikey_hide(text, strlen(text));
		assert_string_equal(text, rows[i].hidden);
	}
}

/* Both halves and the pepper count. */
static void test_hash(void **state)
{
	char text[] = "sk-aigw-abcdefghij23-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE";
	uint8_t want[DIGEST_SHA256], h[DIGEST_SHA256];
	struct digest_key pepper, other;

	digest_key_init(&pepper, SLICE_LIT("pepper"));
	digest_key_init(&other, SLICE_LIT("Pepper"));
	digest_hmac(&pepper, SLICE_LIT("abcdefghij23AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE"),
		    want);
	apikey_hash(&pepper, slice_str(text), h);
	assert_memory_equal(h, want, sizeof h);
	apikey_hash(&other, slice_str(text), h);
	assert_memory_not_equal(h, want, sizeof h);
	text[8] = 'b';
	apikey_hash(&pepper, slice_str(text), h);
	assert_memory_not_equal(h, want, sizeof h);
	text[8] = 'a';
	text[63] = 'F';
	apikey_hash(&pepper, slice_str(text), h);
	assert_memory_not_equal(h, want, sizeof h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_make_and_parse), cmocka_unit_test(test_refuses_other_forms),
		cmocka_unit_test(test_trim),           cmocka_unit_test(test_hide),
		cmocka_unit_test(test_hash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
