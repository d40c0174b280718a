/* Recorded provider traffic (../shared/wire beside the source, where present): one JSON file an exchange. */
#ifndef AIGW_TEST_WIRE_H
#define AIGW_TEST_WIRE_H

#include "json.h"

struct wire {
	struct json_doc *doc;
	const struct json *root;
	struct slice id, dialect, api, provider;
	int64_t status;
	bool is_sse;
	struct buf request;  /* the request's body as JSON text, "" when it was not recorded */
	struct buf response; /* the body's bytes */
};

/* Calls `fn` for each exchange. */
void wire_each(void (*fn)(void *arg, const struct wire *w), void *arg);
/* Where it is absent: says so, as a program that runs no test. */
bool wire_is_absent(void);
bool wire_has_kind(const struct wire *w, const char *kind);

#endif
