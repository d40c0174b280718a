#include "jstep.h"

char jstep_escape(char c)
{
	switch (c) {
	case '"':
	case '\\':
	case '/':
		return c;
	case 'b':
		return '\b';
	case 'f':
		return '\f';
	case 'n':
		return '\n';
	case 'r':
		return '\r';
	case 't':
		return '\t';
	default:
		return 0;
	}
}

unsigned jstep_encode(uint32_t u, char out[4])
{
	unsigned more = u < 0x80 ? 0 : u < 0x800 ? 1 : u < 0x10000 ? 2 : 3;
	static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};

	if (u >= 0xd800 && u < 0xe000)
		u = 0xfffd;
	for (unsigned i = more; i > 0; i--, u >>= 6)
		out[i] = (char)(0x80 | (u & 0x3f));
	out[0] = (char)(lead[more] | u);
	return more + 1;
}
