#include "usage_raw.h"

#include <stdio.h>

#include "jtext.h"
#include "text.h"

#define RAW_DEPTH 8 /* containers in each other; deeper ones are left out */
#define RAW_FIRST \
	(USAGE_RAW_MAX * 3 / 4) /* of the first of several parts: the last one matters more */
#define RAW_LAST     \
	(RAW_FIRST + \
	 2) /* where a part may begin at most: what takes its place later needs some room */
#define RAW_MARK "aigw_left_out_bytes"

_Static_assert(RAW_LAST + USAGE_RAW_MARK + 3 <= USAGE_RAW_MAX, "room for a part and a bracket");

struct raw {
	char *p;
	size_t n, cap, left;
	unsigned depth;
	bool full; /* something had no room since this was cleared */
};

static void raw_put(struct raw *o, const char *p, size_t n)
{
	if (n > o->cap - o->n) {
		o->full = true;
		return;
	}
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static const char *raw_digits(const char *p, const char *end)
{
	while (p < end && *p >= '0' && *p <= '9')
		p++;
	return p;
}

/* JSON's own form of a number, and no long one. */
static bool raw_is_number(struct slice v)
{
	const char *p = v.p, *end = slice_end(v), *q;

	p += p < end && *p == '-';
	q = raw_digits(p, end);
	if (v.n > USAGE_RAW_WORD || q == p || (*p == '0' && q - p > 1))
		return false;
	if (q < end && *q == '.') {
		p = q + 1;
		q = raw_digits(p, end);
		if (q == p)
			return false;
	}
	if (q < end && (*q == 'e' || *q == 'E')) {
		p = q + 1;
		p += p < end && (*p == '+' || *p == '-');
		q = raw_digits(p, end);
		if (q == p)
			return false;
	}
	return q == end;
}

static void raw_scalar(struct raw *o, struct slice v)
{
	struct slice text;

	switch (jtext_type(v)) {
	case JSON_STRING:
		text = slice_sub(v, 1, v.n - 2);
		if (!text_is_word(text, USAGE_RAW_WORD))
			v = SLICE_LIT("\"\"");
		break;
	case JSON_NUMBER:
		if (!raw_is_number(v))
			v = SLICE_LIT("null");
		break;
	default:
		break;
	}
	raw_put(o, v.p, v.n);
}

static int raw_value(struct raw *o, struct jtext *it);

/* A member, or nothing of it. */
static int raw_member(struct raw *o, struct jtext *it, struct slice key, bool comma)
{
	bool top = o->depth == 1, full = o->full;
	size_t n = o->n, left = o->left;
	const char *from = key.p - 1;
	struct slice value;
	int r;

	if (!text_is_word(key, USAGE_RAW_NAME) || (top && slice_is(key, RAW_MARK))) {
		r = jtext_value(it, &value);
		o->left += (size_t)(it->p - from);
		return r;
	}
	raw_put(o, comma ? ",\"" : "\"", comma ? 2 : 1);
	raw_put(o, key.p, key.n);
	raw_put(o, "\":", 2);
	r = raw_value(o, it);
	if (r > 0 && top && o->full) {
		o->n = n;
		o->full = full;
		o->left = left + (size_t)(it->p - from);
	}
	return r;
}

static int raw_object(struct raw *o, struct jtext *it)
{
	size_t begin;
	struct slice key;
	int r;

	raw_put(o, "{", 1);
	begin = o->n;
	o->depth++;
	while ((r = jtext_obj_key(it, &key)) > 0 && (r = raw_member(o, it, key, o->n > begin)) > 0)
		;
	o->depth--;
	raw_put(o, "}", 1);
	return r;
}

static int raw_array(struct raw *o, struct jtext *it)
{
	bool comma = false;
	int r;

	raw_put(o, "[", 1);
	o->depth++;
	while ((r = jtext_arr_more(it)) > 0) {
		raw_put(o, ",", comma);
		comma = true;
		r = raw_value(o, it);
		if (r <= 0)
			break;
	}
	o->depth--;
	raw_put(o, "]", 1);
	return r;
}

/* What stands next, whatever it is. 1 or an error, as jtext_value(). */
static int raw_value(struct raw *o, struct jtext *it)
{
	enum json_type t = jtext_peek(it);
	struct jtext inner;
	struct slice v;
	int r;

	if ((t == JSON_OBJECT || t == JSON_ARRAY) && o->depth < RAW_DEPTH) {
		inner = t == JSON_OBJECT ? jtext_enter_obj(it) : jtext_enter_arr(it);
		r = t == JSON_OBJECT ? raw_object(o, &inner) : raw_array(o, &inner);
		if (r < 0)
			return r;
		jtext_leave(it, &inner);
		return 1;
	}
	r = jtext_value(it, &v);
	if (r <= 0)
		return r;
	if (t == JSON_OBJECT || t == JSON_ARRAY) {
		o->left += v.n;
		v = SLICE_LIT("null");
	}
	raw_scalar(o, v);
	return 1;
}

/* Room for the closing bracket is kept back. */
static bool raw_run(struct raw *o, struct slice object, char *out, size_t cap)
{
	struct jtext it = jtext_obj(object);

	*o = (struct raw){.p = out, .cap = cap - 1};
	if (jtext_type(object) != JSON_OBJECT)
		return false;
	raw_put(o, "{", 1);
	o->depth = 1;
	for (struct slice key;;) {
		int r = jtext_obj_key(&it, &key);

		if (r > 0)
			r = raw_member(o, &it, key, o->n > 1);
		if (r <= 0)
			return r == 0;
	}
}

size_t usage_raw_write(struct slice object, size_t left, char *out, size_t cap)
{
	struct raw o;
	int n;

	require(cap >= USAGE_RAW_MARK + 2);
	if (!raw_run(&o, object, out, cap))
		return 0;
	if (o.left + left) {
		/* Once more, with room for the mark. */
		if (!raw_run(&o, object, out, cap - USAGE_RAW_MARK))
			return 0;
		n = snprintf(out + o.n, USAGE_RAW_MARK, "%s\"" RAW_MARK "\":%zu",
			     o.n > 1 ? "," : "", o.left + left);
		require(n > 0 && n < USAGE_RAW_MARK);
		o.n += (size_t)n;
	}
	out[o.n++] = '}';
	return o.n;
}

void usage_raw_add(struct usage_raw *u, struct slice object)
{
	/* Of a list: a comma or bracket before it, a bracket behind it and one at the very beginning. */
	size_t at = u->parts > 1 ? u->n - 1 : u->n + 1, n, left = u->left;

	if (u->parts == 0) {
		u->n = usage_raw_write(object, 0, u->p, RAW_FIRST);
		u->parts = u->n > 0;
		return;
	}
	if (u->parts > 1 && (at >= RAW_LAST || at + 2 + object.n + USAGE_RAW_MARK > sizeof(u->p))) {
		at = u->last - 1;
		left += u->said;
	}
	n = usage_raw_write(object, left, u->p + at + 1, sizeof(u->p) - at - 2);
	if (!n && left == u->left)
		return;
	if (u->parts++ == 1) {
		memmove(u->p + 1, u->p, u->n);
		u->p[0] = '[';
	}
	u->p[at] = ',';
	u->last = at + 1;
	u->said = object.n;
	u->left = left;
	u->n = n ? at + 1 + n : at; /* unreadable, and the one before it is gone */
	u->p[u->n++] = ']';
}
