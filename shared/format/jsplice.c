#include "jsplice.h"

#include "jstep.h"

/* What jsplice_build() writes to. */
struct parts {
	struct jsplice *s;
	struct slice *out;
	unsigned n;
	size_t bytes;
	unsigned order[JSPLICE_EDITS_MAX]; /* replacements by offset */
	unsigned order_n;
};

void jsplice_init(struct jsplice *s, const struct jscan *scan, struct slice body)
{
	s->body = body;
	s->scan = scan;
	s->n = 0;
	s->full = false;
}

static void edit_add(struct jsplice *s, struct jsplice_edit e)
{
	if (s->n == JSPLICE_EDITS_MAX)
		s->full = true;
	else
		s->edits[s->n++] = e;
}

void jsplice_set(struct jsplice *s, const struct jscan_member *m, struct slice value)
{
	edit_add(s, (struct jsplice_edit){JSPLICE_REPLACE, m->val_off, m->val_len, value});
}

void jsplice_range(struct jsplice *s, struct slice old, struct slice text)
{
	require(old.p >= s->body.p && old.n <= s->body.n &&
		(size_t)(old.p - s->body.p) <= s->body.n - old.n);
	edit_add(s, (struct jsplice_edit){JSPLICE_REPLACE, (uint32_t)(old.p - s->body.p),
					  (uint32_t)old.n, text});
}

void jsplice_remove(struct jsplice *s, const struct jscan_member *m)
{
	edit_add(s, (struct jsplice_edit){JSPLICE_REMOVE, m->key_off, 0, SLICE_NONE});
}

void jsplice_append(struct jsplice *s, struct slice member)
{
	edit_add(s, (struct jsplice_edit){JSPLICE_APPEND, 0, 0, member});
}

/* Neighbours in memory become one slice. */
static void put(struct parts *p, struct slice s)
{
	struct slice *last = p->n ? &p->out[p->n - 1] : NULL;

	if (!s.n)
		return;
	p->bytes += s.n;
	if (last && last->p + last->n == s.p) {
		last->n += s.n;
		return;
	}
	require(p->n < JSPLICE_SLICES_MAX);
	p->out[p->n++] = s;
}

/* The bytes [from, to) of the body with the replacements in them. */
static void put_range(struct parts *p, size_t from, size_t to)
{
	const char *body = p->s->body.p;

	for (unsigned i = 0; i < p->order_n; i++) {
		const struct jsplice_edit *e = &p->s->edits[p->order[i]];

		if (e->off < from || (size_t)e->off + e->len > to)
			continue;
		put(p, slice_of(body + from, e->off - from));
		put(p, e->text);
		from = (size_t)e->off + e->len;
	}
	put(p, slice_of(body + from, to - from));
}

/* Sorts the replacements; false when two of them overlap. */
static bool sort_edits(struct parts *p)
{
	const struct jsplice_edit *e = p->s->edits;

	p->order_n = 0;
	for (unsigned i = 0; i < p->s->n; i++) {
		unsigned at = p->order_n;

		if (e[i].kind != JSPLICE_REPLACE)
			continue;
		for (; at > 0 && e[p->order[at - 1]].off > e[i].off; at--)
			p->order[at] = p->order[at - 1];
		p->order[at] = i;
		p->order_n++;
	}
	for (unsigned i = 1; i < p->order_n; i++) {
		const struct jsplice_edit *a = &e[p->order[i - 1]], *b = &e[p->order[i]];

		if (a->off == b->off || (size_t)a->off + a->len > b->off)
			return false;
	}
	return true;
}

static bool is_removed(const struct jsplice *s, const struct jscan_member *m)
{
	for (unsigned i = 0; i < s->n; i++)
		if (s->edits[i].kind == JSPLICE_REMOVE && s->edits[i].off == m->key_off)
			return true;
	return false;
}

/* A member goes with the separator before it; the first one that stays needs none. */
static bool put_members(struct parts *p)
{
	const struct jscan *scan = p->s->scan;
	bool any = false;
	size_t before = 0;

	for (unsigned i = 0; i < scan->members_n; i++) {
		const struct jscan_member *m = &scan->members[i];
		size_t end = (size_t)m->val_off + m->val_len;

		if (!is_removed(p->s, m)) {
			put_range(p, any ? before : m->key_off, end);
			any = true;
		}
		before = end;
	}
	return any;
}

enum errc jsplice_build(struct jsplice *s, struct slice *out, unsigned *n, size_t *bytes)
{
	const struct jscan *scan = s->scan;
	struct parts p = {.s = s, .out = out};
	size_t head, tail;
	bool any;

	if (s->full)
		return ERRC_LIMIT;
	if (!sort_edits(&p))
		return ERRC_INVAL;
	if (scan->members_n) {
		const struct jscan_member *last = &scan->members[scan->members_n - 1];

		head = scan->members[0].key_off;
		tail = (size_t)last->val_off + last->val_len;
	} else {
		head = (size_t)(jstep_space(s->body.p, s->body.p + s->body.n) - s->body.p) + 1;
		tail = head;
	}
	put(&p, slice_of(s->body.p, head));
	any = put_members(&p);
	for (unsigned i = 0; i < s->n; i++) {
		if (s->edits[i].kind != JSPLICE_APPEND)
			continue;
		if (any)
			put(&p, SLICE_LIT(","));
		put(&p, s->edits[i].text);
		any = true;
	}
	put(&p, slice_of(s->body.p + tail, s->body.n - tail));
	*n = p.n;
	*bytes = p.bytes;
	return ERRC_OK;
}
