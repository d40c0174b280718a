#include "call_steps.h"
#include "progress.h"

#include <stdio.h>

#include "http1.h"
#include "log.h"

#define LINES_MAX       (32 * 1024)
#define LINES_FIRST     512 /* what most requests need */
#define STREAM_STEP     4096
#define ERROR_BODY_MAX  (64 * 1024)
#define EVENTS_SIGN_MAX 64                 /* so far a body may be one of events all the same */
#define OUT_MAX         (96 * 1024 * 1024) /* above any whole answer or frame that is understood */
#define LEARNED_MS      60000 /* learned remaining counts are forgotten after the usual window */

struct slice call_attempt_credential(const struct call_attempt *a)
{
	return a->key ? secret_reveal(&a->key->key->secret) : SLICE_NONE;
}

/* A line of the provider's head, without our credential, should it be repeated there. */
static struct slice keep(struct call *c, const struct http1_head *h, const char *name, size_t max)
{
	struct slice v = http1_header(h, name);

	char *p = v.n ? arena_get(&c->arena, MIN_OF(v.n, max)) : NULL;

	if (!p)
		return SLICE_NONE;
	memcpy(p, v.p, MIN_OF(v.n, max));
	secret_hide(p, MIN_OF(v.n, max), call_attempt_credential(c->attempt));
	return slice_of(p, MIN_OF(v.n, max));
}

/* The provider's remaining counts: a key that is used up is left alone until they come back. */
static void learn_limits(struct call *c, const struct http1_head *h)
{
	struct rtable_key *k = c->attempt->key;
	int64_t requests = -1, tokens = -1;

	if (!k || !k->health)
		return;
	if (!text_i64(http1_header(h, "x-ratelimit-remaining-requests"), &requests))
		requests = -1;
	if (!text_i64(http1_header(h, "x-ratelimit-remaining-tokens"), &tokens))
		tokens = -1;
	if (requests >= 0 || tokens >= 0)
		breaker_key_learn(k->health, requests, tokens,
				  turn_now_ms(call_turn(c)) + LEARNED_MS);
}

static void on_sent(void *arg)
{
	struct call *c = arg;

	c->attempt->sent_us = turn_now_us(call_turn(c));
}

/* Whether the answer is an event stream, as its head says. */
static bool is_event_stream(const struct http1_head *h)
{
	struct slice type = http1_header(h, "content-type");

	return type.n >= 17 && slice_ieq(slice_sub(type, 0, 17), SLICE_LIT("text/event-stream"));
}

static void on_head(void *arg, const struct http1_head *h)
{
	struct call *c = arg;
	struct call_attempt *a = c->attempt;

	a->head = true;
	a->status = h->status;
	a->head_us = call_now_us();
	a->seen_us = turn_now_us(call_turn(c));
	a->stream = is_event_stream(h);
	a->error = h->status != 200 || a->stream != c->facts.stream;
	a->up_request_id = keep(c, h, "x-request-id", 128);
	if (!a->up_request_id.n)
		a->up_request_id = keep(c, h, "request-id", 128);
	a->retry_after = keep(c, h, "retry-after", 64);
	a->retry_after_ms = keep(c, h, "retry-after-ms", 64);
	a->should_retry = keep(c, h, "x-should-retry", 16);
	a->openai_ms = keep(c, h, "openai-processing-ms", 32);
	learn_limits(c, h);
	call_wake(c);
}

/* Before the last word, what came beyond it counts as well: as call_used() of a cut has it. */
static void note_usage(struct call *c, struct progress_slot *s)
{
	const struct relay *r = &c->attempt->relay;
	struct usage u;

	call_reported(c, &u);
	if (!relay_is_reported(r) && c->op != DIALECT_EMBEDDINGS)
		u.estimated |= relay_more(r, &u);
	/* What was seen of it is no more than that any longer. */
	usage_set(&u, USAGE_REASONING, usage_get(&u, USAGE_REASONING));
	progress_usage(s, &u, r->reported && r->usage_positive);
}

/* Progress stands in shared memory before the bytes can go to the client. */
static void note_gain(struct call *c, const struct relay_gain *g)
{
	const struct relay *r = &c->attempt->relay;
	struct progress_slot *s;

	if (c->slot == PROGRESS_NO_SLOT)
		return; /* settled: only the rest of the framing can come */
	s = progress_at(live_progress(c->host->env.live), c->slot);
	if (g->events || g->bytes)
		progress_seen(s, relay_seen(r));
	if (r->reasoning_bytes && !r->usage_positive && !relay_is_reported(r))
		progress_reasoning(s, relay_seen_reasoning(r));
	/* What more of an answer comes changes how its output is divided, and is more than was reported. */
	if (g->usage || relay_has_media(r) || (r->reported && (g->finish || g->events)))
		note_usage(c, s);
	if (g->finish)
		progress_finish(s);
}

/* A transport reads several times before the call gets its turn. A stream's next reads wait for that turn once this much is there, so
 * that what stands in memory for a client that does not read stays below 64 KiB. */
static void mind_size(struct call *c)
{
	struct call_attempt *a = c->attempt;

	if (!c->facts.stream || a->paused || a->relay.out.len < STREAM_STEP)
		return;
	a->paused = true;
	up_conn_read_stop(a->up);
}

/* Whether a body that was not announced as events begins as they do. */
static bool begins_as_events(struct slice s)
{
	static const char *const fields[] = {"data:", "event:", "id:", "retry:", ":"};

	s = slice_trim(s);
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (slice_has_prefix(s, slice_str(fields[i])))
			return true;
	return false;
}

/* The body of an error answer is kept. A stream of events under another content type, as some servers send it, is none: its first bytes tell,
 * and *data becomes what was kept of them. */
static bool is_error_body(struct call *c, struct slice *data)
{
	struct call_attempt *a = c->attempt;
	bool early = a->body.len < EVENTS_SIGN_MAX;

	if (!a->error)
		return false;
	a->too_long = data->n > ERROR_BODY_MAX - a->body.len;
	(void)!buf_adds(&a->body, slice_sub(*data, 0, ERROR_BODY_MAX - a->body.len));
	if (!early || a->status != 200 || !c->facts.stream || a->stream ||
	    !begins_as_events(buf_slice(&a->body)))
		return true;
	a->error = false;
	a->stream = true;
	*data = buf_slice(&a->body);
	return false;
}

static void on_body(void *arg, struct slice data)
{
	struct call *c = arg;
	struct call_attempt *a = c->attempt;
	struct relay_gain gain = {0};

	a->seen_us = turn_now_us(call_turn(c));
	if (!is_error_body(c, &data)) {
		relay_push(&a->relay, data, &c->arena, &gain);
		note_gain(c, &gain);
		mind_size(c);
	}
	call_wake(c);
}

static void on_end(void *arg)
{
	struct call *c = arg;
	struct relay_gain gain = {0};

	c->attempt->ended = true;
	if (!c->attempt->error) {
		relay_finish(&c->attempt->relay, &c->arena, &gain);
		note_gain(c, &gain);
	}
	call_wake(c);
}

static void on_fail(void *arg, const struct up_conn_fail *f)
{
	struct call *c = arg;
	struct call_attempt *a = c->attempt;

	a->failed = true;
	a->stale = f->stale;
	a->errc = f->errc;
	a->phase = f->phase;
	snprintf(a->why, sizeof(a->why), "%s", f->why ? f->why : errc_text(f->errc));
	call_wake(c);
}

static const struct up_conn_events events = {.on_sent = on_sent,
					     .on_head = on_head,
					     .on_body = on_body,
					     .on_end = on_end,
					     .on_fail = on_fail};

int64_t call_price(const struct call *c, const struct usage *u)
{
	struct usage all = *u;

	call_pieces(c, &all);
	return price_cost(
		hold_price(&c->hold_candidates[c->attempt->at], usage_input_total(u), all.tier),
		&all);
}

/* What is charged, or, where usage goes out before its answer's end, what will be for all that came so far: the same as long as no more
 * output follows that is not reported. */
static int64_t charge_of(void *arg, const struct usage *said)
{
	const struct call *c = arg;
	struct usage u;
	int64_t cost;

	(void)said;
	if (c->hold == CALL_HOLD_ENDED)
		return c->done.charge_nusd;
	call_used(c, false, &u);
	cost = call_price(c, &u);
	return call_is_capped(c, &u) ? MIN_OF(cost, c->grant.hold.hold_nusd) : cost;
}

/* Up to the hold it is the account's. */
static bool is_paid(void *arg)
{
	const struct call *c = arg;
	struct usage u;

	if (c->hold == CALL_HOLD_ENDED)
		return true;
	call_used(c, false, &u);
	return call_is_capped(c, &u) || call_price(c, &u) <= c->grant.hold.hold_nusd;
}

/* What comes as content of a choice and is none: a prompt that was asked back, of a list the mean. */
static int64_t echoed(const struct call *c)
{
	int64_t texts = MAX_OF(c->facts.bound.texts, 1);

	return c->facts.echo ? (c->route.v[c->attempt->at].input_bound + texts - 1) / texts : 0;
}

static int64_t output_asked(const struct call *c)
{
	int64_t a_choice = c->grant.hold.cap[c->attempt->at] + c->route.v[c->attempt->at].beside +
			   echoed(c);
	int64_t asked;

	return __builtin_mul_overflow(a_choice, MAX_OF(c->facts.copies, 1), &asked) ? INT64_MAX
										    : asked;
}

/* Tokens of output that the hold pays beside this input, the reported reasoning among them: the largest number whose cost it covers. */
static int64_t room_of(void *arg, const struct usage *reported)
{
	struct call *c = arg;
	const struct relay *r = &c->attempt->relay;
	int64_t hold = c->grant.hold.hold_nusd, low = -1, high = USAGE_MAX;
	struct usage u = *reported;

	usage_divide(&u, relay_seen(r) + (int64_t)r->media_events,
		     c->route.v[c->attempt->at].input_bound);
	usage_set(&u, USAGE_REASONING, relay_reasoning(r));
	if (usage_input_total(&u) == 0)
		usage_set(&u, USAGE_INPUT, c->route.v[c->attempt->at].input_likely);
	usage_set(&u, USAGE_OUTPUT_AUDIO, relay_sound(r));
	usage_set(&u, USAGE_OUTPUT_IMAGE, relay_pictures(r));
	usage_set(&u, USAGE_OUTPUT, high);
	if (call_price(c, &u) <= hold)
		return INT64_MAX;
	while (high - low > 1) {
		int64_t middle = low + (high - low) / 2;

		usage_set(&u, USAGE_OUTPUT, middle);
		if (call_price(c, &u) <= hold)
			low = middle;
		else
			high = middle;
	}
	return low + relay_sound(r) + relay_pictures(r) + echoed(c) * MAX_OF(c->facts.copies, 1);
}

static enum errc write_request(struct call *c, const struct dialect_back *back, struct fault *f)
{
	struct call_attempt *a = c->attempt;
	const struct route_candidate *r = &c->route.v[a->at];
	bool same = dialect_is_same(c->front, back);
	int64_t cap = c->grant.hold.cap[a->at];
	struct dialect_ask ask = {.scan = c->scan,
				  .front = c->front->id,
				  .facts = &c->facts,
				  .body = buf_slice(&c->body),
				  .offer = r->offer,
				  .model = r->model,
				  .cap = cap == c->facts.cap && same ? 0 : cap,
				  .anthropic_beta = c->wish.anthropic_beta,
				  .anthropic_version = c->wish.anthropic_version,
				  .openai_beta = c->wish.openai_beta,
				  .arena = &c->arena};

	ask.ir = same ? NULL : c->ir;
	return back->write_request(&ask, &a->req, f);
}

static enum errc write_lines(struct call *c)
{
	struct call_attempt *a = c->attempt;
	struct buf *b = &a->lines;
	struct slice key = a->key ? secret_reveal(&a->key->line) : SLICE_NONE;
	char *room;
	enum errc e;

	if ((e = buf_reserve(b, LINES_FIRST, &room)) ||
	    (e = http1_put_request(b, SLICE_LIT("POST"), a->req.path)) ||
	    (e = buf_adds(b, buf_slice(&a->provider->fixed))) || (e = buf_adds(b, key)) ||
	    (e = http1_put_header(b, "accept",
				  c->facts.stream ? SLICE_LIT("text/event-stream")
						  : SLICE_LIT("application/json"))) ||
	    (e = http1_put_header_i64(b, "content-length", (int64_t)a->req.body_bytes)))
		return e;
	for (unsigned i = 0; i < a->req.headers_n; i++)
		if ((e = http1_put_header(b, a->req.headers[i].name, a->req.headers[i].value)))
			return e;
	if (c->wish.traceparent.n && (e = http1_put_header(b, "traceparent", c->wish.traceparent)))
		return e;
	if (c->wish.tracestate.n && (e = http1_put_header(b, "tracestate", c->wish.tracestate)))
		return e;
	return http1_put_end(b);
}

static enum errc send_request(struct call *c)
{
	struct call_attempt *a = c->attempt;
	struct slice v[XPORT_IOV_MAX];
	size_t n = 0;

	v[n++] = buf_slice(&a->lines);
	if (a->req.body_n < XPORT_IOV_MAX) {
		for (unsigned i = 0; i < a->req.body_n; i++)
			v[n++] = a->req.body[i];
	} else {
		char *joined = arena_get(&c->arena, a->req.body_bytes);
		size_t at = 0;

		if (!joined)
			return ERRC_NOMEM;
		for (unsigned i = 0; i < a->req.body_n; at += a->req.body[i++].n)
			memcpy(joined + at, a->req.body[i].p, a->req.body[i].n);
		v[n++] = slice_of(joined, at);
	}
	return up_conn_send(a->up, v, n, false);
}

static enum errc init_relay(struct call *c, const struct dialect_back *back)
{
	struct call_attempt *a = c->attempt;
	struct relay_opts o = {.front = c->front,
			       .back = back,
			       .facts = &c->facts,
			       .env = &c->env,
			       .provider = a->provider->p,
			       .arena = &c->arena,
			       .stream = c->facts.stream,
			       .whole_bytes = (size_t)call_set(c)->limit_answer_buffer_bytes,
			       .out_max = OUT_MAX,
			       .output_asked = output_asked(c),
			       .picture_tokens = c->route.v[a->at].model->output_image_tokens,
			       .room = room_of,
			       .room_arg = c};

	c->env = (struct dialect_env){.now_s = turn_wall_ms(call_turn(c)) / 1000,
				      .gen_id = slice_str(c->id_text),
				      .model = c->route.v[a->at].model->name,
				      .cost = charge_of,
				      .is_paid = is_paid,
				      .arg = c};
	return relay_init(&a->relay, &o);
}

enum errc call_attempt_start(struct call *c)
{
	struct call_attempt *a = c->attempt;
	const struct dialect_back *back = dialect_back(a->provider->p->dialect);
	struct progress_slot *s = progress_at(live_progress(c->host->env.live), c->slot);
	struct usage input;
	enum errc e;

	buf_init(&a->lines, LINES_MAX);
	buf_init(&a->body, ERROR_BODY_MAX);
	a->start_us = call_now_us();
	a->seen_us = turn_now_us(call_turn(c));
	if ((e = write_request(c, back, &c->fault)) || (e = write_lines(c)) ||
	    (e = init_relay(c, back)) ||
	    (e = upool_borrow(a->provider->ep, a->fresh, &events, c, &a->up)) ||
	    (e = send_request(c)))
		return e;
	progress_attempt(s, (uint32_t)c->grant.index[a->at]);
	call_attempt_note(c, 0, -1, false);
	usage_init(&input);
	usage_set(&input, USAGE_INPUT, c->route.v[a->at].input_likely);
	call_pieces(c, &input);
	progress_usage(s, &input, false);
	if (a->provider->health)
		breaker_request_count(a->provider->health, turn_now_ms(call_turn(c)));
	return ERRC_OK;
}

void call_attempt_verdict(struct call *c, int ok)
{
	struct call_attempt *a = c->attempt;

	if (!a->breaker)
		return;
	if (ok >= 0)
		breaker_report(a->breaker, &c->rt->breaker, turn_now_ms(call_turn(c)), ok > 0,
			       a->probe, text_rng_next(&c->host->rng));
	else if (a->probe)
		breaker_probe_release(a->breaker, c->host->env.page_slot);
	a->breaker = NULL;
}

void call_attempt_stop(struct call *c)
{
	struct call_attempt *a = c->attempt;

	if (a->up)
		upool_forget(&a->up);
	log_warn("hold_used_up",
		 "request %s: provider %.*s sent more than it was asked for; the stream was ended",
		 c->id_text, (int)a->provider->p->name.n, a->provider->p->name.p);
}

void call_attempt_end(struct call *c, int ok)
{
	struct call_attempt *a = c->attempt;

	if (a->inflight && a->provider->health)
		breaker_inflight_give(a->provider->health, c->host->env.page_slot);
	a->inflight = false;
	call_attempt_verdict(c, ok);
	if (ok > 0 && a->key && a->key->health)
		breaker_key_ok(a->key->health);
	if (a->up && a->ended)
		upool_give(&a->up);
	else if (a->up)
		upool_forget(&a->up);
	if (a->lines.p)
		secret_wipe(a->lines.p, a->lines.cap);
	buf_fini(&a->lines);
	buf_fini(&a->body);
	relay_fini(&a->relay);
	call_answer_count(c);
}
