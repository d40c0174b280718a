#include "rig.h"

#include "rows_hold.h"

#include "mem.h"
#include "zone_folder.h"
#include "zones.h"

static struct price some_price(int64_t base)
{
	struct price p;

	price_init(&p);
	p.pusd[USAGE_INPUT] = base;
	p.pusd[USAGE_OUTPUT] = 2 * base;
	assert_int_equal(price_complete(&p), ERRC_OK);
	return p;
}

static void fill_key(struct rows_scope *k)
{
	memset(k, 0, sizeof *k);
	*k = (struct rows_scope){.kind = ROWS_KEY,
				 .account = 77,
				 .status = ROWS_SUSPENDED,
				 .flags = ROWS_KEY_CLAMP,
				 .created_s = 5,
				 .expires_s = 6,
				 .keepalive_ms = 7000,
				 .name = SLICE_LIT("café"),
				 .models = SLICE_LIT("gpt-*\n!gpt-5*"),
				 .nets_n = 2};
	memcpy(k->id, "abcdefghijkl", APIKEY_ID);
	memset(k->hash, 0xa5, sizeof k->hash);
	rows_limits_init(&k->limits);
	rig_limit(k, ROWS_TPD, 12);
	rig_limit(k, ROWS_CONCURRENCY, 0);
	rig_budget(k, 99, (struct window_spec){.unit = WINDOW_WEEK, .rolling = true});
	*rows_limits_add(&k->limits, ROWS_BUDGET, 7) = (struct rows_rule){
		.id = k->limits.last_id,
		.kind = ROWS_BUDGET,
		.shadow = true,
		.limit = 7,
		.window = {.unit = WINDOW_TOTAL, .carry_from_s = 5, .carry_until_s = WINDOW_NEVER},
		.models = SLICE_LIT("gpt-5*"),
		.raise = 3,
		.raise_until_s = 4};
	*rows_limits_add(&k->limits, ROWS_BUDGET, 50) =
		(struct rows_rule){.id = k->limits.last_id,
				   .kind = ROWS_BUDGET,
				   .credit = true,
				   .limit = 50,
				   .window = {.unit = WINDOW_TOTAL},
				   .raise = 5};
	*rows_limits_add(&k->limits, ROWS_BUDGET, 8) =
		(struct rows_rule){.id = k->limits.last_id,
				   .kind = ROWS_BUDGET,
				   .limit = 8,
				   .window = {.unit = WINDOW_DAY},
				   .raise = 6,
				   .raise_until_s = 9,
				   .raise_by_window = true};
	memcpy(k->team, "teamteamteam", ROWS_ID);
	memset(k->old_hash, 0x5a, sizeof k->old_hash);
	k->old_until_s = 8;
	k->pepper = 3;
	k->old_pepper = 2;
	assert_true(ipnet_parse(SLICE_LIT("10.1.0.0/16"), &k->nets[0]));
	assert_true(ipnet_parse(SLICE_LIT("fd00::/8"), &k->nets[1]));
}

/* Of a small prompt and of a larger one. */
static struct slice some_cost(void)
{
	static uint8_t bytes[ROWS_COST_MAX];
	struct price small = some_price(70), large = some_price(90);

	small.when.prompt_upto = large.when.prompt_above = 1000;
	return slice_of(bytes,
			rows_cost_pack((const struct price *const[]){&small, &large}, 2, bytes));
}

static void fill_hold(struct rows_hold *h)
{
	memset(h, 0, sizeof *h);
	*h = (struct rows_hold){.account = 9,
				.instance = 3,
				.slot = 17,
				.front = 2,
				.flags = ROWS_HOLD_STREAM,
				.hold_nusd = 1234,
				.tokens_estimate = 10,
				.input_bound = 20,
				.admitted_boot_ms = 30,
				.admitted_wall_ms = 40,
				.model_asked = SLICE_LIT("fast"),
				.user = SLICE_LIT("alice"),
				.group = SLICE_LIT("gold"),
				.scopes_n = 2,
				.scopes = {{.kind = ROWS_TEAM, .id = "teamteamteam", .n = 0},
					   {.kind = ROWS_KEY,
					    .id = "abcdefghijkl",
					    .n = 2,
					    .taken = {{1, false, 0}, {2, true, 55}}}},
				.candidates_n = 3,
				.prices_n = 2};
	memset(h->id.b, 7, sizeof h->id.b);
	memcpy(h->key_id, "abcdefghijkl", APIKEY_ID);
	for (size_t i = 0; i < h->candidates_n; i++)
		h->candidates[i] = (struct rows_candidate){.offer = i,
							   .price = (uint8_t)(i % 2),
							   .tiers = 1,
							   .cap = 100 + (int64_t)i,
							   .provider = SLICE_LIT("openai"),
							   .model = SLICE_LIT("fast"),
							   .upstream = SLICE_LIT("gpt-5.2")};
	h->candidates[1].cost = some_cost();
	h->prices[0] = some_price(1000000);
	h->prices[1] = some_price(3000000);
}

/* Any row cut short or made longer is refused, whatever reader gets it. */
static void check_lengths(struct buf *b, enum errc (*read)(struct slice))
{
	assert_int_equal(read(buf_slice(b)), ERRC_OK);
	for (size_t n = 0; n < b->len; n++)
		assert_int_equal(read(slice_of(b->p, n)), ERRC_CORRUPT);
	assert_int_equal(buf_addc(b, 'x'), ERRC_OK);
	assert_int_equal(read(buf_slice(b)), ERRC_CORRUPT);
	b->p[0] = 9;
	assert_int_equal(read(buf_slice(b)), ERRC_VERSION);
}

static enum errc read_account(struct slice s)
{
	struct rows_account a;

	return rows_get_account(s, &a);
}

static enum errc read_key(struct slice s)
{
	struct rows_scope k;

	return rows_get_scope(s, &k);
}

static enum errc read_state(struct slice s)
{
	struct rows_state st;

	return rows_get_state(s, &st);
}

static enum errc read_hold(struct slice s)
{
	struct rows_hold h;

	return rows_get_hold(s, &h);
}

static void test_account(void **state)
{
	struct rows_account a = {.id = 5,
				 .mode = ROWS_POSTPAID,
				 .status = ROWS_SUSPENDED,
				 .holds = 2,
				 .granted_nusd = 10,
				 .balance_nusd = 3,
				 .held_nusd = 4,
				 .settled_nusd = 3,
				 .uncollected_nusd = 9,
				 .overdraft_nusd = 7,
				 .created_s = 11,
				 .name = SLICE_LIT("acme")};
	struct rows_account got;
	struct buf b;

	(void)state;
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_account(&b, &a), ERRC_OK);
	assert_int_equal(rows_get_account(buf_slice(&b), &got), ERRC_OK);
	assert_true(slice_eq(got.name, a.name));
	assert_true(rig_same(&got, &a));
	check_lengths(&b, read_account);
	a.name.n = ROWS_NAME_MAX + 1;
	assert_int_equal(rows_put_account(&b, &a), ERRC_LIMIT);
	buf_fini(&b);
}

static void test_key(void **state)
{
	struct rows_scope k, got;
	struct buf b;

	(void)state;
	memset(&got, 0, sizeof got);
	fill_key(&k);
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_scope(&b, &k), ERRC_OK);
	assert_int_equal(rows_get_scope(buf_slice(&b), &got), ERRC_OK);
	assert_true(slice_eq(got.name, k.name) && slice_eq(got.models, k.models));
	assert_int_equal(got.limits.n, 6);
	assert_true(got.limits.v[4].credit && !got.limits.v[3].credit);
	assert_true(slice_eq(got.limits.v[3].models, k.limits.v[3].models));
	got.name = k.name;
	got.models = k.models;
	for (size_t i = 0; i < got.limits.n; i++) {
		got.limits.v[i].models = k.limits.v[i].models;
		got.limits.v[i].zone = k.limits.v[i].zone;
	}
	assert_memory_equal(&got, &k, sizeof k);
	check_lengths(&b, read_key);
	k.keepalive_ms = LIMIT_KEEPALIVE_MS + 1000;
	assert_int_equal(rows_put_scope(&b, &k), ERRC_LIMIT);
	k.keepalive_ms = ROWS_NO_LIMIT;
	k.nets_n = ROWS_NETS_MAX + 1;
	assert_int_equal(rows_put_scope(&b, &k), ERRC_LIMIT);
	buf_fini(&b);
}

/* What a rule says that it has is there: a row has one form. */
static void test_empty_parts_of_a_rule(void **state)
{
	static const int64_t raise[] = {3, 4}, carry[] = {5, WINDOW_NEVER};
	const struct slice parts[] = {slice_of((const char *)raise, sizeof raise),
				      slice_of((const char *)carry, sizeof carry)};
	struct rows_scope k;
	struct buf b;

	(void)state;
	fill_key(&k);
	buf_init(&b, ROWS_MAX);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		ptrdiff_t at;

		buf_reset(&b);
		assert_int_equal(rows_put_scope(&b, &k), ERRC_OK);
		at = slice_find(buf_slice(&b), parts[i]);
		assert_true(at > 0);
		memset(b.p + at, 0, parts[i].n);
		assert_int_equal(read_key(buf_slice(&b)), ERRC_CORRUPT);
	}
	buf_fini(&b);
}

/* The zone's name is stored; what it stands for is looked up at each reading, and its absence changes nothing in the row. */
static void test_zone(void **state)
{
	struct rows_scope k, got;
	struct rows_rule *r;
	struct buf b, again;

	(void)state;
	zone_folder_make();
	fill_key(&k);
	r = rows_limits_find(&k.limits, ROWS_BUDGET);
	r->window = (struct window_spec){.unit = WINDOW_DAY};
	r->zone = SLICE_LIT("Area/Three");
	buf_init(&b, ROWS_MAX);
	buf_init(&again, ROWS_MAX);
	assert_int_equal(rows_put_scope(&b, &k), ERRC_OK);
	for (int there = 0; there < 2; there++) {
		if (there)
			zone_folder_put("Area/Three", "AAA-3");
		assert_int_equal(rows_get_scope(buf_slice(&b), &got), ERRC_OK);
		r = rows_limits_find(&got.limits, ROWS_BUDGET);
		assert_true(slice_is(r->zone, "Area/Three"));
		assert_int_equal(zone_offset_s(r->window.zone, 0), there ? 3 * 3600 : 0);
		buf_reset(&again);
		assert_int_equal(rows_put_scope(&again, &got), ERRC_OK);
		assert_true(slice_eq(buf_slice(&b), buf_slice(&again)));
		zones_fini();
	}
	check_lengths(&b, read_key);
	zones_fini();
	zone_folder_remove();
	buf_fini(&again);
	buf_fini(&b);
}

/* 0 is off, which differs from "not set". */
static void test_keepalive_of_a_key(void **state)
{
	static const int64_t values_ms[] = {ROWS_NO_LIMIT, 0, 1000, LIMIT_KEEPALIVE_MS};
	struct rows_scope k, got;
	struct buf b;

	(void)state;
	fill_key(&k);
	for (size_t i = 0; i < ARRAY_LEN(values_ms); i++) {
		buf_init(&b, ROWS_MAX);
		k.keepalive_ms = values_ms[i];
		assert_int_equal(rows_put_scope(&b, &k), ERRC_OK);
		assert_int_equal(rows_get_scope(buf_slice(&b), &got), ERRC_OK);
		assert_int_equal(got.keepalive_ms, values_ms[i]);
		buf_fini(&b);
	}
}

static void test_state(void **state)
{
	struct rows_state s = {.holds = 3,
			       .requests = 4,
			       .tokens = 5,
			       .charged_nusd = 6,
			       .used_s = 7,
			       .n = 3,
			       .counters = {{.id = 4, .kind = ROWS_BUDGET},
					    {.id = 5, .kind = ROWS_TPM},
					    {.id = 6, .kind = ROWS_CONCURRENCY, .running = 2}}};
	struct rows_state got;
	struct buf b;

	(void)state;
	memset(&got, 0, sizeof got);
	s.counters[0].budget = (struct window_budget){{1, 2, 3}, {4, 5, 6}};
	s.counters[1].rate = (struct window_rate){8, 9, 10};
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_state(&b, &s), ERRC_OK);
	assert_int_equal(rows_get_state(buf_slice(&b), &got), ERRC_OK);
	assert_int_equal(got.n, 3);
	assert_int_equal(got.counters[0].budget.prev.held_nusd, 6);
	assert_int_equal(got.counters[1].rate.prev, 10);
	assert_int_equal(got.counters[2].running, 2);
	assert_int_equal(got.used_s, 7);
	check_lengths(&b, read_state);
	buf_fini(&b);
}

/* What no counter can say is no row: sums with it would leave the range of numbers. */
static void test_state_out_of_range(void **state)
{
	const struct rows_counter bad[] = {
		{.kind = ROWS_TPM, .rate = {INT64_MIN, 1, 1}},
		{.kind = ROWS_TPM, .rate = {1, -1, 1}},
		{.kind = ROWS_TPM, .rate = {1, 1, INT64_MAX}},
		{.kind = ROWS_CONCURRENCY, .running = -1},
		{.kind = ROWS_CONCURRENCY, .running = INT64_MAX},
		{.kind = ROWS_BUDGET, .budget = {{INT64_MAX, 1, 1}, {1, 1, 1}}},
		{.kind = ROWS_BUDGET, .budget = {{2, INT64_MIN, 1}, {1, 1, 1}}},
		{.kind = ROWS_BUDGET, .budget = {{2, 1, -1}, {1, 1, 1}}},
		{.kind = ROWS_BUDGET, .budget = {{2, 1, 1}, {1, 1, INT64_MAX}}},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct rows_state s = {.n = 1, .counters = {bad[i]}}, got;
		struct buf b;

		buf_init(&b, ROWS_MAX);
		assert_int_equal(rows_put_state(&b, &s), ERRC_OK);
		assert_int_equal(rows_get_state(buf_slice(&b), &got), ERRC_CORRUPT);
		buf_fini(&b);
	}
}

static void test_hold(void **state)
{
	struct rows_hold h, got;
	struct buf b;

	(void)state;
	fill_hold(&h);
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_hold(&b, &h), ERRC_OK);
	assert_int_equal(rows_get_hold(buf_slice(&b), &got), ERRC_OK);
	assert_int_equal(got.candidates_n, 3);
	assert_int_equal(got.prices_n, 2);
	assert_true(slice_is(got.candidates[2].upstream, "gpt-5.2"));
	assert_int_equal(got.candidates[2].cap, 102);
	assert_true(slice_eq(got.candidates[1].cost, some_cost()) && !got.candidates[2].cost.n);
	assert_int_equal(got.prices[1].pusd[USAGE_INPUT], 3000000);
	assert_int_equal(got.hold_nusd, 1234);
	assert_int_equal(got.instance, 3);
	assert_true(slice_is(got.user, "alice") && slice_is(got.group, "gold"));
	assert_int_equal(got.scopes_n, 2);
	assert_int_equal(got.scopes[1].taken[1].window, 55);
	assert_true(got.scopes[1].taken[1].budget && !got.scopes[1].taken[0].budget);
	check_lengths(&b, read_hold);
	buf_fini(&b);
}

static void check_cost(const struct price *p)
{
	uint8_t bytes[ROWS_COST_MAX];
	size_t n = rows_cost_pack(&p, 1, bytes);
	struct price got;

	assert_int_equal(rows_cost_pick(slice_of(bytes, n), 0, USAGE_TIER_NONE, &got), ERRC_OK);
	assert_true(price_eq(&got, p));
	for (size_t i = 0; i < n; i++)
		assert_int_equal(rows_cost_pick(slice_of(bytes, i), 0, USAGE_TIER_NONE, &got),
				 ERRC_CORRUPT);
}

/* Any price that there may be comes back from its packed form, which takes no more than it needs. */
static void test_packed_cost(void **state)
{
	struct price p = some_price(1750000);
	uint8_t bytes[ROWS_COST_MAX];

	(void)state;
	assert_true(rows_cost_pack((const struct price *const[]){&p}, 1, bytes) <= 24);
	check_cost(&p);
	p.request_nusd = MONEY_NUSD_MAX;
	p.mult_ppm = 1;
	p.when = (struct price_when){1, INT64_MAX, 2, INT64_MAX, 3, 4, USAGE_TIER_COUNT - 1};
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		p.pusd[c] = c % 2 ? MONEY_PUSD_MAX : 0;
	check_cost(&p);
	p.mult_ppm = PRICE_PPM_MAX;
	check_cost(&p);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		p.pusd[c] = 0;
	check_cost(&p);
	p.free = true;
	check_cost(&p);
}

/* What the answer of a candidate costs: at the row of its own for that prompt, else at its price without the group's share. */
static void test_cost_of_a_hold(void **state)
{
	struct rows_hold h;
	struct usage u;
	int64_t nusd;

	(void)state;
	fill_hold(&h);
	h.prices[0].mult_ppm = 1;
	usage_init(&u);
	usage_set(&u, USAGE_INPUT, 1000);
	assert_int_equal(rows_hold_cost(&h, &h.candidates[0], &u, &nusd), ERRC_OK);
	assert_int_equal(nusd, 1000 * 1000);
	assert_int_equal(rows_hold_cost(&h, &h.candidates[1], &u, &nusd), ERRC_OK);
	assert_int_equal(nusd, 70);
	usage_set(&u, USAGE_OUTPUT, 10000);
	usage_set(&u, USAGE_INPUT, 1001);
	assert_int_equal(rows_hold_cost(&h, &h.candidates[1], &u, &nusd), ERRC_OK);
	assert_int_equal(nusd, (1001 * 90 + 10000 * 180 + 999) / 1000);
	h.candidates[1].cost.n--;
	assert_int_equal(rows_hold_cost(&h, &h.candidates[1], &u, &nusd), ERRC_CORRUPT);
}

/* As many rules as there may be, each with everything that a rule has, and as many patterns: a row has room for all, and for no rule and no
 * pattern more. */
static void test_full_scope(void **state)
{
	static char text[ROWS_MODELS_MAX];
	static struct rows_scope k, got;
	struct buf b;

	(void)state;
	memset(text, 'm', sizeof text);
	fill_key(&k);
	k.nets_n = ROWS_NETS_MAX;
	k.models = slice_of(text, sizeof text);
	rows_limits_init(&k.limits);
	for (size_t i = 0; i < ROWS_RULES_MAX; i++) {
		struct rows_rule *r = rows_limits_add(&k.limits, ROWS_BUDGET, MONEY_NUSD_MAX);

		assert_non_null(r);
		r->zone = slice_of(text, ZONES_NAME_MAX);
		r->window = (struct window_spec){
			.unit = WINDOW_DAY, .carry_from_s = 1, .carry_until_s = 2};
		r->models = slice_of(text, ROWS_PATTERNS_MAX / ROWS_RULES_MAX);
		r->raise = r->raise_until_s = 1;
	}
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_scope(&b, &k), ERRC_OK);
	assert_int_equal(rows_get_scope(buf_slice(&b), &got), ERRC_OK);
	assert_int_equal(got.limits.n, ROWS_RULES_MAX);
	assert_int_equal(got.limits.v[ROWS_RULES_MAX - 1].id, ROWS_RULES_MAX);
	assert_int_equal(got.limits.v[ROWS_RULES_MAX - 1].raise, 1);
	buf_reset(&b);
	k.limits.v[0].models.n++;
	assert_int_equal(rows_put_scope(&b, &k), ERRC_LIMIT);
	k.limits.v[0].models.n--;
	k.limits.n++;
	assert_int_equal(rows_put_scope(&b, &k), ERRC_LIMIT);
	buf_fini(&b);
}

/* What is used of all of them, and what a request has taken of them in all its scopes. */
static void test_full_state_and_hold(void **state)
{
	static struct rows_state s, got;
	static struct rows_hold h, taken;
	struct buf b;

	(void)state;
	s.n = ROWS_COUNTERS_MAX;
	for (size_t i = 0; i < s.n; i++)
		s.counters[i] = (struct rows_counter){
			.id = ROWS_RULE_ID_MAX,
			.kind = ROWS_BUDGET,
			.budget = {{INT64_MAX / 2, -MONEY_NUSD_MAX, MONEY_NUSD_MAX},
				   {INT64_MAX / 2, -MONEY_NUSD_MAX, MONEY_NUSD_MAX}}};
	buf_init(&b, ROWS_MAX);
	assert_int_equal(rows_put_state(&b, &s), ERRC_OK);
	assert_int_equal(rows_get_state(buf_slice(&b), &got), ERRC_OK);
	assert_int_equal(got.n, s.n);
	assert_memory_equal(got.counters, s.counters, sizeof s.counters);
	s.n++;
	assert_int_equal(rows_put_state(&b, &s), ERRC_LIMIT);
	buf_reset(&b);
	fill_hold(&h);
	h.scopes_n = ROWS_SCOPES_MAX;
	for (size_t i = 0; i < ROWS_SCOPES_MAX; i++) {
		h.scopes[i].kind = ROWS_KEY;
		h.scopes[i].n = ROWS_RULES_MAX;
		for (size_t k = 0; k < ROWS_RULES_MAX; k++)
			h.scopes[i].taken[k] =
				(struct rows_taken){ROWS_RULE_ID_MAX, true, INT64_MAX / 2};
	}
	assert_int_equal(rows_hold_pages(&h), 1);
	assert_int_equal(rows_put_hold(&b, &h), ERRC_OK);
	assert_int_equal(rows_get_hold(buf_slice(&b), &taken), ERRC_OK);
	for (size_t i = 0; i < ROWS_SCOPES_MAX; i++) {
		assert_int_equal(taken.scopes[i].n, ROWS_RULES_MAX);
		assert_int_equal(taken.scopes[i].taken[ROWS_RULES_MAX - 1].window, INT64_MAX / 2);
	}
	h.scopes[0].n++;
	assert_int_equal(rows_put_hold(&b, &h), ERRC_LIMIT);
	buf_fini(&b);
}

static void test_out_of_memory(void **state)
{
	struct rows_scope k;
	unsigned n = 1;

	(void)state;
	fill_key(&k);
	for (enum errc rc = ERRC_NOMEM; rc; n++) {
		struct buf b;

		buf_init(&b, ROWS_MAX);
		mem_fail_after(n);
		rc = rows_put_scope(&b, &k);
		mem_fail_after(0);
		buf_fini(&b);
		assert_true(rc == ERRC_OK || rc == ERRC_NOMEM);
	}
	assert_true(n > 2);
}

static void test_names(void **state)
{
	struct rows_key_name a = rows_name(1, ROWS_ACCOUNT, SLICE_NONE),
			     b = rows_name(1, ROWS_KEY, SLICE_LIT("abcdefghijkl")),
			     s = rows_name_state(1, ROWS_KEY, "abcdefghijkl"),
			     n = rows_name_outbox(258);
	enum rows_kind kind;
	uint64_t account;
	struct slice id;

	(void)state;
	assert_true(slice_cmp(slice_of(a.b, a.n), slice_of(b.b, b.n)) < 0);
	assert_true(slice_cmp(slice_of(b.b, b.n), slice_of(s.b, s.n)) < 0);
	assert_true(rows_name_parse(slice_of(s.b, s.n), &account, &kind, &id));
	assert_int_equal(account, 1);
	assert_int_equal(kind, ROWS_STATE);
	assert_int_equal(id.n, 1 + APIKEY_ID);
	assert_true(rows_name_parse(slice_of(n.b, n.n), &account, &kind, &id));
	assert_true(account == ROWS_ACCOUNT_TAIL && kind == ROWS_OUTBOX && id.n == 8 &&
		    id.p[6] == 1 && id.p[7] == 2);
	assert_false(rows_name_parse(slice_of(n.b, 8), &account, &kind, &id));
}

static void test_models(void **state)
{
	static const struct {
		const char *patterns, *model;
		bool allowed;
	} cases[] = {
		{"", "any", true},
		{"gpt-*", "gpt-5", true},
		{"gpt-*", "claude", false},
		{"!gpt-5", "gpt-5", false},
		{"!gpt-5", "gpt-4", true},
		{"gpt-*\n!gpt-5", "gpt-5", false},
		{"!gpt-5\ngpt-*", "gpt-4", true},
		{"a\nb\n", "b", true},
		{"a\n\nb", "c", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		assert_int_equal(
			rows_models_allow(slice_str(cases[i].patterns), slice_str(cases[i].model)),
			cases[i].allowed);
}

static void test_sound(void **state)
{
	struct rows_account a = {
		.granted_nusd = 10, .balance_nusd = 3, .held_nusd = 4, .settled_nusd = 3, .holds = 1};

	(void)state;
	assert_true(rows_account_is_sound(&a));
	a.balance_nusd++;
	assert_false(rows_account_is_sound(&a));
	a = (struct rows_account){.granted_nusd = 0, .balance_nusd = -3, .settled_nusd = 3};
	assert_false(rows_account_is_sound(&a));
	a.overdraft_nusd = 3;
	assert_true(rows_account_is_sound(&a));
	a.overdraft_nusd = 0;
	a.mode = ROWS_POSTPAID;
	assert_true(rows_account_is_sound(&a));
	a.mode = ROWS_PREPAID;
	a.flags = ROWS_ACCOUNT_SHADOW;
	assert_true(rows_account_is_sound(&a));
	a.balance_nusd--;
	assert_false(rows_account_is_sound(&a));
}

/* In shadow is an account whose own rules are. */
static void test_what_accounts_note(void **state)
{
	struct rows_scope s = {.flags = ROWS_SHADOW, .limits.last_id = 7};
	struct rows_account a = {.user_rules = 0};

	(void)state;
	s.kind = ROWS_TEAM;
	rows_account_note(&a, &s);
	s.kind = ROWS_KEY;
	rows_account_note(&a, &s);
	assert_int_equal(a.flags, 0);
	s.kind = ROWS_USER;
	rows_account_note(&a, &s);
	assert_int_equal(a.flags, ROWS_ACCOUNT_USERS);
	assert_int_equal(a.user_rules, 7);
	s.kind = ROWS_ACCOUNT;
	s.limits.last_id = 9;
	rows_account_note(&a, &s);
	assert_int_equal(a.flags, ROWS_ACCOUNT_USERS | ROWS_ACCOUNT_RULES | ROWS_ACCOUNT_SHADOW);
	s.flags = 0;
	rows_account_note(&a, &s);
	assert_int_equal(a.flags, ROWS_ACCOUNT_USERS | ROWS_ACCOUNT_RULES);
	assert_int_equal(a.user_rules, 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_account),
		cmocka_unit_test(test_key),
		cmocka_unit_test(test_empty_parts_of_a_rule),
		cmocka_unit_test(test_zone),
		cmocka_unit_test(test_keepalive_of_a_key),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_state_out_of_range),
		cmocka_unit_test(test_full_scope),
		cmocka_unit_test(test_full_state_and_hold),
		cmocka_unit_test(test_hold),
		cmocka_unit_test(test_packed_cost),
		cmocka_unit_test(test_cost_of_a_hold),
		cmocka_unit_test(test_out_of_memory),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_what_accounts_note),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
