/* Addresses: absolute http and https URLs of the configuration, request targets, percent coding, query parameters. Pure; all
 * slices point into the given text. */
#ifndef AIGW_URI_H
#define AIGW_URI_H

#include "buf.h"

struct uri {
	bool tls;          /* https */
	bool host_is_ipv6; /* host stands without its brackets */
	uint16_t port;     /* the given one or the scheme's */
	struct slice host; /* not empty; a name, an IPv4 or IPv6 address */
	struct slice path; /* without a `/` at its end: "" or "/v1" */
	struct slice query;
};

/* Reads "https://host[:port][/path][?query]". ERRC_INVAL: another scheme, user data or a fragment; ERRC_SYNTAX: malformed. */
MUSTCHECK enum errc uri_parse(struct slice text, struct uri *out);
/* The value of a `host` header: brackets around IPv6, the port unless it is the scheme's. */
MUSTCHECK enum errc uri_put_host(struct buf *b, const struct uri *u);

struct uri_target {
	struct slice path;  /* as it came, not decoded; "*" for the asterisk form */
	struct slice query; /* without `?`; p is NULL without one */
};

/* Splits a request target; of the absolute form only path and query are taken. ERRC_SYNTAX for anything else, such as the
 * authority form or a fragment. */
MUSTCHECK enum errc uri_split_target(struct slice target, struct uri_target *out);

/* Decodes %XX once and appends. ERRC_SYNTAX when malformed, or when it decodes to a NUL. */
MUSTCHECK enum errc uri_decode(struct buf *out, struct slice s);
/* Encodes everything but unreserved characters, so that the result is one path segment or query value. */
MUSTCHECK enum errc uri_encode(struct buf *out, struct slice s);

/* Cuts the next name=value from *query; both as they came. False at the end. */
bool uri_query_next(struct slice *query, struct slice *name, struct slice *value);
/* Appends the decoded value of the first parameter of that name (names are compared as they came; `+` is a space).
 * ERRC_NOTFOUND without one. */
MUSTCHECK enum errc uri_query_get(struct slice query, const char *name, struct buf *out);

#endif
