#include "runs.h"

#include <endian.h>

#include "mem.h"

/* A row is eight bytes (the widths of its numbers, four bits each; how many bytes of the key are those of the row before; how
 * many follow), the rest of its key, its numbers from their low byte on. Behind the last row stand eight bytes of 0: a number is
 * read as eight bytes, those that are not its own are masked. */
#define NUMBERS  11
#define SEQUENCE 2 /* of them, the first ones */
#define WIDTHS   (4 * NUMBERS)
#define LENGTH   10 /* bits */
#define HEADER   8
#define PAD      8
#define ROW_MORE (HEADER + 8 * NUMBERS) /* that a row takes besides its key */
#define RUN_MAX  2000                   /* of LMDB's node, key and value: two fit a page */
#define MERGED   (RUN_MAX + RUNS_KEY_MAX + ROW_MORE)

_Static_assert(WIDTHS + 2 * LENGTH <= 64 && RUNS_KEY_MAX < 1 << LENGTH, "a row's first bytes");
_Static_assert(offsetof(struct rollup_sums, requests) == SEQUENCE * sizeof(int64_t), "their order");
_Static_assert(sizeof(struct rollup_sums) == NUMBERS * sizeof(int64_t), "nothing but numbers");

static uint64_t load(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof v);
	return le64toh(v);
}

static void store(uint8_t *p, uint64_t v)
{
	v = htole64(v);
	memcpy(p, &v, sizeof v);
}

/* Small ones are short whatever their sign. */
static uint64_t folded(int64_t v)
{
	return (uint64_t)v << 1 ^ (v < 0 ? UINT64_MAX : 0);
}

static int64_t unfolded(uint64_t v)
{
	return (int64_t)(v >> 1 ^ (0 - (v & 1)));
}

/* --- rows --- */

static size_t width_of(uint64_t v)
{
	return v ? (size_t)(71 - __builtin_clzll(v)) / 8 : 0;
}

/* Writes a row, at most ROW_MORE bytes and its key; returns where it ends. */
static uint8_t *put_row(uint8_t *p, struct slice before, struct slice key,
			const struct rollup_sums *sums)
{
	uint64_t v[NUMBERS], head;
	int64_t signed_v[NUMBERS];
	size_t shared = 0;
	uint8_t *at = p + HEADER;

	while (shared < before.n && shared < key.n && before.p[shared] == key.p[shared])
		shared++;
	memcpy(at, key.p + shared, key.n - shared);
	at += key.n - shared;
	memcpy(signed_v, sums, sizeof signed_v);
	head = (uint64_t)shared << WIDTHS | (uint64_t)(key.n - shared) << (WIDTHS + LENGTH);
	for (size_t i = 0; i < NUMBERS; i++) {
		size_t n;

		v[i] = folded(signed_v[i]);
		n = width_of(v[i]);
		head |= (uint64_t)n << (4 * i);
		store(at, v[i]);
		at += n;
	}
	store(p, head);
	return at;
}

/* The sum of the widths. */
static size_t numbers_bytes(uint64_t head)
{
	uint64_t widths = head & ((UINT64_C(1) << WIDTHS) - 1);
	uint64_t pairs = (widths & UINT64_C(0x0f0f0f0f0f0f0f0f)) +
			 (widths >> 4 & UINT64_C(0x0f0f0f0f0f0f0f0f));

	return pairs * UINT64_C(0x0101010101010101) >> 56;
}

static const uint64_t masks[16] = {
	0,
	UINT64_C(0xff),
	UINT64_C(0xffff),
	UINT64_C(0xffffff),
	UINT64_C(0xffffffff),
	UINT64_C(0xffffffffff),
	UINT64_C(0xffffffffffff),
	UINT64_C(0xffffffffffffff),
	UINT64_MAX,
};

void runs_sums(const struct runs_numbers *numbers, struct rollup_sums *sums)
{
	const uint8_t *at = numbers->at;
	uint64_t widths = numbers->widths;
	char *to = (char *)sums;

#pragma GCC unroll 11
	for (size_t i = 0; i < NUMBERS; i++, widths >>= 4) {
		int64_t v = unfolded(load(at) & masks[widths & 15]);

		memcpy(to + i * sizeof v, &v, sizeof v);
		at += widths & 15;
	}
}

/* Numbers that most rows do not have, by their place behind the sequence numbers: failed, cached, reasoning, uncollected. */
static inline bool is_rare(size_t i)
{
	return i % 2 == 1;
}

/* Added up as they are read: what is put together in between would be read in other pieces than it was written in, and
 * processors wait for that. */
static inline void count(const struct runs_numbers *numbers, struct rollup_sums *sums, int sign)
{
	const uint8_t *at = numbers->at + (numbers->widths & 15) + (numbers->widths >> 4 & 15);
	uint64_t widths = numbers->widths >> (4 * SEQUENCE);
	char *to = (char *)sums + SEQUENCE * sizeof(int64_t);

#pragma GCC unroll 9
	for (size_t i = 0; i < NUMBERS - SEQUENCE; i++) {
		size_t n = widths >> (4 * i) & 15;
		int64_t v, sum;

		if (is_rare(i) && n == 0)
			continue;
		v = unfolded(load(at) & masks[n]);
		memcpy(&sum, to + i * sizeof v, sizeof sum);
		sum = sign > 0 ? sum + v : sum - v;
		memcpy(to + i * sizeof v, &sum, sizeof sum);
		at += n;
	}
}

void runs_plus(const struct runs_numbers *n, struct rollup_sums *to)
{
	count(n, to, 1);
}

void runs_minus(const struct runs_numbers *n, struct rollup_sums *from)
{
	count(n, from, -1);
}

/* What differs is short mostly: two words are copied, whatever is behind it, where they end before `end`. */
static void copy_name(uint8_t *to, const uint8_t *from, size_t n, const uint8_t *end)
{
	if (n <= RUNS_KEY_SLACK && (size_t)(end - from) >= RUNS_KEY_SLACK)
		memcpy(to, from, RUNS_KEY_SLACK);
	else
		memcpy(to, from, n);
}

/* The next row of the run. */
enum errc runs_next_row(struct runs_walk *w)
{
	size_t left = (size_t)(w->end - w->at), shared, n, numbers;
	uint64_t head;

	if (left < HEADER)
		return ERRC_CORRUPT;
	head = load(w->at);
	shared = head >> WIDTHS & ((1 << LENGTH) - 1);
	n = head >> (WIDTHS + LENGTH);
	numbers = numbers_bytes(head);
	if (shared > w->key_n || shared + n > RUNS_KEY_MAX || shared + n < RUNS_HEAD ||
	    left < HEADER + n + numbers)
		return ERRC_CORRUPT;
	copy_name(w->key + shared, w->at + HEADER, n, w->end + PAD);
	w->key_n = shared + n;
	w->shared = shared;
	w->numbers = (struct runs_numbers){w->at + HEADER + n, head};
	w->at += HEADER + n + numbers;
	return ERRC_OK;
}

static enum errc open_run(struct runs_walk *w, struct slice value)
{
	if (value.n < PAD)
		return ERRC_CORRUPT;
	w->at = (const uint8_t *)value.p;
	w->end = w->at + value.n - PAD;
	w->key_n = 0;
	return ERRC_OK;
}

/* --- reading --- */

/* Two runs or more stand together in a page of the file. */
static enum errc read_run(struct runs_walk *w, struct slice value)
{
	mem_fetch_walk(&w->pages, value.p, value.n);
	return open_run(w, value);
}

static bool same_head(struct slice a, struct slice b)
{
	return a.n >= RUNS_HEAD && b.n >= RUNS_HEAD && memcmp(a.p, b.p, RUNS_HEAD) == 0;
}

/* The run that has `key` in it if any has. ERRC_NOTFOUND: there is none of its head. */
static enum errc find_run(MDB_cursor *c, struct slice key, struct slice *bound, struct slice *value)
{
	enum errc rc;

	*bound = key;
	rc = lmdbx_move(c, MDB_SET_RANGE, bound, value);
	if (!rc && slice_eq(*bound, key))
		return ERRC_OK;
	if (!rc || rc == ERRC_NOTFOUND)
		rc = lmdbx_move(c, rc ? MDB_LAST : MDB_PREV, bound, value);
	return !rc && !same_head(*bound, key) ? ERRC_NOTFOUND : rc;
}

enum errc runs_open(struct runs_walk *w, MDB_txn *txn, MDB_dbi db)
{
	w->at = w->end = NULL;
	w->pages = (struct mem_walk){.page = 0};
	return lmdbx_errc(mdb_cursor_open(txn, db, &w->c));
}

void runs_close(struct runs_walk *w)
{
	mdb_cursor_close(w->c);
}

enum errc runs_next_run(struct runs_walk *w)
{
	struct slice key, value;
	enum errc rc;

	while (w->at == w->end) {
		rc = lmdbx_move(w->c, MDB_NEXT, &key, &value);
		if (!rc)
			rc = read_run(w, value);
		if (rc)
			return rc;
	}
	return runs_next_row(w);
}

enum errc runs_seek(struct runs_walk *w, struct slice key)
{
	struct slice bound, value;
	enum errc rc = find_run(w->c, key, &bound, &value);

	if (rc == ERRC_NOTFOUND) {
		bound = key;
		rc = lmdbx_move(w->c, MDB_SET_RANGE, &bound, &value);
	}
	if (!rc)
		rc = read_run(w, value);
	do {
		if (!rc)
			rc = runs_next(w);
	} while (!rc && slice_cmp(slice_of(w->key, w->key_n), key) < 0);
	w->shared = 0;
	return rc;
}

/* --- writing --- */

/* A run that is added to: what it was, and what becomes of it, which may be several runs. */
struct merge {
	MDB_cursor *c;
	struct slice bound; /* of the run that is being written */
	uint8_t bound_b[RUNS_KEY_MAX], old[RUN_MAX], run[MERGED], last[RUNS_KEY_MAX];
	size_t last_n, full; /* full: bytes at which a run is long enough */
	size_t written;
	uint8_t *at;
	struct runs_walk was;
	bool has_old; /* `was` stands at a row that is still to be written */
};

static enum errc end_run(struct merge *m)
{
	struct slice value = slice_of(m->run, (size_t)(m->at - m->run) + PAD);

	memset(m->at, 0, PAD);
	m->written++;
	return lmdbx_cursor_put(m->c, m->bound, value, 0);
}

static enum errc put(struct merge *m, struct slice key, const struct rollup_sums *sums)
{
	uint8_t *end = put_row(m->at, slice_of(m->last, m->last_n), key, sums);
	enum errc rc = ERRC_OK;

	if (m->at > m->run && (size_t)(end - m->run) + m->bound.n + PAD > m->full) {
		rc = end_run(m);
		memcpy(m->bound_b, key.p, key.n);
		m->bound = slice_of(m->bound_b, key.n);
		end = put_row(m->run, SLICE_NONE, key, sums);
	}
	m->at = end;
	memcpy(m->last, key.p, key.n);
	m->last_n = key.n;
	return rc;
}

static enum errc next_old(struct merge *m)
{
	m->has_old = m->was.at < m->was.end;
	return m->has_old ? runs_next_row(&m->was) : ERRC_OK;
}

/* Writes the old rows that stand before `key`, or all without one; *same: the next has that key. */
static enum errc put_old(struct merge *m, const struct slice *key, bool *same)
{
	struct rollup_sums sums;
	enum errc rc = ERRC_OK;
	int order = -1;

	*same = false;
	while (!rc && m->has_old) {
		struct slice old = slice_of(m->was.key, m->was.key_n);

		if (key)
			order = slice_cmp(old, *key);
		if (order >= 0)
			break;
		runs_sums(&m->was.numbers, &sums);
		rc = put(m, old, &sums);
		if (!rc)
			rc = next_old(m);
	}
	*same = m->has_old && order == 0;
	return rc;
}

static enum errc merge_rows(struct merge *m, const struct runs_row *rows, size_t n)
{
	enum errc rc = next_old(m);
	bool same;

	for (size_t i = 0; !rc && i < n; i++) {
		struct rollup_sums sums = *rows[i].sums;

		rc = put_old(m, &rows[i].key, &same);
		if (!rc && same) {
			struct rollup_sums old;

			runs_sums(&m->was.numbers, &old);
			rollup_sums_add(&sums, &old);
			rc = next_old(m);
		}
		if (!rc)
			rc = put(m, rows[i].key, &sums);
	}
	if (!rc)
		rc = put_old(m, NULL, &same);
	return rc ? rc : end_run(m);
}

/* Those of the first rows that belong to one run, which reaches up to `next`; and how long each is to be if it must be divided: not
 * full, or the next row would divide it again. */
static size_t divide(struct merge *m, const struct runs_row *rows, size_t n, struct slice next)
{
	size_t bytes = m->bound.n + (size_t)(m->was.end - m->was.at), i = 0;

	for (; i < n && same_head(rows[i].key, rows[0].key) &&
	       (next.n == 0 || slice_cmp(rows[i].key, next) < 0);
	     i++)
		bytes += rows[i].key.n + ROW_MORE;
	m->full = bytes + PAD <= RUN_MAX ? RUN_MAX : bytes / (bytes / RUN_MAX + 1);
	return i;
}

/* Adds as many of the rows as belong to the run of the first: *n. */
static enum errc add_to_run(struct merge *m, const struct runs_row *rows, size_t *n)
{
	struct slice bound, value, next = SLICE_NONE;
	enum errc rc = find_run(m->c, rows[0].key, &bound, &value);

	m->at = m->run;
	m->last_n = 0;
	if (rc == ERRC_NOTFOUND) {
		bound = slice_sub(rows[0].key, 0, RUNS_HEAD);
		value = slice_of(m->old, PAD); /* no rows */
		rc = ERRC_OK;
	} else if (!rc && value.n > RUN_MAX) {
		rc = ERRC_CORRUPT;
	}
	if (rc)
		return rc;
	memcpy(m->bound_b, bound.p, bound.n);
	m->bound = slice_of(m->bound_b, bound.n);
	memmove(m->old, value.p, value.n); /* what is written moves what stands in the page */
	rc = open_run(&m->was, slice_of(m->old, value.n));
	if (!rc && m->was.at < m->was.end) {
		rc = lmdbx_move(m->c, MDB_NEXT, &next, &value);
		if (rc == ERRC_NOTFOUND)
			rc = ERRC_OK;
	}
	if (rc)
		return rc;
	*n = divide(m, rows, *n, next);
	return merge_rows(m, rows, *n);
}

enum errc runs_add(MDB_txn *txn, MDB_dbi db, const struct runs_row *rows, size_t n, size_t *written)
{
	struct merge *m = mem_new_of(struct merge);
	enum errc rc = m ? lmdbx_errc(mdb_cursor_open(txn, db, &m->c)) : ERRC_NOMEM;

	if (rc)
		goto out;
	for (size_t i = 0; !rc && i < n;) {
		size_t added = n - i;

		rc = add_to_run(m, rows + i, &added);
		i += added;
	}
	mdb_cursor_close(m->c);
	if (written)
		*written = m->written;
out:
	mem_free(m);
	return rc;
}

enum errc runs_forget(MDB_txn *txn, MDB_dbi db, const uint8_t from[RUNS_HEAD],
		      const uint8_t to[RUNS_HEAD], size_t *left)
{
	struct slice key = slice_of(from, RUNS_HEAD), value;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, db, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	while (!rc && *left > 0 && memcmp(key.p, to, RUNS_HEAD) <= 0) {
		rc = lmdbx_errc(mdb_cursor_del(c, 0));
		--*left;
		if (!rc)
			rc = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	mdb_cursor_close(c);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}
