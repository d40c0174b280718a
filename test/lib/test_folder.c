/* What removes the folders of tests: all of them, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"

static char top[32];

static const char *at(const char *name)
{
	static char path[256];

	snprintf(path, sizeof path, "%s/%s", top, name);
	return path;
}

static void put(const char *name, size_t bytes)
{
	int fd = open(at(name), O_WRONLY | O_CREAT, 0640);

	assert_true(fd >= 0);
	for (size_t i = 0; i < bytes; i++)
		assert_int_equal(write(fd, &(char){(char)i}, 1), 1);
	close(fd);
}

static bool is_there(const char *name)
{
	struct stat st;

	return lstat(at(name), &st) == 0;
}

/* a/b/c/file, a/empty, and stays/file, which is none of it. */
static int setup(void **state)
{
	snprintf(top, sizeof top, "/tmp/aigw-folder-XXXXXX");
	if (!mkdtemp(top) || mkdir(at("a"), 0700) || mkdir(at("a/b"), 0750) ||
	    mkdir(at("a/b/c"), 0700) || mkdir(at("stays"), 0700))
		return -1;
	put("a/b/c/file", 5000);
	put("a/empty", 0);
	put("stays/file", 3);
	return 0;
}

static int teardown(void **state)
{
	folder_remove("%s", top);
	return access(top, F_OK) == 0;
}

static void test_remove(void **state)
{
	char link[256];

	snprintf(link, sizeof link, "%s", at("a/link"));
	assert_int_equal(symlink(at("stays"), link), 0);
	folder_remove("%s/%s", top, "a");
	assert_false(is_there("a"));
	assert_true(is_there("stays/file"));
	folder_remove("%s/%s", top, "a"); /* once more */
	folder_remove("%s/stays/file", top);
	assert_true(is_there("stays"));
	assert_false(is_there("stays/file"));
}

static void test_copy(void **state)
{
	char to[256], bytes[5001];
	struct stat st;
	int fd;

	snprintf(to, sizeof to, "%s", at("copy"));
	folder_copy(at("a"), to);
	assert_true(is_there("copy/empty") && is_there("a/b/c/file"));
	fd = open(at("copy/b/c/file"), O_RDONLY);
	assert_int_equal(read(fd, bytes, sizeof bytes), 5000);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(bytes[i], (char)i);
	close(fd);
	assert_int_equal(stat(at("copy/b/c/file"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640);
	assert_int_equal(stat(at("copy/b"), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0750);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_copy, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
