/* Incremental scanner of a JSON body: the hot path of pass-through. Bytes are pushed as they
 * arrive, in any split; nothing is copied and no tree is built. It checks strict JSON (grammar,
 * UTF-8, depth; no recursion), notes the top-level members as offsets into the whole body, and
 * refuses a top-level member that is given twice (compared after unescaping) or that equals a known
 * one only when case is ignored: each would bypass pricing. In the same pass an observer may see
 * containers and strings with the keys they stand under. */
#ifndef AIGW_JSCAN_H
#define AIGW_JSCAN_H

#include "caps.h"
#include "errc.h"
#include "json_type.h"
#include "slice.h"

/* Names that the caller knows, at any level. The id of a name is its index + 1; 0 is "unknown". */
struct jscan_name {
	const char *name;
	bool top; /* known as a top-level member: variants in case are refused */
};

#define JSCAN_NAMES_MAX      254
#define JSCAN_NAME_BYTES_MAX 48

/* The look-up table of such names: made once, then only read. `names` is borrowed for the table's
 * life. */
struct jscan_names {
	const struct jscan_name *names;
	unsigned n;
	uint8_t len[JSCAN_NAMES_MAX + 1];
	uint8_t slot[1024]; /* hash of the name to its id */
};

/* Aborts on a table that does not fit: tables are constants of the program. */
void jscan_names_init(struct jscan_names *t, const struct jscan_name *names, unsigned n);

/* A member of the top-level object: offsets into the body. The key's range holds its quotes. */
struct jscan_member {
	uint64_t hash; /* of the unescaped key */
	uint32_t key_off, key_len;
	uint32_t val_off, val_len;
	uint8_t id;   /* of the known name, else 0 */
	uint8_t type; /* enum json_type */
};

/* Levels of which the observer learns the keys: path[0] is the top-level member, path[i] what
 * stands in it. An element of an array has JSCAN_ELEMENT there, an unknown key 0. */
#define JSCAN_PATH    12
#define JSCAN_ELEMENT 255

struct jscan;

/* What an observer is told. Any of the functions may be NULL. Slices are valid during the call.
 * They must not push. */
struct jscan_events {
	/* A value begins: jscan_path() says where. For strings the result tells whether text() is
	 * wanted. */
	bool (*value)(void *arg, const struct jscan *s, enum json_type type);
	/* The next unescaped bytes of the string value; UTF-8 sequences may be cut between calls.
	 * False: no more of this one. */
	bool (*text)(void *arg, const struct jscan *s, struct slice piece);
	/* The value ended; for strings `bytes` is the unescaped length, for numbers that as written,
	 * else 0. */
	void (*end)(void *arg, const struct jscan *s, enum json_type type, size_t bytes);
};

struct jscan {
	const struct jscan_names *names;
	const struct jscan_events *ev;
	void *arg;
	struct jscan_member *members; /* owned */
	unsigned members_n, members_cap;
	unsigned depth, depth_max; /* LIMIT_JSON_DEPTH, or lowered after jscan_init() */
	uint8_t path[JSCAN_PATH];  /* the key's id, or JSCAN_ELEMENT, of what is being read at each
				     level */
	size_t key_bytes;          /* the unescaped length of the key that was read last */
	/* The first error, in words; `name` is the member it is about (unescaped, cut), empty
	 * without. */
	enum errc err;
	const char *err_text;
	size_t err_off;
	char err_name[JSCAN_NAME_BYTES_MAX + 1];
	/* The rest belongs to jscan.c. */
	const char *piece;                     /* what is being pushed */
	size_t off;                            /* bytes pushed before it */
	uint64_t stack[LIMIT_JSON_DEPTH / 64]; /* one bit a level: array */
	size_t tok_off, str_bytes;             /* of the token being read */
	const char *lit;                       /* what is left of true, false, null */
	uint32_t uni, surrogate;               /* of an escape */
	uint8_t state, need, lo, hi, type, key_n;
	bool in_key, key_long, want_text;
	char key[JSCAN_NAME_BYTES_MAX]; /* a key that came in parts */
	uint64_t hash;
};

/* `names` and `ev` are borrowed until jscan_fini(); either may be NULL. */
void jscan_init(struct jscan *s, const struct jscan_names *names, const struct jscan_events *ev,
		void *arg);
void jscan_fini(struct jscan *s);

/* The next bytes of the body. ERRC_SYNTAX, ERRC_DEPTH, ERRC_DUPLICATE, ERRC_INVAL (the body is no
 * object), ERRC_LIMIT (too many members, body over 4 GiB), ERRC_NOMEM; an error sticks and is
 * described in err_*. */
MUSTCHECK
enum errc jscan_push(struct jscan *s, const char *p, size_t n);
/* The body is complete: ERRC_TRUNCATED when the text is not. */
MUSTCHECK
enum errc jscan_end(struct jscan *s);

/* The member with this id; NULL when it was not given. Valid until the next push. */
const struct jscan_member *jscan_find(const struct jscan *s, unsigned id);
/* Its value in the body, which is the caller's. */
static inline struct slice jscan_value(const struct jscan_member *m, struct slice body)
{
	return (struct slice){body.p + m->val_off, m->val_len};
}

/* The key id at a level of the value that the observer is told of; level 0 is the top-level member.
 * The value's own level is jscan_level(). 0 beyond the value and beyond JSCAN_PATH. */
static inline unsigned jscan_level(const struct jscan *s)
{
	return s->depth ? s->depth - 1 : 0;
}

static inline unsigned jscan_path(const struct jscan *s, unsigned level)
{
	return level < s->depth && level < JSCAN_PATH ? s->path[level] : 0;
}

#endif
