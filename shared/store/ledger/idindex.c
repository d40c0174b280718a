#include "idindex.h"

#include <stdlib.h>

#include "be.h"
#include "mem.h"
#include "text.h"

#define SLICES      256
#define GROUPS_LOOK 16 /* groups a call of idindex_stored() */
#define TAG_BITS    12
#define SEQ_END     (UINT64_C(1) << (32 + IDINDEX_GROUP_BITS))
#define ENTRY_BYTES 8

/* Of the rows for providers' ids: the key sorts by group, slice and the first number that may be in it. */
struct row_name {
	uint8_t b[4 + 1 + 8];
};

static uint64_t group_of(uint64_t seq)
{
	return seq >> IDINDEX_GROUP_BITS;
}

static uint64_t offset_of(uint64_t seq)
{
	return seq & (IDINDEX_GROUP - 1);
}

static uint64_t pack(const struct idindex_name *n, uint64_t offset)
{
	return (uint64_t)n->hash << 32 | (uint64_t)n->tag << IDINDEX_GROUP_BITS | offset;
}

static struct row_name row_name(uint64_t group, uint8_t slice, uint64_t first)
{
	struct row_name k;

	be_put(k.b, 4, group);
	k.b[4] = slice;
	be_put(k.b + 5, 8, first);
	return k;
}

static struct idindex_name name_of(const struct idindex *ix, struct slice upstream_id,
				   struct slice key_id)
{
	uint64_t id = text_hash_keyed(ix->seed, upstream_id);

	return (struct idindex_name){.hash = (uint32_t)id,
				     .slice = (uint8_t)(id >> 32),
				     .tag = text_hash_keyed(ix->seed, key_id) &
					    ((1u << TAG_BITS) - 1)};
}

static struct idindex_name name_in(const struct idindex *ix, const struct record_charge *c)
{
	return name_of(ix, c->upstream_id, slice_of(c->key_id, APIKEY_ID));
}

void idindex_init(struct idindex *ix)
{
	*ix = (struct idindex){.n = 0};
	pthread_mutex_init(&ix->lock, NULL);
}

void idindex_fini(struct idindex *ix)
{
	mem_free(ix->entries);
	mem_free(ix->slots);
	pthread_mutex_destroy(&ix->lock);
}

void idindex_seed(struct idindex *ix, const uint8_t seed[16])
{
	memcpy(ix->seed, seed, sizeof ix->seed);
}

/* Where the search for an id begins: its random part is at the end. */
static size_t slot_of(const struct idindex *ix, const struct genid *id)
{
	uint64_t v;

	memcpy(&v, id->b + GENID_BYTES - sizeof v, sizeof v);
	return (size_t)(v * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (2 * ix->cap - 1);
}

static void link_entries(struct idindex *ix, size_t from, size_t to)
{
	size_t mask = 2 * ix->cap - 1;

	for (size_t i = from; i < to; i++) {
		size_t at = slot_of(ix, &ix->entries[i].id);

		while (ix->slots[at])
			at = (at + 1) & mask;
		ix->slots[at] = (uint32_t)i + 1;
	}
}

static enum errc grow(struct idindex *ix)
{
	size_t cap = ix->cap ? ix->cap * 2 : 256;
	uint32_t *slots = cap <= UINT32_MAX / 2 ? mem_new(2 * cap * sizeof *slots) : NULL;
	struct idindex_entry *entries;

	if (!slots)
		return ERRC_NOMEM;
	pthread_mutex_lock(&ix->lock);
	entries = mem_grow(ix->entries, cap * sizeof *entries);
	if (entries) {
		mem_free(ix->slots);
		ix->slots = slots;
		ix->entries = entries;
		ix->cap = cap;
		link_entries(ix, 0, ix->durable_n);
	}
	pthread_mutex_unlock(&ix->lock);
	if (!entries)
		mem_free(slots);
	return entries ? ERRC_OK : ERRC_NOMEM;
}

enum errc idindex_add(struct idindex *ix, uint64_t seq, const struct record_charge *c)
{
	struct idindex_entry e = {.id = c->id, .seq = seq, .name.none = c->upstream_id.n == 0};
	enum errc rc = ix->n < ix->cap ? ERRC_OK : grow(ix);

	if (rc)
		return rc;
	require(ix->n == 0 || ix->entries[ix->n - 1].seq < seq);
	if (!e.name.none)
		e.name = name_in(ix, c);
	ix->entries[ix->n++] = e;
	return ERRC_OK;
}

static int by_id(const void *a, const void *b)
{
	const struct idindex_entry *const *x = a, *const *y = b;
	int d = memcmp((*x)->id.b, (*y)->id.b, GENID_BYTES);

	/* Of one id the newest is written last. */
	return d ? d : ((*x)->seq > (*y)->seq) - ((*x)->seq < (*y)->seq);
}

static enum errc write_ids(const struct idindex *ix, MDB_txn *txn, MDB_dbi db)
{
	const struct idindex_entry **order = mem_new(ix->durable_n * sizeof *order);
	MDB_cursor *c;
	enum errc rc;

	if (!order)
		return ERRC_NOMEM;
	for (size_t i = 0; i < ix->durable_n; i++)
		order[i] = &ix->entries[i];
	qsort(order, ix->durable_n, sizeof *order, by_id);
	rc = lmdbx_errc(mdb_cursor_open(txn, db, &c));
	if (!rc) {
		for (size_t i = 0; !rc && i < ix->durable_n; i++) {
			uint8_t seq[8];

			be_put(seq, sizeof seq, order[i]->seq);
			rc = lmdbx_cursor_put(c, slice_of(order[i]->id.b, GENID_BYTES),
					      slice_of(seq, sizeof seq), 0);
		}
		mdb_cursor_close(c);
	}
	mem_free(order);
	return rc;
}

/* Some entries of one group in stored form, slice after slice: those of slice s end at ends[s]. */
static void arrange(const struct idindex_entry *e, size_t n, uint64_t *out, size_t ends[SLICES])
{
	size_t at = 0;

	memset(ends, 0, SLICES * sizeof *ends);
	for (size_t i = 0; i < n; i++)
		ends[e[i].name.slice] += !e[i].name.none;
	/* For now where each begins; it ends where the last one has been put. */
	for (size_t s = 0; s < SLICES; s++) {
		size_t of_slice = ends[s];

		ends[s] = at;
		at += of_slice;
	}
	for (size_t i = 0; i < n; i++) {
		if (!e[i].name.none)
			out[ends[e[i].name.slice]++] = pack(&e[i].name, offset_of(e[i].seq));
	}
}

static enum errc write_group(MDB_cursor *c, const struct idindex_entry *e, size_t n, uint64_t *room)
{
	size_t ends[SLICES];
	enum errc rc = ERRC_OK;

	arrange(e, n, room, ends);
	for (size_t s = 0, from = 0; !rc && s < SLICES; from = ends[s++]) {
		struct row_name k = row_name(group_of(e->seq), (uint8_t)s, e->seq);

		if (ends[s] > from)
			rc = lmdbx_cursor_put(c, slice_of(k.b, sizeof k.b),
					      slice_of(room + from, (ends[s] - from) * ENTRY_BYTES),
					      0);
	}
	return rc;
}

static enum errc write_upstream(const struct idindex *ix, MDB_txn *txn, MDB_dbi db)
{
	uint64_t *room = mem_new(ix->durable_n * sizeof *room);
	MDB_cursor *c;
	enum errc rc;

	if (!room)
		return ERRC_NOMEM;
	rc = lmdbx_errc(mdb_cursor_open(txn, db, &c));
	if (!rc) {
		for (size_t from = 0, to; !rc && from < ix->durable_n; from = to) {
			const struct idindex_entry *e = &ix->entries[from];

			for (to = from; to < ix->durable_n &&
					group_of(ix->entries[to].seq) == group_of(e->seq);)
				to++;
			rc = write_group(c, e, to - from, room);
		}
		mdb_cursor_close(c);
	}
	mem_free(room);
	return rc;
}

enum errc idindex_write(struct idindex *ix, MDB_txn *txn, MDB_dbi ids, MDB_dbi upstream)
{
	enum errc rc;

	require(ix->written_n == 0);
	if (ix->durable_n == 0)
		return ERRC_OK;
	rc = write_ids(ix, txn, ids);
	if (!rc)
		rc = write_upstream(ix, txn, upstream);
	if (!rc)
		ix->written_n = ix->durable_n;
	return rc;
}

enum errc idindex_forget(MDB_txn *txn, MDB_dbi upstream, uint64_t seq, size_t max, bool *more)
{
	struct slice key = SLICE_NONE, value;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, upstream, &c));
	size_t n = 0;

	if (rc)
		return rc;
	/* Rows of a group lie together: whole groups go. */
	rc = lmdbx_move(c, MDB_FIRST, &key, &value);
	for (; !rc && n < max; n++) {
		if (key.n < 4 || be_get(key.p, 4) >= group_of(seq + 1))
			rc = ERRC_NOTFOUND;
		if (!rc)
			rc = lmdbx_errc(mdb_cursor_del(c, 0));
		if (!rc)
			rc = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	mdb_cursor_close(c);
	*more = !rc;
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

void idindex_committed(struct idindex *ix)
{
	pthread_mutex_lock(&ix->lock);
	if (ix->written_n > 0) {
		ix->n -= ix->written_n;
		memmove(ix->entries, ix->entries + ix->written_n, ix->n * sizeof *ix->entries);
		memset(ix->slots, 0, 2 * ix->cap * sizeof *ix->slots);
		ix->durable_n = 0;
	}
	link_entries(ix, ix->durable_n, ix->n);
	ix->durable_n = ix->n;
	ix->written_n = 0;
	pthread_mutex_unlock(&ix->lock);
}

void idindex_aborted(struct idindex *ix)
{
	ix->n = ix->durable_n;
	ix->written_n = 0;
}

bool idindex_find(struct idindex *ix, const struct genid *id, uint64_t *seq)
{
	uint32_t found = 0; /* position + 1 */

	pthread_mutex_lock(&ix->lock);
	if (ix->durable_n > 0) {
		for (size_t at = slot_of(ix, id); ix->slots[at]; at = (at + 1) & (2 * ix->cap - 1)) {
			if (genid_eq(&ix->entries[ix->slots[at] - 1].id, id))
				found = MAX_OF(found, ix->slots[at]);
		}
	}
	if (found)
		*seq = ix->entries[found - 1].seq;
	pthread_mutex_unlock(&ix->lock);
	return found > 0;
}

void idindex_search_init(const struct idindex *ix, struct slice upstream_id, const char *key_id,
			 struct idindex_search *s)
{
	struct slice key = key_id ? slice_of(key_id, APIKEY_ID) : SLICE_LIT("");

	*s = (struct idindex_search){
		.name = name_of(ix, upstream_id, key), .any_key = !key_id, .before = SEQ_END};
}

bool idindex_recent(struct idindex *ix, struct idindex_search *s, uint64_t *seq)
{
	bool found = false;

	pthread_mutex_lock(&ix->lock);
	for (size_t i = ix->durable_n; !found && i-- > 0;) {
		const struct idindex_entry *e = &ix->entries[i];

		found = !e->name.none && e->name.hash == s->name.hash &&
			e->name.slice == s->name.slice &&
			(s->any_key || e->name.tag == s->name.tag) && e->seq < s->before;
		if (found)
			*seq = s->before = e->seq;
	}
	pthread_mutex_unlock(&ix->lock);
	return found;
}

/* The newest entry of a row of `group` that may be meant. */
static bool find_in_row(struct slice row, uint64_t group, struct idindex_search *s)
{
	uint64_t offsets = IDINDEX_GROUP - 1, want = pack(&s->name, 0);
	uint64_t mask = s->any_key ? UINT64_C(0xffffffff) << 32 : ~offsets;

	/* Of a damaged row only what is whole counts. */
	for (size_t i = row.n / ENTRY_BYTES; i-- > 0;) {
		uint64_t v, seq;

		memcpy(&v, row.p + i * ENTRY_BYTES, sizeof v);
		seq = group << IDINDEX_GROUP_BITS | (v & offsets);
		if (((v ^ want) & mask) == 0 && seq < s->before) {
			s->before = seq;
			return true;
		}
	}
	return false;
}

/* To the last row before `name`. ERRC_NOTFOUND. */
static enum errc seek_before(MDB_cursor *c, struct row_name name, struct slice *key,
			     struct slice *row)
{
	enum errc rc;

	*key = slice_of(name.b, sizeof name.b);
	rc = lmdbx_move(c, MDB_SET_RANGE, key, row);
	if (rc && rc != ERRC_NOTFOUND)
		return rc;
	return lmdbx_move(c, rc ? MDB_LAST : MDB_PREV, key, row);
}

/* From where the search stands back through the slice in its group. ERRC_AGAIN: not there, to be sought in the next group that
 * has rows. ERRC_NOTFOUND: there is none. */
static enum errc find_in_group(MDB_cursor *c, struct idindex_search *s)
{
	uint64_t group = group_of(s->before - 1), found;
	struct row_name from = row_name(group, s->name.slice, s->before);
	struct slice key, row;
	enum errc rc = seek_before(c, from, &key, &row);

	while (!rc && key.n == sizeof from.b && memcmp(key.p, from.b, 5) == 0) {
		if (find_in_row(row, group, s))
			return ERRC_OK;
		rc = lmdbx_move(c, MDB_PREV, &key, &row);
	}
	if (rc)
		return rc;
	if (key.n != sizeof from.b)
		return ERRC_CORRUPT;
	found = be_get(key.p, 4);
	s->before = (found < group ? found + 1 : group) << IDINDEX_GROUP_BITS;
	return s->before > 0 ? ERRC_AGAIN : ERRC_NOTFOUND;
}

enum errc idindex_stored(MDB_txn *txn, MDB_dbi db, struct idindex_search *s, uint64_t *seq)
{
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, db, &c));

	if (rc)
		return rc;
	rc = s->before > 0 ? ERRC_AGAIN : ERRC_NOTFOUND;
	for (int i = 0; rc == ERRC_AGAIN && i < GROUPS_LOOK; i++)
		rc = find_in_group(c, s);
	mdb_cursor_close(c);
	if (!rc)
		*seq = s->before;
	return rc;
}

/* --- for verify --- */

#define MARK_IS (UINT64_C(1) << 8) /* above the slice, where an entry has its number */

static uint64_t mark_of(uint64_t entry, uint8_t slice)
{
	return (entry & ~(IDINDEX_GROUP - 1)) | MARK_IS | slice;
}

uint64_t idindex_mark(const struct idindex *ix, const struct record *r)
{
	struct idindex_name name;

	if (r->type != RECORD_CHARGE || r->charge.upstream_id.n == 0)
		return 0;
	name = name_in(ix, &r->charge);
	return mark_of(pack(&name, 0), name.slice);
}

/* Of one row; *next: the least number that may follow in its slice. */
static bool mark_row(struct slice key, struct slice row, uint64_t *marks, size_t n, uint64_t *next)
{
	uint64_t group = be_get(key.p, 4), first = be_get(key.p + 5, 8);
	bool good = row.n > 0 && row.n % ENTRY_BYTES == 0 && first >= *next &&
		    group_of(first) == group;

	*next = first;
	for (size_t i = 0; good && i < row.n / ENTRY_BYTES; i++) {
		uint64_t v, at;

		memcpy(&v, row.p + i * ENTRY_BYTES, sizeof v);
		at = offset_of(v);
		good = at < n && (group << IDINDEX_GROUP_BITS | at) >= *next;
		if (!good)
			break;
		/* Another slice may have it too: then one of them is wrong. */
		marks[at] = marks[at] ? IDINDEX_MARK_BAD : mark_of(v, (uint8_t)key.p[4]);
		*next = (group << IDINDEX_GROUP_BITS | at) + 1;
	}
	return good;
}

enum errc idindex_marks(MDB_txn *txn, MDB_dbi db, uint64_t group, uint64_t *marks, size_t n,
			bool *bad)
{
	struct row_name from = row_name(group, 0, 0);
	struct slice key = slice_of(from.b, sizeof from.b), row;
	uint64_t next = 0;
	int slice = -1;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, db, &c));

	*bad = false;
	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_SET_RANGE, &key, &row);
	for (; !rc && key.n >= 4 && memcmp(key.p, from.b, 4) == 0;
	     rc = lmdbx_move(c, MDB_NEXT, &key, &row)) {
		if (key.n != sizeof from.b) {
			*bad = true;
			continue;
		}
		if (slice != (uint8_t)key.p[4])
			next = 0;
		slice = (uint8_t)key.p[4];
		if (!mark_row(key, row, marks, n, &next))
			*bad = true;
	}
	mdb_cursor_close(c);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}
