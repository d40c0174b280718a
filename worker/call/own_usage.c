#include "own_usage.h"

#include "clock.h"
#include "json_out.h"
#include "own_body.h"
#include "report_pack.h"
#include "text.h"
#include "uri.h"

#define QUERY_MAX   128
#define DAY_MS      INT64_C(86400000)
#define CENT_PLACES 7 /* of a nano-dollar in cents */
/* As other gateways show it. */
#define UNLIMITED_NUSD (INT64_C(100000000) * MONEY_NUSD_DOLLAR)

/* --- the question --- */

static bool read_time(struct slice s, int64_t now_ms, int64_t *out)
{
	int64_t v;

	if (clock_parse(s, out))
		return true;
	if (text_i64(s, &v) && v >= 0 && v <= INT64_MAX / 1000) {
		*out = v * 1000;
		return true;
	}
	if (text_i64(s, &v) || !text_duration_ms(s, 1000, &v))
		return false;
	*out = MAX_OF(now_ms - v, INT64_C(0));
	return true;
}

/* True also when it is not given. */
static bool take_time(struct slice query, const char *name, int64_t now_ms, bool *given,
		      int64_t *out, struct fault *f)
{
	struct buf b;
	enum errc e;

	buf_init(&b, QUERY_MAX);
	e = uri_query_get(query, name, &b);
	*given = e != ERRC_NOTFOUND && !(e == ERRC_OK && b.len == 0);
	if (*given && (e || !read_time(buf_slice(&b), now_ms, out))) {
		fault_field(f, FAULT_INVALID_VALUE, name,
			    "`%s` is a date (2026-11-25), a time (2026-11-25T09:30:00Z), seconds "
			    "since 1970, or a span before now (7d).",
			    name);
		e = ERRC_INVAL;
	} else {
		e = ERRC_OK;
	}
	buf_fini(&b);
	return e == ERRC_OK;
}

static bool take_span(struct slice query, const char *since, const char *until, int64_t now_ms,
		      struct own_usage *out, struct fault *f)
{
	*out = (struct own_usage){.until_ms = INT64_MAX};
	return take_time(query, since, now_ms, &out->has_since, &out->since_ms, f) &&
	       take_time(query, until, now_ms, &out->has_until, &out->until_ms, f);
}

/* A span the wrong way round would tell of no use at all, as if there was none. */
static bool is_span(const struct own_usage *u, struct fault *f)
{
	if (!u->has_since || !u->has_until || u->since_ms < u->until_ms)
		return true;
	fault_field(
		f, FAULT_INVALID_VALUE, "until",
		"Nothing is between `since` and `until`; a day ends where the next one begins.");
	return false;
}

static const char *const filters[OWN_USAGE_FILTERS] = {
	[OWN_USAGE_MODEL] = "model", [OWN_USAGE_PROVIDER] = "provider", [OWN_USAGE_TEAM] = "team",
	[OWN_USAGE_TAG] = "tag",     [OWN_USAGE_ACCOUNT] = "account",   [OWN_USAGE_KEY] = "key",
};

static bool is_known(struct slice name)
{
	static const char *const others[] = {"since", "until", "by", "limit", "page"};

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		if (slice_is(name, others[i]))
			return true;
	}
	for (size_t i = 0; i < OWN_USAGE_FILTERS; i++) {
		if (slice_is(name, filters[i]))
			return true;
	}
	return false;
}

/* A filter that is misspelled, or the second of two, would be left out unseen: the answer would be of more than was asked for. */
static bool are_names(struct slice query, struct fault *f)
{
	char text[FAULT_PARAM_MAX];
	struct slice name, value, other;

	while (uri_query_next(&query, &name, &value)) {
		struct slice rest = query;

		fault_text(text, sizeof(text), name);
		if (!is_known(name)) {
			fault_field(
				f, FAULT_UNSUPPORTED_FIELD, text,
				"`%s` is no parameter of this: since, until, by, model, provider, "
				"team, tag, account, key, limit and page are.",
				text);
			return false;
		}
		while (uri_query_next(&rest, &other, &value)) {
			if (!slice_eq(name, other))
				continue;
			fault_field(f, FAULT_INVALID_VALUE, text, "`%s` is given twice.%s", text,
				    slice_is(name, "by") ? " Several go with commas: by=day,model."
							 : "");
			return false;
		}
	}
	return true;
}

static bool is_given(struct slice query, const char *key)
{
	struct slice name, value;

	while (uri_query_next(&query, &name, &value)) {
		if (slice_is(name, key))
			return true;
	}
	return false;
}

/* Empty when it is not given. */
static bool take_text(struct slice query, const char *name, char *room, size_t max, size_t *n,
		      struct fault *f)
{
	struct buf b;
	enum errc e;

	buf_init(&b, max);
	e = uri_query_get(query, name, &b);
	*n = e ? 0 : b.len;
	if (*n)
		memcpy(room, b.p, *n);
	buf_fini(&b);
	if (e && e != ERRC_NOTFOUND)
		fault_field(f, FAULT_INVALID_VALUE, name, "`%s` is too long.", name);
	return !e || e == ERRC_NOTFOUND;
}

/* 0 when it is not given. */
static bool take_limit(struct slice query, uint64_t *out, struct fault *f)
{
	char text[QUERY_MAX];
	size_t n;

	*out = 0;
	if (!take_text(query, "limit", text, sizeof(text), &n, f))
		return false;
	if (n == 0 || (text_u64(slice_of(text, n), out) && *out > 0))
		return true;
	fault_field(f, FAULT_INVALID_VALUE, "limit", "`limit` is a number of rows, at least 1.");
	return false;
}

static bool take_filter(struct slice query, enum own_usage_filter i, struct own_usage *out,
			struct fault *f)
{
	if (!take_text(query, filters[i], out->filter[i], OWN_USAGE_NAME_MAX, &out->filter_n[i], f))
		return false;
	out->has_filter[i] = is_given(query, filters[i]);
	if (!own_usage_is_none(out, i) || i == OWN_USAGE_TAG || i == OWN_USAGE_MODEL ||
	    i == OWN_USAGE_PROVIDER)
		return true;
	fault_field(f, FAULT_INVALID_VALUE, filters[i], "`%s` is empty.", filters[i]);
	return false;
}

bool own_usage_read(struct slice query, int64_t now_ms, struct own_usage *out, struct fault *f)
{
	size_t n = 0;

	if (!are_names(query, f) || !take_span(query, "since", "until", now_ms, out, f) ||
	    !is_span(out, f) || !take_limit(query, &out->limit, f) ||
	    !take_text(query, "page", out->page_text, sizeof(out->page_text), &n, f))
		return false;
	out->page = slice_of(out->page_text, n);
	if (!take_text(query, "by", out->text, sizeof(out->text), &n, f))
		return false;
	out->by = slice_of(out->text, n);
	for (size_t i = 0; i < OWN_USAGE_FILTERS; i++) {
		if (!take_filter(query, (enum own_usage_filter)i, out, f))
			return false;
	}
	return true;
}

struct slice own_usage_filter(const struct own_usage *u, enum own_usage_filter f)
{
	return slice_of(u->filter[f], u->filter_n[f]);
}

bool own_usage_is_none(const struct own_usage *u, enum own_usage_filter f)
{
	return u->has_filter[f] && u->filter_n[f] == 0;
}

bool own_usage_is_own(const struct own_usage *u, const struct auth_key *key, struct fault *f)
{
	struct slice account = own_usage_filter(u, OWN_USAGE_ACCOUNT);
	struct slice given = apikey_trim(own_usage_filter(u, OWN_USAGE_KEY)), id = given;

	(void)apikey_parse(given, &id); /* it may be what the request is authenticated with */
	if (account.n && !slice_is(account, key->account_name))
		fault_field(f, FAULT_INVALID_VALUE, "account",
			    "A key is told of its own use only: its account is `%s`.",
			    key->account_name);
	else if (id.n && !slice_is(id, key->id))
		fault_field(f, FAULT_INVALID_VALUE, "key",
			    "A key is told of its own use only: its public id is `%s`.", key->id);
	else
		return true;
	return false;
}

bool own_usage_read_billing(struct slice query, int64_t now_ms, struct own_usage *out,
			    struct fault *f)
{
	if (!take_span(query, "start_date", "end_date", now_ms, out, f))
		return false;
	if (out->has_since && out->has_until && out->since_ms > out->until_ms) {
		fault_field(f, FAULT_INVALID_VALUE, "end_date",
			    "`end_date` is before `start_date`.");
		return false;
	}
	out->by = SLICE_LIT("day,model");
	return true;
}

/* --- bodies --- */

static size_t names_in(struct slice by)
{
	struct slice one;
	size_t n = 0;

	for (; by.n; n++)
		(void)slice_cut(&by, ',', &one);
	return n;
}

static void put_time(struct json_out *o, const char *key, bool given, int64_t wall_ms)
{
	char text[CLOCK_TEXT_MAX];

	if (given)
		json_out_kstr(o, key, slice_of(text, clock_format_ms(wall_ms, text)));
	else
		json_out_knull(o, key);
}

static void put_names(struct json_out *o, struct slice by, const struct report_row *r)
{
	struct slice one;

	for (size_t i = 0; by.n; i++) {
		(void)slice_cut(&by, ',', &one);
		json_out_keys(o, one);
		json_out_str(o, r->name[i]);
	}
}

static void put_numbers(struct json_out *o, const struct report_row *r)
{
	json_out_ki64(o, "requests", (int64_t)r->requests);
	json_out_ki64(o, "failed", (int64_t)r->failed);
	json_out_ki64(o, "tokens_prompt", r->input);
	json_out_ki64(o, "tokens_cached", r->cached);
	json_out_ki64(o, "tokens_completion", r->output);
	json_out_ki64(o, "tokens_reasoning", r->reasoning);
	json_out_key(o, "cost");
	json_out_decimal(o, r->charge_nusd, 9, 1);
	json_out_key(o, "uncollected");
	json_out_decimal(o, r->uncollected_nusd, 9, 1);
}

static void put_head(struct json_out *o, const struct own_usage *ask, const struct auth_key *key)
{
	struct slice by = ask->by, one;

	json_out_kstrz(o, "object", "usage");
	json_out_kstrz(o, "account", key->account_name);
	json_out_kstrz(o, "key", key->id);
	put_time(o, "since", ask->has_since, ask->since_ms);
	put_time(o, "until", ask->has_until, ask->until_ms);
	json_out_key(o, "by");
	json_out_arr(o);
	while (by.n) {
		(void)slice_cut(&by, ',', &one);
		json_out_str(o, one);
	}
	json_out_arr_end(o);
}

static void put_row(struct json_out *o, struct slice by, const struct report_row *row)
{
	json_out_obj(o);
	put_names(o, by, row);
	put_numbers(o, row);
	json_out_obj_end(o);
}

/* The rows as objects in a list, the total behind it. ERRC_CORRUPT without a total. */
static enum errc put_rows(struct json_out *o, const struct own_usage *ask,
			  const struct msg_reported *m)
{
	size_t names = names_in(ask->by);
	bool is_total = false;
	struct report_row row;
	struct mpack_in in;
	int r;

	mpack_in_init(&in, m->rows);
	json_out_key(o, "data");
	json_out_arr(o);
	while ((r = report_unpack(&in, names, &row, &is_total)) > 0 && !is_total)
		put_row(o, ask->by, &row);
	json_out_arr_end(o);
	if (r < 0 || !is_total)
		return r < 0 ? (enum errc) - r : ERRC_CORRUPT;
	json_out_key(o, "total");
	put_row(o, SLICE_NONE, &row);
	return ERRC_OK;
}

enum errc own_usage_body(const struct own_usage *ask, const struct auth_key *key,
			 const struct msg_reported *m, struct buf *out)
{
	struct json_out o;
	enum errc e;

	json_out_init(&o, out);
	json_out_obj(&o);
	put_head(&o, ask, key);
	e = put_rows(&o, ask, m);
	if (e)
		return e;
	json_out_kbool(&o, "has_more", m->next.n > 0);
	if (m->next.n)
		json_out_kstr(&o, "next_page", m->next);
	else
		json_out_knull(&o, "next_page");
	json_out_obj_end(&o);
	return json_out_end(&o);
}

/* --- the running day, week and month --- */

struct begins {
	int64_t day_ms, week_ms, month_ms;
};

static struct begins begins_at(int64_t now_ms)
{
	int64_t day = now_ms / DAY_MS;
	int y, m, d;

	clock_date(day, &y, &m, &d);
	/* 1970-01-01 was a Thursday. */
	return (struct begins){day * DAY_MS, (day - (day + 3) % 7) * DAY_MS, (day - d + 1) * DAY_MS};
}

int64_t own_usage_spent_since(int64_t now_ms)
{
	struct begins b = begins_at(now_ms);

	return MIN_OF(b.week_ms, b.month_ms);
}

bool own_usage_spent(const struct msg_reported *m, int64_t now_ms, struct own_usage_spent *out)
{
	struct begins b = begins_at(now_ms);
	bool is_total = false;
	struct report_row row;
	struct mpack_in in;
	int64_t ms;
	int r;

	*out = (struct own_usage_spent){.day_nusd = 0};
	mpack_in_init(&in, m->rows);
	while ((r = report_unpack(&in, 1, &row, &is_total)) > 0 && !is_total) {
		/* A day to come is from before the clock was set back. */
		if (!clock_parse(row.name[0], &ms) || ms > b.day_ms)
			continue;
		out->day_nusd += ms >= b.day_ms ? row.charge_nusd : 0;
		out->week_nusd += ms >= b.week_ms ? row.charge_nusd : 0;
		out->month_nusd += ms >= b.month_ms ? row.charge_nusd : 0;
	}
	return r > 0;
}

/* --- OpenAI's dashboard --- */

static void put_cents(struct json_out *o, const char *key, int64_t nusd)
{
	json_out_key(o, key);
	json_out_decimal(o, nusd, CENT_PLACES, 1);
}

static void begin_day(struct json_out *o, struct slice day)
{
	int64_t ms = 0;

	(void)!clock_parse(day, &ms);
	json_out_obj(o);
	json_out_ki64(o, "timestamp", ms / 1000);
	json_out_key(o, "line_items");
	json_out_arr(o);
}

static void end_day(struct json_out *o)
{
	json_out_arr_end(o);
	json_out_obj_end(o);
}

/* One object a day, one item a model; rows come by day. */
static enum errc put_days(struct json_out *o, struct mpack_in *in, struct report_row *row)
{
	struct slice day = SLICE_NONE;
	bool is_total = false;
	int r;

	while ((r = report_unpack(in, 2, row, &is_total)) > 0 && !is_total) {
		if (!slice_eq(day, row->name[0])) {
			if (day.n)
				end_day(o);
			day = row->name[0];
			begin_day(o, day);
		}
		json_out_obj(o);
		json_out_kstr(o, "name", row->name[1]);
		put_cents(o, "cost", row->charge_nusd);
		json_out_obj_end(o);
	}
	if (day.n)
		end_day(o);
	if (r < 0)
		return (enum errc) - r;
	return is_total ? ERRC_OK : ERRC_CORRUPT;
}

enum errc own_usage_billing(const struct msg_reported *m, const struct auth_usage *u,
			    struct buf *out)
{
	struct report_row row;
	struct mpack_in in;
	struct json_out o;
	enum errc e;

	mpack_in_init(&in, m->rows);
	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_kstrz(&o, "object", "list");
	json_out_key(&o, "daily_costs");
	json_out_arr(&o);
	e = put_days(&o, &in, &row);
	json_out_arr_end(&o);
	if (e)
		return e;
	put_cents(&o, "total_usage", u->charged_nusd);
	json_out_obj_end(&o);
	return json_out_end(&o);
}

/* Clients want a number where nothing limits the key. */
static int64_t left_nusd(const struct auth_usage *u)
{
	int64_t left = own_body_left_nusd(u);

	return left == OWN_BODY_NO_END ? UNLIMITED_NUSD : left;
}

enum errc own_usage_subscription(const struct auth_key *key, const struct auth_usage *u,
				 struct buf *out)
{
	static const char *const limits[] = {"soft_limit_usd", "hard_limit_usd",
					     "system_hard_limit_usd"};
	struct json_out o;

	json_out_init(&o, out);
	json_out_obj(&o);
	json_out_kstrz(&o, "object", "billing_subscription");
	json_out_kbool(&o, "has_payment_method", true);
	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		json_out_key(&o, limits[i]);
		json_out_decimal(&o, u->charged_nusd + left_nusd(u), 9, 1);
	}
	json_out_ki64(&o, "access_until", key->expires_s);
	json_out_kstrz(&o, "account_name", key->account_name);
	json_out_obj_end(&o);
	return json_out_end(&o);
}
