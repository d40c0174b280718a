/* relay.c with the real dialects: an answer at every split point, its failures, what stands for the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "caps.h"
#include "mem.h"
#include "relay.h"

#define REQUEST \
	"{\"model\":\"m\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define CHUNK(delta, finish)                                                                  \
	"data: "                                                                              \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"up\"," \
	"\"choices\":[{\"index\":0,\"delta\":" delta ",\"finish_reason\":" finish "}]}\n\n"
#define USAGE                                                                                     \
	"data: "                                                                                  \
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":\"up\","     \
	"\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":" \
	"9}}\n\n"
#define OPENING CHUNK("{\"role\":\"assistant\",\"content\":\"\"}", "null")
#define CONTENT CHUNK("{\"content\":\"hel\"}", "null") CHUNK("{\"content\":\"lo\"}", "null")
#define CLOSING CHUNK("{}", "\"stop\"") USAGE "data: [DONE]\n\n"

struct fixture {
	struct arena arena;
	void *scan;
	struct dialect_facts facts;
	struct dialect_env env;
	struct ptable_provider provider;
	struct relay relay;
	const struct dialect_front *front;
};

static int64_t cost(void *arg, const struct usage *u)
{
	(void)arg;
	return usage_total(u) * 1000;
}

static bool is_paid(void *arg)
{
	(void)arg;
	return true;
}

static void setup(struct fixture *f, enum ptable_dialect back, const char *request)
{
	struct fault fault = {0};
	struct relay_opts o;

	memset(f, 0, sizeof(*f));
	arena_init(&f->arena, 1 << 20);
	f->front = dialect_front(DIALECT_FRONT_OPENAI);
	f->scan = arena_zero(&f->arena, f->front->scan_size);
	f->front->scan_init(f->scan, DIALECT_CHAT, LIMIT_JSON_DEPTH);
	assert_int_equal(f->front->scan_push(f->scan, request, strlen(request), &fault), ERRC_OK);
	assert_int_equal(f->front->scan_end(f->scan, slice_str(request), &f->facts, &fault),
			 ERRC_OK);
	f->provider = (struct ptable_provider){
		.name = SLICE_LIT("p"), .dialect = back, .usage_option = true};
	f->env = (struct dialect_env){.now_s = 1,
				      .gen_id = SLICE_LIT("gen_x"),
				      .model = SLICE_LIT("m"),
				      .cost = cost,
				      .is_paid = is_paid};
	o = (struct relay_opts){.front = f->front,
				.back = dialect_back(back),
				.facts = &f->facts,
				.env = &f->env,
				.provider = &f->provider,
				.arena = &f->arena,
				.stream = f->facts.stream,
				.picture_tokens = 6240,
				.whole_bytes = 1 << 20,
				.out_max = 1 << 22};
	assert_int_equal(relay_init(&f->relay, &o), ERRC_OK);
}

static void teardown(struct fixture *f)
{
	relay_fini(&f->relay);
	relay_fini(&f->relay); /* allowed twice */
	f->front->scan_fini(f->scan);
	arena_fini(&f->arena);
}

static void push(struct fixture *f, const char *p, size_t n, struct relay_gain *sum)
{
	struct relay_gain g = {0};
	char *copy = mem_dup(p, n); /* a read's bytes are gone after it */

	relay_push(&f->relay, slice_of(copy, n), &f->arena, &g);
	memset(copy, 'x', n);
	mem_free(copy);
	sum->events += g.events;
	sum->bytes += g.bytes;
	sum->usage |= g.usage;
	sum->finish |= g.finish;
}

static void check_end(struct fixture *f, const struct relay_gain *sum)
{
	struct relay *r = &f->relay;
	struct slice out;

	assert_true(r->ended && r->committed && r->finish && r->reported && r->settling);
	assert_false(r->failed);
	assert_int_equal(sum->events, 2);
	assert_int_equal(sum->bytes, 5);
	assert_true(sum->usage && sum->finish);
	assert_int_equal(usage_input_total(&r->usage), 7);
	assert_true(slice_is(r->upstream_id, "c1"));
	assert_int_equal(relay_seal(r, &r->usage), ERRC_OK);
	out = buf_slice(&r->out);
	assert_true(slice_find(out, SLICE_LIT("\"cost\":0.000009")) > 0);
	assert_true(slice_has_suffix(out, SLICE_LIT("data: [DONE]\n\n")));
}

static void test_stream_at_every_split(void **state)
{
	static const char answer[] = OPENING CONTENT CLOSING;
	struct fixture f;

	(void)state;
	for (size_t cut = 0; cut < sizeof(answer); cut++) {
		struct relay_gain sum = {0};

		setup(&f, PTABLE_OPENAI, REQUEST);
		push(&f, answer, cut, &sum);
		push(&f, answer + cut, sizeof(answer) - 1 - cut, &sum);
		relay_finish(&f.relay, &f.arena, NULL);
		check_end(&f, &sum);
		teardown(&f);
	}
}

#define TIER(items)  "data: {\"id\":\"c1\",\"service_tier\":\"priority\"," items
#define PLAIN(items) "data: {\"id\":\"c1\"," items
#define TEXT \
	"\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hi\"},\"finish_reason\":null}]}\n\n"

/* The tier that an answer names is known as soon as it stands there: also of one that breaks off, or tells no usage. */
static void test_tier_without_usage(void **state)
{
	static const char stream[] = TIER(TEXT) PLAIN(TEXT);
	static const char whole[] =
		"{\"service_tier\":\"flex\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
		"\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}]}";
	struct fixture f;

	(void)state;
	for (int streams = 0; streams < 2; streams++) {
		struct relay_gain sum = {0}, g = {0};

		setup(&f, PTABLE_OPENAI,
		      streams ? REQUEST
			      : "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":"
				"\"hi\"}]}");
		push(&f, streams ? stream : whole, strlen(streams ? stream : whole), &sum);
		if (!streams)
			relay_finish(&f.relay, &f.arena, &g);
		assert_false(f.relay.failed || f.relay.reported);
		assert_int_equal(f.relay.usage.tier,
				 streams ? USAGE_TIER_PRIORITY : USAGE_TIER_FLEX);
		assert_true(sum.usage || g.usage);
		teardown(&f);
	}
}

static int64_t room;

static int64_t room_of(void *arg, const struct usage *input)
{
	(void)arg;
	(void)input;
	return room;
}

/* One token of output is paid for, the second one is too much: what follows is not looked at, wherever the reads are cut. */
static void test_stop_at_every_split(void **state)
{
	static const char answer[] = OPENING CONTENT CHUNK("{\"content\":\"never\"}", "null")
		CLOSING;
	struct fixture f;

	(void)state;
	for (size_t cut = 0; cut < sizeof(answer); cut++) {
		struct relay_gain sum = {0};
		struct usage u;

		setup(&f, PTABLE_OPENAI, REQUEST);
		f.relay.output_max = 1; /* without `room` that is the last word */
		push(&f, answer, cut, &sum);
		push(&f, answer + cut, sizeof(answer) - 1 - cut, &sum);
		assert_true(f.relay.stopped && f.relay.ended && f.relay.settling);
		assert_int_equal(sum.events, 2);
		assert_false(sum.finish); /* an orphan's charge is what was seen */
		usage_init(&u);
		usage_set(&u, USAGE_OUTPUT, 2);
		assert_int_equal(relay_seal(&f.relay, &u), ERRC_OK);
		assert_true(slice_find(buf_slice(&f.relay.out),
				       SLICE_LIT("\"finish_reason\":\"length\"}],\"usage\":{")) > 0);
		assert_true(slice_find(buf_slice(&f.relay.out), SLICE_LIT("never")) < 0);
		assert_true(
			slice_has_suffix(buf_slice(&f.relay.out), SLICE_LIT("data: [DONE]\n\n")));
		teardown(&f);
	}
}

/* More than was asked for, but what was held for the input pays for it to the last token: that is no reason to stop. */
static void test_the_hold_to_its_end(void **state)
{
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	f.relay.room = room_of;
	f.relay.output_max = 1;
	room = 2;
	push(&f, CONTENT, sizeof(CONTENT) - 1, &sum);
	assert_int_equal(f.relay.output_max, 2);
	assert_false(f.relay.stopped);
	push(&f, CLOSING, sizeof(CLOSING) - 1, &sum);
	relay_finish(&f.relay, &f.arena, NULL);
	check_end(&f, &sum);
	assert_false(f.relay.stopped);
	teardown(&f);
}

/* Reasoning may have a price of its own: beyond what was asked for each piece of it asks anew. One with text beside it is text. */
static void test_reasoning_changes_the_room(void **state)
{
	static const char thought[] = CHUNK("{\"reasoning_content\":\"a\"}", "null"),
			  both[] = CHUNK("{\"reasoning\":\"abcdefgh\",\"content\":\"b\"}", "null");
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	f.relay.room = room_of;
	f.relay.output_asked = f.relay.output_max = 1;
	room = 9;
	for (int i = 1; i <= 2; i++) {
		push(&f, thought, sizeof(thought) - 1, &sum);
		assert_int_equal(relay_seen_reasoning(&f.relay), i);
	}
	assert_int_equal(f.relay.output_max, 9);
	push(&f, both, sizeof(both) - 1, &sum);
	assert_int_equal(f.relay.reasoning_events, 2);
	assert_int_equal(relay_seen_reasoning(&f.relay), 10 / 4);
	assert_int_equal(relay_reasoning(&f.relay), 2);
	assert_int_equal(relay_seen(&f.relay), 3);
	assert_false(f.relay.stopped);
	room = 3;
	push(&f, thought, sizeof(thought) - 1, &sum);
	assert_true(f.relay.stopped);
	teardown(&f);
}

/* Sound has a price of its own, and nobody says how much of it came: what was held for the input does not pay for more of it. */
static void test_sound_ends_at_what_was_asked(void **state)
{
	static const char sound[] = CHUNK("{\"audio\":{\"data\":\"AAAA\"}}", "null");
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	f.relay.room = room_of;
	f.relay.output_asked = 2;
	f.relay.output_max = room = 9;
	for (int i = 0; i < 2; i++) {
		push(&f, sound, sizeof(sound) - 1, &sum);
		assert_false(f.relay.stopped);
	}
	push(&f, sound, sizeof(sound) - 1, &sum);
	assert_true(f.relay.stopped);
	teardown(&f);
}

/* Content whose bytes are none of a text: each event is a token all the same. */
static void test_content_without_text(void **state)
{
	static const char sound[] = CHUNK("{\"audio\":{\"data\":\"AAAA\"}}", "null");
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	for (int i = 0; i < 3; i++)
		push(&f, sound, sizeof(sound) - 1, &sum);
	assert_true(f.relay.committed);
	assert_int_equal(sum.events, 3);
	assert_int_equal(sum.bytes, 0);
	assert_int_equal(relay_seen(&f.relay), 0);
	assert_int_equal(relay_output(&f.relay), 3);
	teardown(&f);
}

static void check_media(const struct relay *r, int64_t output, int64_t sound, int64_t pictures)
{
	struct usage u;

	usage_init(&u);
	usage_set(&u, USAGE_OUTPUT, output);
	assert_true(relay_media(r, &u));
	assert_int_equal(usage_get(&u, USAGE_OUTPUT), output);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT_AUDIO), sound);
	assert_int_equal(usage_get(&u, USAGE_OUTPUT_IMAGE), pictures);
	assert_false(relay_media(r, &u));
}

/* Sound by its bytes, pictures by what the cap leaves; both at their own price and never beyond the cap. */
static void test_media_without_usage(void **state)
{
	static const char said[] =
		CHUNK("{\"audio\":{\"id\":\"a\",\"transcript\":\"abcdefgh\"}}", "null"),
			  picture[] = CHUNK("{\"images\":[{\"image_url\":{\"url\":\"data:,\"}}]}",
					    "null"),
			  none[] = CHUNK("{\"images\":[null,\"\",[]]}", "null"),
			  address[] = CHUNK("{\"images\":[\"data:,\"]}", "null"),
			  part[] = CHUNK("{\"content\":[{\"type\":\"image_url\"}]}", "null");
	struct relay_gain sum = {0};
	struct fixture f;
	char sound[2000];
	int n;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	f.relay.output_asked = 100;
	n = snprintf(sound, sizeof(sound), CHUNK("{\"audio\":{\"data\":\"%01280d\"}}", "null"), 0);
	push(&f, said, sizeof(said) - 1, &sum);
	for (int i = 0; i < 2; i++)
		push(&f, sound, (size_t)n, &sum);
	assert_int_equal(relay_seen(&f.relay), 8 / 4);
	check_media(&f.relay, 2, 20, 0);
	check_media(&f.relay, 92, 8, 0);
	check_media(&f.relay, 200, 2, 0); /* one each at least */
	push(&f, none, sizeof(none) - 1, &sum);
	assert_int_equal(f.relay.pictures, 0);
	push(&f, picture, sizeof(picture) - 1, &sum);
	check_media(&f.relay, 2, 20, 78);
	f.facts.copies = 4;
	check_media(&f.relay, 2, 20, 25);
	push(&f, part, sizeof(part) - 1, &sum);
	check_media(&f.relay, 2, 20, 50);
	assert_int_equal(f.relay.pictures, 2);
	f.relay.output_asked = 40000;
	check_media(&f.relay, 2, 20, 2 * 6240);
	f.relay.picture_tokens = 12000;
	check_media(&f.relay, 2, 20, 2 * 10000);
	f.relay.output_asked = 400000;
	check_media(&f.relay, 2, 20, 2 * 12000);
	f.relay.output_asked = 40000;
	f.relay.picture_tokens = 6240;
	f.facts.copies = 1;
	check_media(&f.relay, 2, 20, 2 * 6240);
	check_media(&f.relay, 39000, 20, 980);
	push(&f, address, sizeof(address) - 1, &sum);
	assert_int_equal(f.relay.pictures, 3);
	teardown(&f);
}

/* What is reported in mid-stream is asked about again: the input may leave more or less for the output. */
static void test_reported_input_changes_the_room(void **state)
{
	static const char early[] =
		"data: "
		"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":5,\"model\":"
		"\"up\","
		"\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"},\"finish_reason\":"
		"null}],"
		"\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":0,\"total_tokens\":7}}\n\n";
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	f.relay.room = room_of;
	room = 1;
	push(&f, early, sizeof(early) - 1, &sum);
	assert_int_equal(f.relay.output_max, 1);
	push(&f, CONTENT, sizeof(CONTENT) - 1, &sum);
	assert_true(f.relay.stopped);
	teardown(&f);
}

static void test_cut_stream_fails(void **state)
{
	static const char answer[] = OPENING CONTENT;
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	for (size_t n = 0; n < sizeof(answer); n++) {
		setup(&f, PTABLE_OPENAI, REQUEST);
		push(&f, answer, n, &sum);
		relay_finish(&f.relay, &f.arena, NULL);
		assert_true(f.relay.failed);
		assert_false(f.relay.ended);
		assert_true(fault_is_set(&f.relay.fault));
		assert_int_equal(f.relay.committed, f.relay.content_events > 0);
		teardown(&f);
	}
}

static void test_lifecycle_is_not_commit(void **state)
{
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	push(&f, OPENING, strlen(OPENING), &sum);
	assert_false(f.relay.committed);
	assert_int_equal(f.relay.frames, 1);
	assert_int_equal(sum.events, 0);
	teardown(&f);
}

static void test_held_finish_is_flushed(void **state)
{
	static const char answer[] = OPENING CONTENT CHUNK("{}", "\"stop\"");
	struct relay_gain sum = {0};
	struct fixture f;
	size_t before;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	push(&f, answer, sizeof(answer) - 1, &sum);
	assert_true(relay_is_holding(&f.relay));
	before = f.relay.out.len;
	relay_flush(&f.relay);
	assert_false(relay_is_holding(&f.relay));
	assert_true(f.relay.out.len > before);
	teardown(&f);
}

static void test_whole_keeps_its_end(void **state)
{
	static const char request[] =
		"{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}";
	static const char answer[] = "{\"id\":\"c1\",\"object\":\"chat.completion\",\"created\":5,"
				     "\"model\":\"up\",\"choices\":["
				     "{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
				     "\"hello\"},\"finish_reason\":\"stop\"}],"
				     "\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,"
				     "\"total_tokens\":9},\"x\":1}";
	struct fixture f;

	(void)state;
	for (size_t cut = 0; cut < sizeof(answer); cut++) {
		struct relay_gain sum = {0};

		setup(&f, PTABLE_OPENAI, request);
		push(&f, answer, cut, &sum);
		push(&f, answer + cut, sizeof(answer) - 1 - cut, &sum);
		relay_finish(&f.relay, &f.arena, NULL);
		assert_true(f.relay.ended);
		assert_int_equal(relay_seal(&f.relay, &f.relay.usage), ERRC_OK);
		assert_true(slice_has_suffix(buf_slice(&f.relay.out), SLICE_LIT(",\"x\":1}")));
		assert_true(slice_find(buf_slice(&f.relay.out), SLICE_LIT("\"cost\":0.000009")) > 0);
		teardown(&f);
	}
}

#define WHOLE           "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define ANT(type, more) "event: " type "\ndata: {\"type\":\"" type "\"" more "}\n\n"
#define ANT_START                                                                               \
	ANT("message_start", ",\"message\":{\"id\":\"m1\",\"model\":\"up\",\"usage\":{\"input_" \
			     "tokens\":7,\"output_tokens\":"                                    \
			     "1}}")
#define ANT_END                                                                          \
	ANT("content_block_start",                                                       \
	    ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"hello\"}")     \
	ANT("content_block_stop", ",\"index\":0")                                        \
	ANT("message_delta",                                                             \
	    ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}") \
	ANT("message_stop", "")

/* The provider's own words about usage outlive the reads that they came with, wherever those are cut. */
static void test_raw_usage(void **state)
{
	static const struct {
		enum ptable_dialect back;
		const char *request, *answer, *raw;
	} rows[] = {
		{PTABLE_OPENAI, REQUEST, OPENING CONTENT CLOSING,
		 "{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}"},
		/* Said twice: the last one counts. */
		{PTABLE_OPENAI, REQUEST,
		 OPENING CONTENT
		 "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7}}\n\n" CLOSING,
		 "{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}"},
		{PTABLE_OPENAI, WHOLE,
		 "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"hello\"},\"finish_reason\":"
		 "\"stop\"}],"
		 "\"usage\":{\"prompt_tokens\":7, \"completion_tokens\":2}}",
		 "{\"prompt_tokens\":7,\"completion_tokens\":2}"},
		{PTABLE_ANTHROPIC, REQUEST, ANT_START ANT_END,
		 "[{\"input_tokens\":7,\"output_tokens\":1},{\"output_tokens\":2}]"},
		{PTABLE_ANTHROPIC, WHOLE,
		 "{\"type\":\"message\",\"id\":\"m1\",\"model\":\"up\",\"content\":[{\"type\":"
		 "\"text\",\"text\":"
		 "\"hello\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":7,\"output_"
		 "tokens\":2}}",
		 "{\"input_tokens\":7,\"output_tokens\":2}"},
	};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].answer);

		for (size_t cut = 0; cut <= n; cut++) {
			struct relay_gain sum = {0};

			setup(&f, rows[i].back, rows[i].request);
			push(&f, rows[i].answer, cut, &sum);
			push(&f, rows[i].answer + cut, n - cut, &sum);
			relay_finish(&f.relay, &f.arena, NULL);
			assert_true(f.relay.ended);
			assert_true(slice_is(relay_usage_raw(&f.relay, &f.arena), rows[i].raw));
			assert_true(slice_is(relay_usage_raw(&f.relay, &f.arena), rows[i].raw));
			teardown(&f);
		}
	}
}

/* Of what is longer than a record takes whole members are left out, and it is said how much. */
static void test_raw_usage_too_long(void **state)
{
	static const struct {
		enum ptable_dialect back;
		const char *in;
		int digits; /* in a list of numbers */
	} rows[] = {{PTABLE_OPENAI, "prompt_tokens", 600},
		    {PTABLE_OPENAI, "prompt_tokens", 1500}, /* too long to be kept as it came */
		    {PTABLE_ANTHROPIC, "input_tokens", 600}};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct relay_gain sum = {0};
		struct buf b, want;
		struct fixture f;

		buf_init(&b, 65536);
		buf_init(&want, 1024);
		assert_int_equal(
			buf_addf(&b, "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"},"
				     "\"finish_reason\":\"stop\"}],\"content\":[{\"type\":\"text\","
				     "\"text\":\"x\"}],\"stop_reason\":\"end_turn\",\"usage\":{"
				     "\"x\":[0"),
			ERRC_OK);
		for (int n = 0; n < rows[i].digits; n++)
			assert_int_equal(buf_addz(&b, ",1"), ERRC_OK);
		assert_int_equal(buf_addf(&b, "],\"%s\":7}}", rows[i].in), ERRC_OK);
		assert_int_equal(buf_addf(&want, "{\"%s\":7,\"aigw_left_out_bytes\":%d}",
					  rows[i].in, 7 + 2 * rows[i].digits),
				 ERRC_OK);
		setup(&f, rows[i].back, WHOLE);
		push(&f, b.p, b.len, &sum);
		relay_finish(&f.relay, &f.arena, NULL);
		assert_true(f.relay.ended && f.relay.reported);
		assert_int_equal(usage_input_total(&f.relay.usage), 7);
		assert_true(slice_eq(relay_usage_raw(&f.relay, &f.arena), buf_slice(&want)));
		teardown(&f);
		buf_fini(&want);
		buf_fini(&b);
	}
}

/* An answer whose every word for the record is the prompt. */
static void test_words_only(void **state)
{
	static const struct {
		enum ptable_dialect back;
		const char *request, *answer, *raw;
	} rows[] = {
		{PTABLE_OPENAI, WHOLE,
		 "{\"id\":\"tell me\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"x\"},"
		 "\"finish_reason\":\"tell me\"}],\"usage\":{\"prompt_tokens\":7,\"note\":\"tell "
		 "me\"}}",
		 "{\"prompt_tokens\":7,\"note\":\"\"}"},
		{PTABLE_ANTHROPIC, WHOLE,
		 "{\"type\":\"message\",\"id\":\"tell "
		 "me\",\"content\":[{\"type\":\"text\",\"text\":"
		 "\"x\"}],\"stop_reason\":\"tell "
		 "me\",\"usage\":{\"input_tokens\":7,\"note\":\"tell "
		 "me\"}}",
		 "{\"input_tokens\":7,\"note\":\"\"}"},
		{PTABLE_ANTHROPIC, REQUEST,
		 ANT("message_start",
		     ",\"message\":{\"id\":\"tell me\",\"usage\":{\"input_tokens\":7,"
		     "\"tell me\":1}}") ANT_END,
		 "[{\"input_tokens\":7,\"aigw_left_out_bytes\":11},{\"output_tokens\":2}]"},
	};
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		setup(&f, rows[i].back, rows[i].request);
		push(&f, rows[i].answer, strlen(rows[i].answer), &sum);
		relay_finish(&f.relay, &f.arena, NULL);
		assert_true(f.relay.ended && f.relay.finish);
		assert_int_equal(f.relay.upstream_id.n, 0);
		assert_int_equal(f.relay.finish_word_n, i == 2 ? 8 : 0);
		assert_true(slice_is(relay_usage_raw(&f.relay, &f.arena), rows[i].raw));
		teardown(&f);
	}
}

static void test_whose_fault_an_encoders_error_is(void **state)
{
	struct fault f = {0};

	(void)state;
	assert_true(relay_fault(ERRC_SYNTAX, &f));
	assert_int_equal(fault_status(&f), 502);
	f = (struct fault){0};
	assert_false(relay_fault(ERRC_STATE, &f));
	assert_int_equal(fault_status(&f), 500);
	f = (struct fault){0};
	assert_false(relay_fault(ERRC_NOMEM, &f));
	assert_int_equal(fault_status(&f), 503);
}

static void test_error_item(void **state)
{
	static const char answer[] = OPENING
		"data: {\"error\":{\"message\":\"Overloaded\",\"type\":\"server_error\"}}\n\n";
	struct relay_gain sum = {0};
	struct fixture f;

	(void)state;
	setup(&f, PTABLE_OPENAI, REQUEST);
	push(&f, answer, sizeof(answer) - 1, &sum);
	assert_true(f.relay.failed && !f.relay.committed);
	push(&f, CONTENT, strlen(CONTENT), &sum); /* ignored */
	assert_int_equal(sum.events, 0);
	teardown(&f);
}

static void test_no_memory(void **state)
{
	static const char answer[] = OPENING CONTENT CLOSING;
	bool ended = false;

	(void)state;
	for (unsigned n = 1; !ended; n++) {
		struct relay_gain sum = {0};
		struct fixture f;

		setup(&f, PTABLE_OPENAI, REQUEST);
		mem_fail_after(n);
		relay_push(&f.relay, slice_of(answer, sizeof(answer) - 1), &f.arena, &sum);
		relay_finish(&f.relay, &f.arena, NULL);
		ended = f.relay.ended && relay_seal(&f.relay, &f.relay.usage) == ERRC_OK;
		mem_fail_after(0);
		assert_true(ended || f.relay.failed || f.relay.ended);
		teardown(&f);
		assert_true(n < 1000);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_stream_at_every_split),
		cmocka_unit_test(test_tier_without_usage),
		cmocka_unit_test(test_stop_at_every_split),
		cmocka_unit_test(test_the_hold_to_its_end),
		cmocka_unit_test(test_reasoning_changes_the_room),
		cmocka_unit_test(test_sound_ends_at_what_was_asked),
		cmocka_unit_test(test_content_without_text),
		cmocka_unit_test(test_media_without_usage),
		cmocka_unit_test(test_reported_input_changes_the_room),
		cmocka_unit_test(test_cut_stream_fails),
		cmocka_unit_test(test_lifecycle_is_not_commit),
		cmocka_unit_test(test_held_finish_is_flushed),
		cmocka_unit_test(test_whole_keeps_its_end),
		cmocka_unit_test(test_raw_usage),
		cmocka_unit_test(test_raw_usage_too_long),
		cmocka_unit_test(test_words_only),
		cmocka_unit_test(test_whose_fault_an_encoders_error_is),
		cmocka_unit_test(test_error_item),
		cmocka_unit_test(test_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
