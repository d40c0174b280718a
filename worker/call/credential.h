/* Finds the client's credential in a request's head (contract A2). Pure. */
#ifndef AIGW_CREDENTIAL_H
#define AIGW_CREDENTIAL_H

#include "apikey.h"
#include "http1.h"
#include "paths.h"

#define CREDENTIAL_PLACES 5

struct credential {
	struct slice value; /* trimmed; into the head, or into `query` */
	struct slice id;    /* public id, "" when the value has not the form of a key */
	const char *where;  /* "authorization", "x-api-key", "?key="; static */
};

/* All credentials of the request in the order in which they count for this family of routes; returns how many. `query` takes the decoded value
 * of ?key= and must outlive the result; it holds a secret afterwards. */
size_t credential_find(const struct http1_head *head, const struct paths_match *m,
		       struct buf *query, struct credential out[CREDENTIAL_PLACES]);

#endif
