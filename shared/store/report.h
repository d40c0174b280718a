/* Usage reports from the ledger: charges added up by up to four dimensions over a time span. Whole days come from the
 * roll-ups (rollup.h); of a day of which the span has only a part, its records are added to them or taken from the whole,
 * whichever are fewer; and what the roll-ups do not have yet comes from the records: exact at any instant. Bounded memory: at most REPORT_ROWS_MAX rows, what falls beyond is added to one row
 * with empty names. */
#ifndef AIGW_REPORT_H
#define AIGW_REPORT_H

#include "ledger.h"

#define REPORT_ROWS_MAX 100000
#define REPORT_DIMS_MAX 4

enum report_dim {
#define REPORT_DIM(id, name) REPORT_##id,
#include "report_dim_tbl.h"
#undef REPORT_DIM
	REPORT_DIM_COUNT
};

struct report_ask {
	int64_t since_ms, until_ms;          /* wall time of the settlement: since <= t < until */
	enum report_dim by[REPORT_DIMS_MAX]; /* each once */
	size_t by_n;                         /* 0: one total */
	/* Only requests that are all of these. */
	uint64_t account;                  /* 0: of any */
	const char *key_id, *team;         /* ids; NULL: of any */
	struct slice model, provider, tag; /* p NULL: of any */
	/* Also what waits in the outbox of `names`, so that it is exact at any instant; for one key only. */
	bool waiting;
};

struct report_row {
	struct slice name[REPORT_DIMS_MAX]; /* "2026-11-25", a model, a key's public id, "account", "account/team", … */
	uint64_t requests, failed;
	int64_t input, cached, output, reasoning; /* tokens */
	int64_t charge_nusd, uncollected_nusd, cost_nusd;
};

struct report;

/* Sums up the ledger; rows come sorted by their names. Owned by the caller. Accounts and teams are named from the live store, those
 * that are not there by their number and id. ERRC_BUSY: too much waits in the outbox; ERRC_RANGE: the span has a part of a day whose records are no longer kept;
 * ERRC_TRUNCATED: it has such a day, and end users are asked for. Any thread but a loop. */
MUSTCHECK enum errc report_new(struct ledger *l, struct live *names, const struct report_ask *ask,
			       struct report **out);
void report_free(struct report **r);
size_t report_rows_n(const struct report *r);
/* Names are valid until report_free(); the total has none. */
struct report_row report_row_at(const struct report *r, size_t i);
struct report_row report_total(const struct report *r);

const char *report_dim_name(enum report_dim d);
/* REPORT_DIM_COUNT when there is no such name. */
enum report_dim report_dim_of(struct slice name);
/* Reads "day,model" into `ask`. ERRC_NOTFOUND: there is no such dimension; ERRC_LIMIT: they are too many; ERRC_EXISTS: one is there
 * twice. */
MUSTCHECK enum errc report_put_by(struct report_ask *ask, struct slice text);

#endif
