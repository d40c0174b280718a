/* Shows an answer: as one JSON object, as sheets and tables for people, or as CSV; rows of view_tbl.h say how. Kinds of rows
 * that have no view there are shown after the others, with all their fields. */
#ifndef AIGW_VIEW_H
#define AIGW_VIEW_H

#include "ask.h"

/* As the command line asked for: JSON or text, into c->text. */
void view_show(struct ctl *c, enum control_verb v, const struct ask_answer *a);
/* One kind as a table of the given columns (as in view_tbl.h) under a title (NULL: none). */
void view_table(struct ctl *c, const struct ask_answer *a, const char *kind, const char *title,
		const char *columns, bool sorted);
/* The first row of the kind as a sheet; the field `skip` (NULL: none) is left out. */
void view_sheet(struct ctl *c, const struct ask_row *r, const char *title, const char *skip);
/* All fields of the rows of one kind, with a line of names. */
void view_csv(struct ctl *c, const struct ask_answer *a, const char *kind);

#endif
