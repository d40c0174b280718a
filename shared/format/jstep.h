/* The byte-level pieces that jscan.c, jtext.c and json_out.c share: stepping over plain string
 * bytes, UTF-8, escapes. */
#ifndef AIGW_JSTEP_H
#define AIGW_JSTEP_H

#include "jplain.h"

/* What may follow a first byte of UTF-8: how many bytes, and the range of the second. need 0: no
 * first byte. */
struct jstep_lead {
	uint8_t need, lo, hi;
};

static inline struct jstep_lead jstep_lead_of(uint8_t c)
{
	if (c >= 0xc2 && c <= 0xdf)
		return (struct jstep_lead){1, 0x80, 0xbf};
	if ((c & 0xf0) == 0xe0)
		return (struct jstep_lead){2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf};
	if (c >= 0xf0 && c <= 0xf4)
		return (struct jstep_lead){3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf};
	return (struct jstep_lead){0, 0, 0};
}

/* Passes whole valid UTF-8 sequences from a non-ASCII byte on; stops at ASCII, at what is invalid,
 * or at a sequence that the end cuts. */
static inline const char *jstep_utf8(const char *p, const char *end)
{
	while (p < end && (uint8_t)*p >= 0x80) {
		struct jstep_lead l = jstep_lead_of((uint8_t)*p);

		if (!l.need || end - p <= l.need || (uint8_t)p[1] < l.lo || (uint8_t)p[1] > l.hi)
			return p;
		for (unsigned i = 2; i <= l.need; i++)
			if (((uint8_t)p[i] & 0xc0) != 0x80)
				return p;
		p += l.need + 1;
	}
	return p;
}

/* Passes plain bytes and non-ASCII ones, whether they are UTF-8 or not: to the next quote,
 * backslash or control character, or end. */
static inline const char *jstep_opaque(const char *p, const char *end)
{
	for (;;) {
		p = jplain_end(p, end);
		if (p == end || (uint8_t)*p < 0x80)
			return p;
		while (p < end && (uint8_t)*p >= 0x80)
			p++;
	}
}

/* Passes plain bytes and whole valid UTF-8: to the next quote, backslash or control character, to what is invalid, or end. */
static inline const char *jstep_text(const char *p, const char *end)
{
	for (;;) {
		const char *q = jplain_end(p, end);

		p = jstep_utf8(q, end);
		if (p == q)
			return p;
	}
}

/* To the next quote, or bracket of an object or array, outside of strings; or end. */
static inline const char *jstep_bracket(const char *p, const char *end)
{
	while (p < end && *p != '"' && (*p | 0x20) != '{' && (*p | 0x20) != '}')
		p++;
	return p;
}

/* The value of a hexadecimal digit, or -1. */
static inline int jstep_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* What stands for the character behind a backslash ('u' excepted); 0 for none. */
char jstep_escape(char c);
/* Writes a code point as UTF-8, surrogates as U+FFFD; returns the number of bytes. */
unsigned jstep_encode(uint32_t u, char out[4]);

static inline bool jstep_is_space(char c)
{
	return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline const char *jstep_space(const char *p, const char *end)
{
	while (p < end && jstep_is_space(*p))
		p++;
	return p;
}

#endif
