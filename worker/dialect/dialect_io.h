/* What goes into and comes out of the functions of a dialect (dialect.h). Plain values; who owns
 * what stands at each. */
#ifndef AIGW_DIALECT_IO_H
#define AIGW_DIALECT_IO_H

#include "bound.h"
#include "ir.h"
#include "ptable.h"

enum dialect_op {
#define FRONT(id, name) DIALECT_##id,
#include "front_tbl.h"
#undef FRONT
	DIALECT_OP_COUNT
};
enum dialect_front_id { DIALECT_FRONT_OPENAI, DIALECT_FRONT_COUNT };
/* Backs are numbered by enum ptable_dialect. */

enum dialect_cap { DIALECT_CAP_NONE, DIALECT_CAP_MAX_TOKENS, DIALECT_CAP_MAX_COMPLETION };
/* Searches that one answer may run: held, and the bound that a provider is told where its dialect has one. */
#define DIALECT_SEARCHES_MAX 5
enum dialect_encoding { DIALECT_ENC_NONE, DIALECT_ENC_FLOAT, DIALECT_ENC_BASE64 };

struct dialect_env {
	int64_t now_s;
	struct slice gen_id; /* the generation id; for answers without an id of their own */
	struct slice model;  /* the model's public name; for answers that name none */
	/* What the client is charged; before the end, what this usage costs, with what may be missing in it. */
	int64_t (*cost)(void *arg, const struct usage *u);
	/* Whether the account pays all of that; before the end it may have too little for what is beyond the hold. */
	bool (*is_paid)(void *arg);
	void *arg;
};

/* What the front learned from the body without reading it into a tree. Slices point into the body
 * or the scan. */
struct dialect_facts {
	enum dialect_op op;
	struct slice model; /* unescaped */
	bool stream, include_usage;
	bool echo;                  /* the answer begins with the prompt */
	enum dialect_cap cap_field; /* which one the client gave */
	int64_t cap;                /* its value, 0: none given */
	int64_t n;                  /* answers asked for, >= 1 */
	int64_t best_of;            /* answers generated, >= n */
	int64_t copies; /* what the hold's output is multiplied with: n, best_of, prompts of a list
			 */
	struct bound bound;
	uint32_t needs; /* PTABLE_CAN_… and PTABLE_IS_… bits that a model must have */
	bool media_url; /* an image or file by URL or file id */
	bool has_tools;
	enum usage_tier tier; /* that was asked for; NONE: left to the provider */
	int64_t searches; /* of the web that the provider may run at most: DIALECT_SEARCHES_MAX; 0: none was asked for */
	bool thinking; /* reasoning was asked for */
	int64_t thinking_budget;
	int64_t thinking_beside;        /* that of the field thinking_budget; 0: not given */
	enum dialect_encoding encoding; /* embeddings */
	struct slice user;              /* end user, "" when not given */
	bool own_fields; /* models, provider, route, transforms, usage or session_id were given */
};

struct dialect_header {
	const char *name;
	struct slice value;
};

#define DIALECT_SLICES_MAX  92
#define DIALECT_HEADERS_MAX 6

/* Input of write_request. Everything is borrowed until the request was sent. */
struct dialect_ask {
	const void *scan; /* the front's, after scan_end */
	enum dialect_front_id front;
	const struct dialect_facts *facts;
	struct slice body;           /* the client's, as scanned */
	const struct ir_request *ir; /* NULL when front and back share the dialect */
	const struct ptable_offer *offer;
	const struct ptable_model *model;
	int64_t cap; /* output tokens to ask for; 0: leave as the client said */
	struct slice anthropic_beta, anthropic_version,
		openai_beta; /* the client's headers, "" when absent */
	struct arena *arena; /* what is built lives here */
};

/* Output of write_request. Content type is always application/json. */
struct dialect_request {
	struct slice path; /* with the query; complete: base path included */
	struct dialect_header headers[DIALECT_HEADERS_MAX]; /* beside credentials and the provider's
							       configured ones */
	unsigned headers_n;
	struct slice body[DIALECT_SLICES_MAX];
	unsigned body_n;
	size_t body_bytes;
};

struct dialect_dec_opts {
	const struct dialect_facts *facts; /* borrowed for the decoder's life */
	const struct ptable_provider *provider;
	bool stream;        /* the answer is an event stream (by its content type) */
	bool raw;           /* yield the back's own dialect as IR_RAW */
	size_t whole_bytes; /* a whole answer is held up to this size to be understood; beyond it
			       raw pieces flow */
};

struct dialect_enc_opts {
	const struct dialect_facts *facts;
	const struct dialect_env *env; /* both borrowed for the encoder's life */
	bool stream;
};

/* A provider's answer with a status of 400 or more, or one that cannot be read. */
struct dialect_answer {
	int status;
	struct slice retry_after, retry_after_ms; /* header values, "" when absent */
	struct slice error_type;                  /* x-amzn-errortype */
	struct slice should_retry;                /* x-should-retry */
	struct slice body;                        /* as much as was kept */
	const struct ptable_provider *provider;
	int64_t now_s;
	int64_t input_bound; /* tokens of the request, at most; 0: not known */
};

/* What the router does with it. */
struct dialect_verdict {
	bool final;  /* the client's own fault: answer with it, try no other candidate */
	bool larger; /* context too long: only a model with more context may be tried */
	bool too_big; /* for the limits of this account, however long one waits: another provider may take it */
	bool cool_key; /* 429 and the like: the key rests for cool_ms */
	bool drop_key; /* the key is not accepted: out, try the next */
	bool billing;  /* the provider account is out of money: the key is out, an operator must act
			*/
	bool breaks;   /* counts against the offer's breaker */
	int64_t cool_ms; /* 0: the provider gave no time */
};

#endif
