/* One item of a chat or completions stream: what it holds, and the same item with the changes that
 * contract A4 asks for. Plain content items are only looked at and pass unchanged. Pure; nothing is
 * allocated but in the caller's buf. */
#ifndef AIGW_CHAT_CHUNK_H
#define AIGW_CHAT_CHUNK_H

#include "buf.h"
#include "ir.h"

enum {
	CHAT_CHUNK_USAGE = 1 << 0,     /* a usage object at the top, in x_groq or in a choice */
	CHAT_CHUNK_FINISH = 1 << 1,    /* a non-null finish_reason */
	CHAT_CHUNK_ROLE = 1 << 2,      /* a role in a delta */
	CHAT_CHUNK_NO_DELTA = 1 << 3,  /* a choice without a delta object */
	CHAT_CHUNK_NO_CHOICE = 1 << 4, /* choices missing, null or empty */
	CHAT_CHUNK_LIST = 1 << 5,      /* choices is a list, if only an empty one */
	CHAT_CHUNK_ERROR = 1 << 6,     /* an error beside or instead of choices */
	CHAT_CHUNK_CONTENT = 1 << 7,   /* content, reasoning or a tool call */
	CHAT_CHUNK_LINES = 1 << 8,     /* the text contains line ends */
	CHAT_CHUNK_DATA = 1 << 9,      /* a member `data`, as in embeddings */
};

struct chat_brief;
struct chat_chunk {
	uint32_t marks;
	unsigned choices, choice;                /* how many, index of the first */
	uint32_t content_bytes, reasoning_bytes; /* the second of the first */
	uint32_t sound_bytes, pictures;          /* beside these: of sound, in base64; pictures */
	struct slice id, model;                  /* as they stand, "" when not plain strings */
	enum usage_tier tier;                    /* that it names */
	int64_t created_s;
	struct slice usage;  /* the object */
	struct slice top;    /* the value of the first member `usage` at the top, whatever it is */
	struct slice error;  /* the value */
	struct slice native; /* finish word */
	enum ir_finish finish;
	const struct chat_brief *brief; /* that it was read of */
};

/* Where an answer keeps its text: a stream's delta, a completion's text, a whole answer's message. */
enum chat_form { CHAT_FORM_DELTA, CHAT_FORM_TEXT, CHAT_FORM_MESSAGE };

/* False when `json` is no object or is broken where it was looked at. */
bool chat_chunk_read(struct slice json, enum chat_form form, struct chat_chunk *c);
/* The same of what came so far of an answer that is not kept. Slices in *c are valid until the next call for this brief, and `error` is cut. ERRC_SYNTAX,
 * ERRC_NOMEM. */
MUSTCHECK enum errc chat_chunk_read_brief(struct chat_brief *b, enum chat_form form,
					  struct chat_chunk *c);

/* What the client has got already, one bit a choice; further choices are not tracked. */
#define CHAT_SEEN_MAX 128
struct chat_seen {
	uint64_t role[2], finish[2];
};

struct chat_rewrite {
	bool is_text;
	bool drop_finish;       /* finish reasons become null, all of them */
	bool fill_choices;      /* an empty or missing list gets one empty choice */
	struct slice usage;     /* JSON text in place of the usage; "" : the members go */
	struct chat_seen *seen; /* repeated roles and finish reasons are taken out; updated */
};

/* Appends the item as it is to be sent. ERRC_SYNTAX when it is broken: then out is as before. */
MUSTCHECK
enum errc chat_chunk_write(struct slice json, const struct chat_rewrite *w, struct buf *out);

/* The word that a chat client knows. */
const char *chat_finish_word(enum ir_finish f);

#endif
