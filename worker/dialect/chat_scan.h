/* What the OpenAI front learns from a request body while it arrives: the facts that admission and routing need, without a tree.
 * Functions are those of struct dialect_front; the scan also serves the splices of the openai back. */
#ifndef AIGW_CHAT_SCAN_H
#define AIGW_CHAT_SCAN_H

#include "dialect_io.h"
#include "jscan.h"
#include "user_tag.h"

/* Ids of names in the scan: known top-level fields first, then names inside of them. */
enum chat_id {
	CHAT_ID_NONE,
#define CHAT_FIELD(id, name, rule, why) CHAT_ID_##id,
#include "chat_fields_tbl.h"
#undef CHAT_FIELD
	CHAT_ID_TOP_END,
	CHAT_ID_CONTENT = CHAT_ID_TOP_END,
	CHAT_ID_ROLE,
	CHAT_ID_TYPE,
	CHAT_ID_IMAGE_URL,
	CHAT_ID_VIDEO_URL,
	CHAT_ID_URL,
	CHAT_ID_INPUT_AUDIO,
	CHAT_ID_DATA,
	CHAT_ID_FILE_DATA,
	CHAT_ID_FILE_ID,
	CHAT_ID_END
};

enum chat_rule { CHAT_RULE_PASS, CHAT_RULE_COUNT, CHAT_RULE_OWN, CHAT_RULE_REFUSE };

struct chat_field {
	const char *name;
	enum chat_rule rule;
	const char *why;
};

/* How the string that is being read counts. */
enum chat_text {
	CHAT_TEXT_NONE,
	CHAT_TEXT_PLAIN,
	CHAT_TEXT_PREDICTED,
	CHAT_TEXT_TOOL_TYPE,
	CHAT_TEXT_IMAGE,
	CHAT_TEXT_VIDEO,
	CHAT_TEXT_AUDIO,
	CHAT_TEXT_FILE,
	CHAT_TEXT_FILE_ID,
};

struct chat_scan {
	struct jscan j;
	enum dialect_op op;
	enum chat_text text;
	struct bound_run run;
	struct bound bound;
	uint32_t needs;
	bool media_url;
	unsigned prompts, elements; /* prompts of a list; elements of the list being read */
	char small[12];             /* the beginning of a short string */
	unsigned small_n;
	int bad_tool; /* index of the first tool that a provider would run, -1: none */
	char model[LIMIT_MODEL_NAME + 1], user[USER_TAG_MAX];
};

void chat_scan_init(void *scan, enum dialect_op op, unsigned depth_max);
enum errc chat_scan_push(void *scan, const char *p, size_t len, struct fault *f);
enum errc chat_scan_end(void *scan, struct slice body, struct dialect_facts *out, struct fault *f);
void chat_scan_fini(void *scan);

/* The row of a top-level id. */
const struct chat_field *chat_field_row(enum chat_id id);
/* The value of a top-level field; "" when it was not given or is null. */
struct slice chat_scan_value(const struct chat_scan *s, struct slice body, enum chat_id id);

#endif
