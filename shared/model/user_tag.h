/* The tag of an end user: what an application calls the one for whom it asks (header `x-aigw-user`, else the body's `user`). Pure. */
#ifndef AIGW_USER_TAG_H
#define AIGW_USER_TAG_H

#include "slice.h"

#define USER_TAG_MAX 128 /* bytes */
#define USER_TAG_RULES \
	"1 to 128 bytes of UTF-8 without control characters and without spaces at its ends"

/* Whether it keeps USER_TAG_RULES. */
bool user_tag_is_good(struct slice s);

#endif
