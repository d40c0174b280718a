#include "check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static char text[4096];

/* Runs fn with stderr in a pipe and reads what it wrote. */
static void capture(void (*fn)(void))
{
	int p[2], old = dup(STDERR_FILENO);
	ssize_t n;

	assert_int_equal(pipe(p), 0);
	dup2(p[1], STDERR_FILENO);
	fn();
	dup2(old, STDERR_FILENO);
	close(p[1]);
	n = read(p[0], text, sizeof(text) - 1);
	text[n > 0 ? n : 0] = '\0';
	close(p[0]);
	close(old);
}

static void survive_many(void)
{
	for (int i = 0; i < 10; i++)
		assert_true(check_fails(i < 0));
	assert_false(check_fails(text[0] == text[0]));
}

static void test_check_fails_reports_once_a_place(void **state)
{
	const char *at;

	capture(survive_many);
	at = strstr(text, "event=check_failed message=\"");
	assert_non_null(at);
	assert_non_null(strstr(at, "i < 0 does not hold"));
	assert_null(strstr(at + 1, "event=check_failed"));
}

/* A child, because nothing less dies of require(). It starts no thread and is waited for at once. */
static void die(void)
{
	const struct rlimit no_core = {0, 0};
	pid_t child = fork();
	int status;

	if (child == 0) {
		signal(SIGABRT, SIG_DFL);
		setrlimit(RLIMIT_CORE, &no_core);
		require(child != 0);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void test_require_logs_and_aborts(void **state)
{
	capture(die);
	assert_non_null(strstr(text, "level=error event=check_abort"));
	assert_non_null(strstr(text, "require(child != 0) failed"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_check_fails_reports_once_a_place),
		cmocka_unit_test(test_require_logs_and_aborts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
