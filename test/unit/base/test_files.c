#include "files.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
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

static struct slice content(int dir, const char *name, char room[64])
{
	int fd = openat(dir, name, O_RDONLY);
	ssize_t n = read(fd, room, 64);

	close(fd);
	return n < 0 ? SLICE_NONE : slice_of(room, (size_t)n);
}

/* Also where one who was killed has left something aside. */
static void test_put(void **state)
{
	char path[] = "/tmp/aigw-files-XXXXXX", room[64], name[NAME_MAX + 1];
	struct stat st;
	int dir;

	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 2; i++) {
		close(openat(dir, "a" FILES_ASIDE, O_CREAT | O_WRONLY, 0644));
		assert_int_equal(files_put(dir, "a", 0600, SLICE_LIT("first"), FILES_NEW),
				 i == 0 ? ERRC_OK : ERRC_EXISTS);
		assert_true(slice_is(content(dir, "a", room), "first"));
		assert_int_equal(fstatat(dir, "a", &st, 0), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
		assert_int_not_equal(faccessat(dir, "a" FILES_ASIDE, F_OK, 0), 0);
	}
	assert_int_equal(files_put(dir, "a", 0600, SLICE_LIT("second"), FILES_REPLACE), ERRC_OK);
	assert_true(slice_is(content(dir, "a", room), "second"));
	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(files_put(dir, name, 0600, SLICE_NONE, FILES_NEW), ERRC_TOOBIG);
	assert_int_equal(unlinkat(dir, "a", 0), 0);
	/* A folder cannot be replaced by a file: nothing is left aside. */
	assert_int_equal(mkdirat(dir, "a", 0700), 0);
	assert_int_not_equal(files_put(dir, "a", 0600, SLICE_LIT("x"), FILES_REPLACE), ERRC_OK);
	assert_int_equal(unlinkat(dir, "a", AT_REMOVEDIR), 0);
	close(dir);
	assert_int_equal(rmdir(path), 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_sync_folder),
					   cmocka_unit_test(test_put)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
