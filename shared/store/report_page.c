#include "report_page.h"

#include "be.h"
#include "text.h"

/* A cursor is, in base64url, one byte for each dimension, then each name behind its length in two bytes. */
#define LENGTH 2

static enum errc read_cursor(const struct report_ask *ask, struct slice s,
			     struct slice name[REPORT_DIMS_MAX])
{
	if (s.n < ask->by_n)
		return ERRC_SYNTAX;
	for (size_t i = 0; i < ask->by_n; i++) {
		if ((uint8_t)s.p[i] != (uint8_t)ask->by[i])
			return ERRC_SYNTAX;
	}
	s = slice_sub(s, ask->by_n, s.n);
	for (size_t i = 0; i < ask->by_n; i++) {
		size_t n = s.n >= LENGTH ? be_get(s.p, LENGTH) : s.n;

		if (s.n < LENGTH + n)
			return ERRC_SYNTAX;
		name[i] = slice_sub(s, LENGTH, n);
		s = slice_sub(s, LENGTH + n, s.n);
	}
	return s.n ? ERRC_SYNTAX : ERRC_OK;
}

static int order(const struct report *r, size_t at, const struct slice *name, size_t n)
{
	struct report_row row = report_row_at(r, at);
	int c = 0;

	for (size_t i = 0; c == 0 && i < n; i++)
		c = slice_cmp(row.name[i], name[i]);
	return c;
}

/* The rows that are in order: all but the one of what is beyond REPORT_ROWS_MAX, which has no names and stands last. */
static size_t named_n(const struct report *r, size_t by_n)
{
	static const struct slice none[REPORT_DIMS_MAX];
	size_t n = report_rows_n(r);

	return n > 1 && order(r, n - 1, none, by_n) == 0 ? n - 1 : n;
}

static size_t behind(const struct report *r, const struct report_ask *ask, const struct slice *name)
{
	size_t from = 0, to = named_n(r, ask->by_n);

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (order(r, mid, name, ask->by_n) <= 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

enum errc report_page_find(const struct report *r, const struct report_ask *ask,
			   struct slice cursor, size_t limit, struct report_page *out)
{
	size_t rows = ask->by_n ? report_rows_n(r) : 0;
	struct slice name[REPORT_DIMS_MAX];
	enum errc e = ERRC_OK;
	struct buf b;

	*out = (struct report_page){.from = 0};
	buf_init(&b, REPORT_PAGE_CURSOR_MAX);
	if (cursor.n) {
		e = text_unbase64(&b, cursor);
		if (!e)
			e = read_cursor(ask, buf_slice(&b), name);
		if (!e && rows)
			out->from = behind(r, ask, name);
		if (e == ERRC_LIMIT)
			e = ERRC_SYNTAX; /* none is so long */
	}
	out->to = limit && limit < rows - out->from ? out->from + limit : rows;
	buf_fini(&b);
	return e;
}

enum errc report_page_next(const struct report *r, const struct report_ask *ask,
			   struct report_page page, struct buf *out)
{
	struct report_row row;
	enum errc e = ERRC_OK;
	struct buf b;

	if (page.to == 0 || page.to >= report_rows_n(r))
		return ERRC_OK;
	row = report_row_at(r, page.to - 1);
	buf_init(&b, REPORT_PAGE_CURSOR_MAX);
	for (size_t i = 0; !e && i < ask->by_n; i++)
		e = buf_addc(&b, (char)ask->by[i]);
	for (size_t i = 0; !e && i < ask->by_n; i++) {
		uint8_t n[LENGTH];

		be_put(n, LENGTH, row.name[i].n);
		e = buf_add(&b, n, LENGTH);
		if (!e)
			e = buf_adds(&b, row.name[i]);
	}
	if (!e)
		e = text_base64url(out, b.p, b.len);
	buf_fini(&b);
	return e;
}
