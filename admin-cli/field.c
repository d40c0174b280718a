#include "field.h"

#include <stdio.h>

#include "clock.h"
#include "text.h"

struct row {
	struct slice name;
	enum field_format format;
	const char *json, *label, *none;
};

static const struct row rows[] = {
#define FIELD(name, format, json, label, none) \
	{SLICE_LIT(#name), FIELD_##format, json, label, none},
#include "field_tbl.h"
#undef FIELD
};

/* Units by the ending of a name. */
static const struct {
	struct slice ending;
	enum field_format format;
	const char *json; /* instead of the ending; NULL: the ending stays */
} endings[] = {
	{SLICE_LIT("_nusd"), FIELD_USD, "_usd"},
	{SLICE_LIT("_pusd"), FIELD_PRICE, "_usd_per_million"},
	{SLICE_LIT("_ms"), FIELD_SPAN, NULL},
	{SLICE_LIT("_bytes"), FIELD_BYTES, NULL},
};

/* A look at both ends saves most comparisons: tables have a million fields. */
static const struct row *row_of(struct slice name)
{
	for (size_t i = 0; name.n && i < ARRAY_LEN(rows); i++) {
		struct slice s = rows[i].name;

		if (s.n == name.n && s.p[0] == name.p[0] && s.p[s.n - 1] == name.p[s.n - 1] &&
		    slice_eq(s, name))
			return &rows[i];
	}
	return NULL;
}

static bool ends_with(struct slice name, struct slice ending)
{
	return name.n > ending.n && name.p[name.n - 1] == ending.p[ending.n - 1] &&
	       slice_has_suffix(name, ending);
}

/* The index into `endings`; their number without one. */
static size_t ending_of(struct slice name)
{
	size_t i = 0;

	while (i < ARRAY_LEN(endings) && !ends_with(name, endings[i].ending))
		i++;
	return i;
}

static enum field_format format_of(const struct ask_row *r, const struct control_field *f)
{
	const struct row *w = row_of(f->name);
	size_t i = ending_of(f->name);

	if (w && w->format == FIELD_BY_UNIT)
		return slice_is(ask_str(r, "unit"), "nusd") ? FIELD_USD : FIELD_PLAIN;
	if (w)
		return w->format;
	return i < ARRAY_LEN(endings) ? endings[i].format : FIELD_PLAIN;
}

/* --- names --- */

void field_json_name(struct put *p, struct slice name)
{
	const struct row *w = row_of(name);
	size_t i = ending_of(name);

	if (w)
		put_z(p, w->json);
	else if (i < ARRAY_LEN(endings) && endings[i].json)
		put_f(p, SLICE_FMT "%s",
		      SLICE_ARG(slice_sub(name, 0, name.n - endings[i].ending.n)), endings[i].json);
	else
		put_s(p, name);
}

void field_label(struct put *p, struct slice name)
{
	const struct row *w = row_of(name);
	size_t i = ending_of(name);

	if (w) {
		put_z(p, w->label);
		return;
	}
	if (i < ARRAY_LEN(endings))
		name = slice_sub(name, 0, name.n - endings[i].ending.n);
	for (size_t k = 0; k < name.n; k++)
		put_s(p, name.p[k] == '_' ? SLICE_LIT(" ") : slice_sub(name, k, 1));
}

/* --- values for programs --- */

static void put_time(struct put *p, enum field_format format, int64_t v)
{
	char text[CLOCK_TEXT_MAX];

	if (format == FIELD_TIME_S)
		clock_format_s(v, text);
	else
		clock_format_ms(v, text);
	put_z(p, text);
}

static void put_decimal(struct put *p, int64_t v, int scale, int frac)
{
	char text[TEXT_DECIMAL_MAX];

	text_decimal_print(v, scale, frac, text);
	put_z(p, text);
}

/* Numbers and times; the same for JSON, where times stand in quotes, and CSV. */
static void put_number(struct put *p, enum field_format format, int64_t v)
{
	if (format == FIELD_USD)
		put_decimal(p, v, 9, 1);
	else if (format == FIELD_PRICE)
		put_decimal(p, v, 6, 1);
	else if (format == FIELD_TIME_S || format == FIELD_TIME_MS)
		put_time(p, format, v);
	else
		put_i(p, v);
}

static struct slice text_value(enum field_format format, struct slice s)
{
	return format == FIELD_UNIT && slice_is(s, "nusd") ? SLICE_LIT("usd") : s;
}

void field_json(struct json_out *o, const struct ask_row *r, const struct control_field *f)
{
	enum field_format format = format_of(r, f);
	bool is_time = format == FIELD_TIME_S || format == FIELD_TIME_MS;
	struct put p;

	put_init(&p);
	field_json_name(&p, f->name);
	json_out_keys(o, buf_slice(&p.b));
	buf_reset(&p.b);
	if (f->type == CONTROL_T_I64)
		put_number(&p, format, f->i);
	if (f->type == CONTROL_T_STR)
		json_out_str(o, text_value(format, f->s));
	else if (f->type == CONTROL_T_BOOL)
		json_out_bool(o, f->i != 0);
	else if (f->type == CONTROL_T_NONE || p.err)
		json_out_null(o);
	else if (is_time)
		json_out_str(o, buf_slice(&p.b));
	else
		json_out_raw(o, buf_slice(&p.b));
	if (p.err && !o->err)
		o->err = p.err;
	put_fini(&p);
}

/* Spreadsheets take a cell that begins so for a formula, and end users name themselves. The quote is among them so that what was
 * put before a text can be told from what it began with. */
static bool looks_like_formula(struct slice s)
{
	static const char *const begins[] = {"=", "+",      "-",      "@",      "\t",    "\r",
					     "'", "\uff1d", "\uff0b", "\uff0d", "\uff20"};

	for (size_t i = 0; i < ARRAY_LEN(begins); i++) {
		if (slice_has_prefix(s, slice_str(begins[i])))
			return true;
	}
	return false;
}

void field_csv(struct put *p, const struct ask_row *r, const struct control_field *f)
{
	enum field_format format = format_of(r, f);

	if (f->type == CONTROL_T_STR && looks_like_formula(f->s))
		put_z(p, "'");
	if (f->type == CONTROL_T_STR)
		put_s(p, text_value(format, f->s));
	else if (f->type == CONTROL_T_BOOL)
		put_z(p, f->i ? "true" : "false");
	else if (f->type == CONTROL_T_I64)
		put_number(p, format, f->i);
}

/* --- values for people --- */

static void put_span(struct put *p, int64_t ms)
{
	long long s = (long long)ms / 1000;

	if (ms < 1000)
		put_f(p, "%lld ms", (long long)ms);
	else if (s < 60)
		put_f(p, "%lld.%lld s", s, (long long)ms % 1000 / 100);
	else if (s < 3600)
		put_f(p, "%lldm %02llds", s / 60, s % 60);
	else if (s < 86400)
		put_f(p, "%lldh %02lldm", s / 3600, s / 60 % 60);
	else
		put_f(p, "%lldd %02lldh", s / 86400, s / 3600 % 24);
}

static void put_bytes(struct put *p, int64_t v)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
	size_t u = 0;
	int64_t tenths = v > INT64_MAX / 10 ? INT64_MAX : v * 10;

	while (tenths >= 10240 && u + 1 < ARRAY_LEN(units)) {
		tenths /= 1024;
		u++;
	}
	if (u == 0)
		put_f(p, "%lld B", (long long)v);
	else
		put_f(p, "%lld.%lld %s", (long long)tenths / 10, (long long)tenths % 10, units[u]);
}

static void put_value(struct put *p, enum field_format format, int64_t v, int frac)
{
	switch (format) {
	case FIELD_USD:
		put_decimal(p, v, 9, MAX_OF(frac, 2));
		break;
	case FIELD_PRICE:
		put_decimal(p, v, 6, MAX_OF(frac, 2));
		break;
	case FIELD_SPAN:
		put_span(p, v);
		break;
	case FIELD_SPAN_OFF:
		if (v)
			put_span(p, v);
		else
			put_z(p, "off");
		break;
	case FIELD_BYTES:
		put_bytes(p, v);
		break;
	case FIELD_TIME_S:
	case FIELD_TIME_MS:
		put_time(p, format, v);
		break;
	default:
		put_i(p, v);
	}
}

void field_text(struct put *p, const struct ask_row *r, const struct control_field *f, int frac)
{
	const struct row *w = row_of(f->name);
	enum field_format format = format_of(r, f);
	const char *none = w ? w->none : "-";

	if (f->type == CONTROL_T_STR && f->s.n)
		put_safe(p, text_value(format, f->s));
	else if (f->type == CONTROL_T_I64)
		put_value(p, format, f->i, frac);
	else if (f->type == CONTROL_T_BOOL && format == FIELD_DURABLE)
		put_z(p, f->i ? "yes" : "in force, not on disk yet");
	else if (f->type == CONTROL_T_BOOL)
		put_z(p, f->i ? "yes" : "no");
	else
		put_z(p, none);
}

int field_places(const struct ask_row *r, const struct control_field *f)
{
	enum field_format format = format_of(r, f);
	char text[TEXT_DECIMAL_MAX];
	const char *point;

	if (f->type != CONTROL_T_I64 || (format != FIELD_USD && format != FIELD_PRICE))
		return 0;
	text_decimal_print(f->i, format == FIELD_USD ? 9 : 6, 2, text);
	point = strchr(text, '.');
	return point ? (int)strlen(point + 1) : 2;
}

const char *field_unit(struct slice name)
{
	if (slice_has_suffix(name, SLICE_LIT("_nusd")))
		return " $";
	return slice_has_suffix(name, SLICE_LIT("_pusd")) ? " $/M" : "";
}

bool field_is_number(const struct control_field *f)
{
	const struct row *w = row_of(f->name);

	return f->type == CONTROL_T_I64 &&
	       !(w && (w->format == FIELD_TIME_S || w->format == FIELD_TIME_MS));
}

bool field_is_shown(const struct control_field *f)
{
	return !(slice_is(f->name, "durable") && f->i);
}

bool field_is_state(struct slice name)
{
	return slice_is(name, "status") || slice_is(name, "state") || slice_is(name, "breaker") ||
	       slice_is(name, "level") || slice_is(name, "change");
}
