#include "xport.h"

void xport_set_events(struct xport *x, const struct xport_events *ev, void *arg)
{
	require_magic(x, XPORT_MAGIC);
	x->ev = ev;
	x->arg = arg;
}

void xport_read_start(struct xport *x)
{
	require_magic(x, XPORT_MAGIC);
	require(x->ev != NULL);
	x->ops->read_start(x);
}

void xport_read_stop(struct xport *x)
{
	require_magic(x, XPORT_MAGIC);
	x->ops->read_stop(x);
}

enum errc xport_write(struct xport *x, const struct iovec *v, int n, size_t *taken)
{
	require_magic(x, XPORT_MAGIC);
	*taken = 0;
	return x->ops->write(x, v, MIN_OF(n, XPORT_IOV_MAX), taken);
}

bool xport_is_drained(const struct xport *x)
{
	require_magic(x, XPORT_MAGIC);
	return x->ops->is_drained(x);
}

void xport_shutdown(struct xport *x)
{
	require_magic(x, XPORT_MAGIC);
	x->ops->shutdown(x);
}

void xport_close(struct xport **x)
{
	if (!*x)
		return;
	require_magic(*x, XPORT_MAGIC);
	(*x)->ops->close(*x);
	*x = NULL;
}

const char *xport_why(const struct xport *x)
{
	require_magic(x, XPORT_MAGIC);
	return x->ops->why(x);
}

enum errc xport_errc_from_uv(int code)
{
	switch (code) {
	case 0:
		return ERRC_OK;
	case UV_EOF:
		return ERRC_EOF;
	case UV_ECANCELED:
	case UV_EAI_CANCELED:
		return ERRC_CANCELED;
	case UV_EAI_MEMORY:
		return ERRC_NOMEM;
	case UV_EAI_ADDRFAMILY:
	case UV_EAI_AGAIN:
	case UV_EAI_BADFLAGS:
	case UV_EAI_FAIL:
	case UV_EAI_FAMILY:
	case UV_EAI_NODATA:
	case UV_EAI_NONAME:
	case UV_EAI_SERVICE:
	case UV_EAI_SOCKTYPE:
		return ERRC_DNS;
	default:
		return code < 0 ? errc_from_errno(-code) : ERRC_OK;
	}
}
