#include "lockfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

static void test_one_holder_whose_pid_is_told(void **state)
{
	char path[] = "/tmp/aigw-lockfile-XXXXXX";
	pid_t holder, pid;
	int st, other, fd = mkstemp(path);

	close(fd);
	assert_int_equal(lockfile_take(path, &fd, &holder), ERRC_OK);
	pid = fork();
	if (pid == 0) {
		enum errc e = lockfile_take(path, &other, &holder);

		_exit(e == ERRC_BUSY && holder == getppid() && other == -1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_int_equal(st, 0);
	close(fd);
	pid = fork();
	if (pid == 0)
		_exit(lockfile_take(path, &other, &holder) == ERRC_OK ? 0 : 1);
	assert_int_equal(waitpid(pid, &st, 0), pid);
	assert_int_equal(st, 0);
	assert_int_equal(lockfile_take(path, &fd, &holder), ERRC_OK);
	close(fd);
	(void)unlink(path);
	assert_int_equal(lockfile_take("/nonexistent-folder/lock", &fd, &holder), ERRC_NOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_one_holder_whose_pid_is_told)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
