/* Log lines: level, event name, message, typed fields; written as key=value text or JSON with the same names, UTC. Lines go
 * through a ring of 256 KiB and a thread of their own, never a blocking write on a loop: when the ring is full the line
 * is dropped and counted. Never pass bodies, keys or other secrets. */
#ifndef AIGW_LOG_H
#define AIGW_LOG_H

#include "errc.h"
#include "slice.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
enum log_format { LOG_TEXT, LOG_JSON };
enum log_type { LOG_T_STR, LOG_T_I64, LOG_T_U64, LOG_T_MS, LOG_T_NUSD, LOG_T_BOOL };

struct log_field {
	const char *name;
	enum log_type type;
	union {
		struct slice s;
		int64_t i;
		uint64_t u;
	};
};

#define LOG_S(n, v) ((struct log_field){.name = (n), .type = LOG_T_STR, .s = (v)})
#define LOG_Z(n, v) LOG_S(n, slice_str(v))
#define LOG_I(n, v) ((struct log_field){.name = (n), .type = LOG_T_I64, .i = (int64_t)(v)})
#define LOG_U(n, v) ((struct log_field){.name = (n), .type = LOG_T_U64, .u = (uint64_t)(v)})
#define LOG_MS(n, v)         \
	((struct log_field){ \
		.name = (n), .type = LOG_T_MS, .i = (int64_t)(v)}) /* value in microseconds */
#define LOG_NUSD(n, v) ((struct log_field){.name = (n), .type = LOG_T_NUSD, .i = (int64_t)(v)})
#define LOG_B(n, v)    ((struct log_field){.name = (n), .type = LOG_T_BOOL, .i = (v) ? 1 : 0})

struct log_opts {
	/* "stderr", "file:PATH", "syslog" (or "syslog:PATH of the socket"), "fd:N" for a log file that was opened for us, whose
	 * descriptor becomes ours. Borrowed during the call. */
	const char *to;
	enum log_format format;
	enum log_level level;
	const char *process; /* "master", "keeper", "worker-1": in every line; static or valid for the process's life */
};

/* All these are for the thread that runs the process. After a fork only the child's exec may follow, no line.
 * Before log_start() lines go straight to stderr as text. log_start() opens the target and starts the writer thread;
 * called again it switches target, format and level (reload), or opens the same file anew (USR1). Opening fails: the old target stays, errno's code returned. */
MUSTCHECK enum errc log_start(const struct log_opts *o);
/* Whether log_start() could open the target now: opens it (a file is made) and closes it again. */
MUSTCHECK enum errc log_try(const char *to);
/* Flushes within one second and ends the thread; later lines are written to the target directly. */
void log_stop(void);
/* Lines lost because the ring was full or the target refused them. */
uint64_t log_dropped(void);
bool log_wants(enum log_level level);

/* The event is a static word ("worker_started"); the message is for people. */
void log_event(enum log_level level, const char *event, const struct log_field *fields, size_t n,
	       const char *fmt, ...) PRINTF_LIKE(5, 6);
/* A line of fields only, such as the access line; time and process are added. */
void log_line(enum log_level level, const char *event, const struct log_field *fields, size_t n);

/* Written at once past the ring, and to stderr too: for a process that is about to abort. */
void log_now(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_error(event, ...) log_event(LOG_ERROR, event, NULL, 0, __VA_ARGS__)
#define log_warn(event, ...)  log_event(LOG_WARN, event, NULL, 0, __VA_ARGS__)
#define log_info(event, ...)  log_event(LOG_INFO, event, NULL, 0, __VA_ARGS__)
#define log_debug(event, ...)                                              \
	do {                                                               \
		if (log_wants(LOG_DEBUG))                                  \
			log_event(LOG_DEBUG, event, NULL, 0, __VA_ARGS__); \
	} while (0)

#endif
