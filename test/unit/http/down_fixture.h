/* A client connection over a scripted transport, for the tests of down_conn. Its "call" answers when its request's body has ended,
 * with what it was sent, unless the path says otherwise (/stream, /cut, /early) or `manual` is set. */
#ifndef AIGW_DOWN_FIXTURE_H
#define AIGW_DOWN_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "down_conn.h"
#include "mem.h"
#include "mem_xport.h"

#define CALLS_MAX 64

struct fixture;

struct call {
	struct fixture *f;
	struct down_conn *dc;
	struct turn_task task;
	char target[64];
	struct buf body;
	bool ended, answered, sent, gone, writable;
	int fault;
};

struct fixture {
	uv_loop_t loop;
	struct turn *turn;
	struct down_opts opts;
	struct down_host *host;
	struct mem_xport *mem;
	struct call calls[CALLS_MAX];
	unsigned calls_n;
	bool manual; /* the test answers by itself */
	size_t room; /* the most that a call offers for the next bytes of its body; 0: nothing */
	int64_t now_ms;
};

/* The argument of setup and teardown becomes a struct fixture. */
void fix_answer(struct call *c, int status, const char *text);
int fix_setup(void **state);
int fix_teardown(void **state);
void fix_calls_clear(struct fixture *f);
void fix_reopen(struct fixture *f);
void fix_step(struct fixture *f);
void fix_advance(struct fixture *f, int64_t ms);
void fix_feed(struct fixture *f, struct slice data);
void fix_feedz(struct fixture *f, const char *text);
bool fix_out_has(struct fixture *f, const char *text);
void fix_expect_out(struct fixture *f, const char *text);
void fix_expect_end(struct fixture *f, const char *text);

#endif
