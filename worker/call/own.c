/* Routes of the gateway's own: models, and what a key may know of itself. Bodies as OpenRouter's clients read them. */
#include <stdio.h>

#include "clock.h"
#include "json_out.h"
#include "log.h"
#include "models.h"
#include "http1.h"
#include "record.h"
#include "reply.h"

#define OWN_BODY_MAX (4 * 1024 * 1024)
#define LOOKUP_MS    5000

static bool allows(void *arg, const struct ptable_model *m)
{
	const struct call *c = arg;

	return rows_models_allow(slice_of(c->key->models, c->key->models_n), m->name);
}

static int64_t query_i64(struct call *c, const char *name)
{
	struct buf b;
	int64_t v = 0;

	buf_init(&b, 64);
	if (paths_query(c->path.query, name, &b) || !text_i64(buf_slice(&b), &v) || v < 0)
		v = 0;
	buf_fini(&b);
	return v;
}

/* 304 when the client has this very body. */
static void reply_tagged(struct call *c, struct slice body)
{
	struct buf *b = &c->host->scratch;
	struct down_answer a = {.status = 200};
	char tag[MODELS_ETAG_MAX];
	struct slice asked = http1_header(c->head, "if-none-match");
	enum errc e;

	models_etag(body, tag);
	if (slice_find(asked, slice_str(tag)) >= 0 || slice_is(asked, "*"))
		a.status = 304;
	if ((e = reply_lines(c, b)) || (e = http1_put_header(b, "etag", slice_str(tag))) ||
	    (e = http1_put_header(b, "cache-control", SLICE_LIT("private, no-cache"))) ||
	    (e = http1_put_header(b, "content-type", SLICE_LIT("application/json")))) {
		fault_errc(&c->fault, e, "models");
		return;
	}
	a.fields = buf_slice(b);
	c->status = a.status;
	c->end_sent = true;
	if (down_conn_answer(c->down, &a, &body, 1))
		down_conn_cut(c->down);
}

static void own_models(struct call *c)
{
	struct buf body, after;
	struct models_ask ask = {.allows = allows, .arg = c, .limit = query_i64(c, "limit")};
	enum errc e;

	buf_init(&body, OWN_BODY_MAX);
	buf_init(&after, LIMIT_MODEL_NAME);
	if (paths_query(c->path.query, "after_id", &after) == ERRC_OK)
		ask.after_id = buf_slice(&after);
	e = models_list(c->rt->t, &ask, &body);
	if (e)
		fault_errc(&c->fault, e, "models");
	else
		reply_tagged(c, buf_slice(&body));
	buf_fini(&after);
	buf_fini(&body);
}

static void own_model(struct call *c)
{
	const struct ptable_model *m = ptable_model(c->rt->t, slice_str(c->path.id));
	struct buf body;
	enum errc e;

	if (!m || !allows(c, m)) {
		fault_field(&c->fault, FAULT_MODEL_UNKNOWN, "model",
			    "There is no model `%.200s` here for this key; GET /v1/models lists "
			    "those that there are.",
			    c->path.id);
		return;
	}
	buf_init(&body, OWN_BODY_MAX);
	e = models_one(m, &body);
	if (e)
		fault_errc(&c->fault, e, "model");
	else
		reply_tagged(c, buf_slice(&body));
	buf_fini(&body);
}

static void put_dollars(struct json_out *o, const char *key, int64_t nusd)
{
	json_out_key(o, key);
	json_out_decimal(o, nusd, 9, 1);
}

static void put_time(struct json_out *o, const char *key, int64_t wall_s)
{
	char text[CLOCK_TEXT_MAX];

	if (wall_s > 0 && wall_s != WINDOW_NEVER)
		json_out_kstr(o, key, slice_of(text, clock_format_s(wall_s, text)));
	else
		json_out_knull(o, key);
}

static void put_limits(struct json_out *o, const struct auth_usage *u)
{
	json_out_key(o, "limits");
	json_out_arr(o);
	for (unsigned i = 0; i < ROWS_LIMIT_COUNT; i++) {
		if (u->limits.rate[i] == ROWS_NO_LIMIT)
			continue;
		json_out_obj(o);
		json_out_kstrz(o, "name", rows_limit_name((enum rows_limit)i));
		json_out_ki64(o, "limit", u->limits.rate[i]);
		json_out_ki64(o, "remaining", MAX_OF(u->limits.rate[i] - u->used[i], 0));
		json_out_obj_end(o);
	}
	if (u->limits.concurrency != ROWS_NO_LIMIT) {
		json_out_obj(o);
		json_out_kstrz(o, "name", "concurrency");
		json_out_ki64(o, "limit", u->limits.concurrency);
		json_out_ki64(o, "remaining", MAX_OF(u->limits.concurrency - (int64_t)u->holds, 0));
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void put_key(struct json_out *o, const struct call *c, const struct auth_usage *u)
{
	bool budget = u->limits.budget_nusd != ROWS_NO_LIMIT;
	char label[APIKEY_ID + 16];

	snprintf(label, sizeof(label), "sk-aigw-%s-...", c->key->id);
	json_out_kstrz(o, "label", label);
	json_out_kstrz(o, "name", c->key->name);
	json_out_kstrz(o, "account", c->key->account_name);
	if (budget) {
		put_dollars(o, "limit", u->limits.budget_nusd);
		put_dollars(o, "limit_remaining", MAX_OF(u->budget_left_nusd, 0));
		json_out_kstrz(o, "limit_reset", window_unit_name(u->limits.budget.unit));
		put_time(o, "limit_resets_at", u->budget_reset_s);
		put_dollars(o, "limit_usage", u->budget_used_nusd);
	} else {
		json_out_knull(o, "limit");
		json_out_knull(o, "limit_remaining");
		json_out_knull(o, "limit_reset");
	}
	put_dollars(o, "usage", u->charged_nusd);
	json_out_ki64(o, "requests", (int64_t)u->requests);
	json_out_ki64(o, "tokens", (int64_t)u->tokens);
	json_out_kbool(o, "is_free_tier", false);
	json_out_kbool(o, "is_management_key", false);
	put_time(o, "created_at", c->key->created_s);
	put_time(o, "expires_at", c->key->expires_s);
	put_limits(o, u);
}

static void put_credits(struct json_out *o, const struct auth_usage *u)
{
	put_dollars(o, "total_credits", u->granted_nusd);
	put_dollars(o, "total_usage", u->settled_nusd);
	put_dollars(o, "balance", u->balance_nusd);
	put_dollars(o, "held", u->held_nusd);
	put_dollars(o, "overdraft", u->overdraft_nusd);
	json_out_kbool(o, "postpaid", u->mode == ROWS_POSTPAID);
}

/* /v1/key and /v1/credits: {"data":{…}} from the key's rows now. */
static void own_account(struct call *c)
{
	struct turn *t = call_turn(c);
	struct auth_usage u;
	struct json_out o;
	struct buf body;
	enum errc e = auth_usage(c->host->env.live, c->key->account, c->key->id, turn_now_ms(t),
				 turn_wall_ms(t), &u);

	buf_init(&body, OWN_BODY_MAX);
	if (e)
		goto out;
	json_out_init(&o, &body);
	json_out_obj(&o);
	json_out_key(&o, "data");
	json_out_obj(&o);
	if (c->path.route == PATHS_KEY)
		put_key(&o, c, &u);
	else
		put_credits(&o, &u);
	json_out_obj_end(&o);
	json_out_obj_end(&o);
	e = json_out_end(&o);
	if (!e)
		reply_body(c, 200, "application/json", buf_slice(&body));
out:
	if (e)
		fault_errc(&c->fault, e, "account");
	buf_fini(&body);
}

static void put_attempts(struct json_out *o, const struct record_charge *r)
{
	json_out_key(o, "provider_responses");
	json_out_arr(o);
	for (size_t i = 0; i < r->attempts_n; i++) {
		json_out_obj(o);
		json_out_kstr(o, "provider_name", r->attempts[i].provider);
		json_out_kstr(o, "model", r->attempts[i].upstream);
		json_out_ki64(o, "status", r->attempts[i].status);
		json_out_ki64(o, "latency", r->attempts[i].ms);
		if (r->attempts[i].error.n)
			json_out_kstr(o, "error", r->attempts[i].error);
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void put_tokens(struct json_out *o, const struct record_charge *r)
{
	json_out_ki64(o, "tokens_prompt", usage_input_total(&r->usage));
	json_out_ki64(o, "tokens_completion", usage_output_total(&r->usage));
	json_out_ki64(o, "native_tokens_prompt", usage_input_total(&r->usage));
	json_out_ki64(o, "native_tokens_completion", usage_output_total(&r->usage));
	json_out_ki64(o, "native_tokens_reasoning", usage_reasoning(&r->usage));
	json_out_ki64(o, "native_tokens_cached", usage_get(&r->usage, USAGE_CACHE_READ));
	json_out_kbool(o, "usage_estimated", (r->flags & RECORD_ESTIMATED) != 0);
}

static void put_ms(struct json_out *o, const char *key, int64_t ms)
{
	if (ms >= 0)
		json_out_ki64(o, key, ms);
	else
		json_out_knull(o, key);
}

static void put_generation(struct json_out *o, const struct record_charge *r)
{
	char id[GENID_TEXT + 1];
	int64_t generation = r->total_ms >= 0 && r->first_byte_ms >= 0
				     ? r->total_ms - r->first_byte_ms
				     : r->total_ms;

	genid_print(&r->id, id);
	json_out_kstrz(o, "id", id);
	json_out_kstr(o, "upstream_id", r->upstream_id);
	json_out_kstr(o, "model", r->model.n ? r->model : r->model_asked);
	json_out_kstr(o, "model_asked", r->model_asked);
	json_out_kstr(o, "provider_name", r->provider);
	json_out_kbool(o, "streamed", (r->flags & RECORD_STREAM) != 0);
	json_out_kbool(o, "cancelled", r->end == RECORD_END_CLIENT_GONE);
	json_out_kstrz(o, "end", record_end_name(r->end));
	json_out_ki64(o, "status", r->status);
	put_dollars(o, "total_cost", r->charge_nusd);
	put_dollars(o, "usage", r->charge_nusd);
	put_tokens(o, r);
	put_ms(o, "latency", r->first_byte_ms);
	put_ms(o, "generation_time", generation);
	put_time(o, "created_at", r->admitted_ms / 1000);
	put_attempts(o, r);
}

static enum errc write_generation(struct slice bytes, struct buf *body)
{
	struct record r;
	struct json_out o;
	enum errc e = record_decode(bytes, &r);

	if (e)
		return e;
	if (r.type != RECORD_CHARGE)
		return ERRC_NOTFOUND;
	json_out_init(&o, body);
	json_out_obj(&o);
	json_out_key(&o, "data");
	json_out_obj(&o);
	put_generation(&o, &r.charge);
	json_out_obj_end(&o);
	json_out_obj_end(&o);
	return json_out_end(&o);
}

static void reply_generation(struct call *c)
{
	struct buf body;
	enum errc e = c->own_status;

	buf_init(&body, OWN_BODY_MAX);
	if (!e)
		e = write_generation(c->own_record, &body);
	if (e == ERRC_NOTFOUND)
		fault_field(&c->fault, FAULT_NOT_FOUND, "id",
			    "This key has made no generation of that id.");
	else if (e)
		fault_set(&c->fault, FAULT_LEDGER, "The ledger cannot be asked now: %s.",
			  errc_text(e));
	else
		reply_body(c, 200, "application/json", buf_slice(&body));
	buf_fini(&body);
}

static enum errc ask_generation(struct call *c)
{
	struct buf id;
	enum errc e;

	buf_init(&id, 256);
	e = paths_query(c->path.query, "id", &id);
	if (e || id.len == 0) {
		fault_field(&c->fault, FAULT_MISSING_FIELD, "id",
			    "Name the generation: /v1/generation?id=gen_...");
		e = ERRC_INVAL;
	} else {
		c->own_seq = ++c->host->seq;
		e = c->host->env.lookup(c->host->env.arg, c->own_seq, buf_slice(&id),
					slice_str(c->key->id));
		if (e)
			fault_set(&c->fault, FAULT_LEDGER, "The ledger cannot be asked now: %s.",
				  errc_text(e));
	}
	buf_fini(&id);
	return e;
}

void call_own_forget(struct call *c)
{
	c->own_seq = 0;
}

void call_host_found(struct call_host *h, uint64_t seq, enum errc status, struct slice record)
{
	list_each (n, &h->calls) {
		struct call *c = list_entry(n, struct call, node);

		if (c->own_seq != seq || seq == 0)
			continue;
		c->own_record = arena_dup(&c->arena, record);
		c->own_status = !status && !c->own_record.p ? ERRC_NOMEM : status;
		c->own_found = true;
		c->own_seq = 0;
		call_wake(c);
		return;
	}
}

/* Waits for the keeper's answer. */
static enum call_next own_generation(struct call *c)
{
	int64_t now = turn_now_ms(call_turn(c));

	if (c->own_found) {
		turn_timer_clear(&c->timer);
		reply_generation(c);
	} else if (!c->own_seq) {
		if (ask_generation(c))
			return call_end(c, RECORD_END_REJECTED);
		c->durable_until_ms = now + LOOKUP_MS;
		turn_timer_set(&c->timer, c->durable_until_ms);
		return CALL_WAIT;
	} else if (now >= c->durable_until_ms) {
		fault_set(&c->fault, FAULT_LEDGER, "The ledger did not answer in time.");
	} else {
		return CALL_WAIT;
	}
	return call_end(c, fault_is_set(&c->fault) ? RECORD_END_REJECTED : RECORD_END_DONE);
}

enum call_next step_own(struct call *c)
{
	switch (c->path.route) {
	case PATHS_MODELS:
		own_models(c);
		break;
	case PATHS_MODEL:
		own_model(c);
		break;
	case PATHS_KEY:
	case PATHS_CREDITS:
		own_account(c);
		break;
	case PATHS_GENERATION:
		return own_generation(c);
	default:
		fault_set(&c->fault, FAULT_INTERNAL, "This route is not wired.");
	}
	return call_end(c, fault_is_set(&c->fault) ? RECORD_END_REJECTED : RECORD_END_DONE);
}
