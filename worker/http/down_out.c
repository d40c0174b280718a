#include "down_priv.h"

#include <time.h>

#include "mem.h"

#define DIRECT_MIN \
	(16 * 1024) /* pieces from here on are offered to the kernel at once instead of copied */
#define KEEP_CAP   1024 /* an empty output buffer up to this size is kept while an answer streams */
#define HEAD_EXTRA 256  /* what we add to an answer's head, at most */

/* --- toward the xport --- */

static void out_advance(struct down_conn *dc, size_t n)
{
	dc->out_at += n;
	dc->host->stats.bytes_out += n;
	if (down_out_left(dc) > 0)
		return;
	dc->out_at = 0;
	if (dc->output == DOWN_OUT_STREAM && dc->out.cap <= KEEP_CAP)
		buf_reset(&dc->out);
	else
		buf_fini(&dc->out);
}

static void out_failed(struct down_conn *dc)
{
	dc->is_dead = true;
	turn_wake(&dc->step);
}

/* Sets what to do about bytes that wait: a client that takes none for send_ms is gone. */
static void watch_stall(struct down_conn *dc, bool progress)
{
	bool waits = dc->is_blocked;

	if (!waits)
		turn_timer_clear(&dc->send_timer);
	else if (progress || !turn_timer_is_set(&dc->send_timer))
		turn_timer_set(&dc->send_timer,
			       turn_now_ms(dc->host->turn) + dc->host->opts.send_ms);
}

/* Offers the buffer and then `v` to the xport. *left is how many bytes of `v`, counted from its end, it did not take. */
static void offer(struct down_conn *dc, const struct slice *v, size_t n, size_t *left)
{
	struct iovec iov[XPORT_IOV_MAX];
	size_t taken = 0, buffered = down_out_left(dc), total = buffered;
	int k = 0;

	if (buffered)
		iov[k++] = (struct iovec){dc->out.p + dc->out_at, buffered};
	for (size_t i = 0; i < n; i++) {
		iov[k++] = (struct iovec){(void *)v[i].p, v[i].n};
		total += v[i].n;
	}
	*left = total - buffered;
	if (total == 0)
		return;
	if (xport_write(dc->x, iov, k, &taken)) {
		out_failed(dc);
		return;
	}
	dc->is_blocked = taken < total || !xport_is_drained(dc->x);
	*left = MIN_OF(total - taken, *left);
	dc->host->stats.bytes_out += taken > buffered ? taken - buffered : 0;
	if (buffered)
		out_advance(dc, MIN_OF(taken, buffered));
	watch_stall(dc, taken > 0);
}

void down_out_flush(struct down_conn *dc)
{
	size_t left;

	if (dc->phase == DOWN_CLOSED || dc->is_dead)
		return;
	if (!dc->is_blocked)
		offer(dc, NULL, 0, &left);
	if (dc->is_dead)
		return;
	if (dc->was_full && down_out_left(dc) <= dc->host->opts.low_water) {
		dc->was_full = false;
		if (dc->ev && dc->output == DOWN_OUT_STREAM)
			dc->ev->on_writable(dc->arg);
	}
	if (dc->output == DOWN_OUT_ENDED && down_out_left(dc) == 0 && !dc->is_blocked)
		down_conn_answered(dc);
}

/* Copies what is left of the pieces: their last `left` bytes of `total`. */
static enum errc keep_rest(struct down_conn *dc, const struct slice *v, size_t n, size_t total,
			   size_t left)
{
	size_t skip = total - left;
	char *room;
	enum errc e = buf_reserve(&dc->out, left, &room);

	if (e)
		return e;
	for (size_t i = 0; i < n; i++) {
		size_t k = MIN_OF(skip, v[i].n);

		skip -= k;
		if (v[i].n > k)
			memcpy(room, v[i].p + k, v[i].n - k);
		room += v[i].n - k;
	}
	buf_commit(&dc->out, left);
	return ERRC_OK;
}

/* Takes all pieces: large ones straight to the kernel, the rest into the buffer. On failure the buffer is as it was. */
static enum errc put(struct down_conn *dc, const struct slice *v, size_t n, size_t total)
{
	bool direct = total >= DIRECT_MIN && !dc->is_blocked && !dc->is_dead && n < XPORT_IOV_MAX;
	size_t left = total;
	enum errc e = ERRC_OK;

	if (direct)
		offer(dc, v, n, &left);
	if (left > 0 && !dc->is_dead)
		e = keep_rest(dc, v, n, total, left);
	if (e && !direct)
		return e;
	if (e) /* bytes before these may be out: the stream cannot be saved */
		out_failed(dc);
	dc->bytes_out += total;
	dc->wrote_ms = turn_now_ms(dc->host->turn);
	if (down_out_left(dc) > dc->host->opts.high_water)
		dc->was_full = true;
	turn_flush(&dc->flush);
	return ERRC_OK;
}

/* --- heads --- */

static struct slice date_line(struct down_host *h)
{
	int64_t now_s = turn_wall_ms(h->turn) / 1000;
	time_t t = (time_t)now_s;
	struct tm tm;

	if (h->date_n == 0 || now_s != h->date_s) {
		gmtime_r(&t, &tm);
		h->date_n = strftime(h->date, sizeof(h->date),
				     "date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
		h->date_s = now_s;
	}
	return slice_of(h->date, h->date_n);
}

static enum errc put_connection(struct down_conn *dc, struct buf *b)
{
	enum errc e;

	if (dc->closes)
		return buf_adds(b, SLICE_LIT("connection: close\r\n"));
	e = dc->is_http10 ? buf_adds(b, SLICE_LIT("connection: keep-alive\r\n")) : ERRC_OK;
	if (!e)
		e = buf_adds(b, SLICE_LIT("keep-alive: timeout="));
	if (!e)
		e = buf_addi(b, dc->host->opts.idle_ms / 1000);
	return e ? e : buf_adds(b, HTTP1_CRLF);
}

static enum errc put_framing(struct down_conn *dc, struct buf *b, const struct down_answer *a,
			     int64_t length)
{
	if (a->status == 204 || a->status == 304)
		return ERRC_OK;
	if (length >= 0)
		return http1_put_header_i64(b, "content-length", length);
	return dc->is_chunked ? buf_adds(b, SLICE_LIT("transfer-encoding: chunked\r\n")) : ERRC_OK;
}

/* Decides about keep-alive and writes the head into the buffer. `length` < 0: streamed. Leaves the buffer as it was on failure. */
static enum errc put_head(struct down_conn *dc, const struct down_answer *a, int64_t length)
{
	struct buf *b = &dc->out;
	size_t before = b->len;
	char *room;
	enum errc e;

	dc->is_chunked = length < 0 && !dc->is_http10 && !dc->is_head_method;
	dc->closes = dc->closes || a->close || !dc->may_keep || dc->host->is_draining ||
		     dc->input != DOWN_IN_DONE || dc->eof_came || (length < 0 && dc->is_http10);
	e = buf_reserve(b, a->fields.n + HEAD_EXTRA + (length < DIRECT_MIN ? MAX_OF(length, 0) : 0),
			&room);
	if (!e)
		e = http1_put_status(b, a->status);
	if (!e)
		e = buf_adds(b, date_line(dc->host));
	if (!e)
		e = put_framing(dc, b, a, length);
	if (!e)
		e = put_connection(dc, b);
	if (!e)
		e = buf_adds(b, a->fields);
	if (!e)
		e = http1_put_end(b);
	if (e) {
		buf_truncate(b, before);
		return e;
	}
	dc->bytes_out += b->len - before;
	dc->wrote_ms = turn_now_ms(dc->host->turn);
	dc->wants_continue = false; /* the final status stands for it */
	turn_flush(&dc->flush);
	return ERRC_OK;
}

void down_out_continue(struct down_conn *dc)
{
	dc->wants_continue = false;
	if (buf_adds(&dc->out, SLICE_LIT("HTTP/1.1 100 Continue\r\n\r\n")))
		out_failed(dc);
	turn_flush(&dc->flush);
}

/* --- exported --- */

static bool is_over(const struct down_conn *dc)
{
	return dc->phase != DOWN_CALL || dc->output == DOWN_OUT_ENDED;
}

enum errc down_conn_answer(struct down_conn *dc, const struct down_answer *a,
			   const struct slice *body, size_t n)
{
	bool bodiless = a->status == 204 || a->status == 304;
	size_t total = 0, head_at;
	enum errc e;

	down_conn_check(dc);
	if (is_over(dc) || dc->output != DOWN_OUT_NONE)
		return ERRC_STATE;
	for (size_t i = 0; i < n && !bodiless; i++)
		total += body[i].n;
	head_at = dc->out.len;
	e = put_head(dc, a, (int64_t)total);
	if (e)
		return e;
	if (total > 0 && !dc->is_head_method) {
		e = put(dc, body, n, total);
		if (e) {
			buf_truncate(&dc->out, head_at);
			return e;
		}
	}
	dc->output = DOWN_OUT_ENDED;
	return ERRC_OK;
}

enum errc down_conn_start(struct down_conn *dc, const struct down_answer *a)
{
	enum errc e;

	down_conn_check(dc);
	if (is_over(dc) || dc->output != DOWN_OUT_NONE)
		return ERRC_STATE;
	e = put_head(dc, a, -1);
	if (!e)
		dc->output = DOWN_OUT_STREAM;
	return e;
}

/* One chunk: size line, pieces, CRLF. */
static enum errc put_chunk(struct down_conn *dc, const struct slice *v, size_t n, size_t total)
{
	char line[HTTP1_CHUNK_HEAD];
	struct slice all[XPORT_IOV_MAX];
	struct slice size = http1_chunk_head(total, line);
	size_t k = 0;

	if (n + 3 > XPORT_IOV_MAX)
		return ERRC_LIMIT;
	all[k++] = size;
	for (size_t i = 0; i < n; i++)
		if (v[i].n)
			all[k++] = v[i];
	all[k++] = HTTP1_CRLF;
	return put(dc, all, k, size.n + total + 2);
}

enum errc down_conn_writev(struct down_conn *dc, const struct slice *v, size_t n)
{
	size_t total = 0;

	down_conn_check(dc);
	if (is_over(dc) || dc->output != DOWN_OUT_STREAM)
		return ERRC_STATE;
	for (size_t i = 0; i < n; i++)
		total += v[i].n;
	if (total == 0 || dc->is_head_method)
		return ERRC_OK;
	return dc->is_chunked ? put_chunk(dc, v, n, total) : put(dc, v, n, total);
}

enum errc down_conn_end(struct down_conn *dc)
{
	struct slice last = HTTP1_LAST_CHUNK;
	enum errc e = ERRC_OK;

	down_conn_check(dc);
	if (is_over(dc) || dc->output != DOWN_OUT_STREAM)
		return ERRC_STATE;
	if (dc->is_chunked)
		e = put(dc, &last, 1, last.n);
	if (e)
		return e;
	dc->output = DOWN_OUT_ENDED;
	turn_flush(&dc->flush);
	return ERRC_OK;
}

void down_conn_cut(struct down_conn *dc)
{
	down_conn_check(dc);
	if (is_over(dc))
		return;
	dc->closes = true;
	dc->output = DOWN_OUT_ENDED;
	turn_flush(&dc->flush);
}

bool down_conn_is_full(const struct down_conn *dc)
{
	return down_out_left(dc) > dc->host->opts.high_water;
}

int64_t down_conn_wrote_ms(const struct down_conn *dc)
{
	return dc->wrote_ms;
}

uint64_t down_conn_bytes_in(const struct down_conn *dc)
{
	return dc->bytes_in;
}

uint64_t down_conn_bytes_out(const struct down_conn *dc)
{
	return dc->bytes_out;
}
