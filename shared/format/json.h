/* JSON as a tree, over yyjson (only json.* include it). Strict RFC 8259: no comments, no trailing
 * commas, no NaN; invalid UTF-8 and lone surrogates are refused. Numbers keep their text, so that
 * what is passed on is what came. Nesting is limited before parsing, without recursion. Values are
 * borrowed from their document and valid until json_free(); every accessor takes NULL and any type,
 * and then gives the "none" of its result, so that paths can be walked without checks. */
#ifndef AIGW_JSON_H
#define AIGW_JSON_H

#include <yyjson.h>

#include "buf.h"
#include "json_type.h"

struct json; /* a value: a yyjson_val, never anything else */
struct json_doc;

/* Where and why parsing failed. `text` is static. */
struct json_error {
	size_t offset;
	const char *text;
};

struct json_opts {
	unsigned depth_max;       /* 0: LIMIT_JSON_DEPTH */
	struct json_error *error; /* filled on failure; may be NULL */
};

/* Copies what it needs of `text`. *out is owned by the caller until json_free(). `opts` may be
 * NULL. ERRC_SYNTAX, ERRC_DEPTH or ERRC_NOMEM. */
MUSTCHECK
enum errc json_parse(struct slice text, const struct json_opts *opts, struct json_doc **out);
void json_free(struct json_doc **doc);
const struct json *json_root(const struct json_doc *doc);

#define JSON_YY(v) ((yyjson_val *)(uintptr_t)(v))
#define JSON_OF(v) ((const struct json *)(v))

static inline enum json_type json_type_of(const struct json *v)
{
	static const uint8_t map[8] = {
		[YYJSON_TYPE_RAW] = JSON_NUMBER, [YYJSON_TYPE_NULL] = JSON_NULL,
		[YYJSON_TYPE_BOOL] = JSON_BOOL,  [YYJSON_TYPE_NUM] = JSON_NUMBER,
		[YYJSON_TYPE_STR] = JSON_STRING, [YYJSON_TYPE_ARR] = JSON_ARRAY,
		[YYJSON_TYPE_OBJ] = JSON_OBJECT,
	};

	return (enum json_type)map[yyjson_get_type(JSON_YY(v))];
}

#define json_is_str(v)  (json_type_of(v) == JSON_STRING)
#define json_is_obj(v)  (json_type_of(v) == JSON_OBJECT)
#define json_is_arr(v)  (json_type_of(v) == JSON_ARRAY)
#define json_is_num(v)  (json_type_of(v) == JSON_NUMBER)
#define json_is_null(v) (json_type_of(v) == JSON_NULL)
#define json_is_true(v) yyjson_is_true(JSON_YY(v))

/* The first member of that name; NULL when there is none. */
static inline const struct json *json_obj_get(const struct json *obj, const char *key)
{
	return JSON_OF(yyjson_obj_get(JSON_YY(obj), key));
}

static inline const struct json *json_obj_gets(const struct json *obj, struct slice key)
{
	return JSON_OF(yyjson_obj_getn(JSON_YY(obj), key.p, key.n));
}

static inline const struct json *json_arr_at(const struct json *arr, size_t i)
{
	return JSON_OF(yyjson_arr_get(JSON_YY(arr), i));
}

/* Elements of an array, members of an object, else 0. */
static inline size_t json_count(const struct json *v)
{
	return yyjson_get_tag(JSON_YY(v))
		       ? (yyjson_is_ctn(JSON_YY(v)) ? yyjson_get_len(JSON_YY(v)) : 0)
		       : 0;
}

/* The unescaped text (NUL bytes possible, a NUL stands behind it); SLICE_NONE when v is no string.
 */
static inline struct slice json_str(const struct json *v)
{
	const char *s = yyjson_get_str(JSON_YY(v));

	return (struct slice){s, s ? yyjson_get_len(JSON_YY(v)) : 0};
}

/* The number as it was written; SLICE_NONE when v is no number. */
static inline struct slice json_num(const struct json *v)
{
	const char *s = yyjson_get_raw(JSON_YY(v));

	return (struct slice){s, s ? yyjson_get_len(JSON_YY(v)) : 0};
}

/* False when v is no number, is not a whole one (1.0 and 1e3 are) or does not fit. *out is
 * unchanged then. */
bool json_i64(const struct json *v, int64_t *out);
/* v as a whole number of 10^-scale units, exactly; ERRC_INVAL when v is no number, else as
 * text_decimal(). */
MUSTCHECK
enum errc json_decimal(const struct json *v, int scale, int64_t *out);
/* False when v is neither true nor false. */
bool json_bool(const struct json *v, bool *out);

/* json_arr_each(it, arr) { … it.val … }; json_obj_each also it.key. Nothing happens when v has
 * another type. */
struct json_iter {
	const struct json *val;
	struct slice key;
	size_t i, n;
	bool is_obj;
	yyjson_val *at; /* the next element or key */
};

struct json_iter json_iter_of(const struct json *v, enum json_type want);
void json_iter_step(struct json_iter *it);

#define json_arr_each(it, arr)                                                   \
	for (struct json_iter it = json_iter_of((arr), JSON_ARRAY); it.i < it.n; \
	     json_iter_step(&it))
#define json_obj_each(it, obj)                                                    \
	for (struct json_iter it = json_iter_of((obj), JSON_OBJECT); it.i < it.n; \
	     json_iter_step(&it))

/* Appends v as compact JSON: numbers as they were written, strings escaped anew. On failure `out`
 * is as before. */
MUSTCHECK
enum errc json_raw(const struct json *v, struct buf *out);

/* Version of the library that was built in, "0.10.0"; static. */
const char *json_library(void);

#endif
