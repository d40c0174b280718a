#include "scene.h"

#include <stdio.h>
#include <stdlib.h>

#include "fixture.h"
#include "clock.h"
#include "dns.h"
#include "down_conn.h"
#include "mem.h"
#include "progress_priv.h"

#define LEDGER_ID "0123456789abcdef0123456789abcdef"
#define ROUNDS    8 /* turns after which nothing moves any more */

static const char *const env[] = {"HOME=/nowhere", "KEY=provider-key", "SPARE=spare-key", NULL};

static const char config[] =
	"providers:\n"
	"  one: {base_url: \"http://127.0.0.1:1/v1\", keys: [\"env:KEY\", \"env:SPARE\"]}\n"
	"  two: {base_url: \"http://127.0.0.1:2/v1\", keys: \"env:KEY\"}\n"
	"  three: {base_url: \"http://127.0.0.1:3\", dialect: anthropic, keys: \"env:KEY\"}\n"
	"models:\n"
	"  m: {context: 100000, max_output: 1000, price: {input: 1, output: 2},\n"
	"    offers: {one/m: {priority: 1}, two/m: {priority: 2}}}\n"
	"  solo: {context: 100000, max_output: 1000, price: {input: 1, output: 2}, offers: "
	"{one/solo: }}\n"
	"  muses: {context: 100000, max_output: 1000, price: {input: 1, output: 2, reasoning: "
	"20}, offers: {one/muses: }}\n"
	"  paints: {context: 100000, max_output: 1000, price: {input: 1, output: 2, output_audio: "
	"20, output_image: 30}, offers: {one/paints: }}\n"
	"  deep: {context: 100000, max_output: 1000, price: {input: 1, output: 2}, offers: "
	"{three/deep: }}\n"
	"  both: {context: 100000, max_output: 1000, price: {input: 1, output: 2},\n"
	"    offers: {one/both: {priority: 1}, three/both: {priority: 2}}}\n"
	"  dear: {context: 100000, max_output: 1000, price: {input: 1, output: 2, image: 0.01, "
	"web_search: 0.03},\n"
	"    offers: {one/dear: {priority: 1, price: {input: 100000, output: 200000, web_search: "
	"1}}, two/dear: "
	"{priority: 2}}}\n";

const char *scene_settings;

const char scene_whole[] =
	"{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1,"
	"\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
	"\"assistant\",\"content\":\"hi\"},\"finish_reason\":\"stop\"}],\"usage\":"
	"{\"prompt_tokens\":10,\"completion_tokens\":5,\"total_tokens\":15}}";
const char scene_text[] =
	"{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":"
	"\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"hello\"},"
	"\"finish_reason\":null}]}";
const char scene_finish[] = "{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,"
			    "\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},"
			    "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":10,"
			    "\"completion_tokens\":5,\"total_tokens\":15}}";

static void ring_keeper(void *arg)
{
	((struct scene *)arg)->rings++;
}

static enum errc lookup(void *arg, uint64_t seq, struct slice id, struct slice key_id)
{
	struct scene *s = arg;

	assert_int_equal(key_id.n, APIKEY_ID);
	assert_true(id.n > 0);
	s->lookups++;
	s->lookup_seq = seq;
	return s->lookup_errc;
}

static enum errc report(void *arg, const struct msg_report *m)
{
	struct scene *s = arg;

	assert_int_equal(m->key.n, APIKEY_ID);
	assert_true(m->account > 0);
	s->lookups++;
	s->lookup_seq = m->seq;
	return s->lookup_errc;
}

/* --- setup --- */

static void open_table(struct scene *s)
{
	struct fixture f;
	struct ptable *t;
	struct buf text;
	char why[200];

	buf_init(&text, 16384);
	assert_int_equal(buf_addz(&text, scene_settings ? scene_settings : ""), ERRC_OK);
	assert_int_equal(buf_addz(&text, config), ERRC_OK);
	scene_settings = NULL;
	fixture_init(&f, env);
	fixture_good(&f, buf_cstr(&text));
	t = fixture_table(&f);
	config_free(&f.c);
	buf_fini(&f.messages);
	buf_fini(&text);
	assert_int_equal(call_host_prepare(s->calls, t, why, sizeof(why)), ERRC_OK);
	call_host_commit(s->calls);
	ptable_drop(&t);
}

static void open_account(struct scene *s)
{
	struct apikey k;
	bool durable;

	assert_int_equal(peppers_add(&s->peppers, 1), ERRC_OK);
	s->account = rig_account(&s->rig, "acme", 10 * RIG_DOLLAR);
	apikey_make(&k);
	snprintf(s->key_text, sizeof(s->key_text), "%s", k.text);
	s->key = (struct rows_scope){.kind = ROWS_KEY,
				     .account = s->account,
				     .created_s = s->rig.wall_ms / 1000,
				     .keepalive_ms = ROWS_NO_LIMIT,
				     .name = SLICE_LIT("a key")};
	memcpy(s->key.id, k.id, APIKEY_ID);
	apikey_hash(&s->peppers.v[0].key, slice_str(k.text), s->key.hash);
	rows_limits_init(&s->key.limits);
	assert_int_equal(admin_key_create(&s->rig.admin, &s->rig.by, &s->key, &durable), ERRC_OK);
	apikey_fini(&k);
}

static void open_client(struct scene *s)
{
	static struct listen_proxies proxies = {
		.holds = 1,
		.n = 2,
		.nets = {{.bits = 128}, {.addr = {[10] = 0xff, 0xff, 10}, .bits = 104}}};
	const struct listen_peer peer = {.port = 1, .proxies = s->client_trusted ? &proxies : NULL};
	struct xport *x;

	assert_int_equal(mem_xport_new(s->turn, &s->client, &x), ERRC_OK);
	assert_int_equal(down_conn_open(s->clients, x, &peer), ERRC_OK);
}

static void open_worker(struct scene *s)
{
	struct down_opts o = DOWN_OPTS_DEFAULT;
	struct call_env e;

	e = (struct call_env){.turn = s->turn,
			      .pool = s->pool,
			      .live = s->rig.live,
			      .page = s->page,
			      .generation = 1,
			      .peppers = &s->peppers,
			      .ring_keeper = ring_keeper,
			      .lookup = lookup,
			      .report = report,
			      .arg = s};
	assert_int_equal(call_host_new(&e, &s->calls), ERRC_OK);
	open_table(s);
	assert_int_equal(
		down_host_new(s->turn, &o, NULL, &call_host_down_events, s->calls, &s->clients),
		ERRC_OK);
}

int scene_setup(void **state)
{
	struct scene *s = mem_new_of(struct scene);

	*state = s;
	/* The calls' own times are the machine's: the clock stands where that one is now. */
	s->now_ms = clock_boot_ms();
	rig_init(&s->rig);
	s->rig.boot_ms = s->rig.wall_ms = s->now_ms;
	rig_open(&s->rig);
	open_account(s);
	rig_join(&s->rig);
	snprintf(s->page_path, sizeof(s->page_path), "%s/page", s->rig.dir);
	assert_int_equal(page_make(s->page_path, LEDGER_ID, &s->page), ERRC_OK);
	assert_int_equal(uv_loop_init(&s->loop), 0);
	assert_int_equal(turn_new(&s->loop, &s->turn), ERRC_OK);
	turn_fake_clock(s->turn, s->now_ms);
	assert_int_equal(dns_new(s->turn, 30000, &s->dns), ERRC_OK);
	assert_int_equal(upool_new(s->turn, s->dns, &s->pool), ERRC_OK);
	open_worker(s);
	open_client(s);
	return 0;
}

static void check_books(struct scene *s)
{
	struct rows_account a;
	struct scan sum;

	rig_check(&s->rig, &sum);
	rig_get_account(&s->rig, s->account, &a);
	assert_int_equal(a.holds, 0);
	assert_int_equal(a.held_nusd, 0);
}

/* Each call has given back its slot of progress. */
static void check_slots(struct scene *s)
{
	struct progress *p = live_progress(s->rig.live);
	uint64_t account;
	struct genid id;

	for (uint32_t region = 0; !s->left_to_keeper && region < live_head(s->rig.live)->regions;
	     region++) {
		uint32_t slot = 0;

		assert_false(progress_next(p, region, &slot, &account, &id));
	}
}

int scene_teardown(void **state)
{
	struct scene *s = *state;

	assert_int_equal(call_host_count(s->calls), 0);
	check_slots(s);
	check_books(s);
	down_host_free(&s->clients);
	call_host_free(&s->calls);
	upool_free(&s->pool);
	dns_free(&s->dns);
	turn_free(&s->turn);
	uv_run(&s->loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->loop), 0);
	mem_xport_free(&s->client);
	while (s->up_n)
		mem_xport_free(&s->up[--s->up_n]);
	page_unmap(&s->page);
	peppers_fini(&s->peppers);
	rig_fini(&s->rig);
	mem_free(s);
	assert_int_equal(mem_live_count(), 0);
	return 0;
}

/* --- both sides --- */

struct mem_xport *scene_up(struct scene *s, const char *provider)
{
	struct rtable *rt = call_host_table(s->calls);
	struct mem_xport *m = NULL;
	struct xport *x;

	assert_true(s->up_n < SCENE_UPS);
	for (size_t i = 0; i < rt->t->providers_n; i++) {
		if (!slice_is(rt->t->providers[i].name, provider))
			continue;
		assert_int_equal(mem_xport_new(s->turn, &m, &x), ERRC_OK);
		assert_int_equal(upool_adopt(rt->providers[i].ep, x), ERRC_OK);
		s->up[s->up_n++] = m;
	}
	assert_non_null(m);
	return m;
}

static void feed(struct scene *s, struct mem_xport *m, const struct buf *text)
{
	assert_int_equal(mem_xport_feed(m, buf_slice(text), TURN_SCRATCH), ERRC_OK);
	scene_run(s);
}

void scene_send(struct scene *s, const char *line, const char *fields, const char *body)
{
	struct buf text;

	buf_init(&text, 8 << 20);
	assert_int_equal(buf_addf(&text,
				  "%s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer %s\r\n%s"
				  "content-length: %zu\r\n\r\n",
				  line, s->key_text, fields, strlen(body)),
			 ERRC_OK);
	assert_int_equal(buf_addz(&text, body), ERRC_OK);
	feed(s, s->client, &text);
	buf_fini(&text);
}

void scene_chat(struct scene *s, const char *model, bool stream)
{
	char body[256];

	snprintf(body, sizeof(body),
		 "{\"model\":\"%s\",\"max_tokens\":50,%s\"messages\":[{\"role\":\"user\","
		 "\"content\":\"hello there\"}]}",
		 model, stream ? "\"stream\":true," : "");
	scene_send(s, "POST /v1/chat/completions", "", body);
}

void scene_chat_long(struct scene *s, const char *model, bool stream)
{
	struct buf body;

	buf_init(&body, 4 << 20);
	assert_int_equal(buf_addf(&body,
				  "{\"model\":\"%s\",\"max_tokens\":5,\"stream\":%s,\"messages\":[{"
				  "\"role\":\"user\",\"content\":\"",
				  model, stream ? "true" : "false"),
			 ERRC_OK);
	while (body.len <= 1 << 20)
		assert_int_equal(buf_addz(&body, "many words, written here and there; "), ERRC_OK);
	assert_int_equal(buf_addz(&body, "\"}]}"), ERRC_OK);
	scene_send(s, "POST /v1/chat/completions", "", buf_cstr(&body));
	buf_fini(&body);
}

void scene_answer(struct scene *s, struct mem_xport *up, int status, const char *fields,
		  const char *body)
{
	struct buf text;

	buf_init(&text, 8 << 20);
	assert_int_equal(buf_addf(&text,
				  "HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%s"
				  "content-length: %zu\r\n\r\n%s",
				  status, fields, strlen(body), body),
			 ERRC_OK);
	feed(s, up, &text);
	buf_fini(&text);
}

void scene_stream(struct scene *s, struct mem_xport *up)
{
	struct slice head = SLICE_LIT("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
				      "transfer-encoding: chunked\r\n\r\n");

	assert_int_equal(mem_xport_feed(up, head, 0), ERRC_OK);
	scene_run(s);
}

void scene_item(struct scene *s, struct mem_xport *up, const char *data)
{
	struct buf text;

	buf_init(&text, 8 << 20);
	assert_int_equal(buf_addf(&text, "%zx\r\ndata: %s\n\n\r\n", strlen(data) + 8, data),
			 ERRC_OK);
	feed(s, up, &text);
	buf_fini(&text);
}

void scene_stream_end(struct scene *s, struct mem_xport *up)
{
	assert_int_equal(mem_xport_feed(up, SLICE_LIT("0\r\n\r\n"), 0), ERRC_OK);
	scene_run(s);
}

/* --- time --- */

void scene_run(struct scene *s)
{
	for (int i = 0; i < ROUNDS; i++) {
		turn_step(s->turn);
		mem_xport_pump(s->client);
		for (unsigned k = 0; k < s->up_n; k++)
			mem_xport_pump(s->up[k]);
	}
}

void scene_advance(struct scene *s, int64_t ms)
{
	s->now_ms += ms;
	turn_fake_clock(s->turn, s->now_ms);
	scene_run(s);
}

void scene_hold_client(struct scene *s)
{
	mem_xport_window(s->client, 0);
}

void scene_release_client(struct scene *s)
{
	mem_xport_window(s->client, SIZE_MAX);
	scene_run(s);
}

void scene_rejoin(struct scene *s)
{
	mem_xport_free(&s->client);
	turn_step(s->turn);
	open_client(s);
}

void scene_restart(struct scene *s)
{
	down_host_free(&s->clients);
	call_host_free(&s->calls);
	mem_xport_free(&s->client);
	open_worker(s);
	open_client(s);
}

void scene_key(struct scene *s)
{
	bool durable;

	assert_int_equal(admin_key_update(&s->rig.admin, &s->rig.by, &s->key, &durable), ERRC_OK);
}

void scene_end_up(struct scene *s, bool reset)
{
	for (unsigned i = 0; i < s->up_n; i++) {
		if (mem_xport_is_closed(s->up[i]))
			continue;
		if (reset)
			mem_xport_reset(s->up[i], ERRC_CONNRESET);
		else
			mem_xport_eof(s->up[i]);
	}
}

void scene_clear(struct scene *s)
{
	if (!mem_xport_is_closed(s->client))
		mem_xport_reset(s->client, ERRC_CONNRESET);
	scene_end_up(s, true);
	scene_advance(s, 5000);
	while (s->up_n > 0)
		mem_xport_free(&s->up[--s->up_n]);
	scene_none(s);
	rig_drain(&s->rig);          /* as the keeper does */
	s->now_ms = clock_boot_ms(); /* what calls say of their own times is the machine's */
	turn_fake_clock(s->turn, s->now_ms);
	scene_rejoin(s);
}

void scene_break_none(struct scene *s)
{
	s->calls->rt->breaker.failures = 1000;
	s->calls->rt->t->set.retry_minimum = 100000;
}

/* --- what is seen --- */

struct call *scene_call(struct scene *s)
{
	assert_int_equal(call_host_count(s->calls), 1);
	return list_entry(s->calls->calls.next, struct call, node);
}

void scene_none(struct scene *s)
{
	assert_int_equal(call_host_count(s->calls), 0);
}

struct call *scene_at(struct scene *s, enum call_step step)
{
	struct call *c = scene_call(s);

	assert_int_equal(c->step, step);
	return c;
}

void scene_expect_out(struct scene *s, const char *text)
{
	struct slice out = mem_xport_out(s->client);

	if (slice_find(out, slice_str(text)) < 0)
		fail_msg("no `%s` in `%.*s`", text, (int)out.n, out.n ? out.p : "");
}

void scene_expect(struct scene *s, enum record_end end, int status, const char *code)
{
	struct call *c = scene_at(s, CALL_SENT);
	char text[64];

	assert_int_equal(c->end, end);
	assert_int_equal(c->status, status);
	scene_release_client(s);
	snprintf(text, sizeof(text), "HTTP/1.1 %d ", status);
	scene_expect_out(s, text);
	if (code) {
		snprintf(text, sizeof(text), "\"code\":\"%s\"", code);
		scene_expect_out(s, text);
	}
}

struct record_charge *scene_charge(struct scene *s)
{
	static struct record r;

	assert_int_equal(outbox_read(s->rig.live, 0, &s->rig.batch), ERRC_OK);
	assert_true(s->rig.batch.n > 0);
	assert_int_equal(record_decode(s->rig.batch.rows[s->rig.batch.n - 1].record, &r), ERRC_OK);
	assert_int_equal(r.type, RECORD_CHARGE);
	return &r.charge;
}
