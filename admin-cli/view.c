#include "view.h"

#include <stdlib.h>

#include "field.h"
#include "grid.h"
#include "mem.h"

#define SHEET_LABEL_MAX 24

enum shape { SELF, ONE, MANY, SORTED };

struct view {
	enum control_verb verb;
	const char *kind;
	enum shape shape;
	const char *key, *columns;
};

enum { CONTROL_DO_TOP = CONTROL_VERB_COUNT };

static const struct view views[] = {
#define VIEW(verb, kind, shape, key, columns) \
	{(enum control_verb)CONTROL_DO_##verb, kind, shape, key, columns},
#include "view_tbl.h"
#undef VIEW
};

/* The i-th view of the verb; NULL behind the last. */
static const struct view *view_at(enum control_verb v, size_t i)
{
	for (size_t k = 0; k < ARRAY_LEN(views); k++) {
		if (views[k].verb == v && i-- == 0)
			return &views[k];
	}
	return NULL;
}

static bool has_view(enum control_verb v, struct slice kind)
{
	const struct view *w;

	for (size_t i = 0; (w = view_at(v, i)); i++) {
		if (slice_is(kind, w->kind))
			return true;
	}
	return false;
}

static bool is_first_of_kind(const struct ask_answer *a, size_t at)
{
	for (size_t i = 0; i < at; i++) {
		if (slice_eq(a->rows[i].kind, a->rows[at].kind))
			return false;
	}
	return true;
}

static const struct control_field *field_of(const struct ask_row *r, struct slice name)
{
	for (size_t i = 0; i < r->n; i++) {
		if (slice_eq(r->f[i].name, name))
			return &r->f[i];
	}
	return NULL;
}

/* --- JSON --- */

static void json_fields(struct json_out *o, const struct ask_row *r)
{
	for (size_t i = 0; r && i < r->n; i++)
		field_json(o, r, &r->f[i]);
}

static void json_rows(struct json_out *o, const struct ask_answer *a, struct slice kind,
		      struct slice key)
{
	json_out_keys(o, key);
	json_out_arr(o);
	for (size_t i = 0; i < a->n; i++) {
		if (!slice_eq(a->rows[i].kind, kind))
			continue;
		json_out_obj(o);
		json_fields(o, &a->rows[i]);
		json_out_obj_end(o);
	}
	json_out_arr_end(o);
}

static void json_view(struct json_out *o, const struct ask_answer *a, const struct view *w)
{
	const struct ask_row *r = ask_row_of(a, w->kind);

	if (w->shape == MANY || w->shape == SORTED)
		json_rows(o, a, slice_str(w->kind), slice_str(w->key));
	else if (w->shape == SELF)
		json_fields(o, r);
	else if (r) {
		json_out_key(o, w->key);
		json_out_obj(o);
		json_fields(o, r);
		json_out_obj_end(o);
	}
}

static void show_json(struct ctl *c, enum control_verb v, const struct ask_answer *a)
{
	const struct view *w;
	struct json_out o;
	enum errc e;

	json_out_init(&o, &c->text.b);
	json_out_obj(&o);
	for (size_t i = 0; (w = view_at(v, i)); i++)
		json_view(&o, a, w);
	for (size_t i = 0; i < a->n; i++) {
		if (!has_view(v, a->rows[i].kind) && is_first_of_kind(a, i))
			json_rows(&o, a, a->rows[i].kind, a->rows[i].kind);
	}
	if (a->message.n)
		json_out_kstr(&o, "message", a->message);
	json_out_obj_end(&o);
	e = json_out_end(&o);
	put_fail(&c->text, e);
	put_z(&c->text, "\n");
}

/* --- sheets --- */

/* A key of JSON in words. */
static void put_title(struct ctl *c, const char *title)
{
	struct put words;

	if (c->text.b.len)
		put_z(&c->text, "\n");
	if (!title)
		return;
	put_init(&words);
	for (const char *s = title; *s; s++)
		put_s(&words, *s == '_' ? SLICE_LIT(" ") : slice_of(s, 1));
	term_put(&c->out, &c->text, TERM_BOLD, buf_slice(&words.b));
	put_z(&c->text, "\n");
	put_fail(&c->text, words.err);
	put_fini(&words);
}

/* A field with its unit; the sign of an amount stands before the dollar. */
static void sheet_value(struct put *p, const struct ask_row *r, const struct control_field *f)
{
	struct put plain;
	struct slice text;

	put_init(&plain);
	field_text(&plain, r, f, 0);
	text = buf_slice(&plain.b);
	if (field_places(r, f) && text.n && text.p[0] == '-') {
		put_z(p, "-");
		text = slice_sub(text, 1, text.n);
	}
	if (field_places(r, f))
		put_z(p, "$");
	put_s(p, text);
	if (field_places(r, f) && strcmp(field_unit(f->name), " $/M") == 0)
		put_z(p, " a million tokens");
	put_fail(p, plain.err);
	put_fini(&plain);
}

static void sheet_line(struct ctl *c, const struct ask_row *r, const struct control_field *f,
		       size_t indent)
{
	struct put label, value;
	size_t width;

	put_init(&label);
	put_init(&value);
	field_label(&label, f->name);
	sheet_value(&value, r, f);
	width = put_width(buf_slice(&label.b));
	put_repeat(&c->text, ' ', indent);
	term_put(&c->out, &c->text, TERM_DIM, buf_slice(&label.b));
	put_repeat(&c->text, ' ', width < SHEET_LABEL_MAX ? SHEET_LABEL_MAX - width : 1);
	term_put(&c->out, &c->text,
		 field_is_state(f->name) ? term_color_of(buf_slice(&value.b)) : TERM_PLAIN,
		 buf_slice(&value.b));
	put_z(&c->text, "\n");
	put_fail(&c->text, label.err ? label.err : value.err);
	put_fini(&label);
	put_fini(&value);
}

/* The fields in the order of `names`; all of them where it is empty. */
static void put_sheet(struct ctl *c, const struct ask_row *r, const char *title, const char *names)
{
	struct slice left = slice_str(names), name;
	size_t indent = title ? 2 : 0;

	put_title(c, title);
	while (left.n) {
		const struct control_field *f;

		(void)slice_cut(&left, ' ', &name);
		f = field_of(r, name);
		if (f)
			sheet_line(c, r, f, indent);
	}
	for (size_t i = 0; names[0] == '\0' && i < r->n; i++) {
		if (field_is_shown(&r->f[i]))
			sheet_line(c, r, &r->f[i], indent);
	}
}

void view_sheet(struct ctl *c, const struct ask_row *r, const char *skip)
{
	for (size_t i = 0; i < r->n; i++) {
		if (field_is_shown(&r->f[i]) && !(skip && slice_is(r->f[i].name, skip)))
			sheet_line(c, r, &r->f[i], 0);
	}
}

/* --- tables --- */

struct column {
	struct slice name;
	struct slice like; /* the field that it mostly repeats: then it is left out; empty: none */
	size_t at;         /* where the row before had it: mostly all have it there */
	bool is_optional;
	int places;
};

static const struct control_field *field_in(const struct ask_row *r, struct column *col)
{
	if (col->at < r->n && slice_eq(r->f[col->at].name, col->name))
		return &r->f[col->at];
	for (size_t i = 0; i < r->n; i++) {
		if (slice_eq(r->f[i].name, col->name)) {
			col->at = i;
			return &r->f[i];
		}
	}
	return NULL;
}

/* The columns that the view names, or all fields of the first row. */
static size_t columns_of(const char *columns, const struct ask_row *first, struct column *out)
{
	struct slice left = slice_str(columns), word;
	size_t n = 0;

	while (left.n && n < GRID_COLUMNS_MAX) {
		(void)slice_cut(&left, ' ', &word);
		out[n] = (struct column){.name = word, .is_optional = word.n && word.p[0] == '+'};
		if (out[n].is_optional)
			out[n].name = slice_sub(word, 1, word.n);
		out[n].like = out[n].name;
		if (!slice_cut(&out[n].like, '=', &out[n].name))
			out[n].like = SLICE_NONE;
		n++;
	}
	for (size_t i = 0; columns[0] == '\0' && i < first->n && n < GRID_COLUMNS_MAX; i++)
		out[n++] = (struct column){.name = first->f[i].name};
	return n;
}

static bool repeats(const struct ask_row *r, const struct control_field *f, struct slice like)
{
	struct column other = {.name = like};
	const struct control_field *g = like.n ? field_in(r, &other) : NULL;

	return g && g->type == f->type && g->i == f->i;
}

/* The decimal places of each column; columns that no row has, or that repeat another one, are taken out. Returns how many
 * are left. */
static size_t look_into(const struct ask_row **rows, size_t n, struct column *cols, size_t cols_n)
{
	size_t kept = 0;

	for (size_t k = 0; k < cols_n; k++) {
		struct column col = cols[k];
		bool any = false;

		for (size_t i = 0; i < n; i++) {
			const struct control_field *f = field_in(rows[i], &col);

			any = any || (f && !repeats(rows[i], f, col.like));
			col.places = MAX_OF(col.places, f ? field_places(rows[i], f) : 0);
		}
		if (any)
			cols[kept++] = col;
	}
	return kept;
}

static void put_upper(struct put *p, struct slice label)
{
	for (size_t i = 0; i < label.n; i++) {
		char ch = label.p[i];

		if (ch >= 'a' && ch <= 'z')
			ch = (char)(ch - 'a' + 'A');
		put_s(p, slice_of(&ch, 1));
	}
}

static void add_column(struct grid *g, const struct column *col)
{
	struct put label;

	put_init(&label);
	field_label(&label, col->name);
	put_upper(grid_header(g), buf_slice(&label.b));
	put_z(grid_header(g), field_unit(col->name));
	grid_column(g, false, col->is_optional);
	put_fail(grid_header(g), label.err);
	put_fini(&label);
}

static void add_cell(struct grid *g, const struct ask_row *r, struct column *col, size_t at)
{
	const struct control_field *f = field_in(r, col);
	enum term_color color = TERM_PLAIN;

	if (f)
		field_text(grid_text(g), r, f, col->places);
	if (f && field_is_number(f))
		grid_set_right(g, at);
	if (f && f->type == CONTROL_T_STR && field_is_state(f->name))
		color = term_color_of(f->s);
	grid_cell(g, color);
}

static int compare_fields(const struct control_field *f, const struct control_field *g)
{
	if (!f || !g || f->type != g->type)
		return 0;
	if (f->type == CONTROL_T_STR)
		return slice_cmp(f->s, g->s);
	return (f->i > g->i) - (f->i < g->i);
}

struct order {
	const struct column *cols;
	size_t n;
};

static int compare_rows(const void *a, const void *b, void *by)
{
	const struct ask_row *const *x = a, *const *y = b;
	const struct order *o = by;
	int c = 0;

	for (size_t i = 0; c == 0 && i < o->n; i++)
		c = compare_fields(field_of(*x, o->cols[i].name), field_of(*y, o->cols[i].name));
	return c;
}

/* Owned by the caller; NULL without rows or memory. */
static const struct ask_row **rows_of(const struct ask_answer *a, const char *kind, size_t *n)
{
	const struct ask_row **rows = a->n ? mem_new(a->n * sizeof(*rows)) : NULL;

	*n = 0;
	for (size_t i = 0; rows && i < a->n; i++) {
		if (slice_is(a->rows[i].kind, kind))
			rows[(*n)++] = &a->rows[i];
	}
	return rows;
}

static void print_grid(struct ctl *c, struct grid *g)
{
	size_t width = parse_local_bool(&c->p, "wide") ? 0 : c->out.width;
	struct put left_out, lines;
	struct slice left, line;

	put_init(&left_out);
	put_init(&lines);
	if (grid_print(g, &c->out, width, &c->text, &left_out) && c->p.cmd->verb != VIEW_TOP) {
		put_z(&lines, left_out.b.len ? "--wide also shows " : "--wide shows all in full");
		put_wrapped(&lines, buf_slice(&left_out.b), lines.b.len, 0, width);
		for (left = buf_slice(&lines.b); left.n;) {
			(void)slice_cut(&left, '\n', &line);
			term_put(&c->out, &c->text, TERM_DIM, line);
			put_z(&c->text, "\n");
		}
	}
	put_fail(&c->text, left_out.err ? left_out.err : lines.err);
	put_fini(&left_out);
	put_fini(&lines);
}

void view_table(struct ctl *c, const struct ask_answer *a, const char *kind, const char *title,
		const char *columns, bool sorted)
{
	struct column cols[GRID_COLUMNS_MAX];
	const struct ask_row **rows;
	struct grid g;
	size_t n, cols_n;

	rows = rows_of(a, kind, &n);
	if (!rows && a->n)
		put_fail(&c->text, ERRC_NOMEM);
	if (n == 0) {
		mem_free(rows);
		return;
	}
	cols_n = columns_of(columns, rows[0], cols);
	if (sorted)
		qsort_r(rows, n, sizeof(*rows), compare_rows, &(struct order){cols, cols_n});
	cols_n = look_into(rows, n, cols, cols_n);
	put_title(c, title);
	grid_init(&g);
	for (size_t k = 0; k < cols_n; k++)
		add_column(&g, &cols[k]);
	for (size_t i = 0; i < n; i++) {
		for (size_t k = 0; k < cols_n; k++)
			add_cell(&g, rows[i], &cols[k], k);
	}
	print_grid(c, &g);
	grid_fini(&g);
	mem_free(rows);
}

/* --- text --- */

static void text_view(struct ctl *c, const struct ask_answer *a, const struct view *w, bool titled)
{
	const struct ask_row *r = ask_row_of(a, w->kind);
	const char *title = titled ? w->key : NULL;

	if (!r)
		return;
	if (w->shape == MANY || w->shape == SORTED)
		view_table(c, a, w->kind, title, w->columns, w->shape == SORTED);
	else
		put_sheet(c, r, w->shape == SELF ? NULL : title, w->columns);
}

static void show_text(struct ctl *c, enum control_verb v, const struct ask_answer *a)
{
	bool titled = view_at(v, 1) != NULL;
	const struct view *w;

	for (size_t i = 0; (w = view_at(v, i)); i++)
		text_view(c, a, w, titled);
	for (size_t i = 0; i < a->n; i++) {
		struct view other = {.kind = "", .shape = MANY, .columns = ""};
		char kind[64];

		if (has_view(v, a->rows[i].kind) || !is_first_of_kind(a, i) ||
		    a->rows[i].kind.n >= sizeof(kind))
			continue;
		memcpy(kind, a->rows[i].kind.p, a->rows[i].kind.n);
		kind[a->rows[i].kind.n] = '\0';
		other.kind = other.key = kind;
		text_view(c, a, &other, true);
	}
	w = view_at(v, 0);
	if (a->n == 0 && a->message.n == 0 && w && (w->shape == SORTED || w->shape == MANY) &&
	    a->status == CONTROL_DONE)
		put_f(&c->text, "no %s\n", w->key);
	if (a->message.n) {
		put_safe(&c->text, a->message);
		put_z(&c->text, "\n");
	}
}

void view_part(struct ctl *c, enum control_verb v, const struct ask_answer *a, const char *kind,
	       const char *title)
{
	const struct view *w;

	for (size_t i = 0; (w = view_at(v, i)); i++) {
		if (strcmp(w->kind, kind) == 0)
			view_table(c, a, kind, title, w->columns, w->shape == SORTED);
	}
}

void view_show(struct ctl *c, enum control_verb v, const struct ask_answer *a)
{
	bool failed = a->status != CONTROL_DONE;

	if (failed && a->n == 0)
		return;
	if (c->json)
		show_json(c, v, a);
	else
		show_text(c, v, a);
}

/* --- CSV --- */

/* In quotes where a comma, a quote or a line end stands inside (RFC 4180). */
static void csv_cell(struct put *p, struct slice text)
{
	bool quoted = false;

	for (size_t i = 0; i < text.n && !quoted; i++)
		quoted = strchr(",\"\r\n", text.p[i]) != NULL;
	if (!quoted) {
		put_s(p, text);
		return;
	}
	put_z(p, "\"");
	for (size_t i = 0; i < text.n; i++) {
		put_s(p, slice_sub(text, i, 1));
		if (text.p[i] == '"')
			put_z(p, "\"");
	}
	put_z(p, "\"");
}

static void csv_line(struct ctl *c, const struct ask_row *r, bool names)
{
	struct put cell;

	put_init(&cell);
	for (size_t i = 0; i < r->n; i++) {
		buf_reset(&cell.b);
		if (names)
			field_json_name(&cell, r->f[i].name);
		else
			field_csv(&cell, r, &r->f[i]);
		put_z(&c->text, i ? "," : "");
		csv_cell(&c->text, buf_slice(&cell.b));
	}
	put_z(&c->text, "\n");
	put_fail(&c->text, cell.err);
	put_fini(&cell);
}

void view_csv(struct ctl *c, const struct ask_answer *a, const char *kind,
	      const struct ask_row *names)
{
	csv_line(c, names, true);
	for (size_t i = 0; i < a->n; i++) {
		if (slice_is(a->rows[i].kind, kind))
			csv_line(c, &a->rows[i], false);
	}
}
