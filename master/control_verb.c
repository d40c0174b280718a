#include "control_verb.h"

#include <unistd.h>

#include "breaker.h"
#include "clock.h"
#include "config_message.h"
#include "log.h"
#include "master.h"
#include "model_price.h"
#include "ptable.h"
#include "secret.h"

#define PIECE (64 * 1024) /* of a long text, a row each */

struct args {
	struct control_field f[CONTROL_FIELDS_MAX];
	size_t n;
};

typedef enum errc verb_fn(struct control_client *c, const struct args *a);

static enum errc done(struct control_client *c)
{
	c->ended = true;
	return control_send_end(&c->chan, CONTROL_DONE, "", SLICE_NONE, NULL, 0);
}

static enum errc send_row(struct control_client *c, const char *kind, const struct control_field *f,
			  size_t n)
{
	return control_send_row(&c->chan, kind, f, n);
}
#define ROW(c, kind, ...)                                              \
	send_row(c, kind, (const struct control_field[]){__VA_ARGS__}, \
		 sizeof((const struct control_field[]){__VA_ARGS__}) / \
			 sizeof(struct control_field))

/* --- messages of the configuration --- */

enum errc control_verb_messages(struct control_client *c, struct slice lines)
{
	struct config_message m;
	enum errc e = ERRC_OK;

	while (!e && config_message_next(&lines, &m))
		e = ROW(c, "message", CONTROL_S("level", m.level), CONTROL_S("file", m.file),
			CONTROL_I("line", m.line), CONTROL_I("column", m.column),
			CONTROL_S("text", m.text));
	return e;
}

enum errc control_verb_end_errors(struct control_client *c, enum control_status status,
				  const char *code, struct slice lines)
{
	struct config_message m;
	struct buf file;
	enum errc e;

	c->ended = true;
	if (!config_message_first_error(lines, &m))
		m = (struct config_message){.text = SLICE_LIT("refused")};
	buf_init(&file, 8192);
	e = buf_adds(&file, m.file);
	if (!e)
		e = control_send_end(&c->chan, status, code, m.text, buf_cstr(&file),
				     (unsigned)m.line);
	buf_fini(&file);
	return e;
}

/* --- status, workers --- */

static enum errc row_worker(struct control_client *c, const struct child *ch, int64_t now_ms)
{
	static const char *const states[] = {"empty", "starting", "ready", "draining"};
	struct page_proc *p = page_proc(c->m->page, ch->page_slot);

	return ROW(c, ch->role == HERITAGE_KEEPER ? "keeper" : "worker", CONTROL_I("slot", ch->slot),
		   CONTROL_I("pid", ch->pid), CONTROL_S("state", slice_str(states[ch->state])),
		   CONTROL_I("uptime_ms", ch->pid ? now_ms - ch->started_ms : 0),
		   CONTROL_I("config_generation", ch->committed),
		   CONTROL_I("inflight", atomic_load(&p->inflight)),
		   CONTROL_I("requests", atomic_load(&p->requests)),
		   CONTROL_I("conns_down", atomic_load(&p->conns_down)),
		   CONTROL_I("conns_up", atomic_load(&p->conns_up)),
		   CONTROL_I("conns_up_idle", atomic_load(&p->conns_up_idle)),
		   CONTROL_I("early_deaths", ch->early_deaths));
}

static enum errc rows_workers(struct control_client *c)
{
	int64_t now_ms = clock_boot_ms();
	enum errc e = row_worker(c, &c->m->sup.keeper.child, now_ms);

	for (unsigned i = 0; i < c->m->sup.workers_n && !e; i++)
		e = row_worker(c, &c->m->sup.workers[i].child, now_ms);
	return e;
}

static enum errc verb_worker_list(struct control_client *c, const struct args *a)
{
	enum errc e = rows_workers(c);

	return e ? e : done(c);
}

static int64_t gauge(struct master *m, enum page_gauge g)
{
	return (int64_t)atomic_load(page_gauge(m->page, g));
}

static enum errc row_node(struct control_client *c)
{
	struct master *m = c->m;
	const struct settings *set = master_settings(m);
	size_t providers, models, offers;
	const char *state = drain_is_on(m) ? "draining" : m->ready ? "serving" : "starting";

	config_counts(m->config, &providers, &models, &offers);
	return ROW(c, "node", CONTROL_S("version", SLICE_LIT(AIGW_VERSION)),
		   CONTROL_S("state", slice_str(state)), CONTROL_I("pid", getpid()),
		   CONTROL_I("uptime_ms", clock_boot_ms() - m->started_ms),
		   CONTROL_S("region", set->region),
		   CONTROL_S("config", slice_str(m->config_path ? m->config_path : "")),
		   CONTROL_I("config_generation", m->config_generation),
		   CONTROL_B("last_reload_ok", gauge(m, PAGE_CONFIG_LAST_RELOAD)),
		   CONTROL_I("master_generation", m->generation),
		   CONTROL_S("ledger_id", slice_str(m->ledger_id)),
		   CONTROL_S("state_folder", slice_str(m->state)),
		   CONTROL_S("live_folder", slice_str(m->live)),
		   CONTROL_I("workers", m->sup.workers_n),
		   CONTROL_I("workers_ready", supervisor_workers_ready(m)),
		   CONTROL_I("providers", providers), CONTROL_I("models", models),
		   CONTROL_I("offers", offers));
}

static enum errc row_ledger(struct control_client *c)
{
	static const char *const states[] = {"good", "commit failed", "read-only"};
	struct master *m = c->m;
	int64_t state = gauge(m, PAGE_LEDGER_STATE);

	return ROW(c, "ledger",
		   CONTROL_S("state", slice_str(state >= 0 && state < 3 ? states[state] : "?")),
		   CONTROL_I("epoch", gauge(m, PAGE_EPOCH)),
		   CONTROL_I("lag_ms", gauge(m, PAGE_LEDGER_LAG_MS)),
		   CONTROL_I("outbox_records", gauge(m, PAGE_OUTBOX_RECORDS)),
		   CONTROL_I("holds", gauge(m, PAGE_HOLDS)),
		   CONTROL_I("held_nusd", gauge(m, PAGE_HELD_NUSD)),
		   CONTROL_I("hold_age_ms", gauge(m, PAGE_HOLD_AGE_MS)),
		   CONTROL_I("live_bytes", gauge(m, PAGE_LIVE_BYTES)),
		   CONTROL_I("live_max_bytes", gauge(m, PAGE_LIVE_BYTES_MAX)),
		   CONTROL_I("imbalance_nusd", gauge(m, PAGE_IMBALANCE_NUSD)));
}

static bool speaks_tls(const struct settings *set, const struct listeners_row *r)
{
	for (size_t i = 0; i < set->listeners_n && !r->admin; i++) {
		if (slice_is(set->listeners[i].address, r->address))
			return set->listeners[i].tls;
	}
	return false;
}

static enum errc rows_listeners(struct control_client *c)
{
	enum errc e = ERRC_OK;

	list_each (it, &c->m->listeners.rows) {
		const struct listeners_row *r = list_entry(it, struct listeners_row, node);

		e = ROW(c, "listener", CONTROL_S("address", slice_str(r->address)),
			CONTROL_I("port", r->port), CONTROL_B("admin", r->admin),
			CONTROL_B("tls", speaks_tls(master_settings(c->m), r)));
		if (e)
			break;
	}
	return e;
}

static enum errc verb_status(struct control_client *c, const struct args *a)
{
	enum errc e = row_node(c);

	if (!e)
		e = row_ledger(c);
	if (!e)
		e = rows_listeners(c);
	if (!e)
		e = rows_workers(c);
	return e ? e : done(c);
}

/* --- reload, stop, log --- */

static enum errc verb_reload(struct control_client *c, const struct args *a)
{
	if (drain_is_on(c->m)) {
		c->ended = true;
		return control_end(&c->chan, CONTROL_REFUSED, "draining", "the gateway is stopping");
	}
	log_info("reload_asked", "by uid %llu, pid %llu", (unsigned long long)c->uid,
		 (unsigned long long)c->pid);
	c->waits_for_run = reload_request(c->m, (int64_t)c->uid);
	return ERRC_OK;
}

static enum errc verb_stop(struct control_client *c, const struct args *a)
{
	bool now = control_get_bool(a->f, a->n, "now");

	log_info("stop_asked", "by uid %llu, pid %llu%s", (unsigned long long)c->uid,
		 (unsigned long long)c->pid, now ? ", at once" : "");
	c->waits_for_end = true;
	drain_start(c->m, now);
	return ERRC_OK;
}

static enum errc verb_log_reopen(struct control_client *c, const struct args *a)
{
	enum errc e = master_log_reopen(c->m);

	c->ended = e || master_log_is_sent(c->m);
	c->waits_for_log = !c->ended;
	if (e)
		return control_end(&c->chan, CONTROL_REFUSED, "log_failed",
				   "the log cannot be opened anew: %s", errc_text(e));
	return c->ended ? done(c) : ERRC_OK;
}

/* --- config --- */

static enum errc verb_config_check(struct control_client *c, const struct args *a)
{
	struct config_opts o = {.path = c->m->config_path,
				.env = environ,
				.strict = control_get_bool(a->f, a->n, "strict")};
	struct slice lines, closing = SLICE_NONE;
	struct buf messages;
	enum errc e, checked;

	buf_init(&messages, CONFIG_MESSAGES_MAX);
	checked = config_check(&o, &messages);
	lines = buf_slice(&messages);
	if (!checked)
		closing = config_message_cut_last(&lines);
	e = control_verb_messages(c, lines);
	c->ended = true;
	if (!e && checked)
		e = control_verb_end_errors(c, CONTROL_FINDINGS, "invalid_config", lines);
	else if (!e)
		e = control_send_end(&c->chan, CONTROL_DONE, "", closing, NULL, 0);
	buf_fini(&messages);
	return e;
}

static enum errc verb_config_show(struct control_client *c, const struct args *a)
{
	struct buf text;
	enum errc e;

	buf_init(&text, CONFIG_PRINT_MAX);
	e = config_print(c->m->config, control_get_bool(a->f, a->n, "origin"), &text);
	for (size_t at = 0; at < text.len && !e; at += PIECE)
		e = ROW(c, "text", CONTROL_S("text", slice_sub(buf_slice(&text), at, PIECE)));
	buf_fini(&text);
	return e ? e : done(c);
}

/* --- providers, models --- */

/* The committed table; to be dropped by the caller. */
static enum errc table(struct control_client *c, struct ptable **out)
{
	struct buf blob;
	enum errc e;

	buf_init(&blob, LIMIT_FRAME_IPC);
	e = config_blob_kept(c->m->config, c->m->boot, c->m->config_generation, &blob);
	if (!e)
		e = ptable_decode(buf_slice(&blob), out);
	if (blob.p)
		secret_wipe(blob.p, blob.cap);
	buf_fini(&blob);
	return e;
}

static const char *dialect_name(enum ptable_dialect d)
{
	return d == PTABLE_ANTHROPIC ? "anthropic" : "openai";
}

static void breaker_opts_of(const struct settings *set, struct breaker_opts *o)
{
	*o = (struct breaker_opts){.failures = (unsigned)set->breaker_failures,
				   .of = (unsigned)set->breaker_requests,
				   .window_ms = set->breaker_window_ms,
				   .open_ms = set->breaker_cool_ms,
				   .open_max_ms = set->breaker_cool_max_ms,
				   .slow_start_ms = set->breaker_slow_start_ms};
}

/* What of a provider can be used now. */
struct usable {
	int64_t keys_good, offers, offers_closed;
};

static void count_usable(const struct master *m, const struct ptable *t,
			 const struct ptable_provider *p, struct usable *u)
{
	int64_t now_ms = clock_boot_ms();
	struct breaker_opts opts;

	*u = (struct usable){0};
	breaker_opts_of(&t->set, &opts);
	for (size_t i = 0; i < p->keys_n; i++) {
		const struct breaker_key *k = breaker_key(m->page, p->keys[i].id);

		u->keys_good += !k || breaker_key_wait_ms(k, now_ms, NULL) == 0;
	}
	for (size_t i = 0; i < t->offers_n; i++) {
		const struct breaker *b = breaker_offer(m->page, t->offers[i].id);

		if (t->offers[i].provider != p)
			continue;
		u->offers++;
		u->offers_closed += !b || breaker_state(b, &opts, now_ms) != BREAKER_OPEN;
	}
}

static const char *usable_state(const struct ptable_provider *p, const struct usable *u)
{
	if ((p->keys_n && u->keys_good == 0) || (u->offers && u->offers_closed == 0))
		return "out";
	if (u->keys_good < (int64_t)p->keys_n || u->offers_closed < u->offers)
		return "degraded";
	return "good";
}

static enum errc row_provider(struct control_client *c, const struct ptable *t,
			      const struct ptable_provider *p)
{
	const struct breaker_provider *b = breaker_provider(c->m->page, p->id);
	int64_t used = 0, idle = 0;
	struct usable u;

	count_usable(c->m, t, p, &u);
	for (unsigned i = 0; b && i < page_slots_high(c->m->page); i++) {
		used += atomic_load(&b->use[i].conns_used);
		idle += atomic_load(&b->use[i].conns_idle);
	}
	return ROW(c, "provider", CONTROL_S("name", p->name),
		   CONTROL_S("dialect", slice_str(dialect_name(p->dialect))),
		   CONTROL_S("host", p->base.host), CONTROL_I("port", p->base.port),
		   CONTROL_S("state", slice_str(usable_state(p, &u))), CONTROL_I("keys", p->keys_n),
		   CONTROL_I("keys_good", u.keys_good), CONTROL_I("offers", u.offers),
		   CONTROL_I("offers_closed", u.offers_closed),
		   CONTROL_I("inflight", b ? breaker_inflight(b) : 0),
		   CONTROL_I("conns_used", used), CONTROL_I("conns_idle", idle));
}

/* 0 stands for not known. */
static struct control_field known(const char *name, int64_t v)
{
	return (struct control_field){
		.name = slice_str(name), .type = v ? CONTROL_T_I64 : CONTROL_T_NONE, .i = v};
}

static enum errc row_key(struct control_client *c, const struct ptable_key *k, int64_t now_ms)
{
	struct breaker_key *b = breaker_key(c->m->page, k->id);
	enum breaker_rest why = BREAKER_READY;
	int64_t wait = b ? breaker_key_wait_ms(b, now_ms, &why) : 0;
	bool out = why == BREAKER_OUT;

	return ROW(c, "key", CONTROL_S("source", k->label),
		   CONTROL_S("state", slice_str(out    ? "out"
						: wait ? "cooling"
						       : "good")),
		   known("wait_ms", wait),
		   known("status", b && out ? atomic_load(&b->out_status) : 0));
}

static enum errc row_offer(struct control_client *c, const struct ptable *t,
			   const struct ptable_offer *o, int64_t now_ms)
{
	static const char *const states[] = {"closed", "open", "half-open", "slow start"};
	struct breaker *b = breaker_offer(c->m->page, o->id);
	struct breaker_opts opts;
	uint32_t ttft = 0, tps = 0;

	breaker_opts_of(&t->set, &opts);
	if (b)
		breaker_speed_get(b, &ttft, &tps);
	return ROW(c, "offer", CONTROL_S("provider", o->provider->name),
		   CONTROL_S("upstream", o->upstream), CONTROL_I("priority", o->priority),
		   CONTROL_I("weight", o->weight),
		   CONTROL_S("breaker",
			     slice_str(b ? states[breaker_state(b, &opts, now_ms)] : "closed")),
		   known("wait_ms", b ? breaker_wait_ms(b, now_ms) : 0), known("ttft_ms", ttft),
		   known("tokens_per_s", tps));
}

static enum errc not_found(struct control_client *c, const char *what, struct slice name)
{
	c->ended = true;
	return control_end(&c->chan, CONTROL_NOT_FOUND, "not_found",
			   "there is no %s '" SLICE_FMT "'", what,
			   SLICE_ARG(slice_sub(name, 0, 256)));
}

static enum errc provider_rows(struct control_client *c, const struct ptable *t, struct slice name,
			       bool one)
{
	const struct ptable_provider *p = one ? ptable_provider(t, name) : NULL;
	enum errc e = ERRC_OK;

	if (one && !p)
		return not_found(c, "provider", name);
	for (size_t i = 0; i < t->providers_n && !e && !one; i++)
		e = row_provider(c, t, &t->providers[i]);
	if (one)
		e = row_provider(c, t, p);
	for (size_t i = 0; one && i < p->keys_n && !e; i++)
		e = row_key(c, &p->keys[i], clock_boot_ms());
	for (size_t i = 0; one && i < t->offers_n && !e; i++) {
		if (t->offers[i].provider == p)
			e = row_offer(c, t, &t->offers[i], clock_boot_ms());
	}
	return e ? e : done(c);
}

static enum errc row_model(struct control_client *c, const struct ptable_model *m)
{
	const struct price *p = m->price ? tariff_pick(m->price, clock_wall_s(), 0, USAGE_TIER_NONE)
					 : NULL;

	return ROW(c, "model", CONTROL_S("name", m->name), CONTROL_S("owned_by", m->owned_by),
		   CONTROL_I("context", m->context), CONTROL_I("max_output", m->max_output),
		   CONTROL_B("free", p && p->free),
		   CONTROL_I("input_pusd", p ? p->pusd[USAGE_INPUT] : 0),
		   CONTROL_I("cache_read_pusd", p ? p->pusd[USAGE_CACHE_READ] : 0),
		   CONTROL_I("output_pusd", p ? p->pusd[USAGE_OUTPUT] : 0),
		   CONTROL_I("request_nusd", p ? p->request_nusd : 0),
		   CONTROL_I("price_rows", m->price ? m->price->n : 0),
		   CONTROL_I("offers", m->offers_n), CONTROL_I("fallbacks", m->fallbacks_n));
}

static enum errc model_rows(struct control_client *c, const struct ptable *t, struct slice name,
			    bool one)
{
	const struct ptable_model *m = one ? ptable_model(t, name) : NULL;
	enum errc e = ERRC_OK;

	if (one && !m)
		return not_found(c, "model", name);
	for (size_t i = 0; i < t->models_n && !e && !one; i++)
		e = row_model(c, &t->models[i]);
	if (one)
		e = row_model(c, m);
	for (size_t i = 0; one && i < m->offers_n && !e; i++)
		e = row_offer(c, t, &m->offers[i], clock_boot_ms());
	for (size_t i = 0; one && i < m->fallbacks_n && !e; i++)
		e = ROW(c, "fallback", CONTROL_S("name", m->fallbacks[i]->name));
	return e ? e : done(c);
}

static enum errc with_table(struct control_client *c, const struct args *a, bool one,
			    enum errc (*rows)(struct control_client *, const struct ptable *,
					      struct slice, bool))
{
	struct slice name = SLICE_NONE;
	struct ptable *t = NULL;
	enum errc e;

	if (one && !control_get_str(a->f, a->n, "name", &name)) {
		c->ended = true;
		return control_end(&c->chan, CONTROL_USAGE, "missing_argument", "a name is needed");
	}
	e = table(c, &t);
	if (!e)
		e = rows(c, t, name, one);
	ptable_drop(&t);
	return e;
}

static enum errc verb_provider_list(struct control_client *c, const struct args *a)
{
	return with_table(c, a, false, provider_rows);
}

static enum errc verb_provider_show(struct control_client *c, const struct args *a)
{
	return with_table(c, a, true, provider_rows);
}

static enum errc verb_model_list(struct control_client *c, const struct args *a)
{
	return with_table(c, a, false, model_rows);
}

static enum errc verb_model_show(struct control_client *c, const struct args *a)
{
	return with_table(c, a, true, model_rows);
}

static enum errc verb_model_price(struct control_client *c, const struct args *a)
{
	struct ptable *t = NULL;
	enum errc e = table(c, &t);

	c->ended = !e;
	if (!e)
		e = model_price_serve(&c->chan, t, a->f, a->n);
	ptable_drop(&t);
	return e;
}

static verb_fn *const verbs[CONTROL_VERB_COUNT] = {
	[CONTROL_DO_STATUS] = verb_status,
	[CONTROL_DO_RELOAD] = verb_reload,
	[CONTROL_DO_STOP] = verb_stop,
	[CONTROL_DO_LOG_REOPEN] = verb_log_reopen,
	[CONTROL_DO_CONFIG_CHECK] = verb_config_check,
	[CONTROL_DO_CONFIG_SHOW] = verb_config_show,
	[CONTROL_DO_WORKER_LIST] = verb_worker_list,
	[CONTROL_DO_PROVIDER_LIST] = verb_provider_list,
	[CONTROL_DO_PROVIDER_SHOW] = verb_provider_show,
	[CONTROL_DO_MODEL_LIST] = verb_model_list,
	[CONTROL_DO_MODEL_SHOW] = verb_model_show,
	[CONTROL_DO_MODEL_PRICE] = verb_model_price,
};

enum errc control_verb_serve(struct control_client *c, enum control_verb v, struct slice args)
{
	struct args a;
	enum errc e = control_decode(args, a.f, ARRAY_LEN(a.f), &a.n);

	if (e)
		return e;
	require(verbs[v] != NULL);
	return verbs[v](c, &a);
}
