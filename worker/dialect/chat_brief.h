/* A whole answer of the OpenAI family that is too long to keep, in brief: its text without the middle of long strings, of which the length is
 * kept, and without the inside of what says nothing of tokens (log probabilities, vectors). chat_chunk_read_brief() reads the same of it at any
 * moment as chat_chunk_read() of all that came. Checks no more of the text than it needs to find its way. Pure. */
#ifndef AIGW_CHAT_BRIEF_H
#define AIGW_CHAT_BRIEF_H

#include "buf.h"
#include "caps.h"

#define CHAT_BRIEF_MAX (256 * 1024)

struct chat_brief {
	struct buf text, shut;                  /* so far; the same with all that is open closed */
	struct buf cuts;                        /* of struct brief_cut, by their place */
	uint64_t arrays[LIMIT_JSON_DEPTH / 64]; /* one bit a level: array */
	unsigned depth, inner; /* containers that are open; in one that is left out */
	size_t safe;           /* what is in front of it needs only to be closed */
	size_t string_at, key_at, key_n;
	uint64_t beyond; /* bytes that came after it was full */
	enum errc err;   /* LIMIT: full; NOMEM */
	bool in_string, is_key, is_cut, after_colon, is_filled;
	bool in_escape, is_high; /* behind a backslash; behind the first half of a surrogate pair */
	unsigned hex;            /* digits of \u that are to come */
	uint32_t unicode;
};

/* No memory is taken until the first byte. */
void chat_brief_init(struct chat_brief *b);
void chat_brief_fini(struct chat_brief *b);
/* The next bytes, in any split. ERRC_NOMEM only; behind CHAT_BRIEF_MAX bytes of brief they are only counted. */
MUSTCHECK enum errc chat_brief_push(struct chat_brief *b, struct slice bytes);
/* A JSON text of what came so far, with the brief's strings: valid until the next call of either function. ERRC_NOMEM. */
MUSTCHECK enum errc chat_brief_shut(struct chat_brief *b, struct slice *out);
/* Bytes that are left out of the strings in a part of that text, unescaped. */
size_t chat_brief_missing(const struct chat_brief *b, struct slice part);
/* Whether it kept all that it should: else what came since counts as text, byte for byte. */
static inline bool chat_brief_is_full(const struct chat_brief *b)
{
	return b->err == ERRC_LIMIT;
}

#endif
