/* The usage object of the OpenAI family, read into the neutral record and written for the client.
 * Pure. */
#ifndef AIGW_CHAT_USAGE_H
#define AIGW_CHAT_USAGE_H

#include "buf.h"
#include "usage.h"

/* The tier that a provider names, as a JSON value; USAGE_TIER_NONE when it names none that has a price. */
enum usage_tier chat_usage_tier(struct slice word);
/* Reads a usage object of chat, completions or embeddings of any server that looks like OpenAI.
 * `reasoning_outside`: the server leaves reasoning out of completion_tokens (xAI); also recognised
 * by a total that only fits so. A total and one side give the other; a total alone stays undivided. False when it is no object or says nothing. */
bool chat_usage_read(struct slice object, bool reasoning_outside, struct usage *u);
/* The provider's object with our cost in place of its own. */
MUSTCHECK
enum errc chat_usage_patch(struct slice object, int64_t cost_nusd, struct buf *out);
/* An object made from the neutral record. */
MUSTCHECK
enum errc chat_usage_write(const struct usage *u, int64_t cost_nusd, struct buf *out);

#endif
