#include "ask.h"

#include <stdio.h>

#include "interrupt.h"
#include "mem.h"

#define PROGRESS_SHOWN 70

static bool grow(struct ask_answer *a)
{
	size_t cap = a->cap ? a->cap * 2 : 64;
	struct ask_row *rows;

	if (a->n < a->cap)
		return true;
	rows = cap <= ASK_ROWS_MAX ? mem_grow(a->rows, cap * sizeof(*rows)) : NULL;
	if (!rows)
		return false;
	a->rows = rows;
	a->cap = cap;
	return true;
}

static enum errc add_row(struct ask_answer *a, struct slice kind, struct slice fields)
{
	struct control_field f[CONTROL_FIELDS_MAX], *kept;
	struct slice bytes = arena_dup(&a->arena, fields), name = arena_dup(&a->arena, kind);
	enum errc e;
	size_t n;

	if (!bytes.p || !name.p || !grow(a))
		return ERRC_NOMEM;
	e = control_decode(bytes, f, ARRAY_LEN(f), &n);
	if (e)
		return e;
	kept = arena_array(&a->arena, struct control_field, n + 1);
	if (!kept)
		return ERRC_NOMEM;
	memcpy(kept, f, n * sizeof(*f));
	a->rows[a->n++] = (struct ask_row){.kind = name, .f = kept, .n = n};
	return ERRC_OK;
}

static enum errc give_row(struct ask_answer *a, struct slice kind, struct slice fields)
{
	struct control_field f[CONTROL_FIELDS_MAX];
	struct ask_row r = {.kind = kind, .f = f};
	enum errc e = control_decode(fields, f, ARRAY_LEN(f), &r.n);

	return e ? e : a->take(a->take_arg, &r);
}

void ask_init(struct ask_answer *a)
{
	*a = (struct ask_answer){.status = CONTROL_DONE};
	arena_init(&a->arena, ASK_BYTES_MAX);
}

enum errc ask_add(struct ask_answer *a, const char *kind, const struct control_field *f, size_t n)
{
	struct buf b;
	enum errc e;

	buf_init(&b, LIMIT_FRAME_CONTROL);
	e = control_encode(f, n, &b);
	if (!e)
		e = add_row(a, slice_str(kind), buf_slice(&b));
	buf_fini(&b);
	return e;
}

/* One line that is written over; nothing where nobody looks. */
static void show_progress(struct ctl *c, struct slice text)
{
	struct put p;

	if (!c->err.is_tty || c->json)
		return;
	c->progress_shown = true;
	put_init(&p);
	put_z(&p, "\r\033[K");
	term_put(&c->err, &p, TERM_DIM, slice_sub(text, 0, PROGRESS_SHOWN));
	(void)!put_flush(&p, c->err.fd);
	put_fini(&p);
}

void ask_progress(struct ctl *c, const char *fmt, ...)
{
	char text[PROGRESS_SHOWN + 1];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	show_progress(c, slice_str(text));
}

void ask_progress_end(struct ctl *c)
{
	struct put p;

	if (!c->progress_shown)
		return;
	c->progress_shown = false;
	put_init(&p);
	put_z(&p, "\r\033[K");
	(void)!put_flush(&p, c->err.fd);
	put_fini(&p);
}

static enum control_status take_end(struct ctl *c, struct ask_answer *a, const struct msg_end *m)
{
	enum control_status status = m->status <= CONTROL_TIMED_OUT ? (enum control_status)m->status
								    : CONTROL_REFUSED;

	if (status == CONTROL_DONE) {
		a->message = arena_dup(&a->arena, m->message);
		return status;
	}
	ctl_fail(c, status, "failed", SLICE_FMT,
		 SLICE_ARG(slice_sub(m->message, 0, sizeof(c->fail.message) - 1)));
	if (m->code.n)
		snprintf(c->fail.code, sizeof(c->fail.code), SLICE_FMT,
			 SLICE_ARG(slice_sub(m->code, 0, sizeof(c->fail.code) - 1)));
	snprintf(c->fail.file, sizeof(c->fail.file), SLICE_FMT,
		 SLICE_ARG(slice_sub(m->file, 0, sizeof(c->fail.file) - 1)));
	c->fail.line = (unsigned)m->line;
	return status;
}

static enum control_status failed(struct ctl *c, enum errc e)
{
	switch (e) {
	case ERRC_TIMEOUT:
		return ctl_fail(c, CONTROL_TIMED_OUT, "timed_out",
				"the daemon has not answered in time");
	case ERRC_CANCELED:
		return ctl_fail(c, CONTROL_REFUSED, "interrupted",
				"interrupted before the daemon's answer");
	case ERRC_EOF:
	case ERRC_CONNRESET:
		return ctl_fail(c, CONTROL_REFUSED, "connection_lost",
				"the daemon closed the connection before its answer was complete");
	case ERRC_PROTOCOL:
	case ERRC_TOOBIG:
		return ctl_fail(c, CONTROL_REFUSED, "protocol",
				"what came is no answer of aigwd; is it another version?");
	default:
		return ctl_fail(c, CONTROL_REFUSED, "failed", "%s", errc_text(e));
	}
}

/* Reads until the end came: 1, needs more: 0, or -errc. */
static int take_messages(struct ctl *c, struct chan *ch, struct ask_answer *a)
{
	enum errc e = ERRC_OK;
	struct msg m;
	int r;

	while (!e && (r = msg_next(ch, MSG_AT_CTL, &m)) > 0) {
		if (m.type == MSG_ROW && a->take)
			e = give_row(a, m.row.kind, m.row.fields);
		else if (m.type == MSG_ROW)
			e = add_row(a, m.row.kind, m.row.fields);
		else if (m.type == MSG_PROGRESS)
			show_progress(c, m.progress.text);
		else {
			a->is_ended = true;
			a->status = take_end(c, a, &m.end);
			return 1;
		}
	}
	return e ? -(int)e : r;
}

static enum errc wait_for(struct ctl *c, struct chan *ch, int timeout_ms)
{
	struct pollfd p = {.fd = chan_fd(ch), .events = POLLIN};

	if (c->answer_last_ms <= 0)
		return chan_wait(ch, timeout_ms);
	return interrupt_poll_last(&p, 1, timeout_ms, c->answer_last_ms);
}

static enum errc converse(struct ctl *c, struct chan *ch, struct ask_answer *a, int timeout_ms)
{
	enum errc e = chan_drain(ch, timeout_ms);
	int r = 0;

	while (!e && r == 0) {
		e = wait_for(c, ch, timeout_ms);
		if (!e)
			e = chan_read(ch);
		if (!e)
			r = take_messages(c, ch, a);
	}
	return r < 0 ? (enum errc) - r : e;
}

static enum control_status talk(struct ctl *c, enum control_verb v, const struct control_field *f,
				size_t n, struct ask_answer *out)
{
	int64_t timeout_ms =
		parse_local_i64(&c->p, "timeout_ms", c->p.cmd ? c->p.cmd->timeout_ms : 0);
	struct chan ch;
	enum errc e;
	int fd;

	out->status = CONTROL_REFUSED;
	fd = c->connect(c);
	if (fd < 0) {
		out->status = c->connect_status;
		return out->status;
	}
	out->is_asked = true;
	chan_init(&ch, fd, LIMIT_FRAME_CONTROL + 1024);
	e = control_send_request(&ch, v, f, n);
	if (!e)
		e = converse(c, &ch, out,
			     timeout_ms > 0 && timeout_ms < INT32_MAX ? (int)timeout_ms : -1);
	ask_progress_end(c);
	if (e)
		out->status = failed(c, e);
	chan_fini(&ch);
	return out->status;
}

enum control_status ask(struct ctl *c, enum control_verb v, const struct control_field *f, size_t n,
			struct ask_answer *out)
{
	ask_init(out);
	return talk(c, v, f, n, out);
}

enum control_status ask_command_each(struct ctl *c,
				     enum errc (*take)(void *arg, const struct ask_row *r),
				     void *arg, struct ask_answer *out)
{
	ask_init(out);
	out->take = take;
	out->take_arg = arg;
	return talk(c, c->p.cmd->verb, c->p.send.f, c->p.send.n, out);
}

enum control_status ask_command(struct ctl *c, struct ask_answer *out)
{
	return ask(c, c->p.cmd->verb, c->p.send.f, c->p.send.n, out);
}

void ask_fini(struct ask_answer *a)
{
	mem_free(a->rows);
	arena_fini(&a->arena);
	*a = (struct ask_answer){0};
}

const struct ask_row *ask_row_of(const struct ask_answer *a, const char *kind)
{
	for (size_t i = 0; i < a->n; i++) {
		if (slice_is(a->rows[i].kind, kind))
			return &a->rows[i];
	}
	return NULL;
}

struct slice ask_str(const struct ask_row *r, const char *name)
{
	struct slice s = SLICE_NONE;

	if (r)
		(void)!control_get_str(r->f, r->n, name, &s);
	return s;
}

int64_t ask_i64(const struct ask_row *r, const char *name)
{
	int64_t v = 0;

	if (r)
		(void)!control_get_i64(r->f, r->n, name, &v);
	return v;
}
