/* Requests to providers of the OpenAI family, from a client of the same dialect: its body with a few splices, so that fields we do
 * not know survive. */
#ifndef AIGW_OPENAI_BACK_H
#define AIGW_OPENAI_BACK_H

#include "dialect.h"

enum errc openai_back_write(const struct dialect_ask *ask, struct dialect_request *out,
			    struct fault *f);

#endif
