/* Recorded exchanges (one JSON file each) as answers. */
#ifndef AIGW_REPLAY_H
#define AIGW_REPLAY_H

#include "answer.h"

/* Loads `dir`/ID.json and puts its response, byte for byte, into `a`. ERRC_NOTFOUND, ERRC_SYNTAX. */
MUSTCHECK enum errc replay_load(const char *dir, struct slice id, struct answer *a);

#endif
