#include "ledger_id.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

static char dir[64];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/aigw-ledger-id-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/ledger_id", dir);
	(void)unlink(path);
	return rmdir(dir); /* nothing else may be left in it */
}

static void put(const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof(path), "%s/ledger_id", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void test_made_once(void **state)
{
	char a[LEDGER_ID_DIGITS + 1], b[LEDGER_ID_DIGITS + 1];

	assert_int_equal(ledger_id_open(dir, a), ERRC_OK);
	assert_int_equal(strlen(a), LEDGER_ID_DIGITS);
	assert_int_equal(ledger_id_open(dir, b), ERRC_OK);
	assert_string_equal(a, b);
}

static void test_odd_files(void **state)
{
	static const char *const bad[] = {"", "x", "0123456789abcdef0123456789abcde",
					  "0123456789abcdef0123456789abcdeg\n",
					  "0123456789abcdef0123456789abcdef0"};
	char id[LEDGER_ID_DIGITS + 1];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		put(bad[i]);
		assert_int_equal(ledger_id_open(dir, id), ERRC_CORRUPT);
	}
	put("0123456789ABCDEF0123456789abcdef\n");
	assert_int_equal(ledger_id_open(dir, id), ERRC_OK);
	assert_string_equal(id, "0123456789abcdef0123456789abcdef");
	assert_int_equal(ledger_id_open("/nonexistent-folder", id), ERRC_NOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_made_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_odd_files, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
