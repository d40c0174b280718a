/* A configuration from texts, for the tests of shared/model. */
#ifndef AIGW_TEST_MODEL_FIXTURE_H
#define AIGW_TEST_MODEL_FIXTURE_H

#include "config.h"
#include "ptable.h"

struct fixture {
	struct config_opts opts;
	struct buf messages;
	struct config *c;
	char dir[64]; /* of the files; empty before fixture_file() */
};

/* Loads with these environment variables (NULL-terminated, may be NULL) and the source tree's catalog. */
void fixture_init(struct fixture *f, const char *const *env);
/* Frees all, removes the files and checks that nothing leaked. */
void fixture_fini(struct fixture *f);

/* Loads the text as "aigw.yaml". The messages of the last load are in f->messages, its result in f->c. */
enum errc fixture_load(struct fixture *f, const char *text);
/* Loads and fails the test when that does not succeed without any message. */
void fixture_good(struct fixture *f, const char *text);
/* The messages as a C string. */
const char *fixture_messages(struct fixture *f);

/* Writes a file below a new folder, into which the process changes. */
void fixture_file(struct fixture *f, const char *path, const char *content);
/* Loads the file aigw.yaml there. */
enum errc fixture_load_file(struct fixture *f);

/* The decoded table of what was loaded; the caller drops it. */
struct ptable *fixture_table(struct fixture *f);

#endif
