#include "clock.h"
#include "export.h"
#include "retain.h"
#include "verbs.h"

#define DAY_S INT64_C(86400)

static enum errc on_lines(void *arg, struct slice text)
{
	const struct control_field f[] = {CONTROL_S("text", text)};

	return verbs_row(arg, "lines", f, ARRAY_LEN(f));
}

static void on_progress(void *arg, int permille)
{
	struct verbs *v = arg;

	/* Whether somebody still reads is found with the lines. */
	(void)!control_send_progress(v->chan, "%d.%d %% of the records", permille / 10,
				     permille % 10);
}

static void end_removed(struct verbs *v)
{
	char day[CLOCK_TEXT_MAX];
	uint32_t first;
	bool whole;
	enum errc e = retain_first_day(v->ledger, &first, &whole);

	if (e) {
		verbs_end_errc(v, e, "ledger");
		return;
	}
	clock_format_s(first * DAY_S, day);
	verbs_end(v, CONTROL_REFUSED, "removed",
		  "the records of days before %.10s have been removed (ledger.retain_days, "
		  "retain_bytes): give --since %.10s or a later day, or no span for all that is "
		  "kept",
		  day, day);
}

void verb_export(struct verbs *v)
{
	struct export_ask ask = {.changes = verb_args_bool(v->args, "changes"),
				 .seals = verb_args_bool(v->args, "seals")};
	const struct export_sink sink = {.lines = on_lines, .progress = on_progress, .arg = v};
	char why[VERB_ARGS_WHY];
	enum errc e;

	if (!verb_args_span(v->args, &ask.since_ms, &ask.until_ms, why)) {
		verbs_end(v, CONTROL_USAGE, "invalid", "%s", why);
		return;
	}
	if (ask.changes && ask.seals) {
		verbs_end(v, CONTROL_USAGE, "invalid", "changes and seals exclude each other");
		return;
	}
	e = export_ledger(v->ledger, &ask, &sink);
	if (e == ERRC_STALE)
		verbs_end(v, CONTROL_REFUSED, "removed",
			  "records that were to come have been removed meanwhile, for their days "
			  "are over (ledger.retain_days, retain_bytes): begin again");
	else if (e == ERRC_RANGE)
		end_removed(v);
	else if (e)
		verbs_end_errc(v, e, "ledger");
	else
		verbs_end_report(v);
}
