#include "sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

/* Appends what the reader gives as text: "<name>|<data>;", "-" for absent, "#;" for comments, "!"
 * before unfinished ones. */
static int drain(struct sse *s, struct buf *out)
{
	struct sse_event ev;
	int got;

	while ((got = sse_next(s, &ev)) > 0) {
		assert_true(ev.raw.n > 0);
		if (buf_addz(out, ev.is_unfinished ? "!" : "") != ERRC_OK)
			fail();
		if (ev.is_comment) {
			assert_null(ev.name.p);
			assert_null(ev.data.p);
			assert_int_equal(buf_addz(out, "#;"), ERRC_OK);
			continue;
		}
		assert_int_equal(buf_adds(out, ev.name.p ? ev.name : SLICE_LIT("-")), ERRC_OK);
		assert_int_equal(buf_addc(out, '|'), ERRC_OK);
		assert_int_equal(buf_adds(out, ev.data.p ? ev.data : SLICE_LIT("-")), ERRC_OK);
		assert_int_equal(buf_addc(out, ';'), ERRC_OK);
	}
	return got;
}

/* Feeds the parts before and between the cuts and what follows; each from memory of its own, so
 * that a read beyond shows. */
static void feed(struct slice in, size_t cut1, size_t cut2, struct buf *out, size_t max)
{
	const size_t cuts[] = {0, cut1, cut2, in.n};
	struct sse s;

	sse_init(&s, max);
	buf_reset(out);
	for (size_t i = 0; i + 1 < ARRAY_LEN(cuts); i++) {
		size_t n = cuts[i + 1] - cuts[i];
		char *copy = mem_dup(in.p + cuts[i], n);

		sse_push(&s, slice_of(copy, n));
		assert_int_equal(drain(&s, out), 0);
		mem_free(copy);
	}
	sse_finish(&s);
	assert_int_equal(drain(&s, out), 0);
	sse_fini(&s);
}

static const struct {
	struct slice in;
	const char *out;
} rows[] = {
	{SLICE_LIT(""), ""},
	{SLICE_LIT("\n\n\r\n\r\r"), ""},
	{SLICE_LIT("data: a\n\n"), "-|a;"},
	{SLICE_LIT("data:a\r\n\r\ndata:  b\r\n\r\n"), "-|a;-| b;"},
	{SLICE_LIT("data: a\r\rdata: b\r\r"), "-|a;-|b;"},
	{SLICE_LIT("data: a\r\n\ndata: b\n\r\ndata: c\r\n\rdata: d\n\r"), "-|a;-|b;-|c;-|d;"},
	{SLICE_LIT("data: a\ndata: b\ndata\ndata:\n\n"), "-|a\nb\n\n;"},
	{SLICE_LIT("data\n\n"), "-|;"},
	{SLICE_LIT("event: x\ndata: {\"a\":1}\nid: 7\nretry: 5\nother: z\n\n"), "x|{\"a\":1};"},
	{SLICE_LIT("event: x\nevent: y\n\n"), "y|-;"},
	{SLICE_LIT(": note\n\ndata: a\n: in\ndata: b\n\n:\n\n"), "#;-|a\nb;#;"},
	{SLICE_LIT("id: 1\n\n"), "-|-;"},
	{SLICE_LIT(" data: a\ndatax: b\n\n"), "-|-;"},
	{SLICE_LIT("data: a"), "!-|a;"},
	{SLICE_LIT("data: a\n"), "!-|a;"},
	{SLICE_LIT("data: a\r"), "!-|a;"},
	{SLICE_LIT("data: [DONE]\n\n: x"), "-|[DONE];!#;"},
	{SLICE_LIT("data: a\ndata: b\r\n"), "!-|a\nb;"},
	{SLICE_LIT("\xef\xbb\xbf"
		   "data: a\n\n"),
	 "-|a;"},
	{SLICE_LIT("\xef\xbb"
		   "data: a\n\n"),
	 "-|-;"},
	{SLICE_LIT("\xef\xbb\xbf\n\ndata: a\n\n"), "-|a;"},
	{SLICE_LIT("\xef"), "!-|-;"},
	{SLICE_LIT("d"), "!-|-;"},
	{SLICE_LIT("\ndata: a\n\n\n\n\ndata: b\n\n"), "-|a;-|b;"},
	{SLICE_LIT("data: \xc3\xa9\0z\n\n"), NULL},
};

static void test_every_split(void **state)
{
	struct buf out;

	buf_init(&out, 10000);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		for (size_t a = 0; a <= rows[i].in.n; a++)
			for (size_t b = a; b <= rows[i].in.n; b++) {
				feed(rows[i].in, a, b, &out, 1000);
				if (rows[i].out)
					assert_string_equal(buf_cstr(&out), rows[i].out);
				else
					assert_true(slice_eq(buf_slice(&out),
							     SLICE_LIT("-|\xc3\xa9\0z;")));
			}
	buf_fini(&out);
	assert_int_equal(mem_live_count(), 0);
}

static void test_byte_by_byte(void **state)
{
	struct buf out;

	buf_init(&out, 10000);
	for (size_t i = 0; i + 1 < ARRAY_LEN(rows); i++) {
		struct sse s;

		sse_init(&s, 1000);
		buf_reset(&out);
		for (size_t k = 0; k < rows[i].in.n; k++) {
			sse_push(&s, slice_sub(rows[i].in, k, 1));
			assert_int_equal(drain(&s, &out), 0);
		}
		sse_finish(&s);
		assert_int_equal(drain(&s, &out), 0);
		assert_string_equal(buf_cstr(&out), rows[i].out);
		sse_fini(&s);
	}
	buf_fini(&out);
}

/* The raw frames put together are the stream, so that it can be relayed frame by frame. */
static void test_raw_is_the_stream(void **state)
{
	static const struct slice in =
		SLICE_LIT(": hi\n\nevent: a\ndata: 1\n\ndata: 2\r\ndata: 3\r\n\r\ndata: 4\n\n");
	struct sse s;
	struct sse_event ev;
	struct buf raw;

	buf_init(&raw, 1000);
	for (size_t cut = 0; cut <= in.n; cut++) {
		/* A cut inside the CRLF that ends a frame: its LF is dropped. */
		bool dropped = cut && in.p[cut - 1] == '\r' && cut > 40;

		sse_init(&s, 1000);
		buf_reset(&raw);
		for (int half = 0; half < 2; half++) {
			sse_push(&s, half ? slice_sub(in, cut, in.n) : slice_sub(in, 0, cut));
			while (sse_next(&s, &ev) > 0)
				assert_int_equal(buf_adds(&raw, ev.raw), ERRC_OK);
		}
		assert_int_equal(s.events, 3);
		if (raw.len == in.n)
			assert_true(slice_eq(buf_slice(&raw), in));
		else
			assert_true(dropped && raw.len == in.n - 1);
		sse_fini(&s);
	}
	buf_fini(&raw);
}

static void test_no_copy_and_no_memory_within_one_push(void **state)
{
	static const struct slice in = SLICE_LIT("data: a\n\nevent: b\ndata: c\n\n: d\n\n");
	struct sse s;
	struct sse_event ev;
	size_t at = 0;

	sse_init(&s, 1000);
	mem_fail_after(1);
	sse_push(&s, in);
	while (sse_next(&s, &ev) > 0) {
		assert_ptr_equal(ev.raw.p, in.p + at);
		at += ev.raw.n;
		if (ev.data.p)
			assert_in_range((uintptr_t)ev.data.p, (uintptr_t)in.p,
					(uintptr_t)(in.p + in.n));
	}
	mem_fail_after(0);
	assert_int_equal(at, in.n);
	assert_int_equal(s.events, 2);
	sse_fini(&s);
}

static void test_ceiling(void **state)
{
	static const struct slice in = SLICE_LIT("data: 12345\ndata: 6\n\n");
	struct sse_event ev;
	struct buf out;

	buf_init(&out, 1000);
	for (size_t cut = 0; cut <= in.n; cut++) {
		struct sse s;
		int got = 0;

		feed(in, cut, cut, &out, in.n);
		assert_string_equal(buf_cstr(&out), "-|12345\n6;");
		sse_init(&s, in.n - 1);
		sse_push(&s, slice_sub(in, 0, cut));
		got = sse_next(&s, &ev);
		if (got == 0) {
			sse_push(&s, slice_sub(in, cut, in.n));
			got = sse_next(&s, &ev);
		}
		assert_int_equal(got, -ERRC_TOOBIG);
		assert_int_equal(sse_next(&s, &ev), -ERRC_TOOBIG);
		sse_fini(&s);
	}
	buf_fini(&out);
}

/* Many frames, larger than the ceiling together, and a CR-only stream of one push end soon. */
static void test_many_frames_in_one_push(void **state)
{
	struct buf in, out;
	struct sse s;

	buf_init(&in, 4 << 20);
	buf_init(&out, 4 << 20);
	for (int i = 0; i < 200000; i++)
		assert_int_equal(buf_addz(&in, i % 2 ? "\r" : "data: x\r"), ERRC_OK);
	sse_init(&s, 100);
	sse_push(&s, buf_slice(&in));
	assert_int_equal(drain(&s, &out), 0);
	assert_int_equal(s.events, 100000);
	sse_fini(&s);
	buf_fini(&in);
	buf_fini(&out);
}

static void test_large_frames_do_not_stay(void **state)
{
	static char big[100000];
	struct sse s;
	struct sse_event ev;

	memset(big, 'x', sizeof(big));
	sse_init(&s, 1 << 20);
	sse_push(&s, SLICE_LIT("data: "));
	assert_int_equal(sse_next(&s, &ev), 0);
	sse_push(&s, slice_of(big, sizeof(big)));
	assert_int_equal(sse_next(&s, &ev), 0);
	sse_push(&s, SLICE_LIT("\n\n"));
	assert_int_equal(sse_next(&s, &ev), 1);
	assert_int_equal(ev.data.n, sizeof(big));
	assert_int_equal(sse_next(&s, &ev), 0);
	assert_int_equal(mem_live_count(), 0);
	sse_fini(&s);
}

static void test_failing_allocations(void **state)
{
	static const struct slice in = SLICE_LIT("data: a\ndata: b\n\nevent: c\ndata: d\n\n");
	struct sse_event ev;

	for (unsigned n = 1; n < 20; n++)
		for (size_t cut = 0; cut <= in.n; cut++) {
			struct sse s;
			int got;

			sse_init(&s, 1000);
			mem_fail_after(n);
			sse_push(&s, slice_sub(in, 0, cut));
			while ((got = sse_next(&s, &ev)) > 0)
				;
			if (got == 0) {
				sse_push(&s, slice_sub(in, cut, in.n));
				while ((got = sse_next(&s, &ev)) > 0)
					;
			}
			mem_fail_after(0);
			assert_true(got == 0 || got == -ERRC_NOMEM);
			if (got == 0)
				assert_int_equal(s.events, 2);
			sse_fini(&s);
			assert_int_equal(mem_live_count(), 0);
		}
}

static void test_writer(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(sse_put(&b, SLICE_NONE, SLICE_LIT("{}")), ERRC_OK);
	assert_int_equal(sse_put(&b, SLICE_LIT("ping"), SLICE_LIT("a\nb\r\nc\rd\n")), ERRC_OK);
	assert_int_equal(sse_put_comment(&b, SLICE_LIT("aigw")), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "data: {}\n\nevent: ping\ndata: a\ndata: b\ndata: "
					  "c\ndata: d\ndata: \n\n: aigw\n\n");
	assert_int_equal(sse_put(&b, SLICE_LIT("a\nb"), SLICE_NONE), ERRC_INVAL);
	assert_int_equal(sse_put_comment(&b, SLICE_LIT("a\rb")), ERRC_INVAL);
	buf_reset(&b);
	assert_int_equal(sse_put(&b, SLICE_NONE, SLICE_NONE), ERRC_OK);
	assert_string_equal(buf_cstr(&b), "data: \n\n");
	buf_fini(&b);
	for (size_t max = 0; max < 20; max++) {
		buf_init(&b, max);
		assert_int_equal(sse_put(&b, SLICE_LIT("x"), SLICE_LIT("abc\nd")), ERRC_LIMIT);
		assert_true(buf_is_empty(&b));
		assert_int_equal(sse_put_comment(&b, SLICE_LIT("12345678901234567")), ERRC_LIMIT);
		assert_true(buf_is_empty(&b));
		buf_fini(&b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_split),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_raw_is_the_stream),
		cmocka_unit_test(test_no_copy_and_no_memory_within_one_push),
		cmocka_unit_test(test_ceiling),
		cmocka_unit_test(test_many_frames_in_one_push),
		cmocka_unit_test(test_large_frames_do_not_stay),
		cmocka_unit_test(test_failing_allocations),
		cmocka_unit_test(test_writer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
