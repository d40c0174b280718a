#include "inflate.h"

#include <zlib.h>

#include "mem.h"

#define STEP_BYTES (16 * 1024) /* output made at a time */

struct inflate {
	z_stream z;
	size_t left; /* of the ceiling */
	bool ended;
};

/* All memory goes through mem.c, so that tests can make it fail. */
static void *z_alloc(void *opaque, unsigned items, unsigned size)
{
	size_t n;

	return __builtin_mul_overflow((size_t)items, (size_t)size, &n) ? NULL : mem_new(n);
}

static void z_free(void *opaque, void *p)
{
	mem_free(p);
}

enum errc inflate_new(enum inflate_format format, size_t max, struct inflate **out)
{
	struct inflate *z = mem_new_of(struct inflate);

	*out = NULL;
	if (!z)
		return ERRC_NOMEM;
	z->left = max;
	z->z.zalloc = z_alloc;
	z->z.zfree = z_free;
	/* 15 is the largest window, 16 more ask for gzip's header and trailer. */
	if (inflateInit2(&z->z, format == INFLATE_GZIP ? 15 + 16 : 15) != Z_OK) {
		mem_free(z);
		return ERRC_NOMEM;
	}
	*out = z;
	return ERRC_OK;
}

void inflate_free(struct inflate **p)
{
	struct inflate *z = *p;

	*p = NULL;
	if (!z)
		return;
	inflateEnd(&z->z);
	mem_free(z);
}

static enum errc from_zlib(struct inflate *z, int rc)
{
	switch (rc) {
	case Z_STREAM_END:
		z->ended = true;
		return ERRC_OK;
	case Z_OK:
	case Z_BUF_ERROR: /* no progress: more input is needed */
		return ERRC_OK;
	case Z_MEM_ERROR:
		return ERRC_NOMEM;
	default:
		return ERRC_SYNTAX;
	}
}

/* One round into free room of `out`. At the ceiling one byte of room apart tells whether there is more. */
static enum errc step(struct inflate *z, struct buf *out, size_t *made)
{
	size_t room = MIN_OF(MIN_OF((size_t)STEP_BYTES, z->left), out->max - out->len);
	unsigned char probe;
	char *at;
	enum errc rc;

	*made = 0;
	if (room == 0) {
		z->z.next_out = &probe;
		z->z.avail_out = 1;
		rc = from_zlib(z, inflate(&z->z, Z_NO_FLUSH));
		return !rc && z->z.avail_out == 0 ? ERRC_TOOBIG : rc;
	}
	rc = buf_reserve(out, room, &at);
	if (rc)
		return rc;
	z->z.next_out = (unsigned char *)at;
	z->z.avail_out = (unsigned)room;
	rc = from_zlib(z, inflate(&z->z, Z_NO_FLUSH));
	*made = room - z->z.avail_out;
	buf_commit(out, *made);
	z->left -= *made;
	return rc;
}

enum errc inflate_push(struct inflate *z, struct slice in, struct buf *out)
{
	enum errc rc = ERRC_OK;
	size_t made, before;

	if (in.n > UINT32_MAX)
		return ERRC_TOOBIG;
	z->z.next_in = (unsigned char *)(uintptr_t)in.p;
	z->z.avail_in = (unsigned)in.n;
	/* Full output may hide more of it; without progress zlib waits for input. */
	do {
		before = z->z.avail_in;
		made = 0;
		if (!z->ended)
			rc = step(z, out, &made);
	} while (!rc && !z->ended && (made || z->z.avail_in != before));
	if (!rc && z->z.avail_in)
		rc = ERRC_SYNTAX;
	return rc;
}

enum errc inflate_finish(const struct inflate *z)
{
	return z->ended ? ERRC_OK : ERRC_TRUNCATED;
}

const char *inflate_library(void)
{
	return zlibVersion();
}
