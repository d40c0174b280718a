#include "rows.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "stored rows are little-endian and copied as they are: a codec is needed for this machine"
#endif

/* The fixed parts, without padding; names and lists follow. */
struct account_v1 {
	uint8_t version, mode, status, name_n;
	uint32_t holds;
	uint64_t id;
	int64_t granted, balance, held, settled, uncollected, overdraft, created_s;
};
_Static_assert(sizeof(struct account_v1) == 72, "layout of stored rows");

struct key_v1 {
	uint8_t version, status, flags, name_n, nets_n, budget_unit, budget_rolling, reserved;
	uint16_t models_n;
	uint16_t keepalive; /* seconds + 1; 0: not set, as in rows older than this field */
	char id[APIKEY_ID];
	uint64_t account;
	uint8_t hash[DIGEST_SHA256];
	int64_t created_s, expires_s, concurrency, budget;
	int64_t rate[ROWS_LIMIT_COUNT];
};
_Static_assert(APIKEY_ID == 12 && DIGEST_SHA256 == 32, "layout of stored rows");
_Static_assert(sizeof(struct key_v1) == 96 + 8 * ROWS_LIMIT_COUNT, "layout of stored rows");

struct state_v1 {
	uint8_t version, reserved[3];
	uint32_t holds;
	int64_t rate[ROWS_LIMIT_COUNT][3];
	int64_t budget[6];
	uint64_t requests, tokens;
	int64_t charged, used_s;
};
_Static_assert(sizeof(struct state_v1) == 88 + 24 * ROWS_LIMIT_COUNT, "layout of stored rows");

struct hold_v1 {
	uint8_t version, front, flags, candidates_n, prices_n, reserved;
	uint16_t model_asked_n;
	uint32_t instance, slot;
	uint64_t account;
	uint8_t id[GENID_BYTES];
	char key_id[APIKEY_ID];
	uint32_t reserved2;
	int64_t hold, budget_id, tokens_estimate, input_bound, boot_ms, wall_ms;
};
_Static_assert(sizeof(struct hold_v1) == 104, "layout of stored rows");

struct candidate_v1 {
	uint64_t offer;
	int64_t cap;
	uint8_t price, tiers;
	uint16_t provider_n, model_n, upstream_n;
};
_Static_assert(sizeof(struct candidate_v1) == 24, "layout of stored rows");

#define VERSION         1
#define NET_BYTES       17   /* address, bits */
#define NAME_MAX_STORED 1024 /* of a model or provider in a hold */

/* A cursor over the bytes of a row; every take is checked. */
struct reader {
	const char *p;
	size_t left;
};

static bool take(struct reader *r, void *out, size_t n)
{
	if (r->left < n)
		return false;
	memcpy(out, r->p, n);
	r->p += n;
	r->left -= n;
	return true;
}

static bool take_slice(struct reader *r, struct slice *out, size_t n)
{
	if (r->left < n)
		return false;
	*out = slice_of(r->p, n);
	r->p += n;
	r->left -= n;
	return true;
}

static enum errc take_head(struct reader *r, struct slice bytes, void *out, size_t n)
{
	*r = (struct reader){bytes.p, bytes.n};
	if (bytes.n > 0 && (uint8_t)bytes.p[0] != VERSION)
		return ERRC_VERSION;
	return take(r, out, n) ? ERRC_OK : ERRC_CORRUPT;
}

static struct rows_key_name name_start(uint64_t account, enum rows_kind kind)
{
	struct rows_key_name k = {.n = 9};

	for (int i = 0; i < 8; i++)
		k.b[i] = (uint8_t)(account >> (56 - 8 * i));
	k.b[8] = (uint8_t)kind;
	return k;
}

static void name_add(struct rows_key_name *k, struct slice s)
{
	require(s.n <= sizeof k->b - k->n);
	if (s.n)
		memcpy(k->b + k->n, s.p, s.n);
	k->n += s.n;
}

struct rows_key_name rows_name(uint64_t account, enum rows_kind kind, struct slice id)
{
	struct rows_key_name k = name_start(account, kind);

	name_add(&k, id);
	return k;
}

struct rows_key_name rows_name_state(uint64_t account, enum rows_kind scope, struct slice id)
{
	struct rows_key_name k = name_start(account, ROWS_STATE);

	k.b[k.n++] = (uint8_t)scope;
	name_add(&k, id);
	return k;
}

struct rows_key_name rows_name_outbox(uint64_t n)
{
	struct rows_key_name k = name_start(ROWS_ACCOUNT_TAIL, ROWS_OUTBOX);

	for (int i = 0; i < 8; i++)
		k.b[k.n++] = (uint8_t)(n >> (56 - 8 * i));
	return k;
}

bool rows_name_parse(struct slice bytes, uint64_t *account, enum rows_kind *kind, struct slice *id)
{
	uint64_t a = 0;

	if (bytes.n < 9 || bytes.n > sizeof((struct rows_key_name *)0)->b)
		return false;
	for (int i = 0; i < 8; i++)
		a = a << 8 | (uint8_t)bytes.p[i];
	if ((uint8_t)bytes.p[8] < ROWS_HEAD || (uint8_t)bytes.p[8] > ROWS_OUTBOX)
		return false;
	*account = a;
	*kind = (enum rows_kind)(uint8_t)bytes.p[8];
	*id = slice_sub(bytes, 9, bytes.n - 9);
	return true;
}

enum errc rows_put_account(struct buf *out, const struct rows_account *a)
{
	struct account_v1 v = {.version = VERSION,
			       .mode = (uint8_t)a->mode,
			       .status = (uint8_t)a->status,
			       .name_n = (uint8_t)a->name.n,
			       .holds = a->holds,
			       .id = a->id,
			       .granted = a->granted_nusd,
			       .balance = a->balance_nusd,
			       .held = a->held_nusd,
			       .settled = a->settled_nusd,
			       .uncollected = a->uncollected_nusd,
			       .overdraft = a->overdraft_nusd,
			       .created_s = a->created_s};
	enum errc rc;

	if (a->name.n > ROWS_NAME_MAX)
		return ERRC_LIMIT;
	rc = buf_add(out, &v, sizeof v);
	return rc ? rc : buf_adds(out, a->name);
}

static bool is_money(int64_t nusd, int64_t min)
{
	return nusd >= min && nusd <= MONEY_NUSD_MAX;
}

/* Within these bounds two of them can be added. */
static bool account_in_range(const struct account_v1 *v)
{
	return is_money(v->granted, -MONEY_NUSD_MAX) && is_money(v->balance, -MONEY_NUSD_MAX) &&
	       is_money(v->held, 0) && is_money(v->settled, 0) && is_money(v->uncollected, 0) &&
	       is_money(v->overdraft, 0);
}

enum errc rows_get_account(struct slice bytes, struct rows_account *a)
{
	struct account_v1 v;
	struct reader r;
	enum errc rc = take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	*a = (struct rows_account){.id = v.id,
				   .mode = (enum rows_mode)v.mode,
				   .status = (enum rows_status)v.status,
				   .holds = v.holds,
				   .granted_nusd = v.granted,
				   .balance_nusd = v.balance,
				   .held_nusd = v.held,
				   .settled_nusd = v.settled,
				   .uncollected_nusd = v.uncollected,
				   .overdraft_nusd = v.overdraft,
				   .created_s = v.created_s};
	if (v.mode >= ROWS_MODE_COUNT || v.status >= ROWS_STATUS_COUNT ||
	    v.name_n > ROWS_NAME_MAX || !account_in_range(&v))
		return ERRC_CORRUPT;
	return take_slice(&r, &a->name, v.name_n) && r.left == 0 ? ERRC_OK : ERRC_CORRUPT;
}

static uint16_t put_keepalive(const struct rows_key *k)
{
	return (uint16_t)(k->keepalive_ms < 0 ? 0 : k->keepalive_ms / 1000 + 1);
}

enum errc rows_put_key(struct buf *out, const struct rows_key *k)
{
	struct key_v1 v = {.version = VERSION,
			   .status = (uint8_t)k->status,
			   .flags = k->flags,
			   .name_n = (uint8_t)k->name.n,
			   .nets_n = (uint8_t)k->nets_n,
			   .budget_unit = (uint8_t)k->limits.budget.unit,
			   .budget_rolling = k->limits.budget.rolling,
			   .models_n = (uint16_t)k->models.n,
			   .keepalive = put_keepalive(k),
			   .account = k->account,
			   .created_s = k->created_s,
			   .expires_s = k->expires_s,
			   .concurrency = k->limits.concurrency,
			   .budget = k->limits.budget_nusd};
	enum errc rc;

	if (k->name.n > ROWS_NAME_MAX || k->models.n > ROWS_MODELS_MAX ||
	    k->nets_n > ROWS_NETS_MAX || k->keepalive_ms > LIMIT_KEEPALIVE_MS)
		return ERRC_LIMIT;
	memcpy(v.id, k->id, sizeof v.id);
	memcpy(v.hash, k->hash, sizeof v.hash);
	memcpy(v.rate, k->limits.rate, sizeof v.rate);
	rc = buf_add(out, &v, sizeof v);
	if (!rc)
		rc = buf_adds(out, k->name);
	if (!rc)
		rc = buf_adds(out, k->models);
	for (size_t i = 0; !rc && i < k->nets_n; i++) {
		uint8_t net[NET_BYTES];

		memcpy(net, k->nets[i].addr, 16);
		net[16] = k->nets[i].bits;
		rc = buf_add(out, net, sizeof net);
	}
	return rc;
}

static bool take_nets(struct reader *r, struct rows_key *k, size_t n)
{
	uint8_t net[NET_BYTES];

	k->nets_n = n;
	for (size_t i = 0; i < n; i++) {
		if (!take(r, net, sizeof net) || net[16] > 128)
			return false;
		memcpy(k->nets[i].addr, net, 16);
		k->nets[i].bits = net[16];
	}
	return true;
}

enum errc rows_get_key(struct slice bytes, struct rows_key *k)
{
	struct key_v1 v;
	struct reader r;
	enum errc rc = take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	if (v.status >= ROWS_STATUS_COUNT || v.name_n > ROWS_NAME_MAX ||
	    v.models_n > ROWS_MODELS_MAX || v.nets_n > ROWS_NETS_MAX ||
	    v.budget_unit >= WINDOW_COUNT || v.budget_rolling > 1)
		return ERRC_CORRUPT;
	k->account = v.account;
	memcpy(k->id, v.id, sizeof k->id);
	memcpy(k->hash, v.hash, sizeof k->hash);
	k->status = (enum rows_status)v.status;
	k->flags = v.flags;
	k->created_s = v.created_s;
	k->expires_s = v.expires_s;
	k->keepalive_ms = v.keepalive ? (v.keepalive - 1) * INT64_C(1000) : ROWS_NO_LIMIT;
	memcpy(k->limits.rate, v.rate, sizeof v.rate);
	k->limits.concurrency = v.concurrency;
	k->limits.budget_nusd = v.budget;
	k->limits.budget = (struct window_spec){.unit = (enum window_unit)v.budget_unit,
						.rolling = v.budget_rolling == 1};
	if (!take_slice(&r, &k->name, v.name_n) || !take_slice(&r, &k->models, v.models_n) ||
	    !take_nets(&r, k, v.nets_n))
		return ERRC_CORRUPT;
	return r.left == 0 ? ERRC_OK : ERRC_CORRUPT;
}

enum errc rows_put_state(struct buf *out, const struct rows_state *s)
{
	struct state_v1 v = {.version = VERSION,
			     .holds = s->holds,
			     .requests = s->requests,
			     .tokens = s->tokens,
			     .charged = s->charged_nusd,
			     .used_s = s->used_s,
			     .budget = {s->budget.cur.id, s->budget.cur.used_nusd,
					s->budget.cur.held_nusd, s->budget.prev.id,
					s->budget.prev.used_nusd, s->budget.prev.held_nusd}};

	for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++) {
		v.rate[i][0] = s->rate[i].start_ms;
		v.rate[i][1] = s->rate[i].cur;
		v.rate[i][2] = s->rate[i].prev;
	}
	return buf_add(out, &v, sizeof v);
}

enum errc rows_get_state(struct slice bytes, struct rows_state *s)
{
	struct state_v1 v;
	struct reader r;
	enum errc rc = take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	*s = (struct rows_state){.holds = v.holds,
				 .requests = v.requests,
				 .tokens = v.tokens,
				 .charged_nusd = v.charged,
				 .used_s = v.used_s,
				 .budget = {{v.budget[0], v.budget[1], v.budget[2]},
					    {v.budget[3], v.budget[4], v.budget[5]}}};
	for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++)
		s->rate[i] = (struct window_rate){v.rate[i][0], v.rate[i][1], v.rate[i][2]};
	return r.left == 0 ? ERRC_OK : ERRC_CORRUPT;
}

static enum errc put_candidate(struct buf *out, const struct rows_candidate *c)
{
	struct candidate_v1 v = {.offer = c->offer,
				 .cap = c->cap,
				 .price = c->price,
				 .tiers = c->tiers,
				 .provider_n = (uint16_t)c->provider.n,
				 .model_n = (uint16_t)c->model.n,
				 .upstream_n = (uint16_t)c->upstream.n};
	enum errc rc;

	if (c->provider.n > NAME_MAX_STORED || c->model.n > NAME_MAX_STORED ||
	    c->upstream.n > NAME_MAX_STORED)
		return ERRC_LIMIT;
	rc = buf_add(out, &v, sizeof v);
	if (!rc)
		rc = buf_adds(out, c->provider);
	if (!rc)
		rc = buf_adds(out, c->model);
	return rc ? rc : buf_adds(out, c->upstream);
}

enum errc rows_put_hold(struct buf *out, const struct rows_hold *h)
{
	struct hold_v1 v = {.version = VERSION,
			    .front = h->front,
			    .flags = h->flags,
			    .candidates_n = (uint8_t)h->candidates_n,
			    .prices_n = (uint8_t)h->prices_n,
			    .model_asked_n = (uint16_t)h->model_asked.n,
			    .instance = h->instance,
			    .slot = h->slot,
			    .account = h->account,
			    .hold = h->hold_nusd,
			    .budget_id = h->budget_id,
			    .tokens_estimate = h->tokens_estimate,
			    .input_bound = h->input_bound,
			    .boot_ms = h->admitted_boot_ms,
			    .wall_ms = h->admitted_wall_ms};
	enum errc rc;

	if (h->model_asked.n > NAME_MAX_STORED || h->candidates_n > LIMIT_CANDIDATES ||
	    h->prices_n > LIMIT_HOLD_PRICES)
		return ERRC_LIMIT;
	memcpy(v.id, h->id.b, sizeof v.id);
	memcpy(v.key_id, h->key_id, sizeof v.key_id);
	rc = buf_add(out, &v, sizeof v);
	if (!rc)
		rc = buf_adds(out, h->model_asked);
	for (size_t i = 0; !rc && i < h->candidates_n; i++)
		rc = put_candidate(out, &h->candidates[i]);
	for (size_t i = 0; !rc && i < h->prices_n; i++) {
		uint8_t bytes[PRICE_BYTES_MAX];

		rc = buf_add(out, bytes, price_encode(&h->prices[i], bytes));
	}
	return rc;
}

static bool take_candidate(struct reader *r, struct rows_candidate *c, size_t prices_n)
{
	struct candidate_v1 v;

	if (!take(r, &v, sizeof v) || v.tiers == 0 || v.tiers > TARIFF_TIERS ||
	    v.price + v.tiers > (int)prices_n)
		return false;
	c->offer = v.offer;
	c->cap = v.cap;
	c->price = v.price;
	c->tiers = v.tiers;
	return take_slice(r, &c->provider, v.provider_n) && take_slice(r, &c->model, v.model_n) &&
	       take_slice(r, &c->upstream, v.upstream_n);
}

enum errc rows_get_hold(struct slice bytes, struct rows_hold *h)
{
	struct hold_v1 v;
	struct reader r;
	struct slice price;
	enum errc rc = take_head(&r, bytes, &v, sizeof v);

	if (rc)
		return rc;
	if (v.candidates_n > LIMIT_CANDIDATES || v.prices_n > LIMIT_HOLD_PRICES || v.hold < 0 ||
	    !take_slice(&r, &h->model_asked, v.model_asked_n))
		return ERRC_CORRUPT;
	h->account = v.account;
	memcpy(h->id.b, v.id, sizeof v.id);
	memcpy(h->key_id, v.key_id, sizeof v.key_id);
	h->instance = v.instance;
	h->slot = v.slot;
	h->front = v.front;
	h->flags = v.flags;
	h->hold_nusd = v.hold;
	h->budget_id = v.budget_id;
	h->tokens_estimate = v.tokens_estimate;
	h->input_bound = v.input_bound;
	h->admitted_boot_ms = v.boot_ms;
	h->admitted_wall_ms = v.wall_ms;
	h->candidates_n = v.candidates_n;
	h->prices_n = v.prices_n;
	for (size_t i = 0; i < h->candidates_n; i++) {
		if (!take_candidate(&r, &h->candidates[i], h->prices_n))
			return ERRC_CORRUPT;
	}
	for (size_t i = 0; i < h->prices_n; i++) {
		size_t n = price_size(slice_of(r.p, r.left));

		if (n == 0 || !take_slice(&r, &price, n) || price_decode(price, &h->prices[i]))
			return ERRC_CORRUPT;
	}
	return r.left == 0 ? ERRC_OK : ERRC_CORRUPT;
}

const char *rows_limit_name(enum rows_limit l)
{
	static const char *const names[] = {
#define LIMIT_ROW(id, name, text, counts, len_ms) text,
#include "limits_tbl.h"
#undef LIMIT_ROW
	};

	return (size_t)l < ARRAY_LEN(names) ? names[l] : "unknown";
}

void rows_limits_init(struct rows_limits *l)
{
	*l = (struct rows_limits){.concurrency = ROWS_NO_LIMIT,
				  .budget_nusd = ROWS_NO_LIMIT,
				  .budget = {.unit = WINDOW_MONTH}};
	for (size_t i = 0; i < ROWS_LIMIT_COUNT; i++)
		l->rate[i] = ROWS_NO_LIMIT;
}

bool rows_account_is_sound(const struct rows_account *a)
{
	money_wide sum = (money_wide)a->balance_nusd + a->held_nusd + a->settled_nusd;

	if (sum != a->granted_nusd || a->held_nusd < 0 || a->settled_nusd < 0 ||
	    a->uncollected_nusd < 0)
		return false;
	if (a->holds == 0 && a->held_nusd != 0)
		return false;
	return a->mode == ROWS_POSTPAID || a->balance_nusd >= -a->overdraft_nusd;
}

bool rows_models_allow(struct slice patterns, struct slice model)
{
	bool allowed = true, listed = false;
	struct slice line;

	for (bool more = patterns.n > 0; more;) {
		more = slice_cut(&patterns, '\n', &line);
		if (line.n == 0)
			continue;
		if (line.p[0] == '!') {
			if (slice_glob(slice_sub(line, 1, line.n - 1), model))
				return false;
			continue;
		}
		if (!listed)
			allowed = false;
		listed = true;
		allowed = allowed || slice_glob(line, model);
	}
	return allowed;
}
