/* One run of aigwctl: what the command line asked for, where output goes, how it ended. Commands get it and return their
 * exit status; what they print collects in `text` and is written when the command ends, or by themselves. */
#ifndef AIGW_CTL_H
#define AIGW_CTL_H

#include "parse.h"
#include "term.h"

/* Why a run failed. Printed by ctl_main() when the command has ended. */
struct ctl_fail {
	enum control_status status;
	char code[64]; /* empty: nothing to print */
	char message[4096], file[1024];
	unsigned line;
};

struct ctl {
	struct parse p;
	struct term out, err;
	struct put text;
	char *const *env; /* borrowed */
	int (*connect)(
		struct ctl *); /* a descriptor, or -1 with ctl_fail() called and connect_status set */
	enum control_status connect_status;
	struct ctl_fail fail;
	bool json;
	int die_of; /* the signal that this run ends by once all is told; 0: none */
	int answer_last_ms; /* once a signal is caught an answer may take so long still; 0: signals do not count */
	bool progress_shown; /* a line of progress stands on the terminal */
};

/* argv with the program's name. Descriptors and env are borrowed. `connect` is ctl_connect() but for tests. Returns the exit
 * status, contract B2. */
int ctl_main(int argc, char *const *argv, char *const *env, int out_fd, int err_fd,
	     int (*connect)(struct ctl *));
/* Connects to the control socket that options, environment or defaults name. */
int ctl_connect(struct ctl *c);

/* Notes the failure (the first one counts) and returns `status`. */
enum control_status ctl_fail(struct ctl *c, enum control_status status, const char *code,
			     const char *fmt, ...) PRINTF_LIKE(4, 5);
/* Writes what has been printed so far. False when that failed, which is noted. */
bool ctl_flush(struct ctl *c);

#endif
