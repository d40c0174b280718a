#include "ipnet.h"

#include <arpa/inet.h>

#include "text.h"

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

bool ipnet_addr(struct slice text, uint8_t out[16])
{
	char z[INET6_ADDRSTRLEN];

	if (text.n == 0 || text.n >= sizeof(z) || memchr(text.p, '\0', text.n))
		return false;
	memcpy(z, text.p, text.n);
	z[text.n] = '\0';
	if (inet_pton(AF_INET6, z, out) == 1)
		return true;
	memcpy(out, v4_prefix, sizeof(v4_prefix));
	return inet_pton(AF_INET, z, out + 12) == 1;
}

static bool is_port(struct slice s)
{
	uint64_t n;

	return text_u64(s, &n) && n <= UINT16_MAX;
}

/* [addr], with or without :port; only IPv6 stands in brackets. */
static bool cut_brackets(struct slice text, struct slice *addr)
{
	struct slice rest = slice_sub(text, 1, text.n);

	if (!slice_cut(&rest, ']', addr) || slice_chr(*addr, ':') < 0)
		return false;
	return rest.n == 0 || (rest.p[0] == ':' && is_port(slice_sub(rest, 1, rest.n)));
}

bool ipnet_hop(struct slice text, uint8_t out[16])
{
	struct slice addr = text, port, rest;
	ptrdiff_t dot = slice_chr(text, '.');

	if (text.n && text.p[0] == '[') {
		if (!cut_brackets(text, &addr))
			return false;
	} else if (dot >= 0 && slice_chr(text, ':') > dot) { /* not ::ffff:192.0.2.7 */
		port = text;
		if (!slice_cut(&port, ':', &addr) || !is_port(port))
			return false;
	}
	rest = addr;
	if (slice_chr(addr, ':') >= 0)
		(void)!slice_cut(&rest, '%', &addr);
	return ipnet_addr(addr, out);
}

/* Byte i of the mask of `bits` leading ones. */
static uint8_t mask_byte(unsigned bits, unsigned i)
{
	if (bits >= 8 * (i + 1))
		return 0xff;
	return bits <= 8 * i ? 0 : (uint8_t)(0xff << (8 - (bits - 8 * i)));
}

bool ipnet_parse(struct slice text, struct ipnet *out)
{
	struct slice rest = text, addr;
	bool has_bits = slice_cut(&rest, '/', &addr);
	unsigned skipped =
		slice_chr(addr, ':') < 0 ? 96 : 0; /* an IPv4 prefix counts behind the mapped one */
	uint64_t bits = 128 - skipped;

	if (!ipnet_addr(addr, out->addr) ||
	    (has_bits && (!text_u64(rest, &bits) || bits > 128 - skipped)))
		return false;
	out->bits = (uint8_t)(bits + skipped);
	for (unsigned i = 0; i < 16; i++) {
		if (out->addr[i] & ~mask_byte(out->bits, i))
			return false;
	}
	return true;
}

bool ipnet_has(const struct ipnet *net, const uint8_t addr[16])
{
	for (unsigned i = 0; i < 16; i++) {
		if ((addr[i] & mask_byte(net->bits, i)) != net->addr[i])
			return false;
	}
	return true;
}

bool ipnet_any_has(const struct ipnet *nets, size_t n, const uint8_t addr[16])
{
	for (size_t i = 0; i < n; i++) {
		if (ipnet_has(&nets[i], addr))
			return true;
	}
	return false;
}

/* Every request's line in the log has an address. */
static size_t print_v4(const uint8_t *b, char *out)
{
	size_t n = 0;

	for (int i = 0; i < 4; i++) {
		if (i)
			out[n++] = '.';
		n += text_u64_print(b[i], out + n);
	}
	return n;
}

size_t ipnet_print(const struct ipnet *net, char *out)
{
	bool v4 = net->bits >= 96 && memcmp(net->addr, v4_prefix, sizeof(v4_prefix)) == 0;
	unsigned bits = v4 ? net->bits - 96u : net->bits;
	size_t n;

	if (v4) {
		n = print_v4(net->addr + 12, out);
	} else {
		require(inet_ntop(AF_INET6, net->addr, out, IPNET_TEXT_MAX));
		n = strlen(out);
	}
	if (net->bits != 128) {
		out[n++] = '/';
		n += text_u64_print(bits, out + n);
	}
	return n;
}
