/* The msgpack reader on bytes of anybody: skipping and printing agree on where a value ends, printing gives valid JSON, and every
 * typed read either moves the cursor inside the bytes or leaves it. */
#include "fuzz.h"
#include "json.h"
#include "mpack.h"

static void check_reads(struct mpack_in r)
{
	struct mpack_in before = r;
	struct slice s;
	uint64_t u;
	uint32_t n;
	int64_t i;
	bool t;

	while (!mpack_is_end(&r)) {
		bool got = mpack_read_i64(&r, &i) == ERRC_OK || mpack_read_u64(&r, &u) == ERRC_OK ||
			   mpack_read_bool(&r, &t) == ERRC_OK || mpack_read_nil(&r) == ERRC_OK;

		got = got || mpack_read_str(&r, &s) == ERRC_OK || mpack_read_bin(&r, &s) == ERRC_OK;
		if (!got && mpack_read_map(&r, &n) == ERRC_OK) {
			require(n <= (size_t)(r.end - r.p) / 2);
			(void)!mpack_find(&r, n, "key", &before);
			got = true;
		}
		if (!got && mpack_read_arr(&r, &n) == ERRC_OK) {
			require(n <= (size_t)(r.end - r.p));
			got = true;
		}
		if (!got && mpack_skip(&r, NULL) != ERRC_OK)
			break;
		require(r.p <= r.end);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mpack_in r, skip, print;
	struct json_doc *doc = NULL;
	struct buf out;

	mpack_in_init(&r, slice_of(data, n));
	check_reads(r);
	skip = print = r;
	buf_init(&out, 64 * n + 64);
	if (mpack_to_json(&print, &out) == ERRC_OK) {
		require(mpack_skip(&skip, NULL) == ERRC_OK && skip.p == print.p);
		require(json_parse(buf_slice(&out), NULL, &doc) == ERRC_OK);
		json_free(&doc);
	}
	buf_fini(&out);
	return 0;
}
