/* What a file needs beyond its own fsync(): a name that is new, or new for another file, is there for good only once the folder is on
 * disk too. */
#ifndef AIGW_FILES_H
#define AIGW_FILES_H

#include "errc.h"

MUSTCHECK enum errc files_sync_folder(const char *path);

#endif
