/* A request is disturbed at every point of its way: the client leaves, its provider's connection ends, its key is revoked, the worker drains, the
 * clock runs. Whatever comes of it: no call and no hold stays, what came whole is charged as reported and nothing twice, a client that is there
 * gets one whole answer or a visible end, and its idempotency key stands for a charge or is free. */
#include "scene.h"

#include <stdio.h>

#define POINTS_MAX 400 /* rounds of turns of one request, at most */
#define PIECE      150 /* bytes of an answer that come at once */
#define LATE_MS    INT64_C(700000)

#define CHUNK(delta, rest)                                                                         \
	"data: {\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\"," \
	"\"choices\":[{\"index\":0,\"delta\":" delta "}]" rest "}\n\n"
#define USAGE "\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}"

static const char whole[] =
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 219\r\n\r\n"
	"{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,\"model\":\"m\","
	"\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"
	"\"finish_reason\":\"stop\"}]," USAGE "}";
static const char stream[] =
	"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n" CHUNK(
		"{\"role\":\"assistant\"},\"finish_reason\":null",
		"") CHUNK("{\"content\":\"hello\"},\"finish_reason\":null", "")
		CHUNK("{\"content\":\" there\"},\"finish_reason\":null", "")
			CHUNK("{},\"finish_reason\":\"stop\"", "," USAGE) "data: [DONE]\n\n";
static const char message[] =
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
	"{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":"
	"[{\"type\":\"text\",\"text\":\"hi\"}],\"stop_reason\":\"end_turn\","
	"\"stop_sequence\":null,\"usage\":{\"input_tokens\":10,\"output_tokens\":5}}";
static const char broken[] = "HTTP/1.1 500 X\r\ncontent-length: 2\r\n\r\n{}";

/* One request and what its providers answer, in the order in which they are asked. */
struct way {
	const char *model, *provider[2], *answer[2];
	bool streams;
};

enum trouble { CLIENT_RESET, CLIENT_EOF, UP_RESET, UP_EOF, REVOKED, DRAIN_CUT, LATE, TROUBLES };

struct disturber {
	struct turn_hook hook;
	struct scene *s;
	enum trouble trouble;
	unsigned at, round; /* in which round it comes; rounds so far */
	bool was_at_work;
};

static bool is_clients(enum trouble t)
{
	return t == CLIENT_RESET || t == CLIENT_EOF;
}

static void end_up(struct scene *s, bool reset)
{
	for (unsigned i = 0; i < s->up_n; i++) {
		if (mem_xport_is_closed(s->up[i]))
			continue;
		if (reset)
			mem_xport_reset(s->up[i], ERRC_CONNRESET);
		else
			mem_xport_eof(s->up[i]);
	}
}

static void disturb(struct disturber *d)
{
	struct scene *s = d->s;

	switch (d->trouble) {
	case CLIENT_RESET:
		if (!mem_xport_is_closed(s->client))
			mem_xport_reset(s->client, ERRC_CONNRESET);
		break;
	case CLIENT_EOF:
		if (!mem_xport_is_closed(s->client))
			mem_xport_eof(s->client);
		break;
	case UP_RESET:
	case UP_EOF:
		end_up(s, d->trouble == UP_RESET);
		break;
	case REVOKED:
		page_end_key(s->page, s->key.id);
		call_host_end_keys(s->calls);
		break;
	case DRAIN_CUT:
		(void)call_host_cut(s->calls);
		break;
	default:
		s->now_ms += LATE_MS;
		turn_fake_clock(s->turn, s->now_ms);
		break;
	}
}

/* Behind the batch of each round: what the store has just done the call does not know yet. */
static void on_round(struct turn_hook *h)
{
	struct disturber *d = CONTAINER_OF(h, struct disturber, hook);

	if (call_host_count(d->s->calls) == 0 || ++d->round != d->at)
		return;
	d->was_at_work = true;
	disturb(d);
}

static void feed(struct scene *s, struct mem_xport *m, const char *text)
{
	for (struct slice rest = slice_str(text); rest.n && !mem_xport_is_closed(m);
	     rest = slice_sub(rest, PIECE, rest.n)) {
		if (mem_xport_feed(m, slice_sub(rest, 0, PIECE), 0) != ERRC_OK)
			return;
		scene_run(s);
	}
}

static void request(struct scene *s, const struct way *w, unsigned word)
{
	char text[640], body[160];
	int n = snprintf(body, sizeof(body),
			 "{\"model\":\"%s\",\"max_tokens\":50,%s\"messages\":[{\"role\":\"user\","
			 "\"content\":\"hello there\"}]}",
			 w->model, w->streams ? "\"stream\":true," : "");

	snprintf(text, sizeof(text),
		 "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-api-key: %s\r\n"
		 "idempotency-key: word-%u\r\ncontent-length: %d\r\n\r\n%s",
		 s->key_text, word, n, body);
	feed(s, s->client, text);
}

/* Whatever is left ends. */
static void clear(struct scene *s)
{
	if (!mem_xport_is_closed(s->client))
		mem_xport_reset(s->client, ERRC_CONNRESET);
	end_up(s, true);
	scene_advance(s, 5000);
	while (s->up_n > 0)
		mem_xport_free(&s->up[--s->up_n]);
	scene_none(s);
	rig_drain(&s->rig);          /* as the keeper does */
	s->now_ms = clock_boot_ms(); /* what calls say of their own times is the machine's */
	turn_fake_clock(s->turn, s->now_ms);
	scene_rejoin(s);
}

static int64_t balance(struct scene *s)
{
	struct rows_account a;

	rig_get_account(&s->rig, s->account, &a);
	assert_int_equal(a.holds, 0);
	assert_int_equal(a.held_nusd, 0);
	return a.balance_nusd;
}

static size_t count(struct slice text, const char *what)
{
	size_t n = 0;
	ptrdiff_t at;

	for (; (at = slice_find(text, slice_str(what))) >= 0; n++)
		text = slice_sub(text, (size_t)at + 1, text.n);
	return n;
}

/* What came to the client, if it was still there. True: a whole answer. */
static bool check_answer(struct scene *s, const struct way *w, enum trouble t)
{
	struct slice out = mem_xport_out(s->client);
	size_t ends = w->streams ? count(out, "data: [DONE]\n\n\r\n0\r\n\r\n")
				 : count(out, "x-aigw-cost-usd: ");
	size_t errors = count(out, "{\"error\":{");

	assert_in_range(count(out, "HTTP/1.1 "), is_clients(t) ? 0 : 1, 1);
	assert_in_range(ends + errors, is_clients(t) ? 0 : 1, 1);
	assert_int_equal(count(out, "[DONE]"), w->streams ? ends : 0);
	assert_in_range(count(out, "\"usage\":{"), ends, 1);
	if (errors && count(out, "HTTP/1.1 200 "))
		assert_true(mem_xport_is_shut(s->client) && !count(out, "\r\n0\r\n\r\n"));
	return ends > 0;
}

/* The idempotency key stands for a charge, or it is free. */
static void check_word(struct scene *s, const struct way *w, unsigned word, bool charged)
{
	scene_up(s, w->provider[0]);
	request(s, w, word);
	if (charged)
		scene_expect_out(s, "\"code\":\"idempotency_completed\"");
	else
		scene_at(s, CALL_HEAD);
	clear(s);
}

/* True: it was disturbed before its end. */
static bool run_one(struct scene *s, const struct way *w, enum trouble t, unsigned at)
{
	static unsigned word;
	struct disturber d = {.s = s, .trouble = t, .at = at};
	int64_t had = balance(s), cost;
	struct mem_xport *up[2] = {NULL, NULL};
	bool is_whole;

	for (unsigned i = 0; i < 2 && w->provider[i]; i++)
		up[i] = scene_up(s, w->provider[i]);
	turn_hook_init(&d.hook, s->turn, on_round);
	request(s, w, ++word);
	for (unsigned i = 0; i < 2 && up[i]; i++)
		if (mem_xport_out(up[i]).n)
			feed(s, up[i], w->answer[i]);
	turn_hook_fini(&d.hook);
	scene_advance(s, LATE_MS);
	scene_advance(s, LATE_MS); /* a provider that was asked instead is late too */
	is_whole = check_answer(s, w, t);
	clear(s);
	cost = had - balance(s);
	if (is_whole)
		assert_int_equal(cost, SCENE_COST_NUSD);
	assert_in_range(cost, 0, SCENE_COST_NUSD + 60 * 1000);
	if (d.was_at_work)
		check_word(s, w, word, cost > 0);
	return d.was_at_work;
}

static void open_none(struct scene *s)
{
	s->calls->rt->breaker.failures = 1000;
	s->calls->rt->t->set.retry_minimum = 100000;
}

static void walk(struct scene *s, const struct way *w)
{
	open_none(s);
	for (enum trouble t = 0; t < TROUBLES; t++) {
		unsigned at = 1;

		while (at < POINTS_MAX && run_one(s, w, t, at))
			at++;
		assert_in_range(at, 4, POINTS_MAX - 1);
	}
}

static const struct way solo = {"solo", {"one"}, {whole}, false};
static const struct way solo_stream = {"solo", {"one"}, {stream}, true};
static const struct way failover = {"m", {"one", "two"}, {broken, stream}, true};
static const struct way translated = {"deep", {"three"}, {message}, false};

static void test_whole_answer(void **state)
{
	walk(*state, &solo);
}

static void test_stream(void **state)
{
	walk(*state, &solo_stream);
}

static void test_failover(void **state)
{
	walk(*state, &failover);
}

static void test_translated(void **state)
{
	walk(*state, &translated);
}

static void test_stream_under_drain(void **state)
{
	struct scene *s = *state;

	s->calls->rt->t->set.client_gone = SETTINGS_CLIENT_GONE_DRAIN;
	walk(s, &solo_stream);
}

static void test_stream_without_a_disk(void **state)
{
	struct scene *s = *state;

	s->calls->rt->t->set.durability = SETTINGS_DURABILITY_SETTLE;
	walk(s, &solo_stream);
}

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
	clear(s);
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

	open_none(*state);
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

	open_none(*state);
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

	open_none(*state);
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

	open_none(s);
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

	open_none(s);
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
		clear(s);
	}
}

/* The first provider tells what it used and breaks off. That is not the client's, also when it leaves, or has to go, while a thread reads the
 * request for the next one. */
static void test_given_up_with_usage(void **state)
{
	static const char gives_up[] =
		"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
		"data: "
		"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"choices\":[],\"usage\":{"
		"\"prompt_tokens\":9000,\"completion_tokens\":700}}\n\n"
		"data: {\"error\":{\"message\":\"overloaded\",\"code\":503}}\n\n";
	static const enum trouble troubles[] = {CLIENT_RESET, CLIENT_EOF, DRAIN_CUT, REVOKED};
	struct scene *s = *state;

	open_none(s);
	for (size_t i = 0; i < ARRAY_LEN(troubles); i++) {
		struct disturber d = {.s = s, .trouble = troubles[i]};
		struct mem_xport *up = scene_up(s, "one");

		scene_chat_long(s, "both", true);
		feed(s, up, gives_up);
		scene_at(s, CALL_READ);
		disturb(&d);
		scene_run(s);
		while (call_host_count(s->calls) > 0) {
			uv_run(&s->loop, UV_RUN_ONCE);
			scene_run(s);
		}
		assert_false(scene_charge(s)->flags & RECORD_CHARGED);
		assert_int_equal(scene_charge(s)->charge_nusd, 0);
		assert_int_equal(scene_charge(s)->cost_nusd, 9000 * 1000 + 700 * 2000);
		clear(s);
	}
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_whole_answer),
		T(test_stream),
		T(test_failover),
		T(test_translated),
		T(test_stream_under_drain),
		T(test_stream_without_a_disk),
		T(test_progress_of_pictures),
		T(test_media_in_a_total),
		T(test_media_in_a_last_total),
		T(test_media_in_a_cut_total),
		T(test_pictures_behind_a_total),
		T(test_media_in_a_total_beyond_the_hold),
		T(test_told_before_its_end),
		T(test_told_beside_the_finish),
		T(test_told_of_one_choice),
		T(test_given_up_with_usage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
