/* Decoder of Anthropic's answers into neutral events, streamed and whole. Functions are those of struct dialect_back. */
#ifndef AIGW_ANTHROPIC_DEC_H
#define AIGW_ANTHROPIC_DEC_H

#include "dialect.h"
#include "json.h"
#include "sse.h"
#include "usage_raw.h"

#define ANTHROPIC_QUEUE 4 /* events that one item or block makes at most */

enum anthropic_block {
	ANTHROPIC_BLOCK_NONE,
	ANTHROPIC_BLOCK_TEXT,
	ANTHROPIC_BLOCK_THINKING,
	ANTHROPIC_BLOCK_TOOL,
	ANTHROPIC_BLOCK_OTHER, /* of tools that the provider runs: what it searched for and found */
};

/* Counts as the provider gives them; -1: not given. */
struct anthropic_counts {
	int64_t input, cache_read, write, write_5m, write_1h, output, reasoning, searches;
};

struct anthropic_dec {
	struct dialect_dec_opts o;
	struct sse sse;
	struct buf body;       /* a whole answer, or an error that came in place of a stream */
	struct buf text, more; /* unescaped texts of the events in the queue */
	struct json_doc *doc;  /* of a whole answer */
	struct json_iter blocks;
	struct ir_event queue[ANTHROPIC_QUEUE];
	unsigned queued, given;
	enum anthropic_block block;
	bool has_args;
	unsigned tools;
	struct anthropic_counts counts;
	struct usage usage;
	struct usage_raw raw;
	struct fault fault;
	struct dialect_verdict verdict;
	enum errc err;
	bool plain, seen, finished, eof, over;
};

void anthropic_dec_init(void *dec, const struct dialect_dec_opts *o);
enum errc anthropic_dec_push(void *dec, struct slice bytes);
int anthropic_dec_next(void *dec, struct ir_event *ev);
enum errc anthropic_dec_finish(void *dec);
void anthropic_dec_fini(void *dec);
unsigned anthropic_dec_bad_count(const void *dec);

/* For anthropic_*.c. */
struct ir_event *anthropic_put(struct anthropic_dec *d, enum ir_kind kind);
void anthropic_put_error(struct anthropic_dec *d, struct slice body);
void anthropic_put_broken(struct anthropic_dec *d, const char *what);
void anthropic_put_tool(struct anthropic_dec *d, struct slice id, struct slice name);
/* Stop reason and usage: the events of the answer's end. */
void anthropic_put_finish(struct anthropic_dec *d, struct slice word, struct slice explanation);
/* Takes over every number that the object has. False when it is no object. */
bool anthropic_usage(struct anthropic_dec *d, struct slice object);
/* The events of a whole answer, a few at a time (anthropic_whole.c). */
void anthropic_whole_step(struct anthropic_dec *d);

#endif
