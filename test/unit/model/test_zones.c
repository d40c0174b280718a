#include "zones.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "mem.h"
#include "zone_folder.h"

static int set_up(void **state)
{
	zone_folder_make();
	zone_folder_put("Area/Three", "AAA-3");
	zone_folder_put("Area/Broken", "AAA");
	return 0;
}

static int tear_down(void **state)
{
	zone_folder_remove();
	return 0;
}

static void test_names(void **state)
{
	static const char *const good[] = {"UTC",
					   "Europe/Berlin",
					   "America/Argentina/Buenos_Aires",
					   "America/Port-au-Prince",
					   "Etc/GMT+12",
					   "EST5EDT"},
				 *const bad[] = {"",
						 "/",
						 "/etc/passwd",
						 "..",
						 "../etc/passwd",
						 "Europe/../../etc",
						 "Europe/.hidden",
						 "Europe/",
						 "Europe//Berlin",
						 "Europe/Ber lin",
						 "a\nb",
						 "./UTC",
						 "Zone\xc3\xa9",
						 "<+03>-3"};
	char much[ZONES_NAME_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		assert_true(zones_name_is_valid(slice_str(good[i])));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_false(zones_name_is_valid(slice_str(bad[i])));
	memset(much, 'a', sizeof much);
	assert_true(zones_name_is_valid(slice_of(much, ZONES_NAME_MAX)));
	assert_false(zones_name_is_valid(slice_of(much, ZONES_NAME_MAX + 1)));
}

static void test_find(void **state)
{
	const struct zone *z, *again;
	size_t live = mem_live_count();

	assert_int_equal(zones_find(SLICE_LIT("Area/Three"), &z), ERRC_OK);
	assert_int_equal(zone_offset_s(z, 0), 3 * 3600);
	assert_int_equal(zones_find(SLICE_LIT("Area/Three"), &again), ERRC_OK);
	assert_ptr_equal(z, again);
	assert_ptr_equal(zones_get(SLICE_LIT("Area/Three")), z);
	assert_int_equal(zones_find(SLICE_NONE, &z), ERRC_OK);
	assert_null(z);
	assert_int_equal(zones_find(SLICE_LIT("UTC"), &z), ERRC_OK);
	assert_null(z);
	assert_null(zones_get(SLICE_NONE));
	assert_int_equal(zones_find(SLICE_LIT("../Area/Three"), &z), ERRC_INVAL);
	assert_null(zones_get(SLICE_LIT("../Area/Three")));
	assert_int_equal(zones_find(SLICE_LIT("Area/Broken"), &z), ERRC_SYNTAX);
	assert_int_equal(zones_find(SLICE_LIT("Area"), &z), ERRC_SYNTAX);
	assert_int_equal(zones_find(SLICE_LIT("Area/Three/None"), &z), ERRC_NOTFOUND);
	assert_null(z);
	zones_fini();
	assert_int_equal(mem_live_count(), live);
}

/* Counting goes on in UTC; who sets a zone asks the folder again each time. */
static void test_missing(void **state)
{
	const struct zone *z;

	assert_null(zones_get(SLICE_LIT("Area/Late")));
	assert_int_equal(zones_find(SLICE_LIT("Area/Late"), &z), ERRC_NOTFOUND);
	zone_folder_put("Area/Late", "BBB5");
	assert_null(zones_get(SLICE_LIT("Area/Late")));
	assert_int_equal(zones_find(SLICE_LIT("Area/Late"), &z), ERRC_OK);
	assert_int_equal(zone_offset_s(z, 0), -5 * 3600);
	assert_ptr_equal(zones_get(SLICE_LIT("Area/Late")), z);
	zones_fini();
}

static void test_many(void **state)
{
	const struct zone *z, *three;
	char name[32];

	assert_int_equal(zones_find(SLICE_LIT("Area/Three"), &three), ERRC_OK);
	for (int i = 1; i < ZONES_MAX; i++) {
		snprintf(name, sizeof name, "No/%d", i * 7919 % 10007);
		assert_int_equal(zones_find(slice_str(name), &z), ERRC_NOTFOUND);
	}
	assert_int_equal(zones_find(SLICE_LIT("No/More"), &z), ERRC_LIMIT);
	assert_null(zones_get(SLICE_LIT("No/More")));
	assert_ptr_equal(zones_get(SLICE_LIT("Area/Three")), three);
	zones_fini();
}

static void test_no_memory(void **state)
{
	const struct zone *z;
	size_t live = mem_live_count();
	enum errc rc = ERRC_NOMEM;

	for (unsigned n = 1; rc == ERRC_NOMEM; n++) {
		assert_true(n < 10);
		mem_fail_after(n);
		rc = zones_find(SLICE_LIT("Area/Three"), &z);
		mem_fail_after(0);
		zones_fini();
		assert_int_equal(mem_live_count(), live);
	}
	assert_int_equal(rc, ERRC_OK);
	mem_fail_after(1);
	assert_null(zones_get(SLICE_LIT("Area/Three")));
	mem_fail_after(0);
	mem_fail_after(3);
	assert_null(zones_get(SLICE_LIT("Area/Three")));
	mem_fail_after(0);
	assert_int_equal(zone_offset_s(zones_get(SLICE_LIT("Area/Three")), 0), 3 * 3600);
	zones_fini();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),     cmocka_unit_test(test_find),
		cmocka_unit_test(test_missing),   cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
