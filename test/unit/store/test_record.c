#include "rig.h"

#include "json.h"
#include "mem.h"
#include "mpack.h"
#include "rollup.h"
#include "rows_hold.h"
#include "text.h"

static struct record charge(void)
{
	struct record r = {
		.type = RECORD_CHARGE, .account = UINT64_C(1) << 40, .wall_ms = 1790000000123};

	r.charge = (struct record_charge){.front = 2,
					  .flags = RECORD_STREAM | RECORD_CHARGED,
					  .status = 200,
					  .end = RECORD_END_CLIENT_GONE,
					  .admitted_ms = 5,
					  .first_byte_ms = -1,
					  .total_ms = 9,
					  .model_asked = SLICE_LIT("fast"),
					  .model = SLICE_LIT("gpt"),
					  .provider = SLICE_LIT("openai"),
					  .upstream = SLICE_LIT("gpt-5.2"),
					  .upstream_id = SLICE_LIT("chatcmpl-1"),
					  .hold_nusd = 1,
					  .charge_nusd = 2,
					  .uncollected_nusd = 3,
					  .cost_nusd = 4,
					  .attempts_n = 2,
					  .idem = SLICE_LIT("\xff\0tag")};
	memcpy(r.charge.key_id, "abcdefghijkl", APIKEY_ID);
	memset(r.charge.id.b, 3, GENID_BYTES);
	memset(r.charge.price_hash, 4, DIGEST_SHA256);
	usage_set(&r.charge.usage, USAGE_INPUT, 10);
	usage_set(&r.charge.usage, USAGE_OUTPUT, 20);
	for (size_t i = 0; i < 2; i++)
		r.charge.attempts[i] = (struct record_attempt){.provider = SLICE_LIT("openai"),
							       .upstream = SLICE_LIT("x"),
							       .status = 503,
							       .ms = 7,
							       .cost_nusd = 8,
							       .error = SLICE_LIT("overloaded")};
	return r;
}

static void test_round_trip(void **state)
{
	struct record r = charge(), got;
	struct buf a, b;

	(void)state;
	buf_init(&a, RECORD_MAX);
	buf_init(&b, RECORD_MAX);
	for (int t = 0; t < RECORD_TYPE_COUNT; t++) {
		buf_reset(&a);
		buf_reset(&b);
		if (t != RECORD_CHARGE) {
			r = (struct record){.type = (enum record_type)t, .account = 4, .wall_ms = 6};
			r.change = (struct record_change){
				.who = SLICE_LIT("root"),
				.what = SLICE_LIT("create"),
				.note = SLICE_LIT("n"),
				.amount_nusd = -1,
				.row = SLICE_LIT("\0\1\2"),
				.team = SLICE_LIT("teamteamteam"),
				.user = SLICE_LIT("u"),
				.budgets = {.n = 1, .v = {{ROWS_USER, 9, -3}}},
				.epoch = 9,
				.idem = SLICE_LIT("\0\1\2\3")};
		}
		assert_int_equal(record_encode(&a, &r), ERRC_OK);
		assert_int_equal(record_decode(buf_slice(&a), &got), ERRC_OK);
		assert_int_equal(got.type, t);
		assert_int_equal(record_encode(&b, &got), ERRC_OK);
		assert_true(slice_eq(buf_slice(&a), buf_slice(&b)));
		for (size_t n = 0; n < a.len; n++)
			assert_int_equal(record_decode(slice_of(a.p, n), &got), ERRC_CORRUPT);
	}
	buf_fini(&a);
	buf_fini(&b);
}

/* A charge whose members are all as long as they may be, in as many budgets as there may be, finds room in a record: its settlement ends. */
static void test_largest(void **state)
{
	static char text[ROWS_HOLD_NAME_MAX];
	static struct record r, got;
	struct slice name = slice_of(text, sizeof text), word = slice_of(text, RECORD_FINISH_MAX);
	struct record_charge *c = &r.charge;
	struct buf b;

	(void)state;
	memset(text, 'm', sizeof text);
	r = charge();
	r.account = ROWS_ACCOUNT_LAST;
	c->model_asked = c->model = c->provider = c->upstream = name;
	c->upstream_id = slice_of(text, RECORD_UPSTREAM_ID_MAX);
	c->team = slice_of(text, ROWS_ID);
	c->user = slice_of(text, ROWS_TAG_MAX);
	c->group = slice_of(text, ROWS_NAME_MAX);
	c->raw_usage = slice_of(text, RECORD_RAW_MAX);
	c->idem = slice_of(text, RECORD_BYTES_MAX);
	c->finish = c->native_finish = word;
	c->hold_nusd = c->charge_nusd = c->uncollected_nusd = c->cost_nusd = INT64_MAX;
	c->attempts_n = LIMIT_ATTEMPTS;
	for (size_t i = 0; i < LIMIT_ATTEMPTS; i++)
		c->attempts[i] = (struct record_attempt){.provider = name,
							 .upstream = name,
							 .status = UINT16_MAX,
							 .start_ms = INT64_MAX,
							 .ms = INT64_MAX,
							 .cost_nusd = INT64_MAX,
							 .error = word};
	c->budgets.n = RECORD_BUDGETS_MAX;
	for (size_t i = 0; i < RECORD_BUDGETS_MAX; i++)
		c->budgets.v[i] = (struct record_budget){ROWS_USER, ROWS_RULE_ID_MAX, INT64_MAX / 2};
	buf_init(&b, RECORD_MAX);
	assert_int_equal(record_encode(&b, &r), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &got), ERRC_OK);
	assert_int_equal(got.charge.budgets.n, RECORD_BUDGETS_MAX);
	assert_memory_equal(got.charge.budgets.v, c->budgets.v, sizeof c->budgets.v);
	c->budgets.n++;
	assert_int_equal(record_encode(&b, &r), ERRC_INVAL);
	buf_fini(&b);
}

static void assert_same(struct slice a, struct slice b)
{
	assert_ptr_equal(a.p, b.p);
	assert_int_equal(a.n, b.n);
}

/* False: it is corrupt for all who read all of it. */
static bool used_is_all(struct slice bytes)
{
	struct record all, used;
	struct rollup_sums a, b;
	struct rollup_name x, y;

	if (record_decode(bytes, &all) != ERRC_OK || all.type != RECORD_CHARGE)
		return false;
	memset(&used, 0xa5, sizeof used);
	assert_int_equal(record_decode_used(bytes, &used), ERRC_OK);
	assert_true(used.type == RECORD_CHARGE && used.wall_ms == all.wall_ms);
	a = rollup_sums_of(7, &all);
	b = rollup_sums_of(7, &used);
	assert_memory_equal(&a, &b, sizeof a);
	rollup_name_of(&all, &x);
	rollup_name_of(&used, &y);
	assert_true(x.day == y.day && x.account == y.account);
	assert_memory_equal(x.key_id, y.key_id, APIKEY_ID);
	assert_memory_equal(x.team, y.team, ROWS_ID);
	assert_same(x.model, y.model);
	assert_same(x.provider, y.provider);
	assert_same(x.tag, y.tag);
	return true;
}

/* What reports read of a charge is what all of it says; and it is found corrupt wherever all of it would be. */
static void test_used(void **state)
{
	struct record r = charge(), used;
	struct buf bytes;

	(void)state;
	buf_init(&bytes, RECORD_MAX);
	r.charge.team = SLICE_LIT("teamteamteam");
	r.charge.user = SLICE_LIT("user-1");
	r.charge.raw_usage = SLICE_LIT("{\"prompt_tokens\":1200,\"completion_tokens\":350}");
	assert_int_equal(record_encode(&bytes, &r), ERRC_OK);
	assert_true(used_is_all(buf_slice(&bytes)));
	for (size_t n = 0; n < bytes.len; n++)
		assert_int_equal(record_decode_used(slice_of(bytes.p, n), &used), ERRC_CORRUPT);
	buf_fini(&bytes);
}

/* Of any width, from the smallest on. */
static int64_t any_number(struct text_rng *rng, unsigned bits)
{
	return (int64_t)(text_rng_next(rng) >> (64 - 1 - text_rng_next(rng) % bits));
}

static struct slice any_text(struct text_rng *rng)
{
	static char text[300];

	memset(text, 'x', sizeof text);
	return slice_of(text, text_rng_next(rng) % (text_rng_next(rng) % 4 ? 40 : sizeof text));
}

static struct record any_charge(struct text_rng *rng)
{
	struct record r = charge();
	struct record_charge *c = &r.charge;
	struct slice *const texts[] = {&c->model_asked,
				       &c->model,
				       &c->provider,
				       &c->upstream,
				       &c->upstream_id,
				       &c->user,
				       &c->group,
				       &c->raw_usage,
				       &c->attempts[0].provider,
				       &c->attempts[1].error};
	int64_t *const numbers[] = {&r.wall_ms,        &c->first_byte_ms, &c->total_ms,
				    &c->hold_nusd,     &c->charge_nusd,   &c->cost_nusd,
				    &c->attempts[0].ms};

	for (size_t i = 0; i < ARRAY_LEN(texts); i++)
		*texts[i] = any_text(rng);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		*numbers[i] = any_number(rng, 62) - (text_rng_next(rng) % 8 == 0);
	for (enum usage_class u = 0; u < USAGE_COUNT; u++) {
		if (text_rng_next(rng) % 2)
			usage_set(&c->usage, u, any_number(rng, 39));
	}
	r.account = (uint64_t)any_number(rng, 62);
	c->end = (enum record_end)(text_rng_next(rng) % RECORD_END_COUNT);
	c->status = (uint16_t)any_number(rng, 16);
	c->team = text_rng_next(rng) % 2 ? SLICE_LIT("teamteamteam") : SLICE_NONE;
	c->attempts_n = text_rng_next(rng) % 3;
	c->budgets.n = text_rng_next(rng) % 8;
	for (size_t i = 0; i < c->budgets.n; i++)
		c->budgets.v[i] = (struct record_budget){ROWS_KEY, 1, any_number(rng, 40)};
	return r;
}

/* In memory that ends where they do. */
static char *copy_of(const char *p, size_t n)
{
	char *bytes = mem_new(n ? n : 1);

	assert_non_null(bytes);
	memcpy(bytes, p, n);
	return bytes;
}

/* Charges of any shape, whole, with a byte of chance in them, and cut. */
static void test_used_any(void **state)
{
	struct text_rng rng = {{5, 6}};
	unsigned read = 0;
	struct buf b;

	(void)state;
	buf_init(&b, RECORD_MAX);
	for (unsigned round = 0; round < 20000; round++) {
		struct record r = any_charge(&rng), used;
		size_t cut;
		char *bytes;

		buf_reset(&b);
		assert_int_equal(record_encode(&b, &r), ERRC_OK);
		bytes = copy_of(b.p, b.len);
		assert_true(used_is_all(slice_of(bytes, b.len)));
		bytes[text_rng_next(&rng) % b.len] = (char)text_rng_next(&rng);
		read += used_is_all(slice_of(bytes, b.len));
		mem_free(bytes);
		cut = text_rng_next(&rng) % b.len;
		bytes = copy_of(b.p, cut);
		assert_int_equal(record_decode_used(slice_of(bytes, cut), &used), ERRC_CORRUPT);
		mem_free(bytes);
	}
	buf_fini(&b);
	assert_in_range(read, 5000, 19999);
}

/* The first `old` in `b` becomes `new`. */
static void change(struct buf *b, struct slice old, struct slice new)
{
	ptrdiff_t at = slice_find(buf_slice(b), old);
	struct buf c;

	assert_true(at >= 0);
	buf_init(&c, RECORD_MAX);
	assert_int_equal(buf_add(&c, b->p, (size_t)at), ERRC_OK);
	assert_int_equal(buf_adds(&c, new), ERRC_OK);
	assert_int_equal(buf_adds(&c, slice_sub(buf_slice(b), (size_t)at + old.n, b->len)), ERRC_OK);
	buf_fini(b);
	*b = c;
}

/* Records that we do not write: none that is corrupt in what reports use is counted, none that is readable is refused. */
static void test_used_odd(void **state)
{
	static const struct {
		struct slice old, new, more;
		enum errc want;
	} odd[] = {
		/* Fields more and fewer than are told or known. */
		{SLICE_LIT("\xdc\0\x21\x04"), SLICE_LIT("\xdc\0\x22\x04"), SLICE_LIT("\1"), ERRC_OK},
		{SLICE_LIT("\xdc\0\x21\x04"), SLICE_LIT("\xdc\0\x22\x04"), SLICE_NONE, ERRC_CORRUPT},
		{SLICE_LIT("\xdc\0\x21\x04"), SLICE_LIT("\xdc\0\x21\x04"), SLICE_LIT("\1"),
		 ERRC_CORRUPT},
		{SLICE_LIT("\xdc\0\x21\x04"), SLICE_LIT("\xdc\0\x20\x04"), SLICE_NONE, ERRC_CORRUPT},
		{SLICE_LIT("\xdc\0\x21\x04"), SLICE_LIT("\xdc\0\x21\x05"), SLICE_NONE, ERRC_VERSION},
		/* Key, end, usage. */
		{SLICE_LIT("\xacxxxxxxxxxxxx"), SLICE_LIT("\xabxxxxxxxxxxx"), SLICE_NONE,
		 ERRC_CORRUPT},
		{SLICE_LIT("\xacxxxxxxxxxxxx"), SLICE_LIT("\xadxxxxxxxxxxxxx"), SLICE_NONE,
		 ERRC_CORRUPT},
		{SLICE_LIT("\xcc\xc8\1"), SLICE_LIT("\xcc\xc8\x7f"), SLICE_NONE, ERRC_CORRUPT},
		{SLICE_LIT("\xcc\xc8\1"), SLICE_LIT("\xcc\xc8\xd0\1"), SLICE_NONE, ERRC_OK},
		{SLICE_LIT("\x41\xc2\0\x0a"), SLICE_LIT("\x41\xc2\0\xff"), SLICE_NONE, ERRC_CORRUPT},
		{SLICE_LIT("\x41\xc2\0\x0a"), SLICE_LIT("\x41\xc2\0\xd1\0\x0a"), SLICE_NONE,
		 ERRC_OK},
		/* An attempt of more members, and strings and bytes with longer lengths. */
		{SLICE_LIT("\x91\x97\xa6openai\xa1x\xcd\1\xf7\7\x08\xa6openai\0"),
		 SLICE_LIT("\x91\x98\xa6openai\xa1x\xcd\1\xf7\7\x08\xa6openai\0\1"), SLICE_NONE,
		 ERRC_OK},
		{SLICE_LIT("\xa6openai\xa7gpt"), SLICE_LIT("\xda\0\6openai\xdb\0\0\0\7gpt"),
		 SLICE_NONE, ERRC_OK},
		{SLICE_LIT("\xc4\5\xff"), SLICE_LIT("\xc5\0\5\xff"), SLICE_NONE, ERRC_OK},
	};
	struct record r = charge(), all, used;

	(void)state;
	memset(r.charge.key_id, 'x', APIKEY_ID);
	r.charge.attempts_n = 1;
	r.charge.attempts[0].error = r.charge.attempts[0].provider;
	for (size_t i = 0; i < ARRAY_LEN(odd); i++) {
		struct buf b;

		buf_init(&b, RECORD_MAX);
		assert_int_equal(record_encode(&b, &r), ERRC_OK);
		change(&b, odd[i].old, odd[i].new);
		assert_int_equal(buf_adds(&b, odd[i].more), ERRC_OK);
		assert_int_equal(record_decode(buf_slice(&b), &all), odd[i].want);
		assert_int_equal(record_decode_used(buf_slice(&b), &used), odd[i].want);
		assert_true(used_is_all(buf_slice(&b)) == (odd[i].want == ERRC_OK));
		buf_fini(&b);
	}
}

/* A record of a later version of the same layout has more at its end: it is read as far as it is known. */
static void test_longer(void **state)
{
	struct record r = {.type = RECORD_GRANT, .account = 4}, got;
	struct buf a, more;

	(void)state;
	r.change.amount_nusd = 5;
	buf_init(&a, RECORD_MAX);
	buf_init(&more, RECORD_MAX);
	assert_int_equal(record_encode(&a, &r), ERRC_OK);
	/* An array of 18 is written with two bytes of length. */
	assert_memory_equal(a.p, "\xdc\0\x12", 3);
	assert_int_equal(buf_add(&more, "\xdc\0\x13", 3), ERRC_OK);
	assert_int_equal(buf_add(&more, a.p + 3, a.len - 3), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&more), &got), ERRC_CORRUPT);
	assert_int_equal(buf_addc(&more, 1), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&more), &got), ERRC_OK);
	assert_int_equal(got.change.amount_nusd, 5);
	more.p[3] = RECORD_VERSION + 1;
	assert_int_equal(record_decode(buf_slice(&more), &got), ERRC_VERSION);
	buf_fini(&a);
	buf_fini(&more);
}

static void test_limits(void **state)
{
	struct record r = charge();
	char *big = mem_new(RECORD_MAX);
	struct buf a;

	(void)state;
	assert_non_null(big);
	buf_init(&a, 4 * RECORD_MAX);
	assert_int_equal(buf_addc(&a, 'x'), ERRC_OK);
	r.charge.model = slice_of(big, RECORD_MAX);
	assert_int_equal(record_encode(&a, &r), ERRC_LIMIT);
	assert_int_equal(a.len, 1);
	r = charge();
	r.charge.attempts_n = LIMIT_ATTEMPTS + 1;
	assert_int_equal(record_encode(&a, &r), ERRC_INVAL);
	r = charge();
	r.charge.idem = slice_of(big, RECORD_BYTES_MAX + 1);
	assert_int_equal(record_encode(&a, &r), ERRC_INVAL);
	buf_fini(&a);
	mem_free(big);
}

static void test_json(void **state)
{
	struct record r = charge();
	struct json_doc *doc = NULL;
	struct buf a;

	(void)state;
	buf_init(&a, 65536);
	assert_int_equal(record_json(&a, 12, &r), ERRC_OK);
	assert_true(slice_find(buf_slice(&a), SLICE_LIT("\"seq\":12,\"type\":\"charge\"")) >= 0);
	assert_true(slice_find(buf_slice(&a), SLICE_LIT("\"end\":\"client_gone\"")) >= 0);
	assert_true(slice_find(buf_slice(&a),
			       SLICE_LIT("\"usage\":{\"input\":10,\"output\":20,")) >= 0);
	assert_true(slice_find(buf_slice(&a),
			       SLICE_LIT("\"key\":\"abcdefghijkl\",\"id\":\"gen_")) >= 0);
	assert_int_equal(json_parse(buf_slice(&a), NULL, &doc), ERRC_OK);
	json_free(&doc);
	buf_fini(&a);
}

static void test_out_of_memory(void **state)
{
	struct record r = charge();
	unsigned n = 1;

	(void)state;
	for (enum errc rc = ERRC_NOMEM; rc; n++) {
		struct buf b;

		buf_init(&b, 65536);
		mem_fail_after(n);
		rc = record_encode(&b, &r);
		if (!rc)
			rc = record_json(&b, 1, &r);
		mem_fail_after(0);
		buf_fini(&b);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
	}
	assert_true(n > 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_largest),  cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_longer),   cmocka_unit_test(test_limits),
		cmocka_unit_test(test_json),     cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_used),     cmocka_unit_test(test_used_any),
		cmocka_unit_test(test_used_odd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
