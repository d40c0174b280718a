/* The byte-level pieces that jscan.c, jtext.c and json_out.c share: stepping over plain string
 * bytes, UTF-8, escapes. */
#ifndef AIGW_JSTEP_H
#define AIGW_JSTEP_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "slice.h"

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

static inline bool jstep_is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#ifdef __SSE2__
/* Of 16 bytes those that are no plain ASCII of a string: all bits of theirs are set. */
static inline __m128i jstep_odd(const char *p)
{
	__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i ends = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
				    _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));

	/* Signed: bytes of 0x80 and above are below the space too. */
	return _mm_or_si128(ends, _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)));
}

static inline unsigned jstep_bits(__m128i odd)
{
	return (unsigned)_mm_movemask_epi8(odd);
}

/* Not 0 when 64 bytes hold any. */
static inline __m128i jstep_odd64(const char *p)
{
	return _mm_or_si128(_mm_or_si128(jstep_odd(p), jstep_odd(p + 16)),
			    _mm_or_si128(jstep_odd(p + 32), jstep_odd(p + 48)));
}
#endif

/* The first byte that is no plain ASCII of a string: quote, backslash, control or non-ASCII; or
 * end. */
static inline const char *jstep_plain(const char *p, const char *end)
{
#ifdef __SSE2__
	/* Most strings end in their first block; from the second on those that do not go by four. */
	for (bool first = true; end - p >= 16; p += 16, first = false) {
		unsigned bits;

		while (!first && end - p >= 64 && !jstep_bits(jstep_odd64(p)))
			p += 64;
		if (end - p < 16)
			break;
		bits = jstep_bits(jstep_odd(p));
		if (bits)
			return p + __builtin_ctz(bits);
	}
#else
	const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;

	for (; end - p >= 8; p += 8) {
		uint64_t x, q, b;

		memcpy(&x, p, 8);
		q = x ^ (ones * '"');
		b = x ^ (ones * '\\');
		if ((x | (x - ones * 0x20) | ((q - ones) & ~q) | ((b - ones) & ~b)) & highs)
			break;
	}
#endif
	while (p < end && jstep_is_plain((uint8_t)*p))
		p++;
	return p;
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
		p = jstep_plain(p, end);
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
		const char *q = jstep_plain(p, end);

		p = jstep_utf8(q, end);
		if (p == q)
			return p;
	}
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
