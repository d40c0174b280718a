/* The exits of the steps behind an answer: SETTLE, DURABLE, FINISH, SENT, REST; and every way in which a call is cancelled. */
#include "scene.h"

#include <errno.h>

#include "breaker.h"
#include "lmdbx.h"

static int64_t balance(struct scene *s)
{
	struct rows_account a;

	rig_get_account(&s->rig, s->account, &a);
	return a.balance_nusd;
}

static struct mem_xport *begin(struct scene *s, bool stream)
{
	struct mem_xport *up = scene_up(s, "one");

	scene_chat(s, "solo", stream);
	if (stream) {
		scene_stream(s, up);
		scene_item(s, up, scene_text);
	}
	scene_at(s, stream ? CALL_RELAY : CALL_HEAD);
	return up;
}

/* --- SETTLE --- */

/* The program is linked so that every commit passes here: the store may be full. */
int __real_mdb_txn_commit(MDB_txn *txn);
int __wrap_mdb_txn_commit(MDB_txn *txn);

static bool full;

int __wrap_mdb_txn_commit(MDB_txn *txn)
{
	if (!full)
		return __real_mdb_txn_commit(txn);
	mdb_txn_abort(txn);
	return ENOSPC;
}

static void set_durability(struct scene *s)
{
	s->calls->rt->t->set.durability = SETTINGS_DURABILITY_SETTLE;
}

/* The store takes no settlement: tried again; in the end the client gets 503. It is charged once the store takes it. */
static void test_settle_without_the_store(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s, false);
	struct admit_done done;
	struct genid id = scene_call(s)->id;

	scene_hold_client(s);
	full = true;
	scene_answer(s, up, 200, "", scene_whole);
	for (int i = 0; i < 39; i++) {
		scene_at(s, CALL_SETTLE);
		scene_advance(s, 50);
	}
	scene_expect(s, RECORD_END_LEDGER, 503, "ledger_unavailable");
	scene_run(s);
	for (int i = 0; i < 3; i++) {
		scene_at(s, CALL_OWE);
		scene_advance(s, 1000);
	}
	full = false;
	scene_at(s, CALL_OWE);
	scene_advance(s, 1000);
	scene_none(s);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR - SCENE_COST_NUSD);
	assert_int_equal(scene_charge(s)->end, RECORD_END_LEDGER);
	assert_int_equal(scene_charge(s)->status, 503);
	rig_settle(&s->rig, s->account, &id, 1, 1, &done);
	assert_false(done.settled);
}

/* A request that finds the store full: the node is blamed, not the key. */
static void test_admit_without_the_store(void **state)
{
	struct scene *s = *state;

	full = true;
	scene_chat(s, "solo", false);
	full = false;
	scene_expect_out(s, "HTTP/1.1 503 ");
	scene_expect_out(
		s, "\"message\":\"The ledger cannot take charges now: the live store has no room; "
		   "try again in 1 second.\"");
	scene_expect_out(s, "\"code\":\"ledger_unavailable\"");
	scene_none(s);
}

/* With durability settle a charge that is not made in time is not made at all. */
static void test_settle_too_late(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;

	set_durability(s);
	up = begin(s, false);
	full = true;
	scene_answer(s, up, 200, "", scene_whole);
	for (int i = 0; i < 41; i++)
		scene_advance(s, 50);
	scene_at(s, CALL_OWE);
	full = false;
	scene_advance(s, 1000);
	scene_none(s);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
	assert_int_equal(scene_charge(s)->charge_nusd, 0);
}

/* The worker ends before the store takes it: then the keeper has the hold. */
static void test_settle_is_left_to_the_keeper(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s, false);
	struct admit_done done;
	struct genid id = scene_call(s)->id;

	s->left_to_keeper = true;
	full = true;
	scene_answer(s, up, 200, "", scene_whole);
	for (int i = 0; i < 41; i++)
		scene_advance(s, 50);
	scene_at(s, CALL_OWE);
	assert_int_equal(call_host_cut(s->calls), 0);
	scene_run(s);
	scene_none(s);
	full = false;
	rig_settle(&s->rig, s->account, &id, 1, 1, &done);
	assert_true(done.settled);
}

/* A settlement that failed once goes through at the next try. */
static void test_settle_again(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s, false);

	full = true;
	scene_answer(s, up, 200, "", scene_whole);
	scene_at(s, CALL_SETTLE);
	full = false;
	scene_advance(s, 50);
	scene_none(s);
	scene_expect_out(s, "HTTP/1.1 200 ");
	assert_int_equal(balance(s), 10 * RIG_DOLLAR - SCENE_COST_NUSD);
}

/* The breaker has closed when the answer to the probe goes out: who asks again at once is served, by any worker. */
static void test_probe_closes_before_its_answer(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;
	struct rtable *rt = s->calls->rt;
	struct breaker *b;
	int64_t wait_ms = 0;

	for (size_t i = 0; i < rt->t->offers_n; i++) {
		b = rt->offers[i].health;
		for (unsigned k = 0; k < rt->breaker.of; k++)
			(void)breaker_report(b, &rt->breaker, s->now_ms, false, false, 0);
		wait_ms = MAX_OF(wait_ms, breaker_wait_ms(b, s->now_ms));
	}
	scene_advance(s, wait_ms);
	up = scene_up(s, "one");
	scene_hold_client(s);
	scene_chat(s, "solo", false);
	b = rtable_offer_of(rt, scene_call(s)->route.v[0].offer)->health;
	assert_int_equal(breaker_state(b, &rt->breaker, s->now_ms), BREAKER_HALF_OPEN);
	scene_answer(s, up, 200, "", scene_whole);
	scene_at(s, CALL_SENT);
	assert_int_not_equal(breaker_state(b, &rt->breaker, s->now_ms), BREAKER_HALF_OPEN);
	scene_release_client(s);
	scene_none(s);
}

/* --- DURABLE --- */

static void test_durable_is_waited_for(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;
	struct call *c;

	set_durability(s);
	up = begin(s, true);
	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	c = scene_at(s, CALL_DURABLE);
	assert_int_equal(s->rings, 1);
	assert_true(slice_find(mem_xport_out(s->client), SLICE_LIT("usage\":{")) < 0);
	page_durable_set(s->page, live_head(s->rig.live)->epoch, c->done.outbox_n);
	call_host_durable(s->calls);
	scene_run(s);
	scene_expect_out(s, "data: [DONE]\n\n\r\n0\r\n\r\n");
	scene_stream_end(s, up);
	scene_none(s);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR - SCENE_COST_NUSD);
}

/* Not on disk in two seconds: taken back, and the client is told. */
/* A long answer, or the middle of one: as much of it as was asked for. */
static void feed_long(struct scene *s, struct mem_xport *up, const char *before, size_t n)
{
	struct buf text;
	char *p;

	buf_init(&text, 8 << 20);
	assert_int_equal(buf_addz(&text, before), ERRC_OK);
	assert_int_equal(buf_reserve(&text, n, &p), ERRC_OK);
	memset(p, 'x', n);
	text.len += n;
	assert_int_equal(mem_xport_feed(up, buf_slice(&text), 0), ERRC_OK);
	scene_run(s);
	buf_fini(&text);
}

#define LONG_WHOLE                                                                                 \
	"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 4000000\r\n\r\n"     \
	"{\"id\":\"x\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":" \
	"\""

/* What waits for its charge has a bound over all requests: the long ones are refused, and cost their clients nothing. */
static void test_waiting_answers_have_a_bound(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;

	set_durability(s);
	s->calls->rt->t->set.limit_answer_buffer_bytes = 4096;
	s->calls->rt->t->set.limit_answer_memory_bytes = 1 << 20;
	up = begin(s, false);
	scene_hold_client(s);
	feed_long(s, up, LONG_WHOLE, 900000);
	scene_at(s, CALL_RELAY);
	assert_true(s->calls->answer_bytes > 890000);
	feed_long(s, up, "", 200000);
	scene_expect(s, RECORD_END_REJECTED, 503, "overloaded");
	scene_run(s);
	scene_none(s);
	assert_int_equal(s->calls->answer_bytes, 0);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
	/* Short ones are kept beside. */
	scene_rejoin(s);
	s->calls->answer_bytes = 2 << 20;
	up = begin(s, false);
	feed_long(s, up, LONG_WHOLE, 200000);
	scene_at(s, CALL_RELAY);
	feed_long(s, up, "", 100000);
	scene_expect_out(s, "\"code\":\"overloaded\"");
	scene_none(s);
	assert_int_equal(s->calls->answer_bytes, 2 << 20);
}

static void test_durable_too_late(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;

	set_durability(s);
	up = begin(s, false);
	scene_hold_client(s);
	scene_answer(s, up, 200, "", scene_whole);
	scene_at(s, CALL_DURABLE);
	scene_advance(s, 2000);
	scene_expect(s, RECORD_END_LEDGER, 503, "ledger_unavailable");
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
}

/* A stream whose client left is charged, and over: nobody waits for the disk, nor takes back what he was not told. */
static void test_gone_is_not_taken_back(void **state)
{
	struct scene *s = *state;

	set_durability(s);
	begin(s, true);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_CLIENT_GONE);
	assert_true(balance(s) < 10 * RIG_DOLLAR);
}

/* The disk has the charge before: that is not this one. */
static void test_durable_but_for_the_last(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;
	uint64_t epoch = live_head(s->rig.live)->epoch, n;

	set_durability(s);
	up = begin(s, false);
	scene_answer(s, up, 200, "", scene_whole);
	n = scene_at(s, CALL_DURABLE)->done.outbox_n;
	page_durable_set(s->page, epoch, n - 1);
	scene_advance(s, 500);
	scene_at(s, CALL_DURABLE);
	page_durable_set(s->page, epoch, n);
	scene_advance(s, 500);
	scene_expect_out(s, "HTTP/1.1 200 ");
	scene_none(s);
}

/* It had become durable just before it was to be taken back: the charge stands, and so does the answer. */
static void test_durable_at_the_last_moment(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;

	set_durability(s);
	up = begin(s, false);
	scene_answer(s, up, 200, "", scene_whole);
	scene_at(s, CALL_DURABLE);
	rig_drain(&s->rig);
	scene_advance(s, 2001);
	scene_expect_out(s, "HTTP/1.1 200 ");
	scene_none(s);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR - SCENE_COST_NUSD);
}

/* What was held back for the charge is not for a client that pays nothing: no finish, no usage before the error item. */
static void test_a_stream_is_taken_back(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = scene_up(s, "one");

	set_durability(s);
	scene_send(s, "POST /v1/chat/completions", "",
		   "{\"model\":\"solo\",\"max_tokens\":50,\"stream\":true,\"stream_options\":"
		   "{\"include_usage\":true},\"messages\":[{\"role\":\"user\",\"content\":"
		   "\"hello\"}]}");
	scene_stream(s, up);
	scene_item(s, up, scene_text);
	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_at(s, CALL_DURABLE);
	scene_advance(s, 2001);
	scene_expect_out(s, "\"code\":\"ledger_unavailable\"");
	assert_true(slice_find(mem_xport_out(s->client), SLICE_LIT("usage\":{")) < 0);
	assert_true(slice_find(mem_xport_out(s->client), SLICE_LIT("\"stop\"")) < 0);
	scene_stream_end(s, up);
	scene_none(s);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
}

/* The store does not take it back at once: tried again. */
static void test_taking_back_again(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;

	set_durability(s);
	up = begin(s, false);
	scene_hold_client(s);
	scene_answer(s, up, 200, "", scene_whole);
	scene_at(s, CALL_DURABLE);
	full = true;
	scene_advance(s, 2001);
	scene_at(s, CALL_DURABLE);
	full = false;
	scene_advance(s, 50);
	scene_expect(s, RECORD_END_LEDGER, 503, "ledger_unavailable");
	scene_expect_out(s, "nothing was charged");
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
}

/* It never does: the charge stands, and nobody is told that it does not. */
static void test_taking_back_fails(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up;

	set_durability(s);
	up = begin(s, false);
	scene_hold_client(s);
	scene_answer(s, up, 200, "", scene_whole);
	scene_at(s, CALL_DURABLE);
	full = true;
	scene_advance(s, 2001);
	for (int i = 0; i < 39; i++) {
		scene_at(s, CALL_DURABLE);
		scene_advance(s, 50);
	}
	full = false;
	assert_int_equal(scene_at(s, CALL_SENT)->done.charge_nusd, SCENE_COST_NUSD);
	scene_expect(s, RECORD_END_LEDGER, 503, "ledger_unavailable");
	assert_true(slice_find(mem_xport_out(s->client), SLICE_LIT("nothing was charged")) < 0);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR - SCENE_COST_NUSD);
}

/* --- SENT, REST --- */

/* The client leaves with its whole answer unsent: it is charged all the same. */
static void test_sent_or_gone(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s, false);

	scene_hold_client(s);
	scene_answer(s, up, 200, "", scene_whole);
	scene_at(s, CALL_SENT);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR - SCENE_COST_NUSD);
}

/* A provider that has sent its last event has a second to end the body; a connection that ended in time is used again. */
static void test_rest(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s, true);

	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_at(s, CALL_REST);
	scene_advance(s, 1001);
	scene_none(s);
	assert_true(mem_xport_is_closed(up));
	up = begin(s, true);
	scene_item(s, up, scene_finish);
	scene_item(s, up, "[DONE]");
	scene_stream_end(s, up);
	scene_none(s);
	assert_false(mem_xport_is_closed(up));
}

/* --- cancelled --- */

static void test_revoked(void **state)
{
	struct scene *s = *state;

	begin(s, true);
	page_end_key(s->page, "anotheranoth");
	call_host_end_keys(s->calls);
	scene_run(s);
	scene_at(s, CALL_RELAY);
	page_end_key(s->page, s->key.id);
	call_host_end_keys(s->calls);
	scene_run(s);
	scene_expect_out(s, "\"code\":\"invalid_api_key\"");
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_REVOKED);
}

/* An answer that is complete stays what it was. */
static void test_revoked_behind_the_end(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s, false);
	struct call *c;

	scene_hold_client(s);
	scene_answer(s, up, 200, "", scene_whole);
	c = scene_at(s, CALL_SENT);
	page_end_key(s->page, s->key.id);
	call_host_end_keys(s->calls);
	assert_false(fault_is_set(&c->fault));
	scene_expect(s, RECORD_END_DONE, 200, NULL);
}

/* Runs behind the batch: the hold is made, the call does not know of it yet. */
struct between {
	struct turn_hook hook;
	struct scene *s;
	bool done;
};

static void cut_between(struct turn_hook *h)
{
	struct between *b = CONTAINER_OF(h, struct between, hook);
	struct call *c;

	if (b->done || call_host_count(b->s->calls) == 0)
		return;
	c = scene_call(b->s);
	if (c->step != CALL_ADMIT || c->item.queued)
		return;
	b->done = true;
	assert_int_equal(call_host_cut(b->s->calls), 1);
}

/* Cancelled between the store's answer and the call's own turn: the hold goes back all the same. */
static void test_cancelled_behind_the_hold(void **state)
{
	struct scene *s = *state;
	struct between b = {.s = s};

	turn_hook_init(&b.hook, s->turn, cut_between);
	scene_up(s, "one");
	scene_chat(s, "solo", false);
	turn_hook_fini(&b.hook);
	assert_true(b.done);
	scene_none(s);
	scene_expect_out(s, "HTTP/1.1 503 ");
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
}

/* So when there is no hold, for the store refused it: what the call took beside it goes back too. */
static void test_cancelled_behind_a_refusal(void **state)
{
	struct scene *s = *state;
	struct between b = {.s = s};

	rig_limit(&s->key, ROWS_RPM, 0);
	scene_key(s);
	turn_hook_init(&b.hook, s->turn, cut_between);
	scene_up(s, "one");
	scene_chat(s, "solo", false);
	turn_hook_fini(&b.hook);
	assert_true(b.done);
	scene_none(s);
	scene_expect_out(s, "HTTP/1.1 503 ");
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
}

static void test_cut_by_a_drain(void **state)
{
	struct scene *s = *state;
	struct mem_xport *up = begin(s, false);

	scene_hold_client(s);
	call_host_drain(s->calls);
	assert_int_equal(call_host_cut(s->calls), 1);
	assert_int_equal(call_host_cut(s->calls), 1); /* it had no turn yet; twice does no harm */
	scene_run(s);
	assert_int_equal(call_host_cut(s->calls), 0);
	scene_expect(s, RECORD_END_DRAIN, 503, "overloaded");
	assert_true(mem_xport_is_closed(up));
	assert_int_equal(call_host_finished(s->calls), 1);
}

/* The provider has said nothing yet: the hold goes back whole. */
static void test_gone_before_an_answer(void **state)
{
	struct scene *s = *state;
	struct call *c;

	scene_up(s, "one");
	scene_chat(s, "solo", false);
	c = scene_at(s, CALL_HEAD);
	assert_int_equal(c->hold, CALL_HOLD_HELD);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_CLIENT_GONE);
	assert_int_equal(scene_charge(s)->charge_nusd, 0);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
}

/* So with embeddings, of which nothing comes before all does. */
static void test_embeddings_gone_before_an_answer(void **state)
{
	struct scene *s = *state;

	scene_up(s, "one");
	scene_send(s, "POST /v1/embeddings", "", "{\"model\":\"solo\",\"input\":\"hello there\"}");
	scene_at(s, CALL_HEAD);
	mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_run(s);
	scene_none(s);
	assert_int_equal(scene_charge(s)->end, RECORD_END_CLIENT_GONE);
	assert_int_equal(scene_charge(s)->charge_nusd, 0);
	assert_int_equal(balance(s), 10 * RIG_DOLLAR);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, scene_setup, scene_teardown)
	const struct CMUnitTest tests[] = {
		T(test_probe_closes_before_its_answer),
		T(test_settle_without_the_store),
		T(test_admit_without_the_store),
		T(test_settle_too_late),
		T(test_settle_is_left_to_the_keeper),
		T(test_settle_again),
		T(test_durable_is_waited_for),
		T(test_waiting_answers_have_a_bound),
		T(test_durable_too_late),
		T(test_gone_is_not_taken_back),
		T(test_durable_but_for_the_last),
		T(test_durable_at_the_last_moment),
		T(test_a_stream_is_taken_back),
		T(test_taking_back_again),
		T(test_taking_back_fails),
		T(test_sent_or_gone),
		T(test_rest),
		T(test_revoked),
		T(test_revoked_behind_the_end),
		T(test_cancelled_behind_the_hold),
		T(test_cancelled_behind_a_refusal),
		T(test_cut_by_a_drain),
		T(test_gone_before_an_answer),
		T(test_embeddings_gone_before_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
