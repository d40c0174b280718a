#include "json_out.h"

#include "jstep.h"
#include "text.h"

void json_out_init(struct json_out *o, struct buf *b)
{
	memset(o, 0, sizeof *o);
	o->b = b;
}

enum errc json_out_end(struct json_out *o)
{
	if (!o->err && (o->depth || !o->comma))
		o->err = ERRC_STATE;
	return o->err;
}

static void put(struct json_out *o, const char *p, size_t n)
{
	if (!o->err)
		o->err = buf_add(o->b, p, n);
}

static bool in_object(const struct json_out *o)
{
	unsigned i = o->depth - 1;

	return o->depth && (o->is_obj[i / 64] >> i % 64 & 1);
}

/* Whatever stands before a value. False: it has no place here. */
static bool begin(struct json_out *o)
{
	bool in_arr = o->depth && !in_object(o);

	if (o->err)
		return false;
	if (in_arr ? o->keyed : o->depth ? !o->keyed : o->comma) {
		o->err = ERRC_STATE;
		return false;
	}
	if (in_arr && o->comma)
		put(o, ",", 1);
	o->keyed = false;
	o->comma = true;
	return !o->err;
}

static void down(struct json_out *o, bool obj)
{
	unsigned i = o->depth;

	if (!begin(o))
		return;
	if (i == LIMIT_JSON_DEPTH) {
		o->err = ERRC_DEPTH;
		return;
	}
	o->is_obj[i / 64] &= ~(UINT64_C(1) << i % 64);
	o->is_obj[i / 64] |= (uint64_t)obj << i % 64;
	o->depth++;
	o->comma = false;
	put(o, obj ? "{" : "[", 1);
}

static void up(struct json_out *o, bool obj)
{
	if (o->err)
		return;
	if (!o->depth || in_object(o) != obj || o->keyed) {
		o->err = ERRC_STATE;
		return;
	}
	o->depth--;
	o->comma = true;
	put(o, obj ? "}" : "]", 1);
}

void json_out_obj(struct json_out *o)
{
	down(o, true);
}

void json_out_obj_end(struct json_out *o)
{
	up(o, true);
}

void json_out_arr(struct json_out *o)
{
	down(o, false);
}

void json_out_arr_end(struct json_out *o)
{
	up(o, false);
}

static void quoted(struct json_out *o, struct slice s)
{
	put(o, "\"", 1);
	if (!o->err)
		o->err = json_out_escape(o->b, s);
	put(o, "\"", 1);
}

void json_out_key(struct json_out *o, const char *key)
{
	json_out_keys(o, slice_str(key));
}

void json_out_keys(struct json_out *o, struct slice key)
{
	if (o->err)
		return;
	if (!in_object(o) || o->keyed) {
		o->err = ERRC_STATE;
		return;
	}
	if (o->comma)
		put(o, ",", 1);
	quoted(o, key);
	put(o, ":", 1);
	o->keyed = true;
}

void json_out_str(struct json_out *o, struct slice s)
{
	if (begin(o))
		quoted(o, s);
}

void json_out_strz(struct json_out *o, const char *s)
{
	if (s)
		json_out_str(o, slice_str(s));
	else
		json_out_null(o);
}

void json_out_i64(struct json_out *o, int64_t v)
{
	if (begin(o))
		o->err = buf_addi(o->b, v);
}

void json_out_u64(struct json_out *o, uint64_t v)
{
	if (begin(o))
		o->err = buf_addf(o->b, "%llu", (unsigned long long)v);
}

void json_out_bool(struct json_out *o, bool v)
{
	json_out_raw(o, v ? SLICE_LIT("true") : SLICE_LIT("false"));
}

void json_out_null(struct json_out *o)
{
	json_out_raw(o, SLICE_LIT("null"));
}

void json_out_decimal(struct json_out *o, int64_t v, int scale, int min_frac)
{
	char text[TEXT_DECIMAL_MAX];

	json_out_raw(o, slice_of(text, text_decimal_print(v, scale, min_frac, text)));
}

void json_out_decimal_str(struct json_out *o, int64_t v, int scale, int min_frac)
{
	char text[TEXT_DECIMAL_MAX];

	json_out_str(o, slice_of(text, text_decimal_print(v, scale, min_frac, text)));
}

void json_out_raw(struct json_out *o, struct slice json)
{
	if (begin(o))
		put(o, json.p, json.n);
}

void json_out_kstr(struct json_out *o, const char *key, struct slice s)
{
	json_out_key(o, key);
	json_out_str(o, s);
}

void json_out_kstrz(struct json_out *o, const char *key, const char *s)
{
	json_out_key(o, key);
	json_out_strz(o, s);
}

void json_out_ki64(struct json_out *o, const char *key, int64_t v)
{
	json_out_key(o, key);
	json_out_i64(o, v);
}

void json_out_kbool(struct json_out *o, const char *key, bool v)
{
	json_out_key(o, key);
	json_out_bool(o, v);
}

void json_out_knull(struct json_out *o, const char *key)
{
	json_out_key(o, key);
	json_out_null(o);
}

void json_out_kraw(struct json_out *o, const char *key, struct slice json)
{
	json_out_key(o, key);
	json_out_raw(o, json);
}

/* What is written for a byte that cannot stand for itself. */
static enum errc escape_byte(struct buf *b, uint8_t c)
{
	static const char letters[0x20] = {
		['\b'] = 'b', ['\f'] = 'f', ['\n'] = 'n', ['\r'] = 'r', ['\t'] = 't'};
	static const char hex[] = "0123456789abcdef";
	char out[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

	if (c >= 0x80)
		return buf_addz(b, "\xef\xbf\xbd");
	if (c == '"' || c == '\\')
		out[1] = (char)c;
	else if (letters[c])
		out[1] = letters[c];
	else
		return buf_add(b, out, 6);
	return buf_add(b, out, 2);
}

enum errc json_out_escape(struct buf *b, struct slice s)
{
	const char *p = s.p, *end = slice_end(s);
	enum errc e = ERRC_OK;

	while (!e && p < end) {
		const char *q = jplain_end(p, end);

		if (q < end && (uint8_t)*q >= 0x80)
			q = jstep_utf8(q, end);
		e = buf_add(b, p, (size_t)(q - p));
		p = q;
		if (!e && p < end && !jplain_is((uint8_t)*p))
			e = escape_byte(b, (uint8_t)*p++);
	}
	return e;
}
