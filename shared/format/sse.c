#include "sse.h"

#define HELD_KEEP (16 * 1024) /* a larger buffer is given back after its frame */
#define WINDOW    512

static const struct slice bom = SLICE_LIT("\xef\xbb\xbf");

void sse_init(struct sse *s, size_t max)
{
	*s = (struct sse){.max = max};
	buf_init(&s->held, max);
	buf_init(&s->joined, max);
}

void sse_fini(struct sse *s)
{
	buf_fini(&s->held);
	buf_fini(&s->joined);
}

void sse_push(struct sse *s, struct slice in)
{
	require(s->in.n == 0 && !s->finished);
	s->in = in;
}

void sse_finish(struct sse *s)
{
	s->finished = true;
}

static void empty(struct buf *b)
{
	buf_reset(b);
	if (b->cap > HELD_KEEP)
		buf_fini(b);
}

static void begin_frame(struct sse *s)
{
	s->lines_len = 0;
	s->has_name = s->has_data = s->is_joined = s->has_field = s->has_comment = false;
}

static const char *frame_bytes(const struct sse *s)
{
	return buf_is_empty(&s->held) ? s->in.p : s->held.p;
}

/* Finds the first line end at or after `from`: the line's length and the bytes of its end. False
 * without one. A CR at the very end of s may lack its LF: then *end_n is 1 and the LF, if it comes,
 * is skipped later. Both bytes are searched for window by window, so that a stream with only one of
 * them is not read to its end for each line. */
static bool find_line_end(struct slice s, size_t from, size_t *line_n, size_t *end_n)
{
	for (size_t n; from < s.n; from += n) {
		const char *at = s.p + from, *lf, *cr;

		n = MIN_OF(s.n - from, (size_t)WINDOW);
		lf = memchr(at, '\n', n);
		cr = memchr(at, '\r', lf ? (size_t)(lf - at) : n);
		if (!cr && !lf)
			continue;
		*line_n = (size_t)((cr ? cr : lf) - s.p);
		*end_n = cr && *line_n + 1 < s.n && cr[1] == '\n' ? 2 : 1;
		return true;
	}
	return false;
}

/* Moves the first n bytes of the input behind what is held. */
static enum errc hold(struct sse *s, size_t n)
{
	enum errc rc = buf_add(&s->held, s->in.p, n);

	if (rc)
		return rc == ERRC_LIMIT ? ERRC_TOOBIG : rc;
	s->in = slice_sub(s->in, n, s->in.n);
	return ERRC_OK;
}

/* The LF of a CRLF whose CR ended the pushed bytes before: part of the frame, or of nothing between
 * frames. */
static enum errc skip_lf(struct sse *s)
{
	enum errc rc = ERRC_OK;

	if (!s->skip_lf || s->in.n == 0)
		return ERRC_OK;
	s->skip_lf = false;
	if (s->in.p[0] != '\n')
		return ERRC_OK;
	if (buf_is_empty(&s->held)) {
		s->in = slice_sub(s->in, 1, s->in.n);
	} else {
		rc = hold(s, 1);
		s->lines_len++;
	}
	return rc;
}

/* Takes the next whole line; *line is without its end and valid until the next call. */
static int take_line(struct sse *s, struct slice *line)
{
	bool held = !buf_is_empty(&s->held), found;
	size_t line_n = 0, end_n = 0;
	enum errc rc;

	found = find_line_end(s->in, held ? 0 : s->lines_len, &line_n, &end_n);
	if (!found && s->in.n == 0)
		return 0;
	if (!found || held) {
		rc = hold(s, found ? line_n + end_n : s->in.n);
		if (rc || !found)
			return -(int)rc;
		line_n = s->held.len - end_n;
	}
	s->skip_lf = end_n == 1 && frame_bytes(s)[line_n] == '\r' &&
		     (held ? s->in.n == 0 : line_n + 1 == s->in.n);
	*line = slice_of(frame_bytes(s) + s->lines_len, line_n - s->lines_len);
	s->lines_len = line_n + end_n;
	return s->lines_len > s->max ? -ERRC_TOOBIG : 1;
}

/* Data of a second and further lines is put together apart. */
static enum errc join_data(struct sse *s, struct slice value)
{
	enum errc rc = ERRC_OK;

	if (!s->is_joined) {
		empty(&s->joined);
		rc = buf_add(&s->joined, frame_bytes(s) + s->data_at, s->data_n);
		s->is_joined = true;
	}
	if (!rc)
		rc = buf_addc(&s->joined, '\n');
	if (!rc)
		rc = buf_adds(&s->joined, value);
	return rc == ERRC_LIMIT ? ERRC_TOOBIG : rc;
}

/* Notes one line of the frame. Unknown fields, `id` and `retry` only count as fields. */
static enum errc take_field(struct sse *s, struct slice line)
{
	struct slice name, value = line;
	size_t at;

	if (line.p[0] == ':') {
		s->has_comment = true;
		return ERRC_OK;
	}
	s->has_field = true;
	slice_cut(&value, ':', &name);
	if (value.n && value.p[0] == ' ')
		value = slice_sub(value, 1, value.n);
	at = (size_t)(value.p - frame_bytes(s));
	if (slice_eq(name, SLICE_LIT("data"))) {
		if (s->has_data)
			return join_data(s, value);
		s->has_data = true;
		s->data_at = at;
		s->data_n = value.n;
	} else if (slice_eq(name, SLICE_LIT("event"))) {
		s->has_name = true;
		s->name_at = at;
		s->name_n = value.n;
	}
	return ERRC_OK;
}

static void give_frame(struct sse *s, struct sse_event *out)
{
	const char *p = frame_bytes(s);

	*out = (struct sse_event){.raw = slice_of(p, s->lines_len), .is_comment = !s->has_field};
	if (s->has_name)
		out->name = slice_of(p + s->name_at, s->name_n);
	if (s->is_joined)
		out->data = buf_slice(&s->joined);
	else if (s->has_data)
		out->data = slice_of(p + s->data_at, s->data_n);
	s->events += s->has_field;
	if (buf_is_empty(&s->held))
		s->in = slice_sub(s->in, s->lines_len, s->in.n);
	else
		s->held_given = true;
	begin_frame(s);
}

/* Blank lines between frames belong to none. */
static void drop_blank(struct sse *s)
{
	if (buf_is_empty(&s->held))
		s->in = slice_sub(s->in, s->lines_len, s->in.n);
	else
		empty(&s->held);
	begin_frame(s);
}

/* A byte order mark at the start of the stream is no part of the first frame. False when more bytes
 * must tell. */
static enum errc skip_bom(struct sse *s, bool *known)
{
	enum errc rc = ERRC_OK;

	while (!rc && s->in.n && s->held.len < bom.n && s->in.p[0] == bom.p[s->held.len])
		rc = hold(s, 1);
	if (s->held.len == bom.n)
		buf_reset(&s->held);
	else if (s->in.n == 0 && !s->finished)
		return rc;
	s->started = *known = true;
	return rc;
}

/* At the end of the stream a line without its end still counts, and so does a frame without its
 * blank line. */
static enum errc take_rest(struct sse *s, bool *any)
{
	struct slice line = slice_sub(buf_slice(&s->held), s->lines_len, s->held.len);
	enum errc rc = ERRC_OK;

	if (line.n) {
		s->lines_len = s->held.len;
		rc = take_field(s, line);
	}
	*any = s->has_field || s->has_comment;
	return rc;
}

static int next(struct sse *s, struct sse_event *out)
{
	struct slice line;
	enum errc rc;
	bool flag;
	int got;

	if (s->held_given) {
		s->held_given = false;
		empty(&s->held);
	}
	if (!s->started) {
		flag = false;
		rc = skip_bom(s, &flag);
		if (rc || !flag)
			return -(int)rc;
	}
	rc = skip_lf(s);
	if (rc)
		return -(int)rc;
	while ((got = take_line(s, &line)) > 0) {
		if (line.n) {
			rc = take_field(s, line);
			if (rc)
				return -(int)rc;
		} else if (s->has_field || s->has_comment) {
			give_frame(s, out);
			return 1;
		} else {
			drop_blank(s);
		}
	}
	if (got < 0 || !s->finished)
		return got;
	rc = take_rest(s, &flag);
	if (rc || !flag)
		return -(int)rc;
	give_frame(s, out);
	out->is_unfinished = true;
	return 1;
}

int sse_next(struct sse *s, struct sse_event *out)
{
	int got;

	if (s->failed)
		return -(int)s->failed;
	got = next(s, out);
	if (got < 0)
		s->failed = (enum errc) - got;
	return got;
}

static bool has_line_end(struct slice s)
{
	return slice_chr(s, '\n') >= 0 || slice_chr(s, '\r') >= 0;
}

static enum errc put_field(struct buf *out, struct slice name, struct slice value)
{
	char *at;
	enum errc rc = buf_reserve(out, name.n + value.n + 1, &at);

	if (rc)
		return rc;
	memcpy(at, name.p, name.n);
	if (value.n)
		memcpy(at + name.n, value.p, value.n);
	at[name.n + value.n] = '\n';
	buf_commit(out, name.n + value.n + 1);
	return ERRC_OK;
}

enum errc sse_put(struct buf *out, struct slice name, struct slice data)
{
	size_t before = out->len, line_n, end_n;
	enum errc rc = ERRC_OK;

	if (has_line_end(name))
		return ERRC_INVAL;
	if (name.n)
		rc = put_field(out, SLICE_LIT("event: "), name);
	while (!rc && find_line_end(data, 0, &line_n, &end_n)) {
		rc = put_field(out, SLICE_LIT("data: "), slice_sub(data, 0, line_n));
		data = slice_sub(data, line_n + end_n, data.n);
	}
	if (!rc)
		rc = put_field(out, SLICE_LIT("data: "), data);
	if (!rc)
		rc = buf_addc(out, '\n');
	if (rc)
		buf_truncate(out, before);
	return rc;
}

enum errc sse_put_comment(struct buf *out, struct slice text)
{
	size_t before = out->len;
	enum errc rc;

	if (has_line_end(text))
		return ERRC_INVAL;
	rc = put_field(out, SLICE_LIT(": "), text);
	if (!rc)
		rc = buf_addc(out, '\n');
	if (rc)
		buf_truncate(out, before);
	return rc;
}
