/* Routes about the key's own account that the keeper answers: the request asks over the worker's link and waits for the answer, or for
 * ASK_MS. */
#include "call_steps.h"
#include "own_body.h"
#include "own_receipt.h"
#include "reply.h"

#define ASK_BODY_MAX (4 * 1024 * 1024)
#define ASK_MS       5000
#define SPENT_MS \
	1000 /* a key is told its limits without what it spent of late, if that takes longer */
#define ASK_ID_MAX 256

/* --- one request's record --- */

static enum errc take_id(struct call *c, struct buf *id)
{
	enum errc e = c->path.route == PATHS_RECEIPT ? buf_addz(id, c->path.id)
						     : paths_query(c->path.query, "id", id);

	if (e == ERRC_LIMIT || (!e && id->len > 0))
		return e; /* a longer one is nobody's */
	fault_field(&c->fault, FAULT_MISSING_FIELD, "id", "Name the generation: %s",
		    c->path.route == PATHS_RECEIPT ? "/v1/receipts/gen_..."
						   : "/v1/generation?id=gen_...");
	return ERRC_INVAL;
}

static enum errc ask_record(struct call *c)
{
	struct buf id;
	enum errc e;

	buf_init(&id, ASK_ID_MAX);
	e = take_id(c, &id);
	if (!e)
		e = c->host->env.lookup(c->host->env.arg, c->lookup.seq, buf_slice(&id),
					slice_str(c->key->id));
	buf_fini(&id);
	return e;
}

static enum errc write_record(struct call *c, struct buf *out)
{
	const struct msg_found *f = &c->lookup.found;

	return c->path.route == PATHS_RECEIPT
		       ? own_receipt(f, c->key->account_name, out)
		       : own_receipt_generation(f, c->key->account_name, out);
}

static void fail_record(struct call *c, enum errc e)
{
	if (e == ERRC_NOTFOUND || e == ERRC_LIMIT)
		fault_field(&c->fault, FAULT_NOT_FOUND, "id",
			    "This key has made no generation of that id, or its "
			    "record is no longer kept.");
}

/* --- what the key has used --- */

static enum errc key_usage(struct call *c, struct auth_usage *u)
{
	struct turn *t = call_turn(c);

	return auth_usage(c->host->env.live, c->key->account, c->key->id, SLICE_NONE,
			  turn_now_ms(t), turn_wall_ms(t), u);
}

static enum errc ask_report(struct call *c)
{
	struct own_usage *u = arena_new(&c->arena, struct own_usage);
	int64_t now = turn_wall_ms(call_turn(c));
	struct msg_report m;
	bool good;

	if (!u)
		return ERRC_NOMEM;
	c->lookup.usage = u;
	good = c->path.route == PATHS_USAGE
		       ? own_usage_read(c->path.query, now, u, &c->fault)
		       : own_usage_read_billing(c->path.query, now, u, &c->fault);
	if (!good || !own_usage_is_own(u, c->key, &c->fault))
		return ERRC_INVAL;
	m = (struct msg_report){.seq = c->lookup.seq,
				.account = c->key->account,
				.key = slice_str(c->key->id),
				.since_ms = u->since_ms,
				.until_ms = u->until_ms,
				.by = u->by,
				.model = own_usage_filter(u, OWN_USAGE_MODEL),
				.provider = own_usage_filter(u, OWN_USAGE_PROVIDER),
				.team = own_usage_filter(u, OWN_USAGE_TEAM),
				.tag = own_usage_filter(u, OWN_USAGE_TAG),
				.no_model = own_usage_is_none(u, OWN_USAGE_MODEL),
				.no_provider = own_usage_is_none(u, OWN_USAGE_PROVIDER),
				.no_tag = own_usage_is_none(u, OWN_USAGE_TAG),
				.limit = u->limit,
				.page = u->page};
	return c->host->env.report(c->host->env.arg, &m);
}

static enum errc write_report(struct call *c, struct buf *out)
{
	return own_usage_body(c->lookup.usage, c->key, &c->lookup.reported, out);
}

static enum errc write_billing(struct call *c, struct buf *out)
{
	struct auth_usage u;
	enum errc e = key_usage(c, &u);

	return e ? e : own_usage_billing(&c->lookup.reported, &u, out);
}

static void fail_report(struct call *c, enum errc e)
{
	if (e == ERRC_INVAL)
		fault_field(&c->fault, FAULT_INVALID_VALUE, "by",
			    "`by` names up to four of day, model, provider, key, account, team and "
			    "tag, with commas.");
	else if (e == ERRC_SYNTAX)
		fault_field(&c->fault, FAULT_INVALID_VALUE, "page",
			    "`page` is the `next_page` of an answer to the same `by`.");
	else if (e == ERRC_NOTFOUND)
		fault_field(&c->fault, FAULT_INVALID_VALUE, "team", "The account has no such team.");
	else if (e == ERRC_RANGE)
		fault_field(&c->fault, FAULT_INVALID_VALUE, "since",
			    "The records of a day that the span has a part of are no longer kept: "
			    "ask for whole days.");
	else if (e == ERRC_TRUNCATED)
		fault_field(&c->fault, FAULT_INVALID_VALUE, "since",
			    "The records of a day of the span are no longer kept: its end users "
			    "are not known. Ask from a later day on, or without `tag`.");
}

/* --- the key itself, with what it has spent of late where the keeper can say --- */

static enum errc ask_spent(struct call *c)
{
	const struct msg_report m = {.seq = c->lookup.seq,
				     .account = c->key->account,
				     .key = slice_str(c->key->id),
				     .since_ms = own_usage_spent_since(turn_wall_ms(call_turn(c))),
				     .until_ms = INT64_MAX,
				     .by = SLICE_LIT("day")};

	return c->host->env.report(c->host->env.arg, &m);
}

static enum errc write_key(struct call *c, struct buf *out)
{
	struct own_usage_spent spent;
	struct auth_usage u;
	bool known = !c->lookup.status &&
		     own_usage_spent(&c->lookup.reported, turn_wall_ms(call_turn(c)), &spent);
	enum errc e = key_usage(c, &u);

	return e ? e : own_body_key(c->key, &u, known ? &spent : NULL, out);
}

static void fail_key(struct call *c, enum errc e)
{
	fault_errc(&c->fault, e, "key");
}

/* --- asking and answering --- */

static const struct own_question {
	enum paths_route route;
	int64_t wait_ms;
	bool optional; /* the body is written without an answer too: then lookup.status says why */
	enum errc (*ask)(struct call *c);
	enum errc (*write)(struct call *c, struct buf *out); /* the body, from what was answered */
	void (*fail)(struct call *c, enum errc e); /* sets the fault of codes that mean something */
} questions[] = {
	{PATHS_KEY, SPENT_MS, true, ask_spent, write_key, fail_key},
	{PATHS_GENERATION, ASK_MS, false, ask_record, write_record, fail_record},
	{PATHS_RECEIPT, ASK_MS, false, ask_record, write_record, fail_record},
	{PATHS_USAGE, ASK_MS, false, ask_report, write_report, fail_report},
	{PATHS_BILLING_USAGE, ASK_MS, false, ask_report, write_billing, fail_report},
};

static const struct own_question *question_of(const struct call *c)
{
	const struct own_question *q = questions;

	while (q->route != c->path.route)
		require(++q < questions + ARRAY_LEN(questions));
	return q;
}

static void fail(struct call *c, enum errc e)
{
	if (!fault_is_set(&c->fault))
		question_of(c)->fail(c, e);
	if (!fault_is_set(&c->fault))
		fault_set(&c->fault, FAULT_LEDGER, "The ledger cannot be asked now: %s.",
			  errc_text(e));
}

/* What was answered, or why nothing was. */
static void reply(struct call *c, enum errc status)
{
	const struct own_question *q = question_of(c);
	struct buf body;
	enum errc e = q->optional ? ERRC_OK : status;

	c->lookup.status = status;
	buf_init(&body, ASK_BODY_MAX);
	if (!e)
		e = q->write(c, &body);
	if (e)
		fail(c, e);
	else
		reply_body(c, 200, "application/json", buf_slice(&body));
	buf_fini(&body);
}

static enum errc ask(struct call *c)
{
	enum errc e;

	c->lookup.seq = ++c->host->seq;
	e = question_of(c)->ask(c);
	if (e)
		c->lookup.seq = 0;
	return e;
}

void call_own_forget(struct call *c)
{
	c->lookup.seq = 0;
}

/* The call that asked; NULL: it has ended, or given up. */
static struct call *asker(struct call_host *h, uint64_t seq)
{
	list_each (n, &h->calls) {
		struct call *c = list_entry(n, struct call, node);

		if (seq != 0 && c->lookup.seq == seq)
			return c;
	}
	return NULL;
}

/* A copy that lives as long as the call. */
static struct slice keep(struct call *c, struct slice s)
{
	struct slice copy = arena_dup(&c->arena, s);

	if (s.n && !copy.p && !c->lookup.status)
		c->lookup.status = ERRC_NOMEM;
	return copy;
}

static void answered(struct call *c)
{
	c->lookup.answered = true;
	c->lookup.seq = 0;
	call_wake(c);
}

void call_host_found(struct call_host *h, const struct msg_found *m)
{
	struct call *c = asker(h, m->seq);

	if (!c)
		return;
	c->lookup.status = (enum errc)m->status;
	c->lookup.found = *m;
	c->lookup.found.record = keep(c, m->record);
	c->lookup.found.hash = keep(c, m->hash);
	c->lookup.found.price = keep(c, m->price);
	answered(c);
}

void call_host_reported(struct call_host *h, const struct msg_reported *m)
{
	struct call *c = asker(h, m->seq);

	if (!c)
		return;
	c->lookup.status = (enum errc)m->status;
	c->lookup.reported = *m;
	c->lookup.reported.rows = keep(c, m->rows);
	c->lookup.reported.next = keep(c, m->next);
	answered(c);
}

enum call_next call_own_ask(struct call *c)
{
	int64_t now = turn_now_ms(call_turn(c));
	enum errc e = ERRC_OK;

	if (c->lookup.answered) {
		turn_timer_clear(&c->timer);
		reply(c, c->lookup.status);
	} else if (!c->lookup.seq && (e = ask(c)) != ERRC_OK) {
		reply(c, e);
	} else if (c->lookup.until_ms && now >= c->lookup.until_ms) {
		reply(c, ERRC_TIMEOUT);
	} else {
		if (!c->lookup.until_ms)
			c->lookup.until_ms = now + question_of(c)->wait_ms;
		turn_timer_set(&c->timer, c->lookup.until_ms);
		return CALL_WAIT;
	}
	return call_end(c, fault_is_set(&c->fault) ? RECORD_END_REJECTED : RECORD_END_DONE);
}
