#include "outbox.h"

#include "live_priv.h"
#include "mem.h"

#define SLICE_ROWS        256 /* rows a read transaction of a search: well within a millisecond */
#define BATCH_BYTES_A_ROW 1024

enum errc outbox_batch_init(struct outbox_batch *b, size_t rows_max)
{
	char *at;

	*b = (struct outbox_batch){.rows_max = rows_max};
	buf_init(&b->bytes, rows_max * BATCH_BYTES_A_ROW + RECORD_MAX);
	b->rows = mem_new(rows_max * sizeof *b->rows);
	/* Reserved at once, so that it never moves: the rows point into it. */
	if (b->rows && buf_reserve(&b->bytes, b->bytes.max, &at) == ERRC_OK)
		return ERRC_OK;
	outbox_batch_fini(b);
	return ERRC_NOMEM;
}

void outbox_batch_fini(struct outbox_batch *b)
{
	mem_free(b->rows);
	b->rows = NULL;
	b->n = b->rows_max = 0;
	buf_fini(&b->bytes);
}

/* Adds one row; *full when the batch has no room for it. */
static enum errc add_row(struct outbox_batch *b, struct slice key, struct slice value, bool *full)
{
	struct live_outbox_head head;
	struct outbox_row *row = &b->rows[b->n];
	struct slice record;
	enum errc rc;

	if (!live_outbox_number(key, &row->n) || !live_outbox_parse(value, &head, &record))
		return ERRC_CORRUPT;
	*full = b->bytes.len + record.n > b->bytes.cap;
	if (*full)
		return ERRC_OK;
	row->record = slice_of(b->bytes.p + b->bytes.len, record.n);
	row->boot_ms = head.boot_ms;
	row->reversed = head.reversed != 0;
	rc = buf_adds(&b->bytes, record);
	if (!rc)
		b->n++;
	return rc;
}

static enum errc read_rows(struct live *l, MDB_txn *txn, uint64_t after, struct outbox_batch *b)
{
	struct rows_key_name from = rows_name_outbox(after + 1);
	struct slice key = live_name(&from), value;
	bool full = false;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->rows, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	while (!rc && b->n < b->rows_max) {
		rc = add_row(b, key, value, &full);
		if (rc || full)
			break;
		rc = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	mdb_cursor_close(c);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

enum errc outbox_read(struct live *l, uint64_t after, struct outbox_batch *b)
{
	MDB_txn *txn;
	enum errc rc;

	b->n = 0;
	buf_reset(&b->bytes);
	rc = live_read_begin(l, &txn);
	if (rc)
		return rc;
	rc = read_rows(l, txn, after, b);
	live_read_end(l);
	return rc;
}

/* Numbers have no gaps, so rows are deleted by name. */
static enum errc delete_rows(struct live *l, MDB_txn *txn, uint64_t upto, size_t *deleted,
			     uint64_t *last)
{
	int64_t boot_ms;
	uint64_t n;
	enum errc rc = live_outbox_first(l, txn, &n, &boot_ms);

	for (; !rc && n <= upto && *deleted < OUTBOX_DELETE_MAX; n++) {
		struct rows_key_name name = rows_name_outbox(n);

		rc = live_row_del(l, txn, &name);
		if (!rc) {
			*last = n;
			++*deleted;
		}
	}
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

enum errc outbox_delete(struct live *l, uint64_t upto, bool *more)
{
	size_t deleted = 0;
	uint64_t last = 0;
	MDB_txn *txn = NULL;
	enum errc rc = live_txn_begin(l, &txn);

	*more = false;
	if (rc)
		return rc;
	rc = delete_rows(l, txn, upto, &deleted, &last);
	if (!rc && deleted > 0)
		rc = live_outbox_base(l, txn, last);
	if (!rc && deleted > 0)
		rc = live_txn_commit(l, &txn);
	live_txn_abort(l, &txn);
	*more = !rc && deleted == OUTBOX_DELETE_MAX && last < upto;
	return rc;
}

enum errc outbox_range(struct live *l, uint64_t *first, uint64_t *last)
{
	int64_t boot_ms;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = live_outbox_last(l, txn, last);
	if (!rc) {
		rc = live_outbox_first(l, txn, first, &boot_ms);
		if (rc == ERRC_NOTFOUND) {
			*first = *last + 1;
			rc = ERRC_OK;
		}
	}
	live_read_end(l);
	return rc;
}

/* The charge that is sought; *reversed: it is not, but what takes that back. */
static bool is_wanted(struct slice bytes, const struct genid *id, struct slice upstream_id,
		      const char *key_id, bool *reversed)
{
	struct slice needle = id ? slice_of(id->b, GENID_BYTES) : upstream_id;
	struct record r;

	if (slice_find(bytes, needle) < 0 || record_decode(bytes, &r) != ERRC_OK)
		return false;
	if (id && r.type == RECORD_REVERSE && genid_eq(&r.change.id, id))
		*reversed = true;
	if (r.type != RECORD_CHARGE)
		return false;
	if (key_id && memcmp(r.charge.key_id, key_id, APIKEY_ID) != 0)
		return false;
	return id ? genid_eq(&r.charge.id, id) : slice_eq(r.charge.upstream_id, upstream_id);
}

enum errc outbox_find(struct live *l, const struct genid *id, struct slice upstream_id,
		      const char *key_id, struct buf *out, bool *reversed)
{
	struct outbox_batch b;
	uint64_t first, last, after;
	enum errc rc;

	*reversed = false;
	if (!id && upstream_id.n == 0)
		return ERRC_NOTFOUND;
	rc = outbox_batch_init(&b, SLICE_ROWS);
	if (!rc)
		rc = outbox_range(l, &first, &last);
	if (rc)
		goto out;
	after = last - MIN_OF(last + 1 - first, (uint64_t)OUTBOX_FIND_MAX);
	/* Those that come meanwhile were not there when it was asked. */
	for (;;) {
		rc = outbox_read(l, after, &b);
		if (!rc && (b.n == 0 || after >= last))
			rc = last + 1 - first > OUTBOX_FIND_MAX ? ERRC_BUSY : ERRC_NOTFOUND;
		if (rc)
			break;
		for (size_t i = 0; i < b.n; i++) {
			if (!is_wanted(b.rows[i].record, id, upstream_id, key_id, reversed))
				continue;
			rc = buf_adds(out, b.rows[i].record);
			*reversed = b.rows[i].reversed;
			goto out;
		}
		after = b.rows[b.n - 1].n;
	}
out:
	outbox_batch_fini(&b);
	return rc;
}
