/* Which offers may serve a request, in which order. Pure: the table, what the request needs, and a random number go in. Health (breakers,
 * cooling keys) is looked at later, when an offer's turn comes. */
#ifndef AIGW_ROUTE_H
#define AIGW_ROUTE_H

#include "caps.h"
#include "dialect_io.h"
#include "text.h"

struct route_candidate {
	const struct ptable_offer *offer;
	const struct ptable_model *model; /* the offer's */
	int64_t input_bound;              /* tokens, by that model's figures */
	int64_t input_likely;             /* tokens, when nobody tells */
	int64_t beside;     /* tokens of reasoning that the cap does not bound there */
	int64_t min_output; /* an uncapped request's least output there */
};

struct route {
	const struct ptable_model *asked; /* whose limits count */
	struct route_candidate v[LIMIT_CANDIDATES];
	size_t n;
};

struct route_ask { /* borrowed during the call */
	const struct dialect_facts *facts;
	struct slice allowed; /* the key's model patterns, see rows_lists_allow(): they choose among models of one offer; whether the key may is for admission */
	bool alone;           /* no fallbacks */
};

/* The model's offers by priority, weighted at random within one priority, then those of its fallbacks (unless `alone`). Models that lack an
 * ability that the request needs are left out. An offer that is asked for as "provider/model" is charged as that of its model; one that
 * several models have at different prices has no such name, for nobody decided which of them a client pays. ERRC_NOTFOUND: nothing is left,
 * the fault says why. */
MUSTCHECK enum errc route_build(const struct ptable *t, const struct route_ask *ask,
				struct text_rng *rng, struct route *out, struct fault *f);

#endif
