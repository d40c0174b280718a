#include "jplain.h"

#if defined(__x86_64__)

#include <immintrin.h>

__attribute__((target("avx2"))) static inline __m256i odd32(const char *p)
{
	__m256i x = _mm256_loadu_si256((const __m256i *)(const void *)p);
	__m256i ends = _mm256_or_si256(_mm256_cmpeq_epi8(x, _mm256_set1_epi8('"')),
				       _mm256_cmpeq_epi8(x, _mm256_set1_epi8('\\')));

	/* Signed: bytes of 0x80 and above are below the space too. */
	return _mm256_or_si256(ends, _mm256_cmpgt_epi8(_mm256_set1_epi8(0x20), x));
}

__attribute__((target("avx2"))) static const char *far_wide(const char *p, const char *end)
{
	for (; end - p >= 64; p += 64)
		if (_mm256_movemask_epi8(_mm256_or_si256(odd32(p), odd32(p + 32))))
			break;
	return p;
}

const char *jplain_far(const char *p, const char *end)
{
	return __builtin_cpu_supports("avx2") ? far_wide(p, end) : p;
}

#else

const char *jplain_far(const char *p, const char *end)
{
	(void)end;
	return p;
}

#endif
