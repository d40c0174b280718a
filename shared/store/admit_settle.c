#include "admit_priv.h"

struct settle_run {
	struct admit_run *b;
	struct rows_key_name name; /* of the hold row */
	struct admit_rows rows;
	struct rows_hold hold; /* large: written by rows_get_hold() alone */
};

static void begin(struct settle_run *s, struct admit_run *b)
{
	memset(s, 0, offsetof(struct settle_run, hold));
	s->b = b;
}

/* ERRC_NOTFOUND: there is no such hold. Slices of the hold are valid until the first write. */
static enum errc load(struct settle_run *s, const struct admit_settle *e)
{
	struct admit_scope *key = &s->rows.scopes[0];
	struct slice v;
	enum errc rc;

	s->name = rows_name(e->account, ROWS_HOLD, slice_of(e->id.b, GENID_BYTES));
	rc = live_row_get(s->b->l, s->b->txn, &s->name, &v);
	if (!rc)
		rc = rows_get_hold(v, &s->hold);
	if (rc)
		return rc;
	if (s->hold.account != e->account || !genid_eq(&s->hold.id, &e->id))
		return ERRC_CORRUPT;
	rc = admit_load_account(s->b, e->account, &s->rows);
	key->kind = ROWS_KEY;
	memcpy(key->id, s->hold.key_id, sizeof key->id);
	s->rows.scopes_n = 1;
	if (!rc)
		rc = admit_load_state(s->b, e->account, key);
	return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc;
}

static const struct rows_candidate *candidate_of(const struct settle_run *s,
						 const struct admit_settle *e)
{
	return e->candidate >= 0 && (size_t)e->candidate < s->hold.candidates_n
		       ? &s->hold.candidates[e->candidate]
		       : NULL;
}

/* Of the candidate's prices the one for what was read. */
static const struct price *price_of(const struct settle_run *s, const struct rows_candidate *c,
				    const struct usage *u)
{
	const struct price *p = &s->hold.prices[c->price];

	for (size_t i = 1; i < c->tiers && !price_counts_for(p, usage_input_total(u)); i++)
		p++;
	return p;
}

/* What the request costs, and how much of it the account can pay: beyond the hold only what is available. */
static void price_it(const struct settle_run *s, const struct admit_settle *e, struct admit_done *d)
{
	const struct rows_candidate *c = candidate_of(s, e);
	const struct rows_account *a = &s->rows.account;
	int64_t hold = s->hold.hold_nusd, due = 0, more, available;

	if (c && e->charged)
		due = price_cost(price_of(s, c, &e->usage), &e->usage);
	if (e->capped)
		due = MIN_OF(due, hold);
	d->charge_nusd = due;
	d->uncollected_nusd = 0;
	if (due <= hold || a->mode == ROWS_POSTPAID)
		return;
	more = due - hold;
	available = MAX_OF(a->balance_nusd + a->overdraft_nusd, 0);
	if (more > available) {
		d->charge_nusd = hold + available;
		d->uncollected_nusd = more - available;
	}
}

static enum errc move_money(struct settle_run *s, const struct admit_done *d)
{
	struct rows_account *a = &s->rows.account;
	int64_t hold = s->hold.hold_nusd;

	if (a->holds == 0 || a->held_nusd < hold)
		return ERRC_CORRUPT;
	a->holds--;
	a->held_nusd -= hold;
	if (!money_add(a->balance_nusd, hold - d->charge_nusd, &a->balance_nusd) ||
	    !money_add(a->settled_nusd, d->charge_nusd, &a->settled_nusd) ||
	    !money_add(a->uncollected_nusd, d->uncollected_nusd, &a->uncollected_nusd))
		return ERRC_RANGE;
	return rows_account_is_sound(a) ? ERRC_OK : ERRC_INTERNAL;
}

/* Corrects what was taken at admission: tokens by `tokens`, requests by `requests`. */
static void correct(struct settle_run *s, const struct admit_settle *e, int64_t charge,
		    int64_t tokens, int64_t requests)
{
	for (size_t n = 0; n < s->rows.scopes_n; n++) {
		struct rows_state *st = &s->rows.scopes[n].state;

		for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++) {
			int64_t delta = admit_limit_is_tokens[i] ? tokens : requests;

			if (delta != 0)
				window_rate_adjust(&st->rate[i], admit_limit_len_ms[i], e->boot_ms,
						   s->hold.admitted_boot_ms, delta);
		}
		if (st->holds > 0)
			st->holds--;
		if (s->hold.flags & ROWS_HOLD_BUDGET)
			window_budget_settle(&st->budget, s->hold.budget_id, s->hold.hold_nusd,
					     charge);
	}
}

static void count(struct settle_run *s, const struct admit_done *d)
{
	for (size_t n = 0; n < s->rows.scopes_n; n++) {
		struct rows_state *st = &s->rows.scopes[n].state;

		st->requests++;
		st->tokens += (uint64_t)d->tokens;
		st->charged_nusd += d->charge_nusd;
	}
}

static void fill_record(struct settle_run *s, const struct admit_settle *e,
			const struct admit_done *d, struct record *r)
{
	const struct rows_candidate *c = candidate_of(s, e);
	const struct rows_hold *h = &s->hold;
	const struct price *price;
	struct record_charge *out = &r->charge;

	r->type = RECORD_CHARGE;
	r->account = h->account;
	r->wall_ms = e->wall_ms;
	*out = (struct record_charge){.id = h->id,
				      .front = h->front,
				      .status = e->status,
				      .end = e->end,
				      .admitted_ms = h->admitted_wall_ms,
				      .first_byte_ms = e->first_byte_ms,
				      .total_ms = e->total_ms,
				      .model_asked = h->model_asked,
				      .upstream_id = e->upstream_id,
				      .usage = e->usage,
				      .hold_nusd = h->hold_nusd,
				      .charge_nusd = d->charge_nusd,
				      .uncollected_nusd = d->uncollected_nusd,
				      .cost_nusd = e->cost_nusd,
				      .attempts_n = MIN_OF(e->attempts_n, (size_t)LIMIT_ATTEMPTS)};
	memcpy(out->key_id, h->key_id, sizeof out->key_id);
	for (size_t i = 0; i < out->attempts_n; i++)
		out->attempts[i] = e->attempts[i];
	if (h->flags & ROWS_HOLD_STREAM)
		out->flags |= RECORD_STREAM;
	if (e->usage.estimated)
		out->flags |= RECORD_ESTIMATED;
	if (h->flags & ROWS_HOLD_BUDGET) {
		out->flags |= RECORD_BUDGET;
		out->budget_id = h->budget_id;
	}
	if (!c)
		return;
	out->model = c->model;
	out->provider = c->provider;
	out->upstream = c->upstream;
	price = price_of(s, c, &e->usage);
	price_hash_memo(&s->b->l->priced, price, out->price_hash);
	if (price->free)
		out->flags |= RECORD_FREE;
	if (e->charged)
		out->flags |= RECORD_CHARGED;
	if (e->capped)
		out->flags |= RECORD_CAPPED;
}

/* Nothing was written before this; every failure from here on undoes the batch. */
static enum errc write_out(struct settle_run *s)
{
	enum errc rc = admit_store(s->b, &s->rows);

	if (!rc)
		rc = live_row_del(s->b->l, s->b->txn, &s->name);
	if (!rc)
		s->b->holds--;
	return rc;
}

enum errc admit_settle(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	const struct admit_settle *e = &op->settle;
	struct settle_run s;
	struct record record;
	struct admit_done *d = &op->done;
	enum errc rc;

	begin(&s, b);
	*d = (struct admit_done){0};
	rc = load(&s, e);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	price_it(&s, e, d);
	rc = move_money(&s, d);
	if (rc)
		return rc;
	d->tokens = candidate_of(&s, e) ? usage_total(&e->usage) : 0;
	correct(&s, e, d->charge_nusd, d->tokens - s.hold.tokens_estimate, 0);
	count(&s, d);
	fill_record(&s, e, d, &record);
	rc = admit_next_n(b, &d->outbox_n);
	if (rc)
		return rc;
	*wrote = true;
	rc = live_outbox_append(b->l, b->txn, d->outbox_n, e->boot_ms, &record);
	if (!rc)
		rc = write_out(&s);
	d->settled = !rc;
	d->balance_nusd = s.rows.account.balance_nusd;
	return rc;
}

enum errc admit_release(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	const struct admit_settle *e = &op->settle;
	struct settle_run s;
	struct admit_done *d = &op->done;
	enum errc rc;

	begin(&s, b);
	*d = (struct admit_done){0};
	rc = load(&s, e);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	rc = move_money(&s, d);
	if (rc)
		return rc;
	correct(&s, e, 0, -s.hold.tokens_estimate, -1);
	*wrote = true;
	rc = write_out(&s);
	d->settled = !rc;
	d->balance_nusd = s.rows.account.balance_nusd;
	return rc;
}

/* Reads the charge that is to be taken back. ERRC_NOTFOUND: it has left the outbox, or was taken back before. */
static enum errc load_charge(struct settle_run *s, struct admit_op *op, struct record *r)
{
	struct rows_key_name name = rows_name_outbox(op->outbox_n);
	struct admit_scope *key = &s->rows.scopes[0];
	struct live_outbox_head head;
	struct slice v, bytes;
	enum errc rc = live_row_get(s->b->l, s->b->txn, &name, &v);

	if (rc)
		return rc;
	if (!live_outbox_parse(v, &head, &bytes))
		return ERRC_CORRUPT;
	if (head.reversed)
		return ERRC_NOTFOUND;
	rc = record_decode(bytes, r);
	if (rc)
		return rc;
	if (r->type != RECORD_CHARGE || r->account != op->settle.account ||
	    !genid_eq(&r->charge.id, &op->settle.id))
		return ERRC_NOTFOUND;
	rc = admit_load_account(s->b, r->account, &s->rows);
	key->kind = ROWS_KEY;
	memcpy(key->id, r->charge.key_id, sizeof key->id);
	s->rows.scopes_n = 1;
	return rc ? rc : admit_load_state(s->b, r->account, key);
}

static enum errc mark_reversed(struct settle_run *s, uint64_t n)
{
	struct rows_key_name name = rows_name_outbox(n);
	struct live *l = s->b->l;
	struct live_outbox_head head;
	struct slice v, bytes;
	enum errc rc = live_row_get(l, s->b->txn, &name, &v);

	if (rc)
		return rc;
	if (!live_outbox_parse(v, &head, &bytes))
		return ERRC_CORRUPT;
	head.reversed = 1;
	buf_reset(&l->scratch);
	rc = buf_add(&l->scratch, &head, sizeof head);
	if (!rc)
		rc = buf_adds(&l->scratch, bytes);
	return rc ? rc : live_row_put(l, s->b->txn, &name, buf_slice(&l->scratch), 0);
}

enum errc admit_reverse(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	struct settle_run s;
	struct rows_account *a = &s.rows.account;
	struct admit_done *d = &op->done;
	struct record charge, back;
	struct rows_state *st = &s.rows.scopes[0].state;
	int64_t nusd;
	enum errc rc;

	begin(&s, b);
	*d = (struct admit_done){0};
	rc = load_charge(&s, op, &charge);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	nusd = charge.charge.charge_nusd;
	a->settled_nusd -= nusd;
	st->charged_nusd -= nusd;
	if (!money_add(a->balance_nusd, nusd, &a->balance_nusd))
		return ERRC_RANGE;
	back = (struct record){
		.type = RECORD_REVERSE, .account = charge.account, .wall_ms = op->settle.wall_ms};
	back.change = (struct record_change){.what = SLICE_LIT("ledger_unavailable"),
					     .amount_nusd = nusd,
					     .id = charge.charge.id,
					     .flags = charge.charge.flags & RECORD_BUDGET,
					     .budget_id = charge.charge.budget_id};
	memcpy(back.change.key_id, charge.charge.key_id, sizeof back.change.key_id);
	if (back.change.flags & RECORD_BUDGET)
		window_budget_settle(&st->budget, back.change.budget_id, 0, -nusd);
	rc = admit_next_n(b, &d->outbox_n);
	if (rc)
		return rc;
	*wrote = true;
	rc = live_outbox_append(b->l, b->txn, d->outbox_n, op->settle.boot_ms, &back);
	if (!rc)
		rc = mark_reversed(&s, op->outbox_n);
	if (!rc)
		rc = admit_store(b, &s.rows);
	d->settled = !rc;
	d->charge_nusd = nusd;
	d->balance_nusd = a->balance_nusd;
	return rc;
}
