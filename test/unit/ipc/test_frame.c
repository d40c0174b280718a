#include "frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_every_split(void **state)
{
	char bytes[FRAME_HEAD + 5];
	struct frame f;

	frame_head(bytes, 5, 2);
	memcpy(bytes + FRAME_HEAD, "hello", 5);
	for (size_t n = 0; n < sizeof(bytes); n++) {
		assert_int_equal(frame_parse(slice_of(bytes, n), 5, &f), 0);
		assert_int_equal(f.total, n < FRAME_HEAD ? 0 : sizeof(bytes));
	}
	assert_int_equal(frame_parse(slice_of(bytes, sizeof(bytes)), 5, &f), 1);
	assert_true(slice_is(f.payload, "hello"));
	assert_int_equal(f.fds_n, 2);
	assert_int_equal(f.total, sizeof(bytes));
}

static void test_refuses_before_the_payload_is_there(void **state)
{
	char bytes[FRAME_HEAD];
	struct frame f;

	frame_head(bytes, 6, 0);
	assert_int_equal(frame_parse(slice_of(bytes, FRAME_HEAD), 5, &f), -ERRC_TOOBIG);
	frame_head(bytes, UINT32_MAX, 0);
	assert_int_equal(frame_parse(slice_of(bytes, FRAME_HEAD), 1 << 20, &f), -ERRC_TOOBIG);
	frame_head(bytes, 5, 0);
	bytes[4] = FRAME_FDS_MAX + 1;
	assert_int_equal(frame_parse(slice_of(bytes, FRAME_HEAD), 5, &f), -ERRC_PROTOCOL);
	for (int i = 5; i < FRAME_HEAD; i++) {
		frame_head(bytes, 5, 0);
		bytes[i] = 1;
		assert_int_equal(frame_parse(slice_of(bytes, FRAME_HEAD), 5, &f), -ERRC_PROTOCOL);
	}
}

static void test_large_lengths_keep_their_bytes(void **state)
{
	char bytes[FRAME_HEAD];
	struct frame f;

	frame_head(bytes, 0x01020304, 0);
	assert_int_equal(frame_parse(slice_of(bytes, FRAME_HEAD), SIZE_MAX, &f), 0);
	assert_int_equal(f.total, FRAME_HEAD + 0x01020304);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_refuses_before_the_payload_is_there),
		cmocka_unit_test(test_large_lengths_keep_their_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
