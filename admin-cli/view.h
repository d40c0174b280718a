/* Shows an answer: as one JSON object, as sheets and tables for people, or as CSV; rows of view_tbl.h say how. Kinds of rows
 * that have no view there are shown after the others, with all their fields. */
#ifndef AIGW_VIEW_H
#define AIGW_VIEW_H

#include "ask.h"

/* What `aigwctl top` shows is the answer to several verbs. */
#define VIEW_TOP ((enum control_verb)CONTROL_VERB_COUNT)

/* As the command line asked for: JSON or text, into c->text. */
void view_show(struct ctl *c, enum control_verb v, const struct ask_answer *a);
/* The table of one kind, as text under a title (NULL: none). */
void view_part(struct ctl *c, enum control_verb v, const struct ask_answer *a, const char *kind,
	       const char *title);
/* One kind as a table of the given columns (as in view_tbl.h) under a title (NULL: none). */
void view_table(struct ctl *c, const struct ask_answer *a, const char *kind, const char *title,
		const char *columns, bool sorted);
/* A row as a sheet of all its fields but `skip` (NULL: none). */
void view_sheet(struct ctl *c, const struct ask_row *r, const char *skip);
/* All fields of the rows of one kind, below a line of the names that `names` has. */
void view_csv(struct ctl *c, const struct ask_answer *a, const char *kind,
	      const struct ask_row *names);

#endif
