#include "call_steps.h"
#include "log.h"
#include "progress.h"
#include "rows_cost.h"

/* Our estimate of the input, for token limits. */
static int64_t input_estimate(const struct call *c)
{
	return c->route.n ? c->route.v[0].input_likely : 0;
}

enum call_next step_route(struct call *c)
{
	struct route_ask ask = {.facts = &c->facts,
				.allowed = slice_of(c->key->models, c->key->models_n),
				.alone = c->wish.no_fallback};

	if (route_build(c->rt->t, &ask, &c->host->rng, &c->route, &c->fault))
		return call_end(c, RECORD_END_REJECTED);
	c->hold_candidates = arena_array(&c->arena, struct hold_candidate, c->route.n);
	if (!c->hold_candidates) {
		fault_errc(&c->fault, ERRC_NOMEM, "candidates");
		return call_end(c, RECORD_END_INTERNAL);
	}
	for (size_t i = 0; i < c->route.n; i++) {
		const struct route_candidate *r = &c->route.v[i];
		bool output = c->op != DIALECT_EMBEDDINGS;

		c->hold_candidates[i] =
			(struct hold_candidate){.offer = r->offer->id,
						.provider = r->offer->provider->name,
						.model = r->model->name,
						.upstream = r->offer->upstream,
						.input_bound = r->input_bound,
						.max_output = output ? r->model->max_output : 0,
						.beside = output ? r->beside : 0,
						.min_output = r->min_output};
	}
	return CALL_MORE;
}

/* The rows as accounts of a group pay them; rows that a candidate before has too are the same. */
static bool multiply(struct call *c, size_t at, int64_t mult_ppm)
{
	struct hold_candidate *h = &c->hold_candidates[at];
	struct price *mine;

	for (size_t i = 0; i < at; i++) {
		if (c->route.v[i].offer->price == c->route.v[at].offer->price) {
			memcpy(h->price, c->hold_candidates[i].price, sizeof(h->price));
			return true;
		}
	}
	mine = arena_array(&c->arena, struct price, h->tiers);
	for (size_t i = 0; mine && i < h->tiers; i++) {
		mine[i] = *h->price[i];
		mine[i].mult_ppm = mult_ppm;
		h->price[i] = &mine[i];
	}
	return mine != NULL;
}

/* What it costs us, for the sweep, should this process die: its price where nothing else is said. Offers of one model often share it. */
static bool fill_cost(struct call *c, size_t at)
{
	const struct ptable_offer *o = c->route.v[at].offer;
	struct hold_candidate *h = &c->hold_candidates[at];
	const struct price *rows[TARIFF_TIERS];
	uint8_t packed[ROWS_COST_MAX];
	size_t n;

	if (o->cost == o->price)
		return true;
	for (size_t i = 0; i < at; i++) {
		if (c->route.v[i].offer->cost == o->cost && c->hold_candidates[i].cost.n) {
			h->cost = c->hold_candidates[i].cost;
			return true;
		}
	}
	n = rows_cost_pack(rows, tariff_tiers(o->cost, c->admitted_wall_ms / 1000, rows), packed);
	h->cost = arena_dup(&c->arena, slice_of(packed, n));
	return h->cost.p != NULL;
}

/* The rows that count now: a reload or another hour never changes them again. False without memory. */
static bool fill_prices(struct call *c)
{
	int64_t mult_ppm = call_mult_ppm(c);

	c->admitted_wall_ms = turn_wall_ms(call_turn(c));
	for (size_t i = 0; i < c->route.n; i++) {
		struct hold_candidate *h = &c->hold_candidates[i];

		h->tiers = tariff_tiers(c->route.v[i].offer->price, c->admitted_wall_ms / 1000,
					h->price);
		if ((mult_ppm != PRICE_PPM && !multiply(c, i, mult_ppm)) || !fill_cost(c, i))
			return false;
	}
	return true;
}

/* A tier that was asked for is not always given; where none was, the provider chooses. */
static unsigned tiers_of(enum usage_tier asked)
{
	return asked ? 1u << asked | 1u << USAGE_TIER_STANDARD : 0;
}

static void fill_ask(struct call *c, struct admit_ask *ask)
{
	struct turn *t = call_turn(c);

	*ask = (struct admit_ask){
		.account = c->key->account,
		.id = c->id,
		.boot_ms = turn_now_ms(t),
		.wall_ms = c->admitted_wall_ms,
		.group = slice_str(c->key->group),
		.model = c->route.asked->name,
		.tokens_estimate = input_estimate(c),
		.slot = c->slot,
		.front = (uint8_t)c->op,
		.stream = c->facts.stream,
		.user = c->user,
		.idem = c->idem,
		.hold = {.candidates = c->hold_candidates,
			 .n = c->route.n,
			 .cap = c->facts.cap,
			 .clamp = c->wish.clamp || (c->key->flags & ROWS_KEY_CLAMP),
			 .beside = (int64_t)MIN_OF(c->facts.bound.predicted, (uint64_t)USAGE_MAX),
			 .choices = MAX_OF(c->facts.copies, 1),
			 .requests = 1,
			 .images = c->facts.bound.images,
			 .searches = c->facts.searches,
			 .tiers = tiers_of(c->facts.tier),
			 .uncapped_share_ppm = call_set(c)->uncapped_share_ppm}};
	memcpy(ask->key_id, c->key->id, APIKEY_ID);
	memcpy(ask->addr, c->addr, sizeof(ask->addr));
	ask->addr_unknown = c->addr_unknown;
}

static enum fault_kind refusal_kind(enum admit_reason r)
{
	switch (r) {
	case ADMIT_KEY_UNKNOWN:
	case ADMIT_KEY_REVOKED:
	case ADMIT_KEY_EXPIRED:
		return FAULT_KEY_INVALID;
	case ADMIT_KEY_SUSPENDED:
	case ADMIT_ACCOUNT_SUSPENDED:
	case ADMIT_TEAM_SUSPENDED:
	case ADMIT_USER_SUSPENDED:
	case ADMIT_EXPIRED:
		return FAULT_SUSPENDED;
	case ADMIT_MODEL:
		return FAULT_MODEL_DENIED;
	case ADMIT_IP:
		return FAULT_IP_DENIED;
	case ADMIT_BUDGET:
		return FAULT_BUDGET;
	case ADMIT_CREDIT:
		return FAULT_CREDIT;
	case ADMIT_CREDIT_HELD:
		return FAULT_CREDIT_HELD;
	case ADMIT_RATE:
	case ADMIT_CONCURRENCY:
	case ADMIT_USERS:
		return FAULT_RATE_LIMIT;
	case ADMIT_IDEM_RUNNING:
		return FAULT_IDEMPOTENCY_RUNNING;
	case ADMIT_IDEM_COMPLETED:
		return FAULT_IDEMPOTENCY_COMPLETED;
	case ADMIT_IDEM_MISMATCH:
		return FAULT_IDEMPOTENCY_MISMATCH;
	case ADMIT_IDEM_FULL:
		return FAULT_IDEMPOTENCY_FULL;
	default:
		return FAULT_LEDGER;
	}
}

/* The scope by its name; a key need not have one. */
static const char *scope_name(const struct call *c, const struct admit_refusal *r)
{
	return r->scope_name[0] ? r->scope_name : c->key->id;
}

/* What refused, for metadata: "key build: requests a minute for gpt-*". */
static void put_scope(struct call *c, const struct admit_refusal *r)
{
	const char *what = r->what ? r->what : "";

	snprintf(c->fault.scope, sizeof(c->fault.scope), "%s %s%s%s%s%s", rows_scope_word(r->scope),
		 scope_name(c, r), what[0] ? ": " : "", what, r->models[0] ? " for " : "",
		 r->models);
}

/* Numbers of a refusal, for metadata. */
static void refusal_numbers(struct call *c, const struct admit_refusal *r, enum admit_reason why)
{
	struct fault *f = &c->fault;

	put_scope(c, r);
	f->limit = r->limit;
	f->remaining = r->remaining;
	f->unit = r->money                       ? FAULT_UNIT_NUSD
		  : why == ADMIT_CONCURRENCY     ? FAULT_UNIT_CONCURRENT
		  : r->what && r->what[0] == 't' ? FAULT_UNIT_TOKENS
						 : FAULT_UNIT_REQUESTS;
	f->reset_wall_ms = r->reset_wall_ms;
	f->affordable_tokens = MAX_OF(r->affordable_tokens, 0);
	f->retry_after_ms = r->wait_ms == WINDOW_NEVER ? WINDOW_DAY_MS : r->wait_ms;
}

#define WHO_MAX (ROWS_NAME_MAX + 32)

/* Whom a refusal is about: the key itself, what it belongs to, or the end user. */
static const char *about(const struct call *c, const struct admit_refusal *r, char out[WHO_MAX])
{
	if (r->scope == ROWS_USER)
		return "The end user of this request";
	if (r->scope == ROWS_ACCOUNT || r->scope == ROWS_TEAM)
		snprintf(out, WHO_MAX, "The %s of API key `%s`", rows_scope_word(r->scope),
			 c->key->id);
	else
		snprintf(out, WHO_MAX, "API key `%s`", c->key->id);
	return out;
}

/* Names and patterns are free text, which might say "credit": clients that find such a word in a refusal never come back, so they stand in
 * the metadata only. What a limit of 0 refuses, no time helps. */
static void rate_refused(struct call *c, const struct admit_refusal *r)
{
	struct fault *f = &c->fault;
	char text[WHO_MAX], again[FAULT_AGAIN_MAX];
	const char *models = r->models[0] ? " for models such as this one" : "";
	int64_t wait_ms = fault_wait_ms(
		&(struct fault){.kind = FAULT_RATE_LIMIT, .retry_after_ms = f->retry_after_ms});
	size_t noun = strcspn(r->what, " "); /* "requests" of "requests a minute" */

	if (r->wait_ms == WINDOW_NEVER)
		fault_set(f, FAULT_RATE_LIMIT,
			  "%s has a limit of %lld %s%s, which lets no request through: ask for a "
			  "higher one.",
			  about(c, r, text), (long long)r->limit, r->what, models);
	else
		fault_set(f, FAULT_RATE_LIMIT, "%s has reached its limit of %lld %.*s%s%s; %s.",
			  about(c, r, text), (long long)r->limit, (int)(noun - (r->limit == 1)),
			  r->what, r->what + noun, models, fault_again(wait_ms, again));
}

/* Its account has as many as there is room for; those that it has go on. */
static void user_refused(struct call *c)
{
	struct fault *f = &c->fault;
	char again[FAULT_AGAIN_MAX];
	int64_t wait_ms = fault_wait_ms(
		&(struct fault){.kind = FAULT_RATE_LIMIT, .retry_after_ms = f->retry_after_ms});

	fault_set(
		f, FAULT_RATE_LIMIT,
		"The account has as many end users without a definition as there is room for, and "
		"this one would be another; %s.",
		fault_again(wait_ms, again));
}

static void money_refused(struct call *c, enum fault_kind kind, const struct admit_refusal *r)
{
	struct fault *f = &c->fault;
	char left[MONEY_TEXT_MAX], limit[MONEY_TEXT_MAX];

	money_print(r->remaining, 2, left);
	money_print(r->limit, 2, limit);
	if (kind == FAULT_CREDIT && r->scope == ROWS_ACCOUNT && r->limit == MONEY_NUSD_MAX)
		fault_set(f, kind,
			  "Account `%s` does not cover this request: of $%s, which is all that can "
			  "be charged to one account, $%s is left. Use a key of another account.",
			  r->scope_name, limit, left);
	else if (kind == FAULT_CREDIT)
		fault_set(
			f,
			kind, "The credit%s%s of %s `%s` does not cover this request: $%s is left. Add credit%s.",
			r->models[0] ? " for " : "", r->models, rows_scope_word(r->scope),
			scope_name(c, r), left,
			f->affordable_tokens > 0 ? " or ask for fewer output tokens" : "");
	else if (kind == FAULT_BUDGET)
		fault_set(f, kind,
			  "The %s%s%s of %s `%s` ($%s) does not cover this request: $%s is left.%s",
			  r->what, r->models[0] ? " for " : "", r->models,
			  rows_scope_word(r->scope), scope_name(c, r), limit, left,
			  f->affordable_tokens > 0 ? " Ask for fewer output tokens." : "");
	else
		fault_set(f, kind,
			  "Running requests hold what this one needs; try again in 1 second.");
}

/* Refused for what it is or asks for, not for how much. */
static void access_refused(struct call *c, enum fault_kind kind, enum admit_reason why,
			   const struct admit_refusal *r)
{
	struct fault *f = &c->fault;
	char text[WHO_MAX];
	const char *subject = about(c, r, text);

	if (kind == FAULT_MODEL_DENIED)
		fault_set(f, kind, "%s may not use model `" SLICE_FMT "`.", subject,
			  SLICE_ARG(c->route.v[0].model->name));
	else if (why == ADMIT_IP)
		fault_set(f, kind, "%s %s.", subject, call_not_from_here(c));
	else if (why == ADMIT_EXPIRED)
		fault_set(f, kind, "%s has expired.", subject);
	else
		fault_set(f, kind, "API key `%s`: %s.", c->key->id, admit_reason_text(why));
	if (r->scope != ROWS_KEY && rows_scope_word(r->scope)[0])
		put_scope(c, r);
}

/* Its idempotency key stands for another request. */
static void claim_refused(struct call *c, enum fault_kind kind, const struct admit_refusal *r)
{
	struct fault *f = &c->fault;
	char id[GENID_TEXT + 1];

	genid_print(&r->other, id);
	if (kind == FAULT_IDEMPOTENCY_RUNNING) {
		f->retry_after_ms = 1000;
		fault_set(f, kind, "Request %s with this idempotency key is still running.", id);
	} else if (kind == FAULT_IDEMPOTENCY_COMPLETED) {
		fault_set(f, kind,
			  "Request %s with this idempotency key was answered and charged; its "
			  "answer is not kept. Send a new request with a new key.",
			  id);
	} else {
		fault_set(f, kind,
			  "This idempotency key was used within the last 24 hours with another "
			  "method, path or body. Send a new request with a new key.");
		return;
	}
	memcpy(f->generation_id, id, sizeof id);
}

/* What was charged must not be forgotten for it. */
static void no_room_for_claim(struct call *c, const struct admit_refusal *r)
{
	struct fault *f = &c->fault;
	char again[FAULT_AGAIN_MAX];
	int64_t wait_ms = fault_wait_ms(&(struct fault){.kind = FAULT_IDEMPOTENCY_FULL,
							.retry_after_ms = f->retry_after_ms});

	fault_set(f, FAULT_IDEMPOTENCY_FULL,
		  "There is no room for another idempotency key of API key `%s`, which has %lld of "
		  "the last 24 hours: send the request without `idempotency-key`, or %s.",
		  c->key->id, (long long)r->limit, fault_again(wait_ms, again));
}

/* The node's matter, whatever the key: it is not named. */
static void ledger_refused(struct call *c, enum admit_reason why)
{
	fault_set(&c->fault, FAULT_LEDGER,
		  "The ledger cannot take charges now: %s; try again in 1 second.",
		  admit_reason_text(why));
}

static void set_refusal(struct call *c, enum admit_reason why, const struct admit_refusal *r)
{
	enum fault_kind kind = refusal_kind(why);

	switch (kind) {
	case FAULT_RATE_LIMIT:
		refusal_numbers(c, r, why);
		if (why == ADMIT_USERS)
			user_refused(c);
		else
			rate_refused(c, r);
		return;
	case FAULT_CREDIT:
	case FAULT_BUDGET:
		refusal_numbers(c, r, why);
		money_refused(c, kind, r);
		return;
	case FAULT_CREDIT_HELD:
		refusal_numbers(c, r, why);
		c->fault.retry_after_ms = 1000;
		money_refused(c, kind, r);
		return;
	case FAULT_IDEMPOTENCY_RUNNING:
	case FAULT_IDEMPOTENCY_COMPLETED:
	case FAULT_IDEMPOTENCY_MISMATCH:
		claim_refused(c, kind, r);
		return;
	case FAULT_IDEMPOTENCY_FULL:
		refusal_numbers(c, r, why);
		no_room_for_claim(c, r);
		return;
	case FAULT_LEDGER:
		ledger_refused(c, why);
		return;
	default:
		access_refused(c, kind, why, r);
	}
}

static enum call_next refused(struct call *c)
{
	const struct admit_refusal *r = &c->item.op.refusal;

	c->hold = CALL_HOLD_NONE;
	progress_give(live_progress(c->host->env.live), c->slot);
	c->slot = PROGRESS_NO_SLOT;
	if (c->item.result == ERRC_NOSPACE) {
		ledger_refused(c, ADMIT_SPACE);
	} else if (c->item.result) {
		fault_set(&c->fault, FAULT_INTERNAL, "The ledger did not take the request: %s.",
			  errc_text(c->item.result));
	} else {
		set_refusal(c, c->item.op.reason, r);
		c->grant.requests = r->requests;
		c->grant.tokens = r->tokens;
	}
	return call_end(c, RECORD_END_REJECTED);
}

/* What an operator looks for: a key by its public id, for names of keys may be empty or twice. */
static struct slice shadow_name(const struct call *c, enum rows_kind scope)
{
	switch (scope) {
	case ROWS_ACCOUNT:
		return slice_str(c->key->account_name);
	case ROWS_TEAM:
		return slice_str(c->key->team_name);
	case ROWS_USER:
		return c->user;
	default:
		return slice_str(c->key->id);
	}
}

static void tell_shadow_of(struct call *c, const struct admit_shadow_scope *x)
{
	const struct slice word = slice_str(rows_scope_word(x->scope));
	const struct log_field f[] = {LOG_Z("request_id", c->id_text),
				      LOG_Z("key", c->key->id),
				      LOG_Z("account", c->key->account_name),
				      LOG_S("scope", word),
				      LOG_S("name", shadow_name(c, x->scope)),
				      LOG_Z("rule", x->what),
				      LOG_U("rules", x->n),
				      x->money ? LOG_NUSD("limit_usd", x->limit)
					       : LOG_I("limit", x->limit)};
	char text[SERIES_LABELS_MAX];

	series_add(
		series_cell(c->rt->page, SERIES_SHADOW_REFUSALS,
			    slice_of(text, series_labels(SERIES_SHADOW_REFUSALS, &word, 1, text))),
		1);
	if (log_wants(LOG_INFO))
		log_line(LOG_INFO, "shadow_refusal", f, ARRAY_LEN(f) - (x->limit == ROWS_NO_LIMIT));
}

/* What limits and scopes that only count would have refused: a line and a count for each scope. */
static void tell_shadow(struct call *c, const struct admit_shadow *x)
{
	for (size_t i = 0; i < x->n; i++)
		tell_shadow_of(c, &x->v[i]);
}

enum call_next step_admit(struct call *c)
{
	if (c->hold == CALL_HOLD_NONE) {
		if (!fill_prices(c)) {
			fault_errc(&c->fault, ERRC_NOMEM, "prices");
			return call_end(c, RECORD_END_INTERNAL);
		}
		c->slot = progress_take(live_progress(c->host->env.live), c->key->account, &c->id);
		if (c->slot == PROGRESS_NO_SLOT) {
			fault_set(&c->fault, FAULT_BUSY,
				  "This node has no room for another request now; try again in 1 "
				  "second.");
			return call_end(c, RECORD_END_REJECTED);
		}
		c->item.op = (struct admit_op){.kind = ADMIT_HOLD};
		fill_ask(c, &c->item.op.ask);
		c->hold = CALL_HOLD_ASKED;
		batch_add(c->host->batch, &c->item);
		return CALL_WAIT;
	}
	if (c->item.queued)
		return CALL_WAIT;
	if (c->item.result || c->item.op.reason != ADMIT_NONE)
		return refused(c);
	c->grant = c->item.op.grant;
	c->hold = CALL_HOLD_HELD;
	tell_shadow(c, &c->grant.shadow);
	return CALL_MORE;
}
