#include "unfinished.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "slice.h"

static char top[64];
static int dir = -1;

static int setup(void **state)
{
	snprintf(top, sizeof(top), "/tmp/aigw-unfinished-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	dir = open(top, O_RDONLY | O_DIRECTORY);
	return dir < 0;
}

static int teardown(void **state)
{
	close(dir);
	return rmdir(top); /* nothing else may be left in it */
}

static void put_file(int folder, const char *name)
{
	int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL, 0600);

	assert_true(fd >= 0);
	close(fd);
}

static void put_folder(const char *name)
{
	assert_int_equal(mkdirat(dir, name, 0700), 0);
}

static bool is_there(const char *name)
{
	return faccessat(dir, name, F_OK, 0) == 0;
}

/* One that somebody works on stays; with its lock goes what protects it. */
static void test_sweep(void **state)
{
	char place[128], path[2][PATH_MAX];
	int fd[2];

	snprintf(place, sizeof(place), "%s/backup/", top);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(unfinished_make(place, path[i], &fd[i]), ERRC_OK);
		assert_int_equal(mkdirat(fd[i], "ledger", 0700), 0);
		put_file(fd[i], "ledger/data.mdb");
		put_file(fd[i], "pepper");
	}
	put_folder("backup.unfinished-12345"); /* not a name that we give */
	put_folder(".unfinished-123456");
	close(fd[0]);
	assert_int_equal(unfinished_sweep(dir), ERRC_OK);
	assert_int_not_equal(access(path[0], F_OK), 0);
	assert_int_equal(faccessat(fd[1], "pepper", F_OK, 0), 0);
	close(fd[1]);
	assert_int_equal(unfinished_sweep(dir), ERRC_OK);
	assert_int_not_equal(access(path[1], F_OK), 0);
	assert_int_equal(unlinkat(dir, "backup.unfinished-12345", AT_REMOVEDIR), 0);
	assert_int_equal(unlinkat(dir, ".unfinished-123456", AT_REMOVEDIR), 0);
	assert_int_equal(unfinished_make("/nonexistent-folder/x", path[0], &fd[0]), ERRC_NOTFOUND);
	assert_string_equal(path[0], "");
}

/* The ledgers that were put aside stay, and so does the one in place. */
static void test_sweep_state(void **state)
{
	static const char *const files[] = {"ledger/data.mdb", "ledger/unfinished",
					    "ledger.before-1/data.mdb", "ledger.before-2/data.mdb",
					    "ledger.before-2/unfinished"};
	int fd = open(top, O_PATH | O_DIRECTORY);

	put_folder("ledger");
	put_folder("ledger.before-1");
	put_folder("ledger.before-2");
	put_folder("ledger.before-3");
	put_folder("ledger.unfinished-abcdef");
	put_folder("others");
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		put_file(dir, files[i]);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(unfinished_sweep_state(fd), ERRC_OK);
		assert_true(is_there("ledger/data.mdb") && is_there("ledger.before-1/data.mdb"));
		assert_false(is_there("ledger/unfinished"));
		assert_false(is_there("ledger.before-2") || is_there("ledger.before-3") ||
			     is_there("ledger.unfinished-abcdef"));
	}
	close(fd);
	assert_int_equal(unfinished_remove(dir, "ledger"), ERRC_OK);
	assert_int_equal(unfinished_remove(dir, "ledger.before-1"), ERRC_OK);
	assert_int_equal(unfinished_remove(dir, "ledger.before-1"), ERRC_OK);
	assert_int_equal(unlinkat(dir, "others", AT_REMOVEDIR), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_sweep, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sweep_state, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
