/* Turns of the neutral form as `system` and `messages` of Anthropic's dialect. */
#include "anthropic_write.h"
#include "caps.h"
#include "text.h"

static bool msg_is_system(const struct ir_turn *t)
{
	return t->role == IR_SYSTEM || t->role == IR_DEVELOPER;
}

static bool msg_is_user_side(const struct ir_turn *t)
{
	return t->role != IR_ASSISTANT;
}

/* ---- ids (formats 12.7) ---- */

static bool msg_id_fits(struct slice id)
{
	if (id.n == 0 || id.n > 64)
		return false;
	for (size_t i = 0; i < id.n; i++) {
		char c = id.p[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '_' || c == '-'))
			return false;
	}
	return true;
}

/* The same id gives the same result in every later turn; ids that fit stay. */
static void msg_id(struct anthropic_out *w, const char *key, struct slice id)
{
	static const uint8_t seed_a[16] = "aigw tool call a", seed_b[16] = "aigw tool call b";
	char text[6 + 32 + 1] = "toolu_";
	uint64_t h[2];

	if (msg_id_fits(id)) {
		json_out_kstr(&w->o, key, id);
		return;
	}
	h[0] = text_hash_keyed(seed_a, id);
	h[1] = text_hash_keyed(seed_b, id);
	text_hex(h, sizeof(h), text + 6);
	json_out_kstrz(&w->o, key, text);
}

/* ---- blocks ---- */

static void msg_cache(struct anthropic_out *w, const struct ir_part *p)
{
	if (p->cache.n)
		json_out_kraw(&w->o, "cache_control", p->cache);
}

static void msg_text(struct anthropic_out *w, struct slice text, const struct ir_part *p)
{
	if (!text.n)
		return; /* empty blocks are refused */
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", "text");
	json_out_kstr(&w->o, "text", text);
	msg_cache(w, p);
	json_out_obj_end(&w->o);
}

static void msg_source(struct anthropic_out *w, const char *type, struct slice media_type,
		       const char *key, struct slice value)
{
	json_out_key(&w->o, "source");
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", type);
	if (media_type.n)
		json_out_kstr(&w->o, "media_type", media_type);
	json_out_kstr(&w->o, key, value);
	json_out_obj_end(&w->o);
}

static void msg_image(struct anthropic_out *w, const struct ir_part *p)
{
	struct slice type = slice_ieq(p->media_type, SLICE_LIT("image/jpg"))
				    ? SLICE_LIT("image/jpeg")
				    : p->media_type;

	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", "image");
	if (p->url.n)
		msg_source(w, "url", SLICE_NONE, "url", p->url);
	else
		msg_source(w, "base64", type, "data", p->data);
	msg_cache(w, p);
	json_out_obj_end(&w->o);
}

/* PDF as bytes, text as text; other kinds have no source form. */
static void msg_document(struct anthropic_out *w, const struct ir_turn *t, const struct ir_part *p)
{
	bool is_text = slice_has_prefix(p->media_type, SLICE_LIT("text/"));
	struct buf text;
	enum errc e;

	if (!p->data.n || (!is_text && !slice_is(p->media_type, "application/pdf"))) {
		anthropic_refuse(w, "a file other than a PDF or a text with its data",
				 "messages[%u].content", t->index);
		return;
	}
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", "document");
	if (is_text) {
		buf_init(&text, LIMIT_FRAME_IPC);
		e = text_unbase64(&text, p->data);
		if (e == ERRC_NOMEM)
			w->err = e;
		else if (e)
			anthropic_refuse(w, "data that is not base64", "messages[%u].content",
					 t->index);
		msg_source(w, "text", SLICE_LIT("text/plain"), "data", buf_slice(&text));
		buf_fini(&text);
	} else {
		msg_source(w, "base64", p->media_type, "data", p->data);
	}
	if (p->title.n)
		json_out_kstr(&w->o, "title", p->title);
	msg_cache(w, p);
	json_out_obj_end(&w->o);
}

static void msg_call(struct anthropic_out *w, const struct ir_part *p)
{
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", "tool_use");
	msg_id(w, "id", p->id);
	json_out_kstr(&w->o, "name", p->name);
	json_out_kraw(&w->o, "input", p->text);
	msg_cache(w, p);
	json_out_obj_end(&w->o);
}

static void msg_block(struct anthropic_out *w, const struct ir_turn *t, const struct ir_part *p);

static void msg_result(struct anthropic_out *w, const struct ir_turn *t, const struct ir_part *p)
{
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", "tool_result");
	msg_id(w, "tool_use_id", p->id);
	json_out_key(&w->o, "content");
	json_out_arr(&w->o);
	for (const struct ir_part *c = p->parts; c; c = c->next)
		msg_block(w, t, c);
	json_out_arr_end(&w->o);
	if (p->is_error)
		json_out_kbool(&w->o, "is_error", true);
	msg_cache(w, p);
	json_out_obj_end(&w->o);
}

/* Thinking goes back only as it came: with its signature. */
static void msg_thinking(struct anthropic_out *w, const struct ir_part *p)
{
	if (p->kind == IR_PART_THINKING && !p->signature.n)
		return;
	json_out_obj(&w->o);
	if (p->kind == IR_PART_REDACTED) {
		json_out_kstrz(&w->o, "type", "redacted_thinking");
		json_out_kstr(&w->o, "data", p->text);
	} else {
		json_out_kstrz(&w->o, "type", "thinking");
		json_out_kstr(&w->o, "thinking", p->text);
		json_out_kstr(&w->o, "signature", p->signature);
	}
	json_out_obj_end(&w->o);
}

static void msg_block(struct anthropic_out *w, const struct ir_turn *t, const struct ir_part *p)
{
	switch (p->kind) {
	case IR_PART_TEXT:
	case IR_PART_REFUSAL:
		msg_text(w, p->text, p);
		break;
	case IR_PART_IMAGE:
		msg_image(w, p);
		break;
	case IR_PART_DOCUMENT:
		msg_document(w, t, p);
		break;
	case IR_PART_AUDIO:
		anthropic_refuse(w, "audio", "messages[%u].content", t->index);
		break;
	case IR_PART_TOOL_CALL:
		msg_call(w, p);
		break;
	case IR_PART_TOOL_RESULT:
		msg_result(w, t, p);
		break;
	case IR_PART_THINKING:
	case IR_PART_REDACTED:
		msg_thinking(w, p);
		break;
	}
}

/* Whether a block comes out of it. */
static bool msg_has_block(const struct ir_part *p)
{
	switch (p->kind) {
	case IR_PART_TEXT:
	case IR_PART_REFUSAL:
		return p->text.n > 0;
	case IR_PART_THINKING:
		return p->signature.n > 0;
	default:
		return true;
	}
}

static bool msg_has_blocks(const struct ir_turn *t)
{
	for (const struct ir_part *p = t->parts; p; p = p->next)
		if (msg_has_block(p))
			return true;
	return false;
}

/* ---- turns ---- */

/* White space at the end of a last assistant text is refused. */
static struct slice msg_trim_end(struct slice s)
{
	while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\t' ||
		       s.p[s.n - 1] == '\r'))
		s.n--;
	return s;
}

static void msg_assistant(struct anthropic_out *w, const struct ir_turn *t, bool is_last)
{
	for (const struct ir_part *p = t->parts; p; p = p->next) {
		if (is_last && !p->next && p->kind == IR_PART_TEXT)
			msg_text(w, msg_trim_end(p->text), p);
		else
			msg_block(w, t, p);
	}
}

/* A late system text of a model that has no such turn: a user text in place, marked. */
static void msg_late_system(struct anthropic_out *w, const struct ir_turn *t)
{
	for (const struct ir_part *p = t->parts; p; p = p->next) {
		struct slice s;

		if (p->kind != IR_PART_TEXT || !p->text.n)
			continue;
		s = arena_fmt(w->ask->arena, "<system>\n" SLICE_FMT "\n</system>",
			      SLICE_ARG(p->text));
		if (!s.p)
			w->err = w->err ? w->err : ERRC_NOMEM;
		msg_text(w, s, p);
	}
}

/* The run of turns from `t` that stand on the user's side, as one message: results of tools first. */
static const struct ir_turn *msg_user_run(struct anthropic_out *w, const struct ir_turn *t)
{
	const struct ir_turn *end = t, *u;

	while (end && msg_is_user_side(end) &&
	       !(end != t && w->traits.system_turn && msg_is_system(end)))
		end = end->next;
	for (u = t; u != end; u = u->next)
		for (const struct ir_part *p = u->parts; p; p = p->next)
			if (p->kind == IR_PART_TOOL_RESULT)
				msg_block(w, u, p);
	for (u = t; u != end; u = u->next) {
		if (msg_is_system(u)) {
			msg_late_system(w, u);
			continue;
		}
		for (const struct ir_part *p = u->parts; p; p = p->next)
			if (p->kind != IR_PART_TOOL_RESULT)
				msg_block(w, u, p);
	}
	return end;
}

static void msg_open(struct anthropic_out *w, const char *role)
{
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "role", role);
	json_out_key(&w->o, "content");
	json_out_arr(&w->o);
}

static void msg_close(struct anthropic_out *w)
{
	json_out_arr_end(&w->o);
	json_out_obj_end(&w->o);
}

static const struct ir_turn *msg_one(struct anthropic_out *w, const struct ir_turn *t)
{
	bool system_turn = msg_is_system(t) && w->traits.system_turn;

	if (msg_is_user_side(t) && !system_turn) {
		msg_open(w, "user");
		t = msg_user_run(w, t);
		msg_close(w);
		return t;
	}
	msg_open(w, system_turn ? "system" : "assistant");
	msg_assistant(w, t, !t->next);
	while (!system_turn && t->next && t->next->role == IR_ASSISTANT) {
		t = t->next;
		msg_assistant(w, t, !t->next);
	}
	msg_close(w);
	return t->next;
}

static void msg_system(struct anthropic_out *w, const struct ir_turn *end)
{
	bool json = w->ir->format == IR_FORMAT_JSON;

	if (end == w->ir->turns && !json)
		return;
	json_out_key(&w->o, "system");
	json_out_arr(&w->o);
	for (const struct ir_turn *t = w->ir->turns; t != end; t = t->next)
		msg_assistant(w, t, false);
	/* The dialect has no "any JSON object" format: it becomes an instruction. */
	if (json)
		json_out_raw(&w->o, SLICE_LIT("{\"type\":\"text\",\"text\":\"Answer with one JSON "
					      "object and nothing else.\"}"));
	json_out_arr_end(&w->o);
}

/* A request of nothing but system texts: the dialect wants a user's word, so they are that. */
static void msg_only_system(struct anthropic_out *w)
{
	msg_open(w, "user");
	for (const struct ir_turn *t = w->ir->turns; t; t = t->next)
		msg_assistant(w, t, false);
	msg_close(w);
}

void anthropic_messages(struct anthropic_out *w)
{
	const struct ir_turn *t = w->ir->turns;

	while (t && msg_is_system(t))
		t = t->next;
	msg_system(w, t ? t : w->ir->turns);
	json_out_key(&w->o, "messages");
	json_out_arr(&w->o);
	if (!t)
		msg_only_system(w);
	else if (t->role == IR_ASSISTANT) /* the first message must be the user's */
		json_out_raw(&w->o,
			     SLICE_LIT("{\"role\":\"user\",\"content\":"
				       "\"(The conversation begins with the assistant.)\"}"));
	while (t) {
		if (t->role == IR_ASSISTANT && !msg_has_blocks(t))
			t = t->next;
		else
			t = msg_one(w, t);
	}
	json_out_arr_end(&w->o);
}

bool anthropic_history_thinks(const struct ir_request *ir)
{
	bool fine = true;

	for (const struct ir_turn *t = ir->turns; t; t = t->next) {
		bool calls = false, thinks = false;

		if (t->role == IR_USER)
			fine = true; /* a new round: earlier ones need no thinking any more */
		if (t->role != IR_ASSISTANT)
			continue;
		for (const struct ir_part *p = t->parts; p; p = p->next) {
			calls |= p->kind == IR_PART_TOOL_CALL;
			thinks |= p->kind == IR_PART_REDACTED ||
				  (p->kind == IR_PART_THINKING && p->signature.n);
		}
		if (calls)
			fine = fine && thinks;
	}
	return fine;
}
