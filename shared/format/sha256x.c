#include "sha256x.h"

#include "check.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define ROUNDS_OF_FOUR 16

/* FIPS 180-4, 4.2.2. */
static const uint32_t constants[4 * ROUNDS_OF_FOUR] __attribute__((aligned(16))) = {
	0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4,
	0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe,
	0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f,
	0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7,
	0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc,
	0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
	0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116,
	0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
	0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
	0xc67178f2};

enum { UNKNOWN, HERE, MISSING };

static bool ask_processor(void)
{
	unsigned a, b, c, d;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_SSSE3) || !(c & bit_SSE4_1))
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & bit_SHA);
}

bool sha256x_is_here(void)
{
	/* Below a hypervisor the question costs microseconds. */
	static atomic_int known = UNKNOWN;
	int k = atomic_load_explicit(&known, memory_order_relaxed);

	if (k == UNKNOWN) {
		k = ask_processor() ? HERE : MISSING;
		atomic_store_explicit(&known, k, memory_order_relaxed);
	}
	return k == HERE;
}

/* The instructions want the state as two halves, A B E F and C D G H, the first of each in the highest place. Two rounds turn
 * the second half into the new first; the old first is then the new second. */
__attribute__((target("sha,sse4.1,ssse3"))) void sha256x_blocks(uint32_t state[8], const uint8_t *p,
								size_t blocks_n)
{
	const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	const __m128i *k = (const __m128i *)constants;
	uint32_t *h = state;
	__m128i abef = _mm_set_epi32((int)h[0], (int)h[1], (int)h[4], (int)h[5]);
	__m128i cdgh = _mm_set_epi32((int)h[2], (int)h[3], (int)h[6], (int)h[7]);

	for (; blocks_n > 0; blocks_n--, p += SHA256X_BLOCK) {
		const __m128i abef_before = abef, cdgh_before = cdgh;
		__m128i w[4];

		for (int i = 0; i < 4; i++)
			w[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)p + i), big_endian);
#pragma GCC unroll 16
		for (int i = 0; i < ROUNDS_OF_FOUR; i++) {
			__m128i *now = &w[i & 3], last = w[(i + 3) & 3];
			__m128i sum = _mm_add_epi32(*now, k[i]);

			cdgh = _mm_sha256rnds2_epu32(cdgh, abef, sum);
			abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(sum, 0x0e));
			if (i >= ROUNDS_OF_FOUR - 4)
				continue;
			/* The words of four rounds of four later take the place of these. */
			sum = _mm_alignr_epi8(last, w[(i + 2) & 3], 4);
			sum = _mm_add_epi32(sum, _mm_sha256msg1_epu32(*now, w[(i + 1) & 3]));
			*now = _mm_sha256msg2_epu32(sum, last);
		}
		abef = _mm_add_epi32(abef, abef_before);
		cdgh = _mm_add_epi32(cdgh, cdgh_before);
	}
	h[0] = (uint32_t)_mm_extract_epi32(abef, 3);
	h[1] = (uint32_t)_mm_extract_epi32(abef, 2);
	h[2] = (uint32_t)_mm_extract_epi32(cdgh, 3);
	h[3] = (uint32_t)_mm_extract_epi32(cdgh, 2);
	h[4] = (uint32_t)_mm_extract_epi32(abef, 1);
	h[5] = (uint32_t)_mm_extract_epi32(abef, 0);
	h[6] = (uint32_t)_mm_extract_epi32(cdgh, 1);
	h[7] = (uint32_t)_mm_extract_epi32(cdgh, 0);
}

#else

bool sha256x_is_here(void)
{
	return false;
}

void sha256x_blocks(uint32_t state[8], const uint8_t *p, size_t blocks_n)
{
	require(false);
}

#endif
