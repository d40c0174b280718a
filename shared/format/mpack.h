/* msgpack: channels between our processes, stored records, the provider table (only mpack.c
 * includes msgpack.h). The writer appends to a buf and keeps its first error. The reader is a
 * cursor over bytes that somebody else owns: it allocates nothing, never reads past the end, and
 * believes no count that the bytes left cannot hold. */
#ifndef AIGW_MPACK_H
#define AIGW_MPACK_H

#include "buf.h"

/* Writing. `b` is borrowed until the last call; after an error it holds a torn message. */
struct mpack_out {
	struct buf *b;
	enum errc err;
};

void mpack_out_init(struct mpack_out *o, struct buf *b);
static inline MUSTCHECK enum errc mpack_out_end(const struct mpack_out *o)
{
	return o->err;
}

/* n pairs (map) or values (array) must follow. */
void mpack_map(struct mpack_out *o, uint32_t n);
void mpack_arr(struct mpack_out *o, uint32_t n);
void mpack_str(struct mpack_out *o, struct slice s);
void mpack_strz(struct mpack_out *o, const char *s); /* NULL is written as nil */
void mpack_bin(struct mpack_out *o, struct slice s);
void mpack_i64(struct mpack_out *o, int64_t v);
void mpack_u64(struct mpack_out *o, uint64_t v);
void mpack_bool(struct mpack_out *o, bool v);
void mpack_nil(struct mpack_out *o);

/* Reading. Copy the struct to look ahead or to go back. */
struct mpack_in {
	const uint8_t *p, *end;
};

enum mpack_type {
	MPACK_END, /* nothing left */
	MPACK_NIL,
	MPACK_BOOL,
	MPACK_INT, /* signed or unsigned */
	MPACK_FLOAT,
	MPACK_STR,
	MPACK_BIN,
	MPACK_ARR,
	MPACK_MAP,
	MPACK_EXT,
	MPACK_BAD, /* 0xc1 */
};

/* `bytes` is borrowed; what is read points into it. */
void mpack_in_init(struct mpack_in *r, struct slice bytes);
enum mpack_type mpack_peek(const struct mpack_in *r);
static inline bool mpack_is_end(const struct mpack_in *r)
{
	return r->p == r->end;
}

/* ERRC_TRUNCATED when the bytes end too early, ERRC_INVAL for another type, ERRC_RANGE for a number
 * that does not fit. On any error the cursor stays. *n counts pairs (map) or values (array): at
 * most the bytes left. */
MUSTCHECK
enum errc mpack_read_map(struct mpack_in *r, uint32_t *n);
MUSTCHECK
enum errc mpack_read_arr(struct mpack_in *r, uint32_t *n);
MUSTCHECK
enum errc mpack_read_str(struct mpack_in *r, struct slice *out);
MUSTCHECK
enum errc mpack_read_bin(struct mpack_in *r, struct slice *out);
/* A bin of exactly n bytes, copied to out. */
MUSTCHECK
enum errc mpack_read_fixed(struct mpack_in *r, void *out, size_t n);
MUSTCHECK
enum errc mpack_read_i64(struct mpack_in *r, int64_t *out);
MUSTCHECK
enum errc mpack_read_u64(struct mpack_in *r, uint64_t *out);
MUSTCHECK
enum errc mpack_read_bool(struct mpack_in *r, bool *out);
MUSTCHECK
enum errc mpack_read_nil(struct mpack_in *r);
/* Passes one value of any type, whatever it holds; `raw` (may be NULL) gets its bytes. */
MUSTCHECK
enum errc mpack_skip(struct mpack_in *r, struct slice *raw);
/* Passes n values. */
MUSTCHECK
enum errc mpack_skip_n(struct mpack_in *r, uint32_t n);
/* In a map of n pairs whose first key is next: places the cursor of *out on the value of `key`.
 * ERRC_NOTFOUND. r stays. */
MUSTCHECK
enum errc mpack_find(const struct mpack_in *r, uint32_t n, const char *key, struct mpack_in *out);

/* Appends one value as compact JSON: bin as base64, keys that are numbers as strings. ERRC_DEPTH
 * beyond LIMIT_JSON_DEPTH, ERRC_INVAL for ext and for keys that are neither strings nor numbers. */
MUSTCHECK
enum errc mpack_to_json(struct mpack_in *r, struct buf *out);

/* Version of the library that runs here, "6.0.1"; static. */
const char *mpack_library(void);

#endif
