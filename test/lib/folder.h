/* Folders of tests. What cannot be done aborts the test. No other process has a hand in it. */
#ifndef AIGW_FOLDER_H
#define AIGW_FOLDER_H

#include "check.h"

/* Removes what the path leads to, with all that is in it; links are removed, not followed. What is not there is gone already. */
void folder_remove(const char *fmt, ...) PRINTF_LIKE(1, 2);
/* Files and folders, as deep as they go, to `to`, which must not be there yet. */
void folder_copy(const char *from, const char *to);

#endif
