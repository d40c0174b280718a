/* An answer's body while it is being built: frames, the marks at their ends, the place where a fault cuts it. Pure; the first failure stays in
 * `e` and makes what follows do nothing. */
#ifndef AIGW_ABUILD_H
#define AIGW_ABUILD_H

#include "answer.h"

#define ABUILD_NO_CUT SIZE_MAX

/* Everything but `body` is borrowed. */
struct abuild {
	struct answer *a;
	const struct answer_ask *ask;
	const struct script *s;
	struct buf body;
	size_t cut;      /* the body ends here, inside a frame or between two */
	int64_t content; /* content events so far */
	int64_t output;  /* tokens so far */
	bool faulty;
	enum errc e;
};

void abuild_put(struct abuild *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void abuild_puts(struct abuild *b, const char *text);
/* The member of that name, with a comma behind it. */
void abuild_put_model(struct abuild *b);
/* The member of a usage object that tells of searches, where the script wants one. */
void abuild_put_searches(struct abuild *b);
/* The text of the i-th token, so that all of them together have the wanted size or are the wanted text. */
void abuild_put_token(struct abuild *b, int64_t i);
/* A frame ends here; the player waits `ms` before what follows. */
void abuild_mark(struct abuild *b, int64_t ms);
/* The blank line, then the mark. */
void abuild_close(struct abuild *b, int64_t ms);
/* The body ends at this byte; the first cut stays. */
void abuild_cut(struct abuild *b, size_t at, enum answer_end end);
/* Faults between two content events. */
void abuild_between(struct abuild *b);

bool abuild_faults(const struct abuild *b, enum script_fault f);
bool abuild_usage_is(const struct abuild *b, const char *word);
const char *abuild_nl(const struct abuild *b);
int64_t abuild_token_ms(const struct abuild *b);
int64_t abuild_prompt_tokens(const struct abuild *b);
/* Content tokens: what the script wants, at most the request's cap. */
int64_t abuild_count_tokens(const struct abuild *b);
const char *abuild_finish_word(const struct abuild *b, const char *stop, const char *tools,
			       const char *length);

/* The bodies. */
void answer_chat_stream(struct abuild *b);
void answer_chat_whole(struct abuild *b);
void answer_embeddings(struct abuild *b);
void answer_messages_stream(struct abuild *b);
void answer_messages_whole(struct abuild *b);

#endif
