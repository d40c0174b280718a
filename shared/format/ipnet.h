/* Address ranges in CIDR form, IPv4 and IPv6: trusted proxies, the addresses a key may be used from. An IPv4 address is held
 * as its IPv4-mapped IPv6 form, so that both notations of one address match the same ranges. */
#ifndef AIGW_IPNET_H
#define AIGW_IPNET_H

#include "errc.h"
#include "slice.h"

struct ipnet {
	uint8_t addr[16]; /* bits beyond the prefix are 0 */
	uint8_t bits;     /* 0 to 128, counted in the mapped form */
};

#define IPNET_TEXT_MAX 64

/* "10.0.0.0/8", "fd00::/8", or a lone address, which is a range of one. False when malformed or with bits set beyond the
 * prefix. */
bool ipnet_parse(struct slice text, struct ipnet *out);
/* A literal address, without brackets, port or zone. False when malformed. */
bool ipnet_addr(struct slice text, uint8_t out[16]);
/* One item of x-forwarded-for: an address as proxies write it, "192.0.2.7", "192.0.2.7:80", "2001:db8::1", "[2001:db8::1]" or
 * "[2001:db8::1]:80", of IPv6 also with a zone, which is dropped. False when it is none: "unknown", "_hidden". */
bool ipnet_hop(struct slice text, uint8_t out[16]);
bool ipnet_has(const struct ipnet *net, const uint8_t addr[16]);
bool ipnet_any_has(const struct ipnet *nets, size_t n, const uint8_t addr[16]);
/* Writes the canonical text; `out` holds IPNET_TEXT_MAX bytes. Returns the length. */
size_t ipnet_print(const struct ipnet *net, char *out);

#endif
