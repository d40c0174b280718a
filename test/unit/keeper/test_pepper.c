/* The pepper file: made once, kept, refused when it is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pepper.h"

static void test_made_once(void **state)
{
	char dir[] = "/tmp/aigw-pepper-XXXXXX", path[64];
	uint8_t first[PEPPER_BYTES], again[PEPPER_BYTES];
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/pepper", dir);
	assert_int_equal(pepper_open(dir, first), ERRC_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(st.st_size, PEPPER_BYTES);
	assert_int_equal(pepper_open(dir, again), ERRC_OK);
	assert_memory_equal(first, again, PEPPER_BYTES);

	assert_int_equal(truncate(path, PEPPER_BYTES - 1), 0);
	assert_int_equal(pepper_open(dir, again), ERRC_CORRUPT);
	assert_int_equal(truncate(path, PEPPER_BYTES + 1), 0);
	assert_int_equal(pepper_open(dir, again), ERRC_CORRUPT);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(pepper_open(dir, again), ERRC_OK);
	assert_memory_not_equal(first, again, PEPPER_BYTES);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(pepper_open(dir, again), ERRC_NOTFOUND);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_made_once)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
