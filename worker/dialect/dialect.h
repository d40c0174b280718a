/* Dialects as tables of pure functions: a front faces the client, a back faces a provider. No I/O,
 * clock, randomness or globals: time, ids and prices come in `struct dialect_env`. States (scan,
 * dec, enc) are memory of the caller of the size that the row names; they may own heap memory
 * between init and fini. An answer, whole or streamed, is read with dec_push(dec, bytes) for each
 * piece, then dec_next(dec, &ev) as long as it gives 1, each event going to enc_event(enc, &ev,
 * out); when the body ended, dec_finish(dec) and the same loop again: the last event is IR_END or
 * IR_ERROR. The same loop serves pass-through: a back that shares the front's dialect
 * (dec_opts.raw) yields IR_RAW events. */
#ifndef AIGW_DIALECT_H
#define AIGW_DIALECT_H

#include "dialect_io.h"

struct dialect_front {
	const char *name;
	enum dialect_front_id id;
	size_t scan_size, enc_size;
	/* The body arrives in pieces, pushed as `len` new bytes at p. An error sets the fault; the
	 * first one stays. */
	/* depth_max: levels of nesting, at most LIMIT_JSON_DEPTH. */
	void (*scan_init)(void *scan, enum dialect_op op, unsigned depth_max);
	enum errc (*scan_push)(void *scan, const char *p, size_t len, struct fault *f);
	/* `body` is all that was pushed, in one piece, and must stay valid as long as `out` is
	 * used. */
	enum errc (*scan_end)(void *scan, struct slice body, struct dialect_facts *out,
			      struct fault *f);
	void (*scan_fini)(void *scan);
	/* Only for translation. The tree lives in the arena. */
	enum errc (*read_request)(const struct dialect_facts *facts, struct slice body,
				  struct arena *a, struct ir_request **out, struct fault *f);
	void (*enc_init)(void *enc, const struct dialect_enc_opts *o);
	/* Appends what the event makes of the answer. After IR_END the answer is complete. IR_ERROR
	 * is not for here. */
	enum errc (*enc_event)(void *enc, const struct ir_event *ev, struct buf *out);
	/* An item is held back for what may follow: call enc_flush() at the next event of any kind,
	 * or after 250 ms. */
	bool (*enc_is_holding)(const void *enc);
	enum errc (*enc_flush)(void *enc, struct buf *out);
	/* The gateway ends a stream before its provider does: the finish reason `length` for every
	 * choice that has none yet. IR_END follows. */
	enum errc (*enc_stop)(void *enc, struct buf *out);
	void (*enc_fini)(void *enc);
	/* The JSON body of an error answer; the last item of a stream that failed. */
	enum errc (*write_fault)(const struct fault *f, struct slice request_id, struct buf *out);
	enum errc (*write_fault_event)(const struct fault *f, struct slice request_id,
				       struct buf *out);
	struct slice keepalive; /* a sign of life in a stream */
};

struct dialect_back {
	const char *name;
	enum ptable_dialect id;
	size_t dec_size;
	/* ERRC_INVAL with the fault set: this back cannot express the request. */
	enum errc (*write_request)(const struct dialect_ask *ask, struct dialect_request *out,
				   struct fault *f);
	void (*dec_init)(void *dec, const struct dialect_dec_opts *o);
	/* The next bytes of the provider's body. `bytes` must stay valid until dec_next() returned
	 * 0. Errors of the content come as IR_ERROR; the result is for memory and limits. */
	enum errc (*dec_push)(void *dec, struct slice bytes);
	/* 1 = *ev is the next event, valid until the next call; 0 = push more; <0 = -errc. */
	int (*dec_next)(void *dec, struct ir_event *ev);
	/* The body ended. Whether that was the proper end is the last event's word. */
	enum errc (*dec_finish)(void *dec);
	void (*dec_fini)(void *dec);
	/* Unreadable events that were left out or passed on. */
	unsigned (*dec_bad_count)(const void *dec);
	void (*classify)(const struct dialect_answer *a, struct fault *f, struct dialect_verdict *v);
};

/* Static rows; NULL for a number that has none. */
const struct dialect_front *dialect_front(enum dialect_front_id id);
const struct dialect_back *dialect_back(enum ptable_dialect id);
/* Whether this back speaks the front's dialect, so that bodies pass through. */
bool dialect_is_same(const struct dialect_front *f, const struct dialect_back *b);

#endif
