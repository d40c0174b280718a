/* The one body of /v1/models for all readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "json.h"
#include "models.h"

static struct price price;
static const struct price *const rows[] = {&price};
static const struct tariff tariff = {rows, 1};
static const struct models_ask now = {.mult_ppm = PRICE_PPM};
static struct ptable_model list[3];
static struct ptable table = {.models = list, .models_n = 3};

static int make(void **state)
{
	static const char *const names[] = {"a", "b/x", "c"};

	price_init(&price);
	price.pusd[USAGE_INPUT] = 1750000;
	price.pusd[USAGE_OUTPUT] = 14000000;
	assert_int_equal(price_complete(&price), ERRC_OK);
	for (size_t i = 0; i < 3; i++)
		list[i] = (struct ptable_model){
			.name = slice_str(names[i]),
			.context = 1000,
			.max_output = 100,
			.created_s = 1700000000,
			.can = PTABLE_IS_CHAT | PTABLE_CAN_TOOLS,
			.price = &tariff,
		};
	return 0;
}

static bool not_b(void *arg, const struct ptable_model *m)
{
	return m->name.p[0] != 'b';
}

static struct json_doc *get(const struct models_ask *ask)
{
	struct json_doc *doc = NULL;
	struct buf b;

	buf_init(&b, 65536);
	assert_int_equal(models_list(&table, ask, &b), ERRC_OK);
	assert_int_equal(json_parse(buf_slice(&b), NULL, &doc), ERRC_OK);
	buf_fini(&b);
	return doc;
}

static void an_entry_has_every_readers_fields(void **state)
{
	struct buf b;
	const char *want = "{\"id\":\"a\",\"object\":\"model\",\"type\":\"model\",\"created\":"
			   "1700000000,\"created_at\":\"2023-11-14T22:13:20Z\","
			   "\"owned_by\":\"aigw\",\"display_name\":\"a\",\"name\":\"a\",\"context_"
			   "length\":1000,\"max_completion_tokens\":100,"
			   "\"architecture\":{\"input_modalities\":[\"text\"],\"output_"
			   "modalities\":[\"text\"]},"
			   "\"pricing\":{\"prompt\":\"0.00000175\",\"completion\":\"0.000014\","
			   "\"request\":\"0\",\"input_cache_read\":\"0.00000175\","
			   "\"input_cache_write\":\"0.00000175\"},\"supported_parameters\":[\"max_"
			   "tokens\",\"max_completion_tokens\",\"temperature\","
			   "\"top_p\",\"stop\",\"tools\",\"tool_choice\"]}";

	buf_init(&b, 65536);
	assert_int_equal(models_one(&list[0], &now, &b), ERRC_OK);
	assert_string_equal(buf_cstr(&b), want);
	buf_fini(&b);
}

static void lists_are_filtered_and_paged(void **state)
{
	struct models_ask ask = {.mult_ppm = PRICE_PPM, .allows = not_b};
	struct json_doc *doc = get(&ask);
	const struct json *root = json_root(doc);

	assert_int_equal(json_count(json_obj_get(root, "data")), 2);
	assert_false(json_is_true(json_obj_get(root, "has_more")));
	assert_true(slice_is(json_str(json_obj_get(root, "last_id")), "c"));
	json_free(&doc);
	ask = (struct models_ask){.mult_ppm = PRICE_PPM, .limit = 1, .after_id = SLICE_LIT("a")};
	doc = get(&ask);
	root = json_root(doc);
	assert_int_equal(json_count(json_obj_get(root, "data")), 1);
	assert_true(json_is_true(json_obj_get(root, "has_more")));
	assert_true(slice_is(json_str(json_obj_get(root, "first_id")), "b/x"));
	json_free(&doc);
	ask = (struct models_ask){.mult_ppm = PRICE_PPM, .after_id = SLICE_LIT("z")};
	doc = get(&ask);
	assert_true(json_is_null(json_obj_get(json_root(doc), "first_id")));
	json_free(&doc);
}

static void etags_follow_the_body(void **state)
{
	char a[MODELS_ETAG_MAX], b[MODELS_ETAG_MAX];

	models_etag(SLICE_LIT("x"), a);
	models_etag(SLICE_LIT("y"), b);
	assert_int_equal(strlen(a), 18);
	assert_string_not_equal(a, b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_entry_has_every_readers_fields),
		cmocka_unit_test(lists_are_filtered_and_paged),
		cmocka_unit_test(etags_follow_the_body),
	};

	return cmocka_run_group_tests(tests, make, NULL);
}
