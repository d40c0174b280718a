#include "call_steps.h"
#include "http1.h"
#include "reply.h"

/* The route's front and operation; false for routes of our own. */
static bool route_op(enum paths_route r, enum dialect_op *op)
{
	switch (r) {
	case PATHS_CHAT:
		*op = DIALECT_CHAT;
		return true;
	case PATHS_COMPLETIONS:
		*op = DIALECT_COMPLETIONS;
		return true;
	case PATHS_EMBEDDINGS:
		*op = DIALECT_EMBEDDINGS;
		return true;
	default:
		return false;
	}
}

static void answer_ready(struct call *c)
{
	struct slice body;
	int status = call_host_ready(c->host, &body);

	reply_body(c, status, "application/json", body);
}

/* Answers that need neither key nor log. */
static bool plain_answer(struct call *c)
{
	switch (c->path.route) {
	case PATHS_ROOT:
	case PATHS_HELLO:
		reply_body(c, 200, "application/json", SLICE_LIT("{\"name\":\"aigw\"}"));
		return true;
	case PATHS_HEALTHZ:
		reply_body(c, 200, "application/json", SLICE_LIT("{\"status\":\"ok\"}"));
		return true;
	case PATHS_READYZ:
		answer_ready(c);
		return true;
	default:
		return false;
	}
}

/* Whether one more request may run: in this worker, and for this address (trusted proxies answer for their clients). */
static bool take_room(struct call *c)
{
	const struct settings *set = call_set(c);
	enum errc e;

	if (c->host->count > (unsigned)set->limit_calls) {
		fault_set(&c->fault, FAULT_BUSY,
			  "This node has no room for another request now; try again in 1 second.");
		return false;
	}
	if (c->proxied)
		return true;
	e = addrs_take(&c->host->addrs, c->addr, (uint32_t)set->limit_calls_address);
	c->addr_counted = !e;
	if (e == ERRC_LIMIT)
		fault_set(
			&c->fault, FAULT_RATE_LIMIT,
			"Too many requests of this address at once (%lld); try again in 1 second.",
			(long long)set->limit_calls_address);
	else if (e)
		fault_errc(&c->fault, e, "request");
	return !e;
}

/* The request cannot be read. Its path, as far as it came, tells whose errors the client understands. */
static enum call_next refuse_unread(struct call *c)
{
	struct fault unused = {0};

	call_set_down_fault(c);
	if (c->head->target.n)
		(void)!paths_resolve(c->head->method, c->head->target, &c->path, &unused);
	return call_end(c, RECORD_END_REJECTED);
}

enum call_next step_start(struct call *c)
{
	enum errc e;

	if (!c->down)
		return call_end(c, RECORD_END_CLIENT_GONE);
	if (c->head->method.n)
		wish_read(&c->wish, c->head, &c->arena);
	if (c->down_fault.status)
		return refuse_unread(c);
	e = paths_resolve(c->head->method, c->head->target, &c->path, &c->fault);
	if (c->path.options) {
		c->unlogged = true;
		reply_preflight(c);
		return call_goto(c, CALL_SENT);
	}
	if (!e && c->head->expect_unknown)
		fault_set(&c->fault, FAULT_EXPECTATION, NULL);
	if (fault_is_set(&c->fault))
		return call_end(c, RECORD_END_REJECTED);
	c->unlogged = c->path.route == PATHS_ROOT || c->path.route == PATHS_HELLO ||
		      c->path.route == PATHS_HEALTHZ || c->path.route == PATHS_READYZ;
	if (plain_answer(c))
		return call_goto(c, CALL_SENT);
	if (route_op(c->path.route, &c->op))
		c->front = dialect_front(DIALECT_FRONT_OPENAI);
	if (!take_room(c))
		return call_end(c, RECORD_END_REJECTED);
	return CALL_MORE;
}
