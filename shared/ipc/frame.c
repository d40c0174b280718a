#include "frame.h"

static uint32_t get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

int frame_parse(struct slice in, size_t payload_max, struct frame *out)
{
	const unsigned char *p = (const unsigned char *)in.p;
	size_t n;

	*out = (struct frame){0};
	if (in.n < FRAME_HEAD)
		return 0;
	if (p[4] > FRAME_FDS_MAX || p[5] || p[6] || p[7])
		return -ERRC_PROTOCOL;
	n = get_u32(p);
	if (n > payload_max)
		return -ERRC_TOOBIG;
	out->fds_n = p[4];
	out->total = FRAME_HEAD + n;
	if (in.n < out->total)
		return 0;
	out->payload = slice_of(in.p + FRAME_HEAD, n);
	return 1;
}

void frame_head(char *out, size_t payload_n, unsigned fds_n)
{
	require(payload_n <= UINT32_MAX && fds_n <= FRAME_FDS_MAX);
	for (int i = 0; i < 4; i++)
		out[i] = (char)(payload_n >> (8 * i) & 0xff);
	out[4] = (char)fds_n;
	out[5] = out[6] = out[7] = 0;
}
