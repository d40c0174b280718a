/* Vectors of an embeddings answer in the encoding that the client asked for, whatever the provider sent (contract A1): numbers to
 * base64 of little-endian float32, or back. Works on the body as it flows, in any split; nothing is kept but one number. Pure. */
#ifndef AIGW_EMBEDDINGS_H
#define AIGW_EMBEDDINGS_H

#include "buf.h"

struct embeddings {
	bool to_base64;
	bool idle; /* the first vector was as asked: so are the others */
	uint8_t state;
	unsigned depth;
	bool in_string, escape, in_key, after_colon;
	size_t key_n;
	char key[12];
	char number[48];
	unsigned number_n;
	uint8_t bytes[4]; /* of a float, of a base64 group */
	unsigned bytes_n;
	uint32_t group; /* base64 digits gathered so far */
	unsigned group_n;
	bool any; /* a number was written */
};

void embeddings_init(struct embeddings *e, bool to_base64);
/* Appends what the piece becomes. ERRC_SYNTAX when a vector is neither numbers nor base64. */
MUSTCHECK enum errc embeddings_push(struct embeddings *e, struct slice in, struct buf *out);

#endif
