#include "chat_usage.h"

#include "json_out.h"
#include "jtext.h"
#include "money.h"
#include "usage_field.h"

#define PATCH_EXTRA 48 /* what a cost adds to a usage object */

/* Numbers as the server gave them; -1: not given. */
struct chat_counts {
	int64_t prompt, completion, total;
	int64_t cached, hit, cached_flat, in_audio, in_image;
	int64_t written, written_5m, written_1h;
	int64_t reasoning, reasoning_flat, out_audio, out_image;
	int64_t searches;
};

static const struct chat_count_name {
	enum usage_field_group group;
	const char *name;
	size_t off;
} chat_names[] = {
#define CHAT_READ(group, name, count) \
	{USAGE_FIELD_##group, name, offsetof(struct chat_counts, count)},
#include "usage_field_tbl.h"
};

/* Some servers give one count by several names, and 0 by those that they do not use: the largest is the count. One below zero is none. */
static void chat_count_take(enum usage_field_group group, struct slice key, struct slice val,
			    struct chat_counts *c)
{
	int64_t v, *count;

	for (size_t i = 0; i < ARRAY_LEN(chat_names); i++) {
		if (chat_names[i].group != group || !jtext_key_is(key, chat_names[i].name))
			continue;
		count = (int64_t *)((char *)c + chat_names[i].off);
		if (jtext_i64(val, &v))
			*count = MAX_OF(*count, v < 0 ? -1 : v);
		return;
	}
}

/* The members of an object, and of those objects inside of it that are groups: no group stands in itself, so it goes no deeper than
 * they do. Its names are plain where they are ours. */
static void chat_group(enum usage_field_group group, struct slice object, struct chat_counts *c)
{
	struct jtext it = jtext_obj(object);
	enum usage_field_group inner;
	struct slice key, val;

	while (jtext_obj_next(&it, &key, &val) > 0) {
		if (jtext_type(val) == JSON_NUMBER)
			chat_count_take(group, key, val, c);
		else if (jtext_type(val) == JSON_OBJECT &&
			 (inner = usage_field_group(group, key)) != USAGE_FIELD_GROUPS)
			chat_group(inner, val, c);
	}
}

static bool chat_counts_read(struct slice object, struct chat_counts *c)
{
	memset(c, 0xFF, sizeof(*c));
	if (jtext_type(object) != JSON_OBJECT)
		return false;
	chat_group(USAGE_FIELD_TOP, object, c);
	/* Servers that have it there say 0 where they do not count it. */
	if (c->reasoning < 0 && c->reasoning_flat > 0)
		c->reasoning = c->reasoning_flat;
	return c->prompt >= 0 || c->completion >= 0 || c->total >= 0;
}

static int64_t chat_or0(int64_t v)
{
	return v < 0 ? 0 : v;
}

static void chat_give(struct usage *u, enum usage_class cls, int64_t v)
{
	if (v >= 0)
		usage_set(u, cls, v);
}

/* What one side leaves of the total is the other's. */
static void chat_complete(struct chat_counts *c, bool outside)
{
	int64_t beside = outside ? chat_or0(c->reasoning) : 0;

	if (c->total < 0)
		return;
	if (c->prompt >= 0 && c->completion < 0 && c->total > c->prompt)
		c->completion = MAX_OF(c->total - c->prompt - beside, 0);
	else if (c->prompt < 0 && c->completion >= 0 && c->total > c->completion)
		c->prompt = MAX_OF(c->total - c->completion - beside, 0);
}

/* As much of what is left of a side as a part says that it is. */
static void chat_part(struct usage *u, enum usage_class cls, int64_t v, int64_t *left)
{
	if (v < 0)
		return;
	v = MIN_OF(v, *left);
	usage_set(u, cls, v);
	*left -= v;
}

/* Classes that share no token. A cache larger than the prompt is counted beside it (Azure's Grok); any other is of the prompt, and what was
 * cached of sound and pictures stands in both numbers but has the cache's price, so these give way. */
static void chat_input(const struct chat_counts *c, struct usage *u)
{
	int64_t cached = MAX_OF(c->cached, MAX_OF(c->hit, c->cached_flat));
	int64_t hour = chat_or0(c->written_1h), written = c->written_5m, cache;
	int64_t prompt = c->prompt, left;

	if (prompt < 0 && c->completion < 0) {
		prompt = c->total;
		u->undivided = true;
	}
	/* As Anthropic's are read: the sum decides, and what is not said to live an hour lives five minutes. */
	if (c->written >= 0)
		written = c->written - MIN_OF(c->written, hour);
	cache = chat_or0(cached) + chat_or0(written) + hour;
	left = prompt < 0 ? USAGE_MAX : cache > prompt ? prompt : prompt - cache;
	chat_give(u, USAGE_CACHE_READ, cached);
	chat_give(u, USAGE_CACHE_WRITE_5M, written);
	chat_give(u, USAGE_CACHE_WRITE_1H, c->written_1h);
	chat_part(u, USAGE_INPUT_AUDIO, c->in_audio, &left);
	chat_part(u, USAGE_INPUT_IMAGE, c->in_image, &left);
	if (prompt >= 0)
		usage_set(u, USAGE_INPUT, left);
}

static void chat_output(const struct chat_counts *c, bool outside, struct usage *u)
{
	int64_t out = c->completion, reasoning = chat_or0(c->reasoning);

	if (out < 0)
		return;
	if (reasoning > 0 && c->prompt >= 0 && c->total == c->prompt + out + reasoning)
		outside = true;
	else if (reasoning > 0 && reasoning <= out && c->total >= 0 &&
		 c->total == chat_or0(c->prompt) + out)
		outside = false; /* more than all of it is no part of it, whatever the total says */
	if (outside && reasoning > 0)
		out += reasoning;
	else if (outside && c->reasoning < 0 && c->total > chat_or0(c->prompt) + out)
		out = c->total - chat_or0(c->prompt);
	chat_part(u, USAGE_OUTPUT_AUDIO, c->out_audio, &out);
	chat_part(u, USAGE_OUTPUT_IMAGE, c->out_image, &out);
	usage_set(u, USAGE_OUTPUT, out);
	chat_give(u, USAGE_REASONING, c->reasoning);
}

enum usage_tier chat_usage_tier(struct slice word)
{
	static const struct {
		const char *word;
		enum usage_tier tier;
	} words[] = {
		{"\"default\"", USAGE_TIER_STANDARD},   {"\"standard\"", USAGE_TIER_STANDARD},
		{"\"on_demand\"", USAGE_TIER_STANDARD}, {"\"flex\"", USAGE_TIER_FLEX},
		{"\"priority\"", USAGE_TIER_PRIORITY},
	};

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		if (slice_is(word, words[i].word))
			return words[i].tier;
	return USAGE_TIER_NONE;
}

bool chat_usage_read(struct slice object, bool reasoning_outside, struct usage *u)
{
	struct chat_counts c;
	struct slice tier;

	usage_init(u);
	if (!chat_counts_read(object, &c))
		return false;
	u->rest = true;
	chat_complete(&c, reasoning_outside);
	chat_input(&c, u);
	chat_output(&c, reasoning_outside, u);
	chat_give(u, USAGE_WEB_SEARCH, c.searches);
	if (jtext_member(object, "service_tier", &tier))
		u->tier = chat_usage_tier(tier);
	return !usage_is_empty(u);
}

static void chat_cost(struct json_out *o, int64_t cost_nusd)
{
	json_out_key(o, "cost");
	json_out_decimal(o, cost_nusd, 9, 1);
}

/* The provider's own price of the request: not the client's. */
static bool chat_is_cost(struct slice key)
{
	return usage_field_rule(PTABLE_OPENAI, SLICE_NONE, key) == USAGE_FIELD_COST;
}

enum errc chat_usage_patch(struct slice object, int64_t cost_nusd, struct buf *out)
{
	struct jtext it = jtext_obj(object);
	struct slice key, val;
	char cost[MONEY_TEXT_MAX], *room;
	enum errc e = buf_reserve(out, object.n + PATCH_EXTRA, &room);
	int r;

	if (!e)
		e = buf_addc(out, '{');

	while (!e && (r = jtext_obj_next(&it, &key, &val)) != 0) {
		if (r < 0)
			return (enum errc) - r;
		if (chat_is_cost(key))
			continue;
		e = buf_addc(out, '"');
		if (!e)
			e = buf_adds(out, key);
		if (!e)
			e = buf_add(out, "\":", 2);
		if (!e)
			e = buf_adds(out, val);
		if (!e)
			e = buf_addc(out, ',');
	}
	if (!e)
		e = buf_addz(out, "\"cost\":");
	if (!e)
		e = buf_add(out, cost, money_print(cost_nusd, 1, cost));
	return e ? e : buf_addc(out, '}');
}

enum errc chat_usage_write(const struct usage *u, int64_t cost_nusd, struct buf *out)
{
	struct json_out o;

	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_ki64(&o, "prompt_tokens", usage_input_total(u));
	json_out_ki64(&o, "completion_tokens", usage_output_total(u));
	json_out_ki64(&o, "total_tokens", usage_total(u));
	json_out_key(&o, "prompt_tokens_details");
	json_out_obj(&o);
	json_out_ki64(&o, "cached_tokens", usage_get(u, USAGE_CACHE_READ));
	if (usage_has(u, USAGE_CACHE_WRITE_5M) || usage_has(u, USAGE_CACHE_WRITE_1H))
		json_out_ki64(&o, "cache_write_tokens",
			      usage_get(u, USAGE_CACHE_WRITE_5M) +
				      usage_get(u, USAGE_CACHE_WRITE_1H));
	json_out_obj_end(&o);
	json_out_key(&o, "completion_tokens_details");
	json_out_obj(&o);
	json_out_ki64(&o, "reasoning_tokens", usage_reasoning(u));
	json_out_obj_end(&o);
	if (usage_get(u, USAGE_WEB_SEARCH) > 0) {
		json_out_key(&o, "server_tool_use");
		json_out_obj(&o);
		json_out_ki64(&o, "web_search_requests", usage_get(u, USAGE_WEB_SEARCH));
		json_out_obj_end(&o);
	}
	chat_cost(&o, cost_nusd);
	json_out_obj_end(&o);
	return json_out_end(&o);
}
