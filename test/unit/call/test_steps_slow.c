/* A client that does not read keeps its provider waiting: whose fault the end of such an answer is. */
#include "scene.h"

#include <stdio.h>

static const char role[] =
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
	"\"m\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},"
	"\"finish_reason\":null}]}";
static const char error_item[] = "{\"error\":{\"message\":\"broken\",\"type\":\"server_error\"}}";
static const char overload_item[] =
	"{\"error\":{\"message\":\"busy\",\"type\":\"overloaded_error\"}}";

static int64_t texts; /* that came, of five bytes each */

/* The client does not read for so long, as often. Much is to send in few tokens, so that the hold lasts. */
static struct mem_xport *stall(struct scene *s, int64_t ms, int times)
{
	struct mem_xport *up = scene_up(s, "one");
	char wide[2048];

	texts = 0;
	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, role);
	snprintf(wide, sizeof(wide), "%.*s,\"pad\":\"%01500d\"}", (int)strlen(scene_text) - 1,
		 scene_text, 0);
	for (; times > 0; times--) {
		scene_hold_client(s);
		for (; mem_xport_is_reading(up); texts++)
			scene_item(s, up, wide);
		scene_advance(s, ms);
		scene_at(s, CALL_RELAY);
		scene_release_client(s);
	}
	assert_true(mem_xport_is_reading(up));
	return up;
}

static void expect_slow(struct scene *s)
{
	const struct record_charge *r = scene_charge(s);

	scene_none(s);
	scene_expect_out(s, "data: {\"error\":");
	assert_true(slice_find(mem_xport_out(s->client), SLICE_LIT("\r\n0\r\n\r\n")) < 0);
	assert_true(mem_xport_is_shut(s->client));
	assert_int_equal(r->end, RECORD_END_CLIENT_SLOW);
	assert_true(r->usage.estimated);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT), texts * 5 / 4);
	assert_int_equal(r->charge_nusd,
			 usage_get(&r->usage, USAGE_INPUT) * 1000 + texts * 5 / 4 * 2000);
	assert_true(slice_is(r->attempts[0].error, "client_slow"));
}

static void expect_free(struct scene *s)
{
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_UPSTREAM_ERROR);
	assert_int_equal(scene_charge(s)->charge_nusd, 0);
}

/* A provider that breaks off its answer because the client does not read it is at no fault: what came is charged. */
static void test_cut_behind_a_stall(void **state)
{
	struct scene *s = *state;

	mem_xport_reset(stall(s, 1000, 1), ERRC_CONNRESET);
	scene_run(s);
	expect_slow(s);
}

static void test_end_behind_stalls(void **state)
{
	struct scene *s = *state;

	mem_xport_eof(stall(s, 300, 4));
	scene_run(s);
	expect_slow(s);
}

static void test_silence_behind_a_stall(void **state)
{
	struct scene *s = *state;

	stall(s, 5000, 1);
	scene_advance(s, 121000);
	expect_slow(s);
}

/* So where what breaks off is another gateway's answer, which tells it. */
static void test_error_item_behind_a_stall(void **state)
{
	struct scene *s = *state;

	scene_item(s, stall(s, 5000, 1), error_item);
	expect_slow(s);
}

/* Under policy `drain` the client need not even stay. */
static void test_cut_behind_a_stall_of_a_client_that_left(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;

	s->calls->rt->t->set.client_gone = SETTINGS_CLIENT_GONE_DRAIN;
	up = stall(s, 5000, 1);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_at(s, CALL_RELAY);
	mem_xport_reset(up, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_CLIENT_SLOW);
	assert_int_equal(usage_get(&scene_charge(s)->usage, USAGE_OUTPUT), texts * 5 / 4);
	assert_true(scene_charge(s)->charge_nusd > texts * 5 / 4 * 2000);
}

/* No provider gives up for so little. */
static void test_cut_behind_a_short_stall(void **state)
{
	struct scene *s = *state;

	mem_xport_reset(stall(s, 300, 3), ERRC_CONNRESET);
	scene_run(s);
	expect_free(s);
}

/* Nor for any: it says why. */
static void test_overload_behind_a_stall(void **state)
{
	struct scene *s = *state;

	scene_item(s, stall(s, 5000, 1), overload_item);
	expect_free(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_cut_behind_a_stall),
		T(test_end_behind_stalls),
		T(test_silence_behind_a_stall),
		T(test_error_item_behind_a_stall),
		T(test_cut_behind_a_stall_of_a_client_that_left),
		T(test_cut_behind_a_short_stall),
		T(test_overload_behind_a_stall),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
