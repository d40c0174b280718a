/* What the simulator has sent, so that a test can compare the ledger with the provider's own count. Lives in memory that forked processes
 * share; the log of requests keeps the last COUNT_LOG. */
#ifndef AIGW_COUNT_H
#define AIGW_COUNT_H

#include <stdatomic.h>

#include "buf.h"

#define COUNT_LOG   8192
#define COUNT_MODEL 160

struct count_request {
	uint64_t serial;
	char key[24]; /* end of the credential */
	char model[COUNT_MODEL];
	char user[64];                 /* the tag of an end user in the body */
	int64_t input, output, cached; /* reported when whole; output sent until now */
	int64_t events;
	int64_t bytes;
	int status;
	bool whole, aborted;
};

struct count {
	_Atomic uint64_t connections, tls_handshakes, requests, aborted, whole, input_tokens,
		output_tokens, bytes;
	_Atomic uint64_t serial;
	_Atomic uint64_t fails[256]; /* by hash of a model name: for fail_first */
	struct count_request log[COUNT_LOG];
};

/* Shared with processes forked later. NULL when there is no memory. */
struct count *count_new(void);
void count_reset(struct count *c);
/* The place of a request in the log; overwritten COUNT_LOG requests later. */
struct count_request *count_at(struct count *c, uint64_t serial);
MUSTCHECK enum errc count_json(struct count *c, bool with_log, struct buf *out);

#endif
