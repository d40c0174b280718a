/* Cuts one member of a top-level JSON object out of a body that flows by and is not kept: everything before the value, the value
 * (held until it is whole), everything after, and the object's last brace apart. Does not check the text beyond what it needs to
 * find its way: strings, nesting, top-level keys. Pure. */
#ifndef AIGW_JSON_CUT_H
#define AIGW_JSON_CUT_H

#include "buf.h"

#define JSON_CUT_VALUE_MAX (64 * 1024)

enum json_cut_kind {
	JSON_CUT_NONE,  /* push more */
	JSON_CUT_BYTES, /* to be passed on */
	JSON_CUT_VALUE, /* the value of "usage" */
	JSON_CUT_TAIL,  /* the closing brace; what follows it is dropped */
};

struct json_cut {
	struct buf value;
	unsigned depth;
	size_t key_n;
	char key[8];
	bool in_string, escape, in_key, after_colon, holding, given, done;
};

void json_cut_init(struct json_cut *c);
void json_cut_fini(struct json_cut *c);
/* Takes bytes from the front of *in. The slice is valid while *in's bytes are, a VALUE until the next call. ERRC_TOOBIG for a
 * value that is too long to hold, ERRC_SYNTAX for text that is no object or has `usage`
 * twice, ERRC_NOMEM. */
MUSTCHECK enum errc json_cut_next(struct json_cut *c, struct slice *in, enum json_cut_kind *kind,
				  struct slice *out);
/* The object was closed. */
bool json_cut_is_done(const struct json_cut *c);

#endif
