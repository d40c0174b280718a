/* Routes of the gateway's own: models, and what a key may know of itself. */
#include "call_steps.h"
#include "http1.h"
#include "models.h"
#include "own_body.h"
#include "reply.h"

#define OWN_BODY_MAX (4 * 1024 * 1024)
#define LOOKUP_MS    5000 /* so long has the keeper to look a generation up */

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

/* /v1/key and /v1/credits, from the key's rows now. */
static void own_account(struct call *c)
{
	struct turn *t = call_turn(c);
	struct auth_usage u;
	struct buf body;
	enum errc e = auth_usage(c->host->env.live, c->key->account, c->key->id, turn_now_ms(t),
				 turn_wall_ms(t), &u);

	buf_init(&body, OWN_BODY_MAX);
	if (!e)
		e = c->path.route == PATHS_KEY ? own_body_key(c->key, &u, &body)
					       : own_body_credits(&u, &body);
	if (e)
		fault_errc(&c->fault, e, "account");
	else
		reply_body(c, 200, "application/json", buf_slice(&body));
	buf_fini(&body);
}

static void reply_generation(struct call *c)
{
	struct buf body;
	enum errc e = c->lookup.status;

	buf_init(&body, OWN_BODY_MAX);
	if (!e)
		e = own_body_generation(c->lookup.record, &body);
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
		c->lookup.seq = ++c->host->seq;
		e = c->host->env.lookup(c->host->env.arg, c->lookup.seq, buf_slice(&id),
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
	c->lookup.seq = 0;
}

void call_host_found(struct call_host *h, uint64_t seq, enum errc status, struct slice record)
{
	list_each (n, &h->calls) {
		struct call *c = list_entry(n, struct call, node);

		if (c->lookup.seq != seq || seq == 0)
			continue;
		c->lookup.record = arena_dup(&c->arena, record);
		c->lookup.status = !status && !c->lookup.record.p ? ERRC_NOMEM : status;
		c->lookup.found = true;
		c->lookup.seq = 0;
		call_wake(c);
		return;
	}
}

/* Waits for the keeper's answer. */
static enum call_next own_generation(struct call *c)
{
	int64_t now = turn_now_ms(call_turn(c));

	if (c->lookup.found) {
		turn_timer_clear(&c->timer);
		reply_generation(c);
	} else if (!c->lookup.seq) {
		if (ask_generation(c))
			return call_end(c, RECORD_END_REJECTED);
		c->lookup.until_ms = now + LOOKUP_MS;
		turn_timer_set(&c->timer, c->lookup.until_ms);
		return CALL_WAIT;
	} else if (now >= c->lookup.until_ms) {
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
