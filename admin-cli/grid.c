#include "grid.h"

#include "mem.h"

#define GAP     2
#define CUT_MIN 8

void grid_init(struct grid *g)
{
	*g = (struct grid){0};
	put_init(&g->cells);
	put_init(&g->headers);
}

void grid_fini(struct grid *g)
{
	put_fini(&g->cells);
	put_fini(&g->headers);
	mem_free(g->at);
	*g = (struct grid){0};
}

static struct slice header_of(const struct grid *g, size_t column)
{
	size_t begin = column ? g->header_end[column - 1] : 0;

	return slice_sub(buf_slice(&g->headers.b), begin, g->header_end[column] - begin);
}

static struct slice cell_text(const struct grid *g, const struct grid_cell *c)
{
	return slice_sub(buf_slice(&g->cells.b), c->begin, c->end - c->begin);
}

struct put *grid_header(struct grid *g)
{
	return &g->headers;
}

void grid_column(struct grid *g, bool is_right, bool is_optional)
{
	size_t i = g->columns_n++;

	require(i < GRID_COLUMNS_MAX);
	g->header_end[i] = g->headers.b.len;
	g->columns[i] = (struct grid_column){.is_right = is_right,
					     .is_optional = is_optional,
					     .width = put_width(header_of(g, i))};
}

struct put *grid_text(struct grid *g)
{
	return &g->cells;
}

void grid_cell(struct grid *g, enum term_color color)
{
	struct grid_column *col = &g->columns[g->cells_n % g->columns_n];
	size_t cap = g->cap ? g->cap * 2 : 64;
	struct grid_cell *at;

	if (g->err)
		return;
	if (g->cells_n == g->cap) {
		at = mem_grow(g->at, cap * sizeof(*at));
		if (!at) {
			g->err = ERRC_NOMEM;
			return;
		}
		g->at = at;
		g->cap = cap;
	}
	at = &g->at[g->cells_n];
	*at = (struct grid_cell){
		.begin = g->cells_n ? at[-1].end : 0, .end = g->cells.b.len, .color = color};
	at->width = put_width(cell_text(g, at));
	col->width = MAX_OF(col->width, at->width);
	g->cells_n++;
}

void grid_set_right(struct grid *g, size_t column)
{
	g->columns[column].is_right = true;
}

static size_t total_width(const struct grid *g)
{
	size_t sum = 0;

	for (size_t i = 0; i < g->columns_n; i++)
		sum += g->columns[i].is_left_out ? 0 : g->columns[i].width + GAP;
	return sum > GAP ? sum - GAP : 0;
}

static bool leave_out(struct grid *g, size_t width)
{
	bool any = false;

	for (size_t i = g->columns_n; width && i-- > 0 && total_width(g) > width;) {
		if (g->columns[i].is_optional)
			any = g->columns[i].is_left_out = true;
	}
	return any;
}

/* Texts that still do not fit are cut, the widest column of texts first. */
static bool cut_texts(struct grid *g, size_t width)
{
	bool any = false;

	while (width && total_width(g) > width) {
		struct grid_column *widest = NULL;

		for (size_t i = 0; i < g->columns_n; i++) {
			struct grid_column *col = &g->columns[i];

			if (!col->is_left_out && !col->is_right &&
			    (!widest || col->width > widest->width))
				widest = col;
		}
		if (!widest || widest->width <= CUT_MIN)
			break;
		widest->width--;
		any = true;
	}
	return any;
}

/* The text as far as it fits into the column with a sign behind it that it goes on. */
static struct slice cut(struct slice text, size_t width)
{
	size_t seen = 0, end = 0, one;

	for (size_t i = 0; i < text.n; end = i) {
		i += put_char(slice_sub(text, i, text.n), &one);
		seen += one;
		if (seen + 1 > width)
			break;
	}
	return slice_sub(text, 0, end);
}

static void print_line(struct grid *g, const struct term *t, struct put *out,
		       const struct grid_cell *row)
{
	size_t pad =
		0; /* blanks that are due before the next text, so that no line ends in blanks */

	for (size_t i = 0; i < g->columns_n; i++) {
		const struct grid_column *col = &g->columns[i];
		struct slice text;
		size_t width, room;
		bool goes_on;

		if (col->is_left_out)
			continue;
		text = row ? cell_text(g, &row[i]) : header_of(g, i);
		width = row ? row[i].width : put_width(text);
		goes_on = width > col->width;
		if (goes_on) {
			text = cut(text, col->width);
			width = put_width(text) + 1;
		}
		room = col->width - width;
		if (text.n) {
			put_repeat(out, ' ', pad + (col->is_right ? room : 0));
			term_put(t, out, row ? row[i].color : TERM_BOLD, text);
			put_z(out, goes_on ? "\xe2\x80\xa6" : "");
			pad = GAP + (col->is_right ? 0 : room);
		} else
			pad += col->width + GAP;
	}
	put_z(out, "\n");
}

bool grid_print(struct grid *g, const struct term *t, size_t width, struct put *out,
		struct put *left_out)
{
	bool any;

	put_fail(out, g->err ? g->err : g->cells.err ? g->cells.err : g->headers.err);
	if (out->err)
		return false;
	any = leave_out(g, width);
	any = cut_texts(g, width) || any;
	print_line(g, t, out, NULL);
	for (size_t i = 0; i + g->columns_n <= g->cells_n; i += g->columns_n)
		print_line(g, t, out, &g->at[i]);
	for (size_t i = 0; any && i < g->columns_n; i++) {
		if (g->columns[i].is_left_out) {
			put_z(left_out, left_out->b.len ? ", " : "");
			put_s(left_out, header_of(g, i));
		}
	}
	return any;
}
