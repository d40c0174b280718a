/* The access line and the counters of a request, from what its call knows at its end. */
#include <stdio.h>

#include "apikey.h"
#include "call_steps.h"
#include "front.h"
#include "ipnet.h"
#include "keymeter.h"
#include "log.h"

#define FIELDS_MAX    40
#define SPEED_SPAN_MS 100

struct slice call_path(const struct call *c)
{
	ptrdiff_t q = slice_chr(c->target, '?');

	return q >= 0 ? slice_sub(c->target, 0, (size_t)q) : c->target;
}

static size_t put_request(const struct call *c, struct log_field *f, const char *addr)
{
	size_t n = 0;

	f[n++] = LOG_Z("request_id", c->id_text);
	if (c->wish.client_id.n)
		f[n++] = LOG_S("client_request_id", c->wish.client_id);
	if (c->key) {
		f[n++] = LOG_Z("key", c->key->id);
		f[n++] = LOG_Z("account", c->key->account_name);
	}
	if (c->user.n)
		f[n++] = LOG_S("user", c->user);
	f[n++] = LOG_Z("client", addr);
	if (c->front)
		f[n++] = LOG_Z("front", front_name(c->op));
	f[n++] = LOG_S("method", c->method);
	f[n++] = LOG_S("path", call_path(c));
	if (c->facts.model.n)
		f[n++] = LOG_S("model", slice_sub(c->facts.model, 0, LIMIT_MODEL_NAME));
	return n;
}

/* Whose failure it was. */
static const char *whose(const struct call *c)
{
	if (c->end == RECORD_END_CLIENT_SLOW)
		return "client";
	return (c->fault.provider[0] || c->tried_n) &&
			       (c->end == RECORD_END_UPSTREAM_ERROR ||
				c->end == RECORD_END_TIMEOUT || c->end == RECORD_END_REJECTED)
		       ? "provider"
		       : "gateway";
}

/* Whether the fault is in a provider's own words, about the request: they may repeat the prompt, which no log has. */
static bool is_quoted(const struct fault *f)
{
	return f->provider[0] && fault_row(f->kind)->status < 429;
}

static size_t put_answer(const struct call *c, struct log_field *f)
{
	const struct call_attempt *a = c->attempt;
	size_t n = 0;

	if (a && a->provider) {
		f[n++] = LOG_S("model_used", c->route.v[a->at].model->name);
		f[n++] = LOG_S("provider", a->provider->p->name);
	}
	f[n++] = LOG_I("status", c->status);
	f[n++] = LOG_Z("end", record_end_name(c->end));
	if (fault_is_set(&c->fault)) {
		f[n++] = LOG_Z("error", fault_row(c->fault.kind)->openai_code);
		f[n++] = LOG_Z("error_from", whose(c));
		if (is_quoted(&c->fault))
			f[n++] = LOG_Z("provider_code", c->fault.provider_code);
		else
			f[n++] = LOG_Z("error_text", fault_message(&c->fault));
	}
	f[n++] = LOG_I("attempts", c->tried_n);
	if (c->charged) {
		f[n++] = LOG_I("tokens_in", usage_input_total(&c->usage));
		f[n++] = LOG_I("tokens_cached", usage_get(&c->usage, USAGE_CACHE_READ));
		f[n++] = LOG_I("tokens_out", usage_output_total(&c->usage));
		f[n++] = LOG_I("tokens_reasoning", usage_reasoning(&c->usage));
		f[n++] = LOG_B("usage_estimated", c->usage.estimated);
	}
	f[n++] = LOG_NUSD("cost_usd", c->done.charge_nusd);
	return n;
}

static int64_t gateway_us(const struct call *c)
{
	const struct call_attempt *a = c->attempt;
	int64_t from = c->body_us ? c->body_us : c->start_us,
		to = c->first_us ? c->first_us : c->end_us;
	int64_t up = a && a->head_us > a->start_us ? a->head_us - a->start_us : 0;

	return MAX_OF(to - from - up, 0);
}

/* Clients put their keys where a path or a model is due. This lies in memory of the call, which is over. */
static void hide_keys(struct call *c)
{
	apikey_hide((char *)c->target.p, c->target.n);
	apikey_hide((char *)c->facts.model.p, c->facts.model.n);
}

void call_access_log(struct call *c)
{
	struct log_field f[FIELDS_MAX];
	struct ipnet net = {.bits = 128};
	char addr[IPNET_TEXT_MAX];
	size_t n;

	if (!call_set(c)->log_access || !log_wants(LOG_INFO))
		return;
	memcpy(net.addr, c->addr, sizeof(net.addr));
	ipnet_print(&net, addr);
	hide_keys(c);
	n = put_request(c, f, addr);
	n += put_answer(c, f + n);
	if (c->first_us)
		f[n++] = LOG_MS("first_byte_ms", c->first_us - c->start_us);
	f[n++] = LOG_MS("total_ms", c->end_us - c->start_us);
	f[n++] = LOG_MS("gateway_ms", gateway_us(c));
	f[n++] = LOG_U("bytes_in", c->bytes_in);
	f[n++] = LOG_U("bytes_out", c->bytes_out);
	log_line(LOG_INFO, "request", f, n);
}

/* A request that no offer answered, or not with 200: labels from the configuration only. */
static void count_other(struct call *c)
{
	char code[16], text[SERIES_LABELS_MAX];
	const struct call_attempt *a = c->attempt;
	struct slice v[4] = {c->front ? slice_str(front_name(c->op)) : SLICE_LIT("own"),
			     c->route.asked ? c->route.asked->name : SLICE_LIT("other"),
			     a && a->provider ? a->provider->p->name : SLICE_LIT("none")};

	v[3] = slice_of(code, (size_t)snprintf(code, sizeof(code), "%d", c->status));
	series_add(series_cell(c->rt->page, SERIES_REQUESTS,
			       slice_of(text, series_labels(SERIES_REQUESTS, v, 4, text))),
		   1);
}

static void count_money(struct call *c)
{
	const struct route_candidate *r = &c->route.v[c->attempt->at];

	series_add(rtable_charged(c->rt, r->offer, r->model), (uint64_t)c->done.charge_nusd);
	if (c->done.uncollected_nusd > 0)
		series_add(series_cell(c->rt->page, SERIES_UNCOLLECTED, SLICE_NONE),
			   (uint64_t)c->done.uncollected_nusd);
}

static void count_charge(struct call *c)
{
	const struct route_candidate *r = &c->route.v[c->attempt->at];
	const struct ptable_offer *o = r->offer;

	for (unsigned i = 0; i < USAGE_COUNT; i++)
		if (usage_get(&c->usage, (enum usage_class)i) > 0)
			series_add(rtable_tokens(c->rt, o, r->model, (enum usage_class)i),
				   (uint64_t)usage_get(&c->usage, (enum usage_class)i));
	series_add(rtable_cost(c->rt, o, r->model), (uint64_t)call_cost(c, o, &c->usage));
	count_money(c);
}

static void count_key(struct call *c)
{
	struct keymeter *k =
		keymeter_of(c->rt->page, slice_str(c->key->id), slice_str(c->key->account_name));

	keymeter_add(k, keymeter_of_status(c->status), 1);
	if (!c->charged)
		return;
	for (unsigned i = 0; i < USAGE_COUNT; i++)
		keymeter_add(k, (enum keymeter_cell)(KEYMETER_TOKENS + i),
			     (uint64_t)usage_get(&c->usage, (enum usage_class)i));
	keymeter_add(k, KEYMETER_CHARGED, (uint64_t)c->done.charge_nusd);
}

/* How fast the offer is, for `aigwctl provider show`. A stream that came all at once says nothing of it. */
static void note_speed(struct call *c, struct breaker *b)
{
	const struct call_attempt *a = c->attempt;
	int64_t ms = (c->end_us - c->commit_us) / 1000;

	if (!b || !c->facts.stream || c->end != RECORD_END_DONE || !c->commit_us ||
	    ms < SPEED_SPAN_MS)
		return;
	breaker_speed(b, (uint32_t)MAX_OF((c->commit_us - a->start_us) / 1000, 1),
		      (uint32_t)MIN_OF(usage_output_total(&c->usage) * 1000 / ms, UINT32_MAX));
}

void call_count(struct call *c)
{
	const struct call_attempt *a = c->attempt;
	const struct route_candidate *r = a && a->provider ? &c->route.v[a->at] : NULL;

	if (r && c->front && c->status == 200) {
		series_add(rtable_ok(c->rt, r->offer, r->model, c->op), 1);
		series_observe_us(rtable_duration(c->rt, r->offer, r->model, c->op),
				  (uint64_t)MAX_OF(c->end_us - c->start_us, 0));
		if (c->first_us && c->body_us)
			series_observe_us(rtable_ttft(c->rt, r->offer, r->model, c->op),
					  (uint64_t)MAX_OF(c->first_us - c->body_us, 0));
		series_observe_us(series_histo(c->rt->page, SERIES_GATEWAY_DURATION, SLICE_NONE),
				  (uint64_t)gateway_us(c));
		note_speed(c, rtable_offer_of(c->rt, r->offer)->health);
	} else {
		count_other(c);
	}
	if (c->charged && r)
		count_charge(c);
	if (c->key && call_set(c)->metrics_by_key)
		count_key(c);
}

void call_count_late(struct call *c)
{
	if (!c->charged)
		return;
	count_money(c);
	if (call_set(c)->metrics_by_key)
		keymeter_add(keymeter_of(c->rt->page, slice_str(c->key->id),
					 slice_str(c->key->account_name)),
			     KEYMETER_CHARGED, (uint64_t)c->done.charge_nusd);
}
