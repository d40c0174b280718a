/* Embeddings keep the encoding that was asked for; fed at every split point. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "embeddings.h"
#include "rig.h"
#include "text.h"

#define FLOATS                                                                       \
	"{\"object\":\"list\",\"data\":[{\"index\":0,\"embedding\": [0.5, -1e0,0.1 " \
	"],\"object\":\"embedding\"},{\"embedding\":[2],\"index\":1}],"
#define TEXTS                                                         \
	"{\"object\":\"list\",\"data\":[{\"index\":0,\"embedding\": " \
	"\"AAAAPwAAgL/"                                               \
	"NzMw9\",\"object\":\"embedding\"},{\"embedding\":\"AAAAQA==\",\"index\":1}],"
#define NUMBERS                                                       \
	"{\"object\":\"list\",\"data\":[{\"index\":0,\"embedding\": " \
	"[0.5,-1,0.100000001],\"object\":\"embedding\"},{\"embedding\":[2],\"index\":1}],"
#define COUNTS "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3}}"
#define COSTED "\"usage\":{\"prompt_tokens\":3,\"total_tokens\":3,\"cost\":0.00000003}}"

static void check(const char *in, enum dialect_encoding asked, const char *want)
{
	for (unsigned split = 0; split <= strlen(in); split++) {
		struct rig r;

		rig_init(&r, PTABLE_OPENAI);
		r.facts.op = DIALECT_EMBEDDINGS;
		r.facts.encoding = asked;
		r.split = split;
		assert_int_equal(rig_answer(&r, slice_str(in), false), ERRC_OK);
		assert_true(r.ended);
		if (!slice_is(buf_slice(&r.out), want))
			print_error(SLICE_FMT "\n", SLICE_ARG(buf_slice(&r.out)));
		assert_true(slice_is(buf_slice(&r.out), want));
		rig_fini(&r);
	}
}

static void numbers_become_base64(void **state)
{
	check(FLOATS COUNTS, DIALECT_ENC_BASE64, TEXTS COSTED);
}

static void base64_becomes_numbers(void **state)
{
	check(TEXTS COUNTS, DIALECT_ENC_FLOAT, NUMBERS COSTED);
	check(TEXTS COUNTS, DIALECT_ENC_NONE, NUMBERS COSTED);
}

static void what_is_as_asked_stays(void **state)
{
	check(FLOATS COUNTS, DIALECT_ENC_NONE, FLOATS COSTED);
	check(FLOATS COUNTS, DIALECT_ENC_FLOAT, FLOATS COSTED);
	check(TEXTS COUNTS, DIALECT_ENC_BASE64, TEXTS COSTED);
	check("{\"data\":[{\"embedding\":[[1,2]]}]," COUNTS, DIALECT_ENC_BASE64,
	      "{\"data\":[{\"embedding\":[[1,2]]}]," COSTED);
	check("{\"data\":[{\"embedding\":[]}]," COUNTS, DIALECT_ENC_BASE64,
	      "{\"data\":[{\"embedding\":\"\"}]," COSTED);
}

/* Any float32 survives the way there and back. */
static void no_bit_is_lost(void **state)
{
	struct text_rng rng = {{1, 2}};
	char text[64];

	for (int i = 0; i < 20000; i++) {
		uint32_t bits = (uint32_t)text_rng_next(&rng);
		struct embeddings e;
		struct buf there, back;
		float f;

		if ((bits & 0x7F800000) == 0x7F800000)
			continue;
		memcpy(&f, &bits, sizeof(f));
		snprintf(text, sizeof(text), "{\"data\":[{\"embedding\":[%.9g]}]}", (double)f);
		buf_init(&there, 256);
		buf_init(&back, 256);
		embeddings_init(&e, true);
		assert_int_equal(embeddings_push(&e, slice_str(text), &there), ERRC_OK);
		embeddings_init(&e, false);
		assert_int_equal(embeddings_push(&e, buf_slice(&there), &back), ERRC_OK);
		assert_string_equal(buf_cstr(&back), text);
		buf_fini(&there);
		buf_fini(&back);
	}
}

static void what_is_no_vector_fails(void **state)
{
	static const char *const bad[] = {"[1,\"x\"]", "[1,,2]", "[nan]"};
	struct embeddings e;
	struct buf out, in;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		buf_init(&out, 256);
		buf_init(&in, 256);
		assert_int_equal(buf_addf(&in, "{\"data\":[{\"embedding\":%s}]}", bad[i]), ERRC_OK);
		embeddings_init(&e, true);
		assert_int_equal(embeddings_push(&e, buf_slice(&in), &out), ERRC_SYNTAX);
		buf_fini(&out);
		buf_fini(&in);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_become_base64),   cmocka_unit_test(base64_becomes_numbers),
		cmocka_unit_test(what_is_as_asked_stays),  cmocka_unit_test(no_bit_is_lost),
		cmocka_unit_test(what_is_no_vector_fails),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
