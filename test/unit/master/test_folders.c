#include "folders.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static const struct drop_ids nobody_else = {0};

static void test_made_with_what_is_above(void **state)
{
	char dir[] = "/tmp/aigw-folders-XXXXXX", path[128];
	struct stat st;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a/b/c", dir);
	assert_int_equal(folders_make(path, 0700, &nobody_else), ERRC_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(folders_make(path, 0700, &nobody_else), ERRC_OK);
	snprintf(path, sizeof(path), "%s/a/b/c/file", dir);
	fclose(fopen(path, "w"));
	assert_int_equal(folders_make(path, 0700, &nobody_else), ERRC_INVAL);
	assert_int_not_equal(folders_make("/proc/no/such", 0700, &nobody_else), ERRC_OK);
	(void)unlink(path);
	snprintf(path, sizeof(path), "%s/a/b/c", dir);
	for (size_t cut = strlen(path); cut > strlen(dir); cut -= 2) {
		(void)rmdir(path);
		path[cut - 2] = 0;
	}
	assert_int_equal(rmdir(dir), 0);
}

static void test_live_path(void **state)
{
	char path[PATH_MAX], small[8];

	assert_int_equal(folders_live_path(SLICE_LIT("/x"), "0123abcd", path, sizeof(path)),
			 ERRC_OK);
	assert_string_equal(path, "/x/0123abcd");
	assert_int_equal(folders_live_path(SLICE_NONE, "0123456789", path, sizeof(path)), ERRC_OK);
	assert_non_null(strstr(path, "0123456789"));
	assert_int_equal(folders_live_path(SLICE_LIT("/x"), "0123abcd", small, sizeof(small)),
			 ERRC_TOOBIG);
}

static void test_live_folder_must_be_memory_with_room(void **state)
{
	char dir[] = "/dev/shm/aigw-folders-XXXXXX", other[] = "/var/tmp/aigw-folders-XXXXXX",
	     path[128];

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/id", dir);
	assert_int_equal(folders_live_make(path, 4096, &nobody_else), ERRC_OK);
	assert_int_equal(folders_live_make(path, UINT64_MAX, &nobody_else), ERRC_NOSPACE);
	(void)rmdir(path);
	(void)rmdir(dir);
	assert_non_null(mkdtemp(other));
	snprintf(path, sizeof(path), "%s/id", other);
	assert_int_equal(folders_live_make(path, 4096, &nobody_else), ERRC_INVAL);
	(void)rmdir(path);
	(void)rmdir(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_made_with_what_is_above),
		cmocka_unit_test(test_live_path),
		cmocka_unit_test(test_live_folder_must_be_memory_with_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
