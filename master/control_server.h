/* The control socket: aigwctl's connections, their credentials and rights. What the master knows it answers (control_verb.h);
 * the other requests are handed with their socket to the keeper or a worker. */
#ifndef AIGW_CONTROL_SERVER_H
#define AIGW_CONTROL_SERVER_H

#include <uv.h>

#include "control.h"
#include "list.h"

struct master;
struct reload_result;

/* One connection. */
struct control_client {
	unsigned magic;
	struct list node;
	struct master *m;
	struct chan chan;
	uv_poll_t poll;
	uv_timer_t timer; /* the request must come, the answer be read, within a time */
	uint64_t uid, gid, pid, rights;
	uint64_t waits_for_run; /* of a reload; 0: none */
	bool waits_for_end;     /* of the drain */
	bool waits_for_log;     /* until all processes have the new file */
	bool ended;             /* the answer is complete: closed once it is sent */
	unsigned open_handles;
};

struct control_server {
	int fd; /* owned; -1 */
	uv_poll_t poll;
	uv_timer_t rest; /* no descriptor is left: not asked again at once */
	struct list clients;
	unsigned clients_n;
	char path[108];
};

/* Binds and listens. An old socket file is replaced: the caller holds the lock of the state folder. */
MUSTCHECK enum errc control_server_open(struct master *m, struct slice path, struct slice group);
/* Begins to serve, once the loop runs. */
void control_server_start(struct master *m);
/* Ends whoever waits for the end of the drain with `status`, closes all, removes the socket file. */
void control_server_close(struct master *m, int status);

/* For those who wait. */
void control_server_reloaded(struct master *m, const struct reload_result *res);
void control_server_log_sent(struct master *m);
void control_server_progress(struct master *m, const char *fmt, ...) PRINTF_LIKE(2, 3);

#endif
