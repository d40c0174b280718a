/* The control protocol of aigwctl: one REQUEST frame a connection, then any number of ROW and PROGRESS frames and one END
 * frame, over the master's unix socket. The verbs are rows of control_tbl.h; the master serves what it knows and hands
 * the socket of the others to the keeper or a worker, with the peer's credentials and rights. Values are flat lists of
 * named fields; a name's ending tells the unit (_nusd, _pusd, _ms, _s, _bytes). */
#ifndef AIGW_CONTROL_H
#define AIGW_CONTROL_H

#include "msg.h"

#define CONTROL_VERSION    1
#define CONTROL_FIELDS_MAX 64 /* fields a row or request */

enum control_right { CONTROL_MAY_READ = 1, CONTROL_MAY_WRITE = 2 };
enum control_by { CONTROL_BY_MASTER, CONTROL_BY_KEEPER, CONTROL_BY_WORKER };

/* Exit status of aigwctl, contract B2. */
enum control_status {
	CONTROL_DONE,
	CONTROL_REFUSED,
	CONTROL_USAGE,
	CONTROL_NO_DAEMON,
	CONTROL_NOT_FOUND,
	CONTROL_NOT_ALLOWED,
	CONTROL_FINDINGS,
	CONTROL_TIMED_OUT,
};

enum control_verb {
#define CONTROL_VERB(NAME, text, server, right) CONTROL_DO_##NAME,
#include "control_tbl.h"
#undef CONTROL_VERB
	CONTROL_VERB_COUNT
};

struct control_verb_row {
	const char *text; /* "account create" */
	enum control_by server;
	enum control_right right;
};
const struct control_verb_row *control_verb_row(enum control_verb);
/* CONTROL_VERB_COUNT when there is no such verb. */
enum control_verb control_verb_named(struct slice text);

enum control_type { CONTROL_T_NONE, CONTROL_T_STR, CONTROL_T_I64, CONTROL_T_BOOL };
struct control_field {
	struct slice name;
	enum control_type type;
	union {
		struct slice s;
		int64_t i; /* I64, BOOL (0 or 1) */
	};
};
#define CONTROL_S(n, v) \
	((struct control_field){.name = SLICE_LIT(n), .type = CONTROL_T_STR, .s = (v)})
#define CONTROL_I(n, v) \
	((struct control_field){.name = SLICE_LIT(n), .type = CONTROL_T_I64, .i = (int64_t)(v)})
#define CONTROL_B(n, v) \
	((struct control_field){.name = SLICE_LIT(n), .type = CONTROL_T_BOOL, .i = (v) ? 1 : 0})
#define CONTROL_N(n) ((struct control_field){.name = SLICE_LIT(n), .type = CONTROL_T_NONE})

MUSTCHECK enum errc control_encode(const struct control_field *f, size_t n, struct buf *out);
/* At most `max` fields into f; names and texts point into `in`. ERRC_PROTOCOL when malformed, ERRC_LIMIT above max. */
MUSTCHECK enum errc control_decode(struct slice in, struct control_field *f, size_t max, size_t *n);

/* Lists in a list: each is appended to a text, with a number of its own. */
MUSTCHECK enum errc control_pack(uint32_t number, const struct control_field *f, size_t n,
				 struct buf *out);
/* Cuts the next one off the front of *left, for control_decode(). False at the end, and where what is left is none. */
bool control_unpack(struct slice *left, uint32_t *number, struct slice *fields);

/* Named values of a decoded list; false when absent or of another type. Pointers as in the list. */
bool control_get_str(const struct control_field *f, size_t n, const char *name, struct slice *out);
bool control_get_i64(const struct control_field *f, size_t n, const char *name, int64_t *out);
bool control_get_bool(const struct control_field *f, size_t n,
		      const char *name); /* absent is false */

MUSTCHECK enum errc control_send_request(struct chan *c, enum control_verb v,
					 const struct control_field *f, size_t n);
MUSTCHECK enum errc control_send_row(struct chan *c, const char *kind,
				     const struct control_field *f, size_t n);
MUSTCHECK enum errc control_send_progress(struct chan *c, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* code is a short word ("not_found"), "" with CONTROL_DONE; file may be NULL. */
MUSTCHECK enum errc control_send_end(struct chan *c, enum control_status status, const char *code,
				     struct slice message, const char *file, unsigned line);
/* Formats the message and sends an end without a place. */
MUSTCHECK enum errc control_end(struct chan *c, enum control_status status, const char *code,
				const char *fmt, ...) PRINTF_LIKE(4, 5);

#endif
