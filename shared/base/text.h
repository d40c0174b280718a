/* Small codecs of text: hexadecimal, base64, decimal numbers. All are pure. */
#ifndef AIGW_TEXT_H
#define AIGW_TEXT_H

#include "buf.h"

/* Lower-case hexadecimal; `out` holds 2 * n + 1 bytes, NUL-terminated. */
void text_hex(const void *p, size_t n, char *out);
/* Exactly n bytes from 2 * n digits of either case; false when it is not that. */
bool text_unhex(struct slice s, void *out, size_t n);

/* Of the standard alphabet; not the padding. */
static inline bool text_is_base64_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

/* Standard alphabet with padding. */
MUSTCHECK enum errc text_base64(struct buf *out, const void *p, size_t n);
/* Either alphabet, padding optional; ERRC_SYNTAX when malformed. */
MUSTCHECK enum errc text_unbase64(struct buf *out, struct slice s);
/* Unpadded URL alphabet. */
MUSTCHECK enum errc text_base64url(struct buf *out, const void *p, size_t n);

/* All of s must be the number (no sign for u64, no spaces). False on anything else, overflow included. */
bool text_u64(struct slice s, uint64_t *out);
bool text_i64(struct slice s, int64_t *out);

/* Decimal fixed point without floating point: reads "1.75", "0.000001", "1e-6", "-3" as a whole number of 10^-scale units,
 * exactly; ERRC_RANGE when it does not fit or has more digits than the scale holds, ERRC_SYNTAX when it is no number. */
MUSTCHECK enum errc text_decimal(struct slice s, int scale, int64_t *out);
/* Writes v * 10^-scale in plain decimal, trailing zeros cut but at least `min_frac` digits behind the point. `out` holds
 * TEXT_DECIMAL_MAX bytes; returns the length. text_decimal_print(15000, 9, 1, out) gives "0.000015". */
#define TEXT_DECIMAL_MAX 48
size_t text_decimal_print(int64_t v, int scale, int min_frac, char *out);
/* The same for a whole number that may need all 64 bits. */
size_t text_u64_print(uint64_t v, char *out);

/* Reads "250ms", "15s", "10m", "2h", "1d"; a bare number counts in `unit_ms`. */
bool text_duration_ms(struct slice s, int64_t unit_ms, int64_t *out);
/* Reads "64KiB", "32MiB", "1GiB", "4k", a bare number of bytes. */
bool text_bytes(struct slice s, int64_t *out);

/* One to `max` bytes of letters, digits and "_.:/+@-": an id, a code, the name of a model, and no sentence. */
bool text_is_word(struct slice s, size_t max);

/* 32 and 64 bit non-cryptographic hash (FNV-1a); for tables only. */
uint64_t text_hash(struct slice s);
/* A seeded hash for tables whose keys a client chooses (SipHash-2-4). */
uint64_t text_hash_keyed(const uint8_t seed[16], struct slice s);
/* A faster one, sixteen bytes at a time, for tables in memory whose hashes nobody sees: `seed` is random and known to nobody. The same
 * bytes have another hash on another machine. */
uint64_t text_hash_wide(const uint64_t seed[2], struct slice s);

/* Next of the program's pseudo-random sequence (xorshift128+), for jitter and weights, never for secrets. */
struct text_rng {
	uint64_t s[2];
};
uint64_t text_rng_next(struct text_rng *r);

#endif
