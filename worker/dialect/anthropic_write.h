/* Requests to providers that speak Anthropic's Messages, from the neutral form. What the dialect cannot say is refused by name or
 * mapped by the rules that stand at the functions. Pure. */
#ifndef AIGW_ANTHROPIC_WRITE_H
#define AIGW_ANTHROPIC_WRITE_H

#include "dialect.h"
#include "json_out.h"

enum errc anthropic_write_request(const struct dialect_ask *ask, struct dialect_request *out,
				  struct fault *f);

/* What a model understands, read from its name; look-alikes with other names count as the oldest. */
struct anthropic_traits {
	bool adaptive;     /* thinking is asked for by effort, not by a budget */
	bool effort_max;   /* takes the efforts xhigh and max */
	bool no_sampling;  /* refuses temperature, top_p, top_k */
	bool one_sampling; /* refuses temperature beside top_p */
	bool system_turn;  /* takes system messages between the others */
};
struct anthropic_traits anthropic_traits_of(struct slice model);

/* For anthropic_*.c. */
struct anthropic_out {
	const struct dialect_ask *ask;
	const struct ir_request *ir;
	struct anthropic_traits traits;
	struct json_out o;
	struct buf b;
	struct fault *f;
	bool thinking; /* is asked for, and the history allows it */
	enum errc err; /* ERRC_INVAL has its fault */
};

/* Refuses a part of the request by name. */
void anthropic_refuse(struct anthropic_out *w, const char *what, const char *path_fmt, ...)
	PRINTF_LIKE(3, 4);
/* Writes `system` and `messages`. */
void anthropic_messages(struct anthropic_out *w);
/* Whether every call of the last round of tools has its signed thinking, which a model with thinking on insists on. */
bool anthropic_history_thinks(const struct ir_request *ir);

#endif
