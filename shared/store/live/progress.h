/* How far each call has come: 64 bytes a call, and 32 of its attempts, in a file that is mapped by its worker and the keeper, written before the bytes
 * go to the client, so that a dead worker's requests can be settled on what was delivered. Numbers only grow during a
 * call, each is one aligned store, so a slot cut off in the middle of an update is a valid earlier state. Used only if the
 * request id matches, charged at most to the hold. Its first page counts the holds of each process. */
#ifndef AIGW_PROGRESS_H
#define AIGW_PROGRESS_H

#include <stdatomic.h>

#include "genid.h"
#include "usage.h"

#define PROGRESS_NO_SLOT UINT32_MAX

enum {
	PROGRESS_USAGE = 1 << 0,  /* `tokens` is what the provider reported */
	PROGRESS_FINISH = 1 << 1, /* a finish reason was seen */
	/* Sound or pictures came: their tokens stand in the place of cache_write_1h. */
	PROGRESS_SOUND = 1 << 2,
	PROGRESS_PICTURES = 1 << 3,
	PROGRESS_ESTIMATED = 1 << 4, /* not all of it as reported */
};

struct progress_slot {
	uint8_t id[GENID_BYTES]; /* all 0: free */
	uint64_t account;
	/* Changed at once: flags (5 bits, the lowest), tier (3), the candidate's index in the hold row (8), what attempts that
	 * were given up cost us (48, nano-dollars) */
	_Atomic uint64_t state;
	_Atomic uint32_t seen; /* tokens of content sent, by its pieces or bytes */
	_Atomic uint16_t images, searches;
	/* input, cache_read, cache_write_5m, cache_write_1h, output, reasoning; the last one also as it was seen */
	_Atomic uint32_t tokens[6];
};

struct progress;

/* A free slot of this process's region for the call, cleared and named; PROGRESS_NO_SLOT when all are in use (then the
 * request must be refused: the sweeper finds the holds of a dead process by its slots). Before admission. */
uint32_t progress_take(struct progress *p, uint64_t account, const struct genid *id);
/* After the settlement's commit, or after a refusal. */
void progress_give(struct progress *p, uint32_t slot);
/* Borrowed; valid from progress_take() to progress_give(). */
struct progress_slot *progress_at(struct progress *p, uint32_t slot);

/* Records the candidate that a new attempt goes to, and that nothing was received from it yet. */
void progress_attempt(struct progress_slot *s, uint32_t candidate);
/* Records that it was given up, and what all that were have cost us: nothing is charged for it. */
void progress_lose(struct progress_slot *s, int64_t cost_nusd);
/* Records numbers that are known: `reported` by the provider, or our estimate of the input and count of the pieces. What has no place goes to
 * one of its side, and all of it counts as estimated: sound and pictures of the input to the input; of sound and pictures that came the
 * smaller to the output; beside them, what is written for an hour to what is for five minutes. */
void progress_usage(struct progress_slot *s, const struct usage *u, bool reported);
/* Raises the content, that which is about to be sent included, to `n` tokens. */
void progress_seen(struct progress_slot *s, int64_t n);
/* Raises the reasoning among it to `n` tokens, unless as much was reported. */
void progress_reasoning(struct progress_slot *s, int64_t n);
void progress_finish(struct progress_slot *s);

/* What an orphan is charged for: usage that was reported, with what came beyond it, as progress_usage() has it; else the input with
 * output = what was seen, marked as estimated. False when the slot belongs to another request, or when nothing came that would be charged. */
bool progress_read(struct progress *p, uint32_t slot, const struct genid *id, uint32_t *candidate,
		   struct usage *out);

/* An attempt. Of more than PROGRESS_TRIES the first ones are kept, and the last. */
#define PROGRESS_TRIES 4
struct progress_try {
	uint32_t candidate;   /* index in the hold row */
	uint16_t status;      /* of the provider's answer; 0: none by now */
	bool failed;          /* it was given up */
	int64_t start_ms, ms; /* since admission; from its start to its end, -1: it runs */
};

/* Notes the call's attempt `n`, from 0 on in the order of their starts, as it stands. */
void progress_note_try(struct progress *p, uint32_t slot, size_t n, const struct progress_try *t);
/* The number of those that were noted; 0 when the slot belongs to another request. */
size_t progress_read_tries(struct progress *p, uint32_t slot, const struct genid *id,
			   struct progress_try out[PROGRESS_TRIES]);

/* What attempts that were given up cost us; 0 when the slot belongs to another request. */
int64_t progress_lost_nusd(struct progress *p, uint32_t slot, const struct genid *id);

/* A word that all processes share: the keeper sets it while the last ledger commit failed; then nothing is admitted. */
void progress_set_ledger_failed(struct progress *p, bool failed);
bool progress_ledger_failed(const struct progress *p);

#endif
