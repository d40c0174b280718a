#include "bound.h"

/* Defaults of design 3.2, used where the model's row says nothing. */
#define BOUND_IMAGE_TOKENS     2000
#define BOUND_MEDIA_TOKENS_KIB 64
#define BOUND_INPUT_OVERHEAD   96
#define BOUND_TOOLS_OVERHEAD   600
#define BOUND_MESSAGE_TOKENS   8
#define BOUND_TOOL_TOKENS      16
#define BOUND_MAX              INT64_C(1000000000000) /* no context is larger; keeps sums safe */

enum { BOUND_OTHER, BOUND_LETTER, BOUND_SPACE };

static inline int bound_class(unsigned char c)
{
	if ((unsigned char)((c | 0x20) - 'a') < 26)
		return BOUND_LETTER;
	return c == ' ' ? BOUND_SPACE : BOUND_OTHER;
}

void bound_push(struct bound_run *r, struct slice piece)
{
	uint64_t tokens = r->tokens;
	uint32_t letters = r->letters, spaces = r->spaces;

	for (size_t i = 0; i < piece.n; i++) {
		int c = bound_class((unsigned char)piece.p[i]);

		if (c == BOUND_LETTER) {
			/* Every odd letter of a run opens a new pair. */
			tokens += !(letters & 1);
			letters++;
			spaces = 0;
			continue;
		}
		letters = 0;
		if (c == BOUND_SPACE) {
			tokens += spaces > 0;
			spaces = 1;
			continue;
		}
		spaces = 0;
		tokens++;
	}
	r->tokens = tokens;
	r->letters = letters & 1;
	r->spaces = spaces;
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
