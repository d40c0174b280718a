/* How a field of the control protocol looks, as JSON and for people. The ending of its name tells the unit (control.h);
 * field_tbl.h lists the exceptions:
 *	_nusd   dollars: exact decimal; JSON name …_usd
 *	_pusd   dollars for a million tokens: exact decimal; JSON name …_usd_per_million
 *	_ms     a time span; _bytes: a size; both are whole numbers in JSON
 *	times   RFC 3339, UTC; JSON name …_at */
#ifndef AIGW_FIELD_H
#define AIGW_FIELD_H

#include "ask.h"
#include "json_out.h"

enum field_format {
	FIELD_PLAIN,
	FIELD_USD,
	FIELD_PRICE,
	FIELD_BYTES,
	FIELD_SPAN,
	FIELD_SPAN_OFF, /* 0 is off */
	FIELD_TIME_S,
	FIELD_TIME_MS,
	FIELD_BY_UNIT, /* what the row's field `unit` says */
	FIELD_UNIT,    /* that field */
	FIELD_DURABLE, /* told only when false */
};

/* Writes key and value. `r` is the row of f. */
void field_json(struct json_out *o, const struct ask_row *r, const struct control_field *f);
/* The key alone, for CSV. */
void field_json_name(struct put *p, struct slice name);
/* The value as CSV writes it, without quotes: empty for none. A text that a spreadsheet would run has a ' before it. */
void field_csv(struct put *p, const struct ask_row *r, const struct control_field *f);

void field_label(struct put *p, struct slice name);
/* For people; money with at least `frac` places (field_places()). */
void field_text(struct put *p, const struct ask_row *r, const struct control_field *f, int frac);
/* Decimal places that an amount of money needs, at least 2; 0 for other fields. */
int field_places(const struct ask_row *r, const struct control_field *f);
/* What follows the label of a column of money: " $", for prices of a million tokens " $/M"; "" for other fields. */
const char *field_unit(struct slice name);
/* Numbers stand at the right of their column. */
bool field_is_number(const struct control_field *f);
/* False for what people need not see. */
bool field_is_shown(const struct control_field *f);
/* Fields whose words tell a state have colours. */
bool field_is_state(struct slice name);

#endif
