#include "call_steps.h"
#include "credential.h"
#include "http1.h"
#include "reply.h"

#define CREDENTIAL_MAX 512
#define CLIENT_MARGIN_MS \
	2000 /* contract A7: the gateway ends a request so much before its client would */
#define CLIENT_LEAST_MS 1000

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

static struct slice keep(struct call *c, const char *name, size_t max)
{
	struct slice v = http1_header(c->head, name);

	return v.n ? arena_dup(&c->arena, slice_sub(v, 0, max)) : SLICE_NONE;
}

/* For a header that crosses to the provider: other bytes than printable ASCII do not, so the header stays here. */
static struct slice cross(struct call *c, const char *name, size_t max)
{
	struct slice v = keep(c, name, max);

	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x20 || v.p[i] > 0x7e)
			return SLICE_NONE;
	return v;
}

/* Visible ASCII only: it is logged and echoed. */
static struct slice client_id(struct call *c)
{
	struct slice v = http1_header(c->head, "x-client-request-id");

	if (!v.n)
		v = http1_header(c->head, "x-request-id");
	if (v.n > LIMIT_CLIENT_ID)
		return SLICE_NONE;
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < 0x21 || v.p[i] > 0x7e)
			return SLICE_NONE;
	return v.n ? arena_dup(&c->arena, v) : SLICE_NONE;
}

/* Seconds of the SDK's announced time-out, as milliseconds less the margin. A client that waits 3 s or less still gets an answer that comes
 * in the first second, or in half of its time. */
static int64_t announced_ms(struct call *c, const char *name)
{
	int64_t ms;

	if (text_decimal(http1_header(c->head, name), 3, &ms) || ms <= 0)
		return 0;
	return MAX_OF(ms - CLIENT_MARGIN_MS, MAX_OF(MIN_OF(ms / 2, CLIENT_LEAST_MS), 1));
}

static void read_wishes(struct call *c)
{
	struct call_wish *w = &c->wish;
	int64_t read;

	w->no_fallback = slice_is(http1_header(c->head, "x-aigw-no-fallback"), "1");
	w->clamp = slice_is(http1_header(c->head, "x-aigw-clamp"), "1");
	w->keepalive_off = slice_ieq(http1_header(c->head, "x-aigw-keepalive"), SLICE_LIT("off"));
	w->timeout_ms = announced_ms(c, "x-stainless-timeout");
	read = announced_ms(c, "x-stainless-read-timeout");
	if (read && (!w->timeout_ms || read < w->timeout_ms))
		w->timeout_ms = read;
	w->client_id = client_id(c);
	w->origin = keep(c, "origin", 512);
	w->anthropic_beta = cross(c, "anthropic-beta", 1024);
	w->anthropic_version = cross(c, "anthropic-version", 64);
	w->openai_beta = cross(c, "openai-beta", 1024);
	w->traceparent = cross(c, "traceparent", 128);
	w->tracestate = cross(c, "tracestate", 1024);
}

/* Why the head could not be read, as a fault of its status. */
static void set_down_fault(struct call *c)
{
	static const struct {
		int status;
		enum fault_kind kind;
	} kinds[] = {{400, FAULT_BAD_REQUEST}, {408, FAULT_REQUEST_TIMEOUT},
		     {413, FAULT_TOO_LARGE},   {414, FAULT_URI_TOO_LONG},
		     {415, FAULT_ENCODING},    {431, FAULT_HEADERS_TOO_LARGE}};
	const struct down_fault *df = &c->down_fault;
	enum fault_kind kind = FAULT_BAD_REQUEST;

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (kinds[i].status == df->status)
			kind = kinds[i].kind;
	fault_set(&c->fault, kind, "%s", df->text);
}

/* Answers that need neither key nor log. */
static bool plain_answer(struct call *c)
{
	struct page *p = c->host->env.page;
	bool good = atomic_load(page_gauge(p, PAGE_LEDGER_STATE)) == PAGE_LEDGER_GOOD;
	bool ready = !c->host->draining && !page_is_draining(p, c->host->env.generation) && good;

	switch (c->path.route) {
	case PATHS_ROOT:
	case PATHS_HELLO:
		reply_body(c, 200, "application/json", SLICE_LIT("{\"name\":\"aigw\"}"));
		return true;
	case PATHS_HEALTHZ:
		reply_body(c, 200, "application/json", SLICE_LIT("{\"status\":\"ok\"}"));
		return true;
	case PATHS_READYZ:
		reply_body(c, ready ? 200 : 503, "application/json",
			   ready  ? SLICE_LIT("{\"status\":\"ready\"}")
			   : good ? SLICE_LIT("{\"status\":\"draining\"}")
				  : SLICE_LIT("{\"status\":\"ledger_unavailable\"}"));
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
	if (c->peer.trusted)
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

enum call_next step_start(struct call *c)
{
	enum errc e;

	if (!c->down)
		return call_end(c, RECORD_END_CLIENT_GONE);
	if (c->head->method.n)
		read_wishes(c);
	if (c->down_fault.status) {
		set_down_fault(c);
		return call_end(c, RECORD_END_REJECTED);
	}
	e = paths_resolve(c->head->method, c->head->target, &c->path, &c->fault);
	if (c->path.options) {
		c->unlogged = true;
		reply_preflight(c);
		return call_goto(c, CALL_SENT);
	}
	if (e)
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

static void auth_fault(struct call *c, enum auth_result r, const struct credential *cr)
{
	int n = (int)cr->id.n;
	const char *id = cr->id.p ? cr->id.p : "";

	switch (r) {
	case AUTH_REVOKED:
		fault_set(&c->fault, FAULT_KEY_INVALID,
			  "The API key `%.*s` (header `%s`) was revoked.", n, id, cr->where);
		break;
	case AUTH_EXPIRED:
		fault_set(&c->fault, FAULT_KEY_INVALID,
			  "The API key `%.*s` (header `%s`) has expired.", n, id, cr->where);
		break;
	case AUTH_SUSPENDED:
		fault_set(&c->fault, FAULT_SUSPENDED, "The account of API key `%.*s` is suspended.",
			  n, id);
		break;
	case AUTH_IP:
		fault_set(&c->fault, FAULT_IP_DENIED,
			  "The API key `%.*s` may not be used from this address.", n, id);
		break;
	default:
		if (n)
			fault_set(&c->fault, FAULT_KEY_INVALID,
				  "The API key `%.*s` in `%s` is not known here.", n, id, cr->where);
		else
			fault_set(&c->fault, FAULT_KEY_INVALID,
				  "What `%s` holds is not an API key of this gateway (they begin "
				  "with `sk-aigw-`).",
				  cr->where);
	}
}

/* Tries the credentials in their order; the first value that is a known key counts. */
static enum errc look_up(struct call *c, const struct credential *cr, size_t n,
			 enum auth_result *result, size_t *at)
{
	struct auth_key *key = arena_new(&c->arena, struct auth_key);
	uint8_t hash[DIGEST_SHA256];

	if (!key)
		return ERRC_NOMEM;
	*result = AUTH_UNKNOWN;
	for (size_t i = 0; i < n && *result == AUTH_UNKNOWN; i++) {
		enum errc e;

		if (!cr[i].id.n)
			continue;
		*at = i;
		apikey_hash(c->host->env.pepper, cr[i].value, hash);
		e = auth_lookup(c->host->env.live, hash, c->addr, turn_wall_ms(call_turn(c)) / 1000,
				result, key);
		if (e)
			return e;
	}
	if (*result != AUTH_UNKNOWN)
		c->key = key;
	return ERRC_OK;
}

enum call_next step_auth(struct call *c)
{
	struct credential cr[CREDENTIAL_PLACES];
	enum auth_result result = AUTH_UNKNOWN;
	struct buf query;
	size_t n, at = 0;
	enum errc e = ERRC_OK;

	buf_init(&query, CREDENTIAL_MAX);
	n = credential_find(c->head, &c->path, &query, cr);
	if (n == 0)
		fault_set(&c->fault, FAULT_KEY_INVALID,
			  "No API key was given: send it as `authorization: Bearer sk-aigw-...` or "
			  "`x-api-key`.");
	else if ((e = look_up(c, cr, n, &result, &at)))
		fault_errc(&c->fault, e, "key lookup");
	else if (result != AUTH_OK)
		auth_fault(c, result, &cr[at]);
	if (query.p)
		secret_wipe(query.p, query.cap);
	buf_fini(&query);
	if (fault_is_set(&c->fault))
		return call_end(c, e ? RECORD_END_INTERNAL : RECORD_END_REJECTED);
	return c->front ? call_goto(c, CALL_BODY) : CALL_MORE;
}
