#include "chat_brief.h"

#include "jstep.h"

/* Of a string, more than any word that is looked at: its label, its kind, why it finished. */
#define STRING_MAX 64

/* Where a string was cut, and how many bytes all of them have lost up to and with this one. */
struct brief_cut {
	size_t at;
	uint64_t lost;
};

void chat_brief_init(struct chat_brief *b)
{
	memset(b, 0, sizeof(*b));
	buf_init(&b->text, CHAT_BRIEF_MAX);
	buf_init(&b->shut, CHAT_BRIEF_MAX + LIMIT_JSON_DEPTH + 1);
	buf_init(&b->cuts, CHAT_BRIEF_MAX);
}

void chat_brief_fini(struct chat_brief *b)
{
	buf_fini(&b->text);
	buf_fini(&b->shut);
	buf_fini(&b->cuts);
}

static void brief_put(struct chat_brief *b, char c)
{
	if (!b->err)
		b->err = buf_addc(&b->text, c);
}

static bool brief_in_array(const struct chat_brief *b)
{
	return b->depth && (b->arrays[(b->depth - 1) / 64] >> (b->depth - 1) % 64 & 1);
}

/* Whether a container that begins as the value of the last key is left out. */
static bool brief_is_hollow(const struct chat_brief *b)
{
	struct slice key = slice_of(b->text.p + b->key_at, b->key_n);

	if (b->depth == 1)
		return !slice_is(key, "choices") && !slice_is(key, "error") &&
		       !slice_is(key, "base_resp");
	return b->depth == 3 && !slice_is(key, "message");
}

static void brief_open(struct chat_brief *b, bool is_array)
{
	bool is_hollow = brief_is_hollow(b);
	unsigned at = b->depth;

	is_array |= is_hollow;
	if (at == LIMIT_JSON_DEPTH)
		b->err = ERRC_LIMIT;
	brief_put(b, is_array ? '[' : '{');
	if (b->err)
		return;
	b->inner = is_hollow;
	b->is_filled = false;
	b->arrays[at / 64] &= ~(UINT64_C(1) << at % 64);
	b->arrays[at / 64] |= (uint64_t)is_array << at % 64;
	b->depth++;
	b->after_colon = false;
	b->safe = b->text.len;
}

static void brief_close(struct chat_brief *b, char c)
{
	brief_put(b, c);
	if (b->err)
		return;
	b->depth -= b->depth > 0;
	b->safe = b->text.len;
}

static void brief_begin(struct chat_brief *b)
{
	brief_put(b, '"');
	if (b->err)
		return;
	b->in_string = true;
	b->is_key = b->depth && !brief_in_array(b) && !b->after_colon;
	b->is_cut = b->is_high = false;
	b->string_at = b->text.len;
	if (b->is_key)
		b->key_at = b->text.len;
	else
		b->safe = b->text.len;
}

static void brief_end(struct chat_brief *b)
{
	size_t n = b->text.len;

	brief_put(b, '"');
	if (b->err)
		return;
	b->in_string = false;
	if (b->is_key)
		b->key_n = n - b->key_at;
	else
		b->safe = b->text.len;
}

/* ---- strings ---- */

static struct brief_cut *brief_last(const struct chat_brief *b)
{
	return (struct brief_cut *)(void *)b->cuts.p + b->cuts.len / sizeof(struct brief_cut) - 1;
}

static void brief_cut_here(struct chat_brief *b)
{
	struct brief_cut cut = {.at = b->text.len};

	if (b->cuts.len)
		cut.lost = brief_last(b)->lost;
	b->err = buf_add(&b->cuts, &cut, sizeof(cut));
	b->is_cut = !b->err;
}

/* Bytes of the character that \u stands for: two halves of a pair are four, one alone is U+FFFD. */
static unsigned brief_unicode(struct chat_brief *b)
{
	bool is_low = b->unicode >= 0xdc00 && b->unicode < 0xe000, was_high = b->is_high;
	char u8[4];

	b->is_high = b->unicode >= 0xd800 && b->unicode < 0xdc00;
	return is_low && was_high ? 1 : jstep_encode(b->unicode, u8);
}

/* A byte of an escape, behind the backslash. Returns how many the character has when it is whole. */
static unsigned brief_escape(struct chat_brief *b, char c)
{
	if (b->hex) {
		b->unicode = b->unicode << 4 | (uint32_t)MAX_OF(jstep_hex(c), 0);
		return --b->hex ? 0 : brief_unicode(b);
	}
	b->in_escape = false;
	if (c == 'u') {
		b->hex = 4;
		b->unicode = 0;
		return 0;
	}
	b->is_high = false;
	return 1;
}

/* The middle of a string that is left out. */
static const char *brief_pass(struct chat_brief *b, const char *p, const char *end)
{
	const char *q = p;

	if (b->in_escape || b->hex) {
		brief_last(b)->lost += brief_escape(b, *p);
		return p + 1;
	}
	if (*p == '"') {
		brief_end(b);
		return p + 1;
	}
	if (*p == '\\') {
		b->in_escape = true;
		return p + 1;
	}
	q = jstep_opaque(p, end);
	q = q == p ? p + 1 : q;
	b->is_high = false;
	brief_last(b)->lost += (size_t)(q - p);
	return q;
}

static const char *brief_string(struct chat_brief *b, const char *p, const char *end)
{
	bool between = !b->in_escape && !b->hex && ((uint8_t)*p & 0xc0) != 0x80;

	if (b->is_cut)
		return brief_pass(b, p, end);
	if (between && *p == '"') {
		brief_end(b);
		return p + 1;
	}
	if (between && !b->is_key) {
		b->safe = b->text.len;
		if (b->text.len - b->string_at >= STRING_MAX && !b->is_high) {
			brief_cut_here(b);
			return p;
		}
	}
	brief_put(b, *p);
	if (b->in_escape || b->hex)
		(void)brief_escape(b, *p);
	else if (*p == '\\')
		b->in_escape = true;
	else
		b->is_high = false;
	return p + 1;
}

/* ---- the rest ---- */

static const char *brief_inside_string(struct chat_brief *b, const char *p, const char *end)
{
	if (b->in_escape) {
		b->in_escape = false;
		return p + 1;
	}
	p = jstep_opaque(p, end);
	if (p == end)
		return p;
	b->in_string = *p != '"';
	b->in_escape = *p == '\\';
	return p + 1;
}

/* Inside of a container that is left out: that there is something is kept. */
static const char *brief_inside(struct chat_brief *b, const char *p, const char *end)
{
	if (b->in_string)
		return brief_inside_string(b, p, end);
	if (b->is_filled)
		p = jstep_bracket(p, end);
	if (p == end)
		return p;
	if ((*p == ']' || *p == '}') && --b->inner == 0) {
		brief_close(b, ']');
		return p + 1;
	}
	if (!b->is_filled && !jstep_is_space(*p)) {
		brief_put(b, '0');
		b->safe = b->text.len;
		b->is_filled = true;
	}
	b->inner += *p == '[' || *p == '{';
	b->in_string = *p == '"';
	return p + 1;
}

static const char *brief_mark(struct chat_brief *b, const char *p)
{
	switch (*p) {
	case '"':
		brief_begin(b);
		break;
	case '{':
	case '[':
		brief_open(b, *p == '[');
		break;
	case '}':
	case ']':
		brief_close(b, *p);
		break;
	default:
		if (*p == ':' || *p == ',')
			b->after_colon = *p == ':';
		brief_put(b, *p);
	}
	return p + 1;
}

enum errc chat_brief_push(struct chat_brief *b, struct slice bytes)
{
	const char *p = bytes.p, *end = slice_end(bytes);

	while (p < end && !b->err) {
		if (b->inner)
			p = brief_inside(b, p, end);
		else
			p = b->in_string ? brief_string(b, p, end) : brief_mark(b, p);
	}
	b->beyond += (size_t)(end - p);
	return b->err == ERRC_LIMIT ? ERRC_OK : b->err;
}

enum errc chat_brief_shut(struct chat_brief *b, struct slice *out)
{
	bool is_open = b->in_string && !b->is_key && !b->inner;
	enum errc e;

	*out = SLICE_LIT("{}");
	if (!b->safe)
		return ERRC_OK;
	buf_reset(&b->shut);
	e = buf_add(&b->shut, b->text.p, b->safe);
	if (!e && is_open)
		e = buf_addc(&b->shut, '"');
	for (unsigned i = b->depth; !e && i-- > 0;)
		e = buf_addc(&b->shut, b->arrays[i / 64] >> i % 64 & 1 ? ']' : '}');
	*out = buf_slice(&b->shut);
	return e;
}

/* What the strings in front of a place have lost. */
static uint64_t brief_lost(const struct chat_brief *b, size_t place)
{
	const struct brief_cut *cuts = (const void *)b->cuts.p;
	size_t low = 0, high = b->cuts.len / sizeof(*cuts), mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (cuts[mid].at < place)
			low = mid + 1;
		else
			high = mid;
	}
	return low ? cuts[low - 1].lost : 0;
}

size_t chat_brief_missing(const struct chat_brief *b, struct slice part)
{
	size_t at = (size_t)(part.p - b->shut.p);

	return (size_t)(brief_lost(b, at + part.n) - brief_lost(b, at));
}
