/* A failure that a client will see, independent of dialect and process. A plain value: it owns
 * nothing, may be copied, and is empty when all zero. The first fault wins: fault_set() leaves one
 * that is already set as it is. Rows, statuses and words are in fault_tbl.h and nowhere else. */
#ifndef AIGW_FAULT_H
#define AIGW_FAULT_H

#include <stdarg.h>

#include "errc.h"
#include "slice.h"

enum fault_kind {
#define FAULT(name, status, type, code, ant, rule, text) FAULT_##name,
#include "fault_tbl.h"
#undef FAULT
	FAULT_COUNT
};

enum fault_rule { FAULT_RETRY_NEVER, FAULT_RETRY_ALWAYS, FAULT_RETRY_WAIT, FAULT_RETRY_ATTEMPTS };

/* What `limit` and `remaining` count. */
enum fault_unit {
	FAULT_UNIT_NONE,
	FAULT_UNIT_NUSD,
	FAULT_UNIT_REQUESTS,
	FAULT_UNIT_TOKENS,
	FAULT_UNIT_CONCURRENT
};

#define FAULT_MESSAGE_MAX 640
#define FAULT_PARAM_MAX   96
#define FAULT_SCOPE_MAX   256
#define FAULT_WORD_MAX    64

/* One candidate that was tried, for `metadata.attempts`. */
struct fault_attempt {
	struct slice provider, model; /* borrowed from the provider table */
	int status;                   /* the provider's, 0: none came */
	char code[FAULT_WORD_MAX];    /* the provider's code or our word for what went wrong */
};

struct fault {
	enum fault_kind kind;
	int status;             /* 0: the row's; else a provider's final status */
	int64_t retry_after_ms; /* 0: none is known; WAIT rows then say 1 s */
	int attempts_made;
	char message[FAULT_MESSAGE_MAX];    /* UTF-8; empty: the row's text */
	char param[FAULT_PARAM_MAX];        /* path of the field, "messages[2].content" */
	char provider[FAULT_WORD_MAX];      /* name of the provider that said it */
	char provider_code[FAULT_WORD_MAX]; /* its own code or type: a word; "other": it is none */
	int provider_status;
	char scope[FAULT_SCOPE_MAX]; /* what refused: "key 7Gk2…: requests a minute" */
	enum fault_unit unit;
	int64_t limit, remaining;
	int64_t reset_wall_ms;                /* 0: does not apply */
	int64_t affordable_tokens;            /* 402: a cap that would fit; 0: none */
	char generation_id[40];               /* idempotency_completed */
	const struct fault_attempt *attempts; /* borrowed, valid as long as the call */
	size_t attempts_n;
};

struct fault_row {
	const char *name;
	int status;
	const char *openai_type, *openai_code, *anthropic_type;
	enum fault_rule rule;
	const char *text;
};

/* Static. */
const struct fault_row *fault_row(enum fault_kind kind);

static inline bool fault_is_set(const struct fault *f)
{
	return f->kind != FAULT_NONE;
}

/* Sets kind and message (cut at FAULT_MESSAGE_MAX on a character's border, control bytes become
 * spaces) unless f is set already. fmt == NULL leaves the row's text. */
void fault_set(struct fault *f, enum fault_kind kind, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* As fault_set() and names the field. */
void fault_field(struct fault *f, enum fault_kind kind, const char *param, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The fault for an internal error code: no memory, a limit, anything else that is ours. */
void fault_errc(struct fault *f, enum errc e, const char *where);
/* Copies into one of the text fields of a fault, cut on a character's border. */
void fault_text(char *dst, size_t cap, struct slice s);
/* Overwrites `value`, a credential, in what the provider said: message, param and code. */
void fault_hide(struct fault *f, struct slice value);

/* What the head of the answer says; all follow from the row and the values above. */
int fault_status(const struct fault *f);
const char *fault_message(const struct fault *f);
bool fault_should_retry(const struct fault *f);
/* Milliseconds for retry-after-ms, at least 1,000 for a row that waits; 0: send neither header. */
int64_t fault_wait_ms(const struct fault *f);
#define FAULT_AGAIN_MAX 48
/* "try again in 3 seconds": whole ones, at least one. Returns `out`. */
const char *fault_again(int64_t wait_ms, char out[FAULT_AGAIN_MAX]);

#endif
