/* What a chat stream says: its text as it comes, then how it ended, usage and cost. Pure: bytes of the body go in. */
#ifndef AIGW_CHAT_ANSWER_H
#define AIGW_CHAT_ANSWER_H

#include "http1.h"
#include "sse.h"

struct chat_answer {
	/* Called with each piece of text; valid during the call. */
	void (*on_text)(void *arg, struct slice text);
	void *arg;
	struct sse sse;
	struct buf whole; /* the body where it is no stream, and the text so far where it is */
	enum errc err;    /* sticky */
	int status;       /* of the head */
	bool is_stream, is_done, has_usage;
	bool has_error; /* an error answer or an error item: code and message are filled */
	char code[64], message[1024];
	char request_id[128], provider[64], model[128], finish[32];
	int64_t input, output, cached, reasoning;
	int64_t cost_nusd; /* -1: not told */
	size_t text_bytes;
};

void chat_answer_init(struct chat_answer *a, void (*on_text)(void *arg, struct slice text),
		      void *arg);
void chat_answer_fini(struct chat_answer *a);
void chat_answer_head(struct chat_answer *a, const struct http1_head *h);
/* False when the rest is of no use: an error item came, or a->err. */
bool chat_answer_body(struct chat_answer *a, struct slice part);
/* The body is complete: reads error answers. */
void chat_answer_end(struct chat_answer *a);

#endif
