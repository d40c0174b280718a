/* The second half of the OpenAI front's scan: when the body is complete, its top-level fields become facts or faults. */
#ifndef AIGW_CHAT_FACTS_H
#define AIGW_CHAT_FACTS_H

#include "chat_scan.h"

/* ERRC_INVAL with the fault set when the request cannot be served by any provider. */
MUSTCHECK enum errc chat_facts_read(struct chat_scan *s, struct slice body,
				    struct dialect_facts *out, struct fault *f);

#endif
