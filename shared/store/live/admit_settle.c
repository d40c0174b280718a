#include "admit_priv.h"

#include "credit.h"
#include "progress.h"

struct settle_run {
	struct admit_run *b;
	struct rows_key_name name; /* of the hold row */
	struct admit_rows rows;
	size_t held_n; /* scopes that the hold counts in; one behind them is the end user's, which only adds up what is settled */
	size_t idem_n; /* of the claim's tag; 0: it has none */
	uint8_t idem[IDEM_TAG];
	struct rows_hold hold; /* large: written by rows_get_hold() alone */
};

static enum errc load_state(struct settle_run *s, uint64_t account, enum rows_kind kind,
			    const char id[ROWS_ID])
{
	struct admit_scope *of = &s->rows.scopes[s->rows.scopes_n++];
	enum errc rc;

	of->kind = kind;
	memcpy(of->id, id, ROWS_ID);
	of->counts = true;
	of->state = live_copies_state(&s->b->l->copies);
	rc = live_get_state_of(s->b->l, s->b->txn, account, s->rows.several, kind, id, of->state);
	if (!rc)
		live_copies_keep_state(&s->b->l->copies, of->state);
	return rc;
}

/* An end user who got its row while the request ran: in the ledger this one is among what it has used since. */
static enum errc load_new_user(struct settle_run *s, uint64_t account)
{
	const struct rows_hold *h = &s->hold;
	struct rows_key_name name;
	char id[ROWS_ID];
	struct slice row;
	enum errc rc;

	if (h->user.n == 0 || !(s->rows.account.flags & ROWS_ACCOUNT_USERS) ||
	    h->scopes_n == ROWS_SCOPES_MAX)
		return ERRC_OK;
	for (size_t i = 0; i < h->scopes_n; i++) {
		if (h->scopes[i].kind == ROWS_USER)
			return ERRC_OK;
	}
	rows_user_id(h->user, id);
	name = rows_name_scope(account, ROWS_USER, id);
	rc = live_row_get(s->b->l, s->b->txn, &name, &row);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	return load_state(s, account, ROWS_USER, id);
}

static enum errc load_held(struct settle_run *s, uint64_t account)
{
	enum errc rc = admit_load_account(s->b, account, &s->rows);

	if (!rc)
		rc = live_get_states(s->b->l, s->b->txn, account, &s->rows.several);
	s->rows.scopes_n = 0;
	s->held_n = s->hold.scopes_n;
	for (size_t i = 0; !rc && i < s->held_n; i++)
		rc = load_state(s, account, s->hold.scopes[i].kind, s->hold.scopes[i].id);
	return rc ? rc : load_new_user(s, account);
}

/* Copied, for it is written last. */
static void keep_tag(struct settle_run *s, struct slice tag)
{
	s->idem_n = MIN_OF(tag.n, sizeof s->idem);
	memcpy(s->idem, tag.n ? tag.p : "", s->idem_n);
}

/* The claim on the idempotency key, if there is one, comes to its end with the request. */
static enum errc end_claim(struct settle_run *s, const char key_id[APIKEY_ID],
			   const struct genid *id, bool charged)
{
	return s->idem_n == IDEM_TAG ? idem_end(s->b->l, s->b->txn, key_id,
						slice_of(s->idem, s->idem_n), id, charged)
				     : ERRC_OK;
}

/* ERRC_NOTFOUND: there is no such hold. Slices of the hold are valid until the first write. */
static enum errc load(struct settle_run *s, const struct admit_settle *e)
{
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
	keep_tag(s, s->hold.idem);
	rc = load_held(s, e->account);
	return rc == ERRC_NOTFOUND ? ERRC_CORRUPT : rc;
}

static const struct rows_candidate *candidate_of(const struct settle_run *s,
						 const struct admit_settle *e)
{
	return e->candidate >= 0 && (size_t)e->candidate < s->hold.candidates_n
		       ? &s->hold.candidates[e->candidate]
		       : NULL;
}

/* What the request costs, and how much of it the account can pay: beyond the hold only what is available. */
static void price_it(const struct settle_run *s, const struct admit_settle *e, struct admit_done *d)
{
	const struct rows_candidate *c = candidate_of(s, e);
	const struct rows_account *a = &s->rows.account;
	int64_t hold = s->hold.hold_nusd, due = 0, more, available;

	if (c && e->charged)
		due = price_cost(rows_hold_price(&s->hold, c, &e->usage), &e->usage);
	if (e->capped)
		due = MIN_OF(due, hold);
	d->charge_nusd = due;
	d->uncollected_nusd = 0;
	if (due <= hold)
		return;
	more = due - hold;
	available = MAX_OF(credit_available(a), 0);
	if (more > available) {
		d->charge_nusd = hold + available;
		d->uncollected_nusd = more - available;
	}
}

/* What it costs us beside e->cost_nusd: an orphan's answer. */
static enum errc cost_it(const struct settle_run *s, const struct admit_settle *e, int64_t *nusd)
{
	const struct rows_candidate *c = candidate_of(s, e);

	*nusd = 0;
	return e->cost_held && c && e->charged ? rows_hold_cost(&s->hold, c, &e->usage, nusd)
					       : ERRC_OK;
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

/* The counter of a rule; NULL: the rule is gone, and what it counted with it. What was taken stands in the order of the counters: the search
 * begins behind the one that was found last, *at. */
static struct rows_counter *counter_of(struct rows_state *st, uint32_t rule, size_t *at)
{
	size_t k = *at;

	for (size_t i = 0; i < st->n; i++, k++) {
		if (k >= st->n)
			k = 0;
		if (st->counters[k].id == rule) {
			*at = k + 1;
			return &st->counters[k];
		}
	}
	return NULL;
}

/* What settlement changes of what admission took. */
struct correction {
	int64_t boot_ms, charge_nusd, tokens, requests;
};

static void correct_rule(const struct settle_run *s, struct rows_state *st,
			 const struct rows_taken *t, const struct correction *by, size_t *at)
{
	struct rows_counter *c = counter_of(st, t->rule, at);
	int64_t delta;

	if (!c)
		return;
	if (c->kind == ROWS_BUDGET) {
		if (t->budget)
			window_budget_settle(&c->budget, t->window, s->hold.hold_nusd,
					     by->charge_nusd);
	} else if (c->kind == ROWS_CONCURRENCY) {
		c->running = MAX_OF(c->running - 1, 0);
	} else {
		delta = rows_limit_is_tokens(c->kind) ? by->tokens : by->requests;
		if (delta != 0)
			window_rate_adjust(&c->rate, rows_limit_len_ms(c->kind), by->boot_ms,
					   s->hold.admitted_boot_ms, delta);
	}
}

static void correct(struct settle_run *s, const struct correction *by)
{
	for (size_t n = 0; n < s->held_n; n++) {
		struct rows_state *st = s->rows.scopes[n].state;
		const struct rows_held *held = &s->hold.scopes[n];
		size_t at = 0;

		if (st->holds > 0)
			st->holds--;
		for (size_t i = 0; i < held->n; i++)
			correct_rule(s, st, &held->taken[i], by, &at);
	}
}

static void count(struct settle_run *s, const struct admit_done *d)
{
	for (size_t n = 0; n < s->rows.scopes_n; n++) {
		struct rows_state *st = s->rows.scopes[n].state;

		st->requests++;
		st->tokens += (uint64_t)d->tokens;
		st->charged_nusd += d->charge_nusd;
		st->used_s = MAX_OF(st->used_s, s->hold.admitted_wall_ms / 1000);
	}
}

/* Who it was for, and which budgets it counts in. */
static void fill_scopes(const struct rows_hold *h, struct record_charge *out)
{
	out->budgets.n = 0;
	out->user = h->user;
	out->group = h->group;
	for (size_t n = 0; n < h->scopes_n; n++) {
		const struct rows_held *held = &h->scopes[n];

		if (held->kind == ROWS_TEAM)
			out->team = slice_of(held->id, ROWS_ID);
		for (size_t i = 0; i < held->n; i++) {
			if (held->taken[i].budget)
				out->budgets.v[out->budgets.n++] = (struct record_budget){
					held->kind, held->taken[i].rule, held->taken[i].window};
		}
	}
}

static void fill_attempts(const struct admit_settle *e, struct record_charge *out)
{
	out->attempts_n = MIN_OF(e->attempts_n, (size_t)LIMIT_ATTEMPTS);
	for (size_t i = 0; i < out->attempts_n; i++)
		out->attempts[i] = e->attempts[i];
}

/* An orphan's, as they stood. What was lost is of the last one that was given up with an answer: another does not cost. */
static void fill_tries(const struct settle_run *s, const struct admit_settle *e,
		       int64_t answer_nusd, struct record_charge *out)
{
	const struct rows_hold *h = &s->hold;
	struct progress_try tries[PROGRESS_TRIES];
	size_t n = progress_read_tries(s->b->l->progress, h->slot, &h->id, tries);
	struct record_attempt *lost = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct progress_try *t = &tries[i];
		struct record_attempt *a = &out->attempts[out->attempts_n];
		const struct rows_candidate *c;

		if (t->candidate >= h->candidates_n)
			continue;
		c = &h->candidates[t->candidate];
		*a = (struct record_attempt){.provider = c->provider,
					     .upstream = c->upstream,
					     .status = t->status,
					     .start_ms = t->start_ms,
					     .ms = t->ms};
		if (t->failed)
			a->error = SLICE_LIT("failed");
		else if (t->ms < 0)
			a->error = SLICE_LIT("worker_died");
		if (!t->failed)
			a->cost_nusd = answer_nusd;
		else if (t->status == 200)
			lost = a;
		out->attempts_n++;
	}
	if (lost)
		lost->cost_nusd = e->cost_nusd;
}

static void fill_record(struct settle_run *s, const struct admit_settle *e,
			const struct admit_done *d, int64_t answer_nusd, struct record *r)
{
	const struct rows_candidate *c = candidate_of(s, e);
	const struct rows_hold *h = &s->hold;
	const struct price *price;
	struct record_charge *out = &r->charge;

	r->type = RECORD_CHARGE;
	r->account = h->account;
	r->wall_ms = e->wall_ms;
	memset(out, 0, offsetof(struct record_charge, budgets));
	out->id = h->id;
	out->front = h->front;
	out->status = e->status;
	out->end = e->end;
	out->admitted_ms = h->admitted_wall_ms;
	out->first_byte_ms = e->first_byte_ms;
	out->total_ms = e->total_ms;
	out->model_asked = h->model_asked;
	out->upstream_id = e->upstream_id;
	out->idem = h->idem;
	out->finish = e->finish;
	out->native_finish = e->native_finish;
	out->usage = e->usage;
	out->hold_nusd = h->hold_nusd;
	out->charge_nusd = d->charge_nusd;
	out->uncollected_nusd = d->uncollected_nusd;
	out->cost_nusd = e->cost_nusd + answer_nusd;
	fill_attempts(e, out);
	if (e->cost_held)
		fill_tries(s, e, answer_nusd, out);
	memcpy(out->key_id, h->key_id, sizeof out->key_id);
	if (h->flags & ROWS_HOLD_STREAM)
		out->flags |= RECORD_STREAM;
	if (e->usage.estimated)
		out->flags |= RECORD_ESTIMATED;
	fill_scopes(h, out);
	if (e->raw_usage.n <= RECORD_RAW_MAX)
		out->raw_usage = e->raw_usage;
	if (!c)
		return;
	out->model = c->model;
	out->provider = c->provider;
	out->upstream = c->upstream;
	price = rows_hold_price(h, c, &e->usage);
	price_hash_memo(&s->b->l->priced, price, out->price_hash);
	if (price->free)
		out->flags |= RECORD_FREE;
	if (e->charged)
		out->flags |= RECORD_CHARGED;
	if (e->capped && e->charged && price_cost(price, &e->usage) > s->hold.hold_nusd)
		out->flags |= RECORD_CAPPED;
}

/* Nothing was written before this; every failure from here on undoes the batch. */
static enum errc write_out(struct settle_run *s, bool charged)
{
	enum errc rc = admit_store(s->b, &s->rows);

	if (!rc)
		rc = end_claim(s, s->hold.key_id, &s->hold.id, charged);
	if (!rc)
		rc = live_row_del(s->b->l, s->b->txn, &s->name);
	if (rc)
		return rc;
	s->b->holds--;
	s->b->pages -= (int32_t)rows_hold_pages(&s->hold);
	return ERRC_OK;
}

enum errc admit_settle(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	const struct admit_settle *e = &op->settle;
	struct settle_run s;
	struct record record;
	struct admit_done *d = &op->done;
	int64_t answer_nusd;
	enum errc rc;

	*d = (struct admit_done){0};
	s.b = b;
	rc = load(&s, e);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	price_it(&s, e, d);
	rc = cost_it(&s, e, &answer_nusd);
	if (!rc)
		rc = move_money(&s, d);
	if (rc)
		return rc;
	d->tokens = candidate_of(&s, e) ? usage_total(&e->usage) : 0;
	correct(&s, &(struct correction){e->boot_ms, d->charge_nusd,
					 d->tokens - s.hold.tokens_estimate, 0});
	count(&s, d);
	fill_record(&s, e, d, answer_nusd, &record);
	rc = admit_next_n(b, &d->outbox_n);
	if (rc)
		return rc;
	*wrote = true;
	rc = live_outbox_append(b->l, b->txn, d->outbox_n, e->boot_ms, &record);
	if (!rc)
		rc = write_out(&s, record.charge.flags & RECORD_CHARGED);
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

	*d = (struct admit_done){0};
	s.b = b;
	rc = load(&s, e);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	rc = move_money(&s, d);
	if (rc)
		return rc;
	correct(&s, &(struct correction){e->boot_ms, 0, -s.hold.tokens_estimate, -1});
	*wrote = true;
	rc = write_out(&s, false);
	d->settled = !rc;
	d->balance_nusd = s.rows.account.balance_nusd;
	return rc;
}

/* The state of a scope that a charge counted in; of an account and an end user only if there still is one. */
static enum errc load_party(struct settle_run *s, uint64_t account, enum rows_kind kind,
			    const char id[ROWS_ID])
{
	struct admit_scope *of = &s->rows.scopes[s->rows.scopes_n];
	struct slice v;
	enum errc rc = live_state_row(s->b->l, s->b->txn, account, kind, id, &v);

	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	of->kind = kind;
	memcpy(of->id, id, ROWS_ID);
	of->counts = true;
	of->state = live_copies_state(&s->b->l->copies);
	s->rows.scopes_n++;
	rc = rows_get_state(v, of->state);
	if (!rc)
		live_copies_keep_state(&s->b->l->copies, of->state);
	return rc;
}

static enum errc load_parties(struct settle_run *s, const struct record *r)
{
	static const char none[ROWS_ID];
	const struct record_charge *c = &r->charge;
	char user[ROWS_ID];
	enum errc rc = admit_load_account(s->b, r->account, &s->rows);

	s->rows.scopes_n = 0;
	if (!rc)
		rc = load_party(s, r->account, ROWS_ACCOUNT, none);
	if (!rc && c->team.n == ROWS_ID)
		rc = load_party(s, r->account, ROWS_TEAM, c->team.p);
	if (!rc)
		rc = load_party(s, r->account, ROWS_KEY, c->key_id);
	if (rc || c->user.n == 0)
		return rc;
	rows_user_id(c->user, user);
	return load_party(s, r->account, ROWS_USER, user);
}

/* Reads the charge that is to be taken back. ERRC_NOTFOUND: it has left the outbox, or was taken back before. */
static enum errc load_charge(struct settle_run *s, struct admit_op *op, struct record *r)
{
	struct rows_key_name name = rows_name_outbox(op->outbox_n);
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
	keep_tag(s, r->charge.idem);
	return load_parties(s, r);
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

/* The scopes no longer count what is taken back. */
static void uncount(struct settle_run *s, const struct record_charge *c)
{
	for (size_t n = 0; n < s->rows.scopes_n; n++) {
		struct admit_scope *of = &s->rows.scopes[n];
		size_t at = 0;

		of->state->charged_nusd -= c->charge_nusd;
		for (size_t i = 0; i < c->budgets.n; i++) {
			struct rows_counter *counter;

			if (c->budgets.v[i].scope != of->kind)
				continue;
			counter = counter_of(of->state, c->budgets.v[i].rule, &at);
			if (counter && counter->kind == ROWS_BUDGET)
				window_budget_settle(&counter->budget, c->budgets.v[i].window, 0,
						     -c->charge_nusd);
		}
	}
}

static void fill_reverse(const struct record *charge, int64_t wall_ms, struct record *out)
{
	const struct record_charge *c = &charge->charge;

	out->type = RECORD_REVERSE;
	out->account = charge->account;
	out->wall_ms = wall_ms;
	memset(&out->change, 0, offsetof(struct record_change, budgets));
	out->change.what = SLICE_LIT("ledger_unavailable");
	out->change.amount_nusd = c->charge_nusd;
	out->change.uncollected_nusd = c->uncollected_nusd;
	out->change.id = c->id;
	out->change.team = c->team;
	out->change.user = c->user;
	record_budgets_copy(&out->change.budgets, &c->budgets);
	/* Only a charge has a claim that the ledger must find and forget. */
	if (c->flags & RECORD_CHARGED)
		out->change.idem = c->idem;
	memcpy(out->change.key_id, c->key_id, sizeof out->change.key_id);
}

enum errc admit_reverse(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	struct settle_run s;
	struct rows_account *a = &s.rows.account;
	struct admit_done *d = &op->done;
	struct record charge, back;
	int64_t nusd;
	enum errc rc;

	*d = (struct admit_done){0};
	s.b = b;
	rc = load_charge(&s, op, &charge);
	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	nusd = charge.charge.charge_nusd;
	a->settled_nusd -= nusd;
	a->uncollected_nusd -= charge.charge.uncollected_nusd;
	if (!money_add(a->balance_nusd, nusd, &a->balance_nusd))
		return ERRC_RANGE;
	uncount(&s, &charge.charge);
	fill_reverse(&charge, op->settle.wall_ms, &back);
	rc = admit_next_n(b, &d->outbox_n);
	if (rc)
		return rc;
	*wrote = true;
	rc = live_outbox_append(b->l, b->txn, d->outbox_n, op->settle.boot_ms, &back);
	if (!rc)
		rc = mark_reversed(&s, op->outbox_n);
	if (!rc)
		rc = admit_store(b, &s.rows);
	if (!rc)
		rc = end_claim(&s, back.change.key_id, &back.change.id, false);
	d->settled = !rc;
	d->charge_nusd = nusd;
	d->balance_nusd = a->balance_nusd;
	return rc;
}
