#include "mpack_quick.h"

#include <msgpack.h>
#include <stdio.h>

#include "caps.h"
#include "json_out.h"
#include "text.h"

/* Writing */

static int write_cb(void *data, const char *p, size_t n)
{
	struct mpack_out *o = data;

	if (!o->err)
		o->err = buf_add(o->b, p, n);
	return o->err ? -1 : 0;
}

static msgpack_packer packer(struct mpack_out *o)
{
	msgpack_packer pk;

	msgpack_packer_init(&pk, o, write_cb);
	return pk;
}

/* The result of each pack function is in o->err already. */
#define PACK(o, fn, ...)                       \
	do {                                   \
		msgpack_packer pk = packer(o); \
		(void)fn(&pk, ##__VA_ARGS__);  \
	} while (0)

void mpack_out_init(struct mpack_out *o, struct buf *b)
{
	*o = (struct mpack_out){.b = b};
}

void mpack_map(struct mpack_out *o, uint32_t n)
{
	PACK(o, msgpack_pack_map, n);
}

void mpack_arr(struct mpack_out *o, uint32_t n)
{
	PACK(o, msgpack_pack_array, n);
}

/* Lengths of the format have 32 bits. */
static bool too_long(struct mpack_out *o, struct slice s)
{
	if (s.n > UINT32_MAX && !o->err)
		o->err = ERRC_LIMIT;
	return s.n > UINT32_MAX;
}

void mpack_str(struct mpack_out *o, struct slice s)
{
	if (too_long(o, s))
		return;
	PACK(o, msgpack_pack_str, s.n);
	(void)write_cb(o, s.p, s.n);
}

void mpack_strz(struct mpack_out *o, const char *s)
{
	if (s)
		mpack_str(o, slice_str(s));
	else
		mpack_nil(o);
}

void mpack_bin(struct mpack_out *o, struct slice s)
{
	if (too_long(o, s))
		return;
	PACK(o, msgpack_pack_bin, s.n);
	(void)write_cb(o, s.p, s.n);
}

void mpack_i64(struct mpack_out *o, int64_t v)
{
	PACK(o, msgpack_pack_int64, v);
}

void mpack_u64(struct mpack_out *o, uint64_t v)
{
	PACK(o, msgpack_pack_uint64, v);
}

void mpack_bool(struct mpack_out *o, bool v)
{
	msgpack_packer pk = packer(o);

	(void)(v ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk));
}

void mpack_nil(struct mpack_out *o)
{
	PACK(o, msgpack_pack_nil);
}

/* Reading */

/* One value's head: what it is, its number or count, and what follows it. */
struct head {
	enum mpack_type type;
	bool negative; /* MPACK_INT: `n` is to be read as int64_t */
	uint64_t n; /* the number, the bytes of str, bin, ext and float, the entries of arr and map
		     */
	unsigned bytes; /* of the head itself */
};

/* The formats 0xc0 to 0xdf: kind, bytes of the number behind the first byte, signedness or fixed
 * size. */
struct format {
	uint8_t type, width;
	bool is_signed;
	uint8_t fixed; /* bytes that follow, for formats without a length */
};

static const struct format formats[32] = {
	[0x00] = {MPACK_NIL, 0, false, 0},   [0x01] = {MPACK_BAD, 0, false, 0},
	[0x02] = {MPACK_BOOL, 0, false, 0},  [0x03] = {MPACK_BOOL, 0, false, 0},
	[0x04] = {MPACK_BIN, 1, false, 0},   [0x05] = {MPACK_BIN, 2, false, 0},
	[0x06] = {MPACK_BIN, 4, false, 0},   [0x07] = {MPACK_EXT, 1, false, 0},
	[0x08] = {MPACK_EXT, 2, false, 0},   [0x09] = {MPACK_EXT, 4, false, 0},
	[0x0a] = {MPACK_FLOAT, 0, false, 4}, [0x0b] = {MPACK_FLOAT, 0, false, 8},
	[0x0c] = {MPACK_INT, 1, false, 0},   [0x0d] = {MPACK_INT, 2, false, 0},
	[0x0e] = {MPACK_INT, 4, false, 0},   [0x0f] = {MPACK_INT, 8, false, 0},
	[0x10] = {MPACK_INT, 1, true, 0},    [0x11] = {MPACK_INT, 2, true, 0},
	[0x12] = {MPACK_INT, 4, true, 0},    [0x13] = {MPACK_INT, 8, true, 0},
	[0x14] = {MPACK_EXT, 0, false, 1},   [0x15] = {MPACK_EXT, 0, false, 2},
	[0x16] = {MPACK_EXT, 0, false, 4},   [0x17] = {MPACK_EXT, 0, false, 8},
	[0x18] = {MPACK_EXT, 0, false, 16},  [0x19] = {MPACK_STR, 1, false, 0},
	[0x1a] = {MPACK_STR, 2, false, 0},   [0x1b] = {MPACK_STR, 4, false, 0},
	[0x1c] = {MPACK_ARR, 2, false, 0},   [0x1d] = {MPACK_ARR, 4, false, 0},
	[0x1e] = {MPACK_MAP, 2, false, 0},   [0x1f] = {MPACK_MAP, 4, false, 0},
};

static uint64_t big_endian(const uint8_t *p, unsigned width)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < width; i++)
		v = v << 8 | p[i];
	return v;
}

/* The formats whose first byte holds the number as well. */
static bool head_fix(uint8_t c, struct head *h)
{
	if (c < 0x80)
		*h = (struct head){MPACK_INT, false, c, 1};
	else if (c < 0x90)
		*h = (struct head){MPACK_MAP, false, c & 15u, 1};
	else if (c < 0xa0)
		*h = (struct head){MPACK_ARR, false, c & 15u, 1};
	else if (c < 0xc0)
		*h = (struct head){MPACK_STR, false, c & 31u, 1};
	else if (c >= 0xe0)
		*h = (struct head){MPACK_INT, true, (uint64_t)(int64_t)(int8_t)c, 1};
	else
		return false;
	return true;
}

static enum errc head_read(const struct mpack_in *r, struct head *h)
{
	size_t left = (size_t)(r->end - r->p);
	const struct format *f;

	if (!left)
		return ERRC_TRUNCATED;
	if (!head_fix(r->p[0], h)) {
		f = &formats[r->p[0] - 0xc0];
		if (left - 1 < f->width)
			return ERRC_TRUNCATED;
		*h = (struct head){(enum mpack_type)f->type, false, big_endian(r->p + 1, f->width),
				   1u + f->width};
		if (f->is_signed && f->width) {
			unsigned shift = 64 - 8u * f->width;

			h->n = (uint64_t)((int64_t)(h->n << shift) >> shift);
			h->negative = (int64_t)h->n < 0;
		}
		if (f->fixed)
			h->n = f->fixed;
		if (h->type == MPACK_EXT)
			h->n += 1; /* its type byte */
		if (h->type == MPACK_BOOL)
			h->n = r->p[0] & 1u;
	}
	left -= h->bytes;
	if (h->type == MPACK_BAD)
		return ERRC_SYNTAX;
	if (h->type == MPACK_INT || h->type == MPACK_BOOL || h->type == MPACK_NIL)
		return ERRC_OK;
	return (h->type == MPACK_MAP ? h->n * 2 : h->n) > left ? ERRC_TRUNCATED : ERRC_OK;
}

void mpack_in_init(struct mpack_in *r, struct slice bytes)
{
	/* An empty slice may have no address; the cursor always has one. */
	static const uint8_t none;

	r->p = bytes.n ? (const uint8_t *)bytes.p : &none;
	r->end = r->p + bytes.n;
}

enum mpack_type mpack_peek(const struct mpack_in *r)
{
	struct head h;

	if (r->p == r->end)
		return MPACK_END;
	if (head_fix(r->p[0], &h))
		return h.type;
	return (enum mpack_type)formats[r->p[0] - 0xc0].type;
}

static enum errc read_head(struct mpack_in *r, enum mpack_type want, struct head *h)
{
	enum errc e = head_read(r, h);

	if (!e && h->type != want)
		e = ERRC_INVAL;
	if (!e)
		r->p += h->bytes;
	return e;
}

static enum errc read_count(struct mpack_in *r, enum mpack_type want, uint32_t *n)
{
	struct head h;
	enum errc e = read_head(r, want, &h);

	if (!e)
		*n = (uint32_t)h.n;
	return e;
}

static enum errc read_bytes(struct mpack_in *r, enum mpack_type want, struct slice *out)
{
	struct head h;
	enum errc e = read_head(r, want, &h);

	if (e)
		return e;
	*out = slice_of(r->p, (size_t)h.n);
	r->p += h.n;
	return ERRC_OK;
}

enum errc mpack_read_map(struct mpack_in *r, uint32_t *n)
{
	return read_count(r, MPACK_MAP, n);
}

enum errc mpack_read_arr(struct mpack_in *r, uint32_t *n)
{
	return mpack_quick_arr(r, n) ? ERRC_OK : read_count(r, MPACK_ARR, n);
}

enum errc mpack_read_str(struct mpack_in *r, struct slice *out)
{
	return mpack_quick_str(r, out) ? ERRC_OK : read_bytes(r, MPACK_STR, out);
}

enum errc mpack_read_bin(struct mpack_in *r, struct slice *out)
{
	return mpack_quick_bin(r, out) ? ERRC_OK : read_bytes(r, MPACK_BIN, out);
}

enum errc mpack_read_fixed(struct mpack_in *r, void *out, size_t n)
{
	struct mpack_in at = *r;
	struct slice s;
	enum errc e = mpack_read_bin(&at, &s);

	if (e)
		return e;
	if (s.n != n)
		return ERRC_INVAL;
	memcpy(out, s.p, n);
	*r = at;
	return ERRC_OK;
}

/* An integer whose sign is as wanted, or any that both types hold. */
static __attribute__((noinline)) enum errc read_any_int(struct mpack_in *r, bool as_signed,
							uint64_t *out)
{
	const uint8_t *p = r->p;
	struct head h;
	enum errc e = read_head(r, MPACK_INT, &h);

	if (!e && (as_signed ? !h.negative && h.n > INT64_MAX : h.negative))
		e = ERRC_RANGE;
	if (e)
		r->p = p;
	else
		*out = h.n;
	return e;
}

enum errc mpack_read_i64(struct mpack_in *r, int64_t *out)
{
	uint64_t v;
	enum errc e;

	if (mpack_quick_i64(r, out))
		return ERRC_OK;
	e = read_any_int(r, true, &v);
	if (!e)
		*out = (int64_t)v;
	return e;
}

enum errc mpack_read_u64(struct mpack_in *r, uint64_t *out)
{
	return mpack_quick_u64(r, out) ? ERRC_OK : read_any_int(r, false, out);
}

enum errc mpack_read_bool(struct mpack_in *r, bool *out)
{
	struct head h;
	enum errc e = read_head(r, MPACK_BOOL, &h);

	if (!e)
		*out = h.n != 0;
	return e;
}

enum errc mpack_read_nil(struct mpack_in *r)
{
	struct head h;

	return read_head(r, MPACK_NIL, &h);
}

#define LENGTH_FOLLOWS 255

/* The bytes of a value whose first byte tells them, of those that contain no other; 0: of any other. */
static const uint8_t whole_bytes[256] = {
	[0x00 ... 0x80] = 1,
	[0x90] = 1,
	[0xc0] = 1,
	[0xc2 ... 0xc3] = 1,
	[0xc4] = LENGTH_FOLLOWS,
	[0xca] = 5,
	[0xcb] = 9,
	[0xcc] = 2,
	[0xcd] = 3,
	[0xce] = 5,
	[0xcf] = 9,
	[0xd0] = 2,
	[0xd1] = 3,
	[0xd2] = 5,
	[0xd3] = 9,
	[0xd9] = LENGTH_FOLLOWS,
	[0xe0 ... 0xff] = 1,
};

/* Likewise, of the value at `p`. */
static size_t bytes_of(const uint8_t *p, size_t left)
{
	size_t n = left ? whole_bytes[p[0]] : 0;

	if (n == LENGTH_FOLLOWS)
		return left > 1 ? 2u + p[1] : 0;
	return left && (p[0] & 0xe0) == 0xa0 ? 1 + (p[0] & 31u) : n;
}

/* Passes a value of any format, of one that contains others its head; adds to *due how many. */
static __attribute__((noinline)) enum errc skip_any(const uint8_t **p, const uint8_t *end,
						    uint64_t *due)
{
	struct mpack_in at = {*p, end};
	struct head h;
	enum errc e = head_read(&at, &h);

	if (e)
		return e;
	*p += h.bytes;
	if (h.type == MPACK_ARR || h.type == MPACK_MAP)
		*due += h.type == MPACK_MAP ? h.n * 2 : h.n;
	else if (h.type != MPACK_INT && h.type != MPACK_BOOL && h.type != MPACK_NIL)
		*p += h.n;
	/* Every value has at least one byte: more of them than bytes left are a lie. The count stays small and no depth matters. */
	return *due - 1 > (uint64_t)(end - *p) ? ERRC_TRUNCATED : ERRC_OK;
}

/* Short values, one after the other, and short arrays of them take hardly longer than a look at their first bytes. */
enum errc mpack_skip_n(struct mpack_in *r, uint32_t n)
{
	const uint8_t *p = r->p, *end = r->end;

	for (uint64_t due = n; due; due--) {
		size_t left = (size_t)(end - p), bytes = bytes_of(p, left);

		if (bytes && bytes <= left) {
			p += bytes;
		} else if (left && (p[0] & 0xf0) == 0x90 && due - 1 + (p[0] & 15u) < left) {
			due += *p++ & 15u;
		} else {
			const uint8_t *at = p;
			uint64_t all = due;
			enum errc e = skip_any(&at, end, &all);

			if (e)
				return e;
			p = at;
			due = all;
		}
	}
	r->p = p;
	return ERRC_OK;
}

enum errc mpack_skip(struct mpack_in *r, struct slice *raw)
{
	const uint8_t *from = r->p;
	enum errc e = mpack_skip_n(r, 1);

	if (!e && raw)
		*raw = slice_of(from, (size_t)(r->p - from));
	return e;
}

enum errc mpack_find(const struct mpack_in *r, uint32_t n, const char *key, struct mpack_in *out)
{
	struct mpack_in at = *r;

	for (; n; n--) {
		struct slice k = SLICE_NONE;
		bool is_str = mpack_peek(&at) == MPACK_STR;
		enum errc e = is_str ? mpack_read_str(&at, &k) : mpack_skip(&at, NULL);

		if (e)
			return e;
		if (is_str && slice_is(k, key)) {
			*out = at;
			return ERRC_OK;
		}
		e = mpack_skip(&at, NULL);
		if (e)
			return e;
	}
	return ERRC_NOTFOUND;
}

/* Printing */

static enum errc print_bin(struct json_out *o, struct slice s)
{
	enum errc e;
	struct buf b;

	buf_init(&b, s.n / 3 * 4 + 8);
	e = text_base64(&b, s.p, s.n);
	if (!e)
		json_out_str(o, buf_slice(&b));
	buf_fini(&b);
	return e;
}

static void print_int(struct json_out *o, const struct head *h, bool key)
{
	char text[24];
	int n = h->negative ? snprintf(text, sizeof text, "%lld", (long long)h->n)
			    : snprintf(text, sizeof text, "%llu", (unsigned long long)h->n);

	if (key)
		json_out_keys(o, slice_of(text, (size_t)n));
	else
		json_out_raw(o, slice_of(text, (size_t)n));
}

static void print_float(struct json_out *o, const uint8_t *p, size_t n)
{
	uint64_t bits = big_endian(p, (unsigned)n);
	uint32_t bits32 = (uint32_t)bits;
	char text[40];
	double d;
	float f;

	memcpy(&d, &bits, sizeof d);
	memcpy(&f, &bits32, sizeof f);
	if (n == 4)
		d = (double)f;
	if (__builtin_isfinite(d))
		json_out_raw(o, slice_of(text, (size_t)snprintf(text, sizeof text, "%.17g", d)));
	else
		json_out_null(o);
}

/* Prints a value that is no container, and passes it. */
static enum errc print_scalar(struct json_out *o, struct mpack_in *r, const struct head *h, bool key)
{
	struct slice s = slice_of(r->p + h->bytes, (size_t)h->n);

	r->p += h->bytes;
	if (key && h->type != MPACK_STR && h->type != MPACK_INT)
		return ERRC_INVAL;
	switch (h->type) {
	case MPACK_NIL:
		json_out_null(o);
		return ERRC_OK;
	case MPACK_BOOL:
		json_out_bool(o, h->n != 0);
		return ERRC_OK;
	case MPACK_INT:
		print_int(o, h, key);
		return ERRC_OK;
	case MPACK_FLOAT:
		print_float(o, r->p, s.n);
		r->p += s.n;
		return ERRC_OK;
	case MPACK_STR:
		r->p += s.n;
		if (key)
			json_out_keys(o, s);
		else
			json_out_str(o, s);
		return ERRC_OK;
	case MPACK_BIN:
		r->p += s.n;
		return print_bin(o, s);
	default:
		return ERRC_INVAL;
	}
}

/* The containers that are open: what is still due in each, keys and values of maps counted one by
 * one. */
struct print_level {
	uint64_t due;
	bool map;
};

enum errc mpack_to_json(struct mpack_in *r, struct buf *out)
{
	struct print_level level[LIMIT_JSON_DEPTH + 1] = {{1, false}};
	struct mpack_in at = *r;
	size_t before = out->len;
	struct json_out o;
	unsigned depth = 0;
	enum errc e = ERRC_OK;

	json_out_init(&o, out);
	while (!e && !o.err) {
		struct print_level *l = &level[depth];
		struct head h;
		bool key;

		if (!l->due) {
			if (!depth--)
				break;
			if (l->map)
				json_out_obj_end(&o);
			else
				json_out_arr_end(&o);
			continue;
		}
		key = l->map && l->due % 2 == 0;
		l->due--;
		e = head_read(&at, &h);
		if (e)
			break;
		if (h.type != MPACK_MAP && h.type != MPACK_ARR) {
			e = print_scalar(&o, &at, &h, key);
			continue;
		}
		if (key || depth == LIMIT_JSON_DEPTH) {
			e = key ? ERRC_INVAL : ERRC_DEPTH;
			break;
		}
		at.p += h.bytes;
		if (h.type == MPACK_MAP)
			json_out_obj(&o);
		else
			json_out_arr(&o);
		level[++depth] = (struct print_level){h.type == MPACK_MAP ? h.n * 2 : h.n,
						      h.type == MPACK_MAP};
	}
	if (!e)
		e = json_out_end(&o);
	if (e)
		buf_truncate(out, before);
	else
		*r = at;
	return e;
}

const char *mpack_library(void)
{
	return msgpack_version();
}
