/* Output that a provider tells in the middle of a stream: what a cut is charged, and a dead worker's request, and when a stream is too much. Texts
 * have tokens of 32 bytes: by their bytes they are eight tokens each where nobody tells, four where it is to be sure. */
#include "scene.h"

#include <stdio.h>

#define CAP      50 /* scene_chat()'s */
#define EACH     32
#define NOT_TOLD (-1)

/* A text, or none of `bytes` 0, with what is told by then. */
static void item(struct scene *s, struct mem_xport *up, int bytes, int64_t input, int64_t output,
		 int64_t reasoning)
{
	char text[512], usage[256] = "";

	if (output != NOT_TOLD)
		snprintf(usage, sizeof(usage),
			 ",\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%lld,"
			 "\"completion_tokens_details\":{\"reasoning_tokens\":%lld}}",
			 (long long)input, (long long)output, (long long)reasoning);
	if (bytes)
		snprintf(text, sizeof(text),
			 "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{"
			 "\"index\":0,\"delta\":{\"content\":\"%0*d\"}}]%s}",
			 bytes, 0, usage);
	else
		snprintf(text, sizeof(text),
			 "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[]%s}",
			 usage);
	scene_item(s, up, text);
}

static void texts(struct scene *s, struct mem_xport *up, int n)
{
	for (; n > 0; n--)
		item(s, up, EACH, 0, NOT_TOLD, 0);
}

/* Up to so many, told is one for each of them, up to so many. As many as there were. */
static int64_t told_texts(struct scene *s, struct mem_xport *up, int n, int told_max)
{
	int i = 0;

	while (i < n && !mem_xport_is_closed(up)) {
		i++;
		item(s, up, EACH, 10, MIN_OF(i, told_max), 0);
	}
	return i;
}

static struct mem_xport *begin(struct scene *s)
{
	struct mem_xport *up = scene_up(s, "one");

	scene_chat(s, "solo", true);
	scene_stream(s, up);
	return up;
}

/* The client leaves; the keeper would have settled by the same numbers. */
static const struct record_charge *leave(struct scene *s, int64_t output, bool estimated)
{
	struct call *c = scene_at(s, CALL_RELAY);
	const struct record_charge *r;
	uint32_t candidate;
	struct usage u;

	assert_true(progress_read(live_progress(s->rig.live), c->slot, &c->id, &candidate, &u));
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), output);
	assert_int_equal(u.estimated, estimated);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(r->end, RECORD_END_CLIENT_GONE);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT), output);
	assert_int_equal(r->usage.estimated, estimated);
	assert_true(r->charge_nusd <= r->hold_nusd);
	return r;
}

static void expect_cost(const struct record_charge *r, int64_t output)
{
	assert_int_equal(r->charge_nusd, 10 * 1000 + output * 2000);
}

static void test_told_to_the_last(void **state)
{
	struct scene *s = *state;

	told_texts(s, begin(s), 20, 20);
	expect_cost(leave(s, 20, false), 20);
}

/* What came behind it is counted, and added. */
static void test_told_but_for_the_last(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s);

	told_texts(s, up, 10, 10);
	texts(s, up, 3);
	expect_cost(leave(s, 10 + 3 * EACH / 4, true), 10 + 3 * EACH / 4);
}

/* What is guessed is no more than was asked for. */
static void test_guessed_up_to_the_cap(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s);

	told_texts(s, up, 10, 10);
	texts(s, up, 8);
	expect_cost(leave(s, CAP, true), CAP);
}

/* Nor than was held, where there was more input than that was for. */
static void test_guessed_up_to_the_hold(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s);
	const struct record_charge *r;

	item(s, up, EACH, scene_call(s)->route.v[0].input_bound + 20, 1, 0);
	texts(s, up, 9);
	r = leave(s, CAP, true);
	assert_true(r->flags & RECORD_CAPPED);
	assert_int_equal(r->charge_nusd, r->hold_nusd);
}

/* A token with which a stream begins is no count of what follows, and not one beside it. */
static void test_told_at_the_start(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s);

	item(s, up, 0, 10, 1, 0);
	texts(s, up, 4);
	expect_cost(leave(s, 4 * EACH / 4, true), 4 * EACH / 4);
}

/* Nor does it become one by being repeated. */
static void test_told_the_same(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s);

	told_texts(s, up, 4, 1);
	expect_cost(leave(s, 4 * EACH / 4, true), 4 * EACH / 4);
}

/* Reasoning that is hidden is told before any text. */
static void test_told_of_hidden_reasoning(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s);

	item(s, up, 0, 10, 20, 20);
	texts(s, up, 2);
	expect_cost(leave(s, 20 + 2 * EACH / 4, true), 20 + 2 * EACH / 4);
}

/* As many tokens as were asked for are not too many, however long they are. */
static void test_long_tokens_within_the_cap(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s);
	const struct record_charge *r;

	assert_int_equal(told_texts(s, up, CAP, CAP), CAP);
	scene_at(s, CALL_RELAY);
	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
		   "\"delta\":{},\"finish_reason\":\"stop\"}]}");
	item(s, up, 0, 10, CAP, 0);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(r->end, RECORD_END_DONE);
	assert_false(r->flags & (RECORD_CAPPED | RECORD_ESTIMATED));
	expect_cost(r, CAP);
}

/* A text of `each` tokens is the first that the hold does not pay for. */
static void expect_stopped(struct scene *s, int64_t tokens, int64_t each)
{
	const struct record_charge *r = scene_charge(s);

	scene_none(s);
	assert_true(slice_is(r->attempts[0].error, "hold_used_up"));
	assert_int_equal(r->charge_nusd, r->hold_nusd);
	assert_true(10 * 1000 + tokens * 2000 > r->hold_nusd);
	assert_true(10 * 1000 + (tokens - each) * 2000 <= r->hold_nusd);
}

static void test_long_tokens_beyond_the_cap(void **state)
{
	struct scene *s = *state;

	expect_stopped(s, told_texts(s, begin(s), 200, 200), 1);
}

static void test_long_tokens_beyond_the_cap_told_the_same(void **state)
{
	struct scene *s = *state;

	expect_stopped(s, told_texts(s, begin(s), 200, 1) * EACH / 8, EACH / 8);
}

/* Who tells no more is believed no more. */
static void test_long_tokens_beyond_the_cap_told_no_more(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s);
	int64_t n = 0;

	item(s, up, 8, 10, 1, 0);
	for (; !mem_xport_is_closed(up) && n < 200; n++)
		texts(s, up, 1);
	expect_stopped(s, 1 + n * EACH / 8, EACH / 8);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_told_to_the_last),
		T(test_told_but_for_the_last),
		T(test_guessed_up_to_the_cap),
		T(test_guessed_up_to_the_hold),
		T(test_told_at_the_start),
		T(test_told_the_same),
		T(test_told_of_hidden_reasoning),
		T(test_long_tokens_within_the_cap),
		T(test_long_tokens_beyond_the_cap),
		T(test_long_tokens_beyond_the_cap_told_the_same),
		T(test_long_tokens_beyond_the_cap_told_no_more),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
