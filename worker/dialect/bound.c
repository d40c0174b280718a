#include "bound.h"

#ifdef __SSE2__
#include <emmintrin.h>
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
#define FEW                    4 /* fewer bytes are quicker one by one */
#define EVEN                   UINT64_C(0x5555555555555555)

/* A bit for each of the first n of BLOCK bytes: is it a letter, is it a space? Those behind are not defined. */
#ifdef __SSE2__
static void classify(const char *p, size_t n, uint64_t *letters, uint64_t *spaces)
{
	const __m128i low = _mm_set1_epi8(0x20), below = _mm_set1_epi8('a' - 1),
		      above = _mm_set1_epi8('z' + 1);

	*letters = *spaces = 0;
	for (size_t i = 0; i < n; i += 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(p + i)), small = _mm_or_si128(v, low);
		__m128i is =
			_mm_and_si128(_mm_cmpgt_epi8(small, below), _mm_cmpgt_epi8(above, small));

		*letters |= (uint64_t)(unsigned)_mm_movemask_epi8(is) << i;
		*spaces |= (uint64_t)(unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(v, low)) << i;
	}
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

static void classify(const char *p, size_t n, uint64_t *letters, uint64_t *spaces)
{
	uint8_t is_letter[BLOCK], is_space[BLOCK];

	(void)n;
	for (int i = 0; i < BLOCK; i++) {
		is_letter[i] = (uint8_t)(((unsigned char)p[i] | 0x20) - 'a') < 26;
		is_space[i] = p[i] == ' ';
	}
	*letters = block_bits(is_letter);
	*spaces = block_bits(is_space);
}
#endif

static unsigned count_ones(uint64_t x)
{
	x -= x >> 1 & EVEN;
	x = (x & UINT64_C(0x3333333333333333)) + (x >> 2 & UINT64_C(0x3333333333333333));
	x = (x + (x >> 4)) & UINT64_C(0x0f0f0f0f0f0f0f0f);
	return (unsigned)((x * UINT64_C(0x0101010101010101)) >> 56);
}

/* Of the letters: those at an even place of their run, which open a pair. `open` is true when the
 * block's first byte is the second of a pair. */
static uint64_t pairs_of(uint64_t letters, bool open)
{
	uint64_t starts = letters & ~(letters << 1) & EVEN & ~(uint64_t)open;
	uint64_t even_runs = letters & ~(letters + starts); /* adding to a run's start clears it */

	return (even_runs & EVEN) | (letters & ~even_runs & ~EVEN);
}

/* The first n of BLOCK readable bytes without a branch, because text has no order that a processor could foresee. */
static void push_block(struct bound_run *r, const char *p, size_t n)
{
	uint64_t letters, spaces, pairs, again, here = ~UINT64_C(0) >> (BLOCK - n);

	classify(p, n, &letters, &spaces);
	letters &= here;
	spaces &= here;
	pairs = pairs_of(letters, r->letters);
	again = spaces & (spaces << 1 | r->spaces);
	r->tokens += count_ones((~(letters | spaces) & here) | pairs | again);
	r->letters = pairs >> (n - 1) & 1;
	r->spaces = spaces >> (n - 1) & 1;
}

static void push_byte(struct bound_run *r, char c)
{
	bool letter = (uint8_t)(((unsigned char)c | 0x20) - 'a') < 26;

	if (letter)
		r->tokens += !r->letters; /* every odd letter of a run opens a new pair */
	else
		r->tokens += c != ' ' || r->spaces;
	r->letters = letter && !r->letters;
	r->spaces = c == ' ';
}

void bound_push(struct bound_run *r, struct slice piece)
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
	for (i++; i < s.n && s.p[i] != '"'; i++)
		if (s.p[i] == '\\')
			i++;
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

int64_t bound_tokens(const struct bound *b, const struct bound_model *m)
{
	int64_t image = bound_or(m->image_tokens, BOUND_IMAGE_TOKENS);
	int64_t per_kib = bound_or(m->media_tokens_per_kib, BOUND_MEDIA_TOKENS_KIB);
	uint64_t kib = (MIN_OF(b->media_bytes, (uint64_t)BOUND_MAX) + 1023) / 1024;
	int64_t sum = bound_or(m->input_overhead, BOUND_INPUT_OVERHEAD);

	if (m->context > 0 && b->whole_context)
		return m->context;
	if (b->tools)
		sum += BOUND_TOOLS_OVERHEAD;
	sum += (int64_t)MIN_OF(b->text, (uint64_t)BOUND_MAX);
	sum += BOUND_MESSAGE_TOKENS * (int64_t)b->messages + BOUND_TOOL_TOKENS * (int64_t)b->tools;
	sum += (int64_t)b->images * MIN_OF(image, INT64_C(1000000));
	sum += (int64_t)kib * MIN_OF(per_kib, INT64_C(1000000));
	sum = MIN_OF(sum, BOUND_MAX);
	return m->context > 0 ? MIN_OF(sum, m->context) : sum;
}
