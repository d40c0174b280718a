#include "reply.h"

#include "text.h"

void reply_start(struct reply *r)
{
	r->state = REPLY_STATUS;
	r->status = 0;
	r->is_chunked = r->closes = r->lf = false;
	r->left = r->events = 0;
	r->n = 0;
}

static void read_status(struct reply *r, struct slice line)
{
	uint64_t status;

	r->state = REPLY_BAD;
	if (slice_has_prefix(line, SLICE_LIT("HTTP/1.1 ")) &&
	    text_u64(slice_sub(line, 9, 3), &status)) {
		r->status = (int)status;
		r->state = REPLY_FIELDS;
	}
}

static void read_field(struct reply *r, struct slice line)
{
	struct slice name;

	if (line.n == 0) {
		r->state = r->is_chunked ? REPLY_CHUNK_SIZE : r->left > 0 ? REPLY_BODY : REPLY_DONE;
		return;
	}
	slice_cut(&line, ':', &name);
	line = slice_trim(line);
	if (slice_ieq(name, SLICE_LIT("content-length"))) {
		if (!text_u64(line, &r->left))
			r->state = REPLY_BAD;
	} else if (slice_ieq(name, SLICE_LIT("transfer-encoding"))) {
		r->is_chunked = slice_ieq(line, SLICE_LIT("chunked"));
	} else if (slice_ieq(name, SLICE_LIT("connection"))) {
		r->closes = slice_ieq(line, SLICE_LIT("close"));
	}
}

static void read_chunk_size(struct reply *r, struct slice line)
{
	r->left = 0;
	for (size_t i = 0; i < line.n && line.p[i] != ';'; i++) {
		char c = line.p[i] | 0x20;
		int digit = c >= '0' && c <= '9'   ? c - '0'
			    : c >= 'a' && c <= 'f' ? c - 'a' + 10
						   : -1;

		if (digit < 0 || r->left >> 56) {
			r->state = REPLY_BAD;
			return;
		}
		r->left = r->left << 4 | (unsigned)digit;
	}
	r->state = r->left > 0 ? REPLY_CHUNK : REPLY_TRAILER;
}

static void read_line(struct reply *r, struct slice line)
{
	if (r->state == REPLY_STATUS)
		read_status(r, line);
	else if (r->state == REPLY_FIELDS)
		read_field(r, line);
	else if (r->state == REPLY_CHUNK_SIZE)
		read_chunk_size(r, line);
	else if (r->state == REPLY_CHUNK_END)
		r->state = line.n == 0 ? REPLY_CHUNK_SIZE : REPLY_BAD;
	else
		r->state = line.n == 0 ? REPLY_DONE : REPLY_TRAILER;
}

/* Collects a line that ends in CR LF; how much of the data it took. */
static size_t take_line(struct reply *r, struct slice data)
{
	ptrdiff_t at = slice_chr(data, '\n');
	size_t n = at < 0 ? data.n : (size_t)at;

	if (r->n + n > sizeof(r->line)) {
		r->state = REPLY_BAD;
		return 0;
	}
	memcpy(r->line + r->n, data.p, n);
	r->n += n;
	if (at < 0)
		return n;
	n = r->n;
	r->n = 0;
	if (n == 0 || r->line[n - 1] != '\r')
		r->state = REPLY_BAD;
	else
		read_line(r, slice_of(r->line, n - 1));
	return (size_t)at + 1;
}

static void count_events(struct reply *r, struct slice body)
{
	const char *p = body.p, *end = slice_end(body);

	while (p < end) {
		const char *lf = memchr(p, '\n', (size_t)(end - p));

		if (lf == p && r->lf)
			r->events++;
		r->lf = lf != NULL;
		p = lf ? lf + 1 : end;
	}
}

static size_t take_body(struct reply *r, struct slice data)
{
	size_t n = data.n < r->left ? data.n : (size_t)r->left;

	count_events(r, slice_of(data.p, n));
	r->left -= n;
	if (r->left == 0)
		r->state = r->state == REPLY_CHUNK ? REPLY_CHUNK_END : REPLY_DONE;
	return n;
}

size_t reply_feed(struct reply *r, struct slice data)
{
	size_t at = 0;

	while (at < data.n && r->state < REPLY_DONE) {
		struct slice rest = slice_of(data.p + at, data.n - at);

		at += r->state == REPLY_BODY || r->state == REPLY_CHUNK ? take_body(r, rest)
									: take_line(r, rest);
	}
	return at;
}
