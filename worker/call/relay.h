/* One attempt's answer on its way: the provider's bytes -> decoder -> events -> encoder -> bytes for the client, and what was learned on the
 * way (usage, finish, content, whether the answer is committed). Knows no connection and no clock: the call moves what stands in `out`. The
 * caller reads all members; only relay_… writes them. */
#ifndef AIGW_RELAY_H
#define AIGW_RELAY_H

#include "dialect.h"

/* What came of an answer, or came by the time of a report. */
struct relay_came {
	bool is_told; /* an output that is reported covers it */
	int64_t seen, reasoning;
	uint64_t events, bytes, reasoning_events, reasoning_bytes; /* of which these are made */
	uint64_t sounds, sound_bytes, pictures;
};

struct relay {
	const struct dialect_front *front;
	const struct dialect_back *back;
	void *dec, *enc; /* in the arena; NULL before relay_init() */
	struct buf out;  /* encoded, not yet written to the client */
	struct dialect_dec_opts dec_opts;
	struct dialect_enc_opts enc_opts;
	bool stream;
	bool committed; /* content, reasoning or a tool went into `out` */
	bool ended;     /* the provider ended it properly; the encoder has not seen the end yet */
	bool failed;    /* `fault` says why; nothing follows */
	bool settling;  /* usage and finish are known: what follows waits for the charge */
	bool stopped; /* the hold is used up: ended by us, the provider goes on and nobody listens */
	bool reported; /* usage is the provider's */
	bool usage_positive, finish;
	enum ir_finish finish_kind;      /* the last one */
	char finish_word[IR_NATIVE_MAX]; /* the provider's, a word */
	size_t finish_word_n;
	unsigned frames;                            /* put into `out` before commit */
	uint64_t content_bytes, content_events;     /* so far */
	uint64_t reasoning_bytes, reasoning_events; /* of these: events of nothing but reasoning */
	uint64_t media_events, sounds;  /* of these: of nothing but sound and pictures; and sound */
	uint64_t sound_bytes, pictures; /* beside the content; ir.h */
	size_t taken;                   /* bytes of the provider's body so far */
	int64_t output_max; /* tokens of output that the hold covers beside the input, or fewer */
	int64_t output_asked; /* the cap of all choices together, which the hold pays at any price of output */
	int64_t picture_tokens; /* of one that nobody says more of */
	bool asked;             /* `room` was: it is exact */
	int64_t (*room)(void *arg, const struct usage *reported);
	void *room_arg;
	struct usage usage;
	struct relay_came told; /* by the last report of output; of pictures those that it covers */
	int64_t told_output, told_beside; /* by the last that covers all; may be no picture */
	/* Of the last usage, with no content since: came with the finish or behind it; in an item of its own; surely counts all choices. */
	bool last_word, usage_alone, counts_all;
	struct fault fault;
	struct dialect_verdict verdict; /* what a router makes of the fault */
	struct slice upstream_id;       /* a word, in the arena */
	char *usage_raw; /* the provider's usage, JSON text, in the arena: for relay_usage_raw() */
	size_t usage_raw_n, usage_raw_room;
	bool usage_raw_said; /* as it came */
	struct ir_event end; /* as the decoder said it, its bytes kept in `tail` */
	struct buf tail;
	enum errc errc; /* memory or a limit of ours */
};

/* What a push brought, for the progress slot. */
struct relay_gain {
	uint32_t events, bytes;
	bool usage, finish;
};

struct relay_opts {
	const struct dialect_front *front;
	const struct dialect_back *back;
	const struct dialect_facts *facts; /* borrowed for the relay's life, as the next two */
	const struct dialect_env *env;
	const struct ptable_provider *provider;
	struct arena *arena;
	bool stream; /* the provider answers with an event stream */
	size_t whole_bytes, out_max;
	int64_t output_asked; /* tokens of output that the request was capped at, of all choices together */
	int64_t picture_tokens; /* the model's output_image_tokens */
	/* Tokens of output that the hold covers beside this input (nothing reported: as estimated), with this reasoning among them or what was seen
	 * of it, INT64_MAX: any number. Only asked for streams; NULL: no hold. */
	int64_t (*room)(void *arg, const struct usage *reported);
	void *room_arg;
};

/* The fault behind an error of the encoder. True: the provider's, whose text could not be rewritten; false: ours. */
bool relay_fault(enum errc e, struct fault *f);

/* Tokens of output by what came of it: one a content-bearing event, or four bytes each, whichever is more (design 3.3). Sound and pictures
 * stand beside it. */
static inline int64_t relay_seen(const struct relay *r)
{
	return (int64_t)MAX_OF(r->content_events - r->media_events, r->content_bytes / 4);
}

/* Those of them that were shown as reasoning, which may have a price of its own. */
static inline int64_t relay_seen_reasoning(const struct relay *r)
{
	return (int64_t)MAX_OF(r->reasoning_events, r->reasoning_bytes / 4);
}

/* As many tokens as the sound has at most: one for each 128 bytes of it, less than any codec makes of one. */
int64_t relay_seen_sound(const struct relay_came *came);

/* Whether media came, and whether some did that no report covers, though there was one. */
bool relay_has_media(const struct relay *r);
bool relay_is_behind(const struct relay *r);
/* Whether more may have come than what is reported, if anything is: up to a finish, and behind it until the answer has ended but where it counts
 * all choices, for some providers report with each item, of its choice alone or always the same. Whether usage is the provider's last word. */
bool relay_is_cut(const struct relay *r);
bool relay_is_reported(const struct relay *r);

/* The first: ERRC_NOMEM only. The second is allowed at any time, also twice and on zeroed memory. */
MUSTCHECK enum errc relay_init(struct relay *r, const struct relay_opts *o);
void relay_fini(struct relay *r);

/* The next bytes. After `ended` or `failed` they are ignored. `gain` may be NULL. A stream that has sent surely more than the hold covers
 * is `stopped` and `ended` behind the chunk that did. */
void relay_push(struct relay *r, struct slice bytes, struct arena *a, struct relay_gain *gain);
/* The provider's body ended. Sets `ended` or `failed`. */
void relay_finish(struct relay *r, struct arena *a, struct relay_gain *gain);
/* What the provider said of usage, for the record (usage_raw.h); empty: nothing. Valid as long as the arena, until the next push. */
struct slice relay_usage_raw(struct relay *r, struct arena *a);
/* Tokens of output that surely came so far: what was reported and what came behind it, or counted where nothing is reported, or more came than
 * that can be a count of. */
int64_t relay_output(const struct relay *r);
/* The same of the reasoning among them. */
int64_t relay_reasoning(const struct relay *r);
/* The same of sound and of pictures, which are output beside relay_seen(). */
int64_t relay_sound(const struct relay *r);
int64_t relay_pictures(const struct relay *r);
/* What the reported output covers: as the last word all that came, before it what came by then, but pictures only where it was more than what
 * else came may be; nothing where none is reported. */
struct relay_came relay_told(const struct relay *r);
/* Tokens in the output of *u that are neither text nor reasoning: those of media that it covers without a number of their own. */
int64_t relay_unplaced(const struct relay_came *told, const struct usage *u);
/* Puts in what came beyond what *u has of the reported output: text, reasoning, sound and pictures. Where usage is reported that is no more than
 * was asked for, or surely came. True: *u became more. */
bool relay_more(const struct relay *r, struct usage *u);
/* The same of sound and pictures alone. How many tokens they are nobody says before the end, and a client must not be
 * better off by leaving before it: sound is one token for each 128 bytes, less than any codec makes of one; of a picture nothing tells how large
 * it was, so it is as much as a large one is, as far as the cap of its choice leaves that beside the output in *u. */
bool relay_media(const struct relay *r, struct usage *u);
/* The encoder holds an item back for up to 250 ms; relay_flush() lets it go. */
bool relay_is_holding(const struct relay *r);
void relay_flush(struct relay *r);
/* The end, with the usage that is charged: the answer's last bytes go into `out`. */
MUSTCHECK enum errc relay_seal(struct relay *r, const struct usage *charged);

#endif
