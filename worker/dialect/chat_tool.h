/* The lists of tools of a request: whether the provider reads in each what the gateway reads, and whether that is something that
 * the model runs by itself or hands to the client. Pure. */
#ifndef AIGW_CHAT_TOOL_H
#define AIGW_CHAT_TOOL_H

#include "fault.h"

/* `list` is the value of `tools`, valid JSON, "" when it was not given. Sets the fault, which names the first place that is wrong.
 * True where an entry has a member that is not known, which may ask for input beyond itself. */
bool chat_tool_judge(struct slice list, struct fault *f);
/* The same for `functions`, the old form: each entry is what stands in `function` of a tool. */
bool chat_tool_judge_functions(struct slice list, struct fault *f);

#endif
