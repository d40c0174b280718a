/* What the OpenAI front learns from a request body while it arrives: the facts that admission and routing need, without a tree.
 * Functions are those of struct dialect_front; the scan also serves the splices of the openai back. */
#ifndef AIGW_CHAT_SCAN_H
#define AIGW_CHAT_SCAN_H

#include "chat_field.h"
#include "dialect_io.h"
#include "jscan.h"
#include "user_tag.h"

/* How the string that is being read counts. */
enum chat_text {
	CHAT_TEXT_NONE,
	CHAT_TEXT_PLAIN,
	CHAT_TEXT_PREDICTED,
	CHAT_TEXT_WORD, /* the role of a message, the type of what stands in it */
	CHAT_TEXT_IMAGE,
	CHAT_TEXT_AUDIO,
	CHAT_TEXT_FILE,
	CHAT_TEXT_FILE_ID,
	CHAT_TEXT_REFERENCE, /* something of any size that stands elsewhere */
};

/* The pictures of a part that is being read, or of what stands where a picture does. */
struct chat_pictures {
	unsigned in;         /* level of its members; 0: none is being read */
	uint32_t before;     /* of the whole request, up to it */
	uint32_t typed;      /* by a type of its own, or of a part inside of it */
	uint32_t named, run; /* by the name of a member: of the one that has most, of the last one */
	bool is_one;         /* it stands where a picture does */
	bool is_other; /* its type is none of a picture: what a member is called says nothing */
};

struct chat_scan {
	struct jscan j;
	enum dialect_op op;
	enum chat_text text;
	struct bound_run run;
	struct bound bound;
	uint32_t needs;
	bool media_url;
	char small[96]; /* the beginning of a word, or of a string of media */
	unsigned small_n;
	bool part_typed; /* the part of a message that is being read has said its type */
	unsigned part_due,
		part_seen; /* media by its type, and what was counted; bits of chat_text */
	struct chat_pictures pictures;
	char model[LIMIT_MODEL_NAME + 1], user[USER_TAG_MAX];
};

void chat_scan_init(void *scan, enum dialect_op op, unsigned depth_max);
enum errc chat_scan_push(void *scan, const char *p, size_t len, struct fault *f);
enum errc chat_scan_end(void *scan, struct slice body, struct dialect_facts *out, struct fault *f);
void chat_scan_fini(void *scan);

/* The value of a top-level field; "" when it was not given or is null. */
struct slice chat_scan_value(const struct chat_scan *s, struct slice body, enum chat_id id);

#endif
