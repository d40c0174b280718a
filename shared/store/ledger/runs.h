/* A tree of many small rows, names to sums: neighbours stand together in runs, some sixty to a value of LMDB's, so that a million of
 * them are read in some hundredths of a second and take a fifth of the room. Within a run each row has of its name what
 * differs from the one before, and of its numbers the bytes that are not 0.
 *
 * The first RUNS_HEAD bytes of a name part the tree: all rows of a run have them in common, and they name what can be forgotten. A
 * run's key is no name but a bound: rows of its head from there on, up to the next key, are in it. */
#ifndef AIGW_RUNS_H
#define AIGW_RUNS_H

#include "lmdbx.h"
#include "mem.h"
#include "rollup.h"

#define RUNS_HEAD      5
#define RUNS_KEY_MAX   511 /* LMDB's keys */
#define RUNS_KEY_SLACK 16  /* bytes that may be written behind one */

struct runs_row {
	struct slice key;
	const struct rollup_sums *sums;
};

/* Adds to rows; makes those that are not there. `rows` are in order of their keys, each key once. *written (may be NULL): how many runs
 * that took. */
MUSTCHECK enum errc runs_add(MDB_txn *txn, MDB_dbi db, const struct runs_row *rows, size_t n,
			     size_t *written);

/* The numbers of a row as they are stored: valid as long as the transaction. */
struct runs_numbers {
	const uint8_t *at;
	uint64_t widths;
};

/* Reads rows in order of their keys. Only the last four members are the caller's, who reads them. */
struct runs_walk {
	MDB_cursor *c;
	const uint8_t *at, *end;
	struct mem_walk pages;
	struct runs_numbers numbers;
	size_t key_n,
		shared; /* shared: bytes of the key that are those of the row before; 0 after a seek */
	uint8_t key[RUNS_KEY_MAX + RUNS_KEY_SLACK];
};

MUSTCHECK enum errc runs_open(struct runs_walk *w, MDB_txn *txn, MDB_dbi db);
void runs_close(struct runs_walk *w);
/* To the first row at or behind `key`, which has RUNS_HEAD bytes at least. ERRC_NOTFOUND: there is none. */
MUSTCHECK enum errc runs_seek(struct runs_walk *w, struct slice key);
MUSTCHECK enum errc runs_next_row(struct runs_walk *w); /* of the run */
MUSTCHECK enum errc runs_next_run(struct runs_walk *w); /* to its first row */
static inline MUSTCHECK enum errc runs_next(struct runs_walk *w)
{
	return w->at == w->end ? runs_next_run(w) : runs_next_row(w);
}
void runs_sums(const struct runs_numbers *n, struct rollup_sums *out);
/* Adds them to others, or takes them from them, but for the sequence numbers, which stay as they are. */
void runs_plus(const struct runs_numbers *n, struct rollup_sums *to);
void runs_minus(const struct runs_numbers *n, struct rollup_sums *from);

/* Removes the rows of all heads from <= head <= to, *left runs at most, and takes from *left what it removed: 0 when there may be
 * more. */
MUSTCHECK enum errc runs_forget(MDB_txn *txn, MDB_dbi db, const uint8_t from[RUNS_HEAD],
				const uint8_t to[RUNS_HEAD], size_t *left);

#endif
