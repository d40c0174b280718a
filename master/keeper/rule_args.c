#include "rule_args.h"

#include <stdio.h>

#include "clock.h"
#include "money.h"
#include "text.h"
#include "zones.h"

#define SPAN_MAX_MS (INT64_C(100) * 366 * 86400 * 1000)
#define SHOWN       64 /* bytes of what was typed in a message */

static bool fail(char *why, struct slice word, const char *expected)
{
	snprintf(why, RULE_ARGS_WHY, "limit: '" SLICE_FMT "' is not %s",
		 SLICE_ARG(slice_sub(word, 0, SHOWN)), expected);
	return false;
}

/* What is wrong is not the form of the word. */
static bool refuse(char *why, struct slice word, const char *reason)
{
	snprintf(why, RULE_ARGS_WHY, "limit: '" SLICE_FMT "': %s",
		 SLICE_ARG(slice_sub(word, 0, SHOWN)), reason);
	return false;
}

/* What a rule can be about, and in which periods. */
static const struct what {
	const char *name, *period;
	enum rows_limit kind;
} whats[] = {
	{"requests", "minute", ROWS_RPM},      {"requests", "day", ROWS_RPD},
	{"tokens", "minute", ROWS_TPM},        {"tokens", "day", ROWS_TPD},
	{"concurrency", "", ROWS_CONCURRENCY},
};

/* "0.50" for a budget, "100" for what is counted. */
static bool read_amount(struct slice text, enum rows_limit kind, int64_t *out)
{
	uint64_t n;

	if (kind == ROWS_BUDGET)
		return money_parse(text, out) == ERRC_OK && *out >= 0 && *out <= MONEY_NUSD_MAX;
	if (!text_u64(text, &n) || n > MONEY_NUSD_MAX)
		return false;
	*out = (int64_t)n;
	return true;
}

bool rule_args_credit(struct slice text, const struct rows_rule *was, int64_t *out)
{
	bool more = text.n && text.p[0] == '+';
	int64_t nusd;

	if ((more && (!was || !was->credit)) ||
	    !read_amount(slice_sub(text, more, text.n), ROWS_BUDGET, &nusd) ||
	    (more && (!money_add(nusd, was->limit, &nusd) || nusd > MONEY_NUSD_MAX)))
		return false;
	*out = nusd;
	return true;
}

/* `5`, or `+5`: more than there was. It has no periods. */
static bool read_credit(struct slice word, struct slice rest, struct rows_rule *r, char *why)
{
	if (!rule_args_credit(rest, r, &r->limit))
		return fail(why, word,
			    "credit=DOLLARS, or of one that is there credit=+DOLLARS, such as 5 or "
			    "+0.25, up to 4000000000 in all");
	if (!r->credit) {
		r->window.rolling = false;
		r->window.zone = NULL;
		r->zone = SLICE_NONE;
	}
	r->kind = ROWS_BUDGET;
	r->credit = true;
	r->window.unit = WINDOW_TOTAL;
	return true;
}

/* `10.50/month`: the amount and the window of a budget. */
static bool read_budget(struct slice word, struct slice amount, struct slice period,
			struct rows_rule *r, char *why)
{
	enum window_unit unit = window_unit_of(period);

	if (unit == WINDOW_COUNT)
		return fail(why, word,
			    "budget=DOLLARS/PERIOD with minute, hour, day, week, month, quarter, "
			    "year or total");
	if (!read_amount(amount, ROWS_BUDGET, &r->limit))
		return fail(why, word, "budget=DOLLARS/PERIOD with an amount such as 10 or 0.25");
	r->kind = ROWS_BUDGET;
	r->credit = false;
	r->window.unit = unit;
	return true;
}

static bool read_count(struct slice word, struct slice name, struct slice amount,
		       struct slice period, struct rows_rule *r, char *why)
{
	for (size_t i = 0; i < ARRAY_LEN(whats); i++) {
		if (!slice_is(name, whats[i].name) || !slice_is(period, whats[i].period))
			continue;
		r->kind = whats[i].kind;
		return read_amount(amount, r->kind, &r->limit) ||
		       fail(why, word, "a limit with a whole number");
	}
	return fail(why, word,
		    "requests=N/minute, requests=N/day, tokens=N/minute, tokens=N/day, "
		    "concurrency=N, budget=DOLLARS/PERIOD or credit=DOLLARS");
}

/* The first word: what is limited, how far. */
static bool read_what(struct slice word, struct rows_rule *r, char *why)
{
	struct slice rest = word, name, amount;

	if (!slice_cut(&rest, '=', &name))
		rest = SLICE_NONE;
	if (slice_is(name, "credit"))
		return read_credit(word, rest, r, why);
	if (!slice_cut(&rest, '/', &amount))
		rest = SLICE_NONE;
	return slice_is(name, "budget") ? read_budget(word, amount, rest, r, why)
					: read_count(word, name, amount, rest, r, why);
}

static bool read_switch(struct slice word, struct slice value, bool *out, char *why)
{
	if (!value.n || slice_is(value, "on"))
		*out = true;
	else if (slice_is(value, "off"))
		*out = false;
	else
		return fail(why, word, "on or off");
	return true;
}

static bool read_zone(struct slice word, struct slice name, struct rows_rule *r, char *why)
{
	const struct zone *z;

	if (zones_find(name, &z))
		return fail(
			why, word,
			"a time zone that is installed, such as Europe/Berlin (package tzdata)");
	r->zone = z ? name : SLICE_NONE;
	r->window.zone = z;
	return true;
}

/* What the words after the first one are read with. */
struct reading {
	struct rows_rule *r;
	struct buf *mem;
	int64_t wall_s;
	char *why;
	uint64_t windows; /* that a raise is for; 0: not said */
	int64_t until_s;  /* that it lasts up to; 0: not said */
};

/* A raise that lasts for as long as the credit does. */
static bool read_overdraft(const struct reading *x, struct slice word, struct slice value)
{
	if (!x->r->credit)
		return refuse(x->why, word, "overdraft is of a credit; of other limits it is raise");
	x->r->raise_until_s = 0;
	x->r->raise_by_window = false;
	x->r->raise = 0;
	return slice_is(value, "off") || read_amount(value, ROWS_BUDGET, &x->r->raise) ||
	       fail(x->why, word, "overdraft=DOLLARS, or overdraft=off");
}

static bool read_raise(const struct reading *x, struct slice word, struct slice value)
{
	x->r->raise_until_s = 0;
	x->r->raise_by_window = false;
	x->r->raise = 0;
	return slice_is(value, "off") ||
	       (read_amount(value, x->r->kind, &x->r->raise) && x->r->raise > 0) ||
	       fail(x->why, word, "raise=AMOUNT above 0, or raise=off");
}

static bool read_windows(struct reading *x, struct slice word, struct slice value)
{
	return (text_u64(value, &x->windows) && x->windows >= 1 && x->windows <= 1000) ||
	       fail(x->why, word, "windows=N with N from 1 to 1000");
}

/* The end of a raise of n windows. Where a user's window that rolls began nobody knows here: what began by now is raised, and what begins in
 * the time of n - 1 more, or those who are in the middle of one would get the raise once more. */
static int64_t windows_end_s(const struct reading *x, const struct rows_counter *c, bool of_each)
{
	/* Used, for the window of a total, which has the id 0, is carried only then. */
	struct window_budget b = {.cur.used_nusd = 1};
	bool unknown = of_each && x->r->window.rolling;

	/* The counter of who calls itself `*` is one user's. */
	b.cur.id = rows_rule_window(x->r, of_each ? NULL : c, x->wall_s);
	for (uint64_t n = unknown; n < x->windows; n++)
		b.cur.id = window_budget_reset_s(&b, x->r->window, b.cur.id);
	return b.cur.id + unknown;
}

/* When the raise ends, once all words are known, in whatever order they came. One of n windows counts in that which lasts and in those that
 * begin within the next ones' time. `of_each`: of a limit that each end user has, and had before. */
static bool end_raise(const struct reading *x, struct slice text, const struct rows_counter *c,
		      bool of_each)
{
	struct rows_rule *r = x->r;

	if (r->window.unit == WINDOW_TOTAL)
		r->raise_by_window = false;
	if (x->until_s) {
		r->raise_until_s = x->until_s;
		r->raise_by_window = false;
	}
	if (x->windows == 0)
		return true;
	if (x->until_s)
		return refuse(x->why, text, "a raise ends by windows or by until, not by both");
	if (r->kind != ROWS_BUDGET || r->window.unit == WINDOW_TOTAL)
		return refuse(x->why, text,
			      "only the periods of a budget can be counted; give until=TIME");
	r->raise_until_s = windows_end_s(x, c, of_each);
	r->raise_by_window = true;
	return true;
}

/* A date, a time, or a span from now, as --expires takes them. A bare number would be unclear. */
static bool read_until(struct reading *x, struct slice word, struct slice value)
{
	bool has_unit = value.n && (value.p[value.n - 1] < '0' || value.p[value.n - 1] > '9');
	int64_t ms;

	if (has_unit && text_duration_ms(value, 1000, &ms) && ms <= SPAN_MAX_MS)
		ms += x->wall_s * 1000;
	else if (!clock_parse(value, &ms))
		ms = 0;
	if (ms / 1000 <= x->wall_s)
		return fail(
			x->why, word,
			"until=TIME, a date or a time to come in RFC 3339, or a span such as 2h");
	x->until_s = ms / 1000;
	return true;
}

/* Patterns with `|` between them, as lines. */
static bool read_models(struct slice word, struct slice value, struct rows_rule *r, struct buf *mem,
			char *why)
{
	size_t from = mem->len;
	struct slice one;
	enum errc e = ERRC_OK;

	if (slice_is(value, "all"))
		value = SLICE_NONE;
	for (bool more = value.n > 0; more && !e;) {
		more = slice_cut(&value, '|', &one);
		if (!one.n || slice_is(one, "!"))
			return fail(why, word, "models=PATTERN|PATTERN");
		if (mem->len > from)
			e = buf_addc(mem, '\n');
		if (!e)
			e = buf_adds(mem, one);
	}
	if (mem->len - from > ROWS_MODELS_MAX)
		return refuse(why, word, "the patterns of a limit may have 1024 bytes");
	if (e)
		return refuse(why, word, "these are too many patterns at once");
	r->models = slice_sub(buf_slice(mem), from, mem->len - from);
	return true;
}

static bool read_option(struct reading *x, struct slice word)
{
	struct slice value = word, name;

	if (!slice_cut(&value, '=', &name))
		value = SLICE_NONE;
	if (slice_is(name, "shadow"))
		return read_switch(word, value, &x->r->shadow, x->why);
	if (slice_is(name, "models"))
		return read_models(word, value, x->r, x->mem, x->why);
	if (slice_is(name, "overdraft"))
		return read_overdraft(x, word, value);
	if (x->r->credit)
		return fail(x->why, word,
			    "what a credit has: overdraft=DOLLARS, models=PATTERNS, shadow");
	if (slice_is(name, "rolling"))
		return read_switch(word, value, &x->r->window.rolling, x->why);
	if (slice_is(name, "zone"))
		return read_zone(word, value, x->r, x->why);
	if (slice_is(name, "raise"))
		return read_raise(x, word, value);
	if (slice_is(name, "windows"))
		return read_windows(x, word, value);
	if (slice_is(name, "until"))
		return read_until(x, word, value);
	return fail(x->why, word,
		    "zone=ZONE, models=PATTERNS, rolling, shadow, raise=AMOUNT, windows=N, "
		    "until=TIME or overdraft=DOLLARS");
}

static bool is_whole(const struct rows_rule *r, struct slice text, char *why)
{
	bool budget = r->kind == ROWS_BUDGET;

	if (!budget && (r->window.rolling || r->zone.n))
		return refuse(why, text, "rolling and zone are for budgets");
	if (budget && r->window.rolling && r->window.unit == WINDOW_TOTAL)
		return refuse(why, text, "a total never ends, so it cannot roll");
	if (r->credit && r->raise_until_s)
		return refuse(why, text,
			      "a raise that ends is no overdraft: give overdraft=DOLLARS or "
			      "overdraft=off");
	if (r->raise_until_s && !r->raise)
		return refuse(why, text, "windows and until belong to raise=AMOUNT");
	return true;
}

/* The id before a colon; 0: none. */
static bool read_id(struct slice *text, struct rows_limits *l, struct rows_rule **r, char *why)
{
	struct slice rest = *text, word;
	uint64_t id;

	*r = NULL;
	if (!slice_cut(&rest, ':', &word) || slice_chr(word, ' ') >= 0 || slice_chr(word, '=') >= 0)
		return true;
	if (text_u64(word, &id) && id <= ROWS_RULE_ID_MAX)
		*r = rows_limits_by_id(l, (uint32_t)id);
	if (!*r)
		return fail(why, word, "the id of one of its limits, as `show` prints them");
	*text = rest;
	return true;
}

/* The next word off the front; false at the end. */
static bool next_word(struct slice *rest, struct slice *word)
{
	*word = SLICE_NONE;
	while (rest->n && word->n == 0)
		(void)slice_cut(rest, ' ', word);
	return word->n > 0;
}

/* Whether the word says what is limited; it may be missing where that is known. */
static bool says_what(struct slice word)
{
	struct slice name;

	(void)slice_cut(&word, '=', &name);
	return slice_is(name, "requests") || slice_is(name, "tokens") ||
	       slice_is(name, "concurrency") || slice_is(name, "budget") ||
	       slice_is(name, "credit");
}

static bool read_words(struct reading *x, struct slice rest, bool known)
{
	enum rows_limit kind = x->r->kind;
	struct slice word;

	if (!next_word(&rest, &word))
		return fail(x->why, word, "a limit such as requests=60/minute");
	if (!known || says_what(word)) {
		if (!read_what(word, x->r, x->why))
			return false;
		if (known && x->r->kind != kind)
			return refuse(x->why, word,
				      "that limit is about something else: remove it and add "
				      "another");
		(void)next_word(&rest, &word);
	}
	while (word.n) {
		if (!read_option(x, word))
			return false;
		(void)next_word(&rest, &word);
	}
	return true;
}

/* What --credit is about must be one; those for some models add to it. */
static bool is_only_credit(const struct rows_limits *l, struct slice text, char *why)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n; i++)
		n += l->v[i].credit && !l->v[i].shadow && l->v[i].models.n == 0;
	return n <= 1 || refuse(why, text,
				"it has a credit already, which is changed by its id, as in "
				"1:credit=+5");
}

/* What can be stored of one scope. */
static bool fits(const struct rows_limits *l, struct slice text, char *why)
{
	size_t n = rows_limits_patterns(l);
	char reason[160];

	if (n <= ROWS_PATTERNS_MAX)
		return true;
	snprintf(reason, sizeof reason,
		 "the model patterns of all its limits would have %zu bytes and may have %d: "
		 "shorten "
		 "some, or remove a limit",
		 n, ROWS_PATTERNS_MAX);
	return refuse(why, text, reason);
}

static bool refuse_more(struct slice text, char *why)
{
	char reason[120];

	snprintf(reason, sizeof reason, RULE_ARGS_FULL, ROWS_RULES_MAX);
	return refuse(why, text, reason);
}

static bool put_one(struct slice text, int64_t wall_s, const struct rows_state *state, bool of_each,
		    struct rows_limits *l, struct buf *mem, char *why)
{
	struct rows_rule r = {.window = {.unit = WINDOW_MONTH}}, *to;
	struct reading x = {&r, mem, wall_s, why, 0, 0};
	struct slice rest = slice_trim(text);

	if (!read_id(&rest, l, &to, why))
		return false;
	if (to)
		r = *to;
	if (!read_words(&x, rest, to != NULL))
		return false;
	if (to) {
		struct window_spec w = r.window;

		r.window = to->window;
		rows_rule_set_window(&r, w, wall_s);
	}
	if (!end_raise(&x, text, to && state ? rows_state_counter(state, &r) : NULL, to && of_each) ||
	    !is_whole(&r, text, why))
		return false;
	if (!to)
		to = rows_limits_add(l, r.kind, r.limit);
	if (!to)
		return refuse_more(text, why);
	r.id = to->id;
	*to = r;
	return fits(l, text, why) && is_only_credit(l, text, why);
}

bool rule_args_put(struct slice text, int64_t wall_s, const struct rows_state *state, bool of_each,
		   struct rows_limits *l, struct buf *mem, char why[RULE_ARGS_WHY])
{
	struct slice one;

	for (bool more = text.n > 0; more;) {
		more = slice_cut(&text, ',', &one);
		if (!put_one(one, wall_s, state, of_each, l, mem, why))
			return false;
	}
	return true;
}

bool rule_args_remove(struct slice text, struct rows_limits *l, char why[RULE_ARGS_WHY])
{
	struct slice one;
	uint64_t id;

	for (bool more = text.n > 0; more;) {
		more = slice_cut(&text, ',', &one);
		one = slice_trim(one);
		if (!text_u64(one, &id) || id > ROWS_RULE_ID_MAX ||
		    !rows_limits_by_id(l, (uint32_t)id)) {
			snprintf(why, RULE_ARGS_WHY,
				 "limit-remove: '" SLICE_FMT
				 "' is not the id of one of its limits, as `show` prints them",
				 SLICE_ARG(slice_sub(one, 0, SHOWN)));
			return false;
		}
		rows_limits_remove(l, (uint32_t)id);
	}
	return true;
}
