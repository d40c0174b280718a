/* The master process: reads the configuration, binds the listening sockets, keeps keeper and workers running, reloads,
 * drains, answers aigwctl. Holds no store, no TLS, no HTTP. This header is private to master/: the parts share one struct;
 * each part's own header says what it does, and only that part writes its member. */
#ifndef AIGW_MASTER_H
#define AIGW_MASTER_H

#include <limits.h>

#include "child.h"
#include "config.h"
#include "control_server.h"
#include "drain.h"
#include "listeners.h"
#include "options.h"
#include "reload.h"
#include "supervisor.h"

#define SIGNALS_MAX 8

struct master {
	uv_loop_t loop;
	const struct options *opts;
	const char *config_path; /* what is read at each reload; NULL: the embedded default */
	struct config *boot; /* of the start: what waits for a restart stays as it says; may be `config` itself */
	struct config *config; /* the committed one */
	uint64_t config_generation;
	uint64_t generation; /* ours, in the page */
	struct page *page;
	struct drop_ids ids;
	int lock_fd, exe_fd;
	int state_fd; /* the state folder, as it was opened at the start */
	int log_fd;   /* of the log file, for children; -1 */
	char ledger_id[HERITAGE_LEDGER_ID + 1], state[PATH_MAX], live[PATH_MAX];
	int64_t started_ms; /* boot clock */
	bool ready;         /* keeper and all workers have been ready once */
	int exit_status;
	struct listeners listeners;
	struct supervisor sup;
	struct reload reload;
	struct drain drain;
	struct control_server ctl;
	uv_signal_t signals[SIGNALS_MAX];
	uv_timer_t alive, ticket_timer;
	struct {
		uint8_t name[4], key[32];
	} tickets[2]; /* this one and the one before */
};

/* Everything from the options to the exit status. */
int master_main(const struct options *opts);

/* The settings in force. */
const struct settings *master_settings(const struct master *m);
/* Sets up the master's own log from the settings; a file is opened here and its descriptor kept for the children. */
MUSTCHECK enum errc master_log(struct master *m, const struct settings *set);
/* Opens the log file anew and hands it out (SIGUSR1). */
MUSTCHECK enum errc master_log_reopen(struct master *m);
/* Sends the log file's descriptor to all children. */
void master_log_send(struct master *m);
/* Whether all children that it was sent to have it. */
bool master_log_is_sent(struct master *m);
/* Keeper and all workers are ready for the first time. */
void master_ready(struct master *m);
/* folders_give_state(); that it fails is logged. */
void master_give_state(struct master *m);
/* listeners_plan() with what the master knows of others on the addresses. */
MUSTCHECK enum errc master_plan_listeners(struct master *m, const struct settings *set,
					  struct list *fresh, struct buf *why);
/* The start has failed for a reason that a new try will not mend: says so and ends everything with status 1. */
void master_give_up(struct master *m, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Keeper and workers are gone: ends the loop. */
void master_finish(struct master *m, int status);

#endif
