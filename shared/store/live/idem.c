#include "idem_priv.h"

#include "be.h"

#define VERSION    1
#define HASH       (IDEM_TAG / 2)
#define KIND_CLAIM 'c'
#define KIND_COUNT 'n'
#define KIND_ORDER 'o'
#define AHEAD_MS \
	3600000 /* workers ask a moment later than the sweep, and a clock may be set by some minutes */
#define WAIT_MS      60000 /* of who has none: those of others end at any time */
#define SWEEP_KEYS   256   /* API keys looked at in a call */
#define SWEEP_REMOVE (LIMIT_TXN_OPS * 8)

enum { RUNNING, COMPLETED };

struct claim_v1 {
	uint8_t version, state, reserved[6];
	uint64_t n; /* its place in the order */
	int64_t wall_ms;
	uint8_t id[GENID_BYTES];
	uint8_t bound[HASH];
};
_Static_assert(sizeof(struct claim_v1) == 56, "layout of stored rows");

struct order_v1 {
	int64_t wall_ms;
	uint8_t word[HASH];
};
_Static_assert(sizeof(struct order_v1) == 24, "layout of stored rows");

struct name {
	size_t n;
	char b[APIKEY_ID + 1 + HASH];
};

static struct name name_of(const char key_id[APIKEY_ID], char kind, const void *rest, size_t n)
{
	struct name k = {.n = APIKEY_ID + 1 + n};

	memcpy(k.b, key_id, APIKEY_ID);
	k.b[APIKEY_ID] = kind;
	memcpy(k.b + APIKEY_ID + 1, rest, n);
	return k;
}

static struct name claim_name(const char key_id[APIKEY_ID], const void *word)
{
	return name_of(key_id, KIND_CLAIM, word, HASH);
}

static struct name order_name(const char key_id[APIKEY_ID], uint64_t n)
{
	uint8_t be[8];

	be_put(be, sizeof be, n);
	return name_of(key_id, KIND_ORDER, be, sizeof be);
}

static struct slice name_slice(const struct name *k)
{
	return slice_of(k->b, k->n);
}

static enum errc get_claim(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID],
			   const void *word, struct claim_v1 *out)
{
	struct name k = claim_name(key_id, word);
	struct slice v;
	enum errc rc = lmdbx_get(txn, l->idem, name_slice(&k), &v);

	if (rc)
		return rc;
	if (v.n != sizeof *out || (uint8_t)v.p[0] != VERSION)
		return ERRC_CORRUPT;
	memcpy(out, v.p, sizeof *out);
	return ERRC_OK;
}

static enum errc put_claim(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID],
			   const void *word, const struct claim_v1 *c)
{
	struct name k = claim_name(key_id, word);

	return lmdbx_put(txn, l->idem, name_slice(&k), slice_of(c, sizeof *c), 0);
}

static enum errc put_order(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], uint64_t n,
			   const struct order_v1 *o)
{
	struct name k = order_name(key_id, n);

	return lmdbx_put(txn, l->idem, name_slice(&k), slice_of(o, sizeof *o), 0);
}

/* How many claims an API key has, running ones too: their numbers have gaps. */
static enum errc get_count(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], uint64_t *n)
{
	struct name k = name_of(key_id, KIND_COUNT, "", 0);
	struct slice v;
	enum errc rc = lmdbx_get(txn, l->idem, name_slice(&k), &v);

	*n = 0;
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	if (v.n != sizeof *n)
		return ERRC_CORRUPT;
	memcpy(n, v.p, sizeof *n);
	return ERRC_OK;
}

static enum errc put_count(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], uint64_t n)
{
	struct name k = name_of(key_id, KIND_COUNT, "", 0);
	enum errc rc;

	if (n > 0)
		return lmdbx_put(txn, l->idem, name_slice(&k), slice_of(&n, sizeof n), 0);
	rc = lmdbx_del(txn, l->idem, name_slice(&k));
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* Both rows of a claim. One that is not there is gone already. */
static enum errc remove_both(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID],
			     const void *word, uint64_t n)
{
	struct name claim = claim_name(key_id, word), order = order_name(key_id, n);
	uint64_t count;
	enum errc rc = lmdbx_del(txn, l->idem, name_slice(&claim));

	if (!rc || rc == ERRC_NOTFOUND)
		rc = lmdbx_del(txn, l->idem, name_slice(&order));
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	rc = get_count(l, txn, key_id, &count);
	return rc || count == 0 ? rc : put_count(l, txn, key_id, count - 1);
}

static bool is_over(int64_t made_ms, int64_t wall_ms)
{
	return wall_ms - made_ms >= IDEM_LASTS_MS;
}

/* Made while the clock was wrong. */
static bool is_ahead(int64_t made_ms, int64_t wall_ms)
{
	return made_ms - wall_ms > AHEAD_MS;
}

enum errc idem_look(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], struct slice tag,
		    enum idem_result *result, struct genid *other)
{
	struct claim_v1 c;
	enum errc rc;

	require(tag.n == IDEM_TAG);
	*result = IDEM_NEW;
	rc = get_claim(l, txn, key_id, tag.p, &c);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	memcpy(other->b, c.id, sizeof c.id);
	*result = memcmp(c.bound, tag.p + HASH, HASH) != 0 ? IDEM_MISMATCH
		  : c.state == RUNNING                     ? IDEM_RUNNING
							   : IDEM_COMPLETED;
	return ERRC_OK;
}

/* A row of the order: whose it is, its place and what it says. False: another kind of row. */
static bool read_order(struct slice key, struct slice value, char key_id[APIKEY_ID], uint64_t *n,
		       struct order_v1 *o)
{
	if (key.n != APIKEY_ID + 1 + 8 || key.p[APIKEY_ID] != KIND_ORDER || value.n != sizeof *o)
		return false;
	memcpy(key_id, key.p, APIKEY_ID);
	*n = be_get(key.p + APIKEY_ID + 1, 8);
	memcpy(o, value.p, sizeof *o);
	return true;
}

/* The oldest claim of an API key from number *n on. ERRC_NOTFOUND: it has none. */
static enum errc oldest_from(MDB_cursor *c, const char key_id[APIKEY_ID], uint64_t *n,
			     struct order_v1 *o)
{
	struct name from = order_name(key_id, *n);
	struct slice key = name_slice(&from), value;
	char id[APIKEY_ID];
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	if (rc)
		return rc;
	return read_order(key, value, id, n, o) && memcmp(id, key_id, APIKEY_ID) == 0
		       ? ERRC_OK
		       : ERRC_NOTFOUND;
}

static enum errc oldest(MDB_cursor *c, const char key_id[APIKEY_ID], uint64_t *n, struct order_v1 *o)
{
	*n = 0;
	return oldest_from(c, key_id, n, o);
}

/* The number for a new claim: one more than that of the newest. */
static enum errc next_n(MDB_cursor *c, const char key_id[APIKEY_ID], uint64_t *n)
{
	struct name end = order_name(key_id, UINT64_MAX);
	struct slice key = name_slice(&end), value;
	char id[APIKEY_ID];
	struct order_v1 o;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	rc = lmdbx_move(c, rc == ERRC_NOTFOUND ? MDB_LAST : MDB_PREV, &key, &value);
	if (rc == ERRC_NOTFOUND ||
	    (!rc && (!read_order(key, value, id, n, &o) || memcmp(id, key_id, APIKEY_ID) != 0))) {
		*n = 1;
		return ERRC_OK;
	}
	++*n;
	return rc;
}

/* The API key whose rows follow those of this one, round the tree. */
static enum errc neighbour(MDB_cursor *c, char key_id[APIKEY_ID])
{
	struct name end = name_of(key_id, KIND_ORDER + 1, "", 0);
	struct slice key = name_slice(&end), value;
	enum errc rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);

	if (rc == ERRC_NOTFOUND)
		rc = lmdbx_move(c, MDB_FIRST, &key, &value);
	if (rc)
		return rc;
	if (key.n <= APIKEY_ID)
		return ERRC_CORRUPT;
	memcpy(key_id, key.p, APIKEY_ID);
	return ERRC_OK;
}

/* An API key has no more than there is room left for: whoever has many, others find some. */
static enum errc has_room(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], bool *yes)
{
	size_t share = l->size_bytes / IDEM_SHARE, used = 0;
	uint64_t count = 0;
	enum errc rc = lmdbx_used(txn, l->idem, &used);

	if (!rc)
		rc = get_count(l, txn, key_id, &count);
	*yes = !rc && used < share && count < (share - used) / IDEM_BYTES;
	return rc;
}

static enum errc put_new(struct live *l, MDB_txn *txn, MDB_cursor *cur,
			 const char key_id[APIKEY_ID], struct slice tag, struct claim_v1 *c)
{
	struct order_v1 o = {.wall_ms = c->wall_ms};
	struct claim_v1 old;
	uint64_t count;
	enum errc rc = get_claim(l, txn, key_id, tag.p, &old);

	memcpy(o.word, tag.p, HASH);
	memcpy(c->bound, tag.p + HASH, HASH);
	if (!rc)
		rc = remove_both(l, txn, key_id, tag.p, old.n);
	else if (rc == ERRC_NOTFOUND)
		rc = ERRC_OK;
	if (!rc)
		rc = next_n(cur, key_id, &c->n);
	if (!rc)
		rc = put_order(l, txn, key_id, c->n, &o);
	if (!rc)
		rc = get_count(l, txn, key_id, &count);
	if (!rc)
		rc = put_count(l, txn, key_id, count + 1);
	return rc ? rc : put_claim(l, txn, key_id, tag.p, c);
}

enum errc idem_claim(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], struct slice tag,
		     const struct genid *id, int64_t wall_ms)
{
	struct claim_v1 c = {.version = VERSION, .state = RUNNING, .wall_ms = wall_ms};
	bool room = false;
	MDB_cursor *cur;
	enum errc rc;

	require(tag.n == IDEM_TAG);
	memcpy(c.id, id->b, sizeof c.id);
	rc = lmdbx_errc(mdb_cursor_open(txn, l->idem, &cur));
	if (rc)
		return rc;
	rc = has_room(l, txn, key_id, &room);
	if (!rc && !room)
		rc = ERRC_FULL;
	if (!rc)
		rc = put_new(l, txn, cur, key_id, tag, &c);
	mdb_cursor_close(cur);
	return rc;
}

enum errc idem_restore(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], struct slice tag,
		       const struct genid *id, int64_t made_ms)
{
	struct claim_v1 c = {.version = VERSION, .state = COMPLETED, .wall_ms = made_ms};
	MDB_cursor *cur;
	enum errc rc;

	require(tag.n == IDEM_TAG);
	memcpy(c.id, id->b, sizeof c.id);
	rc = lmdbx_errc(mdb_cursor_open(txn, l->idem, &cur));
	if (rc)
		return rc;
	rc = put_new(l, txn, cur, key_id, tag, &c);
	mdb_cursor_close(cur);
	return rc;
}

enum errc idem_full(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], int64_t wall_ms,
		    int64_t *claims, int64_t *wait_ms)
{
	struct order_v1 o;
	uint64_t n, count = 0;
	MDB_cursor *cur;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->idem, &cur));

	if (rc)
		return rc;
	rc = oldest(cur, key_id, &n, &o);
	mdb_cursor_close(cur);
	*wait_ms = rc ? WAIT_MS : MAX_OF(o.wall_ms + IDEM_LASTS_MS - wall_ms, 1);
	if (!rc || rc == ERRC_NOTFOUND)
		rc = get_count(l, txn, key_id, &count);
	*claims = (int64_t)count;
	return rc;
}

enum errc idem_end(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], struct slice tag,
		   const struct genid *id, bool charged)
{
	struct claim_v1 c;
	enum errc rc;

	require(tag.n == IDEM_TAG);
	rc = get_claim(l, txn, key_id, tag.p, &c);
	if (rc == ERRC_NOTFOUND || (!rc && memcmp(c.id, id->b, sizeof c.id) != 0))
		return ERRC_OK;
	if (rc)
		return rc;
	if (!charged)
		return remove_both(l, txn, key_id, tag.p, c.n);
	c.state = COMPLETED;
	return put_claim(l, txn, key_id, tag.p, &c);
}

/* The claim of a row; false: a row of the order, or their count. */
static enum errc read_row(struct slice key, struct slice value, struct idem_row *out, bool *is_claim)
{
	struct claim_v1 c;

	*is_claim = key.n == sizeof((struct name *)0)->b && key.p[APIKEY_ID] == KIND_CLAIM;
	if (!*is_claim)
		return key.n > APIKEY_ID && (key.p[APIKEY_ID] == KIND_ORDER ||
					     key.p[APIKEY_ID] == KIND_COUNT)
			       ? ERRC_OK
			       : ERRC_CORRUPT;
	if (value.n != sizeof c || (uint8_t)value.p[0] != VERSION)
		return ERRC_CORRUPT;
	memcpy(&c, value.p, sizeof c);
	memcpy(out->key_id, key.p, sizeof out->key_id);
	memcpy(out->id.b, c.id, sizeof c.id);
	memcpy(out->tag, key.p + APIKEY_ID + 1, HASH);
	memcpy(out->tag + HASH, c.bound, HASH);
	out->completed = c.state == COMPLETED;
	return ERRC_OK;
}

enum errc idem_rows(struct live *l, MDB_txn *txn, struct idem_at *at, struct idem_row *out,
		    size_t max, size_t *n)
{
	struct slice key = slice_of(at->b, at->n), value;
	MDB_cursor *cur;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->idem, &cur));

	*n = 0;
	if (rc)
		return rc;
	rc = lmdbx_move(cur, at->n ? MDB_SET_RANGE : MDB_FIRST, &key, &value);
	for (size_t rows = 0; !rc && *n < max && rows < 2 * max; rows++) {
		bool is_claim;

		rc = read_row(key, value, &out[*n], &is_claim);
		if (rc)
			break;
		*n += is_claim;
		rc = lmdbx_move(cur, MDB_NEXT, &key, &value);
	}
	if (!rc && key.n > sizeof at->b)
		rc = ERRC_CORRUPT;
	at->n = rc ? 0 : key.n;
	if (!rc)
		memcpy(at->b, key.p, key.n);
	mdb_cursor_close(cur);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* The API keys whose oldest claim is over, or ahead of the clock, from s->at on. */
static enum errc find_due(struct live *l, MDB_txn *txn, const struct idem_now *now,
			  struct idem_sweep *s, char (*due)[APIKEY_ID], size_t *due_n)
{
	char at[APIKEY_ID], first[APIKEY_ID];
	struct order_v1 o;
	MDB_cursor *cur;
	uint64_t n;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->idem, &cur));

	if (rc)
		return rc;
	memcpy(at, s->at, sizeof at);
	for (int i = 0; i < SWEEP_KEYS && *due_n < LIMIT_TXN_OPS; i++) {
		rc = neighbour(cur, at);
		if (rc || (i > 0 && memcmp(at, first, sizeof at) == 0))
			break;
		if (i == 0)
			memcpy(first, at, sizeof first);
		memcpy(s->at, at, sizeof at);
		rc = oldest(cur, at, &n, &o);
		if (!rc &&
		    (is_over(o.wall_ms, now->believed_ms) || is_ahead(o.wall_ms, now->wall_ms)))
			memcpy(due[(*due_n)++], at, sizeof at);
		if (rc && rc != ERRC_NOTFOUND)
			break;
	}
	mdb_cursor_close(cur);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

/* The claim is as old as `wall_ms`: it would keep those behind it from being over. */
static enum errc date_back(struct live *l, MDB_txn *txn, const char key_id[APIKEY_ID], uint64_t n,
			   struct order_v1 *o, int64_t wall_ms)
{
	struct claim_v1 c;
	enum errc rc = get_claim(l, txn, key_id, o->word, &c);

	o->wall_ms = c.wall_ms = wall_ms;
	if (!rc)
		rc = put_claim(l, txn, key_id, o->word, &c);
	return rc && rc != ERRC_NOTFOUND ? rc : put_order(l, txn, key_id, n, o);
}

/* Those of one API key. */
static enum errc remove_of(struct live *l, MDB_txn *txn, MDB_cursor *cur,
			   const char key_id[APIKEY_ID], const struct idem_now *now,
			   uint32_t *removed)
{
	struct order_v1 o;
	uint64_t n = 0;
	enum errc rc = ERRC_OK;

	for (; !rc && *removed < SWEEP_REMOVE; n++, *removed += !rc) {
		rc = oldest_from(cur, key_id, &n, &o);
		if (rc)
			return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
		if (is_over(o.wall_ms, now->believed_ms))
			rc = remove_both(l, txn, key_id, o.word, n);
		else if (is_ahead(o.wall_ms, now->wall_ms))
			rc = date_back(l, txn, key_id, n, &o, now->wall_ms);
		else
			return ERRC_OK;
	}
	return rc;
}

static enum errc remove_due(struct live *l, MDB_txn *txn, const struct idem_now *now,
			    char (*due)[APIKEY_ID], size_t due_n, uint32_t *removed)
{
	MDB_cursor *cur;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->idem, &cur));

	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < due_n; i++)
		rc = remove_of(l, txn, cur, due[i], now, removed);
	mdb_cursor_close(cur);
	return rc;
}

enum errc idem_sweep(struct live *l, const struct idem_now *now, struct idem_sweep *s,
		     uint32_t *removed)
{
	char due[LIMIT_TXN_OPS][APIKEY_ID];
	size_t due_n = 0;
	MDB_txn *txn = NULL;
	enum errc rc = live_read_begin(l, &txn);

	*removed = 0;
	if (rc)
		return rc;
	rc = find_due(l, txn, now, s, due, &due_n);
	live_read_end(l);
	if (rc || due_n == 0)
		return rc;
	rc = live_txn_begin(l, &txn);
	if (!rc)
		rc = remove_due(l, txn, now, due, due_n, removed);
	if (!rc)
		rc = live_txn_commit(l, &txn);
	live_txn_abort(l, &txn);
	return rc;
}
