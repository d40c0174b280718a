#include "chat_facts.h"

#include "chat_tool.h"
#include "jtext.h"
#include "text.h"

#define CHAT_N_MAX   128
#define CHAT_CAP_MAX INT64_C(100000000)

struct facts_in {
	struct chat_scan *s;
	struct slice body;
	struct dialect_facts *out;
	struct fault *f;
	enum errc err;
};

static struct slice facts_get(const struct facts_in *in, enum chat_id id)
{
	return chat_scan_value(in->s, in->body, id);
}

static void facts_bad(const struct facts_in *in, enum chat_id id, const char *want)
{
	const char *name = chat_field_row(id)->name;

	fault_field(in->f, FAULT_INVALID_VALUE, name, "'%s' must be %s.", name, want);
}

/* A whole number in a range; `dflt` when it was not given. */
static int64_t facts_int(const struct facts_in *in, enum chat_id id, int64_t max, int64_t dflt)
{
	struct slice v = facts_get(in, id);
	const char *name = chat_field_row(id)->name;
	int64_t n;

	if (!v.n)
		return dflt;
	if (jtext_i64(v, &n) && n >= 1 && n <= max)
		return n;
	fault_field(in->f, FAULT_INVALID_VALUE, name, "'%s' must be a whole number from 1 to %lld.",
		    name, (long long)max);
	return dflt;
}

static bool facts_bool(const struct facts_in *in, enum chat_id id)
{
	struct slice v = facts_get(in, id);

	if (v.n && jtext_type(v) != JSON_BOOL)
		facts_bad(in, id, "true or false");
	return jtext_is_true(v);
}

/* A short string without escapes; "" when it was not given. */
static struct slice facts_word(const struct facts_in *in, enum chat_id id)
{
	struct slice v = facts_get(in, id), word = SLICE_NONE;

	if (v.n && !jtext_plain(v, &word))
		facts_bad(in, id, "a string");
	return word;
}

static void facts_model(struct facts_in *in)
{
	struct chat_scan *s = in->s;
	struct slice v = facts_get(in, CHAT_ID_MODEL);
	struct buf b;

	if (!v.n)
		return;
	buf_init(&b, LIMIT_MODEL_NAME);
	in->err = jtext_type(v) == JSON_STRING ? jtext_str(v, &b) : ERRC_INVAL;
	if (in->err == ERRC_NOMEM) {
		fault_errc(in->f, in->err, "request");
	} else if (in->err || b.len == 0) {
		facts_bad(in, CHAT_ID_MODEL, "the name of a model");
	} else {
		memcpy(s->model, b.p, b.len);
		in->out->model = slice_of(s->model, b.len);
	}
	buf_fini(&b);
}

/* The end user, as the limits and the records know it. What is no text is refused: all such would be the user U+FFFD. */
static void facts_user(struct facts_in *in)
{
	struct chat_scan *s = in->s;
	struct slice v = facts_get(in, CHAT_ID_USER);
	struct buf b;
	enum errc e;

	if (!v.n || jtext_is_null(v))
		return;
	buf_init(&b, USER_TAG_MAX);
	e = jtext_type(v) == JSON_STRING ? jtext_str(v, &b) : ERRC_INVAL;
	if (e == ERRC_NOMEM) {
		in->err = e;
		fault_errc(in->f, e, "request");
	} else if (e || !jtext_is_whole(v) || (b.len && !user_tag_is_good(buf_slice(&b)))) {
		facts_bad(in, CHAT_ID_USER, USER_TAG_RULES);
	} else if (b.len) {
		memcpy(s->user, b.p, b.len);
		in->out->user = slice_of(s->user, b.len);
	}
	buf_fini(&b);
}

static void facts_cap(const struct facts_in *in)
{
	struct dialect_facts *out = in->out;
	struct slice a = facts_get(in, CHAT_ID_MAX_TOKENS);
	struct slice b = facts_get(in, CHAT_ID_MAX_COMPLETION);

	if (a.n && b.n)
		fault_field(in->f, FAULT_INVALID_VALUE, "max_tokens",
			    "'max_tokens' and 'max_completion_tokens' are two names of one limit: "
			    "give one.");
	if (b.n) {
		out->cap_field = DIALECT_CAP_MAX_COMPLETION;
		out->cap = facts_int(in, CHAT_ID_MAX_COMPLETION, CHAT_CAP_MAX, 0);
	} else if (a.n) {
		out->cap_field = DIALECT_CAP_MAX_TOKENS;
		out->cap = facts_int(in, CHAT_ID_MAX_TOKENS, CHAT_CAP_MAX, 0);
	}
}

/* Two of them, or one in other letters, could turn off the usage that is charged, while we read that it is on. */
static void facts_stream_options(const struct facts_in *in, struct slice object)
{
	struct jtext it = jtext_obj(object);
	struct slice key, val;
	unsigned n = 0;

	while (jtext_obj_next(&it, &key, &val) > 0) {
		if (!jtext_key_like(key, "include_usage"))
			continue;
		if (++n > 1 || !jtext_key_is(key, "include_usage"))
			fault_field(in->f, FAULT_INVALID_VALUE, "stream_options.include_usage",
				    "'stream_options.include_usage' must be given once, and in "
				    "small letters.");
	}
}

static void facts_stream(const struct facts_in *in)
{
	struct slice o = facts_get(in, CHAT_ID_STREAM_OPTIONS), v;

	in->out->echo = in->s->op == DIALECT_COMPLETIONS &&
			jtext_is_true(facts_get(in, CHAT_ID_ECHO));
	in->out->stream = facts_bool(in, CHAT_ID_STREAM);
	if (in->out->stream && in->s->op == DIALECT_EMBEDDINGS)
		facts_bad(in, CHAT_ID_STREAM, "false: embeddings come whole");
	if (!o.n)
		return;
	if (jtext_type(o) != JSON_OBJECT)
		facts_bad(in, CHAT_ID_STREAM_OPTIONS, "an object");
	facts_stream_options(in, o);
	if (in->out->stream && jtext_member(o, "include_usage", &v))
		in->out->include_usage = jtext_is_true(v);
}

/* Prompts of a list are answered each; a list of token ids is one. */
static void facts_copies(const struct facts_in *in)
{
	struct dialect_facts *out = in->out;
	int64_t prompts = in->s->op == DIALECT_COMPLETIONS ? MAX_OF(in->s->bound.texts, 1) : 1;

	out->n = facts_int(in, CHAT_ID_N, CHAT_N_MAX, 1);
	out->best_of = facts_int(in, CHAT_ID_BEST_OF, CHAT_N_MAX, out->n);
	if (out->best_of < out->n)
		facts_bad(in, CHAT_ID_BEST_OF, "at least 'n'");
	out->copies = out->best_of * prompts;
}

/* Those that are not standard are for sale where the model's price has rows for them. */
static void facts_tier(const struct facts_in *in)
{
	struct slice word = facts_word(in, CHAT_ID_SERVICE_TIER);
	struct dialect_facts *out = in->out;

	if (!word.n || slice_is(word, "auto"))
		return;
	out->tier = usage_tier_of(word);
	if (!out->tier)
		out->tier = USAGE_TIER_STANDARD;
	out->needs |= out->tier == USAGE_TIER_FLEX       ? PTABLE_SELLS_FLEX
		      : out->tier == USAGE_TIER_PRIORITY ? PTABLE_SELLS_PRIORITY
							 : 0;
}

/* Only values at whose price the model's row is. A sentence is not said again: the words come into the access log, which has none of a body. */
static void facts_only(const struct facts_in *in, enum chat_id id, const struct chat_field *row)
{
	struct slice value = facts_word(in, id);

	if (value.n && !chat_field_takes(row, value))
		fault_field(in->f, FAULT_UNSUPPORTED_FIELD, row->name,
			    "'%s': '" SLICE_FMT "' has no price here (%s); leave it out or use "
			    "'" SLICE_FMT "'.",
			    row->name, SLICE_ARG(text_is_word(value, 32) ? value : SLICE_LIT("…")),
			    row->why, SLICE_ARG(chat_field_ordinary(row)));
}

static void facts_modalities(const struct facts_in *in)
{
	struct slice v = facts_get(in, CHAT_ID_MODALITIES), m;
	struct jtext it = jtext_arr(v);

	if (facts_get(in, CHAT_ID_AUDIO).n)
		in->out->needs |= PTABLE_CAN_AUDIO_OUT;
	if (!v.n)
		return;
	if (jtext_type(v) != JSON_ARRAY)
		facts_bad(in, CHAT_ID_MODALITIES, "a list");
	while (jtext_arr_next(&it, &m) > 0) {
		if (slice_is(m, "\"audio\""))
			in->out->needs |= PTABLE_CAN_AUDIO_OUT;
		else if (slice_is(m, "\"image\""))
			in->out->needs |= PTABLE_CAN_IMAGE_OUT;
		else if (!slice_is(m, "\"text\""))
			facts_bad(in, CHAT_ID_MODALITIES, "a list of 'text', 'audio' or 'image'");
	}
}

/* A switch; some servers take 1 and "true" as well. */
static bool facts_is_on(struct slice v)
{
	return !chat_field_is_off(v) && !jtext_is_null(v) && !slice_is(v, "0");
}

static void facts_thinking(const struct facts_in *in)
{
	struct dialect_facts *out = in->out;
	struct slice effort = facts_word(in, CHAT_ID_REASONING_EFFORT), v;
	struct slice thinking = facts_get(in, CHAT_ID_THINKING);
	struct slice reasoning = facts_get(in, CHAT_ID_REASONING);
	int64_t budget;

	if (effort.n)
		out->thinking = !slice_is(effort, "none");
	if (thinking.n && jtext_member(thinking, "type", &v))
		out->thinking |= !slice_is(v, "\"disabled\"");
	if (thinking.n && jtext_member(thinking, "budget_tokens", &v))
		(void)jtext_i64(v, &out->thinking_budget);
	if (reasoning.n)
		out->thinking |= !jtext_member(reasoning, "enabled", &v) || jtext_is_true(v);
	if (reasoning.n && jtext_member(reasoning, "max_tokens", &v))
		(void)jtext_i64(v, &out->thinking_budget);
	out->thinking |= facts_is_on(facts_get(in, CHAT_ID_ENABLE_THINKING));
	if (jtext_member(facts_get(in, CHAT_ID_CHAT_TEMPLATE_KWARGS), "enable_thinking", &v))
		out->thinking |= facts_is_on(v);
	if (jtext_i64(facts_get(in, CHAT_ID_THINKING_BUDGET), &budget) && budget > 0 &&
	    budget <= CHAT_CAP_MAX) {
		out->thinking_beside = budget;
		out->thinking_budget = MAX_OF(out->thinking_budget, budget);
	}
	if (out->thinking_budget < 0 || out->thinking_budget > CHAT_CAP_MAX)
		out->thinking_budget = 0;
}

static void facts_tools(const struct facts_in *in)
{
	struct dialect_facts *out = in->out;
	struct slice format = facts_get(in, CHAT_ID_RESPONSE_FORMAT), type;

	out->has_tools = in->s->bound.tools > 0 || facts_get(in, CHAT_ID_FUNCTIONS).n;
	if (out->has_tools)
		out->needs |= PTABLE_CAN_TOOLS;
	if (jtext_member(format, "type", &type) && slice_is(type, "\"json_schema\""))
		out->needs |= PTABLE_CAN_JSON_SCHEMA;
	out->bound.whole_context |= chat_tool_judge(facts_get(in, CHAT_ID_TOOLS), in->f);
	out->bound.whole_context |=
		chat_tool_judge_functions(facts_get(in, CHAT_ID_FUNCTIONS), in->f);
}

/* A template makes any prompt of what it is given. Servers take one among its own values too. */
static bool facts_is_template(const struct facts_in *in)
{
	struct jtext it = jtext_obj(facts_get(in, CHAT_ID_CHAT_TEMPLATE_KWARGS));
	struct slice key, val;

	if (chat_field_asks(facts_get(in, CHAT_ID_CHAT_TEMPLATE)))
		return true;
	while (jtext_obj_next(&it, &key, &val) > 0)
		if (jtext_key_is(key, "chat_template") && chat_field_asks(val))
			return true;
	return false;
}

/* What a model reads, or may read, beside the messages. */
static void facts_input(const struct facts_in *in)
{
	static const enum chat_id as_input[] = {
		CHAT_ID_TOOLS,
		CHAT_ID_FUNCTIONS,
		CHAT_ID_RESPONSE_FORMAT,
		CHAT_ID_CHAT_TEMPLATE,
		CHAT_ID_CHAT_TEMPLATE_KWARGS,
		CHAT_ID_GRAMMAR,
		CHAT_ID_GUIDED_JSON,
		CHAT_ID_GUIDED_REGEX,
		CHAT_ID_GUIDED_CHOICE,
		CHAT_ID_GUIDED_GRAMMAR,
		CHAT_ID_STRUCTURED_OUTPUTS,
	};

	for (size_t i = 0; i < ARRAY_LEN(as_input); i++)
		in->out->bound.text += bound_json(facts_get(in, as_input[i]));
	in->out->bound.whole_context |= facts_is_template(in);
}

static void facts_encoding(const struct facts_in *in)
{
	struct slice word = facts_word(in, CHAT_ID_ENCODING_FORMAT);

	if (slice_is(word, "base64"))
		in->out->encoding = DIALECT_ENC_BASE64;
	else if (slice_is(word, "float"))
		in->out->encoding = DIALECT_ENC_FLOAT;
	else if (word.n)
		facts_bad(in, CHAT_ID_ENCODING_FORMAT, "'float' or 'base64'");
}

/* {"mode":"off"} and nothing else. Without a mode it may search. */
static bool facts_is_mode_off(struct slice v)
{
	struct jtext it = jtext_obj(v);
	struct slice key, val;

	return jtext_obj_next(&it, &key, &val) > 0 && jtext_key_is(key, "mode") &&
	       slice_is(val, "\"off\"") && jtext_obj_next(&it, &key, &val) == 0;
}

static bool facts_is_empty(struct slice v)
{
	struct jtext it = jtext_obj(v);
	struct slice key, val;

	return v.n && jtext_obj_next(&it, &key, &val) == 0;
}

/* The same of a field that is refused otherwise. An empty object turns some of them on, such as a search with its defaults. */
static bool facts_is_field_off(const struct facts_in *in, enum chat_id id)
{
	struct slice v = facts_get(in, id);

	if (chat_field_is_off(v))
		return true;
	if (chat_field_row(id)->rule == CHAT_FIELD_CAP && slice_is(v, "-1"))
		return true;
	switch (id) {
	case CHAT_ID_N_CMPL:
	case CHAT_ID_NUM_RETURN_SEQUENCES:
	case CHAT_ID_CANDIDATE_COUNT:
	case CHAT_ID_NUM_GENERATIONS:
		return slice_is(v, "1");
	case CHAT_ID_EXTRA_BODY:
	case CHAT_ID_SEARCH_OPTIONS: /* of a search that enable_search asks for */
		return facts_is_empty(v);
	case CHAT_ID_SEARCH_PARAMETERS:
		return facts_is_mode_off(v);
	default:
		return false;
	}
}

/* What it finds is read as input, and may be anything. */
static void facts_search(const struct facts_in *in)
{
	struct slice v = facts_get(in, CHAT_ID_WEB_SEARCH_OPTIONS);

	if (chat_field_is_off(v))
		return;
	if (jtext_type(v) != JSON_OBJECT)
		facts_bad(in, CHAT_ID_WEB_SEARCH_OPTIONS, "an object");
	in->out->searches = DIALECT_SEARCHES_MAX;
	in->out->needs |= PTABLE_SELLS_SEARCH;
	in->out->bound.whole_context = true;
}

/* A field that nobody here knows is input by its bytes, or asks for more: a search, or what stands elsewhere. */
static void facts_unknown(const struct facts_in *in, struct slice v)
{
	in->out->bound.text += bound_json(v);
	in->out->bound.whole_context |= chat_field_asks(v);
}

/* Refused and own fields; what is unknown may be input. */
static void facts_fields(const struct facts_in *in)
{
	const struct jscan *j = &in->s->j;

	for (unsigned i = 0; i < j->members_n; i++) {
		const struct jscan_member *m = &j->members[i];
		const struct chat_field *row;

		if (m->id == 0 || m->id >= CHAT_ID_TOP_END) {
			facts_unknown(in, jscan_value(m, in->body));
			continue;
		}
		row = chat_field_row((enum chat_id)m->id);
		if (row->rule == CHAT_FIELD_OWN)
			in->out->own_fields = true;
		if (row->rule == CHAT_FIELD_ONLY)
			facts_only(in, (enum chat_id)m->id, row);
		if ((row->rule != CHAT_FIELD_REFUSE && row->rule != CHAT_FIELD_CAP) ||
		    facts_is_field_off(in, (enum chat_id)m->id))
			continue;
		if (row->rule == CHAT_FIELD_CAP)
			fault_field(in->f, FAULT_UNSUPPORTED_FIELD, row->name,
				    "'%s' is not supported: %s.", row->name, row->why);
		else
			fault_field(in->f, FAULT_UNSUPPORTED_FIELD, row->name,
				    "'%s' is not supported: %s, which has no price here.",
				    row->name, row->why);
	}
}

/* The field that carries the question, and its type. */
static void facts_question(const struct facts_in *in)
{
	static const enum chat_id ids[DIALECT_OP_COUNT] = {
		[DIALECT_CHAT] = CHAT_ID_MESSAGES,
		[DIALECT_COMPLETIONS] = CHAT_ID_PROMPT,
		[DIALECT_EMBEDDINGS] = CHAT_ID_INPUT,
	};
	enum chat_id id = ids[in->s->op];
	const char *name = chat_field_row(id)->name;
	struct slice v = facts_get(in, id);

	if (!v.n && id == CHAT_ID_MESSAGES && facts_get(in, CHAT_ID_INPUT).n)
		fault_field(in->f, FAULT_MISSING_FIELD, name,
			    "'messages' is missing: this looks like a Responses request, which "
			    "this version does not serve; send its input as 'messages' to "
			    "/v1/chat/completions.");
	else if (!v.n && id != CHAT_ID_PROMPT)
		fault_field(in->f, FAULT_MISSING_FIELD, name, "'%s' is missing.", name);
	else if (id == CHAT_ID_MESSAGES && (jtext_type(v) != JSON_ARRAY || !in->s->bound.messages))
		facts_bad(in, id, "a list of at least one message");
}

enum errc chat_facts_read(struct chat_scan *s, struct slice body, struct dialect_facts *out,
			  struct fault *f)
{
	struct facts_in in = {.s = s, .body = body, .out = out, .f = f};

	*out = (struct dialect_facts){
		.op = s->op, .bound = s->bound, .needs = s->needs, .media_url = s->media_url};
	out->needs |= s->op == DIALECT_EMBEDDINGS ? PTABLE_IS_EMBEDDING : PTABLE_IS_CHAT;
	facts_model(&in);
	facts_question(&in);
	facts_stream(&in);
	facts_cap(&in);
	facts_copies(&in);
	facts_modalities(&in);
	facts_thinking(&in);
	facts_tools(&in);
	facts_input(&in);
	facts_search(&in);
	facts_tier(&in);
	facts_encoding(&in);
	facts_fields(&in);
	facts_user(&in);
	if (in.err == ERRC_NOMEM)
		return in.err;
	return fault_is_set(f) ? ERRC_INVAL : ERRC_OK;
}
