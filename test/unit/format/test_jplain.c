/* The end of plain bytes is found wherever it lies: by one, by sixteen, by sixty-four and by the wide way. */
#include "jplain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mem.h"

#define TEXT_MAX (2 * JPLAIN_FAR + 100)

static void test_every_place(void **state)
{
	static const char odd[] = {'"', '\\', '\0', '\n', '\x1f', '\x80', '\xff'};

	for (size_t n = 0; n < TEXT_MAX; n += n < 100 ? 1 : 37) {
		char *text = mem_new(n); /* of its own, so that reading beyond it is found out */

		assert_non_null(text);
		memset(text, 'a', n);
		assert_ptr_equal(jplain_end(text, text + n), text + n);
		for (size_t at = 0; at < n; at++) {
			text[at] = odd[at % sizeof(odd)];
			assert_ptr_equal(jplain_end(text, text + n), text + at);
			assert_ptr_equal(jplain_end(text + at, text + n), text + at);
			text[at] = 'a';
		}
		mem_free(text);
	}
}

static void test_every_byte(void **state)
{
	char text[TEXT_MAX];

	for (size_t at = 0; at < sizeof(text); at += 29) {
		for (int c = 0; c < 256; c++) {
			memset(text, '~', sizeof(text));
			text[at] = (char)c;
			assert_ptr_equal(jplain_end(text, text + sizeof(text)),
					 text + (jplain_is((uint8_t)c) ? sizeof(text) : at));
		}
	}
}

/* As far as it likes, but never beyond what is plain. */
static void test_far(void **state)
{
	char text[TEXT_MAX];

	memset(text, ' ', sizeof(text));
	assert_in_range(jplain_far(text, text + sizeof(text)), text, text + sizeof(text));
	for (size_t at = 0; at < sizeof(text); at++) {
		text[at] = '"';
		assert_in_range(jplain_far(text, text + sizeof(text)), text, text + at);
		text[at] = ' ';
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_place),
		cmocka_unit_test(test_every_byte),
		cmocka_unit_test(test_far),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
