/* Routes of the gateway's own: models, and what a key may know of itself. */
#include "call_steps.h"
#include "http1.h"
#include "models.h"
#include "own_body.h"
#include "reply.h"

#define OWN_BODY_MAX (4 * 1024 * 1024)

static bool allows(void *arg, const struct ptable_model *m)
{
	const struct call *c = arg;

	return rows_lists_allow(slice_of(c->key->models, c->key->models_n), m->name);
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

static struct models_ask models_of(struct call *c)
{
	return (struct models_ask){.allows = allows,
				   .arg = c,
				   .now_s = turn_wall_ms(call_turn(c)) / 1000,
				   .mult_ppm = call_mult_ppm(c)};
}

static void own_models(struct call *c)
{
	struct buf body, after;
	struct models_ask ask = models_of(c);
	enum errc e;

	buf_init(&body, OWN_BODY_MAX);
	buf_init(&after, LIMIT_MODEL_NAME);
	ask.limit = query_i64(c, "limit");
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
	struct models_ask ask = models_of(c);
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
	e = models_one(m, &ask, &body);
	if (e)
		fault_errc(&c->fault, e, "model");
	else
		reply_tagged(c, buf_slice(&body));
	buf_fini(&body);
}

/* From the key's rows now. */
static void own_account(struct call *c)
{
	struct turn *t = call_turn(c);
	struct auth_usage u;
	struct buf body;
	enum errc e = auth_usage(c->host->env.live, c->key->account, c->key->id, SLICE_NONE,
				 turn_now_ms(t), turn_wall_ms(t), &u);

	buf_init(&body, OWN_BODY_MAX);
	if (!e)
		e = c->path.route == PATHS_CREDITS ? own_body_credits(&u, &body)
						   : own_usage_subscription(c->key, &u, &body);
	if (e)
		fault_errc(&c->fault, e, "account");
	else
		reply_body(c, 200, "application/json", buf_slice(&body));
	buf_fini(&body);
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
	case PATHS_CREDITS:
	case PATHS_BILLING_SUBSCRIPTION:
		own_account(c);
		break;
	case PATHS_KEY:
	case PATHS_GENERATION:
	case PATHS_RECEIPT:
	case PATHS_USAGE:
	case PATHS_BILLING_USAGE:
		return call_own_ask(c);
	default:
		fault_set(&c->fault, FAULT_INTERNAL, "This route is not wired.");
	}
	return call_end(c, fault_is_set(&c->fault) ? RECORD_END_REJECTED : RECORD_END_DONE);
}
