/* What is believed of a wall clock that jumps, over restarts and boots. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "folder.h"
#include "trust.h"

#define SECOND INT64_C(1000)
#define HOUR   (3600 * SECOND)
#define DAY    (24 * HOUR)
#define YEAR   (365 * DAY)

static int64_t boot_ms, wall_ms;
static char dir[] = "/tmp/aigw-trust-XXXXXX", path[64];
static struct trust t;

int64_t __wrap_clock_age_ms(void);
int64_t __wrap_clock_age_ms(void)
{
	return boot_ms;
}

int64_t __wrap_clock_wall_ms(void);
int64_t __wrap_clock_wall_ms(void)
{
	return wall_ms;
}

static void pass(int64_t ms)
{
	boot_ms += ms;
	wall_ms += ms;
}

/* So far behind the wall clock is what is believed. */
static int64_t behind(void)
{
	return wall_ms - trust_now_ms(&t);
}

static void open_it(int64_t newest_ms)
{
	trust_init(&t);
	trust_open(&t, dir, clock_age_ms(), newest_ms);
}

static void again(void)
{
	trust_fini(&t);
	open_it(0);
}

static int setup(void **state)
{
	(void)state;
	memcpy(strrchr(dir, '-'), "-XXXXXX", sizeof "-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof path, "%s/" TRUST_NAME, dir);
	boot_ms = 3 * HOUR;
	wall_ms = INT64_C(1790000000000);
	open_it(0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	trust_fini(&t);
	folder_remove("%s", dir);
	return 0;
}

/* The same file in another boot. */
static void reboot(int64_t off_ms)
{
	static const char other[] = "00000000-0000-0000-0000-000000000000";
	char text[256];
	size_t n;
	FILE *f = fopen(path, "r+");

	assert_non_null(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	memcpy(strstr(text, " 1 ") + 3, other, sizeof other - 1);
	rewind(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	boot_ms = 10 * SECOND;
	wall_ms += off_ms;
	again();
}

static void test_ahead_for_a_while(void **state)
{
	(void)state;
	assert_int_equal(behind(), 0);
	for (int i = 0; i < 100; i++) {
		pass(HOUR);
		wall_ms += i % 2 ? TRUST_STEP_MS : -TRUST_STEP_MS;
		assert_int_equal(behind(), 0);
	}
	wall_ms += YEAR;
	assert_int_equal(behind(), YEAR);
	pass(23 * HOUR);
	assert_int_equal(behind(), YEAR);
	wall_ms -= YEAR;
	assert_int_equal(behind(), 0);
	wall_ms += YEAR;
	assert_int_equal(behind(), YEAR);
	pass(23 * HOUR);
	assert_int_equal(behind(), YEAR);
	/* Another jump begins its own day. */
	wall_ms += YEAR;
	assert_int_equal(behind(), 2 * YEAR);
	pass(23 * HOUR);
	assert_int_equal(behind(), 2 * YEAR);
	pass(HOUR);
	assert_int_equal(behind(), 0);
	pass(YEAR);
	assert_int_equal(behind(), 0);
}

/* The earlier one counts, and one that is right again at once. */
static void test_back(void **state)
{
	(void)state;
	assert_int_equal(behind(), 0);
	wall_ms -= YEAR;
	assert_int_equal(behind(), 0);
	pass(HOUR);
	assert_int_equal(behind(), 0);
	wall_ms += YEAR;
	assert_int_equal(behind(), 0);
	wall_ms -= YEAR;
	assert_int_equal(behind(), 0);
	pass(DAY);
	assert_int_equal(behind(), 0);
	wall_ms += YEAR; /* it had been so for a day */
	assert_int_equal(behind(), YEAR);
}

static void test_restart(void **state)
{
	(void)state;
	assert_int_equal(behind(), 0);
	trust_save(&t, dir);
	pass(30 * DAY); /* nobody looks */
	again();
	assert_int_equal(behind(), 0);
	trust_save(&t, dir);
	wall_ms += YEAR;
	again();
	assert_int_equal(behind(), YEAR);
	trust_save(&t, dir);
	pass(20 * HOUR);
	trust_save(&t, dir);
	again();
	assert_int_equal(behind(), YEAR);
	pass(4 * HOUR);
	assert_int_equal(behind(), 0);
	trust_save(&t, dir);
	again();
	assert_int_equal(behind(), 0);
}

static void test_reboot(void **state)
{
	(void)state;
	assert_int_equal(behind(), 0);
	trust_save(&t, dir);
	reboot(TRUST_OFF_MS);
	assert_int_equal(behind(), 0);
	trust_save(&t, dir);
	reboot(YEAR);
	assert_int_equal(behind(), YEAR);
	pass(8 * HOUR);
	assert_int_equal(behind(), YEAR);
	/* Off each night: as many hours of each day make up one. */
	for (int i = 0; i < 2; i++) {
		trust_save(&t, dir);
		reboot(16 * HOUR);
		assert_true(behind() > YEAR);
		pass(8 * HOUR);
	}
	assert_int_equal(behind(), 0);
	/* Set right before it is believed. */
	trust_save(&t, dir);
	reboot(YEAR);
	assert_int_equal(behind(), YEAR);
	wall_ms -= YEAR;
	assert_int_equal(behind(), 0);
	wall_ms += HOUR;
	assert_int_equal(behind(), HOUR);
	/* A battery that is empty, until the network tells the time. */
	wall_ms -= HOUR;
	assert_int_equal(behind(), 0);
	trust_save(&t, dir);
	reboot(-10 * YEAR);
	assert_int_equal(behind(), 0);
	wall_ms += 10 * YEAR;
	assert_int_equal(behind(), 0);
}

/* Then the ledger's last record tells, if there is one. */
static void test_no_file(void **state)
{
	static char half[80] = "aigw-clock 1 ";
	const char *const texts[] = {NULL, "", "aigw-clock 1 x", "aigw-clock 2 x 1 1 1 1\n", half};
	FILE *boot = fopen("/proc/sys/kernel/random/boot_id", "r");

	(void)state;
	/* Of this boot, up to the second number. */
	assert_non_null(boot);
	assert_int_equal(fread(half + strlen(half), 1, 36, boot), 36);
	fclose(boot);
	memcpy(half + strlen(half), " 5 6", sizeof " 5 6");
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		FILE *f = texts[i] ? fopen(path, "w") : NULL;

		if (f && (fputs(texts[i], f) < 0 || fclose(f) != 0))
			fail();
		trust_fini(&t);
		open_it(wall_ms - HOUR);
		assert_int_equal(behind(), 0);
		trust_fini(&t);
		open_it(wall_ms - YEAR);
		assert_int_equal(behind(), YEAR);
		trust_open(&t, dir, boot_ms, wall_ms); /* it is open */
		assert_int_equal(behind(), YEAR);
		trust_fini(&t);
		open_it(0);
		assert_int_equal(behind(), 0);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_ahead_for_a_while, setup, teardown),
		cmocka_unit_test_setup_teardown(test_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_restart, setup, teardown),
		cmocka_unit_test_setup_teardown(test_reboot, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
