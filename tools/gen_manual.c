/* Writes aigw.yaml.5: the prose of aigw.yaml.5.in, in which a line such as `@SETTINGS@` stands for the rows of a table. So the
 * manual says what the parser does. Usage: gen_manual IN OUT. */
#include <stdio.h>
#include <string.h>

#include "settings.h"

#define LINE_MAX_ 4096

static const struct settings_row listener[] = {
#define FIELD(type, member, path, min, max, def, unit, sentence) \
	{path, SETTINGS_##type, 0, min, max, def, unit, SETTINGS_LIVE, sentence},
#include "listener_tbl.h"
};
static const struct settings_row provider[] = {
#include "provider_tbl.h"
};
static const struct settings_row model[] = {
#include "model_tbl.h"
};
static const struct settings_row offer[] = {
#include "offer_tbl.h"
};
static const struct settings_row when[] = {
#include "price_when_tbl.h"
#undef FIELD
};

/* What the rules of chat_field_tbl.h mean; those without a sentence have nothing to do with prices. */
enum rule { PASS, USAGE, COUNT, UNIT, ONLY, FORCE, OWN, CAP, REFUSE };
static const char *const rules[] = {
	[USAGE] = "Charged as it is reported: ",
	[COUNT] = "Held: ",
	[UNIT] = "Refused but for models whose price has its unit, and held: ",
	[ONLY] = "Refused but for these values: ",
	[FORCE] = "Set: ",
	[CAP] = "Refused: ",
	[REFUSE] = "Refused: ",
};
static const struct field {
	const char *name;
	enum rule rule;
	const char *values, *why;
} fields[] = {
#define CHAT_FIELD(id, name, rule, values, anthropic, why) {name, rule, values, why},
#define CHAT_PART(id, name, rule, values, anthropic, why)  {name, rule, values, why},
#include "chat_field_tbl.h"
#undef CHAT_PART
#undef CHAT_FIELD
};

/* Text as roff: nothing in it is a request or an escape. */
static void put_text(FILE *out, struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '\\')
			fputs("\\e", out);
		else if (s.p[i] == '-')
			fputs("\\-", out);
		else if ((s.p[i] == '.' || s.p[i] == '\'') && i == 0)
			fprintf(out, "\\&%c", s.p[i]);
		else
			fputc(s.p[i], out);
	}
}

static void put_value(FILE *out, const struct settings_row *row, bool reload)
{
	static const char *const classes[] = {"at once", "for new calls and connections",
					      "only at a restart"};
	struct buf b;

	buf_init(&b, LINE_MAX_);
	require(settings_expected(row, &b) == ERRC_OK);
	fputs(".br\nValue: ", out);
	put_text(out, buf_slice(&b));
	if (row->unit[0] && row->type != SETTINGS_ENUM && row->type != SETTINGS_NODE &&
	    row->type != SETTINGS_MS && row->type != SETTINGS_RATIO && row->type != SETTINGS_BYTES) {
		fputs(" (", out);
		put_text(out, slice_str(row->unit));
		fputs(")", out);
	}
	if (row->def[0]) {
		fputs(". Default: ", out);
		put_text(out, slice_str(row->def));
	}
	if (reload)
		fprintf(out, ". Taken %s", classes[row->reload]);
	fputs(".\n", out);
	buf_fini(&b);
}

static void put_rows(FILE *out, const struct settings_row *rows, size_t n, bool reload)
{
	for (size_t i = 0; i < n; i++) {
		fputs(".TP\n.B ", out);
		put_text(out, slice_str(rows[i].path));
		fputs("\n", out);
		put_text(out, slice_str(rows[i].sentence));
		fputs("\n", out);
		put_value(out, &rows[i], reload);
	}
}

/* Values with commas between them. */
static void put_values(FILE *out, struct slice values)
{
	struct slice one;

	while (values.n) {
		(void)slice_cut(&values, '|', &one);
		put_text(out, one);
		fputs(values.n ? ", " : "; ", out);
	}
}

static void put_fields(FILE *out)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		const struct field *f = &fields[i];

		if (!rules[f->rule])
			continue;
		fputs(".TP\n.B ", out);
		put_text(out, slice_str(f->name));
		fprintf(out, "\n%s", rules[f->rule]);
		put_values(out, slice_str(f->values));
		put_text(out, slice_str(f->why));
		fputs(".\n", out);
	}
}

static bool put_table(FILE *out, const char *line)
{
	if (strcmp(line, "@SETTINGS@\n") == 0)
		put_rows(out, settings_rows, settings_rows_n, true);
	else if (strcmp(line, "@LISTENER@\n") == 0)
		put_rows(out, listener, ARRAY_LEN(listener), false);
	else if (strcmp(line, "@PROVIDER@\n") == 0)
		put_rows(out, provider, ARRAY_LEN(provider), false);
	else if (strcmp(line, "@MODEL@\n") == 0)
		put_rows(out, model, ARRAY_LEN(model), false);
	else if (strcmp(line, "@OFFER@\n") == 0)
		put_rows(out, offer, ARRAY_LEN(offer), false);
	else if (strcmp(line, "@WHEN@\n") == 0)
		put_rows(out, when, ARRAY_LEN(when), false);
	else if (strcmp(line, "@FIELDS@\n") == 0)
		put_fields(out);
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	char line[LINE_MAX_];
	FILE *in, *out;
	bool good;

	if (argc != 3 || !(in = fopen(argv[1], "r")))
		return 2;
	out = fopen(argv[2], "w");
	if (!out) {
		fclose(in);
		return 1;
	}
	while (fgets(line, sizeof(line), in)) {
		if (!put_table(out, line))
			fputs(line, out);
	}
	good = !ferror(in);
	fclose(in);
	return fclose(out) == 0 && good ? 0 : 1;
}
