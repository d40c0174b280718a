#include "list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

struct item {
	int v;
	struct list node;
};

static int sum_in_order(const struct list *head)
{
	int v = 0;

	list_each (it, head)
		v = v * 10 + list_entry(it, struct item, node)->v;
	return v;
}

static void test_life(void **state)
{
	struct list a, b, *n;
	struct item i[4];

	list_init(&a);
	list_init(&b);
	assert_true(list_is_empty(&a));
	assert_null(list_pop_front(&a));
	for (int k = 0; k < 4; k++) {
		i[k].v = k + 1;
		list_init(&i[k].node);
		assert_false(list_is_linked(&i[k].node));
	}
	list_push_back(&a, &i[1].node);
	list_push_front(&a, &i[0].node);
	list_push_back(&b, &i[2].node);
	list_insert_after(&i[2].node, &i[3].node);
	assert_int_equal(sum_in_order(&a), 12);
	list_splice_back(&a, &b);
	list_splice_back(&a, &b);
	assert_int_equal(sum_in_order(&a), 1234);
	assert_true(list_is_empty(&b));
	list_each_safe (it, &a)
		if (list_entry(it, struct item, node)->v % 2)
			list_remove(it);
	assert_int_equal(sum_in_order(&a), 24);
	list_remove(&i[0].node);
	n = list_pop_front(&a);
	assert_ptr_equal(n, &i[1].node);
	assert_false(list_is_linked(n));
	assert_int_equal(sum_in_order(&a), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_life)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
