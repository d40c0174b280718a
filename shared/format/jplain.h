/* Plain bytes of a JSON string: printable ASCII but for quote and backslash. They are nearly all of every text, so that passing over them is
 * what reading JSON costs. */
#ifndef AIGW_JPLAIN_H
#define AIGW_JPLAIN_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "slice.h"

#define JPLAIN_FAR 256 /* bytes left from which on jplain_far() is asked */

/* Passes plain bytes of a long string by what the processor may have for it: as far as it likes, not to the end of them. */
const char *jplain_far(const char *p, const char *end);

static inline bool jplain_is(uint8_t c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

#ifdef __SSE2__
/* Of 16 bytes those that are not plain: all bits of theirs are set. */
static inline __m128i jplain_odd(const char *p)
{
	__m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
	__m128i ends = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('"')),
				    _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));

	/* Signed: bytes of 0x80 and above are below the space too. */
	return _mm_or_si128(ends, _mm_cmplt_epi8(x, _mm_set1_epi8(0x20)));
}

static inline unsigned jplain_bits(__m128i odd)
{
	return (unsigned)_mm_movemask_epi8(odd);
}

/* Not 0 when 64 bytes hold any. */
static inline __m128i jplain_odd64(const char *p)
{
	return _mm_or_si128(_mm_or_si128(jplain_odd(p), jplain_odd(p + 16)),
			    _mm_or_si128(jplain_odd(p + 32), jplain_odd(p + 48)));
}
#endif

/* The first byte that is not plain, or end. */
static inline const char *jplain_end(const char *p, const char *end)
{
#ifdef __SSE2__
	/* Most strings end in their first block; from the second on those that do not go by four. */
	for (bool first = true; end - p >= 16; p += 16, first = false) {
		unsigned bits;

		while (!first && end - p >= 64 && !jplain_bits(jplain_odd64(p))) {
			p += 64;
			if (end - p >= JPLAIN_FAR)
				p = jplain_far(p, end);
		}
		if (end - p < 16)
			break;
		bits = jplain_bits(jplain_odd(p));
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
	while (p < end && jplain_is((uint8_t)*p))
		p++;
	return p;
}

#endif
