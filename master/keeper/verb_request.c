#include "front.h"
#include "lookup.h"
#include "text.h"
#include "verbs.h"

#define ROW_FIELDS    40
#define REVERSED_MS   60000 /* a charge is taken back within seconds, or stands */
#define REVERSED_ROWS 200000

/* --- whether it was taken back --- */

struct reversal {
	const struct record *charge;
	unsigned seen;
	bool found;
};

/* ERRC_EOF: there is nothing to look for any more. */
static enum errc look_at(void *arg, const struct ledger_item *item)
{
	struct reversal *x = arg;
	struct record r;
	enum errc e = record_decode(item->record, &r);

	if (e)
		return e;
	x->found = r.type == RECORD_REVERSE && genid_eq(&r.change.id, &x->charge->charge.id);
	if (x->found || r.wall_ms > x->charge->wall_ms + REVERSED_MS || ++x->seen > REVERSED_ROWS)
		return ERRC_EOF;
	return ERRC_OK;
}

static enum errc was_reversed(struct verbs *v, const struct record *r, uint64_t seq, bool *yes)
{
	struct reversal x = {.charge = r};
	uint64_t at = seq + 1;
	enum errc e = seq ? ledger_walk(v->ledger, &at, UINT64_MAX, look_at, &x) : ERRC_OK;

	*yes = x.found;
	return e == ERRC_EOF ? ERRC_OK : e;
}

/* --- rows --- */

static struct control_field time_or_none(const char *name, int64_t ms)
{
	return (struct control_field){
		.name = slice_str(name), .type = ms < 0 ? CONTROL_T_NONE : CONTROL_T_I64, .i = ms};
}

static size_t fill_tokens(struct control_field *f, const struct usage *u)
{
	size_t n = 0;

	f[n++] = CONTROL_I("input", usage_input_total(u));
	f[n++] = CONTROL_I("cached", usage_get(u, USAGE_CACHE_READ));
	f[n++] = CONTROL_I("output", usage_output_total(u));
	f[n++] = CONTROL_I("reasoning", usage_reasoning(u));
	f[n++] = CONTROL_B("estimated", u->estimated);
	return n;
}

static enum errc send_request(struct verbs *v, const struct record *r, uint64_t seq,
			      struct slice account, bool reversed)
{
	const struct record_charge *c = &r->charge;
	char id[GENID_TEXT + 1], price[2 * DIGEST_SHA256 + 1];
	struct control_field f[ROW_FIELDS];
	struct price p;
	size_t n = 0;

	genid_print(&c->id, id);
	text_hex(c->price_hash, DIGEST_SHA256, price);
	f[n++] = CONTROL_S("id", slice_str(id));
	f[n++] = seq ? CONTROL_I("seq", seq) : CONTROL_N("seq");
	f[n++] = CONTROL_S("account", account);
	f[n++] = CONTROL_S("key", slice_of(c->key_id, APIKEY_ID));
	f[n++] = CONTROL_S("front", slice_str(front_name(c->front)));
	f[n++] = CONTROL_B("stream", c->flags & RECORD_STREAM);
	f[n++] = CONTROL_I("status", c->status);
	f[n++] = CONTROL_S("end", slice_str(record_end_name(c->end)));
	f[n++] = CONTROL_S("model_asked", c->model_asked);
	f[n++] = CONTROL_S("model", c->model);
	f[n++] = CONTROL_S("provider", c->provider);
	f[n++] = CONTROL_S("upstream", c->upstream);
	f[n++] = CONTROL_S("upstream_id", c->upstream_id);
	f[n++] = CONTROL_I("admitted_ms", c->admitted_ms);
	f[n++] = time_or_none("first_byte_ms", c->first_byte_ms);
	f[n++] = time_or_none("total_ms", c->total_ms);
	f[n++] = CONTROL_I("settled_ms", r->wall_ms);
	n += fill_tokens(f + n, &c->usage);
	f[n++] = CONTROL_I("hold_nusd", c->hold_nusd);
	f[n++] = CONTROL_I("charge_nusd", c->charge_nusd);
	f[n++] = CONTROL_I("uncollected_nusd", c->uncollected_nusd);
	f[n++] = CONTROL_I("cost_nusd", c->cost_nusd);
	f[n++] = CONTROL_S("price", slice_str(price));
	if (ledger_price(v->ledger, c->price_hash, &p) == ERRC_OK && p.request_nusd)
		f[n++] = CONTROL_I("request_price_nusd", p.request_nusd);
	f[n++] = CONTROL_B("reversed", reversed);
	require(n <= ROW_FIELDS);
	return verbs_row(v, "request", f, n);
}

static enum errc send_attempts(struct verbs *v, const struct record_charge *c)
{
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < c->attempts_n; i++) {
		const struct record_attempt *a = &c->attempts[i];
		const struct control_field f[] = {
			CONTROL_S("provider", a->provider),   CONTROL_S("upstream", a->upstream),
			CONTROL_I("status", a->status),       CONTROL_I("ms", a->ms),
			CONTROL_I("cost_nusd", a->cost_nusd), CONTROL_S("error", a->error)};

		e = verbs_row(v, "attempt", f, ARRAY_LEN(f));
	}
	return e;
}

static enum errc send_classes(struct verbs *v, const struct record_charge *c)
{
	struct price p;
	enum errc priced = ledger_price(v->ledger, c->price_hash, &p), e = ERRC_OK;

	for (unsigned i = 0; !e && i < USAGE_COUNT; i++) {
		const char *name = usage_name((enum usage_class)i);
		struct control_field f[] = {CONTROL_S("class", slice_str(name)),
					    CONTROL_I("tokens", c->usage.n[i]),
					    CONTROL_N("price_pusd")};

		if (!usage_has(&c->usage, (enum usage_class)i))
			continue;
		if (!priced)
			f[2] = CONTROL_I("price_pusd", p.pusd[i]);
		e = verbs_row(v, "class", f, ARRAY_LEN(f));
	}
	return e;
}

static enum errc account_name(struct verbs *v, uint64_t account, struct buf *mem, struct slice *name)
{
	struct rows_account a;
	enum errc e = admin_account_get(v->live, account, mem, &a);

	*name = e ? SLICE_LIT("?") : a.name;
	return e == ERRC_NOTFOUND ? ERRC_OK : e;
}

static enum errc show(struct verbs *v, struct slice record, uint64_t seq)
{
	struct slice account = SLICE_NONE;
	bool reversed = false;
	struct record r;
	struct buf mem;
	enum errc e = record_decode(record, &r);

	buf_init(&mem, ROWS_MAX);
	if (!e)
		e = account_name(v, r.account, &mem, &account);
	if (!e)
		e = was_reversed(v, &r, seq, &reversed);
	if (!e)
		e = send_request(v, &r, seq, account, reversed);
	if (!e)
		e = send_attempts(v, &r.charge);
	if (!e)
		e = send_classes(v, &r.charge);
	buf_fini(&mem);
	return e;
}

void verb_request(struct verbs *v)
{
	struct buf record;
	uint64_t seq;
	enum errc e;

	buf_init(&record, RECORD_MAX);
	e = lookup_find(v->live, v->ledger, verb_args_str(v->args, "id"), NULL, &record, &seq);
	if (!e)
		e = show(v, buf_slice(&record), seq);
	buf_fini(&record);
	verbs_end_errc(v, e, "request");
}
