/* Runs aigwctl against a scripted answer: the rows and the end are written into a socketpair before it connects, the request
 * is read from it afterwards; output goes to files in memory. */
#ifndef AIGW_RIG_H
#define AIGW_RIG_H

#include "control.h"

struct rig {
	int peer;         /* the daemon's side; -1: nobody answers */
	int client;       /* what the next connect gives */
	struct chan chan; /* over peer */
	char *env[4];
	int status;                  /* of the last run */
	char out[65536], err[16384]; /* what it printed */
	char verb[64];               /* that it sent; empty: none */
	char args[65536];
	struct control_field f[CONTROL_FIELDS_MAX]; /* point into args */
	size_t n;
};

/* An open connection without an answer yet. */
void rig_init(struct rig *r);
void rig_fini(struct rig *r);
void rig_row(struct rig *r, const char *kind, const struct control_field *f, size_t n);
#define RIG_ROW(r, kind, ...)                                         \
	rig_row(r, kind, (const struct control_field[]){__VA_ARGS__}, \
		sizeof((const struct control_field[]){__VA_ARGS__}) / sizeof(struct control_field))
void rig_end(struct rig *r, enum control_status status, const char *code, const char *message,
	     const char *file, unsigned line);
/* A good end. */
void rig_done(struct rig *r, const char *message);
/* Runs with these arguments, NULL-terminated; returns the exit status. */
int rig_run(struct rig *r, const char *const *args);
#define RIG_RUN(r, ...) rig_run(r, (const char *const[]){"aigwctl", __VA_ARGS__, NULL})

#endif
