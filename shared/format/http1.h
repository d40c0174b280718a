/* HTTP/1.x messages, read (http1_put.h writes them). The reader is pulled: the caller shows the bytes that it has, the reader consumes
 * some and says what it found. It is strict on purpose (whatever two parsers could understand differently is refused) and
 * does what llhttp leaves open. Heads are collected, at most `head_max` bytes, and parsed as a whole; bodies are handed out
 * as parts of the caller's bytes, without their chunked coding; trailers are dropped. Pure. */
#ifndef AIGW_HTTP1_H
#define AIGW_HTTP1_H

#include "buf.h"
#include "http1_body.h"
#include "http1_put.h"

enum http1_kind { HTTP1_REQUEST, HTTP1_RESPONSE };

struct http1_limits {
	size_t line_max; /* request line or status line, its CRLF included */
	size_t head_max; /* all of the head, the first line and the blank one included */
	unsigned headers_max;
};

struct http1_field {
	struct slice name,
		value; /* value without blanks around it; bytes 0x20 to 0x7e, 0x80 to 0xff and tabs */
};

/* Valid until the call that begins the next message, http1_drop_fields(), http1_relax() or http1_fini(). */
struct http1_head {
	struct slice method, target; /* requests */
	struct slice reason;         /* responses; may be empty */
	int status;
	int version_minor; /* HTTP/1.x */
	const struct http1_field *fields;
	size_t field_count;
	uint64_t names; /* a bit for each name that there is, by its length and first letter */
	int64_t content_length; /* -1: not given */
	bool chunked;
	bool keep_alive; /* by version and `connection`; false when the body ends with the connection */
	bool close_delimited; /* a response without length: its end cannot be told from a cut */
	bool expect_continue; /* HTTP/1.1 requests with `expect: 100-continue` */
	bool expect_unknown;  /* HTTP/1.1 requests that expect anything else (417) */
	bool upgrade;         /* asked for; the message is read as if it was not */
	bool has_body;        /* a body part may follow */
};

enum http1_event {
	HTTP1_MORE = 0, /* all of *in was consumed; more is needed */
	HTTP1_HEAD,     /* h->head is filled */
	HTTP1_BODY,     /* *body is the next part, not empty, inside the caller's bytes */
	HTTP1_DONE,     /* the message is complete; the next call begins another */
};

enum http1_fault {
	HTTP1_FAULT_NONE,
	HTTP1_FAULT_SYNTAX,  /* 400 */
	HTTP1_FAULT_LINE,    /* 414: first line above line_max */
	HTTP1_FAULT_HEAD,    /* 431: head_max or headers_max passed */
	HTTP1_FAULT_CODING,  /* 501: a transfer coding other than chunked */
	HTTP1_FAULT_VERSION, /* 505: HTTP, but not 1.0 or 1.1 */
	HTTP1_FAULT_MEMORY,  /* 500 */
};

struct http1 {
	struct http1_head head; /* the caller may read it from HTTP1_HEAD on */
	enum http1_fault fault;
	const char *why; /* static text on the fault */
	struct http1_limits limits;
	enum http1_kind kind;
	bool answers_head; /* the next response answers a HEAD request */
	uint8_t state, blank_lines, informational;
	struct buf text; /* the head's bytes */
	size_t line_at;  /* where its first unfinished line begins */
	size_t field_lines;
	struct http1_field *fields;
	size_t field_cap;
	struct http1_body body;
};

void http1_init(struct http1 *h, enum http1_kind kind, const struct http1_limits *limits);
void http1_fini(struct http1 *h);
/* Gives back the memory of the head's texts: no slice and no field of it is valid any more, its numbers are. From HTTP1_HEAD on. */
void http1_drop_fields(struct http1 *h);
/* Gives back the memory of the last head (which ends its validity): for connections that turn idle. Only between messages. */
void http1_relax(struct http1 *h);
/* Says whether the next response answers a HEAD request and so has no body whatever its head says. Holds for that one. */
void http1_answers_head(struct http1 *h, bool yes);
/* True before the first byte of a message and after its HTTP1_DONE. */
bool http1_is_idle(const struct http1 *h);

/* Consumes the front of *in and says what was found (enum http1_event), or -errc, which stays; then h->fault and h->why tell
 * more. *body is set for HTTP1_BODY only. After HTTP1_DONE what is left in *in belongs to the next message: with responses
 * that is a fault of the peer unless another request is out. Informational responses (1xx) are skipped, 101 is refused. */
MUSTCHECK int http1_next(struct http1 *h, struct slice *in, struct slice *body);
/* How many bytes the body that is being read still has, where its head gave the length; 0 for all others. */
static inline size_t http1_body_left(const struct http1 *h)
{
	return h->body.kind == HTTP1_BODY_LENGTH ? (size_t)h->body.left : 0;
}
/* The peer closed its side. HTTP1_DONE ends a close-delimited body, 0 = it closed between messages; -ERRC_TRUNCATED else. */
MUSTCHECK int http1_eof(struct http1 *h);
/* For answering a request whose head failed or did not come whole: fills method and target of h->head as far as its first line
 * came (a target above line_max is cut), all else is empty. Valid as h->head is. Not from HTTP1_HEAD on. */
void http1_salvage(struct http1 *h);
/* The HTTP status that answers h->fault. */
int http1_fault_status(const struct http1 *h);

/* The bit of `names` that a field of this name sets. Most names that are asked for are not there, and neither is their bit. */
static inline uint64_t http1_name_bit(struct slice name)
{
	return UINT64_C(1) << ((name.n * 5 + ((unsigned char)name.p[0] | 0x20)) & 63);
}
/* The first field of that name (lower case) behind `after` (NULL = of all), whatever the case it came in; NULL without one. */
const struct http1_field *http1_search(const struct http1_head *head, struct slice name,
				       const struct http1_field *after);
static inline const struct http1_field *http1_find_next(const struct http1_head *head,
							const char *name,
							const struct http1_field *after)
{
	struct slice want = slice_str(name);

	return head->names & http1_name_bit(want) ? http1_search(head, want, after) : NULL;
}
static inline const struct http1_field *http1_find(const struct http1_head *head, const char *name)
{
	return http1_find_next(head, name, NULL);
}
/* Its value, p is NULL without one. */
static inline struct slice http1_header(const struct http1_head *head, const char *name)
{
	const struct http1_field *f = http1_find(head, name);

	return f ? f->value : SLICE_NONE;
}
/* True when a comma list (all fields of that name together) has `token`, case ignored. */
bool http1_list_has(const struct http1_head *head, const char *name, const char *token);

/* Version of the library that was built in, "9.2.1"; static. */
const char *http1_library(void);

#endif
