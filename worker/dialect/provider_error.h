/* Error bodies of providers in all the shapes that occur (OpenAI's and those of servers that look like it, Anthropic's, proxies'
 * HTML), and what follows from one: the client's fault and the router's verdict. Pure. */
#ifndef AIGW_PROVIDER_ERROR_H
#define AIGW_PROVIDER_ERROR_H

#include "dialect_io.h"

struct provider_error {
	bool found; /* the body was JSON and said something */
	char message[FAULT_MESSAGE_MAX];
	char type[FAULT_WORD_MAX], code[FAULT_WORD_MAX];
	char param[FAULT_PARAM_MAX];
	int64_t number; /* a numeric code, 0: none */
};

/* Status 0 stands for an error inside an answer that began with 200. */
void provider_error_classify(const struct dialect_answer *a, struct fault *f,
			     struct dialect_verdict *v);
/* A provider that broke its own protocol: fault UPSTREAM with these words, next candidate, counts for the breaker. */
void provider_error_broken(const struct ptable_provider *p, struct fault *f,
			   struct dialect_verdict *v, const char *what);

#endif
