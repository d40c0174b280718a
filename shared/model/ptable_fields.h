/* Private to the provider table: the plain members of its structs as rows, so that writing and reading a blob cannot differ. */
#ifndef AIGW_PTABLE_FIELDS_H
#define AIGW_PTABLE_FIELDS_H

#include "arena.h"
#include "mpack.h"
#include "ptable.h"

/* Of the blob's layout; both ends are one program, so another version is refused. */
#define PTABLE_FIELDS_VERSION 3

enum ptable_fields_type {
	PTABLE_FIELDS_STR,
	PTABLE_FIELDS_I64,
	PTABLE_FIELDS_U64,
	PTABLE_FIELDS_U32,
	PTABLE_FIELDS_U16,
	PTABLE_FIELDS_INT,
	PTABLE_FIELDS_ENUM, /* 0 to max */
	PTABLE_FIELDS_BOOL,
};

struct ptable_fields_row {
	enum ptable_fields_type type;
	size_t offset;
	int64_t max;
};

struct ptable_fields {
	const struct ptable_fields_row *rows;
	size_t n;
};

extern const struct ptable_fields ptable_fields_listener, ptable_fields_provider,
	ptable_fields_model, ptable_fields_offer;

/* n values follow one another; they are part of an array whose length the caller writes. */
void ptable_fields_pack(struct mpack_out *o, const struct ptable_fields *f, const void *base);
/* Texts are copied into the arena, with a NUL behind them. ERRC_RANGE for a number that does not fit its member. */
MUSTCHECK enum errc ptable_fields_unpack(struct mpack_in *r, struct arena *a,
					 const struct ptable_fields *f, void *base);

/* The settings by the rows of settings_tbl.h. */
void ptable_fields_pack_settings(struct mpack_out *o, const struct settings *s);
MUSTCHECK enum errc ptable_fields_unpack_settings(struct mpack_in *r, struct arena *a,
						  struct settings *s);

#endif
