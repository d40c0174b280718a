#include "verb_args.h"

#include <stdio.h>

#include "clock.h"
#include "user_tag.h"
#include "zones.h"

#define KEY_TAG "sk-aigw-"

static const char *const specs[CONTROL_VERB_COUNT] = {
#define VERB_ARGS(NAME, spec) [CONTROL_DO_##NAME] = spec,
#include "verb_args_tbl.h"
#undef VERB_ARGS
};

struct spec {
	struct slice name;
	bool must;
	enum control_type type;
};

/* Takes the next one off the front of *rest; false at the end. */
static bool next_spec(struct slice *rest, struct spec *out)
{
	struct slice word = SLICE_NONE;

	while (rest->n && word.n == 0)
		(void)slice_cut(rest, ' ', &word);
	if (word.n < 3)
		return false;
	out->name = slice_sub(word, 0, word.n - 2);
	out->must = word.p[word.n - 2] == '!';
	switch (word.p[word.n - 1]) {
	case 'S':
		out->type = CONTROL_T_STR;
		break;
	case 'I':
		out->type = CONTROL_T_I64;
		break;
	default:
		out->type = CONTROL_T_BOOL;
		break;
	}
	return true;
}

static bool find_spec(const char *all, struct slice name, struct spec *out)
{
	struct slice rest = slice_str(all);

	while (next_spec(&rest, out)) {
		if (slice_eq(out->name, name))
			return true;
	}
	return false;
}

static const struct control_field *find(struct verb_args a, struct slice name)
{
	for (size_t i = 0; i < a.n; i++) {
		if (slice_eq(a.f[i].name, name))
			return &a.f[i];
	}
	return NULL;
}

static bool check_field(const char *all, struct verb_args a, const struct control_field *f,
			char *why)
{
	struct spec s;

	if (!find_spec(all, f->name, &s))
		snprintf(why, VERB_ARGS_WHY, "unknown argument '" SLICE_FMT "'",
			 SLICE_ARG(slice_sub(f->name, 0, 64)));
	else if (find(a, f->name) != f)
		snprintf(why, VERB_ARGS_WHY, "argument '" SLICE_FMT "' is given twice",
			 SLICE_ARG(s.name));
	else if (f->type != s.type)
		snprintf(why, VERB_ARGS_WHY, "argument '" SLICE_FMT "' is of the wrong type",
			 SLICE_ARG(s.name));
	else
		return true;
	return false;
}

bool verb_args_check(enum control_verb v, struct verb_args a, char why[VERB_ARGS_WHY])
{
	const char *all = (unsigned)v < CONTROL_VERB_COUNT && specs[v] ? specs[v] : "";
	struct slice rest = slice_str(all);
	struct spec s;

	for (size_t i = 0; i < a.n; i++) {
		if (!check_field(all, a, &a.f[i], why))
			return false;
	}
	while (next_spec(&rest, &s)) {
		const struct control_field *f = find(a, s.name);

		if (s.must && (!f || (f->type == CONTROL_T_STR && f->s.n == 0))) {
			snprintf(why, VERB_ARGS_WHY, "argument '" SLICE_FMT "' is missing",
				 SLICE_ARG(s.name));
			return false;
		}
	}
	return true;
}

bool verb_args_has(struct verb_args a, const char *name)
{
	return find(a, slice_str(name)) != NULL;
}

struct slice verb_args_str(struct verb_args a, const char *name)
{
	struct slice s = SLICE_NONE;

	(void)control_get_str(a.f, a.n, name, &s);
	return s;
}

int64_t verb_args_i64(struct verb_args a, const char *name, int64_t otherwise)
{
	(void)control_get_i64(a.f, a.n, name, &otherwise);
	return otherwise;
}

bool verb_args_bool(struct verb_args a, const char *name)
{
	return control_get_bool(a.f, a.n, name);
}

static bool is_separator(char c)
{
	return c == ',' || c == '\n' || c == ' ' || c == '\t';
}

/* The next entry of a list written with commas, spaces or lines; false at the end. */
static bool next_entry(struct slice *rest, struct slice *out)
{
	size_t n = 0;

	while (rest->n && is_separator(rest->p[0]))
		*rest = slice_sub(*rest, 1, rest->n);
	while (n < rest->n && !is_separator(rest->p[n]))
		n++;
	*out = slice_sub(*rest, 0, n);
	*rest = slice_sub(*rest, n, rest->n);
	return n > 0;
}

static bool put_models(struct slice text, struct rows_scope *k, struct buf *mem, char *why)
{
	size_t from = mem->len;
	struct slice one;

	while (next_entry(&text, &one)) {
		if (slice_is(one, "!")) {
			snprintf(why, VERB_ARGS_WHY, "models: '!' stands before a pattern");
			return false;
		}
		if ((mem->len > from && buf_addc(mem, '\n')) || buf_adds(mem, one) ||
		    mem->len - from > ROWS_MODELS_MAX) {
			snprintf(why, VERB_ARGS_WHY, "models: at most %d bytes in all",
				 ROWS_MODELS_MAX);
			return false;
		}
	}
	k->models = slice_sub(buf_slice(mem), from, mem->len - from);
	return true;
}

static bool put_nets(struct slice text, struct rows_scope *k, char *why)
{
	struct slice one;

	k->nets_n = 0;
	while (next_entry(&text, &one)) {
		if (k->nets_n == ROWS_NETS_MAX) {
			snprintf(why, VERB_ARGS_WHY, "ip: at most %d ranges", ROWS_NETS_MAX);
			return false;
		}
		if (!ipnet_parse(one, &k->nets[k->nets_n++])) {
			snprintf(why, VERB_ARGS_WHY,
				 "ip: '" SLICE_FMT "' is no address or range, such as 10.0.0.0/8",
				 SLICE_ARG(slice_sub(one, 0, 64)));
			return false;
		}
	}
	return true;
}

static bool put_number(struct verb_args a, const char *name, int64_t least, int64_t *out, char *why)
{
	int64_t v = verb_args_i64(a, name, *out);

	if (v < least || v > MONEY_NUSD_MAX) {
		snprintf(why, VERB_ARGS_WHY, "%s: %lld is out of range, which ends at %lld", name,
			 (long long)v, (long long)MONEY_NUSD_MAX);
		return false;
	}
	*out = v;
	return true;
}

const char *verb_args_limit(enum rows_limit l)
{
	static const char *const names[] = {
#define LIMIT_ROW(id, name, text, counts, len_ms) #name,
#include "limits_tbl.h"
#undef LIMIT_ROW
	};

	return names[l];
}

static void no_room(const char *name, char *why)
{
	snprintf(why, VERB_ARGS_WHY, "%s: " RULE_ARGS_FULL, name, ROWS_RULES_MAX);
}

static bool put_limit(struct verb_args a, const char *name, struct rows_limits *l,
		      enum rows_limit kind, char *why)
{
	int64_t v = rows_limits_get(l, kind);

	if (!put_number(a, name, ROWS_NO_LIMIT, &v, why))
		return false;
	if (rows_limits_set(l, kind, v) == ERRC_OK)
		return true;
	no_room(kind == ROWS_BUDGET ? "budget" : name, why);
	return false;
}

static bool put_limits(struct verb_args a, struct rows_limits *l, char *why)
{
	for (unsigned i = 0; i < ROWS_LIMIT_COUNT; i++) {
		if (!put_limit(a, verb_args_limit((enum rows_limit)i), l, (enum rows_limit)i, why))
			return false;
	}
	return put_limit(a, "concurrency", l, ROWS_CONCURRENCY, why);
}

static bool put_window(struct verb_args a, struct window_spec *w, char *why)
{
	if (verb_args_has(a, "budget_period"))
		w->unit = window_unit_of(verb_args_str(a, "budget_period"));
	if (w->unit == WINDOW_COUNT) {
		snprintf(why, VERB_ARGS_WHY,
			 "period: minute, hour, day, week, month, quarter, year or total");
		return false;
	}
	if (verb_args_has(a, "rolling"))
		w->rolling = verb_args_bool(a, "rolling");
	if (w->rolling && w->unit == WINDOW_TOTAL) {
		snprintf(why, VERB_ARGS_WHY, "rolling: a total never ends");
		return false;
	}
	return true;
}

/* A name that is checked, and empty for UTC. */
static bool put_zone(struct verb_args a, struct slice *zone, char *why)
{
	struct slice name = verb_args_str(a, "zone");
	const struct zone *z;
	enum errc rc;

	if (!verb_args_has(a, "zone"))
		return true;
	rc = zones_find(name, &z);
	*zone = z ? name : SLICE_NONE;
	if (!rc)
		return true;
	if (rc == ERRC_INVAL || rc == ERRC_NOTFOUND)
		snprintf(why, VERB_ARGS_WHY,
			 "zone: no time zone '" SLICE_FMT "' is installed; they have names such as "
			 "Europe/Berlin (package tzdata)",
			 (int)MIN_OF(name.n, ZONES_NAME_MAX), name.p);
	else
		snprintf(why, VERB_ARGS_WHY, "zone: " SLICE_FMT " cannot be used: %s",
			 SLICE_ARG(name), errc_text(rc));
	return false;
}

static bool put_budget(struct verb_args a, struct rows_limits *l, char *why)
{
	const char *word = verb_args_has(a, "budget_period") ? "budget_period"
			   : verb_args_has(a, "rolling")     ? "rolling"
							     : "zone";
	struct rows_rule *r = rows_limits_find(l, ROWS_BUDGET);
	struct window_spec w = {.unit = WINDOW_MONTH};
	struct slice zone = SLICE_NONE;
	bool is_new = !r;

	if (r) {
		w = r->window;
		zone = r->zone;
	}
	if (!put_window(a, &w, why) || !put_zone(a, &zone, why) ||
	    !put_limit(a, "budget_nusd", l, ROWS_BUDGET, why))
		return false;
	/* The one that would be found now is another, which stays what it is. */
	if (verb_args_i64(a, "budget_nusd", 0) == ROWS_NO_LIMIT)
		return true;
	r = rows_limits_find(l, ROWS_BUDGET);
	if (r) {
		w.zone = zone.n ? zones_get(zone) : NULL;
		if (is_new)
			r->window = w;
		else
			rows_rule_set_window(r, w, clock_wall_s());
		r->zone = zone;
	}
	if (r || !verb_args_has(a, word))
		return true;
	snprintf(why, VERB_ARGS_WHY, "%s: there is no budget",
		 strcmp(word, "budget_period") == 0 ? "period" : word); /* as it is typed */
	return false;
}

/* No credit of its own: what it uses is its account's affair alone. */
static bool put_postpaid(struct verb_args a, struct rows_limits *l, char *why)
{
	struct rows_rule *r = rows_limits_credit(l);

	if (verb_args_has(a, "credit") || verb_args_has(a, "overdraft_nusd")) {
		snprintf(why, VERB_ARGS_WHY,
			 "postpaid: has no use for credit and overdraft, which it takes away");
		return false;
	}
	if (r)
		rows_limits_remove(l, r->id);
	return true;
}

static bool put_granted(struct slice text, struct rows_limits *l, char *why)
{
	struct rows_rule *r = rows_limits_credit(l);
	int64_t nusd;

	if (!rule_args_credit(text, r, &nusd)) {
		snprintf(
			why, VERB_ARGS_WHY,
			!r && text.n && text.p[0] == '+'
				? "credit: there is none to add to: give --credit DOLLARS without +"
				: "credit: dollars such as 5 or 0.25, or +5 for more than there "
				  "is, up "
				  "to 4000000000 in all");
		return false;
	}
	if (!r)
		r = rows_limits_add(l, ROWS_BUDGET, nusd);
	if (!r) {
		no_room("credit", why);
		return false;
	}
	r->credit = true;
	r->window.unit = WINDOW_TOTAL;
	r->limit = nusd;
	return true;
}

/* Of a team, a key or an end user; an account has a balance instead. */
static bool put_credit(struct verb_args a, struct rows_limits *l, char *why)
{
	struct rows_rule *r;

	if (verb_args_bool(a, "postpaid"))
		return put_postpaid(a, l, why);
	if (verb_args_has(a, "credit") && !put_granted(verb_args_str(a, "credit"), l, why))
		return false;
	r = rows_limits_credit(l);
	if (r)
		return put_number(a, "overdraft_nusd", 0, &r->raise, why);
	if (verb_args_has(a, "postpaid"))
		snprintf(why, VERB_ARGS_WHY,
			 "postpaid: off needs a credit: give --credit DOLLARS with it");
	else if (verb_args_has(a, "overdraft_nusd"))
		snprintf(why, VERB_ARGS_WHY,
			 "overdraft: there is no credit that it could be of: give --credit DOLLARS "
			 "with --overdraft");
	else
		return true;
	return false;
}

static bool put_name(struct verb_args a, struct rows_scope *k, char *why)
{
	struct slice name = verb_args_str(a, "name");

	if (!verb_args_has(a, "name"))
		return true;
	if (name.n > ROWS_NAME_MAX || (name.n && !user_tag_is_good(name))) {
		snprintf(why, VERB_ARGS_WHY,
			 "name: at most %d bytes of UTF-8 without control characters and spaces "
			 "at its ends",
			 ROWS_NAME_MAX);
		return false;
	}
	k->name = name;
	return true;
}

static bool put_keepalive(struct verb_args a, struct rows_scope *k, char *why)
{
	int64_t ms = verb_args_i64(a, "keepalive_ms", k->keepalive_ms);

	if (ms != ROWS_NO_LIMIT && (ms < 0 || ms > LIMIT_KEEPALIVE_MS || ms % 1000)) {
		snprintf(why, VERB_ARGS_WHY,
			 "keepalive: whole seconds up to an hour, 0 for off, or none");
		return false;
	}
	k->keepalive_ms = ms;
	return true;
}

static bool put_leave(struct slice word, struct rows_scope *k, char why[VERB_ARGS_WHY])
{
	bool drain = slice_is(word, "drain"), abort = slice_is(word, "abort");

	if (!drain && !abort && !slice_is(word, "node")) {
		snprintf(why, VERB_ARGS_WHY, "client_gone: abort, drain or node");
		return false;
	}
	k->flags = (uint8_t)((k->flags & ~(ROWS_KEY_DRAIN | ROWS_KEY_ABORT)) |
			     (drain ? ROWS_KEY_DRAIN : 0) | (abort ? ROWS_KEY_ABORT : 0));
	return true;
}

static bool is_of_each(const struct rows_scope *k)
{
	return k->kind == ROWS_USER && slice_is(k->name, ROWS_EVERY_USER);
}

/* What goes, goes first: an option beside it is about what stays, or makes anew. */
static bool put_rules(struct verb_args a, const struct rows_state *s, struct rows_scope *k,
		      struct buf *mem, char *why)
{
	struct rows_limits *l = &k->limits;

	if (l->n > 0 && verb_args_has(a, "limit") && verb_args_str(a, "limit").n == 0) {
		snprintf(why, VERB_ARGS_WHY,
			 "limit: none takes no limit away, limit-remove with its id does");
		return false;
	}
	return rule_args_remove(verb_args_str(a, "limit_remove"), l, why) &&
	       put_limits(a, l, why) && put_budget(a, l, why) &&
	       (k->kind == ROWS_ACCOUNT || put_credit(a, l, why)) &&
	       rule_args_put(verb_args_str(a, "limit"), clock_wall_s(), s, is_of_each(k), l, mem,
			     why);
}

/* An end that has passed is a slip, such as 0 for never; what it has already may be said again. */
static bool put_end(struct verb_args a, struct rows_scope *k, char *why)
{
	int64_t was_s = k->expires_s;

	if (!put_number(a, "expires_s", 0, &k->expires_s, why))
		return false;
	if (k->expires_s == 0 || k->expires_s == was_s || k->expires_s > clock_wall_s())
		return true;
	snprintf(why, VERB_ARGS_WHY,
		 "expires: that time is over: never takes an end away, to end it now suspend it, "
		 "or revoke the key");
	return false;
}

bool verb_args_scope(struct verb_args a, const struct rows_state *s, struct rows_scope *k,
		     struct buf *mem, char why[VERB_ARGS_WHY])
{
	char *room;

	if (buf_reserve(mem, VERB_ARGS_MEM, &room)) {
		snprintf(why, VERB_ARGS_WHY, "there is no memory");
		return false;
	}
	if (!put_name(a, k, why) || !put_rules(a, s, k, mem, why) || !put_end(a, k, why) ||
	    !put_keepalive(a, k, why))
		return false;
	if (verb_args_has(a, "models") && !put_models(verb_args_str(a, "models"), k, mem, why))
		return false;
	if (verb_args_has(a, "ip") && !put_nets(verb_args_str(a, "ip"), k, why))
		return false;
	if (verb_args_has(a, "shadow"))
		k->flags = (uint8_t)((k->flags & ~ROWS_SHADOW) |
				     (verb_args_bool(a, "shadow") ? ROWS_SHADOW : 0));
	if (verb_args_has(a, "clamp"))
		k->flags = (uint8_t)((k->flags & ~ROWS_KEY_CLAMP) |
				     (verb_args_bool(a, "clamp") ? ROWS_KEY_CLAMP : 0));
	if (verb_args_has(a, "client_gone") && !put_leave(verb_args_str(a, "client_gone"), k, why))
		return false;
	if (verb_args_has(a, "suspended") && k->status != ROWS_REVOKED)
		k->status = verb_args_bool(a, "suspended") ? ROWS_SUSPENDED : ROWS_ACTIVE;
	return true;
}

bool verb_args_span(struct verb_args a, int64_t *since_ms, int64_t *until_ms,
		    char why[VERB_ARGS_WHY])
{
	*since_ms = verb_args_i64(a, "since_ms", 0);
	*until_ms = verb_args_i64(a, "until_ms", INT64_MAX);
	if (*since_ms < *until_ms)
		return true;
	snprintf(why, VERB_ARGS_WHY,
		 "until: nothing is between since and until; a day ends where the next one begins");
	return false;
}

bool verb_args_is_new(const struct rows_scope *k, char why[VERB_ARGS_WHY])
{
	if (k->status != ROWS_ACTIVE)
		snprintf(why, VERB_ARGS_WHY, "suspended: what is new is active");
	else
		return true;
	return false;
}

bool verb_args_key_id(struct slice text, char id[APIKEY_ID + 1])
{
	struct slice s = apikey_trim(text), found;

	if (apikey_parse(s, &found))
		s = found;
	else if (slice_has_prefix(s, SLICE_LIT(KEY_TAG)))
		s = slice_sub(s, sizeof(KEY_TAG) - 1, s.n); /* the id as logs show it */
	if (s.n != APIKEY_ID)
		return false;
	memcpy(id, s.p, APIKEY_ID);
	id[APIKEY_ID] = '\0';
	return true;
}
