#include "log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char dir[] = "/tmp/aigw-log-XXXXXX", path[64], path2[64], text[1 << 20];

static const char *read_file(const char *name)
{
	FILE *f = fopen(name, "r");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;

	if (f)
		fclose(f);
	text[n] = '\0';
	return text;
}

static size_t count(const char *s, const char *what)
{
	size_t n = 0;

	for (; (s = strstr(s, what)); s++)
		n++;
	return n;
}

static enum errc start(const char *to, enum log_format format, enum log_level level)
{
	const struct log_opts o = {.to = to, .format = format, .level = level, .process = "test"};

	return log_start(&o);
}

static char to[128];

static const char *file_target(const char *name)
{
	snprintf(to, sizeof(to), "file:%s", name);
	return to;
}

static int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/a.log", dir);
	snprintf(path2, sizeof(path2), "%s/b.log", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	unlink(path2);
	return rmdir(dir);
}

static int clean(void **state)
{
	log_stop();
	unlink(path);
	unlink(path2);
	return 0;
}

static void *producer(void *arg)
{
	for (int i = 0; i < 500; i++)
		log_info("tick", "number %d of %s", i, (const char *)arg);
	return NULL;
}

static void test_file_levels_and_threads(void **state)
{
	pthread_t t;
	uint64_t before = log_dropped();

	assert_int_equal(start(file_target(path), LOG_TEXT, LOG_INFO), ERRC_OK);
	assert_true(log_wants(LOG_INFO));
	assert_false(log_wants(LOG_DEBUG));
	log_debug("unseen", "%d", 1);
	assert_int_equal(pthread_create(&t, NULL, producer, (char[]){"other"}), 0);
	producer((char[]){"main"});
	pthread_join(t, NULL);
	log_stop();
	read_file(path);
	assert_int_equal(count(text, "event=tick"), 1000);
	assert_int_equal(count(text, "\n"), 1000);
	assert_int_equal(count(text, "unseen"), 0);
	assert_non_null(strstr(
		text, "level=info process=test event=tick message=\"number 499 of main\"\n"));
	assert_int_equal(log_dropped(), before);
	log_info("after", "stop");
	assert_int_equal(count(read_file(path), "event=after"), 1);
}

static void test_switch_and_failed_switch(void **state)
{
	const struct log_field f = LOG_B("ok", true);

	assert_int_equal(start(file_target(path), LOG_TEXT, LOG_INFO), ERRC_OK);
	log_line(LOG_INFO, "first", NULL, 0);
	assert_int_equal(start("file:/nonexistent/x", LOG_TEXT, LOG_INFO), ERRC_NOTFOUND);
	assert_int_equal(start("nowhere", LOG_TEXT, LOG_INFO), ERRC_INVAL);
	assert_int_equal(start("fd:x", LOG_TEXT, LOG_INFO), ERRC_INVAL);
	log_line(LOG_ERROR, "second", NULL, 0);
	log_stop();
	assert_int_equal(start(file_target(path2), LOG_JSON, LOG_DEBUG), ERRC_OK);
	log_line(LOG_DEBUG, "third", &f, 1);
	log_stop();
	read_file(path);
	assert_int_equal(count(text, "event=first") + count(text, "event=second"), 2);
	assert_non_null(strstr(read_file(path2), "\"event\":\"third\",\"ok\":true}\n"));
}

static void test_reopen_after_rotation(void **state)
{
	struct stat st;
	size_t old;

	assert_int_equal(start(file_target(path), LOG_TEXT, LOG_INFO), ERRC_OK);
	log_info("one", "x");
	assert_int_equal(rename(path, path2), 0);
	assert_int_equal(start(file_target(path), LOG_TEXT, LOG_INFO), ERRC_OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0640 & ~umask(umask(0)));
	log_info("two", "x");
	snprintf(to, sizeof(to), "fd:%d", open(path, O_WRONLY | O_APPEND));
	assert_int_equal(start(to, LOG_TEXT, LOG_INFO), ERRC_OK);
	log_info("three", "x");
	log_stop();
	old = count(read_file(path2), "event=");
	assert_int_equal(count(read_file(path), "event="), 3 - old);
}

/* A pipe that nobody reads: the ring fills, lines are dropped and counted, nothing blocks; then all
 * is told. */
static void test_full_ring_drops_and_counts(void **state)
{
	int p[2];
	uint64_t before = log_dropped(), lost;
	size_t n = 0;
	ssize_t got;

	assert_int_equal(pipe(p), 0);
	snprintf(to, sizeof(to), "fd:%d", p[1]);
	assert_int_equal(start(to, LOG_TEXT, LOG_INFO), ERRC_OK);
	for (int i = 0; i < 20000; i++)
		log_info("flood", "line %d of many that are long enough", i);
	lost = log_dropped() - before;
	assert_in_range(lost, 10000, 20000);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	for (int idle = 0; idle < 200;) {
		got = read(p[0], text + n, sizeof(text) - 1 - n);
		if (got > 0)
			n += (size_t)got;
		text[n] = '\0';
		if (got <= 0 && strstr(text, "event=log_dropped") &&
		    count(text, "event=flood") + lost == 20000)
			break;
		idle += got <= 0 && usleep(10000) == 0;
	}
	assert_int_equal(count(text, "event=flood") + lost, 20000);
	assert_non_null(strstr(text, "level=warn process=test event=log_dropped lines="));
	close(p[0]);
}

/* A datagram socket in a folder of the test stands for /dev/log; it needs no network and answers at
 * once. */
static void test_syslog(void **state)
{
	struct sockaddr_un at = {.sun_family = AF_UNIX};
	int s = socket(AF_UNIX, SOCK_DGRAM, 0);
	char line[400], want[64];
	ssize_t n;

	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof(at)), 0);
	snprintf(to, sizeof(to), "syslog:%s", path);
	assert_int_equal(start(to, LOG_TEXT, LOG_INFO), ERRC_OK);
	log_warn("odd", "a\nb");
	n = recv(s, line, sizeof(line) - 1, 0);
	assert_true(n > 0);
	line[n] = '\0';
	snprintf(want, sizeof(want), "<28>aigwd[%d]: time=", (int)getpid());
	assert_memory_equal(line, want, strlen(want));
	assert_non_null(strstr(line, "event=odd message=\"a\\nb\""));
	assert_null(strchr(line, '\n'));
	/* the daemon restarts */
	close(s);
	unlink(path);
	s = socket(AF_UNIX, SOCK_DGRAM, 0);
	assert_int_equal(bind(s, (struct sockaddr *)&at, sizeof(at)), 0);
	log_warn("again", "x");
	n = recv(s, line, sizeof(line) - 1, 0);
	assert_true(n > 0);
	line[n] = '\0';
	assert_non_null(strstr(line, "event=again"));
	log_stop();
	close(s);
	unlink(path);
	assert_int_equal(start(to, LOG_TEXT, LOG_INFO), ERRC_NOTFOUND);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_file_levels_and_threads, clean),
		cmocka_unit_test_teardown(test_switch_and_failed_switch, clean),
		cmocka_unit_test_teardown(test_reopen_after_rotation, clean),
		cmocka_unit_test_teardown(test_full_ring_drops_and_counts, clean),
		cmocka_unit_test_teardown(test_syslog, clean),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
