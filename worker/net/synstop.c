#include "synstop.h"

#include <netinet/in.h>
#include <sys/socket.h>

#define NO_ROUTER 255
#define ANY       0

static bool hops_min(int fd, int hops)
{
	int domain = AF_UNSPEC;
	socklen_t n = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) != 0)
		return false;
	if (domain == AF_INET)
		return setsockopt(fd, IPPROTO_IP, IP_MINTTL, &hops, sizeof(hops)) == 0;
	return domain == AF_INET6 &&
	       setsockopt(fd, IPPROTO_IPV6, IPV6_MINHOPCOUNT, &hops, sizeof(hops)) == 0;
}

bool synstop_set(int fd)
{
	return hops_min(fd, NO_ROUTER);
}

void synstop_undo(int fd)
{
	(void)hops_min(fd, ANY);
}
