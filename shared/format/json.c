#include "json.h"

#include "caps.h"
#include "jstep.h"
#include "jtext.h"
#include "mem.h"
#include "text.h"

static void *alc_malloc(void *ctx, size_t n)
{
	return mem_grow(NULL, n);
}

static void *alc_realloc(void *ctx, void *p, size_t old, size_t n)
{
	return mem_grow(p, n);
}

static void alc_free(void *ctx, void *p)
{
	mem_free(p);
}

static const yyjson_alc alc = {alc_malloc, alc_realloc, alc_free, NULL};

/* The closing quote of the string that begins at p, or the end. */
static const char *string_end(const char *p, const char *end)
{
	p = jstep_opaque(p + 1, end);
	while (p < end && *p != '"')
		p = end - p > 2 ? jstep_opaque(p + (*p == '\\' ? 2 : 1), end) : end;
	return p;
}

/* The first bracket that is nested deeper than max; NULL when none is. Knows strings and brackets,
 * nothing else of the grammar. */
static const char *too_deep(struct slice text, unsigned max)
{
	const char *p = text.p, *end = slice_end(text);
	unsigned depth = 0;

	for (; p < end; p++) {
		if (*p == '"')
			p = string_end(p, end);
		else if ((*p == '{' || *p == '[') && ++depth > max)
			return p;
		else if ((*p == '}' || *p == ']') && depth)
			depth--;
	}
	return NULL;
}

static void report(const struct json_opts *o, size_t offset, const char *text)
{
	if (o && o->error)
		*o->error = (struct json_error){offset, text};
}

enum errc json_parse(struct slice text, const struct json_opts *opts, struct json_doc **out)
{
	unsigned max = opts && opts->depth_max ? opts->depth_max : LIMIT_JSON_DEPTH;
	const char *deep = too_deep(text, max);
	yyjson_read_err err;
	yyjson_doc *doc;

	if (deep) {
		report(opts, (size_t)(deep - text.p), "nested too deeply");
		return ERRC_DEPTH;
	}
	/* Without YYJSON_READ_INSITU the input is only read. */
	doc = yyjson_read_opts((char *)(uintptr_t)text.p, text.n, YYJSON_READ_NUMBER_AS_RAW, &alc,
			       &err);
	if (!doc) {
		report(opts, err.pos, err.msg);
		return err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION ? ERRC_NOMEM : ERRC_SYNTAX;
	}
	*out = (struct json_doc *)doc;
	return ERRC_OK;
}

void json_free(struct json_doc **doc)
{
	yyjson_doc_free((yyjson_doc *)*doc);
	*doc = NULL;
}

const struct json *json_root(const struct json_doc *doc)
{
	return JSON_OF(yyjson_doc_get_root((yyjson_doc *)(uintptr_t)doc));
}

bool json_i64(const struct json *v, int64_t *out)
{
	struct slice s = json_num(v);

	return s.n && jtext_i64(s, out);
}

enum errc json_decimal(const struct json *v, int scale, int64_t *out)
{
	struct slice s = json_num(v);

	return s.n ? text_decimal(s, scale, out) : ERRC_INVAL;
}

bool json_bool(const struct json *v, bool *out)
{
	if (json_type_of(v) != JSON_BOOL)
		return false;
	*out = json_is_true(v);
	return true;
}

static void iter_load(struct json_iter *it)
{
	it->val = JSON_OF(it->at);
	if (it->is_obj) {
		it->key = json_str(JSON_OF(it->at));
		it->val = JSON_OF(it->at + 1);
	}
}

struct json_iter json_iter_of(const struct json *v, enum json_type want)
{
	struct json_iter it = {.is_obj = want == JSON_OBJECT};

	if (json_type_of(v) != want)
		return it;
	it.n = json_count(v);
	it.at = it.n ? unsafe_yyjson_get_first(JSON_YY(v)) : NULL;
	if (it.n)
		iter_load(&it);
	return it;
}

void json_iter_step(struct json_iter *it)
{
	if (++it->i >= it->n)
		return;
	it->at = unsafe_yyjson_get_next(it->is_obj ? it->at + 1 : it->at);
	iter_load(it);
}

enum errc json_raw(const struct json *v, struct buf *out)
{
	yyjson_write_err err;
	size_t n;
	char *s = yyjson_val_write_opts(JSON_YY(v), YYJSON_WRITE_NOFLAG, &alc, &n, &err);
	enum errc e;

	if (!s)
		return err.code == YYJSON_WRITE_ERROR_MEMORY_ALLOCATION ? ERRC_NOMEM : ERRC_INVAL;
	e = buf_add(out, s, n);
	mem_free(s);
	return e;
}

const char *json_library(void)
{
	return YYJSON_VERSION_STRING;
}
