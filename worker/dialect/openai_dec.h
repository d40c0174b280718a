/* Decoder of answers of the OpenAI family for a client of the same dialect: stream items and pieces of whole bodies as IR_RAW,
 * with what they hold. Functions are those of struct dialect_back. */
#ifndef AIGW_OPENAI_DEC_H
#define AIGW_OPENAI_DEC_H

#include "caps.h"
#include "chat_brief.h"
#include "chat_chunk.h"
#include "dialect.h"
#include "json_cut.h"
#include "sse.h"

enum openai_dec_mode {
	OPENAI_DEC_STREAM,
	OPENAI_DEC_PLAIN, /* announced as a stream, but the body is one JSON text */
	OPENAI_DEC_WHOLE, /* kept until its end */
	OPENAI_DEC_LONG,  /* too large to keep: flows */
};

/* A whole body around the value of `usage`; without one all of it but the last brace is `before`. */
struct openai_parts {
	struct slice before, usage, after;
};

struct openai_dec {
	struct dialect_dec_opts o;
	enum openai_dec_mode mode;
	struct sse sse;
	struct buf body;     /* PLAIN, WHOLE: what came so far */
	struct json_cut cut; /* LONG; so is the next */
	struct chat_brief brief;
	struct slice in;         /* LONG: not consumed yet */
	struct chat_chunk chunk; /* of the last item, of the whole body */
	struct openai_parts parts;
	struct usage usage;
	enum usage_tier tier; /* as any item named it */
	struct fault fault;
	struct dialect_verdict verdict;
	unsigned bad, step;
	bool started, finished, eof, over;
	bool bundled; /* an item held several choices: which of them finished is not known */
	uint64_t begun[2],
		closed[2]; /* choices with content, with a finish; from 128 on they are not tracked */
};

void openai_dec_init(void *dec, const struct dialect_dec_opts *o);
enum errc openai_dec_push(void *dec, struct slice bytes);
int openai_dec_next(void *dec, struct ir_event *ev);
enum errc openai_dec_finish(void *dec);
void openai_dec_fini(void *dec);
unsigned openai_dec_bad_count(const void *dec);

/* The event of a failure after status 200: from an error text of the provider, or in our words. For openai_*.c. */
int openai_dec_error(struct openai_dec *d, struct slice error, struct ir_event *ev);
int openai_dec_broken(struct openai_dec *d, const char *what, struct ir_event *ev);
/* Puts what such an object says into the event, at this tier if the answer names it elsewhere. */
void openai_dec_usage(struct openai_dec *d, struct slice json, enum usage_tier tier,
		      struct ir_event *ev);
/* The same of the item, or body, that tells of a failure: what it used is charged, or is our cost. Zeros there take nothing back. */
void openai_dec_spent(struct openai_dec *d, struct ir_event *ev);
/* Whole bodies (openai_whole.c). */
enum errc openai_whole_push(struct openai_dec *d, struct slice bytes);
int openai_whole_next(struct openai_dec *d, struct ir_event *ev);

#endif
