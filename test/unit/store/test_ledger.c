#include "rig.h"

#include "ledger_priv.h"
#include "report.h"
#include "verify.h"

#define KEY_A "aaaaaaaaaaaa"
#define KEY_B "bbbbbbbbbbbb"

static int setup(void **state)
{
	static struct rig r;

	rig_init(&r);
	rig_open(&r);
	rig_join(&r);
	*state = &r;
	return 0;
}

static int teardown(void **state)
{
	rig_fini(*state);
	return 0;
}

static void put_prices(struct rig *r)
{
	const struct price *prices[] = {&r->price, &r->per_request};

	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_put_prices(r->ledger, prices, 2), ERRC_OK);
	assert_int_equal(ledger_put_prices(r->ledger, prices, 2), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
}

/* Some requests of a fresh account; the last one's id is returned. */
static struct genid spend(struct rig *r, uint64_t acc, const char *key_id, int n)
{
	struct admit_done done;
	struct admit_op op;
	struct genid id;

	for (int i = 0; i < n; i++) {
		assert_true(rig_hold(r, acc, key_id, &r->price, 100, &id, &op));
		rig_settle(r, acc, &id, 10 + i, 5, &done);
		assert_true(done.settled);
		r->wall_ms += 1000;
	}
	return id;
}

static void verify(struct rig *r, struct verify_result *v)
{
	assert_int_equal(verify_ledger(r->ledger, true, NULL, NULL, v), ERRC_OK);
}

static void test_take_once(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), last, epoch = live_head(r->live)->epoch;
	struct verify_result v;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	spend(r, acc, KEY_A, 10);
	assert_int_equal(outbox_read(r->live, 0, &r->batch), ERRC_OK);
	assert_int_equal(r->batch.n, 10);
	last = ledger_state(r->ledger)->last_seq;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
		assert_int_equal(ledger_take(r->ledger, epoch, &r->batch), ERRC_OK);
		assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
		assert_int_equal(ledger_state(r->ledger)->last_seq, last + 10);
		assert_int_equal(ledger_state(r->ledger)->taken_n, 10);
	}
	/* A number is missing. */
	r->batch.rows[0].n = 12;
	r->batch.n = 1;
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_take(r->ledger, epoch, &r->batch), ERRC_CORRUPT);
	ledger_abort(r->ledger);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_take(r->ledger, epoch + 1, &r->batch), ERRC_STALE);
	ledger_abort(r->ledger);
	put_prices(r);
	verify(r, &v);
	assert_true(verify_is_good(&v));
	assert_int_equal(v.charges, 10);
	assert_int_equal(v.granted_nusd, RIG_DOLLAR);
}

static void test_aborted_is_not_there(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), seq,
		 last = ledger_state(r->ledger)->last_seq;
	struct record grant = {.type = RECORD_GRANT, .account = acc, .wall_ms = r->wall_ms};
	struct ledger_state s;

	grant.change.amount_nusd = 5;
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_append(r->ledger, &grant, &seq), ERRC_OK);
	assert_int_equal(seq, last + 1);
	ledger_abort(r->ledger);
	assert_int_equal(ledger_state(r->ledger)->last_seq, last);
	assert_int_equal(ledger_read_state(r->ledger, &s), ERRC_OK);
	assert_int_equal(s.last_seq, last);
	assert_int_equal(book_account(ledger_book(r->ledger), acc)->granted_nusd, RIG_DOLLAR);
}

static void assert_books_equal(const struct book *a, const struct book *b)
{
	assert_int_equal(book_accounts_n(a), book_accounts_n(b));
	assert_int_equal(book_scopes_n(a), book_scopes_n(b));
	for (size_t i = 0; i < book_accounts_n(a); i++) {
		const struct rows_account *x = book_account_at(a, i), *y = book_account(b, x->id);

		assert_non_null(y);
		assert_int_equal(x->granted_nusd, y->granted_nusd);
		assert_int_equal(x->balance_nusd, y->balance_nusd);
		assert_int_equal(x->settled_nusd, y->settled_nusd);
		assert_int_equal(x->status, y->status);
		assert_true(slice_eq(x->name, y->name));
	}
	for (size_t i = 0; i < book_scopes_n(a); i++) {
		const struct book_scope *x = book_scope_at(a, i),
					*y = book_scope(b, x->kind, x->account, x->id);

		assert_non_null(y);
		assert_true(slice_eq(x->row, y->row));
		assert_int_equal(x->charged_nusd, y->charged_nusd);
		assert_int_equal(x->requests, y->requests);
		assert_int_equal(x->tokens, y->tokens);
		assert_int_equal(x->used_s, y->used_s);
		assert_int_equal(x->counters_n, y->counters_n);
		for (size_t n = 0; n < x->counters_n; n++) {
			assert_int_equal(x->counters[n].id, y->counters[n].id);
			assert_memory_equal(&x->counters[n].budget, &y->counters[n].budget,
					    sizeof x->counters[n].budget);
		}
	}
}

/* Checkpoint plus the records after it is the same as all records. */
static void test_checkpoint_and_replay(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), other = rig_account(r, "other", 7);
	struct book *book = NULL;
	struct verify_result v;
	struct rows_scope k, k2;
	MDB_txn *txn;
	bool durable;

	assert_int_equal(other, acc + 1);
	rig_key(r, acc, KEY_A, &k);
	spend(r, acc, KEY_A, 20);
	rig_drain(r);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	assert_int_equal(ledger_state(r->ledger)->upto_seq, ledger_state(r->ledger)->last_seq);
	verify(r, &v);
	assert_int_equal(v.bad_account, 0);
	rig_key(r, other, KEY_B, &k2);
	rig_budget(&k, RIG_DOLLAR, (struct window_spec){.unit = WINDOW_DAY});
	assert_int_equal(admin_key_update(&r->admin, &r->by, &k, &durable), ERRC_OK);
	spend(r, acc, KEY_A, 20);
	rig_drain(r);
	rig_close(r);
	rig_open(r);
	assert_int_equal(r->started.outcome, STORE_ACCEPTED);
	/* A book of the checkpoint alone is behind; the ledger's is not. */
	assert_int_equal(book_new(&book), ERRC_OK);
	assert_int_equal(ledger_read_begin(r->ledger, &txn), ERRC_OK);
	assert_int_equal(ledger_load_rows(txn, r->ledger->rows, book), ERRC_OK);
	ledger_read_end(&txn);
	assert_int_equal(book_scopes_n(book), 1);
	book_free(&book);
	assert_int_equal(book_scopes_n(ledger_book(r->ledger)), 2);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_checkpoint(r->ledger), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	assert_int_equal(book_new(&book), ERRC_OK);
	assert_int_equal(ledger_read_begin(r->ledger, &txn), ERRC_OK);
	assert_int_equal(ledger_load_rows(txn, r->ledger->rows, book), ERRC_OK);
	ledger_read_end(&txn);
	assert_books_equal(ledger_book(r->ledger), book);
	book_free(&book);
	verify(r, &v);
	assert_int_equal(v.bad_account, 0);
	assert_int_equal(v.bad_chain_seq, 0);
}

static void poke(struct rig *r, uint64_t seq, size_t at, uint8_t bit)
{
	uint8_t key[8], bytes[RECORD_MAX];
	MDB_val k = {8, key}, v;
	MDB_txn *txn;

	ledger_put_be(seq, key);
	assert_int_equal(mdb_txn_begin(r->ledger->env, NULL, 0, &txn), 0);
	assert_int_equal(mdb_get(txn, r->ledger->records, &k, &v), 0);
	memcpy(bytes, v.mv_data, v.mv_size);
	bytes[at % v.mv_size] ^= bit;
	v.mv_data = bytes;
	assert_int_equal(mdb_put(txn, r->ledger->records, &k, &v, 0), 0);
	assert_int_equal(mdb_txn_commit(txn), 0);
}

static size_t size_of(struct rig *r, uint64_t seq)
{
	struct buf b;
	size_t n;

	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(r->ledger, seq, &b), ERRC_OK);
	n = DIGEST_SHA256 + b.len;
	buf_fini(&b);
	return n;
}

/* Whatever byte of whatever record is changed, verify names that record. */
static void test_every_flipped_byte(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), last;
	struct verify_result v;
	struct rows_scope k;

	rig_key(r, acc, KEY_A, &k);
	spend(r, acc, KEY_A, 3);
	rig_drain(r);
	put_prices(r);
	verify(r, &v);
	assert_true(verify_is_good(&v));
	last = ledger_state(r->ledger)->last_seq;
	for (uint64_t seq = 1; seq <= last; seq++) {
		for (size_t at = 0, n = size_of(r, seq); at < n; at++) {
			poke(r, seq, at, (uint8_t)(1u << (at % 8)));
			verify(r, &v);
			assert_int_equal(v.bad_chain_seq, seq);
			poke(r, seq, at, (uint8_t)(1u << (at % 8)));
		}
	}
	verify(r, &v);
	assert_true(verify_is_good(&v));
}

static void test_wrong_charge_is_found(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), seq = 0;
	struct record rec;
	struct verify_result v;
	struct rows_scope k;
	struct buf b;

	rig_key(r, acc, KEY_A, &k);
	spend(r, acc, KEY_A, 2);
	rig_drain(r);
	verify(r, &v);
	assert_int_equal(v.bad_charge_seq,
			 ledger_state(r->ledger)->last_seq - 1); /* the price is not known */
	put_prices(r);
	verify(r, &v);
	assert_true(verify_is_good(&v));
	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(r->ledger, ledger_state(r->ledger)->last_seq, &b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &rec), ERRC_OK);
	rec.charge.charge_nusd++;
	rec.charge.id.b[15]++;
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_append(r->ledger, &rec, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	verify(r, &v);
	assert_int_equal(v.bad_charge_seq, seq);
	assert_int_equal(v.bad_record_seq, 0);
	/* The same request once more. */
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_append(r->ledger, &rec, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	verify(r, &v);
	assert_int_equal(v.bad_record_seq, seq - 1);
	buf_fini(&b);
}

/* A reversal gives back what its charge took, and no more; what was never charged cannot be taken back. */
static void test_wrong_reversal_is_found(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), seq = 0;
	struct record charge, back = {.type = RECORD_REVERSE, .account = acc, .wall_ms = 1};
	struct verify_result v;
	struct rows_scope k;
	struct buf b;

	rig_key(r, acc, KEY_A, &k);
	spend(r, acc, KEY_A, 2);
	rig_drain(r);
	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(r->ledger, ledger_state(r->ledger)->last_seq, &b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &charge), ERRC_OK);
	memcpy(back.change.key_id, charge.charge.key_id, APIKEY_ID);
	back.change.id = charge.charge.id;
	back.change.amount_nusd = charge.charge.charge_nusd;
	for (int wrong = 0; wrong < 3; wrong++) {
		back.change.amount_nusd += wrong == 1;
		back.change.id.b[0] += wrong == 2;
		assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
		assert_int_equal(ledger_append(r->ledger, &back, &seq), ERRC_OK);
		if (wrong)
			assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
		else
			ledger_abort(r->ledger);
		assert_int_equal(verify_ledger(r->ledger, false, NULL, NULL, &v), ERRC_OK);
		assert_int_equal(v.bad_record_seq, wrong ? seq - (wrong == 2) : 0);
	}
	buf_fini(&b);
}

/* Two requests at prices that differ by the prompt's size, for five minutes of the day; *last is the second's record, whose
 * bytes are in `b`. */
static void spend_by_size(struct rig *r, struct record *last, struct buf *b)
{
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct price small = r->price, large = r->price;
	const struct price *rows[] = {&small, &large};
	struct hold_candidate c;
	struct admit_done done;
	struct admit_op op;
	struct rows_scope k;

	small.when.prompt_upto = large.when.prompt_above = 60;
	small.when.minute_from = large.when.minute_from = r->wall_ms / 60000 % 1440;
	small.when.minute_until = large.when.minute_until = (small.when.minute_from + 5) % 1440;
	large.pusd[USAGE_INPUT] *= 3;
	rig_key(r, acc, KEY_A, &k);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_put_prices(r->ledger, rows, 2), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	for (int i = 0; i < 2; i++) {
		struct genid id;

		rig_ask(r, &op, &c, acc, KEY_A, &small, 100);
		c.price[1] = &large;
		c.tiers = 2;
		id = op.ask.id;
		rig_run(r, &op);
		assert_int_equal(op.reason, ADMIT_NONE);
		assert_int_equal(op.grant.hold.hold_nusd, 100 * 3000 + 100 * 2000);
		rig_settle(r, acc, &id, 60 + i, 10, &done);
		assert_int_equal(done.charge_nusd, (60 + i) * (i ? 3000 : 1000) + 10 * 2000);
	}
	rig_drain(r);
	buf_init(b, RECORD_MAX);
	assert_int_equal(ledger_get(r->ledger, ledger_state(r->ledger)->last_seq, b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(b), last), ERRC_OK);
	last->charge.id.b[15] ^= 0x80; /* for a further one */
}

/* Whether verify finds the charge wrong, and nothing before it. */
static bool is_found(struct rig *r, const struct record *rec)
{
	struct verify_result v;
	uint64_t seq;

	verify(r, &v);
	assert_true(verify_is_good(&v));
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_append(r->ledger, rec, &seq), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	verify(r, &v);
	assert_int_equal(v.bad_record_seq, 0);
	return v.bad_charge_seq == seq;
}

/* What the hold covers is collected: it cannot be given away as uncollected. */
static void test_charge_given_away_is_found(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct record rec;
	struct rows_scope k;
	struct buf b;

	rig_key(r, acc, KEY_A, &k);
	spend(r, acc, KEY_A, 2);
	rig_drain(r);
	put_prices(r);
	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(r->ledger, ledger_state(r->ledger)->last_seq, &b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &rec), ERRC_OK);
	rec.charge.id.b[15] ^= 0x80;
	rec.charge.charge_nusd--;
	rec.charge.uncollected_nusd++;
	assert_true(is_found(r, &rec));
	buf_fini(&b);
}

/* The sum alone would be right. */
static void test_a_price_for_other_prompts_is_found(void **state)
{
	struct rig *r = *state;
	struct record rec;
	struct buf b;

	spend_by_size(r, &rec, &b);
	usage_set(&rec.charge.usage, USAGE_INPUT, 60);
	rec.charge.charge_nusd = 60 * 3000 + 10 * 2000;
	assert_true(is_found(r, &rec));
	buf_fini(&b);
}

static void test_a_price_of_another_hour_is_found(void **state)
{
	struct rig *r = *state;
	struct record rec;
	struct buf b;

	spend_by_size(r, &rec, &b);
	assert_false(is_found(r, &rec));
	rec.charge.id.b[15] ^= 0x40;
	rec.charge.admitted_ms += 5 * 60000;
	assert_true(is_found(r, &rec));
	buf_fini(&b);
}

/* Nobody pays a share, or a multiple, of a price who is in no group. */
static void test_a_multiplied_price_without_a_group_is_found(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct price share = r->price;
	const struct price *rows[] = {&share};
	struct hold_candidate c;
	struct admit_done done;
	struct rows_scope k;
	struct admit_op op;
	struct record rec;
	struct genid id;
	struct buf b;

	share.mult_ppm = 900000;
	rig_key(r, acc, KEY_A, &k);
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_put_prices(r->ledger, rows, 1), ERRC_OK);
	assert_int_equal(ledger_commit(r->ledger), ERRC_OK);
	rig_ask(r, &op, &c, acc, KEY_A, &share, 100);
	op.ask.group = SLICE_LIT("partner");
	id = op.ask.id;
	rig_run(r, &op);
	assert_int_equal(op.reason, ADMIT_NONE);
	rig_settle(r, acc, &id, 10, 10, &done);
	assert_int_equal(done.charge_nusd, (10 * 1000 + 10 * 2000) * 9 / 10);
	rig_drain(r);
	buf_init(&b, RECORD_MAX);
	assert_int_equal(ledger_get(r->ledger, ledger_state(r->ledger)->last_seq, &b), ERRC_OK);
	assert_int_equal(record_decode(buf_slice(&b), &rec), ERRC_OK);
	assert_true(slice_is(rec.charge.group, "partner"));
	rec.charge.group = SLICE_NONE;
	rec.charge.id.b[15] ^= 0x80;
	assert_true(is_found(r, &rec));
	buf_fini(&b);
}

static bool is_reversed(struct rig *r, const struct genid *id)
{
	uint64_t seq;
	enum errc e = ledger_find_reversal(r->ledger, id, &seq);

	assert_true(!e || e == ERRC_NOTFOUND);
	return !e;
}

/* However far behind its charge the record stands that takes it back. */
static void test_reversed_is_known(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), seq;
	struct record back = {.type = RECORD_REVERSE, .account = acc, .wall_ms = r->wall_ms};
	struct rows_scope k;
	struct admit_done done;
	struct admit_op op;
	struct genid id, stays;

	rig_key(r, acc, KEY_A, &k);
	assert_true(rig_hold(r, acc, KEY_A, &r->price, 10, &id, &op));
	rig_settle(r, acc, &id, 100, 10, &done);
	stays = spend(r, acc, KEY_A, 5);
	rig_reverse(r, acc, &id, done.outbox_n);
	assert_false(is_reversed(r, &id));
	rig_drain(r);
	assert_true(is_reversed(r, &id));
	assert_false(is_reversed(r, &stays));
	back.change.id = stays;
	assert_int_equal(ledger_begin(r->ledger), ERRC_OK);
	assert_int_equal(ledger_append(r->ledger, &back, &seq), ERRC_OK);
	ledger_abort(r->ledger);
	rig_close(r);
	rig_open(r);
	assert_true(is_reversed(r, &id));
	assert_false(is_reversed(r, &stays));
}

static void test_find(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), seq;
	struct rows_scope k, k2;
	struct price p;
	uint8_t hash[DIGEST_SHA256];
	uint8_t at[DIGEST_SHA256];
	bool reversed = true;
	struct genid id;
	struct buf b;

	rig_key(r, acc, KEY_A, &k);
	rig_key(r, acc, KEY_B, &k2);
	id = spend(r, acc, KEY_A, 5);
	buf_init(&b, RECORD_MAX);
	assert_int_equal(outbox_find(r->live, &id, SLICE_NONE, KEY_A, &b, &reversed), ERRC_OK);
	assert_int_equal(outbox_find(r->live, &id, SLICE_NONE, KEY_B, &b, &reversed), ERRC_NOTFOUND);
	assert_int_equal(outbox_find(r->live, NULL, SLICE_LIT("chatcmpl-1"), NULL, &b, &reversed),
			 ERRC_OK);
	assert_false(reversed);
	assert_int_equal(ledger_find(r->ledger, &id, &seq), ERRC_NOTFOUND);
	rig_drain(r);
	assert_int_equal(outbox_find(r->live, &id, SLICE_NONE, NULL, &b, &reversed), ERRC_NOTFOUND);
	assert_int_equal(ledger_find(r->ledger, &id, &seq), ERRC_OK);
	assert_int_equal(seq, ledger_state(r->ledger)->last_seq);
	assert_int_equal(ledger_hash(r->ledger, seq, at), ERRC_OK);
	assert_memory_equal(at, ledger_state(r->ledger)->head, DIGEST_SHA256);
	assert_int_equal(ledger_hash(r->ledger, seq + 1, at), ERRC_NOTFOUND);
	assert_int_equal(ledger_find_upstream(r->ledger, SLICE_LIT("chatcmpl-1"), KEY_A, &seq),
			 ERRC_OK);
	assert_int_equal(seq, ledger_state(r->ledger)->last_seq);
	assert_int_equal(ledger_find_upstream(r->ledger, SLICE_LIT("chatcmpl-1"), KEY_B, &seq),
			 ERRC_NOTFOUND);
	assert_int_equal(ledger_find_upstream(r->ledger, SLICE_LIT("chatcmpl-2"), NULL, &seq),
			 ERRC_NOTFOUND);
	put_prices(r);
	price_hash(&r->price, hash);
	assert_int_equal(ledger_price(r->ledger, hash, &p), ERRC_OK);
	assert_int_equal(p.pusd[USAGE_OUTPUT], 2000000);
	hash[0] ^= 1;
	assert_int_equal(ledger_price(r->ledger, hash, &p), ERRC_NOTFOUND);
	buf_fini(&b);
}

static void test_report(void **state)
{
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR), two = rig_account(r, "two", RIG_DOLLAR);
	struct report_ask ask = {
		.until_ms = INT64_MAX, .by = {REPORT_ACCOUNT, REPORT_DAY}, .by_n = 2};
	struct report *rep = NULL;
	struct report_row row;
	struct rows_scope k, k2;
	int64_t split;

	rig_key(r, acc, KEY_A, &k);
	rig_key(r, two, KEY_B, &k2);
	r->wall_ms = INT64_C(1790035200000) - 2500; /* 2026-09-22T00:00:00Z less 2.5 s */
	spend(r, acc, KEY_A, 5);
	split = r->wall_ms;
	spend(r, two, KEY_B, 2);
	rig_drain(r);
	assert_int_equal(report_new(r->ledger, r->live, &ask, &rep), ERRC_OK);
	assert_int_equal(report_rows_n(rep), 3);
	row = report_row_at(rep, 0);
	assert_true(slice_is(row.name[0], "acme"));
	assert_true(slice_is(row.name[1], "2026-09-21"));
	assert_int_equal(row.requests, 3);
	assert_int_equal(row.input, 10 + 11 + 12);
	assert_int_equal(row.output, 15);
	assert_int_equal(row.charge_nusd, (33 + 15 * 2) * 1000);
	assert_true(slice_is(report_row_at(rep, 1).name[1], "2026-09-22"));
	assert_true(slice_is(report_row_at(rep, 2).name[0], "two"));
	assert_int_equal(report_total(rep).requests, 7);
	report_free(&rep);
	ask.since_ms = split;
	ask.by_n = 0;
	assert_int_equal(report_new(r->ledger, NULL, &ask, &rep), ERRC_OK);
	assert_int_equal(report_rows_n(rep), 0);
	assert_int_equal(report_total(rep).requests, 2);
	report_free(&rep);
	ask.since_ms = 0;
	ask.key_id = KEY_A;
	ask.by[0] = REPORT_MODEL;
	ask.by_n = 1;
	assert_int_equal(report_new(r->ledger, NULL, &ask, &rep), ERRC_OK);
	assert_int_equal(report_rows_n(rep), 1);
	assert_true(slice_is(report_row_at(rep, 0).name[0], "m1"));
	assert_int_equal(report_row_at(rep, 0).requests, 5);
	report_free(&rep);
	assert_int_equal(report_dim_of(SLICE_LIT("provider")), REPORT_PROVIDER);
	assert_int_equal(report_dim_of(SLICE_LIT("tag")), REPORT_TAG);
	assert_int_equal(report_dim_of(SLICE_LIT("user")), REPORT_DIM_COUNT);
}

static int64_t requests_of(struct rig *r, int64_t since_ms, int64_t until_ms)
{
	struct report_ask ask = {.since_ms = since_ms, .until_ms = until_ms};
	struct report *rep = NULL;
	int64_t n;

	assert_int_equal(report_new(r->ledger, NULL, &ask, &rep), ERRC_OK);
	n = (int64_t)report_total(rep).requests;
	report_free(&rep);
	return n;
}

/* A wall clock that was years ahead and is set right hides nothing of what came before and after. */
static void test_report_of_a_clock_that_went_back(void **state)
{
	const int64_t year_ms = INT64_C(365) * 86400000;
	struct rig *r = *state;
	uint64_t acc = rig_account(r, "acme", RIG_DOLLAR);
	struct rows_scope k;
	int64_t right;

	rig_key(r, acc, KEY_A, &k);
	spend(r, acc, KEY_A, 3);
	rig_drain(r);
	assert_int_equal(ledger_state(r->ledger)->steps_back, 0);
	r->wall_ms += 4 * year_ms;
	spend(r, acc, KEY_A, 5);
	rig_drain(r);
	assert_int_equal(ledger_state(r->ledger)->steps_back, 0);
	r->wall_ms -= 4 * year_ms;
	right = r->wall_ms;
	/* Across a start, which knows the time of the last record. */
	rig_close(r);
	rig_open(r);
	rig_join(r);
	spend(r, acc, KEY_A, 7);
	rig_drain(r);
	assert_int_equal(ledger_state(r->ledger)->steps_back, 1);
	rig_close(r);
	rig_open(r);
	assert_int_equal(ledger_state(r->ledger)->steps_back, 1);
	assert_int_equal(requests_of(r, 0, INT64_MAX), 15);
	assert_int_equal(requests_of(r, right, right + year_ms), 7);
	assert_int_equal(requests_of(r, 0, right + year_ms), 10);
	assert_int_equal(requests_of(r, right + year_ms, INT64_MAX), 5);
	assert_int_equal(requests_of(r, 0, right), 3);
}

static enum errc finds_nothing(void *arg, const struct ledger_item *item)
{
	return ++*(uint64_t *)arg == 2 && item->seq ? ERRC_NOTFOUND : ERRC_OK;
}

/* Whatever the caller's function gives ends the walk and is told, the code of an end included. */
static void test_walk_tells_every_error(void **state)
{
	struct rig *r = *state;
	uint64_t seq = 1, calls = 0;

	rig_account(r, "acme", RIG_DOLLAR);
	rig_account(r, "two", RIG_DOLLAR);
	assert_int_equal(ledger_walk(r->ledger, &seq, UINT64_MAX, finds_nothing, &calls),
			 ERRC_NOTFOUND);
	assert_int_equal(calls, 2);
	assert_int_equal(ledger_walk(r->ledger, &seq, UINT64_MAX, finds_nothing, &calls), ERRC_OK);
	assert_int_equal(seq, ledger_state(r->ledger)->last_seq + 1);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_take_once),
		T(test_aborted_is_not_there),
		T(test_checkpoint_and_replay),
		T(test_every_flipped_byte),
		T(test_wrong_charge_is_found),
		T(test_charge_given_away_is_found),
		T(test_wrong_reversal_is_found),
		T(test_a_price_for_other_prompts_is_found),
		T(test_a_price_of_another_hour_is_found),
		T(test_a_multiplied_price_without_a_group_is_found),
		T(test_reversed_is_known),
		T(test_find),
		T(test_report),
		T(test_report_of_a_clock_that_went_back),
		T(test_walk_tells_every_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
