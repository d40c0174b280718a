#include "uri.h"

#include <arpa/inet.h>

#include "text.h"

static bool is_alnum(char c)
{
	return (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_unreserved(char c)
{
	return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Visible ASCII; of the bytes that RFC 3986 forbids in a path or query the customary ones are let through. */
static bool is_visible(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return false;
	return true;
}

/* A name or an IPv4 address: labels of letters, digits, `-` and `_`, none empty but for a dot at the end. */
static bool is_name(struct slice host)
{
	struct slice label;
	bool more = host.n > 0 && host.n <= 253;

	if (!more)
		return false;
	while (more) {
		more = slice_cut(&host, '.', &label);
		if (label.n == 0 || label.n > 63)
			return false;
		for (size_t i = 0; i < label.n; i++)
			if (!is_alnum(label.p[i]) && label.p[i] != '-' && label.p[i] != '_')
				return false;
		if (more && host.n == 0)
			return true;
	}
	return true;
}

static bool is_ipv6(struct slice host)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr addr;

	if (host.n >= sizeof(text) || memchr(host.p, '\0', host.n))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	return inet_pton(AF_INET6, text, &addr) == 1;
}

/* "host", "host:port", "[v6]" or "[v6]:port". */
static enum errc parse_authority(struct slice s, struct uri *u)
{
	uint64_t port;

	if (slice_chr(s, '@') >= 0)
		return ERRC_INVAL;
	if (s.n && s.p[0] == '[') {
		s = slice_sub(s, 1, s.n);
		if (!slice_cut(&s, ']', &u->host) || !is_ipv6(u->host))
			return ERRC_SYNTAX;
		u->host_is_ipv6 = true;
		if (s.n == 0)
			return ERRC_OK;
		if (s.p[0] != ':')
			return ERRC_SYNTAX;
		s = slice_sub(s, 1, s.n);
	} else if (!slice_cut(&s, ':', &u->host)) {
		return is_name(u->host) ? ERRC_OK : ERRC_SYNTAX;
	} else if (!is_name(u->host)) {
		return ERRC_SYNTAX;
	}
	if (s.n > 5 || !text_u64(s, &port) || port == 0 || port > UINT16_MAX)
		return ERRC_SYNTAX;
	u->port = (uint16_t)port;
	return ERRC_OK;
}

/* Cuts "http://" or "https://" off, in any case. */
static bool cut_scheme(struct slice *s, bool *tls)
{
	struct slice https = SLICE_LIT("https://"), http = SLICE_LIT("http://");

	*tls = slice_ieq(slice_sub(*s, 0, https.n), https);
	if (!*tls && !slice_ieq(slice_sub(*s, 0, http.n), http))
		return false;
	*s = slice_sub(*s, *tls ? https.n : http.n, s->n);
	return true;
}

/* Splits at the first `/`, `?` or `#`, whichever comes first; that byte stays in *rest. */
static struct slice cut_authority(struct slice *rest)
{
	size_t n = 0;
	struct slice authority;

	while (n < rest->n && rest->p[n] != '/' && rest->p[n] != '?' && rest->p[n] != '#')
		n++;
	authority = slice_sub(*rest, 0, n);
	*rest = slice_sub(*rest, n, rest->n);
	return authority;
}

enum errc uri_parse(struct slice text, struct uri *out)
{
	struct slice rest = text;
	enum errc rc;

	*out = (struct uri){0};
	if (!is_visible(text))
		return ERRC_SYNTAX;
	if (!cut_scheme(&rest, &out->tls))
		return ERRC_INVAL;
	out->port = out->tls ? 443 : 80;
	rc = parse_authority(cut_authority(&rest), out);
	if (rc)
		return rc;
	if (slice_chr(rest, '#') >= 0)
		return ERRC_INVAL;
	if (!slice_cut(&rest, '?', &out->path))
		rest = SLICE_NONE;
	out->query = rest;
	while (out->path.n && out->path.p[out->path.n - 1] == '/')
		out->path.n--;
	return ERRC_OK;
}

enum errc uri_put_host(struct buf *b, const struct uri *u)
{
	bool customary = u->port == (u->tls ? 443 : 80);
	size_t before = b->len;
	enum errc rc = ERRC_OK;

	if (u->host_is_ipv6)
		rc = buf_addc(b, '[');
	if (!rc)
		rc = buf_adds(b, u->host);
	if (!rc && u->host_is_ipv6)
		rc = buf_addc(b, ']');
	if (!rc && !customary)
		rc = buf_addf(b, ":%u", u->port);
	if (rc)
		buf_truncate(b, before);
	return rc;
}

enum errc uri_split_target(struct slice target, struct uri_target *out)
{
	struct slice rest = target;
	bool tls, absolute = cut_scheme(&rest, &tls);

	*out = (struct uri_target){0};
	if (slice_is(target, "*")) {
		out->path = target;
		return ERRC_OK;
	}
	if (absolute && cut_authority(&rest).n == 0)
		return ERRC_SYNTAX;
	if (slice_chr(rest, '#') >= 0 || !is_visible(rest))
		return ERRC_SYNTAX;
	if (!slice_cut(&rest, '?', &out->path))
		rest = SLICE_NONE;
	out->query = rest;
	/* "http://host" and "http://host?q" mean the root. */
	if (absolute && out->path.n == 0)
		out->path = SLICE_LIT("/");
	return out->path.n && out->path.p[0] == '/' ? ERRC_OK : ERRC_SYNTAX;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum errc decode(struct buf *out, struct slice s, bool plus_is_space)
{
	size_t before = out->len;
	char *at;
	enum errc rc = s.n ? buf_reserve(out, s.n, &at) : ERRC_OK;

	for (size_t i = 0; !rc && i < s.n; i++) {
		char c = s.p[i];

		if (c == '%') {
			int hi = i + 2 < s.n ? hex_digit(s.p[i + 1]) : -1;
			int lo = i + 2 < s.n ? hex_digit(s.p[i + 2]) : -1;

			c = hi < 0 || lo < 0 ? '\0' : (char)(hi << 4 | lo);
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == '\0')
			rc = ERRC_SYNTAX;
		out->p[out->len++] = c;
	}
	if (rc)
		buf_truncate(out, before);
	return rc;
}

enum errc uri_decode(struct buf *out, struct slice s)
{
	return decode(out, s, false);
}

enum errc uri_encode(struct buf *out, struct slice s)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t n = 0;
	char *at;
	enum errc rc;

	for (size_t i = 0; i < s.n; i++)
		n += is_unreserved(s.p[i]) ? 1 : 3;
	rc = buf_reserve(out, n, &at);
	if (rc)
		return rc;
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (is_unreserved(s.p[i])) {
			*at++ = s.p[i];
			continue;
		}
		*at++ = '%';
		*at++ = hex[c >> 4];
		*at++ = hex[c & 15];
	}
	buf_commit(out, n);
	return ERRC_OK;
}

bool uri_query_next(struct slice *query, struct slice *name, struct slice *value)
{
	struct slice pair;

	while (query->n) {
		slice_cut(query, '&', &pair);
		if (pair.n == 0)
			continue;
		*value = pair;
		slice_cut(value, '=', name);
		return true;
	}
	return false;
}

enum errc uri_query_get(struct slice query, const char *name, struct buf *out)
{
	struct slice n, v;

	while (uri_query_next(&query, &n, &v))
		if (slice_is(n, name))
			return decode(out, v, true);
	return ERRC_NOTFOUND;
}
