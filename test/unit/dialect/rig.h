/* A request and its answer driven through a front and a back the way a call does it, without sockets: any split of the provider's
 * bytes, one output. */
#ifndef AIGW_TEST_RIG_H
#define AIGW_TEST_RIG_H

#include "dialect.h"

struct rig {
	const struct dialect_front *front;
	const struct dialect_back *back;
	struct ptable_provider provider;
	struct ptable_offer offer;
	struct ptable_model model;
	struct dialect_env env;
	struct dialect_facts facts;
	struct fault fault;
	struct dialect_verdict verdict;
	struct arena arena;
	void *scan;
	struct slice body;
	struct buf out;   /* what the client gets */
	unsigned split;   /* bytes a push, 0: all at once */
	bool flush_each;  /* as if 250 ms passed after every push */
	bool long_answer; /* a whole one is not kept */
	/* What the events said. */
	bool ended, failed;
	unsigned events, commits, bad, errors_of_memory;
	uint64_t content_bytes, reasoning_bytes, sound_bytes, pictures;
	enum usage_tier tier;
	struct usage usage;
	bool has_usage;
	enum ir_finish finish;
};

void rig_init(struct rig *r, enum ptable_dialect back);
void rig_fini(struct rig *r);
/* Scans a request body, in pieces of `split`. The result is that of the scan. `body` is borrowed until rig_fini(). */
enum errc rig_ask(struct rig *r, enum dialect_op op, const char *body);
/* The provider's request body for it, in r->out. */
enum errc rig_write(struct rig *r, int64_t cap);
/* Drives the provider's answer through; r->out holds what the client gets. */
enum errc rig_answer(struct rig *r, struct slice bytes, bool stream);

#endif
