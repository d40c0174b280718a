#include "view.h"

/* What a table shows besides its dimensions. */
#define NUMBERS "requests input output charge_nusd"
#define MORE    " +failed +cached +reasoning +uncollected_nusd"

/* A copy of the row with its margin, what the client paid above what it cost us, as one more field. What is no sum of charges stays as
 * it is. */
static enum errc add_margin(struct ask_answer *a, struct ask_row *r)
{
	struct control_field *f;
	int64_t cost;

	if (!control_get_i64(r->f, r->n, "cost_nusd", &cost))
		return ERRC_OK;
	f = arena_array(&a->arena, struct control_field, r->n + 1);
	if (!f)
		return ERRC_NOMEM;
	memcpy(f, r->f, r->n * sizeof(*f));
	f[r->n] = CONTROL_I("margin_nusd", ask_i64(r, "charge_nusd") - cost);
	r->f = f;
	r->n++;
	return ERRC_OK;
}

/* The total as the last row of the table, named so in its first column. */
static enum errc add_total_row(struct ask_answer *a, struct slice first_name)
{
	const struct ask_row *total = ask_row_of(a, "total");
	struct control_field f[CONTROL_FIELDS_MAX] = {
		{.name = first_name, .type = CONTROL_T_STR, .s = SLICE_LIT("total")}};

	if (!total || total->n + 1 > ARRAY_LEN(f))
		return ERRC_OK;
	memcpy(f + 1, total->f, total->n * sizeof(*f));
	return ask_add(a, "usage", f, total->n + 1);
}

/* Where rows are left out behind those shown: how to see them. */
static void put_more(struct put *p, const struct ask_answer *a)
{
	const struct ask_row *page = ask_row_of(a, "page");
	struct slice next = ask_str(page, "next_page");

	if (next.n)
		put_f(p, "There are %lld rows in all; the next: --page " SLICE_FMT "\n",
		      (long long)ask_i64(page, "row_count"), SLICE_ARG(next));
}

static void show_text(struct ctl *c, struct ask_answer *a, bool margin)
{
	const char *numbers = margin ? NUMBERS " cost_nusd margin_nusd" MORE : NUMBERS MORE;
	struct slice by = SLICE_NONE, left, first, one;
	struct put columns;
	enum errc e;

	if (!control_get_str(c->p.send.f, c->p.send.n, "by", &by)) {
		if (ask_row_of(a, "total"))
			view_sheet(c, ask_row_of(a, "total"), margin ? NULL : "cost_nusd");
		return;
	}
	left = by;
	(void)slice_cut(&left, ',', &first);
	e = add_total_row(a, first);
	put_init(&columns);
	for (left = by; left.n;) {
		(void)slice_cut(&left, ',', &one);
		put_s(&columns, one);
		put_z(&columns, " ");
	}
	put_z(&columns, numbers);
	put_s(&columns, slice_of("", 1));
	if (!e)
		e = columns.err;
	if (e)
		ctl_fail(c, CONTROL_REFUSED, "failed", "%s", errc_text(e));
	else
		view_table(c, a, "usage", NULL, columns.b.p, false);
	put_more(&c->text, a);
	put_fini(&columns);
}

/* Without rows there is still a line of names. What says that some are left out does not stand among them. */
static void show_csv(struct ctl *c, const struct ask_answer *a)
{
	const struct ask_row *total = ask_row_of(a, "total"), *first = ask_row_of(a, "usage");
	struct control_field f[CONTROL_FIELDS_MAX];
	struct ask_row names = {.f = f};
	struct slice by = SLICE_NONE, one;
	struct put more;

	if (!total)
		return;
	if (!control_get_str(c->p.send.f, c->p.send.n, "by", &by)) {
		view_csv(c, a, "total", total);
		return;
	}
	while (by.n && names.n < ARRAY_LEN(f)) {
		(void)slice_cut(&by, ',', &one);
		f[names.n++] = (struct control_field){.name = one};
	}
	for (size_t i = 0; i < total->n && names.n < ARRAY_LEN(f); i++)
		f[names.n++] = total->f[i];
	view_csv(c, a, "usage", first ? first : &names);
	put_init(&more);
	put_more(&more, a);
	(void)!put_flush(&more, c->err.fd);
	put_fini(&more);
}

enum control_status cmd_usage(struct ctl *c)
{
	bool margin = parse_local_bool(&c->p, "margin"), csv = parse_local_bool(&c->p, "csv");
	struct ask_answer a;
	enum control_status status;
	enum errc e = ERRC_OK;

	if (csv && c->json)
		return ctl_fail(c, CONTROL_USAGE, "usage", "--csv and --json exclude each other");
	status = ask_command(c, &a);
	for (size_t i = 0; margin && i < a.n && !e; i++)
		e = add_margin(&a, &a.rows[i]);
	if (e)
		status = ctl_fail(c, CONTROL_REFUSED, "failed", "%s", errc_text(e));
	/* A report that lacks what the ledger could not take is shown, and its end says so. */
	if (csv)
		show_csv(c, &a);
	else if (c->json)
		view_show(c, CONTROL_DO_USAGE, &a);
	else if (ask_row_of(&a, "total"))
		show_text(c, &a, margin);
	ask_fini(&a);
	return status;
}
