#include "alerts_past.h"

#define PAST_MAX ((size_t)16 * 1024 * 1024)

/* Followed by the counters and then the row of a scope, or by the name of an account; the next one begins aligned. */
struct head {
	struct alerts_before before;
	size_t bytes;
};
#define ALIGNED(n) (((n) + _Alignof(struct head) - 1) & ~(_Alignof(struct head) - 1))

void alerts_past_init(struct alerts_past *p)
{
	*p = (struct alerts_past){.looked = 0};
	buf_init(&p->b, PAST_MAX);
}

void alerts_past_fini(struct alerts_past *p)
{
	buf_fini(&p->b);
}

static void keep(struct alerts_past *p, struct head *h, struct slice first, struct slice second)
{
	static const char pad[_Alignof(struct head)];
	size_t before = p->b.len, n = sizeof *h + first.n + second.n;
	enum errc rc;

	h->bytes = ALIGNED(n);
	rc = buf_add(&p->b, h, sizeof *h);
	if (!rc)
		rc = buf_adds(&p->b, first);
	if (!rc)
		rc = buf_adds(&p->b, second);
	if (!rc)
		rc = buf_add(&p->b, pad, h->bytes - n);
	/* Too many for anybody to read, or no memory: the lines are lost, not the account. */
	if (rc)
		buf_truncate(&p->b, before);
}

static void note_account(struct alerts_past *p, const struct book *b, const struct record *r)
{
	const struct rows_account *a = book_account(b, r->account);
	struct head h = {.before.is_account = true};

	if (!a || a->settled_nusd == 0)
		return;
	h.before.account = *a;
	h.before.account.group = SLICE_NONE;
	h.before.granted_nusd = r->type == RECORD_GRANT ? r->change.amount_nusd : 0;
	keep(p, &h, a->name, SLICE_NONE);
}

static void note_scope(struct alerts_past *p, const struct book *b, const struct record *r)
{
	const struct book_scope *s;
	struct rows_scope def;
	struct head h = {.before.is_account = false};
	bool used = false;

	if (rows_get_scope(r->change.row, &def))
		return;
	s = book_scope(b, def.kind, def.account, def.id);
	for (size_t i = 0; s && i < s->counters_n; i++)
		used = used || s->counters[i].budget.cur.used_nusd > 0 ||
		       s->counters[i].budget.prev.used_nusd > 0;
	if (!used)
		return;
	h.before.scope = *s;
	keep(p, &h, slice_of(s->counters, s->counters_n * sizeof *s->counters), s->row);
}

void alerts_past_note(struct alerts_past *p, const struct book *b, const struct record *r,
		      bool is_after)
{
	switch (r->type) {
	case RECORD_ACCOUNT:
	case RECORD_GRANT:
		if (!is_after)
			note_account(p, b, r);
		break;
	case RECORD_RULES:
	case RECORD_TEAM:
	case RECORD_KEY:
	case RECORD_USER:
		note_scope(p, b, r);
		break;
	default:
		break;
	}
}

bool alerts_past_next(struct alerts_past *p, size_t *at, struct alerts_before *out)
{
	struct head h;
	char *more;

	if (*at >= p->b.len) {
		p->looked = p->b.len;
		return false;
	}
	memcpy(&h, p->b.p + *at, sizeof h);
	more = p->b.p + *at + sizeof h;
	*at += h.bytes;
	*out = h.before;
	if (out->is_account) {
		out->account.name = slice_of(more, out->account.name.n);
		return true;
	}
	out->scope.counters = (struct rows_counter *)(void *)more;
	more += out->scope.counters_n * sizeof *out->scope.counters;
	out->scope.row = slice_of(more, out->scope.row.n);
	return true;
}

void alerts_past_drop(struct alerts_past *p)
{
	buf_reset(&p->b);
	p->looked = 0;
}

void alerts_past_committed(struct alerts_past *p)
{
	buf_drop_front(&p->b, p->looked);
	p->looked = 0;
}

void alerts_past_aborted(struct alerts_past *p)
{
	p->looked = 0;
}
