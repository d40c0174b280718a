#include "chat_chunk.h"

#include "chat_brief.h"
#include "chat_usage.h"
#include "jtext.h"
#include "text.h"

#define CHUNK_LABEL_MAX 32 /* bytes of a label, more than any that was seen */

struct chat_word {
	const char *word;
	enum ir_finish finish;
};

/* formats 12.8: own words and those of servers that look like OpenAI. */
static const struct chat_word chat_words[] = {
	{"stop", IR_FIN_STOP},
	{"length", IR_FIN_LENGTH},
	{"tool_calls", IR_FIN_TOOLS},
	{"function_call", IR_FIN_TOOLS},
	{"content_filter", IR_FIN_FILTER},
	{"eos", IR_FIN_STOP},
	{"end_turn", IR_FIN_STOP},
	{"stop_sequence", IR_FIN_SEQUENCE},
	{"max_tokens", IR_FIN_LENGTH},
	{"model_length", IR_FIN_LENGTH},
	{"sensitive", IR_FIN_FILTER},
	{"refusal", IR_FIN_REFUSAL},
	{"error", IR_FIN_ERROR},
	{"network_error", IR_FIN_ERROR},
	{"insufficient_system_resource", IR_FIN_ERROR},
};

/* The neutral reason behind a finish word of the OpenAI family. */
static enum ir_finish finish_of(struct slice word)
{
	for (size_t i = 0; i < ARRAY_LEN(chat_words); i++)
		if (slice_is(word, chat_words[i].word))
			return chat_words[i].finish;
	return IR_FIN_OTHER;
}

const char *chat_finish_word(enum ir_finish f)
{
	switch (f) {
	case IR_FIN_LENGTH:
	case IR_FIN_CONTEXT:
		return "length";
	case IR_FIN_TOOLS:
		return "tool_calls";
	case IR_FIN_FILTER:
	case IR_FIN_REFUSAL:
		return "content_filter";
	case IR_FIN_ERROR:
		return "error";
	default:
		return "stop";
	}
}

/* ---- reading ---- */

/* Keys that fill a delta without being content. */
static bool chunk_is_frame(struct slice key)
{
	return slice_is(key, "role") || slice_is(key, "name") || slice_is(key, "channel");
}

static bool chunk_is_empty(struct slice v)
{
	return v.n == 0 || jtext_is_null(v) || slice_is(v, "\"\"") || slice_is(v, "[]") ||
	       slice_is(v, "{}");
}

/* Bytes of a string as it reads unescaped, or of the text of another value. */
static size_t chunk_len(const struct chat_chunk *c, struct slice v)
{
	size_t n = jtext_unescaped_len(v.p[0] == '"' && v.n >= 2 ? slice_of(v.p + 1, v.n - 2) : v);

	return c->brief ? n + chat_brief_missing(c->brief, v) : n;
}

/* Lists and objects in each other: a part of content, the thoughts in it, a part of these take four. */
#define CHUNK_DEPTH 6

/* Members of a part that hold what it says. The others are its frame, or no text: ids, signatures, encrypted thoughts. */
static bool chunk_is_said(struct slice key)
{
	return slice_is(key, "text") || slice_is(key, "thinking") || slice_is(key, "summary") ||
	       slice_is(key, "content");
}

static size_t chunk_said(const struct chat_chunk *c, struct slice v, unsigned depth)
{
	bool is_object = v.p[0] == '{';
	struct jtext it = is_object ? jtext_obj(v) : jtext_arr(v);
	struct slice key, inner;
	size_t n = 0;

	if (v.p[0] == '"')
		return chunk_len(c, v);
	if ((!is_object && v.p[0] != '[') || depth == CHUNK_DEPTH)
		return 0;
	while ((is_object ? jtext_obj_next(&it, &key, &inner) : jtext_arr_next(&it, &inner)) > 0)
		if (!is_object || chunk_is_said(key))
			n += chunk_said(c, inner, depth + 1);
	return n;
}

/* Bytes of what a string says, or the strings in a list or object: tokens are guessed from them (relay.h). */
static uint32_t chunk_bytes(const struct chat_chunk *c, struct slice v)
{
	return (uint32_t)MIN_OF(chunk_said(c, v, 0), (size_t)UINT32_MAX);
}

static bool chunk_is_picture(struct slice type)
{
	return slice_is(type, "\"image_url\"") || slice_is(type, "\"image\"") ||
	       slice_is(type, "\"output_image\"");
}

/* Content may be a list of parts, and some of them reasoning, as Mistral sends it (formats 12.4), or pictures. */
static void chunk_content(struct slice content, struct chat_chunk *c, uint32_t *said,
			  uint32_t *thought)
{
	struct jtext it = jtext_arr(content);
	struct slice part, type;
	bool thinks;

	if (content.p[0] != '[') {
		*said += chunk_bytes(c, content);
		return;
	}
	while (jtext_arr_next(&it, &part) > 0) {
		if (!jtext_member(part, "type", &type))
			type = SLICE_NONE;
		c->pictures += chunk_is_picture(type);
		thinks = slice_is(type, "\"thinking\"");
		*(thinks ? thought : said) += chunk_bytes(c, part);
	}
}

/* Some servers send the same thoughts under two or three names, and under one of them perhaps only a signature. */
static void chunk_thoughts(const struct chat_chunk *c, struct slice val, uint32_t *thought)
{
	uint32_t n = chunk_bytes(c, val);

	if (n)
		*thought = *thought ? MIN_OF(*thought, n) : n;
}

static bool chunk_args(struct slice fn, struct slice *args)
{
	return (jtext_member(fn, "arguments", args) || jtext_member(fn, "input", args)) &&
	       !chunk_is_empty(*args);
}

/* Name and arguments of a call. Arguments that are no string are output all the same, brackets and all. */
static size_t chunk_fn_len(const struct chat_chunk *c, struct slice fn)
{
	struct slice s;
	size_t n = 0;

	if (jtext_member(fn, "name", &s) && s.p[0] == '"')
		n += chunk_len(c, s);
	if (chunk_args(fn, &s))
		n += chunk_len(c, s);
	return n;
}

/* A call of a kind that we do not know has them in itself, or in the object of its kind. */
static size_t chunk_call_len(const struct chat_chunk *c, struct slice call)
{
	struct jtext it = jtext_obj(call);
	struct slice key, val, args;
	size_t n;

	if ((jtext_member(call, "function", &val) || jtext_member(call, "custom", &val)) &&
	    val.p[0] == '{')
		return chunk_fn_len(c, val);
	n = chunk_fn_len(c, call);
	if (chunk_args(call, &args))
		return n;
	while (jtext_obj_next(&it, &key, &val) > 0)
		if (val.p[0] == '{' && chunk_args(val, &args))
			return n + chunk_fn_len(c, val);
	return n;
}

static uint32_t chunk_call_bytes(const struct chat_chunk *c, struct slice list)
{
	struct jtext it = jtext_arr(list);
	struct slice call;
	size_t n = 0;

	while (jtext_arr_next(&it, &call) > 0)
		n += chunk_call_len(c, call);
	return (uint32_t)MIN_OF(n, (size_t)UINT32_MAX);
}

/* Members of a delta that label it, or are there for the provider: no text that was generated. */
static bool chunk_is_label(struct slice key)
{
	return slice_is(key, "id") || slice_is(key, "type") || slice_is(key, "object") ||
	       slice_is(key, "model") || slice_is(key, "finish_reason") ||
	       slice_is(key, "obfuscation") || slice_has_suffix(key, SLICE_LIT("_id")) ||
	       slice_has_suffix(key, SLICE_LIT("signature")) ||
	       slice_has_prefix(key, SLICE_LIT("encrypted"));
}

/* A member that we do not know: a string there is taken for output. A word is not, which may be a label that stands in every event: an answer
 * within its cap must not seem to be longer. */
static uint32_t chunk_other_bytes(const struct chat_chunk *c, struct slice key, struct slice val)
{
	size_t n = 0;

	if (val.p[0] == '"' && !chunk_is_label(key) &&
	    !text_is_word(slice_sub(val, 1, val.n - 2), CHUNK_LABEL_MAX))
		n = chunk_len(c, val);
	return (uint32_t)MIN_OF(n, (size_t)UINT32_MAX);
}

/* Sound; what is spoken in it is text beside it. */
static uint32_t chunk_audio(struct slice audio, struct chat_chunk *c)
{
	struct slice s;

	if (jtext_member(audio, "data", &s) && s.p[0] == '"' && s.n > 2)
		c->sound_bytes += (uint32_t)MIN_OF(chunk_len(c, s), (size_t)UINT32_MAX);
	return jtext_member(audio, "transcript", &s) && s.p[0] == '"' ? chunk_bytes(c, s) : 0;
}

/* Each an object, or its address alone. */
static uint32_t chunk_pictures(struct slice list)
{
	struct jtext it = jtext_arr(list);
	struct slice picture;
	uint32_t n = 0;

	while (jtext_arr_next(&it, &picture) > 0)
		n += picture.p[0] == '{' || (picture.p[0] == '"' && picture.n > 2);
	return n;
}

/* The object that stands next at `at`; so with choices and their list below. */
static bool chunk_delta(struct jtext *at, struct chat_chunk *c)
{
	struct jtext it = jtext_enter_obj(at);
	struct slice key, val;
	uint32_t reasoning = 0, thought = 0, n = 0, other = 0, sound = c->sound_bytes;
	int r;

	while ((r = jtext_obj_next(&it, &key, &val)) > 0) {
		if (slice_is(key, "role"))
			c->marks |= CHAT_CHUNK_ROLE;
		if (chunk_is_frame(key) || chunk_is_empty(val))
			continue;
		c->marks |= CHAT_CHUNK_CONTENT;
		if (slice_is(key, "tool_calls"))
			n += chunk_call_bytes(c, val);
		else if (slice_is(key, "content"))
			chunk_content(val, c, &n, &thought);
		else if (slice_is(key, "refusal"))
			n += chunk_bytes(c, val);
		else if (slice_is(key, "audio"))
			n += chunk_audio(val, c);
		else if (slice_is(key, "images"))
			c->pictures += chunk_pictures(val);
		else if (slice_has_prefix(key, SLICE_LIT("reasoning")) || slice_is(key, "thinking"))
			chunk_thoughts(c, val, &reasoning);
		else if (slice_is(key, "function_call"))
			n += (uint32_t)MIN_OF(chunk_fn_len(c, val), (size_t)UINT32_MAX);
		else
			other += chunk_other_bytes(c, key, val);
	}
	/* Beside what we know it may be the same once more, or all that was said so far. */
	if (n + thought + reasoning == 0 && c->sound_bytes == sound)
		n = other;
	c->content_bytes += n + thought + reasoning;
	c->reasoning_bytes += thought + reasoning;
	if (r == 0)
		jtext_leave(at, &it);
	return r == 0;
}

static void chunk_finish(struct slice val, struct chat_chunk *c)
{
	struct slice word;

	if (jtext_is_null(val) || slice_is(val, "\"\""))
		return;
	c->marks |= CHAT_CHUNK_FINISH;
	c->native = jtext_plain(val, &word) ? word : SLICE_NONE;
	c->finish = finish_of(c->native);
}

/* All of it must be readable: it is money, and it is written anew. */
static bool chunk_usage(struct slice val, struct chat_chunk *c)
{
	struct jtext it = jtext_obj(val);
	struct slice key, inner;
	int r;

	if (jtext_type(val) != JSON_OBJECT)
		return true;
	c->marks |= CHAT_CHUNK_USAGE;
	if (!c->usage.n)
		c->usage = val;
	while ((r = jtext_obj_next(&it, &key, &inner)) > 0)
		;
	return r == 0;
}

/* A member of a choice other than its delta. */
static bool chunk_choice_member(struct slice key, struct slice val, bool is_text,
				struct chat_chunk *c)
{
	int64_t index;

	if (slice_is(key, "text") && is_text && !chunk_is_empty(val)) {
		c->marks |= CHAT_CHUNK_CONTENT;
		c->content_bytes += chunk_bytes(c, val);
	} else if (slice_is(key, "finish_reason")) {
		chunk_finish(val, c);
	} else if (slice_is(key, "index") && c->choices == 0 && jtext_i64(val, &index)) {
		c->choice = index > 0 && index < INT32_MAX ? (unsigned)index : 0;
	} else if (slice_is(key, "usage")) {
		return chunk_usage(val, c);
	}
	return true;
}

static bool chunk_choice(struct jtext *at, enum chat_form form, struct chat_chunk *c)
{
	const char *body = form == CHAT_FORM_MESSAGE ? "message" : "delta";
	struct jtext it = jtext_enter_obj(at);
	struct slice key, val;
	bool is_text = form == CHAT_FORM_TEXT, has_delta = is_text;
	int r;

	while ((r = jtext_obj_key(&it, &key)) > 0) {
		if (slice_is(key, body) && jtext_peek(&it) == JSON_OBJECT) {
			has_delta = true;
			if (!chunk_delta(&it, c))
				return false;
			continue;
		}
		if (jtext_value(&it, &val) < 0 || !chunk_choice_member(key, val, is_text, c))
			return false;
	}
	if (!has_delta)
		c->marks |= CHAT_CHUNK_NO_DELTA;
	c->choices++;
	if (r == 0)
		jtext_leave(at, &it);
	return r == 0;
}

static bool chunk_choices(struct jtext *at, enum chat_form form, struct chat_chunk *c)
{
	struct jtext it = jtext_enter_arr(at);
	struct slice val;
	int r;

	if (jtext_peek(at) != JSON_ARRAY)
		return jtext_value(at, &val) > 0 && jtext_is_null(val);
	c->marks |= CHAT_CHUNK_LIST;
	while ((r = jtext_arr_more(&it)) > 0)
		if (!chunk_choice(&it, form, c))
			return false;
	if (r == 0)
		jtext_leave(at, &it);
	return r == 0;
}

/* MiniMax reports failures under status 200, in this member of every answer. */
static void chunk_base_resp(struct slice val, struct chat_chunk *c)
{
	struct slice code;
	int64_t n;

	if (jtext_member(val, "status_code", &code) && jtext_i64(code, &n) && n != 0) {
		c->marks |= CHAT_CHUNK_ERROR;
		c->error = val;
	}
}

/* A member at the top other than the choices. */
static bool chunk_top(struct slice key, struct slice val, struct chat_chunk *c)
{
	struct slice inner;

	if (slice_is(key, "usage")) {
		if (c->top.p)
			return false; /* given twice: readers would not agree which one counts */
		c->top = val;
		if (jtext_type(val) == JSON_OBJECT)
			c->usage = SLICE_NONE; /* the top one goes before those inside */
		return chunk_usage(val, c);
	} else if (slice_is(key, "x_groq")) {
		return !jtext_member(val, "usage", &inner) || chunk_usage(inner, c);
	} else if (slice_is(key, "error")) {
		if (!chunk_is_empty(val)) {
			c->marks |= CHAT_CHUNK_ERROR;
			c->error = val;
		}
	} else if (slice_is(key, "base_resp")) {
		chunk_base_resp(val, c);
	} else if (slice_is(key, "data")) {
		c->marks |= CHAT_CHUNK_DATA;
	} else if (slice_is(key, "id")) {
		(void)jtext_plain(val, &c->id);
	} else if (slice_is(key, "model")) {
		(void)jtext_plain(val, &c->model);
	} else if (slice_is(key, "created")) {
		(void)jtext_i64(val, &c->created_s);
	} else if (slice_is(key, "service_tier")) {
		c->tier = chat_usage_tier(val);
	}
	return true;
}

static bool chunk_read(struct slice json, enum chat_form form, struct chat_chunk *c)
{
	struct jtext it = jtext_obj(json);
	struct slice key, val;
	int r;

	while ((r = jtext_obj_key(&it, &key)) > 0) {
		if (slice_is(key, "choices") ? !chunk_choices(&it, form, c)
					     : jtext_value(&it, &val) < 0 || !chunk_top(key, val, c))
			return false;
	}
	if (c->choices == 0)
		c->marks |= CHAT_CHUNK_NO_CHOICE;
	return r == 0;
}

bool chat_chunk_read(struct slice json, enum chat_form form, struct chat_chunk *c)
{
	memset(c, 0, sizeof(*c));
	return chunk_read(json, form, c);
}

enum errc chat_chunk_read_brief(struct chat_brief *b, enum chat_form form, struct chat_chunk *c)
{
	struct slice json;
	enum errc e = chat_brief_shut(b, &json);

	memset(c, 0, sizeof(*c));
	c->brief = b;
	if (e)
		return e;
	if (!chunk_read(json, form, c))
		return ERRC_SYNTAX;
	c->content_bytes += (uint32_t)MIN_OF(b->beyond, (uint64_t)UINT32_MAX - c->content_bytes);
	if (b->beyond)
		c->marks |= CHAT_CHUNK_CONTENT;
	return ERRC_OK;
}

/* ---- writing ---- */

/* An object being written anew: the first error sticks. */
struct chunk_out {
	struct buf *b;
	enum errc err;
	bool comma;
};

static void chunk_puts(struct chunk_out *o, struct slice s)
{
	if (!o->err)
		o->err = buf_adds(o->b, s);
}

static void chunk_key(struct chunk_out *o, struct slice key)
{
	chunk_puts(o, o->comma ? SLICE_LIT(",\"") : SLICE_LIT("\""));
	chunk_puts(o, key);
	chunk_puts(o, SLICE_LIT("\":"));
	o->comma = true;
}

static void chunk_member(struct chunk_out *o, struct slice key, struct slice val)
{
	chunk_key(o, key);
	chunk_puts(o, val);
}

static void chunk_open(struct chunk_out *o, struct slice s)
{
	chunk_puts(o, s);
	o->comma = false;
}

static void chunk_close(struct chunk_out *o, struct slice s)
{
	chunk_puts(o, s);
	o->comma = true;
}

static bool chunk_test_set(uint64_t bits[2], int64_t index)
{
	uint64_t bit = UINT64_C(1) << (index & 63);
	bool was;

	if (index < 0 || index >= CHAT_SEEN_MAX)
		return false;
	was = bits[index >> 6] & bit;
	bits[index >> 6] |= bit;
	return was;
}

static int chunk_delta_out(struct chunk_out *o, struct slice delta, const struct chat_rewrite *w,
			   int64_t index)
{
	struct jtext it = jtext_obj(delta);
	struct slice key, val;
	int r;

	chunk_key(o, SLICE_LIT("delta"));
	chunk_open(o, SLICE_LIT("{"));
	while ((r = jtext_obj_next(&it, &key, &val)) > 0) {
		if (slice_is(key, "role") && chunk_test_set(w->seen->role, index))
			continue;
		chunk_member(o, key, val);
	}
	chunk_close(o, SLICE_LIT("}"));
	return r;
}

static int chunk_choice_out(struct chunk_out *o, struct slice choice, const struct chat_rewrite *w)
{
	struct jtext it = jtext_obj(choice);
	struct slice key, val;
	bool has_delta = w->is_text;
	int64_t index = 0;
	int r;

	if (jtext_member(choice, "index", &val) && !jtext_i64(val, &index))
		index = 0;
	chunk_open(o, SLICE_LIT("{"));
	while ((r = jtext_obj_next(&it, &key, &val)) > 0) {
		if (slice_is(key, "usage"))
			continue;
		if (slice_is(key, "delta") && jtext_type(val) == JSON_OBJECT) {
			has_delta = true;
			r = chunk_delta_out(o, val, w, index);
			if (r < 0)
				return r;
			continue;
		}
		if (slice_is(key, "delta") && !w->is_text)
			continue;
		if (slice_is(key, "finish_reason") && !jtext_is_null(val) &&
		    (w->drop_finish || chunk_test_set(w->seen->finish, index)))
			val = SLICE_LIT("null");
		chunk_member(o, key, val);
	}
	if (!has_delta)
		chunk_member(o, SLICE_LIT("delta"), SLICE_LIT("{}"));
	chunk_close(o, SLICE_LIT("}"));
	return r;
}

static int chunk_choices_out(struct chunk_out *o, struct slice list, const struct chat_rewrite *w)
{
	struct jtext it = jtext_arr(list);
	struct slice choice;
	bool any = false;
	int r = 0;

	chunk_key(o, SLICE_LIT("choices"));
	chunk_open(o, SLICE_LIT("["));
	while (list.n && jtext_type(list) == JSON_ARRAY && (r = jtext_arr_next(&it, &choice)) > 0) {
		if (any)
			chunk_puts(o, SLICE_LIT(","));
		any = true;
		r = chunk_choice_out(o, choice, w);
		if (r < 0)
			return r;
	}
	if (!any && w->fill_choices)
		chunk_puts(
			o,
			w->is_text
				? SLICE_LIT("{\"index\":0,\"text\":\"\",\"logprobs\":null,"
					    "\"finish_reason\":null}")
				: SLICE_LIT("{\"index\":0,\"delta\":{},\"finish_reason\":null}"));
	chunk_close(o, SLICE_LIT("]"));
	return r;
}

/* x_groq without its usage. */
static int chunk_groq_out(struct chunk_out *o, struct slice object)
{
	struct jtext it = jtext_obj(object);
	struct slice key, val;
	int r;

	chunk_key(o, SLICE_LIT("x_groq"));
	chunk_open(o, SLICE_LIT("{"));
	while ((r = jtext_obj_next(&it, &key, &val)) > 0)
		if (!slice_is(key, "usage"))
			chunk_member(o, key, val);
	chunk_close(o, SLICE_LIT("}"));
	return r;
}

static int chunk_members_out(struct chunk_out *o, struct slice json, const struct chat_rewrite *w)
{
	struct jtext it = jtext_obj(json);
	struct slice key, val;
	bool has_choices = false;
	int r, inner;

	while ((r = jtext_obj_next(&it, &key, &val)) > 0) {
		inner = 0;
		if (slice_is(key, "choices")) {
			has_choices = true;
			inner = chunk_choices_out(o, val, w);
		} else if (slice_is(key, "x_groq") && jtext_type(val) == JSON_OBJECT) {
			inner = chunk_groq_out(o, val);
		} else if (!slice_is(key, "usage")) {
			chunk_member(o, key, val);
		}
		if (inner < 0)
			return inner;
	}
	if (r == 0 && !has_choices)
		r = chunk_choices_out(o, SLICE_NONE, w);
	return r;
}

enum errc chat_chunk_write(struct slice json, const struct chat_rewrite *w, struct buf *out)
{
	struct chunk_out o = {.b = out};
	size_t len = out->len;
	int r;

	chunk_open(&o, SLICE_LIT("{"));
	r = chunk_members_out(&o, json, w);
	if (r < 0 && !o.err)
		o.err = (enum errc) - r;
	if (w->usage.n)
		chunk_member(&o, SLICE_LIT("usage"), w->usage);
	chunk_close(&o, SLICE_LIT("}"));
	if (o.err)
		buf_truncate(out, len);
	return o.err;
}
