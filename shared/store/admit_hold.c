#include "admit_priv.h"

/* Bytes of an outbox record as they come, for its share of the store. */
#define RECORD_BYTES 512

static const char *const budget_names[] = {
#define WINDOW(id, name, rolling_s) "budget per " #name,
#include "window_tbl.h"
#undef WINDOW
};

static const char *budget_name(struct window_spec spec)
{
	return spec.unit == WINDOW_TOTAL || spec.unit >= WINDOW_COUNT ? "budget in total"
								      : budget_names[spec.unit];
}

/* Everything else of a request's rows, and how far it came. */
struct hold_run {
	struct admit_run *b;
	const struct admit_ask *ask;
	struct admit_op *op;
	struct admit_rows rows;
	struct rows_key key;
	bool may[LIMIT_CANDIDATES]; /* the candidates whose model the key allows */
};

static enum errc gate_space(struct admit_run *b, enum admit_gate *gate)
{
	size_t room;
	enum errc rc = live_room(b->l, b->txn, &room);

	if (!rc && room == 0)
		*gate = ADMIT_GATE_SPACE;
	return rc;
}

/* The outbox may take half of the store; admission ends when three quarters of that are full, or when the oldest record
 * waits too long, whoever is to blame for it. */
static enum errc gate_outbox(struct admit_run *b, int64_t boot_ms, enum admit_gate *gate)
{
	uint64_t first, last;
	int64_t since;
	enum errc rc = live_outbox_first(b->l, b->txn, &first, &since);

	if (rc)
		return rc == ERRC_NOTFOUND ? ERRC_OK : rc;
	rc = live_outbox_last(b->l, b->txn, &last);
	if (rc)
		return rc;
	if (boot_ms - since > b->rules->ledger_lag_max_ms ||
	    (last + 1 - first) * RECORD_BYTES > b->l->size_bytes / 2 / 4 * 3)
		*gate = ADMIT_GATE_LEDGER;
	return ERRC_OK;
}

static enum errc look_at_gate(struct admit_run *b, int64_t boot_ms)
{
	enum admit_gate gate = progress_ledger_failed(b->l->progress) ? ADMIT_GATE_LEDGER
								      : ADMIT_GATE_OPEN;
	enum errc rc = ERRC_OK;

	if (gate == ADMIT_GATE_OPEN)
		rc = gate_outbox(b, boot_ms, &gate);
	if (!rc && gate == ADMIT_GATE_OPEN)
		rc = gate_space(b, &gate);
	if (!rc)
		b->gate = gate;
	return rc;
}

bool admit_is_open(struct live *l, const struct admit_rules *rules, int64_t boot_ms)
{
	struct admit_run b = {.l = l, .rules = rules};
	enum errc rc = live_read_begin(l, &b.txn);

	if (rc)
		return false;
	rc = look_at_gate(&b, boot_ms);
	live_read_end(l);
	return !rc && b.gate == ADMIT_GATE_OPEN;
}

static enum errc load_key(struct hold_run *h)
{
	struct admit_scope *s = &h->rows.scopes[0];
	enum errc rc = live_get_key(h->b->l, h->b->txn, h->ask->account, h->ask->key_id, &h->key);

	if (rc)
		return rc;
	s->kind = ROWS_KEY;
	memcpy(s->id, h->key.id, sizeof s->id);
	memcpy(s->name, h->key.name.p, h->key.name.n);
	s->name[h->key.name.n] = '\0';
	s->limits = h->key.limits;
	h->rows.scopes_n = 1;
	return admit_load_state(h->b, h->ask->account, s);
}

static struct admit_refusal *refuse(struct hold_run *h, enum admit_reason reason,
				    enum rows_kind scope, const char *name)
{
	h->op->reason = reason;
	h->op->refusal = (struct admit_refusal){.scope = scope,
						.affordable_tokens = -1,
						.what = "",
						.requests = {.limit = ROWS_NO_LIMIT},
						.tokens = {.limit = ROWS_NO_LIMIT}};
	memcpy(h->op->refusal.scope_name, name, strnlen(name, ROWS_NAME_MAX));
	return &h->op->refusal;
}

static void refuse_key(struct hold_run *h, enum admit_reason reason)
{
	refuse(h, reason, ROWS_KEY, h->rows.scopes[0].name);
}

/* A fallback is another model with a price of its own: the key must allow it too. True: some candidate is left. */
static bool check_candidates(struct hold_run *h)
{
	const struct hold_ask *a = &h->ask->hold;
	bool any = false;

	for (size_t i = 0; i < a->n; i++) {
		bool same = i > 0 && slice_eq(a->candidates[i].model, a->candidates[i - 1].model);

		h->may[i] = same ? h->may[i - 1]
				 : rows_models_allow(h->key.models, a->candidates[i].model);
		any = any || h->may[i];
	}
	return any;
}

/* What the key may do at all. True: go on. */
static bool check_access(struct hold_run *h)
{
	const struct rows_key *k = &h->key;

	if (k->status == ROWS_REVOKED)
		refuse_key(h, ADMIT_KEY_REVOKED);
	else if (k->expires_s != 0 && h->ask->wall_ms / 1000 >= k->expires_s)
		refuse_key(h, ADMIT_KEY_EXPIRED);
	else if (k->status == ROWS_SUSPENDED)
		refuse_key(h, ADMIT_KEY_SUSPENDED);
	else if (h->rows.account.status != ROWS_ACTIVE)
		refuse(h, ADMIT_ACCOUNT_SUSPENDED, ROWS_ACCOUNT, h->rows.account_name);
	else if (!ipnet_any_has(k->nets, k->nets_n, h->ask->addr) && k->nets_n > 0)
		refuse_key(h, ADMIT_IP);
	else if (!rows_models_allow(k->models, h->ask->model) || !check_candidates(h))
		refuse_key(h, ADMIT_MODEL);
	else
		return true;
	return false;
}

static bool take_rate(struct window_rate *w, size_t i, int64_t limit, const struct admit_ask *ask)
{
	int64_t max = limit == ROWS_NO_LIMIT ? INT64_MAX : limit;

	/* Without a limit it is counted all the same: a limit that is set later finds the use there. */
	if (admit_limit_is_tokens[i])
		return window_rate_take_open(w, admit_limit_len_ms[i], ask->boot_ms, max,
					     ask->tokens_estimate);
	return window_rate_take(w, admit_limit_len_ms[i], ask->boot_ms, max, 1);
}

static void refuse_rate(struct hold_run *h, const struct admit_scope *s, size_t i)
{
	const struct window_rate *w = &s->state.rate[i];
	int64_t len = admit_limit_len_ms[i], now = h->ask->boot_ms, limit = s->limits.rate[i];
	struct admit_refusal *r = refuse(h, ADMIT_RATE, s->kind, s->name);

	r->what = rows_limit_name((enum rows_limit)i);
	r->limit = limit;
	r->remaining = MAX_OF(limit - window_rate_used(w, len, now), 0);
	r->wait_ms = window_rate_wait_ms(w, len, now, limit, 1);
	if (r->wait_ms != WINDOW_NEVER)
		r->reset_wall_ms = h->ask->wall_ms + r->wait_ms;
}

/* Rates and concurrency of every scope, in the copies of their states. True: go on. */
static bool check_limits(struct hold_run *h)
{
	for (size_t n = 0; n < h->rows.scopes_n; n++) {
		struct admit_scope *s = &h->rows.scopes[n];

		for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++) {
			if (!take_rate(&s->state.rate[i], i, s->limits.rate[i], h->ask)) {
				refuse_rate(h, s, i);
				return false;
			}
		}
		if (s->limits.concurrency != ROWS_NO_LIMIT &&
		    s->state.holds >= s->limits.concurrency) {
			struct admit_refusal *r = refuse(h, ADMIT_CONCURRENCY, s->kind, s->name);

			r->what = "requests at once";
			r->limit = s->limits.concurrency;
			r->wait_ms = 1000;
			return false;
		}
	}
	return true;
}

static struct hold_purse account_purse(const struct rows_account *a)
{
	int64_t available = HOLD_AMPLE;

	if (a->mode == ROWS_PREPAID && !money_add(a->balance_nusd, a->overdraft_nusd, &available))
		available = HOLD_AMPLE;
	return (struct hold_purse){available, a->held_nusd};
}

static struct hold_purse budget_purse(const struct admit_scope *s, int64_t wall_s)
{
	const struct rows_limits *l = &s->limits;
	const struct window_sum *cur = &s->state.budget.cur;
	struct hold_purse p = {HOLD_AMPLE, 0};

	if (l->budget_nusd == ROWS_NO_LIMIT)
		return p;
	p.available_nusd = window_budget_left(&s->state.budget, l->budget, wall_s, l->budget_nusd);
	/* Only holds of the window that lasts can come back to it. */
	if (p.available_nusd == l->budget_nusd - cur->used_nusd - cur->held_nusd)
		p.pending_nusd = cur->held_nusd;
	return p;
}

/* The tightest now, and the tightest once everything held has come back. */
static struct hold_purse all_purses(const struct hold_run *h)
{
	struct hold_purse all = account_purse(&h->rows.account);
	int64_t later = all.available_nusd + all.pending_nusd;

	for (size_t n = 0; n < h->rows.scopes_n; n++) {
		struct hold_purse p = budget_purse(&h->rows.scopes[n], h->ask->wall_ms / 1000);

		all.available_nusd = MIN_OF(all.available_nusd, p.available_nusd);
		later = MIN_OF(later, p.available_nusd + p.pending_nusd);
	}
	all.pending_nusd = later - all.available_nusd;
	return all;
}

static bool purse_refuses(struct hold_purse p, const struct hold_offer *o)
{
	return o->needed_nusd >
	       (o->fits_later ? p.available_nusd : p.available_nusd + p.pending_nusd);
}

static void refuse_budget(struct hold_run *h, const struct admit_scope *s, struct hold_purse p,
			  const struct hold_offer *o)
{
	int64_t wall_s = h->ask->wall_ms / 1000, reset_s;
	struct admit_refusal *r =
		refuse(h, o->fits_later ? ADMIT_CREDIT_HELD : ADMIT_BUDGET, s->kind, s->name);

	r->what = budget_name(s->limits.budget);
	r->money = true;
	r->limit = s->limits.budget_nusd;
	r->remaining = MAX_OF(p.available_nusd, 0);
	r->affordable_tokens = o->affordable_tokens;
	reset_s = window_budget_reset_s(&s->state.budget, s->limits.budget, wall_s);
	if (reset_s != WINDOW_NEVER && reset_s > wall_s) {
		r->reset_wall_ms = reset_s * 1000;
		r->wait_ms = r->reset_wall_ms - h->ask->wall_ms;
	} else {
		r->wait_ms = WINDOW_NEVER;
	}
	if (o->fits_later)
		r->wait_ms = 1000;
}

static void refuse_money(struct hold_run *h, const struct hold_offer *o)
{
	struct hold_purse p = account_purse(&h->rows.account);
	struct admit_refusal *r;

	for (size_t n = 0; n < h->rows.scopes_n && !purse_refuses(p, o); n++) {
		const struct admit_scope *s = &h->rows.scopes[n];
		struct hold_purse bp = budget_purse(s, h->ask->wall_ms / 1000);

		if (purse_refuses(bp, o)) {
			refuse_budget(h, s, bp, o);
			return;
		}
	}
	r = refuse(h, o->fits_later ? ADMIT_CREDIT_HELD : ADMIT_CREDIT, ROWS_ACCOUNT,
		   h->rows.account_name);
	r->what = "credit";
	r->money = true;
	r->limit = h->rows.account.granted_nusd;
	r->remaining = MAX_OF(p.available_nusd, 0);
	r->affordable_tokens = o->affordable_tokens;
	r->wait_ms = o->fits_later ? 1000 : WINDOW_NEVER;
}

/* The tightest limit of one kind over all scopes, after this request. */
static struct admit_remaining tightest(const struct hold_run *h, bool tokens)
{
	struct admit_remaining out = {.limit = ROWS_NO_LIMIT};
	int64_t now = h->ask->boot_ms;

	for (size_t n = 0; n < h->rows.scopes_n; n++) {
		const struct admit_scope *s = &h->rows.scopes[n];

		for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++) {
			int64_t limit = s->limits.rate[i], left;

			if (admit_limit_is_tokens[i] != tokens || limit == ROWS_NO_LIMIT)
				continue;
			left = MAX_OF(limit - window_rate_used(&s->state.rate[i],
							       admit_limit_len_ms[i], now),
				      0);
			if (out.limit != ROWS_NO_LIMIT && left >= out.remaining)
				continue;
			out = (struct admit_remaining){
				limit, left,
				window_rate_reset_ms(&s->state.rate[i], admit_limit_len_ms[i], now)};
		}
	}
	return out;
}

/* What a refused client may still do. The scopes are read again: the copies have this request in them, as far as it came. */
static enum errc tell_limits(struct hold_run *h)
{
	struct admit_refusal *r = &h->op->refusal;
	enum errc rc = ERRC_OK;

	for (size_t n = 0; !rc && n < h->rows.scopes_n; n++)
		rc = admit_load_state(h->b, h->ask->account, &h->rows.scopes[n]);
	if (rc)
		return rc;
	r->requests = tightest(h, false);
	r->tokens = tightest(h, true);
	return ERRC_OK;
}

/* Moves the hold from the balances into the holds of every scope, in the copies. */
static enum errc take_money(struct hold_run *h, struct rows_hold *row)
{
	struct rows_account *a = &h->rows.account;
	int64_t hold = row->hold_nusd;

	if (!money_sub(a->balance_nusd, hold, &a->balance_nusd) ||
	    !money_add(a->held_nusd, hold, &a->held_nusd))
		return ERRC_RANGE;
	a->holds++;
	for (size_t n = 0; n < h->rows.scopes_n; n++) {
		struct admit_scope *s = &h->rows.scopes[n];

		s->state.holds++;
		s->state.used_s = h->ask->wall_ms / 1000;
		if (s->limits.budget_nusd == ROWS_NO_LIMIT || hold == 0)
			continue;
		if (!window_budget_hold(&s->state.budget, s->limits.budget, h->ask->wall_ms / 1000,
					s->limits.budget_nusd, hold, &row->budget_id))
			return ERRC_INTERNAL;
		row->flags |= ROWS_HOLD_BUDGET;
	}
	return ERRC_OK;
}

/* Where the candidate's prices stand in the hold, which has room for them. Offers of one model share theirs; a hold keeps each
 * once. `seen` has what the prices were copied from. */
static bool price_index(struct rows_hold *row, const struct price **seen,
			const struct hold_candidate *c, uint8_t *index)
{
	size_t n = c->tiers, i = 0;

	while (i + n <= row->prices_n && memcmp(&seen[i], c->price, n * sizeof(seen[0])) != 0)
		i++;
	*index = (uint8_t)i;
	if (i + n <= row->prices_n)
		return true;
	if (row->prices_n + n > LIMIT_HOLD_PRICES)
		return false;
	*index = (uint8_t)row->prices_n;
	for (i = 0; i < n; i++) {
		seen[row->prices_n] = c->price[i];
		row->prices[row->prices_n++] = *c->price[i];
	}
	return true;
}

static void fill_row(const struct hold_run *h, const struct hold_offer *o, struct rows_hold *row,
		     int8_t *index)
{
	const struct admit_ask *ask = h->ask;
	const struct price *seen[LIMIT_HOLD_PRICES];

	row->account = ask->account;
	row->id = ask->id;
	memcpy(row->key_id, ask->key_id, sizeof row->key_id);
	row->instance = h->b->l->instance;
	row->slot = ask->slot;
	row->front = ask->front;
	row->flags = ask->stream ? ROWS_HOLD_STREAM : 0;
	row->hold_nusd = o->hold_nusd;
	row->budget_id = 0;
	row->tokens_estimate = ask->tokens_estimate;
	row->input_bound = 0;
	row->admitted_boot_ms = ask->boot_ms;
	row->admitted_wall_ms = ask->wall_ms;
	row->model_asked = ask->model;
	row->candidates_n = row->prices_n = 0;
	for (size_t i = 0; i < LIMIT_CANDIDATES; i++)
		index[i] = -1;
	for (size_t i = 0; i < ask->hold.n; i++) {
		const struct hold_candidate *c = &ask->hold.candidates[i];
		uint8_t price;

		/* One whose prices find no room, behind so many others, is not tried. */
		if (!o->kept[i] || !price_index(row, seen, c, &price))
			continue;
		index[i] = (int8_t)row->candidates_n;
		row->input_bound = MAX_OF(row->input_bound, c->input_bound);
		row->candidates[row->candidates_n++] =
			(struct rows_candidate){.offer = c->offer,
						.price = price,
						.tiers = (uint8_t)c->tiers,
						.cap = o->cap[i],
						.provider = c->provider,
						.model = c->model,
						.upstream = c->upstream};
	}
}

/* The hold row goes first: that it exists already is the last thing that can refuse the request. */
static enum errc put_hold(struct admit_run *b, const struct rows_hold *row, bool *wrote)
{
	struct rows_key_name name =
		rows_name(row->account, ROWS_HOLD, slice_of(row->id.b, GENID_BYTES));
	enum errc rc;

	buf_reset(&b->l->scratch);
	rc = rows_put_hold(&b->l->scratch, row);
	if (rc)
		return rc;
	rc = live_row_put(b->l, b->txn, &name, buf_slice(&b->l->scratch), MDB_NOOVERWRITE);
	*wrote = rc != ERRC_EXISTS;
	return rc;
}

static enum errc grant(struct hold_run *h, const struct hold_offer *o, bool *wrote)
{
	struct admit_grant *g = &h->op->grant;
	struct rows_hold row;
	int8_t index[LIMIT_CANDIDATES];
	enum errc rc;

	fill_row(h, o, &row, index);
	rc = take_money(h, &row);
	if (!rc && check_fails(rows_account_is_sound(&h->rows.account)))
		rc = ERRC_INTERNAL;
	if (!rc)
		rc = put_hold(h->b, &row, wrote);
	if (!rc)
		rc = admit_store(h->b, &h->rows);
	if (rc)
		return rc;
	h->b->holds++;
	h->op->reason = ADMIT_NONE;
	g->hold = *o;
	memcpy(g->index, index, sizeof index);
	for (size_t i = 0; i < LIMIT_CANDIDATES; i++)
		g->hold.kept[i] = index[i] >= 0;
	g->requests = tightest(h, false);
	g->tokens = tightest(h, true);
	return ERRC_OK;
}

static enum errc decide(struct hold_run *h, bool *wrote)
{
	struct hold_purse purse;
	struct hold_offer offer;

	if (!check_access(h) || !check_limits(h))
		return tell_limits(h);
	purse = all_purses(h);
	hold_decide(&h->ask->hold, h->may, &purse, &offer);
	if (!offer.any) {
		refuse_money(h, &offer);
		return tell_limits(h);
	}
	return grant(h, &offer, wrote);
}

enum errc admit_hold(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	struct hold_run h = {.b = b, .ask = &op->ask, .op = op};
	const struct admit_ask *ask = &op->ask;
	enum errc rc = ERRC_OK;

	if (check_fails(b->l->instance != 0 && ask->hold.n >= 1 && ask->hold.n <= LIMIT_CANDIDATES))
		return ERRC_INVAL;
	if (b->gate == ADMIT_GATE_UNKNOWN)
		rc = look_at_gate(b, ask->boot_ms);
	if (rc)
		return rc;
	if (b->gate != ADMIT_GATE_OPEN) {
		refuse(&h, b->gate == ADMIT_GATE_LEDGER ? ADMIT_LEDGER : ADMIT_SPACE, ROWS_HEAD, "")
			->wait_ms = 1000;
		return ERRC_OK;
	}
	rc = admit_load_account(b, ask->account, &h.rows);
	if (!rc)
		rc = load_key(&h);
	if (rc == ERRC_NOTFOUND) {
		refuse(&h, ADMIT_KEY_UNKNOWN, ROWS_KEY, "");
		return ERRC_OK;
	}
	return rc ? rc : decide(&h, wrote);
}
