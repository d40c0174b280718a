#include "text.h"

static const char hex_digits[] = "0123456789abcdef";

void text_hex(const void *p, size_t n, char *out)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < n; i++) {
		*out++ = hex_digits[b[i] >> 4];
		*out++ = hex_digits[b[i] & 15];
	}
	*out = '\0';
}

static int unhex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool text_unhex(struct slice s, void *out, size_t n)
{
	unsigned char *b = out;

	if (s.n % 2 || s.n / 2 != n)
		return false;
	for (size_t i = 0; i < n; i++) {
		int hi = unhex_digit(s.p[2 * i]), lo = unhex_digit(s.p[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return false;
		b[i] = (unsigned char)(hi << 4 | lo);
	}
	return true;
}

static const char b64_std[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char b64_url[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static enum errc base64(struct buf *out, const void *p, size_t n, const char *alphabet, bool pad)
{
	const unsigned char *b = p;
	size_t rest = n % 3, want;
	char *at;
	enum errc rc;

	if (n > SIZE_MAX / 2)
		return ERRC_LIMIT;
	want = n / 3 * 4 + (rest == 0 ? 0 : pad ? 4 : rest + 1);
	if (want == 0)
		return ERRC_OK;
	rc = buf_reserve(out, want, &at);
	if (rc)
		return rc;
	for (; n >= 3; n -= 3, b += 3) {
		*at++ = alphabet[b[0] >> 2];
		*at++ = alphabet[(b[0] & 3) << 4 | b[1] >> 4];
		*at++ = alphabet[(b[1] & 15) << 2 | b[2] >> 6];
		*at++ = alphabet[b[2] & 63];
	}
	if (rest) {
		unsigned second = rest == 2 ? b[1] : 0;

		*at++ = alphabet[b[0] >> 2];
		*at++ = alphabet[(b[0] & 3) << 4 | second >> 4];
		if (rest == 2)
			*at++ = alphabet[(second & 15) << 2];
		else if (pad)
			*at++ = '=';
		if (pad)
			*at = '=';
	}
	buf_commit(out, want);
	return ERRC_OK;
}

enum errc text_base64(struct buf *out, const void *p, size_t n)
{
	return base64(out, p, n, b64_std, true);
}

enum errc text_base64url(struct buf *out, const void *p, size_t n)
{
	return base64(out, p, n, b64_url, false);
}

static int unbase64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

enum errc text_unbase64(struct buf *out, struct slice s)
{
	size_t pad = 0, len = out->len;
	unsigned acc = 0, bits = 0;
	char *at;
	enum errc rc;

	while (s.n && pad < 2 && s.p[s.n - 1] == '=') {
		s.n--;
		pad++;
	}
	if (s.n % 4 == 1 || (pad && (s.n + pad) % 4))
		return ERRC_SYNTAX;
	if (s.n == 0)
		return ERRC_OK;
	rc = buf_reserve(out, s.n / 4 * 3 + (s.n % 4 ? s.n % 4 - 1 : 0), &at);
	if (rc)
		return rc;
	for (size_t i = 0; i < s.n; i++) {
		int d = unbase64_digit(s.p[i]);

		if (d < 0)
			return ERRC_SYNTAX;
		acc = acc << 6 | (unsigned)d;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			*at++ = (char)(acc >> bits);
		}
	}
	/* Bits that no byte takes must be zero: one text for one value. */
	if (acc & ((1u << bits) - 1))
		return ERRC_SYNTAX;
	buf_commit(out, (size_t)(at - (out->p + len)));
	return ERRC_OK;
}

bool text_u64(struct slice s, uint64_t *out)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		unsigned d = (unsigned)(s.p[i] - '0');

		if (d > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, d, &v))
			return false;
	}
	*out = v;
	return true;
}

bool text_i64(struct slice s, int64_t *out)
{
	bool negative = s.n && s.p[0] == '-';
	uint64_t v;

	if (!text_u64(slice_sub(s, negative, s.n), &v) || v > (uint64_t)INT64_MAX + negative)
		return false;
	*out = negative ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

/* The parts of a decimal number: digits * 10^exp, where the last digit is not 0 (or digits is 0).
 */
struct decimal {
	uint64_t digits;
	int64_t exp;
	bool negative, too_big;
};

/* Appends one digit; zeros wait in *zeros until a digit other than 0 follows. */
static void decimal_digit(struct decimal *d, unsigned digit, int64_t *zeros)
{
	if (digit == 0) {
		++*zeros;
		return;
	}
	if (d->digits == 0)
		*zeros = 0;
	for (int64_t i = 0; i <= *zeros && !d->too_big; i++)
		d->too_big = __builtin_mul_overflow(d->digits, 10, &d->digits);
	d->too_big |= __builtin_add_overflow(d->digits, digit, &d->digits);
	*zeros = 0;
}

static bool decimal_exponent(struct slice s, int64_t *exp)
{
	bool negative = s.n && s.p[0] == '-';
	int64_t v = 0;

	if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
		s = slice_sub(s, 1, s.n);
	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = MIN_OF(v * 10 + (s.p[i] - '0'), INT64_C(1000000));
	}
	*exp = negative ? -v : v;
	return true;
}

static bool decimal_parse(struct slice s, struct decimal *d)
{
	int64_t zeros = 0, exponent = 0, frac = 0;
	size_t i = 0, before = 0;
	bool point = false;

	*d = (struct decimal){.negative = s.n && s.p[0] == '-'};
	for (i = d->negative; i < s.n; i++) {
		if (s.p[i] == '.' && !point) {
			point = true;
			before = i;
		} else if (s.p[i] >= '0' && s.p[i] <= '9') {
			decimal_digit(d, (unsigned)(s.p[i] - '0'), &zeros);
			frac += point;
		} else {
			break;
		}
	}
	/* There is a digit before the point and, if there is a point, one behind it. */
	if ((point ? before : i) == (size_t)d->negative || (point && frac == 0))
		return false;
	if (i < s.n) {
		if ((s.p[i] | 0x20) != 'e' || !decimal_exponent(slice_sub(s, i + 1, s.n), &exponent))
			return false;
	}
	d->exp = exponent - frac + zeros;
	return true;
}

enum errc text_decimal(struct slice s, int scale, int64_t *out)
{
	struct decimal d;

	if (!decimal_parse(s, &d))
		return ERRC_SYNTAX;
	if (d.too_big)
		return ERRC_RANGE;
	if (d.digits == 0) {
		*out = 0;
		return ERRC_OK;
	}
	d.exp += scale;
	if (d.exp < 0)
		return ERRC_RANGE;
	for (; d.exp > 0; d.exp--)
		if (__builtin_mul_overflow(d.digits, 10, &d.digits))
			return ERRC_RANGE;
	if (d.digits > (uint64_t)INT64_MAX + d.negative)
		return ERRC_RANGE;
	*out = d.negative ? (int64_t)(0 - d.digits) : (int64_t)d.digits;
	return ERRC_OK;
}

size_t text_decimal_print(int64_t v, int scale, int min_frac, char *out)
{
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	char digits[TEXT_DECIMAL_MAX], *end = digits + sizeof(digits), *p = end, *at = out;
	size_t whole, frac = (size_t)scale;

	require(scale >= 0 && scale <= 20 && min_frac >= 0 && min_frac <= scale);
	for (; u || end - p <= scale; u /= 10)
		*--p = (char)('0' + u % 10);
	whole = (size_t)(end - p) - frac;
	for (; frac > (size_t)min_frac && end[-1] == '0'; frac--)
		end--;
	if (v < 0)
		*at++ = '-';
	memcpy(at, p, whole);
	at += whole;
	if (frac) {
		*at++ = '.';
		memcpy(at, p + whole, frac);
		at += frac;
	}
	*at = '\0';
	return (size_t)(at - out);
}

size_t text_u64_print(uint64_t v, char *out)
{
	char digits[20], *end = digits + sizeof(digits), *p = end;

	do
		*--p = (char)('0' + v % 10);
	while (v /= 10);
	memcpy(out, p, (size_t)(end - p));
	out[end - p] = '\0';
	return (size_t)(end - p);
}

struct unit {
	const char *name;
	int64_t factor;
};

/* "<digits><unit>"; without a unit the factor is `bare`. */
static bool number_with_unit(struct slice s, const struct unit *units, size_t count, int64_t bare,
			     int64_t *out)
{
	size_t n = 0;
	int64_t v, factor = bare;
	struct slice name;

	while (n < s.n && s.p[n] >= '0' && s.p[n] <= '9')
		n++;
	if (!text_i64(slice_sub(s, 0, n), &v))
		return false;
	name = slice_sub(s, n, s.n);
	if (name.n) {
		size_t i = 0;

		while (i < count && !slice_is(name, units[i].name))
			i++;
		if (i == count)
			return false;
		factor = units[i].factor;
	}
	return !__builtin_mul_overflow(v, factor, out);
}

bool text_duration_ms(struct slice s, int64_t unit_ms, int64_t *out)
{
	static const struct unit units[] = {
		{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000},
	};

	return number_with_unit(s, units, ARRAY_LEN(units), unit_ms, out);
}

bool text_bytes(struct slice s, int64_t *out)
{
	static const int64_t k = 1024;
	static const struct unit units[] = {
		{"B", 1},
		{"k", k},
		{"K", k},
		{"KiB", k},
		{"m", k * k},
		{"M", k * k},
		{"MiB", k * k},
		{"g", k * k * k},
		{"G", k * k * k},
		{"GiB", k * k * k},
		{"TiB", k * k * k * k},
		{"kB", 1000},
		{"KB", 1000},
		{"MB", 1000000},
		{"GB", 1000000000},
	};

	return number_with_unit(s, units, ARRAY_LEN(units), 1, out);
}

uint64_t text_hash(struct slice s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return h;
}

/* In the machine's order. */
static uint64_t load_word(const char *p, size_t n)
{
	uint64_t v = 0;

	memcpy(&v, p, n);
	return v;
}

/* All of at most sixteen bytes: which they are is told by these together with how many they are. */
static void load_ends(struct slice s, uint64_t w[2])
{
	size_t n = s.n >= 8 ? 8 : s.n >= 4 ? 4 : s.n >= 2 ? 2 : s.n;

	w[0] = w[1] = 0;
	if (n == 8) {
		w[0] = load_word(s.p, 8);
		w[1] = load_word(slice_end(s) - 8, 8);
	} else if (n > 0) {
		w[0] = load_word(s.p, n);
		w[1] = load_word(slice_end(s) - n, n);
	}
}

/* Both halves of a product: nothing is told of it by one of the factors while the other is not known. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

uint64_t text_hash_wide(const uint64_t seed[2], struct slice s)
{
	uint64_t h = seed[0], w[2];
	size_t n = s.n;

	for (; s.n > 16; s = slice_sub(s, 16, s.n))
		h = fold(h ^ load_word(s.p, 8), seed[1] ^ load_word(s.p + 8, 8));
	load_ends(s, w);
	h = fold(h ^ w[0], seed[1] ^ w[1]);
	return fold(h ^ n, seed[1]);
}

static uint64_t load_le(const void *p, size_t n)
{
	const unsigned char *b = p;
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v |= (uint64_t)b[i] << 8 * i;
	return v;
}

static uint64_t rotl(uint64_t x, int n)
{
	return x << n | x >> (64 - n);
}

static void sip_rounds(uint64_t v[4], int n)
{
	while (n--) {
		v[0] += v[1];
		v[1] = rotl(v[1], 13) ^ v[0];
		v[0] = rotl(v[0], 32);
		v[2] += v[3];
		v[3] = rotl(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotl(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotl(v[1], 17) ^ v[2];
		v[2] = rotl(v[2], 32);
	}
}

bool text_is_word(struct slice s, size_t max)
{
	/* One bit a character: "+-./0123456789:", then "@A…Z_a…z". */
	static const uint64_t set[2] = {UINT64_C(0x07ffe80000000000), UINT64_C(0x07fffffe87ffffff)};
	uint64_t all = 1;

	if (s.n == 0 || s.n > max)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = (uint8_t)s.p[i];

		all &= c < 128 ? set[c >> 6] >> (c & 63) : 0;
	}
	return all;
}

uint64_t text_hash_keyed(const uint8_t seed[16], struct slice s)
{
	uint64_t k0 = load_le(seed, 8), k1 = load_le(seed + 8, 8);
	uint64_t v[4] = {k0 ^ UINT64_C(0x736f6d6570736575), k1 ^ UINT64_C(0x646f72616e646f6d),
			 k0 ^ UINT64_C(0x6c7967656e657261), k1 ^ UINT64_C(0x7465646279746573)};
	size_t at = 0;
	uint64_t last;

	for (; s.n - at >= 8; at += 8) {
		uint64_t m = load_le(s.p + at, 8);

		v[3] ^= m;
		sip_rounds(v, 2);
		v[0] ^= m;
	}
	last = (uint64_t)s.n << 56 | load_le(s.p + at, s.n - at);
	v[3] ^= last;
	sip_rounds(v, 2);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

uint64_t text_rng_next(struct text_rng *r)
{
	uint64_t a = r->s[0], b = r->s[1];

	if ((a | b) == 0)
		a = UINT64_C(0x9e3779b97f4a7c15); /* the all-zero state would stay zero */
	r->s[0] = b;
	a ^= a << 23;
	r->s[1] = a ^ b ^ (a >> 17) ^ (b >> 26);
	return r->s[1] + b;
}
