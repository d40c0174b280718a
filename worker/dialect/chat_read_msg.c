/* Messages of a chat request as turns and parts. */
#include "chat_read.h"
#include "text.h"

struct read_turn {
	struct chat_read *r;
	struct ir_turn *turn;
	struct ir_part **tail;
	unsigned i; /* message */
};

static struct ir_part *turn_part(struct read_turn *t, enum ir_part_kind kind)
{
	struct ir_part *p = chat_read_new(t->r, struct ir_part);

	if (!p)
		return NULL;
	p->kind = kind;
	*t->tail = p;
	t->tail = &p->next;
	return p;
}

/* A cache mark of Anthropic's form, as several clients send it, or OpenAI's break point. */
static void turn_cache(struct read_turn *t, const struct json *v, struct ir_part *p)
{
	const struct json *mark = json_obj_get(v, "cache_control");

	if (json_is_obj(mark))
		p->cache = chat_read_raw(t->r, mark);
	else if (json_is_obj(json_obj_get(v, "prompt_cache_breakpoint")))
		p->cache = SLICE_LIT("{\"type\":\"ephemeral\"}");
}

/* "data:image/png;base64,AAAA" into media type and data. False when it is no such URL. */
static bool turn_data_url(struct slice url, struct ir_part *p)
{
	struct slice rest = url, type;

	if (!slice_has_prefix(url, SLICE_LIT("data:")) || !slice_cut(&rest, ',', &type))
		return false;
	type = slice_sub(type, 5, type.n);
	if (!slice_has_suffix(type, SLICE_LIT(";base64")))
		return false;
	type.n -= 7;
	(void)slice_cut(&type, ';', &p->media_type);
	p->data = rest;
	return true;
}

static void turn_image(struct read_turn *t, const struct json *v, unsigned k)
{
	const struct json *image = json_obj_get(v, "image_url");
	struct slice url = json_is_str(image) ? json_str(image)
					      : json_str(json_obj_get(image, "url"));
	struct ir_part *p = turn_part(t, IR_PART_IMAGE);

	if (!p)
		return;
	if (!url.n || (slice_has_prefix(url, SLICE_LIT("data:")) && !turn_data_url(url, p)))
		chat_read_bad(t->r, "a URL or base64 data URL",
			      "messages[%u].content[%u].image_url.url", t->i, k);
	else if (!p->data.n)
		p->url = url;
	turn_cache(t, v, p);
}

static bool turn_is_base64(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (!text_is_base64_digit(s.p[i]) && !memchr("-_=\n\r", s.p[i], 5))
			return false;
	}
	return true;
}

static void turn_file(struct read_turn *t, const struct json *v, unsigned k)
{
	const struct json *file = json_obj_get(v, "file");
	struct slice data = json_str(json_obj_get(file, "file_data"));
	struct ir_part *p = turn_part(t, IR_PART_DOCUMENT);

	if (!p)
		return;
	p->title = json_str(json_obj_get(file, "filename"));
	p->file_id = json_str(json_obj_get(file, "file_id"));
	if (data.n && !turn_data_url(data, p)) {
		if (!turn_is_base64(data))
			chat_read_bad(t->r, "base64 or a base64 data URL",
				      "messages[%u].content[%u].file.file_data", t->i, k);
		p->data = data;
		p->media_type = SLICE_LIT("application/pdf");
	}
	if (!p->data.n && !p->file_id.n)
		chat_read_bad(t->r, "a file with 'file_data' or 'file_id'",
			      "messages[%u].content[%u].file", t->i, k);
	turn_cache(t, v, p);
}

static void turn_audio(struct read_turn *t, const struct json *v)
{
	const struct json *audio = json_obj_get(v, "input_audio");
	struct ir_part *p = turn_part(t, IR_PART_AUDIO);

	if (!p)
		return;
	p->data = json_str(json_obj_get(audio, "data"));
	p->media_type = json_str(json_obj_get(audio, "format"));
}

static void turn_text(struct read_turn *t, enum ir_part_kind kind, struct slice text)
{
	struct ir_part *p = turn_part(t, kind);

	if (p)
		p->text = text;
}

static void turn_content_part(struct read_turn *t, const struct json *v, unsigned k)
{
	struct slice type = json_str(json_obj_get(v, "type"));
	struct ir_part *p;

	if (slice_is(type, "text") && json_is_str(json_obj_get(v, "text"))) {
		p = turn_part(t, IR_PART_TEXT);
		if (!p)
			return;
		p->text = json_str(json_obj_get(v, "text"));
		turn_cache(t, v, p);
	} else if (slice_is(type, "refusal")) {
		turn_text(t, IR_PART_REFUSAL, json_str(json_obj_get(v, "refusal")));
	} else if (slice_is(type, "image_url")) {
		turn_image(t, v, k);
	} else if (slice_is(type, "file")) {
		turn_file(t, v, k);
	} else if (slice_is(type, "input_audio")) {
		turn_audio(t, v);
	} else if (slice_is(type, "thinking") && t->turn->role == IR_ASSISTANT) {
		/* Another provider's thinking (Mistral's form): of no use to this one. */
		return;
	} else {
		chat_read_bad(t->r, "a part of type 'text', 'image_url', 'file' or 'input_audio'",
			      "messages[%u].content[%u]", t->i, k);
	}
}

static void turn_content(struct read_turn *t, const struct json *v)
{
	unsigned k = 0;

	if (json_is_str(v)) {
		turn_text(t, IR_PART_TEXT, json_str(v));
	} else if (json_is_arr(v)) {
		json_arr_each (it, v)
			turn_content_part(t, it.val, k++);
	} else if (!v || json_is_null(v)) {
		if (t->turn->role != IR_ASSISTANT)
			chat_read_bad(t->r, "given", "messages[%u].content", t->i);
	} else {
		chat_read_bad(t->r, "a string or a list of parts", "messages[%u].content", t->i);
	}
}

/* ---- assistant ---- */

/* Arguments are JSON text of an object; "" stands for none. */
static struct slice turn_arguments(struct read_turn *t, const struct json *v, unsigned k)
{
	struct slice text = json_str(v);
	struct json_doc *doc = NULL;
	enum errc e;

	if (!text.n)
		return SLICE_LIT("{}");
	e = json_parse(text, NULL, &doc);
	if (e == ERRC_NOMEM) {
		t->r->err = e;
		fault_errc(t->r->f, e, "request");
	} else if (e || !json_is_obj(json_root(doc))) {
		chat_read_bad(t->r, "the JSON text of an object",
			      "messages[%u].tool_calls[%u].function.arguments", t->i, k);
	}
	json_free(&doc);
	return text;
}

static void turn_calls(struct read_turn *t, const struct json *list)
{
	unsigned k = 0;

	json_arr_each (it, list) {
		const struct json *fn = json_obj_get(it.val, "function");
		struct ir_part *p = turn_part(t, IR_PART_TOOL_CALL);

		if (!p)
			return;
		p->id = json_str(json_obj_get(it.val, "id"));
		p->name = json_str(json_obj_get(fn, "name"));
		if (!p->id.n || !p->name.n)
			chat_read_bad(t->r, "a call with 'id' and 'function.name'",
				      "messages[%u].tool_calls[%u]", t->i, k);
		p->text = turn_arguments(t, json_obj_get(fn, "arguments"), k);
		k++;
	}
}

/* The thought being read. Its text may come in many pieces: clients that gather streamed entries may keep them. */
struct read_thought {
	struct ir_part *p; /* NULL: none */
	int64_t index;     /* -1: it said none */
	char *room;        /* where the text of several pieces stands */
	size_t room_n;
};

static bool turn_thought_goes_on(const struct read_thought *h, const struct json *index)
{
	int64_t n;

	return h->p && h->p->kind == IR_PART_THINKING && !h->p->signature.n &&
	       json_i64(index, &n) && n == h->index;
}

static void turn_thought_text(struct read_turn *t, struct read_thought *h, struct slice more)
{
	struct slice had = h->p->text;

	if (!more.n || !had.n) {
		h->p->text = more.n ? more : had;
		return;
	}
	if (had.n + more.n > h->room_n) {
		h->room_n = 2 * (had.n + more.n);
		h->room = chat_read_get(t->r, h->room_n);
		if (!h->room) {
			h->room_n = 0;
			return;
		}
		memcpy(h->room, had.p, had.n);
	}
	memcpy(h->room + had.n, more.p, more.n);
	h->p->text = slice_of(h->room, had.n + more.n);
}

/* The carrier of signed thinking that our front gave to the client (formats 12.4). */
static void turn_thoughts(struct read_turn *t, const struct json *list)
{
	struct read_thought h = {.index = -1};

	json_arr_each (it, list) {
		struct slice type = json_str(json_obj_get(it.val, "type"));
		const struct json *index = json_obj_get(it.val, "index");
		struct slice signature = json_str(json_obj_get(it.val, "signature"));

		if (slice_is(type, "reasoning.encrypted")) {
			h = (struct read_thought){.p = turn_part(t, IR_PART_REDACTED)};
			if (h.p)
				h.p->text = json_str(json_obj_get(it.val, "data"));
			continue;
		}
		if (!slice_is(type, "reasoning.text"))
			continue;
		if (!turn_thought_goes_on(&h, index))
			h = (struct read_thought){.p = turn_part(t, IR_PART_THINKING)};
		if (!h.p)
			return;
		turn_thought_text(t, &h, json_str(json_obj_get(it.val, "text")));
		if (signature.n)
			h.p->signature = signature;
		if (!json_i64(index, &h.index))
			h.index = -1;
	}
}

static void turn_assistant(struct read_turn *t, const struct json *v)
{
	const struct json *details = json_obj_get(v, "reasoning_details");
	struct slice thoughts = json_str(json_obj_get(v, "reasoning_content"));
	struct slice refusal = json_str(json_obj_get(v, "refusal"));

	if (json_count(details))
		turn_thoughts(t, details);
	else if (thoughts.n)
		turn_text(t, IR_PART_THINKING, thoughts);
	turn_content(t, json_obj_get(v, "content"));
	if (refusal.n)
		turn_text(t, IR_PART_REFUSAL, refusal);
	turn_calls(t, json_obj_get(v, "tool_calls"));
	if (json_is_obj(json_obj_get(v, "function_call")))
		chat_read_bad(t->r, "replaced by 'tool_calls' for this provider",
			      "messages[%u].function_call", t->i);
	if (json_is_obj(json_obj_get(v, "audio")))
		chat_read_bad(t->r, "left out for this provider", "messages[%u].audio", t->i);
}

static void turn_tool(struct read_turn *t, const struct json *v)
{
	struct ir_part *p = turn_part(t, IR_PART_TOOL_RESULT);
	struct ir_part **outer;

	if (!p)
		return;
	p->id = json_str(json_obj_get(v, "tool_call_id"));
	if (!p->id.n)
		chat_read_bad(t->r, "given", "messages[%u].tool_call_id", t->i);
	outer = t->tail;
	t->tail = &p->parts;
	turn_content(t, json_obj_get(v, "content"));
	t->tail = outer;
}

static bool turn_role(struct slice word, enum ir_role *role)
{
	static const char *const names[] = {"system", "developer", "user", "assistant", "tool"};

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (slice_is(word, names[i])) {
			*role = (enum ir_role)i;
			return true;
		}
	}
	return false;
}

void chat_read_messages(struct chat_read *r, const struct json *list)
{
	struct ir_turn **tail = &r->ir->turns;
	unsigned i = 0;

	json_arr_each (it, list) {
		struct read_turn t = {.r = r, .i = i, .turn = chat_read_new(r, struct ir_turn)};

		if (!t.turn)
			return;
		t.tail = &t.turn->parts;
		t.turn->index = i;
		t.turn->name = json_str(json_obj_get(it.val, "name"));
		if (!turn_role(json_str(json_obj_get(it.val, "role")), &t.turn->role))
			chat_read_bad(r, "'system', 'developer', 'user', 'assistant' or 'tool'",
				      "messages[%u].role", i);
		else if (t.turn->role == IR_ASSISTANT)
			turn_assistant(&t, it.val);
		else if (t.turn->role == IR_TOOL)
			turn_tool(&t, it.val);
		else
			turn_content(&t, json_obj_get(it.val, "content"));
		*tail = t.turn;
		tail = &t.turn->next;
		i++;
	}
}
