#include "jtext.h"

#include "caps.h"
#include "jstep.h"
#include "text.h"

const char *json_type_name(enum json_type t)
{
	static const char *const names[] = {"nothing", "null",  "boolean", "number",
					    "string",  "array", "object"};

	return names[t];
}

/* Behind the closing quote of the string that begins at p; NULL when there is none, or a byte before it that is no UTF-8. */
static const char *skip_string(const char *p, const char *end)
{
	p = jstep_text(p + 1, end);
	while (p < end && *p == '\\' && end - p > 2)
		p = jstep_text(p + 2, end);
	return p < end && *p == '"' ? p + 1 : NULL;
}

/* Behind the scalar at p, which is checked as far as a glance goes. */
static const char *skip_scalar(const char *p, const char *end)
{
	const char *q = p;

	while (q < end && !jstep_is_space(*q) && *q != ',' && *q != ']' && *q != '}')
		q++;
	switch (jtext_type(slice_of(p, (size_t)(q - p)))) {
	case JSON_BOOL:
		return slice_is(slice_of(p, (size_t)(q - p)), *p == 't' ? "true" : "false") ? q
											    : NULL;
	case JSON_NULL:
		return slice_is(slice_of(p, (size_t)(q - p)), "null") ? q : NULL;
	case JSON_NUMBER:
		for (const char *c = p; c < q; c++)
			if ((*c < '0' || *c > '9') && !memchr("+-.eE", *c, 5))
				return NULL;
		return q;
	default:
		return NULL;
	}
}

/* What may come next inside a container. */
enum { WANT_VALUE = 1, WANT_KEY = 2, WANT_COLON = 4, WANT_COMMA = 8, WANT_CLOSE = 16 };

/* The containers that are open, and what may come next. */
struct skip {
	uint64_t arrays[LIMIT_JSON_DEPTH / 64];
	unsigned depth, want;
	enum errc err;
};

static bool skip_in_array(const struct skip *s)
{
	return s->arrays[(s->depth - 1) / 64] >> (s->depth - 1) % 64 & 1;
}

/* A bracket, a comma or a colon. False when it is out of place. */
static bool skip_mark(struct skip *s, char c)
{
	unsigned needs = c == ','               ? WANT_COMMA
			 : c == ':'             ? WANT_COLON
			 : c == ']' || c == '}' ? WANT_CLOSE
						: WANT_VALUE;

	if (!(s->want & needs))
		return false;
	if (c == ':') {
		s->want = WANT_VALUE;
	} else if (c == ',') {
		s->want = skip_in_array(s) ? WANT_VALUE : WANT_KEY;
	} else if (needs == WANT_CLOSE) {
		if (skip_in_array(s) != (c == ']'))
			return false;
		s->depth--;
		s->want = WANT_COMMA | WANT_CLOSE;
	} else {
		if (s->depth == LIMIT_JSON_DEPTH) {
			s->err = ERRC_DEPTH;
			return false;
		}
		s->arrays[s->depth / 64] &= ~(UINT64_C(1) << s->depth % 64);
		s->arrays[s->depth / 64] |= (uint64_t)(c == '[') << s->depth % 64;
		s->depth++;
		s->want = WANT_CLOSE | (c == '[' ? WANT_VALUE : WANT_KEY);
	}
	return true;
}

/* Behind the container that begins at p: its marks are in order, its strings are strings, its scalars have been glanced at. */
static const char *skip_container(const char *p, const char *end, enum errc *err)
{
	struct skip s = {.want = WANT_VALUE};

	while (p && p < end) {
		switch (*p) {
		case ' ':
		case '\t':
		case '\n':
		case '\r':
			p++;
			break;
		case '"':
			if (!(s.want & (WANT_VALUE | WANT_KEY)))
				return NULL;
			s.want = s.want & WANT_KEY ? WANT_COLON : WANT_COMMA | WANT_CLOSE;
			p = skip_string(p, end);
			break;
		case '{':
		case '[':
		case '}':
		case ']':
		case ',':
		case ':':
			if (!skip_mark(&s, *p++)) {
				*err = s.err ? s.err : *err;
				return NULL;
			}
			if (!s.depth)
				return p;
			break;
		default:
			if (!(s.want & WANT_VALUE))
				return NULL;
			s.want = WANT_COMMA | WANT_CLOSE;
			p = skip_scalar(p, end);
		}
	}
	return NULL;
}

static const char *skip_value(const char *p, const char *end, enum errc *err)
{
	if (p == end)
		return NULL;
	if (*p == '"')
		return skip_string(p, end);
	if (*p == '{' || *p == '[')
		return skip_container(p, end, err);
	return skip_scalar(p, end);
}

static int bad(struct jtext *it, enum errc e)
{
	it->err = e;
	return -(int)e;
}

static struct jtext over(struct slice s, char close)
{
	return (struct jtext){.p = s.p, .end = slice_end(s), .close = close};
}

/* Moves it to the next key or value: 1, or the end of the container: 0. */
static int advance(struct jtext *it)
{
	char open = it->close == '}' ? '{' : '[';
	bool first = !it->begun;

	it->p = jstep_space(it->p, it->end);
	if (first) {
		if (it->p == it->end || *it->p != open)
			return bad(it, ERRC_SYNTAX);
		it->begun = true;
		it->p = jstep_space(it->p + 1, it->end);
	}
	if (it->p == it->end)
		return bad(it, ERRC_SYNTAX);
	if (*it->p == it->close) {
		it->p++;
		it->done = true;
		if (it->inner)
			return 0;
		it->p = jstep_space(it->p, it->end);
		return it->p == it->end ? 0 : bad(it, ERRC_SYNTAX);
	}
	if (first)
		return 1;
	if (*it->p != ',')
		return bad(it, ERRC_SYNTAX);
	it->p = jstep_space(it->p + 1, it->end);
	return 1;
}

int jtext_value(struct jtext *it, struct slice *value)
{
	enum errc e = ERRC_SYNTAX;
	const char *q = skip_value(it->p, it->end, &e);

	if (!q)
		return bad(it, e);
	*value = slice_of(it->p, (size_t)(q - it->p));
	it->p = q;
	return 1;
}

enum json_type jtext_type(struct slice value)
{
	const char *p = jstep_space(value.p, slice_end(value));

	if (p == slice_end(value))
		return JSON_NONE;
	switch (*p) {
	case '"':
		return JSON_STRING;
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case 't':
	case 'f':
		return JSON_BOOL;
	case 'n':
		return JSON_NULL;
	case '-':
	case '0' ... '9':
		return JSON_NUMBER;
	default:
		return JSON_NONE;
	}
}

struct jtext jtext_obj(struct slice object)
{
	return over(object, '}');
}

struct jtext jtext_arr(struct slice array)
{
	return over(array, ']');
}

enum json_type jtext_peek(const struct jtext *it)
{
	return jtext_type(slice_of(it->p, (size_t)(it->end - it->p)));
}

static struct jtext enter(const struct jtext *it, char close)
{
	return (struct jtext){.p = it->p, .end = it->end, .close = close, .inner = true};
}

struct jtext jtext_enter_obj(const struct jtext *it)
{
	return enter(it, '}');
}

struct jtext jtext_enter_arr(const struct jtext *it)
{
	return enter(it, ']');
}

void jtext_leave(struct jtext *it, const struct jtext *inner)
{
	require(inner->done && !inner->err);
	it->p = inner->p;
}

int jtext_obj_key(struct jtext *it, struct slice *key)
{
	const char *q;
	int r;

	if (it->err || it->done)
		return -(int)it->err;
	r = advance(it);
	if (r <= 0)
		return r;
	if (it->p == it->end || *it->p != '"')
		return bad(it, ERRC_SYNTAX);
	q = skip_string(it->p, it->end);
	if (!q)
		return bad(it, ERRC_SYNTAX);
	*key = slice_of(it->p + 1, (size_t)(q - it->p - 2));
	it->p = jstep_space(q, it->end);
	if (it->p == it->end || *it->p != ':')
		return bad(it, ERRC_SYNTAX);
	it->p = jstep_space(it->p + 1, it->end);
	return 1;
}

int jtext_obj_next(struct jtext *it, struct slice *key, struct slice *value)
{
	int r = jtext_obj_key(it, key);

	return r <= 0 ? r : jtext_value(it, value);
}

int jtext_arr_more(struct jtext *it)
{
	if (it->err || it->done)
		return -(int)it->err;
	return advance(it);
}

int jtext_arr_next(struct jtext *it, struct slice *value)
{
	int r = jtext_arr_more(it);

	return r <= 0 ? r : jtext_value(it, value);
}

bool jtext_member(struct slice object, const char *key, struct slice *value)
{
	struct jtext it = jtext_obj(object);
	struct slice k;

	while (jtext_obj_next(&it, &k, value) > 0)
		if (jtext_key_is(k, key))
			return true;
	return false;
}

bool jtext_path(struct slice object, const char *const *keys, struct slice *value)
{
	*value = object;
	for (; *keys; keys++)
		if (!jtext_member(*value, *keys, value))
			return false;
	return true;
}

#define KEY_ROOM 256

/* The key with its escapes resolved, in `room` where it has any. Longer ones with escapes are no key that is asked for. */
static struct slice plain_key(struct slice key, char room[KEY_ROOM])
{
	struct buf b = {.p = room, .cap = KEY_ROOM, .max = KEY_ROOM};

	if (!key.n || !memchr(key.p, '\\', key.n))
		return key;
	/* Unescaping makes nothing longer, so that the buffer never has to grow. */
	if (key.n > KEY_ROOM || jtext_unescape(key, &b) != ERRC_OK)
		return SLICE_NONE;
	return buf_slice(&b);
}

bool jtext_key_is_escaped(struct slice key, const char *name)
{
	char room[KEY_ROOM];

	return slice_is(plain_key(key, room), name);
}

bool jtext_key_like(struct slice key, const char *name)
{
	char room[KEY_ROOM];

	return slice_ieq(plain_key(key, room), slice_str(name));
}

bool jtext_i64(struct slice value, int64_t *out)
{
	return text_i64(value, out) || text_decimal(value, 0, out) == ERRC_OK;
}

bool jtext_is_true(struct slice value)
{
	return slice_is(value, "true");
}

bool jtext_is_null(struct slice value)
{
	return slice_is(value, "null");
}

bool jtext_plain(struct slice value, struct slice *out)
{
	if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"')
		return false;
	*out = slice_of(value.p + 1, value.n - 2);
	return out->n == 0 || !memchr(out->p, '\\', out->n);
}

enum errc jtext_str(struct slice value, struct buf *out)
{
	if (value.n < 2 || value.p[0] != '"' || value.p[value.n - 1] != '"')
		return ERRC_INVAL;
	return jtext_unescape(slice_of(value.p + 1, value.n - 2), out);
}

/* Four digits at p; -1 when they are not there. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t u = 0;

	if (end - p < 4)
		return -1;
	for (unsigned i = 0; i < 4; i++) {
		int v = jstep_hex(p[i]);

		if (v < 0)
			return -1;
		u = u << 4 | v;
	}
	return u;
}

/* Behind the \u escape whose digits begin at p; NULL when malformed. A pair is taken as one. */
static const char *unescape_unicode(const char *p, const char *end, uint32_t *out)
{
	int32_t u = hex4(p, end), low;

	if (u < 0)
		return NULL;
	p += 4;
	*out = (uint32_t)u;
	if (u < 0xd800 || u >= 0xdc00 || end - p < 6 || p[0] != '\\' || p[1] != 'u')
		return p;
	low = hex4(p + 2, end);
	if (low < 0xdc00 || low >= 0xe000)
		return p;
	*out = 0x10000 + (((uint32_t)u - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
	return p + 6;
}

bool jtext_is_whole(struct slice value)
{
	const char *p = value.p, *end = slice_end(value);
	uint32_t u;

	while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
		if (end - p < 2 || p[1] != 'u') {
			p += MIN_OF(end - p, 2);
			continue;
		}
		p = unescape_unicode(p + 2, end, &u);
		if (!p || (u >= 0xd800 && u < 0xe000))
			return false;
	}
	return true;
}

enum errc jtext_unescape(struct slice inside, struct buf *out)
{
	const char *p = inside.p, *end = slice_end(inside);
	size_t before = out->len;
	enum errc e = ERRC_OK;

	while (!e && p < end) {
		const char *q = memchr(p, '\\', (size_t)(end - p));
		size_t run = (size_t)((q ? q : end) - p);
		char u8[4];
		uint32_t u;

		e = buf_add(out, p, run);
		p += run;
		if (e || p == end)
			break;
		if (end - p >= 2 && p[1] == 'u') {
			p = unescape_unicode(p + 2, end, &u);
			if (p)
				e = buf_add(out, u8, jstep_encode(u, u8));
		} else {
			char c = end - p >= 2 ? jstep_escape(p[1]) : 0;

			p = c ? p + 2 : NULL;
			if (p)
				e = buf_addc(out, c);
		}
		if (!p)
			e = ERRC_SYNTAX;
	}
	if (e)
		buf_truncate(out, before);
	return e;
}

size_t jtext_unescaped_len(struct slice inside)
{
	const char *p = inside.p, *end = slice_end(inside), *next;
	size_t n = inside.n;
	char u8[4];
	uint32_t u;

	while (p < end && (p = memchr(p, '\\', (size_t)(end - p)))) {
		next = end - p >= 2 && p[1] == 'u' ? unescape_unicode(p + 2, end, &u) : NULL;
		if (next) {
			n -= (size_t)(next - p) - jstep_encode(u, u8);
			p = next;
		} else if (end - p >= 2) {
			n--;
			p += 2;
		} else {
			p++;
		}
	}
	return n;
}
