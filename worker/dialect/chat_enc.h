/* Encoder of the OpenAI front: events to stream items or to a whole body, under the stream contract A4: one finish reason a
 * choice, one usage with our cost, in the form that the client asked for. Functions are those of struct dialect_front. */
#ifndef AIGW_CHAT_ENC_H
#define AIGW_CHAT_ENC_H

#include "caps.h"
#include "chat_chunk.h"
#include "dialect.h"
#include "embeddings.h"
#include "json_out.h"

struct chat_enc {
	struct dialect_enc_opts o;
	bool is_text;     /* completions */
	bool usage_given; /* the client has its usage */
	bool holding;     /* `held` is a finish item that waits for its usage */
	bool has_usage;   /* the provider reported one */
	bool usage_due; /* of a whole body: its place is reached, and `held` is what came behind it */
	struct chat_seen seen;
	struct buf held, envelope; /* the item held back; the provider's own usage item */
	struct buf usage_json;     /* its last usage object */
	struct buf scratch;        /* the usage object as the client sees it */
	struct usage usage;
	char id[FAULT_PARAM_MAX], model[LIMIT_MODEL_NAME + 1];
	int64_t created_s;
	struct embeddings embeddings;
	struct chat_build *build; /* a translated whole answer being put together; owned */
	bool named, role_sent;
	unsigned thoughts; /* blocks of thinking that ended */
};

void chat_enc_init(void *enc, const struct dialect_enc_opts *o);
enum errc chat_enc_event(void *enc, const struct ir_event *ev, struct buf *out);
bool chat_enc_is_holding(const void *enc);
enum errc chat_enc_flush(void *enc, struct buf *out);
enum errc chat_enc_stop(void *enc, struct buf *out);
void chat_enc_fini(void *enc);

/* For chat_enc*.c: the usage object with cost, in e->scratch, valid until the next call. */
enum errc chat_enc_usage(struct chat_enc *e, struct slice *out);
/* Opens an item of the gateway's own: {"id":…,"object":…,"created":…,"model":…,"choices":[ */
void chat_enc_head(struct chat_enc *e, struct json_out *o, const char *object);
/* The provider's id, model and time, from the first event that has them. */
void chat_enc_names(struct chat_enc *e, const struct ir_event *ev);
/* Holds a finish item (JSON) back. */
enum errc chat_enc_hold(struct chat_enc *e, struct slice json);
/* Opens one entry of reasoning_details. */
void chat_enc_thought(struct json_out *o, const char *type, unsigned index);
/* An event of a translated answer: as a stream item, as a part of a whole body. */
enum errc chat_enc_ir(struct chat_enc *e, const struct ir_event *ev, struct buf *out);
/* Whether the answer comes in neutral events. */
bool chat_enc_is_ir(const struct chat_enc *e);
enum errc chat_enc_whole(struct chat_enc *e, const struct ir_event *ev, struct buf *out);
void chat_enc_whole_fini(struct chat_enc *e);

#endif
