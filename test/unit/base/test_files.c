#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void test_sync_folder(void **state)
{
	char dir[] = "/tmp/aigw-files-XXXXXX", path[64];
	FILE *f;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(files_sync_folder(dir), ERRC_OK);
	snprintf(path, sizeof(path), "%s/file", dir);
	assert_int_equal(files_sync_folder(path), ERRC_NOTFOUND);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_not_equal(files_sync_folder(path), ERRC_OK);
	unlink(path);
	rmdir(dir);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sync_folder)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
