#include "listeners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "mem.h"
#include "text.h"

#define BACKLOG 4096 /* the kernel takes the smaller of this and net.core.somaxconn */

union addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

void listeners_init(struct listeners *l, unsigned slots)
{
	l->slots = slots;
	list_init(&l->rows);
}

static void row_free(struct listeners_row *r)
{
	list_remove(&r->node);
	for (unsigned i = 0; i < r->fds_n; i++)
		close(r->fds[i]);
	mem_free(r->address);
	mem_free(r);
}

void listeners_drop(struct list *rows)
{
	list_each_safe (it, rows)
		row_free(list_entry(it, struct listeners_row, node));
}

void listeners_fini(struct listeners *l)
{
	listeners_drop(&l->rows);
}

/* --- sockets --- */

static bool addr_make(struct slice host, int port, union addr *a, socklen_t *n)
{
	char text[INET6_ADDRSTRLEN];

	*a = (union addr){0};
	if (host.n >= sizeof(text))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = 0;
	if (inet_pton(AF_INET, text, &a->in.sin_addr) == 1) {
		a->in.sin_family = AF_INET;
		a->in.sin_port = htons((uint16_t)port);
		*n = sizeof(a->in);
		return true;
	}
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons((uint16_t)port);
	*n = sizeof(a->in6);
	return inet_pton(AF_INET6, text, &a->in6.sin6_addr) == 1;
}

static void addr_set_port(union addr *a, int port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons((uint16_t)port);
	else
		a->in6.sin6_port = htons((uint16_t)port);
}

static int port_of(int fd)
{
	union addr a;
	socklen_t n = sizeof(a);

	if (getsockname(fd, &a.sa, &n) != 0)
		return 0;
	return ntohs(a.sa.sa_family == AF_INET ? a.in.sin_port : a.in6.sin6_port);
}

static bool set_on(int fd, int level, int option)
{
	const int on = 1;

	return setsockopt(fd, level, option, &on, sizeof(on)) == 0;
}

/* A bound socket, -1 with errno set. TCP_NODELAY is passed on to what is accepted. */
static int bind_one(const union addr *a, socklen_t n, bool share)
{
	int err, fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return -1;
	if (set_on(fd, SOL_SOCKET, SO_REUSEADDR) &&
	    (!share || set_on(fd, SOL_SOCKET, SO_REUSEPORT)) &&
	    (a->sa.sa_family != AF_INET6 || set_on(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
	    set_on(fd, IPPROTO_TCP, TCP_NODELAY) && bind(fd, &a->sa, n) == 0)
		return fd;
	err = errno;
	close(fd);
	errno = err;
	return -1;
}

/* With SO_REUSEPORT another gateway of the same user could share our port unseen: a bind without it tells. */
static bool is_free(const union addr *a, socklen_t n)
{
	int fd = bind_one(a, n, false);

	if (fd >= 0)
		close(fd);
	return fd >= 0;
}

static enum errc bind_all(struct listeners_row *r, union addr *a, socklen_t n, unsigned slots)
{
	for (; r->fds_n < slots; r->fds_n++) {
		int fd = bind_one(a, n, true);

		if (fd < 0)
			return errc_from_errno(errno);
		r->fds[r->fds_n] = fd;
		if (listen(fd, BACKLOG) != 0) {
			r->fds_n++;
			return errc_from_errno(errno);
		}
		if (r->port == 0)
			r->port = port_of(fd);
		addr_set_port(a, r->port);
	}
	return ERRC_OK;
}

/* --- rows --- */

static enum errc row_new(const struct settings_listener *sl, bool admin, unsigned slots,
			 struct listeners_row **out)
{
	struct listeners_row *r = mem_new(sizeof(*r) + slots * sizeof(int));

	if (r)
		r->address = mem_dup(sl->address.p, sl->address.n);
	if (!r || !r->address) {
		mem_free(r);
		return ERRC_NOMEM;
	}
	list_init(&r->node);
	r->admin = admin;
	r->port = sl->port;
	*out = r;
	return ERRC_OK;
}

static struct listeners_row *row_find(struct listeners *l, struct slice address, bool admin)
{
	list_each (it, &l->rows) {
		struct listeners_row *r = list_entry(it, struct listeners_row, node);

		if (r->admin == admin && slice_is(address, r->address))
			return r;
	}
	return NULL;
}

static enum errc plan_one(struct listeners *l, const struct settings_listener *sl, bool admin,
			  bool alone, struct list *fresh, struct buf *why)
{
	struct listeners_row *r = row_find(l, sl->address, admin);
	union addr a;
	socklen_t n;
	enum errc e;

	if (r) {
		r->keep = true;
		return ERRC_OK;
	}
	if (!addr_make(sl->host, sl->port, &a, &n))
		e = ERRC_SYNTAX;
	else if (alone && sl->port && !is_free(&a, n))
		e = errc_from_errno(errno);
	else
		e = row_new(sl, admin, l->slots, &r);
	if (!e) {
		list_push_back(fresh, &r->node);
		e = bind_all(r, &a, n, l->slots);
	}
	if (e && buf_addf(why, "cannot listen on " SLICE_FMT ": %s", SLICE_ARG(sl->address),
			  e == ERRC_EXISTS ? "address already in use" : errc_text(e)))
		return ERRC_NOMEM;
	return e;
}

/* admin.http is a text of the settings, "host:port" or "off" (ERRC_NOTFOUND). */
static enum errc admin_listener(struct slice text, struct settings_listener *out)
{
	struct slice port;
	uint64_t v;
	size_t colon = text.n;

	if (text.n == 0 || slice_is(text, "off"))
		return ERRC_NOTFOUND;
	while (colon && text.p[colon - 1] != ':')
		colon--;
	if (colon == 0)
		return ERRC_SYNTAX;
	*out = (struct settings_listener){.address = text, .host = slice_sub(text, 0, colon - 1)};
	port = slice_sub(text, colon, text.n);
	if (out->host.n > 2 && out->host.p[0] == '[' && out->host.p[out->host.n - 1] == ']')
		out->host = slice_sub(out->host, 1, out->host.n - 2);
	if (!text_u64(port, &v) || v > 65535)
		return ERRC_SYNTAX;
	out->port = (int)v;
	return ERRC_OK;
}

enum errc listeners_plan(struct listeners *l, const struct settings *set, bool alone,
			 struct list *fresh, struct buf *why)
{
	struct settings_listener admin;
	bool first = list_is_empty(&l->rows);
	enum errc e = ERRC_OK;

	/* Only a restart moves the admin address. */
	list_each (it, &l->rows)
		list_entry(it, struct listeners_row, node)->keep =
			list_entry(it, struct listeners_row, node)->admin;
	for (size_t i = 0; i < set->listeners_n && !e; i++)
		e = plan_one(l, &set->listeners[i], false, alone, fresh, why);
	if (!e)
		e = first ? admin_listener(set->admin_http, &admin) : ERRC_NOTFOUND;
	if (e == ERRC_SYNTAX &&
	    buf_addf(why, "admin.http: not an address: " SLICE_FMT, SLICE_ARG(set->admin_http)))
		e = ERRC_NOMEM;
	if (!e)
		e = plan_one(l, &admin, true, alone, fresh, why);
	if (e == ERRC_NOTFOUND)
		e = ERRC_OK;
	if (e)
		listeners_drop(fresh);
	return e;
}

void listeners_gone(struct listeners *l, struct list *gone)
{
	list_each_safe (it, &l->rows) {
		if (list_entry(it, struct listeners_row, node)->keep)
			continue;
		list_remove(it);
		list_push_back(gone, it);
	}
}
