/* own_receipt.c: what the key that made a request may read of it, and what not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dialect.h"
#include "json.h"
#include "mem.h"
#include "own_receipt.h"
#include "record.h"

static uint8_t price_bytes[PRICE_BYTES_MAX], hash[DIGEST_SHA256] = {0xab, 1};

/* 10 input, 4 cached, 5 output of which 2 reasoning. */
static struct record sample(void)
{
	struct record r = {.type = RECORD_CHARGE, .account = 1, .wall_ms = 1764000000123};
	struct record_charge *c = &r.charge;
	struct price p;

	price_init(&p);
	p.pusd[USAGE_INPUT] = 1750000;
	p.pusd[USAGE_CACHE_READ] = 175000;
	p.pusd[USAGE_OUTPUT] = 14000000;
	assert_int_equal(price_complete(&p), ERRC_OK);
	price_encode(&p, price_bytes);
	price_hash(&p, c->price_hash);
	memcpy(c->key_id, "abcdefghijkl", APIKEY_ID);
	c->flags = RECORD_STREAM | RECORD_CHARGED;
	c->model = c->model_asked = SLICE_LIT("m");
	c->provider = SLICE_LIT("one");
	c->upstream = SLICE_LIT("m-2");
	c->upstream_id = SLICE_LIT("chatcmpl-1");
	c->end = RECORD_END_CLIENT_GONE;
	c->status = 200;
	c->admitted_ms = 1764000000000;
	c->first_byte_ms = 20;
	c->total_ms = 50;
	usage_set(&c->usage, USAGE_INPUT, 10);
	usage_set(&c->usage, USAGE_CACHE_READ, 4);
	usage_set(&c->usage, USAGE_OUTPUT, 5);
	usage_set(&c->usage, USAGE_REASONING, 2);
	c->raw_usage = SLICE_LIT("{\"prompt_tokens\": 14}");
	c->team = SLICE_LIT("tttttttttttt");
	c->user = SLICE_LIT("u-\"1\"");
	c->hold_nusd = 1000000;
	c->charge_nusd = price_cost(&p, &c->usage);
	c->cost_nusd = 77777;
	c->attempts_n = 2;
	c->attempts[0] = (struct record_attempt){.provider = SLICE_LIT("two"),
						 .upstream = SLICE_LIT("m-1"),
						 .status = 500,
						 .start_ms = 3,
						 .ms = 7,
						 .cost_nusd = 55555,
						 .error = SLICE_LIT("server_error")};
	c->attempts[1] = (struct record_attempt){.provider = SLICE_LIT("one"),
						 .upstream = SLICE_LIT("m-2"),
						 .status = 200,
						 .ms = 40,
						 .cost_nusd = 22222};
	return r;
}

static struct msg_found found_of(struct buf *record, const struct record *r)
{
	buf_init(record, RECORD_MAX);
	assert_int_equal(record_encode(record, r), ERRC_OK);
	return (struct msg_found){
		.record = buf_slice(record),
		.at = 12,
		.hash = slice_of(hash, sizeof(hash)),
		.price = slice_of(price_bytes,
				  price_size(slice_of(price_bytes, sizeof(price_bytes))))};
}

static void has(const struct buf *b, const char *text)
{
	if (slice_find(buf_slice(b), slice_str(text)) < 0)
		fail_msg("no %s in " SLICE_FMT, text, SLICE_ARG(buf_slice(b)));
}

static void has_not(const struct buf *b, const char *text)
{
	if (slice_find(buf_slice(b), slice_str(text)) >= 0)
		fail_msg("%s in " SLICE_FMT, text, SLICE_ARG(buf_slice(b)));
}

static void is_json(const struct buf *b)
{
	struct json_doc *doc = NULL;

	assert_int_equal(json_parse(buf_slice(b), NULL, &doc), ERRC_OK);
	json_free(&doc);
}

static void test_whole_receipt(void **state)
{
	struct record r = sample();
	struct buf record, b;
	struct msg_found f = found_of(&record, &r);

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(own_receipt(&f, "acme", &b), ERRC_OK);
	is_json(&b);
	has(&b, "\"object\":\"receipt\",\"account\":\"acme\",\"key\":\"abcdefghijkl\"");
	has(&b, "\"created_at\":\"2025-11-24T16:00:00.000Z\"");
	has(&b,
	    "{\"class\":\"input\",\"count\":10,\"price\":\"0.00000175\",\"amount\":\"0.0000175\"}");
	has(&b,
	    "{\"class\":\"output\",\"count\":3,\"price\":\"0.000014\",\"amount\":\"0.000042\"}");
	has(&b,
	    "{\"class\":\"reasoning\",\"count\":2,\"price\":\"0.000014\",\"amount\":\"0.000028\"}");
	has(&b, "\"sum\":\"0.0000882\",\"times_multiplier\":\"0.0000882\",\"rounded_up\":\"0."
		"0000882\"");
	has(&b, "\"hold\":\"0.001\",\"charge\":\"0.0000882\",\"uncollected\":\"0.0\"");
	has(&b, "\"attempts\":[{\"provider_name\":\"two\",\"model\":\"m-1\",\"status\":500,");
	has(&b, "\"status\":500,\"start_ms\":3,\"ms\":7,\"error\":\"server_error\"}");
	has(&b, "\"raw_usage\":{\"prompt_tokens\": 14},");
	has(&b, "\"team\":\"tttttttttttt\",\"user\":\"u-\\\"1\\\"\",");
	has(&b, "\"durable\":true,\"chain\":{\"seq\":12,\"hash\":\"ab01000000");
	/* What it cost us is nobody's business. */
	has_not(&b, "cost");
	has_not(&b, "77777");
	has_not(&b, "22222");
	buf_fini(&b);
	buf_fini(&record);
	assert_int_equal(mem_live_count(), 0);
}

/* A record of which everything is known. */
static struct record whole_sample(void)
{
	struct record r = sample();

	r.charge.usage.tier = USAGE_TIER_FLEX;
	usage_set(&r.charge.usage, USAGE_IMAGE, 3);
	usage_set(&r.charge.usage, USAGE_OUTPUT_IMAGE, 6);
	r.charge.group = SLICE_LIT("friends");
	r.charge.finish = SLICE_LIT("stop");
	r.charge.native_finish = SLICE_LIT("end_turn");
	r.charge.attempts[1].error = SLICE_LIT("answer_cut");
	return r;
}

/* The members that are null are those that no record knows. */
static void nulls_are(const struct buf *b, const char *const *unknown, size_t n)
{
	struct slice rest = buf_slice(b);
	size_t found = 0;

	for (int64_t at; (at = slice_find(rest, SLICE_LIT("\":null"))) >= 0; found++) {
		size_t from = (size_t)at, i = 0;

		while (rest.p[from - 1] != '"')
			from--;
		while (i < n && !slice_is(slice_of(rest.p + from, (size_t)at - from), unknown[i]))
			i++;
		if (i == n)
			fail_msg("%.*s is null", (int)((size_t)at - from), rest.p + from);
		rest = slice_sub(rest, (size_t)at + 1, rest.n - (size_t)at - 1);
	}
	assert_int_equal(found, n);
}

static void test_nothing_known_is_null(void **state)
{
	static const char *const unknown[] = {"router",
					      "session_id",
					      "upstream_inference_cost",
					      "moderation_latency",
					      "http_referer",
					      "user_agent",
					      "app_id",
					      "num_media_completion",
					      "num_fetches",
					      "preset_id",
					      "num_search_results",
					      "num_input_audio_prompt",
					      "workspace_id",
					      "web_search_engine"};
	struct record r = whole_sample();
	struct buf record, b;
	struct msg_found f = found_of(&record, &r);

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(own_receipt(&f, "acme", &b), ERRC_OK);
	nulls_are(&b, NULL, 0);
	has(&b, "\"tier\":\"flex\"");
	buf_reset(&b);
	assert_int_equal(own_receipt_generation(&f, "acme", &b), ERRC_OK);
	is_json(&b);
	nulls_are(&b, unknown, ARRAY_LEN(unknown));
	has(&b, "\"service_tier\":\"flex\",");
	has(&b, "\"num_media_prompt\":3,");
	has(&b, "\"native_tokens_completion_images\":6,");
	has(&b, "\"api_type\":\"completions\",");
	buf_fini(&b);
	buf_fini(&record);
	r.charge.front = DIALECT_EMBEDDINGS;
	r.charge.usage = (struct usage){.tier = 0};
	f = found_of(&record, &r);
	buf_init(&b, 65536);
	assert_int_equal(own_receipt_generation(&f, "acme", &b), ERRC_OK);
	has(&b, "\"service_tier\":null,");
	has(&b, "\"num_media_prompt\":null,");
	has(&b, "\"api_type\":\"embeddings\",");
	buf_fini(&b);
	buf_fini(&record);
	assert_int_equal(mem_live_count(), 0);
}

static void test_not_durable_without_price(void **state)
{
	struct record r = sample();
	struct buf record, b;
	struct msg_found f = found_of(&record, &r);

	(void)state;
	f.at = 0;
	f.hash = f.price = SLICE_NONE;
	f.reversed = 1;
	buf_init(&b, 65536);
	assert_int_equal(own_receipt(&f, "acme", &b), ERRC_OK);
	is_json(&b);
	has(&b, "\"price\":null,\"arithmetic\":null");
	has(&b, "\"reversed\":true,\"durable\":false,\"chain\":null");
	buf_reset(&b);
	assert_int_equal(own_receipt_generation(&f, "acme", &b), ERRC_OK);
	has(&b, "\"total_cost\":0.0,\"usage\":0.0,");
	buf_fini(&b);
	buf_fini(&record);
}

/* What a provider calls JSON and is none must not break the body. */
static void test_odd_raw_usage(void **state)
{
	struct record r = sample();
	struct msg_found f;
	struct buf record, b;

	(void)state;
	r.charge.raw_usage = SLICE_LIT("{\"a\":tru}");
	f = found_of(&record, &r);
	buf_init(&b, 65536);
	assert_int_equal(own_receipt(&f, "acme", &b), ERRC_OK);
	is_json(&b);
	has(&b, "\"raw_usage\":\"{\\\"a\\\":tru}\"");
	buf_fini(&b);
	buf_fini(&record);
	assert_int_equal(mem_live_count(), 0);
}

static void test_generation(void **state)
{
	struct record r = sample();
	struct buf record, b;
	struct msg_found f = found_of(&record, &r);

	(void)state;
	buf_init(&b, 65536);
	assert_int_equal(own_receipt_generation(&f, "acme", &b), ERRC_OK);
	is_json(&b);
	has(&b,
	    "\"cancelled\":true,\"end\":\"client_gone\",\"status\":200,\"total_cost\":0.0000882");
	has(&b, "\"tokens_prompt\":14,\"tokens_completion\":5,");
	has(&b, "\"latency\":20,\"generation_time\":30,");
	has(&b, "\"receipt\":{\"id\":\"gen_");
	has_not(&b, "cost_nusd");
	buf_fini(&b);
	buf_fini(&record);
}

static void test_what_is_no_charge(void **state)
{
	struct record r = {.type = RECORD_GRANT, .account = 1};
	struct msg_found f;
	struct buf record, b;

	(void)state;
	f = found_of(&record, &r);
	buf_init(&b, 65536);
	assert_int_equal(own_receipt(&f, "acme", &b), ERRC_NOTFOUND);
	assert_int_equal(own_receipt_generation(&f, "acme", &b), ERRC_NOTFOUND);
	f.record = SLICE_LIT("\x90");
	assert_int_equal(own_receipt(&f, "acme", &b), ERRC_CORRUPT);
	buf_fini(&b);
	buf_fini(&record);
}

/* A body that does not fit is an error, not a cut body. */
static void test_every_ceiling(void **state)
{
	struct record r = sample();
	struct buf record, b;
	struct msg_found f = found_of(&record, &r);
	enum errc e = ERRC_LIMIT;

	(void)state;
	for (size_t max = 1; e != ERRC_OK; max++) {
		buf_init(&b, max);
		e = own_receipt_generation(&f, "acme", &b);
		assert_true(e == ERRC_OK || e == ERRC_LIMIT);
		buf_fini(&b);
	}
	buf_fini(&record);
	assert_int_equal(mem_live_count(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_receipt),
		cmocka_unit_test(test_nothing_known_is_null),
		cmocka_unit_test(test_not_durable_without_price),
		cmocka_unit_test(test_odd_raw_usage),
		cmocka_unit_test(test_generation),
		cmocka_unit_test(test_what_is_no_charge),
		cmocka_unit_test(test_every_ceiling),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
