#include "anthropic_write.h"

#include <stdio.h>

#include "caps.h"
#include "chat_field.h"
#include "jtext.h"
#include "text.h"

#define ANTHROPIC_CAP_DEFAULT 4096 /* for a model without max_output: the field is required */
#define ANTHROPIC_BUDGET_MIN  1024
#define ANTHROPIC_CONTEXT     200000 /* that a prompt has without being asked for more */

void anthropic_refuse(struct anthropic_out *w, const char *what, const char *path_fmt, ...)
{
	char path[FAULT_PARAM_MAX];
	va_list ap;

	if (w->err)
		return;
	va_start(ap, path_fmt);
	vsnprintf(path, sizeof(path), path_fmt, ap);
	va_end(ap);
	w->err = ERRC_INVAL;
	fault_field(w->f, FAULT_UNSUPPORTED_FIELD, path,
		    "'%s': %s cannot be expressed for this model's provider; leave it out or use "
		    "another "
		    "model.",
		    path, what);
}

/* ---- what the model is ---- */

/* The next number of "claude-opus-4-7-20260101": at most two digits, so that a date is none. -1 without. */
static int traits_number(struct slice *s)
{
	struct slice word;
	uint64_t n;

	while (s->n) {
		(void)slice_cut(s, '-', &word);
		if (word.n && word.p[0] >= '0' && word.p[0] <= '9')
			return word.n <= 2 && text_u64(word, &n) ? (int)n : -1;
	}
	return -1;
}

struct anthropic_traits anthropic_traits_of(struct slice model)
{
	struct anthropic_traits t = {0};
	ptrdiff_t at = slice_find(model, SLICE_LIT("claude-"));
	int major, minor, version;
	bool opus;

	if (at < 0)
		return t;
	model = slice_sub(model, (size_t)at + 7, model.n);
	opus = slice_find(model, SLICE_LIT("opus")) >= 0;
	major = traits_number(&model);
	minor = traits_number(&model);
	/* Names without a number are of families after the fifth. */
	version = major < 0 ? 500 : major * 100 + (minor < 0 ? 0 : minor);
	t.adaptive = version >= 406;
	t.effort_max = version >= 407;
	t.one_sampling = version >= 401;
	t.no_sampling = version >= 500 || (opus && version >= 407);
	t.system_turn = version >= 500 || (opus && version >= 408);
	return t;
}

/* ---- settings ---- */

static int64_t write_cap(const struct anthropic_out *w)
{
	if (w->ask->cap > 0)
		return w->ask->cap;
	if (w->ir->cap > 0)
		return w->ir->cap;
	return w->ask->model->max_output > 0 ? w->ask->model->max_output : ANTHROPIC_CAP_DEFAULT;
}

/* Clamped, not scaled (formats 12.2): "1.7" becomes 1. */
static void write_temperature(struct anthropic_out *w)
{
	int64_t milli;

	json_out_key(&w->o, "temperature");
	if (text_decimal(w->ir->temperature, 3, &milli) == ERRC_OK && milli > 1000)
		json_out_i64(&w->o, 1);
	else
		json_out_raw(&w->o, w->ir->temperature);
}

/* Of temperature and top_p a model that takes only one gets the temperature, unless that is 1, which says nothing. */
static bool write_top_p_wins(const struct anthropic_out *w)
{
	int64_t milli;

	return w->ir->top_p.n && text_decimal(w->ir->temperature, 3, &milli) == ERRC_OK &&
	       milli == 1000;
}

/* Sampling is left out where version or model refuse it, and beside thinking, which fixes it. */
static void write_sampling(struct anthropic_out *w)
{
	const struct ir_request *ir = w->ir;
	struct slice version = w->ask->offer->provider->anthropic_version;
	bool one;

	if (w->traits.no_sampling || w->thinking || !slice_is(version, "2023-06-01"))
		return;
	one = w->traits.one_sampling && ir->temperature.n && ir->top_p.n;
	if (ir->temperature.n && !(one && write_top_p_wins(w)))
		write_temperature(w);
	if (ir->top_p.n && !(one && !write_top_p_wins(w)))
		json_out_kraw(&w->o, "top_p", ir->top_p);
	if (ir->top_k.n)
		json_out_kraw(&w->o, "top_k", ir->top_k);
}

static void write_stop(struct anthropic_out *w)
{
	if (!w->ir->stop)
		return;
	json_out_key(&w->o, "stop_sequences");
	json_out_arr(&w->o);
	for (const struct ir_strings *s = w->ir->stop; s; s = s->next)
		json_out_str(&w->o, s->s);
	json_out_arr_end(&w->o);
}

/* ---- thinking (formats 12.3) ---- */

static bool write_effort_is(const struct anthropic_out *w, const char *word)
{
	return slice_is(w->ir->effort, word);
}

static int64_t write_budget(const struct anthropic_out *w, int64_t cap)
{
	int64_t budget = w->ir->thinking_budget;

	if (budget <= 0)
		budget = write_effort_is(w, "medium") ? 8192
			 : write_effort_is(w, "high") ? 24576
			 : write_effort_is(w, "xhigh") || write_effort_is(w, "max")
				 ? 32768
				 : ANTHROPIC_BUDGET_MIN;
	if (budget >= cap)
		budget = MAX_OF(cap / 2, (int64_t)ANTHROPIC_BUDGET_MIN);
	return MAX_OF(budget, (int64_t)ANTHROPIC_BUDGET_MIN);
}

/* Thinking is a wish: it gives way to a forced tool, to a cap that has no room for it, and to a history of calls whose thinking
 * was lost, each of which the provider would refuse beside it. */
static bool write_thinks(const struct anthropic_out *w)
{
	const struct ir_request *ir = w->ir;

	if (ir->choice == IR_CHOICE_ANY || ir->choice == IR_CHOICE_ONE)
		return false;
	if (ir->thinking.n) {
		struct slice type;

		if (jtext_member(ir->thinking, "type", &type) && slice_is(type, "\"disabled\""))
			return false;
	} else if ((!ir->effort.n && ir->thinking_budget <= 0) || write_effort_is(w, "none")) {
		return false;
	}
	if (!w->traits.adaptive && write_cap(w) <= ANTHROPIC_BUDGET_MIN)
		return false;
	return anthropic_history_thinks(ir);
}

static void write_thinking(struct anthropic_out *w)
{
	if (!w->thinking) {
		if (write_effort_is(w, "none"))
			json_out_kraw(&w->o, "thinking", SLICE_LIT("{\"type\":\"disabled\"}"));
		return;
	}
	if (w->ir->thinking.n) {
		json_out_kraw(&w->o, "thinking", w->ir->thinking);
		return;
	}
	json_out_key(&w->o, "thinking");
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", w->traits.adaptive ? "adaptive" : "enabled");
	if (w->traits.adaptive)
		json_out_kstrz(&w->o, "display", "summarized");
	else
		json_out_ki64(&w->o, "budget_tokens", write_budget(w, write_cap(w)));
	json_out_obj_end(&w->o);
}

static const char *write_effort(const struct anthropic_out *w)
{
	bool top = write_effort_is(w, "xhigh") || write_effort_is(w, "max");

	if (!w->thinking || !w->traits.adaptive || !w->ir->effort.n)
		return NULL;
	if (top)
		return !w->traits.effort_max ? "high" : write_effort_is(w, "max") ? "max" : "xhigh";
	return write_effort_is(w, "high")     ? "high"
	       : write_effort_is(w, "medium") ? "medium"
					      : "low";
}

static void write_output_config(struct anthropic_out *w)
{
	const char *effort = write_effort(w);

	if (!effort && w->ir->format != IR_FORMAT_SCHEMA)
		return;
	json_out_key(&w->o, "output_config");
	json_out_obj(&w->o);
	if (effort)
		json_out_kstrz(&w->o, "effort", effort);
	if (w->ir->format == IR_FORMAT_SCHEMA) {
		json_out_key(&w->o, "format");
		json_out_obj(&w->o);
		json_out_kstrz(&w->o, "type", "json_schema");
		json_out_kraw(&w->o, "schema", w->ir->format_schema);
		json_out_obj_end(&w->o);
	}
	json_out_obj_end(&w->o);
}

/* ---- tools ---- */

/* The schema must say that it is an object. It is compact, written by json_raw(). */
static void write_schema(struct anthropic_out *w, struct slice schema)
{
	struct slice type;

	if (schema.n < 3) {
		schema = SLICE_LIT("{\"type\":\"object\",\"properties\":{}}");
	} else if (!jtext_member(schema, "type", &type)) {
		schema = arena_fmt(w->ask->arena, "{\"type\":\"object\"," SLICE_FMT,
				   SLICE_ARG(slice_sub(schema, 1, schema.n)));
		if (!schema.p)
			w->err = w->err ? w->err : ERRC_NOMEM;
	}
	json_out_kraw(&w->o, "input_schema", schema);
}

static bool write_offers(const struct ir_request *ir, struct slice name)
{
	if (!ir->choice_subset)
		return true;
	for (const struct ir_strings *s = ir->choice_subset; s; s = s->next)
		if (slice_eq(s->s, name))
			return true;
	return false;
}

static void write_tool(struct anthropic_out *w, const struct ir_tool *t)
{
	json_out_obj(&w->o);
	json_out_kstr(&w->o, "name", t->name);
	if (t->description.n)
		json_out_kstr(&w->o, "description", t->description);
	write_schema(w, t->schema);
	if (t->strict == 1)
		json_out_kbool(&w->o, "strict", true);
	if (t->cache.n)
		json_out_kraw(&w->o, "cache_control", t->cache);
	json_out_obj_end(&w->o);
}

static void write_tool_choice(struct anthropic_out *w)
{
	static const char *const types[] = {
		[IR_CHOICE_DEFAULT] = "auto", [IR_CHOICE_NONE] = "none", [IR_CHOICE_AUTO] = "auto",
		[IR_CHOICE_ANY] = "any",      [IR_CHOICE_ONE] = "tool",
	};
	enum ir_choice c = w->ir->choice;

	if (c == IR_CHOICE_DEFAULT && w->ir->parallel != 0)
		return;
	json_out_key(&w->o, "tool_choice");
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", types[c]);
	if (c == IR_CHOICE_ONE)
		json_out_kstr(&w->o, "name", w->ir->choice_name);
	if (w->ir->parallel == 0 && c != IR_CHOICE_NONE)
		json_out_kbool(&w->o, "disable_parallel_tool_use", true);
	json_out_obj_end(&w->o);
}

/* The provider's own tool, bounded by what is held. */
static void write_search(struct anthropic_out *w)
{
	struct slice near = w->ir->search_near, type;

	if (!w->ir->searches)
		return;
	if (w->ir->choice == IR_CHOICE_NONE || w->ir->choice == IR_CHOICE_ONE)
		anthropic_refuse(w, "a search beside this 'tool_choice'", "web_search_options");
	json_out_obj(&w->o);
	json_out_kstrz(&w->o, "type", "web_search_20250305");
	json_out_kstrz(&w->o, "name", "web_search");
	json_out_ki64(&w->o, "max_uses", w->ir->searches);
	if (near.n && !jtext_member(near, "type", &type)) {
		near = arena_fmt(w->ask->arena, "{\"type\":\"approximate\"," SLICE_FMT,
				 SLICE_ARG(slice_sub(near, 1, near.n)));
		if (!near.p)
			w->err = w->err ? w->err : ERRC_NOMEM;
	}
	if (near.n)
		json_out_kraw(&w->o, "user_location", near);
	json_out_obj_end(&w->o);
}

static void write_tools(struct anthropic_out *w)
{
	if (!w->ir->tools && !w->ir->searches)
		return;
	json_out_key(&w->o, "tools");
	json_out_arr(&w->o);
	write_search(w);
	for (const struct ir_tool *t = w->ir->tools; t; t = t->next)
		if (write_offers(w->ir, t->name))
			write_tool(w, t);
	json_out_arr_end(&w->o);
	write_tool_choice(w);
}

/* ---- what has no place here ---- */

static void write_extras(struct anthropic_out *w)
{
	if (w->ask->facts->tier > USAGE_TIER_STANDARD)
		anthropic_refuse(w, "a tier other than the standard one", "service_tier");
	if (w->ask->facts->n > 1)
		anthropic_refuse(w, "more than one answer", "n");
	for (const struct ir_extra *x = w->ir->extras; x; x = x->next) {
		const struct chat_field *row = chat_field_named(x->name);

		if (!row || row->anthropic != CHAT_FIELD_LEFT)
			anthropic_refuse(w, "this field", SLICE_FMT,
					 SLICE_ARG(slice_sub(x->name, 0, 64)));
	}
}

static void write_body(struct anthropic_out *w)
{
	json_out_obj(&w->o);
	json_out_kstr(&w->o, "model", w->ask->offer->upstream);
	json_out_ki64(&w->o, "max_tokens", write_cap(w));
	anthropic_messages(w);
	if (w->ir->stream)
		json_out_kbool(&w->o, "stream", true);
	write_sampling(w);
	write_stop(w);
	write_thinking(w);
	write_output_config(w);
	write_tools(w);
	/* Unsaid is any tier that the operator's account has, dearer ones too. */
	if (w->ask->facts->tier == USAGE_TIER_STANDARD)
		json_out_kstrz(&w->o, "service_tier", "standard_only");
	if (w->ir->user.n) {
		json_out_key(&w->o, "metadata");
		json_out_obj(&w->o);
		json_out_kstr(&w->o, "user_id", w->ir->user);
		json_out_obj_end(&w->o);
	}
	json_out_obj_end(&w->o);
}

/* The client's beta features, but the one that makes prompts longer than the model's price is for. */
static struct slice write_beta(const struct dialect_ask *ask, enum errc *e)
{
	struct slice rest = ask->anthropic_beta, one, kept = SLICE_NONE;

	if (ask->model->context > ANTHROPIC_CONTEXT || slice_find(rest, SLICE_LIT("context-1m")) < 0)
		return rest;
	while (!*e && rest.n) {
		(void)slice_cut(&rest, ',', &one);
		one = slice_trim(one);
		if (one.n == 0 || slice_has_prefix(one, SLICE_LIT("context-1m")))
			continue;
		kept = arena_fmt(ask->arena, SLICE_FMT "%s" SLICE_FMT, SLICE_ARG(kept),
				 kept.n ? "," : "", SLICE_ARG(one));
		*e = kept.p ? ERRC_OK : ERRC_NOMEM;
	}
	return kept;
}

static enum errc write_head(struct dialect_request *out, const struct dialect_ask *ask)
{
	struct slice version = ask->offer->provider->anthropic_version, beta;
	enum errc e = ERRC_OK;

	out->headers[out->headers_n++] = (struct dialect_header){
		"anthropic-version", version.n ? version : SLICE_LIT("2023-06-01")};
	beta = write_beta(ask, &e);
	if (beta.n)
		out->headers[out->headers_n++] = (struct dialect_header){"anthropic-beta", beta};
	return e;
}

static enum errc write_path(const struct dialect_ask *ask, struct dialect_request *out)
{
	const struct uri *base = &ask->offer->provider->base;

	out->path = arena_fmt(ask->arena, SLICE_FMT "/messages%s" SLICE_FMT, SLICE_ARG(base->path),
			      base->query.n ? "?" : "", SLICE_ARG(base->query));
	return out->path.p ? ERRC_OK : ERRC_NOMEM;
}

static void write_free(void *arg)
{
	buf_fini(arg);
}

/* The body's buffer lives as long as the arena. */
static struct buf *write_buf(struct arena *a)
{
	struct buf *b = arena_new(a, struct buf);

	if (!b)
		return NULL;
	buf_init(b, 4u * LIMIT_FRAME_IPC);
	return arena_on_fini(a, write_free, b) ? NULL : b;
}

enum errc anthropic_write_request(const struct dialect_ask *ask, struct dialect_request *out,
				  struct fault *f)
{
	struct anthropic_out w = {.ask = ask, .ir = ask->ir, .f = f};
	struct buf *b = write_buf(ask->arena);
	enum errc e = b ? ERRC_OK : ERRC_NOMEM;

	memset(out, 0, sizeof(*out));
	w.traits = anthropic_traits_of(ask->offer->upstream);
	if (!e) {
		w.thinking = write_thinks(&w);
		write_extras(&w);
		json_out_init(&w.o, b);
		write_body(&w);
		e = w.err ? w.err : json_out_end(&w.o);
	}
	if (!e)
		e = write_path(ask, out);
	if (!e)
		e = write_head(out, ask);
	if (e) {
		fault_errc(f, e, "request to the provider");
		return e;
	}
	out->body[0] = buf_slice(b);
	out->body_n = 1;
	out->body_bytes = b->len;
	return ERRC_OK;
}
