#include "genid.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "text.h"

static void test_text(void **state)
{
	struct genid id = {{0}}, back;
	char text[GENID_TEXT + 1];
	struct text_rng rng = {{7, 8}};

	genid_print(&id, text);
	assert_string_equal(text, "gen_00000000000000000000000000");
	memset(id.b, 0xff, sizeof id.b);
	genid_print(&id, text);
	assert_string_equal(text, "gen_7zzzzzzzzzzzzzzzzzzzzzzzzz");
	for (int round = 0; round < 2000; round++) {
		struct genid other;
		char text2[GENID_TEXT + 1];

		for (int i = 0; i < GENID_BYTES; i++) {
			id.b[i] = (uint8_t)text_rng_next(&rng);
			other.b[i] = round % 2 ? id.b[i] : (uint8_t)text_rng_next(&rng);
		}
		other.b[text_rng_next(&rng) % GENID_BYTES] ^= 1;
		genid_print(&id, text);
		genid_print(&other, text2);
		assert_int_equal(strcmp(text, text2) < 0, memcmp(id.b, other.b, GENID_BYTES) < 0);
		assert_true(genid_parse(slice_str(text), &back));
		assert_true(genid_eq(&id, &back));
		for (char *c = text + 4; *c; c++)
			if (*c >= 'a')
				*c ^= 0x20;
		assert_true(genid_parse(slice_str(text), &back));
		assert_true(genid_eq(&id, &back));
	}
}

static void test_refuses_other_text(void **state)
{
	static const char *const bad[] = {
		"",
		"gen_",
		"gen_0000000000000000000000000",
		"gen_000000000000000000000000000",
		"gen_80000000000000000000000000",
		"gen_0000000000000000000000000u",
		"gen_0000000000000000000000000-",
		"gen-00000000000000000000000000",
		"GEN_00000000000000000000000000",
	};
	struct genid id;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(genid_parse(slice_str(bad[i]), &id));
	assert_false(genid_parse(slice_of("gen_0000000000000000000000000\0", 30), &id));
}

static void test_time(void **state)
{
	struct genid_source s;
	struct genid a, b;

	genid_source_init(&s);
	a = genid_next(&s, INT64_C(1764063000123));
	b = genid_next(&s, INT64_C(1764063000124));
	assert_true(memcmp(a.b, b.b, GENID_BYTES) < 0);
	assert_int_equal(genid_ms(&a), INT64_C(1764063000123));
	memset(a.b, 0xff, sizeof a.b);
	assert_int_equal(genid_ms(&a), (INT64_C(1) << 48) - 1);
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, GENID_BYTES);
}

/* Two processes that share a source go on differently: 10,000 ids, all distinct. */
static void test_distinct_after_fork(void **state)
{
	enum { EACH = 5000 };
	static struct genid ids[2 * EACH];
	struct genid_source s;
	int fds[2];
	size_t got = 0;
	pid_t pid;

	genid_source_init(&s);
	for (int i = 0; i < 7; i++)
		ids[0] = genid_next(&s, 1);
	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		for (int i = 0; i < EACH; i++)
			ids[i] = genid_next(&s, 1);
		for (size_t at = 0; at < EACH * sizeof *ids;) {
			ssize_t n = write(fds[1], (char *)ids + at, EACH * sizeof *ids - at);

			if (n <= 0)
				_exit(1);
			at += (size_t)n;
		}
		_exit(0);
	}
	close(fds[1]);
	for (int i = 0; i < EACH; i++)
		ids[i] = genid_next(&s, 1);
	while (got < EACH * sizeof *ids) {
		ssize_t n = read(fds[0], (char *)(ids + EACH) + got, EACH * sizeof *ids - got);

		assert_true(n > 0);
		got += (size_t)n;
	}
	close(fds[0]);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	qsort(ids, ARRAY_LEN(ids), sizeof *ids, compare);
	for (size_t i = 1; i < ARRAY_LEN(ids); i++)
		assert_false(genid_eq(&ids[i - 1], &ids[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_refuses_other_text),
		cmocka_unit_test(test_time),
		cmocka_unit_test(test_distinct_after_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
