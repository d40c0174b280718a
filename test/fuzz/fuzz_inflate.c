/* Compressed bodies of anybody: the ceiling holds, and two pieces give what the whole gives. The first byte chooses the format
 * and the cut. */
#include "fuzz.h"
#include "inflate.h"

#define OUTPUT_MAX 65536

static enum errc unpack(enum inflate_format format, struct slice a, struct slice b, struct buf *out)
{
	struct inflate *z;
	enum errc rc = inflate_new(format, OUTPUT_MAX, &z);

	if (!rc)
		rc = inflate_push(z, a, out);
	if (!rc)
		rc = inflate_push(z, b, out);
	if (!rc)
		rc = inflate_finish(z);
	inflate_free(&z);
	return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	enum inflate_format format = n && data[0] & 1 ? INFLATE_DEFLATE : INFLATE_GZIP;
	struct slice in = slice_sub(slice_of(data, n), 1, n);
	size_t cut = n ? data[0] >> 1 : 0;
	struct buf whole, parts;

	buf_init(&whole, 2 * OUTPUT_MAX);
	buf_init(&parts, 2 * OUTPUT_MAX);

	enum errc rc = unpack(format, in, SLICE_NONE, &whole);
	enum errc rc2 = unpack(format, slice_sub(in, 0, cut), slice_sub(in, cut, n), &parts);

	require(rc == rc2 && whole.len <= OUTPUT_MAX);
	require(rc || slice_eq(buf_slice(&whole), buf_slice(&parts)));
	buf_fini(&whole);
	buf_fini(&parts);
	return 0;
}
