/* The neutral form between dialects: a request as a tree in the call's arena, an answer as a sequence of events. Fronts read requests into it
 * and write events; backs write requests from it and produce events. What is unknown stays beside its part as raw JSON and goes back only to
 * the dialect it came from. Texts are decoded UTF-8; JSON values that are passed on unread (schemas, arguments) are JSON text. All pointers
 * of a request live as long as the arena and the body; those of an event until the next call on the decoder that made it. */
#ifndef AIGW_IR_H
#define AIGW_IR_H

#include "arena.h"
#include "fault.h"
#include "usage.h"

enum ir_role { IR_SYSTEM, IR_DEVELOPER, IR_USER, IR_ASSISTANT, IR_TOOL };

enum ir_part_kind {
	IR_PART_TEXT,
	IR_PART_IMAGE,
	IR_PART_AUDIO,
	IR_PART_DOCUMENT,
	IR_PART_TOOL_CALL,
	IR_PART_TOOL_RESULT,
	IR_PART_THINKING,
	IR_PART_REDACTED, /* thinking that only its provider can read */
	IR_PART_REFUSAL,
};

struct ir_part {
	struct ir_part *next;
	enum ir_part_kind kind;
	struct slice text; /* text, thinking, refusal; arguments of a call as JSON text; encrypted data */
	struct slice id, name;   /* of a tool call; id of the call that a result answers */
	struct slice media_type; /* of bytes; "" when unknown */
	struct slice data;       /* base64 */
	struct slice url, file_id, title;
	struct slice signature; /* of thinking */
	struct slice cache;     /* a cache mark as JSON text */
	struct ir_part *parts;  /* content of a tool result */
	bool is_error;          /* tool result */
};

struct ir_turn {
	struct ir_turn *next;
	enum ir_role role;
	struct slice name;
	struct ir_part *parts;
	unsigned index; /* in the client's list, for messages about it */
};

struct ir_tool {
	struct ir_tool *next;
	struct slice name, description;
	struct slice schema; /* JSON text of the parameters, "" when none */
	struct slice cache;
	int strict; /* -1 not said, 0, 1 */
};

enum { IR_ID_MAX = 64, IR_NATIVE_MAX = 32 }; /* bytes of words that a record takes */
enum ir_choice { IR_CHOICE_DEFAULT, IR_CHOICE_NONE, IR_CHOICE_AUTO, IR_CHOICE_ANY, IR_CHOICE_ONE };
enum ir_format { IR_FORMAT_TEXT, IR_FORMAT_JSON, IR_FORMAT_SCHEMA };
struct ir_strings {
	struct ir_strings *next;
	struct slice s;
};

/* A field without a place in the neutral form: a back drops what its table calls harmless, and refuses the rest by name. */
struct ir_extra {
	struct ir_extra *next;
	struct slice name, json;
};

struct ir_request {
	bool stream, include_usage;
	struct ir_turn *turns;
	struct ir_tool *tools;
	enum ir_choice choice;
	struct slice choice_name;
	struct ir_strings *choice_subset;       /* only these tools may be called */
	int parallel;                           /* -1 not said, 0, 1 */
	int64_t cap;                            /* output tokens, 0: not given */
	struct slice temperature, top_p, top_k; /* numbers as written, "" when not given */
	struct ir_strings *stop;
	enum ir_format format;
	struct slice format_schema;
	struct slice effort; /* none, minimal, low, medium, high, xhigh, max; "" when not said */
	int64_t thinking_budget; /* 0: not said */
	struct slice thinking;   /* Anthropic's own object as JSON text, when the client sent one */
	int64_t searches;        /* of the web that the provider may run; 0: none */
	struct slice search_near; /* where the user is, as JSON text: {city, region, country, timezone}; "" when not said */
	struct slice user;
	struct ir_extra *extras;
};

enum ir_kind {
	IR_START, /* id, model: the answer has begun */
	IR_RAW,   /* a stream item, or a piece of a whole body, in the front's own dialect */
	IR_TEXT,
	IR_THINKING,
	IR_SIGNATURE, /* of the thinking before it */
	IR_REDACTED,
	IR_REFUSAL,
	IR_TOOL_START, /* id, name, tool */
	IR_TOOL_ARGS,  /* text: a piece of the arguments */
	IR_TOOL_END,
	IR_FINISH,
	IR_USAGE,
	IR_END,   /* the provider ended the answer properly; nothing follows */
	IR_ERROR, /* fault; nothing follows */
};

enum ir_finish {
	IR_FIN_NONE,
	IR_FIN_STOP,
	IR_FIN_SEQUENCE,
	IR_FIN_LENGTH,
	IR_FIN_TOOLS,
	IR_FIN_FILTER,
	IR_FIN_REFUSAL,
	IR_FIN_PAUSE,
	IR_FIN_CONTEXT,
	IR_FIN_ERROR,
	IR_FIN_OTHER,
};

struct dialect_verdict; /* dialect_io.h */
struct ir_event {
	enum ir_kind kind;
	unsigned choice, tool; /* which of n answers; its place among the tool calls, dense from 0 */
	/* Has content, reasoning or tools, sound or pictures (A4). so_far: the counts are of all of a whole answer up to here. */
	bool commits, so_far, of_none; /* of_none: an IR_RAW of no choice, but of the whole answer */
	uint32_t content_bytes, reasoning_bytes, sound_bytes, pictures; /* chat_chunk.h */
	struct slice text;
	struct slice id, name; /* of a tool call; IR_START, IR_RAW: the answer's id and model */
	int64_t created_s;     /* IR_START, 0 when unknown */
	enum ir_finish finish; /* IR_FINISH; also on an IR_RAW that carries one */
	struct slice native;   /* the provider's own finish word */
	/* Cumulative, the last one wins; on IR_USAGE and on an IR_RAW or IR_ERROR that reports it. NULL: none. On IR_END the caller sets
	 * it to what it will charge (an estimate where none was reported) before the event goes to the encoder. */
	const struct usage *usage;
	enum usage_tier tier;    /* that the provider names, with usage or without */
	struct slice usage_json; /* the provider's own object behind it, in the same dialect */
	struct slice usage_raw; /* of a dialect that has no usage_json: the same for the record, by usage_raw.h */
	struct slice raw;   /* IR_RAW: an item's JSON or bytes of a body; IR_END: its last bytes */
	uint32_t raw_marks; /* private between decoder and encoder of one dialect */
	/* IR_ERROR: what the client is told, and what a router makes of it before commit. */
	const struct fault *fault;
	const struct dialect_verdict *verdict;
};

const char *ir_finish_name(enum ir_finish f);

#endif
