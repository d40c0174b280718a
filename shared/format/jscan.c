#include "jscan.h"

#include "jstep.h"
#include "mem.h"

#define GATHER_MAX 2048
#define HASH_BASIS UINT64_C(14695981039346656037)
#define HASH_PRIME UINT64_C(1099511628211)

/* What comes next. Bytes only move the scanner between these states; each has one function in
 * steps[]. */
enum state {
	AT_ROOT,    /* the object itself */
	AT_VALUE,   /* a value */
	AT_ELEMENT, /* a value or ], behind [ */
	AT_MEMBER,  /* a key or }, behind { */
	AT_KEY,     /* a key, behind a comma */
	AT_COLON,
	AT_NEXT, /* a comma or the end of the container */
	AT_END,  /* only white space */
	IN_STRING,
	IN_ESCAPE,
	IN_HEX,
	IN_LITERAL,
	IN_MINUS, /* the states of a number: behind - */
	IN_ZERO,  /* a leading 0 */
	IN_INT,
	IN_DOT,
	IN_FRAC,
	IN_E,
	IN_ESIGN,
	IN_EXP,
	STATES
};

/* Names */

static inline unsigned fold(char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned)(c | 0x20) : (unsigned char)c;
}

/* Case is ignored, so that a name and its variants meet in the same slot. */
static unsigned names_hash(struct slice s)
{
	unsigned h = (unsigned)s.n * 0x9e5u;

	if (s.n)
		h += fold(s.p[0]) * 0x3d1u + fold(s.p[s.n / 2]) * 0x1a7u +
		     fold(s.p[s.n - 1]) * 0x71u;
	return (h ^ h >> 9) & 1023;
}

/* The id of exactly this name, or 0. */
static unsigned names_find(const struct jscan_names *t, struct slice name)
{
	for (unsigned at = names_hash(name); t->slot[at]; at = (at + 1) & 1023) {
		unsigned id = t->slot[at];

		if (t->len[id] == name.n && memcmp(t->names[id - 1].name, name.p, name.n) == 0)
			return id;
	}
	return 0;
}

void jscan_names_init(struct jscan_names *t, const struct jscan_name *names, unsigned n)
{
	require(n <= JSCAN_NAMES_MAX);
	memset(t, 0, sizeof *t);
	t->names = names;
	t->n = n;
	for (unsigned i = 0; i < n; i++) {
		struct slice s = slice_str(names[i].name);
		unsigned at = names_hash(s);

		require(s.n > 0 && s.n <= JSCAN_NAME_BYTES_MAX);
		require(names_find(t, s) == 0);
		while (t->slot[at])
			at = (at + 1) & 1023;
		t->slot[at] = (uint8_t)(i + 1);
		t->len[i + 1] = (uint8_t)s.n;
	}
}

/* Is it a top-level name but for its case? Also by the two letters outside of ASCII that fold into
 * it: some JSON decoders take U+017F for s and U+212A for k. */
static bool names_has_variant(const struct jscan_names *t, struct slice name)
{
	char folded[JSCAN_NAME_BYTES_MAX];
	struct slice f = {folded, 0};

	for (size_t i = 0; i < name.n; i++) {
		char c = name.p[i];

		if (c == '\xc5' && name.n - i > 1 && name.p[i + 1] == '\xbf') {
			c = 's';
			i++;
		} else if (c == '\xe2' && name.n - i > 2 && name.p[i + 1] == '\x84' &&
			   name.p[i + 2] == '\xaa') {
			c = 'k';
			i += 2;
		}
		folded[f.n++] = c;
	}
	for (unsigned at = names_hash(f); t->slot[at]; at = (at + 1) & 1023) {
		const struct jscan_name *k = &t->names[t->slot[at] - 1];

		if (k->top && slice_ieq(slice_str(k->name), f))
			return true;
	}
	return false;
}

/* Errors, offsets, events */

/* Returns NULL, which ends the steps. */
static const char *fail(struct jscan *s, const char *p, enum errc e, const char *text)
{
	s->err = e;
	s->err_text = text;
	s->err_off = s->off + (size_t)(p - s->piece);
	return NULL;
}

static const char *fail_syntax(struct jscan *s, const char *p, const char *text)
{
	return fail(s, p, ERRC_SYNTAX, text);
}

static size_t offset(const struct jscan *s, const char *p)
{
	return s->off + (size_t)(p - s->piece);
}

static bool is_array(const struct jscan *s)
{
	unsigned i = s->depth - 1;

	return s->stack[i / 64] >> (i % 64) & 1;
}

static void set_path(struct jscan *s, uint8_t id)
{
	if (s->depth <= JSCAN_PATH)
		s->path[s->depth - 1] = id;
}

static struct jscan_member *top_member(struct jscan *s)
{
	return s->depth == 1 ? &s->members[s->members_n - 1] : NULL;
}

static void value_begin(struct jscan *s, const char *p, enum json_type type)
{
	struct jscan_member *m = top_member(s);

	s->type = (uint8_t)type;
	if (m) {
		m->val_off = (uint32_t)offset(s, p);
		m->type = (uint8_t)type;
	}
	s->want_text = s->ev && s->ev->text;
	if (s->ev && s->ev->value)
		s->want_text = s->ev->value(s->arg, s, type) && s->want_text;
}

/* `p` is behind the value. */
static const char *value_end(struct jscan *s, const char *p, enum json_type type, size_t bytes)
{
	struct jscan_member *m = top_member(s);

	if (m)
		m->val_len = (uint32_t)offset(s, p) - m->val_off;
	s->state = s->depth ? AT_NEXT : AT_END;
	if (s->ev && s->ev->end)
		s->ev->end(s->arg, s, type, bytes);
	return p;
}

/* Keys */

static void key_hash(struct jscan *s, struct slice part)
{
	uint64_t h = s->hash;

	for (size_t i = 0; i < part.n; i++)
		h = (h ^ (uint8_t)part.p[i]) * HASH_PRIME;
	s->hash = h;
}

static bool members_grow(struct jscan *s)
{
	unsigned cap = s->members_cap ? s->members_cap * 2 : 16;
	struct jscan_member *m;

	if (s->members_n < s->members_cap)
		return true;
	m = mem_grow(s->members, cap * sizeof *m);
	if (!m)
		return false;
	s->members = m;
	s->members_cap = cap;
	return true;
}

static const char *fail_named(struct jscan *s, const char *p, struct slice key, const char *text)
{
	size_t n = MIN_OF(key.n, sizeof s->err_name - 1);

	memcpy(s->err_name, key.p, n);
	s->err_name[n] = '\0';
	return fail(s, p, ERRC_DUPLICATE, text);
}

/* `p` is behind the closing quote. */
static const char *member_add(struct jscan *s, const char *p, struct slice key, unsigned id)
{
	struct jscan_member *m;

	for (unsigned i = 0; i < s->members_n; i++)
		if (s->members[i].hash == s->hash)
			return fail_named(s, p, key, "member given twice");
	if (!id && s->names && !s->key_long && names_has_variant(s->names, key))
		return fail_named(s, p, key, "member differs from a known one only in case");
	if (s->members_n == LIMIT_JSON_MEMBERS)
		return fail(s, p, ERRC_LIMIT, "too many members");
	if (!members_grow(s))
		return fail(s, p, ERRC_NOMEM, "out of memory");
	m = &s->members[s->members_n++];
	*m = (struct jscan_member){
		.hash = s->hash, .id = (uint8_t)id, .key_off = (uint32_t)s->tok_off};
	m->key_len = (uint32_t)(offset(s, p) - s->tok_off);
	return p;
}

static const char *key_end(struct jscan *s, const char *p, struct slice key)
{
	unsigned id = s->names && !s->key_long ? names_find(s->names, key) : 0;

	set_path(s, (uint8_t)id);
	s->state = AT_COLON;
	s->in_key = false;
	return s->depth == 1 ? member_add(s, p, key, id) : p;
}

/* Nearly all keys lie whole in one piece and without escapes: no copy then. */
static const char *key_begin(struct jscan *s, const char *p, const char *end)
{
	const char *q = jplain_end(p + 1, end);

	s->tok_off = offset(s, p);
	s->hash = HASH_BASIS;
	s->key_n = 0;
	if (q < end && *q == '"') {
		struct slice key = {p + 1, (size_t)(q - p - 1)};

		s->key_bytes = key.n;
		s->key_long = key.n > JSCAN_NAME_BYTES_MAX;
		if (s->depth == 1)
			key_hash(s, key);
		return key_end(s, q + 1, key);
	}
	s->key_long = false;
	s->str_bytes = 0;
	s->in_key = true;
	s->state = IN_STRING;
	return p + 1;
}

/* Strings */

/* The next unescaped bytes of the string. */
static void part(struct jscan *s, const char *p, size_t n)
{
	if (!n)
		return;
	s->str_bytes += n;
	if (s->in_key) {
		size_t room = sizeof s->key - s->key_n;

		s->key_long |= n > room;
		memcpy(s->key + s->key_n, p, MIN_OF(n, room));
		s->key_n += (uint8_t)MIN_OF(n, room);
		if (s->depth == 1)
			key_hash(s, slice_of(p, n));
	} else if (s->want_text) {
		s->want_text = s->ev->text(s->arg, s, slice_of(p, n));
	}
}

static void part_unicode(struct jscan *s, uint32_t u)
{
	char out[4];

	part(s, out, jstep_encode(u, out));
}

/* Half of a pair without the other half stands for U+FFFD. */
static void surrogate_flush(struct jscan *s)
{
	if (s->surrogate)
		part_unicode(s, 0xfffd);
	s->surrogate = 0;
}

/* Passes bytes that stand for themselves, a UTF-8 sequence cut by the piece included. NULL on
 * invalid UTF-8. */
static const char *string_run(struct jscan *s, const char *p, const char *end)
{
	while (p < end) {
		uint8_t c = (uint8_t)*p;
		struct jstep_lead l;
		const char *q;

		if (s->need) {
			if (c < s->lo || c > s->hi)
				return fail_syntax(s, p, "invalid UTF-8");
			s->need--;
			s->lo = 0x80;
			s->hi = 0xbf;
			p++;
			continue;
		}
		p = jplain_end(p, end);
		if (p == end || (uint8_t)*p < 0x80)
			return p;
		q = jstep_utf8(p, end);
		if (q != p) {
			p = q;
			continue;
		}
		/* Invalid, or cut by the end of the piece: then the state carries it over. */
		l = jstep_lead_of((uint8_t)*p);
		if (!l.need)
			return fail_syntax(s, p, "invalid UTF-8");
		s->need = l.need;
		s->lo = l.lo;
		s->hi = l.hi;
		p++;
	}
	return p;
}

/* Prompts are full of line breaks: text between short escapes goes out in one piece. [p, *q) is plain text and ends with a backslash; both
 * move to the next that is left to do, *q to NULL on invalid UTF-8. */
static const char *gather(struct jscan *s, const char *p, const char **q, const char *end)
{
	char room[GATHER_MAX];
	size_t n = 0;

	while (*q && end - *q > 1 && **q == '\\' && (size_t)(*q - p) < sizeof room - n) {
		char c = jstep_escape((*q)[1]);

		if (!c)
			break;
		memcpy(room + n, p, (size_t)(*q - p));
		n += (size_t)(*q - p);
		room[n++] = c;
		p = *q + 2;
		*q = string_run(s, p, end);
	}
	part(s, room, n);
	return p;
}

static const char *in_string(struct jscan *s, const char *p, const char *end)
{
	const char *q;

	if (*p != '\\')
		surrogate_flush(s);
	q = string_run(s, p, end);
	if (q && q < end && *q == '\\' && !s->in_key && !s->surrogate)
		p = gather(s, p, &q, end);
	if (!q)
		return NULL;
	part(s, p, (size_t)(q - p));
	if (q == end)
		return q;
	if (*q == '\\') {
		s->state = IN_ESCAPE;
		return q + 1;
	}
	if (*q != '"')
		return fail_syntax(s, q, "control character in a string");
	if (s->in_key) {
		s->key_bytes = s->str_bytes;
		return key_end(s, q + 1, slice_of(s->key, s->key_n));
	}
	return value_end(s, q + 1, JSON_STRING, s->str_bytes);
}

static const char *in_escape(struct jscan *s, const char *p, const char *end)
{
	char c = jstep_escape(*p);

	if (*p == 'u') {
		s->uni = 0;
		s->need = 4;
		s->state = IN_HEX;
		return p + 1;
	}
	if (!c)
		return fail_syntax(s, p, "invalid escape in a string");
	surrogate_flush(s);
	part(s, &c, 1);
	s->state = IN_STRING;
	return p + 1;
}

static const char *in_hex(struct jscan *s, const char *p, const char *end)
{
	int v = jstep_hex(*p);

	if (v < 0)
		return fail_syntax(s, p, "invalid \\u escape");
	s->uni = s->uni << 4 | (uint32_t)v;
	if (--s->need)
		return p + 1;
	s->state = IN_STRING;
	if (s->surrogate && s->uni >= 0xdc00 && s->uni < 0xe000) {
		part_unicode(s, 0x10000 + ((s->surrogate - 0xd800) << 10) + (s->uni - 0xdc00));
		s->surrogate = 0;
		return p + 1;
	}
	surrogate_flush(s);
	if (s->uni >= 0xd800 && s->uni < 0xdc00)
		s->surrogate = s->uni;
	else
		part_unicode(s, s->uni);
	return p + 1;
}

/* Structure */

static const char *ctn_open(struct jscan *s, const char *p, bool array)
{
	value_begin(s, p, array ? JSON_ARRAY : JSON_OBJECT);
	if (s->depth >= s->depth_max)
		return fail(s, p, ERRC_DEPTH, "nested too deeply");
	s->stack[s->depth / 64] &= ~(UINT64_C(1) << (s->depth % 64));
	s->stack[s->depth / 64] |= (uint64_t)array << (s->depth % 64);
	s->depth++;
	set_path(s, array ? JSCAN_ELEMENT : 0);
	s->state = array ? AT_ELEMENT : AT_MEMBER;
	return p + 1;
}

static const char *ctn_close(struct jscan *s, const char *p)
{
	bool array = is_array(s);

	s->depth--;
	return value_end(s, p + 1, array ? JSON_ARRAY : JSON_OBJECT, 0);
}

static const char *literal(struct jscan *s, const char *p, enum json_type type, const char *rest)
{
	value_begin(s, p, type);
	s->lit = rest;
	s->state = IN_LITERAL;
	return p + 1;
}

static const char *at_value(struct jscan *s, const char *p, const char *end)
{
	p = jstep_space(p, end);
	if (p == end)
		return p;
	switch (*p) {
	case '"':
		value_begin(s, p, JSON_STRING);
		s->str_bytes = 0;
		s->state = IN_STRING;
		return p + 1;
	case '{':
		return ctn_open(s, p, false);
	case '[':
		return ctn_open(s, p, true);
	case 't':
		return literal(s, p, JSON_BOOL, "rue");
	case 'f':
		return literal(s, p, JSON_BOOL, "alse");
	case 'n':
		return literal(s, p, JSON_NULL, "ull");
	case '-':
	case '0' ... '9':
		value_begin(s, p, JSON_NUMBER);
		s->tok_off = offset(s, p);
		s->state = *p == '-' ? IN_MINUS : *p == '0' ? IN_ZERO : IN_INT;
		return p + 1;
	default:
		return fail_syntax(s, p, "a value was expected");
	}
}

static const char *at_root(struct jscan *s, const char *p, const char *end)
{
	p = jstep_space(p, end);
	if (p == end)
		return p;
	if (*p != '{')
		return fail(s, p, ERRC_INVAL, "the body is no JSON object");
	return ctn_open(s, p, false);
}

static const char *at_element(struct jscan *s, const char *p, const char *end)
{
	p = jstep_space(p, end);
	if (p < end && *p == ']')
		return ctn_close(s, p);
	return at_value(s, p, end);
}

static const char *at_key(struct jscan *s, const char *p, const char *end)
{
	p = jstep_space(p, end);
	if (p == end)
		return p;
	if (*p != '"')
		return fail_syntax(s, p, "a member name was expected");
	return key_begin(s, p, end);
}

static const char *at_member(struct jscan *s, const char *p, const char *end)
{
	p = jstep_space(p, end);
	if (p < end && *p == '}')
		return ctn_close(s, p);
	return at_key(s, p, end);
}

static const char *at_colon(struct jscan *s, const char *p, const char *end)
{
	p = jstep_space(p, end);
	if (p == end)
		return p;
	if (*p != ':')
		return fail_syntax(s, p, "a colon was expected");
	s->state = AT_VALUE;
	return p + 1;
}

static const char *at_next(struct jscan *s, const char *p, const char *end)
{
	bool array = is_array(s);

	p = jstep_space(p, end);
	if (p == end)
		return p;
	if (*p == ',') {
		s->state = array ? AT_VALUE : AT_KEY;
		return p + 1;
	}
	if (*p != (array ? ']' : '}'))
		return fail_syntax(
			s, p, array ? "a comma or ] was expected" : "a comma or } was expected");
	return ctn_close(s, p);
}

static const char *at_end(struct jscan *s, const char *p, const char *end)
{
	p = jstep_space(p, end);
	return p == end ? p : fail_syntax(s, p, "text behind the end of the object");
}

static const char *in_literal(struct jscan *s, const char *p, const char *end)
{
	while (p < end && *s->lit) {
		if (*p != *s->lit)
			return fail_syntax(s, p, "a value was expected");
		p++;
		s->lit++;
	}
	return *s->lit ? p : value_end(s, p, (enum json_type)s->type, 0);
}

/* Where a byte leads inside a number; the same state when it is no byte for it. */
static uint8_t number_next(uint8_t state, char c)
{
	bool digit = c >= '0' && c <= '9';

	switch (state) {
	case IN_MINUS:
		return digit ? (c == '0' ? IN_ZERO : IN_INT) : STATES;
	case IN_ZERO:
	case IN_INT:
		if (digit)
			return state == IN_INT ? IN_INT : STATES;
		return c == '.' ? IN_DOT : (c | 0x20) == 'e' ? IN_E : AT_NEXT;
	case IN_DOT:
		return digit ? IN_FRAC : STATES;
	case IN_FRAC:
		return digit ? IN_FRAC : (c | 0x20) == 'e' ? IN_E : AT_NEXT;
	case IN_E:
		return digit ? IN_EXP : c == '+' || c == '-' ? IN_ESIGN : STATES;
	case IN_ESIGN:
		return digit ? IN_EXP : STATES;
	default:
		return digit ? IN_EXP : AT_NEXT;
	}
}

static const char *in_number(struct jscan *s, const char *p, const char *end)
{
	for (; p < end; p++) {
		uint8_t next = number_next(s->state, *p);

		if (next == STATES)
			return fail_syntax(s, p, "invalid number");
		if (next == AT_NEXT)
			return value_end(s, p, JSON_NUMBER, offset(s, p) - s->tok_off);
		s->state = next;
	}
	return p;
}

typedef const char *(*step_fn)(struct jscan *s, const char *p, const char *end);

static const step_fn steps[STATES] = {
	[AT_ROOT] = at_root,     [AT_VALUE] = at_value, [AT_ELEMENT] = at_element,
	[AT_MEMBER] = at_member, [AT_KEY] = at_key,     [AT_COLON] = at_colon,
	[AT_NEXT] = at_next,     [AT_END] = at_end,     [IN_STRING] = in_string,
	[IN_ESCAPE] = in_escape, [IN_HEX] = in_hex,     [IN_LITERAL] = in_literal,
	[IN_MINUS] = in_number,  [IN_ZERO] = in_number, [IN_INT] = in_number,
	[IN_DOT] = in_number,    [IN_FRAC] = in_number, [IN_E] = in_number,
	[IN_ESIGN] = in_number,  [IN_EXP] = in_number,
};

void jscan_init(struct jscan *s, const struct jscan_names *names, const struct jscan_events *ev,
		void *arg)
{
	memset(s, 0, sizeof *s);
	s->names = names;
	s->ev = ev;
	s->arg = arg;
	s->depth_max = LIMIT_JSON_DEPTH;
}

void jscan_fini(struct jscan *s)
{
	mem_free(s->members);
	s->members = NULL;
	s->members_n = s->members_cap = 0;
}

enum errc jscan_push(struct jscan *s, const char *p, size_t n)
{
	const char *end;

	if (s->err || !n)
		return s->err;
	end = p + n;
	s->piece = p;
	if (n > UINT32_MAX - s->off)
		(void)fail(s, p, ERRC_LIMIT, "the body is too large");
	while (!s->err && p < end)
		p = steps[s->state](s, p, end);
	s->off += n;
	return s->err;
}

enum errc jscan_end(struct jscan *s)
{
	if (!s->err && s->state != AT_END) {
		s->err = ERRC_TRUNCATED;
		s->err_text = "the text ends too early";
		s->err_off = s->off;
	}
	return s->err;
}

const struct jscan_member *jscan_find(const struct jscan *s, unsigned id)
{
	for (unsigned i = 0; id && i < s->members_n; i++)
		if (s->members[i].id == id)
			return &s->members[i];
	return NULL;
}
