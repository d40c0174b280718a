/* One child process, keeper or worker, as the master sees it: pid, channel, page row, state. It is started with a
 * heritage, brought to the committed table by messages, and watched by its channel and by SIGCHLD. What comes from it goes
 * up through struct child_events. */
#ifndef AIGW_CHILD_H
#define AIGW_CHILD_H

#include <uv.h>

#include "drop.h"
#include "heritage.h"
#include "msg.h"
#include "page.h"

/* EMPTY: no process. STARTING: until READY. ENDING: told to drain or to be replaced; its death is expected. */
enum child_state { CHILD_EMPTY, CHILD_STARTING, CHILD_READY, CHILD_ENDING };

struct child;
struct child_link;

struct child_events {
	/* m is valid during the call. */
	void (*message)(void *arg, struct child *c, struct msg *m);
};

struct child {
	enum heritage_role role;
	unsigned slot;
	enum child_state state;
	pid_t pid;               /* 0 when EMPTY */
	struct child_link *link; /* owned; channel and poll handle; NULL once closed */
	unsigned page_slot;
	int bell_fd;               /* owned; outlives the processes of this slot */
	uint64_t asked, committed; /* table generations: last PREPARE and last COMMIT sent */
	bool prepared;             /* answered PREPARED to `asked` */
	bool reopens_log;          /* was sent LOG_REOPEN and has not answered */
	bool failed;               /* said why it ends */
	unsigned early_deaths;     /* in a row, before READY */
	int64_t started_ms;
	const struct child_events *ev;
	void *arg;
};

/* What every start needs; borrowed during child_start(). */
struct child_env {
	uv_loop_t *loop;
	struct page *page;
	const struct drop_ids *ids;
	int exe_fd;
	int state_fd;             /* the state folder: the keeper's working directory */
	struct heritage heritage; /* all but role, slot, page_slot, chan_fd, bell_fd */
};

/* ev and arg are borrowed until child_fini(). */
MUSTCHECK enum errc child_init(struct child *c, enum heritage_role role, unsigned slot,
			       const struct child_events *ev, void *arg);
/* Closes the channel; the process is left alone. */
void child_fini(struct child *c);

/* fork and exec; the child is STARTING then. */
MUSTCHECK enum errc child_start(struct child *c, const struct child_env *env);
/* A channel that fails is closed and the process killed: its death is then seen as any other. m->fds are borrowed. */
void child_send(struct child *c, const struct msg *m);
/* SIGKILL, with a log line. */
void child_kill(struct child *c, const char *reason);
/* After waitpid() saw its end: the slot is EMPTY, the page row cleared. A death before READY is counted. */
void child_ended(struct child *c, struct page *page);
static inline bool child_is_up(const struct child *c)
{
	return c->state == CHILD_STARTING || c->state == CHILD_READY;
}
/* "keeper" or "worker 3"; valid until the next call. */
const char *child_name(const struct child *c);

/* How long to wait after `early_deaths` deaths in a row before READY: at once, then 100 ms doubled up to 30 s. */
int64_t child_backoff_ms(unsigned early_deaths);

#endif
