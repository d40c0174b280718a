#include "live_priv.h"

#include "be.h"
#include "mem.h"

#define INDEX_HASH     'h'
#define INDEX_KEY      'k'
#define INDEX_NAME     'n'
#define INDEX_TEAM     't' /* 'u': userroom.c */

#define OUTBOX_VERSION 1

/* Room that a settlement may need: one outbox record, which has a page of its own where it is larger than half of one, and what
 * the pages around it waste. Those that count in very many budgets may need a second page (rows_hold_pages()). */
#define SETTLE_BYTES 5120

_Static_assert(sizeof(struct live_outbox_head) == 16, "layout of stored rows");

/* What the index says of a key's hash: the whole hash stands in the row's key. */
struct hash_v1 {
	uint64_t account;
	char id[APIKEY_ID];
	uint32_t reserved;
};

struct index_name {
	size_t n;
	char b[1 + DIGEST_SHA256 + ROWS_NAME_MAX];
};

static struct index_name index_name(char kind, struct slice s)
{
	struct index_name k = {.n = 1 + s.n};

	require(s.n < sizeof k.b);
	k.b[0] = kind;
	if (s.n)
		memcpy(k.b + 1, s.p, s.n);
	return k;
}

static struct slice index_slice(const struct index_name *k)
{
	return slice_of(k->b, k->n);
}

static MDB_cursor **near_of(struct live *l, const struct rows_key_name *name)
{
	return &l->near[rows_name_is_scope(name)];
}

/* A delete or an append elsewhere in the tree may move pages under the cursor: then the next search begins at the root. */
static void forget_near(MDB_cursor **near)
{
	if (*near)
		mdb_cursor_close(*near);
	*near = NULL;
}

static enum errc near(struct live *l, MDB_txn *txn, const struct rows_key_name *name,
		      MDB_cursor **out)
{
	MDB_cursor **near = near_of(l, name);
	enum errc rc = *near ? ERRC_OK : lmdbx_errc(mdb_cursor_open(txn, live_tree(l, name), near));

	*out = *near;
	return rc;
}

enum errc live_row_get(struct live *l, MDB_txn *txn, const struct rows_key_name *name,
		       struct slice *out)
{
	struct slice key = live_name(name);
	MDB_cursor *c;
	enum errc rc;

	if (txn != atomic_load_explicit(&l->writing, memory_order_relaxed))
		return lmdbx_get(txn, live_tree(l, name), key, out);
	rc = near(l, txn, name, &c);
	return rc ? rc : lmdbx_move(c, MDB_SET, &key, out);
}

/* What this row says is the number of the transaction that changed the tree of definitions last, so the number of that tree: none of its
 * pages is another one's or stands elsewhere as long as it is the same. */
static struct rows_key_name defs_name(void)
{
	return rows_name(ROWS_ACCOUNT_HEAD, ROWS_HEAD, SLICE_LIT("defs"));
}

#define DEFS_CHANGE UINT64_MAX /* its version in the write transaction that changes it */

/* Before one of its rows is written. */
static enum errc change_defs(struct live *l, MDB_txn *txn)
{
	struct rows_key_name head = defs_name();
	uint64_t version = mdb_txn_id(txn);

	if (l->defs_version[1] == DEFS_CHANGE)
		return ERRC_OK;
	l->defs_version[1] = DEFS_CHANGE;
	return live_row_put(l, txn, &head, slice_of(&version, sizeof version), 0);
}

/* 0: what is known of definitions does not count in this transaction. */
static uint64_t defs_version(struct live *l, MDB_txn *txn)
{
	bool writes = txn == atomic_load_explicit(&l->writing, memory_order_relaxed);
	uint64_t *version = &l->defs_version[writes];

	if (*version == 0) {
		struct rows_key_name name = defs_name();
		struct slice v;

		if (lmdbx_get(txn, l->rows, live_name(&name), &v) == ERRC_OK &&
		    v.n == sizeof *version)
			memcpy(version, v.p, sizeof *version);
	}
	return *version == DEFS_CHANGE ? 0 : *version;
}

enum errc live_row_put(struct live *l, MDB_txn *txn, const struct rows_key_name *name,
		       struct slice value, unsigned flags)
{
	MDB_cursor *c;
	enum errc rc = rows_name_is_scope(name) ? change_defs(l, txn) : ERRC_OK;

	if (rc)
		return rc;
	if (flags & MDB_APPEND) {
		forget_near(near_of(l, name));
		return lmdbx_put(txn, live_tree(l, name), live_name(name), value, flags);
	}
	rc = near(l, txn, name, &c);
	return rc ? rc : lmdbx_cursor_put(c, live_name(name), value, flags);
}

enum errc live_row_del(struct live *l, MDB_txn *txn, const struct rows_key_name *name)
{
	enum errc rc = rows_name_is_scope(name) ? change_defs(l, txn) : ERRC_OK;

	forget_near(near_of(l, name));
	return rc ? rc : lmdbx_del(txn, live_tree(l, name), live_name(name));
}

static enum errc put_scratch(struct live *l, MDB_txn *txn, struct rows_key_name name, unsigned flags)
{
	return live_row_put(l, txn, &name, buf_slice(&l->scratch), flags);
}

enum errc live_get_account(struct live *l, MDB_txn *txn, uint64_t account, struct rows_account *out)
{
	struct rows_key_name name = rows_name(account, ROWS_ACCOUNT, SLICE_NONE);
	struct slice v;
	enum errc rc = live_row_get(l, txn, &name, &v);

	if (!rc)
		rc = rows_get_account(v, out);
	return !rc && out->id != account ? ERRC_CORRUPT : rc;
}

void live_expect_page(struct slice row)
{
	uintptr_t page = (uintptr_t)row.p / MEM_PAGE * MEM_PAGE;

	mem_fetch_read((const void *)page, MEM_PAGE);
}

enum errc live_put_account(struct live *l, MDB_txn *txn, const struct rows_account *a)
{
	enum errc rc;

	buf_reset(&l->scratch);
	rc = rows_put_account(&l->scratch, a);
	return rc ? rc : put_scratch(l, txn, rows_name(a->id, ROWS_ACCOUNT, SLICE_NONE), 0);
}

static bool is_scope(const struct rows_scope *s, uint64_t account, enum rows_kind kind,
		     const char id[ROWS_ID])
{
	return s->kind == kind && s->account == account && memcmp(s->id, id, ROWS_ID) == 0;
}

/* The row as it stands there, if it is that scope's. */
static bool read_scope(struct slice row, uint64_t account, enum rows_kind kind,
		       const char id[ROWS_ID], struct rows_scope *out)
{
	return rows_get_scope(row, out) == ERRC_OK && is_scope(out, account, kind, id);
}

static enum errc get_scope(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
			   const char id[ROWS_ID], struct slice *row, struct rows_scope *out)
{
	struct rows_key_name name = rows_name_scope(account, kind, id);
	uint64_t version = defs_version(l, txn);
	enum errc rc;

	if (version && known_row(l->known, version, &name, row) &&
	    read_scope(*row, account, kind, id, out))
		return ERRC_OK;
	rc = live_row_get(l, txn, &name, row);
	if (!rc)
		rc = rows_get_scope(*row, out);
	if (!rc && !is_scope(out, account, kind, id))
		rc = ERRC_CORRUPT;
	if (!rc && version)
		known_add_row(l->known, version, &name, *row);
	return rc;
}

enum errc live_get_scope(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
			 const char id[ROWS_ID], struct rows_scope *out)
{
	struct slice row;

	return get_scope(l, txn, account, kind, id, &row, out);
}

bool live_known_key(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256],
		    struct known_key *out)
{
	return known_hash(l->known, defs_version(l, txn), hash, out);
}

void live_know_key(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256],
		   const struct known_key *k)
{
	known_add_hash(l->known, defs_version(l, txn), hash, k);
}

enum errc live_get_key(struct live *l, MDB_txn *txn, struct known_key *k, struct rows_scope *out)
{
	if (k->row.n && read_scope(k->row, k->account, ROWS_KEY, k->id, out))
		return ERRC_OK;
	return get_scope(l, txn, k->account, ROWS_KEY, k->id, &k->row, out);
}

void live_expect_scopes(struct live *l, uint64_t account)
{
	known_expect_rows(l->known, account);
}

void live_expect_scope(struct live *l, MDB_txn *txn, uint64_t account, enum rows_kind kind,
		       const char id[ROWS_ID])
{
	struct rows_key_name name = rows_name_scope(account, kind, id);
	uint64_t version = defs_version(l, txn);
	struct slice v;

	if (version && known_row(l->known, version, &name, &v))
		mem_fetch_read(v.p, v.n);
}

enum errc live_put_scope(struct live *l, MDB_txn *txn, const struct rows_scope *s)
{
	enum errc rc;

	buf_reset(&l->scratch);
	rc = rows_put_scope(&l->scratch, s);
	return rc ? rc : put_scratch(l, txn, rows_name_scope(s->account, s->kind, s->id), 0);
}

enum errc live_find_hash(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256],
			 uint64_t *account, char id[APIKEY_ID])
{
	struct index_name k = index_name(INDEX_HASH, slice_of(hash, DIGEST_SHA256));
	struct hash_v1 v;
	struct slice s;
	enum errc rc = lmdbx_get(txn, l->index, index_slice(&k), &s);

	if (rc)
		return rc;
	if (s.n != sizeof v)
		return ERRC_CORRUPT;
	memcpy(&v, s.p, sizeof v);
	*account = v.account;
	memcpy(id, v.id, APIKEY_ID);
	return ERRC_OK;
}

static enum errc find_account(struct live *l, MDB_txn *txn, struct index_name k, uint64_t *account)
{
	struct slice s;
	enum errc rc = lmdbx_get(txn, l->index, index_slice(&k), &s);

	if (rc)
		return rc;
	if (s.n != sizeof *account)
		return ERRC_CORRUPT;
	memcpy(account, s.p, sizeof *account);
	return ERRC_OK;
}

enum errc live_find_key(struct live *l, MDB_txn *txn, const char id[APIKEY_ID], uint64_t *account)
{
	return find_account(l, txn, index_name(INDEX_KEY, slice_of(id, APIKEY_ID)), account);
}

enum errc live_find_account(struct live *l, MDB_txn *txn, struct slice name, uint64_t *account)
{
	if (name.n > ROWS_NAME_MAX)
		return ERRC_NOTFOUND;
	return find_account(l, txn, index_name(INDEX_NAME, name), account);
}

enum errc live_index_account(struct live *l, MDB_txn *txn, const struct rows_account *a)
{
	struct index_name k = index_name(INDEX_NAME, a->name);

	return lmdbx_put(txn, l->index, index_slice(&k), slice_of(&a->id, sizeof a->id), 0);
}

static enum errc index_hash(struct live *l, MDB_txn *txn, const struct rows_scope *key,
			    const uint8_t hash[DIGEST_SHA256])
{
	struct index_name k = index_name(INDEX_HASH, slice_of(hash, DIGEST_SHA256));
	struct hash_v1 v = {.account = key->account};

	memcpy(v.id, key->id, APIKEY_ID);
	return lmdbx_put(txn, l->index, index_slice(&k), slice_of(&v, sizeof v), 0);
}

enum errc live_unindex_hash(struct live *l, MDB_txn *txn, const uint8_t hash[DIGEST_SHA256])
{
	struct index_name k = index_name(INDEX_HASH, slice_of(hash, DIGEST_SHA256));
	enum errc rc = lmdbx_del(txn, l->index, index_slice(&k));

	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc index_key(struct live *l, MDB_txn *txn, const struct rows_scope *key)
{
	struct index_name k = index_name(INDEX_KEY, slice_of(key->id, APIKEY_ID));
	enum errc rc = index_hash(l, txn, key, key->hash);

	if (!rc && key->old_until_s)
		rc = index_hash(l, txn, key, key->old_hash);
	if (rc)
		return rc;
	return lmdbx_put(txn, l->index, index_slice(&k),
			 slice_of(&key->account, sizeof key->account), 0);
}

/* A team's name is unique in its account. */
static struct index_name team_name(uint64_t account, struct slice name)
{
	char both[sizeof account + ROWS_NAME_MAX];

	memcpy(both, &account, sizeof account);
	memcpy(both + sizeof account, name.p, name.n);
	return index_name(INDEX_TEAM, slice_of(both, sizeof account + name.n));
}

enum errc live_find_team(struct live *l, MDB_txn *txn, uint64_t account, struct slice name,
			 char id[ROWS_ID])
{
	struct index_name k;
	struct slice s;
	enum errc rc;

	if (name.n == 0 || name.n > ROWS_NAME_MAX)
		return ERRC_NOTFOUND;
	k = team_name(account, name);
	rc = lmdbx_get(txn, l->index, index_slice(&k), &s);
	if (rc)
		return rc;
	if (s.n != ROWS_ID)
		return ERRC_CORRUPT;
	memcpy(id, s.p, ROWS_ID);
	return ERRC_OK;
}

enum errc live_index_scope(struct live *l, MDB_txn *txn, const struct rows_scope *s)
{
	struct index_name k;

	if (s->kind == ROWS_KEY)
		return index_key(l, txn, s);
	if (s->kind != ROWS_TEAM || s->name.n == 0)
		return ERRC_OK;
	k = team_name(s->account, s->name);
	return lmdbx_put(txn, l->index, index_slice(&k), slice_of(s->id, ROWS_ID), 0);
}

enum errc live_get_admin_seq(struct live *l, MDB_txn *txn, uint64_t *seq)
{
	struct rows_key_name name = rows_name(ROWS_ACCOUNT_HEAD, ROWS_HEAD, SLICE_LIT("admin"));
	struct slice v;
	enum errc rc = live_row_get(l, txn, &name, &v);

	if (rc)
		return rc;
	if (v.n != sizeof *seq)
		return ERRC_CORRUPT;
	memcpy(seq, v.p, sizeof *seq);
	return ERRC_OK;
}

enum errc live_put_admin_seq(struct live *l, MDB_txn *txn, uint64_t seq)
{
	struct rows_key_name name = rows_name(ROWS_ACCOUNT_HEAD, ROWS_HEAD, SLICE_LIT("admin"));

	return live_row_put(l, txn, &name, slice_of(&seq, sizeof seq), 0);
}

static struct rows_key_name tail_name(void)
{
	return rows_name(ROWS_ACCOUNT_TAIL, ROWS_TAIL, SLICE_NONE);
}

enum errc live_outbox_base(struct live *l, MDB_txn *txn, uint64_t deleted)
{
	struct rows_key_name name = tail_name();

	return live_row_put(l, txn, &name, slice_of(&deleted, sizeof deleted), 0);
}

bool live_outbox_number(struct slice key, uint64_t *n)
{
	uint64_t account;
	enum rows_kind kind;
	struct slice id;

	if (!rows_name_parse(key, &account, &kind, &id) || account != ROWS_ACCOUNT_TAIL ||
	    kind != ROWS_OUTBOX || id.n != 8)
		return false;
	*n = be_get(id.p, 8);
	return true;
}

/* The last row of the tree is the newest of the outbox, or the tail row when the outbox is empty. */
enum errc live_outbox_last(struct live *l, MDB_txn *txn, uint64_t *n)
{
	struct rows_key_name tail = tail_name();
	struct slice key = SLICE_NONE, value;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->rows, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_LAST, &key, &value);
	if (!rc && !live_outbox_number(key, n)) {
		if (!slice_eq(key, live_name(&tail)) || value.n != sizeof *n)
			rc = ERRC_CORRUPT;
		else
			memcpy(n, value.p, sizeof *n);
	}
	mdb_cursor_close(c);
	return rc;
}

enum errc live_outbox_first(struct live *l, MDB_txn *txn, uint64_t *n, int64_t *boot_ms)
{
	struct rows_key_name from = rows_name_outbox(0);
	struct slice key = live_name(&from), value, record;
	struct live_outbox_head head;
	MDB_cursor *c;
	enum errc rc = lmdbx_errc(mdb_cursor_open(txn, l->rows, &c));

	if (rc)
		return rc;
	rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	if (!rc && (!live_outbox_number(key, n) || !live_outbox_parse(value, &head, &record)))
		rc = ERRC_CORRUPT;
	if (!rc)
		*boot_ms = head.boot_ms;
	mdb_cursor_close(c);
	return rc;
}

enum errc live_outbox_append(struct live *l, MDB_txn *txn, uint64_t n, int64_t boot_ms,
			     const struct record *r)
{
	struct live_outbox_head head = {.version = OUTBOX_VERSION, .boot_ms = boot_ms};
	enum errc rc;

	buf_reset(&l->scratch);
	rc = buf_add(&l->scratch, &head, sizeof head);
	if (!rc)
		rc = record_encode(&l->scratch, r);
	return rc ? rc : put_scratch(l, txn, rows_name_outbox(n), MDB_APPEND);
}

bool live_outbox_parse(struct slice value, struct live_outbox_head *head, struct slice *record)
{
	if (value.n < sizeof *head)
		return false;
	memcpy(head, value.p, sizeof *head);
	*record = slice_sub(value, sizeof *head, value.n - sizeof *head);
	return head->version == OUTBOX_VERSION;
}

static enum errc used_bytes(struct live *l, MDB_txn *txn, size_t *bytes)
{
	const MDB_dbi trees[] = {l->rows, l->defs, l->index, l->idem};
	enum errc rc = ERRC_OK;

	*bytes = 0;
	for (size_t i = 0; !rc && i < ARRAY_LEN(trees); i++) {
		size_t n = 0;

		rc = lmdbx_used(txn, trees[i], &n);
		*bytes += n;
	}
	return rc;
}

enum errc live_room(struct live *l, MDB_txn *txn, size_t *bytes)
{
	size_t used = 0, reserve, slack;
	enum errc rc = used_bytes(l, txn, &used);

	/* Some transactions of 8 operations. */
	slack = MAX_OF(l->size_bytes / 16, (size_t)128 * MEM_PAGE);
	reserve = (size_t)(progress_holds(l->progress) + LIMIT_TXN_OPS) * SETTLE_BYTES +
		  (size_t)progress_pages(l->progress) * MEM_PAGE;
	*bytes = l->size_bytes - MIN_OF(used + reserve + slack, l->size_bytes);
	return rc;
}

enum errc live_space(struct live *l, int64_t now_boot_ms, struct live_space *out)
{
	uint64_t first = 0, last = 0;
	size_t used = 0;
	int64_t boot_ms = now_boot_ms;
	MDB_txn *txn;
	enum errc rc = live_read_begin(l, &txn);

	if (rc)
		return rc;
	rc = used_bytes(l, txn, &used);
	if (!rc)
		rc = live_outbox_last(l, txn, &last);
	if (!rc) {
		rc = live_outbox_first(l, txn, &first, &boot_ms);
		if (rc == ERRC_NOTFOUND) {
			first = last + 1;
			rc = ERRC_OK;
		}
	}
	live_read_end(l);
	*out = (struct live_space){.size_bytes = l->size_bytes,
				   .used_bytes = used,
				   .outbox_records = last + 1 - first,
				   .outbox_age_ms = MAX_OF(now_boot_ms - boot_ms, 0),
				   .holds = progress_holds(l->progress)};
	return rc;
}
