#include "rtable.h"

#include <stdio.h>

#include "caps.h"
#include "dialect.h"
#include "front.h"
#include "http1.h"
#include "mem.h"
#include "text.h"

#define RTABLE_MAGIC     0x5254424cu
#define RTABLE_FIXED_MAX (2 * LIMIT_HEADERS_UP) /* with our own lines */
#define RTABLE_CAS_MAX   64
#define BREAKER_OF_MAX   32    /* results that a breaker remembers (breaker.h) */
#define PROBE_MS         60000 /* a probe that has not reported by then is given up */

struct rtable_ca {
	uint64_t hash; /* of the PEM text; of nothing: the system's store */
	size_t size;
	int64_t stamp; /* of the system's store when it was read */
	struct tls_client *client;
};

struct rtable_cas {
	struct rtable_ca v[RTABLE_CAS_MAX];
	size_t n;
};

enum errc rtable_cas_new(struct rtable_cas **out)
{
	*out = mem_new_of(struct rtable_cas);
	return *out ? ERRC_OK : ERRC_NOMEM;
}

void rtable_cas_free(struct rtable_cas **c)
{
	if (!*c)
		return;
	for (size_t i = 0; i < (*c)->n; i++)
		tls_client_drop(&(*c)->v[i].client);
	mem_free(*c);
	*c = NULL;
}

/* The place of these certificates; when all are taken the first makes room: its connections hold what they use. */
static struct rtable_ca *cas_find(struct rtable_cas *c, struct slice pem)
{
	uint64_t hash = text_hash(pem);
	struct rtable_ca *ca;

	for (size_t i = 0; i < c->n; i++)
		if (c->v[i].hash == hash && c->v[i].size == pem.n)
			return &c->v[i];
	if (c->n == RTABLE_CAS_MAX)
		tls_client_drop(&c->v[0].client);
	ca = c->n == RTABLE_CAS_MAX ? &c->v[0] : &c->v[c->n++];
	*ca = (struct rtable_ca){.hash = hash, .size = pem.n};
	return ca;
}

/* The context for trusted certificates, made anew when the system's store has changed. *out is borrowed from the cache. */
static enum errc cas_client(struct rtable_cas *cas, struct tls *tls, struct slice pem, char *why,
			    size_t why_n, struct tls_client **out)
{
	struct rtable_ca *ca = cas_find(cas, pem);
	int64_t stamp = pem.n ? 0 : tls_system_roots_stamp();
	struct tls_client *fresh = NULL;

	if (!ca->client || ca->stamp != stamp) {
		enum errc e = tls_client_new(tls, pem, why, why_n, &fresh);

		if (e)
			return e;
		tls_client_drop(&ca->client);
		ca->client = fresh;
		ca->stamp = stamp;
	}
	*out = ca->client;
	return ERRC_OK;
}

static enum errc key_line(enum ptable_auth auth, struct slice secret, struct secret *out)
{
	static const char *const names[] = {[PTABLE_AUTH_BEARER] = "authorization",
					    [PTABLE_AUTH_X_API_KEY] = "x-api-key",
					    [PTABLE_AUTH_API_KEY] = "api-key"};
	struct buf value, line;
	enum errc e;

	buf_init(&value, RTABLE_FIXED_MAX);
	buf_init(&line, RTABLE_FIXED_MAX);
	if ((e = buf_addz(&value, auth == PTABLE_AUTH_BEARER ? "Bearer " : "")) ||
	    (e = buf_adds(&value, secret)) ||
	    (e = http1_put_header(&line, names[auth], buf_slice(&value))))
		goto out;
	e = secret_init(out, buf_slice(&line));
out:
	if (value.p)
		secret_wipe(value.p, value.cap);
	if (line.p)
		secret_wipe(line.p, line.cap);
	buf_fini(&value);
	buf_fini(&line);
	return e;
}

static enum errc fixed_lines(const struct ptable_provider *p, struct buf *out)
{
	struct buf host;
	char *room;
	enum errc e;

	buf_init(&host, 512);
	/* Headers may hold credentials, and what a growing buffer leaves behind is not wiped. */
	if ((p->headers_n && (e = buf_reserve(out, RTABLE_FIXED_MAX, &room))) ||
	    (e = uri_put_host(&host, &p->base)) ||
	    (e = http1_put_header(out, "host", buf_slice(&host))) ||
	    (e = http1_put_header(out, "user-agent", SLICE_LIT("aigw/" AIGW_VERSION))) ||
	    (e = http1_put_header(out, "accept-encoding", SLICE_LIT("identity"))) ||
	    (e = http1_put_header(out, "content-type", SLICE_LIT("application/json"))))
		goto out;
	for (size_t i = 0; i < p->headers_n && !e; i++)
		e = http1_put_field(out, p->headers[i].name, p->headers[i].value);
out:
	buf_fini(&host);
	return e;
}

static enum errc provider_pool(const struct rtable_env *env, const struct settings *set,
			       struct rtable_provider *rp, char *why, size_t why_n)
{
	const struct ptable_provider *p = rp->p;
	struct upool_spec spec = {.id = p->id,
				  .port = p->base.port,
				  .connect_ms = p->connect_ms,
				  .tls_ms = p->tls_ms,
				  .idle_ms = set->upstream_idle_ms,
				  .age_ms = set->upstream_age_ms,
				  .conns_max = (unsigned)(p->max_connections
								  ? p->max_connections
								  : set->upstream_connections),
				  .idle_max = (unsigned)set->upstream_idle_connections};
	char *host = mem_dup(p->base.host.p, p->base.host.n);
	enum errc e = host ? ERRC_OK : ERRC_NOMEM;

	if (!e && p->base.tls)
		e = cas_client(env->cas, env->tls, p->ca_pem.n ? p->ca_pem : set->upstream_ca_pem,
			       why, why_n, &spec.tls);
	spec.host = host;
	if (!e)
		e = upool_ep_get(env->pool, &spec, &rp->ep);
	mem_free(host);
	return e;
}

static enum errc provider_init(const struct rtable_env *env, const struct settings *set,
			       const struct ptable_provider *p, struct rtable_provider *rp,
			       char *why, size_t why_n)
{
	enum errc e;

	rp->p = p;
	rp->health = breaker_provider(env->page, p->id);
	buf_init(&rp->fixed, RTABLE_FIXED_MAX);
	if ((e = fixed_lines(p, &rp->fixed)) || (e = provider_pool(env, set, rp, why, why_n)))
		return e;
	if (p->keys_n == 0)
		return ERRC_OK;
	rp->keys = mem_new(p->keys_n * sizeof(*rp->keys));
	if (!rp->keys)
		return ERRC_NOMEM;
	for (; rp->keys_n < p->keys_n && !e; rp->keys_n++) {
		struct rtable_key *k = &rp->keys[rp->keys_n];

		k->key = &p->keys[rp->keys_n];
		k->health = breaker_key(env->page, k->key->id);
		e = key_line(p->auth, secret_reveal(&k->key->secret), &k->line);
	}
	return e;
}

enum errc rtable_new(const struct rtable_env *env, struct ptable *t, char *why, size_t why_n,
		     struct rtable **out)
{
	struct rtable *r = mem_new_of(struct rtable);
	enum errc e = r ? ERRC_OK : ERRC_NOMEM;

	if (why_n)
		why[0] = '\0';
	if (e)
		return e;
	r->magic = RTABLE_MAGIC;
	r->refs = 1;
	r->t = ptable_hold(t);
	r->page = env->page;
	r->breaker = (struct breaker_opts){
		.failures = (unsigned)MIN_OF(t->set.breaker_failures, BREAKER_OF_MAX),
		.of = (unsigned)MIN_OF(t->set.breaker_requests, BREAKER_OF_MAX),
		.window_ms = t->set.breaker_window_ms,
		.open_ms = t->set.breaker_cool_ms,
		.open_max_ms = t->set.breaker_cool_max_ms,
		.probe_ms = PROBE_MS,
		.slow_start_ms = t->set.breaker_slow_start_ms};
	r->providers = mem_new((t->providers_n + 1) * sizeof(*r->providers));
	r->offers = mem_new((t->offers_n + 1) * sizeof(*r->offers));
	if (!r->providers || !r->offers)
		e = ERRC_NOMEM;
	for (size_t i = 0; i < t->providers_n && !e; i++)
		e = provider_init(env, &t->set, &t->providers[i], &r->providers[i], why, why_n);
	for (size_t i = 0; i < t->offers_n && !e; i++)
		r->offers[i].health = breaker_offer(env->page, t->offers[i].id);
	if (e) {
		if (why_n && !why[0])
			snprintf(why, why_n, "%s", errc_text(e));
		rtable_drop(&r);
		return e;
	}
	*out = r;
	return ERRC_OK;
}

struct rtable *rtable_hold(struct rtable *r)
{
	require_magic(r, RTABLE_MAGIC);
	r->refs++;
	return r;
}

static void provider_fini(struct rtable_provider *rp)
{
	if (rp->ep)
		upool_ep_drop(&rp->ep);
	for (size_t i = 0; i < rp->keys_n; i++)
		secret_fini(&rp->keys[i].line);
	mem_free(rp->keys);
	if (rp->fixed.p)
		secret_wipe(rp->fixed.p, rp->fixed.cap);
	if (rp->p)
		buf_fini(&rp->fixed);
}

void rtable_drop(struct rtable **rp)
{
	struct rtable *r = *rp;

	*rp = NULL;
	if (!r)
		return;
	require_magic(r, RTABLE_MAGIC);
	if (--r->refs > 0)
		return;
	for (size_t i = 0; r->providers && i < r->t->providers_n; i++)
		provider_fini(&r->providers[i]);
	mem_free(r->providers);
	mem_free(r->offers);
	ptable_drop(&r->t);
	r->magic = 0;
	mem_free(r);
}

void rtable_warm(struct rtable *r)
{
	for (size_t i = 0; i < r->t->providers_n; i++)
		if (r->providers[i].p->base.tls)
			upool_warm(r->providers[i].ep, 1);
}

void rtable_take_over(struct rtable *r, unsigned page_slot)
{
	for (size_t i = 0; i < r->t->offers_n; i++) {
		if (r->offers[i].health)
			breaker_probe_release(r->offers[i].health, page_slot);
	}
}

struct rtable_provider *rtable_provider_of(struct rtable *r, const struct ptable_offer *o)
{
	return &r->providers[o->provider - r->t->providers];
}

struct rtable_offer *rtable_offer_of(struct rtable *r, const struct ptable_offer *o)
{
	return &r->offers[o->index];
}

static struct slice labels(enum series_id id, const struct slice *v, size_t n,
			   char out[SERIES_LABELS_MAX])
{
	return slice_of(out, series_labels(id, v, n, out));
}

static page_u64 *cell_of(struct rtable *r, enum series_id id, const struct slice *v, size_t n)
{
	char text[SERIES_LABELS_MAX];

	return series_cell(r->page, id, labels(id, v, n, text));
}

static struct series_histo *histo_of(struct rtable *r, enum series_id id, const struct slice *v,
				     size_t n)
{
	char text[SERIES_LABELS_MAX];

	return series_histo(r->page, id, labels(id, v, n, text));
}

page_u64 *rtable_attempts_ok(struct rtable *r, struct rtable_provider *p)
{
	if (!p->ok)
		p->ok = cell_of(r, SERIES_ATTEMPTS, (struct slice[]){p->p->name, SLICE_LIT("ok")},
				2);
	return p->ok;
}

page_u64 *rtable_ok(struct rtable *r, const struct ptable_offer *o, const struct ptable_model *m,
		    unsigned op)
{
	page_u64 **c = &r->offers[o->index].ok[op];

	if (!*c)
		*c = cell_of(r, SERIES_REQUESTS,
			     (struct slice[]){slice_str(front_name(op)), m->name, o->provider->name,
					      SLICE_LIT("200")},
			     4);
	return *c;
}

struct series_histo *rtable_duration(struct rtable *r, const struct ptable_offer *o,
				     const struct ptable_model *m, unsigned op)
{
	struct series_histo **h = &r->offers[o->index].duration[op];

	if (!*h)
		*h = histo_of(
			r, SERIES_REQUEST_DURATION,
			(struct slice[]){slice_str(front_name(op)), m->name, o->provider->name}, 3);
	return *h;
}

struct series_histo *rtable_ttft(struct rtable *r, const struct ptable_offer *o,
				 const struct ptable_model *m, unsigned op)
{
	struct series_histo **h = &r->offers[o->index].ttft[op];

	if (!*h)
		*h = histo_of(
			r, SERIES_TTFT,
			(struct slice[]){slice_str(front_name(op)), m->name, o->provider->name}, 3);
	return *h;
}

page_u64 *rtable_tokens(struct rtable *r, const struct ptable_offer *o,
			const struct ptable_model *m, enum usage_class c)
{
	page_u64 **p = &r->offers[o->index].tokens[c];

	if (!*p)
		*p = cell_of(r, SERIES_TOKENS,
			     (struct slice[]){m->name, o->provider->name, slice_str(usage_name(c))},
			     3);
	return *p;
}

page_u64 *rtable_cost(struct rtable *r, const struct ptable_offer *o, const struct ptable_model *m)
{
	page_u64 **p = &r->offers[o->index].cost;

	if (!*p)
		*p = cell_of(r, SERIES_COST, (struct slice[]){m->name, o->provider->name}, 2);
	return *p;
}

page_u64 *rtable_charged(struct rtable *r, const struct ptable_offer *o,
			 const struct ptable_model *m)
{
	page_u64 **p = &r->offers[o->index].charged;

	if (!*p)
		*p = cell_of(r, SERIES_CHARGED, (struct slice[]){m->name, o->provider->name}, 2);
	return *p;
}

struct rtable_key *rtable_pick_key(struct rtable_provider *p, int64_t now_ms, int64_t *wait_ms,
				   bool *limited, bool *none)
{
	*none = p->keys_n == 0;
	for (size_t i = 0; i < p->keys_n; i++) {
		struct rtable_key *k = &p->keys[(p->turn + i) % p->keys_n];
		enum breaker_rest why = BREAKER_READY;
		int64_t wait = k->health ? breaker_key_wait_ms(k->health, now_ms, &why) : 0;

		if (wait == 0) {
			p->turn = (unsigned)((p->turn + i + 1) % p->keys_n);
			return k;
		}
		*limited = *limited || why == BREAKER_LIMITED;
		if (*wait_ms == 0 || wait < *wait_ms)
			*wait_ms = wait;
	}
	return NULL;
}
