#include "export.h"

#include "clock.h"
#include "json_out.h"
#include "mem.h"
#include "record_words.h"
#include "retain.h"
#include "seal.h"
#include "text.h"

#define CHUNK_BYTES ((size_t)48 * 1024)
#define BUF_BYTES   ((size_t)1024 * 1024) /* a chunk and its longest line */
#define HASHES_MIN  64
#define DAY_MS      INT64_C(86400000)

/* Price rows that were written already: a table by their hashes, which are as good as random. */
struct hashes {
	uint8_t (*slots)[DIGEST_SHA256]; /* all zero: free */
	size_t n, cap;                   /* cap: 0 or a power of two */
};

struct export
{
	struct ledger *l;
	const struct export_ask *ask;
	const struct export_sink *sink;
	struct ledger_state state;
	struct book *book; /* the checkpoint, carried on with the records behind it */
	uint64_t book_seq, first, last, records;
	uint8_t head[DIGEST_SHA256]; /* of the last record written */
	bool sums;                   /* go out at the end */
	struct retain_base base;
	struct seal seal; /* the next one */
	struct buf seal_sums;
	bool has_seal, seal_due; /* due: its last record was the last one written */
	uint64_t seals;
	int permille;
	struct hashes prices;
	struct buf text, bytes;
};

/* --- the set of price rows --- */

static const uint8_t zero[DIGEST_SHA256];

/* The slot that has the hash, or the free one where it belongs. */
static size_t slot_of(const struct hashes *h, const uint8_t hash[DIGEST_SHA256])
{
	size_t at;

	memcpy(&at, hash, sizeof at);
	for (at &= h->cap - 1; memcmp(h->slots[at], zero, DIGEST_SHA256) != 0 &&
			       memcmp(h->slots[at], hash, DIGEST_SHA256) != 0;)
		at = (at + 1) & (h->cap - 1);
	return at;
}

static enum errc hashes_grow(struct hashes *h)
{
	struct hashes more = {.n = h->n, .cap = h->cap ? 2 * h->cap : HASHES_MIN};

	if (2 * (h->n + 1) <= h->cap)
		return ERRC_OK;
	more.slots = mem_new(more.cap * DIGEST_SHA256);
	if (!more.slots)
		return ERRC_NOMEM;
	for (size_t i = 0; i < h->cap; i++)
		if (memcmp(h->slots[i], zero, DIGEST_SHA256) != 0)
			memcpy(more.slots[slot_of(&more, h->slots[i])], h->slots[i], DIGEST_SHA256);
	mem_free(h->slots);
	*h = more;
	return ERRC_OK;
}

/* *is_new: it was not there. */
static enum errc hashes_add(struct hashes *h, const uint8_t hash[DIGEST_SHA256], bool *is_new)
{
	enum errc e = hashes_grow(h);
	size_t at;

	if (e)
		return e;
	at = slot_of(h, hash);
	*is_new = memcmp(h->slots[at], zero, DIGEST_SHA256) == 0;
	memcpy(h->slots[at], hash, DIGEST_SHA256);
	h->n += *is_new;
	return ERRC_OK;
}

/* --- lines --- */

static void put_hash(struct json_out *o, const char *key, const uint8_t hash[DIGEST_SHA256])
{
	char hex[2 * DIGEST_SHA256 + 1];

	text_hex(hash, DIGEST_SHA256, hex);
	json_out_kstrz(o, key, hex);
}

static void put_day(struct json_out *o, const char *key, uint32_t day)
{
	char text[CLOCK_TEXT_MAX];

	(void)clock_format_s(day * (DAY_MS / 1000), text);
	json_out_kstr(o, key, slice_sub(slice_str(text), 0, 10));
}

static void put_u64(struct json_out *o, const char *key, uint64_t v)
{
	json_out_key(o, key);
	json_out_u64(o, v);
}

static void begin_line(struct export *x, struct json_out *o)
{
	json_out_init(o, &x->text);
	json_out_obj(o);
}

static enum errc end_line(struct export *x, struct json_out *o)
{
	enum errc e;

	json_out_obj_end(o);
	e = json_out_end(o);
	return e ? e : buf_addc(&x->text, '\n');
}

static enum errc put_head(struct export *x)
{
	char id[2 * LIVE_ID + 1];
	struct json_out o;

	text_hex(x->state.id, LIVE_ID, id);
	begin_line(x, &o);
	json_out_ki64(&o, "export", EXPORT_FORMAT);
	json_out_kstrz(&o, "what",
		       x->ask->changes ? "changes"
		       : x->ask->seals ? "seals"
				       : "ledger");
	json_out_kstrz(&o, "ledger_id", id);
	json_out_ki64(&o, "layout", LEDGER_LAYOUT);
	json_out_ki64(&o, "record_version", RECORD_VERSION);
	put_u64(&o, "first_seq", x->first);
	put_u64(&o, "last_seq", x->last);
	put_hash(&o, "before", x->head);
	json_out_kbool(&o, "sums", x->sums);
	return end_line(x, &o);
}

static enum errc put_bytes(struct export *x, struct json_out *o, struct slice bytes)
{
	enum errc e;

	buf_reset(&x->bytes);
	e = text_base64(&x->bytes, bytes.p, bytes.n);
	if (!e)
		json_out_kstr(o, "bytes", buf_slice(&x->bytes));
	return e;
}

static enum errc put_price(struct export *x, const uint8_t hash[DIGEST_SHA256])
{
	struct price p;
	struct json_out o;
	struct buf stored;
	enum errc e;

	buf_init(&stored, RECORD_MAX);
	e = ledger_price_bytes(x->l, hash, &stored);
	if (!e)
		e = price_decode(buf_slice(&stored), &p);
	if (e) {
		buf_fini(&stored);
		/* Whoever recomputes the charge sees that its row is not there. */
		return e == ERRC_NOTFOUND ? ERRC_OK : e;
	}
	begin_line(x, &o);
	put_hash(&o, "price", hash);
	json_out_kbool(&o, "free", p.free);
	for (enum usage_class c = 0; c < USAGE_COUNT; c++)
		json_out_ki64(&o, usage_name(c), p.pusd[c]);
	json_out_ki64(&o, "request_nusd", p.request_nusd);
	json_out_ki64(&o, "mult_ppm", p.mult_ppm);
	for (unsigned i = 0; i < PRICE_WHEN_N; i++)
		json_out_ki64(&o, price_when_name(i), price_when_get(&p, i));
	e = put_bytes(x, &o, buf_slice(&stored));
	buf_fini(&stored);
	return e ? e : end_line(x, &o);
}

static enum errc put_price_once(struct export *x, const struct record *r)
{
	bool is_new = false;
	enum errc e;

	if (r->type != RECORD_CHARGE || memcmp(r->charge.price_hash, zero, DIGEST_SHA256) == 0)
		return ERRC_OK;
	e = hashes_add(&x->prices, r->charge.price_hash, &is_new);
	return e || !is_new ? e : put_price(x, r->charge.price_hash);
}

/* What belongs behind the record's own fields; the object is still open. */
static enum errc put_place(struct export *x, const struct ledger_item *item, const struct record *r)
{
	const struct rows_account *a = book_account(x->book, r->account);
	struct json_out o;
	struct buf tail;
	enum errc e;

	buf_init(&tail, 4 * RECORD_MAX);
	json_out_init(&o, &tail);
	json_out_obj(&o);
	if (a)
		json_out_kstr(&o, "account_name", a->name);
	if (r->type != RECORD_CHARGE) {
		buf_reset(&x->bytes);
		e = record_words(&x->bytes, r, a ? a->name : SLICE_NONE);
		if (!e)
			json_out_kstr(&o, "words", buf_slice(&x->bytes));
	}
	put_hash(&o, "hash", item->hash);
	e = put_bytes(x, &o, item->record);
	json_out_obj_end(&o);
	if (!e)
		e = json_out_end(&o);
	if (!e)
		buf_truncate(&x->text, x->text.len - 1); /* its brace */
	if (!e)
		e = buf_addc(&x->text, ',');
	if (!e)
		e = buf_adds(&x->text, slice_sub(buf_slice(&tail), 1, tail.len));
	buf_fini(&tail);
	return e ? e : buf_addc(&x->text, '\n');
}

/* What an account comes to: {KIND:ACCOUNT,…}, at record `at`. */
static enum errc put_sums_of(struct export *x, const char *kind, uint64_t account, uint64_t at,
			     const struct seal_sums *s)
{
	const struct rows_account *a = book_account(x->book, account);
	struct json_out o;

	begin_line(x, &o);
	put_u64(&o, kind, account);
	if (a)
		json_out_kstr(&o, "name", a->name);
	put_u64(&o, "at_seq", at);
	json_out_ki64(&o, "granted_nusd", s->granted_nusd);
	json_out_ki64(&o, "settled_nusd", s->settled_nusd);
	json_out_ki64(&o, "uncollected_nusd", s->uncollected_nusd);
	return end_line(x, &o);
}

static enum errc put_seal_line(struct export *x)
{
	struct json_out o;

	begin_line(x, &o);
	put_day(&o, "seal", x->seal.day);
	put_day(&o, "sealed_on", x->seal.on);
	put_u64(&o, "first_seq", x->seal.first);
	put_u64(&o, "last_seq", x->seal.last);
	put_hash(&o, "head", x->seal.head);
	put_u64(&o, "accounts", x->seal.accounts_n);
	return end_line(x, &o);
}

static enum errc put_end(struct export *x)
{
	struct json_out o;

	begin_line(x, &o);
	json_out_kbool(&o, "end", true);
	put_u64(&o, "records", x->records);
	put_u64(&o, "seals", x->seals);
	put_hash(&o, "head", x->head);
	return end_line(x, &o);
}

/* --- the walk --- */

/* A record that contradicts those before it is left to whoever recomputes them. */
static enum errc carry_on(struct export *x, uint64_t seq, const struct record *r)
{
	enum errc e = seq > x->book_seq ? book_apply(x->book, r) : ERRC_OK;

	return e == ERRC_CORRUPT ? ERRC_OK : e;
}

/* ERRC_AGAIN: there is enough for a chunk. */
static enum errc on_item(void *arg, const struct ledger_item *item)
{
	struct export *x = arg;
	enum record_type type = RECORD_CHARGE;
	struct record r;
	enum errc e = x->ask->changes ? record_peek(item->record, &type) : ERRC_OK;

	memcpy(x->head, item->hash, DIGEST_SHA256);
	if (e || (x->ask->changes && type == RECORD_CHARGE))
		return e;
	e = record_decode(item->record, &r);
	if (!e)
		e = carry_on(x, item->seq, &r);
	if (!e)
		e = put_price_once(x, &r);
	if (!e)
		e = record_json(&x->text, item->seq, &r);
	if (!e)
		e = put_place(x, item, &r);
	x->records++;
	x->seal_due = x->has_seal && item->seq == x->seal.last;
	return !e && (x->seal_due || x->text.len >= CHUNK_BYTES) ? ERRC_AGAIN : e;
}

static enum errc flush(struct export *x, uint64_t next)
{
	uint64_t all = x->last + 1 - x->first;
	int permille = all ? (int)((next - x->first) * 1000 / all) : 1000;
	enum errc e = x->text.len ? x->sink->lines(x->sink->arg, buf_slice(&x->text)) : ERRC_OK;

	buf_reset(&x->text);
	if (!e && x->sink->progress && permille != x->permille)
		x->sink->progress(x->sink->arg, permille);
	x->permille = permille;
	return e;
}

/* What has no transaction to mind goes out whenever there is enough of it. */
static enum errc relieve(struct export *x, enum errc e, uint64_t next)
{
	return e || x->text.len < CHUNK_BYTES ? e : flush(x, next);
}

static enum errc put_book(struct export *x, const char *kind, const struct book *b, uint64_t at)
{
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < book_accounts_n(b); i++) {
		const struct rows_account *a = book_account_at(b, i);
		const struct seal_sums s = {a->id, a->granted_nusd, a->settled_nusd,
					    a->uncollected_nusd};

		e = relieve(x, put_sums_of(x, kind, a->id, at, &s), at + 1);
	}
	return e;
}

static enum errc put_opening(struct export *x)
{
	struct retain_base base;
	struct book *book = NULL;
	enum errc e = ERRC_OK;

	if (x->sums && x->base.seq)
		e = retain_base(x->l, &base, &book);
	if (!e && book)
		e = base.seq == x->base.seq ? put_book(x, "opening", book, base.seq) : ERRC_STALE;
	book_free(&book);
	return e;
}

/* --- seals --- */

static enum errc next_seal(struct export *x, uint64_t seq)
{
	enum errc e;

	buf_reset(&x->seal_sums);
	e = x->ask->changes ? ERRC_NOTFOUND : seal_from(x->l, seq, &x->seal, &x->seal_sums);
	x->has_seal = !e;
	return e == ERRC_NOTFOUND ? ERRC_OK : e;
}

/* Writes the seal and what it says of every account; the next one is due then. */
static enum errc put_seal(struct export *x)
{
	enum errc e = put_seal_line(x);

	for (size_t i = 0; !e && i < x->seal.accounts_n; i++) {
		struct seal_sums s;

		memcpy(&s, x->seal_sums.p + i * sizeof s, sizeof s);
		e = relieve(x, put_sums_of(x, "sealed", s.account, x->seal.last, &s),
			    MIN_OF(MAX_OF(x->seal.last + 1, x->first), x->last + 1));
	}
	x->seals++;
	x->seal_due = false;
	return e ? e : next_seal(x, x->seal.last + 1);
}

/* Those of the days that are no longer kept. */
static enum errc put_old_seals(struct export *x)
{
	enum errc e = next_seal(x, x->sums ? 1 : x->first);

	while (!e && x->has_seal && x->seal.last < x->first)
		e = put_seal(x);
	return e;
}

static bool is_asked_for(const struct export *x)
{
	int64_t begin_ms = x->seal.day * DAY_MS;

	return begin_ms + DAY_MS > x->ask->since_ms && begin_ms < x->ask->until_ms;
}

static enum errc run_seals(struct export *x)
{
	enum errc e = next_seal(x, 1);

	while (!e && x->has_seal && x->seal.last <= x->last)
		e = is_asked_for(x) ? put_seal(x) : next_seal(x, x->seal.last + 1);
	return e;
}

/* The run of records that holds all of the span. */
static enum errc find_range(struct export *x)
{
	bool in_order = true;
	uint64_t beyond;
	enum errc e = retain_base(x->l, &x->base, NULL);

	x->last = x->state.last_seq;
	if (!e && x->ask->since_ms > 0)
		e = ledger_seek(x->l, x->ask->since_ms, &x->first, &in_order);
	x->first = MAX_OF(x->first, x->base.seq + 1);
	if (e || !in_order || x->ask->until_ms >= INT64_MAX - 2 * LEDGER_SLACK_MS)
		return e;
	e = ledger_seek(x->l, x->ask->until_ms + 2 * LEDGER_SLACK_MS, &beyond, &in_order);
	if (!e && in_order && beyond <= x->last)
		x->last = MAX_OF(beyond, x->first) - 1;
	return e;
}

/* Who names a span that begins before what is kept, or ends there, is not given less without a word. */
static enum errc check_span(struct export *x)
{
	uint32_t day;
	bool whole;
	enum errc e = retain_first_day(x->l, &day, &whole);
	int64_t kept_ms = day * DAY_MS;

	if (e || x->ask->seals)
		return e;
	return (x->ask->since_ms > 0 && x->ask->since_ms < kept_ms) || x->ask->until_ms <= kept_ms
		       ? ERRC_RANGE
		       : ERRC_OK;
}

static enum errc begin(struct export *x)
{
	struct ledger_state checkpoint;
	enum errc e = ledger_read_state(x->l, &x->state);

	if (!e)
		e = ledger_read_book(x->l, &x->book, &checkpoint);
	if (!e)
		x->book_seq = checkpoint.upto_seq;
	/* The checkpoint may be of later records than the state that was read before it. */
	if (!e && checkpoint.last_seq > x->state.last_seq)
		x->state = checkpoint;
	if (!e)
		e = check_span(x);
	if (!e)
		e = find_range(x);
	if (!e && x->first > 1)
		e = ledger_hash(x->l, x->first - 1, x->head);
	/* Only a ledger that is exported from its first record on can be summed up anew. */
	x->sums = x->first == x->base.seq + 1 && x->last >= x->book_seq && !x->ask->changes &&
		  !x->ask->seals;
	return e ? e : put_head(x);
}

/* Records may have been removed before they were read: then there is a hole, and no end is written. */
static enum errc check_kept(struct export *x)
{
	struct retain_base base;
	enum errc e = retain_base(x->l, &base, NULL);

	return !e && base.seq >= x->first ? ERRC_STALE : e;
}

static enum errc run_records(struct export *x)
{
	uint64_t seq;
	enum errc e = put_opening(x);

	if (!e)
		e = put_old_seals(x);
	for (seq = x->first; !e && seq <= x->last;) {
		e = ledger_walk(x->l, &seq, x->last, on_item, x);
		if (e && e != ERRC_AGAIN)
			break;
		if (!e)
			seq = x->last + 1;
		e = x->seal_due ? put_seal(x) : ERRC_OK;
		if (!e)
			e = flush(x, seq);
	}
	if (!e && x->sums)
		e = put_book(x, "sums", x->book, x->last);
	return e ? e : check_kept(x);
}

static enum errc run(struct export *x)
{
	enum errc e = begin(x);

	if (!e)
		e = x->ask->seals ? run_seals(x) : run_records(x);
	if (!e)
		e = put_end(x);
	return e ? e : flush(x, x->last + 1);
}

enum errc export_ledger(struct ledger *l, const struct export_ask *ask,
			const struct export_sink *sink)
{
	struct export x = {.l = l, .ask = ask, .sink = sink, .permille = -1};
	enum errc e;

	buf_init(&x.text, BUF_BYTES);
	buf_init(&x.bytes, 4 * RECORD_MAX);
	buf_init(&x.seal_sums, SEAL_SUMS_MAX);
	e = run(&x);
	buf_fini(&x.text);
	buf_fini(&x.bytes);
	buf_fini(&x.seal_sums);
	mem_free(x.prices.slots);
	book_free(&x.book);
	return e;
}
