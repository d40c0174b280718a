#include "report_pack.h"

#define NUMBERS 8
#define ROW_MAX 4096 /* bytes: names are far shorter */

/* In stored order. */
static void put_numbers(struct mpack_out *o, const struct report_row *r)
{
	mpack_u64(o, r->requests);
	mpack_u64(o, r->failed);
	mpack_i64(o, r->input);
	mpack_i64(o, r->cached);
	mpack_i64(o, r->output);
	mpack_i64(o, r->reasoning);
	mpack_i64(o, r->charge_nusd);
	mpack_i64(o, r->uncollected_nusd);
}

static enum errc get_numbers(struct mpack_in *in, struct report_row *r)
{
	int64_t *const members[] = {&r->input,     &r->cached,      &r->output,
				    &r->reasoning, &r->charge_nusd, &r->uncollected_nusd};
	enum errc e = mpack_read_u64(in, &r->requests);

	if (!e)
		e = mpack_read_u64(in, &r->failed);
	for (size_t i = 0; !e && i < ARRAY_LEN(members); i++)
		e = mpack_read_i64(in, members[i]);
	return e;
}

static void put_row(struct mpack_out *o, const struct report_row *r, size_t names_n)
{
	mpack_arr(o, (uint32_t)(names_n + NUMBERS));
	for (size_t i = 0; i < names_n; i++)
		mpack_str(o, r->name[i]);
	put_numbers(o, r);
}

enum errc report_pack(const struct report *r, size_t by_n, struct report_page *page, struct buf *out)
{
	size_t i = page->from;
	struct report_row row;
	struct mpack_out o;

	mpack_out_init(&o, out);
	for (; i < page->to && out->len + 2 * ROW_MAX <= out->max; i++) {
		row = report_row_at(r, i);
		put_row(&o, &row, by_n);
	}
	page->to = i;
	row = report_total(r);
	put_row(&o, &row, 0);
	return mpack_out_end(&o);
}

int report_unpack(struct mpack_in *in, size_t by_n, struct report_row *row, bool *is_total)
{
	enum errc e;
	uint32_t n;

	if (mpack_is_end(in))
		return 0;
	*row = (struct report_row){.requests = 0};
	e = mpack_read_arr(in, &n);
	*is_total = n == NUMBERS;
	if (!e && !*is_total && n != by_n + NUMBERS)
		e = ERRC_CORRUPT;
	for (size_t i = 0; !e && !*is_total && i < by_n; i++)
		e = mpack_read_str(in, &row->name[i]);
	if (!e)
		e = get_numbers(in, row);
	return e ? -(int)e : 1;
}
