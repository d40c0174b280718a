/* A table for people: cells of text, columns aligned, left out from the
 * least important and texts cut where the terminal is too narrow. */
#ifndef AIGW_GRID_H
#define AIGW_GRID_H

#include "term.h"

#define GRID_COLUMNS_MAX 32

struct grid_column {
	bool is_right;    /* numbers */
	bool is_optional; /* may be left out, the last ones first */
	bool is_left_out;
	size_t width;
};

struct grid {
	struct put cells;   /* all texts, one behind the other */
	struct put headers; /* likewise */
	size_t header_end[GRID_COLUMNS_MAX];
	struct grid_column columns[GRID_COLUMNS_MAX];
	size_t columns_n;
	struct grid_cell *at; /* owned; row by row */
	size_t cells_n, cap;
	enum errc err; /* sticky */
};

struct grid_cell {
	size_t begin, end, width;
	enum term_color color;
};

void grid_init(struct grid *g);
void grid_fini(struct grid *g);
/* Columns come first, left to right; the header is what was put since. */
struct put *grid_header(struct grid *g);
void grid_column(struct grid *g, bool is_right, bool is_optional);
/* Cells come row by row: the text is what was put since the last one. */
struct put *grid_text(struct grid *g);
void grid_cell(struct grid *g, enum term_color color);
/* Right-aligned from now on. */
void grid_set_right(struct grid *g, size_t column);
/* Writes the table. width 0: no limit. Returns whether columns were left out, whose names are added to left_out, or texts cut. */
bool grid_print(struct grid *g, const struct term *t, size_t width, struct put *out,
		struct put *left_out);

#endif
