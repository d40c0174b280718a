/* Why a folder cannot be used: said for the user who asks, down to the folder that is in the way. */
#include "unusable.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "folder.h"

#define NOBODY 65534
#define ELSE   "set `state` to another folder"

static char top[32], said[UNUSABLE_MAX + 1];

static int setup(void **state)
{
	snprintf(top, sizeof top, "/tmp/aigw-unusable-XXXXXX");
	return mkdtemp(top) && chmod(top, 0755) == 0 ? 0 : -1;
}

static int teardown(void **state)
{
	(void)chmod(top, 0700);
	folder_remove("%s", top);
	return 0;
}

static const char *at(const char *name)
{
	static char path[128];

	snprintf(path, sizeof path, "%s%s", top, name);
	return path;
}

static const char *say(const char *path, enum errc e)
{
	struct buf out;

	buf_init(&out, UNUSABLE_MAX);
	unusable_say(&out, path, ELSE, e);
	memcpy(said, out.p, out.len);
	said[out.len] = 0;
	buf_fini(&out);
	return said;
}

/* As a user whom modes bind: root is none. */
static const char *say_as_other(const char *path, enum errc e)
{
	bool root = geteuid() == 0;

	if (root)
		assert_int_equal(seteuid(NOBODY), 0);
	say(path, e);
	if (root)
		assert_int_equal(seteuid(0), 0);
	return said;
}

static void expect(const char *a, const char *b, const char *c)
{
	if (!strstr(said, a) || !strstr(said, b) || !strstr(said, c))
		fail_msg("%s", said);
}

static void test_read_only(void **state)
{
	char want[256];

	snprintf(want, sizeof want,
		 "%s lies on a file system that is mounted read-only: mount it for writing, or "
		 "" ELSE,
		 top);
	assert_int_equal(errc_from_errno(EROFS), ERRC_READONLY);
	assert_string_equal(say(at("/a/b"), ERRC_READONLY), want);
	assert_string_equal(say(top, ERRC_READONLY), want);
}

static void test_may_not_write(void **state)
{
	char user[32];

	assert_int_equal(mkdir(at("/state"), 0555), 0);
	assert_int_equal(chmod(at("/state"), 0555), 0);
	snprintf(user, sizeof user, "(uid %u)", geteuid() ? (unsigned)geteuid() : NOBODY);
	say_as_other(at("/state"), ERRC_PERM);
	expect(user, " may not write in ", "/state, which belongs to user ");
	expect("(mode 0555): give it to that user, or " ELSE, "", "");
	say_as_other(at("/state/ledger/x"), ERRC_PERM);
	expect(" may not write in ", "/state, which belongs to user ", "mode 0555");
}

static void test_may_not_enter(void **state)
{
	assert_int_equal(mkdir(at("/shut"), 0700), 0);
	assert_int_equal(mkdir(at("/shut/state"), 0755), 0);
	assert_int_equal(chmod(at("/shut"), 0), 0);
	say_as_other(at("/shut/state"), ERRC_PERM);
	expect(" may not enter ", "/shut, which belongs to user ",
	       "(mode 0000): let that user in, or " ELSE);
	assert_int_equal(chmod(at("/shut"), 0700), 0);
}

static void test_a_file_of_somebody(void **state)
{
	int fd = open(at("/master.lock"), O_WRONLY | O_CREAT, 0400);

	assert_true(fd >= 0);
	close(fd);
	say_as_other(at("/master.lock"), ERRC_PERM);
	expect(" may not write /tmp/", "/master.lock, which belongs to user ", "(mode 0400)");
	say(at("/master.lock/state"), ERRC_SYSTEM);
	expect("/master.lock is no folder: take it away, or " ELSE, "", "");
	say(at("/master.lock"), ERRC_INVAL);
	expect("/master.lock is no folder", "", "");
}

/* Nothing that can be seen is in the way. */
static void test_refused_all_the_same(void **state)
{
	say(top, ERRC_PERM);
	expect(" is refused, though ", top, "immutable");
	say(top, ERRC_IO);
	expect("input/output error: mend that, or " ELSE, "", "");
	say("no-such-folder-here/x", ERRC_READONLY);
	expect(". lies on", "", "");
}

static void test_long_paths(void **state)
{
	char path[8192];

	memset(path, 'x', sizeof path - 1);
	path[0] = '/';
	path[sizeof path - 1] = 0;
	assert_string_equal(say(path, ERRC_PERM), "not permitted: mend that, or " ELSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_read_only, setup, teardown),
		cmocka_unit_test_setup_teardown(test_may_not_write, setup, teardown),
		cmocka_unit_test_setup_teardown(test_may_not_enter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_file_of_somebody, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_all_the_same, setup, teardown),
		cmocka_unit_test_setup_teardown(test_long_paths, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
