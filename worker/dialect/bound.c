#include "bound.h"

#include "jstep.h"

#if defined(__x86_64__)
#include <immintrin.h>
#else
#include <endian.h>
#endif

/* Defaults of design 3.2, used where the model's row says nothing. */
#define BOUND_IMAGE_TOKENS     2000
#define BOUND_MEDIA_TOKENS_KIB 64
#define BOUND_INPUT_OVERHEAD   96
#define BOUND_TOOLS_OVERHEAD   600
#define BOUND_MESSAGE_TOKENS   8
#define BOUND_TOOL_TOKENS      16
#define BOUND_MAX              INT64_C(1000000000000) /* no context is larger; keeps sums safe */

#define BLOCK                  64
#define FEW                    4           /* fewer bytes are quicker one by one */
#define WIDE                   (2 * BLOCK) /* more bytes are worth the question what the processor has */
#define EVEN                   UINT64_C(0x5555555555555555)
#define SMALL_UP               2 /* moves the bit that small letters have to the sign of its byte */

/* What is asked of each of BLOCK bytes, a bit for each: is it a letter, a small one, a space? */
struct block {
	uint64_t letters, small, spaces;
};

/* Bits of bytes behind the first n are not defined. */
#if defined(__x86_64__)
static struct block classify(const char *p, size_t n)
{
	const __m128i low = _mm_set1_epi8(0x20), first = _mm_set1_epi8((char)(0x80 - 'a')),
		      end = _mm_set1_epi8((char)(0x80 + 26));
	struct block b = {0, 0, 0};

	for (size_t i = 0; i < n; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
		/* From the least of signed numbers on stand the letters. */
		__m128i is = _mm_cmplt_epi8(_mm_add_epi8(_mm_or_si128(v, low), first), end);

		b.letters |= (uint64_t)(unsigned)_mm_movemask_epi8(is) << i;
		b.small |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_slli_epi16(v, SMALL_UP)) << i;
		b.spaces |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, low)) << i;
	}
	b.small &= b.letters;
	return b;
}
#else
static uint64_t block_bits(const uint8_t *flags)
{
	uint64_t bits = 0, eight;

	for (int i = 0; i < BLOCK; i += 8) {
		memcpy(&eight, flags + i, sizeof(eight));
		bits |= (le64toh(eight) * UINT64_C(0x0102040810204080)) >> 56 << i;
	}
	return bits;
}

static struct block classify(const char *p, size_t n)
{
	uint8_t is_letter[BLOCK], is_small[BLOCK], is_space[BLOCK];

	(void)n;
	for (int i = 0; i < BLOCK; i++) {
		is_letter[i] = (uint8_t)(((unsigned char)p[i] | 0x20) - 'a') < 26;
		is_small[i] = (uint8_t)((unsigned char)p[i] - 'a') < 26;
		is_space[i] = p[i] == ' ';
	}
	return (struct block){block_bits(is_letter), block_bits(is_small), block_bits(is_space)};
}
#endif

static uint64_t ones_by_four(uint64_t x)
{
	x -= x >> 1 & EVEN;
	return (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
}

/* In both together. */
static unsigned count_ones(uint64_t a, uint64_t b)
{
	uint64_t x = ones_by_four(a) + ones_by_four(b);

	x = (x & UINT64_C(0x0f0f0f0f0f0f0f0f)) + (x >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f));
	return (unsigned)((x * UINT64_C(0x0101010101010101)) >> 56);
}

/* Of the letters: those at an even place of their run, which open a pair. `open` is 1 when the block's first byte is the
 * second of a pair. */
static inline uint64_t pairs_of(uint64_t letters, uint64_t open)
{
	uint64_t starts = letters & ~(letters << 1 | open) & EVEN;

	/* Adding to a run's start clears the run: those that start at an even place. */
	return letters & ((letters + starts) ^ EVEN);
}

/* Bytes that begin no token: the second letters of pairs, single spaces. Without a branch, because text has no order that a
 * processor could foresee. */
static inline uint64_t free_of(struct block b, uint64_t pairs, uint64_t behind_space)
{
	return (b.letters & ~pairs) | (b.spaces & ~(b.spaces << 1 | behind_space));
}

/* Capitals behind a small letter, of which each is one more: where case alternates, hardly two letters are a token. */
static inline uint64_t bumps_of(struct block b, uint64_t behind_small)
{
	return b.letters & ~b.small & (b.small << 1 | behind_small);
}

/* The first n of BLOCK readable bytes. */
static void push_block(struct bound_run *r, const char *p, size_t n)
{
	struct block b = classify(p, n);
	uint64_t here = ~UINT64_C(0) >> (BLOCK - n), pairs;

	b.letters &= here;
	b.small &= here;
	b.spaces &= here;
	pairs = pairs_of(b.letters, r->letters);
	r->tokens += count_ones(here & ~free_of(b, pairs, r->spaces), bumps_of(b, r->small));
	r->letters = pairs >> (n - 1) & 1;
	r->small = b.small >> (n - 1) & 1;
	r->spaces = b.spaces >> (n - 1) & 1;
}

static void push_byte(struct bound_run *r, char c)
{
	bool letter = (uint8_t)(((unsigned char)c | 0x20) - 'a') < 26, small = letter && c >= 'a';

	if (letter) /* every odd letter of a run opens a new pair */
		r->tokens += !r->letters + (r->small && !small);
	else
		r->tokens += c != ' ' || r->spaces;
	r->letters = letter && !r->letters;
	r->small = small;
	r->spaces = c == ' ';
}

#if defined(__x86_64__)
/* Which of the 32 bytes at p, of which one stands before, are a capital behind a small letter: -1 each. */
__attribute__((target("avx2"))) static inline __m256i bumps_wide(const char *p)
{
	const __m256i big = _mm256_set1_epi8((char)(0x80 - 'A')),
		      first = _mm256_set1_epi8((char)(0x80 - 'a')),
		      end = _mm256_set1_epi8((char)(0x80 + 26));
	__m256i v = _mm256_loadu_si256((const __m256i *)(const void *)p);
	__m256i before = _mm256_loadu_si256((const __m256i *)(const void *)(p - 1));

	return _mm256_and_si256(_mm256_cmpgt_epi8(end, _mm256_add_epi8(v, big)),
				_mm256_cmpgt_epi8(end, _mm256_add_epi8(before, first)));
}

/* The same for the whole blocks of `s` behind its first byte, where has_wide(). Returns the bytes that it took. */
__attribute__((target("avx2,popcnt,bmi"))) static size_t push_wide(struct bound_run *r,
								   struct slice s)
{
	const __m256i low = _mm256_set1_epi8(0x20), first = _mm256_set1_epi8((char)(0x80 - 'a')),
		      end = _mm256_set1_epi8((char)(0x80 + 26)), none = _mm256_setzero_si256();
	__m256i bumps = none;
	uint64_t tokens, open, behind_space, four[4];
	size_t at = 1;

	push_byte(r, s.p[0]); /* then each byte has one before it */
	tokens = r->tokens;
	open = r->letters;
	behind_space = r->spaces;
	for (; s.n - at >= BLOCK; at += BLOCK) {
		const __m256i *p = (const __m256i *)(const void *)(s.p + at);
		__m256i v = _mm256_loadu_si256(p), w = _mm256_loadu_si256(p + 1);
		__m256i is = _mm256_cmpgt_epi8(end, _mm256_add_epi8(_mm256_or_si256(v, low), first));
		__m256i js = _mm256_cmpgt_epi8(end, _mm256_add_epi8(_mm256_or_si256(w, low), first));
		uint64_t pairs;
		struct block b;

		b.letters = (uint64_t)(unsigned)_mm256_movemask_epi8(js) << 32 |
			    (unsigned)_mm256_movemask_epi8(is);
		is = _mm256_cmpeq_epi8(v, low);
		js = _mm256_cmpeq_epi8(w, low);
		b.spaces = (uint64_t)(unsigned)_mm256_movemask_epi8(js) << 32 |
			   (unsigned)_mm256_movemask_epi8(is);
		pairs = pairs_of(b.letters, open);
		tokens += BLOCK - (unsigned)__builtin_popcountll(free_of(b, pairs, behind_space));
		is = _mm256_add_epi8(bumps_wide(s.p + at), bumps_wide(s.p + at + BLOCK / 2));
		bumps = _mm256_add_epi64(bumps, _mm256_sad_epu8(_mm256_sub_epi8(none, is), none));
		open = pairs >> (BLOCK - 1);
		behind_space = b.spaces >> (BLOCK - 1);
	}
	_mm256_storeu_si256((__m256i *)(void *)four, bumps);
	*r = (struct bound_run){.tokens = tokens + four[0] + four[1] + four[2] + four[3],
				.letters = (uint32_t)open,
				.small = (uint8_t)(s.p[at - 1] - 'a') < 26,
				.spaces = (uint32_t)behind_space};
	return at;
}

static bool has_wide(void)
{
	return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("popcnt") &&
	       __builtin_cpu_supports("bmi");
}
#else
static size_t push_wide(struct bound_run *r, struct slice s)
{
	(void)r;
	(void)s;
	return 0;
}

static bool has_wide(void)
{
	return false;
}
#endif

void bound_push_narrow(struct bound_run *r, struct slice piece)
{
	size_t i = 0;

	for (; piece.n - i >= BLOCK; i += BLOCK)
		push_block(r, piece.p + i, BLOCK);
	if (piece.n - i >= FEW) {
		char rest[BLOCK] = {0};

		memcpy(rest, piece.p + i, piece.n - i);
		push_block(r, rest, piece.n - i);
		return;
	}
	for (; i < piece.n; i++)
		push_byte(r, piece.p[i]);
}

void bound_push(struct bound_run *r, struct slice piece)
{
	size_t done = piece.n >= WIDE && has_wide() ? push_wide(r, piece) : 0;

	bound_push_narrow(r, slice_of(piece.p + done, piece.n - done));
}

uint64_t bound_of(const struct bound_run *r)
{
	return r->tokens;
}

uint64_t bound_text(struct slice s)
{
	struct bound_run r = {0};

	bound_push(&r, s);
	return bound_of(&r);
}

/* The end of the string that begins at i, its quote included. */
static size_t bound_string_end(struct slice s, size_t i)
{
	for (i++; i < s.n; i++) {
		i = (size_t)(jstep_opaque(s.p + i, s.p + s.n) - s.p);
		if (i == s.n || s.p[i] == '"')
			break;
		if (s.p[i] == '\\')
			i++;
	}
	return MIN_OF(i + 1, s.n);
}

uint64_t bound_json(struct slice s)
{
	uint64_t tokens = 0;
	size_t i = 0, end;

	while (i < s.n) {
		char c = s.p[i];

		if (c == '"') {
			/* The two quotes count as bytes of their own. */
			end = bound_string_end(s, i);
			tokens += bound_text(slice_of(s.p + i, end - i));
			i = end;
			continue;
		}
		tokens += c != ' ' && c != '\n' && c != '\t' && c != '\r';
		i++;
	}
	return tokens;
}

static int64_t bound_or(int64_t given, int64_t dflt)
{
	return given > 0 ? MIN_OF(given, BOUND_MAX) : dflt;
}

/* The most that is read: the context, of each text of a list. But where pictures are charged by a factor, which is why a model says
 * what they cost, they are charged beyond it. */
static int64_t most(const struct bound *b, const struct bound_model *m)
{
	int64_t pictures = 0, texts = MAX_OF(b->texts, 1);

	if (m->context <= 0 || m->context > BOUND_MAX / texts)
		return BOUND_MAX;
	if (m->image_tokens > BOUND_IMAGE_TOKENS)
		pictures = (int64_t)b->images * MIN_OF(m->image_tokens, INT64_C(1000000));
	return MIN_OF(MAX_OF(m->context * texts, pictures), BOUND_MAX);
}

int64_t bound_tokens(const struct bound *b, const struct bound_model *m)
{
	int64_t image = bound_or(m->image_tokens, BOUND_IMAGE_TOKENS);
	int64_t per_kib = bound_or(m->media_tokens_per_kib, BOUND_MEDIA_TOKENS_KIB);
	uint64_t kib = (MIN_OF(b->media_bytes, (uint64_t)BOUND_MAX) + 1023) / 1024;
	int64_t sum = bound_or(m->input_overhead, BOUND_INPUT_OVERHEAD);

	if (m->context > 0 && (b->whole_context || (b->documents && m->media_tokens_per_kib <= 0)))
		return most(b, m);
	if (b->tools)
		sum += BOUND_TOOLS_OVERHEAD;
	sum += (int64_t)MIN_OF(b->text, (uint64_t)BOUND_MAX);
	sum += BOUND_MESSAGE_TOKENS * ((int64_t)b->messages + (int64_t)b->texts);
	sum += BOUND_TOOL_TOKENS * (int64_t)b->tools;
	sum += (int64_t)b->images * MIN_OF(image, INT64_C(1000000));
	sum += (int64_t)kib * MIN_OF(per_kib, INT64_C(1000000));
	return MIN_OF(sum, most(b, m));
}

int64_t bound_likely(const struct bound *b, int64_t tokens)
{
	int64_t ids = (int64_t)MIN_OF(b->ids, (uint64_t)tokens);

	return MAX_OF(ids + (tokens - ids) / 2, 1);
}
