/* Big-endian numbers of 1 to 8 bytes in the keys of stored rows: they sort as they count. */
#ifndef AIGW_BE_H
#define AIGW_BE_H

#include <stddef.h>
#include <stdint.h>

static inline void be_put(uint8_t *p, size_t n, uint64_t v)
{
	while (n > 0) {
		p[--n] = (uint8_t)v;
		v >>= 8;
	}
}

static inline uint64_t be_get(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | b[i];
	return v;
}

#endif
