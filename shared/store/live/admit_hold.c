#include "admit_priv.h"
#include "idle_priv.h"
#include "userroom.h"

#define USERS_WAIT_MS 60000 /* until rates of other end users may be over */

/* What a refused client may still do. The scopes are read again: the copies have this request in them, as far as it came. */
static enum errc tell_limits(struct admit_hold_run *h)
{
	struct admit_refusal *r = &h->op->refusal;
	struct slice several;
	enum errc rc = live_get_states(h->b->l, h->b->txn, h->ask->account, &several);

	for (size_t n = 0; !rc && n < h->rows.scopes_n; n++)
		if (h->rows.scopes[n].counts)
			rc = admit_load_state(h->b, h->ask->account, several, &h->rows.scopes[n]);
	if (rc)
		return rc;
	r->requests = admit_tightest(h, false);
	r->tokens = admit_tightest(h, true);
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

static void fill_row(const struct admit_hold_run *h, const struct hold_offer *o,
		     struct rows_hold *row, int8_t *index)
{
	const struct admit_ask *ask = h->ask;
	const struct price *seen[LIMIT_HOLD_PRICES];

	row->account = ask->account;
	row->id = ask->id;
	memcpy(row->key_id, ask->key_id, sizeof row->key_id);
	row->instance = h->b->l->instance;
	row->slot = ask->slot;
	row->front = ask->front;
	row->flags = (uint8_t)((ask->stream ? ROWS_HOLD_STREAM : 0) |
			       (ask->idem.n ? ROWS_HOLD_IDEM : 0));
	row->hold_nusd = o->hold_nusd;
	row->tokens_estimate = ask->tokens_estimate;
	row->input_bound = 0;
	row->admitted_boot_ms = ask->boot_ms;
	row->admitted_wall_ms = ask->wall_ms;
	row->model_asked = ask->model;
	row->user = ask->user;
	row->idem = ask->idem;
	row->group = h->ask->group;
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
						.upstream = c->upstream,
						.cost = c->cost};
	}
}

static enum errc no_room(struct admit_hold_run *h)
{
	const struct admit_ask *ask = h->ask;
	struct admit_refusal *r = admit_refuse(h, ADMIT_IDEM_FULL, ROWS_KEY, SLICE_NONE);
	enum errc rc =
		idem_full(h->b->l, h->b->txn, ask->key_id, ask->wall_ms, &r->limit, &r->wait_ms);

	r->what = "idempotency keys of 24 hours";
	r->remaining = 0;
	r->reset_wall_ms = ask->wall_ms + r->wait_ms;
	return rc ? rc : tell_limits(h);
}

/* The claim on the idempotency key, if there is one, goes first: that there is no room for it is the last thing that can refuse the
 * request (*full). */
static enum errc put_claim(struct admit_hold_run *h, bool *wrote, bool *full)
{
	const struct admit_ask *ask = h->ask;
	enum errc rc;

	*full = false;
	if (!ask->idem.n)
		return ERRC_OK;
	rc = idem_claim(h->b->l, h->b->txn, ask->key_id, ask->idem, &ask->id, ask->wall_ms);
	*full = rc == ERRC_FULL;
	if (*full)
		return no_room(h);
	*wrote = true;
	return rc;
}

/* Everything that was taken, encoded before anything is written: what cannot be stored fails alone. */
static enum errc encode_hold(struct admit_run *b, const struct rows_hold *row)
{
	buf_reset(&b->l->scratch);
	return rows_put_hold(&b->l->scratch, row);
}

/* Then the hold row; that it exists already fails the request alone where it has no claim. */
static enum errc put_hold(struct admit_run *b, const struct rows_hold *row, bool *wrote)
{
	struct rows_key_name name =
		rows_name(row->account, ROWS_HOLD, slice_of(row->id.b, GENID_BYTES));
	enum errc rc = live_row_put(b->l, b->txn, &name, buf_slice(&b->l->scratch), MDB_NOOVERWRITE);

	*wrote = *wrote || rc != ERRC_EXISTS;
	return rc;
}

/* What changes in the room for end users without a definition. */
struct users_change {
	int64_t bytes;
	struct idle_found gone;
};

static void refuse_user(struct admit_hold_run *h, const struct admit_scope *s,
			const struct userroom *room)
{
	int64_t closed_s = room->closed_until_s - h->ask->wall_ms / 1000;
	struct admit_refusal *r = admit_refuse(h, ADMIT_USERS, ROWS_USER, s->name);

	r->what = "end users at once";
	r->limit = userroom_most(room, s->state->noted);
	r->remaining = 0;
	r->wait_ms = closed_s > WINDOW_DAY_MS / 1000 ? WINDOW_NEVER
						     : MAX_OF(closed_s * 1000, USERS_WAIT_MS);
}

/* One that is new needs room, where others of whom nothing counts may go for it. One that is known stays, and gives its room back when it has
 * got a definition. Reads only. */
static enum errc find_room(struct admit_hold_run *h, struct admit_scope *s, struct users_change *c,
			   bool *full)
{
	bool has_own = memcmp(s->row->id, s->id, ROWS_ID) == 0;
	uint16_t bytes = has_own ? 0 : userroom_bytes(s->state->n), before = s->state->noted;
	int64_t wall_s = h->ask->wall_ms / 1000;
	struct userroom room;
	enum errc rc;

	c->bytes = (int64_t)bytes - before;
	s->state->noted = bytes;
	if (has_own || before > 0 || s->state->used_s > 0)
		return ERRC_OK;
	rc = userroom_look(h->b->l, h->b->txn, h->ask->account, &room);
	if (rc || userroom_has(&room, bytes, 0, wall_s))
		return rc;
	rc = idle_find(h->b->l, h->b->txn, s->row, bytes, h->ask->boot_ms, &c->gone);
	*full = !rc && !userroom_has(&room, bytes, c->gone.bytes, wall_s);
	if (*full)
		refuse_user(h, s, &room);
	return rc;
}

static enum errc look_at_user(struct admit_hold_run *h, struct users_change *c, bool *full)
{
	struct admit_scope *s = &h->rows.scopes[h->rows.scopes_n - 1];

	c->bytes = 0;
	c->gone.n = 0;
	return s->kind == ROWS_USER && s->counts ? find_room(h, s, c, full) : ERRC_OK;
}

static enum errc change_users(struct admit_hold_run *h, const struct users_change *c)
{
	enum errc rc = userroom_note(h->b->l, h->b->txn, h->ask->account, c->bytes);

	return rc ? rc : idle_take(h->b->l, h->b->txn, &c->gone);
}

static enum errc grant(struct admit_hold_run *h, const struct hold_offer *o, bool *wrote)
{
	struct admit_grant *g = &h->op->grant;
	struct rows_hold row;
	struct users_change users;
	int8_t index[LIMIT_CANDIDATES];
	bool full = false;
	enum errc rc = look_at_user(h, &users, &full);

	if (rc || full)
		return rc;
	fill_row(h, o, &row, index);
	rc = admit_take(h, &row);
	if (!rc && check_fails(rows_account_is_sound(&h->rows.account)))
		rc = ERRC_INTERNAL;
	if (!rc)
		rc = encode_hold(h->b, &row);
	if (!rc)
		rc = put_claim(h, wrote, &full);
	if (rc || full)
		return rc;
	rc = put_hold(h->b, &row, wrote);
	if (!rc)
		rc = admit_store(h->b, &h->rows);
	if (!rc)
		rc = change_users(h, &users);
	if (rc)
		return rc;
	h->b->holds++;
	h->b->pages += (int32_t)rows_hold_pages(&row);
	h->op->reason = ADMIT_NONE;
	g->hold = *o;
	memcpy(g->index, index, sizeof index);
	for (size_t i = 0; i < LIMIT_CANDIDATES; i++)
		g->hold.kept[i] = index[i] >= 0;
	g->requests = admit_tightest(h, false);
	g->tokens = admit_tightest(h, true);
	g->shadow = h->shadow;
	return ERRC_OK;
}

/* Whether the idempotency key, if there is one, is free. *go: it is. */
static enum errc look_at_claim(struct admit_hold_run *h, bool *go)
{
	static const enum admit_reason reasons[] = {[IDEM_RUNNING] = ADMIT_IDEM_RUNNING,
						    [IDEM_COMPLETED] = ADMIT_IDEM_COMPLETED,
						    [IDEM_MISMATCH] = ADMIT_IDEM_MISMATCH};
	const struct admit_ask *ask = h->ask;
	enum idem_result result = IDEM_NEW;
	struct admit_refusal *r;
	struct genid other;
	enum errc rc = ERRC_OK;

	if (ask->idem.n)
		rc = idem_look(h->b->l, h->b->txn, ask->key_id, ask->idem, &result, &other);
	*go = result == IDEM_NEW;
	if (*go)
		return rc;
	r = admit_refuse(h, reasons[result], ROWS_KEY, SLICE_NONE);
	r->other = other;
	r->wait_ms = result == IDEM_RUNNING ? 1000 : WINDOW_NEVER;
	return rc;
}

static enum errc decide(struct admit_hold_run *h, bool *wrote)
{
	struct hold_purse purse;
	struct hold_offer offer;
	bool go, limited;
	enum errc rc;

	if (!admit_check_access(h))
		return tell_limits(h);
	rc = look_at_claim(h, &go);
	if (rc)
		return rc;
	if (!go)
		return tell_limits(h);
	limited = !admit_check_limits(h);
	purse = admit_purse(h);
	hold_decide(&h->ask->hold, h->may, &purse, &offer);
	/* Money that is gone is told first: no time of a limit brings it back. */
	if (!offer.any && (!limited || !offer.fits_later))
		admit_refuse_money(h, &offer);
	if (!offer.any || limited)
		return tell_limits(h);
	admit_note_credit(h, &offer);
	return grant(h, &offer, wrote);
}

enum errc admit_hold(struct admit_run *b, struct admit_op *op, bool *wrote)
{
	struct admit_hold_run h;
	const struct admit_ask *ask = &op->ask;
	enum errc rc = ERRC_OK;

	if (check_fails(b->l->instance != 0 && ask->hold.n >= 1 &&
			ask->hold.n <= LIMIT_CANDIDATES && ask->user.n <= ROWS_TAG_MAX &&
			(ask->idem.n == 0 || ask->idem.n == IDEM_TAG)))
		return ERRC_INVAL;
	h.b = b;
	h.ask = ask;
	h.op = op;
	h.shadow.n = 0;
	h.rows.scopes_n = 0;
	if (b->gate == ADMIT_GATE_UNKNOWN)
		rc = admit_look_at_gate(b, ask->boot_ms);
	if (rc)
		return rc;
	if (b->gate != ADMIT_GATE_OPEN) {
		admit_refuse(&h, b->gate == ADMIT_GATE_LEDGER ? ADMIT_LEDGER : ADMIT_SPACE,
			     ROWS_HEAD, SLICE_NONE)
			->wait_ms = 1000;
		return ERRC_OK;
	}
	rc = admit_load_account(b, ask->account, &h.rows);
	if (!rc)
		rc = admit_load_scopes(b, ask, &h.rows);
	if (rc == ERRC_NOTFOUND) {
		admit_refuse(&h, ADMIT_KEY_UNKNOWN, ROWS_KEY, SLICE_NONE);
		return ERRC_OK;
	}
	return rc ? rc : decide(&h, wrote);
}
