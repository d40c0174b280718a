#include "own_receipt.h"

#include "apikey.h"
#include "bill.h"
#include "clock.h"
#include "dialect.h"
#include "front.h"
#include "json.h"
#include "json_out.h"
#include "record.h"
#include "text.h"

#define PPM_PLACES 6

/* The keeper's answer, read. */
struct receipt {
	const struct msg_found *found;
	const char *account;
	struct record r;
	bool priced;
	struct price price;
	struct bill bill;
};

static enum errc open_receipt(const struct msg_found *found, const char *account, struct receipt *x)
{
	enum errc e = record_decode(found->record, &x->r);

	if (e)
		return e;
	if (x->r.type != RECORD_CHARGE)
		return ERRC_NOTFOUND;
	x->found = found;
	x->account = account;
	x->priced = found->price.n > 0;
	e = x->priced ? price_decode(found->price, &x->price) : ERRC_OK;
	if (!e && x->priced)
		bill_make(&x->price, &x->r.charge.usage, &x->bill);
	return e;
}

/* --- pieces --- */

static void put_hex(struct json_out *o, const char *key, struct slice bytes)
{
	char text[2 * DIGEST_SHA256 + 1];

	if (bytes.n != DIGEST_SHA256) {
		json_out_knull(o, key);
		return;
	}
	text_hex(bytes.p, bytes.n, text);
	json_out_kstrz(o, key, text);
}

static void put_time(struct json_out *o, const char *key, int64_t wall_ms)
{
	char text[CLOCK_TEXT_MAX];

	json_out_kstr(o, key, slice_of(text, clock_format_ms(wall_ms, text)));
}

static void put_ms(struct json_out *o, const char *key, int64_t ms)
{
	if (ms >= 0)
		json_out_ki64(o, key, ms);
	else
		json_out_knull(o, key);
}

static void put_count(struct json_out *o, const char *key, const struct usage *u, enum usage_class i)
{
	if (usage_has(u, i))
		json_out_ki64(o, key, usage_get(u, i));
	else
		json_out_knull(o, key);
}

static void put_money(struct json_out *o, const char *key, int64_t nusd)
{
	json_out_key(o, key);
	json_out_decimal_str(o, nusd, 9, 1);
}

static void put_exact(struct json_out *o, const char *key, money_wide v, unsigned scale)
{
	char text[BILL_TEXT_MAX];

	json_out_kstr(o, key, slice_of(text, bill_print(v, scale, text)));
}

static void put_text(struct json_out *o, const char *key, struct slice s)
{
	if (s.n)
		json_out_kstr(o, key, s);
	else
		json_out_knull(o, key);
}

static void put_id(struct json_out *o, const struct genid *id)
{
	char text[GENID_TEXT + 1];

	genid_print(id, text);
	json_out_kstrz(o, "id", text);
}

/* --- parts of a receipt --- */

static void put_request(struct json_out *o, const struct record_charge *c)
{
	json_out_key(o, "request");
	json_out_obj(o);
	json_out_kstrz(o, "front", front_name(c->front));
	json_out_kbool(o, "streamed", (c->flags & RECORD_STREAM) != 0);
	json_out_kstr(o, "model_asked", c->model_asked);
	put_text(o, "model", c->model);
	put_text(o, "provider_name", c->provider);
	put_text(o, "upstream_model", c->upstream);
	put_text(o, "upstream_id", c->upstream_id);
	json_out_ki64(o, "status", c->status);
	json_out_kstrz(o, "end", record_end_name(c->end));
	put_text(o, "finish_reason", c->finish);
	put_text(o, "native_finish_reason", c->native_finish);
	put_ms(o, "first_byte_ms", c->first_byte_ms);
	put_ms(o, "total_ms", c->total_ms);
	json_out_obj_end(o);
}

/* The row itself, so that the charge can be computed anew from the receipt alone. */
static void put_price(struct json_out *o, const struct receipt *x)
{
	json_out_key(o, "price");
	if (!x->priced) {
		json_out_null(o);
		return;
	}
	json_out_obj(o);
	put_hex(o, "hash", slice_of(x->r.charge.price_hash, DIGEST_SHA256));
	json_out_kbool(o, "free", x->price.free);
	json_out_key(o, "token");
	json_out_obj(o);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		put_exact(o, usage_name(c), x->price.pusd[c], BILL_PUSD);
	json_out_obj_end(o);
	put_money(o, "request", x->price.request_nusd);
	put_text(o, "group", x->r.charge.group);
	json_out_key(o, "multiplier");
	json_out_decimal_str(o, x->price.mult_ppm, PPM_PLACES, 1);
	json_out_key(o, "when"); /* 0: no such end */
	json_out_obj(o);
	for (unsigned i = 0; i < PRICE_WHEN_N; i++)
		json_out_ki64(o, price_when_name(i), price_when_get(&x->price, i));
	json_out_obj_end(o);
	json_out_obj_end(o);
}

static void put_usage(struct json_out *o, const struct record_charge *c)
{
	json_out_key(o, "usage");
	json_out_obj(o);
	for (enum usage_class i = 0; i < USAGE_COUNT; i++)
		if (usage_has(&c->usage, i))
			json_out_ki64(o, usage_name(i), usage_get(&c->usage, i));
	if (c->usage.tier)
		json_out_kstrz(o, "tier", usage_tier_name(c->usage.tier));
	json_out_kbool(o, "estimated", (c->flags & RECORD_ESTIMATED) != 0);
	json_out_obj_end(o);
}

/* As it was kept; text in place of an object where it is none, as records of older versions may have it. */
static void put_raw_usage(struct json_out *o, struct slice raw)
{
	struct json_doc *doc = NULL;

	if (raw.n && json_parse(raw, NULL, &doc) == ERRC_OK)
		json_out_kraw(o, "raw_usage", raw);
	else
		put_text(o, "raw_usage", raw);
	json_free(&doc);
}

static void put_bill(struct json_out *o, const struct receipt *x)
{
	json_out_key(o, "arithmetic");
	if (!x->priced) {
		json_out_null(o);
		return;
	}
	json_out_obj(o);
	json_out_key(o, "lines");
	json_out_arr(o);
	for (size_t i = 0; i < x->bill.n; i++) {
		const struct bill_line *l = &x->bill.lines[i];

		json_out_obj(o);
		json_out_kstrz(o, "class", l->unit);
		json_out_ki64(o, "count", l->n);
		put_exact(o, "price", l->price_pusd, BILL_PUSD);
		put_exact(o, "amount", l->amount_pusd, BILL_PUSD);
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
	put_exact(o, "sum", x->bill.sum_pusd, BILL_PUSD);
	put_exact(o, "times_multiplier", x->bill.scaled_ausd, BILL_AUSD);
	put_money(o, "rounded_up", x->bill.total_nusd);
	json_out_obj_end(o);
}

static void put_attempts(struct json_out *o, const struct record_charge *c)
{
	json_out_key(o, "attempts");
	json_out_arr(o);
	for (size_t i = 0; i < c->attempts_n; i++) {
		const struct record_attempt *a = &c->attempts[i];

		json_out_obj(o);
		json_out_kstr(o, "provider_name", a->provider);
		json_out_kstr(o, "model", a->upstream);
		json_out_ki64(o, "status", a->status);
		json_out_ki64(o, "start_ms", a->start_ms);
		put_ms(o, "ms", a->ms);
		put_text(o, "error", a->error);
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void put_chain(struct json_out *o, const struct msg_found *f)
{
	json_out_kbool(o, "durable", f->at > 0);
	json_out_key(o, "chain");
	if (f->at == 0) {
		json_out_null(o);
		return;
	}
	json_out_obj(o);
	json_out_key(o, "seq");
	json_out_u64(o, f->at);
	put_hex(o, "hash", f->hash);
	json_out_obj_end(o);
}

static void put_receipt(struct json_out *o, const struct receipt *x)
{
	const struct record_charge *c = &x->r.charge;

	json_out_obj(o);
	put_id(o, &c->id);
	json_out_kstrz(o, "object", "receipt");
	json_out_kstrz(o, "account", x->account);
	json_out_kstr(o, "key", slice_of(c->key_id, APIKEY_ID));
	put_text(o, "team", c->team);
	put_text(o, "user", c->user);
	put_time(o, "created_at", c->admitted_ms);
	put_time(o, "settled_at", x->r.wall_ms);
	put_request(o, c);
	put_attempts(o, c);
	put_usage(o, c);
	put_raw_usage(o, c->raw_usage);
	put_price(o, x);
	put_bill(o, x);
	put_money(o, "hold", c->hold_nusd);
	put_money(o, "charge", c->charge_nusd);
	put_money(o, "uncollected", c->uncollected_nusd);
	json_out_kbool(o, "charged", (c->flags & RECORD_CHARGED) != 0);
	json_out_kbool(o, "capped_at_hold", (c->flags & RECORD_CAPPED) != 0);
	json_out_kbool(o, "reversed", x->found->reversed != 0);
	put_chain(o, x->found);
	json_out_obj_end(o);
}

enum errc own_receipt(const struct msg_found *found, const char *account, struct buf *out)
{
	struct receipt x;
	struct json_out o;
	enum errc e = open_receipt(found, account, &x);

	if (e)
		return e;
	json_out_init(&o, out);
	put_receipt(&o, &x);
	return json_out_end(&o);
}

/* --- GET /v1/generation --- */

static void put_dollars(struct json_out *o, const char *key, int64_t nusd)
{
	json_out_key(o, key);
	json_out_decimal(o, nusd, 9, 1);
}

static void put_responses(struct json_out *o, const struct record_charge *c)
{
	json_out_key(o, "provider_responses");
	json_out_arr(o);
	for (size_t i = 0; i < c->attempts_n; i++) {
		json_out_obj(o);
		json_out_kstr(o, "provider_name", c->attempts[i].provider);
		json_out_kstr(o, "model", c->attempts[i].upstream);
		json_out_ki64(o, "status", c->attempts[i].status);
		put_ms(o, "latency", c->attempts[i].ms);
		if (c->attempts[i].error.n)
			json_out_kstr(o, "error", c->attempts[i].error);
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void put_tokens(struct json_out *o, const struct record_charge *c)
{
	json_out_ki64(o, "tokens_prompt", usage_input_total(&c->usage));
	json_out_ki64(o, "tokens_completion", usage_output_total(&c->usage));
	json_out_ki64(o, "native_tokens_prompt", usage_input_total(&c->usage));
	json_out_ki64(o, "native_tokens_completion", usage_output_total(&c->usage));
	json_out_ki64(o, "native_tokens_reasoning", usage_reasoning(&c->usage));
	json_out_ki64(o, "native_tokens_cached", usage_get(&c->usage, USAGE_CACHE_READ));
	json_out_kbool(o, "usage_estimated", (c->flags & RECORD_ESTIMATED) != 0);
}

/* What the tokens of the provider's cache cost less than as plain input, or, below zero, more. */
static void put_cache_discount(struct json_out *o, const struct receipt *x)
{
	static const enum usage_class cached[] = {USAGE_CACHE_READ, USAGE_CACHE_WRITE_5M,
						  USAGE_CACHE_WRITE_1H};
	const struct usage *u = &x->r.charge.usage;
	money_wide pusd = 0;
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(cached); i++) {
		int64_t n = usage_get(u, cached[i]);

		any = any || n > 0;
		pusd += (money_wide)n * (x->price.pusd[USAGE_INPUT] - x->price.pusd[cached[i]]);
	}
	if (any && x->priced)
		put_dollars(o, "cache_discount",
			    (int64_t)(pusd * x->price.mult_ppm / 1000000 / 1000));
	else
		json_out_knull(o, "cache_discount");
}

/* Members that OpenRouter's clients look for, and what there is none of here. Its official one refuses a body without one of these. */
static void put_foreign(struct json_out *o)
{
	static const char *const absent[] = {"router",
					     "session_id",
					     "upstream_inference_cost",
					     "moderation_latency",
					     "http_referer",
					     "user_agent",
					     "app_id",
					     "num_media_completion",
					     "num_search_results",
					     "num_fetches",
					     "num_input_audio_prompt",
					     "web_search_engine",
					     "preset_id",
					     "workspace_id"};

	for (size_t i = 0; i < ARRAY_LEN(absent); i++)
		json_out_knull(o, absent[i]);
	json_out_kstrz(o, "data_region", "global");
	json_out_kstrz(o, "origin", "");
	json_out_kbool(o, "is_byok", false);
}

/* Members of theirs that a record may know. */
static void put_known(struct json_out *o, const struct record_charge *c)
{
	json_out_kstrz(o, "api_type", c->front == DIALECT_EMBEDDINGS ? "embeddings" : "completions");
	json_out_kstrz(o, "service_tier", c->usage.tier ? usage_tier_name(c->usage.tier) : NULL);
	put_count(o, "num_media_prompt", &c->usage, USAGE_IMAGE);
	put_count(o, "native_tokens_completion_images", &c->usage, USAGE_OUTPUT_IMAGE);
}

static void put_generation(struct json_out *o, const struct receipt *x)
{
	const struct record_charge *c = &x->r.charge;
	int64_t cost_nusd = x->found->reversed ? 0 : c->charge_nusd; /* what it came to in the end */
	char created[CLOCK_TEXT_MAX], id[GENID_TEXT + 1];
	int64_t generation = c->total_ms >= 0 && c->first_byte_ms >= 0
				     ? c->total_ms - c->first_byte_ms
				     : c->total_ms;

	json_out_obj(o);
	put_id(o, &c->id);
	genid_print(&c->id, id);
	json_out_kstrz(o, "request_id", id);
	put_text(o, "external_user", c->user);
	json_out_kstr(o, "upstream_id", c->upstream_id);
	json_out_kstr(o, "model", c->model.n ? c->model : c->model_asked);
	json_out_kstr(o, "model_asked", c->model_asked);
	json_out_kstr(o, "provider_name", c->provider);
	json_out_kbool(o, "streamed", (c->flags & RECORD_STREAM) != 0);
	json_out_kbool(o, "cancelled", c->end == RECORD_END_CLIENT_GONE);
	json_out_kstrz(o, "end", record_end_name(c->end));
	json_out_ki64(o, "status", c->status);
	put_dollars(o, "total_cost", cost_nusd);
	put_dollars(o, "usage", cost_nusd);
	put_cache_discount(o, x);
	put_text(o, "finish_reason", c->finish);
	put_text(o, "native_finish_reason", c->native_finish);
	put_foreign(o);
	put_known(o, c);
	put_tokens(o, c);
	put_ms(o, "latency", c->first_byte_ms);
	put_ms(o, "generation_time", generation);
	json_out_kstr(o, "created_at",
		      slice_of(created, clock_format_s(c->admitted_ms / 1000, created)));
	put_responses(o, c);
	json_out_key(o, "receipt");
	put_receipt(o, x);
	json_out_obj_end(o);
}

enum errc own_receipt_generation(const struct msg_found *found, const char *account, struct buf *out)
{
	struct receipt x;
	struct json_out o;
	enum errc e = open_receipt(found, account, &x);

	if (e)
		return e;
	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_key(&o, "data");
	put_generation(&o, &x);
	json_out_obj_end(&o);
	return json_out_end(&o);
}
