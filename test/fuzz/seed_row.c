/* Writes seeds of the entry `row` into a folder: each kind of row and record as the encoders write it now. To be run after a
 * layout has changed (`ninja fuzz-seeds`); seeds of layouts before stay, as what must be refused. */
#include <stdio.h>
#include <string.h>

#include "record.h"
#include "rows_hold.h"
#include "rows_states.h"
#include "text.h"

/* The readers of fuzz_row.c, by the first byte of an input. */
enum { ACCOUNT, SCOPE, STATE, HOLD, RECORD, NAME, STATES };

static const char *folder;

/* What is no longer read as it is written would be no seed. */
static bool is_read(char reader, struct slice in)
{
	static union {
		struct rows_account a;
		struct rows_scope s;
		struct rows_state st;
		struct rows_hold h;
		struct record r;
		struct rows_states w;
	} v;

	switch (reader) {
	case ACCOUNT:
		return rows_get_account(in, &v.a) == ERRC_OK;
	case SCOPE:
		return rows_get_scope(in, &v.s) == ERRC_OK;
	case STATE:
		return rows_get_state(in, &v.st) == ERRC_OK;
	case HOLD:
		return rows_get_hold(in, &v.h) == ERRC_OK;
	case RECORD:
		return record_decode(in, &v.r) == ERRC_OK;
	case STATES:
		return rows_states_begin(&v.w, SLICE_NONE, in) == ERRC_OK &&
		       rows_states_next(&v.w) == ERRC_OK;
	default:
		return true;
	}
}

static void put(char reader, const struct buf *row)
{
	uint8_t hash[DIGEST_SHA256];
	char name[2 * DIGEST_SHA256 + 1], path[4096];
	FILE *f;

	require(is_read(reader, buf_slice(row)));
	digest_sha256(buf_slice(row), hash);
	text_hex(hash, 20, name);
	snprintf(path, sizeof path, "%s/%s", folder, name);
	f = fopen(path, "wb");
	require(f && fputc(reader, f) == reader);
	require(fwrite(row->p, 1, row->len, f) == row->len && fclose(f) == 0);
}

static void accounts(struct buf *b)
{
	struct rows_account a = {.id = 3,
				 .flags = ROWS_ACCOUNT_RULES | ROWS_ACCOUNT_USERS |
					  ROWS_ACCOUNT_SHADOW,
				 .holds = 1,
				 .user_rules = 70000,
				 .granted_nusd = 100,
				 .balance_nusd = 60,
				 .held_nusd = 10,
				 .settled_nusd = 30,
				 .overdraft_nusd = 5,
				 .name = SLICE_LIT("acme"),
				 .group = SLICE_LIT("resellers")};

	for (int mode = 0; mode < ROWS_MODE_COUNT; mode++) {
		buf_reset(b);
		a.mode = (enum rows_mode)mode;
		require(rows_put_account(b, &a) == ERRC_OK);
		put(ACCOUNT, b);
	}
}

static void add_rules(struct rows_limits *l)
{
	struct rows_rule *r;

	rows_limits_init(l);
	l->last_id = 70000;
	for (int kind = 0; rows_limit_word((enum rows_limit)kind); kind++) {
		r = rows_limits_add(l, (enum rows_limit)kind, 1000 + kind);
		require(r);
		r->shadow = kind % 2;
		r->models = SLICE_LIT("gpt-*\n!*-preview");
		r->raise = kind;
		r->raise_until_s = 1790000000;
	}
	r = rows_limits_add(l, ROWS_BUDGET, 5);
	require(r);
	r->window = (struct window_spec){.unit = WINDOW_DAY};
	r->zone = SLICE_LIT("Europe/Berlin");
	r = rows_limits_add(l, ROWS_BUDGET, 7);
	require(r);
	r->window = (struct window_spec){.unit = WINDOW_TOTAL};
	r->credit = true;
	r->raise = 2;
	r = rows_limits_add(l, ROWS_BUDGET, 6);
	require(r);
	r->window = (struct window_spec){.unit = WINDOW_WEEK,
					 .rolling = true,
					 .carry_from_s = 1780000000,
					 .carry_until_s = 1790000000};
	r->raise = 3;
	r->raise_until_s = 1790000000;
	r->raise_by_window = true;
}

static void scopes(struct buf *b)
{
	static const enum rows_kind kinds[] = {ROWS_ACCOUNT, ROWS_TEAM, ROWS_KEY, ROWS_USER};
	struct rows_scope s;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		memset(&s, 0, sizeof s);
		s.kind = kinds[i];
		s.account = 3;
		memcpy(s.id, "abcdefghijkl", ROWS_ID);
		s.name = SLICE_LIT("a name");
		s.models = SLICE_LIT("gpt-*\n!*-preview");
		s.expires_s = 1790000000;
		s.keepalive_ms = ROWS_NO_LIMIT;
		require(ipnet_parse(SLICE_LIT("10.0.0.0/8"), &s.nets[0]));
		s.nets_n = 1;
		add_rules(&s.limits);
		if (kinds[i] == ROWS_KEY) {
			s.flags = ROWS_KEY_CLAMP | ROWS_KEY_DRAIN;
			s.old_until_s = 1790000000;
			memset(s.hash, 1, sizeof s.hash);
			memset(s.old_hash, 2, sizeof s.old_hash);
			s.pepper = 2;
			s.old_pepper = 1;
			memcpy(s.team, "mnopqrstuvwx", ROWS_ID);
		}
		buf_reset(b);
		require(rows_put_scope(b, &s) == ERRC_OK);
		put(SCOPE, b);
	}
}

static void states(struct buf *b)
{
	struct rows_state s = {.holds = 2, .requests = 9, .tokens = 90, .charged_nusd = 900};
	struct rows_limits l;

	add_rules(&l);
	rows_state_align(&s, &l, true);
	for (size_t i = 0; i < l.n; i++)
		l.v[i].id += 100;
	rows_state_align(&s, &l, false);
	require(rows_put_state(b, &s) == ERRC_OK && s.n == 2 * l.n);
	put(STATE, b);
}

static void holds(struct buf *b)
{
	static struct rows_hold h = {.account = 3,
				     .flags = ROWS_HOLD_STREAM,
				     .hold_nusd = 7,
				     .tokens_estimate = 8,
				     .input_bound = 9,
				     .model_asked = SLICE_LIT("fast"),
				     .user = SLICE_LIT("ann"),
				     .group = SLICE_LIT("resellers"),
				     .scopes_n = 2,
				     .candidates_n = 1,
				     .prices_n = 1};
	static uint8_t cost[ROWS_COST_MAX];
	struct price small, large;

	for (size_t i = 0; i < h.scopes_n; i++) {
		h.scopes[i].kind = i ? ROWS_USER : ROWS_KEY;
		memcpy(h.scopes[i].id, "abcdefghijkl", ROWS_ID);
		h.scopes[i].n = 2;
		h.scopes[i].taken[0] = (struct rows_taken){.rule = 70001};
		h.scopes[i].taken[1] = (struct rows_taken){70002, true, 1790000000};
	}
	price_init(&h.prices[0]);
	h.prices[0].pusd[USAGE_INPUT] = 1000;
	h.prices[0].pusd[USAGE_OUTPUT] = 2000;
	require(price_complete(&h.prices[0]) == ERRC_OK);
	h.candidates[0].tiers = 1;
	h.candidates[0].model = SLICE_LIT("gpt-5.2");
	h.candidates[0].provider = SLICE_LIT("openai");
	h.candidates[0].upstream = SLICE_LIT("gpt-5.2-2026");
	small = large = h.prices[0];
	small.when.prompt_upto = large.when.prompt_above = 200000;
	h.candidates[0].cost = slice_of(
		cost, rows_cost_pack((const struct price *const[]){&small, &large}, 2, cost));
	require(rows_put_hold(b, &h) == ERRC_OK);
	put(HOLD, b);
}

static void fill_charge(struct record_charge *c)
{
	*c = (struct record_charge){.flags = RECORD_STREAM | RECORD_CHARGED,
				    .status = 200,
				    .first_byte_ms = 3,
				    .total_ms = 9,
				    .model_asked = SLICE_LIT("fast"),
				    .model = SLICE_LIT("gpt-5.2"),
				    .provider = SLICE_LIT("openai"),
				    .upstream = SLICE_LIT("gpt-5.2-2026"),
				    .upstream_id = SLICE_LIT("chatcmpl-1"),
				    .hold_nusd = 3,
				    .charge_nusd = 2,
				    .attempts_n = 1,
				    .team = SLICE_LIT("mnopqrstuvwx"),
				    .user = SLICE_LIT("ann"),
				    .raw_usage = SLICE_LIT("{\"prompt_tokens\":1}"),
				    .idem = SLICE_LIT("0123456789abcdef0123456789abcdef"),
				    .finish = SLICE_LIT("stop"),
				    .native_finish = SLICE_LIT("end_turn")};
	c->attempts[0] = (struct record_attempt){.provider = SLICE_LIT("openai"), .status = 200};
	c->budgets.n = 1;
	c->budgets.v[0] = (struct record_budget){ROWS_USER, 70002, 1790000000};
	usage_set(&c->usage, USAGE_INPUT, 10);
	usage_set(&c->usage, USAGE_OUTPUT, 20);
}

static void records(struct buf *b)
{
	static struct record r;

	for (int t = 0; t < RECORD_TYPE_COUNT; t++) {
		r = (struct record){.type = (enum record_type)t, .account = 3, .wall_ms = 5};
		if (t == RECORD_CHARGE)
			fill_charge(&r.charge);
		else
			r.change = (struct record_change){.who = SLICE_LIT("root"),
							  .what = SLICE_LIT("create"),
							  .note = SLICE_LIT("why"),
							  .amount_nusd = 6,
							  .row = SLICE_LIT("row"),
							  .number = 7,
							  .epoch = 8};
		buf_reset(b);
		require(record_encode(b, &r) == ERRC_OK);
		put(RECORD, b);
	}
}

static void names(struct buf *b)
{
	struct rows_key_name n = rows_name_state(3, ROWS_USER, "abcdefghijkl");

	require(buf_add(b, n.b, n.n) == ERRC_OK);
	put(NAME, b);
}

static void several(struct buf *b)
{
	struct rows_state s = {.requests = 2, .tokens = 3, .charged_nusd = 4};
	struct buf one;

	buf_init(&one, ROWS_MAX);
	require(rows_put_state(&one, &s) == ERRC_OK && rows_states_start(b) == ERRC_OK);
	require(rows_states_add(b, ROWS_ACCOUNT, "\0\0\0\0\0\0\0\0\0\0\0", buf_slice(&one)) ==
		ERRC_OK);
	require(rows_states_add(b, ROWS_KEY, "abcdefghijkl", buf_slice(&one)) == ERRC_OK);
	put(STATES, b);
	buf_fini(&one);
}

int main(int argc, char **argv)
{
	static void (*const makers[])(struct buf *) = {accounts, scopes, states, holds,
						       records,  names,  several};
	struct buf b;

	if (argc != 2)
		return 2;
	folder = argv[1];
	buf_init(&b, RECORD_MAX);
	for (size_t i = 0; i < ARRAY_LEN(makers); i++) {
		buf_reset(&b);
		makers[i](&b);
	}
	buf_fini(&b);
	return 0;
}
