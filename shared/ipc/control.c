#include "control.h"

#include "mpack.h"

static const struct control_verb_row rows[] = {
#define CONTROL_VERB(NAME, text, server, right) [CONTROL_DO_##NAME] = {text, server, right},
#include "control_tbl.h"
#undef CONTROL_VERB
};

const struct control_verb_row *control_verb_row(enum control_verb v)
{
	require((unsigned)v < CONTROL_VERB_COUNT);
	return &rows[v];
}

enum control_verb control_verb_named(struct slice text)
{
	unsigned v = 0;

	while (v < CONTROL_VERB_COUNT && !slice_is(text, rows[v].text))
		v++;
	return (enum control_verb)v;
}

enum errc control_encode(const struct control_field *f, size_t n, struct buf *out)
{
	struct mpack_out o;

	if (n > CONTROL_FIELDS_MAX)
		return ERRC_LIMIT;
	mpack_out_init(&o, out);
	mpack_map(&o, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		mpack_str(&o, f[i].name);
		if (f[i].type == CONTROL_T_STR)
			mpack_str(&o, f[i].s);
		else if (f[i].type == CONTROL_T_I64)
			mpack_i64(&o, f[i].i);
		else if (f[i].type == CONTROL_T_BOOL)
			mpack_bool(&o, f[i].i != 0);
		else
			mpack_nil(&o);
	}
	return mpack_out_end(&o);
}

static enum errc read_value(struct mpack_in *r, struct control_field *f)
{
	bool yes;

	switch (mpack_peek(r)) {
	case MPACK_NIL:
		f->type = CONTROL_T_NONE;
		return mpack_read_nil(r);
	case MPACK_STR:
		f->type = CONTROL_T_STR;
		return mpack_read_str(r, &f->s);
	case MPACK_INT:
		f->type = CONTROL_T_I64;
		return mpack_read_i64(r, &f->i);
	case MPACK_BOOL:
		f->type = CONTROL_T_BOOL;
		if (mpack_read_bool(r, &yes))
			return ERRC_PROTOCOL;
		f->i = yes;
		return ERRC_OK;
	default:
		return ERRC_PROTOCOL;
	}
}

enum errc control_decode(struct slice in, struct control_field *f, size_t max, size_t *n)
{
	struct mpack_in r;
	uint32_t count;

	*n = 0;
	mpack_in_init(&r, in);
	if (mpack_read_map(&r, &count))
		return ERRC_PROTOCOL;
	if (count > max)
		return ERRC_LIMIT;
	for (; *n < count; (*n)++) {
		f[*n] = (struct control_field){0};
		if (mpack_read_str(&r, &f[*n].name) || read_value(&r, &f[*n]))
			return ERRC_PROTOCOL;
	}
	return mpack_is_end(&r) ? ERRC_OK : ERRC_PROTOCOL;
}

enum errc control_pack(uint32_t number, const struct control_field *f, size_t n, struct buf *out)
{
	uint32_t head[2] = {number};
	size_t at = out->len;
	enum errc e = buf_add(out, head, sizeof(head));

	if (!e)
		e = control_encode(f, n, out);
	if (e)
		return e;
	head[1] = (uint32_t)(out->len - at - sizeof(head));
	memcpy(out->p + at, head, sizeof(head));
	return ERRC_OK;
}

bool control_unpack(struct slice *left, uint32_t *number, struct slice *fields)
{
	uint32_t head[2];

	if (left->n < sizeof(head))
		return false;
	memcpy(head, left->p, sizeof(head));
	if (left->n - sizeof(head) < head[1])
		return false;
	*number = head[0];
	*fields = slice_sub(*left, sizeof(head), head[1]);
	*left = slice_sub(*left, sizeof(head) + head[1], left->n);
	return true;
}

static const struct control_field *find(const struct control_field *f, size_t n, const char *name,
					enum control_type type)
{
	for (size_t i = 0; i < n; i++) {
		if (slice_is(f[i].name, name))
			return f[i].type == type ? &f[i] : NULL;
	}
	return NULL;
}

bool control_get_str(const struct control_field *f, size_t n, const char *name, struct slice *out)
{
	const struct control_field *x = find(f, n, name, CONTROL_T_STR);

	if (x)
		*out = x->s;
	return x != NULL;
}

bool control_get_i64(const struct control_field *f, size_t n, const char *name, int64_t *out)
{
	const struct control_field *x = find(f, n, name, CONTROL_T_I64);

	if (x)
		*out = x->i;
	return x != NULL;
}

bool control_get_bool(const struct control_field *f, size_t n, const char *name)
{
	const struct control_field *x = find(f, n, name, CONTROL_T_BOOL);

	return x && x->i;
}

enum errc control_send_request(struct chan *c, enum control_verb v, const struct control_field *f,
			       size_t n)
{
	struct msg m = {.type = MSG_REQUEST};
	struct buf b;
	enum errc e;

	buf_init(&b, LIMIT_FRAME_CONTROL);
	e = control_encode(f, n, &b);
	if (!e) {
		m.request = (struct msg_request){.version = CONTROL_VERSION,
						 .args = buf_slice(&b),
						 .verb = slice_str(control_verb_row(v)->text)};
		e = msg_send(c, &m);
	}
	buf_fini(&b);
	return e;
}

enum errc control_send_row(struct chan *c, const char *kind, const struct control_field *f, size_t n)
{
	struct msg m = {.type = MSG_ROW};
	struct buf b;
	enum errc e;

	buf_init(&b, LIMIT_FRAME_CONTROL);
	e = control_encode(f, n, &b);
	if (!e) {
		m.row = (struct msg_row){.kind = slice_str(kind), .fields = buf_slice(&b)};
		e = msg_send(c, &m);
	}
	buf_fini(&b);
	return e;
}

enum errc control_send_progress(struct chan *c, const char *fmt, ...)
{
	struct msg m = {.type = MSG_PROGRESS};
	struct buf b;
	enum errc e;
	va_list ap;

	buf_init(&b, 4096);
	va_start(ap, fmt);
	e = buf_addvf(&b, fmt, ap);
	va_end(ap);
	if (!e) {
		m.progress.text = buf_slice(&b);
		e = msg_send(c, &m);
	}
	buf_fini(&b);
	return e;
}

enum errc control_send_end(struct chan *c, enum control_status status, const char *code,
			   struct slice message, const char *file, unsigned line)
{
	struct msg m = {.type = MSG_END};

	m.end = (struct msg_end){.status = status,
				 .code = slice_str(code),
				 .message = message,
				 .file = slice_str(file),
				 .line = line};
	return msg_send(c, &m);
}

enum errc control_end(struct chan *c, enum control_status status, const char *code, const char *fmt,
		      ...)
{
	struct buf b;
	enum errc e;
	va_list ap;

	buf_init(&b, 8192);
	va_start(ap, fmt);
	e = buf_addvf(&b, fmt, ap);
	va_end(ap);
	if (!e)
		e = control_send_end(c, status, code, buf_slice(&b), NULL, 0);
	buf_fini(&b);
	return e;
}
