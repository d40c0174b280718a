/* Closing a listening TCP socket resets every connection that the kernel completed since the last accept(): between "the queue is empty"
 * and close() there is always a gap. This shuts it: SYNs are dropped, handshakes under way come to their end and can be accepted, and
 * then the queue stays empty. A client whose SYN is dropped sends it again, a second later at first, and finds another listener
 * of the port or is refused, which is safe to try again; an established connection that is reset may not be.
 * It asks for packets that crossed no router (RFC 5082: IP_MINTTL, IPV6_MINHOPCOUNT of 255), which nearly no SYN claims, a loopback one
 * neither: systems begin with 64 or 128. The kernel asks that of what comes to a listening or established socket, but not of the ACK that
 * completes a half-open connection (tcp_v4_rcv() in net/ipv4/tcp_ipv4.c). A packet filter (socket(7), SO_ATTACH_FILTER) would say
 * it plainly, but needs CAP_NET_ADMIN for TCP on newer kernels (commit 5d39580f68e6), and a worker has no capability. */
#ifndef AIGW_SYNSTOP_H
#define AIGW_SYNSTOP_H

#include <stdbool.h>

/* Lets no connection begin at `fd` any more. That belongs to the socket, not to the descriptor: only for one that no process goes on
 * serving with. False when the socket is not TCP or the kernel refuses: all goes on as without. */
bool synstop_set(int fd);
/* For a connection accepted later: it has inherited the condition, which drops what the client sends until it is undone; TCP sends that
 * again. */
void synstop_undo(int fd);

#endif
