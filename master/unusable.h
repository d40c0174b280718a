/* Says why a folder or a file of the node cannot be used, and what an operator can do about it: which folder on the way, whether its
 * file system is read-only or who may not do what. */
#ifndef AIGW_UNUSABLE_H
#define AIGW_UNUSABLE_H

#include "buf.h"

#define UNUSABLE_MAX 1024 /* of a sentence, with the longest names cut */

/* Appends what follows "cannot use PATH: ", for whom the process is now. `e` is what using `path` has come to; `elsewhere` says what else
 * can be done: "set `state` to another folder". */
void unusable_say(struct buf *out, const char *path, const char *elsewhere, enum errc e);

#endif
