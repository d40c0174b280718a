/* Writes JSON into a buf, compact, commas by itself. Errors stick: the first one (no memory,
 *ceiling, misuse) is kept, what follows does nothing, json_out_end() tells. The buf is borrowed
 *until then; after an error it holds a torn text.
 *
 *	json_out_init(&o, &b);
 *	json_out_obj(&o);
 *	json_out_key(&o, "id");
 *	json_out_str(&o, id);
 *	json_out_obj_end(&o);
 *	e = json_out_end(&o);
 */
#ifndef AIGW_JSON_OUT_H
#define AIGW_JSON_OUT_H

#include "buf.h"
#include "caps.h"

struct json_out {
	struct buf *b;
	enum errc err;
	unsigned depth;
	bool comma;                                    /* a value stands before the next one */
	bool keyed;                                    /* a key was written, its value is due */
	uint64_t is_obj[(LIMIT_JSON_DEPTH + 64) / 64]; /* one bit a level */
};

void json_out_init(struct json_out *o, struct buf *b);
/* ERRC_OK only when everything was written and every container is closed. */
MUSTCHECK
enum errc json_out_end(struct json_out *o);

void json_out_obj(struct json_out *o);
void json_out_obj_end(struct json_out *o);
void json_out_arr(struct json_out *o);
void json_out_arr_end(struct json_out *o);

/* Keys stand only in objects, and each is followed by one value. */
void json_out_key(struct json_out *o, const char *key);
void json_out_keys(struct json_out *o, struct slice key);

/* Any bytes: what is not UTF-8 becomes U+FFFD. */
void json_out_str(struct json_out *o, struct slice s);
void json_out_strz(struct json_out *o, const char *s); /* NULL is written as null */
void json_out_i64(struct json_out *o, int64_t v);
void json_out_u64(struct json_out *o, uint64_t v);
void json_out_bool(struct json_out *o, bool v);
void json_out_null(struct json_out *o);
/* v * 10^-scale as a plain decimal with at least min_frac places: (15000, 9, 1) is 0.000015, (0, 9,
 * 1) is 0.0. */
void json_out_decimal(struct json_out *o, int64_t v, int scale, int min_frac);
/* The same as a string: "0.000015". */
void json_out_decimal_str(struct json_out *o, int64_t v, int scale, int min_frac);
/* JSON text that is known to be one valid value. */
void json_out_raw(struct json_out *o, struct slice json);

/* key and value in one. */
void json_out_kstr(struct json_out *o, const char *key, struct slice s);
void json_out_kstrz(struct json_out *o, const char *key, const char *s);
void json_out_ki64(struct json_out *o, const char *key, int64_t v);
void json_out_kbool(struct json_out *o, const char *key, bool v);
void json_out_knull(struct json_out *o, const char *key);
void json_out_kraw(struct json_out *o, const char *key, struct slice json);

/* The text of a JSON string without the quotes around it, for callers that write a string in
 * pieces. A UTF-8 sequence must not be cut between two calls: the halves would be replaced. */
MUSTCHECK
enum errc json_out_escape(struct buf *b, struct slice s);

#endif
