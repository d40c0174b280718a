#include "parse_value.h"

#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "hint.h"
#include "money.h"
#include "text.h"

#define DAY_MS   INT64_C(86400000)
#define YEARS_MS (INT64_C(1000) * 366 * DAY_MS)

static void set_i64(struct control_field *out, int64_t v)
{
	out->type = CONTROL_T_I64;
	out->i = v;
}

static void set_str(struct control_field *out, struct slice s)
{
	out->type = CONTROL_T_STR;
	out->s = s;
}

static bool read_usd(struct slice text, int64_t *out)
{
	if (text.n && text.p[0] == '$')
		text = slice_sub(text, 1, text.n);
	return money_parse(text, out) == ERRC_OK && *out >= 0;
}

/* The sign goes to the daemon, which knows what there is; a dollar sign does not. */
static bool read_usd_more(struct slice *text, int64_t *out)
{
	size_t sign = text->n && text->p[0] == '+', at = sign;

	if (!sign && text->n && text->p[0] == '$')
		*text = slice_sub(*text, 1, text->n);
	return money_parse(slice_sub(*text, at, text->n), out) == ERRC_OK && *out >= 0;
}

/* "24h" and "7d"; "90" alone would be unclear. */
static bool read_span(struct slice text, int64_t *out)
{
	bool has_unit = text.n && (text.p[text.n - 1] < '0' || text.p[text.n - 1] > '9');

	return (has_unit || slice_is(text, "0")) && text_duration_ms(text, 1000, out) &&
	       *out >= 0 && *out <= YEARS_MS;
}

static bool read_since(struct slice text, int64_t now_ms, int64_t *out)
{
	int64_t span, today = now_ms - now_ms % DAY_MS;

	if (slice_is(text, "now"))
		*out = now_ms;
	else if (slice_is(text, "today"))
		*out = today;
	else if (slice_is(text, "yesterday"))
		*out = today - DAY_MS;
	else if (read_span(text, &span))
		*out = MAX_OF(now_ms - span, 0);
	else
		return clock_parse(text, out);
	return true;
}

static bool read_when(struct slice text, int64_t now_ms, int64_t *out)
{
	int64_t ms;

	if (slice_is(text, "never")) {
		*out = 0;
		return true;
	}
	if (read_span(text, &ms))
		ms += now_ms;
	else if (!clock_parse(text, &ms))
		return false;
	*out = ms / 1000;
	return *out > 0;
}

/* The hint for a word that is none of the choices. */
static void explain_choice(const struct command_arg *a, struct slice word, char *why, size_t n)
{
	struct slice left = command_choices(a), choice;
	struct hint h;

	hint_init(&h, word);
	while (command_next_choice(&left, &choice))
		hint_add(&h, choice);
	if (h.best.p)
		snprintf(why, n, "one of %s (did you mean '" SLICE_FMT "'?)",
			 a->is_option ? a->value : a->name, SLICE_ARG(h.best));
	else
		snprintf(why, n, "one of %s", a->is_option ? a->value : a->name);
}

static bool is_choice(const struct command_arg *a, struct slice word)
{
	struct slice left = command_choices(a), choice;

	while (command_next_choice(&left, &choice)) {
		if (slice_eq(choice, word))
			return true;
	}
	return false;
}

static enum errc choice_value(const struct command_arg *a, struct slice text,
			      struct control_field *out, char *why, size_t n)
{
	struct slice left = text, word = text;

	do {
		if (a->type == COMMAND_CHOICES)
			(void)slice_cut(&left, ',', &word);
		if (!is_choice(a, word)) {
			explain_choice(a, word, why, n);
			return ERRC_INVAL;
		}
	} while (a->type == COMMAND_CHOICES && left.n);
	set_str(out, text);
	if (a->type == COMMAND_SWITCH)
		*out = (struct control_field){
			.name = out->name, .type = CONTROL_T_BOOL, .i = slice_is(text, "on")};
	return ERRC_OK;
}

static enum errc number_value(const struct command_arg *a, struct slice text, int64_t now_ms,
			      struct control_field *out, char *why, size_t n)
{
	static const char *const expected[] = {
		[COMMAND_USD] = "dollars up to 4000000000, such as 5 or 0.25",
		[COMMAND_USD_MORE] =
			"dollars up to 4000000000, such as 5 or 0.25, or +5 to add some",
		[COMMAND_USD_NONE] = "dollars up to 4000000000, such as 5 or 0.25, or none",
		[COMMAND_COUNT] = "a whole number, or none",
		[COMMAND_SPAN] = "a time span, such as 500ms, 5s or 2m",
		[COMMAND_SPAN_NONE] = "a time span, such as 15s, or none",
		[COMMAND_SINCE] = "2026-11-25, 2026-11-25T09:30:00Z, today, yesterday, now, or a "
				  "span before now such as 24h or 7d",
		[COMMAND_WHEN] =
			"2026-11-25, 2026-11-25T09:30:00Z, a span from now such as 30d, or never",
	};
	bool may_be_none = a->type == COMMAND_USD_NONE || a->type == COMMAND_COUNT ||
			   a->type == COMMAND_SPAN_NONE,
	     good;
	int64_t v = -1;

	if (may_be_none && slice_is(text, "none"))
		good = true;
	else if (a->type == COMMAND_USD || a->type == COMMAND_USD_NONE)
		good = read_usd(text, &v);
	else if (a->type == COMMAND_USD_MORE)
		good = read_usd_more(&text, &v);
	else if (a->type == COMMAND_COUNT)
		good = text_i64(text, &v) && v >= 0;
	else if (a->type == COMMAND_SPAN || a->type == COMMAND_SPAN_NONE)
		good = read_span(text, &v);
	else if (a->type == COMMAND_SINCE)
		good = read_since(text, now_ms, &v);
	else
		good = read_when(text, now_ms, &v);
	if (a->type == COMMAND_USD_MORE)
		set_str(out, text);
	else
		set_i64(out, v);
	if (!good)
		snprintf(why, n, "%s", expected[a->type]);
	return good ? ERRC_OK : ERRC_INVAL;
}

/* A list of nothing, such as the value of a variable that is not set, must not take a restriction away: none does. */
static bool has_entry(struct slice text)
{
	for (size_t i = 0; i < text.n; i++) {
		if (!strchr(", \t\r\n", text.p[i]))
			return true;
	}
	return false;
}

enum errc parse_value(const struct command_arg *a, struct slice text, int64_t now_ms,
		      struct control_field *out, char *why, size_t n)
{
	*out = (struct control_field){.name = slice_str(a->field)};
	switch (a->type) {
	case COMMAND_FLAG:
		out->type = CONTROL_T_BOOL;
		out->i = !slice_is(text, "off");
		snprintf(why, n, "on or off");
		return text.n == 0 || slice_is(text, "on") || !out->i ? ERRC_OK : ERRC_INVAL;
	case COMMAND_TEXT:
	case COMMAND_SECRET:
		set_str(out, text);
		return ERRC_OK;
	case COMMAND_LIST:
		set_str(out, slice_is(text, "none") ? SLICE_LIT("") : text);
		snprintf(why, n, "%s", a->value);
		return has_entry(text) ? ERRC_OK : ERRC_INVAL;
	case COMMAND_SWITCH:
	case COMMAND_CHOICE:
	case COMMAND_CHOICES:
		return choice_value(a, text, out, why, n);
	default:
		return number_value(a, text, now_ms, out, why, n);
	}
}
