/* Names to addresses: getaddrinfo in libuv's pool, kept `max_age_ms` and refreshed in the background when used after that; the last
 * good answer is kept on failure. Literals are answered without a look-up; "localhost" is
 * 127.0.0.1 where the resolver does not know it. Belongs to the loop. */
#ifndef AIGW_DNS_H
#define AIGW_DNS_H

#include "turn.h"

#define DNS_ADDRS_MAX   8
#define DNS_NAME_MAX    253
#define DNS_ENTRIES_MAX 4096

struct dns;

struct dns_addr {
	uint8_t v6; /* 1: 16 bytes of IPv6, 0: the first 4 bytes are IPv4 */
	uint8_t ip[16];
};

/* In the order of getaddrinfo (RFC 6724). */
struct dns_answer {
	unsigned n;
	struct dns_addr addr[DNS_ADDRS_MAX];
};

/* Embedded in the asker. Private but for `answer` and `errc`, which are set when `done` is called. */
struct dns_query {
	struct list node;
	void (*done)(struct dns_query *q);
	enum errc errc; /* ERRC_OK, ERRC_DNS … */
	struct dns_answer answer;
};

MUSTCHECK enum errc dns_new(struct turn *t, int64_t max_age_ms, struct dns **out);
/* Queries that wait are forgotten without a call. Look-ups that run finish alone. */
void dns_free(struct dns **d);
void dns_set_max_age(struct dns *d, int64_t max_age_ms);

/* ERRC_OK: q->answer is filled, `done` is not called. ERRC_AGAIN: `done` comes later, `q` is borrowed until then or dns_cancel().
 * Anything else is a failure. `host` is copied. */
MUSTCHECK enum errc dns_ask(struct dns *d, const char *host, struct dns_query *q,
			    void (*done)(struct dns_query *q));
/* Allowed at any time, also twice. */
void dns_cancel(struct dns_query *q);

/* Reads a literal ("127.0.0.1", "::1", "[::1]"); false when it is a name. */
bool dns_literal(const char *host, struct dns_addr *out);
/* Text of an address; `out` holds DNS_ADDR_TEXT bytes. */
#define DNS_ADDR_TEXT 48
void dns_addr_text(const struct dns_addr *a, char *out);

#endif
