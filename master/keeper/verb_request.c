#include <stdio.h>

#include "clock.h"
#include "control_price.h"
#include "front.h"
#include "lookup.h"
#include "retain.h"
#include "text.h"
#include "verbs.h"

#define ROW_FIELDS 50
#define DAY_MS     INT64_C(86400000)
#define ID_SHOWN   128 /* bytes of one that is not there */

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
	f[n++] = u->tier ? CONTROL_S("tier", slice_str(usage_tier_name(u->tier)))
			 : CONTROL_N("tier");
	f[n++] = CONTROL_B("estimated", u->estimated);
	return n;
}

/* What a charge that was given back has cost us stays, as in reports. */
static size_t fill_money(struct control_field *f, const struct record_charge *c, bool reversed)
{
	int64_t kept_nusd = reversed ? 0 : c->charge_nusd;
	size_t n = 0;

	f[n++] = CONTROL_I("hold_nusd", c->hold_nusd);
	f[n++] = CONTROL_I("charge_nusd", c->charge_nusd);
	f[n++] = CONTROL_I("uncollected_nusd", c->uncollected_nusd);
	f[n++] = CONTROL_I("cost_nusd", c->cost_nusd);
	f[n++] = CONTROL_I("margin_nusd", kept_nusd - c->cost_nusd);
	f[n++] = CONTROL_B("charged", c->flags & RECORD_CHARGED);
	f[n++] = CONTROL_B("capped", c->flags & RECORD_CAPPED);
	return n;
}

static enum errc send_request(struct verbs *v, const struct record *r,
			      const struct lookup_found *found, struct slice account)
{
	const struct record_charge *c = &r->charge;
	char id[GENID_TEXT + 1], price[2 * DIGEST_SHA256 + 1], hash[2 * DIGEST_SHA256 + 1];
	struct control_field f[ROW_FIELDS];
	size_t n = 0;

	genid_print(&c->id, id);
	text_hex(c->price_hash, DIGEST_SHA256, price);
	text_hex(found->hash, DIGEST_SHA256, hash);
	f[n++] = CONTROL_S("id", slice_str(id));
	f[n++] = found->seq ? CONTROL_I("seq", found->seq) : CONTROL_N("seq");
	f[n++] = found->seq ? CONTROL_S("hash", slice_str(hash)) : CONTROL_N("hash");
	f[n++] = CONTROL_S("account", account);
	f[n++] = CONTROL_S("key", slice_of(c->key_id, APIKEY_ID));
	f[n++] = CONTROL_S("team", c->team);
	f[n++] = CONTROL_S("user", c->user);
	f[n++] = CONTROL_S("group", c->group);
	f[n++] = CONTROL_S("front", slice_str(front_name(c->front)));
	f[n++] = CONTROL_B("stream", c->flags & RECORD_STREAM);
	f[n++] = CONTROL_I("status", c->status);
	f[n++] = CONTROL_S("end", slice_str(record_end_name(c->end)));
	f[n++] = CONTROL_S("finish", c->finish);
	f[n++] = CONTROL_S("native_finish", c->native_finish);
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
	f[n++] = CONTROL_S("raw_usage", c->raw_usage);
	n += fill_money(f + n, c, found->reversed);
	f[n++] = CONTROL_S("price", slice_str(price));
	if (found->priced && found->price.request_nusd)
		f[n++] = CONTROL_I("request_price_nusd", found->price.request_nusd);
	f[n++] = CONTROL_B("reversed", found->reversed);
	require(n <= ROW_FIELDS);
	return verbs_row(v, "request", f, n);
}

static enum errc send_attempts(struct verbs *v, const struct record_charge *c)
{
	enum errc e = ERRC_OK;

	for (size_t i = 0; !e && i < c->attempts_n; i++) {
		const struct record_attempt *a = &c->attempts[i];
		const struct control_field f[] = {
			CONTROL_S("provider", a->provider), CONTROL_S("upstream", a->upstream),
			CONTROL_I("status", a->status),     CONTROL_I("start_ms", a->start_ms),
			time_or_none("ms", a->ms),          CONTROL_I("cost_nusd", a->cost_nusd),
			CONTROL_S("error", a->error)};

		e = verbs_row(v, "attempt", f, ARRAY_LEN(f));
	}
	return e;
}

static enum errc send_bill(struct verbs *v, const struct record_charge *c, const struct price *p)
{
	struct control_price r;
	struct bill b;
	enum errc e = ERRC_OK;

	bill_make(p, &c->usage, &b);
	for (size_t i = 0; !e && i < b.n; i++) {
		control_price_line(&r, &b.lines[i]);
		e = verbs_row(v, "class", r.f, r.n);
	}
	if (!e) {
		control_price_sum(&r, p, &b);
		e = verbs_row(v, "bill", r.f, r.n);
	}
	if (!e) {
		control_price_row(&r, p);
		e = verbs_row(v, "price", r.f, r.n);
	}
	return e;
}

/* Without its price row there are only the tokens. */
static enum errc send_classes(struct verbs *v, const struct record_charge *c,
			      const struct lookup_found *found)
{
	enum errc e = ERRC_OK;

	if (found->priced)
		return send_bill(v, c, &found->price);
	for (enum usage_class i = 0; !e && i < USAGE_COUNT; i++) {
		const struct control_field f[] = {CONTROL_S("class", slice_str(usage_name(i))),
						  CONTROL_I("tokens", c->usage.n[i]),
						  CONTROL_N("price_pusd")};

		if (usage_has(&c->usage, i))
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

static enum errc show(struct verbs *v, const struct lookup_found *found)
{
	struct slice account = SLICE_NONE;
	struct record r;
	struct buf mem;
	enum errc e = record_decode(buf_slice(&found->record), &r);

	buf_init(&mem, ROWS_MAX);
	if (!e)
		e = account_name(v, r.account, &mem, &account);
	if (!e)
		e = send_request(v, &r, found, account);
	if (!e)
		e = send_attempts(v, &r.charge);
	if (!e)
		e = send_classes(v, &r.charge, found);
	buf_fini(&mem);
	return e;
}

/* Whose record has gone with its day was a request all the same, for all that is known. */
static void end_none(struct verbs *v)
{
	struct slice id = verb_args_str(v->args, "id");
	char day[CLOCK_TEXT_MAX];
	struct genid g;
	uint32_t first;
	bool whole;
	enum errc e = retain_first_day(v->ledger, &first, &whole);

	if (!e && (first == 0 || (genid_parse(id, &g) && genid_ms(&g) >= first * DAY_MS)))
		e = ERRC_NOTFOUND;
	if (e) {
		verbs_end_errc(v, e, "request");
		return;
	}
	clock_format_ms(first * DAY_MS, day);
	verbs_end(v, CONTROL_NOT_FOUND, "removed",
		  "there is no record of '" SLICE_FMT "' any more, if there was one: those of days "
		  "before %.10s have been removed (ledger.retain_days, retain_bytes)",
		  SLICE_ARG(slice_sub(id, 0, ID_SHOWN)), day);
}

void verb_request(struct verbs *v)
{
	struct lookup_found found;
	enum errc e = lookup_find(v->live, v->ledger, verb_args_str(v->args, "id"), NULL, &found);

	if (!e)
		e = show(v, &found);
	lookup_fini(&found);
	if (e == ERRC_BUSY)
		verbs_end(v, CONTROL_REFUSED, "unavailable",
			  "the ledger is behind, and the request may be among those that wait for "
			  "it: try again");
	if (e == ERRC_NOTFOUND)
		end_none(v);
	verbs_end_errc(v, e, "request");
}
