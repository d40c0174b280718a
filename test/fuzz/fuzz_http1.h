/* What the two http1 entries share: a message read in pieces of any size is the same as read whole, nothing raw gets into a head,
 * and a head that our own writers write again reads the same. */
#ifndef AIGW_FUZZ_HTTP1_H
#define AIGW_FUZZ_HTTP1_H

#include "http1.h"

struct tally {
	uint64_t hash;
	unsigned messages;
	int end, eof;
};

static inline void tally_add(struct tally *t, struct slice s, bool is_field)
{
	if (is_field)
		t->hash = (t->hash ^ (s.n + 1)) * UINT64_C(0x100000001b3);
	for (size_t i = 0; i < s.n; i++)
		t->hash = (t->hash ^ (uint8_t)s.p[i]) * UINT64_C(0x100000001b3);
}

static inline void check_text(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		require(s.p[i] != '\r' && s.p[i] != '\n' && s.p[i] != '\0');
}

static inline void tally_head(struct tally *t, const struct http1_head *d)
{
	require(!(d->chunked && d->content_length >= 0));
	require(!d->close_delimited || !d->keep_alive);
	tally_add(t, d->method, true);
	tally_add(t, d->target, true);
	tally_add(t, d->reason, true);
	check_text(d->target);
	check_text(d->reason);
	for (size_t i = 0; i < d->field_count; i++) {
		require(d->fields[i].name.n > 0);
		check_text(d->fields[i].name);
		check_text(d->fields[i].value);
		tally_add(t, d->fields[i].name, true);
		tally_add(t, d->fields[i].value, true);
	}
}

/* Writes the head with our writers, where they take it, and reads that. */
static inline void check_rewritten(const struct http1 *h, const struct http1_limits *limits)
{
	const struct http1_head *d = &h->head;
	struct tally before = {0}, after = {0};
	struct slice in, body;
	struct http1 again;
	struct buf b;
	enum errc rc;

	buf_init(&b, 1 << 20);
	rc = h->kind == HTTP1_REQUEST ? http1_put_request(&b, d->method, d->target)
				      : http1_put_status(&b, d->status);
	for (size_t i = 0; !rc && i < d->field_count; i++)
		rc = http1_put_field(&b, d->fields[i].name, d->fields[i].value);
	if (!rc)
		rc = http1_put_end(&b);
	http1_init(&again, h->kind, limits);
	in = buf_slice(&b);
	/* a first line or head just below its limit may be longer when written anew */
	if (!rc && d->version_minor == 1 && http1_next(&again, &in, &body) == HTTP1_HEAD) {
		again.head.reason = d->reason;
		tally_head(&before, d);
		tally_head(&after, &again.head);
		require(before.hash == after.hash && in.n == 0);
		require(again.head.has_body == d->has_body && again.head.chunked == d->chunked);
	}
	http1_fini(&again);
	buf_fini(&b);
}

static inline struct tally read_in_pieces(enum http1_kind kind, struct slice all, size_t piece)
{
	static const struct http1_limits limits = {
		.line_max = 256, .head_max = 1024, .headers_max = 10};
	struct tally t = {.hash = UINT64_C(0xcbf29ce484222325)};
	struct http1 h;

	http1_init(&h, kind, &limits);
	for (size_t at = 0; at < all.n && t.end >= 0; at += piece) {
		struct slice in = slice_sub(all, at, piece), body;

		while ((t.end = http1_next(&h, &in, &body)) > 0) {
			if (t.end == HTTP1_BODY) {
				require(body.n > 0 && body.p >= all.p + at &&
					body.p + body.n <= in.p);
				tally_add(&t, body, false);
			} else if (t.end == HTTP1_DONE) {
				t.messages++;
			} else {
				tally_head(&t, &h.head);
				if (piece == all.n && !h.answers_head)
					check_rewritten(&h, &limits);
			}
		}
		require(t.end < 0 || in.n == 0);
	}
	t.eof = http1_eof(&h);
	require(t.end >= 0 || (t.eof == t.end && h.why && http1_fault_status(&h) >= 400));
	if (t.end < 0 && kind == HTTP1_REQUEST) {
		http1_salvage(&h);
		tally_head(&t, &h.head);
	}
	http1_fini(&h);
	return t;
}

static inline void check_http1(enum http1_kind kind, struct slice in)
{
	struct tally whole = read_in_pieces(kind, in, in.n ? in.n : 1);

	for (size_t piece = 1; piece <= 7; piece += 2) {
		struct tally t = read_in_pieces(kind, in, piece);

		require(t.end == whole.end && t.eof == whole.eof);
		require(t.messages == whole.messages && t.hash == whole.hash);
	}
}

#endif
