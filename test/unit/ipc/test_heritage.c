#include "heritage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "check.h"
#include "mem.h"

/* The exec'd half: checks what came and answers through its exit status. */
static int child(void)
{
	struct heritage h;
	char c;

	if (heritage_take(&h) != ERRC_OK || getenv("AIGW_HERITAGE") || getenv("SECRET_KEY") ||
	    !getenv("AIGW_TEST_HOOK"))
		return 2;
	if (h.role != HERITAGE_KEEPER || h.workers != 3 || h.page_slot != 5 || h.generation != 77 ||
	    h.master_pid != getppid())
		return 3;
	if (strcmp(h.state, "/a path/with spaces") != 0 || strcmp(h.live, "") != 0 ||
	    strcmp(h.ledger_id, "abc") != 0)
		return 4;
	if (h.log_format != 1 || h.log_level != 3 || strcmp(h.log_to, "syslog") != 0)
		return 9;
	if (h.log_fd != -1 || h.keeper_bell_fd != -1 || h.worker_bell_fds[3] != -1)
		return 5;
	/* All three bells are copies of the write end of a pipe, chan_fd is its read end. */
	for (int i = 0; i < 3; i++) {
		if (!(fcntl(h.worker_bell_fds[i], F_GETFD) & FD_CLOEXEC) ||
		    write(h.worker_bell_fds[i], "x", 1) != 1)
			return 6;
		if (read(h.chan_fd, &c, 1) != 1)
			return 7;
	}
	for (int fd = 3; fd < 200; fd++) {
		bool ours = fd == h.chan_fd || fd == h.page_fd || fd == h.bell_fd;

		for (int i = 0; i < 3; i++)
			ours = ours || fd == h.worker_bell_fds[i];
		if (fcntl(fd, F_GETFD) >= 0 && !ours)
			return 8;
	}
	return 0;
}

static void fill(struct heritage *h, const int p[2])
{
	*h = (struct heritage){.role = HERITAGE_KEEPER,
			       .workers = 3,
			       .page_slot = 5,
			       .generation = 77,
			       .master_pid = getpid(),
			       .chan_fd = p[0],
			       .page_fd = p[1],
			       .bell_fd = p[0],
			       .keeper_bell_fd = -1,
			       .log_fd = -1,
			       .log_format = 1,
			       .log_level = 3,
			       .log_to = "syslog",
			       .ledger_id = "abc",
			       .state = "/a path/with spaces"};
	for (int i = 0; i < HERITAGE_WORKERS_MAX; i++)
		h->worker_bell_fds[i] = i < 3 ? p[1] : -1;
}

static void test_crosses_exec(void **state)
{
	int p[2], st, exe = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), stray = dup(0);
	struct heritage_plan *plan = NULL;
	struct heritage h;
	pid_t pid;

	assert_int_equal(pipe(p), 0);
	setenv("SECRET_KEY", "canary", 1);
	setenv("AIGW_TEST_HOOK", "1", 1);
	fill(&h, p);
	assert_int_equal(heritage_plan(&h, exe, &plan), ERRC_OK);
	pid = fork();
	if (pid == 0) {
		heritage_exec(plan);
		_exit(20);
	}
	assert_int_equal(waitpid(pid, &st, 0), pid);
	heritage_plan_free(&plan);
	assert_true(WIFEXITED(st));
	assert_int_equal(WEXITSTATUS(st), 0);
	close(p[0]);
	close(p[1]);
	close(exe);
	close(stray);
	assert_int_equal(mem_live_count(), 0);
}

static void test_no_heritage_is_the_master(void **state)
{
	struct heritage h;

	unsetenv("AIGW_HERITAGE");
	assert_int_equal(heritage_take(&h), ERRC_OK);
	assert_int_equal(h.role, HERITAGE_MASTER);
}

static void test_odd_texts(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"2 2 0 0 0 0 0 0 0 -1 -1 -1 -1 -1 0  0  0  0  ",
		"1 2 0 0 0 0 0 0 0 -1 -1 -1 -1 -1 0  0  0  0 ",
		"1 2 0 0 0 0 0 0 0 -1 -1 -1 -1 999999 0  0  0  0  ",
		"1 2 0 0 0 0 0 0 0 -1 -1 -1 -1 -1 99  0  0  0  ",
		"1 7 0 0 0 0 0 0 0 -1 -1 -1 -1 -1 0  0  0  0  ",
		"1 1 0 2 0 0 0 0 0 -1 -1 -1 -1 -1 0  0  0  0  -1 ",
		"1 2 0 0 0 0 0 0 0 -1 -1 -1 -1 -1 0  0  0  0  x",
	};
	struct heritage h;

	setenv("AIGW_HERITAGE", "1 2 0 0 0 0 0 0 0 -1 -1 -1 -1 -1 0  0  0  0  ", 1);
	assert_int_equal(heritage_take(&h), ERRC_OK);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		setenv("AIGW_HERITAGE", bad[i], 1);
		assert_int_equal(heritage_take(&h), ERRC_PROTOCOL);
	}
}

static void test_no_memory(void **state)
{
	struct heritage_plan *plan = NULL;
	struct heritage h;
	enum errc e;
	unsigned n = 0;

	fill(&h, (const int[2]){0, 1});
	do {
		mem_fail_after(++n);
		e = heritage_plan(&h, 0, &plan);
		mem_fail_after(0);
		assert_true(e == ERRC_OK || e == ERRC_NOMEM);
	} while (e);
	heritage_plan_free(&plan);
	assert_int_equal(mem_live_count(), 0);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_crosses_exec),
		cmocka_unit_test(test_no_heritage_is_the_master),
		cmocka_unit_test(test_odd_texts),
		cmocka_unit_test(test_no_memory),
	};

	if (argc == 1 && strcmp(argv[0], "aigwd: keeper") == 0)
		return child();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
