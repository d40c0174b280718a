#include "chat_read.h"

#include <stdio.h>

#include "caps.h"
#include "chat_field.h"

void chat_read_bad(struct chat_read *r, const char *want, const char *path_fmt, ...)
{
	char path[FAULT_PARAM_MAX];
	va_list ap;

	if (r->err)
		return;
	va_start(ap, path_fmt);
	vsnprintf(path, sizeof(path), path_fmt, ap);
	va_end(ap);
	r->err = ERRC_INVAL;
	fault_field(r->f, FAULT_INVALID_VALUE, path, "'%s' must be %s.", path, want);
}

void *chat_read_get(struct chat_read *r, size_t n)
{
	void *p = r->err ? NULL : arena_zero(r->arena, n);

	if (!p && !r->err) {
		r->err = ERRC_NOMEM;
		fault_errc(r->f, r->err, "request");
	}
	return p;
}

struct slice chat_read_raw(struct chat_read *r, const struct json *v)
{
	struct slice s = SLICE_NONE;
	struct buf b;
	enum errc e;

	if (r->err)
		return s;
	buf_init(&b, LIMIT_ARENA_CALL);
	e = json_raw(v, &b);
	if (!e) {
		s = arena_dup(r->arena, buf_slice(&b));
		e = s.p ? ERRC_OK : ERRC_NOMEM;
	}
	buf_fini(&b);
	if (e) {
		r->err = e;
		fault_errc(r->f, e, "request");
	}
	return s;
}

/* ---- tools ---- */

static void read_tool(struct chat_read *r, const struct json *v, unsigned i, struct ir_tool ***tail)
{
	const struct json *fn = json_obj_get(v, "function");
	const struct json *params = json_obj_get(fn, "parameters");
	const struct json *type = json_obj_get(v, "type");
	struct ir_tool *t;
	bool strict;

	/* Some clients leave the type out. */
	if ((type && !json_is_null(type) && !slice_is(json_str(type), "function")) ||
	    !json_is_obj(fn)) {
		chat_read_bad(r, "a tool of type 'function' for this provider", "tools[%u]", i);
		return;
	}
	t = chat_read_new(r, struct ir_tool);
	if (!t)
		return;
	t->name = json_str(json_obj_get(fn, "name"));
	t->description = json_str(json_obj_get(fn, "description"));
	t->strict = json_bool(json_obj_get(fn, "strict"), &strict) ? strict : -1;
	if (!t->name.n)
		chat_read_bad(r, "given", "tools[%u].function.name", i);
	if (json_is_obj(params))
		t->schema = chat_read_raw(r, params);
	else if (params && !json_is_null(params))
		chat_read_bad(r, "a JSON schema", "tools[%u].function.parameters", i);
	if (json_is_obj(json_obj_get(v, "cache_control")))
		t->cache = chat_read_raw(r, json_obj_get(v, "cache_control"));
	**tail = t;
	*tail = &t->next;
}

static void read_strings(struct chat_read *r, const struct json *list, struct ir_strings **tail,
			 const char *name)
{
	unsigned i = 0;

	json_arr_each (it, list) {
		struct ir_strings *s = chat_read_new(r, struct ir_strings);

		if (!s)
			return;
		if (!json_is_str(it.val))
			chat_read_bad(r, "a string", "%s[%u]", name, i);
		s->s = json_str(it.val);
		*tail = s;
		tail = &s->next;
		i++;
	}
}

static void read_subset(struct chat_read *r, const struct json *v)
{
	const struct json *subset = json_obj_get(v, "allowed_tools");
	struct ir_strings **tail = &r->ir->choice_subset;

	r->ir->choice = slice_is(json_str(json_obj_get(subset, "mode")), "required")
				? IR_CHOICE_ANY
				: IR_CHOICE_AUTO;
	json_arr_each (it, json_obj_get(subset, "tools")) {
		struct ir_strings *s = chat_read_new(r, struct ir_strings);

		if (!s)
			return;
		s->s = json_str(json_obj_get(json_obj_get(it.val, "function"), "name"));
		*tail = s;
		tail = &s->next;
	}
}

static void read_tool_choice(struct chat_read *r, const struct json *v)
{
	struct slice word = json_str(v), type = json_str(json_obj_get(v, "type"));
	struct ir_request *ir = r->ir;

	if (!v || json_is_null(v))
		return;
	if (slice_is(word, "none")) {
		ir->choice = IR_CHOICE_NONE;
	} else if (slice_is(word, "auto")) {
		ir->choice = IR_CHOICE_AUTO;
	} else if (slice_is(word, "required") || slice_is(word, "any")) {
		ir->choice = IR_CHOICE_ANY;
	} else if (slice_is(type, "function")) {
		ir->choice = IR_CHOICE_ONE;
		ir->choice_name = json_str(json_obj_get(json_obj_get(v, "function"), "name"));
	} else if (slice_is(type, "allowed_tools")) {
		read_subset(r, v);
		return;
	}
	if (ir->choice == IR_CHOICE_DEFAULT || (ir->choice == IR_CHOICE_ONE && !ir->choice_name.n))
		chat_read_bad(r, "'none', 'auto', 'required' or a named function", "tool_choice");
}

/* ---- settings ---- */

static struct slice read_number(struct chat_read *r, const struct json *v, const char *name)
{
	if (v && !json_is_null(v) && !json_is_num(v))
		chat_read_bad(r, "a number", "%s", name);
	return json_num(v);
}

static void read_format(struct chat_read *r, const struct json *v)
{
	struct slice type = json_str(json_obj_get(v, "type"));
	const struct json *schema = json_obj_get(v, "json_schema");

	if (!v || json_is_null(v) || slice_is(type, "text"))
		return;
	if (slice_is(type, "json_object")) {
		r->ir->format = IR_FORMAT_JSON;
	} else if (slice_is(type, "json_schema") && json_is_obj(json_obj_get(schema, "schema"))) {
		r->ir->format = IR_FORMAT_SCHEMA;
		r->ir->format_schema = chat_read_raw(r, json_obj_get(schema, "schema"));
	} else {
		chat_read_bad(r, "of type 'text', 'json_object' or 'json_schema' with its schema",
			      "response_format");
	}
}

static void read_stop(struct chat_read *r, const struct json *v)
{
	if (json_is_str(v)) {
		r->ir->stop = chat_read_new(r, struct ir_strings);
		if (r->ir->stop)
			r->ir->stop->s = json_str(v);
	} else if (json_is_arr(v)) {
		read_strings(r, v, &r->ir->stop, "stop");
	} else if (v && !json_is_null(v)) {
		chat_read_bad(r, "a string or a list of strings", "stop");
	}
}

static void read_reasoning(struct chat_read *r, const struct json *root)
{
	const struct json *reasoning = json_obj_get(root, "reasoning");
	const struct json *thinking = json_obj_get(root, "thinking");
	bool on;

	r->ir->effort = json_str(json_obj_get(root, "reasoning_effort"));
	if (!r->ir->effort.n)
		r->ir->effort = json_str(json_obj_get(reasoning, "effort"));
	if (!r->ir->effort.n && json_bool(json_obj_get(reasoning, "enabled"), &on))
		r->ir->effort = on ? SLICE_LIT("medium") : SLICE_LIT("none");
	(void)json_i64(json_obj_get(reasoning, "max_tokens"), &r->ir->thinking_budget);
	if (json_is_obj(thinking))
		r->ir->thinking = chat_read_raw(r, thinking);
}

/* How much of what is found is read (search_context_size) is a wish. */
static void read_search(struct chat_read *r, const struct json *v)
{
	const struct json *near = json_obj_get(json_obj_get(v, "user_location"), "approximate");

	if (json_is_obj(near) && json_count(near) > 0)
		r->ir->search_near = chat_read_raw(r, near);
}

/* Null, false, 0, and empty texts, lists and objects ask for nothing. */
static bool read_is_off(const struct json *v)
{
	int64_t n;
	bool b;

	switch (json_type_of(v)) {
	case JSON_NULL:
		return true;
	case JSON_BOOL:
		return json_bool(v, &b) && !b;
	case JSON_NUMBER:
		return json_i64(v, &n) && n == 0;
	case JSON_STRING:
		return json_str(v).n == 0;
	default:
		return json_count(v) == 0;
	}
}

static void read_extras(struct chat_read *r, const struct json *root)
{
	struct ir_extra **tail = &r->ir->extras;

	json_obj_each (it, root) {
		const struct chat_field *row = chat_field_named(it.key);
		struct ir_extra *x;

		/* What is said is taken by the functions here; what the front refuses is off where it comes to here. */
		if ((row && (row->anthropic == CHAT_FIELD_SAID || row->rule == CHAT_FIELD_REFUSE ||
			     row->rule == CHAT_FIELD_CAP)) ||
		    read_is_off(it.val))
			continue;
		x = chat_read_new(r, struct ir_extra);
		if (!x)
			return;
		x->name = it.key;
		x->json = chat_read_raw(r, it.val);
		*tail = x;
		tail = &x->next;
	}
}

static void read_root(struct chat_read *r, const struct json *root)
{
	struct ir_request *ir = r->ir;
	struct ir_tool **tail = &ir->tools;
	unsigned i = 0;
	bool b;

	chat_read_messages(r, json_obj_get(root, "messages"));
	json_arr_each (it, json_obj_get(root, "tools"))
		read_tool(r, it.val, i++, &tail);
	read_tool_choice(r, json_obj_get(root, "tool_choice"));
	ir->parallel = json_bool(json_obj_get(root, "parallel_tool_calls"), &b) ? b : -1;
	ir->temperature = read_number(r, json_obj_get(root, "temperature"), "temperature");
	ir->top_p = read_number(r, json_obj_get(root, "top_p"), "top_p");
	ir->top_k = read_number(r, json_obj_get(root, "top_k"), "top_k");
	read_stop(r, json_obj_get(root, "stop"));
	read_format(r, json_obj_get(root, "response_format"));
	read_reasoning(r, root);
	read_search(r, json_obj_get(root, "web_search_options"));
	ir->user = json_str(json_obj_get(root, "safety_identifier"));
	if (!ir->user.n)
		ir->user = json_str(json_obj_get(root, "user"));
	read_extras(r, root);
}

static void read_doc_free(void *arg)
{
	struct json_doc *doc = arg;

	json_free(&doc);
}

enum errc chat_read_request(const struct dialect_facts *facts, struct slice body, struct arena *a,
			    struct ir_request **out, struct fault *f)
{
	struct chat_read r = {.arena = a, .f = f};
	struct json_doc *doc = NULL;
	enum errc e = json_parse(body, NULL, &doc);

	if (!e) {
		e = arena_on_fini(a, read_doc_free, doc);
		if (e)
			json_free(&doc);
	}
	if (e == ERRC_SYNTAX || e == ERRC_DEPTH) {
		/* The scan lets halves of surrogate pairs pass, which cannot be translated. */
		fault_set(f, FAULT_INVALID_JSON,
			  "The body is not valid JSON: a text holds half of a surrogate pair.");
		return ERRC_INVAL;
	}
	if (e) {
		fault_errc(f, e, "request");
		return e;
	}
	r.ir = chat_read_new(&r, struct ir_request);
	if (!r.ir)
		return r.err;
	r.ir->stream = facts->stream;
	r.ir->include_usage = facts->include_usage;
	r.ir->cap = facts->cap;
	r.ir->searches = facts->searches;
	read_root(&r, json_root(doc));
	*out = r.ir;
	return r.err;
}
