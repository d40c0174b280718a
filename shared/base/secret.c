#include "secret.h"

#include <errno.h>
#include <sys/random.h>

#include "mem.h"

enum errc secret_init(struct secret *s, struct slice value)
{
	*s = (struct secret){.p = mem_dup(value.p, value.n), .n = value.n};
	if (s->p)
		return ERRC_OK;
	s->n = 0;
	return ERRC_NOMEM;
}

void secret_fini(struct secret *s)
{
	if (s->p)
		secret_wipe(s->p, s->n);
	mem_free(s->p);
	*s = (struct secret){0};
}

void secret_hide(char *text, size_t n, struct slice value)
{
	if (value.n < SECRET_HINT)
		return;
	for (size_t at = 0; at + SECRET_HINT <= n; at++) {
		size_t here = MIN_OF(value.n, n - at);

		if (memcmp(text + at, value.p, here) != 0)
			continue;
		memset(text + at, '*', here);
		at += here - 1;
	}
}

bool secret_eq(struct slice a, struct slice b)
{
	volatile unsigned char diff = 0;

	if (a.n != b.n)
		return false;
	for (size_t i = 0; i < a.n; i++)
		diff |= (unsigned char)(a.p[i] ^ b.p[i]);
	return diff == 0;
}

void secret_wipe(void *p, size_t n)
{
	explicit_bzero(p, n);
}

void secret_random(void *p, size_t n)
{
	char *at = p;

	while (n) {
		ssize_t got = getrandom(at, n, 0);

		if (got < 0 && errno == EINTR)
			continue;
		require(got > 0);
		at += got;
		n -= (size_t)got;
	}
}
