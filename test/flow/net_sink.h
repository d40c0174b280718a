/* The receiver of a long body, for the test of the net: keeps it in one piece, read to where it stays as far as that goes, and answers "all"
 * once it is what was expected. */
#ifndef AIGW_NET_SINK_H
#define AIGW_NET_SINK_H

#include "down_conn.h"

/* Takes the request and reads its body; `want` is borrowed until the request's end. */
void sink_take(struct down_conn *dc, struct slice want);
/* Bytes that were read to where they stay, of all bodies. */
extern size_t sink_roomed;

#endif
