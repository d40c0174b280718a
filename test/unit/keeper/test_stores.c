/* A live store that is replaced stays open for those who hold it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "mem.h"
#include "stores.h"

static struct live *make(const char *dir, uint64_t epoch)
{
	struct live_opts o = {.dir = dir,
			      .epoch = epoch,
			      .size_bytes = 1024 * 1024,
			      .regions = 2,
			      .slots = 4,
			      .any_filesystem = true};
	struct live *l = NULL;

	assert_int_equal(live_create(&o, &l), ERRC_OK);
	return l;
}

static void test_replaced(void **state)
{
	char dir[] = "/tmp/aigw-stores-XXXXXX", a[64], b[64];
	struct live *first, *held, *second;
	size_t blocks = mem_live_count();
	struct stores s;

	assert_non_null(mkdtemp(dir));
	snprintf(a, sizeof(a), "%s/a", dir);
	snprintf(b, sizeof(b), "%s/b", dir);
	stores_init(&s);
	first = make(a, 1);
	stores_put(&s, first);
	held = stores_hold(&s);
	assert_ptr_equal(held, first);
	second = make(b, 2);
	stores_put(&s, second);
	assert_ptr_equal(stores_hold(&s), second);
	stores_drop(&s, second);
	assert_int_equal(live_head(held)->epoch, 1); /* still open */
	stores_drop(&s, held);
	assert_ptr_equal(stores_hold(&s), second);
	stores_drop(&s, second);
	stores_fini(&s);
	assert_int_equal(mem_live_count(), blocks);
	assert_int_equal(live_remove(a), ERRC_OK);
	assert_int_equal(live_remove(b), ERRC_OK);
	assert_int_equal(rmdir(dir), 0);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_replaced)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
