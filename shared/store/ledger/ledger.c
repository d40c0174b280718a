#include "ledger_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "files.h"
#include "log.h"
#include "mem.h"
#include "secret.h"
#include "text.h"

#define READERS_MAX 126
#define PENDING_MAX ((size_t)256 * 1024 * 1024) /* records of one transaction */
#define AHEAD       4                           /* records between two steps of book_expect() */

struct state_v1 {
	uint32_t layout, steps_back;
	uint8_t id[LIVE_ID];
	uint64_t epoch, taken_epoch, taken_n, last_seq, upto_seq, admin_seq, claims_over_seq,
		reload_life, reload_number;
	uint8_t head[DIGEST_SHA256];
	char boot_id[40];
};
_Static_assert(sizeof(struct state_v1) == 168, "layout of stored rows");

#define STATE_KEY SLICE_LIT("state")

/* A record between its append and the commit: a head, then struct book_charge, or for all others the record's bytes. */
struct pending {
	enum record_type type;
	uint32_t bytes; /* that follow */
};

static enum errc put_state(struct ledger *l, MDB_txn *txn, const struct ledger_state *s)
{
	struct state_v1 v = {.layout = LEDGER_LAYOUT,
			     .epoch = s->epoch,
			     .taken_epoch = s->taken_epoch,
			     .taken_n = s->taken_n,
			     .last_seq = s->last_seq,
			     .upto_seq = s->upto_seq,
			     .admin_seq = s->admin_seq,
			     .claims_over_seq = s->claims_over_seq,
			     .reload_life = s->reload_life,
			     .reload_number = s->reload_number,
			     .steps_back = s->steps_back};

	memcpy(v.id, s->id, sizeof v.id);
	memcpy(v.head, s->head, sizeof v.head);
	memcpy(v.boot_id, s->boot_id, sizeof v.boot_id);
	return lmdbx_put(txn, l->meta, STATE_KEY, slice_of(&v, sizeof v), 0);
}

enum errc ledger_get_state(struct ledger *l, MDB_txn *txn, struct ledger_state *s)
{
	struct state_v1 v;
	struct slice bytes;
	enum errc rc = lmdbx_get(txn, l->meta, STATE_KEY, &bytes);

	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc;
	if (bytes.n < sizeof v.layout)
		return ERRC_CORRUPT;
	memcpy(&v.layout, bytes.p, sizeof v.layout);
	if (v.layout != LEDGER_LAYOUT) {
		log_error("ledger_layout",
			  "the ledger has layout %u, this version of aigwd reads layout %u: start "
			  "the "
			  "version that wrote it, or give another `state` folder; nothing was "
			  "changed",
			  v.layout, (unsigned)LEDGER_LAYOUT);
		return ERRC_VERSION;
	}
	if (bytes.n != sizeof v)
		return ERRC_CORRUPT;
	memcpy(&v, bytes.p, sizeof v);
	*s = (struct ledger_state){.epoch = v.epoch,
				   .taken_epoch = v.taken_epoch,
				   .taken_n = v.taken_n,
				   .last_seq = v.last_seq,
				   .upto_seq = v.upto_seq,
				   .admin_seq = v.admin_seq,
				   .claims_over_seq = v.claims_over_seq,
				   .reload_life = v.reload_life,
				   .reload_number = v.reload_number,
				   .steps_back = v.steps_back};
	memcpy(s->id, v.id, sizeof v.id);
	memcpy(s->head, v.head, sizeof v.head);
	memcpy(s->boot_id, v.boot_id, sizeof v.boot_id);
	s->boot_id[sizeof s->boot_id - 1] = '\0';
	return v.upto_seq <= v.last_seq ? ERRC_OK : ERRC_CORRUPT;
}

enum errc ledger_read_begin(struct ledger *l, MDB_txn **txn)
{
	*txn = NULL;
	return lmdbx_errc(mdb_txn_begin(l->env, NULL, MDB_RDONLY, txn));
}

void ledger_read_end(MDB_txn **txn)
{
	if (*txn)
		mdb_txn_abort(*txn);
	*txn = NULL;
}

static enum errc open_dbs(struct ledger *l, MDB_txn *txn, unsigned flags)
{
	struct {
		const char *name;
		MDB_dbi *db;
	} const dbs[] = {
		{"records", &l->records}, {"ids", &l->ids},     {"upstream", &l->upstream},
		{"prices", &l->prices},   {"rows", &l->rows},   {"meta", &l->meta},
		{"rollups", &l->rollups}, {"seals", &l->seals}, {"base", &l->base},
		{"alerts", &l->alerts},   {"idem", &l->idem},   {"reversed", &l->reversed}};
	enum errc rc = ERRC_OK;

	for (size_t i = 0; !rc && i < ARRAY_LEN(dbs); i++)
		rc = lmdbx_db(txn, dbs[i].name, flags, dbs[i].db);
	return rc;
}

static enum errc is_damaged(const struct ledger_opts *o, enum ledger_fault fault)
{
	if (o->fault)
		*o->fault = fault;
	return ERRC_CORRUPT;
}

/* Opens the trees; the first time makes them, with a new identity. */
static enum errc open_trees(struct ledger *l, const struct ledger_opts *o)
{
	MDB_txn *txn;
	enum errc rc = lmdbx_errc(mdb_txn_begin(l->env, NULL, l->read_only ? MDB_RDONLY : 0, &txn));

	if (rc)
		return rc;
	rc = open_dbs(l, txn, l->read_only ? 0 : MDB_CREATE);
	if (!rc && !l->read_only) {
		struct slice bytes;

		rc = lmdbx_get(txn, l->meta, STATE_KEY, &bytes);
		if (rc == ERRC_NOTFOUND && o->was_there) {
			rc = is_damaged(o, LEDGER_GONE);
		} else if (rc == ERRC_NOTFOUND) {
			struct ledger_state s = {0};

			if (o->id)
				memcpy(s.id, o->id, sizeof s.id);
			else
				secret_random(s.id, sizeof s.id);
			rc = put_state(l, txn, &s);
		}
	}
	if (rc) {
		mdb_txn_abort(txn);
		return rc;
	}
	return lmdbx_commit(txn);
}

/* A record that contradicts the book is a defect that must not stop the node: it is reported, here and by verify. */
static enum errc tolerate(enum errc rc, uint64_t seq)
{
	if (rc != ERRC_CORRUPT && rc != ERRC_VERSION)
		return rc;
	log_error("ledger_contradiction", "record %llu of the ledger contradicts those before it",
		  (unsigned long long)seq);
	return ERRC_OK;
}

static enum errc apply(struct book *b, uint64_t seq, struct slice bytes)
{
	struct record r;
	enum errc rc = record_decode(bytes, &r);

	if (!rc)
		rc = book_apply(b, &r);
	return tolerate(rc, seq);
}

static enum errc replay(struct ledger *l, MDB_txn *txn)
{
	uint8_t from[8] = {0};
	struct slice key = slice_of(from, sizeof from), value;
	MDB_cursor *c;
	enum errc rc;

	if (l->state.upto_seq == l->state.last_seq)
		return ERRC_OK;
	rc = lmdbx_errc(mdb_cursor_open(txn, l->records, &c));
	if (rc)
		return rc;
	ledger_put_be(l->state.upto_seq + 1, from);
	rc = lmdbx_move(c, MDB_SET_RANGE, &key, &value);
	while (!rc) {
		if (key.n != 8 || value.n < DIGEST_SHA256)
			rc = ERRC_CORRUPT;
		else
			rc = apply(l->book, ledger_get_be(key.p),
				   slice_sub(value, DIGEST_SHA256, value.n - DIGEST_SHA256));
		if (!rc)
			rc = lmdbx_move(c, MDB_NEXT, &key, &value);
	}
	mdb_cursor_close(c);
	return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
}

static enum errc load(struct ledger *l)
{
	MDB_txn *txn;
	enum errc rc = ledger_read_begin(l, &txn);

	if (!rc)
		rc = ledger_get_state(l, txn, &l->state);
	if (!rc)
		rc = ledger_load_rows(txn, l->rows, l->book);
	if (!rc)
		rc = ledger_load_sealed(l, txn);
	if (!rc)
		rc = ledger_load_clean(l, txn);
	if (!rc)
		rc = replay(l, txn);
	if (!rc && l->state.last_seq > 0)
		rc = ledger_time_of(l, txn, l->state.last_seq, &l->newest_ms);
	ledger_read_end(&txn);
	return rc;
}

/* LMDB takes an empty file for a new one. What cannot be looked at is for LMDB to say. */
static bool has_bytes(const char *dir)
{
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof path, "%s/data.mdb", dir) >= (int)sizeof path)
		return true;
	return stat(path, &st) == 0 ? st.st_size > 0 : errno != ENOENT && errno != ENOTDIR;
}

static enum errc open_env(struct ledger *l, const struct ledger_opts *o)
{
	char dir[PATH_MAX];
	int n = snprintf(dir, sizeof dir, "%s/ledger", o->dir);
	struct lmdbx_opts x = {.dir = dir,
			       .map_bytes = o->map_bytes ? o->map_bytes : LEDGER_MAP_BYTES,
			       .dbs_max = 16,
			       .readers_max = READERS_MAX,
			       .flags = MDB_NOTLS | (o->read_only ? MDB_RDONLY : 0)};
	enum errc rc;

	if (n < 0 || (size_t)n >= sizeof dir)
		return ERRC_LIMIT;
	if ((o->was_there || o->read_only) && !has_bytes(dir))
		return is_damaged(o, LEDGER_GONE);
	if (!o->read_only && ((mkdir(o->dir, 0750) != 0 && errno != EEXIST) ||
			      (mkdir(dir, 0750) != 0 && errno != EEXIST)))
		return errc_from_errno(errno);
	rc = lmdbx_open(&x, &l->env);
	/* Some kernels and limits leave a process less than 1 TiB of addresses. */
	while ((rc == ERRC_NOMEM || rc == ERRC_INVAL) && !o->map_bytes &&
	       x.map_bytes > LEDGER_MAP_LEAST) {
		x.map_bytes /= 2;
		rc = lmdbx_open(&x, &l->env);
	}
	if (rc == ERRC_TRUNCATED)
		return is_damaged(o, LEDGER_SHORT);
	if (!rc)
		rc = open_trees(l, o);
	if (!rc && !o->read_only)
		rc = files_sync_folder(dir);
	if (!rc && !o->read_only)
		rc = files_sync_folder(o->dir);
	return rc;
}

enum errc ledger_open(const struct ledger_opts *o, struct ledger **out)
{
	struct ledger *l = mem_new_of(struct ledger);
	enum errc rc;

	if (!l)
		return ERRC_NOMEM;
	l->magic = LEDGER_MAGIC;
	l->read_only = o->read_only;
	buf_init(&l->pending, PENDING_MAX);
	buf_init(&l->scratch, ROWS_MAX + RECORD_MAX + DIGEST_SHA256);
	require(pthread_mutex_init(&l->commits, NULL) == 0);
	idindex_init(&l->idindex);
	rollup_init(&l->rollup);
	rc = book_new(&l->book);
	if (!rc)
		rc = open_env(l, o);
	if (!rc)
		rc = load(l);
	if (!rc)
		idindex_seed(&l->idindex, l->state.id);
	if (!rc && o->id && memcmp(o->id, l->state.id, LIVE_ID) != 0)
		rc = ERRC_STALE;
	if (!rc)
		rc = ledger_catch_up_index(l);
	if (!rc)
		rc = ledger_catch_up_rollups(l);
	if (rc)
		ledger_close(&l);
	else
		*out = l;
	return rc;
}

void ledger_close(struct ledger **lp)
{
	struct ledger *l = *lp;

	if (!l)
		return;
	require_magic(l, LEDGER_MAGIC);
	ledger_abort(l);
	if (l->env)
		mdb_env_close(l->env);
	book_free(&l->book);
	idindex_fini(&l->idindex);
	pthread_mutex_destroy(&l->commits);
	rollup_fini(&l->rollup);
	book_free(&l->base_book);
	buf_fini(&l->pending);
	buf_fini(&l->scratch);
	mem_free(l);
	*lp = NULL;
}

const struct ledger_state *ledger_state(const struct ledger *l)
{
	return &l->state;
}

const struct book *ledger_book(const struct ledger *l)
{
	return l->book;
}

void ledger_watch(struct ledger *l, struct alerts *a)
{
	l->watch = a;
}

enum errc ledger_begin(struct ledger *l)
{
	enum errc rc;

	require(!l->txn);
	if (l->read_only)
		return ERRC_PERM;
	if (!lmdbx_is_in_place(l->env))
		return ERRC_MOVED;
	rc = lmdbx_errc(mdb_txn_begin(l->env, NULL, 0, &l->txn));
	if (rc)
		return rc;
	buf_reset(&l->pending);
	l->checkpointed = false;
	l->next_newest_ms = l->newest_ms;
	l->next_sealed = l->sealed;
	l->next_clean = false;
	rc = ledger_get_state(l, l->txn, &l->next);
	if (!rc && (l->next.last_seq != l->state.last_seq || l->next.epoch != l->state.epoch ||
		    memcmp(l->next.head, l->state.head, DIGEST_SHA256) != 0))
		rc = ERRC_STALE;
	if (rc)
		ledger_abort(l);
	return rc;
}

static enum errc keep_pending(struct ledger *l, const struct record *r, struct slice bytes)
{
	struct pending head = {.type = r->type};
	struct book_charge charge;
	enum errc rc;

	if (r->type == RECORD_CHARGE) {
		book_charge_of(l->book, r, &charge);
		bytes = slice_of(&charge, BOOK_CHARGE_BYTES(&charge));
	}
	head.bytes = (uint32_t)bytes.n;
	rc = buf_add(&l->pending, &head, sizeof head);
	return rc ? rc : buf_adds(&l->pending, bytes);
}

/* Who looks for a time may go by the order of the records unless the clock went back. */
static void note_time(struct ledger *l, int64_t wall_ms)
{
	bool back = wall_ms < l->next_newest_ms - LEDGER_STEP_BACK_MS;

	if (back && l->next.steps_back < UINT32_MAX)
		l->next.steps_back++;
	if (back || wall_ms > l->next_newest_ms)
		l->next_newest_ms = wall_ms;
}

/* `bytes` is what `r` was read from. ERRC_DUPLICATE: see ledger_note_reversal(); nothing was written. */
static enum errc append_bytes(struct ledger *l, const struct record *r, struct slice bytes)
{
	uint8_t key[8], *out;
	MDB_val k = {sizeof key, key}, v = {DIGEST_SHA256 + bytes.n, NULL};
	enum errc rc = ledger_note_reversal(l, l->next.last_seq + 1, r);

	ledger_put_be(l->next.last_seq + 1, key);
	if (!rc)
		rc = lmdbx_errc(mdb_put(l->txn, l->records, &k, &v, MDB_APPEND | MDB_RESERVE));
	if (rc)
		return rc;
	out = v.mv_data;
	ledger_chain(l->next.head, bytes, out);
	memcpy(out + DIGEST_SHA256, bytes.p, bytes.n);
	memcpy(l->next.head, out, DIGEST_SHA256);
	l->next.last_seq++;
	note_time(l, r->wall_ms);
	if (r->type == RECORD_RELOAD) {
		l->next.reload_life = r->change.epoch;
		l->next.reload_number = (uint64_t)r->change.number;
	}
	if (r->type == RECORD_CHARGE)
		rc = idindex_add(&l->idindex, l->next.last_seq, &r->charge);
	if (!rc)
		rc = rollup_add(&l->rollup, l->next.last_seq, r);
	if (!rc)
		rc = ledger_note_claim(l, l->next.last_seq, r);
	return rc ? rc : keep_pending(l, r, bytes);
}

/* Money goes back once: the ledger stays right, and the live store, which is not, is found to differ from it. */
static enum errc pass_over(const struct record *r)
{
	char id[GENID_TEXT + 1];

	genid_print(&r->change.id, id);
	log_error("ledger_contradiction",
		  "charge %s was to be taken back twice: the second time is not taken", id);
	return ERRC_OK;
}

enum errc ledger_take(struct ledger *l, uint64_t epoch, const struct outbox_batch *b)
{
	uint64_t last = l->next.taken_epoch == epoch ? l->next.taken_n : 0;
	enum errc rc = ERRC_OK;

	require(l->txn);
	if (epoch != l->next.epoch)
		return ERRC_STALE;
	for (size_t i = 0; !rc && i < b->n; i++) {
		const struct outbox_row *row = &b->rows[i];
		struct record r;

		if (row->n <= last)
			continue;
		if (row->n != last + 1)
			return ERRC_CORRUPT;
		rc = record_decode(row->record, &r);
		if (!rc)
			rc = ledger_seal_before(l, r.wall_ms);
		if (rc == ERRC_AGAIN)
			break;
		if (!rc)
			rc = append_bytes(l, &r, row->record);
		if (rc == ERRC_DUPLICATE)
			rc = pass_over(&r);
		last = row->n;
	}
	l->next.taken_epoch = epoch;
	l->next.taken_n = last;
	return rc;
}

/* Of what only stands in the chain the live store has nothing to follow. */
static bool changes_rows(enum record_type t)
{
	return t != RECORD_PEPPER && t != RECORD_RELOAD && t != RECORD_RETAIN && t != RECORD_RESTORE;
}

enum errc ledger_append(struct ledger *l, const struct record *r, uint64_t *seq)
{
	enum errc rc;

	require(l->txn);
	buf_reset(&l->scratch);
	rc = record_encode(&l->scratch, r);
	if (!rc)
		rc = ledger_seal_before(l, r->wall_ms);
	/* What is done in one transaction stays together; then both days have one seal. */
	if (!rc || rc == ERRC_AGAIN)
		rc = append_bytes(l, r, buf_slice(&l->scratch));
	if (rc)
		return rc;
	*seq = l->next.last_seq;
	if (changes_rows(r->type))
		l->next.admin_seq = *seq;
	return ERRC_OK;
}

static enum errc look_for_alerts(struct ledger *l)
{
	const struct alerts_place at = {.book = l->book,
					.recent = &l->rollup,
					.txn = l->txn,
					.told = l->alerts,
					.rows = l->rows,
					.wall_s = clock_wall_s()};

	return alerts_look(l->watch, &at);
}

enum errc ledger_checkpoint(struct ledger *l)
{
	enum errc rc = ERRC_OK;

	require(l->txn);
	if (l->watch)
		rc = look_for_alerts(l);
	if (!rc)
		rc = ledger_put_rows(l->txn, l->rows, l->book);
	if (!rc)
		rc = ledger_forget_rows(l->txn, l->rows, l->book,
					ledger_believed_ms(l, l->newest_ms) / 1000);
	if (rc)
		return rc;
	/* The book does not have the records of this transaction yet. */
	l->next.upto_seq = l->state.last_seq;
	l->checkpointed = true;
	rc = ledger_write_rollups(l, l->txn, l->state.last_seq);
	if (rc)
		return rc;
	return l->idindex.durable_n >= IDINDEX_ROWS_MIN
		       ? ledger_write_index(l, l->txn, l->state.last_seq)
		       : ERRC_OK;
}

enum errc ledger_put_prices(struct ledger *l, const struct price *const *prices, size_t n)
{
	enum errc rc = ERRC_OK;

	require(l->txn);
	for (size_t i = 0; !rc && i < n; i++) {
		uint8_t hash[DIGEST_SHA256], bytes[PRICE_BYTES_MAX];
		size_t n_bytes = price_encode(prices[i], bytes);

		price_hash(prices[i], hash);
		rc = lmdbx_put(l->txn, l->prices, slice_of(hash, sizeof hash),
			       slice_of(bytes, n_bytes), MDB_NOOVERWRITE);
		if (rc == ERRC_EXISTS)
			rc = ERRC_OK;
	}
	return rc;
}

enum errc ledger_raise_epoch(struct ledger *l, const char *boot_id, uint64_t least,
			     struct record *gap)
{
	uint64_t seq;
	enum errc rc = ERRC_OK;

	require(l->txn && strlen(boot_id) < sizeof l->next.boot_id);
	l->next.epoch = MAX_OF(l->next.epoch + 1, least);
	memset(l->next.boot_id, 0, sizeof l->next.boot_id);
	memcpy(l->next.boot_id, boot_id, strlen(boot_id));
	if (gap) {
		gap->change.epoch = l->next.epoch;
		rc = ledger_append(l, gap, &seq);
	}
	return rc;
}

/* A walk through pending records, some ahead of their being applied. */
struct ahead {
	size_t at;
	unsigned step;
};

/* The next record's memory is asked for. */
static void expect_one(const struct ledger *l, struct ahead *a)
{
	struct book_charge charge;
	struct pending head;

	if (a->at >= l->pending.len)
		return;
	memcpy(&head, l->pending.p + a->at, sizeof head);
	if (head.type == RECORD_CHARGE) {
		memcpy(&charge, l->pending.p + a->at + sizeof head,
		       offsetof(struct book_charge, budgets));
		book_expect(l->book, &charge, a->step);
	}
	a->at += sizeof head + head.bytes;
}

static enum errc apply_one(struct ledger *l, const struct pending *head, const char *bytes)
{
	struct book_charge charge;
	struct record r;
	enum errc rc;

	if (head->type == RECORD_CHARGE) {
		memcpy(&charge, bytes, head->bytes);
		return book_apply_charge(l->book, &charge);
	}
	rc = record_decode(slice_of(bytes, head->bytes), &r);
	if (!rc && l->watch)
		alerts_note(l->watch, l->book, &r, false);
	if (!rc)
		rc = book_apply(l->book, &r);
	if (!rc && l->watch)
		alerts_note(l->watch, l->book, &r, true);
	return rc;
}

/* After the commit: what it made durable goes into the book. Without memory for it the keeper cannot go on. */
static void apply_pending(struct ledger *l)
{
	struct ahead ahead[BOOK_STEPS] = {{.at = 0}};
	uint64_t seq = l->state.last_seq;
	struct pending head;

	for (unsigned i = 0; i < BOOK_STEPS; i++) {
		ahead[i].step = i;
		for (unsigned n = (BOOK_STEPS - i) * AHEAD; n > 0; n--)
			expect_one(l, &ahead[i]);
	}
	for (size_t at = 0; at < l->pending.len; at += head.bytes) {
		enum errc rc;

		for (unsigned i = 0; i < BOOK_STEPS; i++)
			expect_one(l, &ahead[i]);
		memcpy(&head, l->pending.p + at, sizeof head);
		at += sizeof head;
		rc = apply_one(l, &head, l->pending.p + at);
		require(tolerate(rc, ++seq) == ERRC_OK);
	}
	buf_reset(&l->pending);
}

enum errc ledger_commit(struct ledger *l)
{
	enum errc rc = ERRC_OK;

	require(l->txn);
	if (l->idindex.written_n == 0 && l->idindex.durable_n >= IDINDEX_ROWS_MAX)
		rc = ledger_write_index(l, l->txn, l->state.last_seq);
	if (!rc && !l->rollup.written && rollup_is_full(&l->rollup))
		rc = ledger_write_rollups(l, l->txn, l->state.last_seq);
	if (!rc)
		rc = put_state(l, l->txn, &l->next);
	if (!rc)
		rc = ledger_put_clean(l);
	if (rc) {
		ledger_abort(l);
		return rc;
	}
	require(pthread_mutex_lock(&l->commits) == 0);
	rc = lmdbx_commit(l->txn);
	l->txn = NULL;
	if (!rc)
		idindex_committed(&l->idindex);
	pthread_mutex_unlock(&l->commits);
	if (rc) {
		ledger_abort(l);
		return rc;
	}
	if (l->checkpointed)
		book_clean(l->book);
	if (l->watch)
		alerts_committed(l->watch);
	/* Without memory for what the commit made durable the keeper cannot go on. */
	require(ledger_count_rollups(l) == ERRC_OK);
	apply_pending(l);
	l->state = l->next;
	l->newest_ms = l->next_newest_ms;
	l->sealed = l->next_sealed;
	ledger_clean_committed(l);
	return ERRC_OK;
}

void ledger_abort(struct ledger *l)
{
	if (l->txn)
		mdb_txn_abort(l->txn);
	l->txn = NULL;
	idindex_aborted(&l->idindex);
	if (l->watch)
		alerts_aborted(l->watch);
	rollup_aborted(&l->rollup);
	buf_reset(&l->pending);
}
