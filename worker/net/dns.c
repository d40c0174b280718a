#include "dns.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <strings.h>

#include "mem.h"
#include "text.h"
#include "xport.h"

#define DNS_MAGIC   0x444e5321u
#define DNS_BUCKETS 256
#define DNS_RETRY_MS \
	1000 /* after a failure: how long it is remembered, for names without a good answer and for refreshing */

struct entry {
	struct list node;    /* in a bucket */
	struct dns *dns;     /* NULL: dns_free() came while the look-up runs; it frees the entry */
	char *host;          /* owned */
	struct list waiting; /* dns_query.node */
	uv_getaddrinfo_t req;
	bool is_running;
	bool is_good;     /* `answer` holds one */
	enum errc errc;   /* of the last look-up */
	int64_t asked_ms; /* when the last look-up ended */
	int64_t used_ms;
	struct dns_answer answer;
};

struct dns {
	unsigned magic;
	struct turn *turn; /* borrowed */
	int64_t max_age_ms;
	unsigned entries;
	struct list buckets[DNS_BUCKETS];
};

static void entry_free(struct entry *n)
{
	mem_free(n->host);
	mem_free(n);
}

static void answer_add(struct dns_answer *a, const struct sockaddr *sa)
{
	struct dns_addr *to = &a->addr[a->n];

	if (a->n == DNS_ADDRS_MAX)
		return;
	*to = (struct dns_addr){0};
	if (sa->sa_family == AF_INET6) {
		to->v6 = 1;
		memcpy(to->ip, &((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr, 16);
	} else if (sa->sa_family == AF_INET) {
		memcpy(to->ip, &((const struct sockaddr_in *)(const void *)sa)->sin_addr, 4);
	} else {
		return;
	}
	a->n++;
}

static void answer_waiting(struct entry *n)
{
	struct list waiting;
	struct list *it;

	list_init(&waiting);
	list_splice_back(&waiting, &n->waiting);
	while ((it = list_pop_front(&waiting))) {
		struct dns_query *q = list_entry(it, struct dns_query, node);

		q->errc = n->is_good ? ERRC_OK : n->errc;
		q->answer = n->answer;
		q->done(q);
	}
}

/* RFC 6761, 6.3: this name is the loopback address, also on a machine whose resolver does not know it, as one without /etc/hosts. */
static bool is_localhost(const char *host)
{
	return strcasecmp(host, "localhost") == 0;
}

static void on_addrinfo(uv_getaddrinfo_t *req, int status, struct addrinfo *res)
{
	struct entry *n = req->data;
	struct dns_answer fresh = {0};

	for (struct addrinfo *ai = res; ai; ai = ai->ai_next)
		answer_add(&fresh, ai->ai_addr);
	uv_freeaddrinfo(res);
	if (status && is_localhost(n->host)) {
		fresh.n = dns_literal("127.0.0.1", &fresh.addr[0]);
		status = 0;
	}
	n->is_running = false;
	if (!n->dns) {
		entry_free(n);
		return;
	}
	n->asked_ms = turn_now_ms(n->dns->turn);
	n->errc = status ? xport_errc_from_uv(status) : fresh.n ? ERRC_OK : ERRC_DNS;
	if (!n->errc) {
		n->is_good = true;
		n->answer = fresh;
	}
	answer_waiting(n);
}

static enum errc look_up(struct entry *n)
{
	const struct addrinfo hints = {
		.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	int r;

	if (n->is_running)
		return ERRC_OK;
	r = uv_getaddrinfo(turn_loop(n->dns->turn), &n->req, on_addrinfo, n->host, NULL, &hints);
	if (r != 0)
		return xport_errc_from_uv(r);
	n->is_running = true;
	return ERRC_OK;
}

static struct list *bucket(struct dns *d, struct slice host)
{
	return &d->buckets[text_hash(host) % DNS_BUCKETS];
}

static void entry_drop(struct dns *d, struct entry *n)
{
	list_remove(&n->node);
	d->entries--;
	n->dns = NULL;
	if (!n->is_running)
		entry_free(n);
}

/* Full (names come from the configuration only, so this is rare): forgets one that nobody waits for. */
static bool make_room(struct dns *d)
{
	struct entry *oldest = NULL;

	if (d->entries < DNS_ENTRIES_MAX)
		return true;
	for (size_t i = 0; i < DNS_BUCKETS; i++) {
		list_each (it, &d->buckets[i]) {
			struct entry *n = list_entry(it, struct entry, node);

			if (list_is_empty(&n->waiting) && (!oldest || n->used_ms < oldest->used_ms))
				oldest = n;
		}
	}
	if (!oldest)
		return false;
	entry_drop(d, oldest);
	return true;
}

static enum errc entry_get(struct dns *d, const char *host, struct entry **out)
{
	struct slice name = slice_str(host);
	struct list *b = bucket(d, name);
	struct entry *n;

	list_each (it, b) {
		n = list_entry(it, struct entry, node);
		if (slice_is(name, n->host)) {
			*out = n;
			return ERRC_OK;
		}
	}
	if (!make_room(d))
		return ERRC_LIMIT;
	n = mem_new_of(struct entry);
	if (!n)
		return ERRC_NOMEM;
	n->host = mem_dup(name.p, name.n);
	if (!n->host) {
		mem_free(n);
		return ERRC_NOMEM;
	}
	n->dns = d;
	n->req.data = n;
	list_init(&n->waiting);
	list_push_front(b, &n->node);
	d->entries++;
	*out = n;
	return ERRC_OK;
}

enum errc dns_new(struct turn *t, int64_t max_age_ms, struct dns **out)
{
	struct dns *d = mem_new_of(struct dns);

	if (!d)
		return ERRC_NOMEM;
	d->magic = DNS_MAGIC;
	d->turn = t;
	d->max_age_ms = max_age_ms;
	for (size_t i = 0; i < DNS_BUCKETS; i++)
		list_init(&d->buckets[i]);
	*out = d;
	return ERRC_OK;
}

void dns_free(struct dns **p)
{
	struct dns *d = *p;

	if (!d)
		return;
	require_magic(d, DNS_MAGIC);
	for (size_t i = 0; i < DNS_BUCKETS; i++) {
		while (!list_is_empty(&d->buckets[i])) {
			struct entry *n = list_entry(d->buckets[i].next, struct entry, node);

			while (list_pop_front(&n->waiting))
				continue;
			if (n->is_running)
				uv_cancel((uv_req_t *)&n->req); /* one that runs already finishes alone */
			entry_drop(d, n);
		}
	}
	d->magic = 0;
	mem_free(d);
	*p = NULL;
}

void dns_set_max_age(struct dns *d, int64_t max_age_ms)
{
	d->max_age_ms = max_age_ms;
}

enum errc dns_ask(struct dns *d, const char *host, struct dns_query *q,
		  void (*done)(struct dns_query *q))
{
	struct entry *n = NULL;
	int64_t now_ms, age_ms;
	enum errc e;

	require_magic(d, DNS_MAGIC);
	list_init(&q->node);
	q->done = done;
	q->errc = ERRC_OK;
	q->answer.n = 1;
	if (dns_literal(host, &q->answer.addr[0]))
		return ERRC_OK;
	if (host[0] == '\0' || strlen(host) > DNS_NAME_MAX)
		return ERRC_DNS;
	e = entry_get(d, host, &n);
	if (e)
		return e;
	now_ms = turn_now_ms(d->turn);
	age_ms = now_ms - n->asked_ms;
	n->used_ms = now_ms;
	if (n->is_good) {
		/* Refreshing is tried alone and may fail: the last good answer stays. */
		if (age_ms >= (n->errc ? DNS_RETRY_MS : d->max_age_ms) && look_up(n))
			n->asked_ms = now_ms;
		q->answer = n->answer;
		return ERRC_OK;
	}
	if (n->errc && !n->is_running && age_ms < DNS_RETRY_MS)
		return n->errc;
	e = look_up(n);
	if (e)
		return e;
	list_push_back(&n->waiting, &q->node);
	return ERRC_AGAIN;
}

void dns_cancel(struct dns_query *q)
{
	if (q->node.next)
		list_remove(&q->node);
}

bool dns_literal(const char *host, struct dns_addr *out)
{
	char inner[INET6_ADDRSTRLEN];
	size_t n = strlen(host);

	*out = (struct dns_addr){0};
	if (inet_pton(AF_INET, host, out->ip) == 1)
		return true;
	if (n > 2 && host[0] == '[' && host[n - 1] == ']' && n - 2 < sizeof(inner)) {
		memcpy(inner, host + 1, n - 2);
		inner[n - 2] = '\0';
		host = inner;
	}
	out->v6 = 1;
	return inet_pton(AF_INET6, host, out->ip) == 1;
}

void dns_addr_text(const struct dns_addr *a, char *out)
{
	if (!inet_ntop(a->v6 ? AF_INET6 : AF_INET, a->ip, out, DNS_ADDR_TEXT))
		out[0] = '\0';
}
