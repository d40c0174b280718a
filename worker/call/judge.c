/* What a failed attempt means: for the client (final or try the next), for the provider's key, for the offer's breaker. */
#include <stdio.h>

#include "call_steps.h"
#include "log.h"
#include "progress.h"

/* A connection's failure as clients are told of it: our word, and a text that names no address. */
struct fail {
	const char *code, *text;
};

static struct fail fail_of(const struct call_attempt *a)
{
	switch (a->errc) {
	case ERRC_TIMEOUT:
		if (a->phase <= UP_CONN_TLS)
			return (struct fail){"connect_timeout", "no connection in time"};
		return (struct fail){"timeout", a->head ? "nothing came for too long in the middle "
							  "of its answer"
							: "no answer in time"};
	case ERRC_DNS:
		return (struct fail){"dns_failed", "its name could not be resolved"};
	case ERRC_CONNREFUSED:
		return (struct fail){"connection_refused", "the connection was refused"};
	case ERRC_TLS:
	case ERRC_TLS_CERT:
		return (struct fail){"tls_failed", "no trusted TLS connection could be made"};
	case ERRC_PROTOCOL:
	case ERRC_TOOBIG:
		return (struct fail){"bad_framing", "what it sent is not a valid HTTP answer"};
	default:
		if (a->phase == UP_CONN_BODY)
			return (struct fail){"answer_cut", "its answer was cut"};
		return (struct fail){"connection_failed", "the connection failed"};
	}
}

const char *call_attempt_fail_text(const struct call *c)
{
	const struct call_attempt *a = c->attempt;
	const struct ptable_offer *o = c->route.v[a->at].offer;
	struct fail fail = fail_of(a);
	const struct log_field f[] = {
		LOG_Z("request_id", c->id_text), LOG_S("provider", o->provider->name),
		LOG_S("upstream", o->upstream), LOG_Z("code", fail.code), LOG_Z("cause", a->why)};

	if (log_wants(LOG_WARN))
		log_line(LOG_WARN, "attempt_failed", f, ARRAY_LEN(f));
	return fail.text;
}

void call_attempt_note(const struct call *c, int status, int64_t ms, bool failed)
{
	const struct call_attempt *a = c->attempt;
	const struct progress_try t = {.candidate = (uint32_t)c->grant.index[a->at],
				       .status = (uint16_t)status,
				       .failed = failed,
				       .start_ms = (a->start_us - c->start_us) / 1000,
				       .ms = ms};

	if (c->slot != PROGRESS_NO_SLOT)
		progress_note_try(live_progress(c->host->env.live), c->slot, c->tried_n, &t);
}

void call_attempt_record(struct call *c, int status, const char *code)
{
	struct call_attempt *a = c->attempt;
	const struct ptable_offer *o = c->route.v[a->at].offer;
	struct record_attempt *rec = &c->records[c->tried_n];
	struct fault_attempt *tried = &c->tried[c->tried_n];

	if (c->tried_n == LIMIT_ATTEMPTS)
		return;
	*tried = (struct fault_attempt){
		.provider = o->provider->name, .model = o->upstream, .status = status};
	fault_text(tried->code, sizeof(tried->code), slice_str(code));
	*rec = (struct record_attempt){.provider = o->provider->name,
				       .upstream = o->upstream,
				       .status = (uint16_t)status,
				       .start_ms = (a->start_us - c->start_us) / 1000,
				       .ms = (call_now_us() - a->start_us) / 1000,
				       .error = slice_str(tried->code)};
	call_attempt_note(c, (int)rec->status, rec->ms, *code != 0);
	c->tried_n++;
	a->recorded = true;
}

void call_pieces(const struct call *c, struct usage *u)
{
	if (c->facts.bound.images > 0)
		usage_set(u, USAGE_IMAGE, c->facts.bound.images);
	/* Who does not say how many searches there were charges one an answer. */
	if (c->facts.searches > 0 && !usage_has(u, USAGE_WEB_SEARCH))
		usage_set(u, USAGE_WEB_SEARCH, 1);
	if (!u->tier)
		u->tier = c->facts.tier;
}

static bool has_own(const struct price *p, enum usage_class class)
{
	return p->pusd[class] != p->pusd[USAGE_OUTPUT];
}

/* Whether a class of output has a price of its own, or a cost: elsewhere nothing depends on how much of the output it was. */
static bool is_apart(const struct call *c, enum usage_class class)
{
	const struct hold_candidate *h = &c->hold_candidates[c->attempt->at];
	const struct tariff *cost = c->route.v[c->attempt->at].offer->cost;

	for (size_t i = 0; i < h->tiers; i++)
		if (has_own(h->price[i], class))
			return true;
	for (size_t i = 0; i < cost->n; i++)
		if (has_own(cost->rows[i], class))
			return true;
	return false;
}

/* What is no text and no reasoning is of the media that came; of both kinds, sound is as much as its bytes make. */
static void divide_media(const struct relay_came *told, struct usage *u)
{
	int64_t left = relay_unplaced(told, u), before;
	bool both = told->pictures > 0 && !usage_has(u, USAGE_OUTPUT_IMAGE);

	if (told->sound_bytes > 0) {
		before = usage_get(u, USAGE_OUTPUT);
		usage_take_output(u, USAGE_OUTPUT_AUDIO,
				  both ? MIN_OF(left, relay_seen_sound(told)) : left);
		left -= before - usage_get(u, USAGE_OUTPUT);
	}
	if (told->pictures > 0)
		usage_take_output(u, USAGE_OUTPUT_IMAGE, left);
}

void call_reported(const struct call *c, struct usage *out)
{
	const struct relay *r = &c->attempt->relay;
	const struct relay_came told = relay_told(r);
	bool thinks;

	*out = r->usage;
	call_pieces(c, out);
	if (c->op == DIALECT_EMBEDDINGS)
		out->undivided = false;
	else
		usage_divide(out, relay_seen(r) + (int64_t)r->media_events,
			     c->route.v[c->attempt->at].input_bound);
	thinks = r->reasoning_bytes && !usage_has(out, USAGE_REASONING) &&
		 is_apart(c, USAGE_REASONING);
	if (relay_has_media(r) && (thinks || (told.sound_bytes && is_apart(c, USAGE_OUTPUT_AUDIO)) ||
				   (told.pictures && is_apart(c, USAGE_OUTPUT_IMAGE))))
		divide_media(&told, out);
	if (thinks)
		usage_divide_output(
			out, (int64_t)MAX_OF(4 * told.events, told.bytes),
			(int64_t)MAX_OF(4 * told.reasoning_events, told.reasoning_bytes));
}

int64_t call_mult_ppm(const struct call *c)
{
	struct slice group = slice_str(c->key->group);

	return group.n ? ptable_group_ppm(c->rt->t, group) : PRICE_PPM;
}

int64_t call_cost(const struct call *c, const struct ptable_offer *o, const struct usage *u)
{
	return price_cost(
		tariff_pick(o->cost, c->admitted_wall_ms / 1000, usage_input_total(u), u->tier), u);
}

void call_attempt_lose(struct call *c, int status, const char *code)
{
	struct call_attempt *a = c->attempt;
	const struct route_candidate *r = &c->route.v[a->at];
	struct usage reported;
	int64_t cost;

	call_attempt_record(c, status, code);
	a->given_up = true;
	if (!a->recorded || !a->relay.reported)
		return;
	call_reported(c, &reported);
	cost = call_cost(c, r->offer, &reported);
	c->records[c->tried_n - 1].cost_nusd = cost;
	c->lost_cost_nusd += cost;
	if (c->slot != PROGRESS_NO_SLOT)
		progress_lose(progress_at(live_progress(c->host->env.live), c->slot),
			      c->lost_cost_nusd);
	a->lost = true;
	series_add(rtable_cost(c->rt, r->offer, r->model), (uint64_t)cost);
}

void call_attempt_count(struct call *c, const char *result)
{
	char text[SERIES_LABELS_MAX];
	struct slice v[2] = {c->attempt->provider->p->name, slice_str(result)};

	series_add(series_cell(c->rt->page, SERIES_ATTEMPTS,
			       slice_of(text, series_labels(SERIES_ATTEMPTS, v, 2, text))),
		   1);
}

/* Keeps the fault of the last failure for the answer when nobody is left to try. */
static void keep_last(struct call *c, const struct fault *f)
{
	if (!c->last)
		c->last = arena_new(&c->arena, struct fault);
	if (c->last)
		*c->last = *f;
}

int call_timeout_verdict(const struct call *c)
{
	const struct call_attempt *a = c->attempt;
	const struct ptable_provider *p = a->provider->p;
	int64_t allowed = c->facts.stream ? p->first_byte_stream_ms : p->first_byte_whole_ms;

	if (a->failed && (a->head || a->phase <= UP_CONN_TLS))
		return 0;
	if (!a->failed && c->commit_us)
		return -1;
	return (call_now_us() - a->start_us) / 1000 < allowed / 2 ? -1 : 0;
}

static bool judge_connection(struct call *c)
{
	struct call_attempt *a = c->attempt;
	struct fault f = {0};
	bool slow = a->errc == ERRC_TIMEOUT;

	fault_set(&f, slow ? FAULT_UPSTREAM_TIMEOUT : FAULT_UPSTREAM,
		  "Provider `" SLICE_FMT "`: %s.", SLICE_ARG(a->provider->p->name),
		  call_attempt_fail_text(c));
	keep_last(c, &f);
	if (slow)
		c->failed_slow++;
	else
		c->failed_other++;
	call_attempt_lose(c, a->head ? a->status : 0, fail_of(a).code);
	call_attempt_count(c, fail_of(a).code);
	call_attempt_end(c, slow ? call_timeout_verdict(c) : 0);
	return true;
}

/* Of an item under status 200 the status that its kind would have had. */
static int key_status(const struct call_attempt *a, const struct dialect_verdict *v)
{
	return a->status != 200 ? a->status : v->billing ? 402 : 401;
}

static void apply_verdict(struct call *c, const struct dialect_verdict *v, const struct fault *f)
{
	struct call_attempt *a = c->attempt;
	struct breaker_key *k = a->key ? a->key->health : NULL;
	int64_t now = turn_now_ms(call_turn(c));
	int64_t cool = v->cool_ms > 0 ? v->cool_ms : call_set(c)->key_cool_ms;
	bool overloaded = f->kind == FAULT_OVERLOADED, refused = v->drop_key || v->billing;

	if (v->too_big) {
		c->failed_big++;
	} else if (v->cool_key) {
		c->failed_rate += !overloaded;
		c->failed_out += overloaded;
		if (c->wait_ms == 0 || cool < c->wait_ms)
			c->wait_ms = cool;
		if (k)
			breaker_key_cool(k, now + cool, overloaded);
	} else {
		c->failed_other++;
	}
	a->of_key = v->cool_key || refused;
	if (!refused)
		return;
	if (k)
		breaker_key_out(k, now, key_status(a, v));
	log_warn("provider_key_refused",
		 "provider " SLICE_FMT " refused key " SLICE_FMT " with status %d%s",
		 SLICE_ARG(a->provider->p->name),
		 SLICE_ARG(a->key ? a->key->key->label : SLICE_LIT("none")), key_status(a, v),
		 v->billing ? ": its account is out of money" : "");
}

/* True: another candidate may be tried. `code` where the provider gave none. */
static bool judge_by(struct call *c, struct fault *f, const struct dialect_verdict *v,
		     const char *code)
{
	struct call_attempt *a = c->attempt;

	fault_hide(f, call_attempt_credential(a));
	apply_verdict(c, v, f);
	call_attempt_lose(c, a->status, f->provider_code[0] ? f->provider_code : code);
	call_attempt_count(c, v->cool_key                 ? "rate_limited"
			      : v->too_big                ? "too_big"
			      : v->drop_key || v->billing ? "key_refused"
			      : v->final                  ? "rejected"
							  : "error");
	call_attempt_end(c, v->breaks ? 0 : -1);
	if (v->larger)
		c->context_above = MAX_OF(c->context_above, c->route.v[a->at].model->context);
	keep_last(c, f);
	if (v->final && !v->larger)
		c->fault = *f;
	return !v->final || v->larger;
}

static bool judge_status(struct call *c)
{
	struct call_attempt *a = c->attempt;
	const struct dialect_back *back = dialect_back(a->provider->p->dialect);
	struct dialect_answer ans = {.status = a->status,
				     .retry_after = a->retry_after,
				     .retry_after_ms = a->retry_after_ms,
				     .should_retry = a->should_retry,
				     .body = buf_slice(&a->body),
				     .provider = a->provider->p,
				     .now_s = turn_wall_ms(call_turn(c)) / 1000,
				     .input_bound = c->route.v[a->at].input_bound};
	struct dialect_verdict v = {0};
	struct fault f = {0};

	back->classify(&ans, &f, &v);
	return judge_by(c, &f, &v, "error");
}

/* An error item, a cut, or nothing at all in a stream or body of status 200, before commit. */
static bool judge_answer(struct call *c)
{
	const struct relay *r = &c->attempt->relay;
	struct dialect_verdict v = {.breaks = true};
	struct fault f = {0};

	if (r->failed) {
		v = r->verdict;
		f = r->fault;
	}
	fault_set(&f, FAULT_UPSTREAM, "Provider `" SLICE_FMT "` answered with nothing.",
		  SLICE_ARG(c->attempt->provider->p->name));
	return judge_by(c, &f, &v, r->failed ? "error_item" : "empty_answer");
}

bool call_attempt_judge(struct call *c)
{
	struct call_attempt *a = c->attempt;

	if (a->failed)
		return judge_connection(c);
	return a->error ? judge_status(c) : judge_answer(c);
}
