/* The ledger as text, one JSON object a line, complete and in order, so that somebody who trusts none of our code can
 * recompute it (tools/verify_export.py, verify_export_books.py):
 *
 *	{"export":2,"what":…,"first_seq":…,"last_seq":…,"before":…,…}    first: what follows; `before` is the chain's hash in
 *	                                                                 front of first_seq
 *	{"opening":ACCOUNT,…}                    what the records that are no longer kept added up to, for each account
 *	{"seal":DAY,"last_seq":N,"head":HASH,…}  a day's seal, behind record N; those of days that are no longer kept come first
 *	{"sealed":ACCOUNT,"at_seq":N,…}          what that seal says of each account
 *	{"price":HASH,…,"bytes":BASE64}          a price row, before the first charge that names it; the hash is SHA-256 of bytes
 *	{"seq":N,…,"hash":HASH,"bytes":BASE64}   a record: all fields by name, then SHA-256(hash before | bytes)
 *	{"sums":ACCOUNT,…,"at_seq":N}            what the records add up to for an account, as the ledger keeps it; behind the
 *	                                         last record, where the first line says `sums`
 *	{"end":true,"records":N,"head":HASH,…}   last: without it the export was cut
 *
 * Numbers are exact integers, money in nano-dollars. */
#ifndef AIGW_EXPORT_H
#define AIGW_EXPORT_H

#include "ledger.h"

/* 1: seals did not say `sealed_on`. */
#define EXPORT_FORMAT 2

struct export_ask {
	/* Wall time of the records. A chain has no holes: what is exported is the run of records that holds all of the span,
	 * up to 2 * LEDGER_SLACK_MS more at either end. 0 and INT64_MAX: everything. */
	int64_t since_ms, until_ms;
	/* Not all of it, to be read or kept elsewhere: nothing can be recomputed from these alone. At most one. */
	bool changes; /* only administrative changes */
	bool seals;   /* only the seals of days that the span has a part of */
};

struct export_sink {
	/* Whole lines, some tens of KiB at a time and never above half a MiB, valid during the call, which may wait: no transaction is open. The first
	 * error ends the export and is returned. */
	enum errc (*lines)(void *arg, struct slice text);
	void (*progress)(void *arg, int permille); /* may be NULL */
	void *arg;
};

/* Any thread but a loop, also while the keeper writes: ends with what was the last record at its begin. ERRC_RANGE, before any line: records of
 * the span have been removed, and it was not everything that was asked for (retain_first_day()); seals are there for ever. */
MUSTCHECK enum errc export_ledger(struct ledger *l, const struct export_ask *ask,
				  const struct export_sink *sink);

#endif
