#include "clock.h"
#include "ledger_priv.h"
#include "mem.h"
#include "retain.h"
#include "text.h"

#define SLICE_MS  20
#define CHECK_NTH 64 /* records between two looks at the clock, and that a transaction compares */

static enum errc get_seq(MDB_txn *txn, MDB_dbi db, struct slice key, uint64_t *seq)
{
	struct slice v;
	enum errc rc = lmdbx_get(txn, db, key, &v);

	if (rc)
		return rc;
	if (v.n != 8)
		return ERRC_CORRUPT;
	*seq = ledger_get_be(v.p);
	return ERRC_OK;
}

/* Hash and bytes of a record. */
static enum errc get_item(struct ledger *l, MDB_txn *txn, uint64_t seq, struct slice *hash,
			  struct slice *record)
{
	uint8_t key[8];
	struct slice v;
	enum errc rc;

	ledger_put_be(seq, key);
	rc = lmdbx_get(txn, l->records, slice_of(key, sizeof key), &v);
	if (rc)
		return rc;
	if (v.n < DIGEST_SHA256)
		return ERRC_CORRUPT;
	*hash = slice_sub(v, 0, DIGEST_SHA256);
	*record = slice_sub(v, DIGEST_SHA256, v.n - DIGEST_SHA256);
	return ERRC_OK;
}

static enum errc get_record(struct ledger *l, MDB_txn *txn, uint64_t seq, struct slice *record)
{
	struct slice hash;

	return get_item(l, txn, seq, &hash, record);
}

enum errc ledger_read_state(struct ledger *l, struct ledger_state *out)
{
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = ledger_get_state(l, txn, out);
	ledger_read_end(&txn);
	return rc;
}

enum errc ledger_get(struct ledger *l, uint64_t seq, struct buf *record)
{
	struct slice bytes;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = get_record(l, txn, seq, &bytes);
	if (!rc)
		rc = buf_adds(record, bytes);
	ledger_read_end(&txn);
	return rc;
}

enum errc ledger_hash(struct ledger *l, uint64_t seq, uint8_t out[DIGEST_SHA256])
{
	struct retain_base base;
	struct slice hash, record;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = ledger_get_base(l, txn, &base);
	if (!rc && seq == base.seq)
		hash = slice_of(base.head, sizeof base.head);
	else if (!rc)
		rc = get_item(l, txn, seq, &hash, &record);
	if (!rc)
		memcpy(out, hash.p, DIGEST_SHA256);
	ledger_read_end(&txn);
	return rc;
}

enum errc ledger_find(struct ledger *l, const struct genid *id, uint64_t *seq)
{
	MDB_txn *txn;
	enum errc rc;

	if (idindex_find(&l->idindex, id, seq))
		return ERRC_OK;
	rc = ledger_read_begin(l, &txn);
	if (!rc)
		rc = get_seq(txn, l->ids, slice_of(id->b, GENID_BYTES), seq);
	ledger_read_end(&txn);
	return rc;
}

enum errc ledger_find_seen(struct ledger *l, const struct genid *id, uint64_t *seq)
{
	enum errc rc = ledger_find(l, id, seq);

	if (rc != ERRC_NOTFOUND)
		return rc;
	require(pthread_mutex_lock(&l->commits) == 0);
	pthread_mutex_unlock(&l->commits);
	return ledger_find(l, id, seq);
}

/* Different ids may share a hash: the record itself decides. */
static bool is_charge_of(struct ledger *l, MDB_txn *txn, uint64_t seq, struct slice upstream_id,
			 const char *key_id)
{
	struct slice bytes;
	struct record r;

	if (get_record(l, txn, seq, &bytes) || record_decode(bytes, &r) || r.type != RECORD_CHARGE)
		return false;
	return slice_eq(r.charge.upstream_id, upstream_id) &&
	       (!key_id || memcmp(r.charge.key_id, key_id, APIKEY_ID) == 0);
}

/* Of the charges in memory. */
static enum errc find_recent(struct ledger *l, struct idindex_search *s, struct slice upstream_id,
			     const char *key_id, uint64_t *seq)
{
	while (idindex_recent(&l->idindex, s, seq)) {
		MDB_txn *txn;
		enum errc rc = ledger_read_begin(l, &txn);
		bool is_it = !rc && is_charge_of(l, txn, *seq, upstream_id, key_id);

		ledger_read_end(&txn);
		if (rc || is_it)
			return rc;
	}
	return ERRC_NOTFOUND;
}

/* In one read transaction. ERRC_AGAIN: to be continued in another. */
static enum errc find_stored(struct ledger *l, struct idindex_search *s, struct slice upstream_id,
			     const char *key_id, uint64_t *seq)
{
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	for (int n = 1; !rc; n++) {
		rc = idindex_stored(txn, l->upstream, s, seq);
		if (rc || is_charge_of(l, txn, *seq, upstream_id, key_id))
			break;
		if (n == CHECK_NTH)
			rc = ERRC_AGAIN;
	}
	ledger_read_end(&txn);
	return rc;
}

enum errc ledger_find_upstream(struct ledger *l, struct slice upstream_id, const char *key_id,
			       uint64_t *seq)
{
	struct idindex_search s;
	enum errc rc;

	idindex_search_init(&l->idindex, upstream_id, key_id, &s);
	rc = find_recent(l, &s, upstream_id, key_id, seq);
	if (rc != ERRC_NOTFOUND)
		return rc;
	do
		rc = find_stored(l, &s, upstream_id, key_id, seq);
	while (rc == ERRC_AGAIN);
	return rc;
}

bool ledger_price_is(struct slice row, const uint8_t hash[DIGEST_SHA256])
{
	uint8_t have[DIGEST_SHA256];

	digest_sha256(row, have);
	return memcmp(have, hash, DIGEST_SHA256) == 0;
}

/* The stored row, valid until the transaction that it begins ends; that is for the caller to end, whatever came. */
static enum errc price_row(struct ledger *l, const uint8_t hash[DIGEST_SHA256], MDB_txn **txn,
			   struct slice *row)
{
	enum errc rc = ledger_read_begin(l, txn);

	return rc ? rc : lmdbx_get(*txn, l->prices, slice_of(hash, DIGEST_SHA256), row);
}

enum errc ledger_price(struct ledger *l, const uint8_t hash[DIGEST_SHA256], struct price *out)
{
	struct slice v;
	MDB_txn *txn;
	enum errc rc = price_row(l, hash, &txn, &v);

	if (!rc && !ledger_price_is(v, hash))
		rc = ERRC_CORRUPT;
	if (!rc)
		rc = price_decode(v, out);
	ledger_read_end(&txn);
	return rc;
}

enum errc ledger_price_bytes(struct ledger *l, const uint8_t hash[DIGEST_SHA256], struct buf *out)
{
	struct slice v;
	MDB_txn *txn;
	enum errc rc = price_row(l, hash, &txn, &v);

	if (!rc)
		rc = buf_adds(out, v);
	ledger_read_end(&txn);
	return rc;
}

enum errc ledger_read_book(struct ledger *l, struct book **book, struct ledger_state *out_state)
{
	MDB_txn *txn = NULL;
	enum errc rc = book_new(book);

	if (!rc)
		rc = ledger_read_begin(l, &txn);
	if (!rc)
		rc = ledger_get_state(l, txn, out_state);
	if (!rc)
		rc = ledger_load_rows(txn, l->rows, *book);
	ledger_read_end(&txn);
	if (rc)
		book_free(book);
	return rc;
}

static enum errc bounds(struct ledger *l, MDB_txn *txn, uint64_t *first, uint64_t *last)
{
	struct slice key = SLICE_NONE, value;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->records, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_FIRST, &key, &value);
	if (!rc) {
		*first = ledger_get_be(key.p);
		rc = lmdbx_move(c, MDB_LAST, &key, &value);
	}
	if (!rc)
		*last = ledger_get_be(key.p);
	mdb_cursor_close(c);
	return rc;
}

enum errc ledger_time_of(struct ledger *l, MDB_txn *txn, uint64_t seq, int64_t *wall_ms)
{
	struct slice bytes;
	struct record r;
	enum errc rc = get_record(l, txn, seq, &bytes);

	if (!rc)
		rc = record_decode(bytes, &r);
	if (!rc)
		*wall_ms = r.wall_ms;
	return rc;
}

static enum errc seek(struct ledger *l, MDB_txn *txn, int64_t wall_ms, uint64_t *seq)
{
	uint64_t lo = 1, hi = 0;
	enum errc rc = bounds(l, txn, &lo, &hi);

	if (rc == ERRC_NOTFOUND) {
		*seq = 1;
		return ERRC_OK;
	}
	/* Everything before lo is too early, everything from hi on is not. */
	for (hi++; !rc && lo < hi;) {
		uint64_t mid = lo + (hi - lo) / 2;
		int64_t at = 0;

		rc = ledger_time_of(l, txn, mid, &at);
		if (!rc && at < wall_ms)
			lo = mid + 1;
		else
			hi = mid;
	}
	*seq = lo;
	return rc;
}

enum errc ledger_seek(struct ledger *l, int64_t wall_ms, uint64_t *seq, bool *in_order)
{
	struct ledger_state s;
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = ledger_get_state(l, txn, &s);
	if (!rc) {
		*in_order = s.steps_back == 0;
		*seq = 1;
	}
	if (!rc && *in_order)
		rc = seek(l, txn, wall_ms - LEDGER_SLACK_MS, seq);
	ledger_read_end(&txn);
	return rc;
}

struct walk {
	struct ledger *l;
	uint64_t *seq, upto;
	enum errc (*fn)(void *arg, const struct ledger_item *);
	void *arg;
	bool over;
};

/* One read transaction's worth. */
static enum errc walk_slice(struct walk *w, MDB_txn *txn)
{
	int64_t until_ns = clock_boot_ns() + SLICE_MS * CLOCK_NS_MS;
	uint8_t from[8];
	struct slice key = slice_of(from, sizeof from), value;
	struct mem_walk pages = {.page = 0};
	MDB_cursor *c;
	enum errc move, rc = lmdbx_errc(mdb_cursor_open(txn, w->l->records, &c));

	if (rc)
		return rc;
	ledger_put_be(*w->seq, from);
	move = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	for (unsigned n = 1; !move; n++) {
		struct ledger_item item;

		if (key.n != 8 || value.n < DIGEST_SHA256) {
			rc = ERRC_CORRUPT;
			break;
		}
		/* Line by line most of a walk would be waiting for memory. */
		mem_fetch_walk(&pages, value.p, value.n);
		item = (struct ledger_item){
			ledger_get_be(key.p), (const uint8_t *)value.p,
			slice_sub(value, DIGEST_SHA256, value.n - DIGEST_SHA256)};
		if (item.seq > w->upto) {
			move = ERRC_NOTFOUND;
			break;
		}
		*w->seq = item.seq + 1;
		rc = w->fn(w->arg, &item);
		if (rc || (n % CHECK_NTH == 0 && clock_boot_ns() > until_ns))
			break;
		move = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	mdb_cursor_close(c);
	w->over = move == ERRC_NOTFOUND;
	return rc || w->over ? rc : move;
}

enum errc ledger_walk(struct ledger *l, uint64_t *seq, uint64_t upto,
		      enum errc (*fn)(void *arg, const struct ledger_item *), void *arg)
{
	struct walk w = {l, seq, upto, fn, arg, false};
	enum errc rc = ERRC_OK;

	while (!rc && !w.over) {
		MDB_txn *txn;

		rc = ledger_read_begin(l, &txn);
		if (!rc)
			rc = walk_slice(&w, txn);
		ledger_read_end(&txn);
	}
	return rc;
}
