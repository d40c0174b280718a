#include "inflate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <zlib.h>

#include "mem.h"

static char packed[20000];

static struct slice pack(const void *p, size_t n, enum inflate_format format)
{
	z_stream z = {.next_in = (unsigned char *)(uintptr_t)p, .avail_in = (unsigned)n};

	z.next_out = (unsigned char *)packed;
	z.avail_out = sizeof(packed);
	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, format == INFLATE_GZIP ? 31 : 15, 8,
				      Z_DEFAULT_STRATEGY),
			 Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return slice_of(packed, sizeof(packed) - z.avail_out);
}

static enum errc unpack(struct slice in, size_t cut, enum inflate_format format, size_t max,
			struct buf *out)
{
	struct inflate *z;
	enum errc rc = inflate_new(format, max, &z);

	buf_reset(out);
	if (!rc)
		rc = inflate_push(z, slice_sub(in, 0, cut), out);
	if (!rc)
		rc = inflate_push(z, slice_sub(in, cut, in.n), out);
	if (!rc)
		rc = inflate_finish(z);
	inflate_free(&z);
	inflate_free(&z);
	return rc;
}

static const char text[] =
	"{\"model\":\"m1\",\"messages\":[{\"role\":\"user\",\"content\":\"hello hello hello\"}]}";
static const struct slice plain = {text, sizeof(text) - 1};

static void test_every_split(void **state)
{
	struct buf out;

	buf_init(&out, 1000);
	for (int format = INFLATE_GZIP; format <= INFLATE_DEFLATE; format++) {
		struct slice in = pack(text, plain.n, (enum inflate_format)format);

		for (size_t cut = 0; cut <= in.n; cut++) {
			assert_int_equal(unpack(in, cut, (enum inflate_format)format, plain.n, &out),
					 ERRC_OK);
			assert_true(slice_eq(buf_slice(&out), plain));
			assert_int_equal(
				unpack(in, cut, (enum inflate_format)format, plain.n - 1, &out),
				ERRC_TOOBIG);
			assert_int_equal(unpack(slice_sub(in, 0, cut), cut,
						(enum inflate_format)format, 1000, &out),
					 cut == in.n ? ERRC_OK : ERRC_TRUNCATED);
			assert_int_equal(
				unpack(in, cut,
				       format == INFLATE_GZIP ? INFLATE_DEFLATE : INFLATE_GZIP,
				       1000, &out),
				ERRC_SYNTAX);
		}
	}
	buf_fini(&out);
	assert_int_equal(mem_live_count(), 0);
}

static void test_garbage_behind_and_damage_within(void **state)
{
	struct slice in = pack(text, plain.n, INFLATE_GZIP);
	struct buf out;

	buf_init(&out, 1000);
	packed[in.n] = 'x';
	for (size_t cut = 0; cut <= in.n + 1; cut++)
		assert_int_equal(unpack(slice_of(in.p, in.n + 1), cut, INFLATE_GZIP, 1000, &out),
				 ERRC_SYNTAX);
	/* a second member is garbage too */
	memcpy(packed + in.n, packed, in.n);
	assert_int_equal(unpack(slice_of(in.p, 2 * in.n), 0, INFLATE_GZIP, 1000, &out), ERRC_SYNTAX);
	packed[in.n - 6] ^= 1; /* the checksum */
	assert_int_equal(unpack(in, 0, INFLATE_GZIP, 1000, &out), ERRC_SYNTAX);
	assert_int_equal(unpack(SLICE_LIT("no gzip at all"), 3, INFLATE_GZIP, 1000, &out),
			 ERRC_SYNTAX);
	assert_int_equal(unpack(SLICE_NONE, 0, INFLATE_GZIP, 1000, &out), ERRC_TRUNCATED);
	buf_fini(&out);
}

/* 10 MB of zeros in 10 KB: no more than the ceiling is ever held. */
static void test_bomb(void **state)
{
	static char zeros[10 << 20];
	struct slice in = pack(zeros, sizeof(zeros), INFLATE_GZIP);
	struct buf out;

	buf_init(&out, 100000);
	assert_int_equal(unpack(in, 100, INFLATE_GZIP, 70000, &out), ERRC_TOOBIG);
	assert_int_equal(out.len, 70000);
	assert_int_equal(unpack(in, 100, INFLATE_GZIP, SIZE_MAX, &out), ERRC_TOOBIG);
	assert_true(out.cap <= 100000);
	buf_fini(&out);
	buf_init(&out, sizeof(zeros));
	assert_int_equal(unpack(in, 100, INFLATE_GZIP, sizeof(zeros), &out), ERRC_OK);
	assert_int_equal(out.len, sizeof(zeros));
	buf_fini(&out);
}

static void test_empty_body(void **state)
{
	struct slice in = pack("", 0, INFLATE_GZIP);
	struct buf out;

	buf_init(&out, 10);
	for (size_t cut = 0; cut <= in.n; cut++)
		assert_int_equal(unpack(in, cut, INFLATE_GZIP, 0, &out), ERRC_OK);
	assert_true(buf_is_empty(&out));
	buf_fini(&out);
}

static void test_failing_allocations(void **state)
{
	struct slice in = pack(text, plain.n, INFLATE_GZIP);
	enum errc rc = ERRC_NOMEM;

	for (unsigned n = 1; rc; n++) {
		struct buf out;

		buf_init(&out, 1000);
		mem_fail_after(n);
		rc = unpack(in, in.n / 2, INFLATE_GZIP, 1000, &out);
		mem_fail_after(0);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
		buf_fini(&out);
		assert_int_equal(mem_live_count(), 0);
		assert_in_range(n, 1, 20);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_garbage_behind_and_damage_within),
		cmocka_unit_test(test_bomb),
		cmocka_unit_test(test_empty_body),
		cmocka_unit_test(test_failing_allocations),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
