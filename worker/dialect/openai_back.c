#include "openai_back.h"

#include "chat_scan.h"
#include "json_out.h"
#include "jsplice.h"
#include "jtext.h"
#include "text.h"

#define BACK_USAGE_ON SLICE_LIT("{\"include_usage\":true}")
#define NAME_ROOM     (8 * LIMIT_MODEL_NAME) /* for a model's name in escapes */

struct back {
	const struct dialect_ask *ask;
	const struct chat_scan *scan;
	struct jsplice splice;
	enum errc err;
};

static const struct ptable_provider *back_provider(const struct back *b)
{
	return b->ask->offer->provider;
}

/* A text in the arena; the first failure sticks. */
static struct slice back_join(struct back *b, const struct slice *v, size_t n)
{
	struct slice s = arena_join(b->ask->arena, v, n);

	if (!s.p)
		b->err = ERRC_NOMEM;
	return s;
}

/* `text` as a JSON string. */
static struct slice back_string(struct back *b, struct slice text)
{
	char room[NAME_ROOM];
	struct buf t = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
	struct slice v[] = {SLICE_LIT("\""), SLICE_NONE, SLICE_LIT("\"")};

	b->err = b->err ? b->err : json_out_escape(&t, text);
	v[1] = buf_slice(&t);
	return back_join(b, v, ARRAY_LEN(v));
}

/* Sets a member, or adds it. */
static void back_set(struct back *b, enum chat_id id, struct slice value)
{
	const struct jscan_member *m = jscan_find(&b->scan->j, id);
	struct slice v[] = {SLICE_LIT("\""), slice_str(chat_field_row(id)->name), SLICE_LIT("\":"),
			    value};

	if (b->err)
		return;
	if (m)
		jsplice_set(&b->splice, m, value);
	else
		jsplice_append(&b->splice, back_join(b, v, ARRAY_LEN(v)));
}

static void back_remove(struct back *b, enum chat_id id)
{
	const struct jscan_member *m = jscan_find(&b->scan->j, id);

	if (m)
		jsplice_remove(&b->splice, m);
}

/* The name under which this offer takes the limit of output tokens. */
static enum chat_id back_cap_id(const struct back *b)
{
	const struct ptable_offer *o = b->ask->offer;
	struct slice name = o->cap_field.n ? o->cap_field : o->provider->cap_field;

	if (b->ask->facts->op != DIALECT_CHAT)
		return CHAT_ID_MAX_TOKENS;
	if (name.n)
		return slice_is(name, "max_completion_tokens") ? CHAT_ID_MAX_COMPLETION
							       : CHAT_ID_MAX_TOKENS;
	return b->ask->facts->cap_field == DIALECT_CAP_MAX_COMPLETION ? CHAT_ID_MAX_COMPLETION
								      : CHAT_ID_MAX_TOKENS;
}

static void back_cap(struct back *b)
{
	const struct dialect_facts *facts = b->ask->facts;
	enum chat_id id = back_cap_id(b);
	enum chat_id other = id == CHAT_ID_MAX_TOKENS ? CHAT_ID_MAX_COMPLETION : CHAT_ID_MAX_TOKENS;
	int64_t cap = b->ask->cap ? b->ask->cap : facts->cap;
	char digits[TEXT_DECIMAL_MAX];
	struct slice value;
	bool given_here = chat_scan_value(b->scan, b->ask->body, id).n > 0;

	if (facts->op == DIALECT_EMBEDDINGS || cap <= 0)
		return;
	back_remove(b, other);
	if (given_here && cap == facts->cap)
		return;
	value = slice_of(digits, text_decimal_print(cap, 0, 0, digits));
	back_set(b, id, back_join(b, &value, 1));
}

/* Those that are off: to some providers "no cap of its own" goes before the cap that the hold is for. */
static void back_other_caps(struct back *b)
{
	for (enum chat_id id = CHAT_ID_NONE + 1; id < CHAT_ID_TOP_END; id++)
		if (chat_field_row(id)->rule == CHAT_FIELD_CAP)
			back_remove(b, id);
}

static bool back_has_members(struct slice object)
{
	struct jtext it = jtext_obj(object);
	struct slice key, val;

	return jtext_obj_next(&it, &key, &val) > 0;
}

/* Usage is asked for in every stream: whether the client sees it is decided on the way back. */
static void back_stream_options(struct back *b)
{
	struct slice o = chat_scan_value(b->scan, b->ask->body, CHAT_ID_STREAM_OPTIONS), v;

	if (!b->ask->facts->stream)
		return;
	if (!back_provider(b)->usage_option) {
		back_remove(b, CHAT_ID_STREAM_OPTIONS);
		return;
	}
	if (!back_has_members(o)) {
		back_set(b, CHAT_ID_STREAM_OPTIONS, BACK_USAGE_ON);
	} else if (!jtext_member(o, "include_usage", &v)) {
		jsplice_range(&b->splice, slice_of(o.p, 1), SLICE_LIT("{\"include_usage\":true,"));
	} else if (!jtext_is_true(v)) {
		jsplice_range(&b->splice, v, SLICE_LIT("true"));
	}
}

static void back_own_fields(struct back *b)
{
	if (back_provider(b)->forward_own_fields)
		return;
	for (enum chat_id id = CHAT_ID_NONE + 1; id < CHAT_ID_TOP_END; id++)
		if (chat_field_row(id)->rule == CHAT_FIELD_OWN)
			back_remove(b, id);
}

static void back_encoding(struct back *b)
{
	if (b->ask->facts->encoding == DIALECT_ENC_BASE64 && !back_provider(b)->embeddings_base64)
		back_set(b, CHAT_ID_ENCODING_FORMAT, SLICE_LIT("\"float\""));
}

static enum errc back_path(struct back *b, struct dialect_request *out)
{
	static const char *const paths[DIALECT_OP_COUNT] = {
		[DIALECT_CHAT] = "/chat/completions",
		[DIALECT_COMPLETIONS] = "/completions",
		[DIALECT_EMBEDDINGS] = "/embeddings",
	};
	const struct ptable_provider *p = back_provider(b);
	char room[NAME_ROOM];
	struct buf t = {.p = room, .cap = sizeof(room), .max = sizeof(room)};
	struct slice v[6];
	size_t n = 0;

	v[n++] = p->base.path;
	if (p->azure_deployments) {
		enum errc e = uri_encode(&t, b->ask->offer->upstream);

		if (e)
			return e;
		v[n++] = SLICE_LIT("/openai/deployments/");
		v[n++] = buf_slice(&t);
	}
	v[n++] = slice_str(paths[b->ask->facts->op]);
	if (p->base.query.n) {
		v[n++] = SLICE_LIT("?");
		v[n++] = p->base.query;
	}
	out->path = back_join(b, v, n);
	return b->err;
}

/* Whether the body names this model already. A model that the path names need not stand in the body. */
static bool back_names(const struct back *b, struct slice model)
{
	struct slice v = chat_scan_value(b->scan, b->ask->body, CHAT_ID_MODEL);

	return v.n == model.n + 2 && slice_eq(slice_sub(v, 1, model.n), model);
}

enum errc openai_back_write(const struct dialect_ask *ask, struct dialect_request *out,
			    struct fault *f)
{
	struct back b = {.ask = ask, .scan = ask->scan};
	enum errc e;

	_Static_assert(JSPLICE_SLICES_MAX <= DIALECT_SLICES_MAX, "the splices fit");
	memset(out, 0, sizeof(*out));
	jsplice_init(&b.splice, &b.scan->j, ask->body);
	if (!back_names(&b, ask->offer->upstream))
		back_set(&b, CHAT_ID_MODEL, back_string(&b, ask->offer->upstream));
	back_cap(&b);
	back_other_caps(&b);
	back_stream_options(&b);
	back_own_fields(&b);
	back_encoding(&b);
	if (ask->openai_beta.n)
		out->headers[out->headers_n++] =
			(struct dialect_header){"openai-beta", ask->openai_beta};
	e = b.err ? b.err : back_path(&b, out);
	if (!e)
		e = jsplice_build(&b.splice, out->body, &out->body_n, &out->body_bytes);
	if (e)
		fault_errc(f, e, "request to the provider");
	return e;
}
