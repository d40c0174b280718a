#include "rig.h"

#include "caps.h"
#include "mem.h"

/* Ten nano-dollars a token: easy to see in an output. */
static int64_t rig_cost(void *arg, const struct usage *u)
{
	(void)arg;
	return 10 * usage_total(u);
}

static bool rig_is_paid(void *arg)
{
	(void)arg;
	return true;
}

void rig_init(struct rig *r, enum ptable_dialect back)
{
	memset(r, 0, sizeof(*r));
	r->front = dialect_front(DIALECT_FRONT_OPENAI);
	r->back = dialect_back(back);
	r->provider = (struct ptable_provider){
		.name = SLICE_LIT("prov"),
		.dialect = back,
		.base = {.path = SLICE_LIT("/v1"), .host = SLICE_LIT("h")},
		.anthropic_version = SLICE_LIT("2023-06-01"),
		.usage_option = true,
		.embeddings_base64 = true,
	};
	r->offer = (struct ptable_offer){.provider = &r->provider, .upstream = SLICE_LIT("up-m1")};
	r->model = (struct ptable_model){
		.name = SLICE_LIT("m1"), .context = 128000, .max_output = 4096};
	r->env = (struct dialect_env){
		.now_s = 1700000000,
		.gen_id = SLICE_LIT("gen_0123456789"),
		.model = SLICE_LIT("m1"),
		.cost = rig_cost,
		.is_paid = rig_is_paid,
	};
	r->facts = (struct dialect_facts){.n = 1, .best_of = 1, .copies = 1};
	arena_init(&r->arena, LIMIT_ARENA_CALL);
	buf_init(&r->out, 64 * 1024 * 1024);
}

void rig_fini(struct rig *r)
{
	if (r->scan)
		r->front->scan_fini(r->scan);
	mem_free(r->scan);
	buf_fini(&r->out);
	arena_fini(&r->arena);
}

enum errc rig_ask(struct rig *r, enum dialect_op op, const char *body)
{
	size_t step, at = 0;
	enum errc e = ERRC_OK;

	r->body = slice_str(body);
	step = r->split ? r->split : r->body.n;
	if (r->scan)
		r->front->scan_fini(r->scan);
	mem_free(r->scan);
	r->scan = mem_new(r->front->scan_size);
	if (!r->scan)
		return ERRC_NOMEM;
	memset(&r->fault, 0, sizeof(r->fault));
	r->front->scan_init(r->scan, op, LIMIT_JSON_DEPTH);
	for (; !e && at < r->body.n; at += step)
		e = r->front->scan_push(r->scan, r->body.p + at, MIN_OF(step, r->body.n - at),
					&r->fault);
	return e ? e : r->front->scan_end(r->scan, r->body, &r->facts, &r->fault);
}

enum errc rig_write(struct rig *r, int64_t cap)
{
	struct ir_request *ir = NULL;
	struct dialect_request q;
	struct dialect_ask ask = {
		.scan = r->scan,
		.facts = &r->facts,
		.body = r->body,
		.offer = &r->offer,
		.model = &r->model,
		.cap = cap,
		.arena = &r->arena,
	};
	size_t bytes = 0;
	enum errc e = ERRC_OK;

	if (!dialect_is_same(r->front, r->back))
		e = r->front->read_request(&r->facts, r->body, &r->arena, &ir, &r->fault);
	ask.ir = ir;
	if (!e)
		e = r->back->write_request(&ask, &q, &r->fault);
	buf_reset(&r->out);
	for (unsigned i = 0; !e && i < q.body_n; i++) {
		e = buf_adds(&r->out, q.body[i]);
		bytes += q.body[i].n;
	}
	if (!e)
		require(bytes == q.body_bytes);
	return e;
}

static void rig_note(struct rig *r, struct ir_event *ev)
{
	static struct usage estimate;

	r->events++;
	r->commits += ev->commits;
	if (ev->so_far)
		r->content_bytes = r->reasoning_bytes = r->sound_bytes = r->pictures = 0;
	r->content_bytes += ev->content_bytes;
	r->reasoning_bytes += ev->reasoning_bytes;
	r->sound_bytes += ev->sound_bytes;
	r->pictures += ev->pictures;
	r->tier = ev->usage && ev->usage->tier ? ev->usage->tier : ev->tier ? ev->tier : r->tier;
	if (ev->finish != IR_FIN_NONE)
		r->finish = ev->finish;
	if (ev->usage) {
		r->usage = *ev->usage;
		r->has_usage = true;
	}
	if (ev->kind == IR_END) {
		r->ended = true;
		usage_init(&estimate);
		estimate.estimated = true;
		usage_set(&estimate, USAGE_INPUT, 7);
		usage_set(&estimate, USAGE_OUTPUT, 5);
		ev->usage = r->has_usage ? &r->usage : &estimate;
	}
	if (ev->kind == IR_ERROR) {
		r->failed = true;
		r->fault = *ev->fault;
		r->verdict = *ev->verdict;
	}
}

static enum errc rig_drain(struct rig *r, void *dec, void *enc)
{
	struct ir_event ev;
	enum errc e = ERRC_OK;
	int got;

	while (!e && (got = r->back->dec_next(dec, &ev)) != 0) {
		if (got < 0)
			return (enum errc) - got;
		rig_note(r, &ev);
		if (ev.kind == IR_ERROR)
			e = r->front->write_fault_event(ev.fault, r->env.gen_id, &r->out);
		else
			e = r->front->enc_event(enc, &ev, &r->out);
	}
	if (!e && r->flush_each && r->front->enc_is_holding(enc))
		e = r->front->enc_flush(enc, &r->out);
	return e;
}

enum errc rig_answer(struct rig *r, struct slice bytes, bool stream)
{
	struct dialect_dec_opts d = {
		.facts = &r->facts,
		.provider = &r->provider,
		.stream = stream,
		.raw = dialect_is_same(r->front, r->back),
		.whole_bytes = r->long_answer ? 60 : 1024 * 1024,
	};
	struct dialect_enc_opts c = {.facts = &r->facts, .env = &r->env, .stream = stream};
	void *dec = mem_new(r->back->dec_size), *enc = mem_new(r->front->enc_size);
	size_t step = r->split ? r->split : MAX_OF(bytes.n, (size_t)1);
	enum errc e = dec && enc ? ERRC_OK : ERRC_NOMEM;

	buf_reset(&r->out);
	r->ended = r->failed = r->has_usage = false;
	r->events = r->commits = 0;
	r->content_bytes = r->reasoning_bytes = r->sound_bytes = r->pictures = 0;
	r->tier = USAGE_TIER_NONE;
	r->finish = IR_FIN_NONE;
	if (e)
		goto out;
	r->back->dec_init(dec, &d);
	r->front->enc_init(enc, &c);
	for (size_t at = 0; !e && at < bytes.n; at += step) {
		e = r->back->dec_push(dec, slice_of(bytes.p + at, MIN_OF(step, bytes.n - at)));
		if (!e)
			e = rig_drain(r, dec, enc);
	}
	if (!e)
		e = r->back->dec_finish(dec);
	if (!e)
		e = rig_drain(r, dec, enc);
	r->bad = r->back->dec_bad_count(dec);
	r->back->dec_fini(dec);
	r->front->enc_fini(enc);
out:
	mem_free(dec);
	mem_free(enc);
	return e;
}
