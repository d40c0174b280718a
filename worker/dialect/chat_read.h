/* Reads a chat request into the neutral form, for backs of another dialect. The body has been through the scan, so it is valid JSON
 * with each top-level member once. */
#ifndef AIGW_CHAT_READ_H
#define AIGW_CHAT_READ_H

#include "dialect_io.h"
#include "json.h"

/* ERRC_INVAL with the fault set (param names the field) when a message, part or tool is malformed. The tree and what it points to
 * live in the arena. */
enum errc chat_read_request(const struct dialect_facts *facts, struct slice body, struct arena *a,
			    struct ir_request **out, struct fault *f);

/* For chat_read_*.c. */
struct chat_read {
	struct arena *arena;
	struct fault *f;
	enum errc err; /* the first one; ERRC_INVAL has its fault */
	struct ir_request *ir;
};

/* A malformed field: path like "messages[%u].content". */
void chat_read_bad(struct chat_read *r, const char *want, const char *path_fmt, ...)
	PRINTF_LIKE(3, 4);
void *chat_read_get(struct chat_read *r, size_t n);
#define chat_read_new(r, type) ((type *)chat_read_get((r), sizeof(type)))
/* v as JSON text in the arena. */
struct slice chat_read_raw(struct chat_read *r, const struct json *v);
/* Messages (chat_read_msg.c). */
void chat_read_messages(struct chat_read *r, const struct json *list);

#endif
