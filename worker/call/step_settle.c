#include "call_steps.h"
#include "chat_chunk.h"
#include "progress.h"
#include "log.h"
#include "usage_raw.h"

#define SETTLE_RETRY_MS 50 /* a settlement has its room reserved; what fails it passes */
#define SETTLE_TRIES    40

_Static_assert(USAGE_RAW_MAX <= RECORD_RAW_MAX && IR_NATIVE_MAX <= RECORD_FINISH_MAX,
	       "a record takes what an answer leaves for it");

/* Puts in what the provider did not report: what is likely of the input, counted pieces for the output. A count that stood in the middle of
 * a stream is no final one, so it only raises. */
static void estimate(const struct call *c, bool cut, struct usage *u)
{
	const struct relay *r = &c->attempt->relay;

	if (!r->reported || (usage_input_total(u) == 0 && (cut || !usage_has(u, USAGE_INPUT)))) {
		usage_set(u, USAGE_INPUT, c->route.v[c->attempt->at].input_likely);
		u->estimated = true;
	}
	if (c->op == DIALECT_EMBEDDINGS || (usage_has(u, USAGE_OUTPUT) && !cut))
		return;
	if (!usage_has(u, USAGE_OUTPUT)) {
		usage_set(u, USAGE_OUTPUT, 0);
		u->estimated = true;
	}
	u->estimated |= relay_more(r, u);
}

/* What is reported is more than was held: nothing is guessed beside it. */
static bool is_beyond(const struct call *c, const struct usage *reported)
{
	const struct relay *r = &c->attempt->relay;

	return r->usage_positive && !r->stopped && call_price(c, reported) > c->grant.hold.hold_nusd;
}

void call_used(const struct call *c, bool cut, struct usage *u)
{
	bool one_side = c->op == DIALECT_EMBEDDINGS; /* it has no output */

	cut = (cut || relay_is_behind(&c->attempt->relay)) && !one_side;
	call_reported(c, u);
	if (cut && is_beyond(c, u))
		return;
	/* An explicit zero is the truth; only what is missing is estimated. */
	if (cut || !usage_has(u, USAGE_INPUT) || !(one_side || usage_has(u, USAGE_OUTPUT)))
		estimate(c, cut, u);
}

bool call_is_capped(const struct call *c, const struct usage *u)
{
	const struct relay *r = &c->attempt->relay;

	bool told = relay_is_reported(r) && usage_has(&r->usage, USAGE_OUTPUT);
	struct usage reported;

	if (r->stopped || !u->estimated || !r->usage_positive)
		return r->stopped || u->estimated;
	if (r->usage.estimated)
		return true; /* a number that no answer has */
	/* How what is told is divided is no guess at how much there is. */
	call_reported(c, &reported);
	return !told && !is_beyond(c, &reported);
}

/* Whether the end is charged, and for what (design 3.3). */
static bool charge_of(const struct call *c, struct usage *u)
{
	const struct relay *r = &c->attempt->relay;
	/* Behind commit the total time is ours or the client's: ending a stream by it is no refund. Nor is a time that the client chose. */
	bool late = c->end == RECORD_END_TIMEOUT && ((c->attempt->failed && !call_is_held_up(c)) ||
						     !(c->commit_us || call_deadline_is_clients(c)));
	bool fault = late || c->end == RECORD_END_UPSTREAM_ERROR || c->end == RECORD_END_REJECTED;
	struct hold_outcome o = {.reported = r->reported && r->usage_positive,
				 .finish = r->finish,
				 .content = r->content_events > 0,
				 .provider_fault = fault};

	/* Given up before commit, for whatever reason the call ends: our cost, not the client's. Nor is one that was never begun. */
	if (c->attempt->given_up || c->attempt->start_us == 0 || (fault && !c->commit_us))
		return false;
	call_used(c, relay_is_cut(r), u);
	return hold_is_charged(&o);
}

bool call_is_whole(const struct call *c)
{
	const struct call_attempt *a = c->attempt;

	return c->end == RECORD_END_DONE ||
	       (c->end == RECORD_END_CLIENT_GONE && a && a->relay.ended);
}

/* The last attempt's place among the records: answered, or broken off. */
static void close_attempt(struct call *c)
{
	struct call_attempt *a = c->attempt;

	if (!a || a->recorded || a->start_us == 0)
		return;
	if (call_is_whole(c) && a->relay.stopped) {
		call_attempt_record(c, a->status, "hold_used_up");
		call_attempt_count(c, "hold_used_up");
	} else if (call_is_whole(c)) {
		call_attempt_record(c, a->status, "");
		series_add(rtable_attempts_ok(c->rt, a->provider), 1);
		/* Before the client has all of it: his next request must not find the offer still on probation. */
		call_attempt_verdict(c, 1);
	} else if (c->end == RECORD_END_TIMEOUT || c->end == RECORD_END_UPSTREAM_ERROR) {
		const char *code = c->end == RECORD_END_TIMEOUT ? "timeout" : "answer_cut";

		call_attempt_record(c, a->head ? a->status : 0, code);
		call_attempt_count(c, code);
		call_attempt_end(c, c->end == RECORD_END_TIMEOUT ? call_timeout_verdict(c) : 0);
	} else {
		call_attempt_record(c, a->head ? a->status : 0,
				    c->end == RECORD_END_CLIENT_SLOW ? "client_slow" : "abandoned");
		call_attempt_end(c, -1);
	}
}

static int end_status(const struct call *c)
{
	if (c->status)
		return c->status;
	return c->end == RECORD_END_DONE ? 200
	       : fault_is_set(&c->fault) ? fault_status(&c->fault)
					 : 0;
}

/* What the last attempt cost us: by the usage that is charged, else by what it reported. */
static int64_t last_cost(struct call *c)
{
	const struct call_attempt *a = c->attempt;
	struct usage reported;
	int64_t cost;

	if (!c->charged && !a->relay.reported)
		return 0;
	call_reported(c, &reported);
	cost = call_cost(c, c->route.v[a->at].offer, c->charged ? &c->usage : &reported);
	if (a->recorded)
		c->records[c->tried_n - 1].cost_nusd = cost;
	return cost;
}

static void fill_settle(struct call *c)
{
	struct admit_settle *s = &c->item.op.settle;
	const struct call_attempt *a = c->attempt;
	int64_t now_us = call_now_us();
	/* A whole answer goes out at once, right after this. */
	int64_t first_us = c->first_us || c->end != RECORD_END_DONE ? c->first_us : now_us;

	c->item.op = (struct admit_op){.kind = ADMIT_SETTLE};
	*s = (struct admit_settle){.account = c->key->account,
				   .id = c->id,
				   .candidate = -1,
				   .boot_ms = turn_now_ms(call_turn(c)),
				   .wall_ms = turn_wall_ms(call_turn(c)),
				   .end = c->end,
				   .status = (uint16_t)end_status(c),
				   .first_byte_ms = first_us ? (first_us - c->start_us) / 1000 : -1,
				   .total_ms = (now_us - c->start_us) / 1000,
				   .cost_nusd = c->lost_cost_nusd,
				   .attempts = c->records,
				   .attempts_n = c->tried_n};
	s->charged = c->charged = charge_of(c, &c->usage);
	s->capped = call_is_capped(c, &c->usage);
	s->upstream_id = a->relay.upstream_id;
	if (a->relay.finish) {
		s->finish = slice_str(chat_finish_word(a->relay.finish_kind));
		s->native_finish = slice_of(a->relay.finish_word, a->relay.finish_word_n);
	}
	s->raw_usage = relay_usage_raw(&c->attempt->relay, &c->arena);
	if (c->charged || c->commit_us || c->end == RECORD_END_DONE) {
		s->candidate = c->grant.index[a->at];
		s->usage = c->usage;
	}
	if (!a->lost)
		s->cost_nusd += last_cost(c);
}

static void ask(struct call *c)
{
	if (!c->attempt || (c->tried_n == 0 && c->attempt->start_us == 0)) {
		c->item.op = (struct admit_op){.kind = ADMIT_RELEASE};
		c->item.op.settle.account = c->key->account;
		c->item.op.settle.id = c->id;
		c->item.op.settle.boot_ms = turn_now_ms(call_turn(c));
		c->item.op.settle.wall_ms = turn_wall_ms(call_turn(c));
	} else {
		fill_settle(c);
	}
	batch_add(c->host->batch, &c->item);
}

/* The store did not take the settlement. The client does not wait for it longer; step_owe() asks again. */
static enum call_next settle_failed(struct call *c)
{
	if (++c->settle_tries < SETTLE_TRIES) {
		c->hold = CALL_HOLD_HELD;
		turn_timer_set(&c->timer, turn_now_ms(call_turn(c)) + SETTLE_RETRY_MS);
		return CALL_WAIT;
	}
	log_error("settle_failed", "request %s could not be settled: %s; it is tried again",
		  c->id_text, errc_text(c->item.result));
	fault_set(&c->fault, FAULT_LEDGER, "The ledger did not take the charge.");
	c->end = RECORD_END_LEDGER;
	return call_goto(c, CALL_FINISH);
}

enum call_next step_settle(struct call *c)
{
	if (c->hold == CALL_HOLD_HELD) {
		turn_timer_clear(&c->timer);
		if (c->settle_tries == 0)
			close_attempt(c);
		c->hold = CALL_HOLD_ENDING;
		ask(c);
		return CALL_WAIT;
	}
	if (c->hold == CALL_HOLD_ENDING) {
		if (c->item.queued)
			return CALL_WAIT;
		if (c->item.result)
			return settle_failed(c);
		c->done = c->item.op.done;
		c->hold = CALL_HOLD_ENDED;
		progress_give(live_progress(c->host->env.live), c->slot);
		c->slot = PROGRESS_NO_SLOT;
	}
	return CALL_MORE;
}
