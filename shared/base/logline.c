#include "logline.h"

#include <stdio.h>

#include "clock.h"
#include "text.h"

#define TAIL_ROOM   32 /* for truncated=true, the closing brace and the newline */
#define ESCAPED_MAX 12 /* a surrogate pair */

static const char *const level_names[] = {"error", "warn", "info", "debug"};

struct out {
	char *p;
	size_t n, max;
	bool json, full; /* full: a value did not fit; what was written of it is taken back */
};

static void put(struct out *o, const char *p, size_t n)
{
	if (o->full || n > o->max - o->n) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void put_str(struct out *o, const char *s)
{
	put(o, s, strlen(s));
}

/* Length of the UTF-8 sequence at the front and its code point, or 0 when there is none. */
static size_t utf8_at(struct slice s, uint32_t *code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c >= 0xf0 && c < 0xf8 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 0;

	if (n == 0 || n > s.n || c >= 0xf8)
		return 0;
	*code = c & (0x7fu >> n);
	for (size_t i = 1; i < n; i++) {
		if (((unsigned char)s.p[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | ((unsigned char)s.p[i] & 0x3f);
	}
	if (*code < least[n] || *code > 0x10ffff || (*code >= 0xd800 && *code < 0xe000))
		return 0;
	return n;
}

/* Escapes what stands at the front of s into `e`; returns how many bytes of s that were. */
static size_t escape(struct slice s, bool json, char e[ESCAPED_MAX + 1])
{
	unsigned char c = (unsigned char)s.p[0];
	uint32_t code;
	size_t n = json && c >= 0x80 ? utf8_at(s, &code) : 0;

	if (n && code >= 0x10000) {
		code -= 0x10000;
		snprintf(e, ESCAPED_MAX + 1, "\\u%04x\\u%04x", 0xd800 | (code >> 10 & 0x3ff),
			 0xdc00 | (code & 0x3ff));
		return n;
	}
	if (n) {
		snprintf(e, ESCAPED_MAX + 1, "\\u%04x", code);
		return n;
	}
	if (c == '"' || c == '\\')
		snprintf(e, ESCAPED_MAX + 1, "\\%c", c);
	else if (c == '\n' || c == '\r' || c == '\t')
		snprintf(e, ESCAPED_MAX + 1, "\\%c", c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
	else if (json && c < 0x80)
		snprintf(e, ESCAPED_MAX + 1, "\\u%04x", c);
	else
		snprintf(e, ESCAPED_MAX + 1, json ? "\\\\x%02x" : "\\x%02x", c);
	return 1;
}

static const bool plain[256] = {[' ' ... '!'] = true, ['#' ... '['] = true, [']' ... '~'] = true};

static bool is_plain(unsigned char c)
{
	return plain[c];
}

static void put_escaped(struct out *o, struct slice s)
{
	while (s.n && !o->full) {
		char e[ESCAPED_MAX + 1];
		size_t run = 0;

		while (run < s.n && is_plain((unsigned char)s.p[run]))
			run++;
		put(o, s.p, run);
		s = slice_sub(s, run, s.n);
		if (s.n == 0)
			break;
		s = slice_sub(s, escape(s, o->json, e), s.n);
		put_str(o, e);
	}
}

/* Text values without anything that could be misread stand without quotes. */
static bool is_bare(struct slice s)
{
	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!is_plain((unsigned char)s.p[i]) || s.p[i] == ' ' || s.p[i] == '=')
			return false;
	return true;
}

static void put_value(struct out *o, struct slice s)
{
	bool cut = s.n > LOGLINE_VALUE_MAX;

	if (!o->json && !cut && is_bare(s)) {
		put(o, s.p, s.n);
		return;
	}
	put(o, "\"", 1);
	put_escaped(o, slice_sub(s, 0, LOGLINE_VALUE_MAX));
	if (cut)
		put(o, "...", 3);
	put(o, "\"", 1);
}

static void put_name(struct out *o, const char *name)
{
	size_t n = strlen(name);
	char *at = o->p + o->n;

	if (o->full || n + 4 > o->max - o->n) {
		o->full = true;
		return;
	}
	if (o->n > o->json) /* something stands before, beside the opening brace */
		*at++ = o->json ? ',' : ' ';
	if (o->json)
		*at++ = '"';
	memcpy(at, name, n);
	at += n;
	if (o->json)
		*at++ = '"';
	*at++ = o->json ? ':' : '=';
	o->n = (size_t)(at - o->p);
}

static void put_member(struct out *o, const char *name, struct slice value)
{
	if (!value.p)
		return;
	put_name(o, name);
	put_value(o, value);
}

static void put_field(struct out *o, const struct log_field *f)
{
	char number[TEXT_DECIMAL_MAX];
	size_t n = 0;

	put_name(o, f->name);
	switch (f->type) {
	case LOG_T_STR:
		put_value(o, f->s);
		return;
	case LOG_T_BOOL:
		put_str(o, f->i ? "true" : "false");
		return;
	case LOG_T_I64:
		n = text_decimal_print(f->i, 0, 0, number);
		break;
	case LOG_T_U64:
		n = text_u64_print(f->u, number);
		break;
	case LOG_T_MS:
		n = text_decimal_print(f->i, 3, 0, number);
		break;
	case LOG_T_NUSD:
		n = text_decimal_print(f->i, 9, 1, number);
		break;
	}
	put(o, number, n);
}

size_t logline_write(const struct logline *l, char *out)
{
	struct out o = {.p = out, .max = LOGLINE_MAX - TAIL_ROOM, .json = l->format == LOG_JSON};
	char time[CLOCK_TEXT_MAX];
	size_t good, i = 0;

	if (o.json)
		put(&o, "{", 1);
	put_member(&o, "time", slice_of(time, clock_format_ms(l->wall_ms, time)));
	put_member(&o, "level", slice_str(level_names[l->level]));
	put_member(&o, "process", slice_str(l->process));
	put_member(&o, "event", slice_str(l->event));
	good = o.n;
	put_member(&o, "message", l->message);
	while (!o.full) {
		good = o.n;
		if (i == l->field_count)
			break;
		put_field(&o, &l->fields[i++]);
	}
	if (o.full) {
		o.n = good;
		o.full = false;
		o.max = LOGLINE_MAX;
		put_name(&o, "truncated");
		put_str(&o, "true");
	}
	o.max = LOGLINE_MAX;
	put_str(&o, o.json ? "}\n" : "\n");
	return o.n;
}
