/* An upper bound of the tokens of a request's input (design 3.2), counted while the body is
 * scanned: no tokenizer, integers only. Counters do not depend on the model; bound_tokens() applies
 * a model's figures. */
#ifndef AIGW_BOUND_H
#define AIGW_BOUND_H

#include "slice.h"

struct bound {
	uint64_t text;  /* tokens of all text, names, schemas and arguments */
	uint64_t ids;   /* of these, those that were given as ids: no more and no fewer */
	uint32_t texts; /* of a list, each one with a context of its own; 0: one */
	uint32_t messages, tools;
	uint32_t images;
	uint64_t media_bytes; /* audio and documents, decoded */
	bool documents;       /* of which some are documents: few bytes may be many pages */
	bool whole_context;   /* a URL, file id or server tool: anything up to the context */
	uint64_t predicted;   /* tokens of a prediction: may come back as rejected output */
};

/* Text in pieces: a run of n ASCII letters counts n/2 rounded up and 1 more for each capital behind a small letter, a
 * single space nothing, every other byte 1. All zero at the start of each text; where a text is cut does not matter. */
struct bound_run {
	uint64_t tokens;
	uint32_t letters, small,
		spaces; /* private: 1 behind the first of a pair, a small letter, a space */
};
void bound_push(struct bound_run *r, struct slice piece);
/* The same by what every processor has; bound_push() does not use it where there is better. */
void bound_push_narrow(struct bound_run *r, struct slice piece);
/* The tokens of the text so far, the open run included. */
uint64_t bound_of(const struct bound_run *r);
/* A text in one piece. */
uint64_t bound_text(struct slice s);
/* A JSON value as it stands: names, punctuation and the insides of strings; white space between
 * values is nothing. */
uint64_t bound_json(struct slice s);

struct bound_model {
	int64_t context, image_tokens, media_tokens_per_kib,
		input_overhead; /* 0: the default of design 3.2; context 0: none */
};
int64_t bound_tokens(const struct bound *b, const struct bound_model *m);
/* What it is likely to be, of a provider that does not tell, where bound_tokens() says `tokens`: half of it, for the bound is about
 * twice the real count of English text; but all ids. */
int64_t bound_likely(const struct bound *b, int64_t tokens);

#endif
