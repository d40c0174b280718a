/* The arguments of the control verbs: which there are, of which type, and what those of a key mean. Pure, but that a
 * time zone is looked up in the system's. */
#ifndef AIGW_VERB_ARGS_H
#define AIGW_VERB_ARGS_H

#include "control.h"
#include "rule_args.h"

#define VERB_ARGS_WHY 256

/* The fields of a request; borrowed. */
struct verb_args {
	const struct control_field *f;
	size_t n;
};

/* False with the reason in `why` when one is missing, unknown, given twice or of another type. */
bool verb_args_check(enum control_verb v, struct verb_args a, char why[VERB_ARGS_WHY]);

bool verb_args_has(struct verb_args a, const char *name);
/* The value, or `otherwise` when it was not given; the type has been checked. */
struct slice verb_args_str(struct verb_args a, const char *name);
int64_t verb_args_i64(struct verb_args a, const char *name, int64_t otherwise);
bool verb_args_bool(struct verb_args a, const char *name);

/* Puts the options of a scope that are given into `k`, of which `s` is used (NULL: nothing); its slices then point into the
 * arguments or into `mem`: it is appended to, and VERB_ARGS_MEM bytes are reserved in it first. False with the reason in `why`. */
#define VERB_ARGS_MEM (RULE_ARGS_MEM + ROWS_MODELS_MAX + 1)
bool verb_args_scope(struct verb_args a, const struct rows_state *s, struct rows_scope *k,
		     struct buf *mem, char why[VERB_ARGS_WHY]);
/* since_ms and until_ms. False with the reason in `why` when nothing is between them. */
bool verb_args_span(struct verb_args a, int64_t *since_ms, int64_t *until_ms,
		    char why[VERB_ARGS_WHY]);
/* Whether a scope that is made now may be like this: not suspended. False with the reason in `why`. */
bool verb_args_is_new(const struct rows_scope *k, char why[VERB_ARGS_WHY]);
/* "rpm": the name of a limit as an argument and in rows. */
const char *verb_args_limit(enum rows_limit l);
/* The public id from an id or a whole key; false when it is neither. */
bool verb_args_key_id(struct slice text, char id[APIKEY_ID + 1]);

#endif
