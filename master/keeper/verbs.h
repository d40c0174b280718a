/* The control verbs that the keeper serves; their arguments and rows are described in verb_args_tbl.h. */
#ifndef AIGW_VERBS_H
#define AIGW_VERBS_H

#include <stdatomic.h>

#include "control.h"
#include "pepper.h"
#include "stores.h"
#include "trust.h"
#include "verb_args.h"
#include "verify.h"

/* Where a verb is served: those that write on the ledger thread, one after the other; short reads on a thread of the loop's
 * pool; reports that read the ledger from end to end likewise, but one at a time. */
enum verbs_place { VERBS_ON_LEDGER, VERBS_READ, VERBS_REPORT, VERBS_NOT_OURS };
enum verbs_place verbs_place_of(enum control_verb v);

/* An answer of which aigwctl has read nothing for so long is given up: whoever is held up by it waits no longer. (A pipe into a
 * pager, or a slow disk, takes its time.) */
#define VERBS_STALL_MS 60000

/* A request under way, with all that its function may use; borrowed. */
struct verbs {
	enum control_verb verb;
	struct verb_args args;
	struct chan *chan;
	struct stores *stores; /* for verbs_run() */
	struct live *live;     /* held while the request is served */
	struct ledger *ledger;
	struct admin *admin; /* on the ledger thread; else NULL */
	struct pepper *pepper;
	struct trust *trust;
	const char *who;             /* unix user */
	const atomic_bool *cancel;   /* the keeper ends */
	bool peppers;                /* result: it goes on once all workers know the newest one */
	bool known;                  /* they do */
	char revoked[APIKEY_ID + 1]; /* result: this key's running requests are to be cancelled */
	enum errc failed;            /* result: the ledger did; for the writer */
	bool ended;                  /* END is sent or queued */
	bool taken;                  /* the outbox was to be taken over before the report */
	enum errc not_taken;         /* why some of it is not in the ledger; ERRC_OK: all is */
	int64_t not_taken_n;         /* how many records; -1: that cannot be told */
	/* A function that is not done yet says where it goes on; what it needs there is in `state`, which is freed with the
	 * request (mem_free). */
	enum verbs_place next;
	void *state;
};

/* Serves the request, to its END when v->next is VERBS_NOT_OURS afterwards. */
void verbs_run(struct verbs *v);

/* For the functions. Once the peer has gone they give its error: the function gives up. */
MUSTCHECK enum errc verbs_row(struct verbs *v, const char *kind, const struct control_field *f,
			      size_t n);
/* Statuses and codes as above; does nothing after the first. */
void verbs_end(struct verbs *v, enum control_status status, const char *code, const char *fmt, ...)
	PRINTF_LIKE(4, 5);
/* The END of a store's code: done, not_found, exists, … `what` names the object in the message. */
void verbs_end_errc(struct verbs *v, enum errc e, const char *what);
/* The same for a change that v->failed tells about; `durable` as admin.h says. */
void verbs_end_write(struct verbs *v, bool durable, const char *what);
/* The end of a report that is right as far as it goes; says so when the ledger could not take all that has ended. */
void verbs_end_report(struct verbs *v);
/* Who changes what, when. */
struct admin_by verbs_by(const struct verbs *v);
/* By name or number; on failure END is sent and the result is false. */
bool verbs_account(struct verbs *v, struct slice name, uint64_t *account);
/* The id of this team of the account, by name or id; as above. */
bool verbs_team(struct verbs *v, uint64_t account, struct slice name, char id[ROWS_ID]);
/* The options of a scope that are given, into `k`, see verb_args_scope(); as above. */
bool verbs_options(struct verbs *v, struct rows_scope *k, struct buf *mem);
/* The public id in the argument `key`; as above. */
bool verbs_key(struct verbs *v, char id[APIKEY_ID + 1]);
/* A row `finding` for each thing that is wrong with the records. */
MUSTCHECK enum errc verb_verify_findings(struct verbs *v, const struct verify_result *r);

/* The functions, by file. */
void verb_account_write(struct verbs *v);
void verb_account_read(struct verbs *v);
void verb_key_write(struct verbs *v);
void verb_key_read(struct verbs *v);
void verb_import(struct verbs *v);
void verb_pepper_read(struct verbs *v);
void verb_pepper_write(struct verbs *v);
void verb_team_write(struct verbs *v);
void verb_team_read(struct verbs *v);
void verb_user_write(struct verbs *v);
void verb_user_read(struct verbs *v);
void verb_usage(struct verbs *v);
void verb_request(struct verbs *v);
void verb_limit(struct verbs *v);
void verb_backup(struct verbs *v);
void verb_verify(struct verbs *v);
void verb_export(struct verbs *v);

#endif
