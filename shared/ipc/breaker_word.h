/* The arithmetic of breaker.h on the 64-bit words that its rows hold. Pure: a word and the time in, a word out. */
#ifndef AIGW_BREAKER_WORD_H
#define AIGW_BREAKER_WORD_H

#include "check.h"

/* Window: the last 32 results as bits (1 = failure), how many there are, when the last one came (units of 256 ms, modulo
 * 2^26, enough for 198 days). */
uint64_t breaker_word_push(uint64_t w, unsigned of, int64_t window_ms, int64_t now_ms, bool failed);
unsigned breaker_word_failures(uint64_t w, unsigned of);

/* A time with how often in a row it was set: gates of offers, keys that are out. */
#define BREAKER_WORD_MS (UINT64_C(0xffffffffffff))
static inline int64_t breaker_word_until_ms(uint64_t w)
{
	return (int64_t)(w & BREAKER_WORD_MS);
}
static inline unsigned breaker_word_times(uint64_t w)
{
	return (unsigned)(w >> 48 & 0xff);
}
static inline uint64_t breaker_word_until(int64_t until_ms, unsigned times)
{
	return ((uint64_t)until_ms & BREAKER_WORD_MS) | (uint64_t)MIN_OF(times, 255u) << 48;
}
/* base doubled for each time after the first, at most max, +-20 % as `rnd` says. */
int64_t breaker_word_delay_ms(int64_t base_ms, int64_t max_ms, unsigned times, uint64_t rnd);

/* Counts of this and the last minute: minute modulo 2^20, two counts of 22 bits that stop at their top. */
uint64_t breaker_word_count(uint64_t w, int64_t now_ms, unsigned add);
/* The count of the last 60 s: this minute's and the share of the last one that is not over yet. */
uint64_t breaker_word_rate(uint64_t w, int64_t now_ms);

/* Two smoothed 32-bit figures, weight 1/8; the first value is taken whole. */
uint64_t breaker_word_smooth(uint64_t w, uint32_t high, uint32_t low);

#endif
