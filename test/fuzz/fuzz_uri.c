/* Addresses and percent coding: what parses has a host that prints, and decoding what was encoded gives the same. */
#include "fuzz.h"
#include "uri.h"

static void check_uri(struct slice in)
{
	struct uri u, again;
	struct buf b;

	buf_init(&b, 1 << 20);
	if (uri_parse(in, &u) == ERRC_OK) {
		require(u.host.n > 0 && u.port > 0);
		require(buf_addz(&b, u.tls ? "https://" : "http://") == ERRC_OK);
		require(uri_put_host(&b, &u) == ERRC_OK && buf_adds(&b, u.path) == ERRC_OK);
		require(uri_parse(buf_slice(&b), &again) == ERRC_OK);
		require(slice_eq(u.host, again.host) && slice_eq(u.path, again.path) &&
			u.port == again.port);
	}
	buf_fini(&b);
}

static void check_coding(struct slice in)
{
	struct slice query = in, name, value;
	struct buf b, back;

	buf_init(&b, 1 << 20);
	buf_init(&back, 1 << 20);
	if (uri_encode(&b, in) == ERRC_OK && uri_decode(&back, buf_slice(&b)) == ERRC_OK)
		require(slice_eq(buf_slice(&back), in));
	buf_reset(&b);
	if (uri_decode(&b, in) == ERRC_OK)
		require(b.len <= in.n && slice_chr(buf_slice(&b), '\0') < 0);
	while (uri_query_next(&query, &name, &value))
		require(name.n + value.n <= in.n);
	buf_fini(&b);
	buf_fini(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct slice in = slice_of(data, n);
	struct uri_target t;

	check_uri(in);
	check_coding(in);
	if (uri_split_target(in, &t) == ERRC_OK)
		require(t.path.n > 0 && (t.path.p[0] == '/' || slice_is(t.path, "*")));
	return 0;
}
