/* What a key has used, for the key itself: GET /v1/usage, and the two routes of OpenAI's old dashboard that chat clients still
 * read their balance from. Reads the question from the query and writes the body from the keeper's answer. Pure; bodies go
 * behind what `out` holds. */
#ifndef AIGW_OWN_USAGE_H
#define AIGW_OWN_USAGE_H

#include "auth.h"
#include "fault.h"
#include "msg.h"
#include "report_page.h"

#define OWN_USAGE_BY_MAX   64
#define OWN_USAGE_NAME_MAX 200 /* of a filter: no name is longer */
#define OWN_USAGE_PAGE_MAX REPORT_PAGE_CURSOR_MAX

/* Only requests that are all of these; not given: of any. An empty tag, model or provider: only those without one. */
enum own_usage_filter {
	OWN_USAGE_MODEL,
	OWN_USAGE_PROVIDER,
	OWN_USAGE_TEAM,
	OWN_USAGE_TAG,
	OWN_USAGE_ACCOUNT, /* the last two can only be the own ones */
	OWN_USAGE_KEY,
	OWN_USAGE_FILTERS
};

struct own_usage {
	bool has_since, has_until;
	int64_t since_ms, until_ms;
	struct slice by; /* "day,model", into `text` */
	char text[OWN_USAGE_BY_MAX];
	uint64_t limit;    /* 0: none */
	struct slice page; /* into `page_text`; empty: the first */
	char page_text[OWN_USAGE_PAGE_MAX];
	size_t filter_n[OWN_USAGE_FILTERS];
	bool has_filter[OWN_USAGE_FILTERS];
	char filter[OWN_USAGE_FILTERS][OWN_USAGE_NAME_MAX];
};

/* GET /v1/usage?since&until&by&model&provider&team&tag&account&key&limit&page: times as a date, RFC 3339, seconds since 1970, or a
 * span before now. False: the fault is set, also of a name that is none of these or stands there twice. */
bool own_usage_read(struct slice query, int64_t now_ms, struct own_usage *out, struct fault *f);
struct slice own_usage_filter(const struct own_usage *u, enum own_usage_filter f);
/* It is given, and empty. */
bool own_usage_is_none(const struct own_usage *u, enum own_usage_filter f);
/* Whether account and key, where given, are those of the key that asks; if not, the fault is set. */
bool own_usage_is_own(const struct own_usage *u, const struct auth_key *key, struct fault *f);
/* GET /v1/dashboard/billing/usage?start_date&end_date: likewise; the end is not in it. By day and model. Other names are
 * passed over: clients of other gateways have some. */
bool own_usage_read_billing(struct slice query, int64_t now_ms, struct own_usage *out,
			    struct fault *f);

/* Of GET /v1/key: what was spent since 00:00 UTC today, on Monday and on the first of the month, until now by the clock. */
struct own_usage_spent {
	int64_t day_nusd, week_nusd, month_nusd;
};
/* From when on a report by day is needed for that; and reads it. False when it is none. */
int64_t own_usage_spent_since(int64_t now_ms);
bool own_usage_spent(const struct msg_reported *m, int64_t now_ms, struct own_usage_spent *out);

/* ERRC_CORRUPT when the answer does not fit the question. */
MUSTCHECK enum errc own_usage_body(const struct own_usage *ask, const struct auth_key *key,
				   const struct msg_reported *m, struct buf *out);
/* total_usage in cents: all that the key has used, whatever the dates, since clients take it from hard_limit_usd and ask for a month
 * or for ninety days. Only daily_costs are of the dates. */
MUSTCHECK enum errc own_usage_billing(const struct msg_reported *m, const struct auth_usage *u,
				      struct buf *out);
/* GET /v1/dashboard/billing/subscription. hard_limit_usd is what the key has used and may still use: clients show the
 * difference to total_usage as what is left. */
MUSTCHECK enum errc own_usage_subscription(const struct auth_key *key, const struct auth_usage *u,
					   struct buf *out);

#endif
