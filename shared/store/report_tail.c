#include "report_tail.h"

#define SLICE_ROWS 256                /* rows a read transaction: well within a millisecond */
#define BYTES_MAX  (32 * 1024 * 1024) /* of one key */

/* Before each record. */
struct head {
	uint64_t n;
	size_t bytes;
};

static enum errc keep(struct report_tail *t, const struct outbox_row *row)
{
	struct head h = {.n = row->n, .bytes = row->record.n};
	enum errc rc = buf_add(&t->rows, &h, sizeof h);

	return rc ? rc : buf_adds(&t->rows, row->record);
}

static uint64_t taken_of(const struct ledger_state *s, uint64_t epoch)
{
	if (s->taken_epoch == epoch)
		return s->taken_n;
	/* Of an epoch that is over the ledger has everything. */
	return s->taken_epoch < epoch ? 0 : UINT64_MAX;
}

/* Those that come meanwhile were not there when it was asked. */
static enum errc read_rows(struct live *live, const char *key_id, uint64_t after, uint64_t last,
			   struct outbox_batch *b, struct report_tail *out)
{
	enum errc rc = ERRC_OK;

	while (!rc && after < last) {
		rc = outbox_read(live, after, b);
		if (rc || b->n == 0)
			break; /* taken and deleted, all of them */
		for (size_t i = 0; !rc && i < b->n; i++) {
			after = b->rows[i].n;
			if (after <= last &&
			    slice_find(b->rows[i].record, slice_of(key_id, APIKEY_ID)) >= 0)
				rc = keep(out, &b->rows[i]);
		}
	}
	return rc;
}

enum errc report_tail_read(struct live *live, struct ledger *l, const char *key_id,
			   struct report_tail *out)
{
	struct outbox_batch b = {.n = 0};
	struct ledger_state s;
	uint64_t first, last, after;
	enum errc rc;

	*out = (struct report_tail){.epoch = live_head(live)->epoch};
	buf_init(&out->rows, BYTES_MAX);
	rc = ledger_read_state(l, &s);
	if (!rc)
		rc = outbox_range(live, &first, &last);
	if (rc)
		return rc;
	after = MAX_OF(taken_of(&s, out->epoch), first - 1);
	if (after >= last)
		return ERRC_OK;
	if (last - after > REPORT_TAIL_MAX)
		return ERRC_BUSY;
	rc = outbox_batch_init(&b, SLICE_ROWS);
	if (!rc)
		rc = read_rows(live, key_id, after, last, &b, out);
	outbox_batch_fini(&b);
	return rc == ERRC_LIMIT ? ERRC_BUSY : rc;
}

void report_tail_fini(struct report_tail *t)
{
	buf_fini(&t->rows);
}

/* False: *at is the end. */
static bool next(const struct report_tail *t, size_t *at, uint64_t *n, struct slice *record)
{
	struct head h;

	if (*at == t->rows.len)
		return false;
	memcpy(&h, t->rows.p + *at, sizeof h);
	*n = h.n;
	*record = slice_of(t->rows.p + *at + sizeof h, h.bytes);
	*at += sizeof h + h.bytes;
	return true;
}

enum errc report_tail_each(const struct report_tail *t, const struct ledger_state *s,
			   enum errc (*fn)(void *arg, struct slice record), void *arg)
{
	uint64_t taken = taken_of(s, t->epoch), n;
	enum errc rc = ERRC_OK;
	struct slice record;
	size_t at = 0;

	while (!rc && next(t, &at, &n, &record)) {
		if (n > taken)
			rc = fn(arg, record);
	}
	return rc;
}

struct slice report_tail_charge(const struct report_tail *t, const struct genid *id)
{
	struct slice record;
	struct record r;
	size_t at = 0;
	uint64_t n;

	while (next(t, &at, &n, &record)) {
		if (slice_find(record, slice_of(id->b, GENID_BYTES)) >= 0 &&
		    record_decode(record, &r) == ERRC_OK && r.type == RECORD_CHARGE &&
		    genid_eq(&r.charge.id, id))
			return record;
	}
	return SLICE_NONE;
}
