/* What is charged, and what the keeper would charge, of a stream whose provider told of a part of it: of text, of sound and pictures, of one choice of
 * several; and that its end is, or is not, known by then. */
#include "scene.h"

#include <stdio.h>

#include "progress.h"

#define PICTURE                                                                          \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0," \
	"\"delta\":{\"images\":[{\"image_url\":{\"url\":\"data:,\"}}]}}]}"

/* What the keeper would settle by if the worker died now. */
static void expect_media(struct scene *s, int64_t output, int64_t pictures, bool estimated)
{
	struct call *c = scene_call(s);
	uint32_t candidate;
	struct usage u;

	assert_true(progress_read(live_progress(s->rig.live), c->slot, &c->id, &candidate, &u));
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), output);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT_IMAGE), pictures);
	assert_int_equal(u.estimated, estimated);
}

/* A picture is what the cap leaves until the provider says what it is. */
static void test_progress_of_pictures(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	int64_t cap;

	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, PICTURE);
	scene_at(s, CALL_RELAY);
	cap = scene_call(s)->grant.hold.cap[scene_call(s)->attempt->at];
	expect_media(s, 0, cap, true);
	scene_item(s, up, scene_text);
	expect_media(s, 1, cap - 1, true);
	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{"
		   "\"prompt_tokens\":10,\"completion_tokens\":5,\"completion_tokens_details\":{"
		   "\"image_tokens\":4}}}");
	expect_media(s, 1, 4, false);
	scene_item(s, up, scene_finish);
	expect_media(s, 1, 4, false);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	assert_int_equal(usage_get(&scene_charge(s)->usage, USAGE_OUTPUT_IMAGE), 4);
	assert_int_equal(scene_charge(s)->charge_nusd, SCENE_COST_NUSD);
}

#define SOUND                                                                            \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0," \
	"\"delta\":{\"audio\":{\"data\":\"AAAA\"}}}]}"
#define END(details)                                                                     \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0," \
	"\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,"     \
	"\"completion_tokens\":50,\"completion_tokens_details\":{" details "}}}"

#define TOLD(rest) ",\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":" rest "}"
#define ITEM(delta, rest)                                                                \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0," \
	"\"delta\":" delta "}]" rest "}"
#define IMAGE    "{\"images\":[{\"image_url\":{\"url\":\"data:,\"}}]}"
#define CLIP     "{\"audio\":{\"data\":\"AAAA\"}}"
#define WORDS(n) "{\"content\":\"" n "\"}"
#define FINISH                                                                           \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0," \
	"\"delta\":{},\"finish_reason\":\"stop\"}]}"
#define STOP(rest)                                                                       \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0," \
	"\"delta\":{},\"finish_reason\":\"stop\"}]" rest "}"
#define NONE(rest) "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[]" rest "}"
#define THOUGHT(n) ",\"completion_tokens_details\":{\"reasoning_tokens\":" n "}"
#define ANY        (-1) /* all that the cap leaves beside the text */

struct told {
	const char *model, *media, *end;
	int64_t output, sound, pictures;
	bool estimated;
};

/* A piece of text beside the media. */
static void paint(struct scene *s, const struct told *t)
{
	struct mem_xport *up = scene_up(s, "one");
	const struct record_charge *r;
	int64_t cost = 10 * 1000 + t->output * 2000;

	scene_chat(s, t->model, true);
	scene_stream(s, up);
	scene_item(s, up, PICTURE);
	scene_item(s, up, t->media);
	scene_item(s, up, scene_text);
	scene_item(s, up, t->end);
	expect_media(s, t->output + t->sound, t->pictures, t->estimated);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT), t->output);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT_AUDIO), t->sound);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT_IMAGE), t->pictures);
	assert_int_equal(!!(r->flags & RECORD_ESTIMATED), t->estimated);
	if (strcmp(t->model, "solo") != 0)
		cost += t->sound * 20000 + t->pictures * 30000;
	assert_int_equal(r->charge_nusd, cost);
}

/* A total of the output without a word of its media: what was not seen as text, or told as reasoning, is of them, where that has a price of its
 * own. What a provider tells stands. */
static void test_media_in_a_total(void **state)
{
	static const struct told cases[] = {
		{"paints", PICTURE, END(""), 1, 0, 49, true},
		{"paints", SOUND, END(""), 1, 1, 48, true},
		{"paints", PICTURE, END("\"reasoning_tokens\":20"), 21, 0, 29, true},
		{"paints", PICTURE, END("\"audio_tokens\":0"), 1, 0, 49, true},
		{"paints", SOUND, END("\"image_tokens\":30"), 1, 19, 30, true},
		{"paints", SOUND, END("\"audio_tokens\":9"), 1, 9, 40, true},
		{"paints", PICTURE, END("\"image_tokens\":0"), 50, 0, 0, false},
		{"solo", PICTURE, END(""), 50, 0, 0, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		paint(*state, &cases[i]);
}

/* Whatever was told on the way. */
static void test_media_in_a_last_total(void **state)
{
	static const struct told cases[] = {
		{"paints", ITEM(WORDS("abcd"), TOLD("1")), END(""), 2, 0, 48, true},
		{"paints", ITEM(WORDS("abcd"), TOLD("1")), END("\"image_tokens\":0"), 50, 0, 0,
		 false},
		{"solo", ITEM(WORDS("abcd"), TOLD("1")), END(""), 50, 0, 0, false},
	};

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		paint(*state, &cases[i]);
}

struct cut {
	const char *model, *items[4];
	int64_t output, sound, pictures;
	bool estimated;
};

enum cut_by { BY_CLIENT, BY_PROVIDER, CUTS };

/* The worker could die as well, as the slot then says. */
static void cut(struct scene *s, const struct cut *t, enum cut_by by)
{
	struct mem_xport *up = scene_up(s, "one");
	const struct record_charge *r;
	int64_t pictures = t->pictures;

	scene_chat(s, t->model, true);
	scene_stream(s, up);
	for (size_t i = 0; i < ARRAY_LEN(t->items) && t->items[i]; i++)
		scene_item(s, up, t->items[i]);
	scene_at(s, CALL_RELAY);
	if (pictures == ANY)
		pictures = scene_call(s)->grant.hold.cap[scene_call(s)->attempt->at] - t->output;
	if (t->sound == 0 || pictures >= t->sound)
		expect_media(s, t->output + t->sound, pictures, t->estimated);
	if (by == BY_CLIENT)
		mem_xport_reset(s->client, ERRC_CONNRESET);
	else
		mem_xport_eof(up);
	scene_run(s);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT), t->output);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT_AUDIO), t->sound);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT_IMAGE), pictures);
	assert_int_equal(!!(r->flags & RECORD_ESTIMATED), t->estimated);
	scene_clear(s);
}

/* What is told with media or behind them covers them, and what comes later stands beside it. */
static void test_media_in_a_cut_total(void **state)
{
	static const struct cut cases[] = {
		{"paints", {PICTURE}, 0, 0, ANY, true},
		{"solo", {PICTURE}, 0, 0, ANY, true},
		{"paints", {ITEM(IMAGE, TOLD("30"))}, 0, 0, 30, true},
		{"solo", {ITEM(IMAGE, TOLD("30"))}, 30, 0, 0, false},
		{"paints", {PICTURE, ITEM(WORDS(""), TOLD("30"))}, 0, 0, 30, true},
		{"solo", {PICTURE, ITEM(WORDS(""), TOLD("30"))}, 30, 0, 0, false},
		{"paints", {ITEM(CLIP, TOLD("14"))}, 0, 14, 0, true},
		{"solo", {ITEM(CLIP, TOLD("14"))}, 14, 0, 0, false},
		/* Text behind it. */
		{"paints", {ITEM(IMAGE, TOLD("30")), ITEM(WORDS("abcdefgh"), "")}, 2, 0, 30, true},
		{"solo", {ITEM(IMAGE, TOLD("30")), ITEM(WORDS("abcdefgh"), "")}, 32, 0, 0, true},
		/* One more picture behind it, and one behind a report of text alone. */
		{"paints", {ITEM(WORDS("a"), TOLD("1")), PICTURE}, 1, 0, ANY, true},
		{"solo", {ITEM(WORDS("a"), TOLD("1")), PICTURE}, 1, 0, ANY, true},
		{"paints", {ITEM(IMAGE, TOLD("30")), PICTURE}, 0, 0, ANY, true},
		{"paints", {ITEM(IMAGE, TOLD("30")), ITEM(CLIP, "")}, 0, 1, 30, true},
		{"solo",
		 {ITEM(CLIP, TOLD("14")), PICTURE, ITEM(WORDS(""), TOLD("44"))},
		 44,
		 0,
		 0,
		 false},
		/* No output at all is no report of one. */
		{"paints", {ITEM(IMAGE, TOLD("0"))}, 0, 0, ANY, true},
		{"solo", {ITEM(IMAGE, TOLD("30")), ITEM(WORDS(""), TOLD("0"))}, 0, 0, ANY, true},
		/* Told apart. */
		{"paints",
		 {ITEM(IMAGE, TOLD("30,\"completion_tokens_details\":{\"image_tokens\":29}"))},
		 1,
		 0,
		 29,
		 false},
		{"paints",
		 {ITEM(IMAGE, TOLD("30,\"completion_tokens_details\":{\"image_tokens\":0}"))},
		 30,
		 0,
		 0,
		 false},
		/* A total of both sides. */
		{"solo", {ITEM(IMAGE, ",\"usage\":{\"total_tokens\":9}")}, 1, 0, 0, true},
	};

	scene_break_none(*state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (enum cut_by by = 0; by < CUTS; by++) {
			cut(*state, &cases[i], by);
		}
}

/* A report of no more than the text has not seen the picture, until one does. */
static void test_pictures_behind_a_total(void **state)
{
	static const struct cut cases[] = {
		{"paints", {PICTURE, ITEM(WORDS("abcdefgh"), TOLD("2"))}, 2, 0, ANY, true},
		{"solo", {PICTURE, ITEM(WORDS("abcdefgh"), TOLD("2"))}, 2, 0, ANY, true},
		{"paints", {PICTURE, ITEM(WORDS("abcdefgh"), TOLD("4"))}, 4, 0, ANY, true},
		{"paints", {ITEM(IMAGE, TOLD("1"))}, 1, 0, ANY, true},
		{"solo", {PICTURE, ITEM(WORDS("abcd"), TOLD("40" THOUGHT("38")))}, 40, 0, ANY, true},
		{"solo", {PICTURE, ITEM(WORDS("abcd"), TOLD("1")), FINISH}, 1, 0, ANY, true},
		{"solo", {ITEM(WORDS("abcd"), TOLD("1")), PICTURE, FINISH}, 1, 0, ANY, true},
		{"paints",
		 {PICTURE, ITEM(WORDS("abcd"), TOLD("1")), ITEM(WORDS(""), TOLD("31"))},
		 1,
		 0,
		 30,
		 true},
		{"solo",
		 {PICTURE, ITEM(WORDS("abcd"), TOLD("1")), ITEM(WORDS(""), TOLD("31"))},
		 31,
		 0,
		 0,
		 false},
		{"paints",
		 {ITEM(IMAGE, TOLD("30")), PICTURE, ITEM(WORDS("abcd"), TOLD("31"))},
		 1,
		 0,
		 ANY,
		 true},
	};

	scene_break_none(*state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (enum cut_by by = 0; by < CUTS; by++)
			cut(*state, &cases[i], by);
}

/* How a total is divided is a guess, not how much it is: more than was held is charged all the same. */
static void test_media_in_a_total_beyond_the_hold(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	const struct record_charge *r;

	scene_chat(s, "paints", true);
	scene_stream(s, up);
	scene_item(s, up, PICTURE);
	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
		   "\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":5000,"
		   "\"completion_tokens\":50}}");
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(r->charge_nusd, 5000 * 1000 + 50 * 30000);
	assert_true(r->charge_nusd > r->hold_nusd);
}

/* Output that is told on the way is no last word, nor is one that stands beside every item; what is told behind the finish is. */
static void test_told_before_its_end(void **state)
{
	static const struct cut cases[] = {
		{"solo", {ITEM(WORDS("a"), TOLD("1")), ITEM(WORDS("b"), ""), FINISH}, 2, 0, 0, true},
		{"solo",
		 {ITEM(WORDS(""), TOLD("1")), ITEM(WORDS("abcdefghijkl"), ""), FINISH},
		 3,
		 0,
		 0,
		 true},
		{"solo",
		 {ITEM(WORDS("a"), TOLD("1")), ITEM(WORDS("b"), TOLD("1")), FINISH},
		 2,
		 0,
		 0,
		 true},
		{"solo",
		 {ITEM(WORDS("a"), TOLD("1")), ITEM(WORDS("b"), TOLD("7")), FINISH},
		 7,
		 0,
		 0,
		 false},
		{"solo",
		 {ITEM(WORDS("a"), ""), ITEM(WORDS("b"), ""), FINISH, NONE(TOLD("1"))},
		 1,
		 0,
		 0,
		 false},
		{"solo",
		 {ITEM(WORDS("a"), ""), ITEM(WORDS("b"), ""), NONE(TOLD("1")), FINISH},
		 1,
		 0,
		 0,
		 false},
	};

	scene_break_none(*state);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		for (enum cut_by by = 0; by < CUTS; by++)
			cut(*state, &cases[i], by);
}

/* Beside the finish it is one only once the answer has ended, but that it counts what came. */
static void test_told_beside_the_finish(void **state)
{
	static const struct cut left = {"solo",
					{ITEM(WORDS("a"), TOLD("1")), ITEM(WORDS("b"), TOLD("1")),
					 ITEM(WORDS("c"), TOLD("1")), STOP(TOLD("1"))},
					3,
					0,
					0,
					true};
	static const struct cut counted = {
		"solo", {ITEM(WORDS("a"), TOLD("1")), STOP(TOLD("1"))}, 1, 0, 0, false};
	struct scene *s = *state;
	struct mem_xport *up;

	scene_break_none(s);
	cut(s, &left, BY_CLIENT);
	cut(s, &counted, BY_CLIENT);
	cut(s, &counted, BY_PROVIDER);
	up = scene_up(s, "one");
	scene_chat(s, "solo", true);
	scene_stream(s, up);
	for (size_t i = 0; i < ARRAY_LEN(left.items); i++)
		scene_item(s, up, left.items[i]);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	assert_int_equal(usage_get(&scene_charge(s)->usage, USAGE_OUTPUT), 1);
	assert_false(scene_charge(s)->flags & RECORD_ESTIMATED);
}

/* Each choice tells its own: that of one that finished is no word of the others, nor is the last. */
static void test_told_of_one_choice(void **state)
{
	static const char text[] = "\"delta\":{\"content\":\"abcdefgh\"},\"finish_reason\":null}]";
	static const char stop[] = "\"delta\":{},\"finish_reason\":\"stop\"}]";
	struct scene *s = *state;

	scene_break_none(s);
	for (unsigned told = 0; told < 3; told++) {
		struct mem_xport *up = scene_up(s, "one");
		char item[256];

		scene_send(s, "POST /v1/chat/completions", "",
			   "{\"model\":\"solo\",\"max_tokens\":50,\"stream\":true,\"n\":2,"
			   "\"messages\":[{\"role\":\"user\",\"content\":\"hello there\"}]}");
		scene_stream(s, up);
		for (unsigned i = 0; i < 8; i++) {
			/* Of the first all four, then of the second. */
			snprintf(
				item, sizeof(item),
				"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{"
				"\"index\":%u,%s,\"usage\":{\"prompt_tokens\":10,"
				"\"completion_tokens\":%u}}",
				i / 4, i % 4 == 3 ? stop : text, told == 0 ? 2 * (i % 4) : 5);
			scene_item(s, up, item);
		}
		if (told == 2)
			scene_item(s, up, NONE(TOLD("9")));
		mem_xport_reset(s->client, ERRC_CONNRESET);
		scene_run(s);
		scene_none(s);
		/* Six pieces of two tokens each. */
		assert_int_equal(usage_get(&scene_charge(s)->usage, USAGE_OUTPUT),
				 told == 2 ? 9 : 12);
		assert_int_equal(!!(scene_charge(s)->flags & RECORD_ESTIMATED), told != 2);
		scene_clear(s);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_progress_of_pictures),    T(test_media_in_a_total),
		T(test_media_in_a_last_total),   T(test_media_in_a_cut_total),
		T(test_pictures_behind_a_total), T(test_media_in_a_total_beyond_the_hold),
		T(test_told_before_its_end),     T(test_told_beside_the_finish),
		T(test_told_of_one_choice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
