/* Where a request comes from: the peer's address, or behind trusted proxies the one that x-forwarded-for tells. Pure. */
#ifndef AIGW_FORWARDED_H
#define AIGW_FORWARDED_H

#include "http1.h"
#include "listen.h"

/* Each proxy adds the address that it was asked from at the end, to the client's own list or in a field behind it: from there back
 * an item counts as long as who wrote it is trusted. `out` becomes the last address that is known so; false: it is that of a
 * proxy whose item is no address, the client's is unknown. */
bool forwarded_client(const struct http1_head *head, const struct listen_peer *peer,
		      uint8_t out[16]);

#endif
