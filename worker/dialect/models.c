#include "models.h"

#include <stdio.h>

#include "clock.h"
#include "json_out.h"
#include "text.h"

/* A price in dollars, as a string, at what the account pays of it: rounded up where the places end. */
static void models_price(struct json_out *o, const char *key, int64_t v, int scale, int64_t mult_ppm)
{
	money_wide scaled = (money_wide)v * mult_ppm;

	json_out_key(o, key);
	json_out_decimal_str(o, (int64_t)(scaled / PRICE_PPM + (scaled % PRICE_PPM != 0)), scale, 0);
}

static void models_prices(struct json_out *o, const struct price *p, int64_t mult_ppm)
{
	/* Pico-dollars have twelve places. */
	models_price(o, "prompt", p->pusd[USAGE_INPUT], 12, mult_ppm);
	models_price(o, "completion", p->pusd[USAGE_OUTPUT], 12, mult_ppm);
	models_price(o, "request", p->request_nusd, 9, mult_ppm);
	models_price(o, "input_cache_read", p->pusd[USAGE_CACHE_READ], 12, mult_ppm);
	models_price(o, "input_cache_write", p->pusd[USAGE_CACHE_WRITE_5M], 12, mult_ppm);
	if (p->pusd[USAGE_IMAGE])
		models_price(o, "image", p->pusd[USAGE_IMAGE], 12, mult_ppm);
	if (p->pusd[USAGE_WEB_SEARCH])
		models_price(o, "web_search", p->pusd[USAGE_WEB_SEARCH], 12, mult_ppm);
}

/* What is paid now; larger prompts and other tiers at another price stand in `overrides`, as in OpenRouter's list. */
static void models_pricing(struct json_out *o, const struct ptable_model *m,
			   const struct models_ask *ask)
{
	const struct price *tiers[TARIFF_TIERS];
	size_t n = tariff_tiers(m->price, ask->now_s, tiers);

	json_out_key(o, "pricing");
	json_out_obj(o);
	models_prices(o, tiers[0], ask->mult_ppm);
	if (n > 1) {
		json_out_key(o, "overrides");
		json_out_arr(o);
		for (size_t i = 1; i < n; i++) {
			json_out_obj(o);
			if (tiers[i]->when.prompt_above)
				json_out_ki64(o, "min_prompt_tokens", tiers[i]->when.prompt_above);
			if (tiers[i]->when.tier > USAGE_TIER_STANDARD)
				json_out_kstrz(
					o, "service_tier",
					usage_tier_name((enum usage_tier)tiers[i]->when.tier));
			models_prices(o, tiers[i], ask->mult_ppm);
			json_out_obj_end(o);
		}
		json_out_arr_end(o);
	}
	json_out_obj_end(o);
}

static void models_word(struct json_out *o, bool given, const char *word)
{
	if (given)
		json_out_strz(o, word);
}

/* A model that also chats is listed as a chat model. */
static bool embeds_only(uint32_t can)
{
	return (can & PTABLE_IS_EMBEDDING) && !(can & PTABLE_IS_CHAT);
}

static void models_architecture(struct json_out *o, uint32_t can)
{
	json_out_key(o, "architecture");
	json_out_obj(o);
	json_out_key(o, "input_modalities");
	json_out_arr(o);
	json_out_strz(o, "text");
	models_word(o, can & PTABLE_CAN_IMAGE_IN, "image");
	models_word(o, can & PTABLE_CAN_DOCUMENT_IN, "file");
	models_word(o, can & PTABLE_CAN_AUDIO_IN, "audio");
	json_out_arr_end(o);
	json_out_key(o, "output_modalities");
	json_out_arr(o);
	models_word(o, !embeds_only(can), "text");
	models_word(o, embeds_only(can), "embeddings");
	models_word(o, can & PTABLE_CAN_IMAGE_OUT, "image");
	models_word(o, can & PTABLE_CAN_AUDIO_OUT, "audio");
	json_out_arr_end(o);
	json_out_obj_end(o);
}

static void models_parameters(struct json_out *o, uint32_t can)
{
	bool chat = can & PTABLE_IS_CHAT, tools = can & PTABLE_CAN_TOOLS;

	json_out_key(o, "supported_parameters");
	json_out_arr(o);
	models_word(o, chat, "max_tokens");
	models_word(o, chat, "max_completion_tokens");
	models_word(o, chat, "temperature");
	models_word(o, chat, "top_p");
	models_word(o, chat, "stop");
	models_word(o, tools, "tools");
	models_word(o, tools, "tool_choice");
	models_word(o, can & PTABLE_CAN_REASONING, "reasoning");
	models_word(o, can & PTABLE_CAN_REASONING, "reasoning_effort");
	models_word(o, can & PTABLE_CAN_JSON_SCHEMA, "response_format");
	models_word(o, can & PTABLE_CAN_JSON_SCHEMA, "structured_outputs");
	models_word(o, can & PTABLE_SELLS_SEARCH, "web_search_options");
	models_word(o, embeds_only(can), "encoding_format");
	json_out_arr_end(o);
}

static void models_entry(struct json_out *o, const struct ptable_model *m,
			 const struct models_ask *ask)
{
	char when[CLOCK_TEXT_MAX];
	struct slice name = m->display_name.n ? m->display_name : m->name;

	json_out_obj(o);
	json_out_kstr(o, "id", m->name);
	json_out_kstrz(o, "object", "model");
	json_out_kstrz(o, "type", "model");
	json_out_ki64(o, "created", m->created_s);
	json_out_kstr(o, "created_at", slice_of(when, clock_format_s(m->created_s, when)));
	json_out_kstr(o, "owned_by", m->owned_by.n ? m->owned_by : SLICE_LIT("aigw"));
	json_out_kstr(o, "display_name", name);
	json_out_kstr(o, "name", name);
	json_out_ki64(o, "context_length", m->context);
	json_out_ki64(o, "max_completion_tokens", m->max_output);
	models_architecture(o, m->can);
	models_pricing(o, m, ask);
	models_parameters(o, m->can);
	json_out_obj_end(o);
}

enum errc models_one(const struct ptable_model *m, const struct models_ask *ask, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out);
	models_entry(&o, m, ask);
	return json_out_end(&o);
}

/* The table is sorted by name, so is the list. */
enum errc models_list(const struct ptable *t, const struct models_ask *ask, struct buf *out)
{
	struct slice first = SLICE_NONE, last = SLICE_NONE;
	bool more = false;
	int64_t n = 0;
	struct json_out o;

	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_kstrz(&o, "object", "list");
	json_out_key(&o, "data");
	json_out_arr(&o);
	for (size_t i = 0; i < t->models_n; i++) {
		const struct ptable_model *m = &t->models[i];

		if (ask->after_id.n && slice_cmp(m->name, ask->after_id) <= 0)
			continue;
		if (ask->allows && !ask->allows(ask->arg, m))
			continue;
		more = ask->limit > 0 && n == ask->limit;
		if (more)
			break;
		first = n++ ? first : m->name;
		last = m->name;
		models_entry(&o, m, ask);
	}
	json_out_arr_end(&o);
	json_out_kbool(&o, "has_more", more);
	json_out_key(&o, "first_id");
	n ? json_out_str(&o, first) : json_out_null(&o);
	json_out_key(&o, "last_id");
	n ? json_out_str(&o, last) : json_out_null(&o);
	json_out_obj_end(&o);
	return json_out_end(&o);
}

void models_etag(struct slice body, char out[MODELS_ETAG_MAX])
{
	snprintf(out, MODELS_ETAG_MAX, "\"%016llx\"", (unsigned long long)text_hash(body));
}
