/* What a call costs, its client and us: the usage that is charged, prices beside tokens, attempts that were given up. */
#include "scene.h"

#include <stdio.h>

#include "breaker.h"
#include "progress.h"

/* A stream of `model` from `one` that has sent its first text. */
static struct mem_xport *begin_stream(struct scene *s, const char *model)
{
	struct mem_xport *up = scene_up(s, "one");

	scene_chat(s, model, true);
	scene_stream(s, up);
	scene_item(s, up, scene_text);
	scene_at(s, CALL_RELAY);
	return up;
}

static void finish_stream(struct scene *s, struct mem_xport *up)
{
	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
}

#define REPORT(input)                                                                             \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{\"prompt_" \
	"tokens\":" input ",\"completion_tokens\":0}}"

static const char error_item[] = "{\"error\":{\"message\":\"broken\",\"type\":\"server_error\"}}";

/* What a candidate reported before it was given up is a cost of ours beside that of the answer. */
static void test_cost_of_a_lost_candidate(void **state)
{
	struct scene *s = *state;
	struct mem_xport *one = scene_up(s, "one"), *two = scene_up(s, "two");
	const struct record_charge *r;
	uint32_t candidate;
	struct call *c;
	struct usage u;

	scene_chat(s, "m", true);
	scene_stream(s, one);
	scene_item(s, one, REPORT("100"));
	scene_item(s, one, error_item);
	c = scene_call(s);
	assert_int_equal(progress_lost_nusd(live_progress(s->rig.live), c->slot, &c->id),
			 100 * 1000); /* should the worker die now */
	assert_false(progress_read(live_progress(s->rig.live), c->slot, &c->id, &candidate, &u));
	scene_stream(s, two);
	scene_item(s, two, scene_text);
	finish_stream(s, two);
	r = scene_charge(s);
	assert_int_equal(r->attempts_n, 2);
	assert_int_equal(r->attempts[0].cost_nusd, 100 * 1000);
	assert_int_equal(r->attempts[1].cost_nusd, SCENE_COST_NUSD);
	assert_int_equal(r->cost_nusd, 100 * 1000 + SCENE_COST_NUSD);
	assert_int_equal(r->charge_nusd, SCENE_COST_NUSD);
}

/* Of the last one too, and once. */
static void test_cost_of_the_last_candidate(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	const struct record_charge *r;

	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, REPORT("100"));
	scene_item(s, up, error_item);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(r->attempts_n, 1);
	assert_int_equal(r->attempts[0].cost_nusd, 100 * 1000);
	assert_int_equal(r->cost_nusd, 100 * 1000);
	assert_int_equal(r->charge_nusd, 0);
}

/* It may be told in the item that says that it failed: then it is as if it had been told before, the client's behind commit. */
static void test_cost_in_the_error_item(void **state)
{
	static const char item[] = "{\"error\":{\"message\":\"broken\"},\"usage\":{\"prompt_"
				   "tokens\":10,\"completion_tokens\":5}}";
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	for (int commits = 0; commits < 2; commits++) {
		const struct record_charge *r;

		scene_chat(s, "solo", true);
		scene_stream(s, up);
		if (commits)
			scene_item(s, up, scene_text);
		scene_item(s, up, item);
		scene_none(s);
		r = scene_charge(s);
		assert_int_equal(r->cost_nusd, SCENE_COST_NUSD);
		assert_int_equal(r->charge_nusd, commits ? SCENE_COST_NUSD : 0);
		assert_int_equal(r->end, RECORD_END_UPSTREAM_ERROR);
		up = scene_up(s, "one");
	}
}

#define TEXT "\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]"

/* A chat with these members that `dear` answers holds its input, so many tokens of output, and pieces for that much. */
static void expect_hold(struct scene *s, const char *members, int64_t output, int64_t pieces_nusd)
{
	struct mem_xport *up = scene_up(s, "two");
	struct call *c;
	char body[512];

	snprintf(body, sizeof(body), "{\"model\":\"dear\",\"max_tokens\":50,%s}", members);
	scene_send(s, "POST /v1/chat/completions", "", body);
	c = scene_at(s, CALL_HEAD);
	assert_int_equal(c->grant.hold.hold_nusd,
			 c->route.v[1].input_bound * 1000 + output * 2000 + pieces_nusd);
	scene_answer(s, up, 200, "", scene_whole);
	mem_xport_take(s->client);
	scene_none(s);
}

static void test_hold_covers_what_was_asked(void **state)
{
	struct scene *s = *state;

	expect_hold(s, TEXT, 50, 0);
	expect_hold(s, "\"n\":3," TEXT, 3 * 50, 0);
	/* What was predicted comes back as rejected output, if it must: three words and two spaces of them. */
	expect_hold(s, "\"prediction\":{\"type\":\"content\",\"content\":\"one two three\"}," TEXT,
		    50 + 7, 0);
	expect_hold(s, "\"web_search_options\":{}," TEXT, 50, 5 * 30000000);
}

/* Pictures cost by the piece, which no provider reports. */
static void test_pictures_are_charged(void **state)
{
	static const char two[] =
		"\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_"
		"url\":"
		"{\"url\":\"data:image/png;base64,AAAA\"}},{\"type\":\"image_url\",\"image_url\":"
		"{\"url\":\"data:image/png;base64,AAAA\"}}]}]";
	struct scene *s = *state;

	expect_hold(s, two, 50, 2 * 10000000);
	assert_int_equal(scene_charge(s)->charge_nusd, SCENE_COST_NUSD + 2 * 10000000);
}

/* What the keeper would settle by if the worker died now. */
static void expect_progress(struct scene *s, int64_t input, int64_t output, bool estimated)
{
	struct call *c = scene_call(s);
	uint32_t candidate;
	struct usage u;

	assert_true(progress_read(live_progress(s->rig.live), c->slot, &c->id, &candidate, &u));
	assert_int_equal(candidate, c->grant.index[c->attempt->at]);
	assert_int_equal(usage_get(&u, USAGE_INPUT), input);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), output);
	assert_int_equal(u.estimated, estimated);
}

static void test_progress_of_a_stream(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");
	int64_t bound = scene_call(s)->route.v[0].input_bound;

	expect_progress(s, bound / 2, 1, true);
	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{"
		   "\"prompt_tokens\":10,\"completion_tokens\":2,\"total_tokens\":12}}");
	expect_progress(s, 10, 2, false);
	for (int i = 0; i < 9; i++)
		scene_item(s, up, scene_text);
	/* What was reported in mid-stream is not the whole. */
	expect_progress(s, 10, 2 + 45 / 4, true);
	scene_item(s, up, scene_finish);
	/* Nor is what stands beside the finish and counts less than the pieces, until the answer ends, */
	expect_progress(s, 10, 50 / 4, true);
	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{"
		   "\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}");
	expect_progress(s, 10, 5, false); /* or it is told once more, whatever was seen. */
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
}

#define THOUGHT                                                                          \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0," \
	"\"delta\":{\"reasoning_content\":\"abcd\"}}]}"

#define THOUGHT_BESIDE_TEXT                                                              \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0," \
	"\"delta\":{\"reasoning_content\":\"abcd\",\"content\":\"b\"}}]}"

#define NO_REASONING                                                                               \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,\"delta\":" \
	"{},"                                                                                      \
	"\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,"    \
	"\"completion_tokens_details\":{\"reasoning_tokens\":0}}}"

static int64_t progress_reasoning_of(struct scene *s)
{
	struct call *c = scene_call(s);
	uint32_t candidate;
	struct usage u;

	assert_true(progress_read(live_progress(s->rig.live), c->slot, &c->id, &candidate, &u));
	return usage_reasoning(&u);
}

/* Reasoning is counted apart until the provider's last word of it. */
static void test_progress_of_reasoning(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "muses");

	assert_int_equal(progress_reasoning_of(s), 0);
	scene_item(s, up, THOUGHT_BESIDE_TEXT);
	assert_int_equal(progress_reasoning_of(s), 1);
	for (int i = 0; i < 3; i++)
		scene_item(s, up, THOUGHT);
	assert_int_equal(progress_reasoning_of(s), 4);
	scene_item(s, up, REPORT("10"));
	assert_int_equal(progress_reasoning_of(s), 4);
	scene_item(s, up, NO_REASONING);
	assert_int_equal(progress_reasoning_of(s), 0);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	assert_int_equal(scene_charge(s)->charge_nusd, SCENE_COST_NUSD);
}

/* A stream of which three parts of four are reasoning, which its provider does not tell apart. */
static const struct record_charge *think(struct scene *s, const char *model, int64_t reasoning)
{
	struct mem_xport *up = begin_stream(s, model);

	for (int i = 0; i < 3; i++)
		scene_item(s, up, THOUGHT);
	scene_item(s, up, scene_finish);
	assert_int_equal(progress_reasoning_of(s), reasoning);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	return scene_charge(s);
}

/* Reasoning that no provider tells is charged as reasoning, of as much output as was reported, whether the stream is cut or comes to its
 * end; where it has the price of all output nothing is estimated. */
static void test_reasoning_in_the_end(void **state)
{
	struct scene *s = *state;
	const struct record_charge *r = think(s, "muses", 3);

	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT), 5);
	assert_int_equal(usage_reasoning(&r->usage), 5 * 3 / 4);
	assert_int_equal(r->charge_nusd, 10 * 1000 + 2 * 2000 + 3 * 20000);
	assert_true(r->flags & RECORD_ESTIMATED);
	r = think(s, "solo", 0);
	assert_false(usage_has(&r->usage, USAGE_REASONING));
	assert_int_equal(r->charge_nusd, SCENE_COST_NUSD);
	assert_false(r->flags & RECORD_ESTIMATED);
}

/* Reasoning that nobody reports uses the hold up at its own price: one piece over, no more. */
static void test_stopped_in_reasoning(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "muses");
	int64_t input = scene_call(s)->route.v[0].input_bound / 2, seen = 0, cost;
	const struct record_charge *r;

	for (; !mem_xport_is_closed(up) && seen < 5000; seen++)
		scene_item(s, up, THOUGHT);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(r->end, RECORD_END_DONE);
	assert_int_equal(usage_reasoning(&r->usage), seen);
	assert_int_equal(usage_get(&r->usage, USAGE_INPUT), input);
	cost = input * 1000 + (usage_output_total(&r->usage) - seen) * 2000 + seen * 20000;
	assert_true(cost > r->hold_nusd && cost - 20000 <= r->hold_nusd);
	assert_int_equal(r->charge_nusd, r->hold_nusd);
}

/* The first candidate is too dear for the account: who answers is the first of those that are held for. */
static void test_candidate_behind_one_that_is_too_dear(void **state)
{
	struct scene *s = *state;
	struct mem_xport *two = scene_up(s, "two");
	const struct record_charge *r;

	scene_chat(s, "dear", true);
	scene_stream(s, two);
	scene_item(s, two, scene_text);
	scene_at(s, CALL_RELAY);
	expect_progress(s, scene_call(s)->route.v[1].input_bound / 2, 1, true);
	finish_stream(s, two);
	r = scene_charge(s);
	assert_true(slice_is(r->provider, "two"));
	assert_int_equal(r->charge_nusd, SCENE_COST_NUSD);
	assert_int_equal(r->cost_nusd, SCENE_COST_NUSD);
}

/* Zero tokens read are what the provider says; how many it wrote it leaves open. */
static void test_no_input_is_no_gap(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");
	const struct usage *u;

	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
		   "\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":0}}");
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	u = &scene_charge(s)->usage;
	assert_int_equal(usage_get(u, USAGE_INPUT), 0);
	assert_int_equal(usage_get(u, USAGE_OUTPUT), 1);
	assert_true(u->estimated);
	assert_int_equal(scene_charge(s)->charge_nusd, 2000);
}

/* What nobody reported is charged up to what was held, no more, however long the answer is. */
static void test_long_answer_without_usage(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	const struct record_charge *r;
	char body[3000];

	snprintf(body, sizeof(body),
		 "{\"id\":\"c1\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
		 "\"message\":"
		 "{\"role\":\"assistant\",\"content\":\"%02000d\"},\"finish_reason\":\"stop\"}]}",
		 0);
	scene_chat(s, "solo", false);
	scene_answer(s, up, 200, "", body);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT), 2000 / 4);
	assert_true(r->usage.estimated);
	assert_true(r->flags & RECORD_CAPPED);
	assert_int_equal(r->charge_nusd, r->hold_nusd);
	assert_int_equal(r->uncollected_nusd, 0);
}

static void leave(struct scene *s)
{
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
}

/* What a provider reported is charged, also beyond the hold: then what had to be counted behind it is not. */
static void test_report_beyond_the_hold(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");

	scene_item(s, up, REPORT("1000"));
	leave(s);
	assert_true(scene_charge(s)->hold_nusd < 1000 * 1000);
	assert_int_equal(scene_charge(s)->charge_nusd, 1000 * 1000);
}

/* A number that no answer can have is no report: no more is charged than was held. */
static void test_report_of_nonsense(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");

	scene_item(s, up,
		   "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[{\"index\":0,"
		   "\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":"
		   "10000000000000,\"completion_tokens\":5}}");
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	assert_true(scene_charge(s)->flags & RECORD_ESTIMATED);
	assert_true(scene_charge(s)->flags & RECORD_CAPPED);
	assert_int_equal(scene_charge(s)->charge_nusd, scene_charge(s)->hold_nusd);
	assert_int_equal(scene_charge(s)->uncollected_nusd, 0);
}

/* A report of nothing, before anything came, is no reason to charge an estimate. */
static void test_report_of_nothing(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, REPORT("0"));
	scene_at(s, CALL_RELAY);
	leave(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_CLIENT_GONE);
	assert_int_equal(scene_charge(s)->charge_nusd, 0);
	assert_false(scene_charge(s)->flags & RECORD_CHARGED);
}

/* No provider may be asked: the hold goes back as if the request had not been, and leaves no record. */
static void test_hold_goes_back_where_nobody_is_asked(void **state)
{
	struct scene *s = *state;
	struct rtable *rt = s->calls->rt;
	struct rows_state st;

	for (size_t k = 0; k < rt->t->offers_n; k++)
		for (unsigned i = 0; i < rt->breaker.of; i++)
			(void)breaker_report(rt->offers[k].health, &rt->breaker, s->now_ms, false,
					     false, 0);
	scene_chat(s, "solo", false);
	scene_none(s);
	scene_expect_out(s, "HTTP/1.1 503 ");
	rig_state(&s->rig, s->account, ROWS_KEY, s->key.id, &st);
	assert_int_equal(st.requests, 0);
	assert_int_equal(st.holds, 0);
}

/* A stream that was stopped for it cost too much: an early report does not make it cheap again. */
static void test_stopped_behind_an_early_report(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");
	const struct record_charge *r;
	int64_t seen;

	scene_item(s, up, REPORT("10"));
	for (seen = 1; !mem_xport_is_closed(up) && seen < 500; seen++)
		scene_item(s, up, scene_text);
	scene_none(s);
	r = scene_charge(s);
	assert_int_equal(r->end, RECORD_END_DONE);
	assert_int_equal(usage_get(&r->usage, USAGE_INPUT), 10);
	assert_int_equal(usage_get(&r->usage, USAGE_OUTPUT), seen * 5 / 4);
	assert_int_equal(r->charge_nusd, r->hold_nusd);
}

/* Nothing but reports until the total time is over: free, but for us. */
static void test_cost_of_an_hour(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	scene_chat(s, "solo", true);
	scene_stream(s, up);
	for (int i = 0; i < 36; i++) {
		scene_item(s, up, REPORT("100"));
		scene_at(s, CALL_RELAY);
		scene_advance(s, 100000);
	}
	scene_advance(s, 100000);
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_TIMEOUT);
	assert_int_equal(scene_charge(s)->charge_nusd, 0);
	assert_int_equal(scene_charge(s)->cost_nusd, 100 * 1000);
}

/* What ended in the turn in which its time was over did end. */
static void test_end_at_the_last_moment(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin_stream(s, "solo");
	char last[512];

	s->now_ms += 3700000;
	turn_fake_clock(s->turn, s->now_ms);
	snprintf(last, sizeof(last), "%s\n\ndata: [DONE]", scene_finish);
	scene_item(s, up, last);
	scene_stream_end(s, up);
	scene_none(s);
	scene_expect_out(s, "data: [DONE]\n\n");
	assert_int_equal(scene_charge(s)->end, RECORD_END_DONE);
	assert_int_equal(scene_charge(s)->charge_nusd, SCENE_COST_NUSD);
}

/* Embeddings have no output, also where their usage has to be estimated. */
static void test_embeddings_without_usage(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	const struct record_charge *r;
	int64_t bound;

	scene_send(s, "POST /v1/embeddings", "", "{\"model\":\"solo\",\"input\":\"hello there\"}");
	bound = scene_at(s, CALL_HEAD)->route.v[0].input_bound;
	scene_answer(s, up, 200, "",
		     "{\"object\":\"list\",\"data\":[{\"object\":\"embedding\",\"index\":0,"
		     "\"embedding\":[0.5]}],\"model\":\"solo\"}");
	scene_none(s);
	r = scene_charge(s);
	assert_true(r->usage.estimated);
	assert_int_equal(usage_get(&r->usage, USAGE_INPUT), bound / 2);
	assert_int_equal(usage_output_total(&r->usage), 0);
	assert_false(r->flags & RECORD_CAPPED); /* it may be, but it need not */
	assert_int_equal(r->charge_nusd, bound / 2 * 1000);
}

/* The provider answers before it has read the request: the rest of that is still there to be sent. */
static void test_body_outlives_an_early_answer(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	mem_xport_window(up, 100);
	scene_chat(s, "solo", true);
	scene_stream(s, up);
	scene_item(s, up, scene_text);
	scene_at(s, CALL_RELAY);
	scene_expect_out(s, "hello");
	assert_true(scene_call(s)->body.len > 0);
	mem_xport_window(up, SIZE_MAX);
	scene_run(s);
	assert_true(slice_find(mem_xport_out(up), SLICE_LIT("\"content\":\"hello there\"}],")) > 0);
	finish_stream(s, up);
	assert_int_equal(scene_charge(s)->charge_nusd, SCENE_COST_NUSD);
}

/* The total time of a whole answer is its own, however steadily it comes. */
static void test_total_time_of_a_whole_answer(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	scene_hold_client(s);
	scene_chat(s, "solo", false);
	assert_int_equal(
		mem_xport_feed(up,
			       SLICE_LIT("HTTP/1.1 200 OK\r\ncontent-type: "
					 "application/json\r\ncontent-length: 90\r\n\r\n{"),
			       0),
		ERRC_OK);
	for (int i = 0; i < 5; i++) {
		scene_advance(s, 100000);
		scene_at(s, CALL_RELAY);
		assert_int_equal(mem_xport_feed(up, SLICE_LIT(" "), 0), ERRC_OK);
	}
	scene_advance(s, 110000);
	scene_expect(s, RECORD_END_TIMEOUT, 504, "upstream_timeout");
	assert_int_equal(scene_charge(s)->charge_nusd, 0);
}

/* With durability settle, a charge that came to more than there was, and was taken back: no money was charged, nor could it not be. */
static void test_taken_back_counts_no_money(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");
	struct rtable *rt = s->calls->rt;
	page_u64 *charged, *lost = series_cell(s->page, SERIES_UNCOLLECTED, SLICE_NONE);
	struct call *c;
	bool durable;

	rt->t->set.durability = SETTINGS_DURABILITY_SETTLE;
	assert_int_equal(admin_account_take(&s->rig.admin, &s->rig.by, s->account,
					    10 * RIG_DOLLAR - 250000, &durable),
			 ERRC_OK);
	scene_hold_client(s);
	scene_chat(s, "solo", false);
	scene_answer(s, up, 200, "",
		     "{\"id\":\"c1\",\"object\":\"chat.completion\",\"choices\":[{\"index\":0,"
		     "\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"finish_reason\":"
		     "\"stop\"}],\"usage\":{\"prompt_tokens\":10000,\"completion_tokens\":5}}");
	c = scene_at(s, CALL_DURABLE);
	assert_int_equal(c->done.charge_nusd, 250000);
	assert_int_equal(c->done.uncollected_nusd, 10000 * 1000 + 5 * 2000 - 250000);
	charged = rtable_charged(rt, c->route.v[0].offer, c->route.v[0].model);
	scene_advance(s, 2001);
	scene_expect(s, RECORD_END_LEDGER, 503, "ledger_unavailable");
	scene_run(s);
	scene_none(s);
	assert_int_equal(atomic_load(charged), 0);
	assert_int_equal(atomic_load(lost), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_cost_of_a_lost_candidate),
		T(test_cost_of_the_last_candidate),
		T(test_cost_in_the_error_item),
		T(test_hold_covers_what_was_asked),
		T(test_pictures_are_charged),
		T(test_progress_of_a_stream),
		T(test_progress_of_reasoning),
		T(test_reasoning_in_the_end),
		T(test_stopped_in_reasoning),
		T(test_candidate_behind_one_that_is_too_dear),
		T(test_no_input_is_no_gap),
		T(test_long_answer_without_usage),
		T(test_report_beyond_the_hold),
		T(test_report_of_nonsense),
		T(test_report_of_nothing),
		T(test_hold_goes_back_where_nobody_is_asked),
		T(test_stopped_behind_an_early_report),
		T(test_cost_of_an_hour),
		T(test_end_at_the_last_moment),
		T(test_embeddings_without_usage),
		T(test_body_outlives_an_early_answer),
		T(test_total_time_of_a_whole_answer),
		T(test_taken_back_counts_no_money),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
