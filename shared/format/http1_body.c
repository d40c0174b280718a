#include "http1_body.h"

/* States of the chunked coding. Everything but data is consumed byte by byte: it is a few bytes a chunk. */
enum {
	SIZE,
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_START,
	TRAILER,
	TRAILER_LF,
	END_LF,
	END,
};

#define DIGITS_MAX 15 /* so that a chunk's size always fits an int64 */

void http1_body_init(struct http1_body *b, enum http1_body_kind kind, uint64_t length)
{
	*b = (struct http1_body){.kind = kind, .left = kind == HTTP1_BODY_LENGTH ? length : 0};
}

static int refuse(struct http1_body *b, const char *why)
{
	b->why = why;
	return -ERRC_PROTOCOL;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int take_size(struct http1_body *b, char c)
{
	int digit = hex_digit(c);

	if (digit >= 0 && b->digits < DIGITS_MAX) {
		b->left = b->left << 4 | (unsigned)digit;
		b->digits++;
	} else if (digit >= 0) {
		return refuse(b, "chunk size too large");
	} else if (b->digits && c == '\r') {
		b->state = SIZE_LF;
	} else if (b->digits && c == ';') {
		b->state = EXTENSION;
	} else {
		return refuse(b, "bad chunk size");
	}
	return 0;
}

/* A byte of an extension or a trailer, up to the CR that ends it. */
static int take_extra(struct http1_body *b, char c, int at_cr)
{
	if (c == '\r') {
		b->state = (uint8_t)at_cr;
		return 0;
	}
	if (((unsigned char)c < ' ' && c != '\t') || c == 0x7f)
		return refuse(b, "control byte in a chunk extension or trailer");
	if (++b->extra > HTTP1_BODY_EXTRA_MAX)
		return refuse(b, "chunk extensions or trailers too long");
	return 0;
}

static int take_exact(struct http1_body *b, char c, char want, int next, const char *why)
{
	if (c != want)
		return refuse(b, why);
	b->state = (uint8_t)next;
	return 0;
}

static int take_framing(struct http1_body *b, char c)
{
	switch (b->state) {
	case SIZE:
		return take_size(b, c);
	case EXTENSION:
		return take_extra(b, c, SIZE_LF);
	case SIZE_LF:
		return take_exact(b, c, '\n', b->left ? DATA : TRAILER_START,
				  "no LF after a chunk size");
	case DATA_CR:
		return take_exact(b, c, '\r', DATA_LF, "no CRLF after a chunk");
	case DATA_LF:
		b->digits = 0;
		return take_exact(b, c, '\n', SIZE, "no CRLF after a chunk");
	case TRAILER_START:
		if (c == '\r') {
			b->state = END_LF;
			return 0;
		}
		b->state = TRAILER;
		return take_extra(b, c, TRAILER_LF);
	case TRAILER:
		return take_extra(b, c, TRAILER_LF);
	case TRAILER_LF:
		return take_exact(b, c, '\n', TRAILER_START, "no LF after a trailer");
	default:
		return take_exact(b, c, '\n', END, "no LF at the end of the body");
	}
}

static int take_data(struct http1_body *b, struct slice *in, struct slice *part)
{
	*part = slice_sub(*in, 0, b->left < in->n ? (size_t)b->left : in->n);
	*in = slice_sub(*in, part->n, in->n);
	b->left -= part->n;
	return 1;
}

static int next_chunked(struct http1_body *b, struct slice *in, struct slice *part)
{
	size_t i = 0;
	int rc = 0;

	while (i < in->n && b->state != DATA && b->state != END && !rc)
		rc = take_framing(b, in->p[i++]);
	*in = slice_sub(*in, i, in->n);
	if (rc)
		return rc;
	if (b->state == END)
		return -ERRC_EOF;
	if (in->n == 0)
		return 0;
	take_data(b, in, part);
	if (b->left == 0)
		b->state = DATA_CR;
	return 1;
}

int http1_body_next(struct http1_body *b, struct slice *in, struct slice *part)
{
	if (b->kind == HTTP1_BODY_CHUNKED)
		return next_chunked(b, in, part);
	if (b->kind == HTTP1_BODY_UNTIL_CLOSE)
		b->left = UINT64_MAX;
	if (b->left == 0)
		return -ERRC_EOF;
	return in->n ? take_data(b, in, part) : 0;
}
