#include "upindex.h"

#include "mem.h"
#include "text.h"

#define SLICES      256
#define GROUP_BITS  20 /* numbers of a group: some pages a slice, read in one go */
#define GROUPS_LOOK 16 /* groups a call of upindex_stored() */
#define TAG_BITS    12
#define SEQ_END     (UINT64_C(1) << (32 + GROUP_BITS))
#define ENTRY_BYTES 8

/* A row's key sorts by group, slice and the first number that may be in it. */
struct row_name {
	uint8_t b[4 + 1 + 8];
};

static uint64_t group_of(uint64_t seq)
{
	return seq >> GROUP_BITS;
}

static uint64_t offset_of(uint64_t seq)
{
	return seq & ((UINT64_C(1) << GROUP_BITS) - 1);
}

static uint64_t pack(const struct upindex_name *n, uint64_t offset)
{
	return (uint64_t)n->hash << 32 | (uint64_t)n->tag << GROUP_BITS | offset;
}

static void put_be(uint8_t *p, size_t n, uint64_t v)
{
	while (n > 0) {
		p[--n] = (uint8_t)v;
		v >>= 8;
	}
}

static uint64_t get_be(const char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | (uint8_t)p[i];
	return v;
}

static struct row_name row_name(uint64_t group, uint8_t slice, uint64_t first)
{
	struct row_name k;

	put_be(k.b, 4, group);
	k.b[4] = slice;
	put_be(k.b + 5, 8, first);
	return k;
}

static struct upindex_name name_of(const struct upindex *ix, struct slice upstream_id,
				   struct slice key_id)
{
	uint64_t id = text_hash_keyed(ix->seed, upstream_id);

	return (struct upindex_name){.hash = (uint32_t)id,
				     .slice = (uint8_t)(id >> 32),
				     .tag = text_hash_keyed(ix->seed, key_id) &
					    ((1u << TAG_BITS) - 1)};
}

void upindex_init(struct upindex *ix)
{
	*ix = (struct upindex){.n = 0};
	pthread_mutex_init(&ix->lock, NULL);
}

void upindex_fini(struct upindex *ix)
{
	mem_free(ix->entries);
	pthread_mutex_destroy(&ix->lock);
}

void upindex_seed(struct upindex *ix, const uint8_t seed[16])
{
	memcpy(ix->seed, seed, sizeof ix->seed);
}

static enum errc grow(struct upindex *ix)
{
	size_t cap = ix->cap ? ix->cap * 2 : 256;
	struct upindex_entry *entries;

	pthread_mutex_lock(&ix->lock);
	entries = mem_grow(ix->entries, cap * sizeof *entries);
	if (entries) {
		ix->entries = entries;
		ix->cap = cap;
	}
	pthread_mutex_unlock(&ix->lock);
	return entries ? ERRC_OK : ERRC_NOMEM;
}

enum errc upindex_add(struct upindex *ix, uint64_t seq, struct slice upstream_id,
		      const char key_id[APIKEY_ID])
{
	enum errc rc = ix->n < ix->cap ? ERRC_OK : grow(ix);

	if (rc)
		return rc;
	require(ix->n == 0 || ix->entries[ix->n - 1].seq < seq);
	ix->entries[ix->n++] =
		(struct upindex_entry){seq, name_of(ix, upstream_id, slice_of(key_id, APIKEY_ID))};
	return ERRC_OK;
}

/* Some entries of one group in stored form, slice after slice: those of slice s end at ends[s]. */
static void arrange(const struct upindex_entry *e, size_t n, uint64_t *out, size_t ends[SLICES])
{
	memset(ends, 0, SLICES * sizeof *ends);
	for (size_t i = 0; i < n; i++)
		ends[e[i].name.slice]++;
	for (size_t s = 1; s < SLICES; s++)
		ends[s] += ends[s - 1];
	for (size_t i = n; i-- > 0;)
		out[--ends[e[i].name.slice]] = pack(&e[i].name, offset_of(e[i].seq));
	/* Each is now where its slice begins, so the one after it tells where it ends. */
	for (size_t s = 0; s + 1 < SLICES; s++)
		ends[s] = ends[s + 1];
	ends[SLICES - 1] = n;
}

static enum errc write_group(MDB_cursor *c, const struct upindex_entry *e, size_t n, uint64_t *room)
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

enum errc upindex_write(struct upindex *ix, MDB_txn *txn, MDB_dbi db)
{
	uint64_t *room;
	MDB_cursor *c;
	enum errc rc;

	require(ix->written_n == 0);
	room = mem_new(MAX_OF(ix->durable_n, 1) * sizeof *room);
	if (!room)
		return ERRC_NOMEM;
	rc = lmdbx_errc(mdb_cursor_open(txn, db, &c));
	if (rc) {
		mem_free(room);
		return rc;
	}
	for (size_t from = 0, to; !rc && from < ix->durable_n; from = to) {
		const struct upindex_entry *e = &ix->entries[from];

		for (to = from;
		     to < ix->durable_n && group_of(ix->entries[to].seq) == group_of(e->seq);)
			to++;
		rc = write_group(c, e, to - from, room);
	}
	mdb_cursor_close(c);
	mem_free(room);
	if (!rc)
		ix->written_n = ix->durable_n;
	return rc;
}

void upindex_committed(struct upindex *ix)
{
	pthread_mutex_lock(&ix->lock);
	ix->n -= ix->written_n;
	if (ix->written_n > 0 && ix->n > 0)
		memmove(ix->entries, ix->entries + ix->written_n, ix->n * sizeof *ix->entries);
	ix->durable_n = ix->n;
	ix->written_n = 0;
	pthread_mutex_unlock(&ix->lock);
}

void upindex_aborted(struct upindex *ix)
{
	ix->n = ix->durable_n;
	ix->written_n = 0;
}

void upindex_search_init(const struct upindex *ix, struct slice upstream_id, const char *key_id,
			 struct upindex_search *s)
{
	struct slice key = key_id ? slice_of(key_id, APIKEY_ID) : SLICE_LIT("");

	*s = (struct upindex_search){
		.name = name_of(ix, upstream_id, key), .any_key = !key_id, .before = SEQ_END};
}

bool upindex_recent(struct upindex *ix, struct upindex_search *s, uint64_t *seq)
{
	bool found = false;

	pthread_mutex_lock(&ix->lock);
	for (size_t i = ix->durable_n; !found && i-- > 0;) {
		const struct upindex_entry *e = &ix->entries[i];

		found = e->name.hash == s->name.hash && e->name.slice == s->name.slice &&
			(s->any_key || e->name.tag == s->name.tag) && e->seq < s->before;
		if (found)
			*seq = s->before = e->seq;
	}
	pthread_mutex_unlock(&ix->lock);
	return found;
}

/* The newest entry of a row of `group` that may be meant. */
static bool find_in_row(struct slice row, uint64_t group, struct upindex_search *s)
{
	uint64_t offsets = (UINT64_C(1) << GROUP_BITS) - 1, want = pack(&s->name, 0);
	uint64_t mask = s->any_key ? UINT64_C(0xffffffff) << 32 : ~offsets;

	/* Of a damaged row only what is whole counts. */
	for (size_t i = row.n / ENTRY_BYTES; i-- > 0;) {
		uint64_t v, seq;

		memcpy(&v, row.p + i * ENTRY_BYTES, sizeof v);
		seq = group << GROUP_BITS | (v & offsets);
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
static enum errc find_in_group(MDB_cursor *c, struct upindex_search *s)
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
	found = get_be(key.p, 4);
	s->before = (found < group ? found + 1 : group) << GROUP_BITS;
	return s->before > 0 ? ERRC_AGAIN : ERRC_NOTFOUND;
}

enum errc upindex_stored(MDB_txn *txn, MDB_dbi db, struct upindex_search *s, uint64_t *seq)
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
