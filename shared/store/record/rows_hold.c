#include "rows_hold.h"

#include "rows_priv.h"

/* The fixed parts, without padding; names and lists follow. */
struct hold_v1 {
	uint8_t version, front, flags, scopes_n, candidates_n, prices_n;
	uint16_t model_asked_n;
	uint32_t instance, slot;
	uint64_t account;
	uint8_t id[GENID_BYTES];
	char key_id[APIKEY_ID];
	uint16_t user_n, group_n;
	int64_t hold, tokens_estimate, input_bound, boot_ms, wall_ms;
};
_Static_assert(sizeof(struct hold_v1) == 96, "layout of stored rows");

struct held_v1 {
	uint8_t kind, taken_n;
	uint16_t reserved;
	char id[ROWS_ID];
};
_Static_assert(sizeof(struct held_v1) == 16, "layout of stored rows");

/* What is taken, packed: of a budget the window too, which is its id + 1. */
#define TAKEN_N     2
#define TAKEN_BYTES ROWS_PACKED_MAX(TAKEN_N)
_Static_assert(ROWS_RULES_MAX <= UINT8_MAX, "how many are taken is told in a byte");

struct candidate_v1 {
	uint64_t offer;
	int64_t cap;
	uint8_t price, tiers;
	uint16_t provider_n, model_n, upstream_n;
};
/* Behind its names stand the bytes of its cost, behind how many there are. */
_Static_assert(sizeof(struct candidate_v1) == 24, "layout of stored rows");

static enum errc put_candidate(struct buf *out, const struct rows_candidate *c)
{
	struct candidate_v1 v = {.offer = c->offer,
				 .cap = c->cap,
				 .price = c->price,
				 .tiers = c->tiers,
				 .provider_n = (uint16_t)c->provider.n,
				 .model_n = (uint16_t)c->model.n,
				 .upstream_n = (uint16_t)c->upstream.n};
	uint16_t cost_n = (uint16_t)c->cost.n;
	enum errc rc;

	if (c->provider.n > ROWS_HOLD_NAME_MAX || c->model.n > ROWS_HOLD_NAME_MAX ||
	    c->upstream.n > ROWS_HOLD_NAME_MAX || c->cost.n > ROWS_COST_MAX)
		return ERRC_LIMIT;
	rc = buf_add(out, &v, sizeof v);
	if (!rc)
		rc = buf_adds(out, c->provider);
	if (!rc)
		rc = buf_adds(out, c->model);
	if (!rc)
		rc = buf_adds(out, c->upstream);
	if (!rc)
		rc = buf_add(out, &cost_n, sizeof cost_n);
	return rc ? rc : buf_adds(out, c->cost);
}

static enum errc put_held(struct buf *out, const struct rows_held *h)
{
	static const uint8_t none[TAKEN_N];
	char *taken;
	size_t n = 0;
	struct held_v1 v = {.kind = (uint8_t)h->kind, .taken_n = (uint8_t)h->n};
	enum errc rc;

	if (h->n > ROWS_RULES_MAX)
		return ERRC_LIMIT;
	memcpy(v.id, h->id, sizeof v.id);
	rc = buf_add(out, &v, sizeof v);
	if (!rc)
		rc = buf_reserve(out, h->n * TAKEN_BYTES, &taken);
	if (rc)
		return rc;
	for (size_t i = 0; i < h->n; i++) {
		const struct rows_taken *t = &h->taken[i];

		n += rows_pack((uint8_t *)taken + n,
			       (const int64_t[]){t->rule, t->budget ? t->window + 1 : 0}, none,
			       TAKEN_N);
	}
	buf_commit(out, n);
	return ERRC_OK;
}

size_t rows_hold_budgets(const struct rows_hold *h)
{
	size_t n = 0;

	for (size_t i = 0; i < h->scopes_n; i++) {
		for (size_t k = 0; k < h->scopes[i].n; k++)
			n += h->scopes[i].taken[k].budget;
	}
	return n;
}

const struct price *rows_hold_price(const struct rows_hold *h, const struct rows_candidate *c,
				    const struct usage *u)
{
	const struct price *p = &h->prices[c->price];

	for (size_t i = 1; i < c->tiers && !price_counts_for(p, usage_input_total(u), u->tier); i++)
		p++;
	return p;
}

enum errc rows_hold_cost(const struct rows_hold *h, const struct rows_candidate *c,
			 const struct usage *u, int64_t *nusd)
{
	enum errc rc = ERRC_OK;
	struct price p;

	if (c->cost.n) {
		rc = rows_cost_pick(c->cost, usage_input_total(u), u->tier, &p);
	} else {
		p = *rows_hold_price(h, c, u);
		p.mult_ppm = PRICE_PPM;
	}
	*nusd = rc ? 0 : price_cost(&p, u);
	return rc;
}

enum errc rows_put_hold(struct buf *out, const struct rows_hold *h)
{
	struct hold_v1 v = {.version = ROWS_VERSION,
			    .front = h->front,
			    .flags = h->flags,
			    .scopes_n = (uint8_t)h->scopes_n,
			    .candidates_n = (uint8_t)h->candidates_n,
			    .prices_n = (uint8_t)h->prices_n,
			    .model_asked_n = (uint16_t)h->model_asked.n,
			    .user_n = (uint16_t)h->user.n,
			    .group_n = (uint16_t)h->group.n,
			    .instance = h->instance,
			    .slot = h->slot,
			    .account = h->account,
			    .hold = h->hold_nusd,
			    .tokens_estimate = h->tokens_estimate,
			    .input_bound = h->input_bound,
			    .boot_ms = h->admitted_boot_ms,
			    .wall_ms = h->admitted_wall_ms};
	enum errc rc;

	if (h->model_asked.n > ROWS_HOLD_NAME_MAX || h->candidates_n > LIMIT_CANDIDATES ||
	    h->prices_n > LIMIT_HOLD_PRICES || h->scopes_n > ROWS_SCOPES_MAX ||
	    h->user.n > ROWS_TAG_MAX || h->group.n > ROWS_NAME_MAX ||
	    h->idem.n != (h->flags & ROWS_HOLD_IDEM ? IDEM_TAG : 0))
		return ERRC_LIMIT;
	memcpy(v.id, h->id.b, sizeof v.id);
	memcpy(v.key_id, h->key_id, sizeof v.key_id);
	rc = buf_add(out, &v, sizeof v);
	if (!rc)
		rc = buf_adds(out, h->model_asked);
	if (!rc)
		rc = buf_adds(out, h->user);
	if (!rc)
		rc = buf_adds(out, h->group);
	if (!rc)
		rc = buf_adds(out, h->idem);
	for (size_t i = 0; !rc && i < h->scopes_n; i++)
		rc = put_held(out, &h->scopes[i]);
	for (size_t i = 0; !rc && i < h->candidates_n; i++)
		rc = put_candidate(out, &h->candidates[i]);
	for (size_t i = 0; !rc && i < h->prices_n; i++) {
		uint8_t bytes[PRICE_BYTES_MAX];

		rc = buf_add(out, bytes, price_encode(&h->prices[i], bytes));
	}
	return rc;
}

static bool take_candidate(struct rows_reader *r, struct rows_candidate *c, size_t prices_n)
{
	struct candidate_v1 v;
	uint16_t cost_n;

	if (!rows_take(r, &v, sizeof v) || v.tiers == 0 || v.tiers > TARIFF_TIERS ||
	    v.price + v.tiers > (int)prices_n)
		return false;
	c->offer = v.offer;
	c->cap = v.cap;
	c->price = v.price;
	c->tiers = v.tiers;
	return rows_take_slice(r, &c->provider, v.provider_n) &&
	       rows_take_slice(r, &c->model, v.model_n) &&
	       rows_take_slice(r, &c->upstream, v.upstream_n) &&
	       rows_take(r, &cost_n, sizeof cost_n) && cost_n <= ROWS_COST_MAX &&
	       rows_take_slice(r, &c->cost, cost_n);
}

static bool take_held(struct rows_reader *r, struct rows_held *h)
{
	struct held_v1 v;
	int64_t t[TAKEN_N];

	if (!rows_take(r, &v, sizeof v) || v.taken_n > ROWS_RULES_MAX ||
	    rows_scope_word((enum rows_kind)v.kind)[0] == '\0')
		return false;
	h->kind = (enum rows_kind)v.kind;
	h->n = v.taken_n;
	memcpy(h->id, v.id, sizeof h->id);
	for (size_t i = 0; i < h->n; i++) {
		if (!rows_unpack(r, t, TAKEN_N) || t[0] < 0 || t[0] > UINT32_MAX || t[1] < 0)
			return false;
		h->taken[i] = (struct rows_taken){(uint32_t)t[0], t[1] > 0, t[1] > 0 ? t[1] - 1 : 0};
	}
	return true;
}

/* What stands in the fixed part; false: it cannot be. */
static bool take_fixed(const struct hold_v1 *v, struct rows_hold *h)
{
	if (v->candidates_n > LIMIT_CANDIDATES || v->prices_n > LIMIT_HOLD_PRICES || v->hold < 0 ||
	    v->scopes_n > ROWS_SCOPES_MAX || v->user_n > ROWS_TAG_MAX || v->group_n > ROWS_NAME_MAX)
		return false;
	h->account = v->account;
	memcpy(h->id.b, v->id, sizeof v->id);
	memcpy(h->key_id, v->key_id, sizeof v->key_id);
	h->instance = v->instance;
	h->slot = v->slot;
	h->front = v->front;
	h->flags = v->flags;
	h->hold_nusd = v->hold;
	h->tokens_estimate = v->tokens_estimate;
	h->input_bound = v->input_bound;
	h->admitted_boot_ms = v->boot_ms;
	h->admitted_wall_ms = v->wall_ms;
	h->scopes_n = v->scopes_n;
	h->candidates_n = v->candidates_n;
	h->prices_n = v->prices_n;
	return true;
}

enum errc rows_get_hold(struct slice bytes, struct rows_hold *h)
{
	struct hold_v1 v;
	struct rows_reader r;
	struct slice price;
	enum errc rc = rows_take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	if (!take_fixed(&v, h) || !rows_take_slice(&r, &h->model_asked, v.model_asked_n) ||
	    !rows_take_slice(&r, &h->user, v.user_n) || !rows_take_slice(&r, &h->group, v.group_n) ||
	    !rows_take_slice(&r, &h->idem, v.flags & ROWS_HOLD_IDEM ? IDEM_TAG : 0))
		return ERRC_CORRUPT;
	for (size_t i = 0; i < h->scopes_n; i++) {
		if (!take_held(&r, &h->scopes[i]))
			return ERRC_CORRUPT;
	}
	for (size_t i = 0; i < h->candidates_n; i++) {
		if (!take_candidate(&r, &h->candidates[i], h->prices_n))
			return ERRC_CORRUPT;
	}
	for (size_t i = 0; i < h->prices_n; i++) {
		size_t n = price_size(slice_of(r.p, r.left));

		if (n == 0 || !rows_take_slice(&r, &price, n) || price_decode(price, &h->prices[i]))
			return ERRC_CORRUPT;
	}
	return r.left == 0 ? ERRC_OK : ERRC_CORRUPT;
}
