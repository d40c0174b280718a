/* Bodies of /v1/models and /v1/models/{id} (contract A1): one form for OpenAI's, Anthropic's and
 * OpenRouter's readers. */
#ifndef AIGW_MODELS_H
#define AIGW_MODELS_H

#include "ptable.h"

struct models_ask {
	/* Whether the key may use the model; NULL: all. */
	bool (*allows)(void *arg, const struct ptable_model *m);
	void *arg;
	int64_t now_s;         /* whose prices are told */
	int64_t mult_ppm;      /* what the key's account pays of them */
	int64_t limit;         /* entries, 0: all */
	struct slice after_id; /* "" : from the start */
};

/* Sorted by id. */
MUSTCHECK
enum errc models_list(const struct ptable *t, const struct models_ask *ask, struct buf *out);
MUSTCHECK
enum errc models_one(const struct ptable_model *m, const struct models_ask *ask, struct buf *out);
/* A strong entity tag of a body, quotes included. */
#define MODELS_ETAG_MAX 24
void models_etag(struct slice body, char out[MODELS_ETAG_MAX]);

#endif
