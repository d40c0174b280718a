/* The bytes of an answer, made from a script: head and body as they go over the wire, with the moments at which the player waits and how it
 * ends. Pure. */
#ifndef AIGW_ANSWER_H
#define AIGW_ANSWER_H

#include "buf.h"
#include "script.h"

enum answer_api {
	ANSWER_CHAT,
	ANSWER_COMPLETIONS,
	ANSWER_EMBEDDINGS,
	ANSWER_MODELS,
	ANSWER_MESSAGES,
	ANSWER_COUNT
};

enum answer_end { ANSWER_KEEP, ANSWER_CLOSE, ANSWER_RESET, ANSWER_HANG, ANSWER_ENDLESS };

/* What the request asked for. Slices are borrowed during answer_make(). */
struct answer_ask {
	enum answer_api api;
	struct slice model, user;
	bool stream, include_usage, base64;
	int64_t cap; /* 0: none */
	int64_t n;
	int64_t inputs; /* of embeddings */
	size_t body_bytes;
	uint64_t serial; /* makes the id */
	int64_t now_s;
};

/* At byte `at` of the wire the player waits `ms`; `tokens` were sent before it. */
struct answer_mark {
	size_t at;
	int64_t ms;
	int64_t tokens, events;
};

struct answer {
	struct buf wire;
	struct answer_mark *marks; /* owned */
	size_t marks_n, marks_max;
	enum answer_end end;
	int64_t input, output, cached, events; /* as reported when it is whole */
	bool complete;                         /* holds its proper end */
};

void answer_init(struct answer *a);
void answer_fini(struct answer *a);
/* Replaces what was in `a`. `faulty`: the script's status and fault count. */
MUSTCHECK enum errc answer_make(struct answer *a, const struct answer_ask *ask,
				const struct script *s, bool faulty);
/* A recorded body under a head of its own. */
MUSTCHECK enum errc answer_replay(struct answer *a, int status, struct slice content_type,
				  struct slice body);

#endif
