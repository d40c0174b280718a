#include "msg.h"

#include "mpack.h"
#include "secret.h"

enum kind { KIND_U64, KIND_I64, KIND_STR, KIND_BIN };

struct row {
	const char *name;
	unsigned places;
	size_t limit;
	unsigned fds_max;
};

struct field {
	enum msg_type type;
	enum kind kind;
	size_t offset; /* in the message's struct */
};

static const struct row rows[] = {
#define MSG(NAME, name, places, limit, fds) [MSG_##NAME] = {#NAME, places, limit, fds},
#define MSG_FIELD(name, kind, field)
#define MSG_END(name)
#include "msg_tbl.h"
#undef MSG
#undef MSG_FIELD
#undef MSG_END
};

/* The message that a field belongs to is the one whose row stands last before it; its number is not at hand there, so the
 * lower-case name gets one. */
enum {
#define MSG(NAME, name, places, limit, fds) NUMBER_##name,
#define MSG_FIELD(name, kind, field)
#define MSG_END(name)
#include "msg_tbl.h"
#undef MSG
#undef MSG_FIELD
#undef MSG_END
};

static const struct field fields[] = {
#define MSG(NAME, name, places, limit, fds)
#define MSG_FIELD(name, kind, field) \
	{(enum msg_type)NUMBER_##name, KIND_##kind, offsetof(struct msg, name.field)},
#define MSG_END(name)
#include "msg_tbl.h"
#undef MSG
#undef MSG_FIELD
#undef MSG_END
};

/* The first field of a message and how many it has. */
static size_t fields_of(enum msg_type t, size_t *n)
{
	size_t first = 0;

	while (first < ARRAY_LEN(fields) && fields[first].type != t)
		first++;
	*n = 0;
	while (first + *n < ARRAY_LEN(fields) && fields[first + *n].type == t)
		(*n)++;
	return first;
}

const char *msg_name(enum msg_type t)
{
	return (unsigned)t < MSG_COUNT ? rows[t].name : "?";
}

static void put_field(struct mpack_out *o, const struct field *f, const struct msg *m)
{
	const void *at = (const char *)m + f->offset;

	switch (f->kind) {
	case KIND_U64:
		mpack_u64(o, *(const uint64_t *)at);
		break;
	case KIND_I64:
		mpack_i64(o, *(const int64_t *)at);
		break;
	case KIND_STR:
		mpack_str(o, *(const struct slice *)at);
		break;
	case KIND_BIN:
		mpack_bin(o, *(const struct slice *)at);
		break;
	}
}

enum errc msg_encode(const struct msg *m, struct buf *out)
{
	size_t n, first, start = out->len;
	struct mpack_out o;
	enum errc e;

	require((unsigned)m->type < MSG_COUNT);
	if (m->fds_n > rows[m->type].fds_max)
		return ERRC_INVAL;
	first = fields_of(m->type, &n);
	mpack_out_init(&o, out);
	mpack_arr(&o, (uint32_t)n + 1);
	mpack_u64(&o, m->type);
	for (size_t i = 0; i < n; i++)
		put_field(&o, &fields[first + i], m);
	e = mpack_out_end(&o);
	if (!e && out->len - start > rows[m->type].limit)
		e = ERRC_TOOBIG;
	if (e)
		buf_truncate(out, start);
	return e;
}

static enum errc get_field(struct mpack_in *r, const struct field *f, struct msg *m)
{
	void *at = (char *)m + f->offset;

	switch (f->kind) {
	case KIND_U64:
		return mpack_read_u64(r, at);
	case KIND_I64:
		return mpack_read_i64(r, at);
	case KIND_STR:
		return mpack_read_str(r, at);
	case KIND_BIN:
		return mpack_read_bin(r, at);
	}
	return ERRC_INTERNAL;
}

enum errc msg_decode(struct slice payload, unsigned fds_n, enum msg_place place, struct msg *out)
{
	struct mpack_in r;
	uint64_t type;
	uint32_t count;
	size_t n, first;

	*out = (struct msg){0};
	mpack_in_init(&r, payload);
	if (mpack_read_arr(&r, &count) || mpack_read_u64(&r, &type) || type >= MSG_COUNT)
		return ERRC_PROTOCOL;
	if (!(rows[type].places & place) || payload.n > rows[type].limit ||
	    fds_n > rows[type].fds_max)
		return ERRC_PROTOCOL;
	out->type = (enum msg_type)type;
	first = fields_of(out->type, &n);
	if (count != n + 1)
		return ERRC_PROTOCOL;
	for (size_t i = 0; i < n; i++) {
		if (get_field(&r, &fields[first + i], out))
			return ERRC_PROTOCOL;
	}
	return mpack_is_end(&r) ? ERRC_OK : ERRC_PROTOCOL;
}

enum errc msg_send(struct chan *c, const struct msg *m)
{
	struct buf b;
	enum errc e;

	buf_init(&b, rows[m->type].limit + 64);
	e = msg_encode(m, &b);
	if (!e)
		e = chan_send(c, buf_slice(&b), m->fds, m->fds_n);
	if (b.p)
		secret_wipe(b.p, b.cap);
	buf_fini(&b);
	return e;
}

int msg_next(struct chan *c, enum msg_place place, struct msg *out)
{
	struct chan_frame f;
	enum errc e;
	int r = chan_next(c, &f);

	if (r <= 0)
		return r;
	e = msg_decode(f.payload, f.fds_n, place, out);
	if (e)
		return -(int)e;
	out->fds = f.fds;
	out->fds_n = f.fds_n;
	return 1;
}

enum errc msg_receive(struct chan *c, enum msg_place place, bool (*take)(void *arg, struct msg *m),
		      void *arg)
{
	enum errc e = chan_read(c);
	struct msg m;
	int got;

	if (e && e != ERRC_EOF && e != ERRC_AGAIN)
		return e;
	while ((got = msg_next(c, place, &m)) > 0)
		if (!take(arg, &m))
			return ERRC_OK;
	if (got < 0)
		return (enum errc) - got;
	return e == ERRC_AGAIN ? ERRC_OK : e;
}

int msg_take_fd(struct msg *m, unsigned i)
{
	int fd;

	if (i >= m->fds_n)
		return -1;
	fd = m->fds[i];
	m->fds[i] = -1;
	return fd;
}
